//! A job log in memory that several "processes" of a test share, and that can be lost.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use tidemark::error::{Error, Result};
use tidemark::job_log::{Behind, Failure, Held, JobLog, Lease, Mark, NewRun, RunEnd, RunRow, Share, Told};
use tidemark::record::Commit;

#[derive(Default)]
struct State {
    marks: HashMap<String, Mark>,
    recorded: HashMap<String, BTreeSet<u64>>,
    holders: HashMap<String, Arc<AtomicBool>>,
}

/// One process's handle.
#[derive(Clone)]
pub struct MemoryLog {
    state: Arc<Mutex<State>>,
    alive: Arc<AtomicBool>,
    /// Refuses every `n`th record, after the commit stands.
    pub fail_every: Option<u64>,
    records: Arc<Mutex<u64>>,
}

impl MemoryLog {
    pub fn new() -> Self {
        let alive = Arc::new(AtomicBool::new(true));
        Self { state: Arc::default(), alive, fail_every: None, records: Arc::default() }
    }

    /// The same log, for a process beside this one.
    pub fn beside(&self) -> Self {
        Self { alive: Arc::new(AtomicBool::new(true)), ..self.clone() }
    }

    /// Its leases are free from here on: it has ended, or is thought to have.
    pub fn is_gone(&self) {
        self.alive.store(false, Ordering::SeqCst);
    }

    /// The same log, for a process that starts after this one was killed.
    pub fn after_a_kill(&self) -> Self {
        self.alive.store(false, Ordering::SeqCst);
        Self { alive: Arc::new(AtomicBool::new(true)), ..self.clone() }
    }

    pub fn lose_everything(&self) {
        let mut state = self.state.lock().unwrap();
        state.marks.clear();
        state.recorded.clear();
    }

    /// The entries that it has been told of.
    pub fn recorded(&self, stream: &str) -> Vec<u64> {
        let state = self.state.lock().unwrap();
        state.recorded.get(stream).into_iter().flatten().copied().collect()
    }
}

#[async_trait]
impl JobLog for MemoryLog {
    async fn lease(&self, _: &str, stream: &str) -> Result<Box<dyn Lease>> {
        let mut state = self.state.lock().unwrap();
        if state.holders.get(stream).is_some_and(|alive| alive.load(Ordering::SeqCst)) {
            return Err(Error::conflict("held"));
        }
        state.holders.insert(stream.to_owned(), self.alive.clone());
        let (state, stream) = (self.state.clone(), stream.to_owned());
        Ok(Box::new(MemoryLease { state, stream, holder: self.alive.clone() }))
    }

    async fn mark(&self, _: &str, stream: &str) -> Result<Option<Mark>> {
        Ok(self.state.lock().unwrap().marks.get(stream).cloned())
    }

    async fn start(&self, _: &NewRun) -> Result<()> {
        Ok(())
    }

    async fn record(&self, _: &str, stream: &str, commit: &Commit) -> Result<()> {
        let mut records = self.records.lock().unwrap();
        *records += 1;
        if self.fail_every.is_some_and(|n| records.is_multiple_of(n)) {
            return Err(Error::unavailable("the job log does not answer"));
        }
        let mark = Mark { seq: commit.seq, position: commit.position.as_ref().map(ToString::to_string) };
        let mut state = self.state.lock().unwrap();
        state.recorded.entry(stream.to_owned()).or_default().insert(commit.seq);
        if state.marks.get(stream).is_none_or(|known| known.seq < mark.seq) {
            state.marks.insert(stream.to_owned(), mark);
        }
        Ok(())
    }

    async fn retell(&self, _: &str, _: &str, _: &Told) -> Result<bool> {
        Err(Error::bug("not asked for"))
    }

    async fn progress(&self, _: &str, _: u64, _: u64) -> Result<()> {
        Ok(())
    }

    async fn behind(&self, _: &str, _: &str, _: u64, _: Option<u64>) -> Result<()> {
        Ok(())
    }

    async fn lags(&self, _: &str) -> Result<Vec<Behind>> {
        Ok(Vec::new())
    }

    async fn shares(&self, _: &str) -> Result<Vec<Share>> {
        Ok(Vec::new())
    }

    async fn failures(&self, _: &str) -> Result<Vec<Failure>> {
        Ok(Vec::new())
    }

    async fn forget(&self, _: &str, stream: &str) -> Result<()> {
        self.state.lock().unwrap().marks.remove(stream);
        Ok(())
    }

    async fn finish(&self, _: &str, _: &RunEnd) -> Result<()> {
        Ok(())
    }

    fn holder(&self) -> Value {
        json!({ "host": "test", "pid": 1, "job_log": "one" })
    }

    async fn holders(&self, _: &str) -> Result<Vec<Held>> {
        let state = self.state.lock().unwrap();
        let held = |(stream, alive): (&String, &Arc<AtomicBool>)| Held {
            stream: stream.clone(),
            host: "test".to_owned(),
            pid: 1,
            since: String::new(),
            heartbeat_at: String::new(),
            alive: alive.load(Ordering::SeqCst),
            why: String::new(),
        };
        Ok(state.holders.iter().map(held).collect())
    }

    async fn prepare(&self) -> Result<()> {
        Ok(())
    }

    async fn check(&self) -> Result<String> {
        Ok("in memory".to_owned())
    }

    async fn runs(&self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<RunRow>> {
        Ok(Vec::new())
    }
}

struct MemoryLease {
    state: Arc<Mutex<State>>,
    stream: String,
    holder: Arc<AtomicBool>,
}

#[async_trait]
impl Lease for MemoryLease {
    async fn lost(&self) -> Error {
        std::future::pending().await
    }

    async fn release(self: Box<Self>) {
        let mut state = self.state.lock().unwrap();
        // It may have been taken over.
        if state.holders.get(&self.stream).is_some_and(|holder| Arc::ptr_eq(holder, &self.holder)) {
            state.holders.remove(&self.stream);
        }
    }
}
