//! Parquet, through the `parquet` crate: encodings chosen by what the columns hold, row groups by memory.

mod encodings;
mod fit;
mod settings;

use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::SchemaDescriptor;

use self::fit::Fit;
use super::flatten::Shape;
use crate::error::{Error, Result};
use crate::format;
use crate::record::Table;

/// Parquet files with their settings.
#[derive(Debug, Clone)]
pub struct Format {
    pub compression: Compression,
    /// The encoded size at which a row group is closed.
    pub row_group_bytes: usize,
    /// Only the encodings of Parquet 1.0.
    pub plain: bool,
    /// Decimals of more than 38 digits as text.
    pub wide_decimals_as_text: bool,
    /// Records are flattened where this gives a separator.
    pub flatten: Option<String>,
}

/// Rows to look at before the encodings are chosen,
const SAMPLE_ROWS: usize = 16 << 10;
/// or fewer, where they take this many bytes.
const SAMPLE_BYTES: usize = 4 << 20;
/// A row group larger than this is of no use to those who read groups in parallel.
const GROUP_ROWS: usize = 1 << 20;
/// What an encoder holds at its peak is up to three row groups: one in the making, one being handed over, and one
/// that is still on its way out.
const GROUPS_IN_MEMORY: usize = 3;

impl format::Format for Format {
    fn extension(&self) -> &str {
        "parquet"
    }

    fn encoder(&self, table: &Table, memory: usize) -> Result<Box<dyn format::Encoder>> {
        let shape = match &self.flatten {
            Some(separator) => Shape::flat(table, separator)?,
            None => Shape::nested(table)?,
        };
        let fit = Fit::new(&table.name, shape.schema(), self.wide_decimals_as_text)?;
        let columns = ArrowSchemaConverter::new()
            .with_coerce_types(true)
            .convert(fit.schema())
            .map_err(|error| Error::schema(format!("table {}: Parquet cannot hold it: {error}", table.name)))?;
        let group_bytes = self.row_group_bytes.min(memory / GROUPS_IN_MEMORY).max(1);
        let state = State::Sampling { batches: Vec::new(), rows: 0, bytes: 0 };
        Ok(Box::new(Encoder { format: self.clone(), shape, fit, columns, group_bytes, state }))
    }
}

struct Encoder {
    format: Format,
    shape: Shape,
    fit: Fit,
    columns: SchemaDescriptor,
    group_bytes: usize,
    state: State,
}

enum State {
    /// The first rows, which decide how columns are encoded.
    Sampling {
        batches: Vec<RecordBatch>,
        rows: usize,
        bytes: usize,
    },
    Writing(Box<ArrowWriter<Vec<u8>>>),
}

impl Encoder {
    /// Chooses the encodings and writes what has been held back for that.
    fn begin(&mut self) -> Result<&mut ArrowWriter<Vec<u8>>> {
        if let State::Sampling { batches, .. } = &mut self.state {
            let batches = std::mem::take(batches);
            let mut writer = self.writer(self.properties(&batches))?;
            for batch in &batches {
                write(&mut writer, batch, self.group_bytes).map_err(|error| self.failed(error))?;
            }
            self.state = State::Writing(Box::new(writer));
        }
        match &mut self.state {
            State::Writing(writer) => Ok(writer),
            State::Sampling { .. } => Err(Error::bug("a Parquet file that was begun is not")),
        }
    }

    fn properties(&self, batches: &[RecordBatch]) -> WriterProperties {
        let builder = WriterProperties::builder()
            .set_created_by(concat!("tidemark version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(self.format.compression)
            .set_coerce_types(true)
            .set_max_row_group_row_count(Some(GROUP_ROWS));
        encodings::choose(builder, &self.columns, batches, self.format.plain, self.group_bytes).build()
    }

    fn writer(&self, properties: WriterProperties) -> Result<ArrowWriter<Vec<u8>>> {
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_parquet_schema(self.columns.clone())
            .with_schema_root("table".to_owned());
        let schema: SchemaRef = self.fit.schema().clone();
        ArrowWriter::try_new_with_options(Vec::new(), schema, options).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: ParquetError) -> Error {
        Error::bug(format!("table {}: {error}", self.shape.table()))
    }
}

/// Writes a batch, and closes the row group once it is large enough.
fn write(writer: &mut ArrowWriter<Vec<u8>>, batch: &RecordBatch, group_bytes: usize) -> Result<(), ParquetError> {
    writer.write(batch)?;
    if writer.memory_size() >= group_bytes {
        // Grown by doubling, the output might take twice what it needs.
        let expected = writer.in_progress_size();
        writer.inner_mut().reserve_exact(expected + expected / 16);
        writer.flush()?;
        writer.sync()?;
    }
    Ok(())
}

/// The size of a batch's values, whatever else its buffers hold.
fn size_of(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|array| array.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

impl format::Encoder for Encoder {
    fn encode(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = self.fit.apply(self.shape.apply(batch)?)?;
        if let State::Sampling { batches, rows, bytes } = &mut self.state {
            *rows += batch.num_rows();
            *bytes += size_of(&batch);
            batches.push(batch);
            if *rows >= SAMPLE_ROWS || *bytes >= SAMPLE_BYTES.min(self.group_bytes) {
                self.begin()?;
            }
            return Ok(());
        }
        let group_bytes = self.group_bytes;
        write(self.begin()?, &batch, group_bytes).map_err(|error| self.failed(error))
    }

    fn take(&mut self) -> Option<Bytes> {
        match &mut self.state {
            // The file's first four bytes alone are no piece.
            State::Writing(writer) if writer.inner().len() > 4 => Some(std::mem::take(writer.inner_mut()).into()),
            _ => None,
        }
    }

    fn buffered(&self) -> usize {
        match &self.state {
            State::Sampling { bytes, .. } => *bytes,
            State::Writing(writer) => writer.memory_size() + writer.inner().len(),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<Bytes> {
        self.begin()?;
        let State::Writing(mut writer) = self.state else { return Ok(Bytes::new()) };
        let table = self.shape.table();
        writer.finish().map_err(|error| Error::bug(format!("table {table}: {error}")))?;
        Ok(std::mem::take(writer.inner_mut()).into())
    }
}

#[cfg(test)]
mod tests;
