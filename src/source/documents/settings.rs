//! What a stream says of its documents.

use super::declared::Type;

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
    /// Of [`Schema::Infer`]: these are columns in this order, whether or not any document has them; where empty, those that come.
    pub named: Vec<String>,
    /// Of [`Schema::Infer`]: more columns than this are not made.
    pub most_columns: usize,
}

/// Where the columns of a table come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Schema {
    /// They are found in the documents, and widen.
    #[default]
    Infer,
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
    /// Fields that are no columns are kept in [`REST`](super::REST); where it is not set, they are left out.
    pub rest: bool,
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
