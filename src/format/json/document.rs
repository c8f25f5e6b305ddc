//! JSON documents that a database holds, inside JSON Lines.

use arrow_array::{Array, StringArray};
use serde::de::IgnoredAny;

use crate::error::{Error, Result};
use crate::format::text::Cell;

/// What becomes of a JSON document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Documents {
    /// It stands in its line as it is, every digit of its numbers kept.
    Embed,
    /// Its text is a string.
    Text,
}

/// Whether every document of a column is one: `Kind::Data` if not.
pub fn check(array: &StringArray, column: &str) -> Result<()> {
    let is_document = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    match (0..array.len()).find(|&row| array.is_valid(row) && !is_document(array.value(row))) {
        None => Ok(()),
        Some(row) => Err(Error::data(format!(
            "column {column}: the text in a JSON column is not a JSON document (row {} of its batch)",
            row + 1
        ))
        .hint("Mend it in the source, or set `json_documents = text` to write the column's documents as strings.")),
    }
}

/// The writer of a column of documents, which are known to be such.
pub fn embedded(array: &StringArray) -> Cell<'_> {
    let (all, offsets) = (array.value_data(), array.value_offsets());
    Box::new(move |row, out| {
        let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
        // A line end in a document stands between two of its tokens, where it means nothing: in a string it is
        // escaped. (PostgreSQL's `json` keeps the text as it was sent, pretty-printed or not.)
        let is_line_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        match all[from..to].iter().fold(false, |any, byte| any | is_line_end(byte)) {
            false => out.part(all, from, to),
            true => all[from..to].split(is_line_end).for_each(|piece| out.slice(piece)),
        }
    })
}
