//! Records of pages on their way to rows.

use std::borrow::Cow;
use std::sync::Arc;

use super::body::Batch;
use super::filter::Filter;
use super::records::{Records, Seen};
use super::request::Request;
use crate::error::{Error, Result};
use crate::record::{Event, Rows};
use crate::source::BATCH_BYTES;
use crate::source::documents::bson::{self, kind};
use crate::source::documents::chosen;
use crate::source::documents::{Built, Chosen, Documents};
use crate::source::feed::{Outlet, Stop};

/// Takes pages, and hands their records on as rows, a batch at a time.
pub struct Delivery {
    pub documents: Documents,
    chosen: Chosen,
    pub filter: Filter,
    /// The records at hand, and how many bytes they have.
    taken: Vec<Taken>,
    bytes: usize,
    /// What the records of the pages to come have besides: names and values.
    pub added: Arc<[(String, String)]>,
}

/// A page's records, or a part of them.
struct Taken {
    batch: Batch,
    /// The page ends with them.
    is_end: bool,
    added: Arc<[(String, String)]>,
}

impl Delivery {
    pub fn new(documents: Documents, chosen: Chosen, filter: Filter) -> Self {
        Self { documents, chosen, filter, taken: Vec::new(), bytes: 0, added: Arc::from([]) }
    }

    /// Says which columns there are, where any is known.
    pub async fn announce(&self, outlet: &Outlet) -> Result<(), Stop> {
        // A table that has no columns yet is none: its files could not be read.
        if self.documents.table().schema.fields().is_empty() {
            return Ok(());
        }
        outlet.send(Event::Rows(Rows::none(self.documents.table().clone()))).await.map_err(Stop::from)
    }

    /// Takes the records of the page that a request brought.
    pub async fn take(&mut self, mut records: Records, request: &Request, outlet: &Outlet) -> Result<Seen, Stop> {
        loop {
            let (batch, ended) = records.next(request).await?;
            self.bytes += batch.bytes();
            self.taken.push(Taken { batch, is_end: ended.is_some(), added: self.added.clone() });
            if self.bytes >= BATCH_BYTES {
                self.flush(outlet).await?;
            }
            if let Some(seen) = ended {
                return Ok(seen);
            }
        }
    }

    /// Has the columns know the first records of a page.
    pub async fn observe(&mut self, mut records: Records, request: &Request) -> Result<()> {
        let (batch, _) = records.next(request).await?;
        let whole = |record| with(Cow::Borrowed(record), &self.added);
        let records: Vec<_> = batch.records().map(whole).collect::<Result<_>>()?;
        self.documents.observe(records.iter().map(|record| &**record))
    }

    /// Hands on the records that are at hand.
    pub async fn flush(&mut self, outlet: &Outlet) -> Result<(), Stop> {
        let (mut kept, mut bytes): (Vec<Cow<'_, [u8]>>, usize) = (Vec::new(), 0);
        for Taken { batch, is_end, added } in &self.taken {
            for record in batch.records() {
                let chosen = self.chosen.of(record).map_err(|_| Error::bug("a record is no BSON"))?;
                if added.is_empty() {
                    if !self.filter.keeps(record)? {
                        continue;
                    }
                    kept.push(chosen);
                } else if self.filter.keeps(&with(Cow::Borrowed(record), added)?)? {
                    kept.push(with(chosen, added)?);
                } else {
                    continue;
                }
                bytes += record.len();
                if bytes >= BATCH_BYTES || kept.len() >= self.documents.most_rows() {
                    rows(&mut self.documents, &kept, outlet).await?;
                    (kept, bytes) = (Vec::new(), 0);
                }
            }
            if *is_end {
                self.filter.turn();
            }
        }
        if !kept.is_empty() {
            rows(&mut self.documents, &kept, outlet).await?;
        }
        drop(kept);
        self.taken.clear();
        self.bytes = 0;
        Ok(())
    }
}

/// Sends records as rows, and beside them those that do not fit.
async fn rows(documents: &mut Documents, records: &[Cow<'_, [u8]>], outlet: &Outlet) -> Result<(), Stop> {
    let records: &[&[u8]] = &records.iter().map(|record| &**record).collect::<Vec<_>>();
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
