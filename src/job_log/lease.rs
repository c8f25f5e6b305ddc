//! Taking and keeping a lease, the same for every kind of job log: who may take it, how it is kept alive, how its loss
//! is noticed. The table itself is behind [`Leases`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::process::{Life, Process, Token};
use super::{Held, Timing};
use crate::error::{Error, Result};

/// A row of the table `job_log_lease`.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub pipeline: String,
    pub stream: String,
    pub token: String,
    pub process: Process,
    pub taken_at: String,
    pub heartbeat_at: String,
}

/// The table of leases of one job log.
#[async_trait]
pub(super) trait Leases: Send + Sync {
    /// Writes `row` where none stands for its stream, or where the one that stands is not alive by
    /// [`Row::conflict`]; in one step against all other takers. Returns a moment that is not after the time it wrote.
    async fn take(&self, row: Row) -> Result<Instant>;

    /// Renews `heartbeat_at` of the row with the token; `false` if there is none.
    async fn beat(&self, row: &Row) -> Result<bool>;

    /// Deletes the row with the token, if it is there.
    async fn release(&self, row: &Row) -> Result<()>;
}

impl Row {
    fn new(pipeline: &str, stream: &str, token: &Token) -> Self {
        let now = super::now();
        Self {
            pipeline: pipeline.to_owned(),
            stream: stream.to_owned(),
            token: token.as_str().to_owned(),
            process: Process::current(),
            taken_at: now.clone(),
            heartbeat_at: now,
        }
    }

    /// Why `self`, standing in the table, keeps others out at the time `now`; `None` where it does not.
    pub fn conflict(&self, now: Timestamp, lost_after: Duration) -> Option<Error> {
        let held = self.seen(now, lost_after);
        if !held.alive {
            return None;
        }
        let (host, pid) = (&held.host, held.pid);
        let who = match self.process.life(&Process::current()) {
            Life::Ours => "this process".to_owned(),
            _ => format!("process {pid} on {host}"),
        };
        let error = Error::conflict(format!(
            "stream {} is being run by {who} since {} ({})",
            self.stream, self.taken_at, held.why
        ));
        Some(match self.process.life(&Process::current()) {
            Life::Ours => error.hint("Name the stream once."),
            Life::OutOfSight => error.hint(format!(
                "Wait until it ends, or stop it (`kill {pid}` on {host}). If that machine is gone, the stream is free \
                 {} s after its last heartbeat.",
                lost_after.as_secs()
            )),
            _ => error.hint(format!("Wait until it ends, or stop it: `kill {pid}`.")),
        })
    }

    /// The row as others see it at the time `now`.
    pub fn seen(&self, now: Timestamp, lost_after: Duration) -> Held {
        let (alive, why) = self.life(now, lost_after);
        Held {
            stream: self.stream.clone(),
            host: self.process.host.clone(),
            pid: self.process.pid,
            since: self.taken_at.clone(),
            heartbeat_at: self.heartbeat_at.clone(),
            alive,
            why,
        }
    }

    fn life(&self, now: Timestamp, lost_after: Duration) -> (bool, String) {
        let pid = self.process.pid;
        match self.process.life(&Process::current()) {
            Life::Ours if Token::is_live(&self.token) => (true, "it is running in this process".to_owned()),
            Life::Ours => (false, "this process has released it".to_owned()),
            Life::Lives => (true, format!("process {pid} is alive")),
            Life::Ended => (false, format!("process {pid} has ended")),
            Life::OutOfSight => {
                // A time that cannot be read is no sign of life.
                let silent =
                    self.heartbeat_at.parse::<Timestamp>().map_or(i64::MAX, |at| now.duration_since(at).as_secs());
                let alive = silent < i64::try_from(lost_after.as_secs()).unwrap_or(i64::MAX);
                (alive, format!("last heartbeat {} s ago", silent.max(0)))
            }
        }
    }
}

/// A lease that this process holds.
pub(super) struct Lease {
    leases: Arc<dyn Leases>,
    row: Row,
    _token: Token,
    lost: watch::Receiver<Option<Error>>,
    heartbeat: Option<JoinHandle<()>>,
    released: bool,
}

/// Takes the lease of a stream and keeps it alive until it is released or dropped.
pub(super) async fn take(
    leases: Arc<dyn Leases>,
    pipeline: &str,
    stream: &str,
    timing: Timing,
) -> Result<Box<dyn super::Lease>> {
    let token = Token::new();
    let row = Row::new(pipeline, stream, &token);
    let (report, lost) = watch::channel(None);
    // Made before the row is: if the caller goes away in between, dropping it deletes the row.
    let mut lease =
        Lease { leases: leases.clone(), row: row.clone(), _token: token, lost, heartbeat: None, released: false };
    let taken = leases.take(row.clone()).await?;
    lease.heartbeat = Some(tokio::spawn(keep_alive(leases, row, timing, taken, report)));
    Ok(Box::new(lease))
}

async fn keep_alive(
    leases: Arc<dyn Leases>,
    row: Row,
    timing: Timing,
    taken: Instant,
    report: watch::Sender<Option<Error>>,
) {
    let mut ticks = tokio::time::interval(timing.heartbeat_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Counted from before the heartbeat was sent: when it was written, between then and its answer, only the log knows.
    let mut renewed = taken;
    let patience = timing.patience();
    loop {
        ticks.tick().await;
        let sent = Instant::now();
        let beat = tokio::time::timeout_at(renewed + patience, leases.beat(&row)).await;
        let why = match beat.unwrap_or_else(|_| Err(Error::unavailable("the job log does not answer"))) {
            Ok(true) => {
                renewed = sent;
                continue;
            }
            Ok(false) => "it was taken over, or its row in the job log was deleted".to_owned(),
            Err(error) if renewed.elapsed() < patience => {
                tracing::warn!(stream = row.stream, "the lease could not be renewed: {}", error.message());
                continue;
            }
            Err(error) => format!("it could not be renewed: {}", error.message()),
        };
        let error = Error::conflict(format!("stream {}: the lease is lost: {why}", row.stream))
            .hint("See who runs it with `tidemark status`; what this run committed stands.");
        report.send_replace(Some(error));
        return;
    }
}

#[async_trait]
impl super::Lease for Lease {
    async fn lost(&self) -> Error {
        // Each waiter has a receiver of its own: chunks wait side by side.
        let mut lost = self.lost.clone();
        match lost.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(error)) => error.clone(),
            // The heartbeat ended without a report: the runtime is going down, and nobody keeps the lease.
            _ => Error::conflict(format!("stream {}: the lease is no longer renewed", self.row.stream)),
        }
    }

    async fn release(mut self: Box<Self>) {
        self.stop();
        self.released = true;
        if let Err(error) = self.leases.release(&self.row).await {
            tracing::warn!(stream = self.row.stream, "the lease could not be released: {}", error.message());
        }
    }
}

impl Lease {
    fn stop(&mut self) {
        if let Some(heartbeat) = self.heartbeat.take() {
            heartbeat.abort();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.stop();
        // Best effort: whoever finds the row sees by the process, or by its silence, that nobody holds it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && !self.released
        {
            let (leases, row) = (self.leases.clone(), self.row.clone());
            runtime.spawn(async move { drop(leases.release(&row).await) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elsewhere(heartbeat_at: &str) -> Row {
        let mut row = Row::new("p", "orders", &Token::new());
        row.process.boot_id = Some("another machine".to_owned());
        row.process.host = "db7".to_owned();
        row.process.pid = 4242;
        row.taken_at = "2026-01-01T00:00:00.000000Z".to_owned();
        row.heartbeat_at = heartbeat_at.to_owned();
        row
    }

    #[test]
    fn a_silent_holder_elsewhere_is_lost_after_its_time() {
        let row = elsewhere("2026-01-01T00:01:00.000000Z");
        let at = |text: &str| row.conflict(text.parse().unwrap(), Duration::from_secs(60));
        let error = at("2026-01-01T00:01:59Z").unwrap();
        assert_eq!(
            error.to_string(),
            "stream orders is being run by process 4242 on db7 since 2026-01-01T00:00:00.000000Z (last heartbeat \
             59 s ago)\n  Wait until it ends, or stop it (`kill 4242` on db7). If that machine is gone, the stream is \
             free 60 s after its last heartbeat."
        );
        assert!(at("2026-01-01T00:02:00Z").is_none());
    }

    #[test]
    fn a_holder_here_is_judged_by_its_token() {
        let now = Timestamp::now();
        let token = Token::new();
        let row = Row::new("p", "orders", &token);
        assert!(row.conflict(now, Duration::ZERO).unwrap().message().contains("this process"));
        drop(token);
        assert!(row.conflict(now, Duration::ZERO).is_none());
    }
}
