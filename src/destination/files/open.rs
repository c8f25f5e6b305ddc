//! The commit protocol's opening half: fence first, then sweep.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::layout::Layout;
use super::log::{Entry, Log};
use super::store::Store;
use super::writer::{FileWriter, Opened};
use super::{Settings, generations, now};
use crate::destination::Opening;
use crate::error::{Error, Result};
use crate::record::{Commit, Generations, StreamId};

/// How many fences an entry remembers: a paused writer's late upload is swept by as many later openings.
const FENCES: usize = 4;
/// How long the newest entry of an unfinished run keeps out a process with another job log.
const HELD: Duration = Duration::from_secs(600);
/// How often an opening that meets other openings tries to come in above them.
const TRIES: usize = 16;

/// Fences the stream, deletes what nobody committed, and gives the writer.
pub async fn open(
    store: Arc<dyn Store>,
    settings: Arc<Settings>,
    stream: &StreamId,
    opening: &Opening,
) -> Result<FileWriter> {
    let layout = Layout::of(stream);
    let log = Log::new(store.clone(), layout.clone());
    let id = Uuid::now_v7().simple().to_string();
    let fence = fence(&log, stream, &id, opening).await?;
    tracing::debug!(%stream, seq = fence.seq, "fenced");
    let marked = sweep(&*store, &layout, &fence).await?;
    let retired = generations::delete(&*store, &layout, &fence.generations.retired).await;
    let grown_before = generations::delete_grown(&*store, &layout, fence.generations.grown_before).await;
    let opening = opening.clone();
    Ok(FileWriter::new(Opened { store, settings, layout, log, opening, id, fence, marked, retired, grown_before }))
}

async fn fence(log: &Log, stream: &StreamId, id: &str, opening: &Opening) -> Result<Commit> {
    let mut after = opening.after;
    for _ in 0..TRIES {
        let newest = log.newest(after).await?;
        if let Some(newest) = &newest {
            opening.refuse_stranger(&log.read(0).await?)?;
            refuse_held(stream, newest, opening)?;
        }
        let fence = above(newest, id, opening);
        match log.create(&fence).await? {
            // Every time: a store that was refused keeps the entry that it was refused for.
            Entry::Ours => {
                log.prove_refusal(&fence).await?;
                return Ok(fence);
            }
            // Somebody was faster, or a commit landed that its writer had given up: come in above it.
            Entry::Theirs(theirs) => after = Some(theirs.seq),
        }
    }
    Err(Error::conflict("other processes keep opening this stream")
        .hint("Stop them: only one process may write a stream at a time."))
}

/// A run that is under way by another job log's word, as far as this destination can tell.
fn refuse_held(stream: &StreamId, newest: &Commit, opening: &Opening) -> Result<()> {
    let ended = newest.complete || newest.publishes.is_some();
    let same_log = newest.holder["job_log"] == opening.holder["job_log"];
    if ended || same_log || opening.take_over || newest.holder.is_null() {
        return Ok(());
    }
    let at = newest.at.parse().unwrap_or_else(|_| Timestamp::now());
    let age = Timestamp::now().duration_since(at);
    if age.unsigned_abs() > HELD {
        return Ok(());
    }
    let (holder, seconds) = (newest.holder_name(), age.as_secs().max(0));
    let until = at.saturating_add(HELD).unwrap_or(at).strftime("%H:%M:%S UTC");
    Err(Error::conflict(format!(
        "{holder} wrote to this stream {seconds} s ago and keeps another job log: refused until {until}"
    ))
    .hint(format!(
        "Only that job log tells whether it still runs. Where the process is known to have ended, `tidemark run {} \
         --take-over` is safe and runs the stream at once; else wait until then, or until it has ended.",
        stream.name()
    )))
}

/// The entry that keeps earlier writers out: no parts, everything else as it stood.
fn above(newest: Option<Commit>, id: &str, opening: &Opening) -> Commit {
    let (seq, position, last_seq, generations, mut fences, (state, failures), identity) = match newest {
        None => (0, None, 0, Generations::default(), Vec::new(), (Value::Null, None), opening.identity.clone()),
        Some(h) => (h.seq + 1, h.position, h.last_seq, h.generations, h.fences, (h.state, h.failures), Value::Null),
    };
    fences.insert(0, seq);
    fences.truncate(FENCES);
    Commit {
        seq,
        writer: id.to_owned(),
        run: opening.run.clone(),
        mode: opening.mode,
        position,
        last_seq,
        parts: Vec::new(),
        schemas: Default::default(),
        complete: false,
        publishes: None,
        reserves: None,
        generations,
        fences,
        state,
        failures,
        identity,
        holder: opening.holder.clone(),
        at: now(),
    }
}

/// Deletes what earlier writers left. Only what is numbered like a fence: whoever writes under a number has created the
/// entry before it, so a number that became a fence has no live part, and one above ours is the next writer's.
async fn sweep(store: &dyn Store, layout: &Layout, fence: &Commit) -> Result<HashSet<String>> {
    let markers = store.list(&layout.table_markers(), None).await?;
    let tables: HashSet<String> = markers.iter().filter_map(|key| layout.marked_table(key)).collect();
    for table in &tables {
        let mut orphans = Vec::new();
        for seq in &fence.fences {
            let keys = store.list(&layout.parts_of_entry(table, *seq), None).await?;
            orphans.extend(keys.into_iter().filter(|key| layout.part_seq(table, key) == Some(*seq)));
        }
        if !orphans.is_empty() {
            tracing::info!(table, files = orphans.len(), "deleting files that an earlier run left uncommitted");
            store.delete(&orphans).await?;
        }
        let dead = |key: &str| layout.part_seq(table, key).is_some_and(|seq| seq <= fence.seq);
        store.sweep(&layout.parts(table), &dead).await?;
    }
    Ok(tables)
}
