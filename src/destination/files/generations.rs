//! Files of generations: of those that are live no more, and of one that is about to be.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::layout::Layout;
use super::log::Log;
use super::store::Store;
use crate::error::Result;
use crate::record::Publication;

/// Deletes every part of these generations; their logs stay. Gives those that may still have some: the next entry
/// carries them on, since nobody but the entries remembers them.
#[must_use]
pub async fn delete(store: &dyn Store, stream: &Layout, generations: &[String]) -> Vec<String> {
    let mut left = Vec::new();
    for generation in generations {
        match delete_one(store, stream, generation).await {
            Ok(0) => {}
            Ok(files) => tracing::debug!(generation, files, "deleted the files of an old generation"),
            Err(error) => {
                tracing::warn!(%error, generation, "an old generation could not be deleted yet");
                left.push(generation.clone());
            }
        }
    }
    left
}

async fn delete_one(store: &dyn Store, stream: &Layout, generation: &str) -> Result<usize> {
    let mut files = 0;
    for table in tables(store, stream, generation).await? {
        let parts = Layout::generation_parts(&table, generation);
        let keys = store.list(&parts, None).await?;
        store.delete(&keys).await?;
        store.sweep(&parts, &|_| true).await?;
        files += keys.len();
    }
    Ok(files)
}

/// Deletes what lies among a generation's parts and is none of them: a store may carry out an upload of a killed process
/// after the next one has swept. Readers who take the folder as it is would read its rows twice.
///
/// To be called by the stream's newest writer, after the chunks have come to their ends: to the end of a chunk nothing is
/// added, whoever opens it again. What cannot be deleted is told and left; the commit log does not list it. Fails where
/// the chunks' logs cannot be read.
pub async fn tidy(store: &Arc<dyn Store>, stream: &Layout, publication: &Publication) -> Result<()> {
    let generation = &publication.generation;
    let mut listed = HashSet::new();
    for (chunk, last) in &publication.chunks {
        let log = Log::new(store.clone(), stream.chunk(generation, chunk));
        listed.extend(log.live_parts(*last).await?.into_iter().map(|part| part.path));
    }
    match delete_others(&**store, stream, generation, &listed).await {
        Ok(0) => {}
        Ok(files) => tracing::info!(files, "deleted files that an earlier run left uncommitted"),
        Err(error) => tracing::warn!(%error, "what an earlier run left uncommitted could not be deleted"),
    }
    Ok(())
}

async fn delete_others(
    store: &dyn Store,
    stream: &Layout,
    generation: &str,
    listed: &HashSet<String>,
) -> Result<usize> {
    let mut files = 0;
    for table in tables(store, stream, generation).await? {
        let parts = Layout::generation_parts(&table, generation);
        let mut orphans = store.list(&parts, None).await?;
        orphans.retain(|key| !listed.contains(key));
        store.delete(&orphans).await?;
        store.sweep(&parts, &|_| true).await?;
        files += orphans.len();
    }
    Ok(files)
}

/// The tables that have parts of a generation, or may have.
async fn tables(store: &dyn Store, stream: &Layout, generation: &str) -> Result<BTreeSet<String>> {
    let logs = store.list(&stream.generation_logs(generation), None).await?;
    Ok(logs.iter().filter_map(|key| stream.generation_marked_table(generation, key)).collect())
}
