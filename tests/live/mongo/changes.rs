//! Change streams, and snapshots beside them.

use std::collections::BTreeMap;

use mongodb::bson::{Document, doc};
use tidemark::error::Kind;
use tidemark::record::Checkpoint;

use super::{Database, FORGETFUL, Read, Row, numbered};

async fn follow(database: &Database, tables: &str, after: Option<&Checkpoint>) -> Read {
    database.read(&[("tables", tables), ("mode", "cdc")], after).await.unwrap()
}

/// The rows of a table by what happened, in their order.
fn ops(read: &Read, table: &str) -> Vec<String> {
    let word = |row: &Row| {
        let of = |name: &str| row.get(name).cloned().flatten().unwrap_or_default();
        format!("{}{}", of("_op"), of("_id"))
    };
    read.of(table).iter().map(word).collect()
}

/// What rows come to: of those behind the newest `t`, the newest of each key.
fn present<'a>(reads: impl IntoIterator<Item = &'a Read>, table: &str) -> BTreeMap<String, Row> {
    let mut present: BTreeMap<String, Row> = BTreeMap::new();
    for row in reads.into_iter().flat_map(|read| read.of(table)) {
        let key = row.get("_id").cloned().flatten().unwrap_or_default();
        match row["_op"].as_deref() {
            Some("t") => present.clear(),
            Some("d") => drop(present.remove(&key)),
            _ => drop(present.insert(key, row)),
        }
    }
    present
}

#[tokio::test]
async fn a_snapshot_and_then_what_changes() {
    let database = Database::new("follow").await;
    database.insert("c", numbered(1, 3)).await;
    let first = follow(&database, "c", None).await;
    assert_eq!(ops(&first, "c"), ["r1", "r2", "r3"]);
    let c = database.collection("c");
    c.insert_one(doc! { "_id": 4, "n": 40 }).await.unwrap();
    c.update_one(doc! { "_id": 1 }, doc! { "$set": { "n": 11, "late": "x" } }).await.unwrap();
    c.replace_one(doc! { "_id": 2 }, doc! { "n": 22 }).await.unwrap();
    c.delete_one(doc! { "_id": 3 }).await.unwrap();
    let second = follow(&database, "c", Some(first.end())).await;
    assert_eq!(ops(&second, "c"), ["c4", "u1", "u2", "d3"]);
    let rows = second.of("c");
    assert_eq!((rows[1]["n"].as_deref(), rows[1]["late"].as_deref()), (Some("11"), Some("x")));
    assert!(rows[0]["_committed_at"].is_some() && rows[0]["_position"].is_some() && rows[0]["_unchanged"].is_none());
    assert_eq!(rows[2]["name"], None, "a document that was replaced lacks what it had");
    let third = follow(&database, "c", Some(second.end())).await;
    assert_eq!(ops(&third, "c"), [""; 0]);
    assert_eq!(present([&first, &second], "c").keys().collect::<Vec<_>>(), ["1", "2", "4"]);
}

#[tokio::test]
async fn collections_that_go_and_come() {
    let database = Database::new("come").await;
    database.insert("log_a", numbered(1, 2)).await;
    let first = follow(&database, "log_*", None).await;
    database.insert("log_b", numbered(1, 1)).await;
    database.insert("other", numbered(1, 1)).await;
    database.collection("log_a").drop().await.unwrap();
    database.insert("log_a", numbered(9, 9)).await;
    let second = follow(&database, "log_*", Some(first.end())).await;
    assert!(ops(&second, "log_a").contains(&"c9".to_owned()));
    assert_eq!(present([&first, &second], "log_a").keys().collect::<Vec<_>>(), ["9"]);
    assert_eq!(present([&first, &second], "log_b").keys().collect::<Vec<_>>(), ["1"]);
    assert!(second.of("other").is_empty());
}

#[tokio::test]
async fn a_renamed_collection_is_read_under_its_new_name() {
    let database = Database::new("renamed").await;
    database.insert("log_a", numbered(1, 3)).await;
    let first = follow(&database, "log_*", None).await;
    let rename = doc! { "renameCollection": "tm_renamed.log_a", "to": "tm_renamed.log_z" };
    database.client.database("admin").run_command(rename).await.unwrap();
    database.insert("log_z", numbered(7, 7)).await;
    let second = follow(&database, "log_*", Some(first.end())).await;
    assert!(present([&first, &second], "log_a").is_empty());
    assert_eq!(present([&first, &second], "log_z").keys().collect::<Vec<_>>(), ["1", "2", "3", "7"]);
}

#[tokio::test]
async fn updates_without_their_documents() {
    let database = Database::new("deltas").await;
    database.insert("c", [doc! { "_id": 1, "a": 1, "b": { "x": 1 }, "gone": 1, "kept": 1 }]).await;
    let stream = [("table", "c"), ("mode", "cdc"), ("full_document", "none")];
    let first = database.read(&stream, None).await.unwrap();
    let update = doc! { "$set": { "a": 2, "b.x": 3, "new": 4 }, "$unset": { "gone": "" } };
    database.collection("c").update_one(doc! { "_id": 1 }, update).await.unwrap();
    let second = database.read(&stream, Some(first.end())).await.unwrap();
    let row = &second.of("c")[0];
    assert_eq!((row["a"].as_deref(), row["new"].as_deref(), row["gone"].as_deref()), (Some("2"), Some("4"), None));
    assert_eq!(row["_unchanged"].as_deref(), Some("[b,kept]"));
    assert!(row["_update"].as_ref().unwrap().contains("\"b.x\""), "{row:?}");
}

#[tokio::test]
async fn images_of_before_and_after() {
    let database = Database::new("images").await;
    database.run(doc! { "create": "c", "changeStreamPreAndPostImages": { "enabled": true } }).await;
    database.insert("c", numbered(1, 2)).await;
    let stream = [("table", "c"), ("mode", "cdc"), ("full_document", "after_image"), ("before_images", "yes")];
    let first = database.read(&stream, None).await.unwrap();
    database.collection("c").delete_one(doc! { "_id": 2 }).await.unwrap();
    let second = database.read(&stream, Some(first.end())).await.unwrap();
    let row = &second.of("c")[0];
    assert_eq!((row["_op"].as_deref(), row["n"].as_deref()), (Some("d"), Some("20")));
    database.run(doc! { "create": "without" }).await;
    let stream = [("table", "without"), ("mode", "cdc"), ("before_images", "yes")];
    let error = database.describe(&stream).await.unwrap_err();
    assert!(error.advice().unwrap().contains("collMod"), "{error}");
}

#[tokio::test]
async fn fields_that_are_left_out_are_left_out_of_changes_too() {
    let database = Database::new("left").await;
    database.insert("c", [doc! { "_id": 1, "a": 1, "secret": "hush" }]).await;
    let stream = [("table", "c"), ("mode", "cdc"), ("exclude_columns", "secret")];
    let first = database.read(&stream, None).await.unwrap();
    database.insert("c", [doc! { "_id": 2, "a": 2, "secret": "hush" }]).await;
    database.collection("c").update_one(doc! { "_id": 1 }, doc! { "$set": { "secret": "more" } }).await.unwrap();
    let second = database.read(&stream, Some(first.end())).await.unwrap();
    for (table, batch) in first.batches.iter().chain(&second.batches) {
        assert!(table.schema.column_with_name("secret").is_none() && !format!("{batch:?}").contains("hush"));
    }
    assert_eq!(ops(&second, "c"), ["c2", "u1"]);
}

#[tokio::test]
async fn transactions_come_whole_and_once() {
    let database = Database::new("transactions").await;
    database.insert("c", numbered(1, 1)).await;
    let first = follow(&database, "c", None).await;
    let mut session = database.client.start_session().await.unwrap();
    for is_committed in [false, true] {
        session.start_transaction().await.unwrap();
        let documents: Vec<Document> = numbered(10, 40).collect();
        database.collection("c").insert_many(documents).session(&mut session).await.unwrap();
        match is_committed {
            true => session.commit_transaction().await.unwrap(),
            false => session.abort_transaction().await.unwrap(),
        }
    }
    let stream = [("tables", "c"), ("mode", "cdc")];
    let mut reader = database.open(&stream, Some(first.end())).await.unwrap();
    let mut rows = 0;
    while let Some(event) = reader.next().await.unwrap() {
        match event {
            tidemark::record::Event::Rows(part) => rows += part.batch.num_rows(),
            tidemark::record::Event::Checkpoint(_) => {
                assert!([0, 31].contains(&rows), "a place within it: {rows} rows")
            }
        }
    }
    assert_eq!(rows, 31);
}

#[tokio::test]
async fn a_large_snapshot_goes_on_at_its_chunk() {
    let database = Database::new("chunked").await;
    database.insert("c", numbered(1, 2_500)).await;
    let stream = [("table", "c"), ("mode", "cdc"), ("chunk_rows", "1000")];
    let mut reader = database.open(&stream, None).await.unwrap();
    let mut checkpoint = None;
    let mut rows = 0;
    while let Some(event) = reader.next().await.unwrap() {
        match event {
            tidemark::record::Event::Rows(part) => rows += part.batch.num_rows(),
            tidemark::record::Event::Checkpoint(at) if rows >= 1000 => {
                checkpoint = Some(at);
                break;
            }
            tidemark::record::Event::Checkpoint(_) => {}
        }
    }
    drop(reader);
    let checkpoint = checkpoint.unwrap();
    assert!(
        checkpoint.position.to_string().contains(r#""after":["{\"$numberInt\":\"1000\"}"]"#),
        "{}",
        checkpoint.position
    );
    database.collection("c").delete_one(doc! { "_id": 500 }).await.unwrap();
    let rest = database.read(&stream, Some(&checkpoint)).await.unwrap();
    let (read, gone): (Vec<_>, Vec<_>) = ops(&rest, "c").into_iter().partition(|op| op.starts_with('r'));
    assert_eq!((read.len(), gone), (1_500, vec!["d500".to_owned()]));
}

#[tokio::test]
async fn a_place_that_the_server_forgot_is_lost_or_read_anew_by_choice() {
    let database = Database::at(FORGETFUL, "forgotten").await;
    database.insert("c", numbered(1, 3)).await;
    let first = follow(&database, "c", None).await;
    for batch in 0..30 {
        database.insert("other", numbered(batch * 100, batch * 100 + 99)).await;
    }
    database.collection("c").delete_one(doc! { "_id": 1 }).await.unwrap();
    let stream = [("tables", "c"), ("mode", "cdc")];
    let error = database.read(&stream, Some(first.end())).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), Kind::Lost);
    assert!(error.message().contains("oplog") && error.advice().unwrap().contains("on_lost = snapshot"), "{error}");
    let stream = [("tables", "c"), ("mode", "cdc"), ("on_lost", "snapshot")];
    let anew = database.read(&stream, Some(first.end())).await.unwrap();
    assert_eq!(ops(&anew, "c"), ["t", "r2", "r3"]);
}

#[tokio::test]
async fn a_silent_collection_moves_on_while_others_are_written() {
    let database = Database::new("silent").await;
    database.insert("c", numbered(1, 1)).await;
    let first = follow(&database, "c", None).await;
    database.insert("other", numbered(1, 10)).await;
    let second = follow(&database, "c", Some(first.end())).await;
    assert_ne!(first.end().position, second.end().position);
}
