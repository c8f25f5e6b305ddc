//! Changes as the server logs them, with snapshots of the tables.

mod captured;
mod chunk;
mod place;
mod server;
mod statement;
mod tail;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use self::chunk::Chunks;
use self::place::Place;
use self::tail::Tail;
use super::binlog::{CharacterSets, Definition, Layout, Log, Options, TableMap};
use super::config::Settings;
use super::connect::{Connection, text};
use super::error::{self, Doing};
use super::name::Name;
use super::plan::Plan;
use crate::error::{Context, Error, Result};
use crate::record::{Checkpoint, Table};
use crate::source::changes::{self, Asked, Until, follow};
use crate::source::{Reader, Stream, feed};

/// How often the server says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Opens the log after a checkpoint, or where it ends now, with snapshots of all tables.
pub async fn open(settings: &Arc<Settings>, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
    let mut connection = Connection::open(settings).await?;
    server::check(&mut connection).await.at(|| settings.address())?;
    let (place, known) = match after {
        Some(checkpoint) => (changes::Place::of(&checkpoint.position)?, tables_of(&checkpoint.state)),
        None => {
            let end = server::end(&mut connection).await.at(|| settings.address())?;
            (changes::Place { log: end.position()?, snapshots: Default::default() }, Vec::new())
        }
    };
    let place = with_new_tables(place, &known, stream);
    let until = if stream.follows { Until::Stopped } else { Until::End };
    let asker = Asker::of(connection, settings, stream).await?;
    let at = Place::of(&place.log)?;
    let options = Options {
        server_id: own_id(),
        uuid: Uuid::now_v7(),
        start: at.start(asker.is_mariadb)?,
        heartbeat: HEARTBEAT,
        write_timeout: settings.write_timeout,
        ends: until == Until::End,
    };
    let tables = Tables::default();
    let mut chunks = Chunks::new(Asker::of(Connection::open(settings).await?, settings, stream).await?, tables.clone());
    let mut tail = Tail::open(asker, tables, options, at).await?;
    Ok(feed::from_task(
        move |outlet| async move { follow(Asked { place, until }, &mut tail, &mut chunks, &outlet).await },
    ))
}

/// A table that the stream did not have is read from its beginning, while the log goes on.
fn with_new_tables(mut place: changes::Place, known: &[String], stream: &Stream) -> changes::Place {
    for table in stream.tables.iter().filter(|table| !known.contains(table)) {
        place.snapshots.entry(table.clone()).or_default();
    }
    place.snapshots.retain(|table, _| stream.tables.contains(table));
    place
}

fn tables_of(state: &Value) -> Vec<String> {
    let names = state["tables"].as_array().into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// A number that no replica is likely to have: those that people give are small.
fn own_id() -> u32 {
    let random = Uuid::now_v7().as_u128();
    (random as u32 & 0x3fff_ffff) | 0x4000_0000
}

/// What the tables are as the log has them by now.
#[derive(Debug, Clone, Default)]
struct Tables(Arc<Mutex<HashMap<String, Arc<Table>>>>);

impl Tables {
    fn tell(&self, name: &str, table: &Arc<Table>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), table.clone());
    }

    fn told(&self, name: &str) -> Option<Arc<Table>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// Asks the server what a reader of its log has to know.
struct Asker {
    settings: Arc<Settings>,
    stream: Stream,
    is_mariadb: bool,
    /// Names of tables are the same in other letters.
    ignores_case: bool,
    sets: CharacterSets,
}

impl Asker {
    async fn of(mut connection: Connection, settings: &Arc<Settings>, stream: &Stream) -> Result<Self> {
        let reading = |failure| error::of(failure, Doing::Preparing);
        let sets = CharacterSets::of(&mut connection).await.map_err(reading)?;
        let rows = connection.rows("select @@global.lower_case_table_names", ()).await.map_err(reading)?;
        let ignores_case = rows.first().is_some_and(|row| text(row, 0) != "0");
        let is_mariadb = connection.is_mariadb;
        connection.close().await;
        Ok(Self { settings: settings.clone(), stream: stream.clone(), is_mariadb, ignores_case, sets })
    }

    fn sets(&self) -> &CharacterSets {
        &self.sets
    }

    /// The tables of the stream, with their names at the server.
    fn names(&self) -> Result<Vec<(String, Name)>> {
        let name =
            |table: &String| Ok((table.clone(), Name::parse(table, &self.settings.database).map_err(Error::config)?));
        self.stream.tables.iter().map(name).collect()
    }

    async fn log(&self, options: &Options) -> Result<Log> {
        let client = self.settings.endpoint().log_in().await;
        let client = client.map_err(|failure| super::connect::connect_failure(&self.settings, failure))?;
        Log::open(client, self.is_mariadb, options).await.at(|| self.settings.address())
    }

    /// What a table is now, and the character sets of its texts as the log has them.
    async fn define(&mut self, table: &str, map: Option<&TableMap>) -> Result<(Plan, Definition)> {
        let reading = |failure| error::of(failure, Doing::Preparing);
        let mut connection = Connection::open(&self.settings).await?;
        let plan = Plan::of(&mut connection, &self.settings, &self.stream.of_table(table)).await?;
        let definition = Definition::of(&mut connection, &plan).await?;
        let sets = map.map(|map| Layout::sets(map, &definition, &self.sets)).unwrap_or_default();
        for set in sets {
            self.sets.learn(&mut connection, &set).await.map_err(reading)?;
        }
        connection.close().await;
        Ok((plan, definition))
    }

    /// Whether the server has no such table.
    async fn is_gone(&self, connection: &mut Connection, table: &str) -> Result<bool> {
        let name = Name::parse(table, &self.settings.database).map_err(Error::config)?;
        let sql = "select 1 from information_schema.tables where table_schema = ? and table_name = ?";
        let rows = connection.rows(sql, (&name.database, &name.table)).await;
        Ok(rows.map_err(|failure| error::of(failure, Doing::Preparing))?.is_empty())
    }
}
