//! Messages of the protocol, as they are cut: a kind, four bytes of length that count themselves, a body.
//! https://www.postgresql.org/docs/current/protocol-message-formats.html
//!
//! Bodies are lent from the buffer that they were received into.

use std::ops::Range;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::failure::Failure;
use super::pgoutput::Bytes;
use crate::net::postgres::error::Refusal;

/// What one read asks the network for. The buffer grows beyond it only for a message that is larger.
const BUFFER_BYTES: usize = 128 << 10;
/// No server makes a longer one: it has no buffer above 1 GiB.
const LONGEST: usize = 1 << 30;
/// Kind and length.
const HEADER_BYTES: usize = 5;

/// Messages that come in.
pub struct Inlet<R> {
    reader: R,
    buffer: BytesMut,
    /// What of the buffer's front was lent last.
    lent: usize,
    /// What the buffer was grown to for a message above its usual size.
    is_grown: bool,
    /// Nobody may send a longer body.
    pub longest: usize,
}

impl<R: AsyncRead + Unpin> Inlet<R> {
    pub fn new(reader: R) -> Self {
        Self { reader, buffer: BytesMut::new(), lent: 0, is_grown: false, longest: LONGEST }
    }

    /// The next message: its kind, and where [`Inlet::body`] finds it. Cancel safe: a dropped call loses nothing.
    pub async fn next(&mut self) -> Result<(u8, Body), Failure> {
        loop {
            match self.cut()? {
                Ok(message) => return Ok(message),
                Err(wanted) => self.receive(wanted).await?,
            }
        }
    }

    /// The next message if it has come whole already.
    pub fn at_hand(&mut self) -> Result<Option<(u8, Body)>, Failure> {
        Ok(self.cut()?.ok())
    }

    /// The next message of the buffer, or how many bytes have to be there.
    fn cut(&mut self) -> Result<Result<(u8, Body), usize>, Failure> {
        let lent = std::mem::take(&mut self.lent);
        self.buffer.advance(lent);
        if self.is_grown && lent > 0 {
            // One huge value must not hold memory for ever.
            self.buffer = BytesMut::from(&self.buffer[..]);
            self.is_grown = false;
        }
        let Some([kind, length @ ..]) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(Err(HEADER_BYTES)) };
        let length = u32::from_be_bytes(*length) as usize;
        if !(4..=self.longest).contains(&length) {
            return Err(Failure::Protocol("a message of a length that can be"));
        }
        let end = 1 + length;
        if self.buffer.len() < end {
            return Ok(Err(end));
        }
        self.lent = end;
        Ok(Ok((*kind, Body(HEADER_BYTES..end))))
    }

    /// What [`Inlet::next`] found, until it is called again.
    pub fn body(&self, body: &Body) -> &[u8] {
        self.buffer.get(body.0.clone()).unwrap_or_default()
    }

    /// Reads once, with room for a message that ends at `wanted`.
    async fn receive(&mut self, wanted: usize) -> Result<(), Failure> {
        let missing = wanted.saturating_sub(self.buffer.len());
        if wanted > BUFFER_BYTES {
            // All at once: the system gives memory when it is written to, and nothing is copied to a larger place.
            self.is_grown = true;
            self.buffer.reserve(missing);
        } else if self.buffer.capacity() - self.buffer.len() < missing.max(BUFFER_BYTES / 8) {
            self.buffer.reserve(BUFFER_BYTES);
        }
        match self.reader.read_buf(&mut self.buffer).await? {
            0 => Err(Failure::Closed),
            _ => Ok(()),
        }
    }
}

/// Where the body of the last message lies.
#[derive(Debug)]
pub struct Body(Range<usize>);

/// What an ErrorResponse says: fields, each with a byte that names it and a zero behind it.
pub fn refusal(body: &[u8]) -> Refusal {
    let mut refusal = Refusal { code: String::new(), message: String::new() };
    for field in body.split(|byte| *byte == 0) {
        match field {
            [b'C', code @ ..] => refusal.code = String::from_utf8_lossy(code).into_owned(),
            [b'M', message @ ..] => refusal.message = String::from_utf8_lossy(message).into_owned(),
            _ => {}
        }
    }
    refusal
}

/// The values of a DataRow; `None` where it is not formed as one.
pub fn row(body: &[u8]) -> Option<Vec<Option<String>>> {
    let mut bytes = Bytes(body);
    let count = bytes.u16().ok()?;
    let value = |_| match bytes.i32().ok()? {
        -1 => Some(None),
        length => {
            let value = bytes.take(usize::try_from(length).ok()?).ok()?;
            Some(Some(String::from_utf8_lossy(value).into_owned()))
        }
    };
    (0..count).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_cut_wherever_the_network_cuts() {
        let mut sent = Vec::new();
        let bodies: Vec<Vec<u8>> = [0, 1, 300 << 10, 5, 127 << 10, 64 << 10, 3].map(|length| vec![7; length]).into();
        for body in &bodies {
            sent.push(b'd');
            sent.extend((body.len() as u32 + 4).to_be_bytes());
            sent.extend(body);
        }
        for piece in [1 << 20, 70_000, 4096 + 1] {
            let (near, mut far) = tokio::io::duplex(piece);
            let all = sent.clone();
            let sending = tokio::spawn(async move {
                for piece in all.chunks(piece) {
                    tokio::io::AsyncWriteExt::write_all(&mut far, piece).await.unwrap();
                }
            });
            let mut inlet = Inlet::new(near);
            for body in &bodies {
                let (kind, place) = inlet.next().await.unwrap();
                assert_eq!((kind, inlet.body(&place).len()), (b'd', body.len()));
                assert!(inlet.body(&place) == body);
                assert!(inlet.buffer.capacity() <= 2 * body.len().max(2 * BUFFER_BYTES), "{}", inlet.buffer.capacity());
            }
            assert!(matches!(inlet.next().await, Err(Failure::Closed)));
            sending.await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_no_postgresql_is_not_waited_for() {
        for said in [&b"HTTP/1.1 400 Bad Request"[..], b"R\0\0\0\0"] {
            let mut inlet = Inlet::new(said);
            inlet.longest = 1 << 16;
            assert!(matches!(inlet.next().await, Err(Failure::Protocol(_))));
        }
    }

    #[test]
    fn rows_and_refusals() {
        assert_eq!(row(b"\0\x02\xff\xff\xff\xff\0\0\0\x01x"), Some(vec![None, Some("x".to_owned())]));
        assert_eq!(row(b"\0\x02\xff\xff\xff\xff\0\0\0\x02x"), None);
        let refusal = refusal(b"SERROR\0C42704\0Mthere is none\0\0");
        assert_eq!((refusal.code.as_str(), refusal.message.as_str()), ("42704", "there is none"));
    }
}
