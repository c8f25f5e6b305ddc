//! Changes of MySQL, MariaDB and PostgreSQL that are followed by runs of the real program, which are killed, and whose servers are.

mod case;
mod fail_over;
mod filled;
mod huge;
mod standby;
mod told;

use std::time::Duration;

use self::case::Case;
use super::own::Own;
use super::suite::Chance;
use crate::given;
use crate::program::Folder;

/// What the process may have resident, in KiB: the default of `max_memory`.
const MEMORY: u64 = 128 << 10;
/// Logs are so small that there are many.
const LOGS: &str = "--max-binlog-size=2M";

#[test]
fn mariadb_is_followed_through_kills() {
    survives_kills("mariadb", "local", "parquet", 1);
}

#[test]
fn mariadb_is_followed_to_s3_as_json() {
    survives_kills("mariadb", "s3", "json", 5);
}

#[test]
fn mariadb_is_followed_to_another_server() {
    fail_over::goes_on("mariadb");
}

#[test]
fn mariadb_goes_on_with_a_snapshot_at_another_server() {
    fail_over::goes_on_with_a_snapshot("mariadb");
}

#[test]
fn mariadb_is_not_followed_to_a_server_that_lacks_what_was_read() {
    fail_over::lacks_what_was_read("mariadb");
}

#[test]
fn mariadb_in_one_transaction() {
    huge::survives_kills("mariadb", "", "");
}

#[test]
fn mariadb_in_one_compressed_transaction() {
    huge::survives_kills("mariadb", "--log-bin-compress=ON", "");
}

#[tokio::test]
async fn mariadb_is_told_of() {
    told::of_its_server("mariadb").await;
}

/// Transactions of more than a few rows are sent before they are committed.
const STREAMED: &str = "-c logical_decoding_work_mem=64kB";

#[test]
fn postgres_is_followed_through_kills() {
    survives_kills("postgres", "local", "parquet", 1);
}

#[test]
fn postgres_is_followed_to_s3_as_json() {
    survives_kills("postgres", "s3", "json", 5);
}

#[test]
fn postgres_in_one_transaction() {
    huge::survives_kills("postgres", "", "");
}

#[test]
fn postgres_in_one_transaction_that_is_sent_at_its_end() {
    huge::survives_kills("postgres", "-c logical_decoding_work_mem=2GB", "");
}

#[test]
fn postgres_is_filled_in() {
    filled::survives_kills("postgres");
}

/// A module of its own, so that it can be left out by name where this server cannot be had.
mod postgres_new {
    #[test]
    fn is_filled_in() {
        super::filled::survives_kills("postgres_new");
    }

    #[test]
    fn is_followed_through_kills() {
        super::survives_kills("postgres_new", "local", "parquet", 2);
    }

    #[test]
    fn is_followed_to_its_standby() {
        super::standby::goes_on();
    }

    #[test]
    fn is_not_followed_to_a_standby_that_lacks_what_was_read() {
        super::standby::lacks_what_was_read();
    }
}

/// A module of its own, so that it can be left out by name where this server cannot be had.
mod mysql {
    #[test]
    fn is_followed_through_kills() {
        super::survives_kills("mysql", "local", "parquet", 1);
    }

    #[test]
    fn is_followed_to_another_server() {
        super::fail_over::goes_on("mysql");
    }

    #[test]
    fn goes_on_with_a_snapshot_at_another_server() {
        super::fail_over::goes_on_with_a_snapshot("mysql");
    }

    #[test]
    fn is_not_followed_to_a_server_that_lacks_what_was_read() {
        super::fail_over::lacks_what_was_read("mysql");
    }

    #[tokio::test]
    async fn is_told_of() {
        super::told::of_its_server("mysql").await;
    }

    #[test]
    fn in_one_transaction() {
        super::huge::survives_kills("mysql", "", "");
    }

    #[test]
    fn in_one_compressed_transaction() {
        // A larger one is logged as it is.
        super::huge::survives_kills(
            "mysql",
            "--max-allowed-packet=1G",
            "set session binlog_transaction_compression = on",
        );
    }
}

/// Makes what a stream needs at its server.
fn prepare(folder: &Folder, case: &Case) {
    if case.server.kind() == "postgres" {
        folder.run("check --create", 0);
    }
}

/// All tables that `writers.py` makes.
fn tables() -> String {
    let names: Vec<_> = (1..20).map(|number| format!("t{number:02}")).collect();
    format!("tables = {}, audit", names.join(", "))
}

/// Proves that a stream of changes is exact through kills of its runs and of its server: each change that was committed, and no other,
/// is there once, no transaction is split by a commit, and what they come to is the tables; all that in little memory.
/// `share` makes it a smaller test than the usual one.
fn survives_kills(name: &'static str, place: &str, format: &'static str, share: u64) {
    let changes = given("TIDEMARK_LIVE_CHANGES", 20_000) / share;
    let kills = given("TIDEMARK_LIVE_KILLS", 10) / share;
    let restarts = 1 + kills / 25;
    let options = if name.starts_with("postgres") { STREAMED } else { LOGS };
    let case = Case::new(Own::start(name, options), place, format);
    case.make(300);
    let folder =
        Folder::new(&case.config(&case.server, &format!("{}\nchunk_rows = 2000\ncommit_interval = 300ms", tables())));
    prepare(&folder, &case);
    let mut chance = Chance::new();
    let mut writers = case.write(&case.server, (changes, kills * 3 / 2), chance.below(1_000_000));
    let (mut killed, mut runs, mut restarted, mut peak) = (0, 0, 0, 0);
    while killed < kills {
        writers.go_up_to(changes * (killed + 1) / kills);
        runs += 1;
        assert!(runs <= 4 * kills, "{killed} of {runs} kills hit a run at work");
        let line = if runs % 3 == 0 { "run" } else { "run --continuous" };
        let run = folder.start(line);
        let mut after = Duration::from_millis(200 + chance.below(2200) as u64);
        if restarted < restarts && killed * (restarts + 1) >= kills * (restarted + 1) {
            std::thread::sleep(after);
            case.server.kill();
            case.server.start_again();
            restarted += 1;
            after = run.age() + Duration::from_millis(chance.below(4000) as u64);
        }
        let ended = run.kill(after);
        peak = peak.max(ended.peak);
        killed += u64::from(ended.killed);
        assert!(ended.killed || ended.code == Some(0), "{line}: {:?} {}", ended.code, ended.said);
    }
    let written = writers.end();
    for _ in 0..2 {
        let ended = folder.start("run").end();
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        peak = peak.max(ended.peak);
    }
    let there = case.compare(&folder, &case.server, false);
    println!("{name}: {written}; {killed} of {runs} runs killed, {restarted} restarts: {there}; {peak} KiB");
    assert_eq!(restarted, restarts);
    assert!(peak < MEMORY, "{peak} KiB resident");
}
