//! A full load, by generation: chunks with logs of their own, and one last entry that makes the generation live.

use std::any::Any;

use super::chunks::{self, Loaded};
use super::columns::{self, Columns, OnChange};
use super::copy::Ended;
use super::generation::{Frozen, Generation};
use super::sequence::Numbering;
use super::session::{Session, Totals};
use crate::destination::Writer;
use crate::error::{Error, Kind, Result};
use crate::job_log::Lease;
use crate::record::{Checkpoint, Commit, Failures, Mode, Publication, Range, Seal, Shortfall, StreamId};
use crate::source::{Chunks, Consistency, Source};

/// A generation to load.
pub struct Load {
    pub generation: Generation,
    /// Of each chunk: what it is, where it is not all.
    pub ranges: Vec<Option<Range>>,
    pub is_new: bool,
    /// Of an incremental stream: where it goes on behind the load.
    handover: Option<Checkpoint>,
    pub numbering: Numbering,
    /// Of windows: the entry that keeps their numbers free, and the first of these.
    windows: Option<(u64, i64)>,
    /// What the chunks have in common, until they are read.
    _hold: Option<Box<dyn Any + Send + Sync>>,
}

impl Load {
    /// One that stands at the destination, whose newest entry this is.
    pub fn standing(generation: Generation, newest: &Commit) -> Result<Self> {
        let frozen = Frozen::of(&newest.state)?;
        let (ranges, handover) = (frozen.ranges(&generation)?, frozen.handover());
        let numbering = numbering(handover.as_ref(), newest);
        Ok(Self { generation, ranges, is_new: false, handover, numbering, windows: None, _hold: None })
    }

    /// Windows, which this entry of the stream has room for. They are read as chunks are, and published by none.
    pub fn of_windows(entry: &Commit) -> Result<Self> {
        let ranges = entry.reserves.clone().unwrap_or_default();
        let first = entry.last_seq - i64::try_from(ranges.len()).unwrap_or_default() + 1;
        let generation = Generation::new("", Consistency::Chunk, &ranges);
        Ok(Self {
            generation,
            ranges: ranges.into_iter().map(Some).collect(),
            is_new: false,
            handover: None,
            numbering: Numbering::None,
            windows: Some((entry.seq, first)),
            _hold: None,
        })
    }

    /// The sub-stream of a chunk, and how its rows are numbered.
    pub fn sub_stream(&self, stream: &StreamId, chunk: &str) -> (StreamId, Numbering) {
        match self.windows {
            None => (stream.chunk(&self.generation.generation, chunk), self.numbering),
            Some((seq, first)) => {
                let id = stream.window(&format!("{seq:020}-{chunk}"));
                (id, Numbering::Same(first + chunk.parse::<i64>().unwrap_or_default()))
            }
        }
    }

    /// Of windows: what they are called together.
    pub fn shown(&self, stream: &StreamId) -> StreamId {
        let seq = self.windows.map_or(0, |(seq, _)| seq);
        stream.window(&seq.to_string())
    }

    /// What came to nothing of a chunk, as the whole load has it.
    pub fn failures_of(&self, chunk: &str, failures: Failures) -> Failures {
        // Where a chunk is all there is, its ids are the stream's.
        let is_all = self.ranges.len() < 2 && self.handover.is_none();
        if is_all { failures } else { failures.of_part(chunk) }
    }

    pub fn is_of_windows(&self) -> bool {
        self.windows.is_some()
    }

    /// What a chunk is; `None` where it is all.
    pub fn range(&self, chunk: &str) -> Result<Option<Range>> {
        let at = self.generation.chunks().iter().position(|name| name == chunk);
        let range = at.and_then(|at| self.ranges.get(at));
        range.cloned().ok_or_else(|| Error::conflict(format!("its load has no chunk {chunk}")))
    }
}

/// Loads all of it, and publishes it.
///
/// `cut` is what the source has been asked for already.
pub async fn load(
    session: &Session,
    source: &dyn Source,
    main: &mut dyn Writer,
    lease: &dyn Lease,
    mut cut: Option<Chunks>,
) -> Result<Ended> {
    let mut lost = None;
    loop {
        let Some(load) = begin(session, source, main, lease, lost.as_ref(), cut.take()).await? else {
            return Ok(Ended::Stopped);
        };
        match chunks::load(session, source, lease, &load).await {
            Ok(Some(chunks)) => {
                publish(session, main, load, chunks).await?;
                return Ok(Ended::AtTheEnd);
            }
            Ok(None) => return Ok(Ended::Stopped),
            // The source can no longer go on with what was begun. Once: what it loses at every turn is a failure.
            Err(error) if error.kind() == Kind::Lost && lost.is_none() => lost = Some(error),
            Err(error) if error.kind() == Kind::Lost => return Err(Error::unavailable(error.message())),
            Err(error) => return Err(error),
        }
    }
}

/// The generation that was left unfinished, or a new one, whose first entry is written here; `None` where a stop comes
/// first. What the source has `lost` is given up.
async fn begin(
    session: &Session,
    source: &dyn Source,
    main: &mut dyn Writer,
    lease: &dyn Lease,
    lost: Option<&Error>,
    known: Option<Chunks>,
) -> Result<Option<Load>> {
    let mut retires = Vec::new();
    let anew = session.is_refresh();
    if session.opening.mode == Mode::Full && !anew {
        Generation::of(main.last())?;
    }
    if let Some(last) = Generation::unfinished(main.last()) {
        let stream = &session.stream.id;
        chunks::refuse_at_work(session, &last.generation).await?;
        match (lost, last.unfit(session)) {
            _ if anew => tracing::info!(%stream, generation = last.generation, "giving up an unfinished full load"),
            (Some(lost), _) => {
                let generation = &last.generation;
                tracing::warn!(%stream, generation, "giving up a full load that cannot go on, to begin anew: {}", lost.message());
            }
            (None, Some(why)) => {
                tracing::info!(%stream, generation = last.generation, "giving up a full load that was begun {why}");
            }
            // What another mode began does not say where we go on.
            (None, None) if (session.opening.mode == Mode::Incremental) != has_handover(main.last())? => {
                tracing::info!(%stream, generation = last.generation, "giving up a full load of another mode");
            }
            (None, None) => {
                return Ok(Some(Load::standing(last, main.last())?));
            }
        }
        retires.push(last.generation);
    }
    let cut = match known {
        Some(known) => Some(known),
        None => cut(session, source, lease).await?,
    };
    let Some(mut cut) = cut else { return Ok(None) };
    if session.opening.mode == Mode::Incremental {
        let Some(handed) = asked(session, lease, source.hand_over(&session.stream, cut)).await? else {
            return Ok(None);
        };
        cut = handed;
    }
    let Chunks { ranges, consistency, hold, handover } = cut;
    let generation = Generation::new(&session.definition, consistency, &ranges);
    let frozen = Frozen::new(ranges, handover.clone());
    let last_seq = main.last().last_seq + i64::from(handover.is_some());
    let seal = Seal { retires, last_seq, state: frozen.state()?, ..Seal::at(Some(generation.position()?)) };
    let commit = main.commit(seal).await?;
    session.record(&commit).await?;
    session.refreshed();
    let ranges = frozen.ranges(&generation)?;
    let numbering = numbering(handover.as_ref(), &commit);
    Ok(Some(Load { generation, ranges, is_new: true, handover, numbering, windows: None, _hold: hold }))
}

/// One number for all rows of a load that an incremental stream goes on from: each key is in it once, and before all that
/// follows.
fn numbering(handover: Option<&Checkpoint>, newest: &Commit) -> Numbering {
    handover.map_or(Numbering::None, |_| Numbering::Same(newest.last_seq))
}

fn has_handover(newest: &Commit) -> Result<bool> {
    Ok(Frozen::of(&newest.state)?.handover().is_some())
}

/// Asks the source for chunks, which is a reading as others are.
pub async fn cut(session: &Session, source: &dyn Source, lease: &dyn Lease) -> Result<Option<Chunks>> {
    asked(session, lease, source.chunks(&session.stream)).await
}

async fn asked(
    session: &Session,
    lease: &dyn Lease,
    answer: impl Future<Output = Result<Chunks>>,
) -> Result<Option<Chunks>> {
    let mut stop = session.stop.clone();
    let Some(_permit) = session.readings.begin(&mut stop, lease).await? else { return Ok(None) };
    tokio::select! {
        chunks = answer => chunks.map(Some),
        lost = lease.lost() => Err(lost),
        () = stop.requested() => Ok(None),
    }
}

/// Makes the generation live: the last entry of its load. Refused for other columns than before, its chunks stay.
pub async fn publish(session: &Session, main: &mut dyn Writer, load: Load, chunks: Vec<Loaded>) -> Result<()> {
    let Shortfall { failures, aside } = chunks::shortfall(&load, &chunks);
    let Load { mut generation, handover, .. } = load;
    let mut totals = Totals::default();
    chunks.iter().for_each(|chunk| totals += chunk.totals);
    // RFC 3339 in UTC: the order of the times, up to fractions of a second of another length.
    generation.read_at = chunks.iter().filter_map(|chunk| chunk.read_at.clone()).min();
    let until = chunks.iter().map(|chunk| chunk.read_until.clone()).max();
    generation.read_until = until.filter(|_| generation.is_of_many_moments());
    generation.published = true;
    let Totals { rows, bytes, files } = totals;
    let last = chunks.into_iter().map(|chunk| (chunk.name, chunk.last)).collect();
    let publication = Publication {
        generation: generation.generation.clone(),
        seq: 0,
        chunks: last,
        rows,
        bytes,
        files,
        failures: failures.some(),
        set_aside: aside,
    };
    let changed = changed(session, main.last(), &publication).await?;
    let at = handover.map_or_else(|| generation.position().map(Checkpoint::from), Ok)?;
    let seal = Seal {
        last_seq: main.last().last_seq,
        publishes: Some(publication),
        complete: true,
        state: at.state,
        ..Seal::at(Some(at.position))
    };
    let commit = main.commit(seal).await?;
    // Before anything else may fail: the next run compares with this load.
    tell(session, &changed);
    session.record(&commit).await
}

/// What the tables of a load that is to be published have for other columns than what stands there; an error where that
/// is to be refused. What cannot be compared only then keeps a load from being published.
pub async fn changed(session: &Session, newest: &Commit, publication: &Publication) -> Result<Vec<(String, String)>> {
    let (stream, destination) = (&session.stream.id, &*session.destination);
    let compared = async {
        let old = match (session.opening.mode, newest.generations.live()) {
            (Mode::Full, Some(before)) => columns::definitions(destination, stream, before).await?,
            (Mode::Full, None) => return Ok(Vec::new()),
            _ => columns::before(destination, stream, newest).await?,
        };
        let new = columns::definitions(destination, stream, publication).await?;
        let changes = |(table, new): (String, Columns)| Some((old.get(&table)?.changes(&new)?, table));
        Ok::<Vec<_>, Error>(new.into_iter().filter_map(changes).map(|(changes, table)| (table, changes)).collect())
    };
    let is_refused = session.on_schema_change == OnChange::Fail;
    match compared.await {
        Ok(changes) => match changes.first().filter(|_| is_refused) {
            Some((table, changes)) => Err(columns::unpublished(table, changes)),
            None => Ok(changes),
        },
        Err(error) if is_refused => Err(error.at("the columns could not be compared with those of the load before")),
        Err(error) => {
            tracing::warn!(%stream, %error, "the columns could not be compared with those of the load before");
            Ok(Vec::new())
        }
    }
}

/// Says what has changed with the load that was published.
pub fn tell(session: &Session, changed: &[(String, String)]) {
    let stream = &session.stream.id;
    for (table, changes) in changed {
        match session.on_schema_change {
            OnChange::Evolve => {
                tracing::info!(%stream, table, changes, "published with other columns than the load before")
            }
            _ => tracing::warn!(%stream, table, changes, "published with other columns than the load before"),
        }
    }
}
