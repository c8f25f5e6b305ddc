//! A place in a table read whole: there is only its end.

use serde_json::json;

use crate::error::{Error, Kind, Result};
use crate::record::Position;

/// Everything as of the snapshot's moment has been read: so many rows.
pub fn end(at: jiff::Timestamp, rows: u64) -> Position {
    Position::new(json!({ "snapshot": at.to_string(), "rows": rows }))
}

/// Refuses what [`end`] has not made.
pub fn check(position: &Position) -> Result<()> {
    match position.as_value().get("snapshot").is_some_and(|at| at.is_string()) {
        true => Ok(()),
        false => Err(Error::new(Kind::Lost, "the unfinished load has a position that is not of a SQLite table read whole")
            .hint("Set `resume_within = 0s` for one run, which starts the load from the beginning, or give the stream another name.")),
    }
}
