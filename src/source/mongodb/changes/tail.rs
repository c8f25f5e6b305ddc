//! The end of the server's log that a stream reads: a change stream.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::Timestamp;
use serde_json::Value;

use super::changed;
use super::event::{self, Event, Pieces};
use super::pending::{Pending, Row};
use super::place::{self, Place};
use super::tables::Tables;
use super::watching::Watching;
use crate::error::{Error, Kind, Result};
use crate::record::change;
use crate::record::{Lag, Rows};
use crate::source::changes::{Gathering, Log, Step, within};
use crate::source::masking::Masks;
use crate::source::mongodb::connect::Server;
use crate::source::mongodb::replies::{Replies, Reply};

/// How long the log is silent before a chunk may have its turn.
const SILENCE: Duration = Duration::from_millis(100);

pub struct Tail {
    server: Arc<Server>,
    watching: Watching,
    masks: Masks,
    tables: Tables,
    replies: Replies,
    /// By collection, where in the gathering its changes are.
    places: BTreeMap<String, usize>,
    gathering: Gathering<Pending>,
    /// Rows that are about to be handed on.
    rows: VecDeque<Rows>,
    pieces: Pieces,
    /// Behind the last event.
    place: Place,
    /// The transaction of the last event, which more of it may follow.
    transaction: Option<(Vec<u8>, i64)>,
    /// Everything up to here is to come before the end; none where there is no end.
    end: Option<Timestamp>,
    ended: bool,
    /// When the last event was committed, where others are known to follow.
    since: Option<jiff::Timestamp>,
}

impl Tail {
    pub fn of(
        server: &Arc<Server>,
        (watching, masks): (Watching, Masks),
        tables: Tables,
        (replies, place): (Replies, Place),
        end: Option<Timestamp>,
    ) -> Self {
        Self {
            server: server.clone(),
            watching,
            masks,
            tables,
            replies,
            places: BTreeMap::new(),
            gathering: Gathering::of(0),
            rows: VecDeque::new(),
            pieces: Pieces::default(),
            place,
            transaction: None,
            end,
            ended: false,
            since: None,
        }
    }

    /// Takes a reply in: events, or word of how far the server has looked.
    async fn take(&mut self, reply: &Reply) -> Result<()> {
        let events = reply.documents()?;
        let is_empty = events.is_empty();
        for bytes in events {
            self.event(bytes).await?;
        }
        let (token, time) = place::told(reply.whole())?;
        if is_empty && self.pieces.is_between() {
            self.transaction = None;
            if let Some((token, time)) = token.zip(time) {
                // Nothing of ours was before: a chunk has to see what others have committed since all the same.
                self.place = Place::behind(token, time)?;
                self.gathering.waits();
            }
            self.since = None;
            self.ended = match self.end {
                Some(end) => place::token_time(token).is_none_or(|time| time >= end),
                None => false,
            };
        } else if let Some(end) = self.end
            && self.transaction.is_none()
            && self.pieces.is_between()
        {
            // Where events come without a pause there is no empty reply.
            self.ended = self.place.time()? > end;
        }
        Ok(())
    }

    async fn event(&mut self, bytes: &[u8]) -> Result<()> {
        let event = Event::of(bytes)?;
        if let Some(piece) = event.piece {
            let Some(whole) = self.pieces.add(bytes, piece)? else { return Ok(()) };
            return Box::pin(self.whole(&Event::of(&whole)?)).await;
        }
        self.whole(&event).await
    }

    async fn whole(&mut self, event: &Event<'_>) -> Result<()> {
        let is_same = match (&self.transaction, event.transaction) {
            (Some((session, number)), Some((of, now))) => session == of && *number == now,
            _ => false,
        };
        // Between two transactions what was gathered may be handed on.
        if !is_same && self.gathering.is_due() {
            self.gathering.hand_on(self.place.value()?)?;
        }
        let time = event.time.ok_or_else(|| Error::data("an event of the change stream does not say when it was"))?;
        let after = Place::behind(event.token, time)?;
        self.transaction = event.transaction.map(|(session, number)| (session.to_vec(), number));
        self.since = event.committed_at().and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
        let position = place::shown(time);
        match event.kind {
            event::Kind::Drop => self.went(event.collection, event, &position)?,
            event::Kind::Rename => self.renamed(event, &position)?,
            event::Kind::Invalidate => {
                self.gathering.hand_on(after.value()?)?;
                self.replies = self.watching.open(&self.server, &after).await?;
            }
            _ => self.row(event, &position)?,
        }
        self.place = after;
        self.gathering.waits();
        Ok(())
    }

    /// A resume token holds the key of its event's document, which in a sharded collection has the fields of the shard key.
    fn check_masks(&self, event: &Event<'_>) -> Result<()> {
        let Some(key) = event.key.filter(|_| !self.masks.is_empty() && self.watching.has(event.collection)) else {
            return Ok(());
        };
        self.masks.refuse("the shard key", changed::names(key)?.iter().map(String::as_str))
    }

    fn row(&mut self, event: &Event<'_>, position: &str) -> Result<()> {
        self.check_masks(event)?;
        let Some(changed) = changed::of(event, (self.watching.full, self.watching.before), &self.watching.chosen)?
        else {
            return Ok(());
        };
        let Some(at) = self.at(event.collection)? else { return Ok(()) };
        let row =
            Row { op: changed.op, committed_at: event.committed_at(), position: position.into(), sent: changed.sent };
        if let Some(pending) = &mut self.gathering.tables[at] {
            pending.push(&changed.document, row);
            let is_full = pending.is_full();
            self.gathering.added();
            if is_full {
                self.gathering.full(at)?;
            }
        }
        self.gathering.make_room()
    }

    /// Where the changes of a collection are gathered; `None` of one that is not the stream's.
    fn at(&mut self, collection: &str) -> Result<Option<usize>> {
        if let Some(at) = self.places.get(collection) {
            return Ok(Some(*at));
        }
        if !self.watching.has(collection) {
            return Ok(None);
        }
        if !self.tables.followed().iter().any(|name| name == collection) {
            tracing::info!(collection, "a collection has come that the stream has");
            if self.tables.add(collection)? {
                // It had left, and its rows with what they were then.
                let rows = change::truncate(&self.tables.table(collection)?, None, &self.place.time)?;
                self.gathering.ready.push_back(Step::Rows(vec![rows]));
            }
            // Some of it may have come before the stream's place, after its collections were listed.
            if self.watching.reads_collections {
                self.gathering.ready.push_back(Step::Anew(collection.to_owned()));
            }
        }
        let at = self.gathering.tables.len();
        self.gathering.tables.push(Some(Pending::of(&self.tables, collection)?));
        self.places.insert(collection.to_owned(), at);
        Ok(Some(at))
    }

    /// All documents of a collection went.
    fn went(&mut self, collection: &str, event: &Event<'_>, position: &str) -> Result<()> {
        let Some(at) = self.at(collection)? else { return Ok(()) };
        self.gathering.full(at)?;
        let rows = change::truncate(&self.tables.table(collection)?, event.committed_at(), position)?;
        self.gathering.ready.push_back(Step::Rows(vec![rows]));
        if !self.watching.is_named(collection) {
            // One of a pattern may never come again.
            self.gathering.tables[at] = None;
            self.places.remove(collection);
            self.tables.forget(collection);
        }
        Ok(())
    }

    /// What the stream had not read is gone, and that is no reason to fail: everything is read anew, and the log from its end.
    async fn begin_anew(&mut self, lost: &Error) -> Result<()> {
        tracing::warn!("{}: all collections are read anew", lost.message());
        self.place = self.watching.now(&self.server).await?;
        self.replies = self.watching.open(&self.server, &self.place).await?;
        (self.transaction, self.pieces) = (None, Pieces::default());
        self.gathering.rows()?;
        for name in self.tables.followed() {
            let rows = change::truncate(&self.tables.table(&name)?, None, &self.place.time)?;
            self.gathering.ready.push_back(Step::Rows(vec![rows]));
            self.gathering.ready.push_back(Step::Anew(name));
        }
        self.gathering.hand_on(self.place.value()?)
    }

    /// A collection has another name: under the old one nothing is left, and under the new one is what no event tells of.
    fn renamed(&mut self, event: &Event<'_>, position: &str) -> Result<()> {
        if self.watching.has(event.collection) {
            self.went(event.collection, event, position)?;
        }
        if let Some((database, name)) = event.to
            && database == self.server.settings.database
            && self.watching.has(name)
        {
            self.went(name, event, position)?;
            self.gathering.ready.push_back(Step::Anew(name.to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl Log for Tail {
    async fn next(&mut self) -> Result<Step> {
        loop {
            if let Some(rows) = self.rows.pop_front() {
                return Ok(Step::Rows(rows));
            }
            match self.gathering.ready.pop_front() {
                Some(Step::Rows(rows)) => {
                    self.rows.extend(rows);
                    continue;
                }
                Some(Step::Position(position)) => return Ok(Step::Position(position)),
                Some(Step::Anew(table)) => return Ok(Step::Anew(table)),
                Some(Step::Idle) => return Ok(Step::Idle),
                Some(Step::End) => return Ok(Step::End),
                None => {}
            }
            if self.ended {
                if self.gathering.patience().is_some() {
                    self.gathering.hand_on(self.place.value()?)?;
                    continue;
                }
                return Ok(Step::End);
            }
            let patience = self.gathering.patience().map_or(SILENCE, |patience| patience.min(SILENCE));
            match within(patience, self.replies.try_next()).await.transpose()? {
                Some(Ok(Some(reply))) => self.take(&reply).await?,
                Some(Ok(None)) => return Err(Error::unavailable("the server has ended the change stream")),
                Some(Err(e)) => match self.watching.refused(&self.server, &e) {
                    lost if lost.kind() == Kind::Lost && self.watching.begins_anew => self.begin_anew(&lost).await?,
                    error => return Err(error),
                },
                // In the midst of a transaction or of an event there is no place to stop at.
                None if self.gathering.is_due() && self.transaction.is_none() && self.pieces.is_between() => {
                    self.gathering.hand_on(self.place.value()?)?;
                }
                None => return Ok(Step::Idle),
            }
        }
    }

    async fn extend(&mut self) -> Result<()> {
        if self.end.is_some() {
            self.end = Some(self.watching.end(&self.server).await?);
            self.ended = false;
        }
        Ok(())
    }

    fn state(&self) -> Value {
        // What cannot be written would be a defect: then nothing is known by the next run.
        self.tables.state().unwrap_or_default()
    }

    fn lag(&self) -> Option<Lag> {
        Some(Lag { since: self.since, bytes: None })
    }
}
