//! One stream from lease to end: recovery, retry, report.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::copy::{Copy, Ended};
use super::session::{Account, Session, Totals};
use super::{Notice, StreamReport, full, settle};
use crate::destination::Writer;
use crate::error::{Error, Result};
use crate::job_log::{Lease, NewRun, RunEnd, RunState};
use crate::record::Mode;
use crate::source::Source;

/// The wait before the first retry; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Gives the source of an attempt: the one that the run shares at first, a new one after a failure.
pub trait Sources: Send + Sync {
    fn source(&self, attempt: u32) -> Result<std::sync::Arc<dyn Source>>;
}

/// What an attempt came to.
struct Outcome {
    ended: Ended,
    totals: Totals,
    high_water_mark: Option<String>,
}

/// Runs the stream and says how it went. Never fails itself: a failure is in the report.
pub async fn run(mut session: Session, sources: &dyn Sources, retries: u32) -> StreamReport {
    let started = Instant::now();
    let result = leased(&mut session, sources, retries).await;
    let id = session.stream.id.clone();
    let mode = session.opening.mode;
    let mut report = StreamReport::new(id, mode);
    report.elapsed = started.elapsed();
    match result {
        Ok(outcome) => {
            report.state = if outcome.ended == Ended::AtTheEnd { RunState::Done } else { RunState::Stopped };
            report.rows = outcome.totals.rows;
            report.bytes = outcome.totals.bytes;
            report.files = outcome.totals.files;
            report.high_water_mark = outcome.high_water_mark;
            let table = session.stream.selection.output_name(&session.stream.table);
            report.location = Some(session.destination.location(&table));
        }
        Err(error) => report.error = Some(error),
    }
    session.notice(Notice::Ended(report.clone()));
    report
}

/// Takes the lease, keeps the run's row, and lets go whatever happens.
async fn leased(session: &mut Session, sources: &dyn Sources, retries: u32) -> Result<Outcome> {
    let (pipeline, stream) = (session.pipeline.clone(), session.stream.id.name().to_owned());
    let lease = session.job_log.lease(&pipeline, &stream).await?;
    let mark = session.job_log.mark(&pipeline, &stream).await?;
    let run = NewRun {
        run: session.opening.run.clone(),
        pipeline,
        stream,
        mode: session.opening.mode,
        low_water_mark: mark.and_then(|mark| mark.position),
    };
    session.job_log.start(&run).await?;
    let result = retried(session, sources, &*lease, retries).await;
    let (state, error) = match &result {
        Ok(Outcome { ended: Ended::AtTheEnd, .. }) => (RunState::Done, None),
        Ok(_) => (RunState::Stopped, None),
        Err(error) => (RunState::Failed, Some(error.clone())),
    };
    let finished = session.job_log.finish(&run.run, &RunEnd { state, error }).await;
    lease.release().await;
    match (result, finished) {
        (Ok(outcome), Ok(())) => Ok(outcome),
        // The data stands; a job log that does not say so is still a failure that somebody must hear of.
        (Ok(_), Err(error)) => Err(error.at("the job log could not be brought up to date")),
        (Err(error), _) => Err(error),
    }
}

/// Retry is restart: the same path as after a crash.
///
/// Failures are counted from the last commit on: a stream that is always on has more of them in a year than any number
/// that would end one that comes to nothing.
async fn retried(session: &mut Session, sources: &dyn Sources, lease: &dyn Lease, retries: u32) -> Result<Outcome> {
    // Attempts are counted over the whole run: the source that all streams share is for the first one only.
    let (mut attempt, mut failures) = (0, 0);
    loop {
        let before = session.commits.load(Ordering::Relaxed);
        let result = once(session, sources, lease, attempt).await;
        if session.commits.load(Ordering::Relaxed) > before {
            failures = 0;
        }
        let error = match result {
            Ok(outcome) => return Ok(outcome),
            Err(error) if error.kind().is_retried() && failures < retries => error,
            Err(error) => return Err(error),
        };
        (attempt, failures) = (attempt + 1, failures + 1);
        let wait = wait_before(failures);
        session.notice(Notice::Retrying { error: error.clone(), wait, attempt: failures });
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = session.stop.requested() => return Err(error),
            lost = lease.lost() => return Err(lost),
        }
    }
}

/// Doubles, with up to a quarter off, so that many streams do not come back at the same moment.
pub fn wait_before(attempt: u32) -> Duration {
    let wait = FIRST_WAIT.saturating_mul(1 << (attempt - 1).min(6)).min(LONGEST_WAIT);
    let random = uuid::Uuid::now_v7().as_bytes()[15];
    wait - wait.mul_f64(f64::from(random) / 1024.0)
}

async fn once(session: &mut Session, sources: &dyn Sources, lease: &dyn Lease, attempt: u32) -> Result<Outcome> {
    let source = sources.source(attempt)?;
    let mut writer = open(session).await?;
    let result = match session.opening.mode {
        Mode::Full => full::load(session, &*source, &mut *writer, lease).await,
        Mode::Incremental | Mode::Cdc => append(session, &*source, &mut *writer, lease).await,
    };
    let high_water_mark = writer.last().position.as_ref().map(ToString::to_string);
    match result {
        Ok((ended, totals)) => {
            if ended == Ended::Stopped {
                writer.abort().await;
            }
            Ok(Outcome { ended, totals, high_water_mark })
        }
        Err(error) => {
            writer.abort().await;
            Err(error)
        }
    }
}

/// Opens the stream, and brings the job log up to its fence.
///
/// A destination that is behind is refused before anything is written there; a stranger's stream, by the opening, before
/// the job log hears anything of it.
async fn open(session: &mut Session) -> Result<Box<dyn Writer>> {
    let (pipeline, stream) = (session.pipeline.clone(), session.stream.id.name().to_owned());
    let mut mark = session.job_log.mark(&pipeline, &stream).await?;
    session.opening.after = mark.as_ref().map(|mark| mark.seq);
    let newest = session.destination.last(&session.stream.id, session.opening.after).await?;
    let behind = settle::refuse_behind(mark.as_ref(), newest.as_ref()).err();
    if let Some(behind) = &behind {
        if !session.adopt_destination {
            return Err(behind.clone());
        }
        session.opening.after = None;
    }
    let writer = session.destination.open(&session.stream.id, &session.opening).await?;
    if behind.is_some() {
        tracing::warn!(%stream, "the job log forgets what the destination does not hold");
        session.job_log.forget(&pipeline, &stream).await?;
        mark = None;
    }
    settle::catch_up(session, mark.as_ref(), writer.last()).await?;
    Ok(writer)
}

/// A stream that grows: everything after the last commit.
async fn append(
    session: &Session,
    source: &dyn Source,
    writer: &mut dyn Writer,
    lease: &dyn Lease,
) -> Result<(Ended, Totals)> {
    let position = writer.last().position.clone();
    let mut reader = source.open(&session.stream, position.as_ref()).await?;
    let mut account = Account::new(session, Totals::default(), false);
    let copy = Copy {
        reader: &mut *reader,
        writer,
        lease,
        ledger: &mut account,
        limits: session.limits,
        mode: session.opening.mode,
        stop: session.stop.clone(),
    };
    let ended = copy.run().await?;
    Ok((ended, account.totals))
}

/// A report of a stream that failed before it could begin.
pub fn failed(mut report: StreamReport, error: Error) -> StreamReport {
    report.error = Some(error);
    report
}
