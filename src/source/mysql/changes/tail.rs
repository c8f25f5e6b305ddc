//! The log as steps: what it tells from a place on, to its end or on and on.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::history::History;
use super::place::Place;
use super::prepared::{Aside, Begun, Prepared, Recalled};
use super::reading::{GATHER, Reading, unfollowed};
use super::{Asker, own_id};
use crate::error::{Error, Result};
use crate::source::changes::{self, Step};
use crate::source::mysql::binlog::{Log, Options, Start};

/// How long nothing comes before that is said.
const IDLE: Duration = Duration::from_millis(500);

/// The log from a place on.
pub struct Tail {
    log: Log,
    options: Options,
    reading: Reading,
    /// A prepared transaction that is being read, as it is committed.
    aside: Option<Aside>,
    /// The end as it was has come.
    has_ended: bool,
    goes_on: bool,
}

impl Tail {
    /// Of a log that was opened with these options at this place.
    pub fn of(
        log: Log,
        asker: Asker,
        (history, prepared): (History, Prepared),
        options: Options,
        place: Place,
    ) -> Result<Self> {
        let reading = Reading::of(asker, history, prepared, place)?;
        Ok(Self { log, options, reading, aside: None, has_ended: false, goes_on: false })
    }

    /// How long to wait for the log's next event.
    fn patience(&self) -> Duration {
        match (self.reading.is_between, self.reading.since) {
            (true, Some(since)) => GATHER.saturating_sub(since.elapsed()),
            _ => IDLE,
        }
    }

    /// Takes what the log has, or waits for it. A step, where there is nothing.
    async fn advance(&mut self) -> Result<Option<Step>> {
        match tokio::time::timeout(self.patience(), self.log.next()).await {
            Ok(entry) => match entry? {
                Some(entry) => self.reading.take(entry).await?,
                None if self.reading.is_between => {
                    self.has_ended = true;
                    self.reading.hand_on()?;
                }
                None => return Err(Error::unavailable("the server's log ended within a transaction")),
            },
            Err(_) if self.reading.is_between && self.reading.since.is_some() => self.reading.hand_on()?,
            Err(_) => return Ok(Some(Step::Idle)),
        }
        if let Some(mut recalled) = self.reading.recalled.take() {
            let begun = match recalled.begun.take() {
                Some(begun) => begun,
                None => self.find(&recalled).await?,
            };
            let log = self.beside(begun.start(&self.reading.executed)?).await?;
            self.aside = Some(Aside::of(log, begun.gtid, recalled));
        }
        Ok(None)
    }

    /// Another dump of the log, to its end.
    async fn beside(&mut self, start: Start) -> Result<Log> {
        let uuid = uuid::Uuid::now_v7();
        let options = Options { server_id: own_id(), uuid, start, ends: true, ..self.options.clone() };
        self.reading.asker.log(&options).await
    }

    /// A transaction that was prepared before the stream began, and is committed now.
    async fn find(&mut self, recalled: &Recalled) -> Result<Begun> {
        let first = self.reading.asker.first_file().await?;
        tracing::info!(from = first, "the log is searched for a transaction that was prepared before the stream began");
        let log = self.beside(Start::File { file: first, position: 4 }).await?;
        let found = Begun::find(log, &recalled.id, (&recalled.file, recalled.position)).await?;
        found.ok_or_else(|| unfollowed("the commit of a distributed transaction (XA) that is not in the log any more"))
    }
}

#[async_trait]
impl changes::Log for Tail {
    async fn next(&mut self) -> Result<Step> {
        loop {
            if let Some(step) = self.reading.ready.pop_front() {
                return Ok(step);
            }
            if let Some(aside) = &mut self.aside {
                if aside.tell(&mut self.reading).await? {
                    self.aside = None;
                }
                continue;
            }
            if self.has_ended {
                if !std::mem::take(&mut self.goes_on) {
                    return Ok(Step::End);
                }
                self.options.start = self.reading.place.start(self.reading.asker.is_mariadb)?;
                self.log = self.reading.asker.log(&self.options).await?;
                self.reading.forget_maps();
                self.has_ended = false;
            }
            if let Some(step) = self.advance().await? {
                return Ok(step);
            }
        }
    }

    async fn extend(&mut self) -> Result<()> {
        self.goes_on = true;
        Ok(())
    }

    fn state(&self) -> Value {
        self.reading.state()
    }
}
