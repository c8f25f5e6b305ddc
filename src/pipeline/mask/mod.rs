//! Masks: what becomes of columns between reader and writer, before anything is written.
//!
//! Sources are masked rather than readers alone ([`make`] is the one place where the pipeline makes a source), so that whatever asks
//! one, be it for a table's columns or for its rows, sees them as they are written. What a mask cannot reach is refused: a
//! value that it should have masked is never handed on.

mod columns;
mod reader;
mod source;
mod table;
#[cfg(test)]
mod tests;

pub use self::source::make;
