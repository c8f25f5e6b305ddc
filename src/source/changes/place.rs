//! The position of a stream of changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::record::Position;

/// Where a stream of changes has come to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Where the log goes on, in the source's own form.
    pub log: Value,
    /// The tables whose snapshot is not at its end, with the key of the last row that was read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub snapshots: BTreeMap<String, Snapshot>,
    /// Who asked last for something to be read from its beginning again: it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<String>,
}

/// How far a snapshot has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The key of the last row; none where it has not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<String>>,
    /// Earlier rows of the table are to be forgotten, which its first row says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anew: bool,
}

impl Place {
    pub fn of(position: &Position) -> Result<Self> {
        serde_json::from_value(position.as_value().clone()).map_err(|_| {
            Error::conflict("the stream was read in another mode before")
                .hint("Give the stream of changes a section of its own: `[stream NAME]` with `mode = cdc`.")
        })
    }

    pub fn position(&self) -> Result<Position> {
        serde_json::to_value(self).map(Position::new).map_err(|e| Error::bug(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn comes_back_from_its_position() {
        let snapshots = [("a".to_owned(), Snapshot { after: Some(vec!["7".to_owned()]), anew: false })];
        let place = Place { log: json!({ "file": "f", "pos": 4 }), snapshots: snapshots.into(), again: None };
        let position = place.position().unwrap();
        assert_eq!(position.to_string(), r#"{"log":{"file":"f","pos":4},"snapshots":{"a":{"after":["7"]}}}"#);
        assert_eq!(Place::of(&position).unwrap(), place);
        assert!(Place::of(&Position::new(json!({ "cursor": "id", "mark": ["7"] }))).is_err());
    }
}
