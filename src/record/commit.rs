use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Checkpoint, Failures, Mode, Position, Range, SetAside};

/// The member of a table's definition that says that its rows are set aside.
pub(super) const QUARANTINE: &str = "quarantine";

/// One entry of a stream's commit log: rows and position made visible together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// The entry's number in the stream's log, without gaps, from 0.
    pub seq: u64,
    /// New for every opening of a writer: tells two writers of the same stream apart.
    pub writer: String,
    /// The run that wrote it, as the job log names it.
    pub run: String,
    pub mode: Mode,
    /// Where the source is to be opened next; `None` at its beginning.
    pub position: Option<Position>,
    /// The highest `_seq` handed out so far in this stream.
    pub last_seq: i64,
    pub parts: Vec<PartInfo>,
    /// The schema of every table that has a part here, by its id.
    pub schemas: BTreeMap<String, Value>,
    /// The stream was read to its end: set on the last entry of a chunk.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub complete: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publishes: Option<Publication>,
    /// Windows of a backfill, each of which has one of the last numbers up to `last_seq` for its rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserves: Option<Vec<Range>>,
    /// What the stream's full loads have made so far; carried from entry to entry.
    #[serde(default, skip_serializing_if = "Generations::is_empty")]
    pub generations: Generations,
    /// The numbers of the newest fences, newest first: nothing numbered so was ever committed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fences: Vec<u64>,
    /// Whatever a later run needs to be right besides the position.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub state: Value,
    /// What of the state came to nothing, as the source reads it: for those who cannot ask the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<Failures>,
    /// The stream's identity, on entry 0 only: source fingerprint and pipeline.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub identity: Value,
    /// Host, process and job log of the writer: for people, and for newcomers with another job log.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub holder: Value,
    /// When it was written: RFC 3339, UTC.
    pub at: String,
}

impl Commit {
    /// Whether it only keeps earlier writers out.
    pub fn is_fence(&self) -> bool {
        self.fences.first() == Some(&self.seq)
    }

    /// Where the source is to be opened next; `None` at its beginning.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let position = self.position.clone()?;
        Some(Checkpoint { position, state: self.state.clone() })
    }

    /// Who wrote it, for people: `process 12 on host a`.
    pub fn holder_name(&self) -> String {
        let host = self.holder["host"].as_str().unwrap_or("an unknown host");
        format!("process {} on {host}", self.holder["pid"])
    }

    /// What of the stream is open as of this entry: of the load that is live, and of what grew since.
    pub fn open_failures(&self) -> Failures {
        let of_load = self.generations.live().and_then(|load| load.failures.clone());
        let mut open = of_load.unwrap_or_default();
        open.add(self.failures.clone().unwrap_or_default());
        open
    }

    /// The rows that the entry's run set aside with it: those of its own parts, or all of the load that it makes live.
    pub fn set_aside(&self) -> SetAside {
        match &self.publishes {
            // What was set aside before was the run's that did so.
            Some(_) if self.is_republication() => SetAside::new(),
            Some(publication) => publication.set_aside.clone(),
            None => self.parts_aside(),
        }
    }

    /// Whether it publishes a load that was live already, with more in it.
    pub fn is_republication(&self) -> bool {
        self.publishes.as_ref().is_some_and(|publication| publication.seq < self.seq)
    }

    /// The rows of its own parts that are set aside.
    pub fn parts_aside(&self) -> SetAside {
        let is_aside = |part: &&PartInfo| self.schemas.get(&part.schema).is_some_and(|of| of[QUARANTINE] == true);
        let mut aside = SetAside::new();
        for part in self.parts.iter().filter(is_aside) {
            *aside.entry(part.table.clone()).or_default() += part.rows;
        }
        aside
    }

    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

/// A part: one data file of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartInfo {
    /// Relative to the destination's prefix.
    pub path: String,
    pub table: String,
    /// The id in the commit's `schemas`.
    pub schema: String,
    pub rows: u64,
    pub bytes: u64,
    /// `crc32:` and eight hexadecimal digits, over the whole file.
    pub checksum: String,
}

/// Makes one generation of a full load the live one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    pub generation: String,
    /// The number of the entry that publishes it, which the writer gives: what a growing stream wrote after it belongs to
    /// it.
    #[serde(default)]
    pub seq: u64,
    /// The last entry of each chunk's log.
    pub chunks: BTreeMap<String, u64>,
    /// Totals over all chunks.
    pub rows: u64,
    pub bytes: u64,
    pub files: u64,
    /// What of the chunks came to nothing and is open; kept of the live load only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<Failures>,
    /// How many of the rows are set aside, by table.
    #[serde(default, skip_serializing_if = "SetAside::is_empty")]
    pub set_aside: SetAside,
}

/// The generations of a stream that have files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generations {
    /// Published and kept, newest first: the first one is live.
    pub kept: Vec<Publication>,
    /// Published earlier or given up: carried from entry to entry until their files are known to be deleted, which
    /// openings and publications try.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<String>,
    /// What a growing stream wrote before this entry belongs to no generation that is kept; carried like `retired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grown_before: Option<u64>,
}

impl Generations {
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.retired.is_empty() && self.grown_before.is_none()
    }

    pub fn live(&self) -> Option<&Publication> {
        self.kept.first()
    }
}

/// What a commit says besides its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Seal {
    pub position: Option<Position>,
    pub last_seq: i64,
    pub complete: bool,
    pub publishes: Option<Publication>,
    /// Generations that are given up.
    pub retires: Vec<String>,
    pub reserves: Option<Vec<Range>>,
    pub state: Value,
    /// What of the state came to nothing.
    pub failures: Option<Failures>,
}

impl Seal {
    pub fn at(position: Option<Position>) -> Self {
        Self {
            position,
            last_seq: 0,
            complete: false,
            publishes: None,
            retires: Vec::new(),
            reserves: None,
            state: Value::Null,
            failures: None,
        }
    }
}
