//! Files read by readers that know nothing of us: pyarrow, DuckDB and Python's own, through
//! `TIDEMARK_TEST_PYTHON` (see tests/servers/requirements.txt). Every value comes back as it went in.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use arrow_schema::{DataType, Field};
use serde_json::{Value, json};
use tidemark::config::Section;
use tidemark::format;
use tidemark::record::{Datum, field};

use crate::server;

#[path = "../golden/every_type.rs"]
mod every_type;

/// A file of the table with every type, for as long as this lives.
struct File {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn write(values: &[(&str, &str)]) -> File {
    let section = Section::of_keys("stream live", format::KEYS.iter().collect(), values).unwrap();
    let format = format::format(&section).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("every_type.{}", format.extension()));
    let mut encoder = format.encoder(&every_type::table(), 16 << 20).unwrap();
    encoder.encode(&every_type::batch()).unwrap();
    let mut bytes = encoder.take().unwrap_or_default().to_vec();
    bytes.extend_from_slice(&encoder.finish().unwrap());
    std::fs::write(&path, bytes).unwrap();
    File { path, _folder: folder }
}

/// What a reader finds in a file: the types it sees, and the rows in the canonical form of formats.py.
struct Found {
    types: Vec<String>,
    rows: Vec<Vec<Value>>,
}

fn read(file: &Path, reader: &str, columns: &[(String, Value)], options: Value) -> Found {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/formats.py");
    let mut python = Command::new(server("TIDEMARK_TEST_PYTHON"))
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let task = json!([{ "file": file, "reader": reader, "columns": columns, "options": options }]);
    python.stdin.take().unwrap().write_all(task.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{reader} could not be run");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = &found[0];
    assert!(found["error"].is_null(), "{reader}: {}", found["error"]);
    let list = |name: &str| found[name].as_array().unwrap().clone();
    Found {
        types: list("types").iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
        rows: list("rows").iter().map(|row| row.as_array().unwrap().clone()).collect(),
    }
}

/// The name that formats.py has for a column's type.
fn type_of(field: &Field) -> Value {
    match field.data_type() {
        DataType::Boolean => json!("bool"),
        DataType::Float32 => json!("float32"),
        DataType::Float64 => json!("float64"),
        DataType::Decimal128(..) | DataType::Decimal256(..) => json!("decimal"),
        DataType::Utf8 if field::is_json(field) => json!("json"),
        DataType::Utf8 => json!("text"),
        DataType::FixedSizeBinary(_) if field::is_uuid(field) => json!("uuid"),
        DataType::Binary | DataType::FixedSizeBinary(_) => json!("bytes"),
        DataType::Date32 => json!("date"),
        DataType::Time64(_) => json!("time"),
        DataType::Timestamp(_, None) => json!("timestamp"),
        DataType::Timestamp(_, Some(_)) => json!("instant"),
        DataType::Duration(_) => json!("duration"),
        DataType::List(item) => json!({ "list": type_of(item) }),
        DataType::Struct(fields) => {
            json!({ "record": fields.iter().map(|field| (field.name(), type_of(field))).collect::<Vec<_>>() })
        }
        _ => json!("int"),
    }
}

/// The canonical form of a value, straight from what went into the table.
fn value_of(datum: &Datum<'_>, field: &Field) -> Value {
    match (datum, field.data_type()) {
        (Datum::Null, _) => Value::Null,
        (Datum::Bool(value), _) => json!(value),
        (Datum::Int(value) | Datum::Time(value) | Datum::Timestamp(value) | Datum::Duration(value), _) => json!(value),
        (Datum::UInt(value), _) => json!(value),
        (Datum::Date(days), _) => json!(days),
        (Datum::Float(value), _) if value.is_nan() => json!("nan"),
        (Datum::Float(value), DataType::Float32) => json!(format!("{:08x}", (*value as f32).to_bits())),
        (Datum::Float(value), _) => json!(format!("{:016x}", value.to_bits())),
        (Datum::Text(text), _) if field::is_json(field) => json!(without_spaces(text)),
        (Datum::Text(text) | Datum::Decimal(text), _) => json!(text),
        (Datum::Bytes(bytes), _) => json!(hex::encode(bytes)),
        (Datum::List(items), DataType::List(item)) => items.iter().map(|datum| value_of(datum, item)).collect(),
        (Datum::Struct(values), DataType::Struct(fields)) => {
            values.iter().zip(fields).map(|(datum, field)| value_of(datum, field)).collect()
        }
        (datum, other) => panic!("a {} in a column of {other}", datum.kind()),
    }
}

/// A JSON document without what stands between its tokens.
fn without_spaces(document: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let kept = document.chars().filter(|&c| {
        let quote = c == '"' && !escaped;
        escaped = in_string && c == '\\' && !escaped;
        in_string ^= quote;
        in_string || quote || !c.is_whitespace()
    });
    kept.collect()
}

/// A column as readers are to find it.
struct Expected {
    name: String,
    type_: Value,
    values: Vec<Value>,
}

fn expected() -> Vec<Expected> {
    let column = |(field, values): (Field, [Datum<'static>; every_type::ROWS])| Expected {
        name: field.name().clone(),
        type_: type_of(&field),
        values: values.iter().map(|datum| value_of(datum, &field)).collect(),
    };
    every_type::columns().into_iter().map(column).collect()
}

/// As [`expected`], with records as columns.
fn flat() -> Vec<Expected> {
    let mut columns: Vec<_> = expected();
    while let Some(index) = columns.iter().position(|column| column.type_.get("record").is_some()) {
        let record = columns.remove(index);
        let fields = record.type_["record"].as_array().unwrap().clone();
        for (at, field) in fields.iter().enumerate().rev() {
            let name = format!("{}.{}", record.name, field[0].as_str().unwrap());
            let values = record.values.iter().map(|value| value.get(at).cloned().unwrap_or(Value::Null)).collect();
            columns.insert(index, Expected { name, type_: field[1].clone(), values });
        }
    }
    columns
}

/// The types that the reader sees, once every value has been found to be what it was.
fn finds(file: &File, reader: &str, expected: &[Expected], options: Value) -> Vec<String> {
    let columns: Vec<_> = expected.iter().map(|column| (column.name.clone(), column.type_.clone())).collect();
    let found = read(&file.path, reader, &columns, options);
    assert_eq!(found.rows.len(), every_type::ROWS, "{reader}");
    for (row, values) in found.rows.iter().enumerate() {
        assert_eq!(values.len(), expected.len(), "{reader}");
        for (value, column) in values.iter().zip(expected) {
            assert_eq!(value, &column.values[row], "{reader}, row {row}, column {}", column.name);
        }
    }
    found.types
}

#[test]
fn pyarrow_reads_every_parquet() {
    let types = finds(&write(&[]), "parquet_pyarrow", &expected(), json!({}));
    let seen: Vec<_> = expected().into_iter().map(|column| column.name).zip(types).collect();
    let seen = |name: &str| seen.iter().find(|(column, _)| column == name).unwrap().1.clone();
    for (column, type_) in PYARROW {
        assert_eq!(&seen(column), type_, "{column}");
    }
    for different in [
        [("compression", "gzip")],
        [("compression", "snappy")],
        [("compression", "none")],
        [("parquet_encoding", "plain")],
        [("row_group_bytes", "1")],
    ] {
        finds(&write(&different), "parquet_pyarrow", &expected(), json!({}));
    }
    finds(&write(&[("flatten", "yes")]), "parquet_pyarrow", &flat(), json!({}));
}

/// What docs/formats.md promises, where it is not plain.
const PYARROW: &[(&str, &str)] = &[
    ("int8", "int8"),
    ("uint64", "uint64"),
    ("decimal(9,2)", "decimal128(9, 2)"),
    ("decimal(3,-2)", "decimal128(5, 0)"),
    ("decimal(65,30)", "decimal256(65, 30)"),
    ("json", "extension<arrow.json>"),
    ("fixed", "fixed_size_binary[3]"),
    ("uuid", "extension<arrow.uuid>"),
    ("date", "date32[day]"),
    ("time", "time64[us]"),
    ("timestamp", "timestamp[us]"),
    ("instant", "timestamp[us, tz=UTC]"),
    ("duration", "duration[us]"),
    ("words", "list<element: string>"),
];

#[test]
fn duckdb_reads_every_parquet() {
    // It has no decimals of more than 38 digits.
    let narrow = |mut columns: Vec<Expected>| {
        columns.retain(|column| column.name != "decimal(65,30)");
        columns
    };
    let types = finds(&write(&[]), "parquet_duckdb", &narrow(expected()), json!({}));
    let seen: Vec<_> = expected().into_iter().map(|column| column.name).zip(types).collect();
    let seen = |name: &str| seen.iter().find(|(column, _)| column == name).unwrap().1.clone();
    for (column, type_) in DUCKDB {
        assert_eq!(&seen(column), type_, "{column}");
    }
    for different in [[("compression", "gzip")], [("parquet_encoding", "plain")], [("row_group_bytes", "1")]] {
        finds(&write(&different), "parquet_duckdb", &narrow(expected()), json!({}));
    }
    finds(&write(&[("flatten", "yes")]), "parquet_duckdb", &narrow(flat()), json!({}));
    // As text they keep every digit.
    finds(&write(&[("parquet_wide_decimals", "text")]), "parquet_duckdb", &expected(), json!({}));
}

/// What docs/formats.md promises, where it is not plain.
const DUCKDB: &[(&str, &str)] = &[
    ("int8", "TINYINT"),
    ("uint64", "UBIGINT"),
    ("decimal(9,2)", "DECIMAL(9,2)"),
    ("decimal(3,-2)", "DECIMAL(5,0)"),
    ("decimal(65,30)", "DOUBLE"),
    ("json", "JSON"),
    ("fixed", "BLOB"),
    ("uuid", "UUID"),
    ("date", "DATE"),
    ("time", "TIME"),
    ("timestamp", "TIMESTAMP"),
    ("instant", "TIMESTAMP WITH TIME ZONE"),
    ("duration", "BIGINT"),
    ("words", "VARCHAR[]"),
    ("place", "STRUCT(city VARCHAR, geo STRUCT(lat DOUBLE, lon DOUBLE), zips INTEGER[])"),
];

#[test]
fn every_csv_reads_back_with_null_apart_from_every_text() {
    let usual = json!({ "delimiter": ",", "null": "", "header": true, "binary": "hex" });
    let other = json!({ "delimiter": "|", "null": "\\N", "header": false, "binary": "base64" });
    let dialect =
        [("format", "csv"), ("csv_delimiter", "|"), ("csv_null", "\\N"), ("csv_header", "no"), ("csv_bytes", "base64")];
    for reader in ["csv_duckdb", "csv_pyarrow"] {
        for compression in ["none", "gzip", "zstd"] {
            let file = write(&[("format", "csv"), ("compression", compression)]);
            finds(&file, reader, &flat(), usual.clone());
        }
        finds(&write(&[("format", "csv"), ("csv_quote", "all")]), reader, &flat(), usual.clone());
        finds(&write(&[("format", "csv"), ("csv_line_end", "crlf")]), reader, &flat(), usual.clone());
        finds(&write(&dialect), reader, &flat(), other.clone());
        // A number that is like the marker is in quotes, too.
        let zero = json!({ "delimiter": ",", "null": "0", "header": true, "binary": "hex" });
        finds(&write(&[("format", "csv"), ("csv_null", "0")]), reader, &flat(), zero);
    }
}

/// Without the columns whose numbers DuckDB rounds when it reads JSON: decimals, and whatever is in documents.
fn within_a_double(mut columns: Vec<Expected>) -> Vec<Expected> {
    columns.retain(|column| {
        let types = column.type_.to_string();
        !types.contains("\"decimal\"") && !types.contains("\"json\"")
    });
    columns
}

#[test]
fn every_json_line_reads_back() {
    // In JSON Lines a column that is NULL and a document that is `null` are one.
    let embedded = || {
        let mut columns = expected();
        let documents = columns.iter_mut().filter(|column| column.type_ == "json");
        documents.for_each(|column| {
            column.values.iter_mut().for_each(|value| {
                if value.is_null() {
                    *value = json!("null");
                }
            })
        });
        columns
    };
    let plain = [("format", "json")];
    finds(&write(&plain), "json_python", &embedded(), json!({ "embedded": true }));
    for compression in ["none", "gzip", "zstd"] {
        let file = write(&[("format", "json"), ("compression", compression)]);
        finds(&file, "json_duckdb", &within_a_double(embedded()), json!({ "embedded": true }));
    }
    let text = write(&[("format", "json"), ("json_documents", "text")]);
    finds(&text, "json_python", &expected(), json!({ "embedded": false }));
    finds(&text, "json_duckdb", &within_a_double(expected()), json!({ "embedded": false }));
    finds(
        &write(&[("format", "json"), ("json_documents", "text"), ("flatten", "yes")]),
        "json_python",
        &flat(),
        json!({ "embedded": false }),
    );
}
