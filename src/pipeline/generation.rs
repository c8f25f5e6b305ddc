//! The position of a stream in full mode: which generation is being loaded, or was loaded last.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::session::Session;
use crate::error::{Error, Result};
use crate::record::{Commit, Position, Range};
use crate::source::Consistency;

/// One full load of a stream. Holds no values of cells, as the job log has it too: the ranges are in the state of the
/// generation's first entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generation {
    pub generation: String,
    /// What it is a load of; empty in positions from before this was kept, which fits nothing.
    #[serde(default)]
    definition: String,
    /// RFC 3339.
    started_at: String,
    /// RFC 3339: since when its rows were read, from the publication on. What is read again after a failure is read later
    /// than the load was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<String>,
    /// RFC 3339: until when, where not all is of one moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_until: Option<String>,
    /// What is of one moment; `None` in positions from before this was kept, whose loads were of one chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consistency: Option<Consistency>,
    pub published: bool,
    /// It cannot come to its end: some process found that the source no longer has what it was begun with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given_up: bool,
    /// How many chunks it has. They are frozen with the first entry.
    #[serde(default = "one")]
    chunk_count: usize,
}

fn one() -> usize {
    1
}

impl Generation {
    pub fn new(definition: &str, consistency: Consistency, ranges: &[Range]) -> Self {
        Self::named(Self::new_name(), definition, consistency, ranges)
    }

    /// Begins with a letter, so that no listing of entries meets it; grows with time.
    pub fn new_name() -> String {
        format!("g{}", Uuid::now_v7().simple())
    }

    /// One whose name was told beforehand.
    pub fn named(generation: String, definition: &str, consistency: Consistency, ranges: &[Range]) -> Self {
        Self {
            generation,
            definition: definition.to_owned(),
            started_at: Timestamp::now().to_string(),
            read_at: None,
            read_until: None,
            consistency: Some(consistency),
            published: false,
            given_up: false,
            chunk_count: ranges.len().max(1),
        }
    }

    pub fn of(commit: &Commit) -> Result<Option<Self>> {
        let Some(position) = &commit.position else { return Ok(None) };
        let generation = serde_json::from_value(position.as_value().clone());
        generation.map(Some).map_err(|_| {
            Error::conflict("the stream was read in another mode before")
                .hint("Give the full load a stream of its own: `[stream NAME]` with `mode = full`.")
        })
    }

    pub fn position(&self) -> Result<Position> {
        let value = serde_json::to_value(self).map_err(|e| Error::bug(e.to_string()))?;
        Ok(Position::new(value))
    }

    /// The names of its chunks, in their order.
    pub fn chunks(&self) -> Vec<String> {
        let width = (self.chunk_count - 1).to_string().len();
        (0..self.chunk_count).map(|number| format!("{number:0width$}")).collect()
    }

    /// Why it is not to be continued; `None` where it is.
    pub fn unfit(&self, session: &Session) -> Option<&'static str> {
        // Its rows and ours together would be no table that anybody asked for.
        if self.definition != session.definition {
            return Some(
                "under another definition: its stream's keys in pipeline.conf, or their defaults, have changed",
            );
        }
        if self.given_up {
            return Some("and that cannot go on");
        }
        self.is_older_than(session.resume_within).then_some("too long ago to be continued")
    }

    /// What it is a load of.
    pub fn definition(&self) -> &str {
        &self.definition
    }

    /// Whether another process can go on with it.
    pub fn outlives_its_process(&self) -> bool {
        self.consistency.is_none_or(Consistency::outlives_its_process)
    }

    /// Whether its chunks were read one after the other, as the table was at each time.
    pub fn is_of_many_moments(&self) -> bool {
        self.consistency == Some(Consistency::Chunk)
    }

    /// When its rows were read; as long as that is not settled, when it was begun.
    pub fn moment(&self) -> Option<String> {
        shown(self.read_at.as_ref().unwrap_or(&self.started_at))
    }

    fn in_words(&self) -> Option<String> {
        let from = self.moment()?;
        let until = self.read_until.as_deref().and_then(shown).filter(|until| *until != from);
        Some(match until {
            _ if !self.published => format!("loading since {from}"),
            Some(until) => format!("all, read from {from} to {until}"),
            None => format!("all, as of {from}"),
        })
    }

    fn is_older_than(&self, limit: Duration) -> bool {
        let started = self.started_at.parse::<Timestamp>();
        started.map_or(true, |at| Timestamp::now().duration_since(at).unsigned_abs() > limit)
    }
}

fn shown(time: &str) -> Option<String> {
    let at: Timestamp = time.parse().ok()?;
    Some(at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// The state of a generation's first entry.
pub fn freeze(ranges: &[Range]) -> Value {
    if ranges.is_empty() { Value::Null } else { json!({ "ranges": ranges }) }
}

/// What [`freeze`] has kept, of the generation's newest entry: one for each chunk, `None` where all is one.
pub fn thaw(generation: &Generation, state: &Value) -> Result<Vec<Option<Range>>> {
    let ranges: Vec<Range> = match state.get("ranges") {
        Some(ranges) => serde_json::from_value(ranges.clone()).map_err(|_| torn())?,
        None if generation.chunk_count == 1 => return Ok(vec![None]),
        None => return Err(torn()),
    };
    match ranges.len() == generation.chunk_count {
        true => Ok(ranges.into_iter().map(Some).collect()),
        false => Err(torn()),
    }
}

fn torn() -> Error {
    Error::new(crate::error::Kind::Lost, "the unfinished load does not say which chunks it has")
}

/// The position of a full load, as the job log has it, in words for people; `None` if it is of another kind.
pub fn full_load_in_words(position: &str) -> Option<String> {
    serde_json::from_str::<Generation>(position).ok()?.in_words()
}

/// The time in [`full_load_in_words`].
pub fn moment(position: &str) -> Option<String> {
    serde_json::from_str::<Generation>(position).ok()?.moment()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(ranges: usize) -> Generation {
        let ranges: Vec<_> = (0..ranges).map(|n| Range::new(json!(n))).collect();
        let new = Generation::new("", Consistency::Chunk, &ranges);
        Generation { started_at: "2026-01-02T03:04:05.678Z".to_owned(), ..new }
    }

    #[test]
    fn a_position_has_words() {
        let mut generation = generation(1);
        let words = |generation: &Generation| full_load_in_words(&generation.position().unwrap().to_string());
        assert_eq!(words(&generation).unwrap(), "loading since 2026-01-02 03:04:05 UTC");
        generation.published = true;
        assert_eq!(words(&generation).unwrap(), "all, as of 2026-01-02 03:04:05 UTC");
        generation.read_at = Some("2026-01-02T04:00:00Z".to_owned());
        generation.read_until = Some("2026-01-02T04:00:00.9Z".to_owned());
        assert_eq!(words(&generation).unwrap(), "all, as of 2026-01-02 04:00:00 UTC");
        generation.read_until = Some("2026-01-02T05:00:00Z".to_owned());
        let wanted = "all, read from 2026-01-02 04:00:00 UTC to 2026-01-02 05:00:00 UTC";
        assert_eq!(words(&generation).unwrap(), wanted);
        assert_eq!(full_load_in_words("{\"id\":1}"), None);
    }

    #[test]
    fn positions_of_before_there_were_ranges_are_one_chunk() {
        let old = r#"{"generation":"g1","definition":"d","started_at":"2026-01-02T03:04:05Z","published":false,
            "chunks":{"0":null}}"#;
        let generation: Generation = serde_json::from_str(old).unwrap();
        assert_eq!(generation.chunks(), ["0"]);
        assert_eq!(thaw(&generation, &Value::Null).unwrap(), [None]);
        assert!(!generation.is_of_many_moments());
    }

    #[test]
    fn names_of_chunks_sort_as_chunks_do() {
        let generation = generation(11);
        let names = generation.chunks();
        assert_eq!((names[0].as_str(), names[10].as_str()), ("00", "10"));
        assert!(names.is_sorted());
        // Their number in the position and their ranges in the state must agree.
        assert!(thaw(&generation, &Value::Null).is_err());
        assert!(thaw(&generation, &json!({ "ranges": [1, 2] })).is_err());
        let ranges: Vec<_> = (0..11).map(|n| Range::new(json!(n))).collect();
        assert_eq!(thaw(&generation, &freeze(&ranges)).unwrap()[3], Some(Range::new(json!(3))));
    }
}
