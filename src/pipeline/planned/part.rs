//! Running parts of a plan.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use uuid::Uuid;

use super::super::chunks;
use super::super::copy::Ended;
use super::super::full::Load;
use super::super::generation::Generation;
use super::super::plan::{Around, Plan};
use super::super::session::Session;
use super::super::stream::{self, Outcome, Shared, Sources, Work};
use super::super::{Notice, Observer, Request, Stop, StreamReport};
use super::begin::Begin;
use super::main_log::{self, MainLog, Standing};
use super::{Planned, PlannedPart, PlannedStream, new_plan};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::job_log::Lease;
use crate::record::{Mode, StreamId};

/// Runs parts of a plan, by their numbers. A part that fails does not stop the others: its error is in its report.
pub async fn run_parts(
    config: &Config,
    planned: &Planned,
    numbers: &BTreeSet<usize>,
    observer: Arc<dyn Observer>,
    stop: Stop,
) -> Result<Vec<StreamReport>> {
    planned.refuse_stranger(config.pipeline.text("name")?)?;
    let parts = numbers.iter().map(|number| planned.part(*number)).collect::<Result<Vec<_>>>()?;
    let job_log = crate::job_log::open(&config.job_log).await?;
    let around = Around { job_log, observer, stop };
    let mut reports = Vec::new();
    let modes = [Mode::Full, Mode::Incremental, Mode::Cdc];
    for mode in modes {
        let parts: Vec<_> = parts.iter().filter(|(_, part)| part.mode == mode).copied().collect();
        if !parts.is_empty() {
            reports.extend(run_of_mode(config, planned, &parts, &around).await?);
        }
    }
    reports.sort_by(|a, b| a.stream.cmp(&b.stream));
    Ok(reports)
}

async fn run_of_mode(
    config: &Config,
    planned: &Planned,
    parts: &[(&PlannedStream, &PlannedPart)],
    around: &Around,
) -> Result<Vec<StreamReport>> {
    let streams: BTreeSet<_> = parts.iter().map(|(_, part)| part.stream.clone()).collect();
    let mode = parts.first().map(|(_, part)| part.mode);
    let request = Request { streams: streams.into_iter().collect(), mode, ..Request::default() };
    let plan = Plan::of(config, &request)?;
    let (jobs, mut reports) = plan.jobs(around).await;
    let mut running: Vec<BoxFuture<'_, StreamReport>> = Vec::new();
    let are_all_there = reports.is_empty();
    for (of, part) in parts {
        let job = jobs.iter().find(|job| job.session.stream.id.name() == part.stream);
        match job {
            Some(job) => {
                let part = Part { planned, stream: of, part };
                running.push(part.run(&job.session, &job.sources, job.retries).boxed());
            }
            // What is refused has a report; nothing may be left out in silence.
            None if are_all_there => {
                let error = new_plan(format!("there is no stream {} any more", part.stream));
                let report = StreamReport::new(StreamId::new(part.stream.clone()), part.mode);
                reports.push(stream::failed(report, error));
            }
            None => {}
        }
    }
    let ended = futures_util::stream::iter(running).buffer_unordered(plan.parallel);
    reports.extend(ended.collect::<Vec<_>>().await);
    Ok(reports)
}

/// Runs one part, of the session's stream.
pub async fn run_part(
    session: &Session,
    sources: &dyn Sources,
    retries: u32,
    planned: &Planned,
    number: usize,
) -> Result<StreamReport> {
    let (stream, part) = planned.part(number)?;
    Ok(Part { planned, stream, part }.run(session, sources, retries).await)
}

/// A part, with what it is a part of.
struct Part<'a> {
    planned: &'a Planned,
    stream: &'a PlannedStream,
    part: &'a PlannedPart,
}

impl Part<'_> {
    async fn run(self, session: &Session, sources: &dyn Sources, retries: u32) -> StreamReport {
        let started = Instant::now();
        let mut session = session.of_run(Uuid::now_v7().to_string());
        let id = match (&self.part.generation, &self.part.chunk) {
            (Some(generation), Some(chunk)) => session.stream.id.chunk(generation, chunk),
            _ => session.stream.id.clone(),
        };
        session.shown = id.clone();
        session.notice(Notice::Planned { estimate: self.part.rows, mode: self.part.mode });
        let done = match self.planned.refuse_unfit(self.stream, &session) {
            Err(error) => Err(error),
            Ok(()) => match (&self.part.generation, &self.part.chunk) {
                (Some(generation), Some(chunk)) => self.chunk(&mut session, sources, retries, generation, chunk).await,
                (Some(generation), None) => match is_done(&session, generation).await {
                    Ok(None) => return self.whole(session, sources, retries).await,
                    Ok(Some(outcome)) => Ok(outcome),
                    Err(error) => Err(error),
                },
                (None, _) => return self.whole(session, sources, retries).await,
            },
        };
        stream::report(&session, id, started, done)
    }

    /// Runs the stream; anew where the plan says so and nobody has begun that since.
    async fn whole(&self, mut session: Session, sources: &dyn Sources, retries: u32) -> StreamReport {
        if let Some(anew) = &self.stream.anew {
            // What cannot be looked at now the run will come upon.
            let newest = stream::newest(&mut session).await.ok().flatten();
            let live = newest.as_ref().and_then(|newest| Some(newest.generations.live()?.generation.clone()));
            let unfinished = newest.as_ref().and_then(Generation::unfinished).map(|load| load.generation);
            // Their names sort by time.
            let is_begun = live.into_iter().chain(unfinished).any(|load| load >= *anew);
            session.full_refresh.store(!is_begun, Ordering::Relaxed);
        }
        stream::run(session, sources, retries).await
    }

    /// Reads the chunk under a lease of its own.
    async fn chunk(
        &self,
        session: &mut Session,
        sources: &dyn Sources,
        retries: u32,
        generation: &str,
        chunk: &str,
    ) -> Result<Outcome> {
        let id = session.stream.id.chunk(generation, chunk);
        let mut log = MainLog::of(session, generation);
        let held = match log.lease().await? {
            Ok(held) => held,
            Err(position) => return Ok(published(&id, position)),
        };
        // Under the stream's lease, so that nobody gives the load up, or loads it alone, in between.
        let begun = self.begin(&mut log, session, &id).await;
        held.release().await;
        let (lease, load) = match begun? {
            Ok(begun) => begun,
            Err(position) => return Ok(published(&id, position)),
        };
        let work = OneChunk { load, chunk: chunk.to_owned() };
        let done = stream::kept(session, id.to_string(), sources, &*lease, retries, &work).await;
        lease.release().await;
        done
    }

    /// The chunk's lease and its load, which is begun where it is not; or the position where it is live.
    async fn begin(
        &self,
        log: &mut MainLog,
        session: &Session,
        id: &StreamId,
    ) -> Result<Result<(Box<dyn Lease>, Load), String>> {
        let load = match log.stands().await? {
            Standing::Published(position) => return Ok(Err(position)),
            Standing::Begun(load) => load,
            Standing::Absent(unfinished) => {
                log.begin(self.part, Begin::of(self.planned, self.stream)?, unfinished).await?
            }
        };
        let lease = session.job_log.lease(&session.pipeline, &id.to_string()).await?;
        Ok(Ok((lease, load)))
    }
}

/// Whether a load that one process makes has been made since the plan was.
async fn is_done(session: &Session, generation: &str) -> Result<Option<Outcome>> {
    let mut log = MainLog::of(session, generation);
    match log.stands().await {
        Ok(Standing::Published(position)) => Ok(Some(published(&session.stream.id, position))),
        Ok(_) => Ok(None),
        // One that was begun since then is the run's to continue.
        Err(error) if matches!(error.kind(), Kind::Conflict | Kind::Lost) => Ok(None),
        Err(error) => Err(error),
    }
}

fn published(part: &StreamId, position: String) -> Outcome {
    tracing::info!(%part, "this part is done: the load of the plan, or a later one, is published");
    Outcome { ended: Ended::AtTheEnd, high_water_mark: Some(position) }
}

/// A chunk of a load, and the publication where it was the last.
struct OneChunk {
    load: Load,
    chunk: String,
}

#[async_trait]
impl Work for OneChunk {
    async fn once(&self, session: &mut Session, source: &Shared<'_>, lease: &dyn Lease) -> Result<Outcome> {
        match self.load_and_publish(session, source, lease).await {
            Err(error) if error.kind() == Kind::Lost => Err(self.give_up(session, &error).await),
            done => done,
        }
    }
}

impl OneChunk {
    async fn load_and_publish(&self, session: &mut Session, source: &Shared<'_>, lease: &dyn Lease) -> Result<Outcome> {
        let loaded = chunks::load_one(session, source, lease, &self.load, &self.chunk).await?;
        let outcome = |ended, high_water_mark| Ok(Outcome { ended, high_water_mark });
        let Some(loaded) = loaded else { return outcome(Ended::Stopped, None) };
        session.falls_short(chunks::shortfall(&self.load, &[loaded]));
        let Some(all) = chunks::all(session, &self.load, &self.chunk).await? else {
            return outcome(Ended::AtTheEnd, None);
        };
        let mut log = MainLog::of(session, &self.load.generation.generation);
        let position = match log.lease().await? {
            Err(position) => position,
            Ok(held) => {
                let published = log.publish(all).await;
                held.release().await;
                published?
            }
        };
        outcome(Ended::AtTheEnd, Some(position))
    }

    /// Other parts of the load need not be tried any more.
    async fn give_up(&self, session: &Session, error: &Error) -> Error {
        let mut log = MainLog::of(session, &self.load.generation.generation);
        let given_up = async {
            if let Ok(held) = log.lease().await? {
                let given_up = log.give_up().await;
                held.release().await;
                given_up?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = given_up.await {
            tracing::warn!(stream = %session.stream.id, %error, "the load could not be given up");
        }
        main_log::lost(error.message())
    }
}
