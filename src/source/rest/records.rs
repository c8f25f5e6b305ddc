//! The records of an answer, a batch at a time.
//!
//! Those of an answer in memory are taken before it is judged to be a page, so that a broken one is the page's failure. Those of a file
//! are taken where they are wanted, and of a report's file all are looked at before.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::body::{self, Batch, Field, Scalar, Unreadable};
use super::endpoint::Endpoint;
use super::request::Request;
use super::transport::Answer;
use crate::error::{Error, Result};
use crate::source::BATCH_BYTES;

/// Of an answer in memory, so many bytes of records are taken at once.
const AT_ONCE: usize = 2 * BATCH_BYTES;

/// An answer whose records are taken out in their order.
pub struct Records {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// What was taken before anybody asked, and whether that is all.
    first: Option<(Batch, bool)>,
    /// The others; `None` while they are read on another thread.
    body: Option<Box<dyn body::Records>>,
    is_file: bool,
    /// So many more are handed out.
    left: usize,
    key: Option<Field>,
    last_key: Option<Scalar>,
    digest: DefaultHasher,
}

/// Shows no header and no record.
impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("status", &self.status.as_u16()).finish_non_exhaustive()
    }
}

/// What is known of a page whose records were taken.
#[derive(Debug, Default)]
pub struct Seen {
    /// What the last record has in the field that the next page may begin behind.
    pub last_key: Option<Scalar>,
    /// Of all records.
    pub digest: u64,
}

impl Records {
    /// Those of a page. It blocks where the body is a file. An error says which of them is broken.
    pub fn of(answer: Answer, endpoint: &Endpoint) -> Result<Self, Unreadable> {
        let (status, headers, is_file) = (answer.status, answer.headers.clone(), answer.body.in_memory().is_none());
        let (written, wanted) = (&endpoint.written, &endpoint.wanted);
        if is_file && endpoint.report.is_some() {
            body::check(&answer, written, wanted)?;
        }
        let (first, body) = match answer.in_memory() {
            Some(again) => {
                let mut batch = Batch::new(AT_ONCE);
                let mut records = body::records(answer, written, wanted)?;
                let is_all = records.read(&mut batch)?.is_some();
                if !is_all {
                    body::check(&again, written, wanted)?;
                }
                (Some((batch, is_all)), Some(records).filter(|_| !is_all))
            }
            None => (None, Some(body::records(answer, written, wanted)?)),
        };
        let (key, left, digest) = (endpoint.paging.key().cloned(), usize::MAX, DefaultHasher::new());
        Ok(Self { status, headers, first, body, is_file, left, key, last_key: None, digest })
    }

    /// Hands out no more than the first so many.
    pub fn limit(&mut self, most: u64) {
        self.left = usize::try_from(most).unwrap_or(usize::MAX);
    }

    /// The next ones. What is known of the page, where these are its last. `request` is what it was asked for by.
    pub async fn next(&mut self, request: &Request) -> Result<(Batch, Option<Seen>)> {
        let (mut batch, is_all) = match self.first.take() {
            Some(first) => first,
            None => self.read().await.map_err(|why| error(&why, request))?,
        };
        batch.records().for_each(|record| self.digest.write(record));
        if let (Some(field), Some(last)) = (&self.key, batch.last()) {
            self.last_key = field.scalar(last).filter(|key| !key.text().is_empty());
        }
        batch.truncate(self.left);
        self.left -= batch.count();
        Ok((batch, is_all.then(|| Seen { last_key: self.last_key.take(), digest: self.digest.finish() })))
    }

    async fn read(&mut self) -> Result<(Batch, bool), Unreadable> {
        let gone = |why: String| Unreadable::File(std::io::Error::other(why));
        let mut body = self.body.take().ok_or_else(|| gone("it is read behind its end".to_owned()))?;
        let read = move || {
            let mut batch = Batch::new(BATCH_BYTES);
            let ended = body.read(&mut batch);
            (body, batch, ended)
        };
        let (body, batch, ended) = match self.is_file {
            true => {
                tokio::task::spawn_blocking(read).await.map_err(|panic| gone(format!("reading it ended: {panic}")))?
            }
            false => read(),
        };
        self.body = Some(body);
        Ok((batch, ended?.is_some()))
    }
}

/// What ends a run: rows of this answer may be on their way, without a checkpoint behind them.
fn error(why: &Unreadable, request: &Request) -> Error {
    let asked = request.shown();
    match why {
        Unreadable::Fault(_) => Error::data(format!("{asked}: the answer {why}, within a record")),
        Unreadable::File(_) => Error::unavailable(format!("{asked}: the answer {why}")),
    }
}
