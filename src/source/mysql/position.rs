//! A place in a table read whole: there is only its end.

use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::record::Position;

/// Where the server's log stood when a snapshot was taken: the snapshot holds everything before, nothing after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPosition {
    pub file: String,
    pub offset: u64,
    pub gtid: Option<String>,
}

/// Everything as of the snapshot's moment has been read: so many rows. The log's place is known where the server tells
/// it together with the snapshot, as MariaDB does.
pub fn end(at: jiff::Timestamp, rows: u64, log: Option<&LogPosition>) -> Position {
    let at = at.round(jiff::Unit::Second).unwrap_or(at);
    let log = log.map(|log| json!({ "file": log.file, "pos": log.offset, "gtid": log.gtid }));
    Position::new(json!({ "snapshot": at.to_string(), "rows": rows, "log": log }))
}

/// Refuses what [`end`] has not made.
pub fn check(position: &Position) -> Result<()> {
    match position.as_value().get("snapshot").is_some_and(Value::is_string) {
        true => Ok(()),
        false => Err(Error::new(Kind::Lost, "the unfinished load has a position that is not of a MySQL table read whole")
            .hint("Set `resume_within = 0s` for one run, which starts the load from the beginning, or give the stream another name.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_own() {
        let log = LogPosition { file: "binlog.000001".to_owned(), offset: 4, gtid: Some("0-1-18".to_owned()) };
        let end = end(jiff::Timestamp::UNIX_EPOCH, 3, Some(&log));
        assert!(check(&end).is_ok());
        assert_eq!(end.as_value()["log"]["gtid"], "0-1-18");
        assert!(check(&Position::new(json!({ "gtid": "0-1-18" }))).is_err());
    }
}
