//! `_seq`: the number of a row in its stream, which the loop assigns.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};

use crate::error::{Error, Result};
use crate::record::{Rows, Table};

/// The column's name.
pub const SEQ: &str = "_seq";

/// Numbers rows, strictly growing, from where the last commit ended.
pub struct Sequence {
    last: i64,
    /// Tables with the column added, by name, beside the table they were made from.
    tables: HashMap<String, (Arc<Table>, Arc<Table>)>,
}

impl Sequence {
    pub fn after(last: i64) -> Self {
        Self { last, tables: HashMap::new() }
    }

    pub fn last(&self) -> i64 {
        self.last
    }

    /// The same rows with their numbers, in a last column.
    pub fn number(&mut self, rows: Rows) -> Result<Rows> {
        let table = self.numbered(&rows.table);
        let count = i64::try_from(rows.batch.num_rows()).unwrap_or(i64::MAX);
        let numbers = Int64Array::from_iter_values(self.last + 1..=self.last + count);
        self.last += count;
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
