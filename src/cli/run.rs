//! `tidemark run`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::summary::Summary;
use super::{Console, args, progress, signals::Signals};
use crate::config::{Config, Environment};
use crate::error::{Error, Result};
use crate::pipeline::{self, Notice, Observer, Planned, Replay, Request, Stop, StreamReport};
use crate::record::{Mode, StreamId};
use crate::source::Wanted;

/// The command: runs, sums up in the last line of standard output, gives the exit code. Also a configuration with
/// errors is summed up.
pub(super) async fn command(
    console: &Console,
    config: Result<Config>,
    environment: &Environment,
    wanted: args::Run,
) -> u8 {
    summed_up(console, What::of(wanted, environment).and_then(|what| Ok((config?, what)))).await
}

/// The command `tidemark retry`, which sums up as a run does.
pub(super) async fn retry(console: &Console, config: Result<Config>, wanted: args::Retry) -> u8 {
    summed_up(console, config.map(|config| (config, What::Failed(wanted.streams)))).await
}

async fn summed_up(console: &Console, wanted: Result<(Config, What)>) -> u8 {
    let summary = match wanted {
        Ok((config, what)) => run_what(console, config, what).await,
        Err(error) => {
            console.error(&error);
            Summary::failed(None, &error, Duration::ZERO)
        }
    };
    if console.out_is_terminal() && !summary.streams.is_empty() {
        console.print(&format!("\n{}\n", summary.table()));
    }
    console.print(&summary.json());
    summary.exit_code
}

/// What is to be run.
enum What {
    Streams(Request),
    /// Out of a file, into a folder.
    Replay(Request, Replay),
    Parts(Planned, BTreeSet<usize>),
    /// What failed of these streams.
    Failed(Vec<String>),
}

impl What {
    fn of(wanted: args::Run, environment: &Environment) -> Result<Self> {
        let replay = replay_of(&wanted)?;
        if let (Some(file), Some(args::Parts(numbers))) = (&wanted.plan, wanted.part) {
            return Ok(What::Parts(read_plan(file)?, numbers));
        }
        let request = Request {
            streams: wanted.streams,
            mode: wanted.mode,
            run_type: if wanted.mode.is_none() { run_type(environment)? } else { None },
            take_over: wanted.take_over,
            adopt_destination: wanted.adopt_destination,
            full_refresh: wanted.full_refresh,
            continuous: wanted.continuous,
            snapshot: wanted.snapshot,
            backfill: wanted_window(wanted.from, wanted.until, wanted.step),
        };
        Ok(match replay {
            Some(replay) => What::Replay(request, replay),
            None => What::Streams(request),
        })
    }
}

fn replay_of(wanted: &args::Run) -> Result<Option<Replay>> {
    let Some(file) = wanted.replay.clone() else { return Ok(None) };
    let into = wanted.into.clone().ok_or_else(|| {
        Error::config("--replay needs --into DIR").hint(
            "What is read out of a recording goes into a folder of its own, so that it is never delivered as real: name a new one.",
        )
    })?;
    Ok(Some(Replay { file, into, faults: wanted.faults.clone() }))
}

fn wanted_window(from: Option<String>, until: Option<String>, step: Option<String>) -> Option<Wanted> {
    let is_wanted = from.is_some() || until.is_some() || step.is_some();
    is_wanted.then_some(Wanted { from, until, step })
}

/// Reads a plan from a file, or from standard input where that is `-`.
fn read_plan(file: &Path) -> Result<Planned> {
    let (text, name) = match file == Path::new("-") {
        true => (std::io::read_to_string(std::io::stdin()), "standard input".to_owned()),
        false => (std::fs::read_to_string(file), file.display().to_string()),
    };
    let text = text.map_err(|error| Error::config(format!("the plan cannot be read: {name}: {error}")))?;
    Planned::parse(&text, &name)
}

/// The mode that `$RUN_TYPE` asks for, as schedulers pass it. Its value is not repeated: it may be meant for another program.
pub(super) fn run_type(environment: &Environment) -> Result<Option<Mode>> {
    match environment.get("RUN_TYPE") {
        None if !environment.names().any(|name| name == "RUN_TYPE") => Ok(None),
        Some("") => Ok(None),
        Some("full") => Ok(Some(Mode::Full)),
        Some("incremental") => Ok(Some(Mode::Incremental)),
        _ => Err(Error::config("RUN_TYPE: must be `full` or `incremental`, or empty")
            .hint("It stands in place of --mode. If it is another program's, name the mode with --mode, or unset it.")),
    }
}

/// Runs with progress on the console, until the streams have ended or signals have.
pub async fn run(console: &Console, config: Config, request: Request) -> Summary {
    run_what(console, config, What::Streams(request)).await
}

async fn run_what(console: &Console, config: Config, what: What) -> Summary {
    let started = Instant::now();
    let pipeline = config.pipeline.get("name").unwrap_or_default().to_owned();
    let ended = Arc::new(Ended { inner: progress::observer(console), reports: Mutex::default() });
    let (stopper, stop) = Stop::new();
    let mut signals = Signals::listen(stopper);
    let observer = ended.clone();
    // A task of its own, so that a panic is an error like others, and has its line.
    let mut running = tokio::spawn(async move {
        match what {
            What::Streams(request) => pipeline::run(&config, &request, observer, stop).await,
            What::Replay(request, replay) => pipeline::replay(config, &request, &replay, observer, stop).await,
            What::Failed(streams) => pipeline::retry(&config, &streams, observer, stop).await,
            What::Parts(planned, numbers) => pipeline::run_parts(&config, &planned, &numbers, observer, stop).await,
        }
    });
    let result = tokio::select! {
        result = &mut running => result.unwrap_or_else(|panic| Err(panicked(&panic))),
        signal = signals.second() => {
            running.abort();
            return Summary::killed(&pipeline, &ended.reports(), started.elapsed(), signal);
        }
    };
    match result {
        Ok(reports) => Summary::of(&pipeline, &reports, started.elapsed(), signals.first()),
        Err(error) => {
            console.error(&error);
            Summary::failed(Some(&pipeline), &error, started.elapsed())
        }
    }
}

fn panicked(panic: &tokio::task::JoinError) -> Error {
    tracing::debug!("{panic}");
    Error::bug("internal error").hint("Please report it with the log lines above.")
}

/// Keeps the reports of the streams that have ended, for the case that the run cannot give them.
struct Ended {
    inner: Arc<dyn Observer>,
    reports: Mutex<Vec<StreamReport>>,
}

impl Ended {
    fn reports(&self) -> Vec<StreamReport> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observer for Ended {
    fn notice(&self, stream: &StreamId, notice: Notice) {
        if let Notice::Ended(report) = &notice {
            self.reports.lock().unwrap_or_else(PoisonError::into_inner).push(report.clone());
        }
        self.inner.notice(stream, notice);
    }
}
