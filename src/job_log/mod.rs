//! The job log: what ran, how far it came, and who may run. A copy of what the destinations know, for people,
//! schedulers and `tidemark status`; it can be lost and rebuilt.

use async_trait::async_trait;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::record::{Commit, Mode};

#[async_trait]
pub trait JobLog: Send + Sync {
    /// Takes the stream for this process. `Kind::Conflict`, naming the holder, while another live process has it.
    /// Held until the lease is released or dropped, or the process dies.
    async fn lease(&self, pipeline: &str, stream: &str) -> Result<Box<dyn Lease>>;

    /// The newest commit of the stream that this log has heard of.
    async fn mark(&self, pipeline: &str, stream: &str) -> Result<Option<Mark>>;

    /// Begins a run: its row appears, in state `running`.
    async fn start(&self, run: &NewRun) -> Result<()>;

    /// Notes a commit in the row of the run that made it. Idempotent: a commit that is noted already changes nothing.
    async fn record(&self, pipeline: &str, stream: &str, commit: &Commit) -> Result<()>;

    /// Notes rows and bytes of a run that are safe but not live yet (chunks of a full load), as they stand in all.
    async fn progress(&self, run: &str, rows: u64, bytes: u64) -> Result<()>;

    /// Ends a run.
    async fn finish(&self, run: &str, end: &RunEnd) -> Result<()>;

    /// This process and this log, for the destination's fence: `host`, `pid` and `job_log`, which is the same for all
    /// processes that share the log.
    fn holder(&self) -> serde_json::Value;

    /// The newest runs, newest first: of one stream or of all; `per_stream` of each.
    async fn runs(&self, pipeline: &str, stream: Option<&str>, per_stream: usize) -> Result<Vec<RunRow>>;
}

/// The right to run a stream, while it lives.
#[async_trait]
pub trait Lease: Send {
    /// Pends while the lease is held; resolves with `Kind::Conflict` if it was lost. Cancel safe.
    async fn lost(&mut self) -> Error;

    async fn release(self: Box<Self>);
}

/// The last commit that the job log knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub seq: u64,
    /// The position, as JSON text.
    pub position: Option<String>,
}

#[derive(Debug, Clone)]
pub struct NewRun {
    pub run: String,
    pub pipeline: String,
    pub stream: String,
    pub mode: Mode,
    /// Where it starts, as JSON text.
    pub low_water_mark: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    Running,
    Done,
    Stopped,
    Failed,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct RunEnd {
    pub state: RunState,
    pub error: Option<Error>,
}

/// A row of the job log.
#[derive(Debug, Clone, Serialize)]
pub struct RunRow {
    pub run_id: String,
    pub pipeline: String,
    pub stream: String,
    pub mode: String,
    pub state: String,
    pub low_water_mark: Option<String>,
    pub high_water_mark: Option<String>,
    pub seq: Option<u64>,
    pub commits: u64,
    pub rows: u64,
    pub bytes: u64,
    pub started_at: String,
    pub updated_at: String,
    pub finished_at: Option<String>,
    pub error_kind: Option<String>,
    pub error: Option<String>,
}

/// Keys of `[job_log]`.
pub const KEYS: &[crate::config::Key] = &[];

/// The job log of a `[job_log]` section.
pub async fn open(_section: &crate::config::Section) -> Result<std::sync::Arc<dyn JobLog>> {
    Err(Error::bug("no job log"))
}
