//! Where records go: the two traits and the registry.

use async_trait::async_trait;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::record::{Commit, Mode, Rows, Seal, StreamId};

pub mod files;

/// A folder, bucket or broker under one `[destination]` section, as one stream sees it.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Opens the stream for writing and fences: once this returns, no earlier writer of the stream can commit, and
    /// what earlier writers left without committing is gone.
    async fn open(&self, stream: &StreamId, opening: &Opening) -> Result<Box<dyn Writer>>;

    /// The stream's newest entry, without opening it.
    async fn last(&self, stream: &StreamId, after: Option<u64>) -> Result<Option<Commit>>;
}

/// Who opens a stream, and what for.
#[derive(Debug, Clone)]
pub struct Opening {
    pub run: String,
    pub mode: Mode,
    /// Source and pipeline, for entry 0; an entry 0 that says something else is `Kind::Conflict`.
    pub identity: Value,
    /// Host, process and time, for the fence.
    pub holder: Value,
    /// The job log's newest entry of the stream: where to start looking. Not a promise that it is there.
    pub after: Option<u64>,
}

/// An open stream: rows go in, and become visible with a commit, all or none.
#[async_trait]
pub trait Writer: Send {
    /// The stream's newest entry: the fence at first, then the last commit.
    fn last(&self) -> &Commit;

    /// Takes rows. May upload; shows nothing.
    async fn write(&mut self, rows: Rows) -> Result<()>;

    /// Rows and bytes taken since the last commit, encoded or not.
    fn pending(&self) -> Pending;

    /// Pends; resolves when background work fails. Cancel safe.
    async fn failed(&mut self) -> Error;

    /// Makes everything written since the last commit visible together with `seal`, or nothing of it.
    async fn commit(&mut self, seal: Seal) -> Result<Commit>;

    /// Ends its uploads. After any error a writer is only aborted.
    async fn abort(self: Box<Self>);
}

/// What a writer holds that is not committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pending {
    pub rows: u64,
    /// Bytes as Arrow, before encoding.
    pub bytes: u64,
}
