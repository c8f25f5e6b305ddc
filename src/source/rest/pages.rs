//! An endpoint that is read page by page: chains of pages, one for each part of the cursor, and each parent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::Value as Json;

use super::ahead::Ahead;
use super::asking::{Asked, Asker};
use super::body::{Envelope, Found, Path};
use super::children::Parent;
use super::delivery::Delivery;
use super::endpoint::Endpoint;
use super::failure::Failure;
use super::filter::Filter;
use super::ledger::Ledger;
use super::marks::Marks;
use super::paging::{self, Before, Guard, Next, Place};
use super::position::Reached;
use super::records::{Records, Seen};
use super::request::Request;
use super::secrets::Secrets;
use super::target::Target;
use crate::error::{Error, Result};
use crate::record::{Checkpoint, Event};
use crate::source::feed::{self, Outlet, Stop};

/// Places are told of at most this often: each costs the definition of the columns.
const BETWEEN_PLACES: Duration = Duration::from_millis(100);

/// The reading of a stream.
pub struct Pages {
    pub endpoint: Arc<Endpoint>,
    pub ahead: Ahead,
    pub delivery: Delivery,
    pub reached: Reached,
    pub ledger: Ledger,
    /// Of parents: what is new of each.
    pub marks: Marks,
    /// When it began: nothing later is asked for.
    pub now: Timestamp,
    /// When a place was told of last.
    pub told: Instant,
    /// No page was asked for yet: the place is an earlier run's.
    pub is_resumed: bool,
}

impl Pages {
    /// Sends the table's announcement, rows, and places between pages.
    pub async fn read(mut self, outlet: Arc<Outlet>) -> Result<()> {
        feed::unless_closed(self.send_all(&outlet).await).map(drop)
    }

    async fn send_all(&mut self, outlet: &Outlet) -> Result<(), Stop> {
        self.delivery.announce(outlet).await?;
        match self.endpoint.children.is_some() {
            true => self.parents(outlet).await?,
            false => self.chains(&[], outlet).await?,
        }
        self.tell(outlet).await
    }

    /// Reads the chains of every parent, in the parents' order: what lies before one was read.
    async fn parents(&mut self, outlet: &Outlet) -> Result<(), Stop> {
        let endpoint = self.endpoint.clone();
        let Some(children) = &endpoint.children else { return Ok(()) };
        let parents = children.parents(self.ahead.asker()).await?;
        let begun = self.reached.parent.take();
        let is_open = self.reached.next.is_some();
        let is_left = |parent: &&Parent| match &begun {
            Some(begun) => *parent > begun || (*parent == begun && is_open),
            None => true,
        };
        let left: Vec<&Parent> = parents.iter().filter(is_left).collect();
        for (at, parent) in left.iter().copied().enumerate() {
            if begun.as_ref() != Some(parent) && !self.enter(parent)? {
                continue;
            }
            self.reached.parent = Some(parent.clone());
            let added = children.columns.iter().cloned().zip(parent.iter().cloned());
            self.delivery.added = added.collect();
            let following = left[at + 1..].iter().take(self.ahead.width()).map(|parent| self.first(parent));
            let following: Vec<_> = following.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
            self.chains(&following, outlet).await?;
            // Which of its records are new is known once they are looked at.
            if self.endpoint.incremental.is_some() {
                self.delivery.flush(outlet).await?;
                self.marks.leave(parent, self.reached.mark.take(), &self.delivery.filter)?;
            }
            if self.told.elapsed() >= BETWEEN_PLACES {
                self.tell(outlet).await?;
            }
        }
        self.reached =
            Reached { cursor: self.reached.cursor.take(), begun: self.reached.begun.take(), ..Reached::default() };
        if self.endpoint.incremental.is_some() {
            self.delivery.filter = Filter::All;
        }
        self.marks.keep(children.most, &parents);
        Ok(())
    }

    /// The first page of a parent, where there is anything new to ask for.
    fn first(&self, parent: &Parent) -> Result<Option<Target>> {
        let window = match &self.endpoint.incremental {
            Some(settings) => match settings.first(self.marks.of_parent(parent).as_ref(), self.now)? {
                Some(window) => Some(window),
                None => return Ok(None),
            },
            None => None,
        };
        Ok(Some(Target { parent: Some(parent.clone()), window, place: self.endpoint.paging.first() }))
    }

    /// Begins a parent; `false` where there is nothing new to ask for.
    fn enter(&mut self, parent: &Parent) -> Result<bool> {
        let Some(first) = self.first(parent)? else { return Ok(false) };
        if let Some(settings) = &self.endpoint.incremental {
            self.delivery.filter = self.marks.filter(parent, settings)?;
        }
        self.reached.mark = self.marks.of_parent(parent).map(|mark| mark.0);
        (self.reached.window, self.reached.next) = (first.window, Some(first.place));
        (self.reached.pages, self.reached.records, self.reached.left_out) = (0, 0, 0);
        Ok(true)
    }

    /// Reads one chain after the other, for as long as there are parts of the cursor.
    async fn chains(&mut self, following: &[Target], outlet: &Outlet) -> Result<(), Stop> {
        loop {
            self.chain(following, outlet).await?;
            if self.endpoint.incremental.is_some() {
                // What is high is known of records that were looked at.
                self.delivery.flush(outlet).await?;
                self.delivery.filter.check(self.reached.mark.is_none())?;
            }
            if !self.turn()? {
                return Ok(());
            }
            if self.told.elapsed() >= BETWEEN_PLACES {
                self.tell(outlet).await?;
            }
        }
    }

    /// Reads pages up to the last one.
    async fn chain(&mut self, following: &[Target], outlet: &Outlet) -> Result<(), Stop> {
        let (mut guard, mut size, mut refused) = (Guard::default(), 0, Refused::default());
        if let Some(window) = &self.reached.window {
            match self.reached.pages {
                0 => self.delivery.filter.begin(window)?,
                _ => self.delivery.filter.resume(window),
            }
        }
        while let Some(place) = self.reached.next.clone() {
            let target = Target { parent: self.reached.parent.clone(), window: self.reached.window.clone(), place };
            let (request, asked) = match self.endpoint.report {
                Some(_) => self.report(&target, outlet).await?,
                None => self.ahead.get(&target, (size, guard.last), following).await?,
            };
            let is_forgotten = std::mem::take(&mut self.is_resumed) && target.place.is_told();
            let (next, records) = match asked {
                Asked::Page(answer, envelope) => {
                    refused = Refused::default();
                    let page = Page::of(&request, &answer, envelope, self.ahead.asker());
                    let seen = self.delivery.take(*answer, &request, outlet).await?;
                    size = page.records();
                    let before = Before { records: self.reached.records, is_whole: self.reached.left_out == 0 };
                    let next = page.next(&self.endpoint, (&target.place, seen), before, &mut guard)?;
                    self.ledger.page(page.records());
                    (next, page.records())
                }
                Asked::Nothing => {
                    self.ledger.page(0);
                    (Next::End, 0)
                }
                Asked::Failed(failure) if is_forgotten && failure.is_refusal() => {
                    self.begin_anew(&request, &failure)?;
                    continue;
                }
                Asked::Failed(failure) => {
                    refused.check(&failure, &request)?;
                    // What the pages before it have delivered is known once it is looked at.
                    self.delivery.flush(outlet).await?;
                    self.reached.left_out += 1;
                    (self.skip(target.clone(), &request, &failure, size)?, 0)
                }
            };
            self.reached.pages += 1;
            self.reached.records += records;
            self.reached.next = match next {
                Next::At(place) => Some(place),
                Next::End => {
                    self.ahead.leave(&target);
                    self.reached.next = None;
                    return Ok(());
                }
            };
            if self.told.elapsed() >= BETWEEN_PLACES {
                self.tell(outlet).await?;
            }
        }
        Ok(())
    }

    /// Leaves out a page that failed, where that may be and where it can be told what comes behind it.
    fn skip(&mut self, target: Target, request: &Request, failure: &Failure, size: u64) -> Result<Next> {
        let Some(skip) = self.endpoint.skip.filter(|_| failure.may_be_skipped()) else {
            return Err(failure.error(request));
        };
        let next = self.endpoint.paging.behind(&target.place, size);
        // Another chain follows: of the next part of the cursor, or of the next parent.
        let others_follow = target.window.is_some() || target.parent.is_some();
        if next.is_none() && !others_follow {
            return Err(failure.error(request));
        }
        let is_told = target.place.is_told();
        self.ledger.fail(&self.endpoint.digest, (target, request), failure, next.is_none(), skip)?;
        let until = next.clone().filter(|next| matches!(next, Place::Offset(_)));
        let delivered = if is_told { self.delivery.filter.of_window() } else { Json::Null };
        self.ledger.note(until, delivered);
        Ok(next.map_or(Next::End, Next::At))
    }

    /// What comes behind a chain of pages: where everything was read up to its end, the next part of the cursor.
    fn turn(&mut self) -> Result<bool> {
        let Some(settings) = &self.endpoint.incremental else { return Ok(false) };
        let next = match &self.reached.window {
            Some(window) => {
                let high =
                    self.delivery.filter.high(self.reached.mark.as_deref()).or_else(|| self.reached.mark.clone());
                let mark = match self.endpoint.skip {
                    // What has failed is closed by itself: nothing of the window may be asked for once more.
                    Some(_) => window.until.clone().or(high),
                    None => settings.mark_behind(window, high, self.now),
                };
                self.reached.mark = mark;
                settings.next(window, self.now)?
            }
            None => None,
        };
        (self.reached.pages, self.reached.records, self.reached.left_out) = (0, 0, 0);
        self.reached.next = next.as_ref().map(|_| self.endpoint.paging.first());
        self.reached.window = next;
        Ok(self.reached.window.is_some())
    }

    /// Hands on what is at hand, and says where reading goes on.
    pub async fn tell(&mut self, outlet: &Outlet) -> Result<(), Stop> {
        self.delivery.flush(outlet).await?;
        outlet.send(Event::Checkpoint(self.checkpoint()?)).await?;
        self.told = Instant::now();
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<Checkpoint> {
        self.reached.of = self.reached.next.as_ref().map(|_| self.endpoint.digest.clone());
        let mut state = self.delivery.filter.state(&self.reached, self.delivery.documents.state()?)?;
        state["ledger"] = self.ledger.state()?;
        if self.endpoint.children.is_some() && self.endpoint.incremental.is_some() {
            state["parents"] = self.marks.state();
        }
        Ok(Checkpoint { position: self.reached.position()?, state })
    }
}

/// Pages of a chain that were refused one after the other, up to now.
#[derive(Debug, Default)]
struct Refused {
    status: Option<StatusCode>,
    pages: u32,
}

impl Refused {
    /// More do not follow one another: behind the last page there may be an error in place of an empty page, for ever.
    const MOST: u32 = 3;

    fn check(&mut self, failure: &Failure, request: &Request) -> Result<()> {
        let status = failure.status.filter(|status| status.is_client_error() && failure.is_refusal());
        self.pages = match status.is_some() && status == self.status {
            true => self.pages + 1,
            false => u32::from(status.is_some()),
        };
        self.status = status;
        let Some(status) = status.filter(|_| self.pages >= Self::MOST) else { return Ok(()) };
        let (pages, status) = (self.pages, status.as_u16());
        let error = failure.error(request);
        Err(Error::data(format!(
            "{}; {pages} pages in a row were answered so, as behind the last one: `ignore_when = status = {status}` (or `last_page`, `total`) tells the end",
            error.message()
        )))
    }
}

/// What is kept of a page while its records are taken.
pub struct Page {
    url: url::Url,
    headers: reqwest::header::HeaderMap,
    envelope: Envelope,
    /// Names of parameters that hold secrets.
    secret_names: Vec<String>,
    secrets: Secrets,
}

impl Page {
    pub fn of(request: &Request, answer: &Records, envelope: Envelope, asker: &Asker) -> Self {
        let (secret_names, secrets) = (asker.auth.secret_names(), asker.known.with(request));
        Self { url: request.full_url(), headers: answer.headers.clone(), envelope, secret_names, secrets }
    }

    pub fn records(&self) -> u64 {
        self.envelope.records
    }

    /// What comes behind it, and behind what came before it.
    pub fn next(
        &self,
        endpoint: &Endpoint,
        (place, seen): (&Place, Seen),
        before: Before,
        guard: &mut Guard,
    ) -> Result<Next> {
        let next = endpoint.paging.next_in_body();
        let value = |path: &Path| match endpoint.value(&self.envelope, path) {
            Found::Bool(false) if next.is_some_and(|(_, next)| next == path) => None,
            found => found.scalar(),
        };
        let page = paging::Page {
            url: &self.url,
            headers: &self.headers,
            value: &value,
            records: self.envelope.records,
            last_key: seen.last_key,
            digest: seen.digest,
            secret_names: &self.secret_names,
            secrets: &self.secrets,
        };
        let found = next.map(|(key, path)| (key, path, endpoint.value(&self.envelope, path)));
        if let Some((key, path, Found::Nested | Found::Bool(true))) = found {
            return Err(Error::data(format!("`{path}` of the answer, which `{key}` names, is no text or number"))
                .hint("Name the field within it that tells the next page, such as `paging.next.href`."));
        }
        let next = endpoint.paging.after(place, &page, before, guard)?;
        if let (Next::End, 0, Some((key, path, Found::Absent))) = (&next, before.records, found)
            && endpoint.paging.may_be_full(page.records, endpoint.children.is_none())
        {
            tracing::warn!(
                key,
                %path,
                records = page.records,
                "the first page says nothing of a next one, and is taken for the only one: see whether that path is right"
            );
        }
        Ok(next)
    }
}
