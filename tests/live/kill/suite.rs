//! SIGKILL at random.

use std::time::Duration;

use super::oracle::{Case, TABLES};
use crate::program::Folder;
use crate::server;

/// Enough for several parts of every format.
const ROWS: u32 = 120_000;
/// How many kills must hit a run at work.
const KILLS: usize = 12;

/// Proves for one pair: runs that are killed anywhere, again and again, end in files that are the table, once; the run
/// after them needs no help; once two runs went undisturbed, nothing that a killed one left is there.
pub fn survives_kills(source: &'static str, url: &str, place: &str, format: &'static str) {
    let case = Case::new(source, &server(url), place, format, ROWS);
    let folder = Folder::new(&case.config("tables = big, blank, small"));
    let (undisturbed, _) = folder.run("run", 0);
    let hits = kill_at_random(&folder, undisturbed, KILLS);

    folder.run("run", 0);
    case.compare(&folder, &TABLES);
    assert_eq!(folder.count("job_log", "state = 'running'"), 0);
    assert_eq!(folder.count("job_log_lease", "true"), 0);
    let died = folder.count("job_log", "error = 'the process died without recording its end'");
    assert!(died as usize >= hits / 3, "{died} runs of streams were killed by {hits} kills");

    case.change();
    folder.run("run", 0);
    case.compare(&folder, &TABLES);
    let there = case.leftovers(&TABLES);
    assert_eq!(there["generations"], 6, "the live one and the one before, of each table");
    assert!(there["files"].as_u64() > Some(2 * 2 + 2 * 2 - 1), "{there}: the large table was to be of several parts");
    assert!(place != "s3" || there["in_pieces"].as_u64() > Some(1), "{there}: parts were to go up in pieces");
}

/// Kills a run in each of so many parts of its time, in random order, at a random moment of it: how many kills hit.
pub fn kill_at_random(folder: &Folder, undisturbed: Duration, kills: usize) -> usize {
    let mut chance = Chance::new();
    let mut parts: Vec<_> = (0..kills).collect();
    let (mut span, mut hits, mut starts) = (undisturbed, 0, 0);
    while !parts.is_empty() {
        starts += 1;
        assert!(starts <= 2 * kills, "{hits} of {starts} kills hit a run at work");
        let part = parts.swap_remove(chance.below(parts.len()));
        let moment = (part as f64 + chance.fraction()) / kills as f64;
        let ended = folder.start("run").kill(span.mul_f64(moment));
        if ended.killed {
            hits += 1;
            continue;
        }
        // It was faster than the one before: again, sooner.
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        span = span.min(ended.took);
        parts.push(part);
    }
    hits
}

/// Random numbers (splitmix64), the same again with the same `TIDEMARK_TEST_SEED`.
pub struct Chance(u64);

impl Chance {
    pub fn new() -> Self {
        let given = std::env::var("TIDEMARK_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
        let seed = given.unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().1);
        println!("TIDEMARK_TEST_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}
