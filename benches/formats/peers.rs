//! What the writers are measured against: what one would write without them.

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::Serializer as _;
use serde::ser::SerializeMap;
use serde_json::value::RawValue;

use crate::cells::{Cells, Column, Scratch, columns};

/// The csv crate, given each cell's text.
pub fn csv(batches: &[RecordBatch], mut scratch: Scratch) -> usize {
    let mut bytes = 0;
    for batch in batches {
        let columns = columns(batch);
        let mut writer = csv_writer();
        for row in 0..batch.num_rows() {
            for column in &columns {
                let text = if column.is_null(row) { "" } else { column.text(row, &mut scratch) };
                writer.write_field(text).expect("memory takes everything");
            }
            writer.write_record(None::<&[u8]>).expect("memory takes everything");
        }
        bytes += writer.into_inner().expect("memory takes everything").len();
    }
    bytes
}

/// The csv crate, given a record at a time.
pub fn csv_by_record(batches: &[RecordBatch]) -> usize {
    let mut scratch = Scratch::new();
    let mut record = csv::ByteRecord::new();
    let mut bytes = 0;
    for batch in batches {
        let columns = columns(batch);
        let mut writer = csv_writer();
        for row in 0..batch.num_rows() {
            fill(&mut record, &columns, row, &mut scratch);
            writer.write_byte_record(&record).expect("memory takes everything");
        }
        bytes += writer.into_inner().expect("memory takes everything").len();
    }
    bytes
}

fn csv_writer() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().buffer_capacity(64 << 10).from_writer(Vec::with_capacity(2 << 20))
}

fn fill(record: &mut csv::ByteRecord, columns: &[Column<'_>], row: usize, scratch: &mut Scratch) {
    record.clear();
    for column in columns {
        let text = if column.is_null(row) { "" } else { column.text(row, scratch) };
        record.push_field(text.as_bytes());
    }
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
        let columns = columns(batch);
        for row in 0..batch.num_rows() {
            let mut record = csv::ByteRecord::new();
            fill(&mut record, &columns, row, &mut scratch);
            records.push(record);
        }
    }
    records
}

/// serde_json, value by value, without a tree of values between.
pub fn json(batches: &[RecordBatch], mut scratch: Scratch) -> usize {
    let mut bytes = 0;
    for batch in batches {
        let columns = columns(batch);
        let mut out = Vec::with_capacity(4 << 20);
        for row in 0..batch.num_rows() {
            let mut line = serde_json::Serializer::new(&mut out);
            let mut map = line.serialize_map(None).expect("memory takes everything");
            for column in &columns {
                entry(&mut map, column, row, &mut scratch).expect("memory takes everything");
            }
            map.end().expect("memory takes everything");
            out.push(b'\n');
        }
        bytes += out.len();
    }
    bytes
}

fn entry<M: SerializeMap>(map: &mut M, column: &Column<'_>, row: usize, scratch: &mut Scratch) -> Result<(), M::Error> {
    let name = column.name;
    match column.cells {
        _ if column.is_null(row) => map.serialize_entry(name, &()),
        Cells::Int32(array) => map.serialize_entry(name, &array.value(row)),
        Cells::Int64(array) => map.serialize_entry(name, &array.value(row)),
        Cells::Double(array) => map.serialize_entry(name, &array.value(row)),
        Cells::Flag(array) => map.serialize_entry(name, &array.value(row)),
        Cells::Document(_) | Cells::Decimal(_) => {
            let document: &RawValue = serde_json::from_str(column.text(row, scratch)).expect("a document");
            map.serialize_entry(name, document)
        }
        Cells::Text(_) | Cells::Date(_) | Cells::Instant(_) => map.serialize_entry(name, column.text(row, scratch)),
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
