//! A full load, by generation: chunks with logs of their own, and one last entry that makes the generation live.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::columns;
use super::copy::{Copy, Ended};
use super::session::{Account, Session, Totals};
use crate::destination::Writer;
use crate::error::{Error, Result};
use crate::job_log::Lease;
use crate::record::{Commit, Mode, Position, Publication, Seal, StreamId};
use crate::source::Source;

/// The position of a stream in full mode: which generation is being loaded, or was loaded last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Generation {
    generation: String,
    /// What it is a load of; empty in positions from before this was kept, which fits nothing.
    #[serde(default)]
    definition: String,
    /// RFC 3339.
    started_at: String,
    /// RFC 3339: when its rows were read, from the publication on. What is read again after a failure is read later than
    /// the load was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read_at: Option<String>,
    published: bool,
    /// Each chunk's last position; `None` while it is being loaded. The chunks are frozen with the first entry.
    chunks: BTreeMap<String, Option<Position>>,
}

impl Generation {
    fn new(definition: &str) -> Self {
        Self {
            // Begins with a letter, so that no listing of entries meets it; grows with time.
            generation: format!("g{}", Uuid::now_v7().simple()),
            definition: definition.to_owned(),
            started_at: Timestamp::now().to_string(),
            read_at: None,
            published: false,
            chunks: BTreeMap::from([("0".to_owned(), None)]),
        }
    }

    fn of(commit: &Commit) -> Result<Option<Self>> {
        let Some(position) = &commit.position else { return Ok(None) };
        let generation = serde_json::from_value(position.as_value().clone());
        generation.map(Some).map_err(|_| {
            Error::conflict("the stream was read in another mode before")
                .hint("Give the full load a stream of its own: `[stream NAME]` with `mode = full`.")
        })
    }

    fn position(&self) -> Result<Position> {
        let value = serde_json::to_value(self).map_err(|e| Error::bug(e.to_string()))?;
        Ok(Position::new(value))
    }

    /// Why it is not to be continued; `None` where it is.
    fn unfit(&self, session: &Session) -> Option<&'static str> {
        // Its rows and ours together would be no table that anybody asked for.
        if self.definition != session.definition {
            return Some(
                "under another definition: its stream's keys in pipeline.conf, or their defaults, have changed",
            );
        }
        self.is_older_than(session.resume_within).then_some("too long ago to be continued")
    }

    /// When its rows were read; as long as that is not settled, when it was begun.
    fn moment(&self) -> Option<String> {
        let at: Timestamp = self.read_at.as_ref().unwrap_or(&self.started_at).parse().ok()?;
        Some(at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
    }

    fn is_older_than(&self, limit: Duration) -> bool {
        let started = self.started_at.parse::<Timestamp>();
        started.map_or(true, |at| Timestamp::now().duration_since(at).unsigned_abs() > limit)
    }
}

/// The position of a full load, as the job log has it, in words for people; `None` if it is of another kind.
pub fn full_load_in_words(position: &str) -> Option<String> {
    let generation: Generation = serde_json::from_str(position).ok()?;
    let at = generation.moment()?;
    Some(if generation.published { format!("all, as of {at}") } else { format!("loading since {at}") })
}

/// The time in [`full_load_in_words`].
pub fn moment(position: &str) -> Option<String> {
    serde_json::from_str::<Generation>(position).ok()?.moment()
}

/// Loads all of it, and publishes it.
pub async fn load(session: &Session, source: &dyn Source, main: &mut dyn Writer, lease: &dyn Lease) -> Result<Ended> {
    let (mut generation, is_new) = begin(session, main).await?;
    let begun = if is_new { None } else { generation.moment() };
    let mut totals = Totals::default();
    let mut last = BTreeMap::new();
    let chunks: Vec<_> = generation.chunks.keys().cloned().collect();
    for chunk in chunks {
        let id = session.stream.id.chunk(&generation.generation, &chunk);
        let found = find_chunk(session, &id, totals, begun.as_deref()).await?;
        let Some(loaded) = load_chunk(session, source, &id, lease, found).await? else {
            return Ok(Ended::Stopped);
        };
        totals = session.totals();
        last.insert(chunk.clone(), loaded.last.seq);
        generation.chunks.insert(chunk, loaded.last.position);
        generation.read_at = earlier(generation.read_at, loaded.read_at);
    }
    generation.published = true;
    let Totals { rows, bytes, files } = totals;
    let publication = Publication { generation: generation.generation.clone(), chunks: last, rows, bytes, files };
    let before = main.last().generations.live().cloned();
    let seal = Seal { publishes: Some(publication.clone()), complete: true, ..Seal::at(Some(generation.position()?)) };
    let commit = main.commit(seal).await?;
    // Before anything else may fail: the next run compares with this load.
    if let Some(before) = before {
        warn_of_columns(session, &before, &publication).await;
    }
    session.record(&commit).await?;
    Ok(Ended::AtTheEnd)
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

fn earlier(one: Option<String>, other: Option<String>) -> Option<String> {
    // RFC 3339 in UTC: the order of the times, up to fractions of a second of another length.
    one.into_iter().chain(other).min()
}

/// The generation that was left unfinished, or a new one, whose first entry is written here; and whether it is new.
async fn begin(session: &Session, main: &mut dyn Writer) -> Result<(Generation, bool)> {
    let mut retires = Vec::new();
    if let Some(last) = Generation::of(main.last())?
        && !last.published
    {
        let Some(why) = last.unfit(session) else {
            return Ok((last, false));
        };
        tracing::info!(generation = last.generation, "giving up a full load that was begun {why}");
        retires.push(last.generation);
    }
    let generation = Generation::new(&session.definition);
    let commit = main.commit(Seal { retires, ..Seal::at(Some(generation.position()?)) }).await?;
    session.record(&commit).await?;
    Ok((generation, true))
}

/// What is there of a chunk.
struct Found {
    last: Option<Commit>,
    /// When what is committed of it was read.
    read_at: Option<String>,
}

/// A chunk that is there to its end.
struct Loaded {
    last: Commit,
    read_at: Option<String>,
}

/// Looks for a chunk at the destination, and counts what is there of it to what the chunks `before` it hold; `begun` is
/// since when it may be there.
async fn find_chunk(session: &Session, id: &StreamId, before: Totals, begun: Option<&str>) -> Result<Found> {
    let destination = &session.destination;
    let mut found = Found { last: destination.last(id, None).await?, read_at: None };
    let mut totals = before;
    if let Some(last) = &found.last {
        for commit in destination.range(id, 0, last.seq).await? {
            totals.add(&commit);
            found.read_at = read_after(&commit).or(found.read_at);
        }
    }
    if totals != session.totals() {
        session.progress(totals).await?;
    }
    if let Some(begun) = begun {
        let stream = &session.stream.id;
        if found.last.as_ref().is_some_and(|last| last.position.is_some()) {
            tracing::info!(%stream, "continuing the full load that was begun at {begun}");
        } else {
            tracing::info!(
                %stream,
                "reading the table again: nothing is committed of the full load that was begun at {begun}"
            );
        }
    }
    Ok(found)
}

/// The time of an entry behind which the reading begins at the beginning. It is the fence's, so nothing is read earlier;
/// the moment itself is in a position that only the source understands.
fn read_after(commit: &Commit) -> Option<String> {
    commit.position.is_none().then(|| commit.at.clone())
}

/// Loads one chunk, or takes it as it was loaded. `None` if it was stopped.
async fn load_chunk(
    session: &Session,
    source: &dyn Source,
    id: &StreamId,
    lease: &dyn Lease,
    found: Found,
) -> Result<Option<Loaded>> {
    let Found { last, read_at } = found;
    if let Some(last) = last.filter(|commit| commit.complete) {
        return Ok(Some(Loaded { last, read_at }));
    }
    let mut opening = session.opening.clone();
    opening.after = None;
    let mut writer = session.destination.open(id, &opening).await?;
    let read_at = read_after(writer.last()).or(read_at);
    match copy_chunk(session, source, &mut *writer, lease).await {
        Ok(Ended::AtTheEnd) => Ok(Some(Loaded { last: writer.last().clone(), read_at })),
        Ok(Ended::Stopped) => {
            tell_stopped(session, writer.last());
            writer.abort().await;
            Ok(None)
        }
        Err(error) => {
            writer.abort().await;
            Err(error)
        }
    }
}

/// Says what the next run makes of a load that was stopped, whose last entry this is.
fn tell_stopped(session: &Session, last: &Commit) {
    let stream = &session.stream.id;
    if last.position.is_some() {
        tracing::warn!(%stream, "stopped before it was published: the next run goes on from what is committed");
    } else {
        tracing::warn!(%stream, "stopped before its end: the next run reads the table again from its beginning");
    }
}

async fn copy_chunk(
    session: &Session,
    source: &dyn Source,
    writer: &mut dyn Writer,
    lease: &dyn Lease,
) -> Result<Ended> {
    let after = writer.last().checkpoint();
    let mut reader = source.open(&session.stream, after.as_ref()).await?;
    let mut account = Account::new(session, true);
    let copy = Copy {
        reader: &mut *reader,
        writer,
        lease,
        ledger: &mut account,
        limits: session.limits,
        mode: Mode::Full,
        stop: session.stop.clone(),
    };
    copy.run().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_has_words() {
        let mut generation = Generation { started_at: "2026-01-02T03:04:05.678Z".to_owned(), ..Generation::new("") };
        let words = |generation: &Generation| full_load_in_words(&generation.position().unwrap().to_string());
        assert_eq!(words(&generation).unwrap(), "loading since 2026-01-02 03:04:05 UTC");
        generation.published = true;
        assert_eq!(words(&generation).unwrap(), "all, as of 2026-01-02 03:04:05 UTC");
        generation.read_at = Some("2026-01-02T04:00:00Z".to_owned());
        assert_eq!(words(&generation).unwrap(), "all, as of 2026-01-02 04:00:00 UTC");
        assert_eq!(full_load_in_words("{\"id\":1}"), None);
    }
}
