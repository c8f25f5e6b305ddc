//! From the bytes of a row, in the protocol of prepared statements, to the cells of a batch: nothing in between.

use super::calendar::{self, Moment};
use super::cells::{Cells, Misfit};
use super::client::ColumnType;
use super::plan::{Planned, Wire};

/// Why a row is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It is shorter or longer than its columns say.
    Torn,
    /// The value of the column with this index.
    Misfit(usize, Misfit),
}

/// Why a value is not taken.
enum Fault {
    Torn,
    Misfit(Misfit),
}

impl From<Misfit> for Fault {
    fn from(misfit: Misfit) -> Self {
        Fault::Misfit(misfit)
    }
}

/// Adds a row to the columns of a batch. Returns what its texts and bytes take.
///
/// One byte of zero, a bitmap of the nulls that begins at its third bit, and the values of the others.
pub fn row(payload: &[u8], columns: &[Planned], cells: &mut [Cells]) -> Result<usize, Trouble> {
    let nulls = (columns.len() + 2).div_ceil(8);
    let (nulls, mut values) = payload.get(1..).and_then(|rest| rest.split_at_checked(nulls)).ok_or(Trouble::Torn)?;
    let mut bytes = 0;
    for (index, (column, cells)) in columns.iter().zip(cells).enumerate() {
        let bit = index + 2;
        if nulls[bit / 8] >> (bit % 8) & 1 == 1 {
            cells.null();
            continue;
        }
        match value(&mut values, column.wire, cells) {
            Ok(size) => bytes += size,
            Err(Fault::Torn) => return Err(Trouble::Torn),
            Err(Fault::Misfit(misfit)) => return Err(Trouble::Misfit(index, misfit)),
        }
    }
    match values.is_empty() {
        true => Ok(bytes),
        false => Err(Trouble::Torn),
    }
}

/// Takes one value off the front of `values`.
#[inline]
fn value(values: &mut &[u8], wire: Wire, cells: &mut Cells) -> Result<usize, Fault> {
    use ColumnType::*;
    match (wire.kind, wire.unsigned) {
        (MYSQL_TYPE_LONGLONG, false) => cells.signed(i64::from_le_bytes(take(values)?))?,
        (MYSQL_TYPE_LONGLONG, true) => cells.unsigned(u64::from_le_bytes(take(values)?))?,
        (MYSQL_TYPE_LONG | MYSQL_TYPE_INT24, false) => cells.signed(i32::from_le_bytes(take(values)?).into())?,
        (MYSQL_TYPE_LONG | MYSQL_TYPE_INT24, true) => cells.signed(u32::from_le_bytes(take(values)?).into())?,
        (MYSQL_TYPE_SHORT | MYSQL_TYPE_YEAR, false) => cells.signed(i16::from_le_bytes(take(values)?).into())?,
        (MYSQL_TYPE_SHORT | MYSQL_TYPE_YEAR, true) => cells.signed(u16::from_le_bytes(take(values)?).into())?,
        (MYSQL_TYPE_TINY, false) => cells.signed(i8::from_le_bytes(take(values)?).into())?,
        (MYSQL_TYPE_TINY, true) => cells.signed(u8::from_le_bytes(take(values)?).into())?,
        (MYSQL_TYPE_FLOAT, _) => cells.float(f32::from_le_bytes(take(values)?))?,
        (MYSQL_TYPE_DOUBLE, _) => cells.double(f64::from_le_bytes(take(values)?))?,
        (MYSQL_TYPE_DATE | MYSQL_TYPE_DATETIME | MYSQL_TYPE_TIMESTAMP, _) => cells.moment(&moment(values)?)?,
        (MYSQL_TYPE_TIME, _) => cells.duration(duration(values)?)?,
        _ => {
            let text = text(values).ok_or(Fault::Torn)?;
            cells.bytes(text)?;
            return Ok(text.len());
        }
    }
    Ok(0)
}

#[inline]
fn take<const N: usize>(values: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (taken, rest) = values.split_first_chunk().ok_or(Fault::Torn)?;
    *values = rest;
    Ok(*taken)
}

/// Text or bytes, with their length before them.
#[inline]
fn text<'a>(values: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (&first, rest) = values.split_first()?;
    let (length, rest) = match first {
        0..=0xfa => (usize::from(first), rest),
        0xfc => rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_le_bytes(*length)), rest))?,
        0xfd => {
            let (&[a, b, c], rest) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_le_bytes([a, b, c, 0])).ok()?, rest)
        }
        0xfe => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u64::from_le_bytes(*length)).ok()?, rest)
        }
        // NULL is in the bitmap, and an error is no row.
        0xfb | 0xff => return None,
    };
    let (text, rest) = rest.split_at_checked(length)?;
    *values = rest;
    Some(text)
}

/// As much of it as is not zero, after its length.
fn moment(values: &mut &[u8]) -> Result<Moment, Fault> {
    let [length] = take(values)?;
    let mut moment = Moment::default();
    if !matches!(length, 0 | 4 | 7 | 11) {
        return Err(Fault::Torn);
    }
    if length >= 4 {
        let [low, high, month, day] = take(values)?;
        (moment.year, moment.month, moment.day) = (u16::from_le_bytes([low, high]), month, day);
    }
    if length >= 7 {
        [moment.hour, moment.minute, moment.second] = take(values)?;
    }
    if length == 11 {
        moment.micro = u32::from_le_bytes(take(values)?);
    }
    Ok(moment)
}

/// Microseconds.
fn duration(values: &mut &[u8]) -> Result<i64, Fault> {
    let [length] = take(values)?;
    if length == 0 {
        return Ok(0);
    }
    if !matches!(length, 8 | 12) {
        return Err(Fault::Torn);
    }
    let [negative] = take(values)?;
    let days = u32::from_le_bytes(take(values)?);
    let [hours, minutes, seconds] = take(values)?;
    let micros = match length {
        12 => u32::from_le_bytes(take(values)?),
        _ => 0,
    };
    Ok(calendar::duration(negative != 0, days, hours, minutes, seconds, micros))
}
