//! All tables of a run at one moment, and every way in which that can fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidemark::error::Kind;
use tidemark::source::Source;

use super::database::{Database, RUN, assert_error, make, only, read, streams};

/// Opens a table and reads it to its end.
async fn all(source: &dyn Source, table: &str) -> Result<super::database::Read, tidemark::error::Error> {
    let stream = only(source, &[("table", table), RUN]).await;
    read(source.open(&stream, None).await?).await
}

pub async fn all_tables_of_a_run_at_one_moment(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "CREATE TABLE a (v int); CREATE TABLE b (v int);
             INSERT INTO a SELECT generate_series(1, 1000)",
        )
        .await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (stop, url) = (stop.clone(), database.url.clone());
        tokio::spawn(async move {
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            while !stop.load(Ordering::Relaxed) {
                // A row is in one of them at any moment.
                let there = "WITH m AS (DELETE FROM a WHERE v IN (SELECT v FROM a LIMIT 7) RETURNING v) INSERT INTO b SELECT v FROM m";
                let back = "WITH m AS (DELETE FROM b WHERE v IN (SELECT v FROM b LIMIT 3) RETURNING v) INSERT INTO a SELECT v FROM m";
                client.batch_execute(&format!("{there}; {back}")).await.unwrap();
            }
        })
    };
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        let source = database.source();
        let mut values = all(&*source, "a").await.unwrap().column("v");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let second = all(&*source, "b").await.unwrap();
        let third = all(&*source, "a").await.unwrap();
        assert_eq!(second.end, third.end);
        assert_eq!(third.column("v"), values);
        values.extend(second.column("v"));
        values.sort_by_key(|value| value.as_ref().unwrap().parse::<i32>().unwrap());
        let expected: Vec<_> = (1..=1000).map(|n| Some(n.to_string())).collect();
        assert_eq!(values, expected);
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
}

pub async fn a_server_that_exports_no_snapshot(server: &str) {
    let database = Database::create(server).await;
    let role = database.role("reader").await;
    database
        .run(&format!(
            "CREATE TABLE t (id int); INSERT INTO t VALUES (1); GRANT SELECT ON t TO {role};
             REVOKE EXECUTE ON FUNCTION pg_export_snapshot() FROM PUBLIC"
        ))
        .await;
    let source = make(&[("url", &database.url_of(&role, "pw"))]);
    let before = all(&*source, "t").await.unwrap();
    database.run("INSERT INTO t VALUES (2)").await;
    let after = all(&*source, "t").await.unwrap();
    assert_eq!((before.rows(), after.rows()), (1, 2));
    assert_ne!(before.end, after.end);
}

pub async fn a_lost_snapshot_ends_the_run(server: &str) {
    let database = Database::create(server).await;
    database.run("CREATE TABLE t (id int); INSERT INTO t VALUES (1)").await;
    let source = database.source();
    all(&*source, "t").await.unwrap();
    database
        .run(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL",
        )
        .await;
    for _ in 0..2 {
        let error = all(&*source, "t").await.unwrap_err();
        assert_error(&error, Kind::Unavailable, &["snapshot is gone", "new snapshot"]);
    }
    assert_eq!(all(&*database.source(), "t").await.unwrap().rows(), 1);
}

pub async fn what_a_snapshot_does_not_show_is_refused(server: &str) {
    let database = Database::create(server).await;
    for change in [
        "TRUNCATE t; INSERT INTO t VALUES (2)",
        "ALTER TABLE t ALTER COLUMN id TYPE text",
        "ALTER TABLE t RENAME TO t_old; CREATE TABLE t (id int); INSERT INTO t VALUES (2)",
        "DROP TABLE t; CREATE TABLE t (id int); INSERT INTO t VALUES (2)",
        "TRUNCATE p_1",
        "ALTER TABLE p DETACH PARTITION p_1",
        "CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (10) TO (20); INSERT INTO p VALUES (11)",
    ] {
        database
            .run(
                "DROP TABLE IF EXISTS t, t_old, p, p_1, first CASCADE; CREATE TABLE first (id int);
                 CREATE TABLE t (id int); INSERT INTO t VALUES (1); CREATE OR REPLACE VIEW v AS SELECT 1 AS id;
                 CREATE TABLE p (id int) PARTITION BY RANGE (id);
                 CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (10); INSERT INTO p VALUES (1)",
            )
            .await;
        let source = database.source();
        all(&*source, "first").await.unwrap();
        database.run(change).await;
        let table = if change.contains('p') && !change.contains(" t") { "p" } else { "t" };
        let query = format!("SELECT * FROM {table}");
        for stream in [("table", table), ("query", query.as_str())] {
            let stream = only(&*source, &[stream, RUN]).await;
            let error = source.open(&stream, None).await.err().expect(change);
            assert_error(&error, Kind::Unavailable, &["snapshot", table]);
        }
    }
    // What leaves the rows alone is let by.
    database.run("CREATE TABLE calm (id int); INSERT INTO calm VALUES (1)").await;
    let source = database.source();
    all(&*source, "first").await.unwrap();
    database.run("ALTER TABLE calm ADD COLUMN more int; CREATE INDEX ON calm (id); INSERT INTO calm VALUES (2)").await;
    let calm = all(&*source, "calm").await.unwrap();
    assert_eq!((calm.rows(), calm.table.schema.fields().len()), (1, 1));
}

pub async fn a_connection_cut_in_the_middle_is_no_end(server: &str) {
    let database = Database::create(server).await;
    let source = database.source();
    let stream = only(&*source, &[("query", "SELECT n FROM generate_series(1, 100000000) AS n"), RUN]).await;
    let mut reader = source.open(&stream, None).await.unwrap();
    for _ in 0..3 {
        reader.next().await.unwrap().unwrap();
    }
    database
        .run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%'")
        .await;
    let error = loop {
        match reader.next().await {
            Ok(event) => assert!(event.is_some(), "an end that is none"),
            Err(error) => break error,
        }
    };
    assert_error(&error, Kind::Unavailable, &[]);
}

pub async fn a_dropped_reader_ends_its_query(server: &str) {
    let database = Database::create(server).await;
    let source = database.source();
    // Sends rows from the start: a server that still computes its first one does not notice that nobody listens.
    let query = "SELECT n FROM (SELECT generate_series(1, 100000000) AS n) AS numbers";
    let stream = only(&*source, &[("query", query), RUN]).await;
    let mut reader = source.open(&stream, None).await.unwrap();
    reader.next().await.unwrap().unwrap();
    drop(reader);
    drop(source);
    database.wait_for_no_backend().await;
}

pub async fn a_locked_table_is_waited_for(server: &str) {
    let database = Database::create(server).await;
    database.run("CREATE TABLE t (id int); INSERT INTO t VALUES (1)").await;
    let source = make(&[("url", &database.url), ("lock_timeout", "200ms")]);
    let stream = streams(&*source, &[("table", "t")]).await.unwrap().remove(0);
    database.run("BEGIN; LOCK TABLE t").await;
    let error = source.open(&stream, None).await.err().unwrap();
    assert_error(&error, Kind::Unavailable, &["lock", "`lock_timeout`"]);
    database.run("COMMIT").await;
    assert_eq!(read(source.open(&stream, None).await.unwrap()).await.unwrap().rows(), 1);
}
