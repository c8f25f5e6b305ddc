//! Changes of rows: what stands before the rows themselves.

use super::super::bytes::{Bytes, Torn, bit};
use super::format::Format;
use super::kind;

/// What was done to the rows of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Insert,
    Update,
    Delete,
}

/// The changes of some rows of one table by one statement.
#[derive(Debug, Clone, Copy)]
pub struct RowsEvent<'a> {
    pub table: u64,
    pub change: Change,
    /// The last of its statement: what the log says of its tables need not be known any longer.
    pub ends_statement: bool,
    /// How many columns the table has.
    pub columns: usize,
    /// Which columns the rows have as they were; a bit for each. None are there for an insert.
    pub before: &'a [u8],
    /// Which columns the rows have as they became. None are there for a delete.
    pub after: &'a [u8],
    /// JSON may come as the difference to what was there.
    pub is_partial: bool,
    /// The rows, one after the other, whose ends only their columns tell.
    pub rows: &'a [u8],
}

const ENDS_STATEMENT: u16 = 1;
/// More columns than any server allows.
const MOST_COLUMNS: u64 = 1 << 16;

impl<'a> RowsEvent<'a> {
    /// Reads an event of one of the types that [`change`] knows.
    pub fn of(kind: u8, body: &'a [u8], format: &Format) -> Result<Self, Torn> {
        let (change, has_extra) = change(kind).ok_or(Torn)?;
        let mut bytes = Bytes(body);
        let table = bytes.number(format.table_id_bytes)?;
        let flags = bytes.u16()?;
        if has_extra {
            // Its length counts itself.
            let length = bytes.u16()?;
            bytes.take(usize::from(length).checked_sub(2).ok_or(Torn)?)?;
        }
        let columns = bytes.length()?;
        if columns > MOST_COLUMNS {
            return Err(Torn);
        }
        let columns = columns as usize;
        let present = bytes.take(columns.div_ceil(8))?;
        let (before, after) = match change {
            Change::Insert => (&[][..], present),
            Change::Delete => (present, &[][..]),
            Change::Update => (present, bytes.take(columns.div_ceil(8))?),
        };
        Ok(Self {
            table,
            change,
            ends_statement: flags & ENDS_STATEMENT != 0,
            columns,
            before,
            after,
            is_partial: kind == kind::PARTIAL_UPDATE_ROWS,
            rows: bytes.rest(),
        })
    }

    /// Whether the rows have this column as it became or, in a delete, as it was. What an update does not have of a column
    /// after it, and has before it, did not change.
    pub fn has(&self, column: usize) -> bool {
        bit(self.before, column) || bit(self.after, column)
    }
}

/// What a type of events does, and whether it is of the second version.
pub fn change(kind: u8) -> Option<(Change, bool)> {
    Some(match kind {
        kind::WRITE_ROWS_V1 | kind::WRITE_ROWS_COMPRESSED_V1 => (Change::Insert, false),
        kind::UPDATE_ROWS_V1 | kind::UPDATE_ROWS_COMPRESSED_V1 => (Change::Update, false),
        kind::DELETE_ROWS_V1 | kind::DELETE_ROWS_COMPRESSED_V1 => (Change::Delete, false),
        kind::WRITE_ROWS | kind::WRITE_ROWS_COMPRESSED => (Change::Insert, true),
        kind::UPDATE_ROWS | kind::UPDATE_ROWS_COMPRESSED | kind::PARTIAL_UPDATE_ROWS => (Change::Update, true),
        kind::DELETE_ROWS | kind::DELETE_ROWS_COMPRESSED => (Change::Delete, true),
        _ => return None,
    })
}
