//! What seldom happens, and would be lost in silence.

use std::time::Duration;

use tidemark::error::Kind;

use super::super::database::{Database, assert_error, connect};
use super::altered::{place, until};
use super::identities::changes;
use super::{Log, made, with_slot};

/// No compression makes it small, and it is kept out of its row.
const BIG: &str = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 200) AS n)";

async fn published(server: &str, tables: &str, what: &str) -> Database {
    let database = Database::create(server).await;
    database.run(tables).await;
    database.run(&format!("CREATE PUBLICATION pub {what}")).await;
    with_slot(&database).await;
    database
}

/// What was committed last is told to the server when a run begins: not of another log, which would move the slot past what is to come.
pub async fn a_place_of_another_log_is_not_confirmed(server: &str) {
    let database = made(server).await;
    database.run("INSERT INTO a VALUES (1, 1)").await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    log.after = log.moved("FFF/0");
    assert_error(&log.refusal().await, Kind::Lost, &["FFF/0"]);
    log.set("on_lost", "snapshot");
    let mut reader = log.open().await.unwrap();
    reader.ack(&log.after.as_ref().unwrap().position).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    drop(reader);
    database.run("INSERT INTO a VALUES (2, 2)").await;
    log.whole().await;
    database.run("INSERT INTO a VALUES (3, 3)").await;
    log.whole().await;
    log.is_the_tables("anew").await;
    assert_eq!(log.ops(), ["a c 3 3"]);
}

/// The log does not tell what a transaction wrote of a table before that was published.
pub async fn who_wrote_before_a_table_was_published(server: &str) {
    let table = "(id int PRIMARY KEY, v int)";
    let tables = format!("CREATE TABLE a {table}; CREATE TABLE b {table}; CREATE TABLE c {table}");
    let database = published(server, &tables, "FOR TABLE a, b").await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    let (writer, stranger) = (connect(&database.url).await, connect(&database.url).await);
    writer.batch_execute("BEGIN; INSERT INTO c VALUES (1, 1)").await.unwrap();
    stranger.batch_execute("BEGIN; INSERT INTO b VALUES (9, 9)").await.unwrap();
    database.run("ALTER PUBLICATION pub ADD TABLE c; INSERT INTO c VALUES (2, 2)").await;
    log.set("tables", "a, b, c");
    log.following.goes_on = true;
    let mut reader = log.open().await.unwrap();
    let _ = tokio::time::timeout(Duration::from_secs(8), log.take(&mut *reader, usize::MAX)).await;
    assert!(!log.seen.iter().any(|seen| seen.table == "c"), "{:?}", log.ops());
    writer.batch_execute("INSERT INTO c VALUES (3, 3); COMMIT").await.unwrap();
    until(&mut log, &mut *reader, place(&database).await).await;
    log.is(&["a", "c"], "published").await;
    assert_eq!(log.present.len(), 3, "{:?}", log.ops());
}

/// Partitions have replica identities of their own, which the log does not tell.
pub async fn partitions_of_other_identities(server: &str) {
    let tables = "CREATE TABLE a (id int PRIMARY KEY, v int, note text) PARTITION BY RANGE (id);
        CREATE TABLE a1 PARTITION OF a FOR VALUES FROM (0) TO (100); ALTER TABLE a REPLICA IDENTITY FULL;
        ALTER TABLE a1 ALTER note SET STORAGE EXTERNAL; ALTER TABLE a1 ALTER v SET NOT NULL; CREATE UNIQUE INDEX i ON a1 (v)";
    let database = published(server, tables, "FOR TABLE a WITH (publish_via_partition_root = true)").await;
    database.run(&format!("INSERT INTO a VALUES (1, 1, {BIG}), (2, 2, {BIG}), (3, 3, NULL)")).await;
    let mut log = Log::new(&database).await;
    log.set("tables", "a");
    log.whole().await;
    database.run("UPDATE a SET v = v + 10; UPDATE a SET id = 12 WHERE id = 2").await;
    let mut reader = log.open().await.unwrap();
    let changes = changes(&mut *reader, 5).await;
    assert_eq!(changes, ["u 1 [note]", "u 2 [note]", "u 3 -", "d 2 -", "c 12 [note]"]);
    drop(reader);
    database.run("ALTER TABLE a1 REPLICA IDENTITY USING INDEX i; DELETE FROM a WHERE id = 1").await;
    assert_error(&log.refusal().await, Kind::Config, &["REPLICA IDENTITY", "partitions"]);
}

/// A key may be so long that it is left away itself.
pub async fn a_key_that_is_not_sent(server: &str) {
    let tables = "CREATE TABLE a (id text PRIMARY KEY, v int, note text); ALTER TABLE a ALTER id SET STORAGE EXTERNAL";
    let database = published(server, tables, "FOR TABLE a").await;
    let key = "(SELECT left(string_agg(md5(n::text), ''), 2300) FROM generate_series(1, 90) AS n)";
    database.run(&format!("INSERT INTO a VALUES ({key}, 1, {BIG})")).await;
    let mut log = Log::new(&database).await;
    log.set("tables", "a");
    log.whole().await;
    database.run("UPDATE a SET v = 2").await;
    log.whole().await;
    assert_eq!((log.count("u"), log.seen[0].unchanged.join(" ")), (1, "note".to_owned()));
    log.is(&["a"], "a long key").await;
}

/// A table that went and has come back may have rows that were written while it was not published.
pub async fn a_table_comes_back_with_rows(server: &str) {
    let table = "(id int PRIMARY KEY, v int)";
    let database =
        published(server, &format!("CREATE TABLE a {table}; CREATE TABLE b {table}"), "FOR TABLE a, b").await;
    database.run("INSERT INTO a VALUES (1, 1)").await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    database.run("DROP TABLE a").await;
    log.whole().await;
    assert_eq!(log.ops(), ["a t - -"]);
    let back =
        format!("CREATE TABLE a {table}; INSERT INTO a VALUES (2, 2), (3, 3); ALTER PUBLICATION pub ADD TABLE a");
    database.run(&back).await;
    log.whole().await;
    log.is_the_tables("back").await;
    assert_eq!(log.present.len(), 2);

    database.run("DROP TABLE a").await;
    log.whole().await;
    log.following.goes_on = true;
    let mut reader = log.open().await.unwrap();
    database.run(&back).await;
    let (seen, deadline) = (|log: &Log<'_>| log.seen.iter().filter(|seen| seen.op == "r").count(), 400);
    for _ in 0..deadline {
        let next = tokio::time::timeout(Duration::from_millis(50), log.take(&mut *reader, 1)).await;
        next.map_or(Ok(false), |taken| taken).unwrap();
        if seen(&log) == 2 {
            break;
        }
    }
    log.is_the_tables("back while it is followed").await;
}

/// Rows of partitions get values by a default that nobody sees afterwards.
pub async fn partitions_are_filled_by_a_default(server: &str) {
    let tables = "CREATE TABLE a (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
        CREATE TABLE a1 PARTITION OF a FOR VALUES FROM (0) TO (100)";
    let database = published(server, tables, "FOR TABLE a WITH (publish_via_partition_root = true)").await;
    database.run("INSERT INTO a VALUES (1, 1), (2, 2)").await;
    let mut log = Log::new(&database).await;
    log.set("tables", "a");
    log.whole().await;
    database
        .run("BEGIN; ALTER TABLE a ADD c text DEFAULT gen_random_uuid()::text; ALTER TABLE a ALTER c DROP DEFAULT; UPDATE a SET v = 9 WHERE id = 1; COMMIT")
        .await;
    log.whole().await;
    log.is(&["a"], "filled").await;
    assert!(log.present.values().all(|row| row["c"].is_some()), "{:?}", log.present);
}

/// What is published of a generated column differs by version; a table with one is not read anew for that.
pub async fn generated_columns_come_once(server: &str) {
    let tables = "CREATE TABLE a (id int PRIMARY KEY, v int, w int GENERATED ALWAYS AS (v * 2) STORED)";
    let database = published(server, tables, "FOR TABLE a").await;
    database.run("INSERT INTO a VALUES (1, 1)").await;
    let mut log = Log::new(&database).await;
    log.set("tables", "a");
    log.whole().await;
    for v in 2..5 {
        database.run(&format!("UPDATE a SET v = {v}")).await;
        log.whole().await;
        assert_eq!(log.ops(), [format!("a u 1 {v}")]);
        assert!(!log.seen[0].row.contains_key("w"));
    }
}

/// The server goes on to tell rows of a partitioned table that was renamed by the name that it had.
pub async fn a_partitioned_table_is_renamed(server: &str) {
    let parted = |name: &str| {
        format!(
            "CREATE TABLE {name} (id int PRIMARY KEY, v int) PARTITION BY RANGE (id); \
             CREATE TABLE {name}_1 PARTITION OF {name} FOR VALUES FROM (0) TO (1000)"
        )
    };
    let database = published(server, &parted("a"), "FOR ALL TABLES WITH (publish_via_partition_root = true)").await;
    database.run("INSERT INTO a VALUES (1, 1)").await;
    let mut log = Log::new(&database).await;
    log.set("tables", "a");
    log.whole().await;
    log.following.goes_on = true;
    let mut reader = log.open().await.unwrap();
    database.run("INSERT INTO a VALUES (2, 2)").await;
    until(&mut log, &mut *reader, place(&database).await).await;
    database.run("ALTER TABLE a RENAME TO old; ALTER TABLE a_1 RENAME TO old_1").await;
    database.run(&format!("{}; INSERT INTO old VALUES (3, 3); INSERT INTO a VALUES (4, 4)", parted("a"))).await;
    for id in 5..40 {
        database.run(&format!("INSERT INTO old VALUES ({id}, 5); INSERT INTO a VALUES ({id}, 6)")).await;
    }
    until(&mut log, &mut *reader, place(&database).await).await;
    log.is(&["a"], "renamed").await;
    assert!(log.count("t") <= 2, "{:?}", log.ops());
}

/// What is told by names is told alike by a snapshot and by the log.
pub async fn names_of_tables_as_values(server: &str) {
    let database = published(server, "CREATE TABLE a (id int PRIMARY KEY, v regclass)", "FOR TABLE a").await;
    database
        .run("CREATE SCHEMA s; CREATE TABLE s.t (); INSERT INTO a VALUES (1, 'a'), (2, 's.t'), (3, 'pg_class')")
        .await;
    let mut log = Log::new(&database).await;
    log.set("tables", "a");
    log.whole().await;
    let by_snapshot = log.ops();
    database.run("UPDATE a SET v = v").await;
    log.whole().await;
    let by_log: Vec<_> = log.ops().iter().map(|op| op.replace("a u", "a r")).collect();
    assert_eq!(by_log, by_snapshot);
}

/// Without a primary key the columns of the replica identity are the key.
pub async fn a_key_by_identity(server: &str) {
    let tables = "CREATE TABLE a (v int, id int NOT NULL); CREATE UNIQUE INDEX i ON a (id); ALTER TABLE a REPLICA IDENTITY USING INDEX i";
    let database = published(server, tables, "FOR TABLE a").await;
    database.run("INSERT INTO a VALUES (1, 1), (2, 2)").await;
    let mut log = Log::new(&database).await;
    log.set("tables", "a");
    log.whole().await;
    assert_eq!(log.tables["a"].key, ["id"]);
    database.run("UPDATE a SET v = 9 WHERE id = 1; UPDATE a SET id = 3 WHERE id = 2; DELETE FROM a WHERE id = 1").await;
    log.whole().await;
    assert_eq!(log.ops(), ["a u 1 9", "a d 2 -", "a c 3 2", "a d 1 -"]);
    log.is(&["a"], "by identity").await;
}
