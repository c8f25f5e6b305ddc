//! What each type becomes, and what does not fit.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_schema::{DataType, TimeUnit};
use tidemark::error::Kind;
use tidemark::record::field;

use super::{Db, fails, read, read_t};

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
async fn a_utf_16_database_arrives_as_utf_8() {
    let read = read_t("pragma encoding = 'UTF-16'; create table t (s text); insert into t values ('ü😀');", &[]).await;
    assert_eq!(read.unwrap().shown(), ["ü😀"]);
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
