//! The SQLite source over real database files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use rusqlite::Connection;
use tidemark::config::Section;
use tidemark::error::{Error, Kind, Result};
use tidemark::record::{Event, Position, Table, field};
use tidemark::source::{self, Reader, STREAM_KEYS, Selection, Source, Stream};

/// A database file that goes away with the test.
struct Db {
    folder: tempfile::TempDir,
}

impl Db {
    fn new(sql: &str) -> Self {
        let db = Self { folder: tempfile::tempdir().unwrap() };
        db.write().execute_batch(sql).unwrap();
        db
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("shop.db")
    }

    fn write(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn source(&self, more: &[(&str, &str)]) -> Box<dyn Source> {
        open_source(&self.path(), more).unwrap()
    }
}

fn open_source(path: &Path, more: &[(&str, &str)]) -> Result<Box<dyn Source>> {
    let maker = source::maker("sqlite")?;
    let mut values = vec![("path", path.to_str().unwrap())];
    values.extend(more);
    (maker.make)(&Section::of_kind(&maker.kind, &values)?)
}

fn selection(values: &[(&str, &str)]) -> Selection {
    let keys = STREAM_KEYS.iter().chain(source::maker("sqlite").unwrap().kind.stream_keys).collect();
    Selection::of("s", &Section::of_keys("stream s", keys, values).unwrap(), None).unwrap()
}

async fn streams(source: &dyn Source, values: &[(&str, &str)]) -> Result<Vec<Stream>> {
    source.streams(&[selection(values)]).await
}

/// All of one stream.
#[derive(Debug)]
struct Read {
    table: Arc<Table>,
    batches: Vec<RecordBatch>,
    end: Position,
}

impl Read {
    fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Every row as text, its cells between bars.
    fn shown(&self) -> Vec<String> {
        let row = |batch: &RecordBatch, row| {
            batch.columns().iter().map(|column| show(column, row)).collect::<Vec<_>>().join("|")
        };
        self.batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |n| row(batch, n))).collect()
    }

    fn types(&self) -> Vec<DataType> {
        self.table.schema.fields().iter().map(|field| field.data_type().clone()).collect()
    }
}

async fn drain(mut reader: Box<dyn Reader>) -> Result<Read> {
    let mut announced: Option<Arc<Table>> = None;
    let mut batches = Vec::new();
    let mut end = None;
    while let Some(event) = reader.next().await? {
        assert!(end.is_none(), "an event after the last checkpoint");
        match event {
            Event::Rows(rows) => {
                assert_eq!(announced.is_none(), rows.batch.num_rows() == 0, "one announcement, and it comes first");
                announced.get_or_insert(rows.table);
                batches.push(rows.batch);
            }
            Event::Checkpoint(position) => end = Some(position),
        }
    }
    Ok(Read { table: announced.expect("announced"), batches, end: end.expect("ends with a checkpoint") })
}

async fn read(source: &dyn Source, values: &[(&str, &str)]) -> Result<Read> {
    let streams = streams(source, values).await?;
    drain(source.open(&streams[0], None).await?).await
}

/// Reads table `t` of a database made by `sql`.
async fn read_t(sql: &str, more: &[(&str, &str)]) -> Result<Read> {
    let db = Db::new(sql);
    let mut values = vec![("table", "t")];
    values.extend(more);
    read(&*db.source(&[]), &values).await
}

fn show(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_owned();
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => format!("{:?}", array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Decimal256(..) => array.as_primitive::<Decimal256Type>().value_as_string(row),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Binary => hex::encode(array.as_binary::<i32>().value(row)),
        DataType::FixedSizeBinary(_) => hex::encode(array.as_fixed_size_binary().value(row)),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(row).to_string(),
        DataType::Time64(_) => array.as_primitive::<Time64MicrosecondType>().value(row).to_string(),
        DataType::Timestamp(..) => array.as_primitive::<TimestampMicrosecondType>().value(row).to_string(),
        other => panic!("no column becomes {other}"),
    }
}

fn fails(result: Result<Read>, kind: Kind, parts: &[&str]) -> Error {
    let error = result.unwrap_err();
    let shown = error.to_string();
    assert_eq!(error.kind(), kind, "{shown}");
    for part in parts {
        assert!(shown.contains(part), "{part} in: {shown}");
    }
    error
}

/// The rows of the table in docs/sources/sqlite.md: declared type, what is stored (as SQL), Arrow, what arrives.
#[tokio::test]
async fn every_declared_type_arrives_as_documented() {
    let utc = field::instant();
    let time = DataType::Time64(TimeUnit::Microsecond);
    let uuid = "00112233445566778899aabbccddeeff";
    let fixed = DataType::FixedSizeBinary(16);
    for (declared, stored, arrow, expected) in [
        ("INTEGER", "-9223372036854775808", DataType::Int64, "-9223372036854775808"),
        ("INTEGER", "9223372036854775807", DataType::Int64, "9223372036854775807"),
        ("SMALLINT", "70000", DataType::Int64, "70000"),
        ("UNSIGNED BIG INT", "1", DataType::Int64, "1"),
        ("INTEGER", "'12'", DataType::Int64, "12"),
        ("INTEGER", "3.0", DataType::Int64, "3"),
        ("BOOLEAN", "1", DataType::Boolean, "true"),
        ("BOOLEAN", "false", DataType::Boolean, "false"),
        ("REAL", "1e308", DataType::Float64, "1e308"),
        ("DOUBLE PRECISION", "7", DataType::Float64, "7.0"),
        ("FLOAT", "0.1", DataType::Float64, "0.1"),
        ("REAL", "9e999", DataType::Float64, "inf"),
        ("REAL", "9e999 - 9e999", DataType::Float64, "null"),
        ("DECIMAL(12,2)", "59.97", DataType::Decimal128(12, 2), "59.97"),
        ("DECIMAL(12,2)", "'-9999999999.99'", DataType::Decimal128(12, 2), "-9999999999.99"),
        ("NUMERIC(10)", "1234567890", DataType::Decimal128(10, 0), "1234567890"),
        ("DECIMAL(38,20)", "1e-7", DataType::Decimal128(38, 20), "0.00000010000000000000"),
        (
            "DECIMAL(65,30)",
            "-9223372036854775808",
            DataType::Decimal256(65, 30),
            "-9223372036854775808.000000000000000000000000000000",
        ),
        ("NUMERIC", "12.5", DataType::Utf8, "12.5"),
        ("NUMERIC", "9223372036854775807", DataType::Utf8, "9223372036854775807"),
        ("VARCHAR(3)", "'longer than three'", DataType::Utf8, "longer than three"),
        ("TEXT", "''", DataType::Utf8, ""),
        ("TEXT", "'a' || char(0) || 'ü😀'", DataType::Utf8, "a\0ü😀"),
        ("STRING", "007", DataType::Utf8, "7"),
        ("", "5", DataType::Utf8, "5"),
        ("", "5.0", DataType::Utf8, "5.0"),
        ("", "'5'", DataType::Utf8, "5"),
        ("MONEY", "1.25", DataType::Utf8, "1.25"),
        ("BLOB", "x'00ff'", DataType::Binary, "00ff"),
        ("BLOB", "x''", DataType::Binary, ""),
        ("BLOB", "'ab'", DataType::Binary, "6162"),
        ("POINT", "x'4750'", DataType::Binary, "4750"),
        ("DATE", "'2024-02-29'", DataType::Date32, "19782"),
        ("DATE", "'0000-01-01'", DataType::Date32, "-719528"),
        ("DATE", "'2024-02-29T00:00'", DataType::Date32, "19782"),
        ("DATETIME", "'2024-01-02 03:04:05.123456'", field::TIMESTAMP, "1704164645123456"),
        ("TIMESTAMP", "'9999-12-31T23:59:59.999999'", field::TIMESTAMP, "253402300799999999"),
        ("DATETIME", "'1969-12-31'", field::TIMESTAMP, "-86400000000"),
        ("TIMESTAMP WITH TIME ZONE", "'2024-01-02 03:04:05+05:30'", utc.clone(), "1704144845000000"),
        ("TIMESTAMPTZ", "'2024-01-02T03:04:05Z'", utc.clone(), "1704164645000000"),
        ("TIMESTAMPTZ", "'2024-01-02 03:04:05'", utc.clone(), "1704164645000000"),
        ("TIME", "'23:59:59.5'", time.clone(), "86399500000"),
        ("JSON", "'{\"a\": 1.0}'", DataType::Utf8, "{\"a\": 1.0}"),
        ("JSON", "'5'", DataType::Utf8, "5"),
        ("UUID", "'00112233-4455-6677-8899-AABBCCDDEEFF'", fixed.clone(), uuid),
        ("UUID", "x'00112233445566778899aabbccddeeff'", fixed.clone(), uuid),
        ("TEXT", "null", DataType::Utf8, "null"),
        ("UUID", "null", fixed, "null"),
        ("TIME", "null", time, "null"),
        ("TIMESTAMPTZ", "null", utc, "null"),
    ] {
        let sql = format!("create table t (c {declared}); insert into t values ({stored});");
        let read = read_t(&sql, &[]).await.unwrap_or_else(|e| panic!("{declared} {stored}: {e}"));
        assert_eq!((read.types(), read.shown()), (vec![arrow], vec![expected.to_owned()]), "{declared} {stored}");
        let native = if declared.is_empty() { "no declared type" } else { declared };
        assert_eq!(field::native(read.table.schema.field(0)), Some(native));
    }
    let read = read_t("create table t (j json, u uuid)", &[]).await.unwrap();
    assert!(field::is_json(read.table.schema.field(0)) && field::is_uuid(read.table.schema.field(1)));
}

#[tokio::test]
async fn a_value_that_does_not_fit_names_table_row_column_and_key() {
    for (declared, stored, key) in [
        ("INTEGER", "'secret'", "read_as_text = c"),
        ("INTEGER", "1.5", "read_as_text"),
        ("INTEGER", "x'00'", "column_types = c blob"),
        ("BOOLEAN", "2", "read_as_text"),
        ("BOOLEAN", "'true'", "read_as_text"),
        ("REAL", "'secret'", "read_as_text"),
        ("DECIMAL(5,2)", "0.1 + 0.2", "more digits than DECIMAL(5,2)"),
        ("DECIMAL(5,2)", "0.1 + 0.2", "round_decimals = yes"),
        ("DECIMAL(5,2)", "1000", "more digits than DECIMAL(5,2)"),
        ("DECIMAL(65,2)", "0.125", "more digits than DECIMAL(65,2)"),
        ("DECIMAL(5,2)", "'secret'", "read_as_text"),
        ("TEXT", "x'00'", "column_types = c blob"),
        ("TEXT", "cast(x'ff' as text)", "not valid UTF-8"),
        ("", "x'00'", "column_types = c blob"),
        ("BLOB", "7", "read_as_text"),
        ("DATE", "'2024-02-30'", "read_as_text"),
        ("DATE", "'2024-02-03 04:05'", "read_as_text"),
        ("DATE", "20240203", "numeric_times"),
        ("DATETIME", "1700000000", "numeric_times"),
        ("DATETIME", "'2024-01-02 03:04:05Z'", "timestamps = utc"),
        ("DATETIME", "'2024-01-02 03:04:05.1234567'", "read_as_text"),
        ("TIMESTAMPTZ", "'yesterday'", "read_as_text"),
        ("TIME", "'25:00'", "read_as_text"),
        ("JSON", "'{secret'", "read_as_text"),
        ("UUID", "'secret'", "read_as_text"),
        ("UUID", "x'00'", "read_as_text"),
    ] {
        let sql = format!("create table t (c {declared}); insert into t values (null), ({stored}), (null);");
        let error = fails(read_t(&sql, &[]).await, Kind::Data, &["column t.c, rowid 2: ", key, "[stream s]"]);
        assert!(!error.to_string().contains("secret"), "{error}");
        let read = read_t(&sql, &[("read_as_text", "c")]).await.unwrap();
        assert_eq!((read.rows(), read.types()), (3, vec![DataType::Utf8]), "{declared} {stored}");
    }
    // Where there is no rowid, the row's place.
    let sql = "create table t (k text primary key, c int) without rowid; insert into t values ('a', 1), ('b', 'x');";
    fails(read_t(sql, &[]).await, Kind::Data, &["column t.c, row 2 as read"]);
}

#[tokio::test]
async fn keys_change_how_columns_are_read() {
    let sql = "create table t (a datetime, b date, c, d text); \
               insert into t values (1700000000, 1699920000, 12.5, '2024-01-02 03:04:05');";
    let keys = [("numeric_times", "seconds"), ("column_types", "c decimal(5,2), t.d timestamptz")];
    let read = read_t(sql, &keys).await.unwrap();
    assert_eq!(read.shown(), ["1700000000000000|19675|12.50|1704164645000000"]);
    assert_eq!(read.types()[2..], [DataType::Decimal128(5, 2), field::instant()]);

    let sql = "create table t (a datetime); insert into t values (1700000000123), ('2024-01-02 03:04:05+01:00');";
    let keys = [("numeric_times", "milliseconds"), ("timestamps", "utc")];
    let read = read_t(sql, &keys).await.unwrap();
    assert_eq!(
        (read.types(), read.shown().join(" ")),
        (vec![field::instant()], "1700000000123000 1704161045000000".into())
    );

    let sql = "create table t (a timestamp); insert into t values (julianday('2024-01-02 03:04:05.678'));";
    let read = read_t(sql, &[("numeric_times", "julian")]).await.unwrap();
    assert_eq!(read.shown(), ["1704164645678000"]);

    let sum = "create table t (a decimal(5,2)); insert into t values (0.1 + 0.2), (35 * 0.01), (-0.004), (1.5);";
    let read = read_t(sum, &[("round_decimals", "yes")]).await.unwrap();
    assert_eq!(read.shown(), ["0.30", "0.35", "0.00", "1.50"]);
    let beyond = "create table t (a decimal(5,2)); insert into t values (999.999);";
    fails(read_t(beyond, &[("round_decimals", "yes")]).await, Kind::Data, &["more digits"]);

    let error = read_t(sql, &[("column_types", "b text")]).await;
    fails(error, Kind::Config, &["column_types", "`b`", "no column"]);
}

#[tokio::test]
async fn tables_of_every_sort_are_read() {
    let db = Db::new(
        "create table plain (id integer primary key, rowid text, twice int generated always as (id * 2));
         insert into plain (id, rowid) values (7, 'seven');
         create table pairs (b text, a text, primary key (a, b)) without rowid;
         insert into pairs values ('y', 'x');
         create table strict_one (n int, x any) strict;
         insert into strict_one values (1, 'one'), (2, 2.5);
         create virtual table words using fts5(title, body);
         insert into words values ('t', 'b');
         create view sums as select id, cast(sum(twice) as integer) as total, count(*) as n from plain;
         create table \"odd \"\"name\" (\"a b\" int);",
    );
    let source = db.source(&[]);
    let read = |table: &'static str| read(&*source, Box::leak(Box::new([("table", table)])));
    let plain = read("plain").await.unwrap();
    assert_eq!(
        (plain.table.key.as_slice(), plain.shown()),
        (["id".to_owned()].as_slice(), vec!["7|seven|14".to_owned()])
    );
    let pairs = read("PAIRS").await.unwrap();
    assert_eq!((pairs.table.name.as_str(), pairs.table.key.join(" ")), ("pairs", "a b".to_owned()));
    assert_eq!(read("strict_one").await.unwrap().shown(), ["1|one", "2|2.5"]);
    assert_eq!(read("words").await.unwrap().shown(), ["t|b"]);
    let sums = read("sums").await.unwrap();
    assert_eq!(sums.types(), [DataType::Int64, DataType::Int64, DataType::Utf8]);
    assert_eq!(sums.shown(), ["7|14|1"]);
    assert_eq!(read("odd \"name").await.unwrap().rows(), 0);

    let all = streams(&*source, &[("tables", "*")]).await.unwrap();
    let names: Vec<_> = all.iter().map(|stream| stream.id.to_string()).collect();
    assert_eq!(names, ["s.odd \"name", "s.pairs", "s.plain", "s.strict_one", "s.words"]);
    assert_eq!(all[3].estimate, Some(2));
}

#[tokio::test]
async fn queries_columns_and_conditions() {
    let db = Db::new(
        "create table t (id integer primary key, price decimal(9,2), name text);
         insert into t values (1, 1.5, 'one'), (2, 2.25, 'two'), (3, null, 'three');",
    );
    let source = db.source(&[]);
    let query = "with q as (select * from t)\nselect id, price, cast(price * 2 as real) as twice, id + 1 as next from q; -- all";
    let whole = read(&*source, &[("query", query)]).await.unwrap();
    assert_eq!(whole.shown(), ["1|1.50|3.0|2", "2|2.25|4.5|3", "3|null|null|4"]);
    assert_eq!(whole.types(), [DataType::Int64, DataType::Decimal128(9, 2), DataType::Float64, DataType::Utf8]);
    assert_eq!(whole.table.name, "s");

    let query = "select id, price from t order by id -- newest last";
    let part = read(&*source, &[("query", query), ("columns", "price"), ("where", "id > 1 -- not the first")]).await;
    assert_eq!(part.unwrap().shown(), ["2.25", "null"]);
    let part = read(&*source, &[("table", "t"), ("columns", "name, id"), ("where", "price is not null")]).await;
    assert_eq!(part.unwrap().shown(), ["one|1", "two|2"]);

    let wrong = |query: &'static str| read(&*source, Box::leak(Box::new([("query", query)])));
    fails(wrong("select nope from t").await, Kind::Config, &["`query`", "no such column: nope"]);
    fails(wrong("select 1 as a; select 2").await, Kind::Config, &["more than one statement"]);
    fails(wrong("delete from t").await, Kind::Config, &["must be a SELECT"]);
    fails(wrong("select id, id from t").await, Kind::Config, &["two columns named `id`"]);
    fails(wrong("select * from t where id = ?").await, Kind::Config, &["parameter"]);
    let wrong = read(&*source, &[("table", "t"), ("where", "idd > 1")]).await;
    fails(wrong, Kind::Config, &["`where`", "no such column: idd"]);
    assert_eq!(db.write().query_row("select count(*) from t", [], |row| row.get::<_, i64>(0)), Ok(3));
}

#[tokio::test]
async fn an_empty_table_arrives_and_its_end_is_not_read_again() {
    let db = Db::new("create table t (id int)");
    let source = db.source(&[]);
    let read = read(&*source, &[("table", "t")]).await.unwrap();
    assert_eq!((read.rows(), read.batches.len()), (0, 1));
    db.write().execute_batch("insert into t values (1)").unwrap();
    let stream = &streams(&*source, &[("table", "t")]).await.unwrap()[0];
    let mut again = source.open(stream, Some(&read.end)).await.unwrap();
    assert!(matches!(again.next().await.unwrap(), Some(Event::Checkpoint(end)) if end == read.end));
    assert!(again.next().await.unwrap().is_none());
    let foreign = Position::new(serde_json::json!({ "lsn": "0/1" }));
    assert_eq!(source.open(stream, Some(&foreign)).await.map(|_| ()).unwrap_err().kind(), Kind::Lost);
}

#[tokio::test]
async fn what_is_missing_or_no_database_says_so_and_is_never_made() {
    let db = Db::new("create table orders (id int)");
    let source = db.source(&[]);
    let missing = read(&*source, &[("table", "ordres")]).await;
    fails(missing, Kind::Config, &["ordres", "did you mean `orders`?", "shop.db"]);
    fails(read(&*source, &[("tables", "orders, inv_*")]).await, Kind::Config, &["`inv_*` matches no table"]);
    fails(read(&*source, &[("table", "orders"), ("columns", "ids")]).await, Kind::Config, &["did you mean `id`?"]);
    fails(read(&*source, &[("table", "orders"), ("mode", "cdc")]).await, Kind::Config, &["keeps none"]);

    let folder = db.folder.path();
    let absent = folder.join("absent.db");
    let source = open_source(&absent, &[]).unwrap();
    fails(read(&*source, &[("table", "orders")]).await, Kind::Config, &["absent.db does not exist"]);
    assert!(!absent.exists());
    let source = open_source(folder, &[]).unwrap();
    fails(read(&*source, &[("table", "orders")]).await, Kind::Config, &["is a folder"]);
    std::fs::write(&absent, [7u8; 8192]).unwrap();
    let source = open_source(&absent, &[]).unwrap();
    fails(read(&*source, &[("table", "orders")]).await, Kind::Config, &["not a SQLite database, or it is encrypted"]);
    assert_eq!(std::fs::read(&absent).unwrap(), [7u8; 8192]);
}

#[tokio::test]
async fn a_damaged_file_is_told_apart() {
    let db = Db::new("create table t (a text)");
    let mut writer = db.write();
    let all = writer.transaction().unwrap();
    for _ in 0..20_000 {
        all.execute("insert into t values ('some text that fills pages')", []).unwrap();
    }
    all.commit().unwrap();
    drop(writer);
    let mut bytes = std::fs::read(db.path()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xee);
    std::fs::write(db.path(), bytes).unwrap();
    fails(read(&*db.source(&[]), &[("table", "t")]).await, Kind::Data, &["shop.db is damaged", "integrity_check"]);
}

#[tokio::test]
async fn a_locked_file_is_waited_for_and_then_unavailable() {
    let db = Db::new("create table t (id int); insert into t values (1);");
    let writer = db.write();
    writer.execute_batch("begin exclusive").unwrap();
    let source = db.source(&[("busy_timeout", "200ms")]);
    let started = Instant::now();
    fails(read(&*source, &[("table", "t")]).await, Kind::Unavailable, &["locked", "busy_timeout"]);
    assert!(started.elapsed() >= Duration::from_millis(200));
    writer.execute_batch("commit").unwrap();
    assert_eq!(read(&*source, &[("table", "t")]).await.unwrap().rows(), 1);
}

/// A writer keeps the sum of `a` and `b` at zero, in one transaction each time.
async fn reads_one_moment_beside_a_writer(journal: &str) {
    let db = Db::new(&format!(
        "pragma journal_mode = {journal}; create table a (n int); create table b (n int);
         insert into a values (0); insert into b values (0);"
    ));
    let path = db.path();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        let connection = Connection::open(path).unwrap();
        connection.busy_timeout(Duration::from_secs(20)).unwrap();
        connection.execute_batch("pragma synchronous = off").unwrap();
        let mut commits = 0u64;
        while stopped.recv_timeout(Duration::from_micros(500)).is_err() {
            connection.execute_batch("begin; update a set n = n + 1; update b set n = n - 1; commit").unwrap();
            commits += 1;
        }
        commits
    });
    let mut seen = Vec::new();
    for _ in 0..8 {
        let source = db.source(&[]);
        let streams = streams(&*source, &[("tables", "a, b")]).await.unwrap();
        let first = drain(source.open(&streams[0], None).await.unwrap()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let second = drain(source.open(&streams[1], None).await.unwrap()).await.unwrap();
        let numbers = [first, second].map(|read| read.shown()[0].parse::<i64>().unwrap());
        assert_eq!(numbers[0] + numbers[1], 0, "{numbers:?}");
        seen.push(numbers[0]);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send(()).unwrap();
    assert!(writer.join().unwrap() > 2);
    seen.dedup();
    assert!(seen.len() > 1, "the writer went on meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tables_are_read_as_of_one_moment_while_a_writer_writes() {
    reads_one_moment_beside_a_writer("wal").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tables_are_read_as_of_one_moment_with_a_rollback_journal_too() {
    reads_one_moment_beside_a_writer("delete").await;
}

/// Without the check that nobody commits in between, two connections would see two moments.
#[tokio::test(flavor = "multi_thread")]
async fn eight_connections_agree_on_the_moment() {
    let tables: String = (0..8).map(|n| format!("create table t{n} (n int); insert into t{n} values (0);")).collect();
    let db = Db::new(&format!("pragma journal_mode = wal; {tables}"));
    let update: String = (0..8).map(|n| format!("update t{n} set n = n + 1;")).collect();
    let path = db.path();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        let connection = Connection::open(path).unwrap();
        while stopped.try_recv().is_err() {
            connection.execute_batch(&format!("pragma synchronous = off; begin; {update} commit")).unwrap();
            std::thread::sleep(Duration::from_micros(500));
        }
    });
    for _ in 0..10 {
        let source = db.source(&[]);
        let streams = streams(&*source, &[("tables", "t*")]).await.unwrap();
        let mut readers = Vec::new();
        for stream in &streams {
            readers.push(source.open(stream, None).await.unwrap());
        }
        let mut seen = Vec::new();
        for reader in readers {
            seen.extend(drain(reader).await.unwrap().shown());
        }
        seen.dedup();
        assert_eq!(seen.len(), 1, "{seen:?}");
    }
    stop.send(()).unwrap();
    writer.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_one_moment_while_rows_are_added_behind_the_reader() {
    let db = Db::new("pragma journal_mode = wal; create table t (id integer primary key, n int)");
    let insert = |first: i64| {
        let mut writer = db.write();
        let all = writer.transaction().unwrap();
        for id in first..first + 50_000 {
            all.execute("insert into t values (?1, ?1)", [id]).unwrap();
        }
        all.commit().unwrap();
    };
    insert(0);
    for snapshot in ["run", "table"] {
        let source = db.source(&[("snapshot", snapshot)]);
        let stream = &streams(&*source, &[("table", "t")]).await.unwrap()[0];
        let before = stream.estimate.unwrap();
        let mut reader = source.open(stream, None).await.unwrap();
        reader.next().await.unwrap();
        insert(before as i64);
        db.write().execute_batch("update t set n = -1").unwrap();
        let mut rows = 0;
        while let Some(event) = reader.next().await.unwrap() {
            if let Event::Rows(batch) = event {
                rows += batch.batch.num_rows() as u64;
                assert!(batch.batch.column(1).as_primitive::<Int64Type>().values().iter().all(|n| *n >= 0));
            }
        }
        assert_eq!(rows, before);
        db.write().execute_batch("update t set n = id").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_streams_than_connections_are_read_side_by_side() {
    let tables: String =
        (0..30).map(|n| format!("create table t{n} (id int); insert into t{n} values ({n});")).collect();
    let db = Db::new(&tables);
    let source: Arc<dyn Source> = db.source(&[]).into();
    let streams = streams(&*source, &[("tables", "t*")]).await.unwrap();
    assert_eq!(streams.len(), 30);
    let reads: Vec<_> = streams
        .into_iter()
        .map(|stream| {
            let source = source.clone();
            tokio::spawn(async move { drain(source.open(&stream, None).await?).await })
        })
        .collect();
    for read in reads {
        assert_eq!(read.await.unwrap().unwrap().rows(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_reader_gives_its_connection_back() {
    let db = Db::new(
        "create table t as with recursive n (i) as (select 1 union all select i + 1 from n where i < 300000) \
         select i, 'some text ' || i as s from n",
    );
    let source = db.source(&[]);
    let stream = &streams(&*source, &[("table", "t")]).await.unwrap()[0];
    for _ in 0..3 {
        let mut reader = source.open(stream, None).await.unwrap();
        assert!(reader.next().await.unwrap().is_some());
    }
    assert_eq!(drain(source.open(stream, None).await.unwrap()).await.unwrap().rows(), 300_000);
}

#[tokio::test]
async fn large_values_make_small_batches() {
    let db =
        Db::new("create table t (b blob); insert into t values (zeroblob(20000000)), (x'01'), (zeroblob(3000000));");
    let read = read(&*db.source(&[]), &[("table", "t")]).await.unwrap();
    let rows: Vec<_> = read.batches.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(rows, [0, 1, 2]);
    assert_eq!(read.batches[1].column(0).as_binary::<i32>().value(0).len(), 20_000_000);
}

#[tokio::test]
async fn a_file_that_nobody_writes_is_read_without_files_beside_it() {
    let db = Db::new("pragma journal_mode = wal; create table t (id int); insert into t values (1);");
    let frozen = tempfile::tempdir().unwrap();
    let path = frozen.path().join("a %20#?.db");
    std::fs::copy(db.path(), &path).unwrap();
    let source = open_source(&path, &[("immutable", "yes")]).unwrap();
    assert_eq!(read(&*source, &[("table", "t")]).await.unwrap().rows(), 1);
    let files: Vec<_> = std::fs::read_dir(frozen.path()).unwrap().collect();
    assert_eq!(files.len(), 1, "{files:?}");

    // What is in the log alone would be missed.
    let writer = db.write();
    writer.execute_batch("insert into t values (2)").unwrap();
    let source = db.source(&[("immutable", "yes")]);
    fails(read(&*source, &[("table", "t")]).await, Kind::Config, &["shop.db-wal holds changes", "wal_checkpoint"]);
}

#[tokio::test]
async fn a_transaction_that_never_ended_is_not_read() {
    let db = Db::new(
        "create table t as with recursive n (i) as (select 1 union all select i + 1 from n where i < 20000) \
         select i, 'some text that fills pages' as s from n",
    );
    let writer = db.write();
    // More than the cache holds, so that half of it is in the file.
    writer.execute_batch("pragma cache_size = 5; begin; update t set i = -1, s = s || s").unwrap();
    let killed = Db::new("");
    for suffix in ["", "-journal"] {
        let name = format!("shop.db{suffix}");
        std::fs::copy(db.folder.path().join(&name), killed.folder.path().join(&name)).unwrap();
    }
    let source = killed.source(&[]);
    fails(read(&*source, &[("table", "t")]).await, Kind::Denied, &["unfinished transaction", "sqlite3 shell"]);
    let source = killed.source(&[("immutable", "yes")]);
    fails(read(&*source, &[("table", "t")]).await, Kind::Config, &["shop.db-journal holds an unfinished"]);
}

#[tokio::test]
async fn a_utf_16_database_arrives_as_utf_8() {
    let read = read_t("pragma encoding = 'UTF-16'; create table t (s text); insert into t values ('ü😀');", &[]).await;
    assert_eq!(read.unwrap().shown(), ["ü😀"]);
}

#[tokio::test]
async fn check_tells_how_columns_arrive() {
    let db = Db::new("create table t (a, b money, c numeric)");
    let source = db.source(&[]);
    let streams = streams(&*source, &[("table", "t"), ("as", "things")]).await.unwrap();
    let description = source.describe(&streams[0]).await.unwrap();
    let notes = description.notes.join("\n");
    for part in ["no primary key", "as text: a.", "as text: b.", "as text: c."] {
        assert!(notes.contains(part), "{part} in: {notes}");
    }
    assert_eq!(description.table.name, "things");
    assert_eq!(source.identity().await.unwrap(), serde_json::json!({ "type": "sqlite", "file": "shop.db" }));
}
