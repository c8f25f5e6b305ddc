//! An endpoint that is read page by page.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::ahead::Ahead;
use super::asking::Asked;
use super::body::{self, Batch, Envelope, Unreadable};
use super::endpoint::Endpoint;
use super::filter::Filter;
use super::paging::{self, Guard, Next};
use super::position::Reached;
use super::request::Request;
use super::transport::Answer;
use crate::error::{Error, Result};
use crate::record::{Checkpoint, Event, Rows};
use crate::source::BATCH_BYTES;
use crate::source::documents::{Built, Chosen, Documents};
use crate::source::feed::{Outlet, Stop};

/// Places are told of at most this often: each costs the definition of the columns.
const BETWEEN_PLACES: Duration = Duration::from_millis(100);

pub struct Pages {
    pub endpoint: Arc<Endpoint>,
    pub ahead: Ahead,
    pub documents: Documents,
    pub chosen: Chosen,
    pub filter: Filter,
    pub reached: Reached,
    /// Behind how many of the records at hand each page ends.
    pub page_ends: Vec<usize>,
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
        let mut batch = Batch::new(BATCH_BYTES);
        loop {
            self.chain(&mut batch, outlet).await?;
            let goes_on = self.turn()?;
            self.send(&mut batch, outlet).await?;
            outlet.send(Event::Checkpoint(self.checkpoint()?)).await?;
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Reads pages up to the last one.
    async fn chain(&mut self, batch: &mut Batch, outlet: &Outlet) -> Result<(), Stop> {
        let (mut guard, mut told, mut size) = (Guard::default(), Instant::now(), 0);
        if let Some(window) = &self.reached.window {
            self.filter.begin(window);
        }
        while let Some(place) = self.reached.next.clone() {
            let (request, asked) = match self.endpoint.report {
                Some(_) => self.report(batch, outlet).await?,
                None => self.ahead.get(&place, self.reached.window.as_ref(), size).await?,
            };
            let (next, records) = match asked {
                Asked::Page(answer, envelope) => {
                    let page = Page::of(&request, &answer, envelope);
                    let last = self.take(*answer, batch, outlet).await?;
                    (
                        page.next(&self.endpoint, (&place, last), self.reached.records, &mut guard)?,
                        page.envelope.records,
                    )
                }
                Asked::Nothing => (Next::End, 0),
                Asked::Failed(failure) => return Err(failure.error(&request).into()),
            };
            size = records;
            self.reached.pages += 1;
            self.reached.records += records;
            self.reached.next = match next {
                Next::At(place) => Some(place),
                Next::End => return Ok(self.reached.next = None),
            };
            if told.elapsed() >= BETWEEN_PLACES {
                self.send(batch, outlet).await?;
                outlet.send(Event::Checkpoint(self.checkpoint()?)).await?;
                told = Instant::now();
            }
        }
        Ok(())
    }

    /// Takes a page's records. What the last one has in the field that the next page may begin behind.
    async fn take(&mut self, answer: Answer, batch: &mut Batch, outlet: &Outlet) -> Result<Option<String>, Stop> {
        let in_memory = answer.body.in_memory().is_some();
        let mut records =
            body::records(answer.body, self.endpoint.format, &self.endpoint.wanted).map_err(unreadable)?;
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
                (records, *batch, ended) =
                    read.await.map_err(|panic| Error::bug(format!("reading an answer ended: {panic}")))?;
                ended
            };
            if let (Some(field), Some(record)) = (&self.endpoint.keyset_field, batch.records().last()) {
                last = body::text(record, field);
            }
            if ended.map_err(unreadable)?.is_some() {
                self.page_ends.push(batch.len());
                return Ok(last);
            }
            self.send(batch, outlet).await?;
        }
    }

    /// What comes behind a chain of pages: where everything was read up to its end, the next part of the cursor.
    fn turn(&mut self) -> Result<bool> {
        let Some(settings) = &self.endpoint.incremental else { return Ok(false) };
        let next = match &self.reached.window {
            Some(window) => {
                let mark = window.until.clone().or_else(|| self.filter.high(self.reached.mark.as_deref()));
                self.reached.mark = mark.or_else(|| self.reached.mark.take());
                settings.next(window, Timestamp::now())?
            }
            None => None,
        };
        (self.reached.pages, self.reached.records) = (0, 0);
        self.reached.next = next.as_ref().map(|_| self.endpoint.paging.first());
        self.reached.window = next;
        Ok(self.reached.window.is_some())
    }

    /// Sends the records that are at hand.
    pub async fn send(&mut self, batch: &mut Batch, outlet: &Outlet) -> Result<(), Stop> {
        let mut kept: Vec<Cow<'_, [u8]>> = Vec::with_capacity(batch.len());
        let mut ends = std::mem::take(&mut self.page_ends).into_iter().peekable();
        for (at, record) in batch.records().enumerate() {
            while ends.next_if(|end| *end <= at).is_some() {
                self.filter.turn();
            }
            if self.filter.keeps(record)? {
                kept.push(self.chosen.of(record).map_err(|_| Error::bug("a record is no BSON"))?);
            }
        }
        ends.for_each(|_| self.filter.turn());
        let kept: Vec<&[u8]> = kept.iter().map(|record| &**record).collect();
        for group in kept.chunks(self.documents.most_rows()) {
            let Built { batch, refused } = self.documents.rows(group)?;
            let beside = match self.documents.quarantine_table().cloned().filter(|_| !refused.is_empty()) {
                Some(table) => {
                    tracing::warn!(
                        table = table.name,
                        records = refused.len(),
                        "records do not fit what is declared: they are in the quarantine"
                    );
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

    /// Behind what was sent.
    pub fn checkpoint(&mut self) -> Result<Checkpoint> {
        let state = self.filter.state(&self.reached, self.documents.state()?)?;
        Ok(Checkpoint { position: self.reached.position()?, state })
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

/// What is kept of a page while its records are taken.
struct Page {
    url: url::Url,
    headers: reqwest::header::HeaderMap,
    digest: u64,
    envelope: Envelope,
}

impl Page {
    fn of(request: &Request, answer: &Answer, envelope: Envelope) -> Self {
        use std::hash::{DefaultHasher, Hasher};
        let mut hasher = DefaultHasher::new();
        match answer.body.in_memory() {
            Some(bytes) => hasher.write(bytes),
            // Two such pages that are the same are not known for it.
            None => hasher.write_u128(uuid::Uuid::now_v7().as_u128()),
        }
        Self { url: request.full_url(), headers: answer.headers.clone(), digest: hasher.finish(), envelope }
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
