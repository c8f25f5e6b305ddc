//! Columns that are declared, and whole documents.

use super::super::declared::Type;
use super::super::{Built, Coercion, DOCUMENT, Declared, OnMisfit, Refused, Schema};
use super::*;

fn declared(columns: &[(&str, &str)], on_misfit: OnMisfit, rest: bool) -> Settings {
    let columns = columns.iter().map(|(name, of)| ((*name).to_owned(), Type::parse(of).unwrap())).collect();
    Settings {
        schema: Schema::Declared(Declared { columns, on_misfit, rest, coercion: Coercion::Never }),
        ..settings()
    }
}

fn built(documents: &mut Documents, all: &[Json]) -> Built {
    let all: Vec<_> = all.iter().map(bson).collect();
    documents.rows(&all.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap()
}

fn all_types() -> Vec<Json> {
    let date = |millis: i64| json!({ "$date": { "$numberLong": millis.to_string() } });
    vec![
        json!(true),
        json!(5),
        json!(5_000_000_000_i64),
        json!({ "$numberLong": i64::MAX.to_string() }),
        json!(1.5),
        json!({ "$numberDecimal": "1.50" }),
        json!({ "$numberDecimal": "1.505" }),
        json!({ "$numberDecimal": "123456789.5" }),
        json!({ "$numberDecimal": "NaN" }),
        date(1000),
        date(i64::MAX),
        json!({ "$oid": "5f0102030405060708090a0b" }),
        json!({ "$uuid": "11111111-1111-1111-1111-111111111111" }),
        json!({ "$binary": { "base64": "AQI=", "subType": "04" } }),
        json!({ "$binary": { "base64": "AQI=", "subType": "05" } }),
        json!("text"),
        json!({ "a": 1 }),
        json!([1, "a"]),
        json!({ "$minKey": 1 }),
        json!(null),
    ]
}

#[test]
fn what_fits() {
    for (of, wanted) in [
        ("bool", &[0][..]),
        ("int", &[1]),
        ("long", &[1, 2, 3]),
        ("double", &[1, 2, 4]),
        ("decimal(10,2)", &[1, 5]),
        ("decimal(12,2)", &[1, 2, 5, 7]),
        ("decimal(38,3)", &[1, 2, 3, 5, 6, 7]),
        ("decimal(1)", &[1]),
        ("timestamp", &[9]),
        ("objectid", &[11]),
        ("uuid", &[12]),
        ("binary", &[12, 13, 14]),
        ("text", &(0..19).collect::<Vec<_>>()),
        ("json", &(0..19).collect::<Vec<_>>()),
    ] {
        for (at, value) in all_types().into_iter().enumerate() {
            let fits = wanted.contains(&at) || value.is_null();
            let document = bson(&json!({ "_id": 1, "v": value }));
            let mut failing = begun(declared(&[("v", of)], OnMisfit::Fail, false));
            let before = failing.table().clone();
            let rows = failing.rows(&[&document]);
            assert_eq!(rows.is_ok(), fits, "{value} as {of}");
            match rows {
                Ok(built) => {
                    assert_eq!(built.batch.schema(), before.schema);
                    is(built.batch.column(0), 0, &bson::field(&document, "v").unwrap().unwrap());
                }
                Err(error) => assert!(error.message().starts_with("table t, field v: "), "{error:?}"),
            }
            assert!(Arc::ptr_eq(failing.table(), &before) && !before.is_found());
            assert_eq!(failing.rows(&[&bson(&json!({}))]).unwrap().batch.num_rows(), 1);
        }
    }
}

#[test]
fn why_it_does_not_fit_is_told_without_the_value() {
    let decimal = |text: &str| json!({ "$numberDecimal": text });
    for (value, of, wanted) in [
        (json!("abc"), "decimal(10,2)", "field v: string, declared decimal(10,2)"),
        (decimal("1.505"), "decimal(10,2)", "field v: decimal of more digits, declared decimal(10,2)"),
        (json!(123), "decimal(2,0)", "field v: int of more digits, declared decimal(2,0)"),
        (json!(i64::MAX), "double", "field v: long beyond 2^53, declared double"),
        (json!(5_000_000_000_i64), "int", "field v: long, declared int"),
        (json!({ "a": 1 }), "bool", "field v: object, declared bool"),
        (
            json!({ "$date": { "$numberLong": i64::MAX.to_string() } }),
            "timestamp",
            "field v: date beyond 64 bits of microseconds, declared timestamp",
        ),
    ] {
        let document = bson(&json!({ "_id": 1, "v": value }));
        let error = begun(declared(&[("v", of)], OnMisfit::Fail, false)).rows(&[&document]).unwrap_err();
        assert_eq!(error.message(), format!("table t, {wanted}"));
        let built = begun(declared(&[("v", of)], OnMisfit::Quarantine, false)).rows(&[&document]).unwrap();
        assert_eq!(built.refused, [Refused { row: 0, reason: wanted.to_owned() }]);
    }
}

#[test]
fn refused_documents_are_in_a_table_beside() {
    let columns = [("price", "decimal(10,2)"), ("_id", "objectid"), ("name", "text")];
    let mut documents = begun(declared(&columns, OnMisfit::Quarantine, true));
    let oid = json!({ "$oid": "5f0102030405060708090a0b" });
    let all = [
        json!({ "_id": oid, "price": 1, "name": "a", "x": 1 }),
        json!({ "_id": oid, "y": 2, "name": "b", "price": "dear", "z": 3 }),
        json!({ "_id": 7, "name": "c", "price": 2 }),
        json!({ "_id": oid, "name": { "n": 1 }, "z": null }),
        json!({ "name": "d", "price": 1.5 }),
        json!({ "z": [4] }),
    ];
    let all: Vec<_> = all.iter().map(bson).collect();
    let all: Vec<_> = all.iter().map(Vec::as_slice).collect();
    let Built { batch, refused } = documents.rows(&all).unwrap();
    assert_eq!(documents.table().key, ["_id"]);
    assert_eq!(batch.schema(), documents.table().schema);
    let names: Vec<_> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["price", "_id", "name", REST]);
    let texts = |batch: &RecordBatch, at: usize| -> Vec<Option<String>> {
        batch.column(at).as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(texts(&batch, 2), [some("a"), some(r#"{"n":1}"#), None]);
    assert_eq!(texts(&batch, 3), [some(r#"{"x":1}"#), None, some(r#"{"z":[4]}"#)]);
    assert_eq!(batch.column(0).as_primitive::<Decimal128Type>().value(0), 100);
    assert_eq!(refused.iter().map(|refused| refused.row).collect::<Vec<_>>(), [1, 2, 4]);
    let table = documents.quarantine_table().unwrap().clone();
    assert_eq!((table.name.as_str(), &table.key[..]), ("t_quarantine", &["_id".to_owned()][..]));
    let quarantine = documents.quarantine(&all, &refused).unwrap();
    assert_eq!(quarantine.schema(), table.schema);
    assert_eq!(
        texts(&quarantine, 0),
        [some(r#"{"$oid":"5f0102030405060708090a0b"}"#), some(r#"{"$numberInt":"7"}"#), None]
    );
    assert_eq!(texts(&quarantine, 1)[2], some(r#"{"name":"d","price":{"$numberDouble":"1.5"}}"#));
    assert_eq!(
        texts(&quarantine, 2),
        [
            some("field price: string, declared decimal(10,2)"),
            some("field _id: int, declared objectid"),
            some("field price: double, declared decimal(10,2)")
        ]
    );
    assert!(begun(settings()).quarantine_table().is_none());
}

#[test]
fn settings_of_declared_columns_that_contradict_themselves() {
    let of =
        |settings: Settings| Documents::of("t", settings, &Json::Null).err().map(|error| error.message().to_owned());
    let defaults = |default: Json| Some(bson(&default));
    let twice = declared(&[("a", "int"), ("a", "text")], OnMisfit::Fail, false);
    assert_eq!(of(twice).unwrap(), "table t: column a is declared twice");
    let rest = declared(&[(REST, "json")], OnMisfit::Fail, true);
    assert!(of(rest).unwrap().starts_with("table t: column _rest is that of the fields"));
    assert_eq!(of(declared(&[(REST, "json")], OnMisfit::Fail, false)), None);
    let int = || declared(&[("a", "int")], OnMisfit::Quarantine, false);
    let message = of(Settings { defaults: defaults(json!({ "a": "x" })), ..int() }).unwrap();
    assert_eq!(message, "table t: a default does not fit: field a: string, declared int");
    let message = of(Settings { defaults: defaults(json!({ "b": 1 })), ..int() }).unwrap();
    assert_eq!(message, "table t: the default of b is for a field that is not declared");
    let mut good = begun(Settings { defaults: defaults(json!({ "a": 7 })), ..int() });
    let batch = built(&mut good, &[json!({}), json!({ "a": null }), json!({ "a": 1 })]).batch;
    let values: Vec<_> = batch.column(0).as_primitive::<Int32Type>().iter().collect();
    assert_eq!(values, [Some(7), None, Some(1)]);
}

#[test]
fn whole_documents() {
    let mut documents = begun(Settings { schema: Schema::Document, ..settings() });
    let names = |documents: &Documents| -> Vec<_> {
        documents
            .table()
            .schema
            .fields()
            .iter()
            .map(|field| format!("{} {}", field.name(), field.data_type()))
            .collect()
    };
    assert_eq!(names(&documents), ["_id Utf8", "document Utf8"]);
    assert!(field::is_json(documents.table().schema.field(1)) && !documents.table().is_found());
    let all = [json!({ "_id": 1, "a": [1.5] }), json!({ "_id": 2, "b": "x" })];
    let batch = built(&mut documents, &all).batch;
    assert_eq!(names(&documents), ["_id Int32", "document Utf8"]);
    let text = batch.column(1).as_string::<i32>();
    assert_eq!(text.value(0), r#"{"_id":{"$numberInt":"1"},"a":[{"$numberDouble":"1.5"}]}"#);
    let before = documents.table().clone();
    built(&mut documents, &[json!({ "_id": 1, "new": true }), json!({ "none": 1 })]);
    assert!(Arc::ptr_eq(documents.table(), &before));
    let batch = built(&mut documents, &[json!({ "_id": "1" }), json!({ "_id": 1 })]).batch;
    let key = batch.column(0).as_string::<i32>();
    assert_eq!((key.value(0), key.value(1)), (r#""1""#, "1"));
    let on =
        Documents::of("t", Settings { schema: Schema::Document, ..settings() }, &documents.state().unwrap()).unwrap();
    assert_eq!(on.table(), documents.table());
    // From one way to the other the key stays what it was.
    let found = Documents::of("t", settings(), &documents.state().unwrap()).unwrap();
    assert_eq!(found.table().schema.field(0), documents.table().schema.field(0));
    let mut without = begun(Settings { schema: Schema::Document, key: None, ..settings() });
    assert_eq!(built(&mut without, &all).batch.num_columns(), 1);
    let mut named = begun(Settings { schema: Schema::Document, key: Some(DOCUMENT.to_owned()), ..settings() });
    built(&mut named, &[json!({ "document": 1 })]);
    assert_eq!(names(&named), ["document Int32", "_document Utf8"]);
}

fn types() -> impl Strategy<Value = Type> {
    let decimal = (1..=38u8).prop_flat_map(|precision| {
        (Just(precision), 0..=precision).prop_map(|(precision, scale)| Type::Decimal { precision, scale })
    });
    prop_oneof![
        decimal,
        Just(Type::Bool),
        Just(Type::Int),
        Just(Type::Long),
        Just(Type::Double),
        Just(Type::Timestamp),
        Just(Type::ObjectId),
        Just(Type::Uuid),
        Just(Type::Binary),
        Just(Type::Text),
        Just(Type::Json),
    ]
}

/// Whether a type holds a value, in other words than the columns have.
fn fits(of: Type, value: &Value<'_>) -> bool {
    let digits =
        |whole: Option<i128>, precision: u8| whole.is_some_and(|whole| whole.abs() < 10i128.pow(precision.into()));
    match (of, value) {
        (_, Value::Null | Value::Undefined) | (Type::Text | Type::Json, _) => true,
        (Type::Bool, Value::Bool(_)) | (Type::ObjectId, Value::ObjectId(_)) | (Type::Binary, Value::Bytes { .. }) => {
            true
        }
        (Type::Int | Type::Long | Type::Double, Value::Int32(_)) => true,
        (Type::Long, Value::Int64(_)) | (Type::Double, Value::Double(_)) => true,
        (Type::Double, Value::Int64(number)) => (-(1i64 << 53)..=1 << 53).contains(number),
        (Type::Decimal { precision, scale }, value) => {
            let shifted = |number: i64| i128::from(number).checked_mul(10i128.pow(scale.into()));
            match value {
                Value::Int32(number) => digits(shifted((*number).into()), precision),
                Value::Int64(number) => digits(shifted(*number), precision),
                Value::Decimal(bits) => digits(Decimal::of(*bits).unscaled(scale.into()), precision),
                _ => false,
            }
        }
        (Type::Timestamp, Value::Instant(millis)) => {
            i128::from(*millis) * 1000 == i128::from(millis.wrapping_mul(1000))
        }
        (Type::Uuid, Value::Bytes { subtype, bytes }) => *subtype == 4 && bytes.len() == 16,
        _ => false,
    }
}

proptest! {
    #[test]
    fn declared_columns_say_what_documents_do(
        batches in prop::collection::vec(prop::collection::vec(records(), 1..6), 1..3),
        columns in prop::collection::btree_map(prop_oneof![Just("_id".to_owned()), "[a-f]"], types(), 1..6),
        rest in any::<bool>(),
    ) {
        let columns: Vec<_> = columns.into_iter().collect();
        let schema = Schema::Declared(Declared { columns: columns.clone(), on_misfit: OnMisfit::Quarantine, rest, coercion: Coercion::Never });
        let mut documents = begun(Settings { schema, ..settings() });
        for all in &batches {
            let all: Vec<_> = all.iter().map(bson).collect();
            let all: Vec<_> = all.iter().map(Vec::as_slice).collect();
            let Built { batch, refused } = documents.rows(&all).unwrap();
            prop_assert_eq!(batch.schema(), documents.table().schema.clone());
            let mut row = 0;
            for (at, document) in all.iter().enumerate() {
                let value = |name: &str| bson::field(document, name).unwrap().unwrap_or(Value::Null);
                let fits = columns.iter().all(|(name, of)| fits(*of, &value(name)));
                prop_assert_eq!(fits, !refused.iter().any(|refused| refused.row == at));
                if !fits {
                    continue;
                }
                columns.iter().enumerate().for_each(|(at, (name, _))| is(batch.column(at), row, &value(name)));
                if rest {
                    says(&batch, row, document);
                }
                row += 1;
            }
            prop_assert_eq!(batch.num_rows(), row);
            prop_assert_eq!(documents.quarantine(&all, &refused).unwrap().num_rows(), refused.len());
        }
    }

    #[test]
    fn whole_documents_are_what_they_were(batches in prop::collection::vec(prop::collection::vec(records(), 1..6), 1..4)) {
        let mut documents = begun(Settings { schema: Schema::Document, ..settings() });
        for all in &batches {
            let all: Vec<_> = all.iter().map(bson).collect();
            let batch = documents.rows(&all.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap().batch;
            prop_assert_eq!(batch.schema(), documents.table().schema.clone());
            let text = batch.column_by_name(DOCUMENT).unwrap().as_string::<i32>();
            for (row, document) in all.iter().enumerate() {
                prop_assert_eq!(&write::document(text.value(row), Dialect::Extended).unwrap(), document);
                let key = bson::field(document, "_id").unwrap().unwrap_or(Value::Null);
                is(batch.column(0), row, &key);
            }
        }
    }
}
