//! The commit log of one stream: entries numbered without gaps, each created only if absent, never rewritten.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::store::{Created, Store};
use crate::error::{Context, Error, Kind, Result};
use crate::record::{Commit, PartInfo};

/// A summary of the live parts is written at every entry whose number this divides.
pub const SUMMARY_EVERY: u64 = 1_000;
/// How often an entry is tried whose answer did not come, before the writer gives up.
const CREATE_TRIES: u32 = 4;

#[derive(Clone)]
pub struct Log {
    store: Arc<dyn Store>,
    layout: Layout,
}

/// What became of an entry.
#[derive(Debug)]
pub enum Entry {
    /// It stands, and is ours.
    Ours,
    /// Another writer's stands there.
    Theirs(Box<Commit>),
}

/// The parts of a stream that were live at an entry.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Summary {
    parts: Vec<PartInfo>,
}

impl Log {
    pub fn new(store: Arc<dyn Store>, layout: Layout) -> Self {
        Self { store, layout }
    }

    /// The newest entry; looks behind entry `after` first, so that years of entries are not listed.
    pub async fn newest(&self, after: Option<u64>) -> Result<Option<Commit>> {
        if let Some(known) = after {
            if let Some(seq) = self.newest_seq(Some(known)).await? {
                return self.read(seq).await.map(Some);
            }
            if let Some(commit) = self.find(known).await? {
                return Ok(Some(commit));
            }
        }
        // Nothing is known, or what is known is not there: only the whole log tells.
        match self.newest_seq(None).await? {
            Some(seq) => self.read(seq).await.map(Some),
            None => Ok(None),
        }
    }

    async fn newest_seq(&self, after: Option<u64>) -> Result<Option<u64>> {
        let after = after.map(|seq| self.layout.entry(seq));
        let keys = self.store.list(&self.layout.entries(), after.as_deref()).await?;
        Ok(keys.iter().rev().find_map(|key| self.layout.entry_seq(key)))
    }

    /// An entry that must be there.
    pub async fn read(&self, seq: u64) -> Result<Commit> {
        self.find(seq).await?.ok_or_else(|| {
            Error::conflict(format!("{} is missing from the commit log", self.store.url(&self.layout.entry(seq))))
                .hint("Entries are never deleted by Tidemark: restore it, or read the stream anew under another name.")
        })
    }

    pub async fn find(&self, seq: u64) -> Result<Option<Commit>> {
        let key = self.layout.entry(seq);
        self.store.get(&key).await?.map(|body| self.parse(&key, &body)).transpose()
    }

    fn parse(&self, key: &str, body: &[u8]) -> Result<Commit> {
        serde_json::from_slice(body).map_err(|e| {
            // The position of the error, not its text: serde quotes what it read.
            let (line, column) = (e.line(), e.column());
            Error::conflict(format!(
                "{} is no entry of a commit log (line {line}, column {column})",
                self.store.url(key)
            ))
            .hint("It was written by something else, or by a newer Tidemark.")
        })
    }

    /// Creates an entry: the one moment in which a commit happens or does not.
    pub async fn create(&self, commit: &Commit) -> Result<Entry> {
        let key = self.layout.entry(commit.seq);
        let body = Bytes::from(
            serde_json::to_vec(commit).map_err(|e| Error::bug(format!("an entry cannot be written as JSON: {e}")))?,
        );
        let mut tries = 0;
        loop {
            tries += 1;
            match self.store.create(&key, body.clone()).await {
                Ok(Created::Yes) => return Ok(Entry::Ours),
                Ok(Created::AlreadyThere) => match self.store.get(&key).await? {
                    // The answer to our own create was lost: the commit stands.
                    Some(found) if found == body => return Ok(Entry::Ours),
                    Some(found) => return Ok(Entry::Theirs(Box::new(self.parse(&key, &found)?))),
                    None => {
                        let url = self.store.url(&key);
                        return Err(Error::conflict(format!("{url} was there and is not: something deletes entries")));
                    }
                },
                // Unknown whether it stands. The same body may be tried again: it is created once.
                Err(error) if error.kind() == Kind::Unavailable && tries < CREATE_TRIES => {
                    tracing::warn!(%error, entry = %self.store.url(&key), "no answer to a commit; trying again");
                    tokio::time::sleep(Duration::from_millis(200) * 2u32.pow(tries)).await;
                }
                Err(error) => return Err(error).at(|| format!("entry {} of the commit log", commit.seq)),
            }
        }
    }

    /// Proves that the store refuses to create an entry twice, with one that stands: a store that ignores the
    /// condition would let two writers commit the same number.
    pub async fn prove_refusal(&self, standing: &Commit) -> Result<()> {
        let key = self.layout.entry(standing.seq);
        let body = serde_json::to_vec(standing).map_err(|e| Error::bug(e.to_string()))?;
        match self.store.create(&key, body.into()).await? {
            Created::AlreadyThere => Ok(()),
            Created::Yes => Err(super::no_conditional_create(&self.store.url(&key))),
        }
    }

    /// Entries `from..=to`, in order.
    pub async fn range(&self, from: u64, to: u64) -> Result<Vec<Commit>> {
        let mut commits = Vec::new();
        for seq in from..=to {
            commits.push(self.read(seq).await?);
        }
        Ok(commits)
    }

    /// The parts that entries up to `newest` list, in order: from the newest summary on, entry by entry.
    pub async fn live_parts(&self, newest: u64) -> Result<Vec<PartInfo>> {
        let (mut parts, from) = self.summary(newest).await?;
        for commit in self.range(from, newest).await? {
            parts.extend(commit.parts);
        }
        Ok(parts)
    }

    /// The parts that entries behind `after` list, up to `newest`, in order.
    pub async fn parts_after(&self, after: u64, newest: u64) -> Result<Vec<PartInfo>> {
        if newest.saturating_sub(after) <= SUMMARY_EVERY {
            let commits = self.range(after + 1, newest).await?;
            return Ok(commits.into_iter().flat_map(|commit| commit.parts).collect());
        }
        let mut parts = self.live_parts(newest).await?;
        parts.retain(|part| self.layout.part_seq(&part.table, &part.path).is_none_or(|seq| seq > after));
        Ok(parts)
    }

    /// The parts by the newest summary at or below `newest`, and the first entry after it.
    ///
    /// Looks where it must be rather than listing years of entries. One may be missing: its number was a fence's, or it
    /// could not be written; then the one before has to do.
    async fn summary(&self, newest: u64) -> Result<(Vec<PartInfo>, u64)> {
        for number in (1..=newest / SUMMARY_EVERY).rev() {
            let seq = number * SUMMARY_EVERY;
            let key = self.layout.summary(seq);
            if let Some(body) = self.store.get(&key).await? {
                let summary: Summary = serde_json::from_slice(&body)
                    .map_err(|e| Error::conflict(format!("{} cannot be read: {e}", self.store.url(&key))))?;
                return Ok((summary.parts, seq + 1));
            }
        }
        Ok((Vec::new(), 0))
    }

    /// Writes the summary that is due at `seq`, if one is. Nothing depends on it but the speed of [`Log::live_parts`].
    pub async fn summarise(&self, seq: u64) {
        if seq == 0 || !seq.is_multiple_of(SUMMARY_EVERY) {
            return;
        }
        let written = async {
            let summary = Summary { parts: self.live_parts(seq).await? };
            let body = serde_json::to_vec(&summary).map_err(|e| Error::bug(e.to_string()))?;
            self.store.create(&self.layout.summary(seq), body.into()).await
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, seq, "no summary of the commit log was written; the next one will hold its parts too");
        }
    }
}
