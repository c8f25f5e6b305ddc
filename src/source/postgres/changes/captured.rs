//! A table whose changes are read: what it is now, and the rows of its changes that are not handed on yet.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;

use super::known::{Defined, Known};
use super::present::Present;
use super::told::Told;
use super::unchanged::{Batch, Unsent};
use crate::error::{Error, Result};
use crate::record::change::{Changes, Op};
use crate::record::{Rows, Table};
use crate::source::changes::Gathered;
use crate::source::postgres::batches::misfit;
use crate::source::postgres::decode::{Column, Fault};
use crate::source::postgres::replication::{Cell, Cells, Old, Tuple};
use crate::source::{BATCH_BYTES, BATCH_ROWS};

/// A table whose changes are read.
#[derive(Debug)]
pub struct Captured {
    /// As changes of it are handed on.
    pub table: Arc<Table>,
    /// What the table was when it was learned.
    pub known: Known,
    own: Arc<Schema>,
    columns: Vec<Column>,
    names: Vec<String>,
    changes: Changes,
    /// What rows lack, where that is read from the table.
    unsent: Option<Unsent>,
    bytes: usize,
}

/// When and where a transaction was committed.
#[derive(Debug, Clone, Default)]
pub struct Moment {
    pub transaction: u32,
    pub committed_at: Option<i64>,
    pub position: String,
}

impl Moment {
    /// In the room that the last one had: there is one for each transaction.
    pub fn stands(&mut self, transaction: u32, committed_at: i64, position: impl fmt::Display) {
        self.transaction = transaction;
        self.committed_at = Some(committed_at);
        self.position.clear();
        // A string takes all that it is given.
        let _ = write!(self.position, "{position}");
    }
}

/// How the rows of a table lie in the log.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Of each column in the log its place among those that are read.
    taken: Vec<Option<usize>>,
    /// The columns of the key, by their places in the log.
    key: Vec<usize>,
    /// The same in the key's order; none where one of them is not in the log.
    found_by: Vec<usize>,
}

impl Captured {
    /// `table` is that of its changes. What they lack is to be read from what is `present`.
    pub fn of(known: &Known, defined: &Defined, table: Arc<Table>, present: Option<Present>) -> Result<Self> {
        let names: Vec<_> = defined.columns.iter().map(|(name, _)| name.clone()).collect();
        let own = Arc::new(Schema::new(table.schema.fields()[..names.len()].to_vec()));
        let columns = defined.columns.iter().map(|(_, of)| Column::new(of, &defined.policies, 0)).collect();
        let (known, unsent) = (known.clone(), present.map(|present| Unsent::new(present.into())));
        Ok(Self { table, known, own, columns, names, changes: Changes::default(), unsent, bytes: 0 })
    }

    pub fn layout(&self, told: &Told) -> Layout {
        let place = |name: &String| self.names.iter().position(|own| own == name);
        let is_key = |(at, column): (usize, &super::told::Column)| self.table.key.contains(&column.name).then_some(at);
        let in_log = |name: &String| told.columns.iter().position(|column| column.name == *name);
        Layout {
            taken: told.columns.iter().map(|column| place(&column.name)).collect(),
            key: told.columns.iter().enumerate().filter_map(is_key).collect(),
            found_by: self.table.key.iter().map(in_log).collect::<Option<_>>().unwrap_or_default(),
        }
    }

    /// Whether rows of a query have these columns.
    pub fn is_of(&self, table: &Table) -> bool {
        let columns = self.own.fields().iter().map(|field| (field.name(), field.data_type()));
        columns.eq(table.schema.fields().iter().map(|field| (field.name(), field.data_type())))
    }

    pub fn insert(&mut self, layout: &Layout, new: Tuple<'_>, moment: &Moment) -> Result<()> {
        self.row(layout, new, None, (Op::Create, moment))
    }

    pub fn update(&mut self, layout: &Layout, old: Option<Old<'_>>, new: Tuple<'_>, moment: &Moment) -> Result<()> {
        let before = old.map(|(Old::Key(row) | Old::Row(row))| row);
        // Without a key a row is all that it was, as far as that is told.
        let is_another = |before: &Tuple<'_>| layout.key.is_empty() || layout.has_another_key(*before, new);
        match before.filter(is_another) {
            // The old row is no more, and another one is there.
            Some(before) => {
                self.gone(layout, before, moment)?;
                self.row(layout, new, Some(before), (Op::Create, moment))
            }
            None => self.row(layout, new, before, (Op::Update, moment)),
        }
    }

    pub fn delete(&mut self, layout: &Layout, old: Old<'_>, moment: &Moment) -> Result<()> {
        let (Old::Key(row) | Old::Row(row)) = old;
        self.gone(layout, row, moment)
    }

    fn gone(&mut self, layout: &Layout, row: Tuple<'_>, moment: &Moment) -> Result<()> {
        // A partition may have another replica identity than its table.
        if layout.lacks_its_key(row) {
            return Err(Error::config(format!(
                "table {}: a deletion does not tell the key ({}) of what it deleted",
                self.table.name,
                self.table.key.join(", ")
            ))
            .hint(
                "The REPLICA IDENTITY of the table, and of each of its partitions, has to be the key, or FULL. Once it is, read the table \
                 anew: `tidemark run --full-refresh` with the stream's name.",
            ));
        }
        self.row(layout, row, None, (Op::Delete, moment))
    }

    /// `before` may have what the server left away in `tuple`: all of the row as it was, or its key.
    fn row(
        &mut self,
        layout: &Layout,
        tuple: Tuple<'_>,
        before: Option<Tuple<'_>>,
        (op, moment): (Op, &Moment),
    ) -> Result<()> {
        if tuple.len() != layout.taken.len() {
            return Err(Error::schema(format!("table {}: a row has other columns than the log told", self.table.name)));
        }
        let mut old = before.map(|tuple| tuple.cells());
        let mut unsent = Vec::new();
        for (cell, taken) in tuple.cells().zip(&layout.taken) {
            let old = old.as_mut().and_then(Cells::next);
            let Some(at) = *taken else { continue };
            let column = &mut self.columns[at];
            let pushed = match sent(cell, old) {
                Cell::Null => {
                    column.push_null();
                    Ok(0)
                }
                Cell::Unchanged => {
                    column.push_null();
                    unsent.push(at);
                    Ok(0)
                }
                Cell::Text(value) => column.push_text(value).map(|()| value.len()),
                Cell::Binary(value) => column.push_binary(value).map(|()| value.len()),
            };
            self.bytes += 8 + pushed.map_err(|fault| self.misfit(at, fault))?;
        }
        if let Some(lacks) = self.unsent.as_mut().filter(|_| !unsent.is_empty() && op != Op::Delete) {
            let key = (0..self.table.key.len()).map(|at| layout.text(*layout.found_by.get(at)?, tuple, before));
            self.bytes += lacks.push((self.changes.len(), &unsent), key, moment.transaction);
        }
        let names = &self.names;
        self.changes.push(op, moment.committed_at, &moment.position, unsent.iter().map(|at| names[*at].as_str()));
        self.bytes += 8 * self.names.len();
        Ok(())
    }

    fn misfit(&self, at: usize, fault: Fault) -> Error {
        misfit(&self.names[at], fault).at(format!("table {}", self.table.name))
    }

    pub fn is_full(&self) -> bool {
        self.changes.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// Rows of a snapshot, as a query gave them.
    pub fn read(&self, rows: &Rows, position: &str) -> Result<Rows> {
        let mut changes = Changes::default();
        for _ in 0..rows.batch.num_rows() {
            changes.push(Op::Read, None, position, []);
        }
        let own = self.batch(rows.batch.columns().to_vec(), rows.batch.num_rows())?;
        changes.finish(&self.table, &own)
    }

    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.own.clone(), columns, &options)
            .map_err(|e| Error::bug(format!("table {}: {e}", self.table.name)))
    }
}

impl Gathered for Captured {
    type Rows = Batch;

    fn len(&self) -> usize {
        self.changes.len()
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn finish(&mut self) -> Result<Batch> {
        let rows = self.changes.len();
        let mut arrays = Vec::with_capacity(self.columns.len());
        for at in 0..self.columns.len() {
            let array = self.columns[at].finish();
            arrays.push(array.map_err(|fault| self.misfit(at, fault))?);
        }
        let own = self.batch(arrays, rows)?;
        self.bytes = 0;
        let rows = self.changes.finish(&self.table, &own)?;
        Ok(Batch { rows, unsent: self.unsent.as_mut().and_then(Unsent::take) })
    }
}

/// What is known of a value, by the row and by the one before it.
fn sent<'a>(cell: Cell<'a>, before: Option<Cell<'a>>) -> Cell<'a> {
    match (cell, before) {
        // What is left away is no null; that in an old row stands for what is no part of the key.
        (Cell::Unchanged, Some(before @ (Cell::Text(_) | Cell::Binary(_)))) => before,
        (cell, _) => cell,
    }
}

impl Layout {
    /// The text of a value that a row is found by.
    fn text<'a>(&self, at: usize, row: Tuple<'a>, before: Option<Tuple<'a>>) -> Option<&'a [u8]> {
        let before = before.and_then(|before| before.cells().nth(at));
        match sent(row.cells().nth(at)?, before) {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    fn lacks_its_key(&self, row: Tuple<'_>) -> bool {
        row.cells().enumerate().any(|(at, cell)| cell == Cell::Null && self.key.contains(&at))
    }

    /// What the log does not repeat did not change.
    fn has_another_key(&self, before: Tuple<'_>, after: Tuple<'_>) -> bool {
        let mut cells = before.cells().zip(after.cells()).enumerate();
        cells.any(|(at, (before, after))| self.key.contains(&at) && after != Cell::Unchanged && before != after)
    }
}
