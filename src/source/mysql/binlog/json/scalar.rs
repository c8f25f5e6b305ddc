//! The values of a document that hold no others.

use std::io::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::super::bytes::Torn;
use super::super::value::decimal;
use super::super::value::temporal::{self, Parts};
use crate::source::mysql::client::ColumnType;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    Null,
    True,
    False,
    Signed(i64),
    Unsigned(u64),
    Double(f64),
    Text(&'a [u8]),
    /// A value of a column's type, which JSON itself does not have.
    Opaque(u8, &'a [u8]),
}

impl Scalar<'_> {
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Torn> {
        match *self {
            Scalar::Null => out.extend_from_slice(b"null"),
            Scalar::True => out.extend_from_slice(b"true"),
            Scalar::False => out.extend_from_slice(b"false"),
            Scalar::Signed(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
            Scalar::Unsigned(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
            Scalar::Double(number) => double(number, out),
            Scalar::Text(text) => quoted(text, out),
            Scalar::Opaque(of, bytes) => return opaque(of, bytes, out),
        }
        Ok(())
    }
}

fn opaque(of: u8, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Torn> {
    match ColumnType::try_from(of) {
        Ok(ColumnType::MYSQL_TYPE_NEWDECIMAL) => {
            let (&[precision, scale], digits) = bytes.split_first_chunk().ok_or(Torn)?;
            decimal::write_text(digits, precision, scale, out)
        }
        Ok(
            kind @ (ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_DATETIME | ColumnType::MYSQL_TYPE_TIMESTAMP),
        ) => {
            let moment = temporal::unpacked(packed(bytes)?).ok_or(Torn)?;
            out.push(b'"');
            match kind {
                ColumnType::MYSQL_TYPE_DATE => moment.write_date(out),
                _ => moment.write_datetime(out, 6),
            }
            out.push(b'"');
            Ok(())
        }
        Ok(ColumnType::MYSQL_TYPE_TIME) => {
            let Parts { negative, hours, minutes, seconds, micros } = temporal::parts(packed(bytes)?);
            let sign = if negative { "-" } else { "" };
            write!(out, "\"{sign}{hours:02}:{minutes:02}:{seconds:02}.{micros:06}\"").map_err(|_| Torn)
        }
        _ => {
            write!(out, "\"base64:type{of}:").map_err(|_| Torn)?;
            let text = BASE64_STANDARD.encode(bytes);
            // The server breaks its lines, as mail does.
            for (index, line) in text.as_bytes().chunks(76).enumerate() {
                if index > 0 {
                    out.extend_from_slice(b"\\n");
                }
                out.extend_from_slice(line);
            }
            out.push(b'"');
            Ok(())
        }
    }
}

fn packed(bytes: &[u8]) -> Result<i64, Torn> {
    bytes.try_into().map(i64::from_le_bytes).map_err(|_| Torn)
}

/// Text in quotes, as the server escapes it.
fn quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = 0;
    for (at, byte) in text.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            0x08 => b"\\b",
            0x0c => b"\\f",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => &[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), b"0123456789abcdef"[usize::from(byte & 15)]],
            _ => continue,
        };
        out.extend_from_slice(&text[plain..at]);
        out.extend_from_slice(escaped);
        plain = at + 1;
    }
    out.extend_from_slice(&text[plain..]);
    out.push(b'"');
}

/// A number that a reader takes for one with a fraction, in as few digits as tell it from all others.
fn double(number: f64, out: &mut Vec<u8>) {
    if !number.is_finite() {
        // No document has such a number.
        return out.extend_from_slice(b"null");
    }
    let begin = out.len();
    // Digits, a point behind the first if there are more, and the exponent; writing to a vector does not fail.
    let _ = write!(out, "{number:e}");
    let mut digits = [0; 20];
    let mut count = 0;
    let mut exponent = 0i32;
    let text = out.split_off(begin);
    let (mantissa, tail) = text.split_at(text.iter().position(|byte| *byte == b'e').unwrap_or(text.len()));
    for digit in mantissa.iter().filter(|byte| byte.is_ascii_digit()).take(digits.len()) {
        digits[count] = *digit;
        count += 1;
    }
    if let Some(tail) = tail.get(1..).and_then(|tail| std::str::from_utf8(tail).ok()) {
        exponent = tail.parse().unwrap_or_default();
    }
    let digits = &digits[..count];
    if number.is_sign_negative() {
        out.push(b'-');
    }
    // The server writes what is from 1e-15 to below 1e15 without an exponent.
    match exponent {
        -15..=-1 => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + (-exponent - 1) as usize, b'0');
            out.extend_from_slice(digits);
        }
        0..=14 => {
            let whole = exponent as usize + 1;
            out.extend_from_slice(&digits[..whole.min(count)]);
            out.resize(out.len() + whole.saturating_sub(count), b'0');
            out.push(b'.');
            match digits.get(whole..) {
                Some(fraction) if !fraction.is_empty() => out.extend_from_slice(fraction),
                _ => out.push(b'0'),
            }
        }
        _ => {
            out.push(digits[0]);
            if count > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            out.push(b'e');
            out.extend_from_slice(itoa::Buffer::new().format(exponent).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_server_does() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (123_456_789.125, "123456789.125"),
            (1e14, "100000000000000.0"),
            (1e15, "1e15"),
            (1.5e300, "1.5e300"),
            (1e-15, "0.000000000000001"),
            (1e-16, "1e-16"),
            (5e-324, "5e-324"),
        ] {
            let mut out = Vec::new();
            double(number, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
