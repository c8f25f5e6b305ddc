//! The columns of a row, as a message has them.

use super::bytes::{Bytes, Torn};

/// What a message says of one column of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    Null,
    /// A value that is stored out of line and that the change left as it was: the server did not look it up.
    Unchanged,
    /// As the type's output function writes it, under the settings of the session.
    Text(&'a [u8]),
    /// As the type's send function writes it: what COPY BINARY has.
    Binary(&'a [u8]),
}

/// A row: its columns in the order of the relation's. They are walked through where they lie; nothing is kept for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple<'a> {
    count: u16,
    /// Looked through: so many columns, and nothing after them.
    columns: &'a [u8],
}

impl<'a> Tuple<'a> {
    /// How many columns there are.
    pub fn len(&self) -> usize {
        self.count.into()
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn cells(&self) -> Cells<'a> {
        Cells { left: self.count, bytes: Bytes(self.columns) }
    }

    /// Looks through all columns, so that nobody else has to expect anything torn.
    pub(super) fn take(bytes: &mut Bytes<'a>) -> Result<Self, Torn> {
        let count = bytes.u16()?;
        let all = bytes.0;
        for _ in 0..count {
            cell(bytes)?;
        }
        Ok(Self { count, columns: &all[..all.len() - bytes.0.len()] })
    }
}

/// The columns of a row, one after the other.
#[derive(Debug, Clone)]
pub struct Cells<'a> {
    left: u16,
    bytes: Bytes<'a>,
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cell<'a>;

    #[inline]
    fn next(&mut self) -> Option<Cell<'a>> {
        self.left = self.left.checked_sub(1)?;
        // Never torn: it was looked through.
        cell(&mut self.bytes).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.into(), Some(self.left.into()))
    }
}

impl ExactSizeIterator for Cells<'_> {}

#[inline]
fn cell<'a>(bytes: &mut Bytes<'a>) -> Result<Cell<'a>, Torn> {
    Ok(match bytes.u8()? {
        b'n' => Cell::Null,
        b'u' => Cell::Unchanged,
        b't' => Cell::Text(bytes.counted()?),
        b'b' => Cell::Binary(bytes.counted()?),
        _ => return Err(Torn),
    })
}
