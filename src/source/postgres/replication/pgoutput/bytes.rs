//! Taking values off the front of a message: the highest byte first, texts with a zero behind them.

use super::super::lsn::Lsn;

/// What is there is shorter than what it should hold, or holds what cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn;

/// Bytes that are taken from the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<(), Torn> {
        if self.is_empty() { Ok(()) } else { Err(Torn) }
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Torn> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Torn)?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Torn> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Torn)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub fn u8(&mut self) -> Result<u8, Torn> {
        self.array().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Result<u16, Torn> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Torn> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Torn> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Torn> {
        self.array().map(u64::from_be_bytes)
    }

    pub fn lsn(&mut self) -> Result<Lsn, Torn> {
        self.u64().map(Lsn)
    }

    /// Microseconds of the server's clock, as microseconds since 1970 UTC.
    pub fn time(&mut self) -> Result<i64, Torn> {
        self.array().map(|bytes| i64::from_be_bytes(bytes).saturating_add(EPOCH))
    }

    /// Bytes with their length before them.
    pub fn counted(&mut self) -> Result<&'a [u8], Torn> {
        let length = self.i32()?;
        self.take(usize::try_from(length).map_err(|_| Torn)?)
    }

    /// Bytes up to a zero, which is taken too.
    pub fn until_zero(&mut self) -> Result<&'a [u8], Torn> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Torn)?;
        let text = self.take(end)?;
        self.u8()?;
        Ok(text)
    }

    /// As [`Bytes::until_zero`]: a name, which comes in UTF-8 since we ask for that.
    pub fn name(&mut self) -> Result<&'a str, Torn> {
        std::str::from_utf8(self.until_zero()?).map_err(|_| Torn)
    }
}

/// The server counts from 2000-01-01 UTC.
pub const EPOCH: i64 = 946_684_800_000_000;
