//! Where a stream of pages has come to.

use serde::{Deserialize, Serialize};

use super::children::Parent;
use super::incremental::{Incremental, Window};
use super::paging::Place;
use super::report::Ordered;
use super::target::Target;
use crate::error::{Error, Kind, Result};
use crate::record::{Mode, Position};

/// Where reading goes on. It holds no secret, and is shown to people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    /// Of incremental reading: what the marks are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Of a stream that is read for each record of another: the one that is being read. Those before it are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// Everything up to here was delivered; of the parent, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// What is being read of the cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// The next page; none behind the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Place>,
    /// The digest of the keys that it is a page by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// What was ordered for it, and is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Ordered>,
    /// How many pages and records have been read since it was begun.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pages: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub records: u64,
    /// How many pages of the chain were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// Of a load: when it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Reached {
    /// The beginning of a load.
    pub fn load(first: Place) -> Self {
        Self { next: Some(first), begun: Some(jiff::Timestamp::now().to_string()), ..Self::default() }
    }

    /// The beginning of a stream that follows a cursor.
    pub fn following(settings: &Incremental) -> Self {
        Self { cursor: Some(settings.cursor.name().to_owned()), ..Self::default() }
    }

    /// Reads a position of a stream that is read in this way.
    pub fn of(position: &Position, settings: Option<&Incremental>) -> Result<Self> {
        let Ok(reached) = serde_json::from_value::<Self>(position.as_value().clone()) else {
            return Err(foreign(settings));
        };
        match (settings, &reached.cursor) {
            (None, None) => Ok(reached),
            (Some(settings), Some(cursor)) if cursor == settings.cursor.name() => Ok(reached),
            (Some(settings), Some(cursor)) => {
                let now = &settings.cursor;
                Err(Error::conflict(format!(
                    "the stream's cursor was `{cursor}` and is `{now}` now: its mark tells nothing"
                ))
                .hint("Run it once with `--full-refresh`, or give it another name, or set `cursor` as it was."))
            }
            _ => Err(foreign(settings)),
        }
    }

    /// Whether it lies within a chain of pages that keys of this digest began.
    pub fn is_within(&self, digest: &str) -> bool {
        self.next.is_some() && self.of.as_deref() == Some(digest)
    }

    /// Leaves its chain of pages where its mark stands; gives the page that was next, where pages of it were read.
    pub fn leave(&mut self) -> Option<Target> {
        let begun =
            Self { cursor: self.cursor.take(), parent: self.parent.take(), mark: self.mark.take(), ..Self::default() };
        let left = std::mem::replace(self, begun);
        let place = left.next.filter(|_| left.pages > 0)?;
        Some(Target { parent: self.parent.clone(), window: left.window, place })
    }

    pub fn position(&self) -> Result<Position> {
        serde_json::to_value(self).map(Position::new).map_err(|e| Error::bug(e.to_string()))
    }
}

fn foreign(settings: Option<&Incremental>) -> Error {
    match settings {
        Some(_) => Error::conflict(format!("the stream was read in another mode than `{}` before", Mode::Incremental))
            .hint("Run it once with `--full-refresh`, or give the incremental stream a name of its own."),
        None => Error::new(Kind::Lost, "the unfinished load has a position that is not of pages")
            .hint("Set `resume_within = 0s` for one run, which starts the load from the beginning, or give the stream another name."),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn comes_back_from_its_position() {
        let begun = Some("2026-01-01T00:00:00Z".to_owned());
        let reached = Reached { next: Some(Place::Page(17)), pages: 16, records: 1600, begun, ..Reached::default() };
        let position = reached.position().unwrap();
        assert_eq!(position.as_value()["next"], json!({ "page": 17 }));
        assert_eq!(Reached::of(&position, None).unwrap(), reached);
        let of = "0123".to_owned();
        let report = Some(Ordered { id: "17".to_owned(), of, at: "2026-01-01T00:00:00Z".to_owned() });
        let waiting = Reached { report, ..reached };
        assert_eq!(Reached::of(&waiting.position().unwrap(), None).unwrap(), waiting);
        assert_eq!(Reached::of(&Position::new(json!({ "read_at": 1 })), None).unwrap_err().kind(), Kind::Lost);
    }

    #[test]
    fn a_chain_is_left_where_its_mark_stands() {
        let of = |text: &str| Some(text.to_owned());
        let window = Some(Window { from: of("3"), until: of("5") });
        let stands = Reached { cursor: of("at"), mark: of("3"), ..Reached::default() };
        let begun = Reached { window: window.clone(), next: Some(Place::Page(1)), of: of("d"), ..stands.clone() };
        assert!(begun.is_within("d") && !begun.is_within("e") && !stands.is_within("d"));
        let read = Reached { next: Some(Place::Page(4)), pages: 3, records: 30, ..begun.clone() };
        for (mut reached, left) in
            [(begun, None), (read, Some(Target { window, ..Target::at(Place::Page(4)) })), (stands.clone(), None)]
        {
            assert_eq!(reached.leave(), left);
            assert_eq!(reached, stands);
        }
    }
}
