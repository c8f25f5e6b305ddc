//! PostgreSQL: whole tables, and what is new in them, by binary COPY; all whole tables of a run in one snapshot.

mod altered;
mod batches;
mod catalog;
mod config;
mod connect;
mod copy;
mod decode;
mod name;
mod plan;
mod position;
mod probe;
mod query;
mod snapshot;
mod type_catalog;
mod types;
mod windows;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};

use self::altered::Unaltered;
use self::catalog::Relation;
use self::config::{Policies, Settings};
use self::connect::{Sees, Session, get};
use self::name::{Name, readable};
use self::plan::Plan;
use self::position::Moment;
use self::query::Query;
use self::snapshot::Snapshot;
use super::listing::{self, Catalog, Found, Listing};
use super::{Description, Maker, Reader, Selection, Source, Stream, Wanted, cursor, feed};
use crate::config::Section;
use crate::error::{Error, Kind, Result};
use crate::net::postgres::error;
use crate::record::{Checkpoint, Event, Mode, Range};

pub const MAKER: Maker = Maker {
    kind: config::KIND,
    check: |section| {
        Policies::of(section)?;
        Settings::of(section).map(drop)
    },
    check_mode,
    check_stream: |section| Policies::of(section).map(drop),
    table: |section, text| Name::parse(text, section.get("schema")?).ok().map(|name| name.display()),
    make: |section| Ok(Box::new(Postgres::new(section)?)),
};

fn check_mode(section: &Section, mode: Mode) -> Result<()> {
    match mode {
        Mode::Full => Ok(()),
        Mode::Incremental => cursor::Settings::of(section).map(drop),
        Mode::Cdc => Err(section.error("mode", "cannot be `cdc` with PostgreSQL yet")),
    }
}

/// A database.
struct Postgres {
    settings: Arc<Settings>,
    /// For looking into the catalog.
    looking: Mutex<Option<Session>>,
    /// What all tables of the run are read from; taken when the first of them is opened, kept to the end.
    snapshot: OnceCell<Snapshot>,
}

impl Postgres {
    fn new(section: &Section) -> Result<Self> {
        Ok(Self { settings: Arc::new(Settings::of(section)?), looking: Mutex::new(None), snapshot: OnceCell::new() })
    }

    /// A connection in a transaction that sees what is committed. Used again by whoever gives it back after success.
    async fn look(&self) -> Result<Session> {
        let kept = self.looking.lock().await.take().filter(|session| !session.is_closed());
        if let Some(session) = kept
            && session.begin(Sees::Latest).await.is_ok()
        {
            return Ok(session);
        }
        let session = Session::connect(&self.settings).await?;
        session.begin(Sees::Latest).await.map_err(|e| session.error(&e))?;
        Ok(session)
    }

    async fn give_back(&self, session: Session) -> Result<()> {
        session.run("COMMIT").await?;
        *self.looking.lock().await = Some(session);
        Ok(())
    }

    /// Opens an incremental stream.
    async fn query(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        let settings = cursor::Settings::of(&stream.selection.section)?;
        let looker = self.look().await?;
        looker.run("COMMIT").await?;
        let reader = Session::connect(&self.settings).await?;
        reader.begin(Sees::Latest).await.map_err(|e| reader.error(&e))?;
        let plan = Plan::make(&reader, stream).await?;
        let window = stream.range.as_ref().map(cursor::Window::of).transpose()?;
        let (after, stream) = (after.cloned(), stream.id.to_string());
        let query = Query { reader, looker, plan, settings, after, window, stream };
        Ok(feed::from_task(|outlet| query.read(outlet)))
    }

    /// Refuses what the session's transaction has locked if it was altered since its snapshot.
    async fn check_unaltered(&self, session: &Session, moment: &Moment) -> Result<Unaltered> {
        let mut unaltered = Unaltered::new(&self.settings);
        let seen = unaltered.locked(session).await?;
        if !seen.is_empty() {
            // After the locks: it sees all that was committed before they were had.
            let latest = self.look().await?;
            let compared = unaltered.compare(&seen, &latest, moment).await;
            self.give_back(latest).await?;
            compared?;
        }
        Ok(unaltered)
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
        plan::choose(self.session, &table.known, selection, &Policies::of(&selection.section)?).await
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
        let session = self.look().await?;
        let plan = Plan::make(&session, stream).await?;
        let mut notes = plan.notes();
        if stream.selection.mode == Mode::Incremental {
            let settings = cursor::Settings::of(&stream.selection.section)?;
            notes.extend(query::notes(&session, &plan, &settings).await?);
        }
        self.give_back(session).await?;
        Ok(Description { table: plan.table.clone(), notes })
    }

    async fn windows(&self, stream: &Stream, wanted: &Wanted, mark: Option<&Checkpoint>) -> Result<Vec<Range>> {
        let settings = cursor::Settings::of(&stream.selection.section)?;
        let session = self.look().await?;
        let plan = Plan::make(&session, stream).await?;
        let windows = windows::cut(&session, &plan, &settings, wanted, mark).await?;
        self.give_back(session).await?;
        windows.iter().map(cursor::Window::range).collect()
    }

    async fn open(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        if stream.selection.mode == Mode::Incremental {
            return self.query(stream, after).await;
        }
        if let Some(checkpoint) = after.cloned() {
            position::check_done(&checkpoint.position)?;
            return Ok(feed::from_task(|outlet| async move {
                let _ = outlet.send(Event::Checkpoint(checkpoint)).await;
                Ok(())
            }));
        }
        let snapshot = self.snapshot.get_or_try_init(|| Snapshot::take(&self.settings)).await?;
        let (session, moment) = snapshot.reader(&self.settings).await?;
        let plan = match Plan::make(&session, stream).await {
            // The catalog of then, against names as they are now. What can be planned now was altered in between.
            Err(e) if e.kind() == Kind::Schema && self.describe(stream).await.is_ok() => {
                let what = format!("table {} was altered ({})", stream.table, e.message());
                return Err(altered::of_another_moment(&what, &moment));
            }
            plan => plan?,
        };
        let unaltered = self.check_unaltered(&session, &moment).await?;
        Ok(feed::from_task(|outlet| copy::read(session, plan, moment, unaltered, outlet)))
    }
}
