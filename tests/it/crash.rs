//! The promise of the design, without services: after any sequence of kills, faults and restarts, what the commit log
//! lists is exactly the script, once, in order.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tidemark::destination::Place;
use tidemark::destination::files::layout::Layout;
use tidemark::destination::files::log::Log;
use tidemark::destination::files::store::Store;
use tidemark::destination::files::stores::memory::Memory as MemoryStore;
use tidemark::destination::files::{Files, Settings, StorePlace};
use tidemark::destination::memory::Memory;
use tidemark::error::Result;
use tidemark::job_log::RunState;
use tidemark::pipeline::{Session, Sources, StreamReport, run_stream};
use tidemark::record::{Commit, Mode, StreamId};
use tidemark::source::Source;

use crate::faulty::{Faulty, Held, Random as RandomFaults};
use crate::memory_log::MemoryLog;
use crate::script::{self, Numbers, Script, Step, read_numbers};

const ROWS: i64 = 120;
const STREAM: &str = "s";

#[test]
fn a_growing_stream_survives_kills() {
    for seed in seeds(0) {
        Case::new(seed, Mode::Cdc).run();
    }
}

#[test]
fn a_full_load_survives_kills() {
    for seed in seeds(1_000_000) {
        Case::new(seed, Mode::Full).run();
    }
}

/// A hundred seeds, or the one of `TIDEMARK_CRASH_SEED`; `TIDEMARK_CRASH_CASES` makes it more.
fn seeds(base: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("TIDEMARK_CRASH_SEED") {
        Some(seed) => vec![seed],
        None => (base..base + number("TIDEMARK_CRASH_CASES").unwrap_or(100)).collect(),
    }
}

/// SplitMix64: a test that fails can be run again by its seed.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

struct Case {
    seed: u64,
    mode: Mode,
    random: Random,
    script: Script,
    /// How many the script has.
    rows: i64,
    store: MemoryStore,
    log: MemoryLog,
    runs: u64,
    /// Requests of dead processes that are still on their way.
    held: Vec<Held>,
}

/// How a process ended.
enum End {
    Killed,
    Reported(Box<StreamReport>),
}

impl Case {
    fn new(seed: u64, mode: Mode) -> Self {
        let mut random = Random(seed);
        let script = Script::new(ROWS, &mut |n| random.below(n));
        let chunks = if mode == Mode::Full { random.below(7) } else { 0 };
        let script = script.cut(chunks, &mut |n| random.below(n));
        Self {
            seed,
            mode,
            random,
            script,
            rows: ROWS,
            store: MemoryStore::new(),
            log: MemoryLog::new(),
            runs: 0,
            held: Vec::new(),
        }
    }

    fn run(mut self) {
        let mut done = false;
        for attempt in 0..60 {
            // The last processes are left alone, so that the stream comes to its end.
            let calm = attempt >= 40;
            if let End::Reported(report) = self.process(calm)
                && report.state == RunState::Done
            {
                done = true;
                break;
            }
            if self.random.below(12) == 0 {
                self.log.lose_everything();
            }
        }
        assert!(done, "seed {}: never came to its end", self.seed);
        // What a paused writer uploads late is swept from the second opening on.
        for _ in 0..3 {
            self.grow();
            let End::Reported(report) = self.process(true) else { panic!("seed {}: a calm run was killed", self.seed) };
            assert_eq!(report.state, RunState::Done, "seed {}: {:?}", self.seed, report.error);
        }
        self.check();
    }

    /// One more row, where the stream is one that is opened only for what is new.
    fn grow(&mut self) {
        if self.mode != Mode::Full {
            let (from, to) = (self.rows, self.rows + 1);
            self.script.steps.extend([Step::Rows { table: 0, from, to }, Step::Checkpoint { after: to }]);
            self.rows = to;
        }
    }

    /// One process from start to end, or to its kill at some await. Sometimes an earlier one that was thought dead wakes
    /// and goes on beside it, and requests of dead ones arrive meanwhile.
    fn process(&mut self, calm: bool) -> End {
        let zombie = (!calm && self.random.below(3) == 0).then(|| self.start(calm));
        let (session, polls) = self.start(calm);
        let (zombie_session, zombie_polls, pause) = match zombie {
            Some((session, polls)) => (Some(session), polls, self.random.below(60)),
            None => (None, 0, 0),
        };
        let shared = || Shared(Arc::new(self.script.clone()));
        let (source, zombie_source) = (shared(), shared());
        let (held, mut landing) = (self.held.clone(), self.random.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let report = runtime.block_on(async move {
            if calm {
                for held in &held {
                    held.land_all().await;
                }
            }
            let mut zombie = zombie_session.map(|session| {
                let inner = Box::pin(async move { run_stream(session, &zombie_source, 1).await });
                Box::pin(PollBudget { left: zombie_polls, inner })
            });
            // It gets a start, then sleeps while the next process opens.
            for _ in 0..pause {
                let Some(running) = &mut zombie else { break };
                if futures_util::poll!(running.as_mut()).is_ready() {
                    zombie = None;
                }
                tokio::task::yield_now().await;
            }
            let others = async {
                let arrivals = async {
                    loop {
                        tokio::time::sleep(Duration::from_millis(1 + landing.below(2000))).await;
                        let index = landing.below(held.len() as u64) as usize;
                        if landing.below(3) == 0 {
                            held[index].land(0).await;
                        }
                    }
                };
                match zombie {
                    Some(zombie) => {
                        let woken = async {
                            zombie.await;
                            std::future::pending::<()>().await;
                        };
                        futures_util::future::join(woken, arrivals).await.1
                    }
                    _ => arrivals.await,
                }
            };
            let inner = Box::pin(async move { run_stream(session, &source, 1).await });
            tokio::select! {
                biased;
                () = others => None,
                report = (PollBudget { left: polls, inner }) => report,
            }
        });
        // What is still running is cut off where it stands, as a kill does.
        runtime.shutdown_background();
        report.map_or(End::Killed, |report| End::Reported(Box::new(report)))
    }

    /// What a new process begins with, and after how many polls it is killed.
    fn start(&mut self, calm: bool) -> (Session, u64) {
        self.runs += 1;
        self.log = self.log.after_a_kill();
        self.log.fail_every = (!calm && self.random.below(3) == 0).then(|| 2 + self.random.below(5));
        let per_mille = if calm { 0 } else { self.random.below(3) * 15 };
        let faults = RandomFaults::new(self.random.below(u64::MAX), per_mille);
        let faulty = Faulty::new(Arc::new(self.store.clone()), faults);
        self.held.push(faulty.held());
        let polls = if calm { u64::MAX } else { 1 + self.random.below(400) };
        (self.session(Arc::new(faulty)), polls)
    }

    fn session(&self, store: Arc<dyn Store>) -> Session {
        let destination = Arc::new(Files::new(store, settings()));
        script::session(STREAM, self.mode, destination, &self.log, &format!("run {}", self.runs))
    }

    fn check(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let id = StreamId::new(STREAM);
            let newest = log(&self.store, &id).newest(None).await.unwrap().unwrap();
            let known: Vec<_> = (0..=newest.seq).collect();
            assert_eq!(self.log.recorded(STREAM), known, "seed {}: the job log has not heard of all", self.seed);
            let listed = match self.mode {
                Mode::Full => self.check_generation(&id, &newest).await,
                _ => self.check_growing(&id, &newest).await,
            };
            self.check_nothing_else(listed).await;
        });
    }

    /// Every entry holds just the rows between its predecessor's position and its own, numbered on.
    async fn check_growing(&self, id: &StreamId, newest: &Commit) -> Vec<String> {
        let (mut listed, mut covered) = (Vec::new(), 0);
        for commit in log(&self.store, id).range(0, newest.seq).await.unwrap() {
            let after = commit.position.as_ref().map_or(0, |p| p.as_value()["after"].as_i64().unwrap());
            let mut rows = self.rows(&commit, 2).await;
            rows.sort();
            let expected: Vec<_> = (covered..after).map(|n| vec![n, n + 1]).collect();
            assert_eq!(rows, expected, "seed {}: entry {}", self.seed, commit.seq);
            assert_eq!(commit.last_seq, after, "seed {}: entry {}", self.seed, commit.seq);
            listed.extend(commit.parts.iter().map(|part| part.path.clone()));
            covered = after;
        }
        assert_eq!(covered, self.rows, "seed {}", self.seed);
        assert!(*self.script.acked.lock().unwrap() <= covered);
        listed
    }

    /// The live generation is the whole script, and every kept one too.
    async fn check_generation(&self, id: &StreamId, newest: &Commit) -> Vec<String> {
        let mut listed = Vec::new();
        assert!(newest.generations.live().is_some(), "seed {}: nothing is live", self.seed);
        for publication in &newest.generations.kept {
            let mut rows = Vec::new();
            for (chunk, last) in &publication.chunks {
                let chunk = id.chunk(&publication.generation, chunk);
                for commit in log(&self.store, &chunk).range(0, *last).await.unwrap() {
                    rows.extend(self.rows(&commit, 1).await);
                    listed.extend(commit.parts.iter().map(|part| part.path.clone()));
                }
            }
            rows.sort();
            assert_eq!(rows, (0..ROWS).map(|n| vec![n]).collect::<Vec<_>>(), "seed {}", self.seed);
            assert_eq!(publication.rows, ROWS as u64, "seed {}", self.seed);
        }
        let live = StorePlace(Arc::new(self.store.clone())).files(id).await.unwrap();
        assert!(live.iter().all(|url| listed.iter().any(|path| url.ends_with(path))));
        listed
    }

    /// The rows of a commit, in the order of its parts; each part's own order is the script's.
    async fn rows(&self, commit: &Commit, columns: usize) -> Vec<Vec<i64>> {
        let mut rows = Vec::new();
        for part in &commit.parts {
            let body = self.store.get(&part.path).await.unwrap();
            let body = body.unwrap_or_else(|| panic!("seed {}: {} is listed and not there", self.seed, part.path));
            let read = read_numbers(&body, columns);
            assert!(read.is_sorted(), "seed {}: {} is out of order", self.seed, part.path);
            assert_eq!((part.rows, part.bytes), (read.len() as u64, body.len() as u64), "seed {}", self.seed);
            assert_eq!(part.checksum, format!("crc32:{:08x}", crc32fast::hash(&body)));
            rows.extend(read);
        }
        rows
    }

    /// A reader who globs sees what the log lists, and nothing else.
    async fn check_nothing_else(&self, mut listed: Vec<String>) {
        let mut there = self.store.list("", None).await.unwrap();
        there.retain(|key| !key.starts_with("_commits/"));
        there.sort();
        listed.sort();
        assert_eq!(there, listed, "seed {}: files that no entry lists, or the other way round", self.seed);
        assert_eq!(self.store.unfinished(), Vec::<String>::new(), "seed {}: unfinished uploads", self.seed);
    }
}

fn settings() -> Settings {
    Settings { format: Box::new(Numbers), part_bytes: 100, keep_generations: 1, memory: Memory::new(128 << 20, 1) }
}

fn log(store: &MemoryStore, id: &StreamId) -> Log {
    Log::new(Arc::new(store.clone()), Layout::of(id))
}

struct Shared(Arc<Script>);

impl Sources for Shared {
    fn source(&self, _: u32) -> Result<Arc<dyn Source>> {
        Ok(self.0.clone())
    }
}

/// Ends with `None` when the inner future has been polled so often: a kill at an await.
pub struct PollBudget<F> {
    pub left: u64,
    pub inner: Pin<Box<F>>,
}

impl<F: Future> Future for PollBudget<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        self.inner.as_mut().poll(context).map(Some)
    }
}
