//! How much is read at once: over all streams and chunks of a run, and from each source.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::pace::Pace;
use super::stop::Stop;
use crate::error::{Error, Result};
use crate::job_log::Lease;

/// The places for readings. Whoever waits for other readings holds none, so that nobody waits in a circle.
#[derive(Debug, Clone)]
pub struct Readings {
    run: Arc<Semaphore>,
    source: Option<Arc<Semaphore>>,
    pub pace: Arc<Pace>,
}

/// The right to read, while it lives.
#[derive(Debug)]
pub struct Permit(#[allow(dead_code, reason = "held, not used")] [Option<OwnedSemaphorePermit>; 2]);

impl Readings {
    /// Of a run, whatever the source.
    pub fn new(parallel: usize) -> Self {
        Self { run: Arc::new(Semaphore::new(parallel)), source: None, pace: Arc::default() }
    }

    /// The same, of a source that takes at most so many, at its own pace.
    #[must_use]
    pub fn of_source(&self, most: Option<usize>, pace: Arc<Pace>) -> Self {
        Self { run: self.run.clone(), source: most.map(|most| Arc::new(Semaphore::new(most))), pace }
    }

    /// Waits for a place; `None` where a stop comes first.
    pub async fn begin(&self, stop: &mut Stop, lease: &dyn Lease) -> Result<Option<Permit>> {
        tokio::select! {
            biased;
            () = stop.requested() => Ok(None),
            lost = lease.lost() => Err(lost),
            permit = self.permit() => permit.map(Some),
        }
    }

    /// A place of the run is not held by whoever waits for one of the source.
    async fn permit(&self) -> Result<Permit> {
        let closed = |_| Error::bug("the places for readings are gone");
        let source = match &self.source {
            Some(source) => Some(source.clone().acquire_owned().await.map_err(closed)?),
            None => None,
        };
        let run = self.run.clone().acquire_owned().await.map_err(closed)?;
        Ok(Permit([source, Some(run)]))
    }
}
