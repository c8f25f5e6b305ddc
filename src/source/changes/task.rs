//! The task that reads log and chunks in turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Begun, Chunks, Log, Place, Snapshot, Step};
use crate::error::Result;
use crate::record::{Checkpoint, Event};
use crate::source::feed::{self, Outlet, Stop};

/// Till when a log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To the end that it has when all snapshots are read.
    End,
    /// As long as anybody listens.
    Stopped,
}

/// From where, and till when.
#[derive(Debug, Clone)]
pub struct Asked {
    pub place: Place,
    pub until: Until,
}

/// How long the log goes on before a chunk that could not be begun is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// Sends all of it.
pub async fn follow(asked: Asked, log: &mut dyn Log, chunks: &mut dyn Chunks, outlet: &Arc<Outlet>) -> Result<()> {
    let Asked { place, until } = asked;
    let now = Instant::now();
    let mut task = Task { place, until, log, chunks, outlet, not_before: now, not_yet: now, is_between: true };
    feed::unless_closed(task.run().await).map(drop)
}

struct Task<'a> {
    place: Place,
    until: Until,
    log: &'a mut dyn Log,
    chunks: &'a mut dyn Chunks,
    outlet: &'a Arc<Outlet>,
    /// The log has its turn until then: as long as the last chunk took.
    not_before: Instant,
    /// When a chunk that could not be begun is worth another try.
    not_yet: Instant,
    /// Between two transactions.
    is_between: bool,
}

impl Task<'_> {
    async fn run(&mut self) -> Result<(), Stop> {
        let mut acked = self.outlet.acked();
        loop {
            if acked.has_changed().unwrap_or(false) {
                let position = acked.borrow_and_update().clone();
                if let Some(position) = position {
                    self.log.ack(&Place::of(&position)?.log).await?;
                }
            }
            let step = self.log.next().await?;
            if !matches!(step, Step::Rows(_) | Step::Anew(_)) {
                self.outlet.stands(self.log.lag());
            }
            match step {
                Step::Rows(rows) => {
                    self.is_between &= rows.batch.num_rows() == 0;
                    self.outlet.send(Event::Rows(rows)).await?;
                }
                Step::Position(position) => {
                    self.place.log = position;
                    self.is_between = true;
                    self.checkpoint().await?;
                    if Instant::now() >= self.not_before {
                        self.chunk().await?;
                    }
                }
                Step::Anew(table) => {
                    // Whether an earlier row of it is still to be said to be gone.
                    let anew = self.place.snapshots.get(&table).is_some_and(|snapshot| snapshot.anew);
                    self.place.snapshots.insert(table, Snapshot { after: None, anew });
                    self.is_between = false;
                }
                Step::Idle if self.is_between && Instant::now() >= self.not_before => self.chunk().await?,
                Step::Idle => {}
                Step::End if !self.place.snapshots.is_empty() => {
                    // Nothing else is to be done meanwhile.
                    tokio::time::sleep_until(self.not_yet.into()).await;
                    self.chunk().await?;
                    // What the chunk may have seen already is to follow.
                    self.log.extend().await?;
                }
                Step::End if self.until == Until::End => return self.checkpoint().await,
                Step::End => {}
            }
        }
    }

    async fn checkpoint(&mut self) -> Result<(), Stop> {
        self.outlet.holds(self.log.holds());
        let checkpoint = Checkpoint { position: self.place.position()?, state: self.log.state() };
        Ok(self.outlet.send(Event::Checkpoint(checkpoint)).await?)
    }

    /// Reads one chunk of the first table that is not at its end, where the log stands.
    async fn chunk(&mut self) -> Result<(), Stop> {
        let Some((table, snapshot)) = self.place.snapshots.first_key_value() else { return Ok(()) };
        let (table, snapshot) = (table.clone(), snapshot.clone());
        let begun = Instant::now();
        match self.chunks.begin(&table, snapshot.after.as_deref(), &self.place.log).await? {
            Begun::NotYet => {
                self.not_yet = Instant::now() + AGAIN;
                self.not_before = self.not_yet;
                return Ok(());
            }
            Begun::Gone => {
                let has_rows = snapshot.anew || snapshot.after.is_some();
                if let Some(rows) = self.chunks.gone(&self.place.log)?.filter(|_| has_rows) {
                    self.outlet.send(Event::Rows(rows)).await?;
                }
                self.place.snapshots.remove(&table);
                return self.checkpoint().await;
            }
            Begun::Another => {
                self.place.read_anew(&table);
                return self.checkpoint().await;
            }
            Begun::Reading => {}
        }
        if snapshot.anew {
            let rows = self.chunks.anew(&table, &self.place.log)?;
            self.outlet.send(Event::Rows(rows)).await?;
        }
        while let Some(rows) = self.chunks.next().await? {
            self.outlet.send(Event::Rows(rows)).await?;
        }
        match self.chunks.last() {
            Some(last) => {
                self.place.snapshots.insert(table, Snapshot { after: Some(last), anew: false });
            }
            None => {
                tracing::info!(table, "the snapshot of a table is there");
                self.place.snapshots.remove(&table);
            }
        }
        self.not_before = Instant::now() + begun.elapsed();
        self.checkpoint().await
    }
}

#[cfg(test)]
mod tests;
