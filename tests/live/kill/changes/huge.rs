//! Transactions of very many rows.

use std::path::Path;
use std::time::{Duration, Instant};

use super::super::own::Own;
use super::case::Case;
use super::{MEMORY, given};
use crate::program::Folder;

/// A million numbers, from nothing.
const DIGITS: &str = "(select 0 d union all select 1 union all select 2 union all select 3 union all select 4 union all \
    select 5 union all select 6 union all select 7 union all select 8 union all select 9)";

/// Rows from a number on, at most a million: what `huge.py` expects.
fn insert(kind: &str, first: u64, last: u64) -> String {
    if kind == "postgres" {
        return format!(
            "insert into huge select i, i % 1000, left(encode(sha256(i::text::bytea), 'hex'), 32), i / 100.0 \
             from generate_series({first}::bigint, {last}) i"
        );
    }
    let tables: Vec<_> = "abcdef".chars().map(|name| format!("{DIGITS} {name}")).collect();
    format!(
        "insert into huge select i, i % 1000, left(sha2(i, 256), 32), i / 100 from (select {first} + a.d + 10 * b.d + 100 * c.d + 1000 * d.d \
         + 10000 * e.d + 100000 * f.d i from {}) n where i <= {last}",
        tables.join(", ")
    )
}

fn inserts(kind: &str, first: u64, last: u64) -> String {
    let parts = (first..=last).step_by(1_000_000).map(|first| insert(kind, first, last.min(first + 999_999)));
    parts.collect::<Vec<_>>().join("; ")
}

/// Proves that a transaction of many rows is there whole, by one commit, whose parts are written while it is read, and in little memory; that
/// a run that is killed within it leaves nothing of it, and the next one reads it once; and that of one that was rolled back
/// nothing comes. `options` are the server's, `session` is of the connection that writes.
pub fn survives_kills(name: &'static str, options: &str, session: &str) {
    let rows = given("TIDEMARK_LIVE_HUGE", 500_000);
    let case = Case::new(Own::start(name, options), "local", "parquet");
    let kind = case.server.kind();
    let letters = if kind == "mysql" { " character set utf8mb4" } else { "" };
    case.run_outside(&case.server, &format!("create database shop{letters}"));
    let own = "create table huge (id bigint primary key, v int, h char(32), amount decimal(12,2)); \
               create table small (id int primary key); insert into small values (0)";
    case.run(&case.server, own);
    let folder = Folder::new(&case.config(&case.server, "tables = huge, small\ncommit_interval = 100ms"));
    super::prepare(&folder, &case);
    folder.run("run", 0);
    let session = if session.is_empty() { String::new() } else { format!("{session}; ") };
    let share = if kind == "mysql" { 1 } else { 2 };
    let (all, others) = (inserts(kind, 1, rows), inserts(kind, rows + 1, rows + rows / 5 * share));
    case.run(
        &case.server,
        &format!(
            "{session}insert into small values (1); begin; insert into small values (2); {all}; insert into small values (3); commit; \
             begin; {others}; rollback; insert into small values (4)"
        ),
    );

    let mut run = folder.start("run --continuous");
    wait_for_parts(&case, &mut || run.has_ended());
    let ended = run.kill(Duration::ZERO);
    assert!(ended.killed, "{}", ended.said);
    let peak = ended.peak;
    let live = folder.live_files("changes");
    assert!(!live.iter().any(|path| is_full(Path::new(path))), "a part of a transaction is live: {live:?}");

    let ended = folder.start("run").end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let peak = peak.max(ended.peak);
    let there = case.compare_huge(&folder, rows);
    println!("{name} {options} {session}: {there}; {:?}; {peak} KiB", ended.took);
    assert!(there["parts"].as_u64() > Some(3), "{there}: it was to be of several parts");
    assert!(peak < MEMORY, "{peak} KiB resident");
}

/// Waits until several parts of the transaction lie at the destination.
fn wait_for_parts(case: &Case, has_ended: &mut dyn FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    let folder = Path::new(&case.place()).join("huge");
    let parts =
        || std::fs::read_dir(&folder).map_or(0, |files| files.flatten().filter(|file| is_full(&file.path())).count());
    while parts() < 3 {
        assert!(Instant::now() < deadline && !has_ended(), "no part came before its end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Parts of anything else are much smaller.
fn is_full(path: &Path) -> bool {
    path.metadata().is_ok_and(|of| of.len() > 500_000)
}
