//! The log as steps: what it tells from a place on, to its end or on and on.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use super::Asker;
use super::History;
use super::gauge::Gauge;
use super::place::Place;
use super::prepared::{self, Aside, Begun, Prepared, Recalled};
use super::reading::Reading;
use crate::error::{Context, Error, Result};
use crate::record::Lag;
use crate::source::changes::{self, Step};
use crate::source::mysql::binlog::{Event, Log, Options, Start};

/// The log from a place on.
pub struct Tail {
    log: Log,
    options: Options,
    reading: Reading,
    /// A prepared transaction that is being read, as it is committed.
    aside: Option<Aside>,
    gauge: Gauge,
    /// Nothing has come for a while.
    is_idle: bool,
    /// The end as it was has come.
    has_ended: bool,
    goes_on: bool,
}

impl Tail {
    /// Of a log that was opened with these options at this place.
    pub fn of(
        (log, options): (Log, Options),
        asker: Asker,
        (history, prepared): (History, Prepared),
        place: Place,
        gauge: Gauge,
    ) -> Result<Self> {
        let reading = Reading::of(asker, history, prepared, place)?;
        Ok(Self { log, options, reading, aside: None, gauge, is_idle: false, has_ended: false, goes_on: false })
    }

    /// Takes what the log has, or waits for it. A step, where there is nothing.
    async fn advance(&mut self) -> Result<Option<Step>> {
        match changes::within(self.reading.patience(), self.log.next()).await {
            Some(entry) => match entry? {
                Some(entry) => {
                    self.is_idle &= matches!(entry.event, Event::Heartbeat(_));
                    self.reading.take(entry).await?;
                }
                None if self.reading.is_between => {
                    self.has_ended = true;
                    self.reading.hand_on()?;
                }
                None => return Err(Error::unavailable("the server's log ended within a transaction")),
            },
            None if self.reading.is_between && self.reading.since.is_some() => self.reading.hand_on()?,
            None => {
                self.is_idle = self.reading.is_between;
                // In the midst of a transaction there is no place at which a chunk could be read.
                return Ok(self.is_idle.then_some(Step::Idle));
            }
        }
        if let Some(mut recalled) = self.reading.recalled.take() {
            let recall = self.recall(&mut recalled).await;
            match recall.at(|| "a transaction that was prepared (XA) and is committed now") {
                Ok((log, gtid)) => self.aside = Some(Aside::of(log, gtid, recalled)),
                Err(error) => self.reading.lose(error, &recalled)?,
            }
        }
        Ok(None)
    }

    /// The log from a transaction on that was prepared, with its id.
    async fn recall(&mut self, recalled: &mut Recalled) -> Result<(Log, Option<String>)> {
        let begun = match recalled.begun.take() {
            Some(begun) => begun,
            None => self.find(recalled).await?,
        };
        Ok((self.beside(begun.start(&self.reading.executed)?).await?, begun.gtid))
    }

    /// Another dump of the log, to its end.
    async fn beside(&mut self, start: Start) -> Result<Log> {
        let asker = &self.reading.asker;
        asker.log(&asker.options(start, true)).await
    }

    /// A transaction that was prepared before the stream began, and is committed now.
    async fn find(&mut self, recalled: &Recalled) -> Result<Begun> {
        let first = self.reading.asker.first_file().await?;
        tracing::info!(from = first, "the log is searched for a transaction that was prepared before the stream began");
        let log = self.beside(Start::of_file(&first)).await?;
        let found = Begun::find(log, &recalled.id, (&recalled.file, recalled.position)).await?;
        found.ok_or_else(prepared::lost)
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
                match aside.tell(&mut self.reading).await {
                    Ok(false) => continue,
                    Ok(true) => {}
                    Err(error) => self.reading.lose(error, &aside.recalled)?,
                }
                self.aside = None;
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

    fn lag(&self) -> Option<Lag> {
        let bytes = self.gauge.behind(&self.reading.place);
        // A silence alone may be the network's.
        if self.has_ended || (self.is_idle && bytes.unwrap_or(0) == 0) {
            return Some(Lag { since: None, bytes });
        }
        let since = Timestamp::from_microsecond(self.reading.ended_at?).ok();
        Some(Lag { since, bytes })
    }

    async fn ack(&mut self, position: &Value) -> Result<()> {
        self.gauge.committed(self.reading.prepared.needed(&Place::of(position)?));
        Ok(())
    }
}
