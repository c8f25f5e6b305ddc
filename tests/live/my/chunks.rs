//! Tables in chunks: every row in one of them, whatever the key is, and a statement for each that its index answers.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemark::error::{Error, Kind};
use tidemark::record::Range;
use tidemark::source::{Consistency, Source, Stream};

use super::{Database, Flavour, Read, Server, drain, selection};

/// The chunks of a stream.
async fn cut(source: &dyn Source, keys: &[(&str, &str)]) -> (Stream, Vec<Range>) {
    let stream = source.streams(&[selection(keys)]).await.unwrap().streams.remove(0);
    let chunks = source.chunks(&stream).await.unwrap();
    let whole = if chunks.ranges.is_empty() { Consistency::Statement } else { Consistency::Chunk };
    assert_eq!(chunks.consistency, whole);
    (stream, chunks.ranges)
}

async fn read(source: &dyn Source, stream: &Stream, range: &Range) -> Result<Read, Error> {
    let stream = Stream { range: Some(range.clone()), ..stream.clone() };
    drain(source.open(&stream, None).await?).await
}

/// The `x` of every row, each chunk's in turn.
async fn values(database: &Database<'_>, keys: &[(&str, &str)]) -> Vec<Vec<i64>> {
    let source = database.source(None, &[]).unwrap();
    let (stream, ranges) = cut(&*source, keys).await;
    let mut values = Vec::new();
    for range in &ranges {
        values.push(numbers(&read(&*source, &stream, range).await.unwrap()));
    }
    values
}

fn numbers(read: &Read) -> Vec<i64> {
    use arrow_array::cast::AsArray;
    let column = read.table.schema.index_of("x").unwrap();
    let of = |batch: &arrow_array::RecordBatch| {
        batch.column(column).as_primitive::<arrow_array::types::Int64Type>().values().to_vec()
    };
    read.batches.iter().flat_map(of).collect()
}

/// Keys of every type, each of 0 to 199 as `x`.
const KEYS: [(&str, &str, &str); 12] = [
    ("signed", "k int primary key", "x - 100"),
    ("large", "k bigint unsigned primary key", "18446744073709551615 - x * 1000"),
    (
        "texts",
        "k varchar(40) character set utf8mb4 primary key",
        "concat('Ä', repeat(char(97 + x % 26), 3), '''\\\\', x)",
    ),
    (
        "latin1",
        "k varchar(40) character set latin1 collate latin1_german1_ci primary key",
        "concat('ß', x % 7, 'é', x)",
    ),
    ("bin", "k binary(16) primary key", "unhex(left(sha2(x, 256), 32))"),
    (
        "text_uuid",
        "k char(36) character set ascii primary key",
        "insert(insert(insert(insert(left(sha2(x, 256), 32), 9, 0, '-'), 14, 0, '-'), 19, 0, '-'), 24, 0, '-')",
    ),
    ("decimals", "k decimal(20,4) primary key", "x / 7 - 3"),
    ("days", "k date primary key", "date '1969-06-01' + interval x day"),
    ("moments", "k datetime(6) primary key", "timestamp '2024-02-29 23:59:59.5' + interval x * 999999 microsecond"),
    ("instants", "k timestamp(3) not null primary key", "timestamp '2024-03-31 00:59:59.5' + interval x minute"),
    ("times", "k time(2) primary key", "sec_to_time(x * 37 - 3600)"),
    (
        "three",
        "a int, k varchar(9), c date, primary key (a, k, c)",
        "x % 3, concat('k', x % 5), date '2024-01-01' + interval x day",
    ),
];

pub async fn every_type_of_key(server: &Server) {
    let database = server.database("chunk_keys").await;
    fill_numbers(&database).await;
    for (name, columns, values_of) in KEYS {
        let into = if name == "three" { "a, k, c" } else { "k" };
        database
            .run(&format!(
                "create table {name} (x bigint, {columns}); insert into {name} (x, {into}) select x, {values_of} from n"
            ))
            .await;
        let chunks = values(&database, &[("table", name), ("chunk_rows", "30")]).await;
        check(name, &chunks, 30);
    }
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

async fn fill_numbers(database: &Database<'_>) {
    let rows = (0..200).map(|x| format!("({x})")).collect::<Vec<_>>().join(", ");
    database.run(&format!("create table n (x bigint primary key); insert into n values {rows}")).await;
}

/// The server reads the chunk's range of the index, and sorts nothing.
pub async fn chunks_are_ranges_of_the_index(server: &Server) {
    let database = server.database("chunk_plans").await;
    fill_numbers(&database).await;
    for (name, columns, values_of) in KEYS {
        let (into, order) = if name == "three" { ("a, k, c", "a, k, c") } else { ("k", "k") };
        database
            .run(&format!(
                "create table {name} (x bigint, {columns}, pad char(200) default 'x');
                 insert into {name} (x, {into}) select x, {values_of} from n; analyze table {name}"
            ))
            .await;
        let source = database.source(None, &[]).unwrap();
        let (stream, ranges) = cut(&*source, &[("table", name), ("chunk_rows", "30")]).await;
        let seen = statement_of(&database, &*source, &stream, &ranges[1]).await;
        assert!(seen.contains("order by") && seen.contains(order.split(',').next().unwrap()), "{seen}");
        let explain = if server.flavour == Flavour::Mysql { "explain format = traditional" } else { "explain" };
        let plan = database.texts(&format!("{explain} {seen}")).await.remove(0);
        let cells: Vec<_> = plan.into_iter().map(Option::unwrap_or_default).collect();
        assert!(
            cells.contains(&"range".to_owned()) && cells.contains(&"PRIMARY".to_owned()),
            "{name}: {cells:?}: {seen}"
        );
        assert!(!cells.iter().any(|cell| cell.contains("filesort")), "{name}: {cells:?}");
    }
}

/// What the server is asked for a chunk, as its log has it.
async fn statement_of(database: &Database<'_>, source: &dyn Source, stream: &Stream, range: &Range) -> String {
    let mut log = database.conn().await;
    use mysql_async::prelude::Queryable;
    log.query_drop("set global log_output = 'table'; truncate mysql.general_log; set global general_log = on")
        .await
        .unwrap();
    read(source, stream, range).await.unwrap();
    log.query_drop("set global general_log = off").await.unwrap();
    // Other tests have tables of the same names.
    let (name, own) = (stream.table(), &database.name);
    let sql = format!(
        "select convert(argument using utf8mb4) from mysql.general_log where command_type = 'Execute'
         and argument like '%order by%' and argument like '%`{own}`.`{name}`%' and argument not like '%information_schema%'"
    );
    super::texts(&mut log, &sql).await.remove(0).remove(0).unwrap()
}

pub async fn small_and_uncuttable_tables_are_read_whole(server: &Server) {
    let database = server.database("chunk_whole").await;
    fill_numbers(&database).await;
    database
        .run(
            "create table nobody (x bigint primary key); create table one (x bigint primary key); insert into one values (1);
             create table keyless (x bigint); insert into keyless select x from n;
             create table by_double (x bigint, k double primary key); insert into by_double select x, x from n;
             create table by_enum (x bigint, k enum('b', 'a') primary key); insert into by_enum values (1, 'a'), (2, 'b');
             create view v as select * from n",
        )
        .await;
    for table in ["nobody", "one", "keyless", "by_double", "by_enum", "v"] {
        assert_eq!(values(&database, &[("table", table), ("chunk_rows", "1")]).await, [[0; 0]; 0], "{table}");
    }
    for (key, value) in [("chunk_rows", "140"), ("chunk_rows", "200"), ("consistency", "table")] {
        assert_eq!(values(&database, &[("table", "n"), (key, value)]).await, [[0; 0]; 0], "{key} = {value}");
    }
    // Not those of the catalog, but those that are named.
    check("v", &values(&database, &[("table", "v"), ("chunk_by", "x"), ("chunk_rows", "30")]).await, 30);
    let query = [("query", "select x + 0 as x from n -- all"), ("chunk_by", "x"), ("chunk_rows", "30")];
    check("query", &values(&database, &query).await, 30);
    // Empty chunks are chunks too.
    let some = values(&database, &[("table", "n"), ("where", "x > 190"), ("chunk_rows", "30")]).await;
    assert_eq!((some.len(), some.concat()), (7, (191..200).collect()));
    for (table, word) in [("keyless", "no primary key to cut it by"), ("by_double", "no ranges of the types of k")] {
        let description = database.describe(&[("table", table)]).await.unwrap();
        assert!(description.notes.iter().any(|note| note.contains(word)), "{:?}", description.notes);
    }
    let source = database.source(None, &[]).unwrap();
    let stream = source.streams(&[selection(&[("table", "n"), ("chunk_by", "y")])]).await.unwrap().streams.remove(0);
    let error = source.chunks(&stream).await.err().unwrap();
    assert_eq!((error.kind(), error.message().contains("`chunk_by`")), (Kind::Config, true), "{error}");
}

pub async fn chunks_by_columns_with_nulls_and_equals(server: &Server) {
    let database = server.database("chunk_nulls").await;
    fill_numbers(&database).await;
    database
        .run(
            "create table t (x bigint primary key, k int, l int, index (k, l));
             insert into t select x, nullif(x % 4, 3), nullif(x % 3, 0) from n;
             create table same (x bigint primary key, k int, index (k)); insert into same select x, 7 from n",
        )
        .await;
    let chunks = values(&database, &[("table", "t"), ("chunk_by", "k, l"), ("chunk_rows", "10")]).await;
    let of: BTreeMap<_, _> = chunks.iter().flatten().map(|x| (*x, ())).collect();
    assert_eq!((of.len(), chunks.concat().len()), (200, 200));
    let nulls: Vec<_> = (0..200).filter(|x| x % 4 == 3 || x % 3 == 0).collect();
    let mut first = chunks[0].clone();
    first.sort_unstable();
    assert_eq!(first, nulls);
    assert_eq!(values(&database, &[("table", "same"), ("chunk_by", "k"), ("chunk_rows", "10")]).await, [[0; 0]; 0]);
}

/// Tables of 0 to 39,999 as `x` that are cut by what the server estimates, or look as if they could be.
const LARGE: [(&str, &str, &str); 10] = [
    ("several", "k int, l int, primary key (k, l)", "x div 7, x % 7"),
    ("negative", "k int, l int, primary key (k, l)", "(x - 39000) * 3, x % 5"),
    ("gaps", "k bigint, l int, primary key (k, l)", "x + x div 5000 * 1000000000000, 1"),
    ("far", "k bigint unsigned, l int, primary key (k, l)", "if(x < 20000, x, 18446744073709551615 - x * 3), 1"),
    ("outlier", "k bigint, l int, primary key (k, l)", "if(x = 39999, 9223372036854775807, x), 1"),
    ("dense_end", "k bigint, l int, primary key (k, l)", "if(x < 1000, x * 1000000000, 1000000000000 + x), 1"),
    ("zeros", "k decimal(30) zerofill, l int, primary key (k, l)", "x * 100000000000000000000, 1"),
    ("secondary", "k int, l int, primary key (l), key (k, l)", "nullif(x % 20000, 7), x"),
    // These are walked.
    ("equal", "k int, l int, primary key (k, l)", "if(x < 20000, x, 20000), x"),
    ("parted", "k int, l int, primary key (k, l)", "x div 7, x % 7"),
];

/// None is much larger than asked for, whatever the numbers are like; and it is known which are cut without a walk.
pub async fn chunks_by_estimates(server: &Server) {
    let database = server.database("chunk_large").await;
    fill_numbers(&database).await;
    for (name, columns, values_of) in LARGE {
        let parts = if name == "parted" { "partition by hash (k) partitions 4" } else { "" };
        database
            .run(&format!(
                "create table {name} (x bigint, {columns}, pad char(100) default 'x') stats_auto_recalc = 0 {parts};
                 insert into {name} (x, k, l) select x, {values_of} from (select a.x * 200 + b.x as x from n a, n b) as m;
                 analyze table {name}"
            ))
            .await;
        let keys = [("table", name), ("chunk_rows", "2000"), ("chunk_by", "k, l")];
        check_large(&database, name, &keys, !["equal", "parted"].contains(&name)).await;
    }
}

async fn check_large(database: &Database<'_>, name: &str, keys: &[(&str, &str)], is_estimated: bool) {
    let source = database.source(None, &[]).unwrap();
    let (_, ranges) = cut(&*source, keys).await;
    let first = ranges.iter().find_map(|range| range.as_value()["to"].as_array()).unwrap();
    assert_eq!(first.len() == 1, is_estimated, "{name}");
    check_all(name, values(database, keys).await);
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

/// Of many rows that came after the statistics were made, wherever they are.
pub async fn stale_statistics_make_no_giant(server: &Server) {
    let database = server.database("chunk_stale").await;
    fill_numbers(&database).await;
    let late = [
        ("at_the_end", "x < 8000"),
        ("evenly", "x % 5 = 0"),
        ("in_the_middle", "x < 4000 or x >= 36000"),
        ("few", "x < 100"),
    ];
    for (name, early) in late {
        let insert = format!(
            "insert into {name} (x, k, l) select x, x * 3, 1 from (select a.x * 200 + b.x as x from n a, n b) as m where"
        );
        database
            .run(&format!(
                "create table {name} (x bigint, k bigint, l int, pad char(100) default 'x', primary key (k, l))
                 stats_persistent = 1 stats_auto_recalc = 0;
                 {insert} ({early}); analyze table {name}; {insert} not ({early})"
            ))
            .await;
        check_all(name, values(&database, &[("table", name), ("chunk_rows", "2000")]).await);
    }
}

/// A statement that reads too long is ended at a row, and another one goes on; without a key that is an error.
pub async fn no_statement_reads_longer_than_it_may(server: &Server) {
    let database = server.database("chunk_time").await;
    fill_numbers(&database).await;
    database
        .run(
            "create table t (x bigint primary key, pad longtext);
             insert into t select x, repeat('y', 100000) from n; create table keyless as select * from t",
        )
        .await;
    let source = database.source(None, &[]).unwrap();
    let limits = [("chunk_rows", "100"), ("max_query_time", "200ms")];
    let (stream, ranges) = cut(&*source, &[("table", "t"), limits[0], limits[1]]).await;
    let (mut all, mut statements) = (Vec::new(), 0);
    for range in &ranges {
        let stream = Stream { range: Some(range.clone()), ..stream.clone() };
        let mut reader = source.open(&stream, None).await.unwrap();
        let mut batches = Vec::new();
        while let Some(event) = reader.next().await.unwrap() {
            if let tidemark::record::Event::Rows(rows) = event {
                batches.push(rows);
                // A destination that is slow.
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        }
        let table = batches[0].table.clone();
        let end = tidemark::record::Position::new(().into()).into();
        let read = Read { table, batches: batches.into_iter().map(|rows| rows.batch).collect(), end };
        statements += 1;
        all.push(numbers(&read));
    }
    assert_eq!(statements, 2);
    check("time", &all, 100);
    assert!(all.iter().all(|chunk| chunk.is_sorted()), "behind the last key it goes on");

    let stream = source.streams(&[selection(&[("table", "keyless"), limits[1]])]).await.unwrap().streams.remove(0);
    let mut reader = source.open(&stream, None).await.unwrap();
    let error = loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        match reader.next().await {
            Ok(event) => assert!(event.is_some(), "read to its end"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), Kind::Config, "{error}");
    assert!(error.to_string().contains("`chunk_by`") && error.to_string().contains("keyless"), "{error}");
}

/// Rows that are changed while the chunks are read stay where they are, as long as their key does.
pub async fn another_table_of_the_name_is_not_read_on(server: &Server) {
    let database = server.database("chunk_swap").await;
    fill_numbers(&database).await;
    let source = database.source(None, &[]).unwrap();
    let (stream, ranges) = cut(&*source, &[("table", "n"), ("chunk_rows", "100")]).await;
    assert_eq!(read(&*source, &stream, &ranges[0]).await.unwrap().rows(), 100);
    // To the second, as the server tells it.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    database.run("create table m like n; insert into m values (1), (150); rename table n to o, m to n").await;
    let error = read(&*source, &stream, &ranges[1]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Lost, "{error}");
    database.run("rename table n to m, o to n").await;
}
