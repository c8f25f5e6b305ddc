//! Collections read whole.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Binary, Bson, DateTime, Decimal128, Regex, Timestamp, doc, spec::BinarySubtype};

use super::{Database, numbered};

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test]
async fn an_empty_collection_is_a_table() {
    let database = Database::new("empty").await;
    database.run(doc! { "create": "c" }).await;
    let read = database.read(&[("table", "c")], None).await.unwrap();
    assert_eq!((read.table.name.as_str(), read.rows().len()), ("c", 0));
    assert_eq!(read.table.schema.fields().len(), 1);
    assert_eq!(read.table.key, ["_id"]);
    assert!(read.table.is_found());
}

#[tokio::test]
async fn every_type_has_its_form() {
    let database = Database::new("types").await;
    let document = doc! {
        "_id": ObjectId::parse_str("64b7f0c2a1b2c3d4e5f60718").unwrap(),
        "int": 7, "long": i64::MAX, "double": 2.5, "text": "Grüße 東京", "yes": true, "null": Bson::Null,
        "date": DateTime::from_millis(1_700_000_000_123), "decimal": "12.50".parse::<Decimal128>().unwrap(),
        "bytes": Binary { subtype: BinarySubtype::Generic, bytes: vec![1, 255] },
        "uuid": Binary { subtype: BinarySubtype::Uuid, bytes: (0..16).collect() },
        "record": { "a": 1, "b": { "c": "x" } }, "list": [1, 2], "records": [{ "a": 1 }, { "b": "y" }],
        "stamp": Timestamp { time: 5, increment: 2 }, "min": Bson::MinKey, "max": Bson::MaxKey,
        "regex": Regex { pattern: "^a".try_into().unwrap(), options: "i".try_into().unwrap() },
        "code": Bson::JavaScriptCode("f()".to_owned()),
        "nan": f64::NAN,
    };
    database.insert("c", [document]).await;
    let read = database.read(&[("table", "c")], None).await.unwrap();
    let row = &read.rows()[0];
    for (name, wanted) in [
        ("_id", some("64b7f0c2a1b2c3d4e5f60718")),
        ("int", some("7")),
        ("long", some("9223372036854775807")),
        ("double", some("4004000000000000")),
        ("text", some("Grüße 東京")),
        ("yes", some("t")),
        ("date", some("1700000000123000")),
        ("decimal", some("12.50")),
        ("bytes", some("01ff")),
        ("uuid", some("000102030405060708090a0b0c0d0e0f")),
        ("record", some("(1,(x))")),
        ("list", some("[1,2]")),
        ("records", some("[(1,null),(null,y)]")),
        ("stamp", some(r#"{"$timestamp":{"t":5,"i":2}}"#)),
        ("min", some(r#"{"$minKey":1}"#)),
        ("max", some(r#"{"$maxKey":1}"#)),
        ("code", some(r#"{"$code":"f()"}"#)),
        ("nan", some("7ff8000000000000")),
    ] {
        assert_eq!(row.get(name), Some(&wanted), "{name}");
    }
    assert!(row["regex"].as_ref().unwrap().contains("^a"));
    assert!(!row.contains_key("null"), "what was never anything is no column");
}

#[tokio::test]
async fn dates_beyond_the_year_9999() {
    let database = Database::new("far").await;
    let far = [400_000_000_000_000, -100_000_000_000_000].map(|millis| doc! { "at": DateTime::from_millis(millis) });
    if let Err(refused) = database.collection("c").insert_many(far).await {
        // Some servers keep none.
        assert!(refused.to_string().contains("out of range"), "{refused}");
        return;
    }
    let read = database.read(&[("table", "c")], None).await.unwrap();
    assert_eq!(read.column("at"), [some("400000000000000000"), some("-100000000000000000")]);
}

#[tokio::test]
async fn columns_that_are_declared() {
    let database = Database::new("declared").await;
    let documents = [doc! { "_id": 1, "price": 7, "more": "x" }, doc! { "_id": 2, "price": "dear" }, doc! { "_id": 3 }];
    database.insert("c", documents).await;
    let stream = [
        ("table", "c"),
        ("schema", "declared"),
        ("column._id", "int"),
        ("column.price", "decimal(10,2)"),
        ("rest", "yes"),
        ("on_misfit", "quarantine"),
        ("default.price", "1"),
    ];
    let read = database.read(&stream, None).await.unwrap();
    let rows = read.of("c");
    assert_eq!(rows.iter().map(|row| row["price"].clone()).collect::<Vec<_>>(), [some("7.00"), some("1.00")]);
    assert_eq!(rows[0]["_rest"], some(r#"{"more":"x"}"#));
    let beside = read.of("c_quarantine");
    assert_eq!((beside.len(), beside[0]["reason"].clone()), (1, some("field price: string, declared decimal(10,2)")));
    assert!(!read.table.is_found());
    let stream = [("table", "c"), ("schema", "declared"), ("column.price", "int")];
    let error = database.read(&stream, None).await.map(drop).unwrap_err();
    assert!(error.message().contains("price") && !error.message().contains("dear"), "{error}");
}

#[tokio::test]
async fn whole_documents() {
    let database = Database::new("whole").await;
    database.insert("c", [doc! { "_id": 1, "a": { "b": 1.5 } }]).await;
    let read = database.read(&[("table", "c"), ("schema", "document")], None).await.unwrap();
    let whole = r#"{"_id":{"$numberInt":"1"},"a":{"b":{"$numberDouble":"1.5"}}}"#;
    assert_eq!(read.column("document"), [some(whole)]);
}

#[tokio::test]
async fn fields_that_are_missing_have_a_default() {
    let database = Database::new("default").await;
    database
        .insert("c", [doc! { "_id": 1 }, doc! { "_id": 2, "event": "click" }, doc! { "_id": 3, "event": Bson::Null }])
        .await;
    let read = database.read(&[("table", "c"), ("default.event", "unknown")], None).await.unwrap();
    assert_eq!(read.column("event"), [some("unknown"), some("click"), None]);
}

#[tokio::test]
async fn fields_conditions_and_names() {
    let database = Database::new("fields").await;
    database.insert("c", numbered(1, 20)).await;
    let stream =
        [("table", "c"), ("columns", "name, _id, absent"), ("where", r#"{"_id": {"$gt": 18}}"#), ("as", "out")];
    let read = database.read(&stream, None).await.unwrap();
    assert_eq!(read.table.name, "out");
    let names: Vec<_> = read.table.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["name", "_id", "absent"]);
    assert_eq!(read.column("name"), [some("number 19"), some("number 20")]);
    assert_eq!(read.column("absent"), [None, None]);
    let read = database.read(&[("table", "c"), ("exclude_columns", "name")], None).await.unwrap();
    assert!(read.table.schema.column_with_name("name").is_none());
    assert_eq!(read.rows().len(), 20);
    let read = database.read(&[("table", "c"), ("columns", "n")], None).await.unwrap();
    assert!(read.table.key.is_empty() && read.table.schema.fields().len() == 1);
}

#[tokio::test]
async fn a_field_that_comes_late_is_a_column_from_then_on() {
    let database = Database::new("late").await;
    database.insert("c", numbered(1, 9_000)).await;
    database.insert("c", [doc! { "_id": 9_001, "late": "here", "n": "text" }]).await;
    let read = database.read(&[("table", "c"), ("where", r#"{"_id": {"$gt": 0}}"#)], None).await.unwrap();
    let rows = read.rows();
    assert_eq!(rows.len(), 9_001);
    assert!(!rows[0].contains_key("late"));
    let last = rows.iter().find(|row| row["_id"] == some("9001")).unwrap();
    assert_eq!((last["late"].clone(), last["n"].clone()), (some("here"), some("text")));
}

#[tokio::test]
async fn views_are_read_whole() {
    let database = Database::new("views").await;
    database.insert("c", numbered(1, 30)).await;
    database.run(doc! { "create": "v", "viewOn": "c", "pipeline": [{ "$match": { "n": { "$lte": 50 } } }] }).await;
    let read = database.read(&[("table", "v")], None).await.unwrap();
    assert_eq!(read.rows().len(), 5);
    let notes = database.describe(&[("table", "v")]).await.unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("It is a view")), "{notes:?}");
}

#[tokio::test]
async fn collections_by_pattern() {
    let database = Database::new("patterns").await;
    for name in ["log_a", "log_b", "other"] {
        database.insert(name, numbered(1, 1)).await;
    }
    let source = database.source(&[]).unwrap();
    let listing = source.streams(&[super::selection(&[("tables", "log_*, gone")]).unwrap()]).await.unwrap();
    let names: Vec<_> = listing.streams.iter().map(|stream| stream.id.to_string()).collect();
    assert_eq!(names, ["s.log_a", "s.log_b"]);
    assert_eq!(listing.refused.len(), 1);
    let message = listing.refused[0].1.message();
    assert!(message.contains("names `gone`, which is no collection of database tm_patterns"), "{message}");
}

#[tokio::test]
async fn an_end_is_kept() {
    let database = Database::new("kept").await;
    database.insert("c", numbered(1, 3)).await;
    let read = database.read(&[("table", "c")], None).await.unwrap();
    let again = database.read(&[("table", "c")], Some(read.end())).await.unwrap();
    assert_eq!((again.rows().len(), again.end()), (0, read.end()));
}
