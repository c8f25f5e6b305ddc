//! A change log and snapshots of its tables as one stream of events, as far as it is the same for every source with a log.
//!
//! Snapshots take no locks and stop no log: where the log stands at a position, one chunk of a table is read that is proved to
//! see everything up to there. Rows of the chunk may show later changes already; those follow in the log, and end in the
//! same rows. Each chunk is covered by a checkpoint, so that a snapshot goes on at its chunk.

mod asked;
mod gathering;
mod history;
mod place;
mod task;

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

pub use self::asked::unknown;
pub use self::gathering::{Gathered, Gathering};
pub use self::history::{Has, History};
pub use self::place::{Place, Snapshot};
pub use self::task::{Asked, Until, follow};
use crate::error::Result;
use crate::record::{Lag, Rows};

/// A source's log, from a position on. It is asked by one task, which is never cut off in the middle of a call but by its
/// end.
#[async_trait]
pub trait Log: Send {
    /// What comes next, in the log's order.
    async fn next(&mut self) -> Result<Step>;

    /// Lets [`Step::End`] come behind all that is committed by now.
    async fn extend(&mut self) -> Result<()>;

    /// What is needed to go on from the last [`Step::Position`], besides the position: kept in the commit log only.
    fn state(&self) -> Value;

    /// How far it is behind, by what it knows without asking.
    fn lag(&self) -> Option<Lag> {
        None
    }

    /// How many bytes of it stand between what was committed and where it is: its server keeps them until the next commit.
    fn holds(&self) -> u64 {
        0
    }

    /// Everything up to this position is committed at the destination.
    async fn ack(&mut self, _position: &Value) -> Result<()> {
        Ok(())
    }
}

/// What a log yields.
#[derive(Debug)]
pub enum Step<R = Rows> {
    /// Changes of one table, or its announcement. Never without a [`Step::Position`] behind them before the end.
    Rows(R),
    /// The end of a transaction: everything before is covered by it.
    Position(Value),
    /// The table is to be read from its beginning. Where rows of it came before, one that says that they went has come too.
    Anew(String),
    /// There is nothing for the moment.
    Idle,
    /// What was committed when it was opened, or when it was last extended, has come.
    End,
}

/// Reads tables in chunks.
#[async_trait]
pub trait Chunks: Send {
    /// Begins with the rows of `table` above the key `after`; with all where `None`. What is read sees everything up to the
    /// log's position `at`.
    async fn begin(&mut self, table: &str, after: Option<&[String]>, at: &Value) -> Result<Begun>;

    /// The chunk's next rows; `None` at its end.
    async fn next(&mut self) -> Result<Option<Rows>>;

    /// The key of the chunk's last row; `None` where no row of the table is above.
    fn last(&self) -> Option<Vec<String>>;

    /// Of a table that was [`Begun::Gone`], and of which rows came before: the row that says that they are gone.
    fn gone(&mut self, at: &Value) -> Result<Option<Rows>>;

    /// The row that says that the table is read from its beginning again.
    fn anew(&mut self, table: &str, at: &Value) -> Result<Rows>;
}

/// How a chunk begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    Reading,
    /// It cannot be proved yet that everything up to there is seen: the log goes on, and it is tried again.
    NotYet,
    /// The table is not there any more: there is nothing to read.
    Gone,
    /// The rows that were read of it may have other values since: it is to be read from its beginning, behind a row that says so.
    Another,
}

/// What comes next, if it comes in time. What is there already needs no timer.
pub async fn within<F: Future>(patience: Duration, next: F) -> Option<F::Output> {
    let mut next = pin!(next);
    match futures_util::poll!(&mut next) {
        Poll::Ready(next) => Some(next),
        Poll::Pending => tokio::time::timeout(patience, next).await.ok(),
    }
}
