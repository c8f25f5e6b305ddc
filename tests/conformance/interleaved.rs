//! Incremental runs among writers that hold transactions open, share timestamps and update their rows: whatever the server,
//! nothing is lost and nothing delivered twice.
//!
//! The oracle is the table itself. Each row has a version that grows with every change, so that a delivery is known by key
//! and version; the newest delivery of a key must be what the table holds at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use async_trait::async_trait;
use tidemark::record::{Checkpoint, Event};
use tidemark::source::{Selection, Source};

/// A server with a database of the test's own.
#[async_trait]
pub trait Server: Send + Sync {
    async fn connect(&self) -> Box<dyn Session>;

    fn source(&self) -> Box<dyn Source>;

    /// A stream `s` with these keys.
    fn selection(&self, keys: &[(&str, &str)]) -> Selection;

    fn dialect(&self) -> Dialect;
}

/// How the server says it.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// Creates `t (id, version, touched, note)`: two integers of 64 bits, a time, a text.
    pub create: &'static str,
    pub begin: &'static str,
    /// The time that a row is given.
    pub now: &'static str,
}

/// A connection of a writer.
#[async_trait]
pub trait Session: Send {
    async fn run(&mut self, sql: &str) -> Result<(), String>;

    /// The rows of a query of integers.
    async fn integers(&mut self, sql: &str) -> Vec<Vec<i64>>;
}

/// What is done.
#[derive(Debug, Clone)]
pub struct Play {
    pub runs: u32,
    pub writers: u64,
    pub longest_hold: Duration,
    /// Of the stream, besides table and mode.
    pub keys: Vec<(&'static str, &'static str)>,
}

impl Default for Play {
    fn default() -> Self {
        let keys = vec![("cursor", "touched"), ("settle", "300ms")];
        // Each takes a second or so: `TIDEMARK_PLAY_RUNS=200` is for more patience than every landing has.
        let runs = std::env::var("TIDEMARK_PLAY_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(60);
        Self { runs, writers: 4, longest_hold: Duration::from_millis(1500), keys }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Keys whose newest delivery is not what the table holds, or that were never delivered.
    pub lost: Vec<String>,
    /// Key and version of what came more than once.
    pub twice: Vec<String>,
    pub delivered: usize,
    /// Runs that were cut off behind a checkpoint before their end.
    pub cut: u32,
    /// Runs whose mark was held by an open transaction.
    pub held: u32,
    pub seed: u64,
}

impl Verdict {
    /// Panics with the seed, unless all is well and something was tried.
    pub fn holds(&self) {
        assert!(self.lost.is_empty() && self.twice.is_empty(), "{self:?}");
        assert!(self.delivered > 100 && self.cut > 0 && self.held > 0, "too little was tried: {self:?}");
        println!("{} deliveries, {} runs cut, {} held, seed {}", self.delivered, self.cut, self.held, self.seed);
    }
}

/// Numbers that look random, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// Plays, and judges. `TIDEMARK_TEST_SEED` gives the seed of what can be repeated: what writers and runs decide, not how
/// they come between each other.
pub async fn play(server: &dyn Server, play: Play) -> Verdict {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = std::env::var("TIDEMARK_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(now.subsec_nanos().into());
    let mut admin = server.connect().await;
    admin.run(server.dialect().create).await.unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for number in 0..play.writers {
        let writer = Writer {
            session: server.connect().await,
            dialect: server.dialect(),
            chance: Chance(seed ^ number << 32),
            stride: i64::try_from(play.writers).unwrap(),
            rows: Vec::new(),
            next: i64::try_from(number).unwrap(),
            longest: play.longest_hold,
        };
        writers.push(tokio::spawn(writer.write(ended.clone())));
    }
    let mut verdict = Verdict { seed, ..Verdict::default() };
    let mut deliveries = Vec::new();
    let mut chance = Chance(seed);
    let mut after = None;
    // On a machine that is busy with others nothing may come between: then there are more runs.
    let too_little = |verdict: &Verdict| verdict.cut == 0 || verdict.held == 0;
    let mut runs = 0;
    while runs < play.runs || (too_little(&verdict) && runs < 4 * play.runs) {
        runs += 1;
        run(server, &play, &mut after, &mut deliveries, Some(&mut chance), &mut verdict).await;
        tokio::time::sleep(Duration::from_millis(chance.below(60))).await;
    }
    ended.store(true, Ordering::Release);
    for writer in writers {
        writer.await.unwrap();
    }
    // What they held is read, once nobody else is at work either: other tests have the same server.
    let until = Instant::now() + Duration::from_secs(150);
    run(server, &play, &mut after, &mut deliveries, None, &mut verdict).await;
    while is_held(after.as_ref()) && Instant::now() < until {
        run(server, &play, &mut after, &mut deliveries, None, &mut verdict).await;
    }
    for _ in 0..2 {
        run(server, &play, &mut after, &mut deliveries, None, &mut verdict).await;
    }
    let before = (after.clone(), deliveries.len());
    run(server, &play, &mut after, &mut deliveries, None, &mut verdict).await;
    assert_eq!((after, deliveries.len()), before, "a run that finds nothing new moves nothing (seed {seed})");
    judge(&mut verdict, &deliveries, admin.integers("select id, version from t").await);
    verdict
}

fn is_held(after: Option<&Checkpoint>) -> bool {
    let waits = |after: &Checkpoint| after.position.as_value()["waiting"]["for"].as_array().map(Vec::len);
    after.and_then(waits).is_some_and(|count| count > 0)
}

/// One run, from the last checkpoint on; by chance it is cut off behind a checkpoint.
async fn run(
    server: &dyn Server,
    play: &Play,
    after: &mut Option<Checkpoint>,
    deliveries: &mut Vec<(i64, i64)>,
    chance: Option<&mut Chance>,
    verdict: &mut Verdict,
) {
    let source = server.source();
    let keys = [&[("table", "t"), ("mode", "incremental")], play.keys.as_slice()].concat();
    let stream = source.streams(&[server.selection(&keys)]).await.unwrap().whole().unwrap().remove(0);
    let mut reader = source.open(&stream, after.as_ref()).await.unwrap();
    let mut pending = Vec::new();
    // Behind how many checkpoints it is cut off, or with rows that none covers yet.
    let cut = chance.and_then(|chance| (chance.below(4) == 0).then(|| chance.below(3)));
    let (mut seen, mut is_end) = (0, false);
    while let Some(event) = reader.next().await.unwrap() {
        match event {
            Event::Rows(rows) => {
                pending.extend(versions(&rows.batch));
                is_end = false;
                if cut == Some(0) && !pending.is_empty() {
                    break;
                }
            }
            Event::Checkpoint(checkpoint) => {
                deliveries.append(&mut pending);
                verdict.held += u32::from(is_held(Some(&checkpoint)));
                is_end = checkpoint.position.as_value()["after"].is_null();
                *after = Some(checkpoint);
                seen += 1;
                if cut == Some(seen) {
                    break;
                }
            }
        }
    }
    verdict.cut += u32::from(cut.is_some() && !is_end);
}

fn versions(batch: &RecordBatch) -> Vec<(i64, i64)> {
    let column = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec();
    column("id").into_iter().zip(column("version")).collect()
}

fn judge(verdict: &mut Verdict, deliveries: &[(i64, i64)], table: Vec<Vec<i64>>) {
    let mut once = BTreeSet::new();
    verdict.delivered = deliveries.len();
    verdict.twice = deliveries.iter().filter(|one| !once.insert(**one)).map(|one| format!("{one:?}")).collect();
    let newest: BTreeMap<i64, i64> = deliveries.iter().copied().collect();
    let is = |row: &&Vec<i64>| newest.get(&row[0]) != Some(&row[1]);
    verdict.lost = table.iter().filter(is).map(|row| format!("{row:?} not {:?}", newest.get(&row[0]))).collect();
}

struct Writer {
    session: Box<dyn Session>,
    dialect: Dialect,
    chance: Chance,
    /// Keys of one writer lie so far apart: writers never wait for each other's rows.
    stride: i64,
    rows: Vec<i64>,
    next: i64,
    longest: Duration,
}

impl Writer {
    async fn write(mut self, ended: Arc<AtomicBool>) {
        while !ended.load(Ordering::Acquire) {
            let before = self.rows.len();
            if self.chance.below(5) == 0 {
                // A statement that is a transaction of its own.
                self.change().await;
            } else {
                self.session.run(self.dialect.begin).await.unwrap();
                for _ in 0..=self.chance.below(4) {
                    self.change().await;
                    self.pause(20).await;
                }
                if self.chance.below(12) == 0 {
                    self.pause(u64::try_from(self.longest.as_millis()).unwrap()).await;
                }
                match self.chance.below(8) {
                    0 => {
                        self.session.run("rollback").await.unwrap();
                        self.rows.truncate(before);
                    }
                    _ => self.session.run("commit").await.unwrap(),
                }
            }
            self.pause(40).await;
        }
    }

    async fn pause(&mut self, below: u64) {
        tokio::time::sleep(Duration::from_millis(self.chance.below(below))).await;
    }

    async fn change(&mut self) {
        let now = self.dialect.now;
        if self.rows.is_empty() || self.chance.below(2) == 0 {
            // Rows of one statement share its time.
            let keys: Vec<_> = (0..=self.chance.below(3)).map(|_| self.key()).collect();
            let rows: Vec<_> = keys.iter().map(|id| format!("({id}, 0, {now}, 'new')")).collect();
            self.session.run(&format!("insert into t values {}", rows.join(", "))).await.unwrap();
            self.rows.extend(keys);
        } else {
            let count = u64::try_from(self.rows.len()).unwrap();
            let ids: Vec<_> = (0..=self.chance.below(3))
                .map(|_| self.rows[usize::try_from(self.chance.below(count)).unwrap()].to_string())
                .collect();
            let ids = ids.join(", ");
            let sql = format!("update t set version = version + 1, touched = {now} where id in ({ids})");
            self.session.run(&sql).await.unwrap();
        }
    }

    fn key(&mut self) -> i64 {
        self.next += self.stride;
        self.next
    }
}
