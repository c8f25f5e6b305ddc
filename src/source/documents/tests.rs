//! Documents through tables: what is in them is what the documents say.

mod beside;
mod declared;
mod order;
mod texts;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field};
use base64::Engine;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::bson::{self, Elements, Value};
use super::decimal::Decimal;
use super::json::{self as text, Form};
use super::write::{self, Dialect};
use super::{Documents, REST, Schema, Settings};
use crate::record::{Table, field};

fn settings() -> Settings {
    Settings { key: Some("_id".to_owned()), most_columns: 100, ..Settings::default() }
}

fn begun(settings: Settings) -> Documents {
    Documents::of("t", settings, &Json::Null).unwrap()
}

fn bson(document: &Json) -> Vec<u8> {
    write::document(&document.to_string(), Dialect::Extended).unwrap()
}

/// The rows of documents, which come as one batch.
fn rows(documents: &mut Documents, all: &[Json]) -> RecordBatch {
    let all: Vec<_> = all.iter().map(bson).collect();
    let all: Vec<_> = all.iter().map(Vec::as_slice).collect();
    let batch = documents.rows(&all).unwrap().batch;
    assert_eq!(batch.schema(), documents.table().schema);
    for (row, document) in all.iter().enumerate() {
        says(&batch, row, document);
    }
    batch
}

/// Whether a row says what its document does.
fn says(batch: &RecordBatch, row: usize, document: &[u8]) {
    let mut elements = Elements::of(document).unwrap();
    let rest = batch.column_by_name(REST).map(|rest| rest.as_string::<i32>());
    let rest: Json = rest
        .filter(|rest| rest.is_valid(row))
        .map_or(Json::Null, |rest| serde_json::from_str(rest.value(row)).unwrap());
    while let Some((name, value)) = elements.advance().unwrap() {
        let name = std::str::from_utf8(name).unwrap();
        match batch.column_by_name(name) {
            Some(column) => is(column, row, &value),
            None if value.is_null() => {}
            None => assert_eq!(rest[name], relaxed(&value), "{name}"),
        }
    }
    for (column, field) in batch.columns().iter().zip(batch.schema().fields()) {
        if bson::field(document, field.name()).unwrap().is_none() && field.name() != REST {
            assert!(column.is_null(row), "{} is not in the document", field.name());
        }
    }
}

fn written(value: &Value<'_>, form: Form) -> String {
    let mut out = Vec::new();
    text::value(&mut out, value, form).unwrap();
    String::from_utf8(out).unwrap()
}

fn relaxed(value: &Value<'_>) -> Json {
    serde_json::from_str(&written(value, Form::Relaxed)).unwrap()
}

fn plain(value: &Value<'_>) -> String {
    let mut out = Vec::new();
    text::plain(&mut out, value).unwrap();
    String::from_utf8(out).unwrap()
}

/// Whether a cell is a value.
fn is(column: &ArrayRef, row: usize, value: &Value<'_>) {
    if value.is_null() {
        assert!(column.is_null(row));
        return;
    }
    assert!(column.is_valid(row), "{value:?} is null");
    match (column.data_type(), value) {
        (DataType::Boolean, Value::Bool(of)) => assert_eq!(column.as_boolean().value(row), *of),
        (DataType::Int32, Value::Int32(number)) => assert_eq!(column.as_primitive::<Int32Type>().value(row), *number),
        (DataType::Int64, Value::Int64(number)) => assert_eq!(column.as_primitive::<Int64Type>().value(row), *number),
        (DataType::Int64, Value::Int32(number)) => {
            assert_eq!(column.as_primitive::<Int64Type>().value(row), i64::from(*number));
        }
        (DataType::Float64, Value::Double(number)) => {
            assert_eq!(column.as_primitive::<Float64Type>().value(row).to_bits(), number.to_bits());
        }
        (DataType::Float64, Value::Int32(number)) => {
            assert_eq!(column.as_primitive::<Float64Type>().value(row), f64::from(*number));
        }
        (DataType::Float64, Value::Int64(number)) => {
            let double = column.as_primitive::<Float64Type>().value(row);
            assert_eq!(double as i128, i128::from(*number));
        }
        (DataType::Decimal128(_, scale), value) => {
            let whole = column.as_primitive::<Decimal128Type>().value(row);
            let wanted = match value {
                Value::Decimal(bits) => Decimal::of(*bits).unscaled(*scale as u32).unwrap(),
                Value::Int32(number) => i128::from(*number) * 10i128.pow(*scale as u32),
                Value::Int64(number) => i128::from(*number) * 10i128.pow(*scale as u32),
                other => panic!("{other:?} as a decimal"),
            };
            assert_eq!(whole, wanted);
        }
        (DataType::Timestamp(..), Value::Instant(millis)) => {
            assert_eq!(column.as_primitive::<TimestampMicrosecondType>().value(row), millis * 1000);
        }
        (DataType::FixedSizeBinary(16), Value::Bytes { subtype: 4, bytes }) => {
            assert_eq!(column.as_fixed_size_binary().value(row), *bytes);
        }
        (DataType::Binary, Value::Bytes { bytes, .. }) => assert_eq!(column.as_binary::<i32>().value(row), *bytes),
        (DataType::Utf8, value) => {
            let have = column.as_string::<i32>().value(row);
            let forms = [plain(value), written(value, Form::Relaxed), written(value, Form::Canonical)];
            assert!(forms.iter().any(|form| form == have), "{have}: {forms:?}");
        }
        (DataType::Struct(fields), Value::Record(record)) => {
            let (columns, mut elements) = (column.as_struct(), Elements::of(record).unwrap());
            while let Some((name, value)) = elements.advance().unwrap() {
                let place = fields.iter().position(|field| field.name().as_bytes() == name);
                match place {
                    Some(place) => is(columns.column(place), row, &value),
                    None => assert!(value.is_null(), "a field is lost"),
                }
            }
            for (inner, field) in columns.columns().iter().zip(fields) {
                if bson::field(record, field.name()).unwrap().is_none() {
                    assert!(inner.is_null(row));
                }
            }
        }
        (DataType::List(_), Value::List(items)) => {
            let list = column.as_list::<i32>().value(row);
            let (mut elements, mut count) = (Elements::of(items).unwrap(), 0);
            while let Some((_, value)) = elements.advance().unwrap() {
                is(&list, count, &value);
                count += 1;
            }
            assert_eq!(list.len(), count);
        }
        (of, value) => panic!("{value:?} in a column of {of}"),
    }
}

/// The type of a column, in words.
fn of(documents: &Documents, name: &str) -> String {
    let field = documents.table().schema.field_with_name(name).unwrap();
    let json = if field::is_json(field) { " json" } else { "" };
    format!("{}{json}, {}", field.data_type(), field::native(field).unwrap_or_default())
}

#[test]
fn columns_come_and_widen() {
    let mut documents = begun(settings());
    let long = i64::MAX.to_string();
    for (value, wanted) in [
        (json!(null), None),
        (json!(1), Some("Int32, int")),
        (json!(5_000_000_000_i64), Some("Int64, int or long")),
        (json!(1.5), Some("Float64, double or int or long")),
        (json!({ "$numberLong": long }), Some("Utf8, double or int or long")),
        // The column is the same, and so the table is: it does not say that there are records too.
        (json!({ "a": [1] }), Some("Utf8, double or int or long")),
    ] {
        rows(&mut documents, &[json!({ "_id": 1, "v": value })]);
        match wanted {
            None => assert!(documents.table().schema.field_with_name("v").is_err()),
            Some(wanted) => assert_eq!(of(&documents, "v"), wanted),
        }
    }
    assert_eq!(documents.table().key, ["_id"]);
    // What goes on from here is as wide.
    let on = Documents::of("t", settings(), &documents.state().unwrap()).unwrap();
    assert_eq!(on.table(), documents.table());
    assert!(Documents::of("t", settings(), &json!({ "fields": 1 })).is_err());
}

#[test]
fn a_table_is_another_only_where_its_columns_are() {
    let mut documents = begun(settings());
    rows(&mut documents, &[json!({ "_id": 1, "a": "x", "r": { "b": "x" }, "l": ["x"], "t": { "$minKey": 1 } })]);
    assert!(documents.table().is_found());
    let before = documents.table().clone();
    let others = [
        json!({ "_id": 2, "a": 1, "r": { "b": 1 }, "l": [1], "t": "x" }),
        json!({ "_id": 3, "a": { "b": 1 }, "r": { "b": [1] }, "l": [1.5, {}], "t": { "$maxKey": 1 } }),
    ];
    rows(&mut documents, &others);
    assert!(Arc::ptr_eq(documents.table(), &before));
    // What goes on from here says the same.
    let on = Documents::of("t", settings(), &documents.state().unwrap()).unwrap();
    assert_eq!(on.table(), &before);
    // With the next column it says all of them.
    rows(&mut documents, &[json!({ "_id": 4, "b": true })]);
    assert_eq!(of(&documents, "a"), "Utf8, string or object or int");
    assert_eq!(of(&documents, "t"), "Utf8, string or minKey or maxKey");
    for at in 0..before.schema.fields().len() {
        let (before, now) = (before.schema.field(at), documents.table().schema.field(at));
        assert_eq!(before.data_type(), now.data_type());
    }
    // The same type with another meaning is another column.
    let before = documents.table().clone();
    rows(&mut documents, &[json!({ "_id": 5, "j": { "a": 1 } }), json!({ "_id": 5, "j": [] })]);
    assert!(of(&documents, "j").starts_with("Utf8 json"));
    rows(&mut documents, &[json!({ "_id": 6, "j": "x" })]);
    assert!(of(&documents, "j").starts_with("Utf8,"));
    assert!(!Arc::ptr_eq(documents.table(), &before));
}

#[test]
fn the_key_always_has_a_column() {
    let mut documents = begun(Settings { key: Some("id".to_owned()), most_columns: 1, ..settings() });
    let batch = rows(&mut documents, &[json!({ "a": 1, "b": 1, "id": 1 })]);
    let names: Vec<_> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["a", "id", REST]);
    assert_eq!(documents.table().key, ["id"]);
}

#[test]
fn a_field_named_as_the_rest_is_in_it() {
    let mut documents = begun(settings());
    let all = [json!({ "_id": 1, "_rest": { "a": 1 } }), json!({ "_id": 2, "later": 1 })].map(|one| bson(&one));
    let batch = documents.rows(&[&all[0], &all[1]]).unwrap().batch;
    let names: Vec<_> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["_id", "later", REST]);
    assert_eq!(batch.column(2).as_string::<i32>().value(0), r#"{"_rest":{"a":1}}"#);
}

#[test]
fn what_holds_two_types() {
    let decimal = |text: &str| json!({ "$numberDecimal": text });
    let date = |millis: i64| json!({ "$date": { "$numberLong": millis.to_string() } });
    let bytes = |subtype: &str| json!({ "$binary": { "base64": "AQI=", "subType": subtype } });
    let oid = json!({ "$oid": "5f0102030405060708090a0b" });
    let uuid = json!({ "$uuid": "11111111-1111-1111-1111-111111111111" });
    let nine = "9".repeat(34);
    for (one, other, wanted) in [
        (json!(1), decimal("1.50"), "Decimal128(38, 2), int or decimal"),
        (decimal("1.5"), decimal("1.234"), "Decimal128(38, 3), decimal"),
        (decimal(&nine), decimal("0.12345"), "Utf8, decimal"),
        (decimal("1E+30"), decimal("1"), "Decimal128(38, 0), decimal"),
        (decimal("1.5"), decimal("NaN"), "Utf8, decimal"),
        (decimal("1.5"), json!(1.5), "Utf8, double or decimal"),
        (json!(true), json!(1), "Utf8, bool or int"),
        (json!("a"), json!(1), "Utf8, string or int"),
        (date(0), date(i64::MAX), "Utf8, date"),
        (date(0), date(253_402_300_800_000), "Timestamp(µs, \"UTC\"), date"),
        (oid.clone(), oid.clone(), "Utf8, objectId"),
        (uuid.clone(), uuid.clone(), "FixedSizeBinary(16), uuid"),
        (uuid, bytes("00"), "Utf8, binData or uuid"),
        (bytes("00"), bytes("00"), "Binary, binData(0)"),
        (bytes("00"), bytes("05"), "Utf8, binData"),
        (json!({ "a": 1 }), json!({ "b": 1 }), "Struct(\"a\": Int32, \"b\": Int32), object"),
        (json!({ "a": 1 }), json!([1]), "Utf8 json, object or array"),
        (json!({}), json!({}), "Utf8 json, object"),
        (json!([]), json!([null]), "Utf8 json, array"),
        (json!([1]), json!([]), "List(Int32), array"),
    ] {
        for at_once in [true, false] {
            let mut documents = begun(settings());
            let all = [json!({ "v": one }), json!({ "v": other })];
            match at_once {
                true => drop(rows(&mut documents, &all)),
                false => all.iter().for_each(|one| drop(rows(&mut documents, std::slice::from_ref(one)))),
            }
            // One by one, a column that stays as it is says what its first values were.
            let is = of(&documents, "v");
            let column = |of: &str| of.rsplit_once(", ").unwrap().0.to_owned();
            assert_eq!(column(&is), column(wanted), "{one} and {other}");
            assert!(!at_once || is == wanted, "{one} and {other}: {is}");
        }
    }
}

#[test]
fn no_two_keys_are_the_same_text() {
    let mut documents = begun(settings());
    let oid = json!({ "$oid": "5f0102030405060708090a0b" });
    let key = |batch: &RecordBatch| batch.column(0).as_string::<i32>().value(0).to_owned();
    let batch = rows(&mut documents, &[json!({ "_id": oid })]);
    assert_eq!(key(&batch), "5f0102030405060708090a0b");
    // The text that was there stays what it was.
    let all = [
        (json!("5f0102030405060708090a0b"), r#""5f0102030405060708090a0b""#),
        (json!(1), r#"{"$numberInt":"1"}"#),
        (json!({ "a": "1" }), r#"{"a":"1"}"#),
        (oid, "5f0102030405060708090a0b"),
    ];
    for (id, wanted) in all {
        assert_eq!(key(&rows(&mut documents, &[json!({ "_id": id })])), wanted);
    }
    assert_eq!(of(&documents, "_id"), "Utf8, objectId");
    let mut numbers = begun(settings());
    rows(&mut numbers, &[json!({ "_id": 1 }), json!({ "_id": 5_000_000_000_i64 })]);
    assert_eq!(of(&numbers, "_id"), "Int64, int or long");
}

#[test]
fn maps_are_json() {
    let mut documents = begun(Settings { most_columns: 1_000, ..settings() });
    let map =
        |from: usize| (from..from + 150).map(|n| (format!("user{n}"), json!(n))).collect::<serde_json::Map<_, _>>();
    rows(&mut documents, &[json!({ "_id": 1, "visits": map(0) })]);
    assert!(of(&documents, "visits").starts_with("Struct"));
    rows(&mut documents, &[json!({ "_id": 1, "visits": map(100) })]);
    assert_eq!(of(&documents, "visits"), "Utf8 json, object");
}

#[test]
fn fields_beyond_the_most_columns_are_kept() {
    let mut documents = begun(Settings { most_columns: 3, ..settings() });
    let batch = rows(
        &mut documents,
        &[
            json!({ "_id": 1, "a": 1, "b": 2, "c": "x", "d": [1.5], "e": null }),
            json!({ "_id": 2, "a": 2 }),
            json!({ "_id": 3, "d": true }),
        ],
    );
    let names: Vec<_> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["_id", "a", "b", REST]);
    let rest = batch.column(3).as_string::<i32>();
    assert_eq!((rest.value(0), rest.value(2)), (r#"{"c":"x","d":[1.5]}"#, r#"{"d":true}"#));
    assert!(rest.is_null(1));
}

#[test]
fn named_fields_and_defaults() {
    let named = ["_id", "event_name", "never"].map(str::to_owned).to_vec();
    let defaults = Some(bson(&json!({ "event_name": "unknown" })));
    let mut documents = begun(Settings { named, defaults, ..settings() });
    let all = [json!({ "event_name": "a", "_id": 1 }), json!({ "_id": 2 }), json!({ "_id": 3, "event_name": null })];
    let all: Vec<_> = all.iter().map(bson).collect();
    let batch = documents.rows(&all.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap().batch;
    let names: Vec<_> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["_id", "event_name", "never"]);
    let event = batch.column(1).as_string::<i32>();
    assert_eq!((event.value(0), event.value(1)), ("a", "unknown"));
    // Only what is not there has a default.
    assert!(event.is_null(2));
    assert_eq!(batch.column(2).null_count(), 3);
}

#[test]
fn two_fields_of_one_name() {
    // `{a: 1, a: 2}`, which JSON cannot say.
    let document = [&[19, 0, 0, 0][..], &[0x10, b'a', 0, 1, 0, 0, 0], &[0x10, b'a', 0, 2, 0, 0, 0], &[0]].concat();
    let batch = begun(settings()).rows(&[&document]).unwrap().batch;
    assert_eq!(batch.column(0).as_primitive::<Int32Type>().value(0), 1);
}

/// A table's columns without the names of the source's types.
fn without_native(table: &Table) -> Vec<Field> {
    let without = |field: &Arc<Field>| {
        let mut metadata = field.metadata().clone();
        metadata.remove(field::NATIVE);
        field.as_ref().clone().with_metadata(metadata)
    };
    table.schema.fields().iter().map(without).collect()
}

/// How many columns it comes to where records are flat.
fn leaves(of: &DataType) -> usize {
    match of {
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        DataType::List(item) => leaves(item.data_type()),
        _ => 1,
    }
}

fn values() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(|n| json!({ "$numberInt": n.to_string() })),
        prop_oneof![any::<i64>(), -(1i64 << 53)..(1 << 53)].prop_map(|n| json!({ "$numberLong": n.to_string() })),
        any::<f64>().prop_map(|n| match n.is_finite() {
            true => json!(n),
            false => json!({ "$numberDouble": "NaN" }),
        }),
        (any::<bool>(), 0..u64::MAX, -40..10i32).prop_map(|(is_negative, coefficient, exponent)| {
            let decimal = Decimal::Finite { is_negative, coefficient: coefficient.into(), exponent };
            json!({ "$numberDecimal": decimal.to_string() })
        }),
        "[a-z\"\\\\é\n]{0,6}".prop_map(Json::from),
        prop_oneof![any::<i64>(), 0..2_000_000_000_000i64]
            .prop_map(|n| json!({ "$date": { "$numberLong": n.to_string() } })),
        any::<[u8; 12]>().prop_map(|id| json!({ "$oid": hex::encode(id) })),
        (prop_oneof![Just(0u8), Just(2), Just(4), Just(0x80)], prop::collection::vec(any::<u8>(), 0..18)).prop_map(
            |(subtype, bytes)| {
                let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
                json!({ "$binary": { "base64": base64, "subType": format!("{subtype:02x}") } })
            }
        ),
        Just(json!({ "$uuid": "01234567-89ab-cdef-0123-456789abcdef" })),
        Just(json!({ "$timestamp": { "t": 4_000_000_000u32, "i": 7 } })),
        Just(json!({ "$regularExpression": { "pattern": "^a", "options": "i" } })),
        Just(json!({ "$code": "f()" })),
        Just(json!({ "$code": "f()", "$scope": { "a": 1 } })),
        Just(json!({ "$symbol": "s" })),
        Just(json!({ "$dbPointer": { "$ref": "a.b", "$id": { "$oid": "5f0102030405060708090a0b" } } })),
        Just(json!({ "$minKey": 1 })),
        Just(json!({ "$undefined": true })),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-d]", inner, 0..4)
                .prop_map(|fields| Json::from(fields.into_iter().collect::<serde_json::Map<_, _>>())),
        ]
    })
}

fn records() -> impl Strategy<Value = Json> {
    let names = prop_oneof![Just("_id".to_owned()), "[a-f]"];
    prop::collection::btree_map(names, values(), 0..6)
        .prop_map(|fields| Json::from(fields.into_iter().collect::<serde_json::Map<_, _>>()))
}

proptest! {
    #[test]
    fn tables_say_what_documents_do(
        batches in prop::collection::vec(prop::collection::vec(records(), 1..6), 1..4),
        most_columns in 2..12usize,
    ) {
        let mut documents = begun(Settings { most_columns, ..settings() });
        for all in &batches {
            let before = documents.table().clone();
            rows(&mut documents, all);
            let table = documents.table();
            for field in before.schema.fields() {
                prop_assert!(table.schema.field_with_name(field.name()).is_ok());
            }
            prop_assert!(Arc::ptr_eq(table, &before) || without_native(table) != without_native(&before));
            let columns = table.schema.fields().iter().filter(|field| ![REST, "_id"].contains(&field.name().as_str()));
            prop_assert!(columns.map(|field| leaves(field.data_type())).sum::<usize>() <= most_columns);
            let on = Documents::of("t", Settings { most_columns, ..settings() }, &documents.state().unwrap()).unwrap();
            prop_assert_eq!(on.table(), documents.table());
        }
    }

    #[test]
    fn canonical_json_is_the_document(record in records()) {
        let document = bson(&record);
        let mut out = Vec::new();
        text::document(&mut out, &document, Form::Canonical).unwrap();
        let again = write::document(std::str::from_utf8(&out).unwrap(), Dialect::Extended).unwrap();
        prop_assert_eq!(again, document);
    }
}
