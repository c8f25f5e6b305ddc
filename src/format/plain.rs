//! The one text of a value, whatever a destination's keys say of how it is written: what a digest of it is made of.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_schema::{DataType, Field};

use super::json;
use super::text::{Binary, Cell, Out, Quotes, Style, unsupported};
use crate::error::Result;

/// The texts of a column's values: those of CSV with its own defaults, without quotes around them. Lists and records are JSON.
pub struct Plain<'a> {
    values: Values<'a>,
    out: Out,
}

enum Values<'a> {
    Texts(&'a arrow_array::StringArray),
    Cells(Cell<'a>),
}

impl<'a> Plain<'a> {
    /// A type that no source produces is `Kind::Bug`.
    pub fn of(array: &'a dyn Array, field: &Field) -> Result<Self> {
        let style = Style { quotes: Quotes::None, binary: Binary::Hex };
        let values = match array.data_type() {
            DataType::Utf8 => Values::Texts(array.as_string()),
            DataType::List(_) | DataType::Struct(_) => {
                let style = Style { quotes: Quotes::Words, ..style };
                Values::Cells(json::Options { style, documents: json::Documents::Text }.cell(array, field)?)
            }
            _ => Values::Cells(style.scalar(array, field).ok_or_else(|| unsupported(field))?),
        };
        Ok(Self { values, out: Out::default() })
    }

    /// The text of a row's value, which is not null. It is UTF-8.
    pub fn text(&mut self, row: usize) -> &[u8] {
        match &self.values {
            Values::Texts(texts) => texts.value(row).as_bytes(),
            Values::Cells(cell) => {
                self.out.clear();
                cell(row, &mut self.out);
                self.out.as_bytes()
            }
        }
    }
}
