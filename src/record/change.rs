//! The columns that a row of a change log has behind its table's own: what happened, when, where.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, RecordBatch};
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

/// The names of columns whose value the source did not send with the change, and that was read from the table afterwards: only of
/// tables that [`filled_table`] made. None of them is in [`UNCHANGED`].
pub const FILLED: &str = "_filled";

const COLUMNS: [&str; 4] = [OP, COMMITTED_AT, POSITION, UNCHANGED];

/// The names of all columns that a row of a change log may have behind its own.
pub fn names() -> impl Iterator<Item = &'static str> {
    COLUMNS.into_iter().chain([FILLED])
}

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
    with(own, fields().into())
}

/// The same with [`FILLED`] behind.
pub fn filled_table(own: &Table) -> Result<Table> {
    let filled = Field::new(FILLED, DataType::List(item()), true);
    with(own, fields().into_iter().chain([filled]).collect())
}

fn with(own: &Table, fields: Vec<Field>) -> Result<Table> {
    let taken = |field: &&Arc<Field>| fields.iter().any(|ours| ours.name() == field.name());
    if let Some(field) = own.schema.fields().iter().find(taken) {
        return Err(Error::schema(format!("table {}: its column {} has a name of ours", own.name, field.name()))
            .hint("Leave it out with `exclude_columns`."));
    }
    let own_fields = own.schema.fields().iter().map(|field| Arc::new(Field::clone(field).with_nullable(true)));
    let fields: Vec<_> = own_fields.chain(fields.iter().cloned().map(Arc::new)).collect();
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
            unchanged: lists(),
        }
    }
}

fn lists() -> ListBuilder<StringBuilder> {
    ListBuilder::new(StringBuilder::new()).with_field(item())
}

/// Whether its rows say which values were read from the table afterwards.
fn is_filled(table: &Table) -> bool {
    table.schema.fields().last().is_some_and(|field| field.name() == FILLED)
}

/// How many columns are the table's own.
fn own(table: &Table) -> usize {
    table.schema.fields().len() - COLUMNS.len() - usize::from(is_filled(table))
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
        append(&mut self.unchanged, unchanged);
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
        let rows = self.len();
        let ours: [ArrayRef; 4] = [
            Arc::new(self.op.finish()),
            Arc::new(self.committed_at.finish()),
            Arc::new(self.position.finish()),
            Arc::new(self.unchanged.finish()),
        ];
        // Nothing is, so far.
        let filled = is_filled(table).then(|| arrow_array::new_null_array(&DataType::List(item()), rows));
        let columns = own.columns().iter().cloned().chain(ours).chain(filled).collect();
        batch(table, columns)
    }
}

/// Names of columns, row by row: none is null.
fn append<'a>(lists: &mut ListBuilder<StringBuilder>, names: impl IntoIterator<Item = &'a str>) {
    let mut is_any = false;
    for name in names {
        lists.values().append_value(name);
        is_any = true;
    }
    lists.append(is_any);
}

/// Rows of a table that [`filled_table`] made, some of whose values were read afterwards: `columns` has all of them but for the
/// last two, which `filled` tells of each row: whether what is unchanged in it was read.
pub fn filled(table: &Arc<Table>, mut columns: Vec<ArrayRef>, unchanged: &ListArray, filled: &[bool]) -> Result<Rows> {
    let (mut still, mut read) = (lists(), lists());
    for (row, is_read) in filled.iter().enumerate() {
        let names = unchanged.is_valid(row).then(|| unchanged.value(row));
        let names = names.as_ref().map(|names| names.as_string::<i32>());
        let names = || names.into_iter().flat_map(|names| names.iter().flatten());
        append(&mut still, names().filter(|_| !is_read));
        append(&mut read, names().filter(|_| *is_read));
    }
    columns.push(Arc::new(still.finish()));
    columns.push(Arc::new(read.finish()));
    batch(table, columns)
}

fn batch(table: &Arc<Table>, columns: Vec<ArrayRef>) -> Result<Rows> {
    let batch = RecordBatch::try_new(table.schema.clone(), columns)
        .map_err(|e| Error::bug(format!("table {}: {e}", table.name)))?;
    Ok(Rows { table: table.clone(), batch })
}

/// The row that stands for all that went: `t`, and nothing else.
pub fn truncate(table: &Arc<Table>, committed_at: Option<i64>, position: &str) -> Result<Rows> {
    let mut changes = Changes::default();
    changes.push(Op::Truncate, committed_at, position, []);
    let fields = &table.schema.fields()[..own(table)];
    let nulls = fields.iter().map(|field| arrow_array::new_null_array(field.data_type(), 1)).collect();
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(1));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let batch = RecordBatch::try_new_with_options(schema, nulls, &options)
        .map_err(|e| Error::bug(format!("table {}: {e}", table.name)))?;
    changes.finish(table, &batch)
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, StringArray};

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
    fn what_was_read_afterwards_is_named_apart() {
        let table = Arc::new(filled_table(&orders()).unwrap());
        let mut changes = Changes::default();
        changes.push(Op::Update, Some(5), "f:4", ["note"]);
        changes.push(Op::Update, Some(5), "f:4", ["note"]);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(vec![1, 2])), Arc::new(StringArray::from(vec![None::<&str>, None]))];
        let own = RecordBatch::try_new(orders().schema, columns).unwrap();
        let rows = changes.finish(&table, &own).unwrap();
        assert_eq!(rows.batch.column_by_name(FILLED).unwrap().null_count(), 2);
        let unchanged = rows.batch.column_by_name(UNCHANGED).unwrap().as_list::<i32>();
        let rows = filled(&table, rows.batch.columns()[..5].to_vec(), unchanged, &[true, false]).unwrap();
        let named = |column: &str, row| {
            let lists = rows.batch.column_by_name(column).unwrap().as_list::<i32>();
            lists.is_valid(row).then(|| lists.value(row).as_string::<i32>().value(0).to_owned())
        };
        assert_eq!((named(UNCHANGED, 0), named(FILLED, 0).as_deref()), (None, Some("note")));
        assert_eq!((named(UNCHANGED, 1).as_deref(), named(FILLED, 1)), (Some("note"), None));
        assert_eq!(truncate(&table, None, "").unwrap().batch.num_columns(), 7);
    }

    #[test]
    fn names_of_ours_are_refused() {
        let fields = vec![Field::new("_op", DataType::Utf8, true)];
        let odd = Table::new("odd", Arc::new(Schema::new(fields)), Vec::new());
        assert!(table(&odd).unwrap_err().message().contains("_op"));
        let fields = vec![Field::new("_filled", DataType::Utf8, true)];
        let odd = Table::new("odd", Arc::new(Schema::new(fields)), Vec::new());
        assert!(table(&odd).is_ok() && filled_table(&odd).unwrap_err().message().contains("_filled"));
    }
}
