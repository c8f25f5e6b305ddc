//! What is known while the log is read, message by message: transactions, the rows of them that are gathered, and the place.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::captured::{Captured, Layout, Moment};
use super::known::{Altered, Known};
use super::place::Place;
use super::proof::Proof;
use super::spool::{Replay, Spools};
use super::told::Told;
use super::{Asker, Has, History};
use crate::error::{Context, Error, Result};
use crate::record::change;
use crate::source::changes::{Gathering, Step};
use crate::source::postgres::name::Name;
use crate::source::postgres::replication::{Commit, Entry, Event, Keepalive, Lsn, Message};

/// What is known while it is read.
pub struct Reading {
    pub asker: Asker,
    history: History,
    /// The tables that are read, as the stream has them.
    names: Vec<(String, Name)>,
    pub gathering: Gathering<Captured>,
    /// By the server's numbers.
    relations: HashMap<u32, Relation>,
    /// Those that are not committed yet.
    spools: Spools,
    /// How many definitions of tables the server has sent.
    definitions: u64,
    /// Of the transaction that is being replayed, which of these it had.
    replayed: HashMap<u32, u64>,
    /// Tables that are to be looked at from a place on.
    others: BTreeMap<String, Lsn>,
    /// The transaction whose block is being read.
    block: Option<u32>,
    /// One of them that is committed, and is to be read before anything else.
    pub recalled: Option<Recalled>,
    proof: Proof,
    /// The server's, if it stays the same.
    timeline: Option<u32>,
    /// Where the last transaction ended.
    pub place: Place,
    /// The place that was handed on last.
    handed: Place,
    /// Between two transactions.
    pub is_between: bool,
    /// The transaction was read by an earlier run.
    is_covered: bool,
    /// What is known besides the place is another than at the last one: the next is handed on at once.
    is_news: bool,
    moment: Moment,
    /// When the last transaction that is over was committed.
    pub ended_at: Option<i64>,
}

/// A streamed transaction that is committed.
pub struct Recalled {
    pub replay: Replay,
    pub commit: Commit,
    /// What tables are since, where the server told it after the transaction's own.
    newer: Vec<(u32, Told, u64)>,
}

/// A table of the log.
struct Relation {
    told: Told,
    /// The number of its definition.
    number: u64,
    /// Not known until a row of it comes.
    mapped: Option<Mapped>,
}

enum Mapped {
    /// None of the stream's, or one whose rows a snapshot is to read.
    Passed,
    /// Its place among those that are read, and how its rows lie.
    Known(usize, Layout),
}

impl Reading {
    pub fn of(asker: Asker, history: History, proof: Proof, (place, timeline): (Place, Option<u32>)) -> Result<Self> {
        let names = asker.names()?;
        Ok(Self {
            gathering: Gathering::of(names.len()),
            asker,
            history,
            names,
            relations: HashMap::new(),
            spools: Spools::default(),
            definitions: 0,
            replayed: HashMap::new(),
            others: BTreeMap::new(),
            block: None,
            recalled: None,
            proof,
            timeline,
            place,
            handed: place,
            is_between: true,
            is_covered: false,
            is_news: false,
            moment: Moment::default(),
            ended_at: None,
        })
    }

    /// What is needed to go on, besides the place.
    pub fn state(&self) -> Value {
        let mut state = self.history.state();
        if let Some(timeline) = self.timeline {
            state["timeline"] = timeline.into();
        }
        state
    }

    /// Takes what the server sent. Whether that is a part of its log.
    pub async fn came(&mut self, event: Event<'_>) -> Result<bool> {
        match event {
            Event::Keepalive(keepalive) => {
                self.keepalive(keepalive);
                Ok(false)
            }
            Event::Message(Entry { message, raw, .. }) => {
                self.take(message, raw).await?;
                Ok(true)
            }
        }
    }

    /// The server has sent all that was committed up to there.
    fn keepalive(&mut self, keepalive: Keepalive) {
        if self.is_between && keepalive.end > self.place.0 {
            self.place = Place(keepalive.end);
            self.gathering.waits();
        }
    }

    /// Takes a message of the log. `raw` is the same as it came.
    async fn take(&mut self, message: Message<'_>, raw: &[u8]) -> Result<()> {
        let is_last = matches!(message, Message::StreamStop);
        match message {
            Message::StreamStart(start) => self.block = Some(start.xid),
            Message::Relation(relation) => {
                if let Some(xid) = self.block {
                    self.definitions += 1;
                    self.spools.defines(xid, relation.oid, self.definitions);
                }
            }
            _ => {}
        }
        let Some(xid) = self.block else { return self.change(message).await };
        self.spools.add(xid, raw).await?;
        if is_last {
            self.block = None;
        }
        Ok(())
    }

    /// Takes a message of what is committed.
    pub async fn change(&mut self, message: Message<'_>) -> Result<()> {
        match message {
            Message::Begin(begin) => self.begin(begin.xid, begin.committed_at, begin.lsn),
            Message::Commit(commit) => self.end(commit),
            Message::StreamCommit(stream) => self.recall(stream.xid, stream.commit).await,
            Message::StreamAbort(abort) if abort.xid == abort.subxid => {
                self.spools.take(abort.xid);
                Ok(())
            }
            Message::StreamAbort(abort) => {
                self.spools.abort(abort.xid, abort.subxid);
                Ok(())
            }
            Message::Relation(relation) => {
                let number = self.replayed.get(&relation.oid).copied().unwrap_or_else(|| {
                    self.definitions += 1;
                    self.definitions
                });
                self.relations.insert(relation.oid, Relation { told: Told::of(&relation), number, mapped: None });
                Ok(())
            }
            _ if self.is_covered => Ok(()),
            Message::Truncate(truncate) => {
                for oid in truncate.relations() {
                    self.truncated(oid).await.at(|| self.moment.position.clone())?;
                }
                Ok(())
            }
            Message::Insert(row) => self.row(row.relation, message).await,
            Message::Update(row) => self.row(row.relation, message).await,
            Message::Delete(row) => self.row(row.relation, message).await,
            Message::BeginPrepare(_) | Message::Prepare(_) | Message::CommitPrepared(_) | Message::StreamPrepare(_) => {
                Err(two_phases(&self.asker.slot))
            }
            Message::RollbackPrepared(_)
            | Message::Origin(_)
            | Message::Type(_)
            | Message::Logical(_)
            | Message::StreamStart(_)
            | Message::StreamStop => Ok(()),
        }
    }

    fn begin(&mut self, xid: u32, committed_at: i64, lsn: Lsn) -> Result<()> {
        (self.is_between, self.is_covered) = (false, lsn < self.place.0);
        self.moment.stands(xid, committed_at, lsn);
        self.proof.told(xid);
        self.settle()
    }

    /// What tables are from a place on that was handed on is what they are.
    fn settle(&mut self) -> Result<()> {
        let handed = self.handed;
        if self.history.settle(|place| Ok(handed >= *place))? {
            self.relations.values_mut().for_each(|relation| relation.mapped = None);
        }
        Ok(())
    }

    /// A streamed transaction is committed: what was kept of it is read next.
    async fn recall(&mut self, xid: u32, commit: Commit) -> Result<()> {
        let spool = self.spools.take(xid);
        self.begin(xid, commit.committed_at, commit.lsn)?;
        let mut newer = Vec::new();
        for (oid, number) in spool.definitions() {
            if let Some(relation) = self.relations.get(oid).filter(|relation| relation.number > *number) {
                newer.push((*oid, relation.told.clone(), relation.number));
            }
        }
        self.replayed.clone_from(spool.definitions());
        self.recalled = Some(Recalled { replay: spool.read().await?, commit, newer });
        Ok(())
    }

    /// The last message of a streamed transaction was read.
    pub fn replayed(&mut self, recalled: Recalled) -> Result<()> {
        self.replayed.clear();
        for (oid, told, number) in recalled.newer {
            self.relations.insert(oid, Relation { told, number, mapped: None });
        }
        self.end(recalled.commit)
    }

    /// The transaction is over: everything before is covered by the place behind it.
    fn end(&mut self, commit: Commit) -> Result<()> {
        self.place = self.place.max(Place(commit.end));
        (self.is_between, self.is_covered) = (true, false);
        self.ended_at = self.moment.committed_at;
        self.gathering.waits();
        // A place from which on a table is known is one that is handed on: no rows are gathered across it.
        let here = self.place;
        self.is_news |= self.history.waits_for(|place| Ok(here >= *place))?;
        if self.is_news || self.gathering.is_due() { self.hand_on() } else { Ok(()) }
    }

    /// All that was gathered, and the place behind it.
    pub fn hand_on(&mut self) -> Result<()> {
        (self.is_news, self.handed) = (false, self.place);
        self.gathering.hand_on(self.place.position())?;
        // Where nothing is written for long, no transaction begins that would.
        self.settle()
    }

    async fn row(&mut self, oid: u32, message: Message<'_>) -> Result<()> {
        if self.relations.get(&oid).is_none_or(|relation| relation.mapped.is_none()) {
            self.learn(oid).await.at(|| self.moment.position.clone())?;
        }
        let mapped = self.relations.get(&oid).and_then(|relation| relation.mapped.as_ref());
        let Some(Mapped::Known(at, layout)) = mapped else { return Ok(()) };
        let Some(captured) = &mut self.gathering.tables[*at] else { return Err(unlearned()) };
        let moment = &self.moment;
        let taken = match message {
            Message::Insert(row) => captured.insert(layout, row.new, moment),
            Message::Update(row) => captured.update(layout, row.old, row.new, moment),
            Message::Delete(row) => captured.delete(layout, row.old, moment),
            _ => Ok(()),
        };
        let is_full = captured.is_full();
        self.gathering.added();
        match taken {
            Ok(()) if is_full => self.gathering.full(*at),
            Ok(()) => Ok(()),
            Err(error) => {
                let at = *at;
                self.misfits(at, error).await.at(|| self.moment.position.clone())
            }
        }
    }

    /// A row did not fit: a type of the table's may be another one by now, of which the log tells nothing.
    async fn misfits(&self, at: usize, error: Error) -> Result<()> {
        let Some(Has::Known(known)) = self.has(at) else { return Err(error) };
        let session = self.asker.look().await?;
        let now = self.asker.now(&session, &self.names[at].1).await?;
        session.close().await;
        // Who begins again reads the table anew.
        Err(match now.is_some_and(|now| known.altered(&now) == Altered::Rewritten) {
            true => {
                Error::unavailable(format!("table {}: a type was altered, and is told by nothing", self.names[at].0))
            }
            false => error,
        })
    }

    /// Learns what a table of the log is to the stream.
    async fn learn(&mut self, oid: u32) -> Result<()> {
        let Some(relation) = self.relations.get(&oid) else {
            return Err(Error::unavailable("the server sent a row of a table that it did not tell of"));
        };
        let told = relation.told.clone();
        let mapped = self.mapped(&told).await?;
        if let Some(relation) = self.relations.get_mut(&oid) {
            relation.mapped = Some(mapped);
        }
        Ok(())
    }

    async fn mapped(&mut self, told: &Told) -> Result<Mapped> {
        let Some(at) = self.names.iter().position(|(_, name)| *name == told.name) else {
            // Rows of one that has another name now would be missing where it has its own again.
            let is_it = |at: &usize| matches!(self.has(*at), Some(Has::Known(known)) if known.oid == told.oid);
            if let Some(at) = (0..self.names.len()).find(is_it) {
                self.is_another(at).await?;
            }
            return Ok(Mapped::Passed);
        };
        let known = match self.has(at) {
            Some(Has::Known(known)) => known,
            Some(Has::Gone) => {
                self.is_another(at).await?;
                return Ok(Mapped::Passed);
            }
            Some(Has::Nothing(_) | Has::From(..) | Has::Left(_)) | None => return Ok(Mapped::Passed),
        };
        let Some(known) = self.altered(at, &known, told).await? else { return Ok(Mapped::Passed) };
        if self.gathering.tables[at].as_ref().is_none_or(|captured| captured.known != known) {
            self.gathering.rows()?;
            let session = self.asker.look().await?;
            self.gathering.tables[at] = Some(self.asker.captured(&session, &self.names[at].0, &known).await?);
            session.close().await;
        }
        let Some(captured) = &self.gathering.tables[at] else { return Err(unlearned()) };
        if !told.has_in_old_rows(&captured.table.key) {
            return Err(super::tables::without_its_key(&self.names[at], &captured.table.key));
        }
        Ok(Mapped::Known(at, captured.layout(told)))
    }

    /// What a table is by now, of which the log tells. `None` where it is to be read anew.
    async fn altered(&mut self, at: usize, known: &Known, told: &Told) -> Result<Option<Known>> {
        let session = self.asker.look().await?;
        let now = self.asker.now(&session, &told.name).await?;
        if told.oid != known.oid && now.as_ref().is_some_and(|now| now.oid == known.oid) {
            // The log goes on under a name that a partitioned table had.
            session.close().await;
            return Ok(None);
        }
        let new = known.told(&session, told, now.as_ref()).await?;
        session.close().await;
        let new = match known.altered(&new) {
            Altered::Nothing(new) => new,
            Altered::Known(new) => {
                self.is_news = true;
                new
            }
            Altered::Rewritten => {
                self.is_another(at).await?;
                return Ok(None);
            }
        };
        self.history.set(&self.names[at].0, Has::Known(new.clone()));
        Ok(Some(new))
    }

    /// Tables that are others by the catalog than by the log were seen where the log ended: they are looked at once it has come to there.
    pub fn seen(&mut self, others: Vec<(String, Lsn)>) {
        for (table, lsn) in others {
            self.others.entry(table).or_insert(lsn);
        }
    }

    /// Looks at those whose place has come.
    pub async fn others(&mut self) -> Result<()> {
        let place = self.place.0;
        let has_come: Vec<_> =
            self.others.iter().filter(|(_, lsn)| **lsn <= place).map(|(table, _)| table.clone()).collect();
        let mut is_any = false;
        for table in has_come {
            self.others.remove(&table);
            let Some(at) = self.names.iter().position(|(name, _)| *name == table) else { continue };
            if let Some(has @ (Has::Known(_) | Has::Gone)) = self.has(at) {
                let session = self.asker.look().await?;
                let now = self.asker.find(&session, &self.names[at].1).await?;
                session.close().await;
                if now.map(|now| now.oid) != has.known().map(|known| known.oid) {
                    self.is_another(at).await?;
                    is_any = true;
                }
            }
        }
        // All of them at one place: a place between them would tell of tables that are to be read anew, and not that they are.
        if is_any { self.hand_on() } else { Ok(()) }
    }

    /// The rows that are there are others, or have other values: the log does not tell them, a snapshot does.
    async fn is_another(&mut self, at: usize) -> Result<()> {
        self.gathering.rows()?;
        self.emptied(at).await?;
        let table = self.names[at].0.clone();
        tracing::info!(table, position = self.moment.position, "the table is another one: it is read anew");
        self.gathering.tables[at] = None;
        for relation in self.relations.values_mut() {
            if matches!(relation.mapped, Some(Mapped::Known(of, _)) if of == at) {
                relation.mapped = Some(Mapped::Passed);
            }
        }
        self.is_news = true;
        let was = self.has(at).and_then(|has| has.known());
        self.history.set(&table, Has::Nothing(was));
        self.gathering.ready.push_back(Step::Anew(table));
        Ok(())
    }

    async fn truncated(&mut self, oid: u32) -> Result<()> {
        if self.relations.get(&oid).is_none_or(|relation| relation.mapped.is_none()) {
            self.learn(oid).await?;
        }
        let mapped = self.relations.get(&oid).and_then(|relation| relation.mapped.as_ref());
        let Some(Mapped::Known(at, _)) = mapped else { return Ok(()) };
        let at = *at;
        self.gathering.rows()?;
        self.emptied(at).await
    }

    /// All rows of a table went.
    async fn emptied(&mut self, at: usize) -> Result<()> {
        let Some(Has::Known(known)) = self.has(at) else { return Ok(()) };
        let table = match &self.gathering.tables[at] {
            Some(captured) => captured.table.clone(),
            None => self.asker.described(&self.names[at].0, &known).await?,
        };
        let rows = change::truncate(&table, self.moment.committed_at, &self.moment.position)?;
        self.gathering.ready.push_back(Step::Rows(rows.into()));
        Ok(())
    }

    fn has(&self, at: usize) -> Option<Has> {
        self.history.get(&self.names[at].0)
    }
}

fn unlearned() -> Error {
    Error::bug("a table that was not learned")
}

/// What is prepared and not committed would have to be kept for longer than a process lives.
pub fn two_phases(slot: &str) -> Error {
    Error::config(format!("replication slot {slot} sends transactions when they are prepared (two_phase)"))
        .hint("Have another one made without it: `slot` names it. Such a slot sends them when they are committed.")
}
