//! How a run begins, is repeated and ends: a scripted source, a store in memory.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tidemark::destination::files::store::{Created, Store, Upload};
use tidemark::destination::files::stores::memory::Memory as MemoryStore;
use tidemark::destination::files::{Files, Settings};
use tidemark::destination::memory::Memory;
use tidemark::destination::{Destination, Opening};
use tidemark::error::{Error, Kind, Result};
use tidemark::job_log::{JobLog, RunState};
use tidemark::pipeline::{Session, Sources, StreamReport, run_stream};
use tidemark::record::{Event, Mode, Position, Seal, StreamId};
use tidemark::source::{Description, Reader, Selection, Source, Stream, feed};

use crate::memory_log::MemoryLog;
use crate::script::{self, Numbers, Script, Step};

fn files(store: Arc<dyn Store>) -> Arc<Files> {
    let memory = Memory::new(128 << 20, 1);
    let settings = Settings { format: Box::new(Numbers), part_bytes: 100, keep_generations: 1, memory };
    Arc::new(Files::new(store, settings))
}

fn session(store: &MemoryStore, log: &MemoryLog, mode: Mode) -> Session {
    script::session("s", mode, files(Arc::new(store.clone())), log, "run")
}

/// So many rows, each with a checkpoint behind it.
fn rows(count: i64) -> Script {
    let step = |n| [Step::Rows { table: 0, from: n, to: n + 1 }, Step::Checkpoint { after: n + 1 }];
    Script { steps: (0..count).flat_map(step).collect(), acked: Arc::default() }
}

/// A source for every attempt, and for which attempts one was asked.
struct Shared {
    source: Arc<dyn Source>,
    asked: Mutex<Vec<u32>>,
}

impl Shared {
    fn new(source: impl Source + 'static) -> Self {
        Self { source: Arc::new(source), asked: Mutex::default() }
    }
}

impl Sources for Shared {
    fn source(&self, attempt: u32) -> Result<Arc<dyn Source>> {
        self.asked.lock().unwrap().push(attempt);
        Ok(self.source.clone())
    }
}

async fn run(session: Session, source: impl Source + 'static) -> StreamReport {
    run_stream(session, &Shared::new(source), 0).await
}

fn opening(log: &MemoryLog) -> Opening {
    let store = MemoryStore::new();
    session(&store, log, Mode::Cdc).opening
}

/// A store that knows no conditions: every create succeeds, and replaces what was there.
#[derive(Clone)]
struct Unconditional(MemoryStore);

#[async_trait]
impl Store for Unconditional {
    async fn create(&self, key: &str, body: Bytes) -> Result<Created> {
        self.0.delete(&[key.to_owned()]).await?;
        self.0.create(key, body).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.0.get(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>> {
        self.0.list(prefix, after).await
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        self.0.delete(keys).await
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        self.0.upload(key).await
    }

    async fn sweep(&self, prefix: &str, dead: &(dyn for<'a> Fn(&'a str) -> bool + Sync)) -> Result<()> {
        self.0.sweep(prefix, dead).await
    }

    fn url(&self, key: &str) -> String {
        self.0.url(key)
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_without_conditions_is_refused_every_time() {
    let (store, log) = (Unconditional(MemoryStore::new()), MemoryLog::new());
    for _ in 0..3 {
        let session = script::session("s", Mode::Cdc, files(Arc::new(store.clone())), &log, "run");
        let error = run(session, rows(3)).await.error.expect("refused");
        assert_eq!(error.kind(), Kind::Config, "{error}");
        assert!(error.message().contains("can be created twice"), "{error}");
    }
}

