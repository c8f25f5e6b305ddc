//! Tables that become others in the midst of their log.

use std::time::Duration;

use tidemark::error::Result;

use super::super::database::Database;
use super::{Log, made};

/// Statements among which tables become others, each a transaction of its own, and whether rows are read anew for them.
const SCRIPTS: &[(&str, &str, bool)] = &[
    (
        "a column comes",
        "INSERT INTO a VALUES (101, 1); ALTER TABLE a ADD more int; INSERT INTO a VALUES (102, 2, 'y', 7); \
         UPDATE a SET v = 9 WHERE id = 101",
        false,
    ),
    ("and goes", "UPDATE a SET v = 3 WHERE id = 102; ALTER TABLE a DROP more; INSERT INTO a VALUES (103, 3)", false),
    (
        "one comes and goes while nobody looks",
        "ALTER TABLE a ADD x1 int; ALTER TABLE a DROP x1; ALTER TABLE a ADD x2 text; INSERT INTO a VALUES (104, 1, 'y', 'x'); \
         ALTER TABLE a DROP x2; UPDATE a SET v = 5 WHERE id = 1",
        true,
    ),
    (
        "types are wider",
        "UPDATE a SET v = 6 WHERE id = 1; ALTER TABLE a ALTER note TYPE varchar(300); \
         INSERT INTO a VALUES (107, 7, repeat('long', 60)); ALTER TABLE a ALTER note TYPE text; UPDATE a SET v = 8 WHERE id = 1",
        false,
    ),
    (
        "a number is wider",
        "UPDATE b SET v = 6 WHERE id = 8; ALTER TABLE b ALTER v TYPE bigint; INSERT INTO b VALUES (108, 70000000000)",
        false,
    ),
    (
        "what concerns no column",
        "COMMENT ON TABLE a IS 'x'; CREATE INDEX i ON a (note); DROP INDEX i; ANALYZE a; VACUUM FULL a; CLUSTER a USING a_pkey; \
         UPDATE a SET v = v + 1",
        false,
    ),
    (
        "another table's",
        "CREATE TABLE c (id int PRIMARY KEY); ALTER TABLE c ADD x int; INSERT INTO c VALUES (1, 1); DROP TABLE c; UPDATE a SET v = v + 1",
        false,
    ),
    ("emptied and filled", "TRUNCATE a; INSERT INTO a VALUES (1, 10), (2, 20)", false),
    (
        "a default comes",
        "UPDATE a SET v = 11 WHERE id = 1; ALTER TABLE a ADD d int NOT NULL DEFAULT 5; UPDATE a SET v = 12 WHERE id = 1",
        true,
    ),
    (
        "a default that is gone when somebody looks",
        "ALTER TABLE a ADD d2 int DEFAULT 5; ALTER TABLE a ALTER d2 DROP DEFAULT; UPDATE a SET v = 13 WHERE id = 1",
        true,
    ),
    (
        "each row has its own",
        "ALTER TABLE a ADD d3 int DEFAULT (random() * 1000000)::int; ALTER TABLE a ALTER d3 DROP DEFAULT; UPDATE a SET v = 14 WHERE id = 1",
        true,
    ),
    (
        "each row has its own, told of later",
        "ALTER TABLE a DROP d2; UPDATE a SET v = 20 WHERE id = 1; ALTER TABLE a ADD d4 int DEFAULT (random() * 1000000)::int; \
         ALTER TABLE a ALTER d4 DROP DEFAULT; UPDATE a SET v = 21 WHERE id = 1",
        true,
    ),
    ("numbers of a sequence", "ALTER TABLE a ADD nr bigserial; UPDATE a SET v = 15 WHERE id = 1", true),
    (
        "texts become numbers",
        "ALTER TABLE a ALTER note DROP DEFAULT; ALTER TABLE a ALTER note TYPE int USING length(note); ALTER TABLE a ALTER note SET DEFAULT 1; UPDATE a SET v = 16 WHERE id = 1",
        true,
    ),
    (
        "named otherwise",
        "UPDATE a SET v = 17 WHERE id = 1; ALTER TABLE a RENAME v TO w; INSERT INTO a (id, w, note) VALUES (109, 9, 1); \
         ALTER TABLE a RENAME w TO v; UPDATE a SET v = 18 WHERE id = 1",
        true,
    ),
    ("another number of the same type", "ALTER TABLE a ADD w int; UPDATE a SET w = id * 100", false),
    (
        "two exchange their names",
        "ALTER TABLE a RENAME v TO z; ALTER TABLE a RENAME w TO v; ALTER TABLE a RENAME z TO w; UPDATE a SET v = 19 WHERE id = 1",
        true,
    ),
    (
        "one goes, another takes its name",
        "ALTER TABLE a DROP v; ALTER TABLE a RENAME w TO v; UPDATE a SET v = 20 WHERE id = 1",
        true,
    ),
    ("one more", "ALTER TABLE a ADD last int; UPDATE a SET last = id", false),
    (
        "it goes, and comes again as it was",
        "ALTER TABLE a DROP last; ALTER TABLE a ADD last int; UPDATE a SET last = 7 WHERE id = 1",
        true,
    ),
    (
        "a column of a type of its own",
        "CREATE TYPE mood AS ENUM ('sad', 'glad'); ALTER TABLE a ADD m mood; UPDATE a SET m = 'sad' WHERE id = 1",
        false,
    ),
    (
        "the type goes with the column",
        "UPDATE a SET m = 'glad'; ALTER TABLE a DROP m; DROP TYPE mood; UPDATE a SET v = 22 WHERE id = 1",
        false,
    ),
    (
        "made anew",
        "INSERT INTO a (id, v, note) VALUES (4, 40, 1); DROP TABLE a; CREATE TABLE a (id int PRIMARY KEY, v int, note text); \
         INSERT INTO a VALUES (5, 50), (6, 60)",
        true,
    ),
    (
        "swapped, as tools do",
        "CREATE TABLE a_new (LIKE a INCLUDING ALL); ALTER TABLE a_new ADD e int; INSERT INTO a_new SELECT *, 1 FROM a; \
         ALTER TABLE a RENAME TO a_old; ALTER TABLE a_new RENAME TO a; UPDATE a SET v = v + 1 WHERE id = 5; INSERT INTO a VALUES (7, 70, 'n', 2); \
         DROP TABLE a_old",
        true,
    ),
    (
        "named otherwise, and back",
        "ALTER TABLE b RENAME TO b_away; INSERT INTO b_away VALUES (9, 90); ALTER TABLE b_away RENAME TO b; UPDATE b SET v = 91 WHERE id = 8",
        true,
    ),
    (
        "gone and back, in a hurry",
        "DROP TABLE b; CREATE TABLE b (v int, id int PRIMARY KEY); INSERT INTO b VALUES (1, 2); DROP TABLE b; \
         CREATE TABLE b (id int PRIMARY KEY, v int); INSERT INTO b VALUES (3, 4)",
        true,
    ),
    (
        "exchanged with each other",
        "CREATE TABLE b2 (LIKE b INCLUDING ALL); INSERT INTO b2 VALUES (8, 80), (9, 90); ALTER TABLE b RENAME TO b3; \
         ALTER TABLE b2 RENAME TO b; ALTER TABLE b3 RENAME TO b2; DROP TABLE b2; DELETE FROM b WHERE id = 8",
        true,
    ),
    (
        "another key",
        "ALTER TABLE b ALTER v SET NOT NULL; ALTER TABLE b DROP CONSTRAINT b2_pkey; ALTER TABLE b ADD PRIMARY KEY (id, v); \
         INSERT INTO b VALUES (9, 91); DELETE FROM b WHERE v = 90",
        true,
    ),
];

const ROWS: &str = "INSERT INTO a VALUES (1, 10), (2, 20); INSERT INTO b VALUES (8, 80)";

/// Each statement is a transaction.
async fn run(database: &Database, script: &str) {
    for statement in script.split("; ") {
        database.run(statement).await;
    }
}

/// While nobody reads.
pub async fn altered_tables_are_followed(server: &str) {
    let database = made(server).await;
    database.run(ROWS).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    for (name, script, is_read) in SCRIPTS {
        run(&database, script).await;
        log.whole().await;
        log.is_the_tables(name).await;
        assert_eq!(log.count("r") > 0, *is_read, "{name}: {:#?}", log.ops());
    }
}

/// The same while it is being read.
pub async fn altered_tables_are_followed_at_once(server: &str) {
    let database = made(server).await;
    database.run(ROWS).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    log.following.goes_on = true;
    let mut reader = log.open().await.unwrap();
    for (name, script, _) in SCRIPTS {
        for (at, statement) in script.split("; ").enumerate() {
            database.run(statement).await;
            // Now and then it has come as far before the next.
            if at % 2 == 1 {
                let _ = tokio::time::timeout(Duration::from_millis(50), log.take(&mut *reader, usize::MAX)).await;
            }
        }
        database.run("SELECT pg_logical_emit_message(true, 'tests', 'a mark')").await;
        let end = place(&database).await;
        until(&mut log, &mut *reader, end).await;
        log.is_the_tables(name).await;
    }
}

/// A place in the log.
pub(super) type Place = tidemark::source::postgres::replication::Lsn;

pub(super) async fn place(database: &Database) -> Place {
    database.text("SELECT pg_current_wal_insert_lsn()").await.parse().unwrap()
}

/// Takes what comes until a place is behind, and no snapshot is open.
pub(super) async fn until(log: &mut Log<'_>, reader: &mut dyn tidemark::source::Reader, end: Place) {
    comes_to(log, reader, end).await.unwrap();
}

/// The same, where it may end with an error.
pub(super) async fn comes_to(log: &mut Log<'_>, reader: &mut dyn tidemark::source::Reader, end: Place) -> Result<()> {
    for _ in 0..1200 {
        let next = tokio::time::timeout(Duration::from_millis(50), log.take(reader, 1)).await;
        next.unwrap_or(Ok(false))?;
        let is_open = log.after.as_ref().unwrap().position.as_value().get("snapshots").is_some();
        if log.place().parse::<Place>().unwrap() >= end && !is_open {
            return Ok(());
        }
    }
    panic!("it does not come to {end}: {:?}", log.after);
}

/// Runs that are cut off behind any event go on with what the tables were there.
pub async fn altered_tables_are_followed_from_any_place(server: &str) {
    let database = made(server).await;
    database.run(ROWS).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    for (_, script, _) in SCRIPTS {
        run(&database, script).await;
    }
    let mut cut = 0;
    for events in 1..200 {
        if log.run(events).await.unwrap() {
            break;
        }
        cut += 1;
    }
    assert!(cut > 2, "{cut}");
    log.whole().await;
    log.is_the_tables("in the end").await;
}

/// A snapshot is half way when its table becomes another.
pub async fn altered_while_a_snapshot_is_half_way(server: &str) {
    let database = made(server).await;
    database.run("INSERT INTO a VALUES (1, 10), (2, 20)").await;
    database.run("INSERT INTO b VALUES (8, 80)").await;
    for (at, (name, script, _)) in SCRIPTS.iter().enumerate() {
        database
            .run("INSERT INTO a (id, v) SELECT n, n FROM generate_series(1000, 1050) AS n ON CONFLICT DO NOTHING")
            .await;
        database
            .run("INSERT INTO b (id, v) SELECT n, n FROM generate_series(1000, 1050) AS n ON CONFLICT DO NOTHING")
            .await;
        let mut log = Log::new(&database).await;
        // Chunks lie behind it, and chunks before it.
        for events in [9, 3 + at % 5] {
            assert!(!log.run(events).await.unwrap(), "{name}: it was at its end");
        }
        // Now and then without the change behind it, which would tell.
        let told = if at % 2 == 0 { Some((*script, "")) } else { script.rsplit_once("; ") };
        run(&database, told.unwrap().0).await;
        log.whole().await;
        log.is_the_tables(name).await;
    }
}

/// A table that is not there holds the others up in nothing, and is read when it comes.
pub async fn tables_that_are_not_there_yet(server: &str) {
    let database = made(server).await;
    database.run(ROWS).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    run(&database, "DROP TABLE b; UPDATE a SET v = 2").await;
    log.whole().await;
    // Its rows are gone.
    assert_eq!(log.ops_of("b"), ["t - -"]);
    log.is(&["a"], "without b").await;
    log.whole().await;
    assert!(log.seen.is_empty(), "{:?}", log.ops());
    run(&database, "CREATE TABLE b (id int PRIMARY KEY, v int); INSERT INTO b VALUES (1, 1)").await;
    log.whole().await;
    log.is_the_tables("b is there again").await;
}

/// What no row tells of is found out when a run begins.
pub async fn altered_without_a_change_behind_it(server: &str) {
    let database = made(server).await;
    database.run(ROWS).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    for script in [
        "ALTER TABLE a ADD d int NOT NULL DEFAULT 5",
        "ALTER TABLE a DROP v; ALTER TABLE a ADD v int",
        "ALTER TABLE a RENAME d TO e",
        "TRUNCATE a; DROP TABLE b; CREATE TABLE b (id int PRIMARY KEY, v int)",
    ] {
        run(&database, script).await;
        log.whole().await;
        log.is_the_tables(script).await;
    }
}

/// Two tables become others at once, of which the log tells nothing: what stands at a place between their snapshots reads both.
pub async fn two_that_become_others_at_once(server: &str) {
    let database = made(server).await;
    database.run("CREATE TABLE c (LIKE a INCLUDING ALL); CREATE TABLE d (LIKE a INCLUDING ALL)").await;
    for (table, from) in [("a", 1), ("b", 101), ("c", 201), ("d", 301)] {
        let rows = format!("INSERT INTO {table} (id, v) SELECT n, n FROM generate_series({from}, {from} + 20) AS n");
        database.run(&rows).await;
    }
    let mut log = Log::new(&database).await;
    log.whole().await;
    log.following.goes_on = true;
    let mut reader = log.open().await.unwrap();
    until(&mut log, &mut *reader, place(&database).await).await;
    let renamed = |one, other| {
        format!(
            "ALTER TABLE {one} RENAME TO former; ALTER TABLE {other} RENAME TO {one}; ALTER TABLE former RENAME TO {other}"
        )
    };
    database.run(&format!("BEGIN; {}; {}; COMMIT", renamed("a", "c"), renamed("b", "d"))).await;
    let is_open = |log: &Log<'_>| log.after.as_ref().unwrap().position.as_value().get("snapshots").is_some();
    while !is_open(&log) {
        assert!(!log.take(&mut *reader, 1).await.unwrap());
    }
    drop(reader);
    log.following.goes_on = false;
    log.whole().await;
    log.is_the_tables("both").await;
}
