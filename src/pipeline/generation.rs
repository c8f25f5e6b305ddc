//! The position of a stream in full mode: which generation is being loaded, or was loaded last.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::session::Session;
use crate::error::{Error, Result};
use crate::record::{Checkpoint, Commit, Position, Range};
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
            Error::conflict("the stream was read in another mode before").hint(
                "Run it once with `--full-refresh`, which begins anew, or give the full load a stream of its own: \
                 `[stream NAME]` with `mode = full`.",
            )
        })
    }

    /// The load that an entry is in the middle of, whatever the stream's mode.
    pub fn unfinished(commit: &Commit) -> Option<Self> {
        let generation: Self = serde_json::from_value(commit.position.as_ref()?.as_value().clone()).ok()?;
        Some(generation).filter(|generation| !generation.published)
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
        // What this very run has been at work on is no old load.
        let is_ours = session.commits.load(Ordering::Relaxed) > 0;
        (!is_ours && self.is_older_than(session.resume_within)).then_some("too long ago to be continued")
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

/// What a generation's first entry keeps besides its position, as the entry's state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Frozen {
    /// What the chunks are; empty where all is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ranges: Vec<Range>,
    /// Where the stream goes on behind the load: position and state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handover: Option<(Position, Value)>,
}

impl Frozen {
    pub fn new(ranges: Vec<Range>, handover: Option<Checkpoint>) -> Self {
        Self { ranges, handover: handover.map(|checkpoint| (checkpoint.position, checkpoint.state)) }
    }

    /// For the entry; null where there is nothing to keep.
    pub fn state(&self) -> Result<Value> {
        match *self == Self::default() {
            true => Ok(Value::Null),
            false => serde_json::to_value(self).map_err(|e| Error::bug(e.to_string())),
        }
    }

    /// What [`Frozen::state`] gave, of any entry of the generation.
    pub fn of(state: &Value) -> Result<Self> {
        if state.is_null() { Ok(Self::default()) } else { serde_json::from_value(state.clone()).map_err(|_| torn()) }
    }

    /// One for each chunk, `None` where all is one.
    pub fn ranges(&self, generation: &Generation) -> Result<Vec<Option<Range>>> {
        match self.ranges.len() == generation.chunk_count {
            true => Ok(self.ranges.iter().cloned().map(Some).collect()),
            false if self.ranges.is_empty() && generation.chunk_count == 1 => Ok(vec![None]),
            false => Err(torn()),
        }
    }

    pub fn handover(&self) -> Option<Checkpoint> {
        let (position, state) = self.handover.clone()?;
        Some(Checkpoint { position, state })
    }
}

fn torn() -> Error {
    Error::new(crate::error::Kind::Lost, "the unfinished load does not say which chunks it has")
}

/// The position of a full load, as the job log has it, in words for people; `None` if it is of another kind.
pub fn full_load_in_words(position: &str) -> Option<String> {
    serde_json::from_str::<Generation>(position).ok()?.in_words()
}

/// The full load that a position says is under way, by its name.
pub fn load_under_way(position: &str) -> Option<String> {
    let generation: Generation = serde_json::from_str(position).ok()?;
    (!generation.published).then_some(generation.generation)
}

/// The time in [`full_load_in_words`].
pub fn moment(position: &str) -> Option<String> {
    serde_json::from_str::<Generation>(position).ok()?.moment()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        assert_eq!(Frozen::of(&Value::Null).unwrap().ranges(&generation).unwrap(), [None]);
        assert!(!generation.is_of_many_moments());
    }

    #[test]
    fn names_of_chunks_sort_as_chunks_do() {
        let generation = generation(11);
        let names = generation.chunks();
        assert_eq!((names[0].as_str(), names[10].as_str()), ("00", "10"));
        assert!(names.is_sorted());
        // Their number in the position and their ranges in the state must agree.
        let thawed = |state: &Value| Frozen::of(state).unwrap().ranges(&generation);
        assert!(thawed(&Value::Null).is_err());
        assert!(thawed(&json!({ "ranges": [1, 2] })).is_err());
        let ranges: Vec<_> = (0..11).map(|n| Range::new(json!(n))).collect();
        let handover = Checkpoint { position: Position::new(json!("mark")), state: json!("seen") };
        let state = Frozen::new(ranges, Some(handover.clone())).state().unwrap();
        assert_eq!(thawed(&state).unwrap()[3], Some(Range::new(json!(3))));
        assert_eq!(Frozen::of(&state).unwrap().handover(), Some(handover));
        assert_eq!(Frozen::default().state().unwrap(), Value::Null);
    }
}
