//! Bodies of JSON.

mod scan;
mod skip;
#[cfg(test)]
mod tests;
mod token;

use std::io::Read;

use self::scan::Scanner;
use super::batch::Batch;
use super::envelope::{Envelope, Wanted};
use super::fault::{Fault, Unreadable, Wrong};
use super::{LARGEST_RECORD, PIECE, Records};
use crate::source::documents::from_json::{self, Converter};

/// Records of JSON.
pub struct Reader<R> {
    read: R,
    wanted: Wanted,
    scanner: Scanner,
    converter: Converter,
    piece: Box<[u8]>,
}

impl<R: Read> Reader<R> {
    pub fn new(read: R, wanted: &Wanted) -> Self {
        let scanner = Scanner::new(wanted, LARGEST_RECORD, true);
        let piece = vec![0; PIECE].into();
        Self { read, wanted: wanted.clone(), scanner, converter: Converter::default(), piece }
    }
}

impl<R: Read + Send> Records for Reader<R> {
    fn read(&mut self, batch: &mut Batch) -> Result<Option<Envelope>, Unreadable> {
        let Self { read, scanner, converter, piece, .. } = self;
        while !batch.is_full() {
            let mut record = |json: &[u8], begun| {
                converter.add(&mut batch.bytes, json).map_err(|fault| fault_of(fault, begun))?;
                batch.end();
                Ok(())
            };
            match super::some(read, piece)? {
                [] => return Ok(Some(scanner.finish(&mut record)?)),
                bytes => scanner.feed(bytes, &mut record)?,
            }
        }
        Ok(None)
    }

    fn look(&mut self) -> Result<Envelope, Unreadable> {
        self.scanner = Scanner::new(&self.wanted, LARGEST_RECORD, false);
        let mut nothing = |_: &[u8], _| Ok(());
        loop {
            match super::some(&mut self.read, &mut self.piece)? {
                [] => return Ok(self.scanner.finish(&mut nothing)?),
                bytes => self.scanner.feed(bytes, &mut nothing)?,
            }
        }
    }
}

/// What is wrong with a record that begins at that byte of the body. The record is all there: what ends too early in it is broken.
pub(super) fn fault_of(fault: from_json::Fault, begun: u64) -> Fault {
    let wrong = match fault.wrong {
        from_json::Wrong::Ended | from_json::Wrong::Unexpected => Wrong::Unexpected,
        from_json::Wrong::Deep => Wrong::Deep,
        from_json::Wrong::Name => Wrong::Name,
        from_json::Wrong::Large => Wrong::Large(LARGEST_RECORD),
    };
    Fault { wrong, at: begun + fault.at as u64 }
}
