//! What failed, asked for once more.

use std::sync::Arc;

use serde_json::Value as Json;

use super::asking::{Asked, Asker};
use super::children::Parent;
use super::delivery::Delivery;
use super::endpoint::Endpoint;
use super::filter::Filter;
use super::ledger::{Entry, Ledger};
use super::marks::Marks;
use super::pages::Page;
use super::paging::{Guard, Next};
use super::position::Reached;
use super::report;
use super::sieve::Sieve;
use super::target::Target;
use crate::error::Result;
use crate::record::{Checkpoint, Event, Position};
use crate::source::cursor::Seen;
use crate::source::feed::{self, Outlet, Stop};

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
            self.enter(&entry.target)?;
            self.ask(&entry, outlet).await?;
            self.leave(&entry.target)?;
            outlet.send(Event::Checkpoint(self.checkpoint()?)).await?;
        }
        Ok(outlet.send(Event::Checkpoint(self.checkpoint()?)).await?)
    }

    /// Of a stream that follows a cursor: knows again what was delivered.
    fn enter(&mut self, target: &Target) -> Result<()> {
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
        Ok(())
    }

    /// Asks for one request's page, and for those behind it where they are open as well.
    async fn ask(&mut self, entry: &Entry, outlet: &Outlet) -> Result<(), Stop> {
        let (id, mut target) = (entry.failed.id.as_str(), entry.target.clone());
        let (mut guard, mut read) = (Guard::default(), 0);
        loop {
            let request = self.endpoint.request(&target)?;
            let (answer, envelope) = match report::ask(&self.asker, &self.endpoint, &request).await? {
                Asked::Page(answer, envelope) => (answer, envelope),
                Asked::Nothing => break,
                Asked::Failed(failure) if failure.may_be_skipped() => {
                    self.ledger.stays(id, (target, &request), &failure);
                    return Ok(());
                }
                Asked::Failed(failure) => return Err(failure.error(&request).into()),
            };
            let page = Page::of(&request, &answer, envelope, &self.asker);
            let seen = self.delivery.take(*answer, outlet).await?;
            if target == entry.target {
                self.ledger.came(page.records())
            } else {
                self.ledger.page(page.records())
            }
            if !entry.rest {
                break;
            }
            let next = page.next(&self.endpoint, (&target.place, seen), read, &mut guard)?;
            read += page.records();
            match next {
                Next::At(place) => target.place = place,
                Next::End => break,
            }
        }
        self.delivery.flush(outlet).await?;
        self.delivery.filter.check(false)?;
        self.ledger.close(id);
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
