//! Values that the log leaves away, read from the table instead.

use std::collections::BTreeSet;

use tidemark::record::Event;

use super::super::database::{Database, make, selection};
use super::super::replication::SMALL;
use super::altered::{place, until};
use super::{Log, Seen, with_slot};
use crate::render;

/// No compression makes it small, and it is kept out of its row.
const BIG: &str = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 200) AS n)";

/// Tables that are published, with a slot that begins behind them.
async fn published(server: &str, tables: &str) -> Database {
    let database = Database::create(server).await;
    database.run(tables).await;
    database.run("CREATE PUBLICATION pub FOR ALL TABLES WITH (publish_via_partition_root = true)").await;
    with_slot(&database).await;
    database
}

/// A table whose values are left away, and rows of before the slot: their values are in no log.
async fn with_rows(server: &str) -> Database {
    let table = "CREATE TABLE a (id int PRIMARY KEY, v int, big text, big2 text);
        ALTER TABLE a ALTER big SET STORAGE EXTERNAL, ALTER big2 SET STORAGE EXTERNAL;";
    published(
        server,
        &format!(
            "{table} INSERT INTO a VALUES (1, 1, {BIG}, NULL), (2, 2, {BIG} || 'x', {BIG}), (3, 3, 'short', 'short')"
        ),
    )
    .await
}

/// A stream without a snapshot: whatever it has of these rows came with a change.
pub(super) async fn filling<'a>(database: &'a Database, tables: &str) -> Log<'a> {
    let mut log = Log::new(database).await;
    log.set("tables", tables);
    log.set("snapshot", "never");
    log.set("fill_unchanged", "yes");
    log
}

/// `_op`, `id`, what was filled and what was not.
fn told(log: &Log<'_>) -> Vec<String> {
    let named = |seen: &Seen| {
        let id = seen.row["id"].clone().unwrap_or_default();
        format!("{} {id} [{}] [{}]", seen.op, seen.filled.join(" "), seen.unchanged.join(" "))
    };
    log.seen.iter().map(named).collect()
}

/// What was left away is there as it is in the table, and named.
pub async fn values_are_filled_in(server: &str) {
    let database = with_rows(server).await;
    let mut log = filling(&database, "a").await;
    database.run("UPDATE a SET v = v + 10").await;
    log.whole().await;
    assert_eq!(told(&log), ["u 1 [big] []", "u 2 [big big2] []", "u 3 [] []"]);
    log.is(&["a"], "of before the log").await;
    // A null that is read is one; what is in the log is not read.
    database.run("UPDATE a SET v = 7 WHERE id = 2; UPDATE a SET big = NULL, big2 = 'new' WHERE id = 2").await;
    log.whole().await;
    assert_eq!(told(&log), ["u 2 [big big2] []", "u 2 [] []"]);
    assert_eq!((log.seen[0].row["big"].as_deref(), log.seen[0].row["big2"].as_deref()), (None, Some("new")));
    log.is(&["a"], "later values").await;
    // A snapshot has the column too, and fills nothing.
    log.set("tables", "a, b");
    log.set("snapshot", "initial");
    database.run("CREATE TABLE b (id int PRIMARY KEY, v int); INSERT INTO b VALUES (1, 1); TRUNCATE a").await;
    log.whole().await;
    log.is(&["a", "b"], "a table that came").await;
    for table in log.tables.values() {
        let names: Vec<_> = table.schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names[names.len() - 3..], ["_position", "_unchanged", "_filled"]);
    }
}

/// A row that is gone, that has another key, or that is not published any more, has no value to give: neither a null nor another's.
pub async fn rows_that_are_gone_are_not_filled(server: &str) {
    let database = with_rows(server).await;
    let log = filling(&database, "a").await;
    database.run("UPDATE a SET v = 5; DELETE FROM a WHERE id = 1; UPDATE a SET id = 12 WHERE id = 2").await;
    let mut reader = log.open().await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = reader.next().await.unwrap() {
        if let Event::Rows(rows) = event {
            let text = |name: &str, row| render::text(rows.batch.column_by_name(name).unwrap(), row);
            let text = |name, row| text(name, row).unwrap_or_else(|| "-".to_owned());
            seen.extend((0..rows.batch.num_rows()).map(|row| {
                let what = ["_op", "id", "_filled", "_unchanged"].map(|name| text(name, row)).join(" ");
                (what, text("big", row).len())
            }));
        }
    }
    let expected = [("u 1 - [big]", 1), ("u 2 - [big,big2]", 1), ("u 3 - -", 5), ("d 1 - -", 1), ("d 2 - -", 1)];
    let expected = expected.into_iter().chain([("c 12 [big,big2] -", 6401)]);
    assert_eq!(seen, expected.map(|(what, length)| (what.to_owned(), length)).collect::<Vec<_>>());
    drop(reader);

    if database.version().await >= 15 {
        let database = with_rows(server).await;
        database.run("DROP PUBLICATION pub; CREATE PUBLICATION pub FOR TABLE a WHERE (id > 0 AND id <> 2)").await;
        database.run("SELECT pg_drop_replication_slot(current_database())").await;
        with_slot(&database).await;
        let mut log = filling(&database, "a").await;
        database.run("BEGIN; UPDATE a SET v = 5; UPDATE a SET id = -1 WHERE id = 1; COMMIT").await;
        log.take(&mut *log.open().await.unwrap(), 1).await.unwrap();
        let open: Vec<_> = log.open.drain(..).collect();
        log.seen = open.iter().flat_map(|rows| super::told(&rows.table, &rows.batch)).collect();
        assert_eq!(told(&log), ["u 1 [] [big]", "u 3 [] []", "d 1 [] []"]);
    }
}

/// Keys of many columns and types, whose texts need quotes, and equal others that are written otherwise.
pub async fn keys_of_every_kind(server: &str) {
    let types = [
        ("int8", "'-9223372036854775808'", "9"),
        ("numeric", "1.50", "1.5000001"),
        ("numeric(10,2)", "1.50", "2"),
        ("text", r#"E'it''s "a" \\ {,} \n NULL'"#, "''"),
        ("text COLLATE \"C\"", "'x'", "'X'"),
        ("varchar(5)", "'ab '", "'ab'"),
        ("character(5)", "'ab'", "'b'"),
        ("\"char\"", "'x'", "'y'"),
        ("name", "'n'", "'m'"),
        ("bytea", r"'\x00ff5c'", "''"),
        ("bool", "true", "false"),
        ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'00000000-0000-0000-0000-000000000000'"),
        ("date", "'0044-03-15 BC'", "'infinity'"),
        ("timestamptz", "'2024-07-01 12:00:00.000001+02'", "'epoch'"),
        ("timestamp(0)", "'2024-07-01 12:00:00'", "'epoch'"),
        ("interval", "'1 year -2 mons 3 days'", "'1 s'"),
        ("float8", "0.1", "'-Infinity'"),
        ("inet", "'10.0.0.0/8'", "'::1'"),
        ("bit(5)", "B'10101'", "B'11111'"),
        ("int4[]", "'{1,NULL}'", "'{}'"),
        ("int4range", "'[1,5)'", "'empty'"),
        ("mood", "'so ''so'''", "'glad'"),
        ("price", "0.50", "1"),
        ("feeling", "'glad'", "'so ''so'''"),
        ("other.citext", "'AbC'", "'x'"),
        ("pair", "ROW(1, 'a,\"b')::pair", "ROW(NULL, NULL)::pair"),
        ("jsonb", "'{\"a\": [1]}'", "'1'"),
        ("regclass", "'pg_class'", "'pg_type'"),
    ];
    let database = Database::create(server).await;
    database
        .run(
            "CREATE SCHEMA other; CREATE EXTENSION citext SCHEMA other; CREATE TYPE mood AS ENUM ('so ''so''', 'glad');
             CREATE DOMAIN price AS numeric(10,2) CHECK (value > 0); CREATE DOMAIN feeling AS mood; CREATE TYPE pair AS (x int, y text)",
        )
        .await;
    let (mut tables, keys) = (Vec::new(), ["infinity", "read_as_text"]);
    for (number, (of, one, other)) in types.iter().enumerate() {
        let sql = format!(
            "CREATE TABLE k{number} (\"k 0\" {of}, place int, big text, PRIMARY KEY (place, \"k 0\"));
             ALTER TABLE k{number} ALTER big SET STORAGE EXTERNAL;
             INSERT INTO k{number} VALUES ({one}, 1, {BIG} || 1), ({other}, 1, {BIG} || 2), ({one}, 2, {BIG} || 3);
             CREATE TABLE s{number} (\"k 0\" {of} PRIMARY KEY, place int, big text);
             ALTER TABLE s{number} ALTER big SET STORAGE EXTERNAL;
             INSERT INTO s{number} VALUES ({one}, 1, {BIG} || 1), ({other}, 1, {BIG} || 2)"
        );
        database.run(&sql).await;
        tables.extend([format!("k{number}"), format!("s{number}")]);
    }
    database.run("CREATE PUBLICATION pub FOR ALL TABLES").await;
    with_slot(&database).await;
    let mut log = filling(&database, &tables.join(", ")).await;
    log.set(keys[0], "text");
    // One column of the key has no place among those that are changed.
    for table in &tables {
        database.run(&format!("ALTER TABLE {table} ADD v int; UPDATE {table} SET v = 1")).await;
    }
    log.whole().await;
    for table in &tables {
        let seen: Vec<_> = log.seen.iter().filter(|seen| seen.table == *table && seen.op == "u").collect();
        let of = types[table[1..].parse::<usize>().unwrap()].0;
        let count = if table.starts_with('k') { 3 } else { 2 };
        let ends: BTreeSet<_> =
            seen.iter().map(|seen| seen.row["big"].as_deref().unwrap_or("").split_at(6400).1).collect();
        assert_eq!((seen.len(), ends.len()), (count, count), "{of}: {seen:?}");
        assert!(seen.iter().all(|seen| seen.filled == ["big"] && seen.unchanged.is_empty()), "{of}");
    }
}

/// Rows of a partitioned table are those of its partitions; those of a table that others inherit from are its own alone.
pub async fn partitions_and_heirs(server: &str) {
    let tables = format!(
        "CREATE TABLE a (id int, v int, big text, PRIMARY KEY (id, v)) PARTITION BY RANGE (id);
         CREATE TABLE a1 PARTITION OF a FOR VALUES FROM (0) TO (10) PARTITION BY LIST (v); CREATE TABLE a11 PARTITION OF a1 DEFAULT;
         CREATE TABLE a2 (big text, v int NOT NULL, id int NOT NULL); ALTER TABLE a2 ADD CONSTRAINT k PRIMARY KEY (id, v);
         ALTER TABLE a ATTACH PARTITION a2 FOR VALUES FROM (10) TO (20); ALTER TABLE a ADD w int;
         ALTER TABLE a11 ALTER big SET STORAGE EXTERNAL; ALTER TABLE a2 ALTER big SET STORAGE EXTERNAL;
         CREATE TABLE b (id int PRIMARY KEY, v int, big text); ALTER TABLE b ALTER big SET STORAGE EXTERNAL;
         CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (b); ALTER TABLE heir ALTER big SET STORAGE EXTERNAL;
         INSERT INTO a (id, v, big) VALUES (1, 1, {BIG}), (1, 2, {BIG} || 2), (11, 1, {BIG} || 3);
         INSERT INTO b VALUES (1, 1, {BIG} || 'own'); INSERT INTO heir VALUES (1, 1, {BIG} || 'heir'), (2, 2, {BIG})"
    );
    let database = published(server, &tables).await;
    let mut log = filling(&database, "a, b").await;
    database.run("UPDATE a SET w = 7; UPDATE b SET v = 8").await;
    log.whole().await;
    assert_eq!(told(&log).len(), 4, "{:?}", told(&log));
    assert!(log.seen.iter().all(|seen| seen.filled == ["big"]), "{:?}", told(&log));
    log.is(&["a"], "partitions").await;
    assert!(log.seen.iter().any(|seen| seen.row["big"].as_ref().is_some_and(|big| big.ends_with("own"))));
    // One that was updated and is gone leaves its heir's row of the same key.
    database.run("UPDATE ONLY b SET v = 9; DELETE FROM ONLY b").await;
    log.whole().await;
    assert_eq!(told(&log), ["u 1 [] [big]", "d 1 [] []"]);
}

/// A table is another one by the time at which it is asked, or its column is, and nobody has told of that yet: no value of it is one.
pub async fn what_became_another_is_not_read(server: &str) {
    for script in [
        "ALTER TABLE a DROP big; ALTER TABLE a ADD big text",
        "ALTER TABLE a DROP big",
        "ALTER TABLE a ALTER big TYPE varchar(9) USING 'other'",
        "ALTER TABLE a RENAME TO old; CREATE TABLE a (LIKE old INCLUDING ALL); INSERT INTO a VALUES (1, 1, 'other', 'other')",
        "ALTER TABLE a RENAME big TO former; ALTER TABLE a RENAME big2 TO big",
        "DROP TABLE a",
    ] {
        let database = with_rows(server).await;
        let mut log = filling(&database, "a").await;
        log.set("snapshot", "initial");
        log.whole().await;
        log.following.goes_on = true;
        let mut reader = log.open().await.unwrap();
        database.run("UPDATE a SET v = 4 WHERE id = 1").await;
        until(&mut log, &mut *reader, place(&database).await).await;
        assert!(told(&log).contains(&"u 1 [big] []".to_owned()), "{:?}", told(&log));
        log.seen.clear();
        // What it is by now is known to who has learned it before, and to nobody by the log.
        database.run(&format!("BEGIN; UPDATE a SET v = 5 WHERE id = 1; {script}; COMMIT")).await;
        until(&mut log, &mut *reader, place(&database).await).await;
        assert!(log.seen.iter().all(|seen| seen.filled.is_empty()), "{script}: {:?}", told(&log));
        assert!(told(&log).contains(&"u 1 [] [big]".to_owned()), "{script}: {:?}", told(&log));
        drop(reader);
        log.following.goes_on = false;
        log.whole().await;
        if !script.starts_with("DROP") {
            log.is(&["a"], script).await;
        }
    }
}

/// The log has the text that a key had: where that is none of its type any more, no row is found by it, and the log goes on.
pub async fn keys_of_labels_that_are_named_otherwise(server: &str) {
    let tables = "CREATE TYPE mood AS ENUM ('sad', 'glad');
        CREATE TABLE a (id mood PRIMARY KEY, v int, big text); ALTER TABLE a ALTER big SET STORAGE EXTERNAL";
    let database = published(server, tables).await;
    database.run(&format!("INSERT INTO a VALUES ('sad', 1, {BIG}), ('glad', 1, {BIG})")).await;
    let mut log = filling(&database, "a").await;
    log.whole().await;
    database.run("UPDATE a SET v = 2").await;
    database.run("ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'").await;
    database.run("UPDATE a SET v = 3").await;
    log.whole().await;
    assert!(told(&log).contains(&"u sad [] [big]".to_owned()), "{:?}", told(&log));
    assert_eq!(log.seen.len(), 4);
    database.run("UPDATE a SET v = 4").await;
    log.whole().await;
    let mut seen = told(&log);
    seen.sort();
    assert_eq!(seen, ["u blue [big] []", "u glad [big] []"]);
}

/// Large values are read and handed on a few at a time, however many rows have them, or have the same one.
pub async fn large_values_in_little_memory(server: &str) {
    let large = "(SELECT string_agg(md5((n + id)::text), '') FROM generate_series(1, 32768) AS n)";
    let tables = format!(
        "CREATE TABLE a (id int PRIMARY KEY, v int, big text); ALTER TABLE a ALTER big SET STORAGE EXTERNAL;
         INSERT INTO a SELECT id, id, 'small' || repeat('x', 3000) FROM generate_series(1, 400) AS id;
         INSERT INTO a SELECT id, id, {large} FROM generate_series(401, 440) AS id"
    );
    let database = published(server, &tables).await;
    let mut log = filling(&database, "a").await;
    let same = "UPDATE a SET v = v + 1 WHERE id = 440; ".repeat(30);
    database.run(&format!("UPDATE a SET v = v + 1; BEGIN; {same} COMMIT; UPDATE a SET v = v + 1")).await;
    let mut reader = log.open().await.unwrap();
    let (mut batches, mut most) = (0, 0);
    while let Some(event) = reader.next().await.unwrap() {
        if let Event::Rows(rows) = event {
            most = most.max(rows.batch.get_array_memory_size());
            batches += 1;
            log.apply(&rows.table, &rows.batch);
        }
    }
    assert_eq!(told(&log).len(), 440 + 30 + 440);
    assert!(log.seen.iter().all(|seen| seen.filled == ["big"]), "{:?}", log.seen.len());
    log.is(&["a"], "large").await;
    assert!(most < 6 << 20, "{most} bytes in a batch");
    assert!((40..200).contains(&batches), "{batches} batches");
}

/// What is streamed before it is committed is filled when it is; what comes to nothing is not.
pub async fn large_transactions_are_filled(server: &str) {
    let database = with_rows(server).await;
    database.set(SMALL).await;
    database.run(&format!("INSERT INTO a SELECT n, 0, {BIG} FROM generate_series(10, 29) AS n")).await;
    let mut log = filling(&database, "a").await;
    let rows = "INSERT INTO a SELECT n, 1, repeat('x', 20) FROM generate_series(100, 3100) AS n";
    let script = format!(
        "UPDATE a SET v = 1 WHERE id < 30; SAVEPOINT s; UPDATE a SET v = 2, big = 'none' WHERE id < 30; ROLLBACK TO s; {rows}; \
         UPDATE a SET big = 'told' || {BIG} WHERE id = 10; UPDATE a SET v = 3 WHERE id < 30"
    );
    let other = super::super::database::connect(&database.url).await;
    other.batch_execute(&format!("BEGIN; {script}")).await.unwrap();
    log.whole().await;
    assert!(!log.seen.iter().any(|seen| seen.op == "u"), "nothing of it is committed");
    other.batch_execute("COMMIT").await.unwrap();
    log.whole().await;
    log.is(&["a"], "streamed").await;
    let filled = log.seen.iter().filter(|seen| !seen.filled.is_empty()).count();
    // Those with short values have nothing to be filled.
    assert_eq!(filled, 22 * 2, "{:?}", told(&log).len());
    let of_last: Vec<_> = log.seen.iter().filter(|seen| seen.row["id"].as_deref() == Some("10")).collect();
    assert!(of_last.iter().all(|seen| seen.row["big"].as_ref().is_some_and(|big| big.starts_with("told"))));
}

/// The option comes to a stream, and goes, and a killed session of it is a new one.
pub async fn filled_from_a_place_on(server: &str) {
    let database = with_rows(server).await;
    let mut log = filling(&database, "a").await;
    log.set("fill_unchanged", "no");
    log.set("snapshot", "initial");
    log.whole().await;
    let update = "UPDATE a SET v = v + 1 WHERE id = 1";
    for (fills, expected) in [("no", "u 1 [] [big]"), ("yes", "u 1 [big] []"), ("no", "u 1 [] [big]")] {
        database.run(update).await;
        log.set("fill_unchanged", fills);
        log.whole().await;
        assert_eq!(told(&log), [expected]);
        assert_eq!(log.tables["a"].schema.field_with_name("_filled").is_ok(), fills == "yes");
        log.is(&["a"], expected).await;
    }
    log.set("fill_unchanged", "yes");
    log.following.goes_on = true;
    let mut reader = log.open().await.unwrap();
    for _ in 0..3 {
        log.seen.clear();
        database.run(update).await;
        until(&mut log, &mut *reader, place(&database).await).await;
        assert_eq!(told(&log), ["u 1 [big] []"]);
        database
            .run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
                 AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
            )
            .await;
    }
}

/// `check` says where values cannot be found.
pub async fn tables_that_cannot_be_filled(server: &str) {
    let tables = "CREATE TABLE a (id int, u int NOT NULL, v int, big text);
        CREATE UNIQUE INDEX i ON a (u, v); ALTER TABLE a ALTER v SET NOT NULL; ALTER TABLE a ALTER big SET STORAGE EXTERNAL;
        ALTER TABLE a REPLICA IDENTITY USING INDEX i";
    let database = published(server, tables).await;
    database.run(&format!("INSERT INTO a VALUES (1, 1, 1, {BIG}), (2, 1, 2, {BIG} || 2)")).await;
    let mut log = filling(&database, "a").await;
    log.whole().await;
    database.run("UPDATE a SET id = 7 WHERE v = 1").await;
    log.whole().await;
    assert_eq!(told(&log), ["u 7 [big] []"]);
    let source = make(&[("url", database.url.as_str())]);
    for (key, is_told) in [("u, v", false), ("u", true)] {
        log.set("primary_key", key);
        let keys: Vec<_> = log.keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let stream = source.streams(&[selection("s", &keys)]).await.unwrap().whole().unwrap().remove(0);
        let note = source.describe(&stream.of_table("a")).await.unwrap().notes.join(" ");
        assert_eq!(note.contains("`fill_unchanged`"), is_told, "{key}: {note}");
    }
    // Which of two rows it is nobody knows.
    database.run("UPDATE a SET id = 8 WHERE v = 2").await;
    let mut reader = log.open().await.unwrap();
    let next = loop {
        if let Some(Event::Rows(rows)) = reader.next().await.unwrap()
            && rows.batch.num_rows() > 0
        {
            break rows;
        }
    };
    let text = |name: &str| render::text(next.batch.column_by_name(name).unwrap(), 0);
    assert_eq!((text("_filled"), text("_unchanged").as_deref()), (None, Some("[big]")));
}
