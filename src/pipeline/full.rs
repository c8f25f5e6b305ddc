//! A full load, by generation: chunks with logs of their own, and one last entry that makes the generation live.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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

    fn is_older_than(&self, limit: Duration) -> bool {
        let started = self.started_at.parse::<Timestamp>();
        started.map_or(true, |at| Timestamp::now().duration_since(at).unsigned_abs() > limit)
    }
}

/// The position of a full load, as the job log has it, in words for people; `None` if it is of another kind.
pub fn full_load_in_words(position: &str) -> Option<String> {
    let generation: Generation = serde_json::from_str(position).ok()?;
    let at = generation.started_at.parse::<Timestamp>().ok()?.strftime("%Y-%m-%d %H:%M:%S UTC");
    Some(match generation.published {
        true => format!("all, as of {at}"),
        false => format!("loading since {at}"),
    })
}

/// Loads all of it; the totals are those of the generation.
pub async fn load(
    session: &Session,
    source: &dyn Source,
    main: &mut dyn Writer,
    lease: &dyn Lease,
) -> Result<(Ended, Totals)> {
    let mut generation = begin(session, main).await?;
    let mut totals = Totals::default();
    let mut last = BTreeMap::new();
    let chunks: Vec<_> = generation.chunks.keys().cloned().collect();
    for chunk in chunks {
        let id = session.stream.id.chunk(&generation.generation, &chunk);
        let (commit, chunk_totals) = match load_chunk(session, source, &id, lease, totals).await? {
            Some(loaded) => loaded,
            None => return Ok((Ended::Stopped, totals)),
        };
        totals = chunk_totals;
        last.insert(chunk.clone(), commit.seq);
        generation.chunks.insert(chunk, commit.position);
    }
    generation.published = true;
    let Totals { rows, bytes, files } = totals;
    let publication = Publication { generation: generation.generation.clone(), chunks: last, rows, bytes, files };
    let seal = Seal { publishes: Some(publication), complete: true, ..Seal::at(Some(generation.position()?)) };
    let commit = main.commit(seal).await?;
    session.record(&commit).await?;
    Ok((Ended::AtTheEnd, totals))
}

/// The generation that the last run left unfinished, or a new one, whose first entry is written here.
async fn begin(session: &Session, main: &mut dyn Writer) -> Result<Generation> {
    let mut retires = Vec::new();
    if let Some(last) = Generation::of(main.last())?
        && !last.published
    {
        let Some(why) = last.unfit(session) else {
            tracing::info!(generation = last.generation, "continuing the full load of an earlier run");
            return Ok(last);
        };
        tracing::info!(generation = last.generation, "giving up a full load that was begun {why}");
        retires.push(last.generation);
    }
    let generation = Generation::new(&session.definition);
    let commit = main.commit(Seal { retires, ..Seal::at(Some(generation.position()?)) }).await?;
    session.record(&commit).await?;
    Ok(generation)
}

/// Loads one chunk, or finds it loaded: its last entry, and the totals with it. `None` if it was stopped.
async fn load_chunk(
    session: &Session,
    source: &dyn Source,
    id: &StreamId,
    lease: &dyn Lease,
    before: Totals,
) -> Result<Option<(Commit, Totals)>> {
    let destination = &session.destination;
    let mut totals = before;
    let last = destination.last(id, None).await?;
    if let Some(last) = &last {
        for commit in destination.range(id, 0, last.seq).await? {
            totals.add(&commit);
        }
    }
    if let Some(last) = last.filter(|commit| commit.complete) {
        return Ok(Some((last, totals)));
    }
    let mut opening = session.opening.clone();
    opening.after = None;
    let mut writer = destination.open(id, &opening).await?;
    let copied = copy_chunk(session, source, &mut *writer, lease, totals).await;
    match copied {
        Ok((Ended::AtTheEnd, totals)) => {
            let commit = writer.last().clone();
            Ok(Some((commit, totals)))
        }
        Ok((Ended::Stopped, _)) => {
            writer.abort().await;
            Ok(None)
        }
        Err(error) => {
            writer.abort().await;
            Err(error)
        }
    }
}

async fn copy_chunk(
    session: &Session,
    source: &dyn Source,
    writer: &mut dyn Writer,
    lease: &dyn Lease,
    totals: Totals,
) -> Result<(Ended, Totals)> {
    let position = writer.last().position.clone();
    let mut reader = source.open(&session.stream, position.as_ref()).await?;
    let mut account = Account::new(session, totals, true);
    let copy = Copy {
        reader: &mut *reader,
        writer,
        lease,
        ledger: &mut account,
        limits: session.limits,
        mode: Mode::Full,
        stop: session.stop.clone(),
    };
    let ended = copy.run().await?;
    Ok((ended, account.totals))
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
        assert_eq!(full_load_in_words("{\"id\":1}"), None);
    }
}
