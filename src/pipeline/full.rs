//! A full load, by generation: chunks with logs of their own, and one last entry that makes the generation live.

use std::any::Any;

use serde_json::Value;

use super::chunks::{self, Loaded};
use super::columns;
use super::copy::Ended;
use super::generation::{Generation, freeze, thaw};
use super::session::{Session, Totals};
use crate::destination::Writer;
use crate::error::{Error, Kind, Result};
use crate::job_log::Lease;
use crate::record::{Publication, Range, Seal};
use crate::source::{Chunks, Source};

/// A generation to load.
pub struct Load {
    pub generation: Generation,
    /// Of each chunk: what it is, where it is not all.
    pub ranges: Vec<Option<Range>>,
    pub is_new: bool,
    /// What the chunks have in common, until they are read.
    _hold: Option<Box<dyn Any + Send + Sync>>,
}

impl Load {
    /// One that stands at the destination, with the state of its newest entry.
    pub fn standing(generation: Generation, state: &Value) -> Result<Self> {
        let ranges = thaw(&generation, state)?;
        Ok(Self { generation, ranges, is_new: false, _hold: None })
    }

    /// What a chunk is; `None` where it is all.
    pub fn range(&self, chunk: &str) -> Result<Option<Range>> {
        let at = self.generation.chunks().iter().position(|name| name == chunk);
        let range = at.and_then(|at| self.ranges.get(at));
        range.cloned().ok_or_else(|| Error::conflict(format!("its load has no chunk {chunk}")))
    }
}

/// Loads all of it, and publishes it.
pub async fn load(session: &Session, source: &dyn Source, main: &mut dyn Writer, lease: &dyn Lease) -> Result<Ended> {
    let mut lost = None;
    loop {
        let Some(load) = begin(session, source, main, lease, lost.as_ref()).await? else {
            return Ok(Ended::Stopped);
        };
        match chunks::load(session, source, lease, &load).await {
            Ok(Some(chunks)) => {
                publish(session, main, load.generation, chunks).await?;
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
) -> Result<Option<Load>> {
    let mut retires = Vec::new();
    if let Some(last) = Generation::of(main.last())?
        && !last.published
    {
        let stream = &session.stream.id;
        chunks::refuse_at_work(session, &last.generation).await?;
        match (lost, last.unfit(session)) {
            (Some(lost), _) => {
                let generation = &last.generation;
                tracing::warn!(%stream, generation, "giving up a full load that cannot go on, to begin anew: {}", lost.message());
            }
            (None, Some(why)) => {
                tracing::info!(%stream, generation = last.generation, "giving up a full load that was begun {why}");
            }
            (None, None) => {
                return Ok(Some(Load::standing(last, &main.last().state)?));
            }
        }
        retires.push(last.generation);
    }
    let Some(Chunks { ranges, consistency, hold }) = cut(session, source, lease).await? else {
        return Ok(None);
    };
    let generation = Generation::new(&session.definition, consistency, &ranges);
    let seal = Seal { retires, state: freeze(&ranges), ..Seal::at(Some(generation.position()?)) };
    let commit = main.commit(seal).await?;
    session.record(&commit).await?;
    let ranges = thaw(&generation, &commit.state)?;
    Ok(Some(Load { generation, ranges, is_new: true, _hold: hold }))
}

/// Asks the source for chunks, which is a reading as others are.
async fn cut(session: &Session, source: &dyn Source, lease: &dyn Lease) -> Result<Option<Chunks>> {
    let mut stop = session.stop.clone();
    let Some(_permit) = session.readings.begin(&mut stop, lease).await? else { return Ok(None) };
    tokio::select! {
        chunks = source.chunks(&session.stream) => chunks.map(Some),
        lost = lease.lost() => Err(lost),
        () = stop.requested() => Ok(None),
    }
}

/// Makes the generation live: the last entry of its load.
pub async fn publish(
    session: &Session,
    main: &mut dyn Writer,
    mut generation: Generation,
    chunks: Vec<Loaded>,
) -> Result<()> {
    let mut totals = Totals::default();
    chunks.iter().for_each(|chunk| totals += chunk.totals);
    // RFC 3339 in UTC: the order of the times, up to fractions of a second of another length.
    generation.read_at = chunks.iter().filter_map(|chunk| chunk.read_at.clone()).min();
    let until = chunks.iter().map(|chunk| chunk.read_until.clone()).max();
    generation.read_until = until.filter(|_| generation.is_of_many_moments());
    generation.published = true;
    let Totals { rows, bytes, files } = totals;
    let last = chunks.into_iter().map(|chunk| (chunk.name, chunk.last)).collect();
    let publication = Publication { generation: generation.generation.clone(), chunks: last, rows, bytes, files };
    let before = main.last().generations.live().cloned();
    let seal = Seal {
        publishes: Some(publication.clone()),
        complete: true,
        state: Value::Null,
        ..Seal::at(Some(generation.position()?))
    };
    let commit = main.commit(seal).await?;
    // Before anything else may fail: the next run compares with this load.
    if let Some(before) = before {
        warn_of_columns(session, &before, &publication).await;
    }
    session.record(&commit).await
}

/// Says so where the tables that were published have other columns than those of the load before. The load stands
/// whatever comes of it.
async fn warn_of_columns(session: &Session, before: &Publication, published: &Publication) {
    let (stream, destination) = (&session.stream.id, &*session.destination);
    let compared = async {
        let old = columns::definitions(destination, stream, before).await?;
        Ok::<_, Error>((old, columns::definitions(destination, stream, published).await?))
    };
    let (old, new) = match compared.await {
        Ok(definitions) => definitions,
        Err(error) => {
            tracing::warn!(%stream, %error, "the columns could not be compared with those of the load before");
            return;
        }
    };
    for (table, new) in &new {
        if let Some(changes) = old.get(table).and_then(|old| columns::changes(old, new)) {
            tracing::warn!(%stream, table, changes, "published with other columns than the load before");
        }
    }
}
