//! Packets over one connection, as the protocol cuts them: three bytes of length, one that counts, the payload. A payload
//! of 2^24-1 bytes goes on in the next packet.
//!
//! Payloads are lent from the buffer that they were read into: no copy, no allocation for each.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::Failure;

/// Both ways of a connection: TCP, a socket of this machine, or TLS over TCP.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// What one read asks the network for. The buffer grows beyond it only for a packet that is larger.
const BUFFER_BYTES: usize = 128 << 10;
/// A read in clear that found so much has emptied a stream of rows that goes on: the next one waits until more has gathered.
/// Being woken for each of the server's writes costs both sides more than the wait does. Less than this is the answer to a
/// question, or the end, and more is a stream that we do not keep up with. (A read of TLS finds one record, however many wait.)
const A_TRICKLE: Range<usize> = 8 << 10..48 << 10;
/// Far less than what the network's buffers take to fill, at hundreds of megabytes a second.
const GATHERING: Duration = Duration::from_millis(1);
const HEADER_BYTES: usize = 4;
/// A payload of this length goes on in the next packet.
const FULL_PAYLOAD: usize = (1 << 24) - 1;
/// No server sends a longer one: its `max_allowed_packet` cannot be set higher.
const LONGEST_PAYLOAD: usize = 1 << 30;

pub struct Packets {
    stream: Box<dyn Duplex>,
    buffer: Vec<u8>,
    /// What of the buffer has been received and not been lent yet.
    unread: Range<usize>,
    /// A payload of several packets, put together.
    joined: Vec<u8>,
    /// What was lent last.
    lent: Place,
    outgoing: Vec<u8>,
    /// The number of the next packet, whoever sends it.
    sequence: u8,
    silence: Duration,
    is_clear: bool,
}

/// Where a payload lies.
enum Place {
    Buffer(Range<usize>),
    Joined,
}

impl Packets {
    /// `silence` is how long the server may take to send or take anything.
    pub fn new(stream: Box<dyn Duplex>, silence: Duration) -> Self {
        let buffer = vec![0; BUFFER_BYTES];
        Self {
            stream,
            buffer,
            unread: 0..0,
            joined: Vec::new(),
            lent: Place::Buffer(0..0),
            outgoing: Vec::new(),
            sequence: 0,
            silence,
            is_clear: true,
        }
    }

    /// Goes on over TLS.
    pub async fn encrypt(&mut self, config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<(), Failure> {
        if !self.unread.is_empty() {
            // Sent by nobody knows whom, it would be taken for something that came encrypted.
            return Err(Failure::Protocol("silence before TLS"));
        }
        let plain = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        self.stream = Box::new(TlsConnector::from(config).connect(name, plain).await?);
        self.is_clear = false;
        Ok(())
    }

    /// Sends a command: the count begins again. `write` writes its payload.
    pub async fn command(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Failure> {
        self.sequence = 0;
        self.send(write).await
    }

    /// Sends one payload, which must be shorter than 16 MiB.
    pub async fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Failure> {
        self.outgoing.clear();
        self.outgoing.extend_from_slice(&[0; HEADER_BYTES]);
        write(&mut self.outgoing);
        let length = self.outgoing.len() - HEADER_BYTES;
        if length >= FULL_PAYLOAD {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a statement of 16 MiB or more").into());
        }
        self.outgoing[..3].copy_from_slice(&(length as u32).to_le_bytes()[..3]);
        self.outgoing[3] = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        let sending = async {
            self.stream.write_all(&self.outgoing).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(self.silence, sending).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(silent(self.silence)),
        }
    }

    /// The next payload. Not cancel safe while it waits for the network: the connection is of no use afterwards.
    pub async fn next(&mut self) -> Result<&[u8], Failure> {
        self.lent = loop {
            match self.received()? {
                Some(place) => break place,
                None => self.receive().await?,
            }
        };
        Ok(self.lent())
    }

    /// The next packet, to be looked at with [`Packets::lent`]: a payload, or so much of it as is in one packet. Returns
    /// whether the payload goes on in another. Cancel safe: what had been received by then is lent by the next call.
    pub async fn part(&mut self) -> Result<bool, Failure> {
        loop {
            if let Some((range, goes_on)) = self.received_part()? {
                self.lent = Place::Buffer(range);
                return Ok(goes_on);
            }
            self.receive().await?;
        }
    }

    /// What the last call gave, until the next one.
    pub fn lent(&self) -> &[u8] {
        match &self.lent {
            Place::Buffer(range) => &self.buffer[range.clone()],
            Place::Joined => &self.joined,
        }
    }

    fn received_part(&mut self) -> Result<Option<(Range<usize>, bool)>, Failure> {
        let from = self.unread.start + HEADER_BYTES;
        let Some(length) = self.length_at(self.unread.start, self.sequence)? else {
            self.make_room(HEADER_BYTES);
            return Ok(None);
        };
        if from + length > self.unread.end {
            self.make_room(HEADER_BYTES + length);
            return Ok(None);
        }
        self.unread.start = from + length;
        self.sequence = self.sequence.wrapping_add(1);
        Ok(Some((from..from + length, length == FULL_PAYLOAD)))
    }

    /// The next payload, if all of it has been received.
    fn received(&mut self) -> Result<Option<Place>, Failure> {
        let mut from = self.unread.start;
        let mut parts = 0;
        let mut total = 0;
        loop {
            let Some(length) = self.length_at(from, self.sequence.wrapping_add(parts))? else {
                self.make_room(total + HEADER_BYTES);
                return Ok(None);
            };
            let end = from + HEADER_BYTES + length;
            if end > self.unread.end {
                self.make_room(end - self.unread.start);
                return Ok(None);
            }
            (from, total, parts) = (end, end - self.unread.start, parts.wrapping_add(1));
            if length < FULL_PAYLOAD {
                break;
            }
            if total > LONGEST_PAYLOAD {
                return Err(Failure::Protocol("a packet of at most 1 GiB"));
            }
        }
        let whole = self.unread.start..from;
        self.unread.start = from;
        self.sequence = self.sequence.wrapping_add(parts);
        if whole.len() <= FULL_PAYLOAD {
            return Ok(Some(Place::Buffer(whole.start + HEADER_BYTES..whole.end)));
        }
        self.joined.clear();
        for part in self.buffer[whole].chunks(HEADER_BYTES + FULL_PAYLOAD) {
            self.joined.extend_from_slice(&part[HEADER_BYTES..]);
        }
        Ok(Some(Place::Joined))
    }

    /// The length of the payload whose header begins there, if the header has been received.
    fn length_at(&self, from: usize, sequence: u8) -> Result<Option<usize>, Failure> {
        match self.buffer[from..self.unread.end].first_chunk::<HEADER_BYTES>() {
            None => Ok(None),
            Some(&[a, b, c, number]) if number == sequence => Ok(Some(u32::from_le_bytes([a, b, c, 0]) as usize)),
            Some(_) => Err(Failure::Protocol("the next packet in order")),
        }
    }

    /// Moves what is unread to the buffer's front, and sees to it that so many bytes have room there.
    fn make_room(&mut self, bytes: usize) {
        if self.unread.start > 0 {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
        }
        if bytes > self.buffer.len() {
            self.buffer.resize(bytes.next_multiple_of(BUFFER_BYTES), 0);
        } else if self.buffer.len() > BUFFER_BYTES && self.unread.len().max(bytes) <= BUFFER_BYTES {
            // The large packet has been read; its room goes back.
            self.buffer.truncate(BUFFER_BYTES);
            self.buffer.shrink_to_fit();
            self.joined = Vec::new();
        }
    }

    async fn receive(&mut self) -> Result<(), Failure> {
        let reading = self.stream.read(&mut self.buffer[self.unread.end..]);
        let count = match tokio::time::timeout(self.silence, reading).await {
            Ok(read) => read?,
            Err(_) => return Err(silent(self.silence)),
        };
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.unread.end += count;
        if self.is_clear && A_TRICKLE.contains(&count) {
            tokio::time::sleep(GATHERING).await;
        }
        Ok(())
    }
}

fn silent(limit: Duration) -> Failure {
    Failure::Silent { key: "read_timeout", seconds: limit.as_secs() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server would send, in pieces of `piece` bytes.
    fn packets(payloads: &[Vec<u8>], piece: usize) -> Packets {
        let mut wire = Vec::new();
        let mut sequence = 0u8;
        for payload in payloads {
            let mut rest = &payload[..];
            loop {
                let (part, after) = rest.split_at(rest.len().min(FULL_PAYLOAD));
                wire.extend_from_slice(&(part.len() as u32).to_le_bytes()[..3]);
                wire.push(sequence);
                wire.extend_from_slice(part);
                sequence = sequence.wrapping_add(1);
                rest = after;
                if part.len() < FULL_PAYLOAD {
                    break;
                }
            }
        }
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            for piece in wire.chunks(piece) {
                if theirs.write_all(piece).await.is_err() {
                    return;
                }
            }
        });
        Packets::new(Box::new(ours), Duration::from_secs(5))
    }

    #[tokio::test]
    async fn payloads_arrive_whole_however_they_are_cut() {
        let payloads: Vec<Vec<u8>> =
            [0, 1, 5, 300, BUFFER_BYTES - 4, BUFFER_BYTES, 3 * BUFFER_BYTES, 7].map(|length| vec![7; length]).to_vec();
        for piece in [1 << 20, 4096, 7] {
            let mut packets = packets(&payloads, piece);
            for expected in &payloads {
                assert!(packets.next().await.unwrap() == expected, "of {} bytes", expected.len());
            }
            let end = packets.next().await.unwrap_err();
            assert!(matches!(end, Failure::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof));
        }
    }

    #[tokio::test]
    async fn long_payloads_are_put_together_and_their_room_goes_back() {
        for length in [FULL_PAYLOAD - 1, FULL_PAYLOAD, FULL_PAYLOAD + 1, 2 * FULL_PAYLOAD, 2 * FULL_PAYLOAD + 9] {
            let long: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let mut packets = packets(&[vec![1], long.clone(), vec![2], vec![3]], 1 << 20);
            assert_eq!(packets.next().await.unwrap(), [1]);
            assert!(packets.next().await.unwrap() == long, "of {length} bytes");
            assert_eq!(packets.next().await.unwrap(), [2]);
            assert_eq!(packets.next().await.unwrap(), [3]);
            assert!(packets.next().await.is_err());
            assert!(packets.buffer.capacity() <= BUFFER_BYTES && packets.joined.capacity() == 0);
        }
    }

    #[tokio::test]
    async fn parts_come_one_by_one_and_whole() {
        let long: Vec<u8> = (0..2 * FULL_PAYLOAD + 9).map(|n| n as u8).collect();
        let mut packets = packets(&[vec![1], long.clone(), vec![2]], 1 << 20);
        let mut got = Vec::new();
        let mut lengths = Vec::new();
        while lengths.len() < 5 {
            let goes_on = packets.part().await.unwrap();
            lengths.push((packets.lent().len(), goes_on));
            got.extend_from_slice(packets.lent());
        }
        assert_eq!(lengths, [(1, false), (FULL_PAYLOAD, true), (FULL_PAYLOAD, true), (9, false), (1, false)]);
        assert!(got == [&[1][..], &long, &[2]].concat());
        assert!(packets.buffer.capacity() <= FULL_PAYLOAD + 2 * BUFFER_BYTES);
    }

    /// Dropped while it waits, a call has taken nothing.
    #[tokio::test]
    async fn a_part_is_cancel_safe() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut packets = Packets::new(Box::new(ours), Duration::from_secs(5));
        for piece in [&[3][..], &[0, 0, 0, 7], &[8]] {
            theirs.write_all(piece).await.unwrap();
            let waited = tokio::time::timeout(Duration::from_millis(20), packets.part()).await;
            assert!(waited.is_err());
        }
        theirs.write_all(&[9]).await.unwrap();
        assert!(!packets.part().await.unwrap());
        assert_eq!(packets.lent(), [7, 8, 9]);
    }

    #[tokio::test]
    async fn a_packet_out_of_order_is_refused() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        theirs.write_all(&[1, 0, 0, 1, 9]).await.unwrap();
        let mut packets = Packets::new(Box::new(ours), Duration::from_secs(5));
        assert!(matches!(packets.next().await, Err(Failure::Protocol(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let mut packets = Packets::new(Box::new(ours), Duration::from_secs(30));
        assert!(matches!(packets.next().await, Err(Failure::Silent { key: "read_timeout", seconds: 30 })));
    }
}
