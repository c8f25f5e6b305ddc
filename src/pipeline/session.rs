use std::ops::AddAssign;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::columns::{self, Definitions, OnChange};
use super::copy::{Ledger, Limits};
use super::readings::Readings;
use super::{Notice, Observer, Stop};
use crate::destination::{Destination, Opening};
use crate::error::{Error, Result};
use crate::job_log::{JobLog, partial};
use crate::record::{Commit, Failures, Lag, Publication, SetAside, Shortfall, StreamId, Sub, add_aside};
use crate::source::{Source, Stream};

/// One run of one stream: everything that its steps need.
pub struct Session {
    pub pipeline: String,
    pub stream: Stream,
    /// As what observers hear of it: the stream, or the part of it that is read.
    pub shown: StreamId,
    pub destination: Arc<dyn Destination>,
    pub job_log: Arc<dyn JobLog>,
    pub opening: Opening,
    /// What the stream is a load of: another one's full load is given up rather than continued.
    pub definition: String,
    pub limits: Limits,
    /// The places for readings, which the streams of the run share.
    pub readings: Readings,
    /// How many of them may read this stream's chunks.
    pub parallel: usize,
    /// Where the job log is ahead of the destination, forget the job log rather than refuse.
    pub adopt_destination: bool,
    /// A full load that was begun longer ago is given up rather than continued.
    pub resume_within: Duration,
    /// Begin anew, whatever there is: until it has begun.
    pub full_refresh: AtomicBool,
    pub on_schema_change: OnChange,
    pub observer: Arc<dyn Observer>,
    pub stop: Stop,
    /// How often the run has committed so far: a failure after a commit is the first in a row.
    pub commits: AtomicU64,
    /// What the run has committed so far, as its row in the job log has it.
    pub totals: Mutex<Totals>,
    /// How far the reader was behind its source when it last said so.
    pub lag: Mutex<Option<Lag>>,
    /// Held while the totals grow: chunks side by side tell the job log of theirs one after the other.
    pub growing: tokio::sync::Mutex<()>,
    /// What the run came to short of all, as far as it is known.
    pub shortfall: Mutex<Shortfall>,
}

impl Session {
    /// The same stream in another run.
    pub fn of_run(&self, run: String) -> Self {
        Self {
            pipeline: self.pipeline.clone(),
            stream: self.stream.clone(),
            shown: self.shown.clone(),
            destination: self.destination.clone(),
            job_log: self.job_log.clone(),
            opening: Opening { run, after: None, ..self.opening.clone() },
            definition: self.definition.clone(),
            limits: self.limits,
            readings: self.readings.clone(),
            parallel: self.parallel,
            adopt_destination: self.adopt_destination,
            resume_within: self.resume_within,
            full_refresh: AtomicBool::default(),
            on_schema_change: self.on_schema_change,
            observer: self.observer.clone(),
            stop: self.stop.clone(),
            commits: AtomicU64::default(),
            totals: Mutex::default(),
            lag: Mutex::default(),
            growing: Default::default(),
            shortfall: Mutex::default(),
        }
    }

    /// Notes a commit of the stream itself in the job log, and counts it as the job log does.
    pub async fn record(&self, commit: &Commit) -> Result<()> {
        self.job_log.record(&self.pipeline, &self.stream.id.to_string(), commit).await?;
        self.stands_open(commit);
        if commit.run != self.opening.run {
            return Ok(());
        }
        self.set_aside(&commit.set_aside());
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

    /// Takes from the stream's newest entry what is open.
    pub fn stands_open(&self, newest: &Commit) {
        self.shortfall.lock().unwrap_or_else(PoisonError::into_inner).failures = newest.open_failures();
    }

    /// What the chunks came to short of all that this run has read.
    pub fn falls_short(&self, of_chunks: Shortfall) {
        *self.shortfall.lock().unwrap_or_else(PoisonError::into_inner) = of_chunks;
    }

    /// Counts rows that this run has set aside.
    pub fn set_aside(&self, aside: &SetAside) {
        let mut short = self.shortfall.lock().unwrap_or_else(PoisonError::into_inner);
        add_aside(&mut short.aside, aside);
    }

    /// Why a run that has come to its end is done but for a rest; `None` where nothing is left.
    pub fn partial(&self) -> Option<Error> {
        let name = self.stream.id.name();
        let again = match self.shown.sub() {
            // A window is read again as a whole.
            Some(Sub::Window(_)) => format!("tidemark run {name} --from … --until …"),
            _ => format!("tidemark retry {name}"),
        };
        partial(&self.shortfall.lock().unwrap_or_else(PoisonError::into_inner), &again)
    }

    pub fn is_refresh(&self) -> bool {
        self.full_refresh.load(Ordering::Relaxed)
    }

    /// What was to begin anew has begun: what fails from now on is continued.
    pub fn refreshed(&self) {
        self.full_refresh.store(false, Ordering::Relaxed);
    }

    /// Notes that so much more of a full load is safe.
    pub async fn add(&self, more: Totals) -> Result<()> {
        let _growing = self.growing.lock().await;
        let mut totals = self.totals();
        totals += more;
        self.progress(totals).await
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

    /// What the reader says of its source is kept, and what it does not say changes nothing.
    pub fn stands(&self, lag: Option<Lag>) {
        let mut known = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        *known = lag.or(*known);
    }

    pub fn lag(&self) -> Option<Lag> {
        *self.lag.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the job log how far the stream is behind its source, where that is known.
    pub async fn tell_lag(&self) -> Result<()> {
        let Some(lag) = self.lag() else { return Ok(()) };
        let (stream, seconds) = (self.stream.id.to_string(), lag.seconds(jiff::Timestamp::now()));
        self.job_log.behind(&self.pipeline, &stream, seconds, lag.bytes).await
    }

    fn set(&self, totals: Totals) {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner) = totals;
    }

    pub fn notice(&self, notice: Notice) {
        self.observer.notice(&self.shown, notice);
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
        *self += Self::of(commit);
    }

    pub fn of(commit: &Commit) -> Self {
        Self { rows: commit.rows(), bytes: commit.bytes(), files: commit.parts.len() as u64 }
    }

    /// What there is beyond `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            rows: self.rows.saturating_sub(earlier.rows),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            files: self.files.saturating_sub(earlier.files),
        }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, more: Self) {
        self.rows += more.rows;
        self.bytes += more.bytes;
        self.files += more.files;
    }
}

/// What was read of a stream so far, by all that read it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Rows behind earlier commits included.
    rows: AtomicU64,
    bytes: AtomicU64,
    /// There is a commit to go on from.
    committed: AtomicBool,
}

impl Progress {
    pub fn after(totals: Totals, committed: bool) -> Self {
        Self { rows: totals.rows.into(), committed: committed.into(), ..Self::default() }
    }

    pub fn committed(&self) -> bool {
        self.committed.load(Ordering::Relaxed)
    }

    fn took(&self, rows: u64, bytes: u64, lag: Option<Lag>) -> Notice {
        Notice::Progress {
            lag,
            rows: self.rows.fetch_add(rows, Ordering::Relaxed) + rows,
            bytes: self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes,
        }
    }
}

/// The ledger of a stream (whose commits the job log records) or of a chunk (whose commits are its progress).
pub struct Account<'a> {
    session: &'a Session,
    progress: &'a Progress,
    /// Says what came to nothing.
    source: &'a dyn Source,
    stream: &'a Stream,
    is_chunk: bool,
    /// What was committed here.
    totals: Totals,
    /// The definitions of the tables that were, as the newest commit of each has them.
    definitions: Definitions,
    aside: SetAside,
}

/// What a copy has committed.
pub struct Committed {
    pub totals: Totals,
    /// The definitions of its tables.
    pub definitions: Definitions,
    pub aside: SetAside,
}

impl<'a> Account<'a> {
    pub fn of_stream(session: &'a Session, progress: &'a Progress, source: &'a dyn Source, stream: &'a Stream) -> Self {
        let (totals, definitions, aside) = (Totals::default(), Definitions::new(), SetAside::new());
        Self { session, progress, source, stream, is_chunk: false, totals, definitions, aside }
    }

    pub fn of_chunk(session: &'a Session, progress: &'a Progress, source: &'a dyn Source, stream: &'a Stream) -> Self {
        Self { is_chunk: true, ..Self::of_stream(session, progress, source, stream) }
    }

    pub fn committed(self) -> Committed {
        Committed { totals: self.totals, definitions: self.definitions, aside: self.aside }
    }
}

#[async_trait]
impl Ledger for Account<'_> {
    fn took(&mut self, rows: u64, bytes: u64) {
        self.session.notice(self.progress.took(rows, bytes, self.session.lag()));
    }

    fn stands(&mut self, lag: Option<Lag>) {
        self.session.stands(lag);
    }

    fn failures(&self, state: &Value) -> Result<Option<Failures>> {
        Ok(self.source.failures(self.stream, state)?.some())
    }

    async fn committed(&mut self, commit: &Commit) -> Result<()> {
        self.totals.add(commit);
        add_aside(&mut self.aside, &commit.parts_aside());
        if self.is_chunk {
            self.definitions.extend(columns::of_parts(commit));
            self.session.add(Totals::of(commit)).await?;
        } else {
            self.session.record(commit).await?;
            self.session.tell_lag().await?;
        }
        self.progress.committed.store(true, Ordering::Relaxed);
        self.session.commits.fetch_add(1, Ordering::Relaxed);
        let Totals { rows, bytes, files } = self.session.totals();
        self.session.notice(Notice::Committed { rows, bytes, files });
        Ok(())
    }
}
