//! Where records come from: the two traits, what a pipeline asks of a source, and the registry.
//!
//! A new source is a folder here and a line in [`SOURCES`].

mod cursor;
pub mod feed;
pub mod keyset;
pub mod listing;
#[cfg(feature = "mysql")]
mod mysql;
pub mod pattern;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::listing::Listing;
use crate::config::{Key, Kind, Section, Value as Wants};
use crate::error::{Error, Result};
use crate::record::{Checkpoint, Event, Mode, Position, Range, StreamId, Table};

/// A database, or whatever else holds tables, under one `[source]` section.
///
/// One is made for every run, and what must be the same for the whole run (a snapshot shared by all tables) it holds
/// until it is dropped. Making one connects to nothing.
#[async_trait]
pub trait Source: Send + Sync {
    /// What this source is, in words that stay the same when its address changes: written into entry 0 of every
    /// stream, where another identity under the same name is refused.
    async fn identity(&self) -> Result<Value>;

    /// The streams that `selections` ask for: one per table read by query, one for a whole change log. Patterns are
    /// resolved here. A table that is not there, or not to be read, is refused with an error that names it, and the others
    /// are listed; a pattern that matches nothing is an error.
    async fn streams(&self, selections: &[Selection]) -> Result<Listing>;

    /// How each column of the stream will arrive, and what a user should know before the first run.
    async fn describe(&self, stream: &Stream) -> Result<Description>;

    /// In what pieces a full load of the stream is read. Asked once for each load; what it says is kept with the load, and
    /// comes back in [`Stream::range`], from a later process too.
    async fn chunks(&self, _stream: &Stream) -> Result<Chunks> {
        Ok(Chunks::whole(Consistency::Statement))
    }

    /// Opens `stream` just after a checkpoint, or at its beginning: loses nothing after it, repeats nothing before it.
    /// A position that the source no longer holds is `Kind::Lost`, and so is a range.
    async fn open(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>>;
}

/// The pieces of a full load.
pub struct Chunks {
    /// Together they hold every row once. Empty: all is read at once.
    pub ranges: Vec<Range>,
    pub consistency: Consistency,
    /// What the chunks have in common, a snapshot say: kept until the load ends.
    pub hold: Option<Box<dyn Any + Send + Sync>>,
}

impl Chunks {
    /// All in one piece.
    pub fn whole(consistency: Consistency) -> Self {
        Self { ranges: Vec::new(), consistency, hold: None }
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

/// An open stream.
#[async_trait]
pub trait Reader: Send {
    /// The next event, or `None` at the end. Waits while a live stream is idle. Cancel safe: a dropped call loses
    /// nothing.
    ///
    /// The first event of each table is its announcement ([`Rows::none`](crate::record::Rows::none)), so that an empty
    /// table arrives too. Batches hold some thousand rows, or a few MiB where rows are large. A reader that ends does
    /// so after a checkpoint. An error that is about a table names it: nobody does so later.
    async fn next(&mut self) -> Result<Option<Event>>;

    /// Everything up to `position` is committed; the source may forget it. Only committed positions are ever
    /// acknowledged.
    async fn ack(&mut self, _position: &Position) -> Result<()> {
        Ok(())
    }
}

/// What one `[stream]` section asks of its source.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The name of the section.
    pub name: String,
    pub mode: Mode,
    pub tables: Tables,
    /// The columns to read, in this order; all where `None`.
    pub columns: Option<Vec<String>>,
    pub exclude_columns: Vec<String>,
    /// A condition in the source's own language, without `where`.
    pub filter: Option<String>,
    /// Stands in for the primary key that the source tells of, where not empty.
    pub primary_key: Vec<String>,
    /// How a full load is cut.
    pub cut: Cut,
    /// The name of the table at the destination, in place of its own.
    pub rename: Option<String>,
    /// The source's keys as the stream sees them: its own, then the source's.
    pub section: Section,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tables {
    One(String),
    /// Names, and patterns with `*` and `?`.
    Many(Vec<String>),
    Query(String),
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
    fn of(section: &Section) -> Result<Self> {
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

impl Selection {
    /// Reads the keys of [`STREAM_KEYS`]; `mode` is the command line's, if it names one.
    pub fn of(name: &str, section: &Section, mode: Option<Mode>) -> Result<Self> {
        let tables = match (section.get("table"), section.get("query")) {
            (Some(table), _) => Tables::One(table.to_owned()),
            (None, Some(query)) => Tables::Query(query.to_owned()),
            (None, None) => Tables::Many(section.list("tables")),
        };
        let rename = section.get("as").map(str::to_owned);
        if rename.is_some() && matches!(tables, Tables::Many(_)) {
            return Err(section.error("as", "names one table and cannot stand with `tables`"));
        }
        let columns = Some(section.list("columns")).filter(|columns| !columns.is_empty());
        let mode = match mode {
            Some(mode) => mode,
            None => Mode::parse(section.text("mode")?).ok_or_else(|| section.error("mode", "is not a mode"))?,
        };
        Ok(Self {
            name: name.to_owned(),
            mode,
            tables,
            columns,
            exclude_columns: section.list("exclude_columns"),
            filter: section.get("where").map(str::to_owned),
            primary_key: section.list("primary_key"),
            cut: Cut::of(section)?,
            rename,
            section: section.clone(),
        })
    }

    /// The key that names the tables, for messages.
    pub fn table_key(&self) -> &'static str {
        if matches!(self.tables, Tables::Many(_)) { "tables" } else { "table" }
    }

    /// The id of the stream of `table`: the section's name, with the table's where the section may have several.
    pub fn stream_id(&self, table: &str) -> StreamId {
        match self.tables {
            Tables::Many(_) => StreamId::new(format!("{}.{table}", self.name)),
            _ => StreamId::new(self.name.clone()),
        }
    }

    /// The name at the destination of `table`, which is the source's name of it; a query has its section's.
    pub fn output_name(&self, table: &str) -> String {
        match (&self.rename, &self.tables) {
            (Some(name), _) => name.clone(),
            (None, Tables::Query(_)) => self.name.clone(),
            (None, _) => table.to_owned(),
        }
    }

    /// Whether a column is to be read, going by `columns` and `exclude_columns`.
    pub fn takes_column(&self, column: &str) -> bool {
        let wanted = self.columns.as_ref().is_none_or(|columns| columns.iter().any(|name| name == column));
        wanted && !self.exclude_columns.iter().any(|name| name == column)
    }

    /// The columns of a table, in the order in which they are read; an error names those that are not there.
    pub fn choose_columns(&self, table: &str, all: &[String]) -> Result<Vec<String>> {
        let named = self.columns.iter().flatten().map(|name| ("columns", name));
        let excluded = self.exclude_columns.iter().map(|name| ("exclude_columns", name));
        let keyed = self.primary_key.iter().map(|name| ("primary_key", name));
        for (key, name) in named.chain(excluded).chain(keyed) {
            if !all.contains(name) {
                let meant = crate::config::nearest(name, all.iter().map(String::as_str));
                let meant = meant.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
                return Err(self.section.error(key, format!("names `{name}`, which is no column of {table}{meant}")));
            }
        }
        let chosen: Vec<String> = match &self.columns {
            Some(columns) => columns.iter().filter(|name| self.takes_column(name)).cloned().collect(),
            None => all.iter().filter(|name| self.takes_column(name)).cloned().collect(),
        };
        if chosen.is_empty() {
            return Err(self.section.error("exclude_columns", format!("leaves no column of {table}")));
        }
        Ok(chosen)
    }
}

/// One thing read, committed and resumed on its own.
#[derive(Debug, Clone)]
pub struct Stream {
    pub id: StreamId,
    pub selection: Arc<Selection>,
    /// The source's own name of what is read, for its `open`; the section's name for a query.
    pub table: String,
    /// Rows, by the source's statistics: for progress only.
    pub estimate: Option<u64>,
    /// The part of it that is read; all of it where `None`.
    pub range: Option<Range>,
}

/// What `check` shows of a stream.
#[derive(Debug, Clone)]
pub struct Description {
    pub table: Arc<Table>,
    /// Sentences for the user: a missing key, a type that arrives as text, a right beyond what is needed.
    pub notes: Vec<String>,
}

/// Keys of a `[stream]` that every source understands.
pub const STREAM_KEYS: &[Key] = &[
    Key::new("table", Wants::Text, "The table to read. One of `table`, `tables` and `query` is needed.")
        .example("orders"),
    Key::new(
        "tables",
        Wants::List,
        "Several tables, each a stream of its own named `STREAM.TABLE`; `*` and `?` match any text.",
    )
    .example("customers, orders, inv_*"),
    Key::new("query", Wants::Sql, "A query whose result is read as one table, named after the stream.")
        .example("select id, total from orders"),
    Key::new("as", Wants::Text, "The table's name at the destination, in place of its own."),
    Key::new("mode", Wants::OneOf(&["full", "incremental", "cdc"]), "How the stream is read.").default("full"),
    Key::new("columns", Wants::List, "The columns to read, in this order; all of them where absent.")
        .example("id, name, price"),
    Key::new("exclude_columns", Wants::List, "Columns to leave out.").example("password_hash"),
    Key::new("where", Wants::Sql, "A condition on the rows to read, in the source's SQL.")
        .example("deleted_at is null"),
    Key::new("primary_key", Wants::List, "The key's columns, where the source does not tell of them.").example("id"),
    Key::new(
        "chunk_rows",
        Wants::Integer(1, i64::MAX),
        "About how many rows of a table a chunk of a full load has. Where absent, statistics tell how many take some \
         256 MiB at the source, at most 1,000,000. A table of not much more is read whole.",
    ),
    Key::new(
        "chunk_by",
        Wants::List,
        "The columns whose ranges are the chunks of a full load, in place of the primary key. They need an index that \
         begins with them, or each chunk reads the whole table.",
    )
    .example("created_at, id"),
    Key::new(
        "consistency",
        Wants::OneOf(&["chunk", "table", "run"]),
        "What of a full load is of one moment: each chunk, which holds up the source least; the `table`; or all tables of \
         the `run`. Other than chunks, a load that does not come to its end begins anew.",
    )
    .default("chunk"),
    Key::new(
        "max_query_time",
        Wants::Duration,
        "How long one statement of a full load may read. After that another one goes on behind the last key, unless \
         `consistency` asks for one moment.",
    )
    .default("1h"),
];

/// Keys of a `[source]` that is a server: how much of it reading may take.
pub const GENTLE_KEYS: &[Key] = &[
    Key::new(
        "max_connections",
        Wants::Integer(1, 256),
        "At most so many connections read at once, over all streams; where absent, as many as `[pipeline] parallel` says.",
    ),
    Key::new(
        "rows_per_second",
        Wants::Integer(1, i64::MAX),
        "At most so many rows are read in a second, over all streams.",
    ),
    Key::new(
        "max_running",
        Wants::Integer(1, i64::MAX),
        "While more than so many of the server's sessions are at work, ours among them, full loads pause.",
    ),
];

/// How a source is made from its section.
pub struct Maker {
    pub kind: Kind,
    /// Checks what single keys do not tell. Connects to nothing.
    pub check: fn(&Section) -> Result<()>,
    /// Refuses a mode in which the stream of this section cannot be read.
    pub check_mode: fn(&Section, Mode) -> Result<()>,
    /// Checks what single keys of a stream do not tell. Connects to nothing.
    pub check_stream: fn(&Section) -> Result<()>,
    /// A table's name as its [`Stream`] will have it, as far as the source's section tells.
    pub table: fn(&Section, &str) -> Option<String>,
    pub make: fn(&Section) -> Result<Box<dyn Source>>,
}

/// A batch is handed on at this many rows,
pub const BATCH_ROWS: usize = 8192;
/// or when its values take about this many bytes: what bounds memory where rows are large.
pub const BATCH_BYTES: usize = 2 << 20;

/// The registry.
pub const SOURCES: &[&Maker] = &[
    #[cfg(feature = "mysql")]
    &mysql::MAKER,
    #[cfg(feature = "postgres")]
    &postgres::MAKER,
    #[cfg(feature = "sqlite")]
    &sqlite::MAKER,
];

/// The maker of a kind of source.
pub fn maker(kind: &str) -> Result<&'static Maker> {
    SOURCES
        .iter()
        .copied()
        .find(|maker| maker.kind.name == kind)
        .ok_or_else(|| Error::bug(format!("no source of type {kind}")))
}
