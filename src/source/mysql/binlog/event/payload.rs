//! MySQL's compressed transactions: one event with all others of a transaction in it. They are decompressed as they are
//! asked for, so that a transaction of any size takes the room of its largest event.

use std::ops::Range;

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use super::super::bytes::{Bytes, Torn};
use super::super::fault::Fault;
use super::header::{HEADER_BYTES, Header};
use super::kind;

/// A transaction being decompressed.
pub struct Payload {
    /// None where it is not compressed.
    decoder: Option<Decoder<'static>>,
    /// What the server says it comes to.
    declared: u64,
    produced: u64,
    window: Vec<u8>,
    /// What of the window is filled and was not given yet.
    filled: Range<usize>,
    /// All of it came, and is as long as the server says.
    is_complete: bool,
}

mod field {
    pub const END: u64 = 0;
    pub const SIZE: u64 = 1;
    pub const COMPRESSION: u64 = 2;
    pub const UNCOMPRESSED_SIZE: u64 = 3;
}

const ZSTD: u64 = 0;
const NONE: u64 = 255;
/// What the window has at least.
const WINDOW_BYTES: usize = 64 << 10;
/// No server sends a longer event: its `max_allowed_packet` cannot be set higher.
const LONGEST_EVENT: usize = (1 << 30) + HEADER_BYTES;

impl Payload {
    /// Begins with the front of the event's body. Returns how long its head is too: what follows is to be fed.
    pub fn begin(front: &[u8]) -> Result<(Self, usize), Fault> {
        let torn = Fault::torn(kind::TRANSACTION_PAYLOAD);
        let mut bytes = Bytes(front);
        let (mut compression, mut size, mut uncompressed) = (NONE, None, None);
        loop {
            let field = bytes.length().map_err(&torn)?;
            if field == field::END {
                break;
            }
            let mut value = Bytes(bytes.counted().map_err(&torn)?);
            match field {
                field::SIZE => size = Some(value.length().map_err(&torn)?),
                field::COMPRESSION => compression = value.length().map_err(&torn)?,
                field::UNCOMPRESSED_SIZE => uncompressed = Some(value.length().map_err(&torn)?),
                _ => {}
            }
        }
        let decoder = match compression {
            ZSTD => Some(Decoder::new().map_err(|_| Fault::Method("compression of transactions"))?),
            NONE => None,
            _ => return Err(Fault::Method("compression of transactions")),
        };
        let payload = Self {
            decoder,
            declared: uncompressed.or(size).ok_or(Torn).map_err(&torn)?,
            produced: 0,
            window: vec![0; WINDOW_BYTES],
            filled: 0..0,
            is_complete: false,
        };
        Ok((payload, front.len() - bytes.0.len()))
    }

    /// Where in the window the next event lies, if all of it is there. The last one, which commits the others, is given only
    /// when it is known to be the last: after [`Payload::complete`].
    pub fn next(&mut self) -> Result<Option<Range<usize>>, Fault> {
        let Some(size) = self.size()? else { return Ok(None) };
        if self.filled.len() < size || self.filled.len() == size && !self.is_complete {
            return Ok(None);
        }
        let event = self.filled.start..self.filled.start + size;
        self.filled.start = event.end;
        Ok(Some(event))
    }

    pub fn window(&self) -> &[u8] {
        &self.window
    }

    /// The size of the next event, if its header is there.
    fn size(&self) -> Result<Option<usize>, Fault> {
        let Ok(header) = Header::of(&self.window[self.filled.clone()]) else { return Ok(None) };
        match header.size as usize {
            size @ HEADER_BYTES..=LONGEST_EVENT => Ok(Some(size)),
            _ => Err(Fault::Torn(header.kind)),
        }
    }

    /// Decompresses some of what is given, which may be nothing. Returns how much of it was taken, and whether anything came
    /// of it: with nothing to give and nothing that comes, it is at its end.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(usize, bool), Fault> {
        self.make_room()?;
        let room = &mut self.window[self.filled.end..];
        let (taken, written) = match &mut self.decoder {
            None => {
                let count = room.len().min(bytes.len());
                room[..count].copy_from_slice(&bytes[..count]);
                (count, count)
            }
            Some(decoder) => {
                let mut input = InBuffer::around(bytes);
                let mut output = OutBuffer::around(room);
                decoder.run(&mut input, &mut output).map_err(|_| Fault::Compressed)?;
                let written = output.pos();
                (input.pos(), written)
            }
        };
        self.filled.end += written;
        self.produced += written as u64;
        match self.produced <= self.declared {
            true => Ok((taken, written > 0)),
            false => Err(Fault::Compressed),
        }
    }

    /// Sees to room behind what is filled. It doubles as bytes come, up to what the next event needs, whatever that says.
    fn make_room(&mut self) -> Result<(), Fault> {
        // One byte more than the event, which tells that another follows.
        let needed = self.size()?.map_or(0, |size| size + 1).max(WINDOW_BYTES);
        if self.filled.start > 0 {
            self.window.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.filled.len();
        }
        if self.filled.end == self.window.len() {
            self.window.resize(needed.min(self.window.len() * 2), 0);
        } else if self.window.len() > needed && self.filled.len() <= needed {
            self.window.truncate(needed);
            self.window.shrink_to_fit();
        }
        Ok(())
    }

    /// Nothing more is to be fed: fails if it did not come to what the server says.
    pub fn complete(&mut self) -> Result<(), Fault> {
        self.is_complete = true;
        if self.produced == self.declared { Ok(()) } else { Err(Fault::Compressed) }
    }

    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// After the last event: fails if a piece of another is left.
    pub fn finish(&self) -> Result<(), Fault> {
        if self.is_complete && self.filled.is_empty() { Ok(()) } else { Err(Fault::Compressed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(size: usize) -> Vec<u8> {
        let mut event = vec![0; size];
        event[4] = kind::XID;
        event[9..13].copy_from_slice(&(size as u32).to_le_bytes());
        event[19..].iter_mut().enumerate().for_each(|(index, byte)| *byte = (index * 7 / 5) as u8);
        event
    }

    fn head(compressed: usize, uncompressed: u64) -> Vec<u8> {
        let mut head = vec![2, 1, 0, 3, 9, 0xfe];
        head.extend(uncompressed.to_le_bytes());
        head.extend([1, 9, 0xfe]);
        head.extend((compressed as u64).to_le_bytes());
        head.push(0);
        head
    }

    /// All events, fed in pieces.
    fn events(body: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, Fault> {
        let (mut payload, head) = Payload::begin(body)?;
        let mut events = Vec::new();
        let mut pieces = body[head..].chunks(piece);
        let mut bytes = &[][..];
        loop {
            while let Some(range) = payload.next()? {
                events.push(payload.window()[range].to_vec());
            }
            if bytes.is_empty() {
                bytes = pieces.next().unwrap_or_default();
            }
            let (taken, came) = payload.feed(bytes)?;
            bytes = &bytes[taken..];
            if payload.is_complete() {
                payload.finish()?;
                return Ok(events);
            }
            if taken == 0 && !came {
                payload.complete()?;
            }
        }
    }

    #[test]
    fn events_come_out_whole_however_they_are_fed() {
        let all: Vec<Vec<u8>> = [19, 31, 70_000, 300_000, 25, 64 << 10].map(event).to_vec();
        let plain = all.concat();
        let compressed = zstd::bulk::compress(&plain, 3).unwrap();
        let body = [head(compressed.len(), plain.len() as u64), compressed].concat();
        for piece in [1, 7, 1000, 1 << 20] {
            assert_eq!(events(&body, piece), Ok(all.clone()), "{piece}");
        }
        let length = plain.len() as u64;
        for wrong in [length - 1, length + 1] {
            let compressed = zstd::bulk::compress(&plain, 3).unwrap();
            let body = [head(compressed.len(), wrong), compressed].concat();
            assert_eq!(events(&body, 1000), Err(Fault::Compressed));
        }
        assert!((0..body.len() - 1).step_by(97).all(|length| events(&body[..length], 1000).is_err()));
    }

    #[test]
    fn what_is_announced_takes_no_room() {
        let mut huge = event(100);
        huge[9..13].copy_from_slice(&(1u32 << 30).to_le_bytes());
        let compressed = zstd::bulk::compress(&huge, 3).unwrap();
        let body = [head(compressed.len(), u64::MAX), compressed].concat();
        let (mut payload, head) = Payload::begin(&body).unwrap();
        payload.feed(&body[head..]).unwrap();
        assert_eq!(payload.next(), Ok(None));
        payload.feed(&[]).unwrap();
        assert!(payload.window().len() <= 2 * WINDOW_BYTES);
        assert_eq!(payload.complete(), Err(Fault::Compressed));
    }
}
