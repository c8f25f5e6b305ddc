//! What texts of JSON become.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::super::bson::{self, Value};
use super::super::decimal::Decimal;
use super::super::json::{self, Form};
use super::tree::{self, Tree, exact};
use super::*;

fn document(json: &str) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    Converter::default().add(&mut out, json.as_bytes()).map(|()| out)
}

fn relaxed(document: &[u8]) -> String {
    let mut out = Vec::new();
    json::document(&mut out, document, Form::Relaxed).unwrap();
    String::from_utf8(out).unwrap()
}

/// The value of a number in a document, and how it is kept.
fn number(text: &str) -> (&'static str, String) {
    let document = document(&format!(r#"{{"n":{text}}}"#)).unwrap();
    match bson::field(&document, "n").unwrap().unwrap() {
        Value::Int32(number) => ("int", number.to_string()),
        Value::Int64(number) => ("long", number.to_string()),
        Value::Double(number) => ("double", format!("{number:e}")),
        Value::Decimal(bits) => ("decimal", Decimal::of(bits).to_string()),
        Value::Text(text) => ("text", String::from_utf8(text.to_vec()).unwrap()),
        other => panic!("{other:?}"),
    }
}

/// Whether a double, as it is written shortest, is a number: so, or where it is written with as many digits, of at most 17.
fn is_written_by(double: &str, number: &str) -> bool {
    let (wanted, double) = (exact(number), double.parse::<f64>().unwrap());
    let count = wanted.1.len();
    exact(&format!("{double:e}")) == wanted
        || ((1..=17).contains(&count) && exact(&format!("{double:.*e}", count - 1)) == wanted)
}

#[test]
fn numbers_are_the_smallest_that_are_exact() {
    let many = "1".repeat(35);
    for (text, kind) in [
        ("0", "int"),
        ("-0", "int"),
        ("2147483647", "int"),
        ("-2147483648", "int"),
        ("2147483648", "long"),
        ("-2147483649", "long"),
        ("9223372036854775807", "long"),
        ("-9223372036854775808", "long"),
        ("9223372036854775808", "decimal"),
        ("18446744073709551615", "decimal"),
        ("9999999999999999999999999999999999", "decimal"),
        (&many, "text"),
        ("0.0", "double"),
        ("-0.0", "double"),
        ("0e99999", "double"),
        ("0.1", "double"),
        ("1.50", "double"),
        ("1e3", "double"),
        ("123456789012345.6", "double"),
        ("0.30000000000000004", "double"),
        ("5e-324", "double"),
        // One digit is all that tells this one from others, and three are what it writes with three.
        ("4.94e-324", "double"),
        ("4.95e-324", "decimal"),
        // `%.17g`, and numbers beside those that it writes.
        ("0.10000000000000001", "double"),
        ("-0.10000000000000001", "double"),
        ("59.913868800000003", "double"),
        ("2.2250738585072014e-308", "double"),
        ("0.10000000000000002", "double"),
        ("0.10000000000000004", "decimal"),
        ("0.100000000000000006", "decimal"),
        ("0.1000000000000000055511151231257827", "decimal"),
        // Halfway between two of 17 digits: the even one is what is written.
        ("562949953421312.12", "double"),
        ("562949953421312.13", "decimal"),
        ("562949953421312.125", "decimal"),
        ("1.7976931348623157e308", "double"),
        ("1e309", "decimal"),
        ("1e-400", "decimal"),
        ("1e6200", "text"),
        ("1e99999999999999999999", "text"),
        ("0.10000000000000000000000000000000000001", "text"),
        ("0.10000000000000000000000000000000000000", "double"),
        ("12345678901234567890.5000000000000000000000", "decimal"),
        ("1000000000000000000000.5", "decimal"),
        ("1.00000000000000000000000000000000000", "double"),
    ] {
        let (found, value) = number(text);
        assert_eq!(found, kind, "{text}");
        match kind {
            "text" => assert_eq!(value, text),
            "double" => assert!(is_written_by(&value, text), "{text}"),
            _ => assert_eq!(exact(&value), exact(if text == "-0" { "0" } else { text }), "{text}"),
        }
    }
    // As exact as it is written.
    assert_eq!(number("1234567890123456789.00").1, "1234567890123456789.00");
}

#[test]
fn strings_are_what_their_escapes_say() {
    let of = |json: &str| {
        let document = document(json).unwrap();
        match bson::field(&document, VALUE).unwrap() {
            Some(Value::Text(text)) => text.to_vec(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of(r#""a\"\\\/\b\f\n\r\tA\u00e9\u20AC""#), "a\"\\/\u{8}\u{c}\n\r\tAé€".as_bytes());
    assert_eq!(of(r#""\ud83d\ude00""#), "😀".as_bytes());
    assert_eq!(of(r#""\u0000""#), b"\0");
    // Halves of pairs are no UTF-8, as `invalid_text` wants it.
    for (json, wanted) in [
        (r#""\ud83dx""#, &b"\xED\xA0\xBDx"[..]),
        (r#""\ude00""#, b"\xED\xB8\x80"),
        (r#""\ud83d\n""#, b"\xED\xA0\xBD\n"),
        (r#""\ud83d\ud83d\ude00""#, b"\xED\xA0\xBD\xF0\x9F\x98\x80"),
    ] {
        assert_eq!(of(json), wanted);
        assert!(std::str::from_utf8(wanted).is_err());
    }
}

#[test]
fn what_is_no_object_becomes_one() {
    for (json, wanted) in [
        (" 7 ", r#"{"value":7}"#),
        (r#""a""#, r#"{"value":"a"}"#),
        ("null", r#"{"value":null}"#),
        ("[1,[true,{}],[]]", r#"{"value":[1,[true,{}],[]]}"#),
        ("{}", "{}"),
        (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#),
    ] {
        assert_eq!(relaxed(&document(json).unwrap()), wanted);
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (json, wrong, at) in [
        ("", Wrong::Ended, 0),
        ("  ", Wrong::Ended, 2),
        (r#"{"a"#, Wrong::Ended, 3),
        (r#"{"a":tru"#, Wrong::Ended, 8),
        (r#"{"a":trux}"#, Wrong::Unexpected, 8),
        ("{,}", Wrong::Unexpected, 1),
        ("[1,]", Wrong::Unexpected, 3),
        (r#"{"a":1,}"#, Wrong::Unexpected, 7),
        ("[1 2]", Wrong::Unexpected, 3),
        ("[1}", Wrong::Unexpected, 2),
        ("{} x", Wrong::Unexpected, 3),
        ("01", Wrong::Unexpected, 1),
        ("1.", Wrong::Ended, 2),
        ("1.x", Wrong::Unexpected, 2),
        ("1e+", Wrong::Ended, 3),
        ("-", Wrong::Ended, 1),
        ("+1", Wrong::Unexpected, 0),
        ("NaN", Wrong::Unexpected, 0),
        ("'a'", Wrong::Unexpected, 0),
        ("\"a\nb\"", Wrong::Unexpected, 2),
        (r#""\x""#, Wrong::Unexpected, 2),
        (r#""\u00g0""#, Wrong::Unexpected, 5),
        (r#"{"a\u0000b":1}"#, Wrong::Name, 3),
    ] {
        assert_eq!(document(json), Err(Fault { wrong, at }), "{json}");
    }
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(document(&format!(r#"{{"a":{}}}"#, nested(DEEPEST - 1))).is_ok());
    assert!(document(&nested(DEEPEST - 1)).is_ok());
    for deep in [nested(DEEPEST), format!(r#"{{"a":{}}}"#, nested(DEEPEST))] {
        assert_eq!(document(&deep).unwrap_err().wrong, Wrong::Deep);
    }
    // Nothing is left behind.
    let mut out = vec![1, 2, 3];
    assert!(Converter::default().add(&mut out, b"[1,{\"a\":}]").is_err());
    assert_eq!(out, [1, 2, 3]);
}

/// Whether a relaxed text says what a value was.
fn assert_same(tree: &Tree, text: &str) {
    match tree {
        Tree::Null => assert_eq!(text, "null"),
        Tree::Bool(of) => assert_eq!(text, of.to_string()),
        Tree::Text(of) => assert_eq!(&serde_json::from_str::<String>(text).unwrap(), of),
        Tree::List(items) => {
            let texts: Vec<&RawValue> = serde_json::from_str(text).unwrap();
            assert_eq!(texts.len(), items.len());
            items.iter().zip(texts).for_each(|(item, text)| assert_same(item, text.get()));
        }
        Tree::Object(members) => {
            let texts: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap();
            assert_eq!(texts.len(), members.len());
            members.iter().for_each(|(name, value)| assert_same(value, texts[name].get()));
        }
        Tree::Number(of) => {
            let is_double = |text: &str| text.contains(['.', 'e', 'E']);
            let digits = match text.as_bytes()[0] {
                b'{' => serde_json::from_str::<BTreeMap<String, String>>(text).unwrap()["$numberDecimal"].clone(),
                b'"' => serde_json::from_str(text).unwrap(),
                _ if is_double(text) => return assert!(is_written_by(text, of), "{of}: {text}"),
                _ => text.to_owned(),
            };
            assert_eq!(exact(&digits), exact(if of == "-0" { "0" } else { of }), "{of}");
        }
    }
}

proptest! {
    #[test]
    fn no_number_loses_a_digit(text in tree::number()) {
        let (kind, value) = number(&text);
        match kind {
            "double" => prop_assert!(is_written_by(&value, &text), "{}", text),
            _ => prop_assert_eq!(exact(&value), exact(if text == "-0" { "0" } else { &text }), "{}", text),
        }
        // A decimal is there only where nothing smaller does.
        if kind == "decimal" || kind == "text" {
            prop_assert!(text.parse::<i64>().is_err());
            let nearest = format!("{:e}", text.parse::<f64>().unwrap());
            let is_whole = !text.contains(['.', 'e', 'E']);
            prop_assert!(is_whole || nearest.ends_with("inf") || !is_written_by(&nearest, &text), "{}", text);
        }
    }

    /// However many digits of a double are written, no number becomes text for it.
    #[test]
    fn what_a_double_writes_is_a_double(bits in any::<u64>(), digits in 1..=17usize) {
        let double = f64::from_bits(bits);
        prop_assume!(double.is_finite());
        let (kind, value) = number(&format!("{double:.16e}"));
        prop_assert_eq!((kind, value.parse::<f64>().unwrap().to_bits()), ("double", bits));
        // With fewer it may be another double, which writes the same.
        let fewer = format!("{double:.*e}", digits - 1);
        if fewer.parse::<f64>().unwrap().is_finite() {
            let (kind, value) = number(&fewer);
            let value = value.parse::<f64>().unwrap();
            prop_assert_eq!((kind, format!("{value:.*e}", digits - 1)), ("double", fewer));
        }
    }

    #[test]
    fn documents_say_what_the_text_said(tree in tree::tree(), notation in tree::notation()) {
        let json = tree.json(&notation);
        let document = document(&json).unwrap();
        let tree = match tree {
            object @ Tree::Object(_) => object,
            other => Tree::Object(BTreeMap::from([(VALUE.to_owned(), other)])),
        };
        assert_same(&tree, &relaxed(&document));
    }

    #[test]
    fn what_is_taken_is_json(bytes in prop::collection::vec(prop::sample::select(br#"{}[],:"\u01e-.tfn a"#.to_vec()), 0..14)) {
        let mut out = Vec::new();
        let is_taken = Converter::default().add(&mut out, &bytes);
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
        match is_taken {
            Ok(()) => prop_assert!(is_json),
            Err(fault) => prop_assert!(!is_json || fault.wrong == Wrong::Name),
        }
    }
}
