//! Texts that are not UTF-8: nobody looks for them before a column of texts is refused.

use std::borrow::Cow;

use super::bson::{Element, Elements, Value};
use super::json::{DEEPEST, Fault};
use super::write;

/// A document with U+FFFD where its texts and names are not UTF-8; as it is where all of them are.
pub fn mended(document: &[u8]) -> Result<Cow<'_, [u8]>, Fault> {
    if is_text(&Value::Record(document), DEEPEST)? {
        return Ok(document.into());
    }
    let mut out = Vec::with_capacity(document.len() + document.len() / 8);
    copy(&mut out, document, DEEPEST)?;
    Ok(out.into())
}

/// The first field of a document in which, or of which the name, is not UTF-8.
pub fn broken_field(document: &[u8]) -> Option<String> {
    let mut elements = Elements::of(document).ok()?;
    while let Some((name, value)) = elements.advance().ok()? {
        if std::str::from_utf8(name).is_err() || !is_text(&value, DEEPEST).ok()? {
            return Some(String::from_utf8_lossy(name).into_owned());
        }
    }
    None
}

fn is_text(value: &Value<'_>, room: usize) -> Result<bool, Fault> {
    let is = |text: &[u8]| std::str::from_utf8(text).is_ok();
    Ok(match *value {
        Value::Text(text) | Value::Code(text) | Value::Symbol(text) | Value::Pointer { namespace: text, .. } => {
            is(text)
        }
        Value::Regex { pattern, options } => is(pattern) && is(options),
        Value::CodeWithScope { code, scope } => is(code) && is_text(&Value::Record(scope), room)?,
        Value::Record(inner) | Value::List(inner) => {
            let room = room.checked_sub(1).ok_or(Fault::Deep)?;
            let mut elements = Elements::of(inner)?;
            while let Some((name, value)) = elements.advance()? {
                if !is(name) || !is_text(&value, room)? {
                    return Ok(false);
                }
            }
            true
        }
        _ => true,
    })
}

fn copy(out: &mut Vec<u8>, document: &[u8], room: usize) -> Result<(), Fault> {
    let room = room.checked_sub(1).ok_or(Fault::Deep)?;
    let (mut elements, at) = (Elements::of(document)?, write::begin(out));
    while let Some(Element { kind, name, value, bytes }) = elements.whole()? {
        out.push(kind);
        zero_ended(out, name);
        match value {
            Value::Text(text) | Value::Code(text) | Value::Symbol(text) => string(out, text),
            Value::Regex { pattern, options } => {
                zero_ended(out, pattern);
                zero_ended(out, options);
            }
            Value::Pointer { namespace, id } => {
                string(out, namespace);
                out.extend_from_slice(&id);
            }
            Value::Record(inner) | Value::List(inner) => copy(out, inner, room)?,
            Value::CodeWithScope { code, scope } => {
                let at = write::begin(out);
                string(out, code);
                copy(out, scope, room)?;
                write::length(out, at);
            }
            _ => out.extend_from_slice(bytes),
        }
    }
    write::end(out, at);
    Ok(())
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    write::string(out, &String::from_utf8_lossy(text));
}

fn zero_ended(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(String::from_utf8_lossy(text).as_bytes());
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::super::write::{Dialect, document};
    use super::*;

    #[test]
    fn only_what_is_broken_becomes_another() {
        let json = r#"{"a":"é","b":[{"c":"éé"},{"$binary":{"base64":"/w==","subType":"00"}},{"$code":"é","$scope":{"é":"é"}}],
            "r":{"$regularExpression":{"pattern":"é","options":"i"}},"s":{"$symbol":"é"},"n":{"$numberInt":"5"},
            "p":{"$dbPointer":{"$ref":"é","$id":{"$oid":"5f0102030405060708090a0b"}}},"f":{"$code":"é"}}"#;
        let good = document(json, Dialect::Extended).unwrap();
        assert!(matches!(mended(&good).unwrap(), Cow::Borrowed(same) if same == good));
        assert_eq!(broken_field(&good), None);
        let mut copied = Vec::new();
        copy(&mut copied, &good, DEEPEST).unwrap();
        assert_eq!(copied, good);
        // Each `é` loses its second half.
        let mut bad = good.clone();
        let places: Vec<_> = good.windows(2).enumerate().filter(|(_, two)| *two == "é".as_bytes()).collect();
        assert_eq!(places.len(), 10);
        places.iter().for_each(|(at, _)| bad[at + 1] = b'x');
        let wanted = document(&json.replace('é', "\u{FFFD}x"), Dialect::Extended).unwrap();
        assert_eq!(mended(&bad).unwrap(), wanted);
        assert_eq!(broken_field(&bad).as_deref(), Some("a"));
        for (at, _) in places {
            let mut bad = good.clone();
            bad[at + 1] = b'x';
            assert!(matches!(mended(&bad).unwrap(), Cow::Owned(_)));
            assert!(broken_field(&bad).is_some());
        }
    }
}
