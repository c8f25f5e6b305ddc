//! What is new in collections.

use std::time::Duration;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, doc};
use tidemark::error::Kind;
use tidemark::record::Checkpoint;

use super::{Database, Read};

/// As a stream that waits for nobody.
const QUICK: (&str, &str) = ("settle", "0s");

async fn run(database: &Database, cursor: &str, after: Option<&Checkpoint>) -> Read {
    database.read(&[("table", "c"), ("mode", "incremental"), ("cursor", cursor), QUICK], after).await.unwrap()
}

fn ids(read: &Read) -> Vec<String> {
    read.column("_id").into_iter().flatten().collect()
}

fn at(second: i64, id: i32) -> mongodb::bson::Document {
    doc! { "_id": id, "at": DateTime::from_millis(1_700_000_000_000 + second * 1000) }
}

#[tokio::test]
async fn a_run_reads_what_is_new() {
    let database = Database::new("new").await;
    database.insert("c", [at(1, 1), at(2, 2), at(2, 3)]).await;
    let first = run(&database, "at", None).await;
    assert_eq!(ids(&first), ["1", "2", "3"]);
    assert_eq!(ids(&run(&database, "at", Some(first.end())).await), [""; 0]);
    database.insert("c", [at(3, 4)]).await;
    let second = run(&database, "at", Some(first.end())).await;
    assert_eq!(ids(&second), ["4"]);
    // What the first run found of the documents is known to the second.
    assert_eq!(second.table.schema, first.batches.last().unwrap().0.schema);
}

#[tokio::test]
async fn every_type_of_cursor() {
    let database = Database::new("cursors").await;
    type Value = fn(i32) -> Bson;
    let values: [(&str, Value); 5] = [
        ("date", |n| Bson::DateTime(DateTime::from_millis(1_600_000_000_000 + i64::from(n)))),
        ("number", |n| if n % 2 == 0 { Bson::Int32(n) } else { Bson::Int64(n.into()) }),
        ("double", |n| Bson::Double(f64::from(n) / 4.0)),
        ("text", |n| Bson::String(format!("text {n:04}"))),
        ("id", |n| Bson::ObjectId(ObjectId::from_bytes([0x50, 0, 0, n as u8, 1, 1, 1, 1, 1, 1, 1, 1]))),
    ];
    for number in 1..=20 {
        let mut document = doc! { "_id": number };
        document.extend(values.iter().map(|(name, value)| ((*name).to_owned(), value(number))));
        database.insert("c", [document]).await;
    }
    for (number, (name, value)) in values.into_iter().enumerate() {
        let (one, other) = (100 + number as i32, 200 + number as i32);
        let first = run(&database, name, None).await;
        assert_eq!(first.rows().len(), 20, "{name}");
        database.insert("c", [doc! { "_id": one, name: value(21) }]).await;
        let second = run(&database, name, Some(first.end())).await;
        assert_eq!(ids(&second), [one.to_string()], "{name}");
        // A tie with the last one, where such can come.
        if matches!(name, "number" | "text") {
            database.insert("c", [doc! { "_id": other, name: value(21) }]).await;
            let third = run(&database, name, Some(second.end())).await;
            assert_eq!(ids(&third), [other.to_string()], "{name}");
            assert_eq!(ids(&run(&database, name, Some(third.end())).await), [""; 0], "{name}");
        }
    }
}

#[tokio::test]
async fn object_ids_of_one_second_come_together() {
    let database = Database::new("seconds").await;
    let id = |last: u8| ObjectId::from_bytes([0x50, 0, 0, 1, 9, 9, 9, 9, 9, 0, 0, last]);
    database.insert("c", [doc! { "_id": id(5) }]).await;
    let first = run(&database, "_id", None).await;
    assert_eq!(first.rows().len(), 1);
    assert!(first.end().position.to_string().contains("50000001ffffffffffffffff"), "{}", first.end().position);
    database.insert("c", [doc! { "_id": ObjectId::from_bytes([0x50, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]) }]).await;
    assert_eq!(run(&database, "_id", Some(first.end())).await.rows().len(), 1);
}

#[tokio::test]
async fn a_lookback_finds_late_documents_once() {
    let database = Database::new("lookback").await;
    database.insert("c", [at(10, 1), at(20, 2)]).await;
    let stream = [("table", "c"), ("mode", "incremental"), ("cursor", "at"), ("lookback", "15s"), QUICK];
    let first = database.read(&stream, None).await.unwrap();
    assert_eq!(ids(&first), ["1", "2"]);
    database.insert("c", [at(12, 3)]).await;
    let second = database.read(&stream, Some(first.end())).await.unwrap();
    assert_eq!(ids(&second), ["3"]);
    assert_eq!(ids(&database.read(&stream, Some(second.end())).await.unwrap()), [""; 0]);
    database.insert("c", [at(4, 4)]).await;
    assert_eq!(ids(&database.read(&stream, Some(second.end())).await.unwrap()), [""; 0], "it is too late");
}

#[tokio::test]
async fn documents_without_a_cursor_by_policy() {
    let database = Database::new("nulls").await;
    database.insert("c", [at(1, 1), doc! { "_id": 2 }, doc! { "_id": 3, "at": Bson::Null }]).await;
    let read = |policy: &'static str| {
        let stream = [("table", "c"), ("mode", "incremental"), ("cursor", "at"), ("null_cursor", policy), QUICK];
        let database = &database;
        async move { database.read(&stream, None).await }
    };
    assert_eq!(ids(&read("skip").await.unwrap()), ["1"]);
    let mut all = ids(&read("read").await.unwrap());
    all.sort();
    assert_eq!(all, ["1", "2", "3"]);
    let error = read("error").await.map(drop).unwrap_err();
    assert!(error.kind() == Kind::Data && error.message().contains("2 rows have a cursor that is null"), "{error}");
}

#[tokio::test]
async fn values_of_several_kinds_are_refused() {
    let database = Database::new("kinds").await;
    database.insert("c", [at(1, 1), doc! { "_id": 2, "at": "2024-01-01" }]).await;
    let stream = [("table", "c"), ("mode", "incremental"), ("cursor", "at"), QUICK];
    let error = database.read(&stream, None).await.map(drop).unwrap_err();
    assert!(error.message().contains("holds texts and dates, of which all dates sort behind all texts"), "{error}");
}

#[tokio::test]
async fn the_future_is_read_when_it_has_come() {
    let database = Database::new("future").await;
    let soon = DateTime::from_millis(DateTime::now().timestamp_millis() + 3_000);
    database.insert("c", [at(1, 1), doc! { "_id": 2, "at": soon }]).await;
    let first = run(&database, "at", None).await;
    assert_eq!(ids(&first), ["1"]);
    tokio::time::sleep(Duration::from_millis(3_300)).await;
    assert_eq!(ids(&run(&database, "at", Some(first.end())).await), ["2"]);
}

#[tokio::test]
async fn a_start_is_written_as_people_write_it() {
    let database = Database::new("start").await;
    database.insert("c", [at(-86_400, 1), at(1, 2)]).await;
    let stream = [("table", "c"), ("mode", "incremental"), ("cursor", "at"), ("start", "2023-11-14"), QUICK];
    assert_eq!(ids(&database.read(&stream, None).await.unwrap()), ["2"]);
    let stream = [("table", "c"), ("mode", "incremental"), ("cursor", "at"), ("start", "soon"), QUICK];
    let error = database.read(&stream, None).await.map(drop).unwrap_err();
    assert!(error.message().contains("`start` is none of the dates that the cursor has"), "{error}");
}
