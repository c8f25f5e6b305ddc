//! Processes at parts of plans, any of which may be killed or paused anywhere.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tidemark::destination::files::store::Store;
use tidemark::pipeline::{Planned, StreamReport, run_part, run_stream};

use super::{Chunked, Shared, World};
use crate::faulty::{Faulty, Random};
use crate::memory_log::MemoryLog;

const CHUNKS: i64 = 5;

/// Proves of many seeds: however processes at parts are killed, paused beyond their leases and woken, what becomes live is
/// the table, once; and two plans later nothing is there that nobody lists.
#[test]
fn parts_survive_kills() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("TIDEMARK_CRASH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TIDEMARK_CRASH_CASES").unwrap_or(60),
    };
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        println!("TIDEMARK_CRASH_SEED={seed}");
        runtime.block_on(case(seed));
        runtime.shutdown_background();
    }
}

async fn case(seed: u64) {
    let mut random = Random::new(seed, 0);
    let world = World::new(Chunked { takes: random.below(3), ..Chunked::new(CHUNKS, 15) });
    let mut planned = world.plan().await;
    let mut paused: Vec<Process<'_>> = Vec::new();
    for _ in 0..6 {
        round(&world, &mut random, &planned, &mut paused).await;
        if random.below(4) == 0 {
            planned = world.plan().await;
        }
    }
    finish(&world, &planned).await;
    world.check().await;
    // Those that slept through all of it change nothing any more.
    let live = world.live_files().await;
    for process in paused {
        process.run(u64::MAX).await;
    }
    assert_eq!(world.live_files().await, live);
    world.check().await;
    for _ in 0..2 {
        finish(&world, &world.plan().await).await;
    }
    world.check().await;
    let kept = world.newest().await.unwrap().generations.kept;
    let folders: Vec<_> = kept.iter().map(|publication| format!("/{}/", publication.generation)).collect();
    let there = world.store.list("", None).await.unwrap();
    let strange = |key: &&String| !key.starts_with("_commits/") && !folders.iter().any(|folder| key.contains(folder));
    assert_eq!(there.iter().find(strange), None, "seed {seed}");
    assert_eq!(world.store.unfinished(), Vec::<String>::new(), "seed {seed}");
}

/// Every part, undisturbed.
async fn finish(world: &World, planned: &Planned) {
    for number in 0..planned.parts.len() {
        let report = world.part(planned, number).await;
        // An older plan's: its load was given up for a newer one, which it leaves to others.
        if report.error.is_some() {
            world.expect_done(&world.run().await);
        }
    }
}

/// Some processes side by side. Each ends, is killed, or is paused for later; some of those wake up.
async fn round<'w>(world: &'w World, random: &mut Random, planned: &Planned, paused: &mut Vec<Process<'w>>) {
    let mut running = FuturesUnordered::new();
    for _ in 0..1 + random.below(4) {
        let number = random.below(planned.parts.len() as u64) as usize;
        let is_run = random.below(8) == 0;
        let process = Process::start(world, random, planned.clone(), (!is_run).then_some(number));
        running.push(process.run_or_stop(1 + random.below(500), random.below(3) == 0));
    }
    while random.below(2) == 0 && !paused.is_empty() {
        let process = paused.swap_remove(random.below(paused.len() as u64) as usize);
        running.push(process.run_or_stop(1 + random.below(500), random.below(2) == 0));
    }
    while let Some(stopped) = running.next().await {
        paused.extend(stopped);
    }
}

/// A process at a part, or at the stream.
struct Process<'w> {
    log: MemoryLog,
    work: Pin<Box<dyn Future<Output = StreamReport> + 'w>>,
}

impl<'w> Process<'w> {
    fn start(world: &'w World, random: &mut Random, planned: Planned, part: Option<usize>) -> Self {
        let log = world.log.beside();
        let faults = Random::new(random.below(u64::MAX), random.below(3) * 10);
        let store: Arc<dyn Store> = Arc::new(Faulty::new(Arc::new(world.store.clone()), faults));
        let session = world.session_of(store, &log);
        let sources = Shared(world.source.clone());
        let work = async move {
            match part {
                Some(part) => run_part(&session, &sources, 1, &planned, part).await.unwrap(),
                None => run_stream(session, &sources, 1).await,
            }
        };
        Self { log, work: Box::pin(work) }
    }

    async fn run(self, polls: u64) {
        self.run_or_stop(polls, true).await;
    }

    /// Lets it run for so many polls. After that others may have its leases; it is given back if it may wake.
    async fn run_or_stop(self, polls: u64, may_wake: bool) -> Option<Self> {
        let Self { log, work } = self;
        let mut budget = PollBudget { left: polls, work: Some(work) };
        // A machine's clock goes on while it sleeps.
        let ended = tokio::time::timeout(Duration::from_secs(10_000), &mut budget).await;
        log.is_gone();
        let work = budget.work.take().filter(|_| !matches!(ended, Ok(true)))?;
        if may_wake {
            return Some(Self { log, work });
        }
        // Not dropped: that would tidy up.
        std::mem::forget(work);
        None
    }
}

/// Ends with `false` once the work has been polled so often.
struct PollBudget<'w> {
    left: u64,
    work: Option<Pin<Box<dyn Future<Output = StreamReport> + 'w>>>,
}

impl Future for PollBudget<'_> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        if self.left == 0 {
            return Poll::Ready(false);
        }
        self.left -= 1;
        let work = self.work.as_mut().expect("polled once more");
        work.as_mut().poll(context).map(|_| true)
    }
}
