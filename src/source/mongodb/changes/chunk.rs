//! Chunks of collections that see everything up to a place in the log: majority reads behind its time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::{Document, doc};
use serde_json::Value;

use super::pending::{Pending, Row};
use super::place::Place;
use super::tables::Tables;
use crate::error::{Context, Result};
use crate::record::change::{self, Op};
use crate::record::{Rows, Table};
use crate::source::changes::{self, Begun, Gathered};
use crate::source::mongodb::catalog;
use crate::source::mongodb::chosen::Chosen;
use crate::source::mongodb::connect::Server;
use crate::source::mongodb::id::{self, ID};
use crate::source::mongodb::plan::{Plan, Scope};
use crate::source::mongodb::replies::{Replies, Reply};
use crate::source::mongodb::rows;
use crate::source::mongodb::seed::{self, Seeds};
use crate::source::{self, BATCH_BYTES};

/// Documents of a chunk, where no key says how many: reading one takes a moment, in which the log stands still.
const CHUNK_ROWS: u64 = 50_000;
/// and not more than about so many bytes.
const CHUNK_BYTES: u64 = 64 << 20;
/// How long the server may wait until it has come to the place.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Chunks {
    server: Arc<Server>,
    stream: source::Stream,
    tables: Tables,
    seeds: Seeds,
    chosen: Chosen,
    reading: Option<Reading>,
    last: Option<String>,
    gone: Option<Arc<Table>>,
}

/// A chunk that is being read.
struct Reading {
    name: String,
    plan: Plan,
    place: Place,
    /// Conditions that are still to be read, in their order.
    left: std::vec::IntoIter<Document>,
    replies: Option<Replies>,
    batch: u32,
    /// How many documents it may have yet.
    most: u64,
    is_told: bool,
    /// The key of the last document.
    last: Option<String>,
    /// Documents of the reply that is at hand, of which so many have been handed on.
    reply: Option<(Reply, usize)>,
    /// Rows that are about to be handed on.
    rows: VecDeque<Rows>,
}

impl Chunks {
    pub fn new(server: &Arc<Server>, stream: &source::Stream, tables: Tables, chosen: Chosen) -> Self {
        let (server, stream) = (server.clone(), stream.clone());
        Self { server, stream, tables, seeds: Seeds::default(), chosen, reading: None, last: None, gone: None }
    }

    async fn start(&mut self, table: &str, after: Option<&[String]>, at: Place) -> Result<Begun> {
        let Some(collection) = catalog::find(&self.server, table).await? else {
            // One that was forgotten has had its end.
            self.gone = self.tables.table(table).ok();
            return Ok(Begun::Gone);
        };
        let plan = Plan::of(collection, &self.stream.selection)?;
        let seed = self.seeds.of(&self.server, &plan, &seed::key(&self.stream.of_table(table))).await?;
        self.tables.seed(table, &seed.known)?;
        let by_bytes = CHUNK_BYTES / seed.document_bytes.unwrap_or(1).max(1);
        let most = self.stream.selection.cut.rows.unwrap_or_else(|| by_bytes.clamp(1, CHUNK_ROWS));
        let after = after.and_then(<[String]>::first).map(String::as_str);
        let mut reading = Reading {
            name: table.to_owned(),
            plan,
            place: at,
            left: id::behind(after)?.into_iter(),
            replies: None,
            batch: rows::reply_documents(seed.document_bytes),
            most,
            is_told: false,
            last: None,
            reply: None,
            rows: VecDeque::new(),
        };
        if !reading.begin_next(&self.server).await? {
            return Ok(Begun::NotYet);
        }
        self.reading = Some(reading);
        Ok(Begun::Reading)
    }
}

impl Reading {
    /// Begins with the next condition, if there is one; whether the server has come to the place.
    async fn begin_next(&mut self, server: &Server) -> Result<bool> {
        self.replies = None;
        let Some(condition) = self.left.next() else { return Ok(true) };
        let scope = Scope {
            condition: Some(condition),
            sort: Some(doc! { ID: 1 }),
            most: Some(u32::try_from(self.most).unwrap_or(u32::MAX)),
            after: Some(self.place.time()?),
            ..Scope::default()
        };
        let command = self.plan.find(&scope, self.batch)?;
        // Not by the server's own limit, which would be one of all that is read.
        match tokio::time::timeout(PATIENCE, server.cursor(command, self.batch, None)).await {
            Ok(cursor) => self.replies = Some(Replies::of(cursor?)),
            Err(_) => return Ok(false),
        }
        Ok(true)
    }

    /// The next rows; `None` at the chunk's end.
    async fn next(&mut self, server: &Server, tables: &Tables, chosen: &Chosen) -> Result<Option<Rows>> {
        loop {
            if let Some(rows) = self.rows.pop_front() {
                return Ok(Some(rows));
            }
            self.rows = self.of_reply(tables, chosen)?.into();
            if !self.rows.is_empty() {
                continue;
            }
            if self.most == 0 {
                return Ok(None);
            }
            let reply = match &mut self.replies {
                Some(replies) => replies.next(&server.settings).await?,
                None => return Ok(None),
            };
            match reply {
                Some(reply) => self.reply = Some((reply, 0)),
                None if self.left.len() == 0 => return Ok(None),
                None => {
                    if !self.begin_next(server).await? {
                        return Err(crate::error::Error::unavailable(
                            "the server has not come to the place of its own log",
                        ));
                    }
                }
            }
        }
    }

    /// A batch of the reply that is at hand.
    fn of_reply(&mut self, tables: &Tables, chosen: &Chosen) -> Result<Vec<Rows>> {
        let Some((reply, done)) = &mut self.reply else { return Ok(Vec::new()) };
        let documents = reply.documents()?;
        let most = usize::try_from(self.most).unwrap_or(usize::MAX).min(documents.len() - *done);
        let mut pending = Pending::of(tables, &self.name)?;
        let position: Box<str> = self.place.time.as_str().into();
        for document in documents.iter().skip(*done).take(most) {
            if pending.is_full() || pending.bytes() + document.len() > 2 * BATCH_BYTES && pending.len() > 0 {
                break;
            }
            let row = Row { op: Op::Read, committed_at: None, position: position.clone(), sent: None };
            // What is left out here is left out of changes too.
            pending.push(&chosen.of(document)?, row);
        }
        let count = pending.len();
        if count == 0 {
            self.reply = None;
            return Ok(Vec::new());
        }
        *done += count;
        self.most -= count as u64;
        if let Some(last) = documents.get(*done - 1) {
            self.last = Some(id::text(last)?);
        }
        pending.finish()
    }
}

#[async_trait]
impl changes::Chunks for Chunks {
    async fn begin(&mut self, table: &str, after: Option<&[String]>, at: &Value) -> Result<Begun> {
        self.last = None;
        self.start(table, after, Place::of(at)?).await.at(|| format!("collection {table}"))
    }

    async fn next(&mut self) -> Result<Option<Rows>> {
        let Some(reading) = &mut self.reading else { return Ok(None) };
        if !std::mem::replace(&mut reading.is_told, true) {
            return self.tables.table(&reading.name).map(|table| Some(Rows::none(table)));
        }
        let name = reading.name.clone();
        let rows = reading.next(&self.server, &self.tables, &self.chosen).await.at(|| format!("collection {name}"))?;
        if rows.is_none() {
            // Where fewer came than there might have, none are behind.
            self.last = reading.last.take().filter(|_| reading.most == 0);
            self.reading = None;
        }
        Ok(rows)
    }

    fn last(&self) -> Option<Vec<String>> {
        self.last.clone().map(|last| vec![last])
    }

    fn gone(&mut self, at: &Value) -> Result<Option<Rows>> {
        let Some(table) = self.gone.take() else { return Ok(None) };
        change::truncate(&table, None, &Place::of(at)?.time).map(Some)
    }

    fn anew(&mut self, table: &str, at: &Value) -> Result<Rows> {
        change::truncate(&self.tables.table(table)?, None, &Place::of(at)?.time)
    }
}
