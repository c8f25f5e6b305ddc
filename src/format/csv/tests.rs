use std::sync::Arc;

use arrow_array::Array as _;
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, ListArray, RecordBatchOptions,
    StringArray, StructArray,
};
use arrow_schema::{DataType, Field, Fields, Schema};
use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::format::Format as _;

type Cells<'a> = Vec<(&'a str, ArrayRef)>;

fn batch(columns: Cells<'_>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn encoded(dialect: Dialect, batch: &RecordBatch) -> String {
    let format = Format::new(dialect, ".", Compression::None);
    let table = Table::new("t", batch.schema(), Vec::new());
    let mut encoder = format.encoder(&table, 1 << 20).unwrap();
    encoder.encode(batch).unwrap();
    String::from_utf8(encoder.finish().unwrap().into()).unwrap()
}

fn texts(values: Vec<Option<&str>>) -> ArrayRef {
    Arc::new(StringArray::from(values))
}

#[test]
fn null_is_nothing_and_an_empty_text_is_quoted() {
    let empty = BinaryArray::from_opt_vec(vec![None, Some(b""), Some(b"\x00\xff")]);
    let batch = batch(vec![("a", texts(vec![None, Some(""), Some("x")])), ("b", Arc::new(empty))]);
    assert_eq!(encoded(Dialect::default(), &batch), "a,b\n,\n\"\",\"\"\nx,00ff\n");
    let base64 = Dialect { binary: Binary::Base64, ..Dialect::default() };
    assert_eq!(encoded(base64, &batch), "a,b\n,\n\"\",\"\"\nx,AP8=\n");
}

#[test]
fn a_text_is_quoted_where_it_would_be_misread() {
    let texts =
        texts(vec![Some("a,b"), Some("say \"hi\""), Some("two\nlines"), Some("\r"), Some(" kept "), Some("a;b")]);
    let batch = batch(vec![("n", Arc::new(Int64Array::from(vec![1; 6]))), ("a;\"b\"", texts)]);
    assert_eq!(
        encoded(Dialect::default(), &batch),
        "n,\"a;\"\"b\"\"\"\n1,\"a,b\"\n1,\"say \"\"hi\"\"\"\n1,\"two\nlines\"\n1,\"\r\"\n1, kept \n1,a;b\n"
    );
    let semicolon = Dialect { delimiter: b';', header: false, crlf: true, ..Dialect::default() };
    assert_eq!(
        encoded(semicolon, &batch),
        "1;a,b\r\n1;\"say \"\"hi\"\"\"\r\n1;\"two\nlines\"\r\n1;\"\r\"\r\n1; kept \r\n1;\"a;b\"\r\n"
    );
}

#[test]
fn a_value_like_the_null_marker_is_quoted_whatever_its_type() {
    let dialect = |null: &str| Dialect { null: null.to_owned(), header: false, ..Dialect::default() };
    let two = batch(vec![("a", texts(vec![None, Some("\\N"), Some("")])), ("b", texts(vec![Some("N"), None, None]))]);
    assert_eq!(encoded(dialect("\\N"), &two), "\\N,N\n\"\\N\",\\N\n\"\",\\N\n");

    let typed = batch(vec![
        ("n", Arc::new(Int64Array::from(vec![Some(0), Some(10), None]))),
        ("f", Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(0.0), None]))),
        ("b", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("d", Arc::new(Date32Array::from(vec![Some(0), Some(1), None]))),
        ("x", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\x00"), Some(b""), None]))),
    ]);
    assert_eq!(
        encoded(dialect("0"), &typed),
        "\"0\",NaN,true,1970-01-01,00\n10,0.0,false,1970-01-02,\"\"\n0,0,0,0,0\n"
    );
    let first = |null| encoded(dialect(null), &typed).lines().next().unwrap().to_owned();
    assert_eq!(first("NaN"), "0,\"NaN\",true,1970-01-01,00");
    assert_eq!(first("true"), "0,NaN,\"true\",1970-01-01,00");
    assert_eq!(first("1970-01-01"), "0,NaN,true,\"1970-01-01\",00");
    assert_eq!(first("00"), "0,NaN,true,1970-01-01,\"00\"");
}

#[test]
fn everything_but_null_may_be_quoted() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    let batch = batch(vec![
        ("n", Arc::new(Int64Array::from(vec![Some(-1), None]))),
        ("s", texts(vec![Some("a\"b"), None])),
        ("b", Arc::new(BinaryArray::from_opt_vec(vec![Some(b""), None]))),
        ("l", Arc::new(list)),
    ]);
    let all = Dialect { quote_all: true, ..Dialect::default() };
    assert_eq!(encoded(all, &batch), "\"n\",\"s\",\"b\",\"l\"\n\"-1\",\"a\"\"b\",\"\",\"[1,null]\"\n,,,\n");
}

#[test]
fn records_are_columns_and_lists_are_json() {
    let bytes: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\xca\xfe")]));
    let item = Arc::new(Field::new("item", DataType::Binary, true));
    let list = ListArray::new(item, arrow_buffer::OffsetBuffer::from_lengths([1]), bytes, None);
    let fields = Fields::from(vec![
        Field::new("city", DataType::Utf8, true),
        Field::new("marks", list.data_type().clone(), true),
        Field::new("none", DataType::Struct(Fields::empty()), true),
    ]);
    let none = StructArray::new_empty_fields(1, None);
    let home = StructArray::new(fields, vec![texts(vec![Some("Oslo")]), Arc::new(list), Arc::new(none)], None);
    let batch = batch(vec![("home", Arc::new(home))]);
    let want = "home.city,home.marks,home.none\nOslo,\"[\"\"cafe\"\"]\",{}\n";
    assert_eq!(encoded(Dialect::default(), &batch), want);
}

#[test]
fn a_file_may_lack_rows_or_columns() {
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
    assert_eq!(encoded(Dialect::default(), &RecordBatch::new_empty(schema)), "\"a\"\n");
    let options = RecordBatchOptions::new().with_row_count(Some(2));
    let nothing = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
    assert_eq!(encoded(Dialect::default(), &nothing), "\n\n\n");
}

#[test]
fn a_type_that_no_source_produces_is_a_bug() {
    let schema = Arc::new(Schema::new(vec![Field::new("gone", DataType::Date64, true)]));
    let table = Table::new("t", schema, Vec::new());
    let Err(error) = Format::new(Dialect::default(), ".", Compression::None).encoder(&table, 0) else { panic!() };
    assert!(error.kind() == Kind::Bug && error.message().contains("table t: column gone"), "{error}");
}

/// Reads CSV with quotation marks told from values: `None` for the unquoted null marker.
fn parse(text: &str, delimiter: char, null: &str) -> Vec<Vec<Option<String>>> {
    let (mut rows, mut row) = (Vec::new(), Vec::new());
    let mut rest = text;
    while !rest.is_empty() {
        let (value, after) = match rest.strip_prefix('"') {
            Some(inside) => {
                let (mut value, mut inside) = (String::new(), inside);
                loop {
                    let (before, behind) = inside.split_once('"').unwrap();
                    value.push_str(before);
                    match behind.strip_prefix('"') {
                        Some(more) => {
                            value.push('"');
                            inside = more;
                        }
                        None => break (Some(value), behind),
                    }
                }
            }
            None => {
                let end = rest.find([delimiter, '\n']).unwrap();
                let value = &rest[..end];
                assert!(!value.contains(['"', '\r']));
                ((value != null).then(|| value.to_owned()), &rest[end..])
            }
        };
        row.push(value);
        rest = &after[1..];
        match after.chars().next() {
            Some('\n') => rows.push(std::mem::take(&mut row)),
            next => assert_eq!(next, Some(delimiter)),
        }
    }
    rows
}

/// Texts with what is special to CSV in them.
fn text() -> impl Strategy<Value = Option<String>> {
    let part = prop_oneof![
        Just(","),
        Just("\""),
        Just("\n"),
        Just("\r"),
        Just(";"),
        Just("\\N"),
        Just("\\"),
        Just("N"),
        Just(" "),
        Just("ä"),
        Just("plain"),
        Just("a longer piece that is no short copy any more"),
        Just("\0")
    ];
    proptest::option::weighted(0.9, proptest::collection::vec(part, 0..4).prop_map(|parts| parts.concat()))
}

fn rows() -> impl Strategy<Value = Vec<[Option<String>; 3]>> {
    proptest::collection::vec([text(), text(), text()], 0..40)
}

fn column(rows: &[[Option<String>; 3]], index: usize) -> ArrayRef {
    Arc::new(rows.iter().map(|row| row[index].clone()).collect::<StringArray>())
}

proptest! {
    #[test]
    fn reads_back_with_null_apart_from_every_text(
        rows in rows(), null in prop_oneof![Just(""), Just("\\N"), Just("N"), Just("plain")],
        delimiter in prop_oneof![Just(','), Just(';')], quote_all: bool, header: bool,
    ) {
        let batch = batch(vec![("a", column(&rows, 0)), ("b", column(&rows, 1)), ("c", column(&rows, 2))]);
        let dialect = Dialect {
            delimiter: delimiter as u8, header, null: null.to_owned(), quote_all, ..Dialect::default()
        };
        let text = encoded(dialect, &batch);
        let mut read = parse(&text, delimiter, null);
        if header {
            read.remove(0);
        }
        let want: Vec<_> = rows.iter().map(|row| row.to_vec()).collect();
        prop_assert_eq!(read, want);

        // The csv crate sees the same values, but does not tell NULL from its marker.
        let mut reader = ::csv::ReaderBuilder::new()
            .has_headers(header)
            .delimiter(delimiter as u8)
            .from_reader(text.as_bytes());
        let read: Vec<Vec<String>> =
            reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
        let shown = |value: &Option<String>| value.clone().unwrap_or(null.to_owned());
        let want: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(shown).collect()).collect();
        prop_assert_eq!(read, want);
    }

    #[test]
    fn quotes_what_the_csv_crate_quotes(rows in rows(), crlf: bool) {
        let full = |row: &&[Option<String>; 3]| row.iter().all(|value| value.as_ref().is_some_and(|text| !text.is_empty()));
        let rows: Vec<_> = rows.iter().filter(full).cloned().collect();
        let batch = batch(vec![("a", column(&rows, 0)), ("b", column(&rows, 1)), ("c", column(&rows, 2))]);
        let terminator = if crlf { ::csv::Terminator::CRLF } else { ::csv::Terminator::Any(b'\n') };
        let mut writer = ::csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
        writer.write_record(["a", "b", "c"]).unwrap();
        for row in &rows {
            writer.write_record(row.iter().flatten()).unwrap();
        }
        let want = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        prop_assert_eq!(encoded(Dialect { crlf, ..Dialect::default() }, &batch), want);
    }
}
