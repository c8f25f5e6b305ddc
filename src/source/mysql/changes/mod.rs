//! Changes as the server logs them, with snapshots of the tables.

mod begin;
mod captured;
mod cascades;
mod chunk;
pub mod conditions;
mod ddl;
mod define;
mod files;
mod from;
mod gauge;
mod known;
mod place;
mod prepared;
mod reading;
mod server;
mod statement;
mod tables;
mod tail;
mod undo;

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use self::begin::Beginner;
use self::captured::Captured;
use self::chunk::Chunks;
use self::files::Files;
use self::gauge::Gauge;
use self::known::Known;
use self::place::{Executed, Place};
use self::tail::Tail;
use super::binlog::{CharacterSets, Log, Options, Start};
use super::config::Settings;
use super::connect::{Connection, text};
use super::error::{self, Doing};
use super::name::Name;
use super::rights;
use crate::error::{Context, Error, Kind, Result};
use crate::record::Checkpoint;
use crate::source::changes::{self, Asked, Until, follow};
use crate::source::following::{self, Beginning};
use crate::source::{Reader, Stream, feed};

/// What each table of a stream is by now in the log.
type History = changes::History<Place, Known>;
type Has = changes::Has<Place, Known>;

/// How often the server says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Opens the log after a checkpoint, or where it ends now, with snapshots of all tables.
pub async fn open(settings: &Arc<Settings>, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
    let stream = &tables::with_what_went(stream, after, &settings.database)?;
    let section = &stream.selection.section;
    let beginning = Beginning::of(section)?;
    let mut connection = Connection::open(settings).await?;
    let asked = server::Settings::of(&mut connection).await.at(|| settings.address())?;
    asked.check().at(|| settings.address())?;
    let asker = Asker::of(&mut connection, settings, stream).await?;
    server::refuse_left_out(&mut connection, &asked, &asker.databases()?).await.at(|| settings.address())?;
    tables::look(&mut connection, &asked, &asker, after).await?;
    let mut beginner = Beginner { connection: &mut connection, asker: &asker, stream, beginning };
    let (mut place, history, mut prepared) = beginner.place(after).await?;
    if let Some(checkpoint) = after.filter(|_| beginning == Beginning::SnapshotOnly && place.snapshots.is_empty()) {
        return Ok(feed::at_its_end(checkpoint.clone()));
    }
    let goes_on = stream.following.goes_on && beginning != Beginning::SnapshotOnly;
    let until = if goes_on { Until::Stopped } else { Until::End };
    let ends = until == Until::End;
    let mut options = asker.options(Place::of(&place.log)?.start(asker.is_mariadb)?, ends);
    let opened = match server::has(beginner.connection, &Place::of(&place.log)?).await {
        Ok(()) => asker.log(&options).await,
        Err(refused) => Err(refused).at(|| settings.address()),
    };
    let log = match opened {
        Err(lost) if lost.kind() == Kind::Lost && following::begins_anew_where_lost(section)? => {
            tracing::warn!(stream = %stream.id, "{}", read_anew(&lost));
            beginner.anew(&mut place, &history, &mut prepared).await?;
            options = asker.options(Place::of(&place.log)?.start(asker.is_mariadb)?, ends);
            asker.log(&options).await?
        }
        opened => opened?,
    };
    let begun = Place::of(&place.log)?;
    let gauge = Gauge::begin(connection, asker.clone(), prepared.needed(&begun)).await;
    let mut chunks = Chunks::new(asker.clone(), history.clone());
    let mut tail = Tail::of((log, options), asker, (history, prepared), begun, gauge)?;
    Ok(feed::from_task(
        move |outlet| async move { follow(Asked { place, until }, &mut tail, &mut chunks, &outlet).await },
    ))
}

/// What becomes of a place that is lost, by `on_lost = snapshot`.
fn read_anew(lost: &Error) -> String {
    format!("{}: all tables are read anew (on_lost = snapshot)", lost.message().trim_end_matches('.'))
}

/// A number that no replica is likely to have: those that people give are small.
fn own_id() -> u32 {
    let random = Uuid::now_v7().as_u128();
    (random as u32 & 0x3fff_ffff) | 0x4000_0000
}

/// Asks the server what a reader of its log has to know.
#[derive(Clone)]
struct Asker {
    settings: Arc<Settings>,
    stream: Stream,
    is_mariadb: bool,
    /// Names of tables are the same in other letters.
    ignores_case: bool,
    sets: CharacterSets,
    /// MySQL gives each transaction an id from now on.
    has_gtids: bool,
}

impl Asker {
    async fn of(connection: &mut Connection, settings: &Arc<Settings>, stream: &Stream) -> Result<Self> {
        let reading = |failure| error::of(failure, Doing::Preparing);
        let sets = CharacterSets::of(connection).await.map_err(reading)?;
        let rows = connection.rows("select @@global.lower_case_table_names", ()).await.map_err(reading)?;
        let ignores_case = rows.first().is_some_and(|row| text(row, 0) != "0");
        let is_mariadb = connection.is_mariadb;
        let has_gtids = !is_mariadb && server::has_gtids(connection).await?;
        Ok(Self { settings: settings.clone(), stream: stream.clone(), is_mariadb, ignores_case, sets, has_gtids })
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

    fn databases(&self) -> Result<Vec<String>> {
        let mut databases: Vec<_> = self.names()?.into_iter().map(|(_, name)| name.database).collect();
        databases.dedup();
        Ok(databases)
    }

    /// How to ask for a dump, as a replica of its own.
    fn options(&self, start: Start, ends: bool) -> Options {
        Options {
            server_id: own_id(),
            uuid: Uuid::now_v7(),
            start,
            heartbeat: HEARTBEAT,
            write_timeout: self.settings.write_timeout,
            ends,
        }
    }

    async fn log(&self, options: &Options) -> Result<Log> {
        let client = self.settings.endpoint().log_in().await;
        let client = client.map_err(|failure| super::connect::connect_failure(&self.settings, failure))?;
        Log::open(client, self.is_mariadb, options).await.at(|| self.settings.address())
    }

    /// The oldest file of the log.
    async fn first_file(&self) -> Result<String> {
        let mut connection = Connection::open(&self.settings).await?;
        let files = Files::of(&mut connection).await?;
        connection.close().await;
        files.oldest().map(str::to_owned).ok_or_else(|| Error::unavailable("the server tells of no file of its log"))
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
        if !rights::all_columns(connection, name).await? {
            connection.run("rollback").await.map_err(reading)?;
            return Ok(None);
        }
        let known = Known::of(connection, name).await?;
        let place = server::end(connection).await?;
        connection.run("rollback").await.map_err(reading)?;
        Ok(known.map(|known| (place, known)))
    }

    /// Whether rows of transactions that come to nothing may be in the log. Those with ids on MySQL never change tables without
    /// transactions besides.
    fn may_go_back(&self, executed: &Executed) -> bool {
        !matches!(executed, Executed::Mysql(_))
    }

    /// Whether two names are those of the same table or database.
    fn is_same(&self, one: &str, other: &str) -> bool {
        one == other || (self.ignores_case && one.to_lowercase() == other.to_lowercase())
    }
}
