//! A server that is lost, and its replica that takes its place.

use std::time::Duration;

use super::super::own::Own;
use super::super::suite::Chance;
use super::case::Case;
use super::{given, tables};
use crate::program::Folder;

const LINES: &str = "chunk_rows = 2000\ncommit_interval = 300ms";

/// Proves that a stream goes on at a replica that was promoted, whose log has other files: nothing is lost, and nothing comes twice.
pub fn goes_on(name: &'static str) {
    let changes = given("TIDEMARK_LIVE_CHANGES", 20_000) / 4;
    let second = Own::start(name, "--server-id=2 --log-bin=standby --max-binlog-size=1M");
    let case = Case::new(Own::start(name, "--max-binlog-size=2M"), "local", "parquet");
    let (first, mut chance) = (&case.server, Chance::new());
    case.make(300);
    for _ in 0..5 {
        case.run_outside(&second, "flush local binary logs");
    }
    case.run_outside(&second, &follow(name, first));
    let stream = format!("{}\n{LINES}", tables());
    let folder = Folder::new(&case.config(first, &stream));
    folder.run("run", 0);

    let mut writers = case.write(first, (changes, 3), chance.below(1_000_000));
    writers.go_up_to(changes / 2);
    let run = folder.start("run --continuous");
    let ended = run.kill(Duration::from_millis(1000 + chance.below(2000) as u64));
    assert!(ended.killed, "{}", ended.said);
    writers.end();
    let run = folder.start("run --continuous");
    wait_for_the_second(name, &case, &second);
    first.kill();
    let ended = run.kill(Duration::from_millis(chance.below(3000) as u64));
    assert!(ended.killed, "{}", ended.said);
    let live = folder.live_files("changes");

    case.run_outside(&second, promote(name));
    folder.configure(&case.config(&second, &stream));
    let mut writers = case.write(&second, (changes, 3), chance.below(1_000_000));
    writers.go_up_to(changes);
    let run = folder.start("run --continuous");
    let ended = run.kill(Duration::from_millis(2000 + chance.below(2000) as u64));
    assert!(ended.killed, "{}", ended.said);
    writers.end();
    folder.run("run", 0);
    let there = case.compare(&folder, &second, true);
    println!("{name}: {there}");
    let now = folder.live_files("changes");
    assert!(live.iter().all(|path| now.contains(path)), "what was live is not");
}

/// Proves that a snapshot goes on at the replica too, whose log has other files, and where nobody writes.
pub fn goes_on_with_a_snapshot(name: &'static str) {
    let second = Own::start(name, "--server-id=2 --log-bin=standby");
    let mut case = Case::new(Own::start(name, ""), "local", "parquet");
    case.tables = Some(&["t02", "audit"]);
    case.make(300);
    for _ in 0..5 {
        case.run_outside(&case.server, "flush local binary logs");
    }
    case.run_outside(&second, &follow(name, &case.server));
    wait_for_the_second(name, &case, &second);
    let stream = "tables = t02, audit\nchunk_rows = 100\ncommit_interval = 10ms";
    let folder = Folder::new(&case.config(&case.server, stream));
    let ended = folder.start("run --continuous").kill(Duration::from_secs(3));
    assert!(ended.killed, "{}", ended.said);
    assert!(folder.live_files("changes").iter().any(|path| path.contains("/t02/")), "{}", ended.said);
    case.server.kill();
    case.run_outside(&second, promote(name));

    folder.configure(&case.config(&second, &stream.replace("= 100\n", "= 1000\n")));
    let run = folder.start("run --continuous");
    while !run.said().contains("the snapshot of a table is there table=\"t02\"") {
        assert!(run.age() < Duration::from_secs(60), "the snapshot does not go on: {}", run.said());
        std::thread::sleep(Duration::from_millis(50));
    }
    let ended = run.kill(Duration::ZERO);
    assert!(ended.killed, "{}", ended.said);
    // What it had not committed yet.
    folder.run("run", 0);
    let there = case.compare(&folder, &second, true);
    assert_eq!(there["rows"], 3000 + 19, "{there}");
}

/// Proves that a replica that took over without what was read of the lost server is refused, rather than followed as if nothing was amiss.
pub fn lacks_what_was_read(name: &'static str) {
    let second = Own::start(name, "--server-id=2 --log-bin=standby");
    let mut case = Case::new(Own::start(name, ""), "local", "parquet");
    case.tables = Some(&["t02", "audit"]);
    case.make(10);
    case.run_outside(&second, &follow(name, &case.server));
    wait_for_the_second(name, &case, &second);
    case.run_outside(&second, promote(name));
    let folder = Folder::new(&case.config(&case.server, "tables = t02, audit"));
    folder.run("run", 0);
    case.run(&case.server, "insert into audit values (1, 1, 't02', 77, 0, 0)");
    folder.run("run", 0);
    case.server.kill();

    case.run(&second, "insert into audit values (2, 1, 't02', 78, 0, 0)");
    folder.configure(&case.config(&second, "tables = t02, audit"));
    let live = folder.live_files("changes");
    let (_, said) = folder.run("run", 66);
    assert!(said.contains("error_kind=\"lost\"") && said.contains("--full-refresh"), "{said}");
    assert_eq!(folder.live_files("changes"), live);
    folder.run("run changes --full-refresh", 0);
    case.compare(&folder, &second, true);
}

fn follow(name: &str, first: &Own) -> String {
    let (word, more) = match name {
        "mysql" => ("source", "source_auto_position = 1, get_source_public_key = 1"),
        _ => ("master", "master_use_gtid = slave_pos"),
    };
    let change = if name == "mysql" { "change replication source to" } else { "change master to" };
    let start = if name == "mysql" { "start replica" } else { "start slave" };
    format!(
        "{change} {word}_host = '127.0.0.1', {word}_port = {}, {word}_user = 'repl', {word}_password = 'replpw', {more}; {start}",
        first.port()
    )
}

fn wait_for_the_second(name: &str, case: &Case, second: &Own) {
    let (all, wait) = match name {
        "mysql" => ("select @@global.gtid_executed", "wait_for_executed_gtid_set"),
        _ => ("select @@global.gtid_binlog_pos", "master_gtid_wait"),
    };
    let all = &case.run(&case.server, all)[0][0].replace('\n', "");
    let answer = case.run_outside(second, &format!("select {wait}('{all}', 60)"));
    assert_eq!(answer[0][0], "0", "the replica did not come after");
}

fn promote(name: &str) -> &'static str {
    match name {
        "mysql" => "stop replica; reset replica all",
        _ => "stop slave; reset slave all",
    }
}
