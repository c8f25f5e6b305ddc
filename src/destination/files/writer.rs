//! The commit protocol's writing half: parts, then one entry that makes them count.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::mpsc;

use super::layout::Layout;
use super::log::{Entry, Log};
use super::part::{ClosingPart, NewPart, OpenPart};
use super::store::Store;
use super::{Settings, generations, now};
use crate::destination::{Opening, Pending, Writer};
use crate::error::{Error, Result};
use crate::record::{Commit, Mode, PartInfo, Rows, Seal, Table};

/// How many closed parts may still be uploading while the next one is written.
const CLOSING: usize = 2;

/// The writer of one stream, whose fence stands.
pub struct FileWriter {
    store: Arc<dyn Store>,
    settings: Arc<Settings>,
    layout: Layout,
    log: Log,
    opening: Opening,
    /// New for every opening.
    id: String,
    last: Commit,
    /// Tables that a sweep knows to look in.
    marked: HashSet<String>,
    /// Generations that are retired and may still have files.
    retired: Vec<String>,
    /// See [`Generations::grown_before`](crate::record::Generations).
    grown_before: Option<u64>,
    open: HashMap<String, (OpenPart, Arc<Table>)>,
    closing: Vec<ClosingPart>,
    finished: Vec<PartInfo>,
    schemas: BTreeMap<String, Value>,
    /// The number of the next part of the next entry.
    next: u32,
    pending: Pending,
    failures: mpsc::UnboundedReceiver<Error>,
    tell_failure: mpsc::UnboundedSender<Error>,
}

/// What an opening hands over to the writer.
pub struct Opened {
    pub store: Arc<dyn Store>,
    pub settings: Arc<Settings>,
    pub layout: Layout,
    pub log: Log,
    pub opening: Opening,
    pub id: String,
    pub fence: Commit,
    pub marked: HashSet<String>,
    pub retired: Vec<String>,
    pub grown_before: Option<u64>,
}

impl FileWriter {
    pub fn new(opened: Opened) -> Self {
        let (tell_failure, failures) = mpsc::unbounded_channel();
        Self {
            store: opened.store,
            settings: opened.settings,
            layout: opened.layout,
            log: opened.log,
            opening: opened.opening,
            id: opened.id,
            last: opened.fence,
            marked: opened.marked,
            retired: opened.retired,
            grown_before: opened.grown_before,
            open: HashMap::new(),
            closing: Vec::new(),
            finished: Vec::new(),
            schemas: BTreeMap::new(),
            next: 1,
            pending: Pending::default(),
            failures,
            tell_failure,
        }
    }

    /// The open part of a table, with this very schema.
    async fn part(&mut self, table: &Arc<Table>) -> Result<&mut OpenPart> {
        let stale = self.open.get(&table.name).is_some_and(|(_, of)| of.schema != table.schema);
        if stale {
            self.roll(&table.name).await?;
        }
        if !self.open.contains_key(&table.name) {
            let part = self.begin(table).await?;
            self.open.insert(table.name.clone(), (part, table.clone()));
        }
        let entry = self.open.get_mut(&table.name);
        entry.map(|(part, _)| part).ok_or_else(|| Error::bug("a part that was opened is not there"))
    }

    async fn begin(&mut self, table: &Arc<Table>) -> Result<OpenPart> {
        if self.marked.insert(table.name.clone()) {
            // Before the first part, so that a sweep knows where to look whatever happens next.
            self.store.create(&self.layout.table_marker(&table.name), bytes::Bytes::new()).await?;
        }
        let (schema, definition) = table.definition();
        self.schemas.insert(schema.clone(), definition);
        let extension = self.settings.format.extension();
        let path = self.layout.part(&table.name, self.last.seq + 1, self.next, extension);
        self.next += 1;
        let share = self.settings.memory.share();
        let encoder = self.settings.format.encoder(table, share.bytes() / 2)?;
        let part = NewPart { path, table: table.name.clone(), schema };
        Ok(OpenPart::begin(part, encoder, self.store.clone(), share, self.tell_failure.clone()))
    }

    /// Closes a table's part: its next row begins another.
    async fn roll(&mut self, table: &str) -> Result<()> {
        let Some((part, _)) = self.open.remove(table) else { return Ok(()) };
        self.closing.push(part.close().await?);
        while self.closing.len() > CLOSING {
            let part = self.closing.remove(0).finished().await?;
            self.finished.push(part);
        }
        Ok(())
    }

    /// Waits until every part is durable.
    async fn finish_parts(&mut self) -> Result<Vec<PartInfo>> {
        let open: Vec<_> = self.open.drain().collect();
        for (_, (part, _)) in open {
            self.closing.push(part.close().await?);
        }
        for part in std::mem::take(&mut self.closing) {
            let part = part.finished().await?;
            self.finished.push(part);
        }
        let mut parts = std::mem::take(&mut self.finished);
        // By number: the order in which they were begun.
        parts.sort_by(|a, b| a.table.cmp(&b.table).then_with(|| a.path.cmp(&b.path)));
        Ok(parts)
    }

    fn entry(&mut self, mut seal: Seal, parts: Vec<PartInfo>) -> Commit {
        let mut generations = self.last.generations.clone();
        generations.retired = self.retired.clone();
        generations.grown_before = self.grown_before;
        generations.retired.extend(seal.retires);
        if let Some(publication) = &mut seal.publishes {
            match generations.kept.first_mut().filter(|live| live.generation == publication.generation) {
                // The same load with more in it: what grew since it went live still belongs to it.
                Some(live) => {
                    publication.seq = live.seq;
                    *live = publication.clone();
                }
                None => {
                    publication.seq = self.last.seq + 1;
                    // Nobody asks again for what is live no more.
                    generations.kept.iter_mut().for_each(|kept| kept.failures = None);
                    generations.kept.insert(0, publication.clone());
                }
            }
            let keep = self.settings.keep_generations + 1;
            let old = generations.kept.split_off(generations.kept.len().min(keep));
            generations.retired.extend(old.into_iter().map(|publication| publication.generation));
            if self.last.last_seq > 0 {
                generations.grown_before = generations.kept.iter().map(|publication| publication.seq).min();
            }
        }
        Commit {
            seq: self.last.seq + 1,
            writer: self.id.clone(),
            run: self.opening.run.clone(),
            mode: self.opening.mode,
            position: seal.position,
            last_seq: seal.last_seq,
            parts,
            schemas: std::mem::take(&mut self.schemas),
            complete: seal.complete,
            publishes: seal.publishes,
            reserves: seal.reserves,
            generations,
            fences: self.last.fences.clone(),
            state: seal.state,
            failures: seal.failures,
            identity: Value::Null,
            holder: self.opening.holder.clone(),
            at: now(),
        }
    }

    /// Whether nobody has opened the stream since we did. Whoever was paused and wakes must not delete what is another's.
    async fn is_newest(&self) -> Result<bool> {
        let newest = self.log.newest(Some(self.last.seq)).await?;
        Ok(newest.is_some_and(|newest| newest.seq == self.last.seq))
    }

    /// Another writer's entry stands where ours should: what we wrote belongs to nobody.
    async fn conflict(&self, ours: &Commit, theirs: &Commit) -> Error {
        let paths: Vec<_> = ours.parts.iter().map(|part| part.path.clone()).collect();
        if let Err(error) = self.store.delete(&paths).await {
            tracing::warn!(%error, "parts that were not committed could not be deleted; the next opening sweeps them");
        }
        let holder = theirs.holder_name();
        Error::conflict(format!("entry {} of the commit log was written by another process ({holder})", ours.seq))
            .hint("It opened this stream after we did, so we stop. Nothing of ours shows, nothing is lost.")
    }
}

#[async_trait]
impl Writer for FileWriter {
    fn last(&self) -> &Commit {
        &self.last
    }

    async fn write(&mut self, rows: Rows) -> Result<()> {
        let count = rows.batch.num_rows() as u64;
        // Only a full load has a file for a table without rows.
        if count == 0 && self.opening.mode != Mode::Full {
            return Ok(());
        }
        let bytes = rows.batch.get_array_memory_size() as u64;
        let part_bytes = self.settings.part_bytes;
        let part = self.part(&rows.table).await?;
        if count > 0 {
            part.rows(rows.batch).await?;
        }
        let full = part.size() >= part_bytes;
        self.pending.rows += count;
        self.pending.bytes += bytes;
        if full {
            self.roll(&rows.table.name).await?;
        }
        Ok(())
    }

    fn pending(&self) -> Pending {
        self.pending
    }

    async fn failed(&mut self) -> Error {
        match self.failures.recv().await {
            Some(error) => error,
            // Not reached: the writer itself holds a sender.
            None => std::future::pending().await,
        }
    }

    async fn commit(&mut self, seal: Seal) -> Result<Commit> {
        let parts = self.finish_parts().await?;
        let retires = seal.publishes.is_some() || !seal.retires.is_empty();
        if let Some(publication) = &seal.publishes
            && self.is_newest().await?
        {
            generations::tidy(&self.store, &self.layout, publication).await?;
        }
        let commit = self.entry(seal, parts);
        match self.log.create(&commit).await? {
            Entry::Ours => {}
            Entry::Theirs(theirs) => return Err(self.conflict(&commit, &theirs).await),
        }
        self.retired = commit.generations.retired.clone();
        self.grown_before = commit.generations.grown_before;
        // Not before the entry stands: until then what it retires may be what is live. Not with every other entry
        // either: what could not be deleted is tried again at the next opening.
        if retires {
            self.retired = generations::delete(&*self.store, &self.layout, &self.retired).await;
            self.grown_before = generations::delete_grown(&*self.store, &self.layout, self.grown_before).await;
        }
        self.log.summarise(commit.seq).await;
        self.last = commit.clone();
        self.next = 1;
        self.pending = Pending::default();
        Ok(commit)
    }

    async fn abort(self: Box<Self>) {
        for (_, (part, _)) in self.open {
            part.abort().await;
        }
        for part in self.closing {
            part.abort().await;
        }
    }
}
