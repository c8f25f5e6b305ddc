//! Files of generations: of one that is live, of one that is about to be, and of those that are live no more.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::layout::Layout;
use super::log::Log;
use super::store::Store;
use crate::error::{Error, Result};
use crate::record::{PartInfo, Publication};

/// Deletes every part of these generations; their logs stay. Gives those that may still have some: the next entry
/// carries them on, since nobody but the entries remembers them.
#[must_use]
pub async fn delete(store: &dyn Store, stream: &Layout, generations: &[String]) -> Vec<String> {
    let mut left = Vec::new();
    for generation in generations {
        match delete_but(store, stream, generation, &HashSet::new()).await {
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

/// Deletes what a growing stream, its windows too, wrote for entries before this one. Gives it back where files may be
/// left.
#[must_use]
pub async fn delete_grown(store: &dyn Store, stream: &Layout, before: Option<u64>) -> Option<u64> {
    let before = before?;
    let deleted = async {
        let mut tables = BTreeSet::new();
        for key in store.list(&stream.table_markers(), None).await? {
            tables.extend(stream.marked_table(&key));
        }
        for key in store.list(&stream.window_logs(), None).await? {
            tables.extend(stream.window_of(&key).and_then(|window| stream.window(&window).marked_table(&key)));
        }
        for table in tables {
            let mut old = store.list(&stream.parts(&table), None).await?;
            old.retain(|key| stream.part_seq(&table, key).is_some_and(|seq| seq < before));
            let mut windows = store.list(&stream.parts_of_windows(&table), None).await?;
            windows.retain(|key| stream.window_seq(&table, key).is_some_and(|seq| seq < before));
            old.extend(windows);
            store.delete(&old).await?;
        }
        Ok::<_, Error>(())
    };
    match deleted.await {
        Ok(()) => None,
        Err(error) => {
            tracing::warn!(%error, "what an earlier load of the stream was followed by could not be deleted yet");
            Some(before)
        }
    }
}

/// Deletes what lies among a generation's parts and is none of them: a store may carry out an upload of a killed process
/// after the next one has swept. Readers who take the folder as it is would read its rows twice.
///
/// To be called by the stream's newest writer, after the chunks have come to their ends: to the end of a chunk nothing is
/// added, whoever opens it again. What cannot be deleted is told and left; the commit log does not list it. Fails where
/// the chunks' logs cannot be read.
pub async fn tidy(store: &Arc<dyn Store>, stream: &Layout, publication: &Publication) -> Result<()> {
    let listed = parts(store, stream, publication).await?.into_iter().map(|part| part.path).collect();
    match delete_but(&**store, stream, &publication.generation, &listed).await {
        Ok(0) => {}
        Ok(files) => tracing::info!(files, "deleted files that an earlier run left uncommitted"),
        Err(error) => tracing::warn!(%error, "what an earlier run left uncommitted could not be deleted"),
    }
    Ok(())
}

/// The parts of a generation, in the order in which they were written.
pub async fn parts(store: &Arc<dyn Store>, stream: &Layout, publication: &Publication) -> Result<Vec<PartInfo>> {
    let mut parts = Vec::new();
    for (chunk, last) in &publication.chunks {
        let log = Log::new(store.clone(), stream.chunk(&publication.generation, chunk));
        parts.extend(log.live_parts(*last).await?);
    }
    Ok(parts)
}

/// Deletes the files of a generation but for these, and its unfinished uploads; how many files.
async fn delete_but(store: &dyn Store, stream: &Layout, generation: &str, kept: &HashSet<String>) -> Result<usize> {
    let logs = store.list(&stream.generation_logs(generation), None).await?;
    let tables: BTreeSet<_> = logs.iter().filter_map(|key| stream.generation_marked_table(generation, key)).collect();
    let mut files = 0;
    for table in tables {
        let parts = Layout::generation_parts(&table, generation);
        let mut others = store.list(&parts, None).await?;
        others.retain(|key| !kept.contains(key));
        store.delete(&others).await?;
        store.sweep(&parts, &|_| true).await?;
        files += others.len();
    }
    Ok(files)
}
