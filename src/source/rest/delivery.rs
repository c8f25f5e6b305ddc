//! Records of pages on their way to rows.

use std::borrow::Cow;
use std::iter;
use std::sync::Arc;

use super::body::{Batch, Field};
use super::filter::Filter;
use super::records::{Records, Seen};
use super::request::Request;
use crate::error::{Error, Result};
use crate::record::{Event, Rows};
use crate::source::BATCH_BYTES;
use crate::source::documents::bson::{self, Torn, kind};
use crate::source::documents::chosen;
use crate::source::documents::{Chosen, Documents};
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
        announce(&self.documents, outlet).await
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

    /// Has the columns know the first records of a page. What it returns are sentences about those that do not fit what is declared, and
    /// about what keys name and none of them has. An error where a record would end a run.
    pub async fn observe(
        &mut self,
        mut records: Records,
        request: &Request,
        cursor: Option<&Field>,
    ) -> Result<Vec<String>> {
        let (batch, _) = records.next(request).await?;
        let whole = |record| with(Cow::Borrowed(record), &self.added);
        let wholes: Vec<_> = batch.records().map(whole).collect::<Result<_>>()?;
        let kept = |record| with(self.chosen.of(record).map_err(broken)?, &self.added);
        let kept: Vec<_> = batch.records().map(kept).collect::<Result<_>>()?;
        let mut notes = Vec::new();
        let records: Vec<&[u8]> = kept.iter().map(|record| &**record).collect();
        self.documents.observe(records.iter().copied())?;
        let mut refused = Vec::new();
        for group in records.chunks(self.documents.most_rows()) {
            refused.extend(self.documents.rows(group)?.refused);
        }
        if let Some(first) = refused.first() {
            let (count, of) = (refused.len(), records.len());
            notes.push(format!("{count} of its first {of} records do not fit what is declared, and go to the quarantine; the first: {}.", first.reason));
        }
        let mut absent = Vec::new();
        if let Some(cursor) = cursor.filter(|cursor| wholes.iter().all(|record| cursor.text(record).is_none())) {
            absent.push(("cursor", cursor.name().to_owned()));
        }
        for top in self.chosen.tops() {
            if !has_any(&kept, &top)? {
                absent.push(("fields", top));
            }
        }
        let count = kept.len();
        let note = |(key, path)| match count {
            1 => format!("The first record has nothing at `{path}`, which `{key}` names."),
            _ => format!("None of the first {count} records has anything at `{path}`, which `{key}` names."),
        };
        notes.extend(absent.into_iter().filter(|_| count > 0).map(note));
        Ok(notes)
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
    let (rows, beside) = documents.split(records)?;
    for rows in iter::once(rows).chain(beside) {
        outlet.send(Event::Rows(rows)).await?;
    }
    Ok(())
}

/// Says which columns there are, where they are known. A table whose columns its records are to tell is none yet: its files would have
/// other columns, or none.
pub async fn announce(documents: &Documents, outlet: &Outlet) -> Result<(), Stop> {
    match documents.is_known() {
        true => outlet.send(Event::Rows(Rows::none(documents.table().clone()))).await.map_err(Stop::from),
        false => Ok(()),
    }
}

/// Whether any record has anything in a field.
fn has_any(records: &[Cow<'_, [u8]>], name: &str) -> Result<bool> {
    for record in records {
        if bson::field(record, name).map_err(broken)?.is_some_and(|value| !value.is_null()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn broken(_: Torn) -> Error {
    Error::bug("a record is no BSON")
}

/// A record with fields more. One that it has itself stays as it is.
fn with<'r>(record: Cow<'r, [u8]>, added: &[(String, String)]) -> Result<Cow<'r, [u8]>> {
    if added.is_empty() {
        return Ok(record);
    }
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
