//! What a stream says of its documents.

use super::REST;
use super::coercion::{Coercion, Declaration};
use super::declared::Type;
use crate::error::{Error, Result};

/// How documents become rows.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The field that tells documents apart.
    pub key: Option<String>,
    /// Where the table's columns come from.
    pub schema: Schema,
    /// What becomes of texts that are not UTF-8.
    pub invalid_text: InvalidText,
    /// The key that says what charset texts are in, of a source that has one.
    pub charset_key: Option<&'static str>,
    /// A document of what stands where one has no such field. Not of [`Schema::Document`].
    pub defaults: Option<Vec<u8>>,
    /// Of columns that are found: these are columns in this order, whether or not any document has them; where empty, those that come.
    pub named: Vec<String>,
    /// The same of names whose columns have no type before a document has anything there: till then they are none, but for rows that
    /// would have no column at all.
    pub order: Vec<String>,
    /// Of columns that are found: more columns than this are not made.
    pub most_columns: usize,
}

/// Where the columns of a table come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Schema {
    /// They are found in the documents, and widen.
    #[default]
    Infer,
    /// The same, but for these, which stay as they are.
    Beside(Declared),
    /// They are these.
    Declared(Declared),
    /// There are two, the key and [`DOCUMENT`](super::DOCUMENT): the whole document as canonical Extended JSON. The key's column widens
    /// as one that is found.
    Document,
}

/// Columns by name and type, in their order. What fits is told by [`Type`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    pub columns: Vec<(String, Type)>,
    pub on_misfit: OnMisfit,
    /// Fields that are no columns are kept in [`REST`]; where it is not set, they are left out. Not of [`Schema::Beside`].
    pub rest: bool,
    /// What becomes of values that are not of their columns' types.
    pub coercion: Coercion,
}

impl Declared {
    /// Refuses columns that contradict one another. `table` is whose they are; `has_rest` where it has [`REST`], or may have.
    pub fn check(&self, table: &str, has_rest: bool) -> Result<()> {
        for (place, (column, _)) in self.columns.iter().enumerate() {
            if self.columns[..place].iter().any(|(other, _)| other == column) {
                return Err(Error::config(format!("table {table}: column {column} is declared twice")));
            }
            if has_rest && column == REST {
                return Err(Error::config(format!(
                    "table {table}: column {REST} is that of the fields that are not declared"
                ))
                .hint("Leave it out, or set `schema = declared` without `rest`."));
            }
        }
        Ok(())
    }

    pub fn declaration(&self, of: Type) -> Declaration {
        Declaration { of, coercion: self.coercion }
    }
}

impl Schema {
    /// The columns that are declared, where any are.
    pub fn declared(&self) -> Option<&Declared> {
        match self {
            Schema::Declared(declared) | Schema::Beside(declared) => Some(declared),
            Schema::Infer | Schema::Document => None,
        }
    }
}

/// What becomes of a document with a value that its column does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnMisfit {
    /// It is an error.
    #[default]
    Fail,
    /// It is no row, and goes to a table beside: [`Documents::quarantine`](super::Documents::quarantine).
    Quarantine,
}

/// What becomes of texts that are not UTF-8, and of names of fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InvalidText {
    /// They are an error.
    #[default]
    Fail,
    /// What is not UTF-8 in them is replaced with U+FFFD, as [`String::from_utf8_lossy`] does.
    Replace,
}
