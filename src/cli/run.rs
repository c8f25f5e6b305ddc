//! `tidemark run`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::summary::Summary;
use super::{Console, args, progress, signals::Signals};
use crate::config::{Config, Environment};
use crate::error::{Error, Result};
use crate::pipeline::{self, Notice, Observer, Request, Stop, StreamReport};
use crate::record::{Mode, StreamId};

/// The command: runs, sums up in the last line of standard output, gives the exit code. Also a configuration with
/// errors is summed up.
pub(super) async fn command(
    console: &Console,
    config: Result<Config>,
    environment: &Environment,
    wanted: args::Run,
) -> u8 {
    let run_type = if wanted.mode.is_none() { run_type(environment) } else { Ok(None) };
    let request = |run_type| Request {
        streams: wanted.streams,
        mode: wanted.mode,
        run_type,
        take_over: wanted.take_over,
        adopt_destination: wanted.adopt_destination,
    };
    let summary = match run_type.and_then(|run_type| Ok((config?, request(run_type)))) {
        Ok((config, request)) => run(console, config, request).await,
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

/// The mode that `$RUN_TYPE` asks for, as schedulers pass it. Its value is not repeated: it may be meant for another program.
fn run_type(environment: &Environment) -> Result<Option<Mode>> {
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
    let started = Instant::now();
    let pipeline = config.pipeline.get("name").unwrap_or_default().to_owned();
    let ended = Arc::new(Ended { inner: progress::observer(console), reports: Mutex::default() });
    let (stopper, stop) = Stop::new();
    let mut signals = Signals::listen(stopper);
    let observer = ended.clone();
    // A task of its own, so that a panic is an error like others, and has its line.
    let mut running = tokio::spawn(async move { pipeline::run(&config, &request, observer, stop).await });
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
