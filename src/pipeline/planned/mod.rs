//! A plan: what a run would do, cut into parts that processes on several machines do, each by itself.
//!
//! Machines share nothing but the job log and the destination. A part of a full load is a chunk of a generation that the
//! plan has named; whichever part comes first begins it, whichever comes last publishes it. Both is done under the
//! stream's own lease, held for a moment; a chunk is read under a lease of its own.

mod begin;
mod look;
mod main_log;
mod part;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::look::{plan, plan_stream};
pub use self::part::{run_part, run_parts};
use super::session::Session;
use crate::error::{Error, Result};
use crate::record::{Mode, Range};
use crate::source::Consistency;

/// What `tidemark plan --json` prints. Members are only ever added.
///
/// Holds no secrets, but values of keys, in ranges and statements.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// The version of the program that made it.
    pub tidemark: String,
    pub pipeline: String,
    pub id: String,
    /// RFC 3339, UTC.
    pub made_at: String,
    pub streams: Vec<PlannedStream>,
    pub parts: Vec<PlannedPart>,
}

/// What is common to the parts of a stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlannedStream {
    pub stream: String,
    pub mode: Mode,
    /// In words.
    pub what: String,
    /// What it is a plan for: another definition's parts would be rows of another table.
    pub definition: String,
    pub identity: Value,
    /// Where the stream stands, as JSON text.
    #[serde(default)]
    pub high_water_mark: Option<String>,
    /// The full load that the parts belong to, named before anything is read.
    #[serde(default)]
    pub generation: Option<String>,
    #[serde(default)]
    pub consistency: Option<Consistency>,
    /// How many chunks that load has, those included that are there already.
    #[serde(default)]
    pub chunks: usize,
    /// An earlier run, or parts of an earlier plan, began it.
    #[serde(default)]
    pub is_begun: bool,
    /// It is loaded anew, whatever was read before, unless a load of this name or a later one has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anew: Option<String>,
    /// By the source's statistics: what is left to read.
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
}

/// What one process does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlannedPart {
    /// Its number in the plan, from 0.
    pub part: usize,
    pub stream: String,
    pub mode: Mode,
    #[serde(default)]
    pub generation: Option<String>,
    /// The chunk of the generation; absent where the part is a whole run of the stream.
    #[serde(default)]
    pub chunk: Option<String>,
    /// What the chunk is; absent where it is all.
    #[serde(default)]
    pub range: Option<Range>,
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
    /// The statements that read it.
    #[serde(default)]
    pub sql: Vec<String>,
}

impl Planned {
    /// Reads what `tidemark plan --json` has printed. `file` is for messages.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let planned: Self = serde_json::from_str(text).map_err(|error| {
            // Not serde's words: they may quote what stands there.
            Error::config(format!("{file} is no plan (line {}, column {})", error.line(), error.column()))
                .hint("Make one with `tidemark plan --json`.")
        })?;
        let is_ordered = planned.parts.iter().enumerate().all(|(number, part)| part.part == number);
        let names: BTreeSet<_> = planned.streams.iter().map(|stream| stream.stream.as_str()).collect();
        if !is_ordered || !planned.parts.iter().all(|part| names.contains(part.stream.as_str())) {
            return Err(Error::config(format!("{file} is no whole plan")).hint("Make one with `tidemark plan --json`."));
        }
        Ok(planned)
    }

    /// A part by its number.
    pub fn part(&self, number: usize) -> Result<(&PlannedStream, &PlannedPart)> {
        let part = self.parts.get(number);
        let found = part.and_then(|part| Some((self.stream(&part.stream)?, part)));
        found.ok_or_else(|| {
            Error::config(match self.parts.len() {
                0 => "the plan has no parts".to_owned(),
                count => format!("the plan has no part {number}, only 0 to {}", count - 1),
            })
        })
    }

    fn stream(&self, name: &str) -> Option<&PlannedStream> {
        self.streams.iter().find(|stream| stream.stream == name)
    }

    /// The ranges of a stream's chunks, for whoever begins its load.
    fn ranges(&self, stream: &str) -> Vec<Range> {
        self.parts.iter().filter(|part| part.stream == stream).filter_map(|part| part.range.clone()).collect()
    }

    fn refuse_stranger(&self, pipeline: &str) -> Result<()> {
        if self.pipeline == pipeline {
            return Ok(());
        }
        Err(Error::conflict(format!("the plan is one of pipeline {}, not of {pipeline}", self.pipeline))
            .hint("Use the pipeline.conf that it was made with."))
    }

    /// Refuses a plan whose parts would not be parts of what the session reads, or that is too old to be acted on.
    fn refuse_unfit(&self, stream: &PlannedStream, session: &Session) -> Result<()> {
        let name = &stream.stream;
        for key in ["pipeline", "source", "table"] {
            let (theirs, ours) = (&stream.identity[key], &session.opening.identity[key]);
            if theirs != ours {
                let what = format!("the plan's stream {name} is another one: its {key} is {theirs}, ours is {ours}");
                return Err(new_plan(what));
            }
        }
        if stream.definition != session.definition {
            return Err(new_plan(format!(
                "the plan was made for another definition of {name}: its keys in pipeline.conf, or their defaults, have \
                 changed"
            )));
        }
        let made_at = self.made_at.parse::<Timestamp>();
        if made_at.map_or(true, |at| Timestamp::now().duration_since(at).unsigned_abs() > session.resume_within) {
            let made_at = &self.made_at;
            return Err(new_plan(format!("the plan of {made_at} is older than `resume_within` of {name} allows")));
        }
        Ok(())
    }
}

/// What only another plan mends.
fn new_plan(message: impl Into<String>) -> Error {
    Error::conflict(message).hint("Make a new plan with `tidemark plan --json`.")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::Kind;

    fn document() -> Value {
        json!({
            "tidemark": "0", "pipeline": "main", "id": "p1", "made_at": "2026-01-02T03:04:05Z",
            "streams": [{ "stream": "a", "mode": "full", "what": "", "definition": "", "identity": {},
                "rows": null, "bytes": null }],
            "parts": [
                { "part": 0, "stream": "a", "mode": "full", "rows": 1, "bytes": null, "range": [1] },
                { "part": 1, "stream": "a", "mode": "full", "rows": 1, "bytes": null, "range": [2] },
            ],
        })
    }

    #[test]
    fn what_is_no_plan_is_refused_without_a_word_of_it() {
        assert_eq!(Planned::parse(&document().to_string(), "x").unwrap().ranges("a").len(), 2);
        let mut gap = document();
        gap["parts"][1]["part"] = json!(2);
        let mut strange = document();
        strange["parts"][1]["stream"] = json!("secret");
        for text in ["", "[]", "{\"parts\":\"secret\"}", &gap.to_string(), &strange.to_string()] {
            let error = Planned::parse(text, "plan.json").unwrap_err();
            assert_eq!(error.kind(), Kind::Config);
            assert!(error.message().starts_with("plan.json is no ") && !error.message().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_part_has_a_number() {
        let planned = Planned::parse(&document().to_string(), "x").unwrap();
        assert_eq!(planned.part(1).unwrap().1.part, 1);
        assert!(planned.part(2).unwrap_err().message().contains("only 0 to 1"));
        assert!(planned.refuse_stranger("main").is_ok());
        assert_eq!(planned.refuse_stranger("other").unwrap_err().kind(), Kind::Conflict);
    }
}
