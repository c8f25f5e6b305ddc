//! A snapshot and then what changes, whatever others write meanwhile, and wherever it is cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidemark::source::What;

use super::super::database::{Database, connect};
use super::super::replication::comes_true;
use super::beginnings::again;
use super::{Log, made, with_slot};

pub async fn a_snapshot_and_then_what_changes(server: &str) {
    let database = made(server).await;
    database.run("INSERT INTO a VALUES (1, 10), (2, 20), (3, null)").await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    assert_eq!(log.ops(), ["a r 1 10", "a r 2 20", "a r 3 -"]);
    assert!(log.tables.contains_key("b"), "an empty table arrives too");

    for sql in [
        "INSERT INTO b VALUES (5, 50)",
        "UPDATE a SET v = 11 WHERE id = 1",
        "UPDATE a SET id = 9 WHERE id = 2",
        "DELETE FROM a WHERE id = 3",
        "BEGIN; INSERT INTO b VALUES (6, 60); ROLLBACK",
        "BEGIN; INSERT INTO b VALUES (7, 70); SAVEPOINT s; INSERT INTO b VALUES (8, 80); ROLLBACK TO s; COMMIT",
    ] {
        database.run(sql).await;
    }
    log.whole().await;
    // A row that leaves its key goes, and comes to the other one.
    assert_eq!(log.ops_of("a"), ["u 1 11", "d 2 -", "c 9 20", "d 3 -"]);
    assert_eq!(log.ops_of("b"), ["c 5 50", "c 7 70"]);
    log.is_the_tables("changes").await;

    log.whole().await;
    assert!(log.seen.is_empty());
    database.run("TRUNCATE a, b; INSERT INTO a VALUES (4, 40)").await;
    log.whole().await;
    assert_eq!(log.ops_of("a"), ["t - -", "c 4 40"]);
    assert_eq!(log.ops_of("b"), ["t - -"]);
    log.is_the_tables("truncated").await;
}

/// Readers are dropped behind any event, while others write: what stood at the last checkpoint goes on there.
pub async fn what_is_cut_off_goes_on(server: &str) {
    let database = made(server).await;
    database.run("INSERT INTO a SELECT id, 0 FROM generate_series(0, 199) AS id").await;
    let ended = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> =
        (0..3).map(|number| tokio::spawn(write(number, database.url.clone(), ended.clone()))).collect();
    let mut log = Log::new(&database).await;
    let mut cut = 0;
    for turn in 0..60usize {
        cut += usize::from(!log.run(1 + turn * 7 % 40).await.unwrap());
    }
    ended.store(true, Ordering::Release);
    for writer in writers {
        writer.await.unwrap();
    }
    log.whole().await;
    log.is_the_tables("cut off").await;
    assert!(cut > 10, "{cut} of 60 runs were cut off");
}

async fn write(number: u64, url: String, ended: Arc<AtomicBool>) {
    let client = connect(&url).await;
    let mut chance = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(number + 1);
    let mut below = |end: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % end
    };
    while !ended.load(Ordering::Acquire) {
        client.batch_execute("BEGIN").await.unwrap();
        for _ in 0..=below(4) {
            let table = if below(2) == 0 { "a" } else { "b" };
            // Each writer has keys of its own, so that none waits for another.
            let (id, to) = (below(100) * 3 + number, below(100) * 3 + number);
            let sql = match below(4) {
                0 => format!("DELETE FROM {table} WHERE id = {id}"),
                1 => format!(
                    "UPDATE {table} SET id = {to} WHERE id = {id} AND NOT EXISTS (SELECT FROM {table} WHERE id = {to})"
                ),
                _ => format!("INSERT INTO {table} VALUES ({id}, 1) ON CONFLICT (id) DO UPDATE SET v = {table}.v + 1"),
            };
            client.batch_execute(&sql).await.unwrap();
            if below(9) == 0 {
                let sql = format!("SAVEPOINT s; DELETE FROM {table} WHERE id % 3 = {number}; ROLLBACK TO s");
                client.batch_execute(&sql).await.unwrap();
            }
        }
        client.batch_execute(if below(6) == 0 { "ROLLBACK" } else { "COMMIT" }).await.unwrap();
        tokio::time::sleep(Duration::from_millis(below(8))).await;
    }
}

/// A table that comes to the stream is read while the log goes on; one that leaves it is left, and read anew when it comes back.
pub async fn tables_come_and_go(server: &str) {
    let database = made(server).await;
    database.run("INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (2, 2), (3, 3)").await;
    let mut log = Log::new(&database).await;
    log.set("tables", "a");
    log.whole().await;
    assert_eq!(log.ops(), ["a r 1 1"]);
    database.run("UPDATE b SET v = 9; UPDATE a SET v = 9").await;
    log.set("tables", "a, b");
    log.whole().await;
    assert_eq!(log.ops_of("a"), ["u 1 9"]);
    assert_eq!(log.ops_of("b"), ["r 2 9", "r 3 9"]);
    log.is_the_tables("it came").await;
    log.set("tables", "a");
    log.whole().await;
    database.run("DELETE FROM b WHERE id = 2; UPDATE b SET v = 4").await;
    log.whole().await;
    assert!(log.seen.is_empty());
    log.set("tables", "a, b");
    log.whole().await;
    assert_eq!(log.ops(), ["b t - -", "b r 3 4"]);
    log.is_the_tables("it came back").await;
}

/// Others write, and our tables are silent: the place moves all the same, and the server may forget what is before.
pub async fn idle_tables_hold_no_log(server: &str) {
    let database = made(server).await;
    database.run("CREATE TABLE other (t text); DROP PUBLICATION pub; CREATE PUBLICATION pub FOR TABLE a, b").await;
    // The publication is to be older than the slot.
    database.run("SELECT pg_drop_replication_slot(current_database())").await;
    with_slot(&database).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    log.following.goes_on = true;
    let mut reader = log.open().await.unwrap();
    let slot = log.slot().to_owned();
    let confirmed = async || database.confirmed(&slot).await;
    for _ in 0..3 {
        database.run("INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 1000)").await;
        let end = database.text("SELECT pg_current_wal_flush_lsn()").await.parse().unwrap();
        for _ in 0..100 {
            if confirmed().await >= end {
                break;
            }
            // Whatever comes, until that is confirmed.
            let _ = tokio::time::timeout(Duration::from_millis(100), log.take(&mut *reader, 1)).await;
        }
        assert!(confirmed().await >= end);
    }
    assert!(log.seen.is_empty());
    drop(reader);
    database.run("INSERT INTO a VALUES (1, 1)").await;
    log.following.goes_on = false;
    log.whole().await;
    assert_eq!(log.ops(), ["a c 1 1"]);
}

/// Nothing of a place is told to the server before somebody says that it is safe.
pub async fn only_what_is_committed_is_confirmed(server: &str) {
    let database = made(server).await;
    // So that the server asks for our place every second.
    database.set("wal_sender_timeout = '2s'").await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    let slot = log.slot().to_owned();
    log.following.goes_on = true;
    let mut reader = log.open().await.unwrap();
    let before = database.confirmed(&slot).await;
    database.run("INSERT INTO a VALUES (1, 1)").await;
    let mut last = None;
    for _ in 0..40 {
        let next = tokio::time::timeout(Duration::from_millis(100), reader.next()).await;
        if let Ok(Ok(Some(tidemark::record::Event::Checkpoint(checkpoint)))) = next {
            last = Some(checkpoint);
        }
    }
    assert_eq!(database.confirmed(&slot).await, before);
    reader.ack(&last.unwrap().position).await.unwrap();
    comes_true("it is confirmed", async || database.confirmed(&slot).await > before).await;
}

/// Another database's changes are in the same log, and none of ours.
pub async fn two_databases(server: &str) {
    let (one, other) = (made(server).await, made(server).await);
    let (mut of_one, mut of_other) = (Log::new(&one).await, Log::new(&other).await);
    of_one.whole().await;
    of_other.whole().await;
    one.run("INSERT INTO a VALUES (1, 1)").await;
    other.run("INSERT INTO a VALUES (2, 2)").await;
    of_one.whole().await;
    of_other.whole().await;
    assert_eq!((of_one.ops(), of_other.ops()), (vec!["a c 1 1".to_owned()], vec!["a c 2 2".to_owned()]));
    of_one.is_the_tables("one").await;
    of_other.is_the_tables("the other").await;
    // A slot of another database is refused by its name.
    let slot = of_other.slot().to_owned();
    of_one.set("slot", &slot);
    let error = of_one.refusal().await;
    assert!(error.to_string().contains(&slot), "{error}");
}

/// A schema that names without one are of, beside tables of the same names in another.
pub async fn another_schema(server: &str) {
    let database = made(server).await;
    database.run("CREATE SCHEMA s; CREATE TABLE s.a (id int PRIMARY KEY, v int); INSERT INTO s.a VALUES (1, 10)").await;
    database.run("INSERT INTO a VALUES (1, 20); INSERT INTO b VALUES (1, 30)").await;
    let mut log = Log::new(&database).await;
    log.schema = Some("s");
    log.set("tables", "a, public.a, public.b");
    log.whole().await;
    let mut all = log.ops();
    all.sort();
    assert_eq!(all, ["a r 1 20", "b r 1 30", "s.a r 1 10"]);
    log.following = again("x", What::Tables(vec!["a".to_owned()]));
    database.run("UPDATE s.a SET v = 11; UPDATE a SET v = 21; UPDATE b SET v = 31").await;
    log.whole().await;
    assert_eq!(log.ops_of("s.a"), ["t - -", "r 1 11"]);
    assert_eq!((log.ops_of("a"), log.ops_of("b")), (vec!["u 1 21".to_owned()], vec!["u 1 31".to_owned()]));
}

/// Names that need quotes, or that others have in another schema.
pub async fn odd_names(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            r#"CREATE SCHEMA "Sch.ema"; CREATE TABLE "Sch.ema"."T ""q"" é" (id int PRIMARY KEY, v int, "Sp ace" int, "select" int);
               CREATE TABLE a (id int PRIMARY KEY, v int); CREATE SCHEMA s; CREATE TABLE s.a (id int PRIMARY KEY, v int);
               INSERT INTO "Sch.ema"."T ""q"" é" VALUES (1, 1, 1, 1); INSERT INTO a VALUES (1, 10); INSERT INTO s.a VALUES (1, 20);
               CREATE PUBLICATION "pub ""of"" a's" FOR ALL TABLES"#,
        )
        .await;
    with_slot(&database).await;
    let mut log = Log::new(&database).await;
    log.set("publication", r#"pub "of" a's"#);
    log.set("tables", r#"a, s.a, "Sch.ema"."T ""q"" é""#);
    log.whole().await;
    assert_eq!(log.seen.len(), 3, "{:?}", log.ops());
    database.run(r#"UPDATE "Sch.ema"."T ""q"" é" SET "Sp ace" = 7; UPDATE a SET v = 11; UPDATE s.a SET v = 21"#).await;
    log.whole().await;
    let mut values: Vec<_> = log.seen.iter().map(|seen| (seen.op.as_str(), seen.row["v"].clone().unwrap())).collect();
    values.sort();
    assert_eq!(values, [("u", "1".to_owned()), ("u", "11".to_owned()), ("u", "21".to_owned())]);
    assert!(log.seen.iter().any(|seen| seen.row.get("Sp ace") == Some(&Some("7".to_owned()))));
}
