//! A load in chunks, side by side, that is killed again and again.

use super::oracle::Case;
use super::suite::Chance;
use crate::program::Folder;
use crate::{given, server};

/// How many kills must hit a run at work.
const KILLS: u64 = 10;
/// How many connections read.
const WORKERS: u64 = 2;
/// What the process may have resident, in KiB: the default of `max_memory`.
const MEMORY: u64 = 128 << 10;

#[test]
fn postgres_in_chunks() {
    survives_kills("postgres", "TIDEMARK_TEST_POSTGRES");
}

#[test]
fn mariadb_in_chunks() {
    survives_kills("mysql", "TIDEMARK_TEST_MARIADB");
}

/// Half a million rows, or as many as `TIDEMARK_LIVE_ROWS` says.
fn rows() -> u32 {
    given("TIDEMARK_LIVE_ROWS", 500_000)
}

/// Proves that a load goes on at its unfinished chunks: what was killed is the table in the end, once; each kill has
/// read again at most the chunk that each connection had open; and all that in little memory.
fn survives_kills(source: &'static str, url: &str) {
    let rows = rows();
    let case = Case::new(source, &server(url), "local", "parquet", rows);
    let keys = format!("tables = big\nchunk_rows = {}\nparallel = {WORKERS}", rows / 50);
    let folder = Folder::new(&case.config(&keys));
    let (undisturbed, said) = folder.run("run", 0);
    assert!(said.contains("reading the table in chunks"), "{said}");
    case.compare(&folder, &["big"]);
    let before = case.openings("big");
    assert_eq!(before["chunks"], before["opened"]);

    case.change();
    let (mut chance, mut kills, mut peak) = (Chance::new(), 0, 0);
    while kills < KILLS {
        // A run first looks for its chunks, or for what there is of them.
        let after = undisturbed.mul_f64(0.1 + 0.5 * chance.fraction());
        let ended = folder.start("run").kill(after);
        peak = peak.max(ended.peak);
        kills += u64::from(ended.killed);
        assert!(ended.killed || ended.code == Some(0), "{}", ended.said);
    }
    let ended = folder.start("run").end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    peak = peak.max(ended.peak);
    case.compare(&folder, &["big"]);
    let there = case.openings("big");
    let [chunks, opened] = ["chunks", "opened"].map(|member| there[member].as_u64().unwrap());
    println!(
        "{rows} rows undisturbed in {undisturbed:?}; {kills} kills: {chunks} chunks opened {opened} times; {peak} KiB"
    );
    assert!(opened > chunks, "{there}: no kill hit a chunk that was being read");
    // Besides the kills, a failure that passes, of a server under load say, opens again what was open.
    assert!(opened - chunks <= (KILLS + 1) * WORKERS, "{there}: more was read again than what was open");
    assert!(peak < MEMORY, "{peak} KiB resident");
    // What the last kill has left goes with its generation, or went when it was published.
    folder.run("run", 0);
    folder.run("run", 0);
    case.leftovers(&["big"]);
}
