//! Encoding of batches into the bytes of data files. No I/O.

mod compress;
mod csv;
mod flatten;
mod json;
mod keys;
mod parquet;
mod plain;
mod text;

use arrow_array::RecordBatch;
use bytes::Bytes;

use crate::config::Section;
use crate::error::{Error, Result};
use crate::record::Table;

pub use self::keys::KEYS;
pub use self::plain::Plain;

/// A file format with its settings: makes an encoder for each part.
pub trait Format: Send + Sync {
    /// The end of a part's file name, compression included: `csv.gz`.
    fn extension(&self) -> &str;

    /// An encoder for one part of `table`, which tries to hold no more than about `memory` bytes between calls.
    ///
    /// A table that the format cannot hold (two columns of one name, a type it does not have) is `Kind::Schema`.
    fn encoder(&self, table: &Table, memory: usize) -> Result<Box<dyn Encoder>>;
}

/// Encodes the batches of one part, in order.
///
/// The bytes of the part are all pieces from `take`, in order, then those from `finish`.
pub trait Encoder: Send {
    /// Adds the rows of a batch whose schema is the table's. May burn CPU for milliseconds: not for an async thread.
    fn encode(&mut self, batch: &RecordBatch) -> Result<()>;

    /// All bytes that are finished, if there are enough to be worth a piece: to be uploaded while the part is still
    /// open.
    fn take(&mut self) -> Option<Bytes>;

    /// About how many bytes wait in it, finished or not.
    fn buffered(&self) -> usize;

    /// The end of the part. A part without rows is still a valid file, with header or schema.
    fn finish(self: Box<Self>) -> Result<Bytes>;
}

/// As [`format`], of a section of which other values may have been refused: what follows from those is not told.
pub fn check(section: &Section) -> Result<()> {
    match ["format", "compression", "csv_delimiter"].into_iter().find(|key| section.is_refused(key)) {
        Some("format" | "compression") => Ok(()),
        Some(_) if section.is_set("csv_null") => Ok(()),
        _ => format(section).map(drop),
    }
}

/// The format and the compression that a stream's section asks for, defaults included: `parquet, zstd`.
pub fn in_words(section: &Section) -> Result<String> {
    let format = section.text("format")?;
    let compression = section.get("compression").unwrap_or(if format == "parquet" { "zstd" } else { "none" });
    Ok(match compression {
        "none" => format!("{format}, not compressed"),
        compression => format!("{format}, {compression}"),
    })
}

/// The format that a stream's section asks for, with its settings. Wrong ones are `Kind::Config`, by key.
pub fn format(section: &Section) -> Result<Box<dyn Format>> {
    keys::check_strays(section)?;
    match section.text("format")? {
        "csv" => Ok(Box::new(csv::Format::of(section)?)),
        "json" => Ok(Box::new(json::Format::of(section)?)),
        "parquet" => Ok(Box::new(parquet::Format::of(section)?)),
        other => Err(Error::bug(format!("no format `{other}`"))),
    }
}
