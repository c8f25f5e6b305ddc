//! A server's log as it is sent: message by message.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};

use super::super::config::Settings;
use super::fault::Fault;
use super::lsn::Lsn;
use super::pgoutput::{Bytes, Message, Parser};
use super::session::Session;
use super::socket::Duplex;
use super::status::Teller;
use super::wire::{Body, Inlet, refusal};
use super::{failure::Failure, refusal as refusals};
use crate::error::{Error, Result};
use crate::net::postgres::quoted;

/// From where, and of what, a log is read.
#[derive(Debug, Clone)]
pub struct Options {
    pub slot: String,
    pub publications: Vec<String>,
    /// Transactions that are committed behind this place are sent; those before what the slot has confirmed never are,
    /// whatever is said here, and without an error.
    pub start: Lsn,
    /// Values as their types' send functions write them, where they have one. Not for types that we read as text
    /// ([`Wire::Text`](super::super::types::Wire)): the server is not asked for their text then.
    pub binary: bool,
    /// Transactions come when they are prepared, before they are decided. It stays with the slot.
    pub two_phase: bool,
    /// What `pg_logical_emit_message` writes comes too.
    pub messages: bool,
}

impl Options {
    /// The oldest version that reads is 12; older protocols are asked for less, never for what they do not know.
    pub(super) fn command(&self, version: u32) -> Result<String> {
        let Self { slot, start, binary, two_phase, messages, .. } = self;
        if *binary && version < 14 {
            return Err(Error::bug("binary values are asked of a server before PostgreSQL 14"));
        }
        let protocol = match version {
            ..14 => 1,
            14 => 2,
            15 => 3,
            16.. => 4,
        };
        let names: Vec<_> = self.publications.iter().map(|name| quoted(name)).collect();
        let mut options = format!("proto_version '{protocol}', publication_names {}", text(&names.join(",")));
        let asked = [
            (true, 14, "streaming 'on'"),
            (*two_phase, 15, "two_phase 'on'"),
            (true, 16, "origin 'any'"),
            (*messages, 14, "messages 'true'"),
        ];
        for (_, _, option) in asked.iter().filter(|(is_asked, since, _)| *is_asked && version >= *since) {
            options.push_str(", ");
            options.push_str(option);
        }
        if *binary {
            options.push_str(", binary 'true'");
        }
        Ok(format!("START_REPLICATION SLOT {} LOGICAL {start} ({options})", quoted(slot)))
    }
}

/// A text in the replication protocol, whose grammar knows no other escape.
fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// What the server has sent. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    Message(Entry<'a>),
    Keepalive(Keepalive),
}

/// A message, and where it is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where the change is; none for a message that goes with the next one, as [`Message::Begin`] and [`Message::Relation`]
    /// do. Of changes of one transaction these ascend; between transactions they need not, since each is sent when it is
    /// committed. What may be confirmed is in [`Message::Commit`] and its like.
    pub lsn: Lsn,
    pub sent_at: i64,
    /// Of the transaction or subtransaction that a change belongs to, within a block of a streamed transaction only.
    pub xid: Option<u32>,
    pub message: Message<'a>,
    /// The same as it came, for a [`Parser`] of later.
    pub raw: &'a [u8],
}

/// The server is there, and has come so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Whatever was committed before here, and is ours to know, has been sent: who has all that came may confirm it.
    pub end: Lsn,
    pub sent_at: i64,
}

/// A log that is being read.
///
/// The server hears of us every few seconds, whether or not anybody reads: see [`status`](super::status). What is not asked for
/// with [`Log::next`] stays at the server. Dropping it closes the connection at once; until the server sees that, the slot
/// is in use.
pub struct Log {
    inlet: Inlet<ReadHalf<Box<dyn Duplex>>>,
    teller: Teller<WriteHalf<Box<dyn Duplex>>>,
    parser: Parser,
    settings: Arc<Settings>,
}

impl Log {
    pub(super) fn new(session: Session, timeout: Option<Duration>) -> Self {
        let Session { inlet, outlet, settings, .. } = session;
        Self { inlet, teller: Teller::new(outlet, timeout), parser: Parser::default(), settings }
    }

    /// What comes next; waits while there is nothing. There is no end: a server that ends its log, or is stopped, is
    /// [`Kind::Unavailable`](crate::error::Kind). After an error the log is only to be dropped. Cancel safe.
    pub async fn next(&mut self) -> Result<Event<'_>> {
        let piece = loop {
            let cut = match self.inlet.next().await {
                Ok((kind, place)) => self.piece(kind, place),
                Err(failure) => Err(failure),
            };
            match cut {
                Ok(Some(piece)) => break piece,
                Ok(None) => {}
                Err(failure) => return Err(self.broken(&failure)),
            }
        };
        self.event(&piece)
    }

    /// What comes next if it has been received already.
    pub fn at_hand(&mut self) -> Result<Option<Event<'_>>> {
        loop {
            let cut = match self.inlet.at_hand() {
                Ok(None) => return Ok(None),
                Ok(Some((kind, place))) => self.piece(kind, place),
                Err(failure) => Err(failure),
            };
            match cut {
                Ok(Some(piece)) => return self.event(&piece).map(Some),
                Ok(None) => {}
                Err(failure) => return Err(self.broken(&failure)),
            }
        }
    }

    /// Everything up to `lsn` is safe with us: the server may forget it, and never sends it again. Nothing else moves the
    /// slot. The server is told at once; a place before one that was confirmed says nothing new.
    pub fn confirm(&self, lsn: Lsn) {
        self.teller.confirmed(lsn);
    }

    /// Ends the reading, and waits until the server has let the slot go: so whoever opens it next finds it free. A server that
    /// is in the midst of a large transaction sends all of it first; after `patience` the connection is closed all the same, with
    /// an error.
    pub async fn close(mut self, patience: Duration) -> Result<()> {
        let ended = async {
            let mut outlet = self.teller.end().await?;
            while !matches!(self.inlet.next().await?, (b'Z', _)) {}
            let mut goodbye = BytesMut::new();
            frontend::terminate(&mut goodbye);
            Ok::<_, Failure>(outlet.write_all(&goodbye).await?)
        };
        match tokio::time::timeout(patience, ended).await {
            Ok(ended) => ended.map_err(|failure| self.broken(&failure)),
            Err(_) => {
                let seconds = patience.as_secs_f32();
                let late = format!("the server did not end its log within {seconds} s");
                Err(Error::unavailable(late).at(self.settings.address()))
            }
        }
    }

    /// A message of the connection as a piece of the log. `None` for one that tells nothing.
    fn piece(&self, kind: u8, place: Body) -> Result<Option<Body>, Failure> {
        match kind {
            b'd' => Ok(Some(place)),
            b'E' => Err(Failure::Refused(refusal(self.inlet.body(&place)))),
            // The end of the log, though we did not ask for it: the server stops.
            b'c' | b'C' => Err(Failure::Closed),
            b'N' | b'S' => Ok(None),
            _ => Err(Failure::Protocol("the log")),
        }
    }

    fn event(&mut self, piece: &Body) -> Result<Event<'_>> {
        let event = read(self.inlet.body(piece), &mut self.parser);
        let (event, is_asked) = event.map_err(|fault| Error::from(fault).at(self.settings.address()))?;
        match event {
            Event::Keepalive(keepalive) => self.teller.received(keepalive.end),
            Event::Message(entry) => self.teller.received(entry.lsn),
        }
        if is_asked {
            self.teller.now();
        }
        Ok(event)
    }

    fn broken(&self, failure: &Failure) -> Error {
        refusals::broken(failure, &self.settings.endpoint())
    }
}

/// Reads what stands in one piece of the log; with it whether the server asks for an answer.
fn read<'a>(piece: &'a [u8], parser: &mut Parser) -> Result<(Event<'a>, bool), Fault> {
    let (kind, rest) = piece.split_first().ok_or(Fault::Torn(0))?;
    let (torn, mut bytes) = (Fault::torn(*kind), Bytes(rest));
    match kind {
        b'w' => {
            let lsn = bytes.lsn().map_err(&torn)?;
            // The log's end: of a logical one, the same place again.
            bytes.lsn().map_err(&torn)?;
            let sent_at = bytes.time().map_err(&torn)?;
            let raw = bytes.0;
            let (xid, message) = parser.parse(raw)?;
            Ok((Event::Message(Entry { lsn, sent_at, xid, message, raw }), false))
        }
        b'k' => {
            let (end, sent_at) = (bytes.lsn().map_err(&torn)?, bytes.time().map_err(&torn)?);
            let is_asked = bytes.u8().map_err(&torn)? == 1;
            Ok((Event::Keepalive(Keepalive { end, sent_at }), is_asked))
        }
        kind => Err(Fault::Unknown(*kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_those_of_the_version() {
        let options = Options {
            slot: "s".to_owned(),
            publications: vec!["a".to_owned(), "it's \"b\"".to_owned()],
            start: Lsn(1 << 32 | 0xAB),
            binary: false,
            two_phase: true,
            messages: false,
        };
        let begin = r#"START_REPLICATION SLOT "s" LOGICAL 1/AB (proto_version "#;
        let names = r#"publication_names '"a","it''s ""b"""'"#;
        for (version, protocol, rest) in [
            (12, 1, ""),
            (14, 2, ", streaming 'on'"),
            (15, 3, ", streaming 'on', two_phase 'on'"),
            (18, 4, ", streaming 'on', two_phase 'on', origin 'any'"),
        ] {
            assert_eq!(options.command(version).unwrap(), format!("{begin}'{protocol}', {names}{rest})"));
        }
        let binary = Options { binary: true, messages: true, two_phase: false, ..options };
        assert!(binary.command(15).unwrap().ends_with("streaming 'on', messages 'true', binary 'true')"));
        assert!(binary.command(13).is_err());
    }

    #[test]
    fn pieces_that_are_torn_are_told() {
        let mut parser = Parser::default();
        let keepalive = [&b"k"[..], &[0, 0, 0, 0, 0, 0, 1, 0], &[0; 8], &[1]].concat();
        let expected = Keepalive { end: Lsn(256), sent_at: 946_684_800_000_000 };
        assert_eq!(read(&keepalive, &mut parser), Ok((Event::Keepalive(expected), true)));
        for end in 0..keepalive.len() {
            assert!(read(&keepalive[..end], &mut parser).is_err());
        }
        assert_eq!(read(b"x", &mut parser), Err(Fault::Unknown(b'x')));
        assert_eq!(read(&[&b"w"[..], &[0; 24]].concat(), &mut parser), Err(Fault::Torn(0)));
    }
}
