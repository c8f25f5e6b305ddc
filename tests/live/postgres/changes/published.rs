//! What the publication has of a table: its partitions, some of its columns, some of its rows.

use tidemark::error::Kind;

use super::super::database::{Database, assert_error};
use super::{Log, with_slot};

async fn with(server: &str, tables: &str, publication: &str) -> Database {
    let database = Database::create(server).await;
    database.run(tables).await;
    database.run(&format!("CREATE PUBLICATION pub {publication}")).await;
    with_slot(&database).await;
    database
}

const PARTED: &str = "CREATE TABLE a (id int, v int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE TABLE a1 PARTITION OF a FOR VALUES FROM (0) TO (100);
    CREATE TABLE a2 (v int, id int NOT NULL); ALTER TABLE a ATTACH PARTITION a2 FOR VALUES FROM (100) TO (200)";

/// A partitioned table is one table, whatever its partitions are; those that are attached bring the rows that come from then on.
pub async fn partitions_are_their_table(server: &str) {
    let database = with(server, PARTED, "FOR TABLE a WITH (publish_via_partition_root = true)").await;
    database.run("INSERT INTO a VALUES (1, 1), (101, 101)").await;
    let mut log = Log::new(&database).await;
    log.set("tables", "a");
    log.whole().await;
    assert_eq!(log.ops(), ["a r 1 1", "a r 101 101"]);
    for (at, sql) in [
        "UPDATE a SET v = v + 1",
        // It moves to the other partition.
        "UPDATE a SET id = 150 WHERE id = 1",
        "INSERT INTO a1 VALUES (2, 2)",
        "INSERT INTO a2 (id, v) VALUES (102, 102)",
        "TRUNCATE a",
        "CREATE TABLE a3 PARTITION OF a FOR VALUES FROM (200) TO (300)",
        "INSERT INTO a VALUES (3, 3), (103, 103), (203, 203)",
        "CREATE TABLE a4 (id int PRIMARY KEY, v int)",
        "ALTER TABLE a ATTACH PARTITION a4 FOR VALUES FROM (300) TO (400)",
        "INSERT INTO a VALUES (304, 4)",
        "DELETE FROM a WHERE id = 203",
        "ALTER TABLE a DETACH PARTITION a3",
        "INSERT INTO a3 VALUES (204, 4)",
        "ALTER TABLE a ADD w int",
        "UPDATE a SET w = 7 WHERE id IN (3, 103)",
        "INSERT INTO a VALUES (5, 5, 5), (105, 5, 5), (305, 5, 5)",
    ]
    .into_iter()
    .enumerate()
    {
        database.run(sql).await;
        // Some come one by one, and some together.
        if at % 5 < 3 {
            log.whole().await;
            log.is(&["a"], sql).await;
        }
    }
    log.whole().await;
    log.is(&["a"], "in the end").await;
}

/// By documented rule, what a partition has when it is attached is not in the log, and what it has when it is detached stays:
/// the table is read again by wish.
pub async fn rows_of_partitions_that_come_and_go(server: &str) {
    let database = with(server, PARTED, "FOR TABLE a WITH (publish_via_partition_root = true)").await;
    database.run("INSERT INTO a VALUES (1, 1), (101, 101)").await;
    let mut log = Log::new(&database).await;
    log.set("tables", "a");
    log.whole().await;
    database.run("CREATE TABLE a3 (id int PRIMARY KEY, v int); INSERT INTO a3 VALUES (201, 201)").await;
    database
        .run("ALTER TABLE a ATTACH PARTITION a3 FOR VALUES FROM (200) TO (300); ALTER TABLE a DETACH PARTITION a1")
        .await;
    database.run("UPDATE a SET v = v + 1").await;
    log.whole().await;
    log.following = super::beginnings::again("x", tidemark::source::What::Tables(vec!["a".to_owned()]));
    log.whole().await;
    log.is(&["a"], "read again").await;
}

/// By their own names the changes would be lost to the table: it is refused, with what is to be done.
pub async fn partitions_by_their_own_names_are_refused(server: &str) {
    let database = with(server, PARTED, "FOR TABLE a").await;
    let mut log = Log::new(&database).await;
    log.set("tables", "a");
    assert_error(&log.refusal().await, Kind::Config, &["table a", "publish_via_partition_root = true"]);
    // Each by itself is a table as any other.
    log.set("tables", "a1, a2");
    database.run("INSERT INTO a VALUES (1, 1)").await;
    log.whole().await;
    database.run("UPDATE a SET id = 150, v = 9").await;
    log.whole().await;
    log.is(&["a1", "a2"], "by themselves").await;
}

/// Tables that inherit from another have names of their own in the log: their rows are no rows of it.
pub async fn tables_that_inherit(server: &str) {
    let tables = "CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (PRIMARY KEY (id)) INHERITS (a)";
    let database = with(server, tables, "FOR TABLE a").await;
    database.run("INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (2, 2)").await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    assert_eq!(log.ops(), ["a r 1 1", "b r 2 2"]);
    database.run("UPDATE a SET v = v + 1; DELETE FROM a WHERE id = 2").await;
    log.whole().await;
    assert_eq!(log.ops(), ["a u 1 2", "b u 2 3", "b d 2 -"]);
}

/// Columns that are not published are no part of the table, by the log and by a snapshot.
pub async fn lists_of_columns(server: &str) {
    let table =
        "CREATE TABLE a (id int PRIMARY KEY, secret text, v int, more int); CREATE TABLE b (id int PRIMARY KEY, v int)";
    let database = with(server, table, "FOR TABLE a (id, v), b").await;
    database.run("INSERT INTO a VALUES (1, 's', 1, 1)").await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    database.run("UPDATE a SET v = 2; INSERT INTO a VALUES (2, 's', 3, 1)").await;
    log.whole().await;
    assert_eq!(log.ops(), ["a u 1 2", "a c 2 3"]);
    assert!(log.seen.iter().all(|seen| seen.row.keys().eq(["id", "v"])), "{:?}", log.seen);
    // One more is published: rows that are there have values in it.
    database.run("ALTER PUBLICATION pub SET TABLE a (id, v, more), b").await;
    database.run("UPDATE a SET v = 5 WHERE id = 2").await;
    log.whole().await;
    let more: Vec<_> = log.present.values().map(|row| row["more"].clone()).collect();
    assert_eq!(more, [Some("1".to_owned()), Some("1".to_owned())], "{:?}", log.ops());
    // One less.
    database.run("ALTER PUBLICATION pub SET TABLE a (id, more), b").await;
    database.run("UPDATE a SET more = 6 WHERE id = 2").await;
    log.whole().await;
    assert!(
        log.seen.iter().all(|seen| !seen.row.contains_key("v") && !seen.row.contains_key("secret")),
        "{:?}",
        log.seen
    );
}

/// Rows that are not published are no part of the table either; with another filter they are read anew.
pub async fn filters_of_rows(server: &str) {
    let table = "CREATE TABLE a (id int PRIMARY KEY, v int); ALTER TABLE a REPLICA IDENTITY FULL; CREATE TABLE b (id int PRIMARY KEY, v int)";
    let database = with(server, table, "FOR TABLE a WHERE (v > 10), b").await;
    database.run("INSERT INTO a VALUES (1, 5), (2, 20), (3, 30), (4, 7)").await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    assert_eq!(log.ops(), ["a r 2 20", "a r 3 30"]);
    database.run("UPDATE a SET v = 15 WHERE id = 1").await;
    database
        .run("UPDATE a SET v = 2 WHERE id = 2; INSERT INTO a VALUES (5, 1), (6, 60); DELETE FROM a WHERE id = 4")
        .await;
    log.whole().await;
    assert_eq!(log.ops(), ["a c 1 15", "a d 2 20", "a c 6 60"]);
    database.run("ALTER PUBLICATION pub SET TABLE a WHERE (v > 1), b").await;
    database.run("UPDATE a SET v = 16 WHERE id = 1").await;
    log.whole().await;
    let present: Vec<_> = log.present.values().map(|row| row["v"].clone().unwrap()).collect();
    assert_eq!(present, ["16", "2", "30", "60"], "{:?}", log.ops());
}

/// What the server computes is no part of the log, unless the publication says so; the snapshot has what the log has.
pub async fn generated_columns(server: &str) {
    let table = "CREATE TABLE a (id int PRIMARY KEY, v int, twice int GENERATED ALWAYS AS (v * 2) STORED);
        CREATE TABLE b (id int PRIMARY KEY, v int)";
    let database = with(server, table, "FOR ALL TABLES").await;
    database.run("INSERT INTO a VALUES (1, 1)").await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    database.run("UPDATE a SET v = 2; INSERT INTO a VALUES (2, 2)").await;
    log.whole().await;
    assert_eq!(log.ops(), ["a u 1 2", "a c 2 2"]);
    assert!(log.seen.iter().all(|seen| !seen.row.contains_key("twice")));
    if database.version().await < 18 {
        return;
    }
    database.run("ALTER PUBLICATION pub SET (publish_generated_columns = stored)").await;
    database.run("UPDATE a SET v = 3 WHERE id = 1").await;
    log.whole().await;
    log.is_the_tables("generated ones too").await;
    database.run("ALTER TABLE a ADD thrice int GENERATED ALWAYS AS (v * 3) STORED").await;
    database.run("UPDATE a SET v = 4 WHERE id = 1").await;
    log.whole().await;
    log.is_the_tables("another one").await;
}

/// Rows that are written while a table is out of the publication are told by nobody: it is read anew when it is back.
pub async fn a_table_leaves_the_publication_and_comes_back(server: &str) {
    let table = "CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, v int)";
    let database = with(server, table, "FOR TABLE a, b").await;
    database.run("INSERT INTO a VALUES (1, 1)").await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    for statement in [
        "ALTER PUBLICATION pub DROP TABLE a",
        "UPDATE a SET v = 2; INSERT INTO a VALUES (2, 2)",
        "ALTER PUBLICATION pub ADD TABLE a",
        "INSERT INTO a VALUES (3, 3)",
    ] {
        database.run(statement).await;
    }
    log.whole().await;
    log.is_the_tables("it came back").await;
    database.run("DROP PUBLICATION pub").await;
    assert_error(&log.refusal().await, Kind::Config, &["pub", "CREATE PUBLICATION"]);
    // Of a change that nobody publishes the log is an error before version 18; there may be none.
    database.run("CREATE PUBLICATION pub FOR TABLE a").await;
    assert_error(&log.refusal().await, Kind::Config, &["table b", "ALTER PUBLICATION \"pub\" ADD TABLE"]);
    database.run("DROP PUBLICATION pub; CREATE PUBLICATION pub FOR TABLE a, b WITH (publish = 'insert')").await;
    assert_error(&log.refusal().await, Kind::Config, &["publish = "]);
}
