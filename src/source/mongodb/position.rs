//! A place in a collection that is read whole: there is only its end.

use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::record::Position;

/// All of it has been read, from this moment on: so many documents.
pub fn end(at: jiff::Timestamp, documents: u64) -> Position {
    Position::new(json!({ "read_at": at.to_string(), "documents": documents }))
}

/// Refuses what [`end`] has not made.
pub fn check(position: &Position) -> Result<()> {
    match position.as_value().get("read_at").is_some_and(Value::is_string) {
        true => Ok(()),
        false => Err(Error::new(Kind::Lost, "the unfinished load has a position that is not of a collection read whole")
            .hint("Set `resume_within = 0s` for one run, which starts the load from the beginning, or give the stream another name.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_its_own() {
        assert!(check(&end(jiff::Timestamp::UNIX_EPOCH, 3)).is_ok());
        assert!(check(&Position::new(json!({ "cursor": "_id" }))).is_err());
    }
}
