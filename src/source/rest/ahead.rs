//! Pages in their order, of which some are asked for ahead, where it can be told where they are.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::asking::{Asked, Asker};
use super::endpoint::Endpoint;
use super::paging::Place;
use super::request::Request;
use super::target::Target;
use crate::error::{Error, Result};

/// Requests under way, in the order in which their pages are read.
pub struct Ahead {
    asker: Arc<Asker>,
    endpoint: Arc<Endpoint>,
    /// How many there are at once, at most.
    width: usize,
    under_way: VecDeque<Fetching>,
}

struct Fetching {
    target: Target,
    request: Request,
    task: JoinHandle<Result<Asked>>,
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ahead {
    pub fn new(asker: Arc<Asker>, endpoint: Arc<Endpoint>, width: usize) -> Self {
        Self { asker, endpoint, width: width.max(1), under_way: VecDeque::new() }
    }

    /// How many requests are under way at once, at most.
    pub fn width(&self) -> usize {
        self.width
    }

    /// For those who ask for something else of the same server.
    pub fn asker(&self) -> &Arc<Asker> {
        &self.asker
    }

    /// What a page came to. `size` is how many records pages have had, by which it is told where later ones are, and `last` the last
    /// number or offset that there is, where that is known; `following` are
    /// the first pages of the chains to come. What was asked for ahead in this chain and turns out to be none of its pages is
    /// given up.
    pub async fn get(
        &mut self,
        target: &Target,
        (size, last): (u64, Option<i64>),
        following: &[Target],
    ) -> Result<(Request, Asked)> {
        let found = self.under_way.iter().position(|one| one.target == *target);
        let before = found.unwrap_or(self.under_way.len());
        let mut at = 0;
        self.under_way.retain(|one| {
            at += 1;
            at > before || !one.target.is_beside(target)
        });
        if found.is_none() {
            let fetching = self.fetch(target.clone())?;
            self.under_way.push_front(fetching);
        }
        self.fill(target, (size, last), following)?;
        let place = self.under_way.iter().position(|one| one.target == *target);
        let first = place.and_then(|place| self.under_way.remove(place));
        let mut first = first.ok_or_else(|| Error::bug("no request is under way"))?;
        let asked = (&mut first.task).await.map_err(|ended| Error::bug(format!("a request's task ended: {ended}")))?;
        Ok((first.request.clone(), asked?))
    }

    /// Asks for what comes behind a page: of its chain where that can be told, then of the others.
    fn fill(&mut self, target: &Target, (size, last): (u64, Option<i64>), following: &[Target]) -> Result<()> {
        let is_there = |place: &Place| last.is_none_or(|last| !place.is_behind(last));
        let mut at = target.clone();
        while self.under_way.len() < self.width {
            let Some(place) = self.endpoint.paging.ahead(&at.place, size).filter(is_there) else { break };
            at = Target { place, ..at };
            if !self.is_under_way(&at) {
                let fetching = self.fetch(at.clone())?;
                self.under_way.push_back(fetching);
            }
        }
        for target in following {
            if self.under_way.len() < self.width && !self.is_under_way(target) {
                let fetching = self.fetch(target.clone())?;
                self.under_way.push_back(fetching);
            }
        }
        Ok(())
    }

    fn is_under_way(&self, target: &Target) -> bool {
        self.under_way.iter().any(|one| one.target == *target)
    }

    /// The chain that a target is of is read to its end.
    pub fn leave(&mut self, target: &Target) {
        self.under_way.retain(|one| !one.target.is_beside(target));
    }

    fn fetch(&self, target: Target) -> Result<Fetching> {
        let request = self.endpoint.request(&target)?;
        let (asker, endpoint, asked) = (self.asker.clone(), self.endpoint.clone(), request.clone());
        let task = tokio::spawn(async move { asker.ask(&asked, &endpoint).await });
        Ok(Fetching { target, request, task })
    }
}
