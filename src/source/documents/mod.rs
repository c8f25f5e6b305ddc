//! Documents without a schema as tables: what serves every source of such.
//!
//! A value is borrowed from BSON ([`bson`]). What the values of a field have been so far is its [`shape`], which only ever widens;
//! batches are built as wide as the shapes are ([`columns`]), and built anew where a value needs more ([`table`]). So a field that
//! comes late costs nothing before it comes, and then the table is announced anew, with one more column.

pub mod bson;
mod columns;
pub mod decimal;
mod fields;
pub mod json;
mod kinds;
mod schema;
mod shape;
mod table;
#[cfg(test)]
mod tests;
mod together;
pub mod write;

pub use self::table::{Documents, REST, Settings};
pub use self::together::together;
