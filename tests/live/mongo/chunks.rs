//! Loads in ranges of `_id`.

use std::collections::BTreeSet;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Binary, Bson, DateTime, Decimal128, Document, Timestamp, doc, spec::BinarySubtype};
use tidemark::source::Stream;

use super::{Database, drain, numbered, selection};

/// Keys of all types that a key may have.
fn mixed(count: i32) -> impl Iterator<Item = Document> {
    let key = |number: i32| match number % 11 {
        0 => Bson::Int32(number),
        1 => Bson::Int64(i64::from(number) << 40),
        2 => Bson::Double(f64::from(number) + 0.5),
        3 => Bson::String(format!("key {}", number % 7 * 1000 + number)),
        4 => Bson::ObjectId(ObjectId::from_bytes([
            (number % 251) as u8,
            1,
            2,
            3,
            4,
            5,
            6,
            7,
            8,
            9,
            (number >> 8) as u8,
            number as u8,
        ])),
        5 => Bson::DateTime(DateTime::from_millis(i64::from(number) * 1_000_000 - 5_000_000_000)),
        6 => Bson::Binary(Binary {
            subtype: BinarySubtype::Generic,
            bytes: vec![number as u8; (number % 5) as usize + 5],
        }),
        7 => Bson::Document(doc! { "a": number }),
        8 => Bson::Timestamp(Timestamp { time: number as u32, increment: 1 }),
        9 => Bson::Decimal128(format!("{number}.25").parse::<Decimal128>().unwrap()),
        _ => Bson::String(format!("Ключ {number}")),
    };
    (0..count).map(move |number| doc! { "_id": key(number), "number": number })
}

async fn chunks(database: &Database, stream: &[(&str, &str)]) -> Vec<Stream> {
    let source = database.source(&[]).unwrap();
    let stream = database.stream(&*source, stream).await.unwrap();
    let ranges = source.chunks(&stream).await.unwrap().ranges;
    ranges.into_iter().map(|range| Stream { range: Some(range), ..stream.clone() }).collect()
}

#[tokio::test]
async fn each_document_is_in_one_chunk_whatever_types_keys_have() {
    let database = Database::new("mixed").await;
    database.insert("c", mixed(4_000)).await;
    database
        .insert(
            "c",
            [
                doc! { "_id": Bson::MinKey },
                doc! { "_id": Bson::MaxKey },
                doc! { "_id": Bson::Null },
                doc! { "_id": f64::NAN },
            ],
        )
        .await;
    let parts = chunks(&database, &[("table", "c"), ("chunk_rows", "300")]).await;
    assert!(parts.len() > 5, "{}", parts.len());
    let source = database.source(&[]).unwrap();
    let (mut seen, mut rows) = (BTreeSet::new(), 0);
    for part in &parts {
        let read = drain(source.open(part, None).await.unwrap()).await.unwrap();
        for key in read.column("_id") {
            rows += 1;
            seen.insert(key);
        }
    }
    assert_eq!((rows, seen.len()), (4_004, 4_004), "keys of different types have different texts");
}

#[tokio::test]
async fn small_collections_and_views_are_read_at_once() {
    let database = Database::new("small").await;
    database.insert("c", numbered(1, 100)).await;
    database.run(doc! { "create": "v", "viewOn": "c", "pipeline": [] }).await;
    assert!(chunks(&database, &[("table", "c")]).await.is_empty());
    assert!(chunks(&database, &[("table", "v"), ("chunk_rows", "10")]).await.is_empty());
    let of_language = doc! { "create": "l", "collation": { "locale": "de" } };
    database.run(of_language).await;
    database.insert("l", numbered(1, 100)).await;
    assert!(chunks(&database, &[("table", "l"), ("chunk_rows", "10")]).await.is_empty());
}

#[tokio::test]
async fn how_large_documents_are_is_not_told_by_the_first_ones() {
    let database = Database::new("large").await;
    database.insert("c", numbered(1, 400)).await;
    database.insert("c", (401..=800).map(|n| doc! { "_id": n, "text": "x".repeat(10_000) })).await;
    let source = database.source(&[]).unwrap();
    let stream = database.stream(&*source, &[("table", "c")]).await.unwrap();
    let outlook = source.outlook(&stream, &[], None).await.unwrap();
    assert_eq!(outlook.rows, Some(800));
    assert!(matches!(outlook.bytes, Some(4_000_000..5_000_000)), "{:?}", outlook.bytes);
}

#[tokio::test]
async fn another_collection_of_the_name_is_not_read_on() {
    let database = Database::new("another").await;
    database.insert("c", numbered(1, 1_000)).await;
    let parts = chunks(&database, &[("table", "c"), ("chunk_rows", "100")]).await;
    database.collection("c").drop().await.unwrap();
    database.insert("c", numbered(1, 1_000)).await;
    let error = database.source(&[]).unwrap().open(&parts[1], None).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), tidemark::error::Kind::Lost);
    assert!(error.message().contains("another collection has its name"), "{error}");
}

#[test]
fn one_moment_is_refused_with_what_to_do() {
    let refused = selection(&[("table", "c"), ("consistency", "table")]);
    let error = match refused {
        Ok(selection) => futures_util::FutureExt::now_or_never(async move {
            super::source(&[("url", "mongodb://127.0.0.1:1/x")])
                .unwrap()
                .streams(&[selection])
                .await
                .map(drop)
                .unwrap_err()
        })
        .unwrap(),
        Err(error) => error,
    };
    assert!(error.message().contains("keeps what it was at a moment for some minutes only"), "{error}");
}
