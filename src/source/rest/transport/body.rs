//! A body that is there to its end: in memory where it is small, in a temporary file where it is not.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use bytes::{Bytes, BytesMut};

/// A whole body, decoded. It may be read several times.
#[derive(Debug)]
pub enum Body {
    Memory(Bytes),
    /// A file without a name, which goes with its last handle.
    File {
        file: File,
        bytes: u64,
    },
}

impl Body {
    pub fn size(&self) -> u64 {
        match self {
            Body::Memory(bytes) => bytes.len() as u64,
            Body::File { bytes, .. } => *bytes,
        }
    }

    /// All of it, where it is in memory.
    pub fn in_memory(&self) -> Option<&Bytes> {
        match self {
            Body::Memory(bytes) => Some(bytes),
            Body::File { .. } => None,
        }
    }

    /// Its beginning, at most so many bytes.
    pub fn head(&self, most: usize) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        self.reader()?.take(most as u64).read_to_end(&mut head)?;
        Ok(head)
    }

    /// Reads it from its beginning. Only one reader of a file at a time. It blocks where it is a file.
    pub fn reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        match self {
            Body::Memory(bytes) => Ok(Box::new(&bytes[..])),
            Body::File { file, .. } => {
                let mut file: &File = file;
                file.seek(SeekFrom::Start(0))?;
                Ok(Box::new(file))
            }
        }
    }
}

/// A body as it comes.
pub struct Spool {
    most: usize,
    memory: BytesMut,
    file: Option<(File, u64)>,
}

impl Spool {
    /// Keeps at most so many bytes in memory.
    pub fn new(most: usize) -> Self {
        Self { most, memory: BytesMut::new(), file: None }
    }

    /// Adds what has come. It may block for as long as writing to a file takes.
    pub fn add(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() + piece.len() <= self.most {
            self.memory.extend_from_slice(piece);
            return Ok(());
        }
        let (file, bytes) = match &mut self.file {
            Some(file) => file,
            none => {
                let mut file = tempfile::tempfile()?;
                let memory = std::mem::take(&mut self.memory);
                file.write_all(&memory)?;
                none.insert((file, memory.len() as u64))
            }
        };
        file.write_all(piece)?;
        *bytes += piece.len() as u64;
        Ok(())
    }

    pub fn finish(self) -> Body {
        match self.file {
            Some((file, bytes)) => Body::File { file, bytes },
            None => Body::Memory(self.memory.freeze()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spooled(pieces: &[&[u8]]) -> Body {
        let mut spool = Spool::new(8);
        pieces.iter().for_each(|piece| spool.add(piece).unwrap());
        spool.finish()
    }

    #[test]
    fn small_ones_stay_in_memory_and_large_ones_do_not() {
        let small = spooled(&[b"four", b"five"]);
        assert_eq!(small.in_memory().unwrap(), "fourfive".as_bytes());
        let large = spooled(&[b"four", b"fives", b"and more"]);
        assert!(large.in_memory().is_none());
        for _ in 0..2 {
            let mut text = String::new();
            large.reader().unwrap().read_to_string(&mut text).unwrap();
            assert_eq!((text.as_str(), large.size()), ("fourfivesand more", 17));
        }
        assert_eq!(large.head(6).unwrap(), b"fourfi");
        assert_eq!(spooled(&[]).size(), 0);
    }
}
