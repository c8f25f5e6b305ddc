//! Documents as text: MongoDB's Extended JSON (version 2), canonical or relaxed, and the plain text of single values.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::bson::{Elements, GENERIC, Torn, UUID, Value};
use super::decimal::Decimal;

/// How values that JSON has no type of its own for are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Each with its type: `{"$numberInt":"1"}`. Nothing is lost.
    Canonical,
    /// Numbers as numbers, dates of the years 1970 to 9999 as ISO 8601 writes them.
    Relaxed,
}

/// Why there is no text of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Torn,
    /// A text or a name is not UTF-8.
    NotText,
    /// Records and lists lie deeper in one another than [`DEEPEST`].
    Deep,
    /// A column of a batch is larger than Arrow's offsets tell.
    Large,
}

/// More than this many records and lists in one another are refused, lest they take more stack than there is. MongoDB itself
/// takes 100.
pub const DEEPEST: usize = 256;

impl From<Torn> for Fault {
    fn from(_: Torn) -> Self {
        Fault::Torn
    }
}

/// Writes a whole document.
pub fn document(out: &mut Vec<u8>, document: &[u8], form: Form) -> Result<(), Fault> {
    nested(out, &Value::Record(document), form, DEEPEST)
}

/// Writes one value.
pub fn value(out: &mut Vec<u8>, value: &Value<'_>, form: Form) -> Result<(), Fault> {
    nested(out, value, form, DEEPEST)
}

/// Writes what a record or a list has in it; `room` is how much deeper it may go.
fn elements(out: &mut Vec<u8>, document: &[u8], form: Form, is_list: bool, room: usize) -> Result<(), Fault> {
    let room = room.checked_sub(1).ok_or(Fault::Deep)?;
    let mut elements = Elements::of(document)?;
    out.push(if is_list { b'[' } else { b'{' });
    let mut is_first = true;
    while let Some((name, of)) = elements.advance()? {
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        if !is_list {
            string(out, name)?;
            out.push(b':');
        }
        nested(out, &of, form, room)?;
    }
    out.push(if is_list { b']' } else { b'}' });
    Ok(())
}

fn nested(out: &mut Vec<u8>, value: &Value<'_>, form: Form, room: usize) -> Result<(), Fault> {
    match *value {
        Value::Record(record) => elements(out, record, form, false, room),
        Value::List(items) => elements(out, items, form, true, room),
        Value::CodeWithScope { code, scope } => {
            out.extend_from_slice(br#"{"$code":"#);
            string(out, code)?;
            out.extend_from_slice(br#","$scope":"#);
            elements(out, scope, form, false, room)?;
            out.push(b'}');
            Ok(())
        }
        _ => scalar(out, value, form),
    }
}

/// Not within [`nested`], whose stack it would take at each level.
#[inline(never)]
fn scalar(out: &mut Vec<u8>, value: &Value<'_>, form: Form) -> Result<(), Fault> {
    match *value {
        Value::Text(text) => return string(out, text),
        Value::Bool(of) => out.extend_from_slice(if of { b"true" } else { b"false" }),
        Value::Null => out.extend_from_slice(b"null"),
        Value::Int32(number) if form == Form::Relaxed => integer(out, number),
        Value::Int64(number) if form == Form::Relaxed => integer(out, number),
        Value::Double(number) if form == Form::Relaxed && number.is_finite() => double(out, number),
        Value::Instant(millis) if form == Form::Relaxed => match moment(millis).filter(|_| millis >= 0) {
            Some(moment) => wrapped(out, "$date", |out| moment.write(out, false)),
            None => instant(out, millis),
        },
        Value::Instant(millis) => instant(out, millis),
        Value::Int32(number) => wrapped(out, "$numberInt", |out| integer(out, number)),
        Value::Int64(number) => wrapped(out, "$numberLong", |out| integer(out, number)),
        Value::Double(number) => wrapped(out, "$numberDouble", |out| double(out, number)),
        Value::Decimal(bits) => wrapped(out, "$numberDecimal", |out| display(out, Decimal::of(bits))),
        Value::ObjectId(id) => object_id(out, id),
        _ => return rare(out, value),
    }
    Ok(())
}

fn rare(out: &mut Vec<u8>, value: &Value<'_>) -> Result<(), Fault> {
    match *value {
        Value::Bytes { subtype, bytes } => {
            let bytes = STANDARD.encode(bytes);
            display(out, format_args!(r#"{{"$binary":{{"base64":"{bytes}","subType":"{subtype:02x}"}}}}"#));
        }
        Value::Regex { pattern, options } => {
            out.extend_from_slice(br#"{"$regularExpression":"#);
            members(out, &[("pattern", pattern), ("options", options)])?;
            out.push(b'}');
        }
        Value::Pointer { namespace, id } => {
            out.extend_from_slice(br#"{"$dbPointer":{"$ref":"#);
            string(out, namespace)?;
            out.extend_from_slice(br#","$id":"#);
            object_id(out, id);
            out.extend_from_slice(b"}}");
        }
        Value::Code(code) => return members(out, &[("$code", code)]),
        Value::Symbol(symbol) => return members(out, &[("$symbol", symbol)]),
        Value::Timestamp { seconds, ordinal } => {
            display(out, format_args!(r#"{{"$timestamp":{{"t":{seconds},"i":{ordinal}}}}}"#));
        }
        Value::Undefined => out.extend_from_slice(br#"{"$undefined":true}"#),
        Value::MinKey => out.extend_from_slice(br#"{"$minKey":1}"#),
        _ => out.extend_from_slice(br#"{"$maxKey":1}"#),
    }
    Ok(())
}

/// A value as a column of texts has it: texts as they are, numbers as digits, dates as ISO 8601 writes them, bytes in base64,
/// records and lists as relaxed JSON, and what is left as canonical JSON. Nulls have no text.
pub fn plain(out: &mut Vec<u8>, value: &Value<'_>) -> Result<(), Fault> {
    match *value {
        Value::Text(text) | Value::Symbol(text) => out.extend_from_slice(checked(text)?),
        Value::Double(number) => double(out, number),
        Value::Decimal(bits) => display(out, Decimal::of(bits)),
        Value::ObjectId(id) => hexadecimal(out, &id),
        Value::Instant(millis) => match moment(millis) {
            Some(moment) => moment.write(out, true),
            None => instant(out, millis),
        },
        Value::Bytes { subtype: GENERIC, bytes } => out.extend_from_slice(STANDARD.encode(bytes).as_bytes()),
        Value::Bytes { subtype: UUID, bytes } if bytes.len() == 16 => {
            let id = bytes.try_into().map(uuid::Uuid::from_bytes).unwrap_or_default();
            display(out, id.as_hyphenated());
        }
        Value::Bool(_) | Value::Int32(_) | Value::Int64(_) | Value::Record(_) | Value::List(_) => {
            return self::value(out, value, Form::Relaxed);
        }
        _ => return self::value(out, value, Form::Canonical),
    }
    Ok(())
}

fn members(out: &mut Vec<u8>, members: &[(&str, &[u8])]) -> Result<(), Fault> {
    for (at, (name, text)) in members.iter().enumerate() {
        display(out, format_args!("{}\"{name}\":", if at == 0 { '{' } else { ',' }));
        string(out, text)?;
    }
    out.push(b'}');
    Ok(())
}

/// A text that is UTF-8.
pub fn checked(text: &[u8]) -> Result<&[u8], Fault> {
    std::str::from_utf8(text).map(str::as_bytes).map_err(|_| Fault::NotText)
}

/// A JSON string.
pub fn string(out: &mut Vec<u8>, text: &[u8]) -> Result<(), Fault> {
    let text = checked(text)?;
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(br"\n"),
            b'\r' => out.extend_from_slice(br"\r"),
            b'\t' => out.extend_from_slice(br"\t"),
            control => display(out, format_args!("\\u{control:04x}")),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
    Ok(())
}

/// `{"$name":"…"}`, around what has no need of an escape.
fn wrapped(out: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    write(out);
    out.extend_from_slice(b"\"}");
}

fn instant(out: &mut Vec<u8>, millis: i64) {
    out.extend_from_slice(br#"{"$date":"#);
    wrapped(out, "$numberLong", |out| integer(out, millis));
    out.push(b'}');
}

fn object_id(out: &mut Vec<u8>, id: [u8; 12]) {
    wrapped(out, "$oid", |out| hexadecimal(out, &id));
}

/// The digits of an ObjectId.
#[inline]
pub(super) fn hexadecimal(out: &mut Vec<u8>, bytes: &[u8; 12]) {
    let mut text = [0; 24];
    // The room is twice the bytes.
    let _ = hex::encode_to_slice(bytes, &mut text);
    out.extend_from_slice(&text);
}

fn integer<I: itoa::Integer>(out: &mut Vec<u8>, number: I) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The shortest digits that are the same number.
fn double(out: &mut Vec<u8>, number: f64) {
    match number.is_finite() {
        true => out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes()),
        false if number.is_nan() => out.extend_from_slice(b"NaN"),
        false => out.extend_from_slice(if number > 0.0 { b"Infinity" } else { b"-Infinity" }),
    }
}

fn display(out: &mut Vec<u8>, text: impl std::fmt::Display) {
    // A buffer takes everything.
    let _ = std::io::Write::write_fmt(out, format_args!("{text}"));
}

/// A date of the years 0 to 9999.
struct Moment(Timestamp);

fn moment(millis: i64) -> Option<Moment> {
    const FIRST: i64 = -62_167_219_200_000;
    const LAST: i64 = 253_402_300_799_999;
    let moment = Some(millis).filter(|millis| (FIRST..=LAST).contains(millis))?;
    Timestamp::from_millisecond(moment).ok().map(Moment)
}

impl Moment {
    /// `2024-01-31T13:05:06.123Z`; where `always` is not set, without a fraction that is zero.
    fn write(&self, out: &mut Vec<u8>, always: bool) {
        let digits = if always || self.0.subsec_nanosecond() != 0 { 3 } else { 0 };
        display(out, format_args!("{:.digits$}", self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_type_has_its_texts() {
        let id = [0x5F, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        let hexed = "5f0102030405060708090a0b";
        for (value, canonical, relaxed, plain) in [
            (Value::Double(1.0), r#"{"$numberDouble":"1.0"}"#, "1.0", "1.0"),
            (Value::Double(-0.0), r#"{"$numberDouble":"-0.0"}"#, "-0.0", "-0.0"),
            (Value::Double(f64::NAN), r#"{"$numberDouble":"NaN"}"#, r#"{"$numberDouble":"NaN"}"#, "NaN"),
            (
                Value::Double(f64::NEG_INFINITY),
                r#"{"$numberDouble":"-Infinity"}"#,
                r#"{"$numberDouble":"-Infinity"}"#,
                "-Infinity",
            ),
            (
                Value::Text("a\"\\\n\u{1}é".as_bytes()),
                "\"a\\\"\\\\\\n\\u0001é\"",
                "\"a\\\"\\\\\\n\\u0001é\"",
                "a\"\\\n\u{1}é",
            ),
            (Value::Int32(-7), r#"{"$numberInt":"-7"}"#, "-7", "-7"),
            (
                Value::Int64(1 << 60),
                r#"{"$numberLong":"1152921504606846976"}"#,
                "1152921504606846976",
                "1152921504606846976",
            ),
            (Value::Bool(true), "true", "true", "true"),
            (
                Value::ObjectId(id),
                r#"{"$oid":"5f0102030405060708090a0b"}"#,
                r#"{"$oid":"5f0102030405060708090a0b"}"#,
                hexed,
            ),
            (
                Value::Instant(1_706_706_306_123),
                r#"{"$date":{"$numberLong":"1706706306123"}}"#,
                r#"{"$date":"2024-01-31T13:05:06.123Z"}"#,
                "2024-01-31T13:05:06.123Z",
            ),
            (
                Value::Instant(1_706_706_306_000),
                r#"{"$date":{"$numberLong":"1706706306000"}}"#,
                r#"{"$date":"2024-01-31T13:05:06Z"}"#,
                "2024-01-31T13:05:06.000Z",
            ),
            // Relaxed dates begin with 1970.
            (
                Value::Instant(-1),
                r#"{"$date":{"$numberLong":"-1"}}"#,
                r#"{"$date":{"$numberLong":"-1"}}"#,
                "1969-12-31T23:59:59.999Z",
            ),
            (
                Value::Instant(i64::MIN),
                r#"{"$date":{"$numberLong":"-9223372036854775808"}}"#,
                r#"{"$date":{"$numberLong":"-9223372036854775808"}}"#,
                r#"{"$date":{"$numberLong":"-9223372036854775808"}}"#,
            ),
            (
                Value::Bytes { subtype: 0, bytes: &[1, 2] },
                r#"{"$binary":{"base64":"AQI=","subType":"00"}}"#,
                r#"{"$binary":{"base64":"AQI=","subType":"00"}}"#,
                "AQI=",
            ),
            (
                Value::Bytes { subtype: 0x80, bytes: &[1, 2] },
                r#"{"$binary":{"base64":"AQI=","subType":"80"}}"#,
                r#"{"$binary":{"base64":"AQI=","subType":"80"}}"#,
                r#"{"$binary":{"base64":"AQI=","subType":"80"}}"#,
            ),
            (
                Value::Bytes { subtype: UUID, bytes: &[0x11; 16] },
                r#"{"$binary":{"base64":"EREREREREREREREREREREQ==","subType":"04"}}"#,
                r#"{"$binary":{"base64":"EREREREREREREREREREREQ==","subType":"04"}}"#,
                "11111111-1111-1111-1111-111111111111",
            ),
            (
                Value::Regex { pattern: b"^a", options: b"i" },
                r#"{"$regularExpression":{"pattern":"^a","options":"i"}}"#,
                r#"{"$regularExpression":{"pattern":"^a","options":"i"}}"#,
                r#"{"$regularExpression":{"pattern":"^a","options":"i"}}"#,
            ),
            (
                Value::Timestamp { seconds: 5, ordinal: 6 },
                r#"{"$timestamp":{"t":5,"i":6}}"#,
                r#"{"$timestamp":{"t":5,"i":6}}"#,
                r#"{"$timestamp":{"t":5,"i":6}}"#,
            ),
            (Value::Symbol(b"s"), r#"{"$symbol":"s"}"#, r#"{"$symbol":"s"}"#, "s"),
            (Value::Code(b"f"), r#"{"$code":"f"}"#, r#"{"$code":"f"}"#, r#"{"$code":"f"}"#),
            (
                Value::CodeWithScope { code: b"f", scope: &[5, 0, 0, 0, 0] },
                r#"{"$code":"f","$scope":{}}"#,
                r#"{"$code":"f","$scope":{}}"#,
                r#"{"$code":"f","$scope":{}}"#,
            ),
            (
                Value::Pointer { namespace: b"a.b", id },
                r#"{"$dbPointer":{"$ref":"a.b","$id":{"$oid":"5f0102030405060708090a0b"}}}"#,
                r#"{"$dbPointer":{"$ref":"a.b","$id":{"$oid":"5f0102030405060708090a0b"}}}"#,
                r#"{"$dbPointer":{"$ref":"a.b","$id":{"$oid":"5f0102030405060708090a0b"}}}"#,
            ),
            (Value::MinKey, r#"{"$minKey":1}"#, r#"{"$minKey":1}"#, r#"{"$minKey":1}"#),
            (Value::MaxKey, r#"{"$maxKey":1}"#, r#"{"$maxKey":1}"#, r#"{"$maxKey":1}"#),
        ] {
            assert_eq!(text(|out| super::value(out, &value, Form::Canonical)), canonical);
            assert_eq!(text(|out| super::value(out, &value, Form::Relaxed)), relaxed);
            assert_eq!(text(|out| super::plain(out, &value)), plain);
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let mut out = Vec::new();
        assert_eq!(value(&mut out, &Value::Text(&[0xFF]), Form::Relaxed), Err(Fault::NotText));
        assert_eq!(plain(&mut out, &Value::Text(&[0xFF])), Err(Fault::NotText));
        assert_eq!(document(&mut out, &[6, 0, 0, 0, 0], Form::Relaxed), Err(Fault::Torn));
    }
}
