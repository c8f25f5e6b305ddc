//! MongoDB: collections as tables whose columns are found in the documents; what is new by a cursor field, and what changes by
//! change streams.

mod catalog;
mod changes;
mod chosen;
mod chunks;
mod config;
mod connect;
mod error;
mod id;
mod mark;
mod order;
mod plan;
mod position;
mod probe;
mod query;
mod replies;
mod rows;
mod seed;
mod shape;
mod whole;
mod windows;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::doc;
use serde_json::{Value, json};

use self::catalog::Collection;
use self::chunks::Span;
use self::config::Settings;
use self::connect::Server;
use self::order::Ordered;
use self::plan::Plan;
use self::probe::Looking;
use self::query::Query;
use self::seed::{Seed, Seeds};
use self::whole::Whole;
use self::windows::Looked;
use super::listing::{self, Catalog, Found, Listing};
use super::{
    Chunks, Conditions, Consistency, Description, Maker, Outlook, Reader, Selection, Source, Stream, Wanted, cursor,
    feed,
};
use crate::config::Section;
use crate::error::{Context, Result};
use crate::record::{Checkpoint, Mode, Range};

pub const MAKER: Maker = Maker {
    kind: config::KIND,
    check: |section| Settings::of(section).map(drop),
    check_mode,
    check_stream,
    table: |_, text| Some(text.to_owned()),
    make: |section| Ok(Box::new(Mongo::new(section)?)),
    exchange: None,
};

fn check_mode(section: &Section, mode: Mode) -> Result<()> {
    if section.is_set("query") {
        return Err(section
            .error("query", "is none that MongoDB has")
            .hint("Name a collection with `table`, and a condition with `where`."));
    }
    if section.is_set("chunk_by") {
        return Err(section.error("chunk_by", "says nothing of MongoDB: chunks are ranges of `_id`"));
    }
    match mode {
        Mode::Full => chunks::check_consistency(section),
        Mode::Incremental => {
            chunks::check_consistency(section)?;
            order::paths(&cursor::Settings::of(section)?).map(drop)
        }
        Mode::Cdc => changes::check(section),
    }
}

fn check_stream(section: &Section) -> Result<()> {
    shape::check(section)
}

/// A database.
struct Mongo {
    server: Arc<Server>,
    seeds: Seeds,
}

impl Mongo {
    fn new(section: &Section) -> Result<Self> {
        Ok(Self { server: Arc::new(Server::new(Settings::of(section)?)), seeds: Seeds::default() })
    }

    /// How a stream is read, and what its documents are like.
    async fn plan(&self, stream: &Stream) -> Result<(Plan, Seed)> {
        let plan = Plan::make(&self.server, stream).await?;
        let seed = self.seeds.of(&self.server, &plan, &seed::key(stream)).await;
        let seed = seed.at(|| format!("collection {}", plan.collection.name))?;
        Ok((plan, seed))
    }

    /// Plans an incremental stream.
    async fn query(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Query> {
        let settings = cursor::Settings::of(&stream.selection.section)?;
        let window = stream.range.as_ref().map(cursor::Window::of).transpose()?;
        let (plan, seed) = self.plan(stream).await?;
        let ordered = Ordered::of(&self.server, &plan, &settings).await?;
        let (server, after, stream) = (self.server.clone(), after.cloned(), stream.id.to_string());
        Ok(Query { server, plan, seed, settings, ordered, after, window, stream })
    }

    /// Opens a collection, or a chunk of one.
    async fn whole(&self, stream: &Stream, span: &Span) -> Result<Box<dyn Reader>> {
        let (plan, seed) = self.plan(stream).await?;
        let condition = match &span.cursor {
            Some(window) => {
                let settings = cursor::Settings::of(&stream.selection.section)?;
                Some(Ordered::of(&self.server, &plan, &settings).await?.within(window)?)
            }
            None => None,
        };
        let whole = Whole::begin(&self.server, plan, (span, condition), &seed).await?;
        Ok(feed::from_task(|outlet| whole.read(outlet)))
    }
}

/// Looks names up.
struct Lister<'a> {
    server: &'a Server,
    all: Vec<Collection>,
}

impl Lister<'_> {
    async fn found(&self, selection: &Selection, collection: Collection) -> Result<Found<Collection>> {
        let estimate = match selection.filter {
            Some(_) => None,
            None => catalog::count(self.server, &collection).await?,
        };
        Ok(Found { name: collection.name.clone(), table: collection.name.clone(), estimate, known: collection })
    }
}

#[async_trait]
impl Catalog for Lister<'_> {
    type Known = Collection;

    fn name(&self, text: &str) -> String {
        text.to_owned()
    }

    fn absent(&self, text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    async fn named(&mut self, selection: &Selection, text: &str) -> Result<Found<Collection>> {
        let database = &self.server.settings.database;
        let collection = catalog::named(&selection.section, selection.table_key(), text, &self.all, database)?;
        self.found(selection, collection).await
    }

    async fn matching(&mut self, selection: &Selection, text: &str) -> Result<Vec<Found<Collection>>> {
        let database = &self.server.settings.database;
        let mut found = Vec::new();
        let mut all = self.all.clone();
        // What has no changes is left out of them.
        all.retain(|collection| selection.mode != Mode::Cdc || collection.has_changes());
        for collection in catalog::matching(&selection.section, text, &all, database)? {
            found.push(self.found(selection, collection).await?);
        }
        Ok(found)
    }

    /// Documents may have any field.
    async fn columns(&mut self, _: &Selection, _: &Found<Collection>) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn check_columns(&self, _: &Selection, _: &[(String, Vec<String>)]) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Source for Mongo {
    async fn identity(&self) -> Result<Value> {
        let database = &self.server.settings.database;
        if let Some(identity) = &self.server.settings.identity {
            return Ok(json!({ "type": config::KIND.name, "identity": identity, "database": database }));
        }
        let hello = self.server.hello().await?;
        Ok(json!({ "type": config::KIND.name, "replica_set": hello.replica_set, "database": database }))
    }

    async fn streams(&self, selections: &[Selection]) -> Result<Listing> {
        for selection in selections {
            check_mode(&selection.section, selection.mode)?;
            check_stream(&selection.section)?;
        }
        let all = catalog::all(&self.server).await?;
        listing::list(&mut Lister { server: &self.server, all }, selections).await
    }

    async fn describe(&self, stream: &Stream) -> Result<Description> {
        let (plan, seed) = self.plan(stream).await?;
        let documents = plan.documents(&seed.known)?;
        let mut notes = plan.notes();
        match stream.selection.mode {
            Mode::Cdc => changes::conditions::check_table(&self.server, stream, stream.table()).await?,
            Mode::Incremental => {
                let settings = cursor::Settings::of(&stream.selection.section)?;
                notes.extend(query::notes(&self.server, &plan, &settings).await?);
            }
            Mode::Full => {}
        }
        Ok(Description { table: documents.table().clone(), notes })
    }

    async fn conditions(&self, stream: &Stream, after: Option<&Checkpoint>, _: Duration) -> Result<Conditions> {
        match stream.selection.mode {
            Mode::Cdc => changes::conditions::of(&self.server, stream, after).await,
            Mode::Full | Mode::Incremental => Ok(Conditions::default()),
        }
    }

    async fn chunks(&self, stream: &Stream) -> Result<Chunks> {
        let (plan, mut seed) = self.plan(stream).await?;
        let spans = chunks::spans(&self.server, &plan, &stream.selection, &mut seed).await;
        let spans = spans.at(|| format!("collection {}", plan.collection.name))?;
        self.seeds.set(&seed::key(stream), seed).await;
        // One cursor sees what is written while it reads.
        let ranges = spans.iter().map(Span::range).collect();
        Ok(Chunks { ranges, ..Chunks::whole(Consistency::Chunk) })
    }

    async fn windows(&self, stream: &Stream, wanted: &Wanted, mark: Option<&Checkpoint>) -> Result<Vec<Range>> {
        let settings = cursor::Settings::of(&stream.selection.section)?;
        let plan = Plan::make(&self.server, stream).await?;
        let ordered = Ordered::of(&self.server, &plan, &settings).await?;
        let looking = Looking { server: &self.server, plan: &plan, ordered: &ordered, settle: settings.settle };
        // Of a collection without any, they are what the mark is.
        let class = match looking.class().await? {
            Some(class) => class,
            None => query::class_of_mark(mark, &settings)?,
        };
        let windows =
            cursor::cut(&mut Looked { looking, class }, wanted, cursor::Place::of(mark, &settings)?.mark).await?;
        windows.iter().map(cursor::Window::range).collect()
    }

    async fn hand_over(&self, stream: &Stream, chunks: Chunks) -> Result<Chunks> {
        let query = self.query(&Stream { range: None, ..stream.clone() }, None).await?;
        let handover = query.handover().await.at(|| format!("collection {}", query.plan.collection.name))?;
        Span::handed(&chunks, &handover)
    }

    async fn outlook(&self, stream: &Stream, ranges: &[Option<Range>], _: Option<&Checkpoint>) -> Result<Outlook> {
        let (plan, seed) = self.plan(stream).await?;
        let rows = seed.documents.filter(|_| !plan.is_filtered());
        let bytes = rows.zip(seed.document_bytes).map(|(rows, bytes)| rows.saturating_mul(bytes));
        let statement = |range: &Option<Range>| {
            let span = Span::of(range.as_ref())?;
            let scope = plan::Scope { from: span.from, until: span.until, ..plan::Scope::default() };
            Ok(vec![plan.find(&scope, rows::reply_documents(seed.document_bytes))?.to_string()])
        };
        Ok(Outlook { rows, bytes, statements: ranges.iter().map(statement).collect::<Result<_>>()? })
    }

    async fn running(&self) -> Result<Option<u64>> {
        let told = self.server.try_run(doc! { "serverStatus": 1, "repl": 0, "metrics": 0, "locks": 0 }).await?;
        let Ok(told) = told else { return Ok(None) };
        let clients = told.get_document("globalLock").and_then(|lock| lock.get_document("activeClients"));
        let total = clients.ok().and_then(|clients| clients.get_i32("total").ok());
        Ok(total.and_then(|total| u64::try_from(total).ok()))
    }

    async fn open(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        if stream.selection.mode == Mode::Cdc {
            return changes::open(&self.server, stream, after).await;
        }
        let handed = stream.range.as_ref().and_then(Span::of_handover);
        if stream.selection.mode == Mode::Incremental && handed.is_none() {
            let query = self.query(stream, after).await?;
            return Ok(feed::from_task(|outlet| query.read(outlet)));
        }
        if let Some(checkpoint) = after.cloned() {
            position::check(&checkpoint.position)?;
            return Ok(feed::at_its_end(checkpoint));
        }
        self.whole(stream, &Span::of(stream.range.as_ref())?).await
    }
}
