//! Transactions that the server sends before they are committed, or that are decided later.

use super::super::database::{Database, connect};
use super::super::replication::SMALL;
use super::{Log, made};

/// As large as it takes to be sent in several blocks.
const LARGE: &str = "repeat('x', 20) FROM generate_series(1, 3000) AS n";

async fn streamed(server: &str) -> Database {
    let database = made(server).await;
    database.set(SMALL).await;
    database
}

/// How often the server has sent a transaction before it was committed.
async fn blocks(database: &Database) -> i64 {
    let sql =
        "SELECT coalesce(sum(stream_count), 0) FROM pg_stat_replication_slots WHERE slot_name = current_database()";
    database.text(sql).await.parse().unwrap()
}

/// Large ones with parts that came to nothing, among small ones, and whole ones that did.
pub async fn large_transactions(server: &str) {
    let database = streamed(server).await;
    let (one, other) = (connect(&database.url).await, connect(&database.url).await);
    let mut log = Log::new(&database).await;
    log.whole().await;
    for sql in [
        format!("BEGIN; INSERT INTO a SELECT n, 1, {LARGE}"),
        format!(
            "SAVEPOINT s; INSERT INTO a SELECT n + 10000, 2, {LARGE}; SAVEPOINT t; UPDATE a SET v = 3 WHERE id < 500"
        ),
    ] {
        one.batch_execute(&sql).await.unwrap();
        database.run("INSERT INTO b VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET v = b.v + 1").await;
    }
    other.batch_execute(&format!("BEGIN; INSERT INTO b SELECT n + 10000, 2, {LARGE}")).await.unwrap();
    // It is at its end with both open, and nothing of them comes.
    log.whole().await;
    assert_eq!(log.ops(), ["b c 1 1", "b u 1 2"]);
    one.batch_execute(
        "ROLLBACK TO s; DELETE FROM a WHERE id BETWEEN 100 AND 199; UPDATE a SET id = id + 20000 WHERE id < 50",
    )
    .await
    .unwrap();
    one.batch_execute(&format!("SAVEPOINT u; INSERT INTO a SELECT n + 30000, 4, {LARGE}; RELEASE u")).await.unwrap();
    other.batch_execute("ROLLBACK").await.unwrap();
    one.batch_execute("COMMIT").await.unwrap();
    database.run("UPDATE a SET v = 9 WHERE id = 60").await;
    for events in [1, 2, 5, 9] {
        log.run(events).await.unwrap();
    }
    log.whole().await;
    log.is_the_tables("after a large one").await;
    let present = log.present.len();
    assert_eq!(present, 3000 - 100 + 3000 + 1);
    assert!(blocks(&database).await > 0, "none was sent before it was committed");
    log.whole().await;
    assert!(log.seen.is_empty());
}

/// A transaction of that kind is covered by one place, behind all its rows.
pub async fn a_large_transaction_is_one(server: &str) {
    let database = streamed(server).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    database.run(&format!("INSERT INTO a SELECT n, 1, {LARGE}; INSERT INTO b SELECT n, 1, {LARGE}")).await;
    log.whole().await;
    let places: std::collections::BTreeSet<_> = log.seen.iter().map(|seen| &seen.position).collect();
    assert_eq!((log.seen.len(), places.len()), (6000, 1));
    assert!(blocks(&database).await > 0);
}

/// What a table is may be told in a part of a transaction that comes to nothing, and be another by then.
pub async fn tables_told_of_by_what_came_to_nothing(server: &str) {
    let database = streamed(server).await;
    let one = connect(&database.url).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    log.following.goes_on = true;
    let mut reader = log.open().await.unwrap();
    for (at, (within, behind)) in [
        ("", "INSERT INTO a VALUES (7, 7)"),
        ("INSERT INTO a VALUES (8, 8); ", "UPDATE a SET v = 9 WHERE id = 8"),
        ("ALTER TABLE a DROP note; ", "INSERT INTO a (id, v) VALUES (9, 9)"),
    ]
    .into_iter()
    .enumerate()
    {
        // The table is free for others once its part is rolled back.
        let large =
            format!("BEGIN; SAVEPOINT s; INSERT INTO a (id, v, note) SELECT n + 10000, 1, {LARGE}; ROLLBACK TO s");
        one.batch_execute(&large).await.unwrap();
        database.run(&format!("ALTER TABLE a ADD c{at} int")).await;
        database.run(&format!("INSERT INTO a (id, v) VALUES (100 + {at}, 1)")).await;
        one.batch_execute(&format!("{within}INSERT INTO b SELECT n + 5000 * {at}, 1, {LARGE}; COMMIT")).await.unwrap();
        database.run(behind).await;
        let end = super::altered::place(&database).await;
        super::altered::until(&mut log, &mut *reader, end).await;
        log.is_the_tables(behind).await;
    }
    assert!(blocks(&database).await > 0);
}

/// What a table is may be told in a part that comes to nothing only, and holds for what follows it.
pub async fn rows_behind_what_came_to_nothing(server: &str) {
    let database = streamed(server).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    database
        .run(&format!(
            "BEGIN; SAVEPOINT s; INSERT INTO a SELECT n, 1, {LARGE}; ROLLBACK TO s; INSERT INTO b SELECT n, 1, {LARGE}; \
             INSERT INTO a SELECT n + 10000, 1, {LARGE}; COMMIT; INSERT INTO a VALUES (7, 7)"
        ))
        .await;
    log.whole().await;
    log.is_the_tables("behind what came to nothing").await;
    assert!(blocks(&database).await > 0);
}

/// Tables become others within one transaction, before and behind rows of it.
pub async fn tables_altered_within_a_transaction(server: &str) {
    for is_large in [false, true] {
        let database = streamed(server).await;
        database.run("INSERT INTO a VALUES (1, 10), (2, 20)").await;
        let mut log = Log::new(&database).await;
        log.whole().await;
        log.set("chunk_rows", "1000");
        let rows = if is_large { 3000 } else { 3 };
        let from = format!("repeat('x', 20) FROM generate_series(10, {rows} + 10) AS n");
        for (name, script) in [
            (
                "a column comes",
                format!(
                    "INSERT INTO a SELECT n, 1, {from}; ALTER TABLE a ADD w int; INSERT INTO a SELECT n + 10000, 2, 'x', 3 FROM generate_series(1, {rows}) AS n"
                ),
            ),
            ("and goes", "UPDATE a SET w = 4; ALTER TABLE a DROP w; UPDATE a SET v = v + 1 WHERE id < 500".to_owned()),
            (
                "a default",
                "UPDATE a SET v = v + 1; ALTER TABLE a ADD d int DEFAULT 7; UPDATE a SET v = v + 1 WHERE id < 500"
                    .to_owned(),
            ),
            (
                "another type",
                "UPDATE a SET v = v + 1; ALTER TABLE a ALTER v TYPE text; UPDATE a SET v = v || 'x' WHERE id < 500"
                    .to_owned(),
            ),
            (
                "emptied",
                format!("DELETE FROM a WHERE id = 1; TRUNCATE a, b; INSERT INTO a (id, v) SELECT n + 20000, {from}"),
            ),
            (
                "made anew",
                format!(
                    "UPDATE a SET d = 1; DROP TABLE a; CREATE TABLE a (id int PRIMARY KEY, n text, v int); INSERT INTO a SELECT n, {from}"
                ),
            ),
            (
                "comes to nothing",
                format!(
                    "SAVEPOINT s; ALTER TABLE a ADD w int; UPDATE a SET w = 1; ROLLBACK TO s; INSERT INTO b SELECT n, 1, {from}; UPDATE a SET v = 3"
                ),
            ),
        ] {
            database.run(&format!("BEGIN; {script}; COMMIT")).await;
            log.whole().await;
            log.is_the_tables(&format!("{name}, {is_large}")).await;
        }
        assert_eq!(blocks(&database).await > 0, is_large);
    }
}

/// Both parts of a transaction in two phases are far apart; the stream may be run between them.
pub async fn transactions_in_two_phases(server: &str) {
    let database = streamed(server).await;
    database.run("INSERT INTO a VALUES (1, 1)").await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    let name = log.slot().to_owned();
    for (at, sql) in [
        "INSERT INTO a VALUES (2, 2); INSERT INTO b VALUES (2, 2)".to_owned(),
        "INSERT INTO a VALUES (3, 3)".to_owned(),
        format!("INSERT INTO a SELECT n + 10000, 2, {LARGE}"),
        format!("INSERT INTO a SELECT n + 20000, 2, {LARGE}"),
    ]
    .iter()
    .enumerate()
    {
        database.run(&format!("BEGIN; {sql}; PREPARE TRANSACTION '{name}-{at}'")).await;
    }
    database.run("UPDATE a SET v = 9 WHERE id = 1").await;
    log.whole().await;
    assert_eq!(log.ops(), ["a u 1 9"]);
    log.whole().await;
    assert!(log.seen.is_empty());
    database.run("INSERT INTO b VALUES (8, 8)").await;
    for (at, verb) in ["COMMIT", "ROLLBACK", "COMMIT", "ROLLBACK"].iter().enumerate() {
        database.run(&format!("{verb} PREPARED '{name}-{at}'")).await;
    }
    database.run("UPDATE b SET v = 3 WHERE id = 2").await;
    for events in 1..5 {
        log.run(events).await.unwrap();
    }
    log.whole().await;
    log.is_the_tables("decided").await;
    assert_eq!(log.present.len(), 3000 + 4);
    // A slot that sends them when they are prepared is refused by name.
    let two = format!("{name}_two");
    database.run(&format!("SELECT pg_create_logical_replication_slot('{two}', 'pgoutput', false, true)")).await;
    log.set("slot", &two);
    let error = log.refusal().await;
    assert!(error.to_string().contains("two_phase"), "{error}");
}

/// What is prepared while a table's snapshot is read is in none of its chunks, and comes when it is committed.
pub async fn prepared_while_a_snapshot_is_read(server: &str) {
    let database = made(server).await;
    database.run("INSERT INTO a SELECT n, n FROM generate_series(1, 50) AS n").await;
    let name = database.text("SELECT current_database()").await;
    database
        .run(&format!(
            "BEGIN; UPDATE a SET v = -1 WHERE id < 30; INSERT INTO a VALUES (99, 99); PREPARE TRANSACTION '{name}'"
        ))
        .await;
    let mut log = Log::new(&database).await;
    log.run(7).await.unwrap();
    log.whole().await;
    assert_eq!(log.present.len(), 50);
    database.run(&format!("COMMIT PREPARED '{name}'")).await;
    log.whole().await;
    log.is_the_tables("committed").await;
}
