//! `_seq`: the number of a row in its stream, which the loop assigns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};

use crate::error::{Error, Result};
use crate::record::{Rows, Table};

/// The column's name.
pub const SEQ: &str = "_seq";

/// How rows are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// Not at all: a full load has no order of versions.
    None,
    /// Strictly growing, from where the last commit ended.
    Growing,
    /// All the same: they are of one age.
    Same(i64),
}

/// Numbers rows.
pub struct Sequence {
    numbering: Numbering,
    last: i64,
    /// Tables with the column added, by name, beside the table they were made from.
    tables: HashMap<String, (Arc<Table>, Arc<Table>)>,
}

impl Sequence {
    /// `last` is the number that the last commit ended with.
    pub fn after(last: i64, numbering: Numbering) -> Self {
        Self { numbering, last, tables: HashMap::new() }
    }

    pub fn last(&self) -> i64 {
        self.last
    }

    /// The same rows with their numbers, where they have any, in a last column.
    pub fn number(&mut self, rows: Rows) -> Result<Rows> {
        let count = i64::try_from(rows.batch.num_rows()).unwrap_or(i64::MAX);
        let numbers = match self.numbering {
            Numbering::None => return Ok(rows),
            Numbering::Same(number) => {
                self.last = number;
                Int64Array::from_value(number, rows.batch.num_rows())
            }
            Numbering::Growing => {
                let first = self.last + 1;
                self.last += count;
                Int64Array::from_iter_values(first..=self.last)
            }
        };
        let table = self.numbered(&rows.table);
        let mut columns = rows.batch.columns().to_vec();
        columns.push(Arc::new(numbers));
        let batch = RecordBatch::try_new(table.schema.clone(), columns)
            .map_err(|e| Error::bug(format!("table {}: {e}", table.name)))?;
        Ok(Rows { table, batch })
    }

    fn numbered(&mut self, table: &Arc<Table>) -> Arc<Table> {
        if let Some((from, to)) = self.tables.get(&table.name)
            && Arc::ptr_eq(from, table)
        {
            return to.clone();
        }
        let mut fields = table.schema.fields().to_vec();
        fields.push(Arc::new(Field::new(SEQ, DataType::Int64, false)));
        let schema = Schema::new_with_metadata(fields, table.schema.metadata().clone());
        let to = Arc::new(Table::new(table.name.clone(), Arc::new(schema), table.key.clone()));
        self.tables.insert(table.name.clone(), (table.clone(), to.clone()));
        to
    }
}
