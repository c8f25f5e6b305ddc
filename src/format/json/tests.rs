use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DurationMicrosecondArray,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int64Array, ListArray, RecordBatchOptions, StringArray,
    StructArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields, Schema};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::error::Kind;
use crate::format::Format as _;
use crate::format::text::{Binary, Quotes, Style};
use crate::record::field;

const OPTIONS: Options =
    Options { style: Style { quotes: Quotes::Words, binary: Binary::Base64 }, documents: Documents::Embed };

fn encode(options: Options, batch: &RecordBatch) -> Result<String> {
    let format = Format::new(options, None, Compression::None);
    let table = Table::new("t", batch.schema(), Vec::new());
    let mut encoder = format.encoder(&table, 1 << 20)?;
    encoder.encode(batch)?;
    Ok(String::from_utf8(encoder.finish()?.into()).unwrap())
}

fn lines(batch: &RecordBatch) -> Vec<String> {
    encode(OPTIONS, batch).unwrap().lines().map(str::to_owned).collect()
}

fn one(name: &str, array: impl Array + 'static) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([(name, Arc::new(array) as ArrayRef, true)]).unwrap()
}

fn with_field(field: Field, array: impl Array + 'static) -> RecordBatch {
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(array)]).unwrap()
}

#[test]
fn numbers_keep_every_digit() {
    let ints = one("n", Int64Array::from(vec![Some(i64::MIN), Some(9_007_199_254_740_993), None]));
    assert_eq!(lines(&ints), [r#"{"n":-9223372036854775808}"#, r#"{"n":9007199254740993}"#, r#"{"n":null}"#]);
    assert_eq!(lines(&one("n", UInt64Array::from(vec![u64::MAX]))), [r#"{"n":18446744073709551615}"#]);
    let decimal = Decimal128Array::from(vec![-10]).with_precision_and_scale(38, 2).unwrap();
    assert_eq!(lines(&one("n", decimal.clone())), [r#"{"n":-0.10}"#]);

    let text = Options { style: Style { quotes: Quotes::WideNumbers, binary: Binary::Base64 }, ..OPTIONS };
    assert_eq!(encode(text, &one("n", decimal)).unwrap(), "{\"n\":\"-0.10\"}\n");
    assert_eq!(encode(text, &one("n", Int64Array::from(vec![1]))).unwrap(), "{\"n\":\"1\"}\n");
    assert_eq!(encode(text, &one("n", Float64Array::from(vec![1.5]))).unwrap(), "{\"n\":1.5}\n");
}

#[test]
fn what_json_has_no_numbers_for_is_text() {
    let floats = one("f", Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-7]));
    assert_eq!(lines(&floats), [r#"{"f":"NaN"}"#, r#"{"f":"Infinity"}"#, r#"{"f":"-Infinity"}"#, r#"{"f":1e-7}"#]);
    assert_eq!(lines(&one("f", Float32Array::from(vec![0.1, f32::NAN]))), [r#"{"f":0.1}"#, r#"{"f":"NaN"}"#]);
    assert_eq!(lines(&one("b", BooleanArray::from(vec![true]))), [r#"{"b":true}"#]);
    assert_eq!(lines(&one("d", Date32Array::from(vec![-735_160]))), [r#"{"d":"-0043-03-15"}"#]);
    let at = TimestampMicrosecondArray::from(vec![0]);
    assert_eq!(lines(&one("t", at.clone())), [r#"{"t":"1970-01-01T00:00:00.000000"}"#]);
    assert_eq!(lines(&one("t", at.with_timezone("UTC"))), [r#"{"t":"1970-01-01T00:00:00.000000Z"}"#]);
    assert_eq!(lines(&one("s", DurationMicrosecondArray::from(vec![-1]))), [r#"{"s":"-00:00:00.000001"}"#]);
    assert_eq!(lines(&one("x", BinaryArray::from_vec(vec![b"\x00\xff", b""]))), [r#"{"x":"AP8="}"#, r#"{"x":""}"#]);
    let bytes = || FixedSizeBinaryArray::try_from_iter([[7u8; 16]].into_iter()).unwrap();
    assert_eq!(lines(&one("x", bytes())), [r#"{"x":"BwcHBwcHBwcHBwcHBwcHBw=="}"#]);
    assert_eq!(lines(&with_field(field::uuid("u"), bytes())), [r#"{"u":"07070707-0707-0707-0707-070707070707"}"#]);
}

#[test]
fn lists_and_records_nest() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
    let fields = Fields::from(vec![
        Field::new("city", DataType::Utf8, true),
        Field::new("marks", list.data_type().clone(), true),
        Field::new("none", DataType::Struct(Fields::empty()), false),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![Some("Oslo"), None, Some("x")])),
        Arc::new(list),
        Arc::new(StructArray::new_empty_fields(3, None)),
    ];
    let home = StructArray::new(fields, columns, Some(NullBuffer::from(vec![true, true, false])));
    let batch = one("home", home.clone());
    let want = [
        r#"{"home":{"city":"Oslo","marks":[1,null],"none":{}}}"#,
        r#"{"home":{"city":null,"marks":null,"none":{}}}"#,
        r#"{"home":null}"#,
    ];
    assert_eq!(lines(&batch), want);
    assert_eq!(lines(&batch.slice(1, 2)), want[1..]);

    let item = Arc::new(Field::new("item", home.data_type().clone(), true));
    let homes = ListArray::new(item, OffsetBuffer::from_lengths([0, 3]), Arc::new(home), None);
    let want = json!({"l": [{"city": "Oslo", "marks": [1, null], "none": {}}, {"city": null, "marks": null, "none": {}}, null]});
    let got = lines(&one("l", homes));
    assert_eq!(got[0], r#"{"l":[]}"#);
    assert_eq!(serde_json::from_str::<Value>(&got[1]).unwrap(), want);

    let flat = Format::new(OPTIONS, Some("_".to_owned()), Compression::None);
    let mut encoder = flat.encoder(&Table::new("t", batch.schema(), Vec::new()), 0).unwrap();
    encoder.encode(&batch).unwrap();
    let text = String::from_utf8(encoder.finish().unwrap().into()).unwrap();
    assert!(text.starts_with(r#"{"home_city":"Oslo","home_marks":[1,null],"home_none":{}}"#), "{text}");
}

#[test]
fn documents_stand_as_they_are_on_one_line() {
    let documents = StringArray::from(vec![
        Some("{\r\n  \"a\" : [1,\n 12345678901234567890.10],\n  \"b\": \"\\n\"\n}"),
        Some("null"),
        None,
        Some(" \"\\ud800\" "),
    ]);
    let batch = with_field(field::json("j"), documents);
    assert_eq!(
        lines(&batch),
        [
            r#"{"j":{  "a" : [1, 12345678901234567890.10],  "b": "\n"}}"#,
            r#"{"j":null}"#,
            r#"{"j":null}"#,
            r#"{"j": "\ud800" }"#
        ]
    );
    let text = Options { documents: Documents::Text, ..OPTIONS };
    let as_text = encode(text, &batch).unwrap();
    assert_eq!(as_text.lines().nth(1), Some(r#"{"j":"null"}"#));
}

#[test]
fn a_document_that_is_none_is_refused_before_it_spoils_a_line() {
    for wrong in ["", "{", "1 2", "{\"a\":1}}", "{'a':1}", "\"\n\"", "NaN", "\u{feff}1"] {
        let batch = with_field(field::json("j"), StringArray::from(vec![Some("1"), Some(wrong)]));
        let error = encode(OPTIONS, &batch).unwrap_err();
        assert!(error.kind() == Kind::Data && error.message().contains("table t: column j"), "{error}");
        assert!(error.message().contains("row 2") && error.advice().unwrap().contains("json_documents = text"));
        let text = Options { documents: Documents::Text, ..OPTIONS };
        let line = encode(text, &batch).unwrap().lines().nth(1).unwrap().to_owned();
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), json!({ "j": wrong }));
    }
    let item = Arc::new(field::json("item"));
    let inner: ArrayRef = Arc::new(StringArray::from(vec!["1", "{"]));
    let list = ListArray::new(item, OffsetBuffer::from_lengths([2]), inner, None);
    assert_eq!(encode(OPTIONS, &one("l", list)).unwrap_err().kind(), Kind::Data);
    // A null among them is no document that is wrong.
    assert!(encode(OPTIONS, &with_field(field::json("j"), StringArray::new_null(2))).is_ok());
}

#[test]
fn a_file_may_lack_rows_or_columns() {
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
    assert_eq!(encode(OPTIONS, &RecordBatch::new_empty(schema)).unwrap(), "");
    let options = RecordBatchOptions::new().with_row_count(Some(2));
    let nothing = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
    assert_eq!(encode(OPTIONS, &nothing).unwrap(), "{}\n{}\n");
}

proptest! {
    #[test]
    fn any_text_and_any_name_read_back(texts: Vec<Option<String>>, name: String, plain in "[a-z ]{0,50}") {
        let texts: Vec<_> = texts.into_iter().chain([Some(plain)]).collect();
        let got = lines(&one(&name, StringArray::from(texts.clone())));
        let read: Vec<Value> = got.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let want: Vec<Value> = texts.iter().map(|text| json!({ name.clone(): text })).collect();
        prop_assert_eq!(read, want);
    }

    #[test]
    fn any_document_reads_back(keys: Vec<String>, number: i64, pretty: bool) {
        let document: Value = keys.iter().map(|key| (key.clone(), json!([number, key]))).collect::<serde_json::Map<_, _>>().into();
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
        let got = lines(&with_field(field::json("j"), StringArray::from(vec![text])));
        prop_assert_eq!(got.len(), 1);
        prop_assert_eq!(serde_json::from_str::<Value>(&got[0]).unwrap(), json!({ "j": document }));
    }
}
