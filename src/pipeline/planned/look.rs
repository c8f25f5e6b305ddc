//! Drawing up a plan. Looks at sources, destinations and the job log, and writes nowhere.

use std::sync::Arc;

use uuid::Uuid;

use super::super::chunks;
use super::super::full::Load;
use super::super::generation::Generation;
use super::super::plan::{Around, Plan};
use super::super::session::Session;
use super::super::standing::Standing;
use super::super::stream::{self, Sources};
use super::super::{Observer, Request, Stop};
use super::{Planned, PlannedPart, PlannedStream};
use crate::config::Config;
use crate::error::{Context, Error, Kind, Result};
use crate::job_log;
use crate::record::{Commit, Mode, Range};
use crate::source::following::Beginning;
use crate::source::{Chunks, Consistency, Outlook, Source};

/// What a run of `request` would do. Half a plan is none: the first stream that cannot be planned is an error.
pub async fn plan(config: &Config, request: &Request, observer: Arc<dyn Observer>, stop: Stop) -> Result<Planned> {
    let plan = Plan::of(config, request)?;
    let around = Around { job_log: job_log::of(&config.job_log)?, observer, stop };
    let mut planned = Planned::new(config.pipeline.text("name")?);
    for mut job in plan.to_look(&around).await? {
        let name = job.session.stream.id.clone();
        let looked = look(&mut job.session, job.sources.source(0)?).await;
        planned.add(looked.at(|| format!("stream {name}"))?);
    }
    Ok(planned)
}

/// The same of one stream.
pub async fn plan_stream(session: &mut Session, source: Arc<dyn Source>) -> Result<Planned> {
    let mut planned = Planned::new(&session.pipeline);
    planned.add(look(session, source).await?);
    Ok(planned)
}

impl Planned {
    fn new(pipeline: &str) -> Self {
        Self {
            tidemark: env!("CARGO_PKG_VERSION").to_owned(),
            pipeline: pipeline.to_owned(),
            id: format!("p{}", Uuid::now_v7().simple()),
            made_at: jiff::Timestamp::now().to_string(),
            streams: Vec::new(),
            parts: Vec::new(),
        }
    }

    fn add(&mut self, (stream, parts): (PlannedStream, Vec<PlannedPart>)) {
        self.streams.push(stream);
        for part in parts {
            let number = self.parts.len();
            self.parts.push(PlannedPart { part: number, ..part });
        }
    }
}

/// What a run would find.
struct Found {
    newest: Option<Commit>,
    source: Arc<dyn Source>,
}

/// The pieces in which it would read.
struct Pieces {
    what: String,
    generation: Option<String>,
    consistency: Option<Consistency>,
    chunks: usize,
    is_begun: bool,
    /// The chunks that are left; one without a name where the stream is run as a whole.
    left: Vec<(Option<String>, Option<Range>)>,
    /// What one process reads for all of it, where that is in pieces of its own.
    reads: Vec<Option<Range>>,
}

async fn look(session: &mut Session, source: Arc<dyn Source>) -> Result<(PlannedStream, Vec<PlannedPart>)> {
    let newest = stream::newest(session).await?;
    if newest.is_some() {
        let first = session.destination.range(&session.stream.id, 0, 0).await?;
        first.iter().try_for_each(|first| session.opening.refuse_stranger(first))?;
    }
    let found = Found { newest, source };
    let pieces = match session.opening.mode {
        Mode::Full => full(session, &found).await?,
        Mode::Incremental | Mode::Cdc => growing(session, &found).await?,
    };
    parts(session, &found, pieces).await
}

/// A stream that grows is read by one process, from where it stands.
async fn growing(session: &Session, found: &Found) -> Result<Pieces> {
    let whole = |what: String, reads| Pieces {
        what,
        generation: None,
        consistency: None,
        chunks: 0,
        is_begun: false,
        left: vec![(None, None)],
        reads,
    };
    let is_refresh = session.is_refresh();
    match Standing::of(found.newest.as_ref()) {
        _ if is_refresh => {}
        Standing::At(_) => {
            let what = match session.opening.mode {
                Mode::Cdc => "what changed after the mark, up to the end of the log",
                _ => "everything after the mark, up to what is safe by then",
            };
            return Ok(whole(what.to_owned(), Vec::new()));
        }
        Standing::Loading(_) => {
            if let Some(Pieces { what, chunks, left, .. }) = unfinished(session, found).await? {
                let reads = left.into_iter().map(|(_, range)| range).collect();
                return Ok(Pieces { chunks, is_begun: true, ..whole(format!("{what}, by one process"), reads) });
            }
        }
        Standing::Empty => {}
    }
    if session.opening.mode == Mode::Incremental {
        let chunks = found.source.chunks(&session.stream).await?;
        if chunks.are_several() || is_refresh {
            let Chunks { ranges, .. } = found.source.hand_over(&session.stream, chunks).await?;
            let kind = if is_refresh { "a load anew" } else { "a first load" };
            let chunks = if ranges.len() > 1 { format!(" in {} chunks", ranges.len()) } else { String::new() };
            let what = format!("{kind}{chunks}, by one process");
            return Ok(whole(what, ranges.into_iter().map(Some).collect()));
        }
    }
    let beginning = Beginning::of(&session.stream.selection.section)?;
    let what = match session.opening.mode {
        Mode::Cdc if beginning == Beginning::Log => "the changes of all tables from now on",
        Mode::Cdc if beginning == Beginning::SnapshotOnly => "a snapshot of all tables",
        Mode::Cdc => "a snapshot of all tables, and their changes from now on",
        _ => "everything from the beginning, up to what is safe by then",
    };
    Ok(whole(what.to_owned(), Vec::new()))
}

async fn full(session: &Session, found: &Found) -> Result<Pieces> {
    if !session.is_refresh()
        && let Some(pieces) = unfinished(session, found).await?
    {
        return Ok(pieces);
    }
    let wanted = session.stream.selection.cut.consistency;
    let Chunks { ranges, consistency, .. } = match wanted.outlives_its_process() {
        true => found.source.chunks(&session.stream).await?,
        // A snapshot is gone with the process that took it: all is one process's.
        false => Chunks::whole(wanted),
    };
    let name = Generation::new_name();
    refuse_earlier(&name, found)?;
    let generation = Generation::named(name, &session.definition, consistency, &ranges);
    let names = generation.chunks();
    let (left, what) = match (consistency.outlives_its_process(), ranges.len()) {
        (false, _) => (vec![(None, None)], "full load by one process, as of one moment".to_owned()),
        (true, 0) => (vec![(Some(names[0].clone()), None)], "full load".to_owned()),
        (true, count) => {
            let left = names.into_iter().map(Some).zip(ranges.into_iter().map(Some)).collect();
            (left, format!("full load in {count} chunks"))
        }
    };
    let chunks = left.len();
    let (generation, consistency) = (Some(generation.generation), Some(consistency));
    Ok(Pieces { what, generation, consistency, chunks, is_begun: false, left, reads: Vec::new() })
}

/// A load is known to be newer than another by its name, which tells the time.
fn refuse_earlier(name: &str, found: &Found) -> Result<()> {
    let newest = found.newest.as_ref().map(Generation::of).transpose()?.flatten();
    match newest {
        Some(newest) if newest.generation.as_str() >= name => {
            Err(Error::unavailable("the newest load of the stream has a later time than this machine's clock tells")
                .hint("Set the clock right, here or where that load was begun, and plan again."))
        }
        _ => Ok(()),
    }
}

/// The load that a run would continue.
async fn unfinished(session: &Session, found: &Found) -> Result<Option<Pieces>> {
    let Some(newest) = &found.newest else { return Ok(None) };
    let Some(generation) = Generation::of(newest)? else { return Ok(None) };
    if generation.published || generation.unfit(session).is_some() || !generation.outlives_its_process() {
        return Ok(None);
    }
    // What cannot be told of its chunks, or does not fit together, begins anew.
    let is_lost = |result: &Result<_>| matches!(result, Err(error) if error.kind() == Kind::Lost);
    let load = Load::standing(generation, newest);
    if let Err(error) = &load
        && error.kind() == Kind::Lost
    {
        return Ok(None);
    }
    let load = load?;
    let whole = chunks::whole(session, &load).await;
    if is_lost(&whole) {
        return Ok(None);
    }
    let whole = whole?;
    let (chunks, begun) = (whole.len(), load.generation.moment().unwrap_or_default());
    let mut left: Vec<_> = whole.iter().filter(|(_, is_whole)| !is_whole).map(|(name, _)| name.clone()).collect();
    let what = match (left.len(), chunks) {
        (0, _) => format!("publishes the full load begun at {begun}, of which all is there"),
        (_, 1) => format!("continues the full load begun at {begun}"),
        (left, _) => format!("continues the full load begun at {begun}, {left} of {chunks} chunks left"),
    };
    if left.is_empty() {
        left.extend(whole.into_iter().next_back().map(|(name, _)| name));
    }
    let mut pieces = Pieces {
        what,
        consistency: None,
        chunks,
        is_begun: true,
        left: Vec::new(),
        reads: Vec::new(),
        generation: Some(load.generation.generation.clone()),
    };
    for name in left {
        let range = load.range(&name)?;
        pieces.left.push((Some(name), range));
    }
    Ok(Some(pieces))
}

async fn parts(session: &Session, found: &Found, pieces: Pieces) -> Result<(PlannedStream, Vec<PlannedPart>)> {
    let goes_on = session.opening.mode != Mode::Full && !session.is_refresh();
    let after = Standing::of(found.newest.as_ref()).checkpoint().filter(|_| goes_on);
    let is_in_pieces = !pieces.reads.is_empty();
    let ranges = match is_in_pieces {
        true => pieces.reads,
        false => pieces.left.iter().map(|(_, range)| range.clone()).collect(),
    };
    let Outlook { rows, bytes, mut statements } = match session.opening.mode {
        // Nobody tells what a log holds but by reading it.
        Mode::Cdc => Outlook::default(),
        _ => found.source.outlook(&session.stream, &ranges, after.as_ref()).await?,
    };
    let (count, left) = (pieces.left.len().max(1), ranges.len().max(1));
    // Of all, what is left; and of that, what each part has.
    let left = |all: Option<u64>| all.map(|all| share(all, left, pieces.chunks.max(left)));
    let each = |all: Option<u64>| left(all).map(|left| share(left, 1, count));
    // Of a stream that has a mark, how much is new is not what there is.
    let all = session.stream.estimate.filter(|_| after.is_none());
    let what =
        if rows == Some(0) { "nothing new, as far as can be told at little cost".to_owned() } else { pieces.what };
    if is_in_pieces {
        statements = vec![statements.concat()];
    }
    let (all_rows, all_bytes) = (rows.or(all), bytes);
    let (rows, bytes) = (each(all_rows), each(all_bytes));
    let name = session.stream.id.name().to_owned();
    let mut statements = statements.into_iter();
    let parts = pieces.left.into_iter().map(|(chunk, range)| PlannedPart {
        part: 0,
        stream: name.clone(),
        mode: session.opening.mode,
        generation: pieces.generation.clone(),
        chunk,
        range,
        rows,
        bytes,
        sql: statements.next().unwrap_or_default(),
    });
    let parts = parts.collect();
    let mark = found.newest.as_ref().and_then(|newest| newest.position.as_ref()).map(ToString::to_string);
    let stream = PlannedStream {
        stream: name.clone(),
        mode: session.opening.mode,
        what,
        definition: session.definition.clone(),
        identity: session.opening.identity.clone(),
        high_water_mark: mark,
        generation: pieces.generation.clone(),
        consistency: pieces.consistency,
        chunks: pieces.chunks,
        is_begun: pieces.is_begun,
        anew: session.is_refresh().then(Generation::new_name),
        rows: left(all_rows),
        bytes: left(all_bytes),
    };
    Ok((stream, parts))
}

/// So many of the equal pieces of `all`, rounded up.
fn share(all: u64, some: usize, of: usize) -> u64 {
    let share = (u128::from(all) * some as u128).div_ceil(of.max(1) as u128);
    u64::try_from(share).unwrap_or(u64::MAX)
}
