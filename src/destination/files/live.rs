//! The live files of a stream, for those who only look: nothing here depends on how files are made.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::generations;
use super::layout::{self, Layout};
use super::log::Log;
use super::store::Store;
use crate::destination::Presence;
use crate::error::Result;
use crate::record::{Commit, PartInfo, StreamId};

/// How often a stream is looked at again that committed while its files were being listed.
const LOOKS: u32 = 3;

pub struct Live<'a>(pub &'a Arc<dyn Store>);

impl Live<'_> {
    fn log(&self, stream: &StreamId) -> Log {
        Log::new(self.0.clone(), Layout::of(stream))
    }

    /// The absolute paths or URLs of the live parts, in the order in which they were written.
    pub async fn files(&self, stream: &StreamId) -> Result<Vec<String>> {
        let Some(newest) = self.log(stream).newest(None).await? else { return Ok(Vec::new()) };
        Ok(self.parts(stream, &newest).await?.iter().map(|part| self.0.url(&part.path)).collect())
    }

    /// The parts that are live as of the stream's entry `newest`.
    async fn parts(&self, stream: &StreamId, newest: &Commit) -> Result<Vec<PartInfo>> {
        let (log, layout) = (self.log(stream), Layout::of(stream));
        let Some(publication) = newest.generations.live() else {
            let mut parts = log.live_parts(newest.seq).await?;
            parts.extend(self.windows(&layout, 0).await?);
            return Ok(parts);
        };
        let mut parts = generations::parts(self.0, &layout, publication).await?;
        // What a growing stream wrote since; before that number was kept, a stream of full loads never grew.
        if publication.seq > 0 {
            parts.extend(log.parts_after(publication.seq, newest.seq).await?);
            parts.extend(self.windows(&layout, publication.seq).await?);
        }
        Ok(parts)
    }

    /// The parts of windows that were made room for after this entry.
    async fn windows(&self, stream: &Layout, after: u64) -> Result<Vec<PartInfo>> {
        let keys = self.0.list(&stream.window_logs(), None).await?;
        let ids: BTreeSet<_> = keys.iter().filter_map(|key| stream.window_of(key)).collect();
        let mut parts = Vec::new();
        for id in ids.iter().filter(|id| layout::seq_of_window(id).is_some_and(|seq| seq > after)) {
            let log = Log::new(self.0.clone(), stream.window(id));
            if let Some(newest) = log.newest(None).await? {
                parts.extend(log.live_parts(newest.seq).await?);
            }
        }
        Ok(parts)
    }

    /// Whether there is a commit log: its first entry is never deleted.
    pub async fn has(&self, stream: &StreamId) -> Result<bool> {
        Ok(self.0.get(&Layout::of(stream).entry(0)).await?.is_some())
    }

    /// The streams that have a commit log and whose names start with `prefix`, in the order of their names.
    pub async fn streams(&self, prefix: &str) -> Result<Vec<StreamId>> {
        let keys = self.0.list(&layout::logs_of(prefix), None).await?;
        let mut names: Vec<_> = keys.iter().filter_map(|key| layout::stream_of(key)).collect();
        names.dedup();
        names.retain(|name| name.starts_with(prefix));
        Ok(names.into_iter().map(StreamId::new).collect())
    }

    /// Which live files are there and which are not; `None` of a stream without a commit log.
    pub async fn presence(&self, stream: &StreamId) -> Result<Option<Presence>> {
        let log = self.log(stream);
        let Some(mut newest) = log.newest(None).await? else { return Ok(None) };
        for _ in 1..LOOKS {
            let found = self.present(stream, &newest).await?;
            let now = log.newest(Some(newest.seq)).await?;
            // What was live then may have been deleted rightly since.
            match now.filter(|now| !found.missing.is_empty() && now.seq != newest.seq) {
                Some(now) => newest = now,
                None => return Ok(Some(found)),
            }
        }
        self.present(stream, &newest).await.map(Some)
    }

    /// Lists the folders that live parts are in, each once.
    async fn present(&self, stream: &StreamId, newest: &Commit) -> Result<Presence> {
        let parts = self.parts(stream, newest).await?;
        let folder = |part: &PartInfo| part.path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let folders: BTreeSet<String> = parts.iter().map(folder).collect();
        let mut there = HashSet::new();
        for folder in folders {
            there.extend(self.0.list(&format!("{folder}/"), None).await?);
        }
        let missing = parts.iter().filter(|part| !there.contains(&part.path)).map(|part| self.0.url(&part.path));
        Ok(Presence { live: parts.len(), missing: missing.collect() })
    }
}
