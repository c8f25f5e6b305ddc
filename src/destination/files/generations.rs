//! Files of generations that are live no more.

use std::collections::BTreeSet;

use super::layout::Layout;
use super::store::Store;
use crate::error::Result;

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
    let logs = store.list(&stream.generation_logs(generation), None).await?;
    let tables: BTreeSet<_> = logs.iter().filter_map(|key| stream.generation_marked_table(generation, key)).collect();
    let mut files = 0;
    for table in tables {
        let parts = Layout::generation_parts(&table, generation);
        let keys = store.list(&parts, None).await?;
        store.delete(&keys).await?;
        store.sweep(&parts, &|_| true).await?;
        files += keys.len();
    }
    Ok(files)
}
