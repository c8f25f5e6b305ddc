//! The job log in one SQLite file, for the runs of one machine: `url = sqlite:tidemark.db`.

mod connection;
mod error;
mod failures;
mod leases;
mod runs;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::TransactionBehavior;
use serde_json::{Value, json};

use self::connection::Connection;
use super::process::Process;
use super::{Behind, Failure, Held, Lease, Mark, NewRun, RunEnd, RunRow, Share, Timing, Told, lease};
use crate::error::Result;
use crate::record::Commit;

/// A job log in a SQLite file. The file is opened, and made where it is missing, with the first call that writes.
pub struct JobLog {
    connection: Arc<Connection>,
    timing: Timing,
}

impl JobLog {
    pub fn new(path: impl Into<PathBuf>, timing: Timing) -> Self {
        Self { connection: Arc::new(Connection::new(path.into())), timing }
    }
}

/// The path that a `sqlite:` URL names, or what is wrong with it.
pub(super) fn path(url: &str) -> Result<&Path, &'static str> {
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    // `sqlite:///var/x.db` has an empty host; `sqlite:x.db` has none.
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    match rest {
        "" | "/" => Err("names no file"),
        ":memory:" => Err("must name a file: a job log in memory would forget everything"),
        path => Ok(Path::new(path)),
    }
}

#[async_trait]
impl super::JobLog for JobLog {
    async fn lease(&self, pipeline: &str, stream: &str) -> Result<Box<dyn Lease>> {
        let leases = leases::Table { connection: self.connection.clone(), lost_after: self.timing.lost_after };
        lease::take(Arc::new(leases), pipeline, stream, self.timing).await
    }

    async fn mark(&self, pipeline: &str, stream: &str) -> Result<Option<Mark>> {
        let (pipeline, stream) = (pipeline.to_owned(), stream.to_owned());
        self.connection.read(move |db| runs::mark(db, &pipeline, &stream)).await
    }

    async fn start(&self, run: &NewRun) -> Result<()> {
        let run = run.clone();
        self.connection
            .call(move |db| {
                let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
                runs::start(&step, &run)?;
                step.commit()
            })
            .await
    }

    async fn record(&self, pipeline: &str, stream: &str, commit: &Commit) -> Result<()> {
        let (pipeline, stream, commit) = (pipeline.to_owned(), stream.to_owned(), commit.clone());
        self.connection
            .call(move |db| {
                let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
                runs::record(&step, &pipeline, &stream, &commit)?;
                step.commit()
            })
            .await
    }

    async fn retell(&self, pipeline: &str, stream: &str, run: &Told) -> Result<bool> {
        let (pipeline, stream, run) = (pipeline.to_owned(), stream.to_owned(), run.clone());
        self.connection
            .call(move |db| {
                let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let is_news = runs::retell(&step, &pipeline, &stream, &run)?;
                step.commit()?;
                Ok(is_news)
            })
            .await
    }

    async fn progress(&self, run: &str, rows: u64, bytes: u64) -> Result<()> {
        let run = run.to_owned();
        self.connection.call(move |db| runs::progress(db, &run, rows, bytes)).await
    }

    async fn behind(&self, pipeline: &str, stream: &str, seconds: u64, bytes: Option<u64>) -> Result<()> {
        let (pipeline, stream) = (pipeline.to_owned(), stream.to_owned());
        self.connection.call(move |db| runs::behind(db, &pipeline, &stream, seconds, bytes)).await
    }

    async fn lags(&self, pipeline: &str) -> Result<Vec<Behind>> {
        let pipeline = pipeline.to_owned();
        self.connection.read(move |db| runs::lags(db, &pipeline)).await
    }

    async fn shares(&self, pipeline: &str) -> Result<Vec<Share>> {
        let pipeline = pipeline.to_owned();
        self.connection.read(move |db| failures::shares(db, &pipeline)).await
    }

    async fn failures(&self, pipeline: &str) -> Result<Vec<Failure>> {
        let pipeline = pipeline.to_owned();
        self.connection.read(move |db| failures::failures(db, &pipeline)).await
    }

    async fn forget(&self, pipeline: &str, stream: &str) -> Result<()> {
        let (pipeline, stream) = (pipeline.to_owned(), stream.to_owned());
        self.connection.call(move |db| runs::forget(db, &pipeline, &stream)).await
    }

    async fn finish(&self, run: &str, end: &RunEnd) -> Result<()> {
        let (run, end) = (run.to_owned(), end.clone());
        self.connection.call(move |db| runs::finish(db, &run, &end)).await
    }

    fn holder(&self) -> Value {
        let process = Process::current();
        json!({ "host": process.host, "pid": process.pid, "job_log": self.connection.id() })
    }

    async fn runs(&self, pipeline: &str, stream: Option<&str>, per_stream: usize) -> Result<Vec<RunRow>> {
        let (pipeline, stream) = (pipeline.to_owned(), stream.map(str::to_owned));
        self.connection.read(move |db| runs::newest(db, &pipeline, stream.as_deref(), per_stream)).await
    }

    async fn holders(&self, pipeline: &str) -> Result<Vec<Held>> {
        let (pipeline, lost_after) = (pipeline.to_owned(), self.timing.lost_after);
        self.connection.read(move |db| leases::all(db, &pipeline, lost_after)).await
    }

    async fn prepare(&self) -> Result<()> {
        self.connection.call(|db| db.transaction_with_behavior(TransactionBehavior::Immediate)?.rollback()).await
    }

    async fn check(&self) -> Result<String> {
        let found = self.connection.check().await?;
        let found = super::tables_in_words(found.unsigned_abs(), schema::VERSION.unsigned_abs());
        Ok(format!("SQLite file {}, {found}", self.connection.path().display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_paths_of_urls() {
        assert_eq!(path("sqlite:tidemark.db"), Ok(Path::new("tidemark.db")));
        assert_eq!(path("sqlite:/var/lib/t.db"), Ok(Path::new("/var/lib/t.db")));
        assert_eq!(path("sqlite:///var/lib/t.db"), Ok(Path::new("/var/lib/t.db")));
        assert!(path("sqlite:").is_err());
        assert!(path("sqlite::memory:").is_err());
    }
}
