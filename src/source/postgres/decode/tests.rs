//! The same values in binary and as text, and bytes that are no values at all.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use proptest::prelude::*;

use super::*;
use crate::config::Section;
use crate::source::postgres::config::KIND;
use crate::source::postgres::types::Because;

fn policies(values: &[(&str, &str)]) -> Policies {
    Policies::of(&Section::of_kind(&KIND, values).unwrap()).unwrap()
}

fn of(oid: u32, shape: Shape) -> Type {
    Type { oid, native: "t".to_owned(), shape }
}

fn list(item: Type) -> Type {
    of(1, Shape::List { item: Box::new(item), delimiter: b',' })
}

fn record(fields: Vec<Type>) -> Type {
    of(2, Shape::Struct(fields.into_iter().enumerate().map(|(n, field)| (format!("f{n}"), field)).collect()))
}

fn int() -> Type {
    of(23, Shape::Int4)
}

fn text() -> Type {
    of(25, Shape::Text)
}

/// One value in a column of its own.
fn binary(of: &Type, raw: &[u8]) -> Result<ArrayRef, Fault> {
    let mut column = Column::new(of, &policies(&[]), 4);
    column.push_binary(raw)?;
    column.finish()
}

fn from_text(of: &Type, text: &str) -> Result<ArrayRef, Fault> {
    let mut column = Column::new(of, &policies(&[]), 4);
    column.push_text(text.as_bytes())?;
    column.finish()
}

/// The binary form of an array, with its dimensions as length and first index.
fn array(oid: u32, dimensions: &[(i32, i32)], items: &[Option<&[u8]>]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend((dimensions.len() as i32).to_be_bytes());
    out.extend(1i32.to_be_bytes());
    out.extend(oid.to_be_bytes());
    for (length, first) in dimensions {
        out.extend(length.to_be_bytes());
        out.extend(first.to_be_bytes());
    }
    items.iter().for_each(|item| value(&mut out, *item));
    out
}

fn row(fields: &[(u32, Option<&[u8]>)]) -> Vec<u8> {
    let mut out = (fields.len() as i32).to_be_bytes().to_vec();
    for (oid, field) in fields {
        out.extend(oid.to_be_bytes());
        value(&mut out, *field);
    }
    out
}

fn value(out: &mut Vec<u8>, value: Option<&[u8]>) {
    out.extend(value.map_or(-1, |value| value.len() as i32).to_be_bytes());
    out.extend(value.unwrap_or_default());
}

const ONE: &[u8] = &[0, 0, 0, 1];

#[test]
fn arrays_in_both_forms() {
    let ints = list(int());
    let given = binary(&ints, &array(23, &[(2, 1)], &[Some(ONE), None])).unwrap();
    assert_eq!(&given, &from_text(&ints, "{1,NULL}").unwrap());
    let items = given.as_list::<i32>().value(0);
    assert_eq!(items.as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(1), None]);
    let none = binary(&ints, &array(23, &[], &[])).unwrap();
    assert_eq!((none.null_count(), none.as_list::<i32>().value_length(0)), (0, 0));
    assert_eq!(&none, &from_text(&ints, "{}").unwrap());
    let texts = list(text());
    let given = binary(&texts, &array(25, &[(3, 1)], &[Some(b""), Some(b"a \"b\" \\,{}"), Some(b"NULL")])).unwrap();
    assert_eq!(&given, &from_text(&texts, r#"{"","a \"b\" \\,{}","NULL"}"#).unwrap());
}

#[test]
fn arrays_that_a_list_does_not_hold() {
    let ints = list(int());
    assert_eq!(binary(&ints, &array(23, &[(1, 0)], &[Some(ONE)])).unwrap_err(), Fault::Dimensions);
    assert_eq!(binary(&ints, &array(23, &[(1, 1), (1, 1)], &[Some(ONE)])).unwrap_err(), Fault::Dimensions);
    assert_eq!(from_text(&ints, "[0:0]={1}").unwrap_err(), Fault::Dimensions);
    assert_eq!(from_text(&ints, "{{1}}").unwrap_err(), Fault::Dimensions);
    assert_eq!(binary(&ints, &array(20, &[(1, 1)], &[Some(ONE)])).unwrap_err(), Fault::Malformed);
    assert_eq!(binary(&ints, &array(23, &[(2, 1)], &[Some(ONE)])).unwrap_err(), Fault::Malformed);
    for wrong in ["", "{", "{1", "{1,}", "{1}x", "{\"1}", "{1;2}"] {
        assert!(from_text(&ints, wrong).is_err(), "{wrong}");
    }
}

#[test]
fn records_in_both_forms() {
    let inner = record(vec![int(), text()]);
    let outer = record(vec![text(), inner.clone(), list(inner)]);
    let pair = row(&[(23, Some(ONE)), (25, Some(b"a, \"b\""))]);
    let raw = row(&[(25, None), (2, Some(&pair)), (1, Some(&array(2, &[(2, 1)], &[Some(&pair), None])))]);
    let given = binary(&outer, &raw).unwrap();
    let written = r#"(,"(1,""a, """"b"""""")","{""(1,\\""a, \\""\\""b\\""\\""\\"")"",NULL}")"#;
    assert_eq!(&given, &from_text(&outer, written).unwrap());
    let pair = record(vec![int(), text()]);
    assert_eq!(binary(&pair, &row(&[(23, Some(ONE))])).unwrap_err(), Fault::Fields);
    assert_eq!(binary(&pair, &row(&[(23, Some(ONE)), (19, None)])).unwrap_err(), Fault::Fields);
    for wrong in ["", "(1)", "(1,2,3)", "(1,2", "(1,2)x"] {
        assert!(from_text(&pair, wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_null_record_has_null_fields() {
    let mut column = Column::new(&record(vec![int(), list(int())]), &policies(&[]), 4);
    column.push_null();
    column.push_text(b"(1,{2})").unwrap();
    let array = column.finish().unwrap();
    assert!(array.is_null(0) && array.is_valid(1));
    assert!(array.as_struct().columns().iter().all(|column| column.is_null(0) && column.is_valid(1)));
}

#[test]
fn scalars_in_both_forms() {
    let numeric: &[u8] = &[0, 2, 0, 0, 0x40, 0, 0, 1, 0, 12, 0x13, 0x88];
    let cases: [(Shape, &[u8], &str); 17] = [
        (Shape::Bool, &[1], "t"),
        (Shape::Int2, &[0xff, 0xff], "-1"),
        (Shape::Int4, ONE, "1"),
        (Shape::Int8, &[0, 0, 0, 0, 0, 0, 1, 0], "256"),
        (Shape::Oid, &[0xff; 4], "4294967295"),
        (Shape::Float4, &(-0.0f32).to_be_bytes(), "-0"),
        (Shape::Float8, &f64::INFINITY.to_be_bytes(), "Infinity"),
        (Shape::Decimal { precision: 10, scale: 2 }, numeric, "-12.5"),
        (Shape::Decimal { precision: 60, scale: 2 }, numeric, "-12.5"),
        (Shape::Numeric, numeric, "-12.5"),
        (Shape::Money { scale: 2 }, &[0, 0, 0, 0, 0, 0, 1, 0], "$2.56"),
        (Shape::Date, &[0, 0, 0, 1], "2000-01-02"),
        (Shape::Time, &[0, 0, 0, 0, 0, 0, 0, 1], "00:00:00.000001"),
        (Shape::Instant, &[0, 0, 0, 0, 0, 0, 0, 1], "2000-01-01 00:00:00.000001+00"),
        (Shape::Uuid, &[0x11; 16], "11111111-1111-1111-1111-111111111111"),
        (Shape::Jsonb, b"\x01{\"a\": 1}", "{\"a\": 1}"),
        (Shape::Bytes, &[0, 0xff], "\\x00ff"),
    ];
    for (shape, raw, text) in cases {
        let of = of(9, shape);
        let given = binary(&of, raw).unwrap();
        assert_eq!(&given, &from_text(&of, text).unwrap(), "{of:?}");
        assert_eq!(given.data_type(), of.field("").data_type());
        if !matches!(of.shape, Shape::Bytes) {
            assert!(binary(&of, &[]).is_err(), "{of:?}");
        }
        assert!(from_text(&of, "\u{1}").is_err() || of.field("").data_type() == &DataType::Utf8, "{of:?}");
    }
}

#[test]
fn text_is_looked_at() {
    assert_eq!(binary(&text(), &[0xff]).unwrap_err(), Fault::NotUtf8);
    assert_eq!(binary(&list(text()), &array(25, &[(1, 1)], &[Some(&[0xff])])).unwrap_err(), Fault::NotUtf8);
    // Two halves of a character are none, however they meet.
    let mut column = Column::new(&text(), &policies(&[]), 4);
    column.push_binary("é".as_bytes().get(..1).unwrap()).unwrap();
    column.push_binary("é".as_bytes().get(1..).unwrap()).unwrap();
    assert_eq!(column.finish().unwrap_err(), Fault::NotUtf8);
}

#[test]
fn what_a_policy_makes_null_is_counted() {
    let of = list(of(1082, Shape::Date));
    let mut column = Column::new(&of, &policies(&[("infinity", "null")]), 4);
    column.push_text(b"{infinity,2000-01-01,-infinity}").unwrap();
    column.finish().unwrap();
    column.push_text(b"{infinity}").unwrap();
    assert_eq!(column.nulled(), 3);
}

#[test]
fn a_column_starts_again_when_it_is_finished() {
    let mut column = Column::new(&text(), &policies(&[]), 4);
    for round in 0..3 {
        column.push_binary(b"one").unwrap();
        column.push_null();
        column.push_binary(format!("two {round}").as_bytes()).unwrap();
        let array = column.finish().unwrap();
        let values: Vec<_> = array.as_string::<i32>().iter().map(|v| v.map(str::to_owned)).collect();
        assert_eq!(values, [Some("one".to_owned()), None, Some(format!("two {round}"))]);
    }
    assert_eq!(column.finish().unwrap().len(), 0);
}

fn shapes() -> Vec<Type> {
    let simple = [
        Shape::Bool,
        Shape::Int2,
        Shape::Int4,
        Shape::Int8,
        Shape::Oid,
        Shape::Float4,
        Shape::Float8,
        Shape::Decimal { precision: 38, scale: 5 },
        Shape::Decimal { precision: 76, scale: 30 },
        Shape::Numeric,
        Shape::Money { scale: 2 },
        Shape::Date,
        Shape::Time,
        Shape::Timestamp,
        Shape::Instant,
        Shape::Uuid,
        Shape::Text,
        Shape::Json,
        Shape::Jsonb,
        Shape::Hstore,
        Shape::Bytes,
        Shape::Geometry,
        Shape::Output { function: "f".to_owned(), because: Because::Unknown },
    ];
    let mut all: Vec<Type> = simple.into_iter().map(|shape| of(0, shape)).collect();
    all.push(list(of(0, Shape::Int4)));
    all.push(list(of(0, Shape::Text)));
    all.push(record(vec![of(0, Shape::Int4), list(of(0, Shape::Hstore))]));
    all
}

proptest! {
    /// What is not refused makes an array of one value.
    #[test]
    fn any_bytes_are_read_or_refused(raw: Vec<u8>) {
        for of in shapes() {
            if let Ok(array) = binary(&of, &raw) {
                prop_assert_eq!(array.len(), 1);
            }
        }
    }

    /// Short words are what lengths and counts are made of.
    #[test]
    fn bytes_like_arrays_and_records(words in proptest::collection::vec(-1i32..6, 0..12), tail: Vec<u8>) {
        let raw: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).chain(tail).collect();
        for of in shapes() {
            if let Ok(array) = binary(&of, &raw) {
                prop_assert_eq!(array.len(), 1);
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in r#"[0-9a{}()",\\=>\[\]: NULx.-]{0,24}"#) {
        for of in shapes() {
            if let Ok(array) = from_text(&of, &text) {
                prop_assert_eq!(array.len(), 1);
            }
        }
    }

    /// As the server writes them.
    #[test]
    fn texts_in_arrays_are_what_they_were(items in proptest::collection::vec(proptest::option::of(".{0,8}"), 0..5)) {
        let raw: Vec<_> = items.iter().map(|item| item.as_ref().map(String::as_bytes)).collect();
        let dimensions: &[(i32, i32)] = if raw.is_empty() { &[] } else { &[(raw.len() as i32, 1)] };
        let written: Vec<_> = items
            .iter()
            .map(|item| match item {
                Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
                None => "NULL".to_owned(),
            })
            .collect();
        let of = list(text());
        let given = binary(&of, &array(25, dimensions, &raw)).unwrap();
        prop_assert_eq!(&given, &from_text(&of, &format!("{{{}}}", written.join(","))).unwrap());
    }
}
