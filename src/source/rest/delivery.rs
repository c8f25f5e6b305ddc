//! Records of pages on their way to rows.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use super::body::{self, Batch};
use super::endpoint::Endpoint;
use super::filter::Filter;
use super::pages::unreadable;
use super::transport::Answer;
use crate::error::{Error, Result};
use crate::record::{Event, Rows};
use crate::source::BATCH_BYTES;
use crate::source::documents::bson::{self, kind};
use crate::source::documents::chosen;
use crate::source::documents::{Built, Chosen, Documents};
use crate::source::feed::{Outlet, Stop};

/// Takes pages, and hands their records on as rows, a batch at a time.
pub struct Delivery {
    endpoint: Arc<Endpoint>,
    pub documents: Documents,
    chosen: Chosen,
    pub filter: Filter,
    batch: Batch,
    /// The pages whose records are at hand.
    pages: Vec<Taken>,
    /// What the records of the pages to come have besides: names and values.
    pub added: Arc<[(String, String)]>,
}

/// What is known of a page whose records were taken.
#[derive(Debug, Default)]
pub struct Seen {
    /// What the last record has in the field that the next page may begin behind.
    pub last_key: Option<String>,
    /// Of all records.
    pub digest: u64,
}

/// A page, or the part of one that is at hand.
struct Taken {
    /// Behind how many of the records at hand it ends.
    end: usize,
    added: Arc<[(String, String)]>,
}

impl Delivery {
    pub fn new(endpoint: Arc<Endpoint>, documents: Documents, chosen: Chosen, filter: Filter) -> Self {
        let (batch, added) = (Batch::new(BATCH_BYTES), Arc::from([]));
        Self { endpoint, documents, chosen, filter, batch, pages: Vec::new(), added }
    }

    /// Says which columns there are, where any is known.
    pub async fn announce(&self, outlet: &Outlet) -> Result<(), Stop> {
        // A table that has no columns yet is none: its files could not be read.
        if self.documents.table().schema.fields().is_empty() {
            return Ok(());
        }
        outlet.send(Event::Rows(Rows::none(self.documents.table().clone()))).await.map_err(Stop::from)
    }

    /// Takes a page's records.
    pub async fn take(&mut self, answer: Answer, outlet: &Outlet) -> Result<Seen, Stop> {
        let in_memory = answer.body.in_memory().is_some();
        let mut records =
            body::records(answer.body, self.endpoint.format, &self.endpoint.wanted).map_err(unreadable)?;
        let (mut last_key, mut hasher) = (None, DefaultHasher::new());
        loop {
            let before = self.batch.len();
            let ended = if in_memory {
                records.read(&mut self.batch)
            } else {
                let mut filled = std::mem::take(&mut self.batch);
                let read = tokio::task::spawn_blocking(move || {
                    let ended = records.read(&mut filled);
                    (records, filled, ended)
                });
                let ended;
                (records, self.batch, ended) =
                    read.await.map_err(|panic| Error::bug(format!("reading an answer ended: {panic}")))?;
                ended
            };
            if let (Some(field), Some(record)) = (self.endpoint.paging.key(), self.batch.last()) {
                last_key = field.text(record);
            }
            self.batch.records().skip(before).for_each(|record| hasher.write(record));
            let ended = ended.map_err(unreadable)?.is_some();
            self.pages.push(Taken { end: self.batch.len(), added: self.added.clone() });
            if ended {
                return Ok(Seen { last_key, digest: hasher.finish() });
            }
            self.send(outlet, false).await?;
        }
    }

    /// Has the columns know the first records of a page.
    pub async fn observe(&mut self, answer: Answer) -> Result<()> {
        let mut records =
            body::records(answer.body, self.endpoint.format, &self.endpoint.wanted).map_err(unreadable)?;
        records.read(&mut self.batch).map_err(unreadable)?;
        let whole = |record| with(Cow::Borrowed(record), &self.added);
        let records: Vec<_> = self.batch.records().map(whole).collect::<Result<_>>()?;
        self.documents.observe(records.iter().map(|record| &**record))
    }

    /// Hands on the records that are at hand.
    pub async fn flush(&mut self, outlet: &Outlet) -> Result<(), Stop> {
        self.send(outlet, true).await
    }

    /// `is_end`: the last page at hand ends there.
    async fn send(&mut self, outlet: &Outlet, is_end: bool) -> Result<(), Stop> {
        let mut kept: Vec<Cow<'_, [u8]>> = Vec::with_capacity(self.batch.len());
        let mut pages = self.pages.drain(..).peekable();
        for (at, record) in self.batch.records().enumerate() {
            while pages.next_if(|page| page.end <= at).is_some() {
                self.filter.turn();
            }
            let added = pages.peek().map_or(&[][..], |page| &page.added);
            let chosen = self.chosen.of(record).map_err(|_| Error::bug("a record is no BSON"))?;
            if added.is_empty() {
                if self.filter.keeps(record)? {
                    kept.push(chosen);
                }
            } else if self.filter.keeps(&with(Cow::Borrowed(record), added)?)? {
                kept.push(with(chosen, added)?);
            }
        }
        let left = pages.count();
        for _ in 0..left.saturating_sub(usize::from(!is_end)) {
            self.filter.turn();
        }
        let kept: Vec<&[u8]> = kept.iter().map(|record| &**record).collect();
        for group in kept.chunks(self.documents.most_rows()) {
            rows(&mut self.documents, group, outlet).await?;
        }
        self.batch.clear();
        Ok(())
    }
}

/// Sends records as rows, and beside them those that do not fit.
async fn rows(documents: &mut Documents, records: &[&[u8]], outlet: &Outlet) -> Result<(), Stop> {
    let Built { batch, refused } = documents.rows(records)?;
    let beside = match documents.quarantine_table().cloned().filter(|_| !refused.is_empty()) {
        Some(table) => {
            tracing::warn!(
                table = table.name,
                records = refused.len(),
                "records do not fit what is declared: they are in the quarantine"
            );
            Some(Rows { batch: documents.quarantine(records, &refused)?, table })
        }
        None => None,
    };
    outlet.send(Event::Rows(Rows { table: documents.table().clone(), batch })).await?;
    if let Some(rows) = beside {
        outlet.send(Event::Rows(rows)).await?;
    }
    Ok(())
}

/// A record with fields more. One that it has itself stays as it is.
fn with<'r>(record: Cow<'r, [u8]>, added: &[(String, String)]) -> Result<Cow<'r, [u8]>> {
    if added.is_empty() {
        return Ok(record);
    }
    let broken = |_| Error::bug("a record is no BSON");
    let mut out = Vec::with_capacity(
        record.len() + added.iter().map(|(name, value)| name.len() + value.len() + 7).sum::<usize>(),
    );
    let begin = chosen::begin(&mut out);
    out.extend_from_slice(record.get(4..record.len() - 1).unwrap_or_default());
    for (name, value) in added {
        if bson::field(&record, name).map_err(broken)?.is_none() {
            chosen::name(&mut out, kind::TEXT, name.as_bytes());
            out.extend_from_slice(&u32::try_from(value.len() + 1).unwrap_or(u32::MAX).to_le_bytes());
            out.extend_from_slice(value.as_bytes());
            out.push(0);
        }
    }
    chosen::end(&mut out, begin).map_err(broken)?;
    Ok(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::documents::write::{self, Dialect};

    #[test]
    fn fields_are_added_behind_those_of_the_record() {
        let record = write::document(r#"{"a":1,"b_id":"own"}"#, Dialect::Extended).unwrap();
        let added = [("b_id".to_owned(), "x".to_owned()), ("c".to_owned(), "ü\"".to_owned())];
        let whole = with(Cow::Borrowed(&record), &added).unwrap();
        let wanted = write::document(r#"{"a":1,"b_id":"own","c":"ü\""}"#, Dialect::Extended).unwrap();
        assert_eq!(whole, wanted);
        assert_eq!(with(Cow::Borrowed(&record), &[]).unwrap(), record);
    }
}
