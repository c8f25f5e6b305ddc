//! Into what pieces a full load is cut, and what of it is of one moment.

use std::any::Any;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Key, Section, Value};
use crate::error::Result;
use crate::record::{Checkpoint, Range};

pub const KEYS: &[Key] = &[
    Key::new(
        "chunk_rows",
        Value::Integer(1, i64::MAX),
        "About how many rows of a table a chunk of a full load has. Where absent, statistics tell how many take some \
         256 MiB at the source, at most 1,000,000. A table of not much more is read whole.",
    ),
    Key::new(
        "chunk_by",
        Value::List,
        "The columns whose ranges are the chunks of a full load, in place of the primary key. They need an index that \
         begins with them, or each chunk reads the whole table.",
    )
    .example("created_at, id"),
    Key::new(
        "consistency",
        Value::OneOf(&["chunk", "table", "run"]),
        "What of a full load is of one moment: each chunk, which holds up the source least; the `table`; or all tables of \
         the `run`. Other than chunks, a load that does not come to its end begins anew.",
    )
    .default("chunk"),
    Key::new(
        "max_query_time",
        Value::Duration,
        "How long one statement may read. After that another one goes on behind the last key (of an incremental run, behind \
         the last cursor and key), unless `consistency` asks for one moment.",
    )
    .default("1h"),
];

/// The pieces of a full load.
pub struct Chunks {
    /// Together they hold every row once. Empty: all is read at once.
    pub ranges: Vec<Range>,
    pub consistency: Consistency,
    /// What the chunks have in common, a snapshot say: kept until the load ends.
    pub hold: Option<Box<dyn Any + Send + Sync>>,
    /// Of an incremental stream, once it is known: where it goes on behind the load. No chunk has rows of behind it.
    pub handover: Option<Checkpoint>,
}

impl Chunks {
    /// All in one piece.
    pub fn whole(consistency: Consistency) -> Self {
        Self { ranges: Vec::new(), consistency, hold: None, handover: None }
    }

    /// Whether an incremental stream begins with them: less is not worth a load of its own.
    pub fn are_several(&self) -> bool {
        self.ranges.len() > 1
    }
}

/// What of a full load is of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// What one statement reads: each chunk, or less of it.
    Chunk,
    /// The table, because one statement has read it.
    Statement,
    /// The table, whose chunks shared a snapshot.
    Table,
    /// All tables of the run.
    Run,
}

impl Consistency {
    /// Whether a load can go on after its process has ended: a snapshot ends with it.
    pub fn outlives_its_process(self) -> bool {
        matches!(self, Consistency::Chunk | Consistency::Statement)
    }
}

/// How a full load is to be cut into chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Rows of a chunk; `None` where statistics are to tell.
    pub rows: Option<u64>,
    /// The columns whose ranges the chunks are; the primary key's where empty.
    pub by: Vec<String>,
    pub consistency: Consistency,
    /// How long one statement may read, where nothing is to be of a longer moment than it.
    pub max_query_time: Duration,
}

impl Cut {
    pub fn of(section: &Section) -> Result<Self> {
        let rows = section.get("chunk_rows").map(|_| section.integer("chunk_rows")).transpose()?;
        Ok(Self {
            rows: rows.and_then(|rows| u64::try_from(rows).ok()),
            by: section.list("chunk_by"),
            consistency: match section.text("consistency")? {
                "table" => Consistency::Table,
                "run" => Consistency::Run,
                _ => Consistency::Chunk,
            },
            max_query_time: section.duration("max_query_time")?,
        })
    }

    /// Rows of a chunk, where a row takes about so many bytes at the source: what takes some minutes to read again.
    pub fn rows_of(&self, row_bytes: Option<u64>) -> u64 {
        let by_bytes = row_bytes.map_or(CHUNK_ROWS, |bytes| CHUNK_BYTES / bytes.max(1));
        self.rows.unwrap_or_else(|| by_bytes.clamp(CHUNK_ROWS_LEAST, CHUNK_ROWS)).max(1)
    }

    /// How long a statement may read; `None` where it must end with the table.
    pub fn time_limit(&self) -> Option<Duration> {
        self.consistency.outlives_its_process().then_some(self.max_query_time)
    }
}

/// Most rows of a chunk, where no key says how many,
const CHUNK_ROWS: u64 = 1_000_000;
/// and about how many bytes it then has at the source.
const CHUNK_BYTES: u64 = 256 << 20;
/// A chunk costs some requests, however few rows it has.
const CHUNK_ROWS_LEAST: u64 = 1_000;
