//! CSV as RFC 4180 has it, with NULL apart from the empty text. Records are flattened; a list is its JSON text.

mod cells;
mod settings;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use self::cells::Cells;
pub use self::settings::delimiter;
use super::compress::Compression;
use super::flatten::Shape;
use super::text::{Binary, Column, Lines, Out, Rows};
use crate::error::Result;
use crate::format;
use crate::record::Table;

/// CSV files with their settings.
#[derive(Debug, Clone)]
pub struct Format {
    pub dialect: Dialect,
    /// Stands between the names of a record and its field.
    pub separator: String,
    pub compression: Compression,
    extension: String,
}

/// How values and lines are set apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    /// A byte that no number, date or time contains.
    pub delimiter: u8,
    pub header: bool,
    /// Stands for NULL, and never in quotes; the same text as a value always is.
    pub null: String,
    /// Whether every value is in quotes, or only those that would be misread without.
    pub quote_all: bool,
    pub binary: Binary,
    /// `\r\n` in place of `\n`.
    pub crlf: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { delimiter: b',', header: true, null: String::new(), quote_all: false, binary: Binary::Hex, crlf: false }
    }
}

impl Format {
    pub fn new(dialect: Dialect, separator: &str, compression: Compression) -> Self {
        let extension = compression.extension("csv");
        Self { dialect, separator: separator.to_owned(), compression, extension }
    }
}

impl format::Format for Format {
    fn extension(&self) -> &str {
        &self.extension
    }

    fn encoder(&self, table: &Table, memory: usize) -> Result<Box<dyn format::Encoder>> {
        let shape = Shape::flat(table, &self.separator)?;
        let writer =
            Writer { dialect: self.dialect.clone(), schema: shape.schema().clone(), table: table.name.clone() };
        writer.columns(&RecordBatch::new_empty(writer.schema.clone()))?;
        Ok(Box::new(super::text::Encoder::new(shape, writer, self.compression, memory)?))
    }
}

struct Writer {
    dialect: Dialect,
    schema: SchemaRef,
    table: String,
}

impl Writer {
    fn columns<'a>(&'a self, batch: &'a RecordBatch) -> Result<Vec<Column<'a>>> {
        let cells = Cells::new(&self.dialect, batch.num_columns());
        batch
            .columns()
            .iter()
            .zip(self.schema.fields())
            .map(|(array, field)| Ok(Column::new(array, cells.of(array, field)?)))
            .collect::<Result<_>>()
            .map_err(|error| error.at(format!("table {}", self.table)))
    }

    fn line_end(&self) -> &'static [u8] {
        if self.dialect.crlf { b"\r\n" } else { b"\n" }
    }
}

impl Rows for Writer {
    fn head(&self, out: &mut Out) {
        if !self.dialect.header {
            return;
        }
        let cells = Cells::new(&self.dialect, self.schema.fields().len());
        for (index, field) in self.schema.fields().iter().enumerate() {
            if index > 0 {
                out.push(self.dialect.delimiter);
            }
            cells.name(field.name(), out);
        }
        out.slice(self.line_end());
    }

    fn write(&self, batch: &RecordBatch, lines: &mut Lines) -> Result<()> {
        let columns = self.columns(batch)?;
        let (delimiter, null, end) = (self.dialect.delimiter, self.dialect.null.as_bytes(), self.line_end());
        for row in 0..batch.num_rows() {
            for (index, column) in columns.iter().enumerate() {
                if index > 0 {
                    lines.out.push(delimiter);
                }
                match column.is_null(row) {
                    false => (column.cell)(row, &mut lines.out),
                    true => lines.out.slice(null),
                }
            }
            lines.out.slice(end);
            lines.end()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
