//! Slots that are not there, or not where the stream has come to.

use std::time::Duration;

use tidemark::error::Kind;

use super::super::database::assert_error;
use super::{Log, made, with_slot};

/// What is missing is named, with what makes it.
pub async fn what_a_stream_needs_is_named(server: &str) {
    let database = made(server).await;
    let mut log = Log::new(&database).await;
    let slot = log.slot().to_owned();
    log.set("slot", "nobodys");
    let made = "SELECT pg_create_logical_replication_slot('nobodys', 'pgoutput'";
    assert_error(&log.refusal().await, Kind::Config, &["nobodys", made, "check --create"]);
    log.set("slot", &slot);
    log.set("publication", "none");
    assert_error(&log.refusal().await, Kind::Config, &["\"none\"", "CREATE PUBLICATION \"none\" FOR TABLE"]);
    log.set("publication", "pub");
    log.whole().await;
}

/// Whoever is second is told who is first, and nothing of the log is lost to either.
pub async fn a_slot_that_somebody_reads(server: &str) {
    let database = made(server).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    log.following.goes_on = true;
    let mut first = log.open().await.unwrap();
    let error = match log.open_at_once().await {
        Ok(mut second) => second.next().await.expect_err("it is in use"),
        Err(error) => error,
    };
    assert_error(&error, Kind::Unavailable, &[log.slot()]);
    database.run("INSERT INTO a VALUES (1, 1)").await;
    let taken = async {
        while log.seen.is_empty() {
            log.take(&mut *first, 1).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), taken).await.unwrap();
    assert_eq!(log.ops(), ["a c 1 1"]);
}

/// The log that it had not read is gone: an error, or a new snapshot of all by choice.
pub async fn a_slot_that_was_moved_on_or_dropped(server: &str) {
    let database = made(server).await;
    database.run("INSERT INTO a VALUES (1, 1), (2, 2); INSERT INTO b VALUES (3, 3)").await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    let moved = "SELECT pg_replication_slot_advance(current_database(), pg_current_wal_lsn())";
    let dropped = "SELECT pg_drop_replication_slot(current_database())";
    let anew = format!("{dropped}; INSERT INTO a VALUES (11, 1)");
    for (at, (harm, words)) in
        [(moved, "was read by somebody else"), (dropped, "there is no replication slot"), (anew.as_str(), "made anew")]
            .into_iter()
            .enumerate()
    {
        database.run(&format!("DELETE FROM a WHERE id = 1 + {at}")).await;
        database.run("UPDATE b SET v = v + 1").await;
        log.is_left().await;
        for statement in harm.split("; ") {
            database.run(statement).await;
        }
        if words == "made anew" {
            with_slot(&database).await;
        }
        log.keys.retain(|(key, _)| *key != "on_lost");
        let error = log.refusal().await;
        assert_error(&error, Kind::Lost, &[words, "--full-refresh", "on_lost"]);
        log.set("on_lost", "snapshot");
        log.whole().await;
        assert_eq!(log.count("t"), 2, "{:?}", log.ops());
        log.is_the_tables(harm).await;
        database.run("UPDATE b SET v = v + 1").await;
        log.whole().await;
        assert_eq!((log.count("u"), log.seen.len()), (1, 1), "{:?}", log.ops());
    }
}

/// It goes while it is read: the run ends with an error, and the next one says what is lost.
pub async fn a_slot_that_is_dropped_while_it_is_read(server: &str) {
    let database = made(server).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    log.following.goes_on = true;
    let mut reader = log.open().await.unwrap();
    let _ = tokio::time::timeout(Duration::from_millis(300), log.take(&mut *reader, usize::MAX)).await;
    let end =
        "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = current_database()";
    database.run(end).await;
    database.run("SELECT pg_drop_replication_slot(current_database())").await;
    let ended = tokio::time::timeout(Duration::from_secs(20), log.take(&mut *reader, usize::MAX)).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), Kind::Unavailable);
    drop(reader);
    assert_error(&log.refusal().await, Kind::Lost, &["there is no replication slot"]);
}

/// The publication goes while it is read: it is not taken for a log without changes.
pub async fn a_publication_that_is_dropped_while_it_is_read(server: &str) {
    let database = made(server).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    database.run("DROP PUBLICATION pub").await;
    database.run("INSERT INTO a VALUES (1, 1)").await;
    assert_error(&log.refusal().await, Kind::Config, &["pub"]);
    database.run("CREATE PUBLICATION pub FOR ALL TABLES").await;
    database.run("INSERT INTO a VALUES (2, 2)").await;
    if database.version().await >= 18 {
        // There the server passes over what nobody publishes.
        log.whole().await;
        log.is_the_tables("published again").await;
        return;
    }
    // Here it cannot read on, and says so; a new beginning can.
    assert_error(&log.refusal().await, Kind::Config, &["publication"]);
    log.following = super::beginnings::again("x", tidemark::source::What::All);
    log.whole().await;
    log.is_the_tables("begun anew").await;
}

/// A place from a stream of another kind, or beyond the log.
pub async fn places_that_are_none(server: &str) {
    let database = made(server).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    let after = log.after.clone();
    log.after = log.moved("nonsense");
    assert_eq!(log.refusal().await.kind(), Kind::Conflict);
    log.after = after;
    log.whole().await;
}
