//! A stream's own log, as processes that read parts of its full load share it: each holds it for a moment.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::super::chunks::{self, Loaded};
use super::super::full::{self, Load};
use super::super::generation::{Frozen, Generation};
use super::super::session::Session;
use super::super::stream;
use super::{PlannedPart, new_plan};
use crate::backoff::Backoff;
use crate::error::{Error, Kind, Result};
use crate::job_log::{Lease, NewRun, RunEnd, RunState};
use crate::record::{Commit, Range, Seal};

/// How long the stream's lease is waited for. Parts hold it for seconds; one whose machine died, for a minute.
const PATIENCE: Duration = Duration::from_secs(90);
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(2), jitter: 0.5 };

/// Where a stream stands, as a part of a plan sees it.
pub enum Standing {
    /// The load of the part, or a later one, is live; its position.
    Published(String),
    Begun(Load),
    /// Not begun; the unfinished one that stands in its place.
    Absent(Option<Generation>),
}

/// The stream's own log. `session` is one of the load's run, of which the job log has one row, whoever begins the load and
/// whoever publishes it.
pub struct MainLog {
    session: Session,
    generation: String,
    /// It is this stream's: entry 0 says so.
    is_ours: bool,
}

impl MainLog {
    pub fn of(session: &Session, generation: &str) -> Self {
        let name = format!("{}/{}/{generation}", session.pipeline, session.stream.id.name());
        let run = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string();
        Self { session: session.of_run(run), generation: generation.to_owned(), is_ours: false }
    }

    /// Takes the stream's lease, waiting for whoever has it; or the load's position, where it is live or becomes so meanwhile.
    pub async fn lease(&mut self) -> Result<Result<Box<dyn Lease>, String>> {
        let (until, mut refusals) = (Instant::now() + PATIENCE, 0);
        let mut stop = self.session.stop.clone();
        loop {
            if let Standing::Published(position) = self.stands().await? {
                return Ok(Err(position));
            }
            let name = self.session.stream.id.to_string();
            let held = match self.session.job_log.lease(&self.session.pipeline, &name).await {
                Ok(lease) => return Ok(Ok(lease)),
                Err(error) if error.kind() == Kind::Conflict && Instant::now() < until => error,
                Err(error) => return Err(error),
            };
            refusals += 1;
            tokio::select! {
                () = tokio::time::sleep(BACKOFF.wait(refusals)) => {}
                () = stop.requested() => return Err(held),
            }
        }
    }

    /// Where the stream stands. To be believed while the lease is held.
    pub async fn stands(&mut self) -> Result<Standing> {
        let Some(newest) = stream::newest(&mut self.session).await? else { return Ok(Standing::Absent(None)) };
        if !self.is_ours {
            let first = self.session.destination.range(&self.session.stream.id, 0, 0).await?;
            first.iter().try_for_each(|first| self.session.opening.refuse_stranger(first))?;
            self.is_ours = true;
        }
        let Some(last) = Generation::of(&newest)? else { return Ok(Standing::Absent(None)) };
        let (is_older, is_it) = (last.generation < self.generation, last.generation == self.generation);
        let begun = last.moment().unwrap_or_default();
        match last.unfit(&self.session) {
            _ if is_older => Ok(Standing::Absent((!last.published).then_some(last))),
            _ if last.published && last.definition() == self.session.definition => {
                Ok(Standing::Published(last.position()?.to_string()))
            }
            _ if last.published => Err(new_plan("a load of another definition was published since the plan was made")),
            _ if !is_it => Err(new_plan(format!("a newer load of the stream was begun at {begun}"))),
            Some(_) if last.given_up => Err(lost("one of its parts found what it was begun with gone")),
            Some(why) => Err(new_plan(format!("the load of the plan was begun {why}"))),
            None => Ok(Standing::Begun(Load::standing(last, &newest)?)),
        }
    }

    /// Begins the load, under the lease; what is unfinished in its place is given up, unless somebody is at work on it.
    pub async fn begin(
        &mut self,
        part: &PlannedPart,
        begin: super::begin::Begin,
        unfinished: Option<Generation>,
    ) -> Result<Load> {
        let super::begin::Begin { consistency, ranges } = begin;
        let mut retires = Vec::new();
        if let Some(unfinished) = unfinished {
            chunks::refuse_at_work(&self.session, &unfinished.generation).await?;
            let begun = unfinished.moment().unwrap_or_default();
            tracing::info!(
                stream = part.stream,
                "giving up the full load that was begun at {begun}: the plan is newer"
            );
            retires.push(unfinished.generation);
        }
        let generation = Generation::named(self.generation.clone(), &self.session.definition, consistency, &ranges);
        let (count, stream) = (generation.chunks().len(), &part.stream);
        tracing::info!(%stream, generation = self.generation, chunks = count, "beginning the load of the plan");
        self.start().await?;
        let begun = self.begun(&generation, ranges, retires).await;
        self.finish(&begun, RunState::Stopped).await?;
        Load::standing(generation, &begun?)
    }

    async fn begun(&mut self, generation: &Generation, ranges: Vec<Range>, retires: Vec<String>) -> Result<Commit> {
        let mut writer = stream::open(&mut self.session).await?;
        let seal =
            Seal { retires, state: Frozen::new(ranges, None).state()?, ..Seal::at(Some(generation.position()?)) };
        let committed = writer.commit(seal).await;
        writer.abort().await;
        let commit = committed?;
        self.session.record(&commit).await?;
        Ok(commit)
    }

    /// Makes the load live, under the lease; gives its position. All its chunks are there.
    pub async fn publish(&mut self, chunks: Vec<Loaded>) -> Result<String> {
        let load = match self.stands().await? {
            Standing::Published(position) => return Ok(position),
            Standing::Begun(load) => load,
            Standing::Absent(_) => return Err(new_plan("the load of the plan was given up")),
        };
        self.start().await?;
        let published = self.published(load, chunks).await;
        self.finish(&published, RunState::Done).await?;
        published
    }

    async fn published(&mut self, load: Load, chunks: Vec<Loaded>) -> Result<String> {
        let mut writer = stream::open(&mut self.session).await?;
        let published = full::publish(&self.session, &mut *writer, load, chunks).await;
        let position = writer.last().position.as_ref().map(ToString::to_string);
        writer.abort().await;
        published?;
        tracing::info!(stream = %self.session.stream.id, "all chunks are there: the load is published");
        Ok(position.unwrap_or_default())
    }

    /// Says in the stream's log, under the lease, that the load cannot come to its end: a new plan begins another.
    pub async fn give_up(&mut self) -> Result<()> {
        let Standing::Begun(mut load) = self.stands().await? else { return Ok(()) };
        load.generation.given_up = true;
        self.start().await?;
        let given_up = self.begun(&load.generation, Vec::new(), Vec::new()).await;
        self.finish(&given_up, RunState::Stopped).await?;
        given_up.map(drop)
    }

    async fn start(&self) -> Result<()> {
        let run = NewRun {
            run: self.session.opening.run.clone(),
            pipeline: self.session.pipeline.clone(),
            stream: self.session.stream.id.to_string(),
            mode: self.session.opening.mode,
            low_water_mark: None,
        };
        self.session.job_log.start(&run).await
    }

    async fn finish<T>(&self, result: &Result<T>, state: RunState) -> Result<()> {
        let end = match result {
            Ok(_) => RunEnd { state, error: self.session.partial().filter(|_| state == RunState::Done) },
            Err(error) => RunEnd { state: RunState::Failed, error: Some(error.clone()) },
        };
        let finished = self.session.job_log.finish(&self.session.opening.run, &end).await;
        // What failed first tells more.
        if result.is_err() { Ok(()) } else { finished }
    }
}

/// A load that cannot come to its end.
pub fn lost(why: &str) -> Error {
    Error::new(Kind::Lost, format!("the load of the plan cannot come to its end: {why}"))
        .hint("Make a new plan with `tidemark plan --json`.")
}
