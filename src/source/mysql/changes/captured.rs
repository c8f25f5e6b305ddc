//! A table whose changes are read: what it is now, and the rows of its changes that are not handed on yet.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;

use crate::error::{Error, Result};
use crate::record::change::{self, Changes, Op};
use crate::record::{Rows, Table};
use crate::source::mysql::binlog::{self, Change, Definition, Image, Layout, Room, RowsEvent};
use crate::source::mysql::cells::Cells;
use crate::source::{BATCH_BYTES, BATCH_ROWS};

/// A table whose changes are read.
pub struct Captured {
    pub definition: Definition,
    /// As changes of it are handed on.
    pub table: Arc<Table>,
    own: Arc<Schema>,
    names: Vec<String>,
    /// The places of what tells a row from others.
    key: Vec<usize>,
    cells: Vec<Cells>,
    changes: Changes,
    bytes: usize,
}

/// When and where a transaction was committed.
#[derive(Debug, Clone, Default)]
pub struct Moment {
    pub committed_at: Option<i64>,
    pub position: String,
}

impl Moment {
    /// In the room that the last one had: there is one for each transaction.
    pub fn stands(&mut self, position: fmt::Arguments<'_>) {
        self.position.clear();
        // A string takes all that it is given.
        let _ = self.position.write_fmt(position);
    }
}

impl Captured {
    /// `own` is the table's own, of the columns that the definition has targets for, in the order of these.
    pub fn of(own: &Table, definition: Definition) -> Result<Self> {
        let table = Arc::new(change::table(own)?);
        let names: Vec<_> = own.schema.fields().iter().map(|field| field.name().clone()).collect();
        let place = |name: &String| names.iter().position(|own| own == name);
        // Without a key nothing but all of a row tells which one it was.
        let key = match table.key.is_empty() {
            true => (0..names.len()).collect(),
            false => table.key.iter().filter_map(place).collect(),
        };
        let own = Arc::new(Schema::new(table.schema.fields()[..names.len()].to_vec()));
        let cells = definition.cells();
        Ok(Self { definition, table, own, names, key, cells, changes: Changes::default(), bytes: 0 })
    }

    /// Whether rows of a query have these columns.
    pub fn is_of(&self, table: &Table) -> bool {
        let columns = self.own.fields().iter().map(|field| (field.name(), field.data_type()));
        columns.eq(table.schema.fields().iter().map(|field| (field.name(), field.data_type())))
    }

    /// Takes the rows of an event. A batch comes whenever one is full.
    pub fn take(
        &mut self,
        layout: &Layout,
        event: RowsEvent<'_>,
        (room, moment): (&mut Room, &Moment),
        mut full: impl FnMut(Rows),
    ) -> Result<()> {
        let unsent = layout.unsent(&event);
        let mut rows = layout.rows(event, room)?;
        while rows.advance()? {
            match rows.change() {
                Change::Insert => self.row(&mut rows, Image::After, Op::Create, moment, &unsent)?,
                Change::Delete => self.row(&mut rows, Image::Before, Op::Delete, moment, &unsent)?,
                // The row of the old key is no more, and another one is there.
                Change::Update if rows.changed(&self.key) => {
                    self.row(&mut rows, Image::Before, Op::Delete, moment, &unsent)?;
                    self.row(&mut rows, Image::After, Op::Create, moment, &unsent)?;
                }
                Change::Update => self.row(&mut rows, Image::After, Op::Update, moment, &unsent)?,
            }
            if self.changes.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
                full(self.finish()?);
            }
        }
        Ok(())
    }

    fn row(
        &mut self,
        rows: &mut binlog::Rows<'_>,
        image: Image,
        op: Op,
        moment: &Moment,
        unsent: &[usize],
    ) -> Result<()> {
        self.bytes += rows.append(image, &mut self.cells)? + self.names.len() * 8;
        let names = &self.names;
        let unsent = unsent.iter().filter_map(|place| names.get(*place)).map(String::as_str);
        self.changes.push(op, moment.committed_at, &moment.position, unsent);
        Ok(())
    }

    /// About how many bytes the rows so far take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// The rows so far.
    pub fn finish(&mut self) -> Result<Rows> {
        let rows = self.changes.len();
        let arrays = self.cells.iter_mut().zip(&self.names).map(|(cells, name)| {
            cells.finish().map_err(|_| {
                Error::data(format!("table {}, column {name}: the text is not valid UTF-8", self.definition.name))
                    .hint(format!("Set `bytes_columns = {name}`, in [{}].", self.definition.header))
            })
        });
        let arrays = arrays.collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let own = RecordBatch::try_new_with_options(self.own.clone(), arrays, &options)
            .map_err(|e| Error::bug(format!("table {}: {e}", self.definition.name)))?;
        self.bytes = 0;
        self.changes.finish(&self.table, &own)
    }

    /// Rows of a snapshot, as a query gave them.
    pub fn read(&self, rows: &Rows, position: &str) -> Result<Rows> {
        let mut changes = Changes::default();
        for _ in 0..rows.batch.num_rows() {
            changes.push(Op::Read, None, position, []);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.batch.num_rows()));
        let own = RecordBatch::try_new_with_options(self.own.clone(), rows.batch.columns().to_vec(), &options)
            .map_err(|e| Error::bug(format!("table {}: {e}", self.definition.name)))?;
        changes.finish(&self.table, &own)
    }
}
