//! HTTP APIs: endpoints that are read page by page.
//!
//! A request ([`request`]) is signed ([`auth`]), paced ([`pace`]), sent ([`transport`]) and judged ([`verdict`]) until it has come to
//! something ([`asking`]); what comes after a page its own words tell ([`paging`]); its records ([`body`]) become rows as all documents do
//! ([`documents`](super::documents)). A page is there to its end before a row of it is handed on. Where the server makes a file of what is
//! asked for, that is the page ([`report`]).

mod again;
mod ahead;
mod anew;
mod asking;
mod auth;
mod beginning;
pub mod body;
mod children;
mod config;
mod delivery;
mod digest;
mod endpoint;
mod failure;
mod filter;
mod incremental;
mod ledger;
mod marks;
mod origin;
mod pace;
mod pages;
mod paging;
mod position;
mod records;
mod report;
mod request;
mod rules;
mod secrets;
mod sieve;
mod signed_link;
mod target;
pub mod transport;
mod unused;
mod verdict;
mod via;
mod windows;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use self::again::Again;
use self::ahead::Ahead;
use self::asking::{Asked, Asker, Patience};
use self::beginning::Beginning;
use self::config::Settings;
use self::delivery::Delivery;
use self::endpoint::Endpoint;
use self::filter::Filter;
use self::incremental::Incremental;
use self::ledger::Ledger;
use self::marks::Marks;
use self::pace::Pace;
use self::pages::Pages;
use self::position::Reached;
use self::target::Target;
use self::via::Via;
use super::documents::{self, Chosen, Coercion, Documents};
use super::feed::Outlet;
use super::{
    Chunks, Consistency, Description, Failures, Listing, Maker, Outlook, Reader, Selection, Source, Stream, Tables,
    Wanted, feed, masking,
};
use crate::config::Section;
use crate::error::{Error, Result};
use crate::record::{Checkpoint, Event, Mode, Position, Range};

/// The registration.
pub const MAKER: Maker = Maker {
    kind: config::KIND,
    check: config::check,
    check_mode,
    check_stream,
    table: |_, text| Some(text.to_owned()),
    make: |section| Ok(Box::new(Rest::new(section, |_| Ok(Via::Server))?)),
    exchange: Some(|section, exchange| Ok(Box::new(Rest::new(section, |settings| Via::of(exchange, settings))?))),
};

fn check_mode(section: &Section, mode: Mode) -> Result<()> {
    match mode {
        Mode::Full => Ok(()),
        Mode::Incremental => {
            let settings = Incremental::of(section)?;
            masking::refuse(section, "cursor", [settings.cursor.name()])
        }
        Mode::Cdc => Err(section
            .error("mode", "is `cdc`, and an API has no log of changes")
            .hint("`mode = incremental` follows a field that grows with every change: `cursor = updated_at`.")),
    }
}

fn check_stream(section: &Section) -> Result<()> {
    documents::keys::check(section)?;
    if section.is_set("where") {
        return Err(section
            .error("where", "is of databases")
            .hint("What an API is to leave out, its parameters say: `param.NAME = …`."));
    }
    if masking::is_set(section) && section.is_set("primary_key") && !section.is_set("mask_secret") {
        return Err(section
            .error("primary_key", "needs `mask_secret` beside masks")
            .hint("The commit log keeps digests of records of neighbouring pages: without a secret, values could be guessed by them."));
    }
    unused::refuse(section)?;
    endpoint::check(section)
}

/// A server.
struct Rest {
    settings: Settings,
    via: Via,
    asker: OnceCell<Arc<Asker>>,
}

impl Rest {
    fn new(section: &Section, via: impl FnOnce(&Settings) -> Result<Via>) -> Result<Self> {
        let settings = Settings::of(section)?;
        Ok(Self { via: via(&settings)?, settings, asker: OnceCell::new() })
    }

    async fn asker(&self) -> Result<&Arc<Asker>> {
        let make = || async {
            let Settings { section, limits, known, .. } = &self.settings;
            let (transport, auth) = self.via.connect(&self.settings)?;
            let patience = Patience::of(section)?;
            let pace = Pace::new(limits.clone(), patience.backoff.longest);
            Ok(Arc::new(Asker::new(transport, auth, known.clone(), pace, patience)))
        };
        self.asker.get_or_try_init(make).await
    }

    fn endpoint(&self, selection: &Selection) -> Result<Endpoint> {
        let Tables::Query(path) = &selection.tables else {
            return Err(selection.section.fault("query", "`path` is missing: the endpoint's, behind `base_url`"));
        };
        Endpoint::of(&selection.section, (&self.settings.base_url, path), selection.mode)
    }

    /// The endpoint as it is read for a range, and up to when; `None` where nothing is to be read.
    fn opened(&self, stream: &Stream, range: Option<&Range>) -> Result<Option<(Arc<Endpoint>, Timestamp)>> {
        let endpoint = self.endpoint(&stream.selection)?;
        let endpoint = match range {
            Some(range) if *range == windows::nothing() => return Ok(None),
            Some(window) => windows::within(endpoint, window)?,
            None => endpoint,
        };
        let now = endpoint.incremental.as_ref().map_or(self.via.now(), |settings| settings.until(self.via.now()));
        Ok(Some((Arc::new(endpoint), now)))
    }

    /// What would be asked for first.
    fn first_request(
        &self,
        stream: &Stream,
        range: Option<&Range>,
        after: Option<&Checkpoint>,
    ) -> Result<Option<String>> {
        let Some((endpoint, now)) = self.opened(stream, range)? else { return Ok(None) };
        let Some(Beginning { reached, .. }) = Beginning::of(&endpoint, stream, after, now)? else { return Ok(None) };
        let of_children = || endpoint.incremental.as_ref().map(|settings| settings.first(None, now)).transpose();
        let window = match reached.window {
            Some(window) => Some(window),
            None => of_children()?.flatten(),
        };
        let target = Target { window, ..Target::at(reached.next.unwrap_or_else(|| endpoint.paging.first())) };
        Ok(Some(endpoint.request(&target)?.shown()))
    }

    fn delivery(&self, stream: &Stream, (after, filter): (Option<&Checkpoint>, Filter)) -> Result<Delivery> {
        let chosen = Chosen::of_selection(&stream.selection);
        Ok(Delivery::new(self.documents(stream, after)?, chosen, filter))
    }

    /// The stream's records as rows, as far as they are known by a checkpoint.
    fn documents(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Documents> {
        let selection = &stream.selection;
        let key = match selection.primary_key.as_slice() {
            [one] => Some(one.clone()),
            [] => None,
            _ => {
                return Err(selection
                    .section
                    .error("primary_key", "names several fields: records are told apart by one"));
            }
        };
        let coercion = coercion(&selection.section)?;
        let settings = documents::Settings {
            order: Chosen::of_selection(selection).tops(),
            charset_key: Some("response_charset"),
            ..documents::keys::settings(&selection.section, (key, Vec::new()), coercion)?
        };
        let known = after.map_or(&Value::Null, |checkpoint| Filter::columns(&checkpoint.state));
        Documents::of(&selection.output_name(stream.table()), settings, known)
    }
}

/// JSON has texts and numbers for all that it has no types for, and where answers have nothing but texts, empty ones are nothing.
fn coercion(section: &Section) -> Result<Coercion> {
    let empty_is_null = matches!(section.text("response_format")?, "csv" | "xml");
    Ok(Coercion::Written { empty_is_null })
}

/// Of a chain of pages.
const CHANGED: &str = "the keys by which the stream asks have changed since its last run, which ended between two pages: these are asked for \
                       anew from the first one on, and rows of them that are more than `lookback` before the newest may come once more";

/// A load without rows.
async fn nothing(documents: Documents, outlet: &Outlet) -> Result<()> {
    let end = Position::new(json!({ "nothing": true }));
    if delivery::announce(&documents, outlet).await.is_ok() {
        // Nobody listens any more: then nobody wants to know.
        let _ = outlet.send(Event::Checkpoint(end.into())).await;
    }
    Ok(())
}

#[async_trait]
impl Source for Rest {
    async fn identity(&self) -> Result<Value> {
        let mut identity = json!({ "type": config::KIND.name, "server": self.settings.identity });
        // What a file answered is never gone on with as what the server did.
        if self.via.is_replay() {
            identity["replay"] = true.into();
        }
        Ok(identity)
    }

    /// The server's URL, and a stream's parents.
    fn definition(&self, stream: &Stream) -> Result<Value> {
        Ok(self.endpoint(&stream.selection)?.digest.into())
    }

    async fn streams(&self, selections: &[Selection]) -> Result<Listing> {
        let mut listing = Listing::default();
        for selection in selections {
            check_mode(&selection.section, selection.mode)?;
            check_stream(&selection.section)?;
            self.endpoint(selection)?;
            let (id, tables) = (selection.stream_id(""), vec![selection.name.clone()]);
            let selection = Arc::new(selection.clone());
            listing.streams.push(Stream {
                id,
                selection,
                tables,
                estimate: None,
                range: None,
                following: Default::default(),
            });
        }
        Ok(listing)
    }

    async fn describe(&self, stream: &Stream) -> Result<Description> {
        let endpoint = Arc::new(self.endpoint(&stream.selection)?);
        if endpoint.report.is_some() {
            let note =
                "No report is ordered for this: columns that are not declared are as the records will have them."
                    .to_owned();
            return Ok(Description { table: self.documents(stream, None)?.table().clone(), notes: vec![note] });
        }
        let asker = self.asker().await?;
        let window =
            endpoint.incremental.as_ref().map(|settings| settings.first(None, self.via.now())).transpose()?.flatten();
        let mut delivery = self.delivery(stream, (None, Filter::All))?;
        let mut notes = Vec::new();
        let mut target = Target { window, ..Target::at(endpoint.paging.first()) };
        if let Some(children) = &endpoint.children {
            let parents = children.parents(asker).await?;
            notes.push(format!("It is read for each of {} records of another stream.", parents.len()));
            let Some(first) = parents.into_iter().next() else {
                return Ok(Description { table: delivery.documents.table().clone(), notes });
            };
            delivery.added = children.columns.iter().cloned().zip(first.iter().cloned()).collect();
            target.parent = Some(first);
        }
        let request = endpoint.request(&target)?;
        match asker.ask(&request, &endpoint).await? {
            Asked::Failed(failure) => return Err(failure.error(&request)),
            Asked::Nothing => notes.push("The first page has nothing, by `ignore_when`.".to_owned()),
            Asked::Page(answer, envelope) => {
                notes.push(format!("The first page has {} records; columns are as these have them.", envelope.records));
                let cursor = endpoint.incremental.as_ref().map(|settings| &settings.cursor);
                notes.extend(delivery.observe(*answer, &request, cursor).await?);
            }
        }
        Ok(Description { table: delivery.documents.table().clone(), notes })
    }

    async fn windows(&self, stream: &Stream, wanted: &Wanted, mark: Option<&Checkpoint>) -> Result<Vec<Range>> {
        windows::cut(&self.endpoint(&stream.selection)?, wanted, mark).await
    }

    /// Nothing is loaded before a stream that is begun anew: it reads all of it itself.
    async fn hand_over(&self, stream: &Stream, _: Chunks) -> Result<Chunks> {
        let endpoint = self.endpoint(&stream.selection)?;
        let Some(settings) = &endpoint.incremental else {
            return Err(Error::bug("a load is handed over to no cursor"));
        };
        let place = Reached::following(settings).position()?.into();
        let ranges = vec![windows::nothing()];
        Ok(Chunks { ranges, handover: Some(place), ..Chunks::whole(Consistency::Chunk) })
    }

    async fn outlook(&self, stream: &Stream, ranges: &[Option<Range>], after: Option<&Checkpoint>) -> Result<Outlook> {
        let first = |range: &Option<Range>| {
            self.first_request(stream, range.as_ref(), after).map(|request| request.into_iter().collect())
        };
        Ok(Outlook { statements: ranges.iter().map(first).collect::<Result<_>>()?, ..Outlook::default() })
    }

    async fn open(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        let Some((endpoint, now)) = self.opened(stream, stream.range.as_ref())? else {
            let documents = self.documents(stream, None)?;
            return Ok(feed::from_task(|outlet| async move { nothing(documents, &outlet).await }));
        };
        let Some(Beginning { reached, filter, anew }) = Beginning::of(&endpoint, stream, after, now)? else {
            return match after.cloned() {
                Some(checkpoint) => Ok(feed::at_its_end(checkpoint)),
                None => Err(Error::config(format!("stream {}: `start` is in the future", stream.id))),
            };
        };
        let state = after.map_or(&Value::Null, |checkpoint| &checkpoint.state);
        let delivery = self.delivery(stream, (after, filter))?;
        let width = usize::try_from(stream.selection.section.integer("concurrency")?).unwrap_or(1);
        let ahead = Ahead::new(self.asker().await?.clone(), endpoint.clone(), self.via.width(width));
        let (mut ledger, marks) = (Ledger::of(state)?, Marks::of(state)?);
        if let Some(chain) = anew {
            tracing::warn!(stream = %stream.id, "{CHANGED}");
            ledger.forget(&chain);
        }
        let told = std::time::Instant::now();
        let is_resumed = true;
        let pages = Pages { endpoint, ahead, delivery, reached, ledger, marks, now, told, is_resumed };
        Ok(feed::from_task(|outlet| pages.read(outlet)))
    }

    fn failures(&self, _: &Stream, state: &Value) -> Result<Failures> {
        Ledger::of(state).map(Ledger::failures)
    }

    async fn open_failed(&self, stream: &Stream, at: &Checkpoint) -> Result<Box<dyn Reader>> {
        let endpoint = Arc::new(self.endpoint(&stream.selection)?);
        let ledger = Ledger::of(&at.state)?;
        // A load that nothing was to be asked for has none, and neither has what is handed over to.
        if stream.range.is_some() || ledger.open().is_empty() {
            return Ok(feed::at_its_end(at.clone()));
        }
        let again = Again {
            entries: ledger.open_of(&endpoint.digest)?,
            delivery: self.delivery(stream, (Some(at), Filter::All))?,
            asker: self.asker().await?.clone(),
            reached: Reached::of(&at.position, endpoint.incremental.as_ref())?,
            marks: Marks::of(&at.state)?,
            position: at.position.clone(),
            state: at.state.clone(),
            ledger,
            endpoint,
        };
        Ok(feed::from_task(|outlet| again.read(outlet)))
    }
}
