//! Streams of changes, out of the server's log.

mod begin;
mod captured;
mod chunk;
pub mod conditions;
mod confirming;
mod ends;
mod filling;
mod gauge;
mod holder;
mod known;
mod place;
mod present;
mod proof;
mod publication;
mod reading;
mod retained;
mod server;
mod slot;
mod spool;
mod tables;
mod tail;
mod timeline;
mod told;
mod unchanged;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_postgres::types::Type as Oid;

use self::begin::Beginner;
use self::captured::Captured;
use self::chunk::Chunks;
use self::confirming::Confirming;
use self::ends::Ends;
use self::gauge::Gauge;
pub use self::gauge::guard;
use self::known::Known;
use self::place::Place;
use self::present::Present;
use self::proof::Proof;
use self::publication::Publication;
use self::reading::Reading;
use self::tail::Tail;
use super::catalog::{self, Relation};
use super::config::Settings;
use super::connect::{Sees, Session, get};
use super::name::{Name, quoted};
use super::replication::{self, Lsn, Options, Slot};
use crate::error::{Context, Error, Result};
use crate::record::{Checkpoint, Table, change};
use crate::source::changes::{self, Asked, Until, follow};
use crate::source::following::Beginning;
use crate::source::{Reader, Selection, Stream, Tables, feed};

/// What each table of a stream is by now in the log.
type History = changes::History<Place, Known>;
type Has = changes::Has<Place, Known>;

/// Opens the log after a checkpoint, or where the slot begins, with snapshots of all tables.
pub async fn open(settings: &Arc<Settings>, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
    let section = &stream.selection.section;
    let beginning = Beginning::of(section)?;
    let stream = &tables::with_what_went(stream, after, &settings.schema)?;
    let asker = Asker::of(settings, stream)?;
    let session = asker.look().await?;
    tables::look(&session, &asker).await?;
    asker.publication.check(&session, &asker.tables(&session).await?).await.at(|| settings.address())?;
    let mut log = replication::Session::connect(settings).await?;
    let slot = log.slot(&asker.slot).await?;
    let mut beginner = Beginner { session: &session, log: &mut log, asker: &asker, stream, beginning };
    let (mut place, history) = beginner.place(slot.as_ref(), after).await?;
    if let Some(checkpoint) = after.filter(|_| beginning == Beginning::SnapshotOnly && place.snapshots.is_empty()) {
        return Ok(feed::at_its_end(checkpoint.clone()));
    }
    let watch = beginner.settle(&mut place, &history, after).await.at(|| settings.address())?;
    let now = asker.end_by(&session).await?;
    let goes_on = stream.following.goes_on && beginning != Beginning::SnapshotOnly;
    let until = if goes_on { Until::Stopped } else { Until::End };
    session.close().await;
    let begun = Place::of(&place.log)?;
    let options = Options {
        slot: asker.slot.clone(),
        publications: vec![asker.publication.name.clone()],
        start: begun.0,
        binary: false,
        two_phase: false,
        messages: false,
    };
    let timeline = timeline::now(&mut log).await?;
    let log = log.start(&options).await?;
    let (gauge, proof) = (Gauge::begin(asker.clone(), history.clone(), now, watch), Proof::default());
    let verdict = gauge.verdict();
    let mut chunks = Chunks::new(asker.clone(), history.clone(), proof.clone());
    let reading = Reading::of(asker, history, proof, (begun, timeline))?;
    let mut tail = Tail::of(log, reading, gauge, (until == Until::End).then_some(now));
    let (leave, left) = oneshot::channel();
    let reader = feed::from_task(move |outlet| async move {
        follow(Asked { place, until }, &mut tail, &mut chunks, &outlet).await?;
        // Nobody may be there any more.
        let _ = leave.send(tail.into_log());
        Ok(())
    });
    Ok(Box::new(Confirming::new(reader, begun, left, verdict)))
}

/// Asks the server what a reader of its log has to know.
#[derive(Clone)]
struct Asker {
    settings: Arc<Settings>,
    stream: Stream,
    slot: String,
    publication: Publication,
    ends: Ends,
    /// What the log leaves away is read from the tables.
    fills: bool,
}

impl Asker {
    fn of(settings: &Arc<Settings>, stream: &Stream) -> Result<Self> {
        let selection = &stream.selection;
        let named = |key| selection.section.get(key).map_or_else(|| slot::default_name(&selection.name), str::to_owned);
        let (slot, publication) = (named("slot"), Publication { name: named("publication") });
        if !slot::is_name(&slot) {
            let message = "is no name of a replication slot: 1 to 63 lower-case letters, digits and underscores";
            return Err(selection.section.fault("slot", message));
        }
        let fills = selection.section.flag("fill_unchanged")?;
        let (settings, stream) = (settings.clone(), stream.clone());
        Ok(Self { settings, stream, slot, publication, ends: Ends::default(), fills })
    }

    /// As people write it, where a schema may be left out.
    fn written(&self, table: &str) -> Result<Name> {
        Name::parse(table, &self.settings.schema).map_err(Error::config)
    }

    /// As the stream's tables are named.
    fn name(&self, table: &str) -> Result<Name> {
        Name::of_display(table)
    }

    /// The tables of the stream, with their names at the server.
    fn names(&self) -> Result<Vec<(String, Name)>> {
        self.stream.tables.iter().map(|table| Ok((table.clone(), self.name(table)?))).collect()
    }

    /// A session in a transaction that sees the latest.
    async fn look(&self) -> Result<Session> {
        let session = Session::connect(&self.settings).await?;
        self.begin(&session).await?;
        Ok(session)
    }

    /// Begins such a transaction.
    async fn begin(&self, session: &Session) -> Result<()> {
        session.begin(Sees::Latest).await.map_err(|e| session.error(&e))?;
        // Types are named as a snapshot names them.
        session.run(&format!("SET LOCAL search_path = {}", quoted(&self.settings.schema))).await
    }

    async fn find(&self, session: &Session, name: &Name) -> Result<Option<Relation>> {
        catalog::find(session, name).await
    }

    /// The stream's tables that are there.
    async fn tables(&self, session: &Session) -> Result<Vec<Name>> {
        let mut there = Vec::new();
        for (_, name) in self.names()? {
            if self.find(session, &name).await?.is_some() {
                there.push(name);
            }
        }
        Ok(there)
    }

    /// What a table is by the catalog of now. `None` where it is not there.
    async fn now(&self, session: &Session, name: &Name) -> Result<Option<Known>> {
        loop {
            let Some(relation) = self.find(session, name).await? else { return Ok(None) };
            let known = Known::of(session, &relation, &self.publication).await?;
            // Each statement sees the latest, by which another one may have its name.
            if self.find(session, name).await?.is_some_and(|now| now.oid == relation.oid) {
                return Ok(Some(known));
            }
        }
    }

    /// What a table is, and from which place in the log on that is so. `None` where it is not there.
    ///
    /// Nobody alters a table that is open in a transaction, and who altered it before has logged that.
    async fn ask(&self, session: &Session, name: &Name) -> Result<Option<(Place, Known)>> {
        if self.find(session, name).await?.is_none() {
            return Ok(None);
        }
        session.run(&format!("SELECT FROM {name} LIMIT 0")).await?;
        let Some(known) = self.now(session, name).await? else { return Ok(None) };
        let place = Place(self.behind_commits(session).await?);
        Ok(Some((place, known)))
    }

    /// The stream as a query reads what is published of one of its tables.
    fn published(&self, table: &str, known: &Known) -> Result<Stream> {
        let selection = Selection {
            columns: Some(known.chosen(table, &self.stream.selection)?),
            exclude_columns: Vec::new(),
            filter: known.filter.clone(),
            tables: Tables::Many(vec![table.to_owned()]),
            ..Selection::clone(&self.stream.selection)
        };
        Ok(Stream { selection: Arc::new(selection), ..self.stream.of_table(table) })
    }

    /// A table as changes of it are read.
    async fn captured(&self, session: &Session, table: &str, known: &Known) -> Result<Captured> {
        let defined = known.defined(session, table, &self.stream.selection).await?;
        let present = if self.fills { Present::of(self.name(table)?, known, &defined) } else { None };
        Captured::of(known, &defined, self.changes(&defined.table)?, present)
    }

    /// A table as changes of it are handed on.
    async fn described(&self, table: &str, known: &Known) -> Result<Arc<Table>> {
        let session = self.look().await?;
        let defined = known.defined(&session, table, &self.stream.selection).await?;
        session.close().await;
        self.changes(&defined.table)
    }

    /// The table of a table's changes.
    fn changes(&self, own: &Table) -> Result<Arc<Table>> {
        let table = if self.fills { change::filled_table(own) } else { change::table(own) };
        table.map(Arc::new)
    }

    /// The stream's slot, as the server has it.
    async fn slot_by(&self, session: &Session) -> Result<Option<Slot>> {
        // As JSON, since each version has more columns than the one before.
        let sql = "SELECT pg_catalog.to_jsonb(s)::pg_catalog.text AS slot FROM pg_catalog.pg_replication_slots AS s \
                   WHERE s.slot_name = $1";
        let rows = session.query(sql, &[(&self.slot, Oid::TEXT)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Slot::of(&get::<String>(row, "slot")?))
    }

    /// Where the log ends now.
    async fn end(&self) -> Result<Lsn> {
        let session = self.look().await?;
        let end = self.end_by(&session).await?;
        session.close().await;
        Ok(end)
    }

    async fn end_by(&self, session: &Session) -> Result<Lsn> {
        place_of(session, "pg_catalog.pg_current_wal_insert_lsn()").await
    }

    /// The place that all commits of now are before: what is unwritten there for long is waited for no longer.
    async fn behind_commits(&self, session: &Session) -> Result<Lsn> {
        let (end, flushed) = (self.end_by(session).await?, self.flushed_by(session).await?);
        if flushed < end {
            self.patience_by(session).await?;
        }
        Ok(self.ends.behind_commits(end, flushed, Instant::now()))
    }

    /// After how long what is not on the server's disk is no commit.
    async fn patience(&self) -> Result<Duration> {
        if let Some(patience) = self.ends.patience() {
            return Ok(patience);
        }
        let session = self.look().await?;
        let patience = self.patience_by(&session).await?;
        session.close().await;
        Ok(patience)
    }

    async fn patience_by(&self, session: &Session) -> Result<Duration> {
        if let Some(patience) = self.ends.patience() {
            return Ok(patience);
        }
        let sql = "SELECT s.setting::int8 AS millis FROM pg_catalog.pg_settings AS s WHERE s.name = 'wal_writer_delay'";
        let millis: i64 = get(&session.query_one(sql, &[]).await?, "millis")?;
        Ok(self.ends.writes_every(Duration::from_millis(millis.unsigned_abs())))
    }

    /// How far the log is on the server's disk.
    async fn flushed(&self) -> Result<Lsn> {
        let session = self.look().await?;
        let end = self.flushed_by(&session).await?;
        session.close().await;
        Ok(end)
    }

    /// The same, by a session: what is behind it may come to nothing, if the server fails.
    async fn flushed_by(&self, session: &Session) -> Result<Lsn> {
        place_of(session, "pg_catalog.pg_current_wal_flush_lsn()").await
    }
}

async fn place_of(session: &Session, function: &str) -> Result<Lsn> {
    let sql = format!(
        "SELECT (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE {function} END)\
         ::pg_catalog.text AS lsn"
    );
    let lsn: String = get(&session.query_one(&sql, &[]).await?, "lsn")?;
    lsn.parse().map_err(|_| Error::bug("the server's place in its log has another form than X/X"))
}
