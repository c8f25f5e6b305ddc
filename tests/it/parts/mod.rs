//! Parts of a plan, by processes that share a job log and a store: a scripted source in chunks, a store in memory.

mod kills;
mod order;
mod refused;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use tidemark::destination::Place;
use tidemark::destination::files::layout::Layout;
use tidemark::destination::files::log::Log;
use tidemark::destination::files::store::Store;
use tidemark::destination::files::stores::memory::Memory as MemoryStore;
use tidemark::destination::files::{Files, Settings, StorePlace};
use tidemark::destination::memory::Memory;
use tidemark::error::{Error, Kind, Result};
use tidemark::pipeline::{Planned, Session, Sources, StreamReport, plan_stream, run_part, run_stream};
use tidemark::record::{Checkpoint, Commit, Mode, Range, StreamId};
use tidemark::source::{Chunks, Consistency, Description, Listing, Reader, Selection, Source, Stream};

use crate::memory_log::MemoryLog;
use crate::script::{self, Numbers, Script, Step, read_numbers};

const STREAM: &str = "s";

/// Rows 0..n, in chunks.
struct Chunked {
    /// The first rows of the chunks, and the end of the last one.
    bounds: Vec<i64>,
    consistency: Consistency,
    /// How long each chunk takes, in seconds.
    takes: u64,
    /// The first rows of the chunks that were opened, in order.
    opened: Mutex<Vec<i64>>,
    /// What it was to be read with is gone.
    is_lost: AtomicBool,
}

impl Chunked {
    /// So many chunks of so many rows.
    fn new(chunks: i64, rows: i64) -> Self {
        Self {
            bounds: (0..=chunks).map(|chunk| chunk * rows).collect(),
            consistency: Consistency::Chunk,
            takes: 0,
            opened: Mutex::default(),
            is_lost: AtomicBool::new(false),
        }
    }

    fn rows(&self) -> i64 {
        *self.bounds.last().unwrap()
    }

    fn opened(&self) -> Vec<i64> {
        let mut opened = self.opened.lock().unwrap().clone();
        opened.sort_unstable();
        opened
    }
}

#[async_trait]
impl Source for Chunked {
    async fn identity(&self) -> Result<Value> {
        Ok(json!("script"))
    }

    async fn streams(&self, _: &[Selection]) -> Result<Listing> {
        Ok(Listing::default())
    }

    async fn describe(&self, _: &Stream) -> Result<Description> {
        Err(Error::bug("not asked for"))
    }

    async fn chunks(&self, _: &Stream) -> Result<Chunks> {
        let range = |bounds: &[i64]| Range::new(json!(bounds));
        let ranges = match self.bounds.len() {
            2 => Vec::new(),
            _ => self.bounds.windows(2).map(range).collect(),
        };
        Ok(Chunks { ranges, ..Chunks::whole(self.consistency) })
    }

    async fn open(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        if self.is_lost.load(Ordering::SeqCst) {
            return Err(Error::new(Kind::Lost, "another table has its name now"));
        }
        let all = json!([0, self.rows()]);
        let range = stream.range.as_ref().map_or(&all, Range::as_value);
        let (from, to) = (range[0].as_i64().unwrap(), range[1].as_i64().unwrap());
        self.opened.lock().unwrap().push(from);
        let step = |n| [Step::Rows { table: 0, from: n, to: n + 1 }, Step::Checkpoint { after: n + 1 }];
        let mut steps: Vec<_> = (from..to).flat_map(step).collect();
        // Behind the first row: a script does not wait before anything came.
        steps.insert(2, Step::Wait(self.takes));
        let whole = Stream { range: None, ..stream.clone() };
        Script { steps, cuts: Vec::new(), acked: Arc::default() }.open(&whole, after).await
    }
}

struct Shared(Arc<Chunked>);

impl Sources for Shared {
    fn source(&self, _: u32) -> Result<Arc<dyn Source>> {
        Ok(self.0.clone())
    }
}

/// What machines share.
struct World {
    store: MemoryStore,
    log: MemoryLog,
    source: Arc<Chunked>,
    runs: AtomicU64,
}

impl World {
    fn new(source: Chunked) -> Self {
        Self { store: MemoryStore::new(), log: MemoryLog::new(), source: Arc::new(source), runs: AtomicU64::new(0) }
    }

    /// A process of its own.
    fn session(&self) -> Session {
        self.session_of(Arc::new(self.store.clone()), &self.log.beside())
    }

    fn session_of(&self, store: Arc<dyn Store>, log: &MemoryLog) -> Session {
        let memory = Memory::new(128 << 20, 1);
        let settings = Settings { format: Box::new(Numbers), part_bytes: 100, keep_generations: 1, memory };
        let run = format!("run {}", self.runs.fetch_add(1, Ordering::SeqCst));
        script::session(STREAM, Mode::Full, Arc::new(Files::new(store, settings)), log, &run)
    }

    async fn plan(&self) -> Planned {
        let planned = plan_stream(&mut self.session(), self.source.clone()).await.unwrap();
        // As it goes from machine to machine.
        Planned::parse(&serde_json::to_string(&planned).unwrap(), "plan").unwrap()
    }

    /// A process that runs one part.
    async fn part(&self, planned: &Planned, number: usize) -> StreamReport {
        run_part(&self.session(), &Shared(self.source.clone()), 0, planned, number).await.unwrap()
    }

    #[track_caller]
    fn expect_done(&self, report: &StreamReport) {
        assert!(report.error.is_none(), "{}: {:?}", report.stream, report.error);
    }

    /// A process that runs the stream.
    async fn run(&self) -> StreamReport {
        run_stream(self.session(), &Shared(self.source.clone()), 0).await
    }

    async fn newest(&self) -> Option<Commit> {
        self.log_of(&StreamId::new(STREAM)).newest(None).await.unwrap()
    }

    fn log_of(&self, id: &StreamId) -> Log {
        Log::new(Arc::new(self.store.clone()), Layout::of(id))
    }

    async fn live_files(&self) -> Vec<String> {
        StorePlace(Arc::new(self.store.clone())).files(&StreamId::new(STREAM)).await.unwrap()
    }

    /// The live rows are those of the source, once.
    async fn check(&self) {
        let newest = self.newest().await.unwrap();
        let live = newest.generations.live().expect("nothing is live");
        let mut rows = Vec::new();
        for (chunk, last) in &live.chunks {
            let id = StreamId::new(STREAM).chunk(&live.generation, chunk);
            for commit in self.log_of(&id).range(0, *last).await.unwrap() {
                for part in &commit.parts {
                    let body = self.store.get(&part.path).await.unwrap().expect("a listed part is there");
                    rows.extend(read_numbers(&body, 1).into_iter().map(|row| row[0]));
                }
            }
        }
        rows.sort_unstable();
        assert_eq!(rows, (0..self.source.rows()).collect::<Vec<_>>());
        assert_eq!(live.rows, self.source.rows() as u64);
    }
}
