//! Columns that are declared beside those that are found, and values that only say what a declared column holds.

use arrow_array::types::Date32Type;

use super::super::declared::Type;
use super::super::{Coercion, Declared, OnMisfit, Refused, Schema};
use super::*;

const WRITTEN: Coercion = Coercion::Written { empty_is_null: false };

fn declared(columns: &[(&str, &str)], on_misfit: OnMisfit, coercion: Coercion) -> Declared {
    let columns = columns.iter().map(|(name, of)| ((*name).to_owned(), Type::parse(of).unwrap())).collect();
    Declared { columns, on_misfit, rest: false, coercion }
}

fn beside(columns: &[(&str, &str)], on_misfit: OnMisfit) -> Settings {
    Settings { schema: Schema::Beside(declared(columns, on_misfit, WRITTEN)), ..settings() }
}

fn built(documents: &mut Documents, all: &[Json]) -> super::super::Built {
    let all: Vec<_> = all.iter().map(bson).collect();
    let built = documents.rows(&all.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    assert_eq!(built.batch.schema(), documents.table().schema);
    built
}

fn column(batch: &RecordBatch, name: &str) -> ArrayRef {
    batch.column_by_name(name).unwrap().clone()
}

#[test]
fn the_others_are_found_and_widen_while_these_stay() {
    let columns = [("at", "timestamp"), ("price", "decimal(10,2)"), ("gone", "int")];
    let mut documents = begun(beside(&columns, OnMisfit::Fail));
    assert!(documents.table().is_found() && !documents.is_known());
    let batch = built(&mut documents, &[json!({ "_id": 1, "at": "2024-01-01T01:00:00Z", "price": 9.1, "v": 1 })]).batch;
    assert_eq!(column(&batch, "at").as_primitive::<TimestampMicrosecondType>().value(0), 1_704_070_800_000_000);
    assert_eq!(column(&batch, "price").as_primitive::<Decimal128Type>().value(0), 910);
    assert_eq!(column(&batch, "gone").null_count(), 1);
    assert_eq!(of(&documents, "v"), "Int32, int");
    let batch = built(&mut documents, &[json!({ "_id": 2, "price": "0.50", "v": "x", "w": true })]).batch;
    assert_eq!(column(&batch, "price").as_primitive::<Decimal128Type>().value(0), 50);
    assert_eq!(of(&documents, "v"), "Utf8, string or int");
    assert_eq!(of(&documents, "price"), "Decimal128(10, 2), decimal(10,2)");
    assert_eq!(of(&documents, "w"), "Boolean, bool");
    let before = documents.table().clone();
    let error = documents.rows(&[&bson(&json!({ "_id": 3, "at": 5 }))]).unwrap_err();
    assert_eq!(error.message(), "table t, field at: int, declared timestamp");
    // Neither the columns nor the next rows are the worse for it.
    assert!(Arc::ptr_eq(documents.table(), &before));
    assert_eq!(built(&mut documents, &[json!({ "_id": 4 }), json!({ "_id": 5 })]).batch.num_rows(), 2);
    let state = documents.state().unwrap();
    let on = Documents::of("t", beside(&columns, OnMisfit::Fail), &state).unwrap();
    assert_eq!(on.table(), documents.table());
    // One that was found before it was declared is what is declared.
    let others = Documents::of("t", beside(&[("v", "json")], OnMisfit::Fail), &state).unwrap();
    assert_eq!(of(&others, "v"), "Utf8 json, json");
}

#[test]
fn one_misfit_is_refused_and_another_widens() {
    let mut documents = begun(beside(&[("n", "long")], OnMisfit::Quarantine));
    let all = [
        json!({ "_id": 1, "n": "7", "v": 1 }),
        json!({ "_id": 2, "v": 2, "n": "many" }),
        json!({ "_id": 3, "v": "x", "n": 8 }),
        json!({ "_id": 4, "new": true, "n": 9 }),
        json!({ "_id": 5, "n": 1.5, "v": 3 }),
    ];
    let built = built(&mut documents, &all);
    let numbers: Vec<_> = column(&built.batch, "n").as_primitive::<Int64Type>().iter().flatten().collect();
    assert_eq!(numbers, [7, 8, 9]);
    let texts: Vec<_> = column(&built.batch, "v").as_string::<i32>().iter().map(|v| v.map(str::to_owned)).collect();
    assert_eq!(texts, [Some("1".to_owned()), Some("x".to_owned()), None]);
    assert_eq!(
        built.refused,
        [
            Refused { row: 1, reason: "field n: string in another form, declared long".to_owned() },
            Refused { row: 4, reason: "field n: double of more digits, declared long".to_owned() }
        ]
    );
    let all: Vec<_> = all.iter().map(bson).collect();
    let all: Vec<_> = all.iter().map(Vec::as_slice).collect();
    assert_eq!(documents.quarantine(&all, &built.refused).unwrap().num_rows(), 2);
}

#[test]
fn defaults_are_of_the_type_that_is_declared() {
    let with = |default: Json| Settings { defaults: Some(bson(&default)), ..beside(&[("n", "long")], OnMisfit::Fail) };
    let error = Documents::of("t", with(json!({ "n": "x" })), &Json::Null).err().unwrap();
    assert_eq!(error.message(), "table t: a default does not fit: field n: string in another form, declared long");
    let mut documents = begun(with(json!({ "n": "7", "v": 1 })));
    let batch = built(&mut documents, &[json!({ "_id": 1 }), json!({ "_id": 2, "n": 8 })]).batch;
    let numbers: Vec<_> = column(&batch, "n").as_primitive::<Int64Type>().iter().flatten().collect();
    assert_eq!(numbers, [7, 8]);
    for columns in [&[("a", "int"), ("a", "text")][..], &[(REST, "json")]] {
        assert!(Documents::of("t", beside(columns, OnMisfit::Fail), &Json::Null).is_err());
    }
}

#[test]
fn whether_texts_are_read_the_source_says() {
    let text = bson(&json!({ "_id": 1, "at": "2024-01-31", "n": "" }));
    let midnight = bson(&json!({ "_id": 1, "at": { "$date": "2024-01-31T00:00:00Z" }, "n": 5 }));
    let of = |coercion, at: &str| {
        let schema = Schema::Declared(declared(&[("at", at), ("n", "epoch")], OnMisfit::Fail, coercion));
        begun(Settings { schema, ..settings() })
    };
    for at in ["date", "timestamp"] {
        assert!(of(Coercion::Never, at).rows(&[&text]).is_err());
        let error = of(WRITTEN, at).rows(&[&text]).unwrap_err();
        assert_eq!(error.message(), "table t, field n: string in another form, declared epoch");
        let all = Coercion::Written { empty_is_null: true };
        for (coercion, document) in [(all, &text), (Coercion::Never, &midnight), (WRITTEN, &midnight)] {
            let batch = of(coercion, at).rows(&[document]).unwrap().batch;
            match at {
                "date" => assert_eq!(batch.column(0).as_primitive::<Date32Type>().value(0), 19_753),
                _ => assert_eq!(
                    batch.column(0).as_primitive::<TimestampMicrosecondType>().value(0),
                    19_753 * 86_400_000_000
                ),
            }
            let number = batch.column(1).as_primitive::<TimestampMicrosecondType>();
            assert_eq!(number.iter().next().flatten(), (coercion != all).then_some(5_000_000));
        }
    }
    let noon = bson(&json!({ "_id": 1, "at": { "$date": "2024-01-31T12:00:00Z" } }));
    let error = of(Coercion::Never, "date").rows(&[&noon]).unwrap_err();
    assert_eq!(error.message(), "table t, field at: date that is no midnight, declared date");
}
