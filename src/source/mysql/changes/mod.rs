//! Changes as the server logs them, with snapshots of the tables.

mod captured;
mod chunk;
mod ddl;
mod history;
mod known;
mod place;
mod server;
mod statement;
mod tail;

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use self::captured::Captured;
use self::chunk::Chunks;
use self::history::History;
use self::known::Known;
use self::place::Place;
use self::tail::Tail;
use super::binlog::{CharacterSets, Log, Options};
use super::config::Settings;
use super::connect::{Connection, text};
use super::error::{self, Doing};
use super::name::Name;
use crate::error::{Context, Error, Result};
use crate::record::Checkpoint;
use crate::source::changes::{self, Asked, Snapshot, Until, follow};
use crate::source::{Reader, Stream, feed};

/// How often the server says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Opens the log after a checkpoint, or where it ends now, with snapshots of all tables.
pub async fn open(settings: &Arc<Settings>, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
    let mut connection = Connection::open(settings).await?;
    server::check(&mut connection).await.at(|| settings.address())?;
    let (place, history) = begin(&mut connection, settings, stream, after).await?;
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
    let other = Asker::of(Connection::open(settings).await?, settings, stream).await?;
    let mut chunks = Chunks::new(other, history.clone());
    let mut tail = Tail::open(asker, history, options, at).await?;
    Ok(feed::from_task(
        move |outlet| async move { follow(Asked { place, until }, &mut tail, &mut chunks, &outlet).await },
    ))
}

/// Where the stream goes on, with the tables that it is to read from their beginning, and what is known of all.
async fn begin(
    connection: &mut Connection,
    settings: &Settings,
    stream: &Stream,
    after: Option<&Checkpoint>,
) -> Result<(changes::Place, History)> {
    let (mut place, history) = match after {
        Some(checkpoint) => (changes::Place::of(&checkpoint.position)?, History::of(&checkpoint.state)?),
        None => {
            let end = server::end(connection).await.at(|| settings.address())?;
            (changes::Place { log: end.position()?, ..changes::Place::default() }, History::default())
        }
    };
    place.snapshots.retain(|table, _| stream.tables.contains(table));
    for (table, is_there) in history.take(&stream.tables) {
        place.snapshots.insert(table, Snapshot { after: None, anew: is_there });
    }
    Ok((place, history))
}

/// A number that no replica is likely to have: those that people give are small.
fn own_id() -> u32 {
    let random = Uuid::now_v7().as_u128();
    (random as u32 & 0x3fff_ffff) | 0x4000_0000
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

    fn name(&self, table: &str) -> Result<Name> {
        Name::parse(table, &self.settings.database).map_err(Error::config)
    }

    /// The tables of the stream, with their names at the server.
    fn names(&self) -> Result<Vec<(String, Name)>> {
        self.stream.tables.iter().map(|table| Ok((table.clone(), self.name(table)?))).collect()
    }

    async fn log(&self, options: &Options) -> Result<Log> {
        let client = self.settings.endpoint().log_in().await;
        let client = client.map_err(|failure| super::connect::connect_failure(&self.settings, failure))?;
        Log::open(client, self.is_mariadb, options).await.at(|| self.settings.address())
    }

    /// A table as changes of it are read.
    fn captured(&self, (_, name): &(String, Name), known: &Known) -> Result<Captured> {
        let (definition, own) = known.defined(name, &self.stream.selection, &self.settings)?;
        Captured::of(&own, definition)
    }

    /// Learns the characters of these sets.
    async fn learn(&mut self, sets: &[String]) -> Result<()> {
        let unknown: Vec<_> = sets.iter().filter(|set| self.sets.coding(set).is_none()).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let mut connection = Connection::open(&self.settings).await?;
        for set in unknown {
            let learned = self.sets.learn(&mut connection, set).await;
            learned.map_err(|failure| error::of(failure, Doing::Preparing))?;
        }
        connection.close().await;
        Ok(())
    }

    /// What a table is, and from which place in the log on that is so. `None` where it is not there.
    ///
    /// Nobody alters a table that is open in a transaction, and who altered it before has logged that.
    async fn ask(&self, connection: &mut Connection, name: &Name) -> Result<Option<(Place, Known)>> {
        let reading = |failure| error::of(failure, Doing::Preparing);
        connection.run("start transaction").await.map_err(reading)?;
        match connection.run(&format!("select 1 from {name} limit 0")).await {
            Ok(()) => {}
            Err(failure) if error::number(&failure) == Some(NO_SUCH_TABLE) => {
                connection.run("rollback").await.map_err(reading)?;
                return Ok(None);
            }
            Err(failure) => return Err(reading(failure)),
        }
        let known = Known::of(connection, name).await?;
        let place = server::end(connection).await?;
        connection.run("rollback").await.map_err(reading)?;
        Ok(known.map(|known| (place, known)))
    }

    /// Whether two names are those of the same table or database.
    fn is_same(&self, one: &str, other: &str) -> bool {
        one == other || (self.ignores_case && one.to_lowercase() == other.to_lowercase())
    }
}

const NO_SUCH_TABLE: u16 = 1146;
