//! What `tidemark run` does: plans the streams of a configuration, runs them side by side, each through the one loop.

mod append;
mod backfill;
mod checks;
mod chunks;
mod columns;
mod copy;
mod definition;
mod full;
mod generation;
mod inspect;
mod job;
mod mask;
mod names;
mod pace;
mod plan;
mod planned;
mod readings;
mod rebuild;
mod record;
mod replay;
mod retry;
mod sequence;
mod session;
mod settle;
mod standing;
mod stop;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

pub use self::backfill::run_windows;
pub use self::columns::OnChange;
pub use self::copy::{Copy, Ended, Ledger, Limits};
pub use self::generation::{full_load_in_words, load_under_way};
pub use self::inspect::{ColumnReport, Finding, check, files};
pub use self::names::{is_meant, is_one_below, refuse_unlisted};
pub use self::pace::Pace;
pub use self::plan::registry;
use self::plan::{Around, Plan};
pub use self::planned::{Planned, PlannedPart, PlannedStream, plan, plan_stream, run_part, run_parts};
pub use self::readings::Readings;
pub use self::rebuild::{Rebuilt, Retold, rebuild};
pub use self::record::{Recorded, record};
pub use self::replay::{Replay, replay};
pub use self::retry::{retry, retry_stream};
pub use self::sequence::{Numbering, SEQ};
pub use self::session::{Session, Totals};
pub use self::stop::{Stop, Stopper};
pub use self::stream::{Sources, run as run_stream};
use crate::config::{Config, StreamSection};
use crate::error::{Error, Result};
use crate::job_log::RunState;
use crate::record::{Lag, Mode, StreamId};
use crate::source::Wanted;

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Names of `[stream]` sections or of their streams; all where empty.
    pub streams: Vec<String>,
    /// In place of the streams' own.
    pub mode: Option<Mode>,
    /// What whoever started the run wants of it where `mode` says nothing: in place of the streams' own, but for change
    /// logs, which know no such choice.
    pub run_type: Option<Mode>,
    /// Open streams that a process with another job log seems to hold.
    pub take_over: bool,
    /// Where the job log knows of more than the destination holds, believe the destination.
    pub adopt_destination: bool,
    /// Load all of it anew, whatever was read before.
    pub full_refresh: bool,
    /// Follow change logs until a stop, in place of their end.
    pub continuous: bool,
    /// Tables of change logs to read from their beginning again.
    pub snapshot: Vec<String>,
    /// Where a change log begins, by its `from`. Or: read a part of the cursor again, in place of what is new.
    pub backfill: Option<Wanted>,
}

impl Request {
    /// The mode of a section in place of its own.
    fn mode_of(&self, section: &StreamSection) -> Option<Mode> {
        let asked = self.asked(section);
        let own = section.section.get("mode").and_then(Mode::parse);
        // All of an incremental stream is a load that it goes on from.
        if asked == Some(Mode::Full) && own == Some(Mode::Incremental) { own } else { asked }
    }

    fn asked(&self, section: &StreamSection) -> Option<Mode> {
        let is_change_log = section.section.get("mode") == Some(Mode::Cdc.name());
        self.mode.or(if is_change_log { None } else { self.run_type })
    }

    /// Whether the stream is to be loaded anew.
    fn refreshes(&self, section: &StreamSection) -> bool {
        self.full_refresh || (self.asked(section) == Some(Mode::Full) && self.mode_of(section) != Some(Mode::Full))
    }
}

/// Hears what happens, from several tasks at once. Must return at once.
pub trait Observer: Send + Sync {
    fn notice(&self, stream: &StreamId, notice: Notice);
}

#[derive(Debug, Clone)]
pub enum Notice {
    /// The stream is going to be run.
    Planned {
        estimate: Option<u64>,
        mode: Mode,
    },
    /// Rows that were read so far, their size in memory, and how far that is behind a change log.
    Progress {
        rows: u64,
        bytes: u64,
        lag: Option<Lag>,
    },
    /// What is committed so far: rows, bytes of files, files.
    Committed {
        rows: u64,
        bytes: u64,
        files: u64,
    },
    /// A failure that may pass.
    Retrying {
        error: Error,
        wait: Duration,
        attempt: u32,
    },
    Ended(StreamReport),
}

/// How a stream's run ended.
#[derive(Debug, Clone)]
pub struct StreamReport {
    pub stream: StreamId,
    pub mode: Mode,
    pub state: RunState,
    pub rows: u64,
    pub bytes: u64,
    pub files: u64,
    /// As JSON text.
    pub high_water_mark: Option<String>,
    /// How far a stream of changes was behind its source in the end, in seconds and bytes of its log.
    pub lag: Option<(u64, Option<u64>)>,
    pub elapsed: Duration,
    pub error: Option<Error>,
    /// The folder of the stream's table.
    pub location: Option<String>,
    /// What nobody may have meant, though all went well.
    pub note: Option<&'static str>,
}

impl StreamReport {
    /// A run that has come to nothing so far.
    fn new(stream: StreamId, mode: Mode) -> Self {
        Self {
            stream,
            mode,
            state: RunState::Failed,
            rows: 0,
            bytes: 0,
            files: 0,
            high_water_mark: None,
            lag: None,
            elapsed: Duration::ZERO,
            error: None,
            location: None,
            note: None,
        }
    }
}

/// Runs the streams that `request` names. A stream that fails does not stop the others: its error is in its report.
///
/// Fails itself for what concerns no single stream: a stream that is not there, a job log that cannot be opened.
pub async fn run(
    config: &Config,
    request: &Request,
    observer: Arc<dyn Observer>,
    stop: Stop,
) -> Result<Vec<StreamReport>> {
    run_plan(&Plan::of(config, request)?, observer, stop).await
}

async fn run_plan(plan: &Plan<'_>, observer: Arc<dyn Observer>, stop: Stop) -> Result<Vec<StreamReport>> {
    let around = Around { job_log: plan.job_log().await?, observer, stop };
    let (jobs, mut reports) = plan.jobs(&around).await;
    if let Some(wanted) = &plan.request.backfill {
        // One after the other: the windows of each are read side by side.
        for job in jobs {
            reports.push(if is_beginning(&job, wanted) { job.run().await } else { backfill::run(job, wanted).await });
        }
        reports.sort_by(|a, b| a.stream.cmp(&b.stream));
        return Ok(reports);
    }
    for job in &jobs {
        job.announce();
    }
    let running = futures_util::stream::iter(jobs.into_iter().map(|job| job.run())).buffer_unordered(plan.parallel);
    reports.extend(running.collect::<Vec<_>>().await);
    reports.sort_by(|a, b| a.stream.cmp(&b.stream));
    Ok(reports)
}

/// Whether what is wanted is the place where a change log begins.
fn is_beginning(job: &job::Job, wanted: &Wanted) -> bool {
    job.session.opening.mode == Mode::Cdc && wanted.until.is_none() && wanted.step.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Section;

    #[test]
    fn change_logs_know_no_run_type() {
        let mode_of = |own: &str, mode, run_type| {
            let keys = crate::source::STREAM_KEYS.iter().collect();
            let section = Section::of_keys("stream s", keys, &[("mode", own)]).unwrap();
            let (name, source, destination) = ("s".to_owned(), String::new(), String::new());
            let request = Request { mode, run_type, ..Request::default() };
            request.mode_of(&StreamSection { name, source, destination, section })
        };
        let incremental = Some(Mode::Incremental);
        assert_eq!(mode_of("full", None, incremental), incremental);
        // It is loaded anew, and stays what it is.
        assert_eq!(mode_of("incremental", None, Some(Mode::Full)), incremental);
        assert_eq!(mode_of("cdc", None, incremental), None);
        assert_eq!(mode_of("cdc", Some(Mode::Full), incremental), Some(Mode::Full));
        assert_eq!(mode_of("full", None, None), None);
    }
}
