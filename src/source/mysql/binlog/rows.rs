//! From the rows of an event to the columns of a batch.

use super::super::batch;
use super::super::cells::Cells;
use super::bytes::{Bytes, Torn, bit, little};
use super::event::rows::{Change, RowsEvent};
use super::json;
use super::layout::{Layout, Size, Taken};
use super::value::{self, How, Trouble};
use crate::error::{Error, Result};

/// Room that is kept from event to event, so that rows need none of their own.
#[derive(Debug, Default)]
pub struct Room {
    before: Vec<Span>,
    after: Vec<Span>,
    text: Vec<u8>,
}

/// The rows of one event, one after the other.
pub struct Rows<'a> {
    layout: &'a Layout,
    event: RowsEvent<'a>,
    rest: Bytes<'a>,
    room: &'a mut Room,
    /// Of the row that is looked at: which of the JSON columns are differences. Empty for none.
    partial: &'a [u8],
    /// How many rows came.
    count: u64,
}

/// Which form of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// As it was.
    Before,
    /// As it became. Where the log does not repeat what did not change, it is taken from the one before.
    After,
}

/// Where a value lies in the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    Absent,
    Null,
    At(u32, u32),
}

/// How a JSON column of an update may come.
const PARTIAL_JSON: u64 = 1;

impl Layout {
    /// The rows of an event of this table.
    pub fn rows<'a>(&'a self, event: RowsEvent<'a>, room: &'a mut Room) -> Result<Rows<'a>> {
        if event.columns != self.sizes.len() {
            let (log, known) = (event.columns, self.sizes.len());
            return Err(Error::data(format!("table {}: a change of {log} columns of {known}", self.name)));
        }
        Ok(Rows { layout: self, event, rest: Bytes(event.rows), room, partial: &[], count: 0 })
    }

    /// The places of those columns that an event says nothing of: it is of a server with `binlog_row_image` other than
    /// `full`. In an update they did not change; in an insert they have their default.
    pub fn unsent(&self, event: &RowsEvent<'_>) -> Vec<usize> {
        self.taken.iter().filter(|taken| !event.has(taken.column)).map(|taken| taken.index).collect()
    }
}

impl<'a> Rows<'a> {
    /// Goes on to the next row; `false` after the last.
    pub fn advance(&mut self) -> Result<bool> {
        if self.rest.is_empty() {
            return Ok(false);
        }
        self.read().map_err(|Torn| self.torn())?;
        self.count += 1;
        Ok(true)
    }

    pub fn change(&self) -> Change {
        self.event.change
    }

    fn read(&mut self) -> Result<(), Torn> {
        let base = self.event.rows.len();
        if self.event.change != Change::Insert {
            image(&mut self.rest, base, self.event.before, &self.layout.sizes, &mut self.room.before)?;
        }
        self.partial = &[];
        if self.event.change != Change::Delete {
            if self.event.is_partial && self.rest.length()? & PARTIAL_JSON != 0 {
                let json = self.layout.is_json.iter().filter(|is_json| **is_json).count();
                self.partial = self.rest.take(json.div_ceil(8))?;
            }
            image(&mut self.rest, base, self.event.after, &self.layout.sizes, &mut self.room.after)?;
        }
        Ok(())
    }

    /// Whether an update changed one of the columns in these places of the batch, as far as their bytes tell. What the log
    /// does not repeat did not change.
    pub fn changed(&self, places: &[usize]) -> bool {
        if self.event.change != Change::Update {
            return false;
        }
        let is_one = |taken: &&Taken| places.contains(&taken.index);
        self.layout.taken.iter().filter(is_one).any(|taken| {
            let (before, after) = (self.room.before.get(taken.column), self.room.after.get(taken.column));
            match (before, after) {
                (_, Some(Span::Absent) | None) | (Some(Span::Absent) | None, _) => false,
                (Some(before), Some(after)) => self.bytes(*before) != self.bytes(*after),
            }
        })
    }

    /// Adds an image of the row to a batch's columns, with nulls for what the log says nothing of. Returns what its texts and
    /// bytes take. An error leaves the columns of different lengths.
    pub fn append(&mut self, image: Image, cells: &mut [Cells]) -> Result<usize> {
        let mut bytes = 0;
        for taken in &self.layout.taken {
            let (span, is_after) = self.span(taken.column, image);
            let cells = cells.get_mut(taken.index).ok_or_else(|| Error::bug("a batch of too few columns"))?;
            let Some(value) = self.bytes(span) else {
                cells.null();
                continue;
            };
            let added = match is_after && self.is_difference(taken.column) {
                false => value::decode(&taken.how, value, cells, &mut self.room.text),
                true => self.patched(taken, value, cells)?,
            };
            match added {
                Ok(size) => bytes += size,
                Err(Trouble::Torn) => return Err(self.torn()),
                Err(Trouble::Misfit(why)) => {
                    let (table, row) = (&self.layout.name, self.count);
                    let place = format_args!("table {table}, column {}, row {row} of a change:", taken.name);
                    return Err(batch::misfit(&taken.name, taken.of, &self.layout.header, place, why));
                }
            }
        }
        Ok(bytes)
    }

    /// Where a column's value lies, and whether it is of the image after.
    fn span(&self, column: usize, image: Image) -> (Span, bool) {
        let before = || self.room.before.get(column).copied().unwrap_or(Span::Absent);
        match (image, self.event.change) {
            (Image::Before, Change::Insert) | (Image::After, Change::Delete) => (Span::Absent, false),
            (Image::Before, _) => (before(), false),
            (Image::After, change) => match self.room.after.get(column).copied().unwrap_or(Span::Absent) {
                Span::Absent if change == Change::Update => (before(), false),
                span => (span, true),
            },
        }
    }

    /// `None` for a null, and for what is not there.
    fn bytes(&self, span: Span) -> Option<&'a [u8]> {
        match span {
            Span::At(start, length) => self.event.rows.get(start as usize..start as usize + length as usize),
            Span::Absent | Span::Null => None,
        }
    }

    fn is_difference(&self, column: usize) -> bool {
        if self.partial.is_empty() || !self.layout.is_json[column] {
            return false;
        }
        bit(self.partial, self.layout.is_json[..column].iter().filter(|is_json| **is_json).count())
    }

    /// A document after the differences that the log has in its place.
    fn patched(&mut self, taken: &Taken, differences: &[u8], cells: &mut Cells) -> Result<Result<usize, Trouble>> {
        let before = self.room.before.get(taken.column).copied().unwrap_or(Span::Absent);
        let Some(document) = self.bytes(before) else {
            let (table, name) = (&self.layout.name, &taken.name);
            let message =
                format!("table {table}, column {name}: the log has the change of a document without the document");
            return Err(Error::data(message)
                .hint("Set the server's `binlog_row_image = FULL`, or `binlog_row_value_options = ''`."));
        };
        self.room.text.clear();
        let made = match taken.how {
            How::Json => json::apply(document, differences, &mut self.room.text),
            _ => Err(Torn),
        };
        let added = made.map_err(Trouble::from).and_then(|()| Ok(cells.bytes(&self.room.text)?));
        Ok(added.map(|()| self.room.text.len()))
    }

    fn torn(&self) -> Error {
        let (name, row) = (&self.layout.name, self.count + 1);
        Error::data(format!("table {name}: row {row} of a change is not as the log says that its columns are"))
            .hint("Report it, with the table's definition and the server's version.")
    }
}

/// Finds the values of one image of a row.
#[inline]
fn image(rest: &mut Bytes<'_>, base: usize, present: &[u8], sizes: &[Size], spans: &mut Vec<Span>) -> Result<(), Torn> {
    let count = (0..sizes.len()).filter(|column| bit(present, *column)).count();
    let nulls = rest.take(count.div_ceil(8))?;
    spans.clear();
    let mut place = 0;
    for (column, size) in sizes.iter().enumerate() {
        if !bit(present, column) {
            spans.push(Span::Absent);
            continue;
        }
        let is_null = bit(nulls, place);
        place += 1;
        if is_null {
            spans.push(Span::Null);
            continue;
        }
        let length = match size {
            Size::Fixed(length) => *length,
            Size::Counted(bytes) => little(rest.take(*bytes)?) as usize,
        };
        let start = base - rest.0.len();
        rest.take(length)?;
        spans.push(Span::At(start as u32, length as u32));
    }
    Ok(())
}
