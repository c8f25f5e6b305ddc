//! Files as they were written before: a change of a byte is a change that readers see.
//!
//! `TIDEMARK_GOLDEN=write cargo test --test it formats` writes them anew, for `git diff` to show.

use std::path::PathBuf;

use tidemark::config::Section;
use tidemark::error::Kind;
use tidemark::format::{self, Format};

#[path = "../golden/every_type.rs"]
mod every_type;

fn format(values: &[(&str, &str)]) -> Box<dyn Format> {
    let section = Section::of_keys("stream golden", format::KEYS.iter().collect(), values).unwrap();
    format::format(&section).unwrap()
}

fn file(values: &[(&str, &str)]) -> Vec<u8> {
    let mut encoder = format(values).encoder(&every_type::table(), 16 << 20).unwrap();
    encoder.encode(&every_type::batch()).unwrap();
    let mut bytes = encoder.take().unwrap_or_default().to_vec();
    bytes.extend_from_slice(&encoder.finish().unwrap());
    bytes
}

fn is_golden(name: &str, values: &[(&str, &str)]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let bytes = file(values);
    if std::env::var("TIDEMARK_GOLDEN").is_ok_and(|how| how == "write") {
        std::fs::write(path, bytes).unwrap();
        return;
    }
    let golden = std::fs::read(&path).unwrap();
    let differ = bytes.iter().zip(&golden).position(|(one, other)| one != other);
    let at = differ.unwrap_or(bytes.len().min(golden.len()));
    let context =
        |bytes: &[u8]| String::from_utf8_lossy(&bytes[at.saturating_sub(60)..bytes.len().min(at + 60)]).into_owned();
    assert!(bytes == golden, "{name} differs from byte {at} on:\nis  {}\nwas {}", context(&bytes), context(&golden));
}

#[test]
fn csv_is_as_it_was() {
    is_golden("every_type.csv", &[("format", "csv")]);
}

#[test]
fn csv_of_another_dialect_is_as_it_was() {
    let values = [
        ("format", "csv"),
        ("csv_delimiter", "\\t"),
        ("csv_null", "\\N"),
        ("csv_bytes", "base64"),
        ("csv_header", "no"),
        ("csv_line_end", "crlf"),
    ];
    is_golden("every_type.tsv", &values);
    is_golden("every_type.quoted.csv", &[("format", "csv"), ("csv_quote", "all"), ("flatten_separator", "_")]);
}

#[test]
fn json_is_as_it_was() {
    is_golden("every_type.jsonl", &[("format", "json")]);
    let text = [("format", "json"), ("json_numbers", "text"), ("json_documents", "text"), ("flatten", "yes")];
    is_golden("every_type.text.jsonl", &text);
}

#[test]
fn parquet_is_as_it_was() {
    is_golden("every_type.parquet", &[("format", "parquet"), ("compression", "none")]);
}

#[test]
fn a_table_with_two_columns_of_one_name_is_refused_by_every_format() {
    let columns = [every_type::columns(), every_type::columns()].concat();
    let fields: Vec<_> = columns.into_iter().map(|(field, _)| field).collect();
    let schema = std::sync::Arc::new(arrow_schema::Schema::new(fields));
    let table = tidemark::record::Table::new("twice", schema, Vec::new());
    for name in ["csv", "json", "parquet"] {
        let Err(error) = format(&[("format", name)]).encoder(&table, 0) else { panic!("{name} took it") };
        assert!(error.kind() == Kind::Schema && error.message().contains("`boolean`"), "{error}");
    }
}
