use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatchOptions, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Fields, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Encoding, GzipLevel, LogicalType, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;

use super::*;
use crate::error::Kind;
use crate::format::Format as _;
use crate::record::field;

fn zstd() -> Format {
    Format {
        compression: Compression::ZSTD(ZstdLevel::try_new(1).unwrap()),
        row_group_bytes: 16 << 20,
        plain: false,
        wide_decimals_as_text: false,
        flatten: None,
    }
}

struct Read {
    metadata: Arc<ParquetMetaData>,
    batches: Vec<RecordBatch>,
}

impl Read {
    fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

fn read(bytes: Vec<u8>) -> Read {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).unwrap();
    let metadata = builder.metadata().clone();
    Read { metadata, batches: builder.with_batch_size(1 << 20).build().unwrap().map(Result::unwrap).collect() }
}

/// The file, and the most that the encoder held between calls.
fn encoded(format: &Format, schema: SchemaRef, batches: &[RecordBatch], memory: usize) -> (Vec<u8>, usize) {
    let table = Table::new("t", schema, Vec::new());
    let mut encoder = format.encoder(&table, memory).unwrap();
    let (mut bytes, mut most) = (Vec::new(), 0);
    for batch in batches {
        encoder.encode(batch).unwrap();
        most = most.max(encoder.buffered());
        if let Some(piece) = encoder.take() {
            bytes.extend_from_slice(&piece);
        }
    }
    bytes.extend_from_slice(&encoder.finish().unwrap());
    (bytes, most)
}

fn noise(n: usize) -> String {
    format!("{:032x}", (n as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

fn orders(rows: usize) -> Vec<RecordBatch> {
    let batch = |first: usize| {
        let rows = first..(first + 4096).min(rows);
        let ids: Int64Array = rows.clone().map(|n| Some(n as i64)).collect();
        let states: StringArray = rows.clone().map(|n| Some(["open", "paid", "sent"][n % 3])).collect();
        let notes: StringArray = rows.clone().map(|n| (n % 5 != 0).then(|| noise(n))).collect();
        let at: TimestampMicrosecondArray = rows.map(|n| Some(1_700_000_000_000_000 + n as i64 * 977)).collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(ids)),
            ("state", Arc::new(states)),
            ("note", Arc::new(notes)),
            ("at", Arc::new(at.with_timezone("UTC"))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
    };
    (0..rows).step_by(4096).map(batch).collect()
}

#[test]
fn reads_back_with_the_encodings_that_suit_each_column() {
    let batches = orders(50_000);
    let (bytes, _) = encoded(&zstd(), batches[0].schema(), &batches, 64 << 20);
    let read = read(bytes);
    assert_eq!(read.rows(), 50_000);
    let first = &read.batches[0];
    assert_eq!(first.schema_ref().fields(), batches[0].schema_ref().fields());
    for (read, wrote) in first.slice(0, 4096).columns().iter().zip(batches[0].columns()) {
        assert_eq!(read, wrote);
    }
    let columns = read.metadata.row_group(0).columns();
    let has = |index: usize, encoding| columns[index].encodings().any(|used| used == encoding);
    assert!(has(0, Encoding::DELTA_BINARY_PACKED) && has(3, Encoding::DELTA_BINARY_PACKED));
    assert!(columns[1].dictionary_page_offset().is_some() && columns[2].dictionary_page_offset().is_none());
    assert!(columns.iter().all(|column| column.statistics().is_some_and(|s| s.min_bytes_opt().is_some())));
    assert_eq!(columns[2].statistics().unwrap().null_count_opt(), Some(10_000));
}

#[test]
fn plain_encodings_are_those_of_parquet_1() {
    let batches = orders(20_000);
    let format = Format { plain: true, ..zstd() };
    let (bytes, _) = encoded(&format, batches[0].schema(), &batches, 64 << 20);
    let old = [Encoding::PLAIN, Encoding::PLAIN_DICTIONARY, Encoding::RLE, Encoding::RLE_DICTIONARY];
    for column in read(bytes).metadata.row_group(0).columns() {
        assert!(column.encodings().all(|encoding| old.contains(&encoding)), "{:?}", column.column_path());
    }
}

#[test]
fn every_compression_reads_back() {
    let batches = orders(5_000);
    let (plain, _) =
        encoded(&Format { compression: Compression::UNCOMPRESSED, ..zstd() }, batches[0].schema(), &batches, 64 << 20);
    let gzip = Compression::GZIP(GzipLevel::try_new(4).unwrap());
    for compression in [Compression::SNAPPY, gzip, zstd().compression] {
        let format = Format { compression, ..zstd() };
        let (bytes, _) = encoded(&format, batches[0].schema(), &batches, 64 << 20);
        assert!(bytes.len() < plain.len());
        let read = read(bytes);
        assert_eq!(read.batches[0].column(2).slice(0, 4096).as_ref(), batches[0].column(2).as_ref());
    }
    assert_eq!(read(plain).rows(), 5_000);
}

#[test]
fn row_groups_close_before_memory_is_full() {
    let batches = orders(80_000);
    for memory in [512 << 10, 2 << 20] {
        let (bytes, most) = encoded(&zstd(), batches[0].schema(), &batches, memory);
        assert!(most <= memory, "{most} bytes held of {memory}");
        let read = read(bytes);
        assert_eq!(read.rows(), 80_000);
        assert!(read.metadata.num_row_groups() > 1);
        let ids = read.batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values());
        assert!(ids.copied().eq(0..80_000));
    }
}

#[test]
fn a_file_may_lack_rows_or_columns() {
    let schema = orders(1)[0].schema();
    let (bytes, _) = encoded(&zstd(), schema.clone(), &[], 1 << 20);
    let empty = read(bytes);
    assert_eq!(empty.rows(), 0);
    assert_eq!(empty.metadata.file_metadata().schema_descr().num_columns(), 4);
    let (bytes, _) = encoded(&zstd(), schema.clone(), &[RecordBatch::new_empty(schema)], 1 << 20);
    assert_eq!(read(bytes).rows(), 0);

    let schema = Arc::new(Schema::empty());
    let options = RecordBatchOptions::new().with_row_count(Some(2));
    let nothing = RecordBatch::try_new_with_options(schema.clone(), Vec::new(), &options).unwrap();
    let (bytes, _) = encoded(&zstd(), schema, &[nothing], 1 << 20);
    assert_eq!(read(bytes).metadata.file_metadata().schema_descr().num_columns(), 0);
}

#[test]
fn records_may_be_flattened() {
    let inner = Fields::from(vec![field::uuid("u"), field::json("j")]);
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Struct(inner), true)]));
    let paths = |format: &Format| {
        let (bytes, _) = encoded(format, schema.clone(), &[], 1 << 20);
        let read = read(bytes);
        let columns = read.metadata.file_metadata().schema_descr().columns().to_vec();
        assert_eq!(columns[0].logical_type_ref(), Some(&LogicalType::Uuid));
        assert_eq!(columns[1].logical_type_ref(), Some(&LogicalType::Json));
        columns.iter().map(|column| column.path().parts().to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(paths(&zstd()), [["a", "u"], ["a", "j"]]);
    assert_eq!(paths(&Format { flatten: Some(".".to_owned()), ..zstd() }), [["a.u"], ["a.j"]]);
}

#[test]
fn what_parquet_cannot_hold_is_refused_when_the_part_opens() {
    let schema = Arc::new(Schema::new(vec![Field::new("none", DataType::Struct(Fields::empty()), true)]));
    let Err(error) = zstd().encoder(&Table::new("t", schema, Vec::new()), 0) else { panic!() };
    assert!(error.kind() == Kind::Schema && error.message().contains("table t, column none"), "{error}");
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let metadata = |index: usize| (format!("key {index}"), format!("value {index}"));
    let described = Field::new("id", DataType::Int64, true)
        .with_metadata((0..20).map(metadata).collect::<std::collections::HashMap<_, _>>());
    let schema = Arc::new(Schema::new(vec![described]));
    let file = || {
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(Int64Array::from(vec![1, 2]))]).unwrap();
        encoded(&zstd(), batch.schema(), &[batch], 1 << 20).0
    };
    assert_eq!(file(), file());
}
