//! What the writers are measured against: what one would write without them.

use std::fmt::Write as _;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::Serializer as _;
use serde::ser::SerializeMap as _;
use serde_json::value::RawValue;

/// The text of a cell that is not null, as a file has it.
fn text<'a>(array: &'a dyn Array, row: usize, scratch: &'a mut Scratch) -> &'a str {
    match array.data_type() {
        DataType::Int32 => scratch.integer.format(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => scratch.integer.format(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => scratch.float.format(array.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean if array.as_boolean().value(row) => "true",
        DataType::Boolean => "false",
        DataType::Utf8 => array.as_string::<i32>().value(row),
        other => {
            let text = &mut scratch.text;
            text.clear();
            let written = match other {
                DataType::Decimal128(_, 2) => {
                    let value = array.as_primitive::<Decimal128Type>().value(row);
                    write!(text, "{}.{:02}", value / 100, value % 100)
                }
                DataType::Date32 => {
                    let days = i64::from(array.as_primitive::<Date32Type>().value(row));
                    let date = jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(days));
                    write!(text, "{date}")
                }
                DataType::Timestamp(..) => {
                    let at = array.as_primitive::<TimestampMicrosecondType>().value(row);
                    write!(text, "{:.6}", jiff::Timestamp::from_microsecond(at).unwrap_or_default())
                }
                other => unreachable!("no table has a {other}"),
            };
            written.expect("a String takes everything");
            text
        }
    }
}

struct Scratch {
    text: String,
    integer: itoa::Buffer,
    float: zmij::Buffer,
}

impl Scratch {
    fn new() -> Self {
        Self { text: String::new(), integer: itoa::Buffer::new(), float: zmij::Buffer::new() }
    }
}

/// The csv crate, with values made into text by the crates for that.
pub fn csv(batches: &[RecordBatch]) -> usize {
    let mut scratch = Scratch::new();
    let mut bytes = 0;
    for batch in batches {
        let mut writer = csv_writer();
        for row in 0..batch.num_rows() {
            for array in batch.columns() {
                let text = if array.is_null(row) { "" } else { text(array, row, &mut scratch) };
                writer.write_field(text).expect("memory takes everything");
            }
            writer.write_record(None::<&[u8]>).expect("memory takes everything");
        }
        bytes += writer.into_inner().expect("memory takes everything").len();
    }
    bytes
}

fn csv_writer() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().buffer_capacity(64 << 10).from_writer(Vec::with_capacity(2 << 20))
}

/// The csv crate alone: values are there as text before the clock starts. No writer that uses it is faster.
pub fn csv_of_texts() -> super::Encode {
    // By the batches' first array, which stays where it is while they are measured.
    let ready = std::cell::RefCell::new(None::<(usize, Vec<csv::ByteRecord>)>);
    Box::new(move |batches| {
        let mut ready = ready.borrow_mut();
        if ready.as_ref().is_none_or(|(of, _)| *of != batches.as_ptr() as usize) {
            *ready = Some((batches.as_ptr() as usize, records(batches)));
        }
        let records = ready.as_ref().map_or(&[][..], |(_, records)| records);
        let mut bytes = 0;
        for records in records.chunks(8192) {
            let mut writer = csv_writer();
            for record in records {
                writer.write_byte_record(record).expect("memory takes everything");
            }
            bytes += writer.into_inner().expect("memory takes everything").len();
        }
        bytes
    })
}

fn records(batches: &[RecordBatch]) -> Vec<csv::ByteRecord> {
    let mut scratch = Scratch::new();
    let mut records = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let mut record = csv::ByteRecord::new();
            for array in batch.columns() {
                let text = if array.is_null(row) { "" } else { text(array, row, &mut scratch) };
                record.push_field(text.as_bytes());
            }
            records.push(record);
        }
    }
    records
}

/// serde_json, value by value, without a tree of values between.
pub fn json(batches: &[RecordBatch]) -> usize {
    let mut scratch = Scratch::new();
    let mut bytes = 0;
    for batch in batches {
        let mut out = Vec::with_capacity(2 << 20);
        for row in 0..batch.num_rows() {
            let mut line = serde_json::Serializer::new(&mut out);
            let mut map = line.serialize_map(None).expect("memory takes everything");
            for (array, field) in batch.columns().iter().zip(batch.schema_ref().fields()) {
                entry(&mut map, array, field, row, &mut scratch).expect("memory takes everything");
            }
            map.end().expect("memory takes everything");
            out.push(b'\n');
        }
        bytes += out.len();
    }
    bytes
}

fn entry<M>(map: &mut M, array: &dyn Array, field: &Field, row: usize, scratch: &mut Scratch) -> Result<(), M::Error>
where
    M: serde::ser::SerializeMap,
{
    let name = field.name();
    match array.data_type() {
        _ if array.is_null(row) => map.serialize_entry(name, &()),
        DataType::Int32 => map.serialize_entry(name, &array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => map.serialize_entry(name, &array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => map.serialize_entry(name, &array.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => map.serialize_entry(name, &array.as_boolean().value(row)),
        DataType::Utf8 if tidemark::record::field::is_json(field) => {
            let document: &RawValue = serde_json::from_str(array.as_string::<i32>().value(row)).expect("a document");
            map.serialize_entry(name, document)
        }
        DataType::Decimal128(..) => {
            let number = RawValue::from_string(text(array, row, scratch).to_owned()).expect("a number");
            map.serialize_entry(name, &number)
        }
        _ => map.serialize_entry(name, text(array, row, scratch)),
    }
}

/// The parquet crate as it comes, but for the compression.
pub fn parquet(batches: &[RecordBatch]) -> usize {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1).expect("a level"));
    let properties = WriterProperties::builder().set_compression(zstd).build();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), batches[0].schema(), Some(properties)).expect("a table that fits");
    for batch in batches {
        writer.write(batch).expect("rows that fit");
        if writer.memory_size() >= 16 << 20 {
            writer.flush().expect("memory takes everything");
        }
    }
    writer.into_inner().expect("memory takes everything").len()
}
