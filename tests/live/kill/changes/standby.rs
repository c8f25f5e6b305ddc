//! PostgreSQL's server that is lost, and its standby that takes its place with the slot (from version 17 on).

use std::time::{Duration, Instant};

use super::super::own::Own;
use super::super::suite::Chance;
use super::case::Case;
use super::{given, tables};
use crate::program::Folder;

/// Whether the stream's slot is at a standby.
const KEPT: &str = "select exists (select from pg_replication_slots where slot_name = 'tidemark_changes' and synced and not temporary)";
const STREAM: &str = "tables = t02, audit\nidle_interval = 1s";
const SYNCED: &str = "-c sync_replication_slots=on -c hot_standby_feedback=on";

/// Proves that a stream goes on at a standby that was promoted: nothing is lost, and nothing comes twice.
pub fn goes_on() {
    let changes = given("TIDEMARK_LIVE_CHANGES", 20_000) / 4;
    let case = Case::new(Own::start("postgres_new", "-c hot_standby_feedback=on"), "local", "parquet");
    let (first, mut chance) = (&case.server, Chance::new());
    case.make(300);
    let stream = format!("{}\nchunk_rows = 2000\ncommit_interval = 300ms", tables());
    let folder = Folder::new(&case.config(first, &stream));
    super::prepare(&folder, &case);
    let second = Own::following(first, SYNCED);
    // The stream is told nothing that the standby has not.
    case.run_outside(first, "alter system set synchronized_standby_slots = 'standby'");
    case.run_outside(first, "select pg_reload_conf()");
    folder.run("run", 0);

    let mut writers = case.write(first, (changes, 3), chance.below(1_000_000));
    writers.go_up_to(changes / 2);
    let run = folder.start("run --continuous");
    let ended = run.kill(Duration::from_millis(1000 + chance.below(2000) as u64));
    assert!(ended.killed, "{}", ended.said);
    writers.end();
    let run = folder.start("run --continuous");
    wait_for_the_standby(&case, &second);
    first.kill();
    let ended = run.kill(Duration::from_millis(chance.below(3000) as u64));
    assert!(ended.killed, "{}", ended.said);
    let live = folder.live_files("changes");

    case.run_outside(&second, "select pg_promote()");
    folder.configure(&case.config(&second, &stream));
    let mut writers = case.write(&second, (changes, 3), chance.below(1_000_000));
    writers.go_up_to(changes);
    let run = folder.start("run --continuous");
    let ended = run.kill(Duration::from_millis(2000 + chance.below(2000) as u64));
    assert!(ended.killed, "{}", ended.said);
    writers.end();
    folder.run("run", 0);
    let there = case.compare(&folder, &second, true);
    println!("{there}");
    let now = folder.live_files("changes");
    assert!(live.iter().all(|path| now.contains(path)), "what was live is not");
}

/// Proves that a standby that took over without what was read of the lost server is refused, although its slot is before that place and
/// its own log has gone past it since.
pub fn lacks_what_was_read() {
    let mut case = Case::new(Own::start("postgres_new", "-c hot_standby_feedback=on"), "local", "parquet");
    case.tables = Some(&["t02", "audit"]);
    case.make(10);
    let folder = Folder::new(&case.config(&case.server, STREAM));
    super::prepare(&folder, &case);
    folder.run("run", 0);
    let second = Own::following(&case.server, SYNCED);
    // A slot can be kept there once it has moved.
    comes_true("the slot is at the standby", || {
        case.run_outside(&case.server, "checkpoint");
        folder.run("run", 0);
        case.run_outside(&second, KEPT)[0][0] == "True"
    });
    wait_for_the_standby(&case, &second);
    case.run_outside(&second, "alter system set primary_conninfo = ''");
    case.run_outside(&second, "select pg_reload_conf()");
    let alone = "select count(*) = 0 from pg_stat_wal_receiver";
    comes_true("the standby is alone", || case.run_outside(&second, alone)[0][0] == "True");
    case.run(&case.server, "insert into audit values (1, 1, 't02', 77, 0, 0)");
    folder.run("run", 0);
    case.server.kill();

    case.run_outside(&second, "select pg_promote()");
    case.run(&second, "insert into audit values (2, 1, 't02', 78, 0, 0)");
    case.run_outside(&second, "create table much as select i, repeat('x', 100) from generate_series(1, 100000) i");
    folder.configure(&case.config(&second, STREAM));
    let live = folder.live_files("changes");
    let (_, said) = folder.run("run", 66);
    assert!(
        said.contains("error_kind=\"lost\"") && said.contains("took over") && said.contains("--full-refresh"),
        "{said}"
    );
    assert_eq!(folder.live_files("changes"), live);
    folder.run("run changes --full-refresh", 0);
    case.compare(&folder, &second, true);
    folder.run("run", 0);
}

/// Until it has all that its server has, the stream's slot among it.
fn wait_for_the_standby(case: &Case, second: &Own) {
    let end = case.run_outside(&case.server, "select pg_current_wal_insert_lsn()::text")[0][0].clone();
    // What is asked of what is not written yet is not on its way.
    case.run_outside(&case.server, "select pg_switch_wal()::text");
    let has_come = format!("select pg_last_wal_replay_lsn() >= '{end}'");
    comes_true("the standby has all", || case.run_outside(second, &has_come)[0][0] == "True");
    comes_true("the slot is at the standby", || case.run_outside(second, KEPT)[0][0] == "True");
}

fn comes_true(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < deadline, "{what}: it does not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}
