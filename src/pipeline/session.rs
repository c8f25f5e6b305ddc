use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::columns::OnChange;
use super::copy::{Ledger, Limits};
use super::{Notice, Observer, Stop};
use crate::destination::{Destination, Opening};
use crate::error::Result;
use crate::job_log::JobLog;
use crate::record::{Commit, Publication};
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
    pub on_schema_change: OnChange,
    pub observer: Arc<dyn Observer>,
    pub stop: Stop,
    /// How often the run has committed so far: a failure after a commit is the first in a row.
    pub commits: AtomicU64,
    /// What the run has committed so far, as its row in the job log has it.
    pub totals: Mutex<Totals>,
}

impl Session {
    /// Notes a commit of the stream itself in the job log, and counts it as the job log does.
    pub async fn record(&self, commit: &Commit) -> Result<()> {
        self.job_log.record(&self.pipeline, self.stream.id.name(), commit).await?;
        if commit.run != self.opening.run {
            return Ok(());
        }
        let mut totals = self.totals();
        match &commit.publishes {
            Some(Publication { rows, bytes, files, .. }) => {
                totals = Totals { rows: *rows, bytes: *bytes, files: *files };
            }
            None => totals.add(commit),
        }
        self.set(totals);
        Ok(())
    }

    /// Notes what is safe of a full load, earlier runs of the same load included.
    pub async fn progress(&self, totals: Totals) -> Result<()> {
        self.job_log.progress(&self.opening.run, totals.rows, totals.bytes).await?;
        self.set(totals);
        Ok(())
    }

    /// What the run has committed so far. The one place that says so: what it reports at its end is what its row says.
    pub fn totals(&self) -> Totals {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, totals: Totals) {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner) = totals;
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
    session: &'a Session,
    is_chunk: bool,
    /// Rows that were read, those behind an earlier commit included.
    rows: u64,
    bytes: u64,
}

impl<'a> Account<'a> {
    pub fn new(session: &'a Session, is_chunk: bool) -> Self {
        Self { session, is_chunk, rows: session.totals().rows, bytes: 0 }
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
        if self.is_chunk {
            let mut totals = self.session.totals();
            totals.add(commit);
            self.session.progress(totals).await?;
        } else {
            self.session.record(commit).await?;
        }
        self.session.commits.fetch_add(1, Ordering::Relaxed);
        let Totals { rows, bytes, files } = self.session.totals();
        self.session.notice(Notice::Committed { rows, bytes, files });
        Ok(())
    }
}
