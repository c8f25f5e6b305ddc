//! Pages in their order, of which some are asked for ahead, where it can be told where they are.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::asking::{Asked, Asker};
use super::endpoint::Endpoint;
use super::incremental::Window;
use super::paging::Place;
use super::request::Request;
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
    place: Place,
    window: Option<Window>,
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

    /// For those who ask for something else of the same server.
    pub fn asker(&self) -> &Arc<Asker> {
        &self.asker
    }

    /// What a page came to. `size` is how many records pages have had, by which it is told where later ones are. What was asked
    /// for ahead and turns out to be none of the pages is given up.
    pub async fn get(&mut self, place: &Place, window: Option<&Window>, size: u64) -> Result<(Request, Asked)> {
        if self.under_way.front().is_none_or(|first| first.place != *place || first.window.as_ref() != window) {
            self.under_way.clear();
            self.fetch(place.clone(), window)?;
        }
        while self.under_way.len() < self.width {
            let Some(next) = self.under_way.back().and_then(|last| self.endpoint.paging.ahead(&last.place, size))
            else {
                break;
            };
            self.fetch(next, window)?;
        }
        let Some(mut first) = self.under_way.pop_front() else { return Err(Error::bug("no request is under way")) };
        let asked = (&mut first.task).await.map_err(|ended| Error::bug(format!("a request's task ended: {ended}")))?;
        Ok((first.request.clone(), asked?))
    }

    fn fetch(&mut self, place: Place, window: Option<&Window>) -> Result<()> {
        let request = self.endpoint.request(&place, window)?;
        let (asker, endpoint, asked) = (self.asker.clone(), self.endpoint.clone(), request.clone());
        let task = tokio::spawn(async move { asker.ask(&asked, &endpoint).await });
        self.under_way.push_back(Fetching { place, window: window.cloned(), request, task });
        Ok(())
    }
}
