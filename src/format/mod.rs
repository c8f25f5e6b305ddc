//! Encoding of batches into the bytes of data files. No I/O.

use arrow_array::RecordBatch;
use bytes::Bytes;

use crate::config::Key;
use crate::error::Result;
use crate::record::Table;

/// A file format with its settings: makes an encoder for each part.
pub trait Format: Send + Sync {
    /// The end of a part's file name, compression included: `csv.gz`.
    fn extension(&self) -> &str;

    /// An encoder for one part of `table`, which tries to hold no more than about `memory` bytes between calls.
    fn encoder(&self, table: &Table, memory: usize) -> Result<Box<dyn Encoder>>;
}

/// Encodes the batches of one part, in order.
///
/// The bytes of the part are all pieces from `take`, in order, then those from `finish`.
pub trait Encoder: Send {
    /// Adds the rows of a batch whose schema is the table's. May burn CPU for milliseconds: not for an async thread.
    fn encode(&mut self, batch: &RecordBatch) -> Result<()>;

    /// The bytes that are finished, if there are any: to be uploaded while the part is still open.
    fn take(&mut self) -> Option<Bytes>;

    /// About how much memory it holds, finished bytes included.
    fn buffered(&self) -> usize;

    /// The end of the part. A part without rows is still a valid file, with header or schema.
    fn finish(self: Box<Self>) -> Result<Bytes>;
}

/// Keys of every format.
pub const KEYS: &[Key] = &[];

/// The format that a stream's section asks for.
pub fn format(_section: &crate::config::Section) -> Result<Box<dyn Format>> {
    Err(crate::error::Error::bug("no format"))
}
