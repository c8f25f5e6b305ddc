//! A backfill: windows of an incremental stream's cursor, read again without moving its mark.
//!
//! Each window is a sub-stream with a log of its own, and what is in it counts from its commits on. Its rows have one number
//! that an entry of the stream keeps free for it: they are newer than what the stream has delivered so far, and older than
//! what it will.

use std::time::Instant;

use async_trait::async_trait;
use uuid::Uuid;

use super::chunks;
use super::copy::Ended;
use super::full::Load;
use super::job::Job;
use super::session::Session;
use super::standing::Standing;
use super::stream::{self, Outcome, Shared, Sources, Work};
use super::{Notice, StreamReport};
use crate::error::{Error, Result};
use crate::job_log::{Lease, NewRun, RunEnd, RunState};
use crate::record::{Commit, Mode, Range, Seal};
use crate::source::Wanted;

/// How many entries are looked through for the same windows, begun earlier.
const LOOKS: u64 = 100;

/// More windows than so many are told before any is read: somebody may have meant another step.
const MANY: usize = 200;

const NO_ROWS: &str = "no rows lie in what was to be read again";

/// Reads the windows of a stream that is ready to run.
pub async fn run(job: Job, wanted: &Wanted) -> StreamReport {
    let Job { session, sources, retries } = job;
    run_windows(session, &sources, retries, wanted).await
}

/// Reads the windows and says how it went. Never fails itself: a failure is in the report.
pub async fn run_windows(mut session: Session, sources: &dyn Sources, retries: u32, wanted: &Wanted) -> StreamReport {
    let started = Instant::now();
    session.notice(Notice::Planned { estimate: None, mode: session.opening.mode });
    let done = backfill(&mut session, sources, retries, wanted).await;
    let shown = session.shown.clone();
    let is_done = matches!(&done, Ok(outcome) if outcome.ended == Ended::AtTheEnd);
    let note = (is_done && session.totals().rows == 0).then_some(NO_ROWS);
    if let Some(note) = note {
        tracing::warn!(stream = %shown, "{note}");
    }
    StreamReport { note, ..stream::report(&session, shown, started, done) }
}

async fn backfill(session: &mut Session, sources: &dyn Sources, retries: u32, wanted: &Wanted) -> Result<Outcome> {
    if session.opening.mode != Mode::Incremental {
        return Err(Error::config(format!("{} is no incremental stream: it has no windows", session.stream.id))
            .hint("`--from`, `--until` and `--step` are for streams with `mode = incremental`; `--from` alone is for change logs too."));
    }
    let load = reserved(session, &*sources.source(0)?, wanted).await?;
    session.shown = load.shown(&session.stream.id);
    let name = session.shown.to_string();
    let lease = session.job_log.lease(&session.pipeline, &name).await?;
    let done = stream::kept(session, name, sources, &*lease, retries, &Windows(load)).await;
    lease.release().await;
    done
}

/// The windows, for which the stream's log keeps numbers free: those that were begun earlier, or new ones.
async fn reserved(session: &Session, source: &dyn crate::source::Source, wanted: &Wanted) -> Result<Load> {
    let mut main = session.of_run(Uuid::now_v7().to_string());
    let lease = main.job_log.lease(&main.pipeline, &main.stream.id.to_string()).await?;
    let reserved = under_lease(&mut main, source, wanted, &*lease).await;
    lease.release().await;
    reserved
}

async fn under_lease(
    main: &mut Session,
    source: &dyn crate::source::Source,
    wanted: &Wanted,
    lease: &dyn Lease,
) -> Result<Load> {
    let newest = stream::newest(main).await?;
    let standing = Standing::of(newest.as_ref());
    if let Standing::Loading(load) = &standing {
        let begun = load.moment().unwrap_or_default();
        return Err(Error::conflict(format!("its first load, begun at {begun}, has not come to its end"))
            .hint(format!("Run it to its end first: tidemark run {}", main.stream.id.name())));
    }
    let mark = standing.checkpoint();
    let windows = tokio::select! {
        windows = source.windows(&main.stream, wanted, mark.as_ref()) => windows?,
        lost = lease.lost() => return Err(lost),
    };
    if let Some(newest) = &newest
        && let Some(begun) = begun(main, newest, &windows).await?
    {
        return Ok(begun);
    }
    tell_many(main, windows.len());
    let run = NewRun {
        run: main.opening.run.clone(),
        pipeline: main.pipeline.clone(),
        stream: main.stream.id.to_string(),
        mode: main.opening.mode,
        low_water_mark: None,
    };
    main.job_log.start(&run).await?;
    let reserved = reserve(main, windows).await;
    let (state, error) = match &reserved {
        Ok(_) => (RunState::Done, None),
        Err(error) => (RunState::Failed, Some(error.clone())),
    };
    let finished = main.job_log.finish(&run.run, &RunEnd { state, error }).await;
    let reserved = reserved?;
    finished?;
    Ok(reserved)
}

fn tell_many(main: &Session, windows: usize) {
    if windows > MANY {
        tracing::warn!(
            stream = %main.stream.id,
            windows,
            "each of so many windows is read, logged and written into files for itself: a greater `--step` makes fewer. It can be \
             stopped: what is read stays, and the same command goes on"
        );
    }
}

/// The same windows, where they were begun and have not come to their end.
async fn begun(main: &Session, newest: &Commit, windows: &[Range]) -> Result<Option<Load>> {
    for seq in (newest.seq.saturating_sub(LOOKS)..=newest.seq).rev() {
        let entries = main.destination.range(&main.stream.id, seq, seq).await?;
        let Some(entry) = entries.first().filter(|entry| entry.reserves.as_deref() == Some(windows)) else { continue };
        let load = Load::of_windows(entry)?;
        let is_whole = chunks::whole(main, &load).await?.iter().all(|(_, is_whole)| *is_whole);
        return Ok((!is_whole).then_some(load));
    }
    Ok(None)
}

async fn reserve(main: &mut Session, windows: Vec<Range>) -> Result<Load> {
    let mut writer = stream::open(main).await?;
    let last = writer.last();
    let numbers = i64::try_from(windows.len()).unwrap_or(i64::MAX);
    let seal = Seal {
        last_seq: last.last_seq + numbers,
        state: last.state.clone(),
        failures: last.failures.clone(),
        // The stream itself is where it was, so that a run without news need not open it.
        complete: last.position.is_some(),
        reserves: Some(windows),
        ..Seal::at(last.position.clone())
    };
    let committed = writer.commit(seal).await;
    writer.abort().await;
    let commit = committed?;
    main.record(&commit).await?;
    Load::of_windows(&commit)
}

struct Windows(Load);

#[async_trait]
impl Work for Windows {
    async fn once(&self, session: &mut Session, source: &Shared<'_>, lease: &dyn Lease) -> Result<Outcome> {
        let loaded = chunks::load(session, source, lease, &self.0).await?;
        if let Some(windows) = &loaded {
            session.falls_short(chunks::shortfall(&self.0, windows));
        }
        let ended = if loaded.is_some() { Ended::AtTheEnd } else { Ended::Stopped };
        Ok(Outcome { ended, high_water_mark: None })
    }
}
