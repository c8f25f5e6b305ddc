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

/// A row behind its marks.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    nulls: &'a [u8],
    /// The bit of the first column.
    first: usize,
    values: &'a [u8],
}

impl Body<'_> {
    fn is_null(&self, index: usize) -> bool {
        let bit = self.first + index;
        self.nulls[bit / 8] >> (bit % 8) & 1 == 1
    }

    /// The same bytes for the same row of so many columns, however many marks are before them.
    pub fn bytes(&self, columns: usize, room: &mut Vec<u8>) {
        room.clear();
        room.extend((0..columns).map(|index| u8::from(self.is_null(index))));
        room.extend_from_slice(self.values);
    }
}

/// Takes the marks off a row, texts that are selected before its columns; their texts go into `marks`, in place of what is
/// there.
///
/// One byte of zero, a bitmap of the nulls that begins at its third bit, and the values of the others.
#[inline]
pub fn split<'a>(
    payload: &'a [u8],
    columns: usize,
    count: usize,
    marks: &mut Vec<Option<&'a [u8]>>,
) -> Result<Body<'a>, Trouble> {
    let nulls = (count + columns + 2).div_ceil(8);
    let (nulls, mut values) = payload.get(1..).and_then(|rest| rest.split_at_checked(nulls)).ok_or(Trouble::Torn)?;
    marks.clear();
    for bit in 2..count + 2 {
        let is_null = nulls[bit / 8] >> (bit % 8) & 1 == 1;
        marks.push(if is_null { None } else { Some(text(&mut values).ok_or(Trouble::Torn)?) });
    }
    Ok(Body { nulls, first: count + 2, values })
}

/// Adds a row to the columns of a batch. Returns what its texts and bytes take.
pub fn row(body: Body<'_>, columns: &[Planned], cells: &mut [Cells]) -> Result<usize, Trouble> {
    let mut values = body.values;
    let mut bytes = 0;
    for (index, (column, cells)) in columns.iter().zip(cells).enumerate() {
        if body.is_null(index) {
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
    calendar::duration(negative != 0, days, hours, minutes, seconds, micros).ok_or(Fault::Torn)
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{DurationMicrosecondType, Int8Type, TimestampMicrosecondType, UInt32Type, UInt64Type};
    use proptest::prelude::*;

    use super::*;
    use crate::source::mysql::config::ZeroDates;
    use crate::source::mysql::types::Type;

    const COLUMNS: [(ColumnType, bool, Type); 9] = [
        (ColumnType::MYSQL_TYPE_TINY, false, Type::Signed(8)),
        (ColumnType::MYSQL_TYPE_INT24, true, Type::Unsigned(32)),
        (ColumnType::MYSQL_TYPE_LONGLONG, true, Type::Unsigned(64)),
        (ColumnType::MYSQL_TYPE_DOUBLE, false, Type::Double),
        (ColumnType::MYSQL_TYPE_DATETIME, false, Type::DateTime),
        (ColumnType::MYSQL_TYPE_TIME, false, Type::Time),
        (ColumnType::MYSQL_TYPE_VAR_STRING, false, Type::Text),
        (ColumnType::MYSQL_TYPE_BLOB, false, Type::Bytes),
        (ColumnType::MYSQL_TYPE_NEWDECIMAL, false, Type::Decimal { precision: 5, scale: 2 }),
    ];

    fn columns() -> (Vec<Planned>, Vec<Cells>) {
        let planned = |&(kind, unsigned, of): &_| Planned {
            name: "c".to_owned(),
            of,
            wire: Wire { kind, unsigned, character_set: 255, decimals: 0, length: 0 },
        };
        let columns = COLUMNS.iter().map(planned).collect();
        (columns, COLUMNS.iter().map(|&(_, _, of)| Cells::new(of, ZeroDates::Null)).collect())
    }

    fn add(payload: &[u8], planned: &[Planned], cells: &mut [Cells]) -> Result<usize, Trouble> {
        row(split(payload, planned.len(), 0, &mut Vec::new())?, planned, cells)
    }

    /// No nulls: -1, 2^24 - 1, 2^64 - 1, 1.5, 2000-02-29 00:00:00.000001, -25:00:01, "añ", 300 bytes, -1.05.
    fn full() -> Vec<u8> {
        let mut row = vec![0, 0, 0, 0xff];
        row.extend(0xff_ffffu32.to_le_bytes());
        row.extend(u64::MAX.to_le_bytes());
        row.extend(1.5f64.to_le_bytes());
        row.extend([11, 0xd0, 7, 2, 29, 0, 0, 0, 1, 0, 0, 0]);
        row.extend([8, 1, 1, 0, 0, 0, 1, 0, 1]);
        row.extend([3, b'a', 0xc3, 0xb1]);
        row.extend([0xfc, 44, 1]);
        row.extend([7; 300]);
        row.extend([5, b'-', b'1', b'.', b'0', b'5']);
        row
    }

    #[test]
    fn each_value_takes_its_place() {
        let (planned, mut cells) = columns();
        assert_eq!(add(&full(), &planned, &mut cells), Ok(308));
        // All nulls: nine bits from the third on.
        assert_eq!(add(&[0, 0b1111_1100, 0b0000_0111], &planned, &mut cells), Ok(0));
        let arrays: Vec<_> = cells.iter_mut().map(|cells| cells.finish().unwrap()).collect();
        assert!(arrays.iter().all(|array| array.len() == 2 && array.is_valid(0) && array.is_null(1)));
        assert_eq!(arrays[0].as_primitive::<Int8Type>().value(0), -1);
        assert_eq!(arrays[1].as_primitive::<UInt32Type>().value(0), 0xff_ffff);
        assert_eq!(arrays[2].as_primitive::<UInt64Type>().value(0), u64::MAX);
        assert_eq!(arrays[4].as_primitive::<TimestampMicrosecondType>().value(0), 951_782_400_000_001);
        assert_eq!(arrays[5].as_primitive::<DurationMicrosecondType>().value(0), -(25 * 3600 + 1) * 1_000_000);
        assert_eq!(arrays[6].as_string::<i32>().value(0), "añ");
        assert_eq!(arrays[7].as_binary::<i32>().value(0), [7; 300]);
        assert_eq!(arrays[8].as_primitive::<arrow_array::types::Decimal128Type>().value(0), -105);
    }

    #[test]
    fn marks_are_taken_off_and_change_nothing_behind_them() {
        let (planned, mut cells) = columns();
        let full = full();
        // Three marks, the second of them null.
        let marked = [&[0, 0b1000, 0, 2, b'4', b'2', 1, b't'], &full[3..]].concat();
        let (mut marks, mut with, mut without) = (Vec::new(), Vec::new(), Vec::new());
        let body = split(&marked, planned.len(), 3, &mut marks).unwrap();
        assert_eq!(row(body, &planned, &mut cells), Ok(308));
        assert_eq!(marks, [Some(&b"42"[..]), None, Some(&b"t"[..])]);
        body.bytes(planned.len(), &mut with);
        split(&full, planned.len(), 0, &mut Vec::new()).unwrap().bytes(planned.len(), &mut without);
        assert_eq!(with, without);
    }

    #[test]
    fn a_row_that_is_torn_is_told() {
        let (planned, mut cells) = columns();
        let full = full();
        for length in 0..full.len() {
            assert_eq!(add(&full[..length], &planned, &mut cells), Err(Trouble::Torn), "{length} bytes");
        }
        assert_eq!(add(&[&full[..], &[0]].concat(), &planned, &mut cells), Err(Trouble::Torn));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), at in 0..400usize) {
            let (planned, mut cells) = columns();
            let mut payload = full();
            let at = at.min(payload.len());
            payload.splice(at..(at + bytes.len()).min(full().len()), bytes);
            let _ = add(&payload, &planned, &mut cells);
        }
    }
}
