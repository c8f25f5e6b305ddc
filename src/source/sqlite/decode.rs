//! What is stored in a cell, as its column's type has it: exactly, or a [`Misfit`].

use std::fmt::Write;

use rusqlite::types::ValueRef;
use serde::de::IgnoredAny;

use super::config::{Leniency, Numbers};
use super::time;
use super::types::Shape;
use crate::record::Datum;
use crate::source::iso8601;

/// Why a stored value does not fit its column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// SQLite's word for what is stored.
    Stored(&'static str),
    /// Text of another form than the type asks for.
    Form,
    NotUtf8,
    /// More digits than the type has, before or after the point.
    Digits,
    NotZeroOrOne,
    /// Text with a zone in a column without.
    Zone,
    /// A number in a column of dates or times.
    NumericTime,
}

/// Where a cell's text or bytes are made, if they are not as stored.
#[derive(Debug, Default)]
pub struct Scratch {
    text: String,
    bytes: [u8; 16],
}

/// Reads one cell.
#[inline]
pub fn cell<'a>(
    shape: Shape,
    leniency: Leniency,
    value: ValueRef<'a>,
    scratch: &'a mut Scratch,
) -> Result<Datum<'a>, Misfit> {
    if matches!(value, ValueRef::Null) {
        return Ok(Datum::Null);
    }
    match shape {
        Shape::Integer => integer(value),
        Shape::Boolean => match value {
            ValueRef::Integer(0) => Ok(Datum::Bool(false)),
            ValueRef::Integer(1) => Ok(Datum::Bool(true)),
            ValueRef::Integer(_) => Err(Misfit::NotZeroOrOne),
            other => Err(stored(other)),
        },
        Shape::Real => match value {
            ValueRef::Real(number) => Ok(Datum::Float(number)),
            ValueRef::Integer(number) if is_exact(number) => Ok(Datum::Float(number as f64)),
            ValueRef::Integer(_) => Err(Misfit::Digits),
            other => Err(stored(other)),
        },
        Shape::Decimal(_, scale) => decimal(value, leniency.rounds.then_some(scale), &mut scratch.text),
        Shape::Text => text(value, &mut scratch.text),
        Shape::Anything => Ok(anything(value, &mut scratch.text)),
        Shape::Bytes => match value {
            ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Ok(Datum::Bytes(bytes)),
            other => Err(stored(other)),
        },
        Shape::Date => match value {
            ValueRef::Text(text) => iso8601::date(text).map(Datum::Date).ok_or(Misfit::Form),
            other => time::whole_days(counted(other, leniency.times)?).map(Datum::Date).ok_or(Misfit::Form),
        },
        Shape::Wall => match value {
            ValueRef::Text(text) => match iso8601::moment(text).ok_or(Misfit::Form)? {
                iso8601::Moment { wall, zone: None } => Ok(Datum::Timestamp(wall)),
                iso8601::Moment { zone: Some(_), .. } => Err(Misfit::Zone),
            },
            other => counted(other, leniency.times).map(Datum::Timestamp),
        },
        Shape::Instant => match value {
            ValueRef::Text(text) => {
                let moment = iso8601::moment(text).ok_or(Misfit::Form)?;
                Ok(Datum::Timestamp(moment.wall - moment.zone.unwrap_or(0)))
            }
            other => counted(other, leniency.times).map(Datum::Timestamp),
        },
        Shape::Time => match value {
            ValueRef::Text(text) => iso8601::time(text).map(Datum::Time).ok_or(Misfit::Form),
            other => Err(stored(other)),
        },
        Shape::Json => json(value, &mut scratch.text),
        Shape::Uuid => uuid(value, &mut scratch.bytes),
    }
}

fn integer<'a>(value: ValueRef<'a>) -> Result<Datum<'a>, Misfit> {
    match value {
        ValueRef::Integer(number) => Ok(Datum::Int(number)),
        // Through a view or a union; a column of integers stores these as integers.
        ValueRef::Real(number) if number.fract() == 0.0 && number.abs() <= (1i64 << 53) as f64 => {
            Ok(Datum::Int(number as i64))
        }
        other => Err(stored(other)),
    }
}

/// Whether a double holds the integer.
fn is_exact(number: i64) -> bool {
    number.unsigned_abs() <= 1 << 53
}

/// `rounds` is the scale that reals are rounded to, if they are.
fn decimal<'a>(value: ValueRef<'a>, rounds: Option<i8>, scratch: &'a mut String) -> Result<Datum<'a>, Misfit> {
    match value {
        ValueRef::Integer(number) => Ok(Datum::Int(number)),
        ValueRef::Real(number) if number.is_finite() && rounds.is_some() => {
            let digits = rounds.and_then(|scale| usize::try_from(scale).ok()).unwrap_or(0);
            scratch.clear();
            // Writing to a String cannot fail.
            let _ = write!(scratch, "{number:.digits$}");
            Ok(Datum::Decimal(scratch))
        }
        ValueRef::Real(number) if number.is_finite() => {
            // The shortest decimal that reads back as this double: what was written, up to 15 digits.
            let mut buffer = zmij::Buffer::new();
            let short = buffer.format_finite(number);
            scratch.clear();
            if short.contains('e') {
                // Rust's own notation has the same digits and never an exponent.
                let _ = write!(scratch, "{number}");
            } else {
                scratch.push_str(short);
            }
            Ok(Datum::Decimal(scratch))
        }
        ValueRef::Text(text) => {
            let text = str::from_utf8(text).map_err(|_| Misfit::NotUtf8)?;
            is_plain_decimal(text).then_some(Datum::Decimal(text)).ok_or(Misfit::Form)
        }
        other => Err(stored(other)),
    }
}

/// Sign, digits, at most one point.
fn is_plain_decimal(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let points = digits.bytes().filter(|byte| *byte == b'.').count();
    points <= 1 && digits.len() > points && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

fn text<'a>(value: ValueRef<'a>, scratch: &'a mut String) -> Result<Datum<'a>, Misfit> {
    match value {
        ValueRef::Text(text) => str::from_utf8(text).map(Datum::Text).map_err(|_| Misfit::NotUtf8),
        ValueRef::Integer(_) | ValueRef::Real(_) => Ok(number_text(value, scratch)),
        other => Err(stored(other)),
    }
}

fn anything<'a>(value: ValueRef<'a>, scratch: &'a mut String) -> Datum<'a> {
    let bytes = match value {
        ValueRef::Text(text) => match str::from_utf8(text) {
            Ok(text) => return Datum::Text(text),
            Err(_) => text,
        },
        ValueRef::Blob(bytes) => bytes,
        other => return number_text(other, scratch),
    };
    scratch.clear();
    scratch.push_str("X'");
    scratch.push_str(&hex::encode_upper(bytes));
    scratch.push('\'');
    Datum::Text(scratch)
}

/// A number in its shortest exact form.
fn number_text<'a>(value: ValueRef<'_>, scratch: &'a mut String) -> Datum<'a> {
    scratch.clear();
    match value {
        ValueRef::Integer(number) => scratch.push_str(itoa::Buffer::new().format(number)),
        ValueRef::Real(number) if number.is_finite() => scratch.push_str(zmij::Buffer::new().format_finite(number)),
        ValueRef::Real(number) if number > 0.0 => scratch.push_str("Infinity"),
        // SQLite stores no NaN.
        ValueRef::Real(_) => scratch.push_str("-Infinity"),
        _ => return Datum::Null,
    }
    Datum::Text(scratch)
}

/// Microseconds since 1970 of a number in a column of dates or times.
fn counted(value: ValueRef<'_>, numbers: Numbers) -> Result<i64, Misfit> {
    let micros = match (value, numbers) {
        (ValueRef::Integer(_) | ValueRef::Real(_), Numbers::Refuse) => return Err(Misfit::NumericTime),
        (ValueRef::Integer(number), Numbers::PerSecond(units)) => time::of_units(number, units),
        (ValueRef::Real(number), Numbers::PerSecond(units)) => time::of_real_units(number, units),
        (ValueRef::Integer(days), Numbers::Julian) => time::of_julian(days as f64),
        (ValueRef::Real(days), Numbers::Julian) => time::of_julian(days),
        (other, _) => return Err(stored(other)),
    };
    micros.ok_or(Misfit::Digits)
}

fn json<'a>(value: ValueRef<'a>, scratch: &'a mut String) -> Result<Datum<'a>, Misfit> {
    match value {
        ValueRef::Text(text) => {
            let text = str::from_utf8(text).map_err(|_| Misfit::NotUtf8)?;
            match serde_json::from_str::<IgnoredAny>(text) {
                Ok(_) => Ok(Datum::Text(text)),
                Err(_) => Err(Misfit::Form),
            }
        }
        // A column declared JSON has numeric affinity: the document `5` is stored as the number.
        ValueRef::Integer(_) => Ok(number_text(value, scratch)),
        ValueRef::Real(number) if number.is_finite() => Ok(number_text(value, scratch)),
        other => Err(stored(other)),
    }
}

fn uuid<'a>(value: ValueRef<'a>, scratch: &'a mut [u8; 16]) -> Result<Datum<'a>, Misfit> {
    match value {
        ValueRef::Blob(bytes) if bytes.len() == 16 => Ok(Datum::Bytes(bytes)),
        ValueRef::Blob(_) => Err(Misfit::Form),
        ValueRef::Text(text) => {
            *scratch = *uuid::Uuid::try_parse_ascii(text).map_err(|_| Misfit::Form)?.as_bytes();
            Ok(Datum::Bytes(scratch))
        }
        other => Err(stored(other)),
    }
}

fn stored(value: ValueRef<'_>) -> Misfit {
    Misfit::Stored(match value {
        ValueRef::Null => "a null",
        ValueRef::Integer(_) => "an integer",
        ValueRef::Real(_) => "a real number",
        ValueRef::Text(_) => "text",
        ValueRef::Blob(_) => "bytes",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(shape: Shape, value: ValueRef<'_>) -> Result<String, Misfit> {
        let mut scratch = Scratch::default();
        let leniency = Leniency { times: Numbers::Refuse, rounds: false };
        cell(shape, leniency, value, &mut scratch).map(|datum| format!("{datum:?}"))
    }

    #[test]
    fn doubles_in_decimal_columns_are_their_shortest_text() {
        for (number, expected) in [
            (59.97, "59.97"),
            (1e20, "100000000000000000000"),
            (-1.5e-7, "-0.00000015"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(read(Shape::Decimal(38, 20), ValueRef::Real(number)), Ok(format!("Decimal({expected:?})")));
        }
        assert_eq!(read(Shape::Decimal(9, 2), ValueRef::Real(f64::INFINITY)), Err(Misfit::Stored("a real number")));
        assert_eq!(read(Shape::Decimal(9, 2), ValueRef::Text(b"1e3")), Err(Misfit::Form));
        assert_eq!(read(Shape::Decimal(9, 2), ValueRef::Text(b".")), Err(Misfit::Form));
    }

    #[test]
    fn read_as_text_takes_whatever_is_stored() {
        for (value, expected) in [
            (ValueRef::Integer(i64::MIN), "-9223372036854775808"),
            (ValueRef::Real(1e308), "1e+308"),
            (ValueRef::Real(5.0), "5.0"),
            (ValueRef::Real(f64::NEG_INFINITY), "-Infinity"),
            (ValueRef::Text("ü".as_bytes()), "ü"),
            (ValueRef::Text(b"\xff"), "X'FF'"),
            (ValueRef::Blob(b"\x00a"), "X'0061'"),
        ] {
            assert_eq!(read(Shape::Anything, value), Ok(format!("Text({expected:?})")));
        }
        assert_eq!(read(Shape::Anything, ValueRef::Null), Ok("Null".to_owned()));
    }

    #[test]
    fn deep_json_is_read_and_what_is_no_json_refused() {
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert!(read(Shape::Json, ValueRef::Text(deep.as_bytes())).is_ok());
        assert_eq!(read(Shape::Json, ValueRef::Text(b"{a:1}")), Err(Misfit::Form));
        assert_eq!(read(Shape::Json, ValueRef::Integer(5)), Ok("Text(\"5\")".to_owned()));
        assert_eq!(read(Shape::Json, ValueRef::Blob(b"{}")), Err(Misfit::Stored("bytes")));
    }
}
