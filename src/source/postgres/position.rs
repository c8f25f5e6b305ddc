//! Where a full read ended: `{"done":true,"snapshot":"803:803:","lsn":"0/16B3748"}`.

use jiff::Timestamp;
use serde_json::json;

use crate::error::{Error, Kind, Result};
use crate::record::Position;

/// What a snapshot sees, in the server's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// `xmin:xmax:list of those in between that are running`, as `pg_current_snapshot` says it.
    pub snapshot: String,
    /// How far the log was written (on a replica: replayed) just before the snapshot was taken. A transaction that
    /// committed before it may still be running to the snapshot: who goes on from here must look at both.
    pub lsn: String,
    /// When it was taken, by our own clock: for people.
    pub at: Timestamp,
}

impl Moment {
    /// When it was, in words.
    pub fn time(&self) -> String {
        self.at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    }

    /// The position of a table that was read to its end.
    pub fn position(&self) -> Position {
        Position::new(json!({"done": true, "snapshot": self.snapshot, "lsn": self.lsn}))
    }
}

/// Whether `position` is that of a table that was read to its end: the only one a full read leaves.
pub fn check_done(position: &Position) -> Result<()> {
    match position.as_value()["done"].as_bool() {
        Some(true) => Ok(()),
        _ => Err(Error::new(Kind::Lost, "the position is none that a full read of PostgreSQL leaves")
            .hint("Set `resume_within = 0s` for one run, which starts the load from the beginning, or give the stream another name.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_done_read_is_known_again() {
        let moment = Moment { snapshot: "8:8:".to_owned(), lsn: "0/1".to_owned(), at: Timestamp::UNIX_EPOCH };
        assert!(check_done(&moment.position()).is_ok());
        assert_eq!(check_done(&Position::new(json!({"lsn": "0/1"}))).unwrap_err().kind(), Kind::Lost);
    }
}
