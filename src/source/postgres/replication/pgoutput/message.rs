//! What the messages say.
//!
//! Times are microseconds since 1970 UTC, by the server's clock. Transactions are known by the 32 bits of their id that the
//! log has: ids come again after 2^32 of them, so they name a transaction only among those that are open.

use super::super::lsn::Lsn;
use super::bytes::{Bytes, Torn};
use super::tuple::Tuple;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A transaction that is committed: its changes follow, and its [`Message::Commit`].
    Begin(Begin),
    Commit(Commit),
    /// Where the transaction was first made, if not here.
    Origin(Origin<'a>),
    /// What a table is from here on. Comes before the first change of it in a session, and again when it is altered; in a
    /// streamed transaction also for that one alone.
    Relation(Relation<'a>),
    /// A type that is not built in, before the relation that has it.
    Type(Type<'a>),
    Insert(Insert<'a>),
    Update(Update<'a>),
    Delete(Delete<'a>),
    Truncate(Truncate<'a>),
    Logical(Logical<'a>),
    /// Up to [`Message::StreamStop`] follow changes of one transaction that is still open. Those messages have an xid.
    StreamStart(StreamStart),
    StreamStop,
    StreamCommit(StreamCommit),
    StreamAbort(StreamAbort),
    /// A transaction that is prepared: its changes follow, and its [`Message::Prepare`].
    BeginPrepare(Prepared<'a>),
    Prepare(Prepared<'a>),
    CommitPrepared(Prepared<'a>),
    RollbackPrepared(RolledBack<'a>),
    /// As [`Message::Prepare`], of a streamed transaction.
    StreamPrepare(Prepared<'a>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// Where the commit is, as its [`Commit::lsn`] will say.
    pub lsn: Lsn,
    pub committed_at: i64,
    pub xid: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    pub lsn: Lsn,
    /// Behind the commit: who has all up to here may confirm it.
    pub end: Lsn,
    pub committed_at: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Where the commit is at the origin.
    pub lsn: Lsn,
    pub name: &'a [u8],
}

/// By what the old row of a change is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The primary key.
    Default,
    Nothing,
    Full,
    Index,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation<'a> {
    pub oid: u32,
    /// Empty for `pg_catalog`.
    pub schema: &'a str,
    pub name: &'a str,
    pub identity: Identity,
    count: u16,
    columns: &'a [u8],
}

/// A column of a relation: of those that are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    /// Whether the old row of a change is known by it.
    pub is_key: bool,
    pub name: &'a str,
    pub type_oid: u32,
    /// -1 where there is none.
    pub modifier: i32,
}

impl<'a> Relation<'a> {
    pub(super) fn take(bytes: &mut Bytes<'a>) -> Result<Self, Torn> {
        let (oid, schema, name) = (bytes.u32()?, bytes.name()?, bytes.name()?);
        let identity = match bytes.u8()? {
            b'd' => Identity::Default,
            b'n' => Identity::Nothing,
            b'f' => Identity::Full,
            b'i' => Identity::Index,
            _ => return Err(Torn),
        };
        let (count, all) = (bytes.u16()?, bytes.0);
        for _ in 0..count {
            column(bytes)?;
        }
        let columns = &all[..all.len() - bytes.0.len()];
        Ok(Self { oid, schema, name, identity, count, columns })
    }

    pub fn columns(&self) -> impl Iterator<Item = Column<'a>> + use<'a> {
        let mut bytes = Bytes(self.columns);
        // Never torn: they were looked through.
        (0..self.count).map_while(move |_| column(&mut bytes).ok())
    }
}

fn column<'a>(bytes: &mut Bytes<'a>) -> Result<Column<'a>, Torn> {
    let is_key = bytes.u8()? & 1 == 1;
    Ok(Column { is_key, name: bytes.name()?, type_oid: bytes.u32()?, modifier: bytes.i32()? })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Type<'a> {
    pub oid: u32,
    /// Empty for `pg_catalog`.
    pub schema: &'a str,
    pub name: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insert<'a> {
    pub relation: u32,
    pub new: Tuple<'a>,
}

/// What is known of a row before its change. Both have all columns of the relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Old<'a> {
    /// The columns of its identity; the others are null whatever they were.
    Key(Tuple<'a>),
    /// All of it: `REPLICA IDENTITY FULL`.
    Row(Tuple<'a>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update<'a> {
    pub relation: u32,
    /// `None` where the columns of the identity are as they were.
    pub old: Option<Old<'a>>,
    pub new: Tuple<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delete<'a> {
    pub relation: u32,
    pub old: Old<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncate<'a> {
    /// Tables that refer to them are among them.
    pub cascade: bool,
    pub restart_identity: bool,
    relations: &'a [u8],
}

impl<'a> Truncate<'a> {
    pub(super) fn take(bytes: &mut Bytes<'a>) -> Result<Self, Torn> {
        let count = usize::try_from(bytes.i32()?).map_err(|_| Torn)?;
        let options = bytes.u8()?;
        let relations = bytes.take(count.checked_mul(size_of::<u32>()).ok_or(Torn)?)?;
        Ok(Self { cascade: options & 1 != 0, restart_identity: options & 2 != 0, relations })
    }

    pub fn relations(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.relations.as_chunks().0.iter().map(|oid| u32::from_be_bytes(*oid))
    }
}

/// What `pg_logical_emit_message` wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logical<'a> {
    /// Whether it is part of a transaction. Others come at once, between transactions.
    pub is_transactional: bool,
    pub lsn: Lsn,
    pub prefix: &'a [u8],
    pub content: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamStart {
    pub xid: u32,
    /// Nothing of the transaction came before.
    pub is_first: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamCommit {
    pub xid: u32,
    pub commit: Commit,
}

/// Changes that came are void: those of `subxid`, which are all where it is `xid` itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamAbort {
    pub xid: u32,
    pub subxid: u32,
}

/// Of a transaction in two phases, as it is prepared or, later, committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared<'a> {
    /// Where it is prepared; of [`Message::CommitPrepared`], where it is committed.
    pub lsn: Lsn,
    pub end: Lsn,
    pub at: i64,
    pub xid: u32,
    /// As `PREPARE TRANSACTION` names it.
    pub gid: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolledBack<'a> {
    /// Behind its prepare.
    pub prepared: Lsn,
    pub end: Lsn,
    pub prepared_at: i64,
    pub at: i64,
    pub xid: u32,
    pub gid: &'a [u8],
}
