//! The one loop: from a reader into a writer, the same for full, incremental, CDC and chunks.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::sequence::{Numbering, Sequence};
use super::stop::Stop;
use crate::config::Section;
use crate::destination::Writer;
use crate::error::{Error, Result};
use crate::job_log::Lease;
use crate::record::{Checkpoint, Commit, Event, Failures, Lag, Seal};
use crate::source::Reader;

/// How long a stop waits for the next checkpoint before it gives up the rows after the last one. Not at all where no
/// checkpoint has come yet: a reader that makes its first at its end, as those of full loads do, would be waited for in
/// vain.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Where a source keeps more of its log than this for nothing but a checkpoint without rows, that is committed as rows are.
const HELD_BYTES: u64 = 32 << 20;

/// When a checkpoint is committed. The end of a stream always is.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Arrow bytes since the last commit.
    pub bytes: u64,
    pub rows: u64,
    pub interval: Duration,
    /// For a checkpoint without rows.
    pub idle: Duration,
}

impl Limits {
    pub fn of(keys: &Section) -> Result<Self> {
        Ok(Self {
            bytes: keys.bytes("commit_bytes")?,
            rows: u64::try_from(keys.integer("commit_rows")?).unwrap_or(u64::MAX),
            interval: keys.duration("commit_interval")?,
            idle: keys.duration("idle_interval")?.max(Duration::from_secs(1)),
        })
    }
}

/// Why a copy ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The reader came to its end, and all of it is committed.
    AtTheEnd,
    /// It was asked to stop; everything up to some checkpoint is committed.
    Stopped,
}

/// Hears of the progress of one copy.
#[async_trait]
pub trait Ledger: Send {
    /// Rows and Arrow bytes that were handed to the writer.
    fn took(&mut self, rows: u64, bytes: u64);

    /// How far the reader is behind its source, where it knows: told before rows and commits.
    fn stands(&mut self, _lag: Option<Lag>) {}

    /// What came to nothing, by a checkpoint's state.
    fn failures(&self, _state: &Value) -> Result<Option<Failures>> {
        Ok(None)
    }

    /// A commit stands. What an error says here ends the copy; the commit stands all the same.
    async fn committed(&mut self, commit: &Commit) -> Result<()>;
}

pub struct Copy<'a> {
    pub reader: &'a mut dyn Reader,
    pub writer: &'a mut dyn Writer,
    pub lease: &'a dyn Lease,
    pub ledger: &'a mut dyn Ledger,
    pub limits: Limits,
    pub numbering: Numbering,
    pub stop: Stop,
}

/// What happened first.
enum Step {
    Event(Result<Option<Event>>),
    Failed(Error),
    Due,
    Stop,
    GiveUp,
}

/// What is known since the last commit.
struct Since {
    at: Instant,
    checkpoint: Option<Checkpoint>,
    /// Rows came after the checkpoint: only a later one covers them.
    open: bool,
    /// A checkpoint has come in this copy, so that another may be near.
    seen: bool,
    /// The reader's last event was a checkpoint, committed or not: only here may it end.
    can_end: bool,
    stopping: Option<Instant>,
}

impl Copy<'_> {
    /// Copies until the reader's end or a stop. After an error the writer is only to be aborted.
    pub async fn run(mut self) -> Result<Ended> {
        // What the last run committed may not have reached the source before it died.
        if let Some(position) = self.writer.last().position.clone() {
            self.reader.ack(&position).await?;
        }
        let mut sequence = Sequence::after(self.writer.last().last_seq, self.numbering);
        let mut since =
            Since { at: Instant::now(), checkpoint: None, open: false, seen: false, can_end: false, stopping: None };
        loop {
            match self.step(&since).await {
                Step::Event(event) => match event? {
                    Some(Event::Rows(rows)) => {
                        let (count, bytes) = (rows.batch.num_rows(), rows.batch.get_array_memory_size());
                        since.open |= count > 0;
                        since.can_end = false;
                        self.writer.write(sequence.number(rows)?).await?;
                        self.ledger.stands(self.reader.lag());
                        self.ledger.took(count as u64, bytes as u64);
                    }
                    Some(Event::Checkpoint(checkpoint)) => {
                        since.checkpoint = Some(checkpoint);
                        since.open = false;
                        since.seen = true;
                        since.can_end = true;
                        if since.stopping.is_some() || self.is_due(&since) {
                            self.commit(&mut since, &sequence, false).await?;
                        }
                    }
                    None => return self.end(&mut since, &sequence).await,
                },
                Step::Failed(error) => return Err(error),
                Step::Due => self.commit(&mut since, &sequence, false).await?,
                Step::Stop if since.open && !since.seen => return Ok(Ended::Stopped),
                Step::Stop => since.stopping = Some(Instant::now() + STOP_GRACE),
                Step::GiveUp => return Ok(Ended::Stopped),
            }
            if since.stopping.is_some() && !since.open {
                if since.checkpoint.is_some() {
                    self.commit(&mut since, &sequence, false).await?;
                }
                return Ok(Ended::Stopped);
            }
        }
    }

    async fn step(&mut self, since: &Since) -> Step {
        let due = since.at + self.wait();
        let can_commit = since.checkpoint.is_some() && !since.open;
        let give_up = since.stopping.unwrap_or_else(Instant::now);
        tokio::select! {
            biased;
            error = self.writer.failed() => Step::Failed(error),
            error = self.lease.lost() => Step::Failed(error),
            () = self.stop.requested(), if since.stopping.is_none() => Step::Stop,
            () = sleep_until(give_up), if since.stopping.is_some() => Step::GiveUp,
            () = sleep_until(due), if can_commit => Step::Due,
            event = self.reader.next() => Step::Event(event),
        }
    }

    /// Whether a checkpoint that has just come is to be committed at once.
    fn is_due(&self, since: &Since) -> bool {
        let pending = self.writer.pending();
        pending.bytes >= self.limits.bytes || pending.rows >= self.limits.rows || since.at.elapsed() >= self.wait()
    }

    /// How long after a commit the next is due.
    fn wait(&self) -> Duration {
        match self.writer.pending().rows > 0 {
            true => self.limits.interval,
            false if self.reader.holds() >= HELD_BYTES => self.limits.interval.min(self.limits.idle),
            false => self.limits.idle,
        }
    }

    /// Commits the last checkpoint. The three lines whose order matters.
    async fn commit(&mut self, since: &mut Since, sequence: &Sequence, complete: bool) -> Result<()> {
        let reached = since.checkpoint.take();
        let last = self.writer.last();
        let at = reached.clone().or_else(|| last.checkpoint());
        let failures = match &reached {
            Some(reached) => self.ledger.failures(&reached.state)?,
            None => last.failures.clone(),
        };
        let seal = Seal {
            last_seq: sequence.last(),
            complete,
            failures,
            state: at.as_ref().map_or_else(|| last.state.clone(), |checkpoint| checkpoint.state.clone()),
            ..Seal::at(at.map(|checkpoint| checkpoint.position))
        };
        let commit = self.writer.commit(seal).await?;
        self.ledger.stands(self.reader.lag());
        self.ledger.committed(&commit).await?;
        if let Some(reached) = &reached {
            self.reader.ack(&reached.position).await?;
        }
        since.at = Instant::now();
        Ok(())
    }

    async fn end(&mut self, since: &mut Since, sequence: &Sequence) -> Result<Ended> {
        // A reader that broke off without a word must not pass for an empty table.
        if !since.can_end {
            return Err(Error::bug("the source ended without a checkpoint at its end"));
        }
        self.commit(since, sequence, true).await?;
        Ok(Ended::AtTheEnd)
    }
}
