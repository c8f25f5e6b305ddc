//! A source whose tables and rows are masked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::reader::{Masking, Warned};
use super::table::Masked;
use crate::config::Section;
use crate::error::Result;
use crate::record::{Checkpoint, Range, Table};
use crate::source::masking::Masks;
use crate::source::{
    self, Chunks, Conditions, Description, Exchange, Failures, Listing, Outlook, Reader, Selection, Source, Stream,
    Wanted,
};

/// The source of a `[source]` section of this kind, with the masks of its streams. Its answers come as `exchange` says, if
/// anything.
pub fn make(kind: &str, section: &Section, exchange: Option<&Exchange>) -> Result<Arc<dyn Source>> {
    let source = source::make(kind, section, exchange)?;
    Ok(Arc::new(MaskedSource::of(source)))
}

/// Hands everything on, but for tables and rows. Whoever adds a method to [`Source`] adds it here.
pub struct MaskedSource {
    source: Box<dyn Source>,
    warned: Warned,
}

impl MaskedSource {
    pub fn of(source: Box<dyn Source>) -> Self {
        Self { source, warned: Warned::default() }
    }

    /// What is wrong with the masks of a stream, as far as its tables tell before a row is read. A failure to look that may
    /// pass is an error of the source. Of tables that cannot be looked at, the reader says why.
    async fn judge(&self, stream: &Stream) -> Result<Result<()>> {
        let masks = match masks(stream) {
            Ok(masks) if masks.is_empty() => return Ok(Ok(())),
            Ok(masks) => masks,
            Err(error) => return Ok(Err(error)),
        };
        for table in &stream.tables {
            let table = match self.source.describe(&stream.of_table(table)).await {
                Ok(described) => described.table,
                Err(error) if error.kind().is_retried() => return Err(error),
                Err(_) => continue,
            };
            if let Err(error) = Masked::of(&masks, &table, stream.selection.mode) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    fn masked(&self, stream: &Stream, reader: Box<dyn Reader>) -> Result<Box<dyn Reader>> {
        let masks = masks(stream)?;
        if masks.is_empty() {
            return Ok(reader);
        }
        Ok(Box::new(Masking {
            reader,
            masks,
            mode: stream.selection.mode,
            stream: stream.id.whole(),
            warned: self.warned.clone(),
            tables: BTreeMap::new(),
        }))
    }
}

fn masks(stream: &Stream) -> Result<Masks> {
    Masks::of(&stream.selection.section, stream.selection.mode)
}

/// What is to be known of masks that have nothing to mask in a table.
fn notes(masks: &Masks, read: &Table, met: &[bool]) -> Vec<String> {
    let idle = masks.rules.iter().zip(met).filter(|(_, met)| !**met).map(|(rule, _)| rule.key());
    let what = match read.is_found() {
        true => "No document that was looked at has such a column: it is masked when it comes.",
        false => "It has no such column.",
    };
    idle.map(|key| format!("`{key}` masks nothing. {what}")).collect()
}

#[async_trait]
impl Source for MaskedSource {
    async fn identity(&self) -> Result<Value> {
        self.source.identity().await
    }

    fn definition(&self, stream: &Stream) -> Result<Value> {
        self.source.definition(stream)
    }

    /// Streams whose masks are wrong are refused here: before anything is written, and by `check` too.
    async fn streams(&self, selections: &[Selection]) -> Result<Listing> {
        let Listing { streams, mut refused } = self.source.streams(selections).await?;
        let mut right = Vec::with_capacity(streams.len());
        for stream in streams {
            match self.judge(&stream).await? {
                Ok(()) => right.push(stream),
                Err(error) => refused.push((stream.id, error)),
            }
        }
        Ok(Listing { streams: right, refused })
    }

    async fn describe(&self, stream: &Stream) -> Result<Description> {
        let Description { table, mut notes } = self.source.describe(stream).await?;
        let masks = masks(stream)?;
        if masks.is_empty() {
            return Ok(Description { table, notes });
        }
        let masked = Masked::of(&masks, &table, stream.selection.mode)?;
        notes.extend(self::notes(&masks, &table, &masked.met));
        Ok(Description { table: masked.table, notes })
    }

    async fn conditions(&self, stream: &Stream, after: Option<&Checkpoint>, interval: Duration) -> Result<Conditions> {
        self.source.conditions(stream, after, interval).await
    }

    async fn create(&self, stream: &Stream) -> Result<Vec<String>> {
        self.source.create(stream).await
    }

    async fn windows(&self, stream: &Stream, wanted: &Wanted, mark: Option<&Checkpoint>) -> Result<Vec<Range>> {
        self.source.windows(stream, wanted, mark).await
    }

    async fn chunks(&self, stream: &Stream) -> Result<Chunks> {
        self.source.chunks(stream).await
    }

    async fn hand_over(&self, stream: &Stream, chunks: Chunks) -> Result<Chunks> {
        self.source.hand_over(stream, chunks).await
    }

    async fn outlook(&self, stream: &Stream, ranges: &[Option<Range>], after: Option<&Checkpoint>) -> Result<Outlook> {
        self.source.outlook(stream, ranges, after).await
    }

    async fn running(&self) -> Result<Option<u64>> {
        self.source.running().await
    }

    async fn guard(&self, stream: &Stream) -> Result<()> {
        self.source.guard(stream).await
    }

    async fn open(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        self.masked(stream, self.source.open(stream, after).await?)
    }

    fn failures(&self, stream: &Stream, state: &Value) -> Result<Failures> {
        self.source.failures(stream, state)
    }

    async fn open_failed(&self, stream: &Stream, at: &Checkpoint) -> Result<Box<dyn Reader>> {
        self.masked(stream, self.source.open_failed(stream, at).await?)
    }
}
