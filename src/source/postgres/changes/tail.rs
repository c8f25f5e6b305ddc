//! The log as steps: what it tells from a place on, to its end or on and on.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use super::filling::Filling;
use super::gauge::Gauge;
use super::place::Place;
use super::reading::{Reading, Recalled};
use crate::error::Result;
use crate::record::Lag;
use crate::source::changes::{self, Step};
use crate::source::postgres::replication::{Log, Lsn, Parser};

/// How long nothing comes before that is said.
const IDLE: Duration = Duration::from_millis(25);

/// The log from a place on.
pub struct Tail {
    log: Log,
    reading: Reading,
    /// What it hands on, on its way.
    filling: Filling,
    /// A streamed transaction that is read as it was committed.
    replaying: Option<Recalled>,
    /// Of its messages.
    parser: Parser,
    gauge: Gauge,
    /// The end as it was asked for, and when; `None` where there is to be none.
    end: Option<(Lsn, Instant)>,
    /// Nothing has come for a while.
    is_idle: bool,
    /// What is committed at the destination.
    committed: Place,
    /// The end as it was has come, and was told.
    has_ended: bool,
}

impl Tail {
    /// `end` is where the log ends now, if it is to be read to its end only.
    pub fn of(log: Log, reading: Reading, gauge: Gauge, end: Option<Lsn>) -> Self {
        let end = end.map(|end| (end, Instant::now()));
        let (committed, filling) = (reading.place, Filling::new(reading.asker.clone()));
        Self {
            log,
            reading,
            filling,
            replaying: None,
            parser: Parser::default(),
            gauge,
            end,
            is_idle: false,
            committed,
            has_ended: false,
        }
    }

    /// The log, which nobody reads any more.
    pub fn into_log(self) -> Log {
        self.log
    }

    /// Takes what the log has, or waits for it. A step, where there is nothing.
    async fn advance(&mut self) -> Result<Option<Step>> {
        if self.replay().await? {
            return Ok(None);
        }
        let waits = if self.reading.is_between { self.reading.gathering.patience() } else { None };
        match changes::within(waits.unwrap_or(IDLE), self.log.next()).await {
            Some(event) => {
                self.is_idle = !self.reading.came(event?).await? && self.is_idle;
                self.take_what_is_at_hand().await?;
            }
            None if waits.is_some() => self.reading.hand_on()?,
            None => {
                self.is_idle = self.reading.is_between;
                // In the midst of a transaction there is no place at which a chunk could be read.
                return Ok(self.is_idle.then_some(Step::Idle));
            }
        }
        Ok(None)
    }

    /// Takes what was received with the last message, as long as there is nothing to be handed on.
    async fn take_what_is_at_hand(&mut self) -> Result<()> {
        while self.reading.gathering.ready.is_empty() && self.reading.recalled.is_none() {
            let Some(event) = self.log.at_hand()? else { break };
            self.is_idle = !self.reading.came(event).await? && self.is_idle;
        }
        self.reading.gathering.make_room()
    }

    /// Takes the next message of a streamed transaction that is committed. Whether there is one.
    async fn replay(&mut self) -> Result<bool> {
        if let Some(recalled) = self.reading.recalled.take() {
            (self.replaying, self.parser) = (Some(recalled), Parser::default());
        }
        let Some(Recalled { replay, .. }) = &mut self.replaying else { return Ok(false) };
        if !replay.advance().await? {
            if let Some(recalled) = self.replaying.take() {
                self.reading.replayed(recalled)?;
            }
            return Ok(true);
        }
        let (subxid, message) = self.parser.parse(replay.message())?;
        let is_aborted = subxid.is_some_and(|subxid| replay.is_aborted(subxid));
        // What a table is is told again behind a part that came to nothing, since it may be another one by then.
        if !is_aborted {
            self.reading.change(message).await?;
            self.reading.gathering.make_room()?;
        }
        Ok(true)
    }

    /// Whether the end has come that was asked for.
    async fn is_at_end(&mut self) -> Result<bool> {
        let Some((end, since)) = &mut self.end else { return Ok(false) };
        let place = self.reading.place.0;
        if !self.reading.is_between || self.has_ended {
            return Ok(false);
        }
        if place < *end && self.is_idle && since.elapsed() >= self.reading.asker.patience().await? {
            // What is not on the disk by now is no commit.
            *end = (*end).min(self.reading.asker.flushed().await?);
            *since = Instant::now();
        }
        Ok(place >= *end)
    }
}

#[async_trait]
impl changes::Log for Tail {
    async fn next(&mut self) -> Result<Step> {
        loop {
            if let Some(rows) = self.filling.next().await? {
                return Ok(Step::Rows(rows));
            }
            match self.reading.gathering.ready.pop_front() {
                Some(Step::Rows(batch)) => match self.filling.take(batch) {
                    Some(rows) => return Ok(Step::Rows(rows)),
                    None => continue,
                },
                Some(Step::Position(place)) => return Ok(Step::Position(place)),
                Some(Step::Anew(table)) => return Ok(Step::Anew(table)),
                Some(Step::Idle) => return Ok(Step::Idle),
                Some(Step::End) => return Ok(Step::End),
                None => {}
            }
            if self.reading.is_between {
                if let Some(others) = self.gauge.others() {
                    self.reading.seen(others);
                }
                self.reading.others().await?;
                if !self.reading.gathering.ready.is_empty() {
                    continue;
                }
            }
            if self.is_at_end().await? {
                self.reading.hand_on()?;
                self.has_ended = true;
                continue;
            }
            if self.has_ended && self.end.is_some() {
                return Ok(Step::End);
            }
            if let Some(step) = self.advance().await? {
                return Ok(step);
            }
        }
    }

    async fn extend(&mut self) -> Result<()> {
        if self.end.is_some() {
            self.end = Some((self.reading.asker.end().await?, Instant::now()));
        }
        self.has_ended = false;
        Ok(())
    }

    fn state(&self) -> Value {
        self.reading.state()
    }

    fn lag(&self) -> Option<Lag> {
        let bytes = self.gauge.behind(self.reading.place);
        // A silence alone may be the network's.
        if self.has_ended || (self.is_idle && bytes.unwrap_or(0) == 0) {
            return Some(Lag { since: None, bytes });
        }
        let since = Timestamp::from_microsecond(self.reading.ended_at?).ok();
        Some(Lag { since, bytes })
    }

    fn holds(&self) -> u64 {
        // The server lets go of what is behind its last note of running transactions that we have confirmed, which may be long ago.
        match self.reading.place.0.0.saturating_sub(self.committed.0.0) {
            0 => 0,
            behind => behind.max(self.gauge.kept()),
        }
    }

    async fn ack(&mut self, position: &Value) -> Result<()> {
        self.committed = Place::of(position)?;
        self.log.confirm(self.committed.0);
        Ok(())
    }
}
