//! Values in the server's text form: what its output functions write under the settings of our transactions.
//!
//! Needed where part of a type has no binary form that we read: an array of ranges, a record with an inet.

use std::str::FromStr;

use arrow_buffer::i256;

use super::binary::json_text;
use super::{Column, Fault, Form, Pieces, Values, clock};
use crate::record::decimal;

impl Column {
    /// Appends a value that is not null. After a fault the column is only to be dropped.
    pub fn push_text(&mut self, text: &[u8]) -> Result<(), Fault> {
        match &mut self.values {
            Values::Bool(values) => values.append(match text {
                b"t" => true,
                b"f" => false,
                _ => return Err(Fault::Malformed),
            }),
            Values::Int2(values) => values.push(parsed(text)?),
            Values::Int4(values) => values.push(parsed(text)?),
            Values::Int8(values) => values.push(parsed(text)?),
            Values::Oid(values) => values.push(parsed(text)?),
            Values::Float4(values) => values.push(parsed(text)?),
            Values::Float8(values) => values.push(parsed(text)?),
            Values::Decimal128 { values, scale, limit, odd } => match text {
                b"NaN" | b"Infinity" | b"-Infinity" => {
                    let odd = *odd;
                    return self.push_odd(odd, Fault::NotANumber);
                }
                _ => {
                    let value = decimal::parse_i128(text, *scale).ok_or(Fault::Digits)?;
                    if value >= *limit || value <= -*limit {
                        return Err(Fault::Digits);
                    }
                    values.push(value);
                }
            },
            Values::Decimal256 { values, scale, limit, odd } => match text {
                b"NaN" | b"Infinity" | b"-Infinity" => {
                    let odd = *odd;
                    return self.push_odd(odd, Fault::NotANumber);
                }
                _ => values.push(wide(text, *scale, *limit)?),
            },
            Values::Money(values) => values.push(money(text)?),
            Values::Date(values, odd) => match clock::parse_date(text)? {
                Some(value) => values.push(value),
                None => {
                    let odd = *odd;
                    return self.push_odd(odd, Fault::Infinite);
                }
            },
            Values::Time(values) => values.push(clock::parse_time(text)?),
            Values::Timestamp(values, odd) => match clock::parse_timestamp(text)? {
                Some(value) => values.push(value),
                None => {
                    let odd = *odd;
                    return self.push_odd(odd, Fault::Infinite);
                }
            },
            Values::Uuid(values) => {
                let text = std::str::from_utf8(text).map_err(|_| Fault::Malformed)?;
                values.extend_from_slice(uuid::Uuid::from_str(text).map_err(|_| Fault::Malformed)?.as_bytes());
            }
            Values::Bytes(pieces, form) => push_piece(pieces, *form, text)?,
            Values::List { .. } => self.push_list_text(text)?,
            Values::Struct { .. } => self.push_struct_text(text)?,
        }
        self.nulls.append_non_null();
        Ok(())
    }
}

fn push_piece(pieces: &mut Pieces, form: Form, text: &[u8]) -> Result<(), Fault> {
    match form {
        Form::Text | Form::Jsonb | Form::Numeric => pieces.push(text),
        Form::Bytes => push_hex(pieces, text.strip_prefix(b"\\x").ok_or(Fault::Malformed)?),
        Form::Geometry => push_hex(pieces, text),
        Form::Hstore => {
            hstore(&mut pieces.bytes, text)?;
            pieces.end()
        }
    }
}

fn push_hex(pieces: &mut Pieces, digits: &[u8]) -> Result<(), Fault> {
    let start = pieces.bytes.len();
    pieces.bytes.resize(start + digits.len() / 2, 0);
    hex::decode_to_slice(digits, &mut pieces.bytes[start..]).map_err(|_| Fault::Malformed)?;
    pieces.end()
}

fn wide(text: &[u8], scale: i8, limit: i256) -> Result<i256, Fault> {
    let value = decimal::parse_i256(text, scale).ok_or(Fault::Digits)?;
    match value < limit && value > limit.wrapping_neg() {
        true => Ok(value),
        false => Err(Fault::Digits),
    }
}

/// `-$1,234.50`, `1.234,50 €`: always all digits after the point, so that the digits alone tell the value; a minus or a
/// bracket tells that it is negative.
fn money(text: &[u8]) -> Result<i128, Fault> {
    if !text.iter().any(u8::is_ascii_digit) {
        return Err(Fault::Malformed);
    }
    let mut value: i128 = 0;
    for byte in text.iter().filter(|byte| byte.is_ascii_digit()) {
        value = value.checked_mul(10).and_then(|v| v.checked_add(i128::from(byte - b'0'))).ok_or(Fault::Digits)?;
    }
    Ok(if text.iter().any(|byte| matches!(byte, b'-' | b'(')) { -value } else { value })
}

/// `"a"=>"1", "b"=>NULL`, as a JSON object.
fn hstore(out: &mut Vec<u8>, text: &[u8]) -> Result<(), Fault> {
    let mut rest = text;
    let mut scratch = Vec::new();
    out.push(b'{');
    while !rest.is_empty() {
        if rest.len() < text.len() {
            rest = rest.strip_prefix(b", ").ok_or(Fault::Malformed)?;
            out.push(b',');
        }
        rest = quoted(rest, &mut scratch)?;
        json_text(out, &scratch)?;
        out.push(b':');
        rest = rest.strip_prefix(b"=>").ok_or(Fault::Malformed)?;
        rest = match rest.strip_prefix(b"NULL") {
            Some(rest) => {
                out.extend_from_slice(b"null");
                rest
            }
            None => {
                let rest = quoted(rest, &mut scratch)?;
                json_text(out, &scratch)?;
                rest
            }
        };
    }
    out.push(b'}');
    Ok(())
}

/// Reads a text in double quotes into `value` and gives what follows. Within, a backslash or (in records) a second quote
/// stands before what is meant as it is.
pub(super) fn quoted<'a>(text: &'a [u8], value: &mut Vec<u8>) -> Result<&'a [u8], Fault> {
    value.clear();
    let mut rest = text.strip_prefix(b"\"").ok_or(Fault::Malformed)?;
    loop {
        rest = match rest {
            [b'\\', byte, rest @ ..] | [b'"', byte @ b'"', rest @ ..] => {
                value.push(*byte);
                rest
            }
            [b'"', rest @ ..] => return Ok(rest),
            [byte, rest @ ..] => {
                value.push(*byte);
                rest
            }
            [] => return Err(Fault::Malformed),
        };
    }
}

fn parsed<T: FromStr>(text: &[u8]) -> Result<T, Fault> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Fault::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_in_any_currency() {
        for (text, cents) in [("$1,234.50", 123_450), ("-$0.05", -5), ("(£3.00)", -300), ("1.234,50 €", 123_450)] {
            assert_eq!(money(text.as_bytes()), Ok(cents), "{text}");
        }
    }

    #[test]
    fn hstore_becomes_json() {
        let mut out = Vec::new();
        hstore(&mut out, br#""a"=>"1", "b \"q\""=>NULL, "\\"=>"NULL""#).unwrap();
        assert_eq!(out, br#"{"a":"1","b \"q\"":null,"\\":"NULL"}"#);
        out.clear();
        hstore(&mut out, b"").unwrap();
        assert_eq!(out, b"{}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in r#"[a{}()",\\=> NUL]{0,20}"#) {
            let _ = hstore(&mut Vec::new(), text.as_bytes());
            let _ = money(text.as_bytes());
        }
    }
}
