//! The messages of `pgoutput`, PostgreSQL's own output plugin, in the versions 1 to 4 of its protocol:
//! https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
//!
//! Nothing is copied: what a message says is lent from its bytes.

mod bytes;
mod message;
#[cfg(test)]
mod tests;
mod tuple;

pub(super) use self::bytes::{Bytes, EPOCH, Torn};
pub use self::message::{
    Begin, Column, Commit, Delete, Identity, Insert, Logical, Message, Old, Origin, Prepared, Relation, RolledBack,
    StreamAbort, StreamCommit, StreamStart, Truncate, Type, Update,
};
pub use self::tuple::{Cell, Cells, Tuple};
use super::fault::Fault;

/// Reads the messages of one session, in their order: within a block of a streamed transaction they have another form.
#[derive(Debug, Default)]
pub struct Parser {
    in_block: bool,
}

impl Parser {
    /// Reads one message. Within a block of a streamed transaction there comes the xid of the transaction or
    /// subtransaction that a change belongs to; to other messages, and elsewhere, none.
    pub fn parse<'a>(&mut self, message: &'a [u8]) -> Result<(Option<u32>, Message<'a>), Fault> {
        let (kind, body) = message.split_first().ok_or(Fault::Torn(0))?;
        let (kind, mut bytes) = (*kind, Bytes(body));
        let is_begin_or_end = !matches!(kind, b'O' | b'R' | b'Y' | b'I' | b'U' | b'D' | b'T' | b'M');
        // A block is of one transaction, and has nothing but its changes.
        if is_begin_or_end && self.in_block != (kind == b'E') {
            return Err(if KNOWN.contains(&kind) { Fault::Order(kind) } else { Fault::Unknown(kind) });
        }
        let torn = Fault::torn(kind);
        let has_xid = self.in_block && !is_begin_or_end && kind != b'O';
        let xid = if has_xid { Some(bytes.u32().map_err(&torn)?) } else { None };
        let message = read(kind, &mut bytes).map_err(&torn)?.ok_or(Fault::Unknown(kind))?;
        bytes.end().map_err(&torn)?;
        match message {
            Message::StreamStart(_) => self.in_block = true,
            Message::StreamStop => self.in_block = false,
            _ => {}
        }
        Ok((xid, message))
    }
}

const KNOWN: &[u8] = b"BCORYIUDTMSEcAbPKrp";

/// `None` where the kind is not known.
fn read<'a>(kind: u8, bytes: &mut Bytes<'a>) -> Result<Option<Message<'a>>, Torn> {
    Ok(Some(match kind {
        b'B' => Message::Begin(Begin { lsn: bytes.lsn()?, committed_at: bytes.time()?, xid: bytes.u32()? }),
        b'C' => Message::Commit(commit(bytes)?),
        b'O' => Message::Origin(Origin { lsn: bytes.lsn()?, name: bytes.until_zero()? }),
        b'R' => Message::Relation(Relation::take(bytes)?),
        b'Y' => Message::Type(Type { oid: bytes.u32()?, schema: bytes.name()?, name: bytes.name()? }),
        b'I' => {
            let relation = bytes.u32()?;
            Message::Insert(Insert { relation, new: new(bytes.u8()?, bytes)? })
        }
        b'U' => {
            let relation = bytes.u32()?;
            let mark = bytes.u8()?;
            let (old, mark) = match mark {
                b'N' => (None, mark),
                _ => (Some(old(mark, bytes)?), bytes.u8()?),
            };
            Message::Update(Update { relation, old, new: new(mark, bytes)? })
        }
        b'D' => {
            let relation = bytes.u32()?;
            Message::Delete(Delete { relation, old: old(bytes.u8()?, bytes)? })
        }
        b'T' => Message::Truncate(Truncate::take(bytes)?),
        b'M' => Message::Logical(Logical {
            is_transactional: bytes.u8()? & 1 == 1,
            lsn: bytes.lsn()?,
            prefix: bytes.until_zero()?,
            content: bytes.counted()?,
        }),
        b'S' => Message::StreamStart(StreamStart { xid: bytes.u32()?, is_first: bytes.u8()? == 1 }),
        b'E' => Message::StreamStop,
        b'c' => Message::StreamCommit(StreamCommit { xid: bytes.u32()?, commit: commit(bytes)? }),
        b'A' => {
            let abort = StreamAbort { xid: bytes.u32()?, subxid: bytes.u32()? };
            if !bytes.is_empty() {
                // Where it was aborted, and when: only where the server was asked to stream for parallel appliers.
                bytes.lsn()?;
                bytes.time()?;
            }
            Message::StreamAbort(abort)
        }
        b'b' => Message::BeginPrepare(prepared(bytes)?),
        b'P' => Message::Prepare(flagged(bytes)?),
        b'K' => Message::CommitPrepared(flagged(bytes)?),
        b'p' => Message::StreamPrepare(flagged(bytes)?),
        b'r' => {
            bytes.u8()?;
            Message::RollbackPrepared(RolledBack {
                prepared: bytes.lsn()?,
                end: bytes.lsn()?,
                prepared_at: bytes.time()?,
                at: bytes.time()?,
                xid: bytes.u32()?,
                gid: bytes.until_zero()?,
            })
        }
        _ => return Ok(None),
    }))
}

/// Flags, of which none is used so far, and the rest.
fn commit(bytes: &mut Bytes<'_>) -> Result<Commit, Torn> {
    bytes.u8()?;
    Ok(Commit { lsn: bytes.lsn()?, end: bytes.lsn()?, committed_at: bytes.time()? })
}

fn flagged<'a>(bytes: &mut Bytes<'a>) -> Result<Prepared<'a>, Torn> {
    bytes.u8()?;
    prepared(bytes)
}

fn prepared<'a>(bytes: &mut Bytes<'a>) -> Result<Prepared<'a>, Torn> {
    Ok(Prepared {
        lsn: bytes.lsn()?,
        end: bytes.lsn()?,
        at: bytes.time()?,
        xid: bytes.u32()?,
        gid: bytes.until_zero()?,
    })
}

fn new<'a>(mark: u8, bytes: &mut Bytes<'a>) -> Result<Tuple<'a>, Torn> {
    if mark == b'N' { Tuple::take(bytes) } else { Err(Torn) }
}

fn old<'a>(mark: u8, bytes: &mut Bytes<'a>) -> Result<Old<'a>, Torn> {
    match mark {
        b'K' => Tuple::take(bytes).map(Old::Key),
        b'O' => Tuple::take(bytes).map(Old::Row),
        _ => Err(Torn),
    }
}
