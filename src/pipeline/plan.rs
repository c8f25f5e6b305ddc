//! From a configuration and a request to the streams that will run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::{Value, json};
use uuid::Uuid;

use super::checks::{self, Writers};
use super::columns::OnChange;
use super::copy::Limits;
use super::definition;
use super::job::{Job, SourceMaker};
use super::mask;
use super::names::{self, may_name};
use super::pace::Pace;
use super::readings::Readings;
use super::session::Session;
use super::stream;
use super::{Notice, Observer, Request, Stop, StreamReport};
use crate::config::{Config, Key, Kind, Registry, StreamSection, Value as Wants, parse_bytes};
use crate::destination::memory::Memory;
use crate::destination::{self, Destination, Opening, Place};
use crate::error::{Context, Error, Result};
use crate::format;
use crate::job_log::{self, JobLog, NewRun, RunEnd, RunState};
use crate::record::{Mode, StreamId};
use crate::source::{self, Exchange, Following, Listing, Selection, Source, Stream, What};

/// Keys of `[pipeline]`.
const KEYS: &[Key] = &[
    Key::new("name", Wants::Text, "Names this pipeline in the job log and in the commit logs.").default("main"),
    Key::new(
        "max_memory",
        Wants::Checked("size (`64 MiB`), 32 MiB at least", memory_refusal),
        "How much memory the process may have resident.",
    )
    .default("128 MiB"),
];

/// Less is not enough for the process itself, and sooner a unit that was left out.
const LEAST_MEMORY: u64 = 32 << 20;

fn memory_refusal(text: &str) -> Result<(), &'static str> {
    match parse_bytes(text) {
        Some(LEAST_MEMORY..) => Ok(()),
        _ => Err("must be a size of at least 32 MiB, such as `128 MiB`"),
    }
}

/// Keys of `[pipeline]` that a stream may set for itself.
const STREAM_KEYS: &[Key] = &[
    Key::new(
        "parallel",
        Wants::Integer(1, 256),
        "How many connections read at once, over all streams and the chunks of full loads; of a stream, how many of \
         them may read its chunks.",
    )
    .default("2"),
    Key::new(
        "retries",
        Wants::Integer(0, 1000),
        "How often a stream starts again after failures that may pass; a commit begins the count anew.",
    )
    .default("5"),
    Key::new(
        "resume_within",
        Wants::Duration,
        "A full load that did not come to its end is continued by the next run, unless it was begun longer ago. What it had not read to its end is read again: its chunks, or the table.",
    )
    .default("1d"),
    Key::new(
        "on_schema_change",
        Wants::OneOf(&["evolve", "warn", "fail"]),
        "What becomes of a stream whose columns are not those of what it wrote before: `evolve` and `warn` write new files \
         with the new columns, `fail` writes nothing; a full load is read then, and not published.",
    )
    .default("evolve"),
    Key::new("commit_interval", Wants::Duration, "A commit is made at the first safe place after this time,")
        .default("60s"),
    Key::new("commit_rows", Wants::Integer(1, i64::MAX), "or after this many rows,").default("10000000"),
    Key::new(
        "commit_bytes",
        Wants::Bytes,
        "or after this much data. A full load is committed at the end of each chunk, of an API between pages as well.",
    )
    .default("1 GiB"),
    Key::new("idle_interval", Wants::Duration, "A position without rows is committed at most this often.")
        .default("5m"),
];

/// Everything that may stand in a `pipeline.conf`.
pub fn registry() -> Registry {
    static SOURCES: LazyLock<Vec<&Kind>> = LazyLock::new(|| source::SOURCES.iter().map(|maker| &maker.kind).collect());
    static DESTINATIONS: LazyLock<Vec<&Kind>> = LazyLock::new(|| destination::kinds().collect());
    Registry {
        sources: &SOURCES,
        destinations: &DESTINATIONS,
        format_keys: format::KEYS,
        job_log: &job_log::KIND,
        pipeline_keys: KEYS,
        pipeline_stream_keys: STREAM_KEYS,
        stream_keys: source::STREAM_KEYS,
        source_stream_keys: source::masking::KEYS,
        check: |kind, section| match source::SOURCES.iter().find(|maker| maker.kind.name == kind) {
            Some(maker) => (maker.check)(section),
            None if kind == "job_log" => job_log::of(section).map(drop),
            None => destination::check(kind, section),
        },
        check_streams: checks::streams,
    }
}

/// A stream with its identity, or why it cannot begin.
type Resolved = Result<(Stream, Value)>;

/// What a source has of the streams that were asked for.
struct Asked {
    streams: Vec<(StreamId, Resolved)>,
    /// Names of the section that none of its streams has.
    strangers: Vec<(StreamId, Error)>,
}

/// The same, ready to run.
struct Planned {
    jobs: Vec<(StreamId, Result<Job>)>,
    strangers: Vec<(StreamId, Error)>,
}

/// What all streams of a run have around them.
pub struct Around {
    pub job_log: Arc<dyn JobLog>,
    pub observer: Arc<dyn Observer>,
    pub stop: Stop,
}

/// The sections of the streams that are wanted, with what they share. Nothing is connected yet.
pub struct Plan<'a> {
    config: &'a Config,
    pub request: Request,
    pub wanted: Vec<&'a StreamSection>,
    /// How many streams are at work at once, and how many readings over all of them.
    pub parallel: usize,
    memory: Arc<Memory>,
    readings: BTreeMap<&'a str, Readings>,
    exchange: Option<Exchange>,
}

impl<'a> Plan<'a> {
    /// Fails with `Kind::Config` on a name that no stream has, as far as the file tells.
    pub fn of(config: &'a Config, request: &Request) -> Result<Self> {
        names::refuse_unlisted(config, &request.streams)?;
        let wanted: Vec<_> = config
            .streams
            .iter()
            .filter(|stream| request.streams.is_empty() || request.streams.iter().any(|name| may_name(name, stream)))
            .collect();
        if wanted.is_empty() {
            return Err(Error::config("the configuration has no [stream]"));
        }
        for stream in &wanted {
            request.mode_of(stream).map_or(Ok(()), |mode| checks::mode(config, stream, mode))?;
        }
        let parallel = config.pipeline.integer("parallel")?;
        let at_once = u64::try_from(parallel).unwrap_or(1);
        let memory = Memory::new(config.pipeline.bytes("max_memory")?, at_once);
        let parallel = usize::try_from(parallel).unwrap_or(1);
        let readings = readings(config, &wanted, parallel)?;
        Ok(Self { config, request: request.clone(), wanted, parallel, memory, readings, exchange: None })
    }

    /// The same, with answers of its sources from elsewhere.
    pub fn over(self, exchange: Exchange) -> Self {
        Self { exchange: Some(exchange), ..self }
    }

    pub async fn job_log(&self) -> Result<Arc<dyn JobLog>> {
        job_log::open(&self.config.job_log).await
    }

    /// The sources of the wanted streams, by name.
    fn sources(&self) -> Result<BTreeMap<&'a str, Arc<dyn Source>>> {
        let mut sources = BTreeMap::new();
        for stream in &self.wanted {
            if !sources.contains_key(stream.source.as_str()) {
                sources
                    .insert(stream.source.as_str(), make_source(self.config, &stream.source, self.exchange.as_ref())?);
            }
        }
        Ok(sources)
    }

    /// The streams, ready to run, and reports of those that cannot begin.
    pub async fn jobs(&self, around: &Around) -> (Vec<Job>, Vec<StreamReport>) {
        let (mut jobs, mut reports) = (Vec::new(), Vec::new());
        let mut places = Places::default();
        let mut writers = Writers::of(self.config);
        // A source that was given up once is not waited for again.
        let mut given_up = BTreeSet::new();
        let sources = self.sources();
        for section in &self.wanted {
            let tries = if given_up.contains(&section.source) { 0 } else { u32::MAX };
            let shared = sources.as_ref().map_err(Clone::clone).map(|sources| sources[section.source.as_str()].clone());
            let planned = match shared {
                Ok(source) => self.of_section(section, &source, &mut places, &mut writers, around, tries).await,
                Err(error) => Err(error),
            };
            match planned {
                Ok(Planned { jobs: planned, strangers }) => {
                    // They are nothing that failed, so the job log is spared.
                    let not_there = strangers.into_iter().map(|(id, error)| self.report(section, id, error, around));
                    reports.extend(not_there);
                    if !planned.is_empty() {
                        self.close_refusal(section, &planned, around).await;
                    }
                    for (id, job) in planned {
                        match job {
                            Ok(job) => jobs.push(job),
                            Err(error) => reports.push(self.refused(section, id, error, around).await),
                        }
                    }
                }
                Err(error) => {
                    if error.kind().is_retried() {
                        given_up.insert(section.source.clone());
                    }
                    let id = StreamId::new(section.name.clone());
                    reports.push(self.refused(section, id, error, around).await);
                }
            }
        }
        (jobs, reports)
    }

    /// The streams, ready to be looked at. The first that cannot begin is an error: nothing is told to the job log.
    pub async fn to_look(&self, around: &Around) -> Result<Vec<Job>> {
        let (mut places, mut writers) = (Places::default(), Writers::of(self.config));
        let sources = self.sources()?;
        let mut jobs = Vec::new();
        for section in &self.wanted {
            let source = &sources[section.source.as_str()];
            let planned = self.of_section(section, source, &mut places, &mut writers, around, u32::MAX).await?;
            for (id, job) in planned.jobs {
                jobs.push(job.at(|| format!("stream {id}"))?);
            }
            if let Some((_, stranger)) = planned.strangers.into_iter().next() {
                return Err(stranger);
            }
        }
        Ok(jobs)
    }

    async fn of_section(
        &self,
        section: &StreamSection,
        source: &Arc<dyn Source>,
        places: &mut Places,
        writers: &mut Writers,
        around: &Around,
        tries: u32,
    ) -> Result<Planned> {
        let place = places.of(self.config, &section.destination)?;
        let destination = place.destination(&section.section, &self.memory)?;
        let Asked { streams, strangers } = self.resolve_patiently(section, &**source, around, tries).await?;
        let job = |(id, resolved): (StreamId, Resolved)| {
            let job = resolved.and_then(|(stream, identity)| {
                writers.claim_listed(section, &stream)?;
                self.job(section, stream, identity, source, destination.clone(), around)
            });
            (id, job)
        };
        Ok(Planned { jobs: streams.into_iter().map(job).collect(), strangers })
    }

    /// The report of a stream that cannot begin, or of a section of which none can. The job log hears of it too: whoever
    /// looks there must not find the last success alone.
    async fn refused(&self, section: &StreamSection, id: StreamId, error: Error, around: &Around) -> StreamReport {
        let end = RunEnd { state: RunState::Failed, error: Some(error.clone()) };
        if let Err(error) = self.note(section, &id, &end, around).await {
            tracing::warn!(stream = %id, %error, "this failure could not be recorded in the job log");
        }
        self.report(section, id, error, around)
    }

    fn report(&self, section: &StreamSection, id: StreamId, error: Error, around: &Around) -> StreamReport {
        let report = stream::failed(StreamReport::new(id, self.mode(section)), error);
        around.observer.notice(&report.stream, Notice::Ended(report.clone()));
        report
    }

    fn mode(&self, section: &StreamSection) -> Mode {
        self.request.mode_of(section).or_else(|| Mode::parse(section.section.get("mode")?)).unwrap_or(Mode::Full)
    }

    /// Ends what [`Self::refused`] has noted under the name of a section whose streams have other names: none of their
    /// runs would.
    async fn close_refusal(&self, section: &StreamSection, planned: &[(StreamId, Result<Job>)], around: &Around) {
        let id = StreamId::new(section.name.clone());
        if planned.iter().any(|(planned, _)| *planned == id) {
            return;
        }
        let closed = async {
            let pipeline = self.config.pipeline.text("name")?;
            let last = around.job_log.runs(pipeline, Some(&id.to_string()), 1).await?;
            if last.first().is_some_and(|row| row.state == RunState::Failed.name()) {
                self.note(section, &id, &RunEnd { state: RunState::Done, error: None }, around).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = closed.await {
            tracing::warn!(stream = section.name, %error, "the job log still has an earlier failure as the last");
        }
    }

    /// A run of a section that never came to its streams.
    async fn note(&self, section: &StreamSection, id: &StreamId, end: &RunEnd, around: &Around) -> Result<()> {
        let pipeline = self.config.pipeline.text("name")?.to_owned();
        let lease = around.job_log.lease(&pipeline, &id.to_string()).await?;
        let run = NewRun {
            run: Uuid::now_v7().to_string(),
            pipeline,
            stream: id.to_string(),
            mode: self.mode(section),
            low_water_mark: None,
        };
        let noted = async {
            around.job_log.start(&run).await?;
            around.job_log.finish(&run.run, end).await
        };
        let noted = noted.await;
        lease.release().await;
        noted
    }

    /// Waits for a source that does not answer, as a run would.
    async fn resolve_patiently(
        &self,
        section: &StreamSection,
        source: &dyn Source,
        around: &Around,
        most: u32,
    ) -> Result<Asked> {
        let retries = u32::try_from(section.section.integer("retries")?).unwrap_or(0).min(most);
        let mut stop = around.stop.clone();
        let mut attempt = 0;
        loop {
            let error = match self.resolve(section, source).await {
                Err(error) if error.is_retried() && attempt < retries && !stop.is_requested() => error,
                result => return result,
            };
            attempt += 1;
            let wait = stream::BACKOFF.wait(attempt);
            let id = StreamId::new(section.name.clone());
            around.observer.notice(&id, Notice::Retrying { error: error.clone(), wait, attempt });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.requested() => return Err(error),
            }
        }
    }

    /// What was asked for of one section, those that cannot begin among them.
    async fn resolve(&self, section: &StreamSection, source: &dyn Source) -> Result<Asked> {
        let selection = Selection::of(&section.name, &section.section, self.request.mode_of(section))?;
        let name = self.config.pipeline.text("name")?;
        let Listing { streams, refused } = source.streams(std::slice::from_ref(&selection)).await?;
        let identity = source.identity().await?;
        if streams.is_empty() && refused.is_empty() {
            return Err(section.section.error("tables", "matches no table"));
        }
        let listed = streams.into_iter().map(|stream| {
            let mut identity = json!({ "pipeline": name, "source": identity, "table": stream.table() });
            // Tables of a log come and go.
            if stream.selection.mode == Mode::Cdc {
                identity["table"] = Value::Null;
            }
            (stream.id.clone(), Ok((stream, identity)))
        });
        let refused = refused.into_iter().map(|(id, error)| (id, Err(error)));
        let mut streams: Vec<(StreamId, Resolved)> = listed.chain(refused).collect();
        let strangers = names::keep_asked(self.config, section, &self.request.streams, &mut streams);
        Ok(Asked { streams, strangers })
    }

    /// What the run asks of the section's change log, if it is one.
    fn following(&self, section: &StreamSection, run: &str) -> Following {
        let Request { continuous, snapshot, backfill, .. } = &self.request;
        let what = match (self.request.refreshes(section), snapshot.is_empty()) {
            (true, _) => Some(What::All),
            (false, false) => Some(What::Tables(snapshot.clone())),
            (false, true) => None,
        };
        Following {
            goes_on: *continuous,
            again: what,
            from: backfill.as_ref().and_then(|wanted| wanted.from.clone()),
            run: run.to_owned(),
        }
    }

    fn job(
        &self,
        section: &StreamSection,
        stream: Stream,
        identity: Value,
        source: &Arc<dyn Source>,
        destination: Arc<dyn Destination>,
        around: &Around,
    ) -> Result<Job> {
        let keys = &section.section;
        let run = Uuid::now_v7().to_string();
        let stream = Stream { following: self.following(section, &run), ..stream };
        let opening = Opening {
            run,
            mode: stream.selection.mode,
            identity,
            holder: around.job_log.holder(),
            after: None,
            take_over: self.request.take_over,
        };
        let (source_kind, source_section) = &self.config.sources[&section.source];
        let (destination_kind, _) = &self.config.destinations[&section.destination];
        let definition = definition::digest(
            keys,
            stream.selection.mode,
            (&source::maker(source_kind)?.kind, source.definition(&stream)?),
            destination::kind(destination_kind)?,
        )?;
        let session = Session {
            pipeline: self.config.pipeline.text("name")?.to_owned(),
            shown: stream.id.clone(),
            stream,
            destination,
            job_log: around.job_log.clone(),
            opening,
            definition,
            limits: Limits::of(keys)?,
            readings: self.readings[section.source.as_str()].clone(),
            parallel: usize::try_from(keys.integer("parallel")?).unwrap_or(1),
            adopt_destination: self.request.adopt_destination,
            resume_within: keys.duration("resume_within")?,
            full_refresh: self.request.refreshes(section).into(),
            on_schema_change: OnChange::parse(keys.text("on_schema_change")?),
            observer: around.observer.clone(),
            stop: around.stop.clone(),
            commits: AtomicU64::default(),
            totals: Mutex::default(),
            lag: Mutex::default(),
            growing: Default::default(),
            shortfall: Mutex::default(),
        };
        let (shared, exchange) = (source.clone(), self.exchange.clone());
        let sources = SourceMaker { shared, kind: source_kind.clone(), section: source_section.clone(), exchange };
        Ok(Job { session, sources, retries: u32::try_from(keys.integer("retries")?).unwrap_or(0) })
    }
}

/// The places for readings of each source.
fn readings<'a>(
    config: &'a Config,
    wanted: &[&'a StreamSection],
    parallel: usize,
) -> Result<BTreeMap<&'a str, Readings>> {
    let run = Readings::new(parallel);
    let mut readings = BTreeMap::new();
    for stream in wanted {
        let (_, section) = &config.sources[&stream.source];
        let most = section.get("max_connections").map(|_| section.integer("max_connections")).transpose()?;
        let most = most.and_then(|most| usize::try_from(most).ok());
        if !readings.contains_key(stream.source.as_str()) {
            readings.insert(stream.source.as_str(), run.of_source(most, Pace::of(section)?));
        }
    }
    Ok(readings)
}

pub fn make_source(config: &Config, name: &str, exchange: Option<&Exchange>) -> Result<Arc<dyn Source>> {
    let (kind, section) = &config.sources[name];
    mask::make(kind, section, exchange)
}

/// The places of a run, one for each `[destination]`.
#[derive(Default)]
pub struct Places(BTreeMap<String, Arc<dyn Place>>);

impl Places {
    pub fn of(&mut self, config: &Config, name: &str) -> Result<Arc<dyn Place>> {
        if let Some(place) = self.0.get(name) {
            return Ok(place.clone());
        }
        let (kind, section) = &config.destinations[name];
        let place = destination::place(kind, section)?;
        self.0.insert(name.to_owned(), place.clone());
        Ok(place)
    }
}
