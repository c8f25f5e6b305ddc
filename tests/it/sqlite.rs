//! The SQLite source over real database files.

mod incremental;
mod interleaved;
mod moment;
mod tables;
mod trouble;
mod types;
mod windows;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use rusqlite::Connection;
use tidemark::config::Section;
use tidemark::error::{Error, Kind, Result};
use tidemark::record::{Checkpoint, Event, Table};
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
    source.streams(&[selection(values)]).await?.whole()
}

/// All of one stream.
#[derive(Debug)]
struct Read {
    table: Arc<Table>,
    batches: Vec<RecordBatch>,
    end: Checkpoint,
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
            Event::Checkpoint(checkpoint) => end = Some(checkpoint),
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
