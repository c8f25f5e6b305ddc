//! Documents without a schema as tables: what serves every source of such.
//!
//! A value is borrowed from BSON ([`bson`]). Where columns are found ([`infer`]), what the values of a field have been so far is its
//! [`shape`], which only ever widens; batches are built as wide as the shapes are ([`columns`], [`records`]), and built anew where a value
//! needs more. So a field that comes late costs nothing before it comes, and then the table is announced anew, with one more column.
//! Columns that are [`declared`] stay as they are, alone or beside others that are found, and what does not fit, and says nothing that fits
//! ([`coercion`]), is refused; or there are no columns but the key and
//! the [`whole`] document.

pub mod bson;
pub mod chosen;
mod coercion;
mod columns;
pub mod decimal;
pub mod declared;
mod exact;
mod fields;
pub mod from_json;
mod infer;
pub mod json;
pub mod keys;
mod kinds;
mod known;
mod mend;
mod quarantine;
mod records;
mod rest;
mod schema;
mod settings;
mod shape;
mod table;
#[cfg(test)]
mod tests;
mod together;
mod whole;
pub mod write;

pub use self::chosen::Chosen;
pub use self::coercion::Coercion;
pub use self::quarantine::Refused;
pub use self::settings::{Declared, InvalidText, OnMisfit, Schema, Settings};
pub use self::table::{Built, Documents};
pub use self::together::together;

/// The column of the fields that have none of their own, as a JSON object.
pub const REST: &str = "_rest";

/// The column of whole documents.
pub const DOCUMENT: &str = "document";
