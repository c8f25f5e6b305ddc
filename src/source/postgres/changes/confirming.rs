//! The reader of a log whose last commit reaches the server too, though nobody reads the log any more by then.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};

use super::place::Place;
use crate::error::{Error, Result};
use crate::record::{Event, Lag, Position};
use crate::source::postgres::replication::Log;
use crate::source::{Reader, changes};

/// How long the server is waited for to let the slot go.
const PATIENCE: Duration = Duration::from_secs(5);

/// A reader, and the log that its task leaves where it came to its end.
pub struct Confirming {
    reader: Box<dyn Reader>,
    left: oneshot::Receiver<Log>,
    verdict: watch::Receiver<Option<Error>>,
    /// Where it begins; `None` once it has told of a place itself.
    begun: Option<Place>,
    log: Option<Log>,
    has_ended: bool,
}

impl Confirming {
    /// `verdict` may come to say why the reading has to end before its time.
    pub fn new(
        reader: Box<dyn Reader>,
        begun: Place,
        left: oneshot::Receiver<Log>,
        verdict: watch::Receiver<Option<Error>>,
    ) -> Self {
        Self { reader, left, verdict, begun: Some(begun), log: None, has_ended: false }
    }
}

/// Waits for one; for ever, where nobody is left who could give it.
async fn judged(verdict: &mut watch::Receiver<Option<Error>>) -> Error {
    let error = verdict.wait_for(Option::is_some).await.ok().and_then(|error| error.clone());
    match error {
        Some(error) => error,
        None => std::future::pending().await,
    }
}

#[async_trait]
impl Reader for Confirming {
    async fn next(&mut self) -> Result<Option<Event>> {
        let next = tokio::select! {
            biased;
            error = judged(&mut self.verdict) => return Err(error),
            next = self.reader.next() => next?,
        };
        self.has_ended = next.is_none();
        if matches!(next, Some(Event::Checkpoint(_))) {
            self.begun = None;
        }
        Ok(next)
    }

    async fn ack(&mut self, position: &Position) -> Result<()> {
        let place = Place::of(&changes::Place::of(position)?.log)?;
        // Of a stream that begins anew, what was committed last is of another slot, or of another server's log.
        if self.begun.is_some_and(|begun| place != begun) {
            return Ok(());
        }
        if let Ok(log) = self.left.try_recv() {
            self.log = Some(log);
        }
        let Some(log) = &self.log else { return self.reader.ack(position).await };
        log.confirm(place.0);
        // What is not confirmed now is, by the next run.
        if self.has_ended
            && let Some(log) = self.log.take()
            && let Err(error) = log.close(PATIENCE).await
        {
            tracing::debug!("the slot was left without a word: {}", error.message());
        }
        Ok(())
    }

    fn lag(&self) -> Option<Lag> {
        self.reader.lag()
    }

    fn holds(&self) -> u64 {
        self.reader.holds()
    }
}
