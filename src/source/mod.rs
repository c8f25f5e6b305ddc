//! Where records come from: the two traits, what a pipeline asks of a source, and the registry.
//!
//! A new source is a folder here and a line in [`SOURCES`].

mod changes;
mod cursor;
mod cut;
pub mod documents;
mod exchange;
pub mod feed;
pub mod following;
pub mod iso8601;
mod keys;
pub mod keyset;
pub mod listing;
pub mod masking;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "mysql")]
pub mod mysql;
pub mod pattern;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "rest")]
pub mod rest;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

pub use self::cursor::Wanted;
pub use self::cut::{Chunks, Consistency, Cut};
pub use self::exchange::{Exchange, Reel};
pub use self::following::{Following, What};
pub use self::keys::{GENTLE_KEYS, STREAM_KEYS, joined};
pub use self::listing::Listing;
use crate::config::{Kind, Section};
use crate::error::{Error, Result};
use crate::record::{Checkpoint, Event, Lag, Mode, Position, Range, StreamId, Table};
pub use crate::record::{FailedRequest, Failures};

/// A database, or whatever else holds tables, under one `[source]` section.
///
/// One is made for every run, and what must be the same for the whole run (a snapshot shared by all tables) it holds
/// until it is dropped. Making one connects to nothing.
#[async_trait]
pub trait Source: Send + Sync {
    /// What this source is, in words that stay the same when its address changes: written into entry 0 of every
    /// stream, where another identity under the same name is refused.
    async fn identity(&self) -> Result<Value>;

    /// What else than the stream's own keys decides what a full load of it has: another value is another definition, which goes on with
    /// none that is unfinished. Null where there is nothing. Connects to nothing.
    fn definition(&self, _stream: &Stream) -> Result<Value> {
        Ok(Value::Null)
    }

    /// The streams that `selections` ask for: one per table read by query, one for a whole change log. Patterns are
    /// resolved here. A table that is not there, or not to be read, is refused with an error that names it, and the others
    /// are listed; a pattern that matches nothing is an error.
    async fn streams(&self, selections: &[Selection]) -> Result<Listing>;

    /// How each column of the stream will arrive, and what a user should know before the first run.
    async fn describe(&self, stream: &Stream) -> Result<Description>;

    /// What a user should know of the stream as a whole: what is set, granted and kept at its server. `after` is where it has
    /// come to, and `interval` how often it is committed. An error where a run would fail for any of that.
    async fn conditions(
        &self,
        _stream: &Stream,
        _after: Option<&Checkpoint>,
        _interval: Duration,
    ) -> Result<Conditions> {
        Ok(Conditions::default())
    }

    /// Makes what a run of the stream needs at its server and is missing there; says what it made.
    async fn create(&self, _stream: &Stream) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Cuts what is `wanted` of an incremental stream's cursor into windows, each a range to open the stream with, in the
    /// cursor's order. `mark` is where the stream has come to. What is read of a window is what is there then.
    async fn windows(&self, stream: &Stream, _wanted: &Wanted, _mark: Option<&Checkpoint>) -> Result<Vec<Range>> {
        Err(stream.selection.section.fault("mode", "is not read by windows of a cursor"))
    }

    /// In what pieces a full load of the stream is read, an incremental stream's first one too. Asked once for each load;
    /// what it says is kept with the load, and comes back in [`Stream::range`], from a later process too.
    async fn chunks(&self, _stream: &Stream) -> Result<Chunks> {
        Ok(Chunks::whole(Consistency::Statement))
    }

    /// Of a load that an incremental stream begins with: the same pieces, without the rows that later runs read, and with
    /// the place from which these go on. May wait until it is safe to tell the two apart.
    async fn hand_over(&self, stream: &Stream, _chunks: Chunks) -> Result<Chunks> {
        Err(Error::bug(format!("stream {}: its source hands no load over", stream.id)))
    }

    /// What reading these ranges of the stream would take (all of it where a range is `None`), after a checkpoint. Reads no
    /// rows, and what it cannot tell at little cost it leaves out.
    async fn outlook(
        &self,
        _stream: &Stream,
        _ranges: &[Option<Range>],
        _after: Option<&Checkpoint>,
    ) -> Result<Outlook> {
        Ok(Outlook::default())
    }

    /// How many of the server's sessions are at work now, ours among them; `None` where that is not told, or there is no
    /// server.
    async fn running(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Looks after what its server keeps for the stream, which is not read for the moment and is about to be tried again. An
    /// error ends the run.
    async fn guard(&self, _stream: &Stream) -> Result<()> {
        Ok(())
    }

    /// Opens `stream` just after a checkpoint, or at its beginning: loses nothing after it, repeats nothing before it.
    /// A position that the source no longer holds is `Kind::Lost`, and so is a range.
    async fn open(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>>;

    /// What of the stream came to nothing, out of the state of a checkpoint that this source made. Asked with every commit:
    /// connects to nothing.
    fn failures(&self, _stream: &Stream, _state: &Value) -> Result<Failures> {
        Ok(Failures::default())
    }

    /// Asks once more for what failed, by the state of this checkpoint, and for nothing else. The reader's checkpoints are at
    /// the same position; their state has what is still failed. It gives a checkpoint at its end at the latest.
    async fn open_failed(&self, stream: &Stream, _at: &Checkpoint) -> Result<Box<dyn Reader>> {
        Err(Error::config(format!("stream {}: its source has no requests that could be asked again", stream.id)))
    }
}

/// What a reading would take.
#[derive(Debug, Clone, Default)]
pub struct Outlook {
    /// Of the whole stream, by statistics; of what is new, where the stream grows.
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
    /// Of each range: the statements that would read it, as they are sent.
    pub statements: Vec<Vec<String>>,
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

    /// How far behind its source it is, by what it knows without asking; `None` of tables, and as long as nobody knows.
    fn lag(&self) -> Option<Lag> {
        None
    }

    /// How many bytes of its log the source keeps for nothing but that what was handed on is not committed yet.
    fn holds(&self) -> u64 {
        0
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
            let message = format!("names one table and cannot stand with `{}`", section.name_of("tables"));
            return Err(section.error("as", message));
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
    /// The source's own names of what is read, for its `open`: one table, or the section's name for a query. Of a change
    /// log, all tables whose changes it has.
    pub tables: Vec<String>,
    /// Rows, by the source's statistics: for progress only.
    pub estimate: Option<u64>,
    /// The part of it that is read; all of it where `None`.
    pub range: Option<Range>,
    /// What is asked of a change log.
    pub following: Following,
}

impl Stream {
    /// The table of a stream that has one.
    pub fn table(&self) -> &str {
        self.tables.first().map_or("", String::as_str)
    }

    /// The stream as it is of one of its tables.
    #[must_use]
    pub fn of_table(&self, table: &str) -> Self {
        Self { tables: vec![table.to_owned()], ..self.clone() }
    }
}

/// What `check` shows of a stream.
#[derive(Debug, Clone)]
pub struct Description {
    pub table: Arc<Table>,
    /// Sentences for the user: a missing key, a type that arrives as text, a right beyond what is needed.
    pub notes: Vec<String>,
}

/// What `check` shows of what is around a stream.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    /// Sentences for the user.
    pub notes: Vec<String>,
    /// How much the server logs of changes in a day, those of other streams among them.
    pub bytes_a_day: Option<u64>,
}

/// Makes a source whose answers come as the exchange says.
pub type MakeOver = fn(&Section, &Exchange) -> Result<Box<dyn Source>>;

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
    /// The same of a source whose answers can be kept in a file and come out of one. Makes or reads that file, so that what
    /// is wrong with it is said first of all.
    pub exchange: Option<MakeOver>,
}

/// A batch is handed on at this many rows,
pub const BATCH_ROWS: usize = 8192;
/// or when its values take about this many bytes: what bounds memory where rows are large.
pub const BATCH_BYTES: usize = 2 << 20;

/// The registry.
pub const SOURCES: &[&Maker] = &[
    #[cfg(feature = "mongodb")]
    &mongodb::MAKER,
    #[cfg(feature = "mysql")]
    &mysql::MAKER,
    #[cfg(feature = "postgres")]
    &postgres::MAKER,
    #[cfg(feature = "rest")]
    &rest::MAKER,
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

/// The source of a section of this kind. Its answers come as `exchange` says, or from its server where there is none.
pub fn make(kind: &str, section: &Section, exchange: Option<&Exchange>) -> Result<Box<dyn Source>> {
    let maker = maker(kind)?;
    match (exchange, maker.exchange) {
        (None, _) => (maker.make)(section),
        (Some(exchange), Some(make)) => make(section, exchange),
        (Some(_), None) => Err(keeps_no_answers(kind)),
    }
}

fn keeps_no_answers(kind: &str) -> Error {
    let keeping = SOURCES.iter().any(|maker| maker.exchange.is_some());
    let hint = match keeping {
        true => "Name a stream of an API (`type = rest`).",
        false => "Those of APIs can be, and this program is built without them (feature `rest`).",
    };
    Error::config(format!("what a source of `type = {kind}` answers cannot be recorded or replayed")).hint(hint)
}
