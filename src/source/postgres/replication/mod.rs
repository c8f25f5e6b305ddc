//! The server's log of changes: from its bytes to messages, over a walsender client of our own.
//!
//! [`connect`] logs in for replication. The [`Session`] makes and looks at slots, and becomes with [`Session::start`] a [`Log`]: its
//! [`Log::next`] lends one [`Message`] of pgoutput after the other, [`Log::confirm`] alone moves the slot, and the server hears of us
//! however long nobody reads. Changes of transactions that are still open come as they are made, within blocks; to put them
//! together, or to forget them, is the caller's.
//!
//! Values are as text unless asked for otherwise. Binary ones would be those of COPY BINARY, but a query asks for the text of
//! types that have no binary form of ours (ranges, inet, what extensions bring, `read_as_text`), and a log cannot: only as text
//! are all types the same by snapshot and by log. Both kinds are read.
//!
//! Nothing here knows of streams, positions and commits. Why not the driver: it neither asks for replication nor gives its socket
//! away, and its framing knows no CopyBoth.

mod failure;
mod fault;
mod log;
mod login;
mod lsn;
mod pgoutput;
mod refusal;
mod session;
mod slot;
mod socket;
mod status;
mod timeline;
mod wire;

use std::sync::Arc;

pub use self::fault::Fault;
pub use self::log::{Entry, Event, Keepalive, Log, Options};
pub use self::lsn::{Lsn, NoLsn};
pub use self::pgoutput::{
    Begin, Cell, Cells, Column, Commit, Delete, Identity, Insert, Logical, Message, Old, Origin, Parser, Prepared,
    Relation, RolledBack, StreamAbort, StreamCommit, StreamStart, Truncate, Tuple, Type, Update,
};
pub use self::session::{Session, System};
pub use self::slot::{NewSlot, Slot, State};
pub use self::timeline::Ancestor;
use super::config::Settings;
use crate::config::Section;
use crate::error::Result;

/// Logs in for replication at the server of a `[source]` section.
pub async fn connect(section: &Section) -> Result<Session> {
    Session::connect(&Arc::new(Settings::of(section)?)).await
}
