//! How a table's columns differ from those that were written before. Of columns and types: no cell is looked at.

mod compared;
mod standing;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

pub use self::compared::Columns;
pub use self::standing::{Definitions, before, definitions, of_parts};
use crate::error::{Error, Result};
use crate::record::{Event, Lag, Position, StreamId, Table};
use crate::source::Reader;

/// What becomes of a stream whose columns are not those of what it wrote before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChange {
    Evolve,
    Warn,
    Fail,
}

impl OnChange {
    /// The value of `on_schema_change`.
    pub fn parse(text: &str) -> Self {
        match text {
            "evolve" => OnChange::Evolve,
            "fail" => OnChange::Fail,
            _ => OnChange::Warn,
        }
    }

    /// Tells a change of a table, or refuses it.
    fn meet(self, stream: &StreamId, table: &str, changes: &str) -> Result<()> {
        match self {
            OnChange::Evolve => tracing::info!(%stream, table, changes, "the columns have changed"),
            OnChange::Warn => {
                tracing::warn!(%stream, table, changes, "the columns have changed; new files have the new ones")
            }
            OnChange::Fail => {
                return Err(Error::schema(format!("the columns of table {table} have changed: {changes}")).hint(
                    "No row of it was written. Name the columns to read with `columns`, or set `on_schema_change = evolve` to take \
                     the change over.",
                ));
            }
        }
        Ok(())
    }
}

/// A load that is not published, because its table has other columns than what stands there.
pub fn unpublished(table: &str, changes: &str) -> Error {
    Error::schema(format!("the columns of table {table} have changed: {changes}")).hint(
        "The load was read and not published: what was there before stands. Set `on_schema_change = evolve` to publish it as \
         it is; or mend the table, or name the columns to read with `columns`, and run with `--full-refresh`, which reads it \
         anew.",
    )
}

/// A reader whose tables are compared, whenever they are other ones than before, with what the stream wrote before: first
/// with what stands at the destination, then with what this run has read. So a change in the midst of a run is told, or
/// refused before the first of its rows, as the next run would meet it; of a change log this is where it is met at all.
pub struct Watched {
    reader: Box<dyn Reader>,
    stream: StreamId,
    on_change: OnChange,
    /// By table; those that were written by an earlier run, or have come in this one.
    before: Definitions,
    /// What the last rows of a table were of: most often the next are of the very same.
    last: BTreeMap<String, Arc<Table>>,
}

impl Watched {
    /// `before` is what the stream has written so far.
    pub fn new(reader: Box<dyn Reader>, stream: StreamId, before: Definitions, on_change: OnChange) -> Self {
        Self { reader, stream, on_change, before, last: BTreeMap::new() }
    }

    fn compare(&mut self, table: &Arc<Table>) -> Result<()> {
        if self.last.get(&table.name).is_some_and(|last| Arc::ptr_eq(last, table)) {
            return Ok(());
        }
        if self.last.get(&table.name).is_none_or(|last| last != table) {
            let new = Columns::of(&table.definition().1);
            match self.before.get_mut(&table.name) {
                Some(before) => {
                    if let Some(changes) = before.growth(&new) {
                        self.on_change.meet(&self.stream, &table.name, &changes)?;
                    }
                    before.grow(new);
                }
                None => {
                    self.before.insert(table.name.clone(), new);
                }
            }
        }
        self.last.insert(table.name.clone(), table.clone());
        Ok(())
    }
}

#[async_trait]
impl Reader for Watched {
    async fn next(&mut self) -> Result<Option<Event>> {
        let event = self.reader.next().await?;
        // Where columns are found in the rows, there are none to tell of before there is a row.
        if let Some(Event::Rows(rows)) = &event
            && (rows.batch.num_rows() > 0 || !rows.table.is_found())
        {
            self.compare(&rows.table)?;
        }
        Ok(event)
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
