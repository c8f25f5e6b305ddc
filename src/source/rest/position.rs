//! Where a stream of pages has come to.

use serde::{Deserialize, Serialize};

use super::paging::Place;
use crate::error::{Error, Kind, Result};
use crate::record::Position;

/// Where reading goes on. It holds no secret, and is shown to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    /// The next page; none behind the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Place>,
    /// How many pages and records have been read.
    pub pages: u64,
    pub records: u64,
    /// When it was begun.
    pub begun: String,
}

impl Reached {
    pub fn beginning(first: Place) -> Self {
        Self { next: Some(first), pages: 0, records: 0, begun: jiff::Timestamp::now().to_string() }
    }

    pub fn of(position: &Position) -> Result<Self> {
        serde_json::from_value(position.as_value().clone()).map_err(|_| {
            Error::new(Kind::Lost, "the unfinished load has a position that is not of pages")
                .hint("Set `resume_within = 0s` for one run, which starts the load from the beginning, or give the stream another name.")
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
        let reached = Reached { next: Some(Place::Page(17)), pages: 16, records: 1600, begun: "2026-01-01T00:00:00Z".to_owned() };
        let position = reached.position().unwrap();
        assert_eq!(position.as_value()["next"], json!({ "page": 17 }));
        assert_eq!(Reached::of(&position).unwrap(), reached);
        assert_eq!(Reached::of(&Position::new(json!({ "mark": 1 }))).unwrap_err().kind(), Kind::Lost);
    }
}
