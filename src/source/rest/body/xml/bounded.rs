//! Bytes of which only so many are read before somebody says to go on: what is read into one buffer stays small.

use std::io::{self, Read};

/// A reader that refuses to be read too far.
pub struct Bounded<R> {
    read: R,
    most: u64,
    left: u64,
    is_over: bool,
    is_at_end: bool,
}

impl<R> Bounded<R> {
    /// So many bytes at most.
    pub fn new(read: R, most: u64) -> Self {
        Self { read, most, left: most, is_over: false, is_at_end: false }
    }

    /// So many more.
    pub fn go_on(&mut self) {
        self.left = self.most;
    }

    /// It has refused to be read on.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// All was read, and more was asked for.
    pub fn is_at_end(&self) -> bool {
        self.is_at_end
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let room = piece.len().min(self.left.try_into().unwrap_or(usize::MAX));
        if room == 0 && !piece.is_empty() {
            self.is_over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let length = self.read.read(&mut piece[..room])?;
        self.left -= length as u64;
        self.is_at_end |= length == 0;
        Ok(length)
    }
}
