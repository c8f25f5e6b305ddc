//! A reader whose rows are masked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::table::Masked;
use crate::error::{Error, Result};
use crate::record::{Event, Lag, Mode, Position, Rows, StreamId, Table};
use crate::source::Reader;
use crate::source::masking::Masks;

/// What was warned of, by stream, table and mask: once for all readers of a source.
pub type Warned = Arc<Mutex<BTreeSet<(String, String, String)>>>;

pub struct Masking {
    pub reader: Box<dyn Reader>,
    pub masks: Masks,
    pub mode: Mode,
    pub stream: StreamId,
    pub warned: Warned,
    /// By table, as it was read last, and what it became.
    pub tables: BTreeMap<String, (Arc<Table>, Masked)>,
}

impl Masking {
    fn masked(&mut self, rows: &Rows) -> Result<Rows> {
        let known = self.tables.get(&rows.table.name).filter(|(read, _)| Arc::ptr_eq(read, &rows.table));
        if known.is_none() {
            self.look_at(&rows.table)?;
        }
        let (_, masked) = self
            .tables
            .get(&rows.table.name)
            .ok_or_else(|| Error::bug(format!("table {}: it has no masks", rows.table.name)))?;
        let written = masked.rows(&self.masks, &rows.batch)?;
        if rows.batch.num_rows() > 0 && rows.table.is_found() {
            self.warn(&rows.table, &masked.met);
        }
        Ok(written)
    }

    /// Takes a table in, or another definition of one.
    fn look_at(&mut self, read: &Arc<Table>) -> Result<()> {
        let mut masked = Masked::of(&self.masks, read, self.mode)?;
        if let Some((_, before)) = self.tables.get(&read.name) {
            let gone = before.met.iter().zip(&masked.met).position(|(before, now)| *before && !now);
            if let Some(rule) = gone.and_then(|at| self.masks.rules.get(at)).filter(|_| !read.is_found()) {
                return Err(Error::schema(format!(
                    "table {}: column {}, which is masked, is gone",
                    read.name, rule.name
                ))
                .hint("It may have another name now: have its mask name that one."));
            }
            // Each table begins new files: of what is the same to those who read them, it stays the very same.
            if before.table == masked.table {
                masked.table = before.table.clone();
            }
        }
        self.tables.insert(read.name.clone(), (read.clone(), masked));
        Ok(())
    }

    /// Says, once, which masks have nothing to mask so far in a table whose columns are found.
    fn warn(&self, read: &Table, met: &[bool]) {
        for (rule, _) in self.masks.rules.iter().zip(met).filter(|(rule, met)| !**met && !rule.if_present) {
            let what = (self.stream.name().to_owned(), read.name.clone(), rule.name.clone());
            if self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(what) {
                tracing::warn!(
                    stream = self.stream.name(),
                    table = read.name,
                    mask = rule.key(),
                    "no row has such a column so far: it is masked when it comes"
                );
            }
        }
    }
}

#[async_trait]
impl Reader for Masking {
    async fn next(&mut self) -> Result<Option<Event>> {
        Ok(match self.reader.next().await? {
            Some(Event::Rows(rows)) => Some(Event::Rows(self.masked(&rows)?)),
            event => event,
        })
    }

    async fn ack(&mut self, position: &Position) -> Result<()> {
        self.reader.ack(position).await
    }

    fn lag(&self) -> Option<Lag> {
        self.reader.lag()
    }

    fn holds(&self) -> u64 {
        self.reader.holds()
    }
}
