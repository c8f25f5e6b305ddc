//! JSON Lines: an object for each row, and each on a line of its own.

mod cells;
mod document;
mod settings;
mod string;

use arrow_array::RecordBatch;

pub use self::cells::Options;
pub use self::document::Documents;
use super::compress::Compression;
use super::flatten::Shape;
use super::text::{Column, Lines, Out, Rows};
use crate::error::Result;
use crate::format;
use crate::record::Table;

/// JSON Lines with their settings.
#[derive(Debug, Clone)]
pub struct Format {
    options: Options,
    flatten: Option<String>,
    compression: Compression,
    extension: String,
}

impl Format {
    /// Records are flattened where `flatten` gives a separator.
    pub fn new(options: Options, flatten: Option<String>, compression: Compression) -> Self {
        let extension = compression.extension("jsonl");
        Self { options, flatten, compression, extension }
    }
}

impl format::Format for Format {
    fn extension(&self) -> &str {
        &self.extension
    }

    fn encoder(&self, table: &Table, memory: usize) -> Result<Box<dyn format::Encoder>> {
        let shape = match &self.flatten {
            Some(separator) => Shape::flat(table, separator)?,
            None => Shape::nested(table)?,
        };
        let writer = Writer { options: self.options, table: table.name.clone() };
        writer.columns(&RecordBatch::new_empty(shape.schema().clone()))?;
        Ok(Box::new(super::text::Encoder::new(shape, writer, self.compression, memory)?))
    }
}

struct Writer {
    options: Options,
    table: String,
}

impl Writer {
    fn columns<'a>(&self, batch: &'a RecordBatch) -> Result<Vec<Column<'a>>> {
        let fields = batch.schema_ref().fields().iter();
        fields
            .zip(batch.columns())
            .map(|(field, array)| {
                self.options.check(array, field)?;
                Ok(Column::new(array, self.options.cell(array, field)?))
            })
            .collect::<Result<_>>()
            .map_err(|error| error.at(format!("table {}", self.table)))
    }
}

impl Rows for Writer {
    fn head(&self, _out: &mut Out) {}

    fn write(&self, batch: &RecordBatch, lines: &mut Lines) -> Result<()> {
        let columns = self.columns(batch)?;
        let labels = string::labels(batch.schema_ref().fields());
        for row in 0..batch.num_rows() {
            cells::object(&labels, &columns, row, &mut lines.out);
            lines.out.push(b'\n');
            lines.end()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
