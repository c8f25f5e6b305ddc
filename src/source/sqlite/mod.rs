//! SQLite: the embedded source. Declared types plus what is stored decide what arrives.

mod catalog;
mod config;
mod connection;
mod decode;
mod error;
mod form;
mod lock;
mod mark;
mod order;
mod plan;
mod position;
mod probe;
mod query;
mod snapshot;
mod time;
mod types;
mod windows;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use self::catalog::Found as Table;
use self::config::{Policies, Settings};
use self::connection::{Loan, Snapshot};
use self::plan::Plan;
use self::query::Query;
use super::listing::{self, Catalog, Found, Listing};
use super::{
    Chunks, Consistency, Description, Maker, Outlook, Reader, Selection, Source, Stream, Tables, Wanted, cursor, feed,
};
use crate::config::Section;
use crate::error::{Error, Result};
use crate::record::{Checkpoint, Mode, Range, StreamId};

/// Reading a file up to this size is over before a waiting writer minds.
const NOTICED_BYTES: u64 = 64 << 20;

/// The registration.
pub const MAKER: Maker = Maker {
    kind: config::KIND,
    check: config::check,
    check_mode,
    check_stream,
    table: |_, text| Some(catalog::own_name(text).to_owned()),
    make,
    exchange: None,
};

fn check_stream(section: &Section) -> Result<()> {
    Policies::of(section)?;
    if section.get("consistency") == Some("run") {
        return Err(section.error("consistency", "is no stream's own with SQLite").hint(
            "Write `snapshot = run` into the section of the source: all tables are then read as of one moment.",
        ));
    }
    Ok(())
}

fn make(section: &Section) -> Result<Box<dyn Source>> {
    Ok(Box::new(Sqlite { settings: Arc::new(Settings::of(section)?), run: Mutex::default(), told: Arc::default() }))
}

/// One database file.
struct Sqlite {
    settings: Arc<Settings>,
    run: Mutex<Run>,
    /// Of whose times was told; see [`Query`].
    told: Arc<std::sync::Mutex<BTreeSet<String>>>,
}

#[derive(Default)]
struct Run {
    /// What was asked for and is still to be read.
    streams: BTreeSet<StreamId>,
    /// What all of them are read as of; taken when the first is opened.
    snapshot: Option<Arc<Snapshot>>,
}

#[async_trait]
impl Source for Sqlite {
    async fn identity(&self) -> Result<Value> {
        let file = self.settings.path.file_name().unwrap_or_default().to_string_lossy();
        Ok(json!({ "type": config::KIND.name, "file": file }))
    }

    async fn streams(&self, selections: &[Selection]) -> Result<Listing> {
        let (settings, selections) = (self.settings.clone(), selections.to_vec());
        let listing = blocking(move || list(&settings, &selections)).await?;
        // What is new is read as of a moment of its own.
        let whole = listing.streams.iter().filter(|stream| stream.selection.mode == Mode::Full);
        self.run.lock().await.streams.extend(whole.map(|stream| stream.id.clone()));
        Ok(listing)
    }

    async fn describe(&self, stream: &Stream) -> Result<Description> {
        let (settings, stream) = (self.settings.clone(), stream.clone());
        blocking(move || describe(&settings, &stream)).await
    }

    async fn outlook(&self, stream: &Stream, ranges: &[Option<Range>], after: Option<&Checkpoint>) -> Result<Outlook> {
        if stream.selection.mode == Mode::Incremental {
            let query = self.query(stream, after).await?;
            return blocking(move || query.outlook()).await;
        }
        let (settings, stream) = (self.settings.clone(), stream.clone());
        let plan = blocking(move || Plan::of(&connection::begin(&settings)?, &settings.path, &stream)).await?;
        Ok(Outlook { statements: vec![vec![plan.sql]; ranges.len()], ..Outlook::default() })
    }

    async fn windows(&self, stream: &Stream, wanted: &Wanted, mark: Option<&Checkpoint>) -> Result<Vec<Range>> {
        let (query, wanted) = (self.query(stream, mark).await?, wanted.clone());
        blocking(move || query.windows(&wanted)).await
    }

    /// A load that an incremental stream begins with is one window of its cursor.
    async fn hand_over(&self, stream: &Stream, _: Chunks) -> Result<Chunks> {
        let query = self.query(stream, None).await?;
        let handover = blocking(move || query.handover()).await?;
        let ranges = vec![handover.window.range()?];
        Ok(Chunks { ranges, handover: Some(handover.place), ..Chunks::whole(Consistency::Chunk) })
    }

    async fn open(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        if stream.selection.mode == Mode::Incremental {
            let query = self.query(stream, after).await?;
            return Ok(feed::from_thread(move |outlet| query.read(outlet)));
        }
        if let Some(checkpoint) = after.cloned() {
            position::check(&checkpoint.position)?;
            self.run.lock().await.finish(&stream.id);
            return Ok(feed::at_its_end(checkpoint));
        }
        let (settings, stream, loan) = (self.settings.clone(), stream.clone(), self.loan().await?);
        let (id, path) = (stream.id.clone(), settings.path.clone());
        let (plan, loan) = blocking(move || {
            let plan = Plan::of(loan.connection()?, &settings.path, &stream)?;
            Ok((plan, loan))
        })
        .await?;
        Ok(feed::from_thread(move |outlet| snapshot::read(outlet, &path, loan, &id, &plan)))
    }
}

impl Sqlite {
    /// Plans an incremental stream.
    async fn query(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Query> {
        let settings = cursor::Settings::of(&stream.selection.section)?;
        let window = stream.range.as_ref().map(cursor::Window::of).transpose()?;
        let (file, after, stream) = (Settings::clone(&self.settings), after.cloned(), stream.clone());
        let told = self.told.clone();
        blocking(move || {
            // Planned in a transaction that ends before anybody is waited for.
            let plan = Plan::of(&connection::begin(&file)?, &file.path, &stream)?;
            Ok(Query { file, plan, settings, after, window, stream: stream.id.to_string(), told })
        })
        .await
    }

    /// A connection inside a read transaction: the run's, or one of its own.
    async fn loan(&self) -> Result<Loan> {
        let settings = self.settings.clone();
        if !settings.one_snapshot {
            return blocking(move || Loan::alone(&settings)).await;
        }
        loop {
            let snapshot = self.snapshot().await?;
            if let Some(loan) = snapshot.lend().await {
                return Ok(loan);
            }
        }
    }

    async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let mut run = self.run.lock().await;
        if let Some(snapshot) = run.snapshot.as_ref().filter(|snapshot| !snapshot.is_over()) {
            return Ok(snapshot.clone());
        }
        let (settings, streams) = (self.settings.clone(), run.streams.clone());
        let snapshot = Arc::new(blocking(move || Snapshot::take(&settings, streams)).await?);
        run.snapshot = Some(snapshot.clone());
        Ok(snapshot)
    }
}

impl Run {
    /// The stream has nothing to read.
    fn finish(&mut self, stream: &StreamId) {
        self.streams.remove(stream);
        if let Some(snapshot) = &self.snapshot {
            snapshot.finish(stream);
        }
    }
}

fn list(settings: &Settings, selections: &[Selection]) -> Result<Listing> {
    for selection in selections {
        check_mode(&selection.section, selection.mode)?;
        Policies::of(&selection.section)?;
    }
    let path = settings.path.as_path();
    let connection = connection::begin(settings)?;
    let all = catalog::tables(&connection, path)?;
    // Nothing in it waits: the lister blocks.
    Handle::current().block_on(listing::list(&mut Lister { connection, path, all }, selections))
}

/// Looks names up in a file.
struct Lister<'a> {
    connection: Connection,
    path: &'a Path,
    all: Vec<Table>,
}

impl Lister<'_> {
    fn found(&self, selection: &Selection, table: &Table) -> Found<Table> {
        let estimate = catalog::estimate(&self.connection, self.path, table, selection.filter.as_deref());
        Found { name: table.name.clone(), table: table.name.clone(), estimate, known: table.clone() }
    }
}

#[async_trait]
impl Catalog for Lister<'_> {
    type Known = Table;

    fn name(&self, text: &str) -> String {
        catalog::own_name(text).to_owned()
    }

    async fn named(&mut self, selection: &Selection, text: &str) -> Result<Found<Table>> {
        let table = catalog::named(&selection.section, selection.table_key(), text, &self.all, self.path)?;
        Ok(self.found(selection, table))
    }

    async fn matching(&mut self, selection: &Selection, text: &str) -> Result<Vec<Found<Table>>> {
        let tables = catalog::matching(&selection.section, text, &self.all, self.path)?;
        Ok(tables.into_iter().map(|table| self.found(selection, table)).collect())
    }

    async fn columns(&mut self, _: &Selection, table: &Found<Table>) -> Result<Vec<String>> {
        let columns = catalog::columns(&self.connection, self.path, &table.known)?;
        Ok(columns.into_iter().map(|column| column.name).collect())
    }

    fn check_columns(&self, selection: &Selection, tables: &[(String, Vec<String>)]) -> Result<()> {
        Policies::of(&selection.section)?.check_names(&selection.section, tables)
    }

    async fn check_query(&mut self, selection: &Selection, query: &str) -> Result<()> {
        let columns = catalog::query_columns(&self.connection, self.path, &selection.section, query)?;
        let names = columns.into_iter().map(|column| column.name).collect();
        self.check_columns(selection, &[(selection.name.clone(), names)])
    }
}

fn check_mode(section: &Section, mode: Mode) -> Result<()> {
    match mode {
        Mode::Full => Ok(()),
        Mode::Incremental => cursor::Settings::of(section).map(drop),
        Mode::Cdc => Err(section.error("mode", "`cdc` needs a change log, and SQLite keeps none")),
    }
}

fn describe(settings: &Settings, stream: &Stream) -> Result<Description> {
    let path = settings.path.as_path();
    let connection = connection::begin(settings)?;
    let plan = Plan::of(&connection, path, stream)?;
    let is_query = matches!(stream.selection.tables, Tables::Query(_));
    let mut notes = plan.notes(is_query, holds_up_writers(&connection, settings));
    drop(connection);
    if stream.selection.mode == Mode::Incremental {
        let cursor = cursor::Settings::of(&stream.selection.section)?;
        notes.extend(query::notes(&mut connection::open(settings)?, settings, &plan, &cursor)?);
    }
    Ok(Description { table: plan.table, notes })
}

/// Whether reading takes long enough, and keeps others from writing.
fn holds_up_writers(connection: &Connection, settings: &Settings) -> bool {
    let journal = connection.query_row("pragma journal_mode", [], |row| row.get::<_, String>(0));
    let bytes = std::fs::metadata(&settings.path).map_or(0, |file| file.len());
    journal.is_ok_and(|mode| mode != "wal") && !settings.immutable && bytes > NOTICED_BYTES
}

/// Runs what blocks where it may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => Err(Error::bug(format!("reading SQLite panicked: {panic}"))),
    }
}
