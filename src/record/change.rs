//! The columns that a row of a change log has behind its table's own: what happened, when, where.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};

use super::{Rows, Table};
use crate::error::{Error, Result};

/// What happened to the row: the texts of [`Op`].
pub const OP: &str = "_op";
/// When the source committed it, to the microsecond, UTC; null for rows of a snapshot.
pub const COMMITTED_AT: &str = "_committed_at";
/// Where it stands in the source's log, for people: not to be compared.
pub const POSITION: &str = "_position";
/// The names of columns that the source did not send, so that their null is none; null where it sent all.
pub const UNCHANGED: &str = "_unchanged";

const COLUMNS: [&str; 4] = [OP, COMMITTED_AT, POSITION, UNCHANGED];

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// It came, or came to its key.
    Create,
    Update,
    /// It went, or left its key: the row as it was, or its key alone.
    Delete,
    /// It was found by a snapshot.
    Read,
    /// All rows of the table went, or are about to be read anew: whatever came earlier is no more.
    Truncate,
}

impl Op {
    pub fn text(self) -> &'static str {
        match self {
            Op::Create => "c",
            Op::Update => "u",
            Op::Delete => "d",
            Op::Read => "r",
            Op::Truncate => "t",
        }
    }
}

/// The table of a table's changes. Its own columns may all be null: a row that went has its key, and one that stands for
/// all has nothing. Refuses a table with a column of our own names.
pub fn table(own: &Table) -> Result<Table> {
    let taken = |field: &&Arc<Field>| COLUMNS.contains(&field.name().as_str());
    if let Some(field) = own.schema.fields().iter().find(taken) {
        return Err(Error::schema(format!("table {}: its column {} has a name of ours", own.name, field.name()))
            .hint("Leave it out with `exclude_columns`."));
    }
    let own_fields = own.schema.fields().iter().map(|field| Arc::new(Field::clone(field).with_nullable(true)));
    let fields: Vec<_> = own_fields.chain(fields().map(Arc::new)).collect();
    let schema = Schema::new_with_metadata(fields, own.schema.metadata().clone());
    Ok(Table::new(own.name.clone(), Arc::new(schema), own.key.clone()))
}

fn fields() -> [Field; 4] {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    [
        Field::new(OP, DataType::Utf8, false),
        Field::new(COMMITTED_AT, instant, true),
        Field::new(POSITION, DataType::Utf8, true),
        Field::new(UNCHANGED, DataType::List(item()), true),
    ]
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Utf8, false))
}

/// The columns of changes, row by row, beside a builder of the table's own.
#[derive(Debug)]
pub struct Changes {
    op: StringBuilder,
    committed_at: TimestampMicrosecondBuilder,
    position: StringBuilder,
    unchanged: ListBuilder<StringBuilder>,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            op: StringBuilder::new(),
            committed_at: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            position: StringBuilder::new(),
            unchanged: ListBuilder::new(StringBuilder::new()).with_field(item()),
        }
    }
}

impl Changes {
    /// `unchanged` is empty where the source sent all columns.
    pub fn push<'a>(
        &mut self,
        op: Op,
        committed_at: Option<i64>,
        position: &str,
        unchanged: impl IntoIterator<Item = &'a str>,
    ) {
        self.op.append_value(op.text());
        self.committed_at.append_option(committed_at);
        self.position.append_value(position);
        let mut is_any = false;
        for name in unchanged {
            self.unchanged.values().append_value(name);
            is_any = true;
        }
        self.unchanged.append(is_any);
    }

    pub fn len(&self) -> usize {
        self.committed_at.values_slice().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows so far, with their own columns in front; the builder starts again, empty. `table` is what [`table`] made
    /// of theirs.
    pub fn finish(&mut self, table: &Arc<Table>, own: &RecordBatch) -> Result<Rows> {
        let ours: [ArrayRef; 4] = [
            Arc::new(self.op.finish()),
            Arc::new(self.committed_at.finish()),
            Arc::new(self.position.finish()),
            Arc::new(self.unchanged.finish()),
        ];
        let columns = own.columns().iter().cloned().chain(ours).collect();
        let batch = RecordBatch::try_new(table.schema.clone(), columns)
            .map_err(|e| Error::bug(format!("table {}: {e}", table.name)))?;
        Ok(Rows { table: table.clone(), batch })
    }
}

/// The row that stands for all that went: `t`, and nothing else.
pub fn truncate(table: &Arc<Table>, committed_at: Option<i64>, position: &str) -> Result<Rows> {
    let mut changes = Changes::default();
    changes.push(Op::Truncate, committed_at, position, []);
    let own = table.schema.fields().len() - COLUMNS.len();
    let fields = &table.schema.fields()[..own];
    let nulls = fields.iter().map(|field| arrow_array::new_null_array(field.data_type(), 1)).collect();
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(1));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let batch = RecordBatch::try_new_with_options(schema, nulls, &options)
        .map_err(|e| Error::bug(format!("table {}: {e}", table.name)))?;
    changes.finish(table, &batch)
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::{Array, Int64Array, StringArray};

    use super::*;

    fn orders() -> Table {
        let fields = vec![Field::new("id", DataType::Int64, false), Field::new("note", DataType::Utf8, true)];
        Table::new("orders", Arc::new(Schema::new(fields)), vec!["id".to_owned()])
    }

    #[test]
    fn a_change_has_its_columns_behind_the_tables_own() {
        let table = Arc::new(table(&orders()).unwrap());
        let names: Vec<_> = table.schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["id", "note", "_op", "_committed_at", "_position", "_unchanged"]);
        assert!(table.schema.field(0).is_nullable() && table.key == ["id"]);

        let mut changes = Changes::default();
        changes.push(Op::Create, Some(5), "f:4", []);
        changes.push(Op::Delete, None, "f:9", ["note"]);
        assert_eq!(changes.len(), 2);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(vec![1, 2])), Arc::new(StringArray::from(vec![Some("a"), None]))];
        let own = RecordBatch::try_new(orders().schema, columns).unwrap();
        let rows = changes.finish(&table, &own).unwrap();
        let op = rows.batch.column(2).as_string::<i32>();
        assert_eq!((op.value(0), op.value(1)), ("c", "d"));
        let unchanged = rows.batch.column(5).as_list::<i32>();
        assert!(unchanged.is_null(0) && unchanged.value(1).as_string::<i32>().value(0) == "note");
        assert!(changes.is_empty());
    }

    #[test]
    fn a_row_can_stand_for_all() {
        let table = Arc::new(table(&orders()).unwrap());
        let rows = truncate(&table, Some(1), "f:4").unwrap();
        assert_eq!(rows.batch.num_rows(), 1);
        assert!(rows.batch.column(0).is_null(0) && rows.batch.column(2).as_string::<i32>().value(0) == "t");
    }

    #[test]
    fn names_of_ours_are_refused() {
        let fields = vec![Field::new("_op", DataType::Utf8, true)];
        let odd = Table::new("odd", Arc::new(Schema::new(fields)), Vec::new());
        assert!(table(&odd).unwrap_err().message().contains("_op"));
    }
}
