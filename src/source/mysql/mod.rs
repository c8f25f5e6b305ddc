//! MySQL and MariaDB: tables, views and queries over the protocol of prepared statements, each as of one snapshot, and what
//! is new in them.

mod batch;
pub mod binlog;
mod calendar;
mod catalog;
mod cells;
mod changes;
mod chunks;
mod config;
mod connect;
mod decode;
mod digits;
mod geometry;
mod name;
mod native;
mod notes;
mod order;
mod outlook;
mod plan;
mod position;
mod probe;
mod query;
mod refusal;
mod rights;
mod sessions;
mod snapshot;
mod survey;
mod types;
mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use self::catalog::Found;
use self::config::{Policies, Settings};
use self::connect::Connection;
use self::error::Doing;
use self::name::Name;
use self::order::Ordered;
use self::plan::Plan;
use self::query::Query;
use self::sessions::{Sessions, Turn};
use self::snapshot::Snapshot;
use self::windows::Looked;
use super::keyset::Span;
use super::listing::{self, Catalog, Listing};
use super::{
    Chunks, Conditions, Description, Maker, Outlook, Reader, Selection, Source, Stream, Tables, Wanted, cursor, feed,
    pattern,
};
use crate::config::Section;
use crate::error::{Context, Kind, Result};
use crate::net::mysql::{client, error};
use crate::record::{Checkpoint, Mode, Range, change};

/// The registration.
pub const MAKER: Maker = Maker {
    kind: config::KIND,
    check,
    check_mode,
    check_stream,
    table: |section, text| {
        let database = config::database(section)?;
        Name::parse(text, &database).ok().map(|name| name.written(&database))
    },
    make,
    exchange: None,
};

fn check(section: &Section) -> Result<()> {
    Settings::of(section).map(drop)
}

/// Checks what single keys of a stream do not tell.
fn check_stream(section: &Section) -> Result<()> {
    Policies::of(section)?;
    if section.get("consistency") == Some("run") {
        return Err(section
            .error("consistency", "cannot be `run`: connections of MySQL share no snapshot without locks")
            .hint("`consistency = table` reads each table by one statement, of one moment."));
    }
    Ok(())
}

fn make(section: &Section) -> Result<Box<dyn Source>> {
    Ok(Box::new(Mysql { settings: Arc::new(Settings::of(section)?), turn: Turn::default(), asking: Mutex::default() }))
}

/// One database of one server. Every stream has a connection of its own, and with it a snapshot of its own.
struct Mysql {
    settings: Arc<Settings>,
    turn: Turn,
    /// For asking how busy the server is; kept between two questions.
    asking: Mutex<Option<Connection>>,
}

impl Mysql {
    /// Opens an incremental stream.
    async fn query(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        let query = self.begin_query(stream, after).await?;
        Ok(feed::from_task(|outlet| query.read(outlet)))
    }

    async fn begin_query(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Query> {
        let settings = cursor::Settings::of(&stream.selection.section)?;
        let window = stream.range.as_ref().map(cursor::Window::of).transpose()?;
        let mut reader = Connection::open(&self.settings).await?;
        let plan = Plan::of(&mut reader, &self.settings, stream).await?;
        let sessions = Sessions { settings: self.settings.clone(), turn: self.turn.clone() };
        let limit = stream.selection.cut.time_limit();
        let (after, stream) = (after.cloned(), stream.id.to_string());
        Ok(Query { reader, sessions, plan, settings, after, window, stream, limit })
    }
}

#[async_trait]
impl Source for Mysql {
    async fn identity(&self) -> Result<Value> {
        // Neither address nor server id, which differ on the replica that takes over.
        let name = config::KIND.name;
        Ok(match &self.settings.identity {
            Some(identity) => json!({ "type": name, "identity": identity }),
            None => json!({ "type": name, "database": self.settings.database }),
        })
    }

    async fn streams(&self, selections: &[Selection]) -> Result<Listing> {
        for selection in selections {
            check_mode(&selection.section, selection.mode)?;
            Policies::of(&selection.section)?;
        }
        let mut connection = Connection::open(&self.settings).await?;
        let mut lister = Lister { connection: &mut connection, settings: &self.settings, tables: BTreeMap::new() };
        let listing = listing::list(&mut lister, selections).await?;
        connection.close().await;
        Ok(listing)
    }

    async fn describe(&self, stream: &Stream) -> Result<Description> {
        let mut connection = Connection::open(&self.settings).await?;
        let plan = match Plan::of(&mut connection, &self.settings, stream).await {
            Err(error) if stream.selection.mode == Mode::Cdc && error.kind() == Kind::Config => {
                return Err(changes::conditions::of_absent(&mut connection, &self.settings, stream, error).await);
            }
            plan => plan?,
        };
        let found = match &stream.selection.tables {
            Tables::Query(_) => None,
            _ => {
                let name = Name::parse(stream.table(), &self.settings.database).map_err(crate::error::Error::config)?;
                let tables = catalog::tables(&mut connection, &name.database).await;
                let tables = tables.map_err(|failure| error::of(failure, Doing::Preparing)).at(|| &plan.name)?;
                tables.into_iter().find(|table| table.name == name.table)
            }
        };
        let engine = found.as_ref().map(|table| table.engine.as_str());
        let mut notes = plan.notes(engine);
        if stream.selection.mode == Mode::Incremental {
            let settings = cursor::Settings::of(&stream.selection.section)?;
            let more = query::notes(&mut connection, &plan, &settings, engine).await;
            notes.extend(more.at(|| &plan.name)?);
        }
        if stream.selection.mode == Mode::Cdc {
            change::table(&plan.table)?;
            let name = Name::parse(stream.table(), &self.settings.database).map_err(crate::error::Error::config)?;
            notes.extend(changes::conditions::of_table(&mut connection, &stream.selection, (&plan.name, &name)).await?);
        }
        notes.extend(chunks::note(&mut connection, &self.settings, stream, &plan).await);
        connection.close().await;
        Ok(Description { table: plan.table, notes })
    }

    async fn conditions(&self, stream: &Stream, after: Option<&Checkpoint>, interval: Duration) -> Result<Conditions> {
        match stream.selection.mode {
            Mode::Cdc => changes::conditions::of(&self.settings, stream, after, interval).await,
            Mode::Full | Mode::Incremental => Ok(Conditions::default()),
        }
    }

    async fn windows(&self, stream: &Stream, wanted: &Wanted, mark: Option<&Checkpoint>) -> Result<Vec<Range>> {
        let settings = cursor::Settings::of(&stream.selection.section)?;
        let mut reader = Connection::open(&self.settings).await?;
        let plan = Plan::of(&mut reader, &self.settings, stream).await?;
        let ordered = Ordered::of(&mut reader, &plan, &settings).await?;
        let mut axis = Looked { reader: &mut reader, plan: &plan, ordered };
        let windows =
            cursor::cut(&mut axis, wanted, cursor::Place::of(mark, &settings)?.mark).await.at(|| plan.named())?;
        reader.close().await;
        windows.iter().map(cursor::Window::range).collect()
    }

    async fn chunks(&self, stream: &Stream) -> Result<Chunks> {
        let mut connection = Connection::open(&self.settings).await?;
        let chunks = chunks::of(&mut connection, &self.settings, stream).await?;
        connection.close().await;
        Ok(chunks)
    }

    async fn hand_over(&self, stream: &Stream, chunks: Chunks) -> Result<Chunks> {
        let unbound = Stream { range: None, ..stream.clone() };
        let mut query = self.begin_query(&unbound, None).await?;
        let handover = query.handover().await?;
        query.close().await;
        Span::handed(chunks, handover)
    }

    async fn running(&self) -> Result<Option<u64>> {
        let mut asking = self.asking.lock().await;
        let mut connection = match asking.take() {
            Some(connection) => connection,
            None => Connection::open(&self.settings).await?,
        };
        let rows = connection.texts("show global status like 'Threads_running'").await;
        let rows = rows.map_err(|failure| error::of(failure, Doing::Reading)).at(|| self.settings.address())?;
        *asking = Some(connection);
        // The session that asks is at work as the server counts.
        Ok(rows.first().and_then(|row| connect::number(row, 1)).map(|running| running.saturating_sub(1)))
    }

    async fn outlook(&self, stream: &Stream, ranges: &[Option<Range>], after: Option<&Checkpoint>) -> Result<Outlook> {
        let mut connection = Connection::open(&self.settings).await?;
        let plan = Plan::of(&mut connection, &self.settings, stream).await?;
        let is_growing = stream.selection.mode == Mode::Incremental && ranges.iter().all(Option::is_none);
        let outlook = if is_growing {
            let sessions = Sessions { settings: self.settings.clone(), turn: self.turn.clone() };
            outlook::growing(&mut connection, &sessions, &plan, stream, after).await
        } else {
            outlook::whole(&mut connection, &self.settings, &plan, stream, ranges).await
        };
        connection.close().await;
        outlook.at(|| plan.named())
    }

    async fn open(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        if stream.selection.mode == Mode::Cdc {
            return changes::open(&self.settings, stream, after).await;
        }
        let handed = stream.range.as_ref().and_then(Span::of_handover);
        if stream.selection.mode == Mode::Incremental && handed.is_none() {
            return self.query(stream, after).await;
        }
        if let Some(checkpoint) = after.cloned() {
            position::check(&checkpoint.position)?;
            return Ok(feed::at_its_end(checkpoint));
        }
        let snapshot = Snapshot::begin(&self.settings, stream).await?;
        Ok(feed::from_task(|outlet| async move { snapshot.read(&outlet).await }))
    }
}

fn check_mode(section: &Section, mode: Mode) -> Result<()> {
    match mode {
        Mode::Full => Ok(()),
        Mode::Incremental => cursor::Settings::of(section).map(drop),
        Mode::Cdc => check_log(section),
    }
}

/// Refuses what has no place in a log.
fn check_log(section: &Section) -> Result<()> {
    for key in ["query", "where", "chunk_by"] {
        if section.is_set(key) {
            return Err(section.error(key, "says nothing of a change log: it has the changes of whole tables"));
        }
    }
    Ok(())
}

/// Asks for the tables of each database once.
struct Lister<'a> {
    connection: &'a mut Connection,
    settings: &'a Settings,
    tables: BTreeMap<String, Vec<Found>>,
}

#[async_trait]
impl Catalog for Lister<'_> {
    type Known = Name;

    fn name(&self, text: &str) -> String {
        let database = &self.settings.database;
        Name::parse(text, database).map_or_else(|_| text.to_owned(), |name| name.display(database))
    }

    /// One that the catalog does not show is either not there or beyond our rights, which the plan finds out.
    async fn named(&mut self, selection: &Selection, text: &str) -> Result<listing::Found<Name>> {
        let name = self.parse(selection, text)?;
        let found = self.tables(&name.database).await?.iter().find(|table| table.name == name.table).cloned();
        if let Some(found) = found {
            return Ok(self.found(selection, name, found.estimate.filter(|_| !found.is_view)));
        }
        let id = selection.stream_id(text);
        let table = name.written(&self.settings.database);
        let stream = Stream {
            id,
            selection: Arc::new(selection.clone()),
            tables: vec![table],
            estimate: None,
            range: None,
            following: crate::source::Following::default(),
        };
        Plan::of(self.connection, self.settings, &stream).await?;
        Ok(self.found(selection, name, None))
    }

    fn absent(&self, text: &str) -> Option<String> {
        let database = &self.settings.database;
        Name::parse(text, database).ok().map(|name| name.written(database))
    }

    /// Views are read only when they are named.
    async fn matching(&mut self, selection: &Selection, text: &str) -> Result<Vec<listing::Found<Name>>> {
        let wanted = self.parse(selection, text)?;
        if pattern::is_pattern(&wanted.database) {
            return Err(selection.section.error("tables", format!("has `{text}`: the database cannot be a pattern")));
        }
        let database = wanted.database;
        let mut tables = self.tables(&database).await?.to_vec();
        tables.retain(|table| !table.is_view && pattern::matches(&wanted.table, &table.name));
        if tables.is_empty() {
            let message =
                format!("has `{text}`, which matches no table of database `{database}` that the user may see");
            return Err(selection.section.error("tables", message));
        }
        let name = |table| Name { database: database.clone(), table };
        Ok(tables.into_iter().map(|table| self.found(selection, name(table.name), table.estimate)).collect())
    }

    async fn columns(&mut self, selection: &Selection, table: &listing::Found<Name>) -> Result<Vec<String>> {
        // Only `bytes_columns` names columns beforehand.
        if Policies::of(&selection.section)?.bytes_columns.is_empty() {
            return Ok(Vec::new());
        }
        let columns = catalog::columns(self.connection, &table.known).await;
        let columns = columns.map_err(|failure| error::of(failure, Doing::Preparing)).at(|| &table.name)?;
        Ok(columns.into_iter().map(|column| column.name).collect())
    }

    fn check_columns(&self, selection: &Selection, tables: &[(String, Vec<String>)]) -> Result<()> {
        Policies::of(&selection.section)?.check_names(&selection.section, tables)
    }
}

impl Lister<'_> {
    fn found(&self, selection: &Selection, name: Name, estimate: Option<u64>) -> listing::Found<Name> {
        let database = &self.settings.database;
        listing::Found {
            name: name.display(database),
            table: name.written(database),
            // A condition leaves nobody knows how much.
            estimate: estimate.filter(|_| selection.filter.is_none()),
            known: name,
        }
    }

    fn parse(&self, selection: &Selection, text: &str) -> Result<Name> {
        Name::parse(text, &self.settings.database)
            .map_err(|problem| selection.section.error(selection.table_key(), problem))
    }

    async fn tables(&mut self, database: &str) -> Result<&[Found]> {
        if !self.tables.contains_key(database) {
            let found = catalog::tables(self.connection, database).await;
            let found = found.map_err(|failure| error::of(failure, Doing::Preparing)).at(|| self.settings.address())?;
            self.tables.insert(database.to_owned(), found);
        }
        Ok(self.tables.get(database).map(Vec::as_slice).unwrap_or_default())
    }
}
