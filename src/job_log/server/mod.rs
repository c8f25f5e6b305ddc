//! The job log in a database of a server, for the runs of several machines. What differs from server to server is a
//! [`Driver`](session::Driver).

mod failures;
mod lags;
mod leases;
mod runs;
mod schema;
pub mod session;
mod sessions;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use self::schema::State;
use self::session::{Driver, Session};
use self::sessions::{Sessions, Transaction};
use super::process::Process;
use super::{Behind, Failure, Held, Lease, Mark, NewRun, RunEnd, RunRow, Share, Timing, Told, lease};
use crate::error::{Error, Result};
use crate::record::Commit;

/// A job log on a server. It is connected to with the first call, and the tables are made, where they are missing, with
/// the first call that writes.
pub struct JobLog {
    sessions: Arc<Sessions>,
    timing: Timing,
}

impl JobLog {
    pub(super) fn new(driver: Arc<dyn Driver>, timing: Timing) -> Self {
        Self { sessions: Arc::new(Sessions::new(driver, timing.patience())), timing }
    }

    async fn check_with(&self, session: &mut dyn Session) -> Result<String> {
        let state = schema::state(session, self.sessions.driver()).await?;
        session.check_rights(matches!(state, State::Ready(_))).await?;
        let found = if let State::Older(version) = state { version } else { schema::VERSION };
        let found = super::tables_in_words(found, schema::VERSION);
        Ok(format!("{}, {}, {found}", session.version().await?, self.sessions.driver().place()))
    }
}

#[async_trait]
impl super::JobLog for JobLog {
    async fn lease(&self, pipeline: &str, stream: &str) -> Result<Box<dyn Lease>> {
        let leases = leases::Table { sessions: self.sessions.clone(), lost_after: self.timing.lost_after };
        lease::take(Arc::new(leases), pipeline, stream, self.timing).await
    }

    async fn mark(&self, pipeline: &str, stream: &str) -> Result<Option<Mark>> {
        self.sessions.read(|db| runs::mark(db, pipeline, stream)).await
    }

    async fn start(&self, run: &NewRun) -> Result<()> {
        self.sessions.write(|db| runs::start(db, run)).await
    }

    async fn record(&self, pipeline: &str, stream: &str, commit: &Commit) -> Result<()> {
        self.sessions.write(|db| runs::record(db, pipeline, stream, commit)).await
    }

    async fn retell(&self, pipeline: &str, stream: &str, run: &Told) -> Result<bool> {
        self.sessions.write(|db| runs::retell(db, pipeline, stream, run)).await
    }

    async fn progress(&self, run: &str, rows: u64, bytes: u64) -> Result<()> {
        self.sessions.write(|db| runs::progress(db, run, rows, bytes)).await
    }

    async fn behind(&self, pipeline: &str, stream: &str, seconds: u64, bytes: Option<u64>) -> Result<()> {
        self.sessions.write(|db| lags::note(db, pipeline, stream, seconds, bytes)).await
    }

    async fn lags(&self, pipeline: &str) -> Result<Vec<Behind>> {
        self.sessions.read(|db| lags::all(db, pipeline)).await
    }

    async fn shares(&self, pipeline: &str) -> Result<Vec<Share>> {
        self.sessions.read(|db| failures::shares(db, pipeline)).await
    }

    async fn failures(&self, pipeline: &str) -> Result<Vec<Failure>> {
        self.sessions.read(|db| failures::failures(db, pipeline)).await
    }

    async fn forget(&self, pipeline: &str, stream: &str) -> Result<()> {
        self.sessions.write(|db| runs::forget(db, pipeline, stream)).await
    }

    async fn finish(&self, run: &str, end: &RunEnd) -> Result<()> {
        self.sessions.write(|db| runs::finish(db, run, end)).await
    }

    fn holder(&self) -> Value {
        let process = Process::current();
        json!({ "host": process.host, "pid": process.pid, "job_log": self.sessions.id() })
    }

    async fn runs(&self, pipeline: &str, stream: Option<&str>, per_stream: usize) -> Result<Vec<RunRow>> {
        self.sessions.read(|db| runs::newest(db, pipeline, stream, per_stream)).await
    }

    async fn holders(&self, pipeline: &str) -> Result<Vec<Held>> {
        self.sessions.read(|db| leases::all(db, pipeline, self.timing.lost_after)).await
    }

    async fn prepare(&self) -> Result<()> {
        self.sessions.write(Transaction::commit).await
    }

    async fn check(&self) -> Result<String> {
        self.sessions
            .again(|| async {
                let mut session = self.sessions.connect().await?;
                self.check_with(&mut *session).await
            })
            .await
    }
}

/// What to do about a server that takes no writes.
pub(super) const READ_ONLY: &str = "Name the primary in [job_log] `url`, not a replica.";

/// An error of a connection as [job_log] has it: its server, user, password and database are all in one key.
pub(super) fn of_url(error: &Error) -> Error {
    let advice = error.advice().unwrap_or_default();
    let single = ["`hostname`", "`port`", "`username`", "`password`", "`database`"];
    let plain = Error::new(error.kind(), error.message().replace("`hostname`", "the server of `url`"));
    match single.iter().any(|key| advice.contains(key)) {
        true => plain.hint("Check the server, user, password and database of [job_log] `url`."),
        false if advice.is_empty() => plain,
        false => plain.hint(advice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_only_sources_have_are_not_named() {
        for error in [
            Error::denied("refused").hint("Set `password` or `password_file`."),
            Error::unavailable("cannot connect").hint("Check `hostname` and `port`."),
            Error::config("`hostname` is not a name that a certificate can have"),
        ] {
            let shown = of_url(&error).to_string();
            assert!(!shown.contains("`hostname`") && !shown.contains("password_file"), "{shown}");
            assert!(shown.contains("`url`"), "{shown}");
        }
    }
}
