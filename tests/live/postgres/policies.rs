//! Values that a column's type does not hold: an error that names column and key, or what the key says.

use arrow_schema::DataType::{Date32, Decimal128, Int32, List, Utf8};
use tidemark::error::Kind;

use super::database::{Database, assert_error};

async fn shown(database: &Database, stream: &[(&str, &str)], column: &str) -> Vec<String> {
    let values = database.read(stream).await.column(column);
    values.into_iter().map(|value| value.unwrap_or_else(|| "null".to_owned())).collect()
}

pub async fn infinities_by_policy(server: &str) {
    let database = Database::create(server).await;
    for (table, of, value) in [
        ("dates", "date", "'infinity'"),
        ("lows", "date", "'-infinity'"),
        ("stamps", "timestamp", "'-infinity'"),
        ("instants", "timestamptz", "'infinity'"),
        // Thirty years that 64 bits of microseconds since 1970 do not reach.
        ("late", "timestamp", "'294276-12-31 23:59:59'"),
        ("many", "date[]", "ARRAY['infinity'::date]"),
    ] {
        database.run(&format!("CREATE TABLE {table} (v {of}); INSERT INTO {table} VALUES ({value})")).await;
        let error = database.refusal(&[("table", table)]).await;
        assert_error(&error, Kind::Data, &[table, "column v", "`infinity = null`", "`read_as_text`"]);
    }
    assert_eq!(shown(&database, &[("table", "dates"), ("infinity", "null")], "v").await, ["null"]);
    assert_eq!(shown(&database, &[("table", "late"), ("infinity", "null")], "v").await, ["null"]);
    assert_eq!(shown(&database, &[("table", "many"), ("infinity", "null")], "v").await, ["[null]"]);
    assert_eq!(shown(&database, &[("table", "dates"), ("infinity", "text")], "v").await, ["infinity"]);
    assert_eq!(shown(&database, &[("table", "stamps"), ("infinity", "text")], "v").await, ["-infinity"]);
    assert_eq!(shown(&database, &[("table", "many"), ("infinity", "text")], "v").await, ["[infinity]"]);
    assert_eq!(shown(&database, &[("table", "late"), ("read_as_text", "v")], "v").await, ["294276-12-31 23:59:59"]);
}

pub async fn nan_by_policy(server: &str) {
    let database = Database::create(server).await;
    database
        .run("CREATE TABLE t (a numeric(10,2), b numeric(60,2)); INSERT INTO t VALUES ('NaN', 'NaN'), (1, 2)")
        .await;
    for column in ["a", "b"] {
        let error = database.refusal(&[("table", "t"), ("columns", column)]).await;
        assert_error(&error, Kind::Data, &["table t", &format!("column {column}"), "`numeric_nan = null`"]);
    }
    let nulled = [("table", "t"), ("numeric_nan", "null")];
    assert_eq!(shown(&database, &nulled, "a").await, ["null", "1.00"]);
    assert_eq!(shown(&database, &nulled, "b").await, ["null", "2.00"]);
    let read = database.read(&[("table", "t"), ("numeric_nan", "text")]).await;
    assert_eq!(read.table.schema.field(0).data_type(), &Utf8);
    assert_eq!(read.column("a"), [Some("NaN".to_owned()), Some("1.00".to_owned())]);
}

pub async fn arrays_by_policy(server: &str) {
    let database = Database::create(server).await;
    database.run("CREATE TYPE pair AS (a int, r int4range)").await;
    for (table, of, value, text) in [
        ("deep", "int[]", "'{{1,2},{3,NULL}}'", "{{1,2},{3,NULL}}"),
        ("zero", "int[]", "'[0:1]={1,2}'", "[0:1]={1,2}"),
        // These come as text.
        ("ranges", "int4range[]", "ARRAY[ARRAY['[1,2)'::int4range]]", "{{\"[1,2)\"}}"),
        ("pairs", "pair[]", "'[2:2]={\"(1,empty)\"}'", "[2:2]={\"(1,empty)\"}"),
    ] {
        database.run(&format!("CREATE TABLE {table} (v {of}); INSERT INTO {table} VALUES ({value})")).await;
        let error = database.refusal(&[("table", table)]).await;
        assert_error(&error, Kind::Data, &[table, "column v", "dimensions", "`arrays = text`", "`read_as_text`"]);
        assert_eq!(shown(&database, &[("table", table), ("arrays", "text")], "v").await, [text]);
        assert_eq!(shown(&database, &[("table", table), ("read_as_text", "v")], "v").await, [text]);
    }
}

pub async fn text_by_column(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "CREATE TABLE t (a bool, b bytea, c int[], d timestamptz, e numeric(5,2), f json, g text, h int);
             INSERT INTO t VALUES (true, '\\x01', '{{1}}', '2024-01-01 00:00+02', 1, '{ }', 'x', 1)",
        )
        .await;
    let read = database.read(&[("table", "t"), ("read_as_text", "a, b, c, d, e, f, g")]).await;
    let types: Vec<_> = read.table.schema.fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [Utf8, Utf8, Utf8, Utf8, Utf8, Utf8, Utf8, Int32]);
    let values: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|c| read.column(c).remove(0).unwrap()).into();
    assert_eq!(values, ["t", "\\x01", "{{1}}", "2023-12-31 22:00:00+00", "1.00", "{ }", "x", "1"]);
    let error = database.refusal(&[("table", "t"), ("read_as_text", "nothing")]).await;
    assert_error(&error, Kind::Config, &["`read_as_text`", "`nothing`"]);
}

pub async fn digits_for_unconstrained_numerics(server: &str) {
    let database = Database::create(server).await;
    database
        .run("CREATE TABLE t (v numeric, w numeric[]); INSERT INTO t VALUES (1.5, '{2}'), (-0.000000001, NULL)")
        .await;
    let stream = [("table", "t"), ("unconstrained_numeric", "20,9")];
    let read = database.read(&stream).await;
    assert_eq!(read.table.schema.field(0).data_type(), &Decimal128(20, 9));
    assert!(matches!(read.table.schema.field(1).data_type(), List(item) if *item.data_type() == Decimal128(20, 9)));
    assert_eq!(read.column("v"), [Some("1.500000000".to_owned()), Some("-0.000000001".to_owned())]);
    database.run("INSERT INTO t VALUES (0.0000000001)").await;
    assert_error(&database.refusal(&stream).await, Kind::Data, &["column v", "digits", "`read_as_text`"]);
}

pub async fn values_beyond_their_type_are_named(server: &str) {
    let database = Database::create(server).await;
    database.run("CREATE TABLE t (v time); INSERT INTO t VALUES ('24:00:00')").await;
    assert_error(&database.refusal(&[("table", "t")]).await, Kind::Data, &["column v", "24:00:00", "`read_as_text`"]);
    assert_eq!(shown(&database, &[("table", "t"), ("read_as_text", "v")], "v").await, ["24:00:00"]);
    // Neither the value nor the server's words for it, which repeat it, are told.
    let error =
        database.refusal(&[("query", "SELECT ('secret-' || n)::int AS v FROM generate_series(1, 3) AS n")]).await;
    assert_error(&error, Kind::Data, &["22P02"]);
    assert!(!error.to_string().contains("secret"), "{error}");
    let read = database.read(&[("query", "SELECT '5874897-12-31'::date AS v")]).await;
    assert_eq!(read.table.schema.field(0).data_type(), &Date32);
}
