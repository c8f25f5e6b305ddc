//! The job log: what ran, how far it came, and who may run. A copy of what the destinations know, for people,
//! schedulers and `tidemark status`; it can be lost and rebuilt.
//!
//! A new kind of job log is a folder here and a line in [`with_timing`] and [`place`]; one on a server is a driver for
//! `server`, which has the statements. What every kind must decide alike is written once:
//! what a commit changes in a run's row ([`tally`]), whether a holder lives ([`process`]), how a lease is kept
//! ([`lease`]).

mod failures;
mod lease;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod process;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod server;
pub mod sqlite;
mod tally;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

pub use self::failures::{Failure, Share, partial};
pub use self::tally::Told;
use crate::config::{Key, Kind, Section, Value};
use crate::error::{Error, Result};
use crate::net::tls;
use crate::record::{Commit, Mode};

/// What may stand in `[job_log]`.
pub const KIND: Kind = Kind {
    name: "job_log",
    about: "Where runs, marks and leases are kept.",
    keys: &[KEYS, tls::KEYS],
    stream_keys: &[],
    aliases: &[],
};

const KEYS: &[Key] = &[
    Key::new(
        "url",
        Value::Url,
        "`sqlite:PATH`, one file on a local disk, for the runs of one machine; a relative path is taken from the folder of \
         this file. Or a database for the runs of several: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, or the same with \
         `mysql://` for MySQL and MariaDB. In its password, @ : / ? # % are percent-encoded.",
    )
    .default("sqlite:tidemark.db")
    .secret()
    .example("sqlite:tidemark.db"),
    Key::new("connect_timeout", Value::Duration, "How long connecting to a server may take.").default("10s"),
];

/// The job log that `[job_log]` names, opened for writing.
pub async fn open(section: &Section) -> Result<Arc<dyn JobLog>> {
    let log = of(section)?;
    log.prepare().await?;
    Ok(log)
}

/// The job log that `[job_log]` names. Connects to nothing yet; reading it creates nothing.
pub fn of(section: &Section) -> Result<Arc<dyn JobLog>> {
    with_timing(section, Timing::of_process())
}

/// As [`of`], with durations of tests.
pub fn with_timing(section: &Section, timing: Timing) -> Result<Arc<dyn JobLog>> {
    match scheme(section)? {
        "sqlite" => {
            for key in ["tls", "tls_ca", "tls_cert", "tls_key", "connect_timeout"] {
                if section.is_set(key) {
                    return Err(section.error(key, "is for a job log on a server, not for a file"));
                }
            }
            let path = sqlite::path(section.text("url")?);
            let path = path.map_err(|refusal| section.error("url", refusal).hint(WRITE_A_PATH))?;
            Ok(Arc::new(sqlite::JobLog::new(section.folder().join(path), timing)))
        }
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => Ok(Arc::new(postgres::of(section, timing)?)),
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => Ok(Arc::new(mysql::of(section, timing)?)),
        scheme => Err(unknown(section, scheme)),
    }
}

/// Where the job log is, for people: its URL without user and password.
pub fn place(section: &Section) -> Result<String> {
    match scheme(section)? {
        "sqlite" => Ok(section.text("url")?.to_owned()),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => postgres::place(section),
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => mysql::place(section),
        scheme => Err(unknown(section, scheme)),
    }
}

fn scheme(section: &Section) -> Result<&str> {
    let url = section.text("url")?;
    Ok(url.split_once(':').map_or("", |(scheme, _)| scheme))
}

/// The URL itself may hold a password: only its scheme is shown.
fn unknown(section: &Section, scheme: &str) -> Error {
    section.error("url", format!("has the scheme `{scheme}`, but job logs are kept in {KEPT_IN}")).hint(WRITE_A_PATH)
}

/// Shown as a hint, where nothing is hidden: the value in force may be `sqlite:` itself.
const WRITE_A_PATH: &str = "Write `url = sqlite:tidemark.db`, or any other path.";

/// What this program was built with.
const KEPT_IN: &str = match (cfg!(feature = "postgres"), cfg!(feature = "mysql")) {
    (true, true) => "SQLite, PostgreSQL, MySQL and MariaDB",
    (true, false) => "SQLite and PostgreSQL",
    (false, true) => "SQLite, MySQL and MariaDB",
    (false, false) => "SQLite",
};

/// The key, which must leave time for more than one try while a lease is kept.
#[cfg(any(feature = "mysql", feature = "postgres"))]
fn connect_timeout(section: &Section) -> Result<Duration> {
    let timeout = section.duration("connect_timeout")?;
    match (Duration::from_secs(1)..=Duration::from_secs(15)).contains(&timeout) {
        true => Ok(timeout),
        false => Err(section.error("connect_timeout", "must be between 1 s and 15 s")),
    }
}

/// How often the holder of a lease gives a sign of life.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(10);
/// A holder on another machine that has been silent for this long has lost its lease.
pub const LOST_AFTER: Duration = Duration::from_secs(60);

/// The two durations of a lease; other than the default in tests only.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub heartbeat_every: Duration,
    pub lost_after: Duration,
}

/// For tests of the program: `HEARTBEAT/LOST` in milliseconds, in place of [`HEARTBEAT_EVERY`] and [`LOST_AFTER`], with
/// each process as on a machine of its own, where heartbeats alone tell who lives.
const TEST_LEASE: &str = "TIDEMARK_TEST_LEASE";

/// What [`TEST_LEASE`] says, if it is set.
static TEST_TIMING: LazyLock<Option<Timing>> = LazyLock::new(|| {
    let text = std::env::var(TEST_LEASE).ok()?;
    let millis = |text: &str| text.parse().ok().map(Duration::from_millis);
    let (heartbeat, lost) = text.split_once('/')?;
    // Whoever finds it set where no test is at work is to see why leases end early.
    tracing::warn!("{TEST_LEASE} is set: leases are those of a test, and no other process may keep longer ones");
    Some(Timing { heartbeat_every: millis(heartbeat)?, lost_after: millis(lost)? })
});

impl Timing {
    fn of_process() -> Self {
        TEST_TIMING.unwrap_or_default()
    }

    /// How long a holder that cannot renew its lease counts on it: until one heartbeat before others may take it, so that
    /// there is never a moment with two holders.
    fn patience(self) -> Duration {
        self.lost_after.saturating_sub(self.heartbeat_every)
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self { heartbeat_every: HEARTBEAT_EVERY, lost_after: LOST_AFTER }
    }
}

/// The time now, as every column of a job log has it: RFC 3339, UTC, always with microseconds, so that text order is
/// time order.
fn now() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

/// A time of a commit in the form of [`now`].
fn at(commit: &str) -> String {
    commit.parse::<jiff::Timestamp>().map_or_else(|_| now(), |at| format!("{at:.6}"))
}

/// The version of the tables that was found, 0 for none, and what becomes of them at the version of this program.
fn tables_in_words(found: u64, ours: u64) -> String {
    match found {
        0 => format!("table version {ours}; the first run makes it"),
        _ if found < ours => format!("table version {found}; the next run brings it to {ours}"),
        _ => format!("table version {found}"),
    }
}

/// How an error stands in `error_kind` and `error`.
fn error_columns(error: Option<&Error>) -> (Option<&'static str>, Option<String>) {
    (error.map(|error| error.kind().name()), error.map(ToString::to_string))
}

/// `error` of a run whose process died; its `error_kind` is `unavailable`.
const DIED: &str = "the process died without recording its end";

#[async_trait]
pub trait JobLog: Send + Sync {
    /// Takes the stream for this process. `Kind::Conflict`, naming the holder, while another live process has it.
    /// Held until the lease is released or dropped, or the process dies.
    async fn lease(&self, pipeline: &str, stream: &str) -> Result<Box<dyn Lease>>;

    /// The newest commit of the stream that this log has heard of.
    async fn mark(&self, pipeline: &str, stream: &str) -> Result<Option<Mark>>;

    /// Begins a run: its row appears, in state `running`. Called under the stream's lease: a row of the stream that is
    /// still `running` was left by a process that died, and becomes `failed`. Starting a run again lets it go on, with
    /// its counts as they are.
    async fn start(&self, run: &NewRun) -> Result<()>;

    /// Notes a commit in the row of the run that made it. Idempotent: a commit that is noted already changes nothing.
    ///
    /// Rows and bytes of its parts are added to the run's; a publication sets them to its totals. An entry that tells
    /// only the protocol something (a fence, the beginning of a full load) moves `seq` and the mark and is not counted
    /// as a commit. A run without a row (the log was lost, or the run used another) gets one, in state `stopped`: it
    /// ended at this commit for all that is known. If the commit published or completed what the run was to read, it
    /// is `done`; so is a run whose process died between that commit and its last word. Where requests are open as of the
    /// commit, or the run has set rows aside, it is done as [`Kind::Partial`](crate::error::Kind::Partial).
    ///
    /// The requests that are open as of the stream's newest commit are those of [`JobLog::failures`] that are not closed.
    async fn record(&self, pipeline: &str, stream: &str, commit: &Commit) -> Result<()>;

    /// Notes a run as the destination tells it, where the log knows less of it. Idempotent: a run that is known changes
    /// nothing, and `false` comes back.
    ///
    /// Called under the stream's lease. A run without a row gets one whose times are those of its entries: in state `done`
    /// if the last of them says so, else `stopped`.
    async fn retell(&self, pipeline: &str, stream: &str, run: &Told) -> Result<bool>;

    /// Notes rows and bytes of a run that are safe but not live yet (chunks of a full load), as they stand in all.
    /// Changes a running row only.
    async fn progress(&self, run: &str, rows: u64, bytes: u64) -> Result<()>;

    /// Notes how far the stream is behind its source now, in place of what was noted before. Called under the stream's lease.
    async fn behind(&self, pipeline: &str, stream: &str, seconds: u64, bytes: Option<u64>) -> Result<()>;

    /// How far the pipeline's streams were behind when they last said so, by stream.
    async fn lags(&self, pipeline: &str) -> Result<Vec<Behind>>;

    /// How much of the pipeline's streams came, by stream: of those whose commits tell of requests, or of rows that were set
    /// aside.
    async fn shares(&self, pipeline: &str) -> Result<Vec<Share>>;

    /// The pipeline's failed requests, closed ones too, by stream and time.
    async fn failures(&self, pipeline: &str) -> Result<Vec<Failure>>;

    /// Forgets every commit of the stream, but for runs under way, so that the destination can tell it anew. The runs
    /// stay, with how and when they ended.
    async fn forget(&self, pipeline: &str, stream: &str) -> Result<()>;

    /// Ends a run. One that has no row is left without.
    async fn finish(&self, run: &str, end: &RunEnd) -> Result<()>;

    /// This process and this log, for the destination's fence: `host`, `pid` and `job_log`, which is the same for all
    /// processes that share the log, and known once it has been opened for writing.
    fn holder(&self) -> serde_json::Value;

    /// The newest runs, newest first: of one stream or of all; `per_stream` of each.
    async fn runs(&self, pipeline: &str, stream: Option<&str>, per_stream: usize) -> Result<Vec<RunRow>>;

    /// Who holds the pipeline's streams, living or not, by stream.
    async fn holders(&self, pipeline: &str) -> Result<Vec<Held>>;

    /// Opens the log for writing, and makes it where it is missing.
    async fn prepare(&self) -> Result<()>;

    /// Proves that [`JobLog::prepare`] would do its work, and says in a few words what the log is. Makes nothing that
    /// stays, and changes nothing.
    async fn check(&self) -> Result<String>;
}

/// The right to run a stream, while it lives.
#[async_trait]
pub trait Lease: Send + Sync {
    /// Pends while the lease is held; resolves with `Kind::Conflict` if it was lost, for all who wait, however often
    /// they ask. Cancel safe.
    async fn lost(&self) -> Error;

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

impl RunState {
    pub const ALL: [RunState; 4] = [RunState::Running, RunState::Done, RunState::Stopped, RunState::Failed];

    /// The name in the job log and in the run's JSON line.
    pub fn name(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Done => "done",
            RunState::Stopped => "stopped",
            RunState::Failed => "failed",
        }
    }
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

/// How far a stream was behind its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Behind {
    #[serde(skip)]
    pub stream: String,
    /// The age of the last transaction that it had; 0 at the end of the source's log.
    pub seconds: u64,
    /// What it had not read of the source's log; null where the source does not tell.
    pub bytes: Option<u64>,
    pub measured_at: String,
}

/// A lease as others see it.
#[derive(Debug, Clone, Serialize)]
pub struct Held {
    pub stream: String,
    pub host: String,
    pub pid: u32,
    pub since: String,
    pub heartbeat_at: String,
    pub alive: bool,
    /// Why it counts as living or not.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_was_found_is_told() {
        assert_eq!(tables_in_words(0, 2), "table version 2; the first run makes it");
        assert_eq!(tables_in_words(1, 2), "table version 1; the next run brings it to 2");
        assert_eq!(tables_in_words(2, 2), "table version 2");
    }
}
