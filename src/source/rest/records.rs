//! The records of an answer, a batch at a time.

use std::hash::{DefaultHasher, Hasher};

use super::body::{self, Batch, Field};
use super::endpoint::Endpoint;
use super::transport::Answer;
use crate::error::{Error, Result};

/// Takes records out of an answer in their order.
pub struct Records {
    /// `None` while they are read on another thread.
    body: Option<Box<dyn body::Records>>,
    is_file: bool,
    key: Option<Field>,
    last_key: Option<String>,
    digest: DefaultHasher,
}

/// What is known of a page whose records were taken.
#[derive(Debug, Default)]
pub struct Seen {
    /// What the last record has in the field that the next page may begin behind.
    pub last_key: Option<String>,
    /// Of all records.
    pub digest: u64,
}

impl Records {
    pub fn of(answer: Answer, endpoint: &Endpoint) -> Result<Self> {
        let is_file = answer.body.in_memory().is_none();
        let body = Some(body::records(answer, &endpoint.written, &endpoint.wanted)?);
        let key = endpoint.paging.key().cloned();
        Ok(Self { body, is_file, key, last_key: None, digest: DefaultHasher::new() })
    }

    /// Adds records until the batch is full. What is known of the page, where these were the last.
    pub async fn read(&mut self, batch: &mut Batch) -> Result<Option<Seen>> {
        let mut body = self.body.take().ok_or_else(|| Error::bug("an answer is read behind its end"))?;
        let before = batch.len();
        let ended = if self.is_file {
            let mut filled = std::mem::take(batch);
            let read = tokio::task::spawn_blocking(move || {
                let ended = body.read(&mut filled);
                (body, filled, ended)
            });
            let ended;
            (body, *batch, ended) =
                read.await.map_err(|panic| Error::bug(format!("reading an answer ended: {panic}")))?;
            ended
        } else {
            body.read(batch)
        };
        self.body = Some(body);
        let ended = ended?;
        batch.records().skip(before).for_each(|record| self.digest.write(record));
        if let (Some(field), Some(last)) = (&self.key, batch.last().filter(|_| batch.len() > before)) {
            self.last_key = field.text(last).filter(|key| !key.is_empty());
        }
        Ok(ended.map(|_| Seen { last_key: self.last_key.take(), digest: self.digest.finish() }))
    }
}
