//! PostgreSQL: whole tables, and what is new in them, by binary COPY; all whole tables of a run in one snapshot.

mod altered;
mod batches;
mod catalog;
mod changes;
mod chunks;
mod config;
mod connect;
mod copy;
mod decode;
mod histogram;
mod looker;
mod name;
mod outlook;
mod plan;
mod position;
mod probe;
mod query;
pub mod replication;
mod snapshot;
mod type_catalog;
mod types;
mod whole;
mod windows;

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use self::catalog::Relation;
use self::config::{Policies, Settings};
use self::connect::{Sees, Session, get};
use self::looker::Looker;
use self::name::{Name, readable};
use self::plan::Plan;
use self::query::{Ordered, Query};
use self::snapshot::Snapshot;
use self::whole::Whole;
use self::windows::Looked;
use super::keyset::{self, Span};
use super::listing::{self, Catalog, Found, Listing};
use super::{
    Chunks, Conditions, Consistency, Description, Maker, Outlook, Reader, Selection, Source, Stream, Wanted, cursor,
    feed,
};
use crate::config::Section;
use crate::error::{Context, Error, Kind, Result};
use crate::net::postgres::error;
use crate::record::{Checkpoint, Mode, Range};

pub const MAKER: Maker = Maker {
    kind: config::KIND,
    check: |section| {
        Policies::of(section)?;
        Settings::of(section).map(drop)
    },
    check_mode,
    check_stream,
    table: |section, text| Name::parse(text, section.get("schema")?).ok().map(|name| name.display()),
    make: |section| Ok(Box::new(Postgres::new(section)?)),
    exchange: None,
};

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

/// Checks what single keys of a stream do not tell.
fn check_stream(section: &Section) -> Result<()> {
    Policies::of(section)?;
    if section.list("chunk_by") == [chunks::PAGES] && section.get("consistency") == Some("chunk") {
        return Err(section
            .error("chunk_by", "is `ctid`, by which rows move between one statement and the next")
            .hint("Set `consistency = table` too, so that one snapshot sees all of them; or name columns."));
    }
    Ok(())
}

/// A database.
struct Postgres {
    settings: Arc<Settings>,
    looker: Arc<Looker>,
    /// What all tables of the run are read from, where they are to be of one moment; taken when the first of them is
    /// opened, kept to the end.
    snapshot: OnceCell<Arc<Snapshot>>,
    /// Snapshots that the chunks of a table share, by what the server calls them.
    shared: StdMutex<HashMap<String, Weak<Snapshot>>>,
}

impl Postgres {
    fn new(section: &Section) -> Result<Self> {
        let settings = Arc::new(Settings::of(section)?);
        let looker = Arc::new(Looker::new(settings.clone()));
        Ok(Self { settings, looker, snapshot: OnceCell::new(), shared: StdMutex::default() })
    }

    async fn look(&self) -> Result<Session> {
        self.looker.look().await
    }

    async fn give_back(&self, session: Session) -> Result<()> {
        self.looker.give_back(session).await
    }

    /// The run's snapshot.
    async fn of_run(&self) -> Result<Arc<Snapshot>> {
        let take = || async { Snapshot::take(&self.settings).await.map(Arc::new) };
        self.snapshot.get_or_try_init(take).await.cloned()
    }

    /// What the chunks of a stream are to share.
    async fn share(&self, consistency: Consistency) -> Result<Arc<Snapshot>> {
        match consistency {
            Consistency::Run => self.of_run().await,
            Consistency::Table => {
                let snapshot = Arc::new(Snapshot::take(&self.settings).await?);
                if let Some(id) = snapshot.id()? {
                    let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
                    shared.retain(|_, snapshot| snapshot.strong_count() > 0);
                    shared.insert(id.to_owned(), Arc::downgrade(&snapshot));
                }
                Ok(snapshot)
            }
            _ => Ok(Arc::new(Snapshot::Own)),
        }
    }

    /// What a chunk is to be read in. A snapshot that is not ours ended with its process, or with a failure of the load.
    async fn snapshot_of(&self, span: &Span, asked: Consistency) -> Result<Arc<Snapshot>> {
        // What an incremental stream goes on from was found after any snapshot of the run.
        if span.cursor.is_some() {
            return Ok(Arc::new(Snapshot::Own));
        }
        let Some(wanted) = &span.snapshot else {
            return if asked == Consistency::Run { self.of_run().await } else { Ok(Arc::new(Snapshot::Own)) };
        };
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner).get(wanted).and_then(Weak::upgrade);
        let known = shared.or_else(|| self.snapshot.get().cloned());
        let known = known.filter(|snapshot| matches!(snapshot.id(), Ok(Some(id)) if id == wanted));
        known.ok_or_else(|| keyset::lost("the snapshot that its chunks share is gone"))
    }

    /// Opens an incremental stream.
    async fn query(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        let query = self.begin_query(stream, after).await?;
        Ok(feed::from_task(|outlet| query.read(outlet)))
    }

    async fn begin_query(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Query> {
        let settings = cursor::Settings::of(&stream.selection.section)?;
        let looker = self.look().await?;
        looker.run("COMMIT").await?;
        let reader = Session::connect(&self.settings).await?;
        reader.begin(Sees::Latest).await.map_err(|e| reader.error(&e))?;
        let plan = Plan::make(&reader, stream).await?;
        let window = stream.range.as_ref().map(cursor::Window::of).transpose()?;
        let (after, stream, server) = (after.cloned(), stream.clone(), self.settings.clone());
        Ok(Query { reader, looker, plan, settings, after, window, stream, server })
    }
}

/// Looks names up in a transaction of its own.
struct Lister<'a> {
    session: &'a Session,
    settings: &'a Settings,
}

impl Lister<'_> {
    fn parse(&self, selection: &Selection, text: &str) -> Result<Name> {
        Name::parse(text, &self.settings.schema)
            .map_err(|problem| selection.section.error(selection.table_key(), problem))
    }
}

#[async_trait]
impl Catalog for Lister<'_> {
    type Known = Relation;

    fn name(&self, text: &str) -> String {
        Name::parse(text, &self.settings.schema).map_or_else(|_| text.to_owned(), |name| name.display())
    }

    fn absent(&self, text: &str) -> Option<String> {
        Name::parse(text, &self.settings.schema).ok().map(|name| name.display())
    }

    async fn named(&mut self, selection: &Selection, text: &str) -> Result<Found<Relation>> {
        let name = self.parse(selection, text)?;
        let relation = catalog::relation(self.session, &name, &selection.section, selection.table_key()).await?;
        Ok(found(selection, relation))
    }

    async fn matching(&mut self, selection: &Selection, text: &str) -> Result<Vec<Found<Relation>>> {
        let name = self.parse(selection, text)?;
        let relations = catalog::matching(self.session, &name, &selection.section, text).await?;
        Ok(relations.into_iter().map(|relation| found(selection, relation)).collect())
    }

    async fn columns(&mut self, selection: &Selection, table: &Found<Relation>) -> Result<Vec<String>> {
        let policies = Policies::of(&selection.section)?;
        Ok(plan::choose(self.session, &table.known, selection, &policies).await?.0)
    }

    fn check_columns(&self, selection: &Selection, tables: &[(String, Vec<String>)]) -> Result<()> {
        Policies::of(&selection.section)?.check_names(&selection.section, tables)
    }
}

fn found(selection: &Selection, relation: Relation) -> Found<Relation> {
    let name = relation.name.display();
    // A condition leaves nobody knows how much.
    let estimate = relation.estimate.filter(|_| selection.filter.is_none());
    Found { table: name.clone(), name, estimate, known: relation }
}

#[async_trait]
impl Source for Postgres {
    async fn identity(&self) -> Result<Value> {
        let database = &self.settings.database;
        if let Some(identity) = &self.settings.identity {
            return Ok(json!({"type": config::KIND.name, "identity": identity, "database": database}));
        }
        let session = self.look().await?;
        let asked = session
            .query_one("SELECT system_identifier::pg_catalog.text AS id FROM pg_catalog.pg_control_system()", &[])
            .await;
        let row = asked.map_err(|e| match e.kind() {
            // To do without would give the source another identity on the day of the grant.
            Kind::Denied => Error::denied("the server does not tell its system identifier to us").hint(format!(
                "GRANT EXECUTE ON FUNCTION pg_control_system() TO {}; or say with `identity` what this database is.",
                readable(&self.settings.username)
            )),
            _ => e,
        })?;
        let id: String = get(&row, "id")?;
        self.give_back(session).await?;
        Ok(json!({"type": config::KIND.name, "system_identifier": id, "database": database}))
    }

    async fn streams(&self, selections: &[Selection]) -> Result<Listing> {
        for selection in selections {
            check_mode(&selection.section, selection.mode)?;
            Policies::of(&selection.section)?;
        }
        let session = self.look().await?;
        let mut lister = Lister { session: &session, settings: &self.settings };
        let listing = listing::list(&mut lister, selections).await?;
        self.give_back(session).await?;
        Ok(listing)
    }

    async fn describe(&self, stream: &Stream) -> Result<Description> {
        let published = match stream.selection.mode {
            Mode::Cdc => changes::conditions::published(&self.settings, stream).await?,
            Mode::Full | Mode::Incremental => None,
        };
        let session = self.look().await?;
        let plan = Plan::make(&session, published.as_ref().unwrap_or(stream)).await?;
        let mut notes = plan.notes();
        if stream.selection.mode == Mode::Incremental {
            let settings = cursor::Settings::of(&stream.selection.section)?;
            notes.extend(query::notes(&session, &plan, &settings).await?);
        } else {
            notes.extend(chunks::note(&session, &plan, &stream.selection).await?);
        }
        self.give_back(session).await?;
        if stream.selection.mode == Mode::Cdc {
            notes.extend(changes::conditions::of_table(&self.settings, stream).await?);
        }
        Ok(Description { table: plan.table.clone(), notes })
    }

    async fn conditions(&self, stream: &Stream, after: Option<&Checkpoint>, _: Duration) -> Result<Conditions> {
        match stream.selection.mode {
            Mode::Cdc => changes::conditions::of(&self.settings, stream, after).await,
            Mode::Full | Mode::Incremental => Ok(Conditions::default()),
        }
    }

    async fn create(&self, stream: &Stream) -> Result<Vec<String>> {
        match stream.selection.mode {
            Mode::Cdc => changes::conditions::create(&self.settings, stream).await,
            Mode::Full | Mode::Incremental => Ok(Vec::new()),
        }
    }

    async fn guard(&self, stream: &Stream) -> Result<()> {
        match stream.selection.mode {
            Mode::Cdc => changes::guard(&self.settings, stream).await,
            Mode::Full | Mode::Incremental => Ok(()),
        }
    }

    async fn windows(&self, stream: &Stream, wanted: &Wanted, mark: Option<&Checkpoint>) -> Result<Vec<Range>> {
        let settings = cursor::Settings::of(&stream.selection.section)?;
        let session = self.look().await?;
        let plan = Plan::make(&session, stream).await?;
        let ordered = Ordered::of(&session, &plan, &settings).await?;
        let mut axis = Looked { session: &session, plan: &plan, ordered };
        let windows = cursor::cut(&mut axis, wanted, cursor::Place::of(mark, &settings)?.mark).await?;
        self.give_back(session).await?;
        windows.iter().map(cursor::Window::range).collect()
    }

    async fn chunks(&self, stream: &Stream) -> Result<Chunks> {
        let asked = stream.selection.cut.consistency;
        // What one moment is asked for of a stream that grows, one statement reads.
        if stream.selection.mode == Mode::Incremental && asked != Consistency::Chunk {
            return Ok(Chunks::whole(Consistency::Statement));
        }
        let snapshot = self.share(asked).await?;
        let id = snapshot.id()?.map(str::to_owned);
        let is_shared = matches!(asked, Consistency::Table | Consistency::Run);
        if is_shared && id.is_none() {
            return Ok(Chunks::whole(Consistency::Statement));
        }
        let session = self.look().await?;
        let plan = Plan::make(&session, stream).await?;
        let spans = chunks::spans(&session, &plan, &stream.selection).await;
        let mut spans = spans.at(|| format!("table {}", plan.table.name))?;
        self.give_back(session).await?;
        if !is_shared {
            let consistency = if spans.is_empty() { Consistency::Statement } else { asked };
            let ranges = spans.iter().map(Span::range).collect();
            return Ok(Chunks { ranges, ..Chunks::whole(consistency) });
        }
        if spans.is_empty() {
            spans.push(Span::default());
        }
        spans.iter_mut().for_each(|span| span.snapshot = id.clone());
        let ranges = spans.iter().map(Span::range).collect();
        Ok(Chunks { ranges, hold: Some(Box::new(snapshot)), ..Chunks::whole(asked) })
    }

    async fn hand_over(&self, stream: &Stream, chunks: Chunks) -> Result<Chunks> {
        let unbound = Stream { range: None, ..stream.clone() };
        let query = self.begin_query(&unbound, None).await?;
        let handover = query.handover().await?;
        query.reader.run("COMMIT").await?;
        query.reader.close().await;
        query.looker.close().await;
        Span::handed(chunks, handover)
    }

    async fn running(&self) -> Result<Option<u64>> {
        let session = self.look().await?;
        let row = session.query_one(RUNNING, &[]).await?;
        self.give_back(session).await?;
        let running: Option<i64> = get(&row, "running")?;
        Ok(running.and_then(|running| u64::try_from(running).ok()))
    }

    async fn outlook(&self, stream: &Stream, ranges: &[Option<Range>], after: Option<&Checkpoint>) -> Result<Outlook> {
        let session = self.look().await?;
        let plan = Plan::make(&session, stream).await?;
        let outlook = outlook::of(&session, &plan, stream, ranges, after).await;
        let outlook = outlook.at(|| format!("table {}", plan.table.name))?;
        self.give_back(session).await?;
        Ok(outlook)
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
            position::check_done(&checkpoint.position)?;
            return Ok(feed::at_its_end(checkpoint));
        }
        let span = Span::of(stream.range.as_ref())?;
        let snapshot = self.snapshot_of(&span, stream.selection.cut.consistency).await?;
        let whole = Whole::begin(&self.looker, stream, span, snapshot).await?;
        Ok(feed::from_task(|outlet| whole.read(outlet)))
    }
}

/// Null where the states of others are kept from us. The session that asks is not at work.
const RUNNING: &str = "
SELECT CASE WHEN pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') THEN
    (SELECT count(*) FROM pg_catalog.pg_stat_activity AS a
     WHERE a.state = 'active' AND a.backend_type = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid())
END AS running";
