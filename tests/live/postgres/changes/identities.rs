//! What the log tells of old rows and of values that did not change.

use tidemark::error::Kind;
use tidemark::record::Event;
use tidemark::source::Reader;

use super::super::database::{Database, assert_error};
use super::{Log, made};

/// A value that is kept out of its row, and that no compression makes small.
const BIG: &str = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 200) AS n)";

/// With the key alone a value that did not change is named and never null; with all of the old row it is there.
pub async fn values_that_are_not_sent_are_named(server: &str) {
    let database = made(server).await;
    database.run("ALTER TABLE a ADD big text; ALTER TABLE a ADD big2 text").await;
    database.run("ALTER TABLE a ALTER big SET STORAGE EXTERNAL; ALTER TABLE a ALTER big2 SET STORAGE EXTERNAL").await;
    database
        .run(&format!(
            "INSERT INTO a VALUES (1, 1, 'x', {BIG}, NULL), (2, 2, 'x', {BIG}, {BIG}), (3, 3, 'x', 'short', 'short')"
        ))
        .await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    log.is_the_tables("a snapshot").await;
    database.run("UPDATE a SET v = v + 10").await;
    log.whole().await;
    let unchanged: Vec<_> = log.seen.iter().map(|seen| seen.unchanged.join(" ")).collect();
    assert_eq!(unchanged, ["big", "big big2", ""]);
    assert!(
        log.seen
            .iter()
            .all(|seen| seen.op == "u" && seen.row["big2"].is_none() == (seen.row["id"] != Some("3".to_owned())))
    );
    log.is_the_tables("not sent").await;
    database.run("UPDATE a SET big = NULL WHERE id = 1").await;
    database.run(&format!("UPDATE a SET big2 = {BIG} || 'x' WHERE id = 2")).await;
    log.whole().await;
    let unchanged: Vec<_> = log.seen.iter().map(|seen| seen.unchanged.join(" ")).collect();
    assert_eq!(unchanged, ["", "big"]);
    log.is_the_tables("another value").await;

    database.run("ALTER TABLE a REPLICA IDENTITY FULL").await;
    database
        .run("UPDATE a SET v = v + 10 WHERE id = 2; UPDATE a SET id = 12 WHERE id = 2; DELETE FROM a WHERE id = 1")
        .await;
    log.whole().await;
    assert!(log.seen.iter().all(|seen| seen.unchanged.is_empty()), "{:?}", log.seen);
    assert_eq!(log.ops(), ["a u 2 22", "a d 2 22", "a c 12 22", "a d 1 11"]);
    let of_moved = log.seen.iter().find(|seen| seen.op == "c").unwrap();
    assert_eq!(of_moved.row["big"].as_ref().map(String::len), Some(6400));
    log.is_the_tables("full").await;
}

/// Under its new key such a value never came, and is named all the same.
pub async fn a_key_changes_beside_a_value_that_is_not_sent(server: &str) {
    let database = made(server).await;
    database.run("ALTER TABLE a ALTER note TYPE text; ALTER TABLE a ALTER note SET STORAGE EXTERNAL").await;
    database.run(&format!("INSERT INTO a VALUES (1, 1, {BIG})")).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    log.following.goes_on = true;
    let mut reader = log.open().await.unwrap();
    database.run("UPDATE a SET id = 2").await;
    assert_eq!(changes(&mut *reader, 2).await, ["d 1 -", "c 2 [note]"]);
}

/// So many changes as `_op`, `id` and `_unchanged`.
pub async fn changes(reader: &mut dyn Reader, count: usize) -> Vec<String> {
    let mut changes = Vec::new();
    while changes.len() < count {
        if let Some(Event::Rows(rows)) = reader.next().await.unwrap() {
            let text = |name: &str, row| crate::render::text(rows.batch.column_by_name(name).unwrap(), row);
            let text = |name, row| text(name, row).unwrap_or_else(|| "-".to_owned());
            let told = |row| format!("{} {} {}", text("_op", row), text("id", row), text("_unchanged", row));
            changes.extend((0..rows.batch.num_rows()).map(told));
        }
    }
    changes
}

/// No key at all: an append log. With all of its old rows, deletes and updates come as what went and what came.
pub async fn tables_without_a_key(server: &str) {
    let database = Database::create(server).await;
    database.run("CREATE TABLE a (id int, v int); CREATE TABLE b (id int PRIMARY KEY, v int)").await;
    database.run("INSERT INTO a VALUES (1, 1), (1, 1); CREATE PUBLICATION pub FOR TABLE a, b").await;
    super::with_slot(&database).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    assert_eq!(log.ops(), ["a r 1 1", "a r 1 1"]);
    database.run("INSERT INTO a VALUES (2, 2), (2, 2)").await;
    log.whole().await;
    assert_eq!(log.ops(), ["a c 2 2", "a c 2 2"]);
    assert!(database.client.batch_execute("UPDATE a SET v = 3").await.is_err(), "the server refuses it");
    database.run("ALTER TABLE a REPLICA IDENTITY FULL").await;
    database.run("UPDATE a SET v = 3 WHERE id = 2").await;
    database.run("DELETE FROM a WHERE id = 1").await;
    log.whole().await;
    assert_eq!(log.ops(), ["a d 2 2", "a c 2 3", "a d 2 2", "a c 2 3", "a d 1 1", "a d 1 1"]);
}

/// Rows are only added to such a table while it is published: these come, whatever its key.
pub async fn an_identity_of_nothing(server: &str) {
    let database = made(server).await;
    database.run("ALTER TABLE a REPLICA IDENTITY NOTHING; INSERT INTO a VALUES (1, 1)").await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    database.run("INSERT INTO a VALUES (2, 2); TRUNCATE b").await;
    assert!(database.client.batch_execute("DELETE FROM a").await.is_err(), "the server refuses it");
    log.whole().await;
    assert_eq!(log.ops_of("a"), ["c 2 2"]);
    database.run("ALTER TABLE a REPLICA IDENTITY DEFAULT").await;
    database.run("UPDATE a SET v = 3; DELETE FROM a WHERE id = 1").await;
    log.whole().await;
    log.is_the_tables("as usual").await;
}

/// Old rows are known by another index than the key: either by its columns, or not at all.
pub async fn an_identity_by_another_index(server: &str) {
    let database = made(server).await;
    database.run("ALTER TABLE a ADD u int NOT NULL; CREATE UNIQUE INDEX by_u ON a (u); ALTER TABLE a REPLICA IDENTITY USING INDEX by_u").await;
    database.run("INSERT INTO a VALUES (1, 1, 'x', 10), (2, 2, 'x', 20)").await;
    let mut log = Log::new(&database).await;
    let error = log.refusal().await;
    assert_error(&error, Kind::Config, &["table a", "(id)", "REPLICA IDENTITY", "primary_key"]);
    log.set("tables", "a");
    log.set("primary_key", "u");
    log.whole().await;
    database.run("UPDATE a SET v = 3 WHERE id = 1; UPDATE a SET id = 7 WHERE id = 2; UPDATE a SET u = 11 WHERE id = 1; DELETE FROM a WHERE id = 7").await;
    log.whole().await;
    let ops: Vec<_> = log.seen.iter().map(|seen| (seen.op.as_str(), seen.row["u"].clone().unwrap())).collect();
    let of = |op, u: &str| (op, u.to_owned());
    assert_eq!(ops, [of("u", "10"), of("u", "20"), of("d", "10"), of("c", "11"), of("d", "20")]);
    log.is(&["a"], "by u").await;

    // An identity that changes in the midst of the log to one without the key.
    let database = made(server).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    database.run("ALTER TABLE a ADD u int NOT NULL; CREATE UNIQUE INDEX by_u ON a (u); ALTER TABLE a REPLICA IDENTITY USING INDEX by_u").await;
    database.run("INSERT INTO a VALUES (1, 1, 'x', 1); DELETE FROM a").await;
    log.following.goes_on = true;
    let error = log.refusal().await;
    assert_error(&error, Kind::Config, &["table a", "REPLICA IDENTITY DEFAULT"]);
    database.run("ALTER TABLE a REPLICA IDENTITY DEFAULT").await;
}
