use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::copy::{Ledger, Limits};
use super::{Notice, Observer, Stop};
use crate::destination::{Destination, Opening};
use crate::error::Result;
use crate::job_log::JobLog;
use crate::record::Commit;
use crate::source::Stream;

/// One run of one stream: everything that its steps need.
pub struct Session {
    pub pipeline: String,
    pub stream: Stream,
    pub destination: Arc<dyn Destination>,
    pub job_log: Arc<dyn JobLog>,
    pub opening: Opening,
    /// What the stream is a load of: another one's full load is given up rather than continued.
    pub definition: String,
    pub limits: Limits,
    /// Where the job log is ahead of the destination, forget the job log rather than refuse.
    pub adopt_destination: bool,
    /// A full load that was begun longer ago is given up rather than continued.
    pub resume_within: Duration,
    pub observer: Arc<dyn Observer>,
    pub stop: Stop,
    /// How often the run has committed so far: a failure after a commit is the first in a row.
    pub commits: AtomicU64,
}

impl Session {
    /// Notes a commit of the stream itself in the job log.
    pub async fn record(&self, commit: &Commit) -> Result<()> {
        self.job_log.record(&self.pipeline, self.stream.id.name(), commit).await
    }

    pub fn notice(&self, notice: Notice) {
        self.observer.notice(&self.stream.id, notice);
    }
}

/// What a run has committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub rows: u64,
    pub bytes: u64,
    pub files: u64,
}

impl Totals {
    pub fn add(&mut self, commit: &Commit) {
        self.rows += commit.rows();
        self.bytes += commit.bytes();
        self.files += commit.parts.len() as u64;
    }
}

/// The ledger of a stream (whose commits the job log records) or of a chunk (whose commits are its progress).
pub struct Account<'a> {
    pub session: &'a Session,
    /// What is committed, earlier runs of the same generation included.
    pub totals: Totals,
    pub is_chunk: bool,
    rows: u64,
    bytes: u64,
}

impl<'a> Account<'a> {
    pub fn new(session: &'a Session, totals: Totals, is_chunk: bool) -> Self {
        Self { session, totals, is_chunk, rows: totals.rows, bytes: 0 }
    }
}

#[async_trait]
impl Ledger for Account<'_> {
    fn took(&mut self, rows: u64, bytes: u64) {
        self.rows += rows;
        self.bytes += bytes;
        self.session.notice(Notice::Progress { rows: self.rows, bytes: self.bytes });
    }

    async fn committed(&mut self, commit: &Commit) -> Result<()> {
        self.totals.add(commit);
        let Totals { rows, bytes, files } = self.totals;
        match self.is_chunk {
            true => self.session.job_log.progress(&self.session.opening.run, rows, bytes).await?,
            false => self.session.record(commit).await?,
        }
        self.session.commits.fetch_add(1, Ordering::Relaxed);
        self.session.notice(Notice::Committed { rows, bytes, files });
        Ok(())
    }
}
