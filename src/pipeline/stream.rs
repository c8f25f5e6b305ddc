//! One stream from lease to end: recovery, retry, report.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use super::append::{self, Begun};
use super::copy::Ended;
use super::generation;
use super::session::{Session, Totals};
use super::standing::Standing;
use super::{Notice, StreamReport, full, settle};
use crate::backoff::Backoff;
use crate::destination::Writer;
use crate::error::{Error, Kind, Result};
use crate::job_log::{Lease, NewRun, RunEnd, RunState};
use crate::record::{Checkpoint, Commit, Mode, Position, Range, StreamId};
use crate::source::{
    Chunks, Conditions, Consistency, Description, Failures, Listing, Outlook, Reader, Selection, Source, Stream, Wanted,
};

/// The waits before retries.
pub const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60), jitter: 0.25 };
/// Connecting in vain takes less.
const LASTING: Duration = Duration::from_secs(60);

/// Gives the source of an attempt: at 0 the one that the run shares, then a new one.
pub trait Sources: Send + Sync {
    fn source(&self, attempt: u32) -> Result<Arc<dyn Source>>;
}

/// The source of an attempt. What the run shares is asked first, so that a stream that failed for itself is read as of
/// the same moment as the others; only where that serves no more is it read on its own.
pub struct Shared<'a> {
    shared: Arc<dyn Source>,
    /// `None` at the first attempt.
    own: Option<Arc<dyn Source>>,
    /// Whether the stream was read from its beginning in this run.
    is_read: &'a AtomicBool,
}

#[async_trait]
impl Source for Shared<'_> {
    async fn identity(&self) -> Result<Value> {
        self.shared.identity().await
    }

    fn definition(&self, stream: &Stream) -> Result<Value> {
        self.shared.definition(stream)
    }

    async fn streams(&self, selections: &[Selection]) -> Result<Listing> {
        self.shared.streams(selections).await
    }

    async fn describe(&self, stream: &Stream) -> Result<Description> {
        self.shared.describe(stream).await
    }

    async fn conditions(&self, stream: &Stream, after: Option<&Checkpoint>, interval: Duration) -> Result<Conditions> {
        self.shared.conditions(stream, after, interval).await
    }

    async fn chunks(&self, stream: &Stream) -> Result<Chunks> {
        let failure = match (self.shared.chunks(stream).await, &self.own) {
            (Err(failure), Some(_)) if failure.kind().is_retried() => failure,
            (chunks, _) => return chunks,
        };
        let Some(own) = &self.own else { return Err(failure) };
        let mut chunks = own.chunks(stream).await?;
        if chunks.consistency == Consistency::Run {
            let reason = failure.message();
            tracing::warn!(stream = %stream.id, now = now(), reason, "read again as of now");
            chunks.consistency = Consistency::Table;
        }
        Ok(chunks)
    }

    async fn hand_over(&self, stream: &Stream, chunks: Chunks) -> Result<Chunks> {
        self.shared.hand_over(stream, chunks).await
    }

    async fn windows(&self, stream: &Stream, wanted: &Wanted, mark: Option<&Checkpoint>) -> Result<Vec<Range>> {
        self.shared.windows(stream, wanted, mark).await
    }

    async fn outlook(&self, stream: &Stream, ranges: &[Option<Range>], after: Option<&Checkpoint>) -> Result<Outlook> {
        self.shared.outlook(stream, ranges, after).await
    }

    async fn running(&self) -> Result<Option<u64>> {
        self.shared.running().await
    }

    async fn guard(&self, stream: &Stream) -> Result<()> {
        self.shared.guard(stream).await
    }

    async fn open(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        self.is_read.fetch_or(after.is_none(), Ordering::Relaxed);
        let failure = match (self.shared.open(stream, after).await, &self.own) {
            // A snapshot may be this stream's own.
            (Err(failure), Some(_)) if failure.kind().is_retried() || failure.kind() == Kind::Lost => failure,
            (opened, _) => return opened,
        };
        let Some(own) = &self.own else { return Err(failure) };
        let reader = own.open(stream, after).await?;
        if stream.selection.mode == Mode::Full && after.is_none() && stream.range.is_none() {
            let reason = failure.message();
            tracing::warn!(stream = %stream.id, now = now(), reason, "read again as of now");
        }
        Ok(reader)
    }

    fn failures(&self, stream: &Stream, state: &Value) -> Result<Failures> {
        self.shared.failures(stream, state)
    }

    async fn open_failed(&self, stream: &Stream, at: &Checkpoint) -> Result<Box<dyn Reader>> {
        match (self.shared.open_failed(stream, at).await, &self.own) {
            (Err(failure), Some(own)) if failure.kind().is_retried() => own.open_failed(stream, at).await,
            (opened, _) => opened,
        }
    }
}

fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// What an attempt came to.
pub struct Outcome {
    pub ended: Ended,
    pub high_water_mark: Option<String>,
}

/// What a run does, each time from its beginning.
#[async_trait]
pub trait Work: Send + Sync {
    async fn once(&self, session: &mut Session, source: &Shared<'_>, lease: &dyn Lease) -> Result<Outcome>;
}

/// All that a stream's mode asks for.
struct Whole;

#[async_trait]
impl Work for Whole {
    async fn once(&self, session: &mut Session, source: &Shared<'_>, lease: &dyn Lease) -> Result<Outcome> {
        once(session, source, lease).await
    }
}

/// Runs the stream and says how it went. Never fails itself: a failure is in the report.
pub async fn run(mut session: Session, sources: &dyn Sources, retries: u32) -> StreamReport {
    let started = Instant::now();
    let result = leased(&mut session, sources, retries).await;
    let id = session.stream.id.clone();
    report(&session, id, started, result)
}

/// Tells the observer how it went.
pub fn report(session: &Session, id: StreamId, started: Instant, result: Result<Outcome>) -> StreamReport {
    let mut report = StreamReport::new(id, session.opening.mode);
    report.elapsed = started.elapsed();
    report.lag = session.lag().map(|lag| (lag.seconds(Timestamp::now()), lag.bytes));
    Totals { rows: report.rows, bytes: report.bytes, files: report.files } = session.totals();
    match result {
        Ok(outcome) => {
            report.state = if outcome.ended == Ended::AtTheEnd { RunState::Done } else { RunState::Stopped };
            report.error = if outcome.ended == Ended::AtTheEnd { session.partial() } else { None };
            report.high_water_mark = outcome.high_water_mark;
            // Several tables have no one place.
            if let [table] = session.stream.tables.as_slice() {
                let table = session.stream.selection.output_name(table);
                report.location = Some(session.destination.location(&table));
            }
        }
        Err(error) => report.error = Some(error),
    }
    session.notice(Notice::Ended(report.clone()));
    report
}

/// Takes the lease, keeps the run's row, and lets go whatever happens.
async fn leased(session: &mut Session, sources: &dyn Sources, retries: u32) -> Result<Outcome> {
    let stream = session.stream.id.to_string();
    let lease = session.job_log.lease(&session.pipeline, &stream).await?;
    let result = kept(session, stream, sources, &*lease, retries, &Whole).await;
    lease.release().await;
    result
}

/// Does the work under a lease of `stream`, with a row of that name in the job log.
pub async fn kept(
    session: &mut Session,
    stream: String,
    sources: &dyn Sources,
    lease: &dyn Lease,
    retries: u32,
    work: &dyn Work,
) -> Result<Outcome> {
    let mark = session.job_log.mark(&session.pipeline, &stream).await?;
    let run = NewRun {
        run: session.opening.run.clone(),
        pipeline: session.pipeline.clone(),
        stream,
        mode: session.opening.mode,
        low_water_mark: mark.and_then(|mark| mark.position),
    };
    session.job_log.start(&run).await?;
    let result = retried(session, sources, lease, retries, work).await;
    let (state, error) = match &result {
        Ok(Outcome { ended: Ended::AtTheEnd, .. }) => (RunState::Done, session.partial()),
        Ok(_) => (RunState::Stopped, None),
        Err(error) => (RunState::Failed, Some(error.clone())),
    };
    let finished = session.job_log.finish(&run.run, &RunEnd { state, error }).await;
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
async fn retried(
    session: &mut Session,
    sources: &dyn Sources,
    lease: &dyn Lease,
    retries: u32,
    work: &dyn Work,
) -> Result<Outcome> {
    let is_read = AtomicBool::new(false);
    // Attempts are counted over the whole run: only at the first is there nothing but what the run shares.
    let (mut attempt, mut failures) = (0, 0);
    let mut is_lasting = false;
    loop {
        let (before, began) = (session.commits.load(Ordering::Relaxed), Instant::now());
        let own = if attempt == 0 { None } else { Some(sources.source(attempt)?) };
        let source = Shared { shared: sources.source(0)?, own, is_read: &is_read };
        let result = work.once(session, &source, lease).await;
        let has_committed = session.commits.load(Ordering::Relaxed) > before;
        if has_committed {
            failures = 0;
        }
        // A log that was followed for a while is worth waiting for, however long its server takes to come back.
        is_lasting |= session.stream.following.goes_on && (has_committed || began.elapsed() >= LASTING);
        let error = match result {
            Ok(outcome) => return Ok(outcome),
            Err(error) if error.is_retried() && (is_lasting || failures < retries) => error,
            Err(error) => return Err(error),
        };
        (attempt, failures) = (attempt + 1, failures + 1);
        let wait = BACKOFF.wait(failures);
        session.notice(Notice::Retrying { error: error.clone(), wait, attempt: failures });
        // Whatever it waits for, its source's server may be keeping a log for it meanwhile.
        let guarded = async { tokio::join!(tokio::time::sleep(wait), source.guard(&session.stream)).1 };
        let mut stop = session.stop.clone();
        tokio::select! {
            guarded = guarded => guarded?,
            () = stop.requested() => return Err(error),
            lost = lease.lost() => return Err(lost),
        }
    }
}

async fn once(session: &mut Session, source: &Shared<'_>, lease: &dyn Lease) -> Result<Outcome> {
    let load = match session.opening.mode {
        Mode::Full => Some(None),
        Mode::Incremental => load_first(session, source, lease).await?,
        Mode::Cdc => None,
    };
    if let Some(cut) = load {
        let mut writer = open(session).await?;
        let loaded = full::load(session, source, &mut *writer, lease, cut).await;
        let outcome = ended(session, source, writer, loaded).await?;
        // A load leaves the last rows of its bound to the stream where others may still come among them.
        if session.opening.mode == Mode::Full || outcome.ended == Ended::Stopped {
            return Ok(outcome);
        }
    }
    let shown = |position: Option<Position>| position.map(|position| position.to_string());
    match append::begin(session, source, lease).await? {
        Begun::Open(mut writer, mut reader, _permit) => {
            let copied = append::copy(session, source, &mut *reader, &mut *writer, lease).await;
            ended(session, source, writer, copied).await
        }
        Begun::NothingNew(position) => Ok(Outcome { ended: Ended::AtTheEnd, high_water_mark: shown(position) }),
        Begun::Stopped(position) => Ok(Outcome { ended: Ended::Stopped, high_water_mark: shown(position) }),
    }
}

/// What a writer has come to, which is done with.
async fn ended(
    session: &Session,
    source: &Shared<'_>,
    writer: Box<dyn Writer>,
    result: Result<Ended>,
) -> Result<Outcome> {
    let high_water_mark = writer.last().position.as_ref().map(ToString::to_string);
    match &result {
        Ok(Ended::AtTheEnd) => warn_of_earlier_rows(session, source, high_water_mark.as_deref()),
        Ok(Ended::Stopped) | Err(_) => writer.abort().await,
    }
    result.map(|ended| Outcome { ended, high_water_mark })
}

/// Whether an incremental stream is to be loaded before it can grow: anew, to its end, or for the first time where the
/// source has it in pieces, which come with the answer.
async fn load_first(session: &mut Session, source: &dyn Source, lease: &dyn Lease) -> Result<Option<Option<Chunks>>> {
    if session.is_refresh() {
        return Ok(Some(None));
    }
    match Standing::of(newest(session).await?.as_ref()) {
        Standing::Loading(_) => Ok(Some(None)),
        Standing::At(_) => Ok(None),
        Standing::Empty => {
            let cut = full::cut(session, source, lease).await?;
            Ok(cut.filter(Chunks::are_several).map(Some))
        }
    }
}

/// Opens the stream, and brings the job log up to its fence.
///
/// A destination that is behind is refused before anything is written there; a stranger's stream, by the opening, before
/// the job log hears anything of it.
pub async fn open(session: &mut Session) -> Result<Box<dyn Writer>> {
    let found = look(session).await?;
    let writer = session.destination.open(&session.stream.id, &session.opening).await?;
    if found.is_behind {
        let (pipeline, stream) = (&session.pipeline, session.stream.id.to_string());
        tracing::warn!(stream, "the job log forgets what the destination does not hold");
        session.job_log.forget(pipeline, &stream).await?;
    }
    settle::catch_up(session, writer.last()).await?;
    Ok(writer)
}

/// The newest entry of a destination that is not behind the job log; `None` where there is none, or it is to be opened
/// in any case.
pub async fn newest(session: &mut Session) -> Result<Option<Commit>> {
    let found = look(session).await?;
    Ok(found.newest.filter(|_| !found.is_behind))
}

/// What a destination has of the stream.
struct Found {
    newest: Option<Commit>,
    /// It has less than the job log knows of, and is to be believed all the same.
    is_behind: bool,
}

/// Refuses a destination that is behind the job log, unless the request says otherwise.
async fn look(session: &mut Session) -> Result<Found> {
    let mark = session.job_log.mark(&session.pipeline, &session.stream.id.to_string()).await?;
    session.opening.after = mark.as_ref().map(|mark| mark.seq);
    let newest = session.destination.last(&session.stream.id, session.opening.after).await?;
    let behind = settle::refuse_behind(mark.as_ref(), newest.as_ref()).err();
    match behind {
        None => Ok(Found { newest, is_behind: false }),
        Some(_) if session.adopt_destination => {
            session.opening.after = None;
            Ok(Found { newest, is_behind: true })
        }
        Some(behind) => Err(behind),
    }
}

/// Says so where a full load was read to its end by an earlier run, and only published by this one, at `mark`.
fn warn_of_earlier_rows(session: &Session, source: &Shared<'_>, mark: Option<&str>) {
    if session.opening.mode != Mode::Full || source.is_read.load(Ordering::Relaxed) {
        return;
    }
    let earlier = mark.and_then(generation::moment).unwrap_or_default();
    tracing::warn!(stream = %session.stream.id, now = now(), "published as an earlier run read it, at {earlier}");
}

/// A report of a stream that failed before it could begin.
pub fn failed(mut report: StreamReport, error: Error) -> StreamReport {
    report.error = Some(error);
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Section;
    use crate::record::Event;
    use crate::source::STREAM_KEYS;

    /// Opens as it is told; a reader's first checkpoint names it.
    struct Told(&'static str, Option<Error>);

    #[async_trait]
    impl Source for Told {
        async fn identity(&self) -> Result<Value> {
            Ok(Value::Null)
        }

        async fn streams(&self, _: &[Selection]) -> Result<Listing> {
            Ok(Listing::default())
        }

        async fn describe(&self, _: &Stream) -> Result<Description> {
            Err(Error::bug("not asked for"))
        }

        async fn open(&self, _: &Stream, _: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
            match &self.1 {
                Some(error) => Err(error.clone()),
                None => Ok(Box::new(Named(self.0))),
            }
        }
    }

    struct Named(&'static str);

    #[async_trait]
    impl Reader for Named {
        async fn next(&mut self) -> Result<Option<Event>> {
            Ok(Some(Event::Checkpoint(Position::new(self.0.into()).into())))
        }
    }

    /// Who serves a stream, where what the run shares answers so.
    async fn server(shared: Option<Error>, attempt: u32) -> Result<String> {
        let keys = STREAM_KEYS.iter().collect();
        let section = Section::of_keys("stream s", keys, &[("table", "t")]).unwrap();
        let selection = Arc::new(Selection::of("s", &section, Some(Mode::Full)).unwrap());
        let stream = Stream {
            id: StreamId::new("s"),
            selection,
            tables: vec!["t".to_owned()],
            estimate: None,
            range: None,
            following: crate::source::Following::default(),
        };
        let is_read = AtomicBool::new(false);
        let own = (attempt > 0).then(|| Arc::new(Told("own", None)) as Arc<dyn Source>);
        let source = Shared { shared: Arc::new(Told("shared", shared)), own, is_read: &is_read };
        let event = source.open(&stream, None).await?.next().await?;
        assert!(is_read.load(Ordering::Relaxed));
        match event {
            Some(Event::Checkpoint(at)) => Ok(at.position.as_value().as_str().unwrap().to_owned()),
            _ => Err(Error::bug("no checkpoint")),
        }
    }

    #[tokio::test]
    async fn what_the_run_shares_is_asked_first() {
        assert_eq!(server(None, 0).await.unwrap(), "shared");
        assert_eq!(server(None, 1).await.unwrap(), "shared");
        assert_eq!(server(Some(Error::unavailable("gone")), 1).await.unwrap(), "own");
        for (error, attempt) in [(Error::unavailable("gone"), 0), (Error::denied("no"), 1)] {
            assert_eq!(server(Some(error.clone()), attempt).await.unwrap_err().kind(), error.kind());
        }
    }
}
