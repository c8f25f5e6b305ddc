//! Tables in chunks: every row in one of them, whatever the key is, and what chunks have in common.

use std::time::Duration;

use tidemark::error::{Error, Kind};
use tidemark::record::{Event, Range};
use tidemark::source::{Chunks, Consistency, Source, Stream};

use super::database::{Database, Read, assert_error, maker, only, read, selection};

async fn cut(source: &dyn Source, keys: &[(&str, &str)]) -> (Stream, Chunks) {
    let stream = only(source, keys).await;
    let chunks = source.chunks(&stream).await.unwrap();
    (stream, chunks)
}

async fn read_chunk(source: &dyn Source, stream: &Stream, range: &Range) -> Result<Read, Error> {
    let stream = Stream { range: Some(range.clone()), ..stream.clone() };
    read(source.open(&stream, None).await?).await
}

fn numbers(read: &Read) -> Vec<i64> {
    read.column("x").into_iter().map(|x| x.unwrap().parse().unwrap()).collect()
}

/// The `x` of every row, each chunk's in turn; none where the table is read whole.
async fn values(database: &Database, keys: &[(&str, &str)]) -> Vec<Vec<i64>> {
    let source = database.source();
    let (stream, chunks) = cut(&*source, keys).await;
    let is_whole = chunks.consistency == Consistency::Statement;
    assert_eq!(chunks.ranges.is_empty(), is_whole);
    let mut values = Vec::new();
    for range in &chunks.ranges {
        values.push(numbers(&read_chunk(&*source, &stream, range).await.unwrap()));
    }
    values
}

/// Together the chunks are 0 to 199, each row once, none of them much smaller or larger than asked for.
fn check(name: &str, chunks: &[Vec<i64>], rows: usize) {
    assert!(chunks.len() > 1, "{name}: {} chunks", chunks.len());
    for chunk in chunks {
        assert!(chunk.len() >= rows / 2 && chunk.len() <= 2 * rows, "{name}: {} rows", chunk.len());
    }
    let mut all: Vec<_> = chunks.concat();
    all.sort_unstable();
    assert_eq!(all, (0..200).collect::<Vec<_>>(), "{name}");
}

const NONE: [[i64; 0]; 0] = [];

/// A server that was built without ICU has another collation in its place.
const NUMBERS: &str = "CREATE TABLE n (x int8 PRIMARY KEY); INSERT INTO n SELECT generate_series(0, 199);
DO $$ BEGIN CREATE COLLATION german (provider = icu, locale = 'de-u-kn-true', deterministic = false);
EXCEPTION WHEN feature_not_supported THEN CREATE COLLATION german FROM \"POSIX\"; END $$;
CREATE DOMAIN short AS text CHECK (length(value) < 99); CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');";

/// Keys of every type, each of 0 to 199 as `x`.
const KEYS: [(&str, &str, &str); 14] = [
    ("ints", "k int4 PRIMARY KEY", "x - 100"),
    ("bigs", "k int8 PRIMARY KEY", "9223372036854775807 - x * 1000"),
    ("texts", "k text PRIMARY KEY", r"'Ä' || chr((97 + x % 26)::int) || '''\' || x"),
    ("c_texts", "k text COLLATE \"C\" PRIMARY KEY", "chr((97 + x % 26)::int) || chr((65 + x % 7)::int) || x"),
    ("icu_texts", "k varchar(20) COLLATE german PRIMARY KEY", "'Straße ' || x"),
    ("chars", "k char(12) PRIMARY KEY", "chr((97 + x % 26)::int) || x"),
    ("domains", "k short PRIMARY KEY", "x || 'é'"),
    ("bytes", "k bytea PRIMARY KEY", "decode(md5(x::text), 'hex')"),
    ("uuids", "k uuid PRIMARY KEY", "md5(x::text)::uuid"),
    ("decimals", "k numeric(20,4) PRIMARY KEY", "x / 7.0 - 3"),
    ("days", "k date PRIMARY KEY", "date '0044-03-15 BC' + x::int"),
    ("instants", "k timestamptz PRIMARY KEY", "timestamptz '2024-03-31 00:59:59.5 UTC' + x * interval '999.999 ms'"),
    ("times", "k time PRIMARY KEY", "time '00:00' + x * interval '1 minute 0.000001 s'"),
    (
        "three",
        "a mood, k text, c date, PRIMARY KEY (a, k, c)",
        "(enum_range(NULL::mood))[x % 3 + 1], 'k' || x % 5, date '2024-01-01' + x::int",
    ),
];

async fn make_keys(database: &Database) {
    database.run(NUMBERS).await;
    for (name, columns, values_of) in KEYS {
        let into = if name == "three" { "a, k, c" } else { "k" };
        database
            .run(&format!(
                "CREATE TABLE {name} (x int8, {columns}, pad text DEFAULT repeat('x', 200));
                 INSERT INTO {name} (x, {into}) SELECT x, {values_of} FROM n; ANALYZE {name}"
            ))
            .await;
    }
}

pub async fn every_type_of_key(server: &str) {
    let database = Database::create(server).await;
    make_keys(&database).await;
    for (name, ..) in KEYS {
        check(name, &values(&database, &[("table", name), ("chunk_rows", "30")]).await, 30);
    }
}

/// The server finds the chunk's range in the index: of what a chunk asks, it reads nothing else and sorts nothing.
pub async fn chunks_are_ranges_of_the_index(server: &str) {
    let database = Database::create(server).await;
    make_keys(&database).await;
    database.run("SET enable_seqscan = off; SET enable_bitmapscan = off").await;
    for (name, ..) in KEYS {
        let source = database.source();
        let (stream, chunks) = cut(&*source, &[("table", name), ("chunk_rows", "30")]).await;
        let span = chunks.ranges[1].as_value().clone();
        let list = |key: &str| {
            let quoted = |value: &serde_json::Value| format!("'{}'", value.as_str().unwrap().replace('\'', "''"));
            span[key].as_array().unwrap().iter().map(quoted).collect::<Vec<_>>().join(", ")
        };
        let columns = if name == "three" { "a, k, c" } else { "k" };
        let (after, to) = (list("after"), list("to"));
        let condition = format!("({columns}) > ({after}) AND ({columns}) <= ({to})");
        let sql = format!("EXPLAIN (COSTS off) SELECT * FROM {name} WHERE {condition} ORDER BY {columns}");
        let plan: String = database.texts(&sql).await.into_iter().flatten().collect();
        assert!(plan.contains("Index Scan") && !plan.contains("Sort"), "{name}: {plan}");
        assert!(read_chunk(&*source, &stream, &chunks.ranges[1]).await.unwrap().rows() > 0);
    }
}

pub async fn small_and_uncuttable_tables_are_read_whole(server: &str) {
    let database = Database::create(server).await;
    database.run(NUMBERS).await;
    database
        .run(
            "CREATE TABLE empty (x int8 PRIMARY KEY); CREATE TABLE one (x int8 PRIMARY KEY); INSERT INTO one VALUES (1);
             CREATE TABLE keyless (x int8); INSERT INTO keyless SELECT x FROM n;
             CREATE TABLE by_double (x int8, k float8 PRIMARY KEY); INSERT INTO by_double SELECT x, x FROM n;
             CREATE VIEW v AS SELECT * FROM n",
        )
        .await;
    for table in ["empty", "one", "keyless", "by_double", "v"] {
        assert_eq!(values(&database, &[("table", table), ("chunk_rows", "1")]).await, NONE, "{table}");
    }
    for rows in ["140", "200"] {
        assert_eq!(values(&database, &[("table", "n"), ("chunk_rows", rows)]).await, NONE, "{rows}");
    }
    // Of what is no table nobody says that it has no nulls, whose chunk is the first.
    for what in [("table", "v"), ("query", "SELECT x + 0 AS x FROM n -- all")] {
        let mut chunks = values(&database, &[what, ("chunk_by", "x"), ("chunk_rows", "30")]).await;
        assert_eq!(chunks.remove(0), [0; 0]);
        check(what.1, &chunks, 30);
    }
    let some = values(&database, &[("table", "n"), ("where", "x > 190"), ("chunk_rows", "30")]).await;
    assert_eq!((some.len(), some.concat()), (7, (191..200).collect()));
    let source = database.source();
    for (table, word) in [("keyless", "no primary key to cut it by"), ("by_double", "no ranges of the types of k")] {
        let description = source.describe(&only(&*source, &[("table", table)]).await).await.unwrap();
        assert!(description.notes.iter().any(|note| note.contains(word)), "{:?}", description.notes);
    }
    let stream = only(&*source, &[("table", "n"), ("chunk_by", "y")]).await;
    assert_error(&source.chunks(&stream).await.err().unwrap(), Kind::Config, &["`chunk_by`"]);
}

pub async fn chunks_by_columns_with_nulls_and_equals(server: &str) {
    let database = Database::create(server).await;
    database.run(NUMBERS).await;
    database
        .run(
            "CREATE TABLE t (x int8 PRIMARY KEY, k int, l int); CREATE INDEX ON t (k, l);
             INSERT INTO t SELECT x, nullif(x % 4, 3), nullif(x % 3, 0) FROM n;
             CREATE TABLE same (x int8 PRIMARY KEY, k int); INSERT INTO same SELECT x, 7 FROM n",
        )
        .await;
    let chunks = values(&database, &[("table", "t"), ("chunk_by", "k, l"), ("chunk_rows", "10")]).await;
    let mut all = chunks.concat();
    all.sort_unstable();
    assert_eq!(all, (0..200).collect::<Vec<_>>());
    let mut first = chunks[0].clone();
    first.sort_unstable();
    assert_eq!(first, (0..200).filter(|x| x % 4 == 3 || x % 3 == 0).collect::<Vec<_>>());
    assert_eq!(values(&database, &[("table", "same"), ("chunk_by", "k"), ("chunk_rows", "10")]).await, NONE);
}

/// Keys of 0 to 39,999 as `x`, and whether statistics tell where their first columns are.
const LARGE: [(&str, &str, &str, bool); 10] = [
    ("several", "k int4, l int4", "x / 7, x % 7", true),
    ("gaps", "k int8, l int4", "x + x / 5000 * 1000000000000, 1", true),
    ("dense_end", "k numeric, l int4", "CASE WHEN x < 1000 THEN x * 1e9 ELSE 1e12 + x / 8.0 END, 1", true),
    ("uuids", "k uuid, l int4", "md5(x::text)::uuid, 1", true),
    ("texts", "k text, l int4", r#"'Ä''\ "{,' || md5(x::text), 1"#, true),
    ("icu_texts", "k varchar(50) COLLATE german, l int4", "'Straße ' || x, 1", true),
    ("domains", "k short, l int4", "md5(x::text), 1", true),
    ("chars", "k char(40), l int4", "md5(x::text), 1", true),
    ("equal", "k int4, l int4", "least(x, 20000), x", false),
    ("wide", "k text COLLATE pg_catalog.\"C\", l int4", "repeat('x', 150) || x, 1", false),
];

const INSERT: &str = "SELECT x, {} FROM generate_series(0, 39999) AS g(x)";

/// None is much larger than asked for; and it is known which are cut without a walk.
pub async fn chunks_by_statistics(server: &str) {
    let database = Database::create(server).await;
    database.run(NUMBERS).await;
    // Rows are counted late, as if they had come after ANALYZE.
    database.run("SET track_counts = off").await;
    for (name, columns, values_of, _) in LARGE {
        let insert = INSERT.replace("{}", values_of);
        database
            .run(&format!(
                "CREATE TABLE {name} (x int8, {columns}, PRIMARY KEY (k, l)); INSERT INTO {name} (x, k, l) {insert};
                 ANALYZE {name}"
            ))
            .await;
    }
    database
        .run(&format!(
            "CREATE TABLE parted (x int8, k int4, l int4, PRIMARY KEY (k, l)) PARTITION BY RANGE (k);
             CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (9000);
             CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (9000) TO (50000);
             INSERT INTO parted {}; ANALYZE parted;
             CREATE TABLE nulls (x int8 PRIMARY KEY, k int4, l int4); CREATE INDEX ON nulls (k, l);
             INSERT INTO nulls {}; ANALYZE nulls;
             CREATE TABLE never (x int8, k int4, l int4, PRIMARY KEY (k, l)); ALTER TABLE never SET (autovacuum_enabled = off);
             INSERT INTO never {}",
            INSERT.replace("{}", "x, 1"),
            INSERT.replace("{}", "CASE WHEN x % 10 > 0 THEN x END, 1"),
            INSERT.replace("{}", "x, 1"),
        ))
        .await;
    let more = [("parted", true), ("nulls", true), ("never", false)];
    for (name, is_told) in LARGE.iter().map(|(name, _, _, is_told)| (*name, *is_told)).chain(more) {
        let keys = [("table", name), ("chunk_rows", "2000"), ("chunk_by", "k, l")];
        let source = database.source();
        let (_, chunks) = cut(&*source, &keys).await;
        let first = chunks.ranges.iter().find_map(|range| range.as_value()["to"].as_array()).unwrap();
        assert_eq!(first.len() == 1, is_told, "{name}");
        check_all(name, values(&database, &keys).await);
    }
}

/// Together the chunks are 0 to 39,999, each row once.
fn check_all(name: &str, chunks: Vec<Vec<i64>>) {
    let sizes: Vec<_> = chunks.iter().map(Vec::len).collect();
    assert!(sizes.iter().all(|size| *size <= 3 * 2000), "{name}: {sizes:?}");
    assert!(sizes.len() <= 50, "{name}: {sizes:?}");
    let mut all = chunks.concat();
    all.sort_unstable();
    assert_eq!(all, (0..40_000).collect::<Vec<_>>(), "{name}");
}

/// Of many rows that came after ANALYZE, wherever they are.
pub async fn stale_statistics_make_no_giant(server: &str) {
    let database = Database::create(server).await;
    let late = [("at_the_end", "x < 8000"), ("evenly", "x % 5 = 0"), ("in_the_middle", "x < 4000 OR x >= 36000")];
    for (name, early) in late {
        let insert = format!("INSERT INTO {name} {} WHERE", INSERT.replace("{}", "x, 1"));
        database
            .run(&format!(
                "CREATE TABLE {name} (x int8, k int4, l int4, PRIMARY KEY (k, l)); ALTER TABLE {name} SET (autovacuum_enabled = off);
                 {insert} ({early})"
            ))
            .await;
        database.run(&format!("ANALYZE {name}")).await;
        database.run(&format!("{insert} NOT ({early})")).await;
        check_all(name, values(&database, &[("table", name), ("chunk_rows", "2000")]).await);
    }
}

/// A statement that reads too long is ended at a row, and another one goes on; without a key that is an error.
pub async fn no_statement_reads_longer_than_it_may(server: &str) {
    let database = Database::create(server).await;
    database.run(NUMBERS).await;
    database
        .run(
            "CREATE TABLE t (x int8 PRIMARY KEY, pad text); ALTER TABLE t ALTER COLUMN pad SET STORAGE external;
             INSERT INTO t SELECT x, repeat('y', 300000) FROM n; CREATE TABLE keyless AS SELECT * FROM t",
        )
        .await;
    let source = database.source();
    let limit = ("max_query_time", "200ms");
    let (stream, chunks) = cut(&*source, &[("table", "t"), ("chunk_rows", "100"), limit]).await;
    let mut all = Vec::new();
    for range in &chunks.ranges {
        let stream = Stream { range: Some(range.clone()), ..stream.clone() };
        let mut reader = source.open(&stream, None).await.unwrap();
        let (mut batches, mut end) = (Vec::new(), None);
        while let Some(event) = reader.next().await.unwrap() {
            match event {
                Event::Rows(rows) => batches.push(rows),
                Event::Checkpoint(checkpoint) => end = Some(checkpoint),
            }
            // A destination that is slow.
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        let table = batches[0].table.clone();
        let batches = batches.into_iter().map(|rows| rows.batch).collect();
        all.push(numbers(&Read { table, batches, end: end.unwrap() }));
    }
    check("time", &all, 100);
    assert!(all.iter().all(|chunk| chunk.is_sorted()), "behind the last key it goes on");
    let stream = only(&*source, &[("table", "keyless"), limit]).await;
    let mut reader = source.open(&stream, None).await.unwrap();
    let error = loop {
        tokio::time::sleep(Duration::from_millis(60)).await;
        match reader.next().await {
            Ok(event) => assert!(event.is_some(), "read to its end"),
            Err(error) => break error,
        }
    };
    assert_error(&error, Kind::Config, &["`chunk_by`", "keyless", "max_query_time"]);
    drop(reader);
    drop(source);
    database.wait_for_no_backend().await;
}

pub async fn another_table_of_the_name_is_not_read_on(server: &str) {
    let database = Database::create(server).await;
    database.run(NUMBERS).await;
    let source = database.source();
    let (stream, chunks) = cut(&*source, &[("table", "n"), ("chunk_rows", "100")]).await;
    assert_eq!(read_chunk(&*source, &stream, &chunks.ranges[0]).await.unwrap().rows(), 100);
    database.run("CREATE TABLE m (LIKE n INCLUDING ALL); ALTER TABLE n RENAME TO o; ALTER TABLE m RENAME TO n").await;
    let error = read_chunk(&*source, &stream, &chunks.ranges[1]).await.unwrap_err();
    assert_error(&error, Kind::Lost, &["another table"]);
}

/// With `table` and `run` all chunks see what was there when the first was cut; a source that did not cut them cannot.
pub async fn chunks_of_one_moment(server: &str) {
    for consistency in ["table", "run"] {
        let database = Database::create(server).await;
        database.run(NUMBERS).await;
        let source = database.source();
        let keys = [("table", "n"), ("chunk_rows", "30"), ("chunk_by", "x"), ("consistency", consistency)];
        let (stream, chunks) = cut(&*source, &keys).await;
        assert!(chunks.ranges.len() > 5 && !chunks.consistency.outlives_its_process());
        let mut all = Vec::new();
        for range in &chunks.ranges {
            database.run("DELETE FROM n WHERE x = (SELECT max(x) FROM n); UPDATE n SET x = -x WHERE x = 100").await;
            all.push(numbers(&read_chunk(&*source, &stream, range).await.unwrap()));
        }
        check(consistency, &all, 30);
        let other = database.source();
        assert_error(&read_chunk(&*other, &stream, &chunks.ranges[0]).await.unwrap_err(), Kind::Lost, &["snapshot"]);
        drop(chunks.hold);
        let again = read_chunk(&*source, &stream, &chunks.ranges[0]).await;
        // The run's snapshot lives as long as the run.
        assert_eq!(again.is_ok(), consistency == "run");
        // A table that is not cut shares it too.
        let (stream, chunks) = cut(&*source, &[("table", "n"), ("consistency", consistency)]).await;
        assert_eq!(chunks.ranges.len(), 1);
        database.run("TRUNCATE n").await;
        let read = read_chunk(&*source, &stream, &chunks.ranges[0]).await;
        assert_error(&read.unwrap_err(), Kind::Unavailable, &["truncated"]);
    }
}

pub async fn pages_of_a_table(server: &str) {
    let database = Database::create(server).await;
    database.run(NUMBERS).await;
    database
        .run(
            "CREATE TABLE t (x int8, pad text DEFAULT repeat('x', 1000)); INSERT INTO t SELECT x FROM n; ANALYZE t;
             CREATE TABLE p (x int8, pad text DEFAULT repeat('x', 1000)) PARTITION BY RANGE (x);
             CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (150);
             CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (150) TO (500); INSERT INTO p SELECT x FROM n; ANALYZE p",
        )
        .await;
    let one = [("consistency", "table"), ("chunk_rows", "30")];
    let source = database.source();
    let (_, chunks) = cut(&*source, &[("table", "t"), one[0], one[1]]).await;
    let is_by_pages = chunks.ranges[0].as_value().get("pages").is_some();
    assert_eq!(is_by_pages, database.version().await >= 14);
    for table in ["t", "p"] {
        let mut all = values(&database, &[("table", table), ("chunk_by", "ctid"), one[0], one[1]]).await.concat();
        all.sort_unstable();
        assert_eq!(all, (0..200).collect::<Vec<_>>(), "{table}");
    }
    let refused = selection("s", &[("table", "t"), ("chunk_by", "ctid")]);
    assert_error(
        &(maker().check_stream)(&refused.section).unwrap_err(),
        Kind::Config,
        &["ctid", "consistency = table"],
    );
}
