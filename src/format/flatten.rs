//! Records as columns: `address.city` beside `address.zip`, in place of `address`.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, make_array};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::record::Table;

/// The form in which a table's rows are written: as they are, or with records flattened into columns.
#[derive(Debug, Clone)]
pub struct Shape {
    table: String,
    read: SchemaRef,
    written: SchemaRef,
    /// For each written column, where it stands: a column, then a field, then a field of that.
    paths: Option<Vec<Vec<usize>>>,
}

impl Shape {
    /// Rows as they are. Two columns, or two fields of one record, of one name are `Kind::Schema`.
    pub fn nested(table: &Table) -> Result<Self> {
        check_names(&table.name, "", table.schema.fields())?;
        let schema = table.schema.clone();
        Ok(Self { table: table.name.clone(), read: schema.clone(), written: schema, paths: None })
    }

    /// Records flattened, to any depth: a field is named after its record and itself, with `separator` between. A
    /// record in a list stays in it, and one without fields stays as it is. Two columns of one name are
    /// `Kind::Schema`.
    pub fn flat(table: &Table, separator: &str) -> Result<Self> {
        let mut leaves = Leaves { separator, fields: Vec::new(), paths: Vec::new() };
        for (index, field) in table.schema.fields().iter().enumerate() {
            leaves.add(field.name().clone(), field, field.is_nullable(), vec![index]);
        }
        let Leaves { fields, paths, .. } = leaves;
        let fields = Fields::from(fields);
        check_names(&table.name, " once records are flattened", &fields).map_err(|error| match fields.len() {
            count if count == table.schema.fields().len() => error,
            _ => error.hint("Set another `flatten_separator`, or leave one of them out with `exclude_columns`."),
        })?;
        let written = Arc::new(Schema::new_with_metadata(fields, table.schema.metadata().clone()));
        let paths = paths.iter().any(|path| path.len() > 1).then_some(paths);
        Ok(Self { table: table.name.clone(), read: table.schema.clone(), written, paths })
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The schema of the batches that [`Shape::apply`] gives.
    pub fn schema(&self) -> &SchemaRef {
        &self.written
    }

    /// A batch of the table in this form. A batch of another schema is `Kind::Bug`.
    ///
    /// A field of a record that is null is null.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let (have, want) = (batch.schema_ref(), &self.read);
        if !Arc::ptr_eq(have, want) && have.fields() != want.fields() {
            return Err(Error::bug(format!("table {}: a batch of another schema than the table's", self.table)));
        }
        let Some(paths) = &self.paths else { return Ok(batch.clone()) };
        let columns = paths.iter().map(|path| leaf(batch, path)).collect::<Result<_>>();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        columns
            .and_then(|columns| {
                RecordBatch::try_new_with_options(self.written.clone(), columns, &options)
                    .map_err(|error| Error::bug(error.to_string()))
            })
            .map_err(|error| error.at(format!("table {}", self.table)))
    }
}

struct Leaves<'a> {
    separator: &'a str,
    fields: Vec<Field>,
    paths: Vec<Vec<usize>>,
}

impl Leaves<'_> {
    fn add(&mut self, name: String, field: &Field, nullable: bool, path: Vec<usize>) {
        match field.data_type() {
            DataType::Struct(fields) if !fields.is_empty() => {
                for (index, inner) in fields.iter().enumerate() {
                    let path = path.iter().copied().chain([index]).collect();
                    let name = format!("{name}{}{}", self.separator, inner.name());
                    self.add(name, inner, nullable || inner.is_nullable(), path);
                }
            }
            _ => {
                self.fields.push(field.clone().with_name(name).with_nullable(nullable));
                self.paths.push(path);
            }
        }
    }
}

fn leaf(batch: &RecordBatch, path: &[usize]) -> Result<ArrayRef> {
    let mut array = batch.column(path[0]);
    let mut nulls: Option<NullBuffer> = None;
    for index in &path[1..] {
        let record = array.as_struct();
        nulls = NullBuffer::union(nulls.as_ref(), record.nulls());
        array = record.column(*index);
    }
    if nulls.as_ref().is_none_or(|nulls| nulls.null_count() == 0) {
        return Ok(array.clone());
    }
    let nulls = NullBuffer::union(nulls.as_ref(), array.nulls());
    let data = array.to_data().into_builder().nulls(nulls).build().map_err(|error| Error::bug(error.to_string()))?;
    Ok(make_array(data))
}

fn check_names(table: &str, when: &str, fields: &Fields) -> Result<()> {
    let mut seen = HashSet::new();
    for field in fields {
        if !seen.insert(field.name()) {
            return Err(Error::schema(format!("table {table}: two columns are named `{}`{when}", field.name()))
                .hint("Give one of them another name in a `query`, or leave one out with `exclude_columns`."));
        }
        check_inner(table, field.name(), field.data_type())?;
    }
    Ok(())
}

fn check_inner(table: &str, column: &str, data_type: &DataType) -> Result<()> {
    match data_type {
        DataType::List(item) => check_inner(table, column, item.data_type()),
        DataType::Struct(fields) => {
            let mut seen = HashSet::new();
            for field in fields {
                if !seen.insert(field.name()) {
                    let name = field.name();
                    return Err(Error::schema(format!(
                        "table {table}, column {column}: two fields of one record are named `{name}`"
                    )));
                }
                check_inner(table, column, field.data_type())?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int32Array, StringArray, StructArray};

    use super::*;
    use crate::error::Kind;

    fn record(fields: Vec<Field>) -> DataType {
        DataType::Struct(fields.into())
    }

    fn table(fields: Vec<Field>) -> Table {
        Table::new("people", Arc::new(Schema::new(fields)), Vec::new())
    }

    fn int(name: &str) -> Field {
        Field::new(name, DataType::Int32, false)
    }

    #[test]
    fn records_become_columns_and_their_nulls_reach_every_field() {
        let inner =
            StructArray::from(vec![(Arc::new(int("n")), Arc::new(Int32Array::from(vec![1, 2, 3])) as ArrayRef)]);
        let fields =
            vec![Field::new("city", DataType::Utf8, true), Field::new("geo", inner.data_type().clone(), false)];
        let nulls = NullBuffer::from(vec![true, false, true]);
        let city = StringArray::from(vec![None, Some("hidden"), Some("Oslo")]);
        let home = StructArray::new(fields.clone().into(), vec![Arc::new(city), Arc::new(inner)], Some(nulls));
        let table = table(vec![Field::new("home", record(fields), true), int("id")]);
        let ids = Arc::new(Int32Array::from(vec![7, 8, 9]));
        let batch = RecordBatch::try_new(table.schema.clone(), vec![Arc::new(home), ids]).unwrap();

        let shape = Shape::flat(&table, ".").unwrap();
        let flat = shape.apply(&batch).unwrap();
        let names: Vec<_> = flat.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, ["home.city", "home.geo.n", "id"]);
        assert_eq!(flat.column(0).as_string::<i32>(), &StringArray::from(vec![None, None, Some("Oslo")]));
        assert_eq!(flat.column(1).as_ref(), &Int32Array::from(vec![Some(1), None, Some(3)]) as &dyn Array);
        assert!(flat.schema().field(1).is_nullable() && !flat.schema().field(2).is_nullable());

        let part = shape.apply(&batch.slice(1, 2)).unwrap();
        assert_eq!(part.column(0).as_string::<i32>(), &StringArray::from(vec![None, Some("Oslo")]));
        assert_eq!(part.column(1).as_ref(), &Int32Array::from(vec![None, Some(3)]) as &dyn Array);
    }

    #[test]
    fn equal_names_are_refused_by_name() {
        let twice = table(vec![int("id"), int("id")]);
        for refused in [Shape::nested(&twice), Shape::flat(&twice, ".")] {
            let error = refused.unwrap_err();
            assert!(error.kind() == Kind::Schema && error.message().contains("two columns are named `id`"), "{error}");
        }
        let meeting = table(vec![int("a.b"), Field::new("a", record(vec![int("b")]), false)]);
        assert!(Shape::nested(&meeting).is_ok() && Shape::flat(&meeting, "_").is_ok());
        let error = Shape::flat(&meeting, ".").unwrap_err();
        assert!(error.message().contains("`a.b` once records are flattened"), "{error}");

        let inside = table(vec![Field::new("a", record(vec![int("b"), int("b")]), false)]);
        assert!(Shape::nested(&inside).unwrap_err().message().contains("column a: two fields"));
    }

    #[test]
    fn a_batch_of_another_schema_is_a_bug() {
        let (one, other) = (table(vec![int("a")]), table(vec![int("b")]));
        let error = Shape::nested(&one).unwrap().apply(&RecordBatch::new_empty(other.schema)).unwrap_err();
        assert_eq!(error.kind(), Kind::Bug);
    }
}
