//! The columns that tables have in what stands at the destination, from the entries of commit logs.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};

use super::Columns;
use crate::destination::Destination;
use crate::error::Result;
use crate::record::{Commit, Publication, StreamId};

/// What the columns of tables are, by table.
pub type Definitions = BTreeMap<String, Columns>;

/// How many entries without files are looked through for one with.
const LOOKS: u64 = 1_000;
/// How many logs of chunks are looked at together.
const LOOKING: usize = 8;

/// The definitions of a growing stream's tables, as the newest entry with files up to `last` has them, or the load that it
/// grew from.
pub async fn before(destination: &dyn Destination, stream: &StreamId, last: &Commit) -> Result<Definitions> {
    let load = last.generations.live();
    let first = load.map_or(0, |load| load.seq).max(last.seq.saturating_sub(LOOKS));
    let found = newest(destination, stream, first, last.seq).await?;
    match load {
        Some(load) if found.is_empty() => definitions(destination, stream, load).await,
        _ => Ok(found),
    }
}

/// The definitions of a generation's tables: of each chunk as its newest entry with parts has them, put together by
/// [`gather`]. Where columns are declared, which all chunks have alike, no chunk is looked at behind the first that has parts.
pub async fn definitions(
    destination: &dyn Destination,
    stream: &StreamId,
    publication: &Publication,
) -> Result<Definitions> {
    let mut all = Definitions::new();
    let mut chunks = publication.chunks.iter();
    for (chunk, last) in chunks.by_ref() {
        gather(&mut all, newest(destination, &stream.chunk(&publication.generation, chunk), 0, *last).await?);
        if !all.is_empty() {
            break;
        }
    }
    if all.values().any(Columns::is_found) {
        let look = |(chunk, last): (&String, &u64)| {
            let (id, last) = (stream.chunk(&publication.generation, chunk), *last);
            async move { newest(destination, &id, 0, last).await }.boxed()
        };
        let looks: Vec<BoxFuture<'_, _>> = chunks.map(look).collect();
        let mut looking = stream::iter(looks).buffered(LOOKING);
        while let Some(found) = looking.try_next().await? {
            gather(&mut all, found);
        }
    }
    Ok(all)
}

/// Adds the definitions of a later chunk of the same load. Columns that were found in the rows come to those of both; where they
/// are declared, the first counts: none of a load has others.
fn gather(all: &mut Definitions, chunk: Definitions) {
    for (table, columns) in chunk {
        match all.get_mut(&table) {
            Some(known) if known.is_found() => known.grow(columns),
            Some(_) => {}
            None => {
                all.insert(table, columns);
            }
        }
    }
}

/// The definitions that the newest entry with parts has, from `first` to `last`. Most often it is the last, or the one before it.
async fn newest(destination: &dyn Destination, id: &StreamId, first: u64, last: u64) -> Result<Definitions> {
    for seq in (first..=last).rev() {
        let found: Definitions = destination.range(id, seq, seq).await?.iter().flat_map(of_parts).collect();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Definitions::new())
}

/// The definitions of the tables that have a part in an entry, part by part: where a table has several, the last is the newest.
pub fn of_parts(commit: &Commit) -> impl Iterator<Item = (String, Columns)> {
    let of = |id: &String| commit.schemas.get(id).map(Columns::of);
    commit.parts.iter().filter_map(move |part| Some((part.table.clone(), of(&part.schema)?)))
}
