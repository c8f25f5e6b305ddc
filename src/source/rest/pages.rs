//! An endpoint that is read page by page.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::ahead::Ahead;
use super::asking::Asked;
use super::body::{self, Batch, Envelope, Unreadable};
use super::endpoint::Endpoint;
use super::paging::{self, Guard, Next};
use super::position::Reached;
use super::request::Request;
use super::transport::Answer;
use crate::error::{Error, Result};
use crate::record::{Checkpoint, Event, Rows};
use crate::source::BATCH_BYTES;
use crate::source::documents::{Built, Chosen, Documents, bson};
use crate::source::feed::{Outlet, Stop};

/// Places are told of at most this often: each costs the definition of the columns.
const BETWEEN_PLACES: Duration = Duration::from_millis(100);

pub struct Pages {
    pub endpoint: Arc<Endpoint>,
    pub ahead: Ahead,
    pub documents: Documents,
    pub chosen: Chosen,
    pub reached: Reached,
}

impl Pages {
    /// Sends the table's announcement, rows, and places between pages.
    pub async fn read(mut self, outlet: Arc<Outlet>) -> Result<()> {
        match self.send_all(&outlet).await {
            // Nobody listens any more: then nobody wants to know.
            Ok(()) | Err(Stop::Closed) => Ok(()),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    async fn send_all(&mut self, outlet: &Outlet) -> Result<(), Stop> {
        outlet.send(Event::Rows(Rows::none(self.documents.table().clone()))).await?;
        let (mut guard, mut batch, mut told) = (Guard::default(), Batch::new(BATCH_BYTES), Instant::now());
        let mut size = 0;
        while let Some(place) = self.reached.next.clone() {
            let (request, asked) = self.ahead.get(&place, size).await?;
            let (next, records) = match asked {
                Asked::Page(answer, envelope) => {
                    let page = Seen::of(&request, &answer, &envelope);
                    let last = self.take(*answer, &mut batch, outlet).await?;
                    let next = page.next(&self.endpoint, (&place, last), self.reached.records, &mut guard)?;
                    (next, page.envelope.records)
                }
                Asked::Nothing => (Next::End, 0),
                Asked::Failed(failure) => return Err(failure.error(&request).into()),
            };
            size = records;
            self.reached.pages += 1;
            self.reached.records += records;
            self.reached.next = match next {
                Next::At(place) => Some(place),
                Next::End => None,
            };
            if told.elapsed() >= BETWEEN_PLACES || self.reached.next.is_none() {
                self.send(&mut batch, outlet).await?;
                outlet.send(Event::Checkpoint(self.checkpoint()?)).await?;
                told = Instant::now();
            }
        }
        Ok(())
    }

    /// Takes a page's records. What the last one has in the field that the next page may begin behind.
    async fn take(&mut self, answer: Answer, batch: &mut Batch, outlet: &Outlet) -> Result<Option<String>, Stop> {
        let in_memory = answer.body.in_memory().is_some();
        let mut records = body::records(answer.body, self.endpoint.format, &self.endpoint.wanted).map_err(unreadable)?;
        let mut last = None;
        loop {
            let ended = if in_memory {
                records.read(batch)
            } else {
                let mut filled = std::mem::take(batch);
                let read = tokio::task::spawn_blocking(move || {
                    let ended = records.read(&mut filled);
                    (records, filled, ended)
                });
                let ended;
                (records, *batch, ended) = read.await.map_err(|panic| Error::bug(format!("reading an answer ended: {panic}")))?;
                ended
            };
            if let (Some(field), Some(record)) = (&self.endpoint.keyset_field, batch.records().last()) {
                last = key(record, field);
            }
            if ended.map_err(unreadable)?.is_some() {
                return Ok(last);
            }
            self.send(batch, outlet).await?;
        }
    }

    /// Sends the records that are at hand.
    async fn send(&mut self, batch: &mut Batch, outlet: &Outlet) -> Result<(), Stop> {
        let torn = |_| Error::bug("a record is no BSON");
        let kept: Vec<Cow<'_, [u8]>> = batch.records().map(|record| self.chosen.of(record)).collect::<Result<_, _>>().map_err(torn)?;
        let all: Vec<&[u8]> = kept.iter().map(|record| &**record).collect();
        for group in all.chunks(self.documents.most_rows()) {
            let Built { batch, refused } = self.documents.rows(group)?;
            let beside = match self.documents.quarantine_table().cloned().filter(|_| !refused.is_empty()) {
                Some(table) => {
                    tracing::warn!(table = table.name, records = refused.len(), "records do not fit what is declared: they are in the quarantine");
                    Some(Rows { batch: self.documents.quarantine(group, &refused)?, table })
                }
                None => None,
            };
            outlet.send(Event::Rows(Rows { table: self.documents.table().clone(), batch })).await?;
            if let Some(rows) = beside {
                outlet.send(Event::Rows(rows)).await?;
            }
        }
        batch.clear();
        Ok(())
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        Ok(Checkpoint { position: self.reached.position()?, state: json!({ "columns": self.documents.state()? }) })
    }
}

/// Has the columns know the first records of a page.
pub async fn observe(answer: Answer, endpoint: &Endpoint, documents: &mut Documents) -> Result<()> {
    let mut batch = Batch::new(BATCH_BYTES);
    let mut records = body::records(answer.body, endpoint.format, &endpoint.wanted).map_err(unreadable)?;
    records.read(&mut batch).map_err(unreadable)?;
    documents.observe(batch.records())
}

fn unreadable(why: Unreadable) -> Error {
    Error::data(format!("the answer {why}"))
}

/// What is known of the columns by a checkpoint's state.
pub fn columns(state: &Json) -> &Json {
    &state["columns"]
}

/// What is kept of a page while its records are taken.
struct Seen {
    url: url::Url,
    headers: reqwest::header::HeaderMap,
    digest: u64,
    envelope: Envelope,
}

impl Seen {
    fn of(request: &Request, answer: &Answer, envelope: &Envelope) -> Self {
        use std::hash::{DefaultHasher, Hasher};
        let mut hasher = DefaultHasher::new();
        // Of a large page its length is enough to tell it from others.
        match answer.body.in_memory() {
            Some(bytes) => hasher.write(bytes),
            None => hasher.write_u64(uuid::Uuid::now_v7().as_u64_pair().1),
        }
        Self { url: request.full_url(), headers: answer.headers.clone(), digest: hasher.finish(), envelope: envelope.clone() }
    }

    fn next(
        &self,
        endpoint: &Endpoint,
        (place, last_key): (&paging::Place, Option<String>),
        read: u64,
        guard: &mut Guard,
    ) -> Result<Next> {
        let value = |path: &str| endpoint.value(&self.envelope, path).text().map(str::to_owned);
        let page = paging::Page {
            url: &self.url,
            headers: &self.headers,
            value: &value,
            records: self.envelope.records,
            last_key,
            digest: self.digest,
        };
        endpoint.paging.after(place, &page, read, guard)
    }
}

/// A field of a record as a parameter has it.
fn key(record: &[u8], field: &str) -> Option<String> {
    use bson::Value;
    Some(match bson::field(record, field).ok()?? {
        Value::Text(text) => String::from_utf8(text.to_vec()).ok()?,
        Value::Int32(number) => number.to_string(),
        Value::Int64(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Decimal(bits) => crate::source::documents::decimal::Decimal::of(bits).to_string(),
        _ => return None,
    })
}
