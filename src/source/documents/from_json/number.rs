//! Numbers of JSON, none of which loses a digit that says anything.
//!
//! | a number | is |
//! |---|---|
//! | without fraction and exponent, of 32 or 64 bits | int32, int64 |
//! | the same, larger, of at most 34 digits | Decimal128 |
//! | with a fraction or an exponent, and what a double writes that is nearest to it is the same number | double |
//! | the same, of at most 17 digits, and that double writes the same number with so many digits | double |
//! | another, of at most 34 digits and an exponent that a decimal has | Decimal128 |
//! | any other | text, as it stands |

use std::io::Write as _;

use super::super::bson::kind;
use super::super::decimal::Decimal;
use super::super::exact::Exact;
use super::super::write;
use super::{Text, Wrong};

/// So many digits are the same number after a double has had them, wherever their point stands in this range.
const SAFE_DIGITS: usize = 15;

/// With so many digits no two doubles are the same number. Many programs write each with all of them (`%.17g`): 0.1 as
/// `0.10000000000000001`.
const DOUBLE_DIGITS: u32 = 17;

/// Powers of ten that are doubles.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Adds the value of a number; what it returns is its type.
#[inline]
pub(super) fn number(out: &mut Vec<u8>, text: &mut Text<'_>) -> Result<u8, Wrong> {
    let begun = text.at;
    let is_negative = text.json.get(begun) == Some(&b'-');
    text.at += usize::from(is_negative);
    let first = text.at;
    let mut digits = 0;
    digits_of(text, &mut digits)?;
    let whole = text.at - first;
    if whole > 1 && text.json[first] == b'0' {
        text.at = first + 1;
        return Err(Wrong::Unexpected);
    }
    match text.json.get(text.at) {
        Some(b'.' | b'e' | b'E') => {}
        _ if whole <= 18 => {
            let number = if is_negative { -(digits as i64) } else { digits as i64 };
            return Ok(integer(out, number));
        }
        _ => return Ok(long(out, &text.json[begun..text.at])),
    }
    let mut behind = 0;
    if text.json[text.at] == b'.' {
        text.at += 1;
        let point = text.at;
        digits_of(text, &mut digits)?;
        behind = text.at - point;
    }
    let is_plain = !matches!(text.json.get(text.at), Some(b'e' | b'E'));
    if !is_plain {
        text.at += 1;
        text.at += usize::from(matches!(text.json.get(text.at), Some(b'+' | b'-')));
        digits_of(text, &mut 0)?;
    }
    // Both are exact, and so the quotient is the nearest double.
    if is_plain && whole + behind <= SAFE_DIGITS {
        let magnitude = digits as f64 / POWERS[behind];
        let number = if is_negative { -magnitude } else { magnitude };
        out.extend_from_slice(&number.to_le_bytes());
        return Ok(kind::DOUBLE);
    }
    Ok(other(out, &text.json[begun..text.at]))
}

/// One digit or more, of a number of which only the first nineteen count.
#[inline]
fn digits_of(text: &mut Text<'_>, number: &mut u64) -> Result<(), Wrong> {
    let begun = text.at;
    while let Some(digit @ b'0'..=b'9') = text.json.get(text.at) {
        *number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        text.at += 1;
    }
    match text.at > begun {
        true => Ok(()),
        false if text.rest().is_empty() => Err(Wrong::Ended),
        false => Err(Wrong::Unexpected),
    }
}

#[inline]
fn integer(out: &mut Vec<u8>, number: i64) -> u8 {
    match i32::try_from(number) {
        Ok(number) => {
            out.extend_from_slice(&number.to_le_bytes());
            kind::INT32
        }
        Err(_) => {
            out.extend_from_slice(&number.to_le_bytes());
            kind::INT64
        }
    }
}

/// A whole number of many digits.
#[cold]
fn long(out: &mut Vec<u8>, digits: &[u8]) -> u8 {
    let text = std::str::from_utf8(digits).unwrap_or_default();
    match text.parse() {
        Ok(number) => integer(out, number),
        Err(_) => decimal(out, Decimal::parse(text), text),
    }
}

/// A number that needs a closer look.
#[cold]
fn other(out: &mut Vec<u8>, number: &[u8]) -> u8 {
    let text = std::str::from_utf8(number).unwrap_or_default();
    let exact = Exact::of(text);
    if let (Some(exact), Some(double)) = (exact, text.parse().ok().filter(|double: &f64| double.is_finite()))
        && (Exact::of(zmij::Buffer::new().format_finite(double)) == Some(exact) || is_written_by(exact, double))
    {
        out.extend_from_slice(&double.to_le_bytes());
        return kind::DOUBLE;
    }
    // As it is written, since trailing zeros say how exact it is; without them where they are too many.
    let decimal = Decimal::parse(text).or_else(|| exact?.decimal());
    self::decimal(out, decimal, text)
}

fn decimal(out: &mut Vec<u8>, decimal: Option<Decimal>, text: &str) -> u8 {
    match decimal {
        Some(decimal) => {
            out.extend_from_slice(&decimal.bits().to_le_bytes());
            kind::DECIMAL
        }
        None => {
            write::string(out, text);
            kind::TEXT
        }
    }
}

/// Whether a double is this number where it is written with as many digits, and these are not more than it has.
fn is_written_by(exact: Exact, double: f64) -> bool {
    // Sign, point, exponent and all.
    const ROOM: usize = 32;
    let count = exact.count().max(1);
    if count > DOUBLE_DIGITS {
        return false;
    }
    let mut text = [0; ROOM];
    let mut rest = &mut text[..];
    if write!(rest, "{double:.*e}", count as usize - 1).is_err() {
        return false;
    }
    let length = ROOM - rest.len();
    std::str::from_utf8(&text[..length]).is_ok_and(|text| Exact::of(text) == Some(exact))
}
