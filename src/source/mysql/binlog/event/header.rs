//! What every event begins with, and the checksum that it may end with.

use super::super::bytes::{Bytes, Torn};

/// How long a header is.
pub const HEADER_BYTES: usize = 19;
pub const CHECKSUM_BYTES: usize = 4;

/// Who does not know the event may pass over it.
const IGNORABLE: u16 = 0x80;
/// Made up by the server for this connection: not in the file.
const ARTIFICIAL: u16 = 0x20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Seconds since 1970 at which its statement began; 0 in made-up events.
    pub timestamp: u32,
    /// Of [`super::kind`].
    pub kind: u8,
    /// Of the server that wrote it first.
    pub server_id: u32,
    /// Header and checksum with it.
    pub size: u32,
    /// Where it ends in its file: the lowest 32 bits.
    pub end: u32,
    flags: u16,
}

impl Header {
    pub fn of(event: &[u8]) -> Result<Self, Torn> {
        let mut bytes = Bytes(event);
        Ok(Self {
            timestamp: bytes.u32()?,
            kind: bytes.u8()?,
            server_id: bytes.u32()?,
            size: bytes.u32()?,
            end: bytes.u32()?,
            flags: bytes.u16()?,
        })
    }

    pub fn is_ignorable(&self) -> bool {
        self.flags & IGNORABLE != 0
    }

    /// Whether it has a place in the file.
    pub fn is_artificial(&self) -> bool {
        self.flags & ARTIFICIAL != 0 || self.end == 0
    }
}

/// Takes the checksum off an event; `None` if it is wrong.
pub fn checked(event: &[u8]) -> Option<&[u8]> {
    let (event, sum) = event.split_last_chunk::<CHECKSUM_BYTES>()?;
    (crc32fast::hash(event) == u32::from_le_bytes(*sum)).then_some(event)
}
