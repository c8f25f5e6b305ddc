//! The encoder of a text format: batches in, lines out, through a compressor or not.

use arrow_array::RecordBatch;
use bytes::Bytes;

use super::Out;
use crate::error::Result;
use crate::format::compress::{Compression, Compressor};
use crate::format::flatten::Shape;

/// A part of one text format.
pub trait Rows: Send {
    /// Writes what stands before the first row.
    fn head(&self, out: &mut Out);

    /// Writes the rows of a batch that has the form of the shape.
    fn write(&self, batch: &RecordBatch, lines: &mut Lines) -> Result<()>;
}

/// So much text goes to the compressor at once: it stays in the processor's cache.
const PORTION: usize = 128 << 10;
/// Fewer bytes than this are not worth a piece of their own.
const LEAST_PIECE: usize = 64 << 10;

/// The text of a part, on its way out.
pub struct Lines {
    pub out: Out,
    compressor: Option<Compressor>,
    least_piece: usize,
}

impl Lines {
    fn new(compression: Compression, memory: usize) -> Result<Self> {
        let least_piece = LEAST_PIECE.min(memory / 16);
        Ok(Self { out: Out::default(), compressor: compression.compressor()?, least_piece })
    }

    /// To be called at the end of each line.
    #[inline]
    pub fn end(&mut self) -> Result<()> {
        match &self.compressor {
            Some(_) if self.out.len() >= PORTION => self.compress(),
            _ => Ok(()),
        }
    }

    #[cold]
    fn compress(&mut self) -> Result<()> {
        if let Some(compressor) = &mut self.compressor {
            compressor.write(self.out.as_bytes())?;
            match self.out.capacity() > 4 * PORTION {
                // One huge row must not bind its memory for the rest of the part.
                true => self.out = Out::default(),
                false => self.out.clear(),
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Option<Bytes> {
        match &mut self.compressor {
            None if self.out.len() > self.least_piece => {
                // The next piece will be about as long.
                let next = Out::with_capacity(self.out.len() + self.out.len() / 8);
                Some(std::mem::replace(&mut self.out, next).into_vec().into())
            }
            Some(compressor) if compressor.waiting() > self.least_piece => {
                Some(std::mem::take(compressor.output()).into())
            }
            _ => None,
        }
    }

    fn finish(mut self) -> Result<Bytes> {
        self.compress()?;
        Ok(match self.compressor {
            None => self.out.into_vec().into(),
            Some(compressor) => compressor.finish()?.into(),
        })
    }
}

/// The encoder of a part.
pub struct Encoder<R> {
    shape: Shape,
    rows: R,
    lines: Lines,
}

impl<R: Rows> Encoder<R> {
    pub fn new(shape: Shape, rows: R, compression: Compression, memory: usize) -> Result<Self> {
        let mut lines = Lines::new(compression, memory)?;
        rows.head(&mut lines.out);
        Ok(Self { shape, rows, lines })
    }
}

impl<R: Rows> crate::format::Encoder for Encoder<R> {
    fn encode(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = self.shape.apply(batch)?;
        self.rows.write(&batch, &mut self.lines)
    }

    fn take(&mut self) -> Option<Bytes> {
        self.lines.take()
    }

    fn buffered(&self) -> usize {
        self.lines.out.len() + self.lines.compressor.as_ref().map_or(0, Compressor::waiting)
    }

    fn finish(self: Box<Self>) -> Result<Bytes> {
        self.lines.finish()
    }
}
