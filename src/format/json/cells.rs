//! JSON values of a column: scalars, texts, lists and records.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ListArray, StructArray};
use arrow_schema::{DataType, Field};

use super::document::{self, Documents};
use super::string::{self, Label};
use crate::error::Result;
use crate::format::text::{Cell, Column, Out, Style, unsupported};
use crate::record::field;

/// How values become JSON.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub style: Style,
    pub documents: Documents,
}

impl Options {
    /// The writer of a column's values. A type that no source produces is `Kind::Bug`.
    ///
    /// A JSON document that is none would spoil its line: [`Options::check`] the array first.
    pub fn cell<'a>(&self, array: &'a dyn Array, field: &Field) -> Result<Cell<'a>> {
        match array.data_type() {
            DataType::Utf8 if self.embeds(field) => Ok(document::embedded(array.as_string())),
            DataType::Utf8 => Ok(string::strings(array.as_string())),
            DataType::List(item) => self.list(array.as_list(), item),
            DataType::Struct(_) => self.record(array.as_struct()),
            _ => self.style.scalar(array, field).ok_or_else(|| unsupported(field)),
        }
    }

    fn list<'a>(&self, array: &'a ListArray, item: &Field) -> Result<Cell<'a>> {
        let items = Column::new(array.values(), self.cell(array.values(), item)?);
        let offsets = array.value_offsets();
        Ok(Box::new(move |row, out| {
            let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
            out.push(b'[');
            for index in from..to {
                if index > from {
                    out.push(b',');
                }
                value(&items, index, out);
            }
            out.push(b']');
        }))
    }

    fn record<'a>(&self, array: &'a StructArray) -> Result<Cell<'a>> {
        let labels = string::labels(array.fields());
        let columns = array
            .fields()
            .iter()
            .zip(array.columns())
            .map(|(field, array)| Ok(Column::new(array, self.cell(array, field)?)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Box::new(move |row, out| object(&labels, &columns, row, out)))
    }

    fn embeds(&self, field: &Field) -> bool {
        self.documents == Documents::Embed && field::is_json(field)
    }

    /// Looks at every document that would be embedded: one that is not JSON is `Kind::Data`.
    pub fn check(&self, array: &dyn Array, field: &Field) -> Result<()> {
        match array.data_type() {
            DataType::Utf8 if self.embeds(field) => document::check(array.as_string(), field.name()),
            DataType::List(item) => self.check(array.as_list::<i32>().values(), item),
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns();
                fields.iter().zip(columns).try_for_each(|(field, array)| self.check(array, field))
            }
            _ => Ok(()),
        }
    }
}

#[inline]
fn value(column: &Column<'_>, row: usize, out: &mut Out) {
    match column.is_null(row) {
        false => (column.cell)(row, out),
        true => out.fixed(b"null"),
    }
}

/// Writes a record, all of its fields, also those that are null.
#[inline]
pub fn object(labels: &[Label], columns: &[Column<'_>], row: usize, out: &mut Out) {
    if columns.is_empty() {
        out.push(b'{');
    }
    for (label, column) in labels.iter().zip(columns) {
        label.write(out);
        value(column, row, out);
    }
    out.push(b'}');
}
