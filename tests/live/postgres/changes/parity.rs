//! Values of every type by the log and by a query: the same.

use std::collections::BTreeMap;

use arrow_array::{Array, ArrayRef};
use tidemark::error::{Kind, Result};
use tidemark::record::Event;

use super::super::database::{Database, assert_error};
use super::{Log, altered, with_slot};
use crate::render;

/// By table, the values of its column `v` that came with an operation, each by itself.
type Values = BTreeMap<String, Vec<ArrayRef>>;

/// Reads a stream to its end.
async fn read(log: &mut Log<'_>, op: &str) -> Result<Values> {
    let mut reader = log.open().await?;
    let mut values = Values::new();
    while let Some(event) = reader.next().await? {
        match event {
            Event::Rows(rows) => {
                let ops = rows.batch.column_by_name("_op").unwrap();
                let own = values.entry(rows.table.name.clone()).or_default();
                let with_op = (0..rows.batch.num_rows()).filter(|row| render::text(ops, *row).as_deref() == Some(op));
                own.extend(with_op.map(|row| rows.batch.column_by_name("v").unwrap().slice(row, 1)));
            }
            Event::Checkpoint(checkpoint) => log.after = Some(checkpoint),
        }
    }
    Ok(values)
}

/// Reads tables with a column `v` by a snapshot, and the same rows once more by the log: both have the values that `expected`
/// has, if it has any of the table.
pub async fn both_ways(database: &Database, tables: &[String], keys: &[(&'static str, &str)], expected: &Values) {
    database.run("CREATE PUBLICATION pub FOR ALL TABLES").await;
    with_slot(database).await;
    let mut log = Log::new(database).await;
    log.set("tables", &tables.join(", "));
    for (key, value) in keys {
        log.set(key, value);
    }
    let by_query = read(&mut log, "r").await.unwrap();
    for table in tables {
        database.run(&format!("INSERT INTO {table} (v) SELECT v FROM {table} ORDER BY n")).await;
    }
    let by_log = read(&mut log, "c").await.unwrap();
    for table in tables {
        let (one, other) = (&by_query[table], &by_log[table]);
        assert!(!one.is_empty() && one.len() == other.len(), "{table}: {one:?} {other:?}");
        for (one, other) in one.iter().zip(other) {
            assert_eq!(one.data_type(), other.data_type(), "{table}");
            assert_eq!(one, other, "{table}");
        }
        if let Some(expected) = expected.get(table) {
            assert_eq!(one, expected, "{table}");
        }
    }
}

const ODD: &[(&str, &str)] = &[
    ("date", "'infinity'"),
    ("date", "'-infinity'"),
    ("timestamp", "'-infinity'"),
    ("timestamptz", "'infinity'"),
    ("timestamp", "'294276-12-31 23:59:59'"),
    ("date[]", "ARRAY['infinity'::date, '2024-02-29', NULL]"),
    ("numeric(10,2)", "'NaN'"),
    ("numeric(60,2)", "'NaN'"),
    ("numeric(10,2)[]", "'{NaN,1.5}'"),
    ("int[]", "'{{1,2},{3,NULL}}'"),
    ("int[]", "'[0:1]={1,2}'"),
    ("int4range[]", "ARRAY[ARRAY['[1,2)'::int4range]]"),
];

/// Values that their types do not hold, by each policy.
pub async fn policies_hold_both_ways(server: &str) {
    for keys in [
        &[("infinity", "null"), ("numeric_nan", "null"), ("arrays", "text")][..],
        &[("infinity", "text"), ("numeric_nan", "text"), ("arrays", "text")],
        &[("read_as_text", "v")],
    ] {
        let database = Database::create(server).await;
        let mut tables = Vec::new();
        for (number, (of, value)) in ODD.iter().enumerate() {
            let table = format!("odd_{number}");
            database
                .run(&format!("CREATE TABLE {table} (n serial, v {of}); INSERT INTO {table} (v) VALUES ({value})"))
                .await;
            tables.push(table);
        }
        both_ways(&database, &tables, keys, &Values::new()).await;
    }
}

/// Without a policy the log's error is that of a query, but for the place.
pub async fn values_beyond_their_type_end_the_log(server: &str) {
    for (of, value) in ODD.iter().copied().chain([("time", "'24:00:00'")]) {
        let database = Database::create(server).await;
        database.run(&format!("CREATE TABLE a (id int PRIMARY KEY, v {of}); CREATE PUBLICATION pub FOR TABLE a")).await;
        with_slot(&database).await;
        let mut log = Log::new(&database).await;
        log.set("tables", "a");
        log.whole().await;
        database.run(&format!("INSERT INTO a VALUES (1, {value})")).await;
        let error = log.refusal().await;
        assert_error(&error, Kind::Data, &["table a", "column v", "`read_as_text`"]);
        log.set("read_as_text", "v");
        log.whole().await;
        assert_eq!(log.ops().len(), 1, "{of}");
    }
}

/// What a type is may grow while it is read: labels of an enum, fields of a composite.
pub async fn types_that_grow(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "CREATE TYPE mood AS ENUM ('sad'); CREATE TYPE pair AS (x int, y text); \
             CREATE TABLE a (id int PRIMARY KEY, v mood, p pair); CREATE PUBLICATION pub FOR TABLE a; \
             INSERT INTO a VALUES (1, 'sad', ROW(1, 'y'))",
        )
        .await;
    with_slot(&database).await;
    let mut log = Log::new(&database).await;
    log.set("tables", "a");
    log.whole().await;
    for statement in [
        "INSERT INTO a VALUES (2, 'sad', ROW(2, 'y'))",
        "ALTER TYPE mood ADD VALUE 'glad'",
        "INSERT INTO a VALUES (3, 'glad', ROW(3, 'y'))",
        "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
        "INSERT INTO a VALUES (4, 'blue', ROW(4, 'y'))",
    ] {
        database.run(statement).await;
    }
    log.whole().await;
    assert_eq!(log.ops()[..2], ["a c 2 sad", "a c 3 glad"]);
    assert_eq!(log.ops()[2], "a c 4 blue");

    // What a composite type consists of is not in the log: the table is read anew.
    for (name, value) in [("ADD ATTRIBUTE z int", "ROW(5, 'y', 7)"), ("DROP ATTRIBUTE y", "ROW(6, 8)")] {
        let id = log.present.len() + 1;
        database.run(&format!("INSERT INTO a VALUES ({id}, 'blue', NULL); ALTER TYPE pair {name}")).await;
        database.run(&format!("INSERT INTO a VALUES ({id} + 1, 'blue', {value})")).await;
        log.whole().await;
        log.whole().await;
        let of_server = database.text("SELECT string_agg(p::text, ' ' ORDER BY id) FROM a").await;
        assert_eq!((log.present.len(), log.count("c")), (id + 1, 0), "{name}: {of_server} {:?}", log.seen);
    }
    for (name, told) in
        [("ADD ATTRIBUTE more int", ""), ("DROP ATTRIBUTE more", "; ALTER TABLE a SET (fillfactor = 90)")]
    {
        let id = log.present.len() + 1;
        log.following.goes_on = true;
        let mut reader = log.open().await.unwrap();
        database.run("UPDATE a SET v = 'glad'").await;
        altered::until(&mut log, &mut *reader, altered::place(&database).await).await;
        log.seen.clear();
        let value = if told.is_empty() { "ROW(7, 1, 2)" } else { "ROW(8, 1)" };
        database.run(&format!("ALTER TYPE pair {name}{told}")).await;
        database.run(&format!("INSERT INTO a VALUES ({id}, 'blue', {value})")).await;
        let place = altered::place(&database).await;
        // A server that tells of the table once more, as it does now and then without a reason, has it read anew at once.
        match altered::comes_to(&mut log, &mut *reader, place).await {
            Ok(()) => assert_eq!(log.count("t"), 1, "{name}: {:?}", log.ops()),
            Err(error) => {
                assert!(told.is_empty(), "{error:?}");
                assert_error(&error, Kind::Unavailable, &["table a", "type"]);
            }
        }
        drop(reader);
        log.following.goes_on = false;
        log.whole().await;
        assert_eq!(log.present.len(), id, "{name}: {:?}", log.ops());
    }
}
