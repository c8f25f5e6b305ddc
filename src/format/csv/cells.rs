//! The cells of a CSV file, and when one stands in quotes.

use arrow_array::cast::AsArray;
use arrow_array::{Array, StringArray};
use arrow_schema::{DataType, Field};

use super::Dialect;
use crate::error::Result;
use crate::format::json;
use crate::format::text::{Cell, Out, Quotes, Style, unsupported};

/// Makes the writers of a file's columns.
#[derive(Clone, Copy)]
pub struct Cells<'d> {
    dialect: &'d Dialect,
    /// Whether every text stands in quotes.
    quote_texts: bool,
    /// Whether a number, date or time might have the text that stands for NULL.
    null_is_like_a_number: bool,
}

impl<'d> Cells<'d> {
    /// For a file of so many columns.
    pub fn new(dialect: &'d Dialect, columns: usize) -> Self {
        let of_number = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.:".contains(&byte);
        Self {
            dialect,
            // A text alone on its line may be taken for more than a value: `\.` ends the data for PostgreSQL.
            quote_texts: dialect.quote_all || columns == 1,
            null_is_like_a_number: !dialect.null.is_empty() && dialect.null.bytes().all(of_number),
        }
    }

    /// The writer of a column. A type that no source produces is `Kind::Bug`.
    pub fn of(self, array: &'d dyn Array, field: &Field) -> Result<Cell<'d>> {
        let quotes = if self.dialect.quote_all { Quotes::Numbers } else { Quotes::None };
        let style = Style { quotes, binary: self.dialect.binary };
        let cell = match array.data_type() {
            DataType::Utf8 => return Ok(self.texts(array.as_string())),
            DataType::List(_) | DataType::Struct(_) => {
                let options =
                    json::Options { style: Style { quotes: Quotes::Words, ..style }, documents: json::Documents::Text };
                return Ok(self.checked(options.cell(array, field)?));
            }
            _ => style.scalar(array, field).ok_or_else(|| unsupported(field))?,
        };
        let may_need_quotes = match array.data_type() {
            // No bytes at all are an empty text, which is not NULL.
            DataType::Binary | DataType::FixedSizeBinary(_) => true,
            _ => self.null_is_like_a_number,
        };
        Ok(if may_need_quotes && !self.dialect.quote_all { self.checked(cell) } else { cell })
    }

    /// A cell whose text is looked at when it is written.
    fn checked(self, cell: Cell<'d>) -> Cell<'d> {
        Box::new(move |row, out| {
            let start = out.len();
            cell(row, out);
            let text = out.since(start);
            if self.dialect.quote_all || !self.is_plain(text) || self.is_mistakable(text) {
                out.quote_since(start);
            }
        })
    }

    fn texts(self, array: &'d StringArray) -> Cell<'d> {
        let (all, offsets) = (array.value_data(), array.value_offsets());
        let ends = offsets.first().zip(offsets.last());
        // One look at the whole column often spares a look at each cell.
        let plain = ends.is_none_or(|(from, to)| self.is_plain(&all[*from as usize..*to as usize]));
        Box::new(move |row, out| {
            let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
            let text = &all[from..to];
            if self.quote_texts || !(plain || self.is_plain(text)) || self.is_mistakable(text) {
                quoted(text, out);
            } else {
                out.part(all, from, to);
            }
        })
    }

    /// Writes a column's name.
    pub fn name(self, name: &str, out: &mut Out) {
        let text = name.as_bytes();
        match self.quote_texts || !self.is_plain(text) || self.is_mistakable(text) {
            true => quoted(text, out),
            false => out.slice(text),
        }
    }

    /// Whether no byte of it ends a cell, a line or a quotation.
    ///
    /// Looks at every byte, without a branch, so that the compiler looks at many at once.
    #[inline]
    fn is_plain(self, text: &[u8]) -> bool {
        let special = |byte: u8| byte == self.dialect.delimiter || matches!(byte, b'"' | b'\n' | b'\r');
        !text.iter().fold(false, |any, &byte| any | special(byte))
    }

    /// Whether without quotes it would read as NULL, or as nothing.
    #[inline]
    fn is_mistakable(self, text: &[u8]) -> bool {
        text.is_empty() || text == self.dialect.null.as_bytes()
    }
}

fn quoted(text: &[u8], out: &mut Out) {
    out.push(b'"');
    if text.contains(&b'"') {
        for piece in text.split_inclusive(|&byte| byte == b'"') {
            out.slice(piece);
            if piece.ends_with(b"\"") {
                out.push(b'"');
            }
        }
    } else {
        out.slice(text);
    }
    out.push(b'"');
}
