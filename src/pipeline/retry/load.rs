//! Of a full load that is live: one more chunk for each that lacks something, and the same generation published with them.
//!
//! The chunks are sub-streams beside the load's own, `retry-N-CHUNK`. Until the publication no reader of the log sees them;
//! a retry that finds those of a killed one goes on with them, as a load does with its chunks.

use super::super::chunks::{self, Loaded};
use super::super::copy::Ended;
use super::super::full::{self, Load};
use super::super::generation::Generation;
use super::super::session::Session;
use super::has_any;
use crate::destination::Writer;
use crate::error::{Error, Result};
use crate::job_log::Lease;
use crate::record::{Checkpoint, Failures, Publication, Range, Seal, SetAside, add_aside};
use crate::source::Source;

/// A chunk of the load, as its last reading left it.
struct Chunk {
    name: String,
    range: Option<Range>,
    at: Option<Checkpoint>,
    failures: Failures,
}

/// Asks again for all that the live load lacks. Once more, where all there was to do was to publish what a killed retry had
/// asked for.
pub async fn retry(session: &Session, source: &dyn Source, main: &mut dyn Writer, lease: &dyn Lease) -> Result<Ended> {
    loop {
        let Some(live) = main.last().generations.live().cloned() else { return Ok(Ended::AtTheEnd) };
        let Some(round) = round(session, source, lease, live).await? else { return Ok(Ended::Stopped) };
        let is_done = round.has_asked || !round.publication.failures.as_ref().is_some_and(has_any);
        publish(session, main, round.publication).await?;
        session.set_aside(&round.aside);
        if is_done {
            return Ok(Ended::AtTheEnd);
        }
    }
}

/// What one more reading of each chunk that lacks something came to.
struct Round {
    publication: Publication,
    aside: SetAside,
    /// Something was asked for, rather than found as a killed retry left it.
    has_asked: bool,
}

/// `None` where a stop came first: what was asked for until then is found by the next retry.
async fn round(session: &Session, source: &dyn Source, lease: &dyn Lease, live: Publication) -> Result<Option<Round>> {
    let load = load_of(session, &live).await?;
    let number = 1 + live.chunks.keys().filter_map(|name| retry_of(name)).map(|(number, _)| number).max().unwrap_or(0);
    let (mut failures, mut aside, mut has_asked) = (Failures::default(), SetAside::new(), false);
    let mut publication = live.clone();
    for (name, range) in load.generation.chunks().into_iter().zip(load.ranges.clone()) {
        let mut chunk = found(session, &live, name, range).await?;
        if has_any(&chunk.failures) {
            let at = chunk.at.ok_or_else(|| Error::bug("requests failed in a chunk that has no position"))?;
            let name = format!("retry-{number}-{}", chunk.name);
            let again = chunks::load_again(session, source, lease, &load, name, chunk.range, at).await?;
            let Some((Loaded { name, last, totals, failures, aside: more, .. }, was_there)) = again else {
                return Ok(None);
            };
            has_asked |= !was_there;
            publication.rows += totals.rows;
            publication.bytes += totals.bytes;
            publication.files += totals.files;
            publication.chunks.insert(name, last);
            add_aside(&mut aside, &more);
            chunk.failures = failures.unwrap_or_default();
        }
        failures.add(load.failures_of(&chunk.name, chunk.failures));
    }
    publication.failures = failures.some();
    add_aside(&mut publication.set_aside, &aside);
    Ok(Some(Round { publication, aside, has_asked }))
}

/// The load that is live, as its first entry froze it, which stood before the one that published it.
async fn load_of(session: &Session, live: &Publication) -> Result<Load> {
    let before = live.seq.saturating_sub(1);
    let entries = session.destination.range(&session.stream.id, before, before).await?;
    let begun = entries.first().and_then(|entry| Some((Generation::unfinished(entry)?, entry)));
    let (generation, entry) = begun
        .filter(|(begun, _)| begun.generation == live.generation)
        .ok_or_else(|| Error::conflict("the commit log does not say how the live load was begun").hint(ANEW))?;
    if generation.definition() != session.definition {
        return Err(Error::config("the stream's keys in pipeline.conf have changed since it was loaded").hint(ANEW));
    }
    Load::standing(generation, entry)
}

const ANEW: &str =
    "What failed cannot be asked for by itself. Run the stream again: a full load asks for everything anew.";

/// A chunk as its newest reading left it: its own, or the newest retry's.
async fn found(session: &Session, live: &Publication, name: String, range: Option<Range>) -> Result<Chunk> {
    let of_chunk = |(of, _): &(&String, &u64)| **of == name || retry_of(of).is_some_and(|(_, chunk)| chunk == name);
    let newest = live.chunks.iter().filter(of_chunk).max_by_key(|(of, _)| retry_of(of).map_or(0, |(number, _)| number));
    let (newest, last) = newest.ok_or_else(|| Error::conflict(format!("the live load has no chunk {name}")))?;
    let id = session.stream.id.chunk(&live.generation, newest);
    let entries = session.destination.range(&id, *last, *last).await?;
    let last = entries.into_iter().next();
    let at = last.as_ref().and_then(|last| last.checkpoint());
    let failures = last.and_then(|last| last.failures).unwrap_or_default();
    Ok(Chunk { name, range, at, failures })
}

/// The number of a retry, and the chunk that it is of.
fn retry_of(name: &str) -> Option<(u64, &str)> {
    let (number, chunk) = name.strip_prefix("retry-")?.split_once('-')?;
    Some((number.parse().ok()?, chunk))
}

/// Makes the same generation live with its new chunks. The stream stays where it stands, and what grew since the load too.
async fn publish(session: &Session, main: &mut dyn Writer, publication: Publication) -> Result<()> {
    let changed = full::changed(session, main.last(), &publication).await?;
    let last = main.last();
    let seal = Seal {
        last_seq: last.last_seq,
        publishes: Some(publication),
        complete: true,
        state: last.state.clone(),
        failures: last.failures.clone(),
        ..Seal::at(last.position.clone())
    };
    let commit = main.commit(seal).await?;
    full::tell(session, &changed);
    session.record(&commit).await
}
