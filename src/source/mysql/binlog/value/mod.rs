//! From the bytes of a value in the log to a cell: the same that the query's value of it becomes.

pub mod address;
pub mod decimal;
pub mod temporal;

use std::sync::Arc;

use super::bytes::{Torn, big, little};
use super::charset::Coding;
use super::event::inflate;
use super::json;
use crate::source::mysql::cells::{Cells, Misfit};

/// How a value's bytes become a cell.
#[derive(Debug, Clone)]
pub enum How {
    Signed,
    Unsigned,
    Float,
    Double,
    Year,
    Decimal {
        precision: u8,
        scale: u8,
    },
    /// As they are: texts in UTF-8, bytes, bits, geometries, vectors.
    Bytes,
    /// BINARY: with the zeros that the log leaves away.
    Padded(usize),
    Text(Arc<Coding>),
    /// The label of a number that counts from 1; 0 is a value that was none.
    Enum(Arc<[Vec<u8>]>),
    Set(Arc<[Vec<u8>]>),
    /// MySQL's.
    Json,
    /// MariaDB's compressed columns; in another character set than UTF-8, if there is one.
    Compressed(Option<Arc<Coding>>),
    Date,
    Time,
    DateTime,
    Timestamp,
    OldTime,
    OldDateTime,
    OldTimestamp,
    Uuid,
    Inet4,
    Inet6,
}

/// Why a value is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Torn,
    Misfit(Misfit),
}

impl From<Misfit> for Trouble {
    fn from(misfit: Misfit) -> Self {
        Trouble::Misfit(misfit)
    }
}

impl From<Torn> for Trouble {
    fn from(Torn: Torn) -> Self {
        Trouble::Torn
    }
}

/// Adds a value to a column. `room` is for what has to be written first. Returns what its text or bytes take.
#[inline]
pub fn decode(how: &How, value: &[u8], cells: &mut Cells, room: &mut Vec<u8>) -> Result<usize, Trouble> {
    match how {
        How::Signed => cells.signed(signed(value))?,
        How::Unsigned => cells.unsigned(little(value))?,
        How::Bytes => {
            cells.bytes(value)?;
            return Ok(value.len());
        }
        How::Decimal { precision: precision @ 0..=38, scale } => {
            cells.decimal(decimal::unscaled(value, *precision, *scale)?)?;
        }
        How::Double => cells.double(f64::from_le_bytes(exactly(value)?))?,
        How::Float => cells.float(f32::from_le_bytes(exactly(value)?))?,
        How::Date => cells.moment(&temporal::date(exactly(value)?))?,
        How::DateTime => cells.moment(&temporal::datetime(value).ok_or(Torn)?)?,
        How::Timestamp => cells.moment(&temporal::timestamp(value).ok_or(Torn)?)?,
        How::Time => cells.duration(temporal::time(value).ok_or(Torn)?)?,
        How::Year => {
            let [years] = exactly(value)?;
            cells.signed(if years == 0 { 0 } else { 1900 + i64::from(years) })?;
        }
        _ => return rare(how, value, cells, room),
    }
    Ok(0)
}

/// What is seldom, or slow anyway.
fn rare(how: &How, value: &[u8], cells: &mut Cells, room: &mut Vec<u8>) -> Result<usize, Trouble> {
    room.clear();
    match how {
        How::OldDateTime => {
            return Ok(cells.moment(&temporal::old_datetime(exactly(value)?).ok_or(Torn)?).map(|()| 0)?);
        }
        How::OldTimestamp => {
            let moment = temporal::instant(u32::from_le_bytes(exactly(value)?), 0);
            return Ok(cells.moment(&moment).map(|()| 0)?);
        }
        How::OldTime => return Ok(cells.duration(temporal::old_time(exactly(value)?).ok_or(Torn)?).map(|()| 0)?),
        How::Uuid => return Ok(cells.uuid(padded(value)?).map(|()| 0)?),
        How::Text(coding) => coding.decode(value, room),
        How::Padded(length) => {
            room.extend_from_slice(value);
            room.resize((*length).max(value.len()), 0);
        }
        How::Enum(labels) => match little(value) {
            0 => {}
            number => room.extend_from_slice(labels.get(number as usize - 1).ok_or(Torn)?),
        },
        How::Set(labels) => set(little(value), labels, room)?,
        How::Json => json::write(value, room)?,
        How::Compressed(coding) => {
            uncompress(value, room)?;
            if let Some(coding) = coding {
                let plain = std::mem::take(room);
                coding.decode(&plain, room);
            }
        }
        How::Decimal { precision, scale } => decimal::write_text(value, *precision, *scale, room)?,
        How::Inet4 => address::write_inet4(padded(value)?, room),
        How::Inet6 => address::write_inet6(padded(value)?, room),
        _ => return Err(Trouble::Misfit(Misfit::Kind)),
    }
    cells.bytes(room)?;
    Ok(room.len())
}

#[inline]
fn signed(value: &[u8]) -> i64 {
    // The sign goes up to the highest bit and comes down again.
    let unused = 64 - 8 * value.len().clamp(1, 8) as u32;
    (little(value) << unused) as i64 >> unused
}

#[inline]
fn exactly<const N: usize>(value: &[u8]) -> Result<[u8; N], Torn> {
    value.try_into().map_err(|_| Torn)
}

/// Without the zeros at its end, which the log leaves away.
fn padded<const N: usize>(value: &[u8]) -> Result<[u8; N], Torn> {
    let mut whole = [0; N];
    whole.get_mut(..value.len()).ok_or(Torn)?.copy_from_slice(value);
    Ok(whole)
}

fn set(bits: u64, labels: &[Vec<u8>], out: &mut Vec<u8>) -> Result<(), Torn> {
    let mut rest = bits;
    while rest != 0 {
        if rest != bits {
            out.push(b',');
        }
        out.extend_from_slice(labels.get(rest.trailing_zeros() as usize).ok_or(Torn)?);
        rest &= rest - 1;
    }
    Ok(())
}

/// MariaDB: a byte that tells how it is compressed, the length of what it was, and that; or nothing for nothing.
fn uncompress(value: &[u8], out: &mut Vec<u8>) -> Result<(), Torn> {
    const ZLIB: u8 = 8;
    const RAW: u8 = 8;
    let Some((&head, rest)) = value.split_first() else { return Ok(()) };
    match head >> 4 {
        0 => out.extend_from_slice(rest),
        ZLIB => {
            let (length, rest) = rest.split_at_checked((head & 7).into()).ok_or(Torn)?;
            inflate(rest, big(length), head & RAW == 0, out)?;
        }
        _ => return Err(Torn),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_sign() {
        assert_eq!((signed(&[0xff]), signed(&[0, 0, 0x80]), signed(&[0xff, 0xff, 0x7f])), (-1, -8_388_608, 8_388_607));
        assert_eq!((signed(&[0xff; 8]), signed(&[])), (-1, 0));
    }

    #[test]
    fn sets_are_their_labels() {
        let labels = [b"a".to_vec(), b"b".to_vec(), b"c".to_vec()];
        let mut out = Vec::new();
        set(0b101, &labels, &mut out).unwrap();
        assert_eq!(out, b"a,c");
        assert_eq!(set(0b1000, &labels, &mut out), Err(Torn));
    }
}
