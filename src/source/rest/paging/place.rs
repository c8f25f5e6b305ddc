//! Where a page is.

use serde::{Deserialize, Serialize};

use crate::source::rest::body::Scalar;

/// A page of an endpoint. It is kept in positions, so nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    First,
    Page(i64),
    Offset(i64),
    Cursor(Scalar),
    /// The path and query of a link, without what is secret.
    Link(String),
    /// Behind the record with this key.
    After(Scalar),
}

impl Place {
    /// Whether it is the server's own word, which it may forget.
    pub fn is_told(&self) -> bool {
        matches!(self, Place::Cursor(_) | Place::Link(_))
    }

    /// Whether it lies behind the last page of this number, or the last record of this offset.
    pub fn is_behind(&self, last: i64) -> bool {
        matches!(self, Place::Page(number) | Place::Offset(number) if *number > last)
    }

    /// For messages. Cursors and keys may be values of records: they are not shown.
    pub fn shown(&self) -> String {
        match self {
            Place::First => "the first page".to_owned(),
            Place::Page(number) => format!("page {number}"),
            Place::Offset(offset) => format!("the page at offset {offset}"),
            Place::Cursor(_) => "the page at a cursor".to_owned(),
            Place::Link(_) => "the page of a next link".to_owned(),
            Place::After(_) => "the page behind a key".to_owned(),
        }
    }
}
