//! What failed, asked for once more.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::asking::{Asked, Asker};
use super::children::Parent;
use super::delivery::Delivery;
use super::endpoint::Endpoint;
use super::failure::Failure;
use super::filter::Filter;
use super::ledger::{Entry, Ledger};
use super::marks::Marks;
use super::pages::Page;
use super::paging::{Before, Guard, Next, Place};
use super::position::Reached;
use super::report;
use super::request::Request;
use super::sieve::Sieve;
use super::target::Target;
use crate::error::Result;
use crate::record::{Checkpoint, Event, Position};
use crate::source::cursor::Seen;
use crate::source::feed::{self, Outlet, Stop};

/// Beside a refusal.
const FORGOTTEN: &str = "the server no longer knows this place, and nobody can tell what came before it; `--full-refresh` reads the stream again";

/// So many records from a place on are open; `None` where that is not known.
fn left(entry: &Entry, place: &Place) -> Option<u64> {
    match (&entry.until, place) {
        (Some(Place::Offset(until)), Place::Offset(at)) => Some(u64::try_from(until - at).unwrap_or_default()),
        _ => None,
    }
}

/// The reading of failed requests, at a position that stays.
pub struct Again {
    pub endpoint: Arc<Endpoint>,
    pub asker: Arc<Asker>,
    pub delivery: Delivery,
    pub ledger: Ledger,
    /// Those of it that are asked for.
    pub entries: Vec<Entry>,
    pub marks: Marks,
    pub reached: Reached,
    pub position: Position,
    /// What is known at the position.
    pub state: Json,
}

impl Again {
    /// Sends the table's announcement, the rows that come now, and behind those of each request what is still open.
    pub async fn read(mut self, outlet: Arc<Outlet>) -> Result<()> {
        feed::unless_closed(self.send_all(&outlet).await).map(drop)
    }

    async fn send_all(&mut self, outlet: &Outlet) -> Result<(), Stop> {
        self.delivery.announce(outlet).await?;
        for entry in std::mem::take(&mut self.entries) {
            self.enter(&entry)?;
            self.ask(&entry, outlet).await?;
            self.leave(&entry.target)?;
            outlet.send(Event::Checkpoint(self.checkpoint()?)).await?;
        }
        Ok(outlet.send(Event::Checkpoint(self.checkpoint()?)).await?)
    }

    /// Of a stream that follows a cursor: knows again what was delivered.
    fn enter(&mut self, Entry { target, delivered, .. }: &Entry) -> Result<()> {
        if let (Some(children), Some(parent)) = (&self.endpoint.children, &target.parent) {
            self.delivery.added = children.columns.iter().cloned().zip(parent.iter().cloned()).collect();
        }
        let Some(settings) = &self.endpoint.incremental else { return Ok(()) };
        self.delivery.filter = match &target.parent {
            Some(parent) if !self.is_within(parent) => self.marks.filter(parent, settings)?,
            _ => {
                let mut sieve = Sieve::new(settings.clone(), Seen::of(&self.state["delivered"])?);
                sieve.go_on(&self.state["delivered"])?;
                Filter::New(Box::new(sieve))
            }
        };
        if let Some(window) = &target.window {
            self.delivery.filter.resume(window);
        }
        match target.place.is_told() {
            true => self.delivery.filter.know(delivered),
            // Nothing came before the first page.
            false => self.delivery.filter.know(&json!({})),
        }
    }

    /// Asks for one request's page, and for those behind it where they are open as well.
    async fn ask(&mut self, entry: &Entry, outlet: &Outlet) -> Result<(), Stop> {
        let (id, mut target) = (entry.failed.id.as_str(), entry.target.clone());
        let (mut guard, mut before, mut pages, mut is_anew) = (Guard::default(), Before::UNKNOWN, 0, false);
        loop {
            let request = self.endpoint.request(&target)?;
            let (mut answer, envelope) = match report::ask(&self.asker, &self.endpoint, &request).await? {
                Asked::Page(answer, envelope) => (answer, envelope),
                Asked::Nothing => break,
                // Once: the first page is no place that can be forgotten.
                Asked::Failed(failure) if pages == 0 && target.place.is_told() && failure.is_refusal() => {
                    if !self.begin_anew(&mut target)? {
                        let reason = format!("{}: {FORGOTTEN}", failure.reason);
                        self.ledger.stays(id, (target, &request), &Failure { reason, ..failure });
                        return Ok(());
                    }
                    let (request, reason) = (request.shown(), &failure.reason);
                    tracing::warn!(
                        request,
                        reason,
                        "the server no longer knows the place of a failed request: its window is asked for anew, and what came is known again"
                    );
                    is_anew = true;
                    continue;
                }
                Asked::Failed(failure) if failure.may_be_skipped() => {
                    // The next retry is to begin anew as well, or it would not know which of the pages behind this one came before.
                    let target = if is_anew { entry.target.clone() } else { target };
                    self.stays(entry, (target, &request), &failure, outlet).await?;
                    return Ok(());
                }
                Asked::Failed(failure) => return Err(failure.error(&request).into()),
            };
            let page = Page::of(&request, &answer, envelope, &self.asker);
            let open = left(entry, &target.place);
            if let Some(open) = open {
                answer.limit(open);
            }
            let seen = self.delivery.take(*answer, &request, outlet).await?;
            let records = open.unwrap_or(u64::MAX).min(page.records());
            match pages {
                0 => self.ledger.came(records),
                _ => self.ledger.page(records),
            }
            if !entry.rest && open.is_none() {
                break;
            }
            let next = page.next(&self.endpoint, (&target.place, seen), before, &mut guard)?;
            (before.records, pages) = (before.records + page.records(), pages + 1);
            match next {
                Next::At(place) if left(entry, &place) != Some(0) => target.place = place,
                Next::At(_) | Next::End => break,
            }
        }
        self.delivery.flush(outlet).await?;
        self.delivery.filter.check(false)?;
        self.ledger.close(id);
        Ok(())
    }

    /// Has a request ask for its window from the first page on; `false` where nobody can tell what of it was delivered.
    fn begin_anew(&mut self, target: &mut Target) -> Result<bool> {
        let is_known = match &mut target.window {
            Some(window) => self.delivery.filter.begin_anew(window)?,
            None => false,
        };
        if is_known {
            target.place = self.endpoint.paging.first();
        }
        Ok(is_known)
    }

    /// An entry has failed again, at this page; those before it have come.
    async fn stays(
        &mut self,
        entry: &Entry,
        at: (Target, &Request),
        failure: &Failure,
        outlet: &Outlet,
    ) -> Result<(), Stop> {
        self.delivery.flush(outlet).await?;
        let delivered = if at.0.place.is_told() { self.delivery.filter.of_window() } else { Json::Null };
        self.ledger.stays(&entry.failed.id, at, failure);
        self.ledger.delivered(&entry.failed.id, delivered);
        Ok(())
    }

    /// Whether the position lies within a parent's pages.
    fn is_within(&self, parent: &Parent) -> bool {
        self.reached.parent.as_ref() == Some(parent) && self.reached.next.is_some()
    }

    fn leave(&mut self, target: &Target) -> Result<()> {
        match (&target.parent, &self.delivery.filter) {
            (Some(parent), Filter::New(sieve)) if !self.is_within(parent) => self.marks.note(parent, sieve),
            _ => self.delivery.filter.add_to_state(&self.reached, &mut self.state),
        }
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        let mut state = self.state.clone();
        state["columns"] = self.delivery.documents.state()?;
        state["ledger"] = self.ledger.state()?;
        if !state["parents"].is_null() {
            state["parents"] = self.marks.state();
        }
        Ok(Checkpoint { position: self.position.clone(), state })
    }
}
