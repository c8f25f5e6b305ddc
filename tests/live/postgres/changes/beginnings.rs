//! Streams that begin where somebody says, or again.

use tidemark::error::Kind;
use tidemark::source::{Following, What};

use super::super::database::assert_error;
use super::{Log, made};

pub fn again(run: &str, what: What) -> Following {
    Following { again: Some(what), run: run.to_owned(), ..Following::default() }
}

/// As each run asks, which has a name of its own.
fn from(place: &str) -> Following {
    let run = uuid::Uuid::now_v7().to_string();
    Following { from: Some(place.to_owned()), run, ..Following::default() }
}

const ROWS: &str = "INSERT INTO a VALUES (1, 1), (2, 2); INSERT INTO b VALUES (3, 3)";

pub async fn at_places_that_are_named(server: &str) {
    let database = made(server).await;
    database.run("INSERT INTO a VALUES (1, 1)").await;
    let place = database.text("SELECT pg_current_wal_insert_lsn()").await;
    database.run("INSERT INTO a VALUES (2, 2)").await;
    database.run("UPDATE a SET v = 3 WHERE id = 1").await;
    for (wanted, expected) in
        [("earliest", &["a c 1 1", "a c 2 2", "a u 1 3"][..]), (place.as_str(), &["a c 2 2", "a u 1 3"]), ("now", &[])]
    {
        let mut log = Log::new(&database).await;
        // What it takes is not confirmed, so that the next one can begin before it.
        log.set("slot", &format!("{}_{}", log.slot(), expected.len()));
        let slot = log.slot().to_owned();
        let copy = format!("SELECT pg_copy_logical_replication_slot(current_database()::text, '{slot}')");
        database.run(&copy).await;
        log.following = from(wanted);
        log.whole().await;
        let of_a: Vec<_> = log.ops().into_iter().filter(|shown| shown.starts_with("a ")).collect();
        assert_eq!(of_a, expected, "{wanted}");
        // It goes on like any other.
        log.following = Following::default();
        database.run("INSERT INTO b VALUES (5, 5)").await;
        database.run("DELETE FROM b").await;
        log.whole().await;
        assert_eq!(log.ops(), ["b c 5 5", "b d 5 -"], "{wanted}");
        log.following = from(wanted);
        let error = log.refusal().await;
        assert_error(&error, Kind::Config, &["has come to a place already"]);
    }
    let mut log = Log::new(&database).await;
    log.following = from("0/1");
    assert_error(&log.refusal().await, Kind::Lost, &["begins at"]);
    log.following = from("yesterday");
    assert_error(&log.refusal().await, Kind::Config, &["yesterday", "earliest"]);
}

/// A table is read from its beginning while the log goes on; and once for each wish, however often its run is begun.
pub async fn tables_by_name(server: &str) {
    let database = made(server).await;
    database.run(ROWS).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    database.run("UPDATE b SET v = 4").await;
    // As if something had gone wrong.
    log.present.retain(|(table, _), _| table != "a");
    log.following = again("x", What::Tables(vec!["a".to_owned()]));
    log.whole().await;
    assert_eq!(log.ops_of("a"), ["t - -", "r 1 1", "r 2 2"]);
    assert_eq!(log.ops_of("b"), ["u 3 4"]);
    log.is_the_tables("again").await;
    log.whole().await;
    assert!(log.seen.is_empty(), "{:?}", log.seen);
    log.following = again("y", What::Tables(vec!["nobody".to_owned()]));
    assert_error(&log.refusal().await, Kind::Config, &["no table nobody"]);
}

/// All tables from the log's end on; it is cut off in the midst, and the same run tries again.
pub async fn all_of_it(server: &str) {
    let database = made(server).await;
    database.run(ROWS).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    for statement in [
        "ALTER TABLE a ADD more int DEFAULT 6",
        "INSERT INTO a VALUES (5, 5)",
        "DELETE FROM a WHERE id = 1",
        "UPDATE b SET v = 9",
    ] {
        database.run(statement).await;
    }
    log.following = again("x", What::All);
    for events in 1..12 {
        log.run(events).await.unwrap();
    }
    log.whole().await;
    log.is_the_tables("again").await;
    assert!(log.tables["a"].schema.field_with_name("more").is_ok());
}

/// A table that is gone by then has no rows left.
pub async fn all_but_what_is_gone(server: &str) {
    let database = made(server).await;
    database.run(ROWS).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    database.run("DROP TABLE b; UPDATE a SET v = 8 WHERE id = 1").await;
    log.following = again("x", What::All);
    log.whole().await;
    assert!(log.present.keys().all(|(table, _)| table == "a"), "{:?}", log.present);
    log.following = Following::default();
    database.run("CREATE TABLE b (id int PRIMARY KEY, v int)").await;
    database.run("INSERT INTO b VALUES (9, 9)").await;
    log.whole().await;
    log.is_the_tables("b is back").await;
}

pub async fn without_a_snapshot(server: &str) {
    let database = made(server).await;
    database.run(ROWS).await;
    database.run("SELECT pg_drop_replication_slot(current_database())").await;
    super::with_slot(&database).await;
    let mut log = Log::new(&database).await;
    log.set("snapshot", "never");
    log.whole().await;
    assert!(log.seen.is_empty(), "{:?}", log.seen);
    database.run("UPDATE a SET v = 7 WHERE id = 1").await;
    database.run("INSERT INTO b VALUES (4, 4)").await;
    log.whole().await;
    assert_eq!(log.ops(), ["a u 1 7", "b c 4 4"]);
}

pub async fn nothing_but_a_snapshot(server: &str) {
    let database = made(server).await;
    database.run(ROWS).await;
    let mut log = Log::new(&database).await;
    log.set("snapshot", "only");
    log.following.goes_on = true;
    log.whole().await;
    log.is_the_tables("a snapshot").await;
    database.run("UPDATE a SET v = 7").await;
    log.whole().await;
    assert!(log.seen.is_empty(), "{:?}", log.seen);
}
