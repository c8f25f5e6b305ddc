//! The server's disk: how much log it keeps for a stream whose tables are silent, that a transaction holds back, or whose destination is
//! down. By the real program, at a server of the test's own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::super::database::{Database, connect};
use super::made;
use crate::kill::own::Own;
use crate::program::{Folder, Run};
use crate::{fresh, given, server};

const MIB: u64 = 1 << 20;

/// A server with the tables `a` and `b` that a stream has, and `other` that none has.
async fn shop(name: &'static str) -> (Own, Database) {
    let own = Own::start(name, "");
    let database = made(&own.url()).await;
    database
        .run("SELECT pg_drop_replication_slot(current_database()); DROP PUBLICATION pub; CREATE TABLE other (t text)")
        .await;
    database.run("CREATE PUBLICATION pub FOR TABLE a, b").await;
    super::with_slot(&database).await;
    database.run("INSERT INTO a VALUES (1, 1), (2, 2); INSERT INTO b VALUES (3, 3)").await;
    (own, database)
}

const LOCAL: &str = "type = local\npath = out";

/// A pipeline with one stream of them.
async fn folder(database: &Database, destination: &str, keys: &str) -> Folder {
    let slot = database.text("SELECT current_database()").await;
    Folder::new(&format!(
        "[source shop]\ntype = postgres\nurl = {}\n[destination lake]\n{destination}\nformat = json\ncompression = none\n[stream s]\n\
         source = shop\ndestination = lake\nmode = cdc\ntables = a, b\npublication = pub\nslot = {slot}\n{keys}\n",
        database.url
    ))
}

/// So much log, of none of the stream's tables.
async fn write(database: &Database, mib: u64) {
    for _ in 0..mib.div_ceil(8) {
        database.run("INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 7600)").await;
    }
}

/// What the server keeps for the slot behind what is confirmed, and in all.
async fn kept(database: &Database) -> Option<(u64, u64)> {
    let sql = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::text || ' ' || \
               pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::text FROM pg_replication_slots WHERE slot_name = current_database()";
    let text = database.texts(sql).await.pop()??;
    let (behind, all) = text.split_once(' ').unwrap();
    Some((behind.parse().unwrap(), all.parse().unwrap()))
}

/// Waits until a run says so.
async fn says(run: &mut Run<'_>, words: &str) {
    let begun = Instant::now();
    while !run.said().contains(words) {
        assert!(!run.has_ended() && begun.elapsed() < Duration::from_secs(90), "{words}: {}", run.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn comes_true(what: &str, run: &Run<'_>, check: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !check().await {
        assert!(begun.elapsed() < Duration::from_secs(90), "{what}: {}", run.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The lines of all live files.
fn lines(folder: &Folder) -> Vec<String> {
    let files = folder.live_files("s").into_iter();
    let read = |file: String| std::fs::read_to_string(folder.path().join(file)).unwrap();
    files.map(read).flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn stop(run: Run<'_>) -> String {
    run.signal("TERM");
    let ended = run.end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    ended.said
}

/// What others write is let go of as the stream's own changes are, and not with `idle_interval` only.
async fn silent_tables_hold_no_log(name: &'static str) {
    let size = given("TIDEMARK_LIVE_WAL", 150);
    let (_own, database) = shop(name).await;
    let folder = folder(&database, LOCAL, "commit_interval = 1s").await;
    let mut run = folder.start("run --continuous");
    says(&mut run, "the snapshot of a table is there table=\"b\"").await;
    // When the log stood where, in the last interval and what a busy machine adds to it.
    let heartbeat = Duration::from_secs(2);
    let (mut written, mut ends, mut most) = (0, VecDeque::new(), (0, 0));
    let begun = Instant::now();
    while written < size {
        // Slower than a server can, so that a heartbeat is a small part of it.
        tokio::join!(write(&database, 8), tokio::time::sleep(Duration::from_millis(300)));
        written += 8;
        let end: u64 =
            database.text("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::text").await.parse().unwrap();
        ends.push_back((Instant::now(), end));
        while ends.len() > 1 && ends[1].0.elapsed() > heartbeat {
            ends.pop_front();
        }
        let behind = kept(&database).await.unwrap().0;
        let beyond = behind.saturating_sub(end - ends[0].1);
        most = (most.0.max(behind), most.1.max(beyond));
        assert!(beyond < 64 * MIB, "{} MiB beyond a heartbeat: {}", beyond / MIB, run.said());
    }
    let took = begun.elapsed();
    tokio::time::sleep(heartbeat * 2).await;
    let behind = kept(&database).await.unwrap().0;
    assert!(behind < 64 * MIB, "{} MiB are kept behind it: {}", behind / MIB, run.said());
    // What is kept in all goes along with what the server notes of running transactions.
    let is_let_go = async || {
        database.run("CHECKPOINT").await;
        kept(&database).await.unwrap().1 < 64 * MIB
    };
    comes_true("the log is let go of", &run, is_let_go).await;
    eprintln!(
        "{name}: {written} MiB in {took:?}; at most {} MiB behind, {} MiB beyond a heartbeat, then {} MiB and {} MiB in all",
        most.0 / MIB,
        most.1 / MIB,
        behind / MIB,
        kept(&database).await.unwrap().1 / MIB
    );
    stop(run);
}

/// More is kept than `max_retained_wal`, since a transaction of somebody does not end.
async fn a_transaction_that_holds_the_log(name: &'static str, policy: &str) {
    let (_own, database) = shop(name).await;
    let keys = format!("commit_interval = 1s\nmax_retained_wal = 16 MiB\non_retained_wal = {policy}");
    let folder = folder(&database, LOCAL, &keys).await;
    let mut run = folder.start("run --continuous");
    says(&mut run, "the snapshot of a table is there table=\"b\"").await;
    let holder = connect(&database.url).await;
    holder.batch_execute("SET application_name = 'forgotten'; BEGIN; INSERT INTO other VALUES ('h')").await.unwrap();
    database.run("CHECKPOINT").await;
    write(&database, 90).await;
    match policy {
        "warn" => {
            says(&mut run, "more than `max_retained_wal`").await;
            tokio::time::sleep(Duration::from_secs(25)).await;
            let said = stop(run);
            assert_eq!(said.matches("more than `max_retained_wal`").count(), 1, "{said}");
            // Who it is is told by check; and by the run once it has been open for a minute.
            database.run("SELECT pg_sleep(30)").await;
            let said = folder.print("check");
            for words in [
                "read already, and are kept for a transaction that does not end",
                "forgotten",
                "pg_terminate_backend",
                "that is more than 16 MiB",
            ] {
                assert!(said.contains(words), "{said}");
            }
        }
        "fail" => {
            let ended = run.end();
            assert_eq!(ended.code, Some(66), "{}", ended.said);
            for words in ["more than `max_retained_wal`", "pg_drop_replication_slot", "--full-refresh"] {
                assert!(ended.said.contains(words), "{}", ended.said);
            }
            assert!(kept(&database).await.is_some(), "it is the operator's to drop it");
        }
        _ => {
            says(&mut run, "it is let go of, and all tables are read anew").await;
            comes_true("the slot is gone", &run, async || kept(&database).await.is_none_or(|(_, all)| all < 16 * MIB))
                .await;
            says(&mut run, "the replication slot is made anew").await;
            // The server makes none beside it, and that is said.
            says(&mut run, "is not made before all transactions have ended").await;
            assert!(run.said().contains("forgotten"), "{}", run.said());
            holder.batch_execute("COMMIT").await.unwrap();
            comes_true("there is a slot", &run, async || kept(&database).await.is_some()).await;
            arrives(&database, &folder, &run).await;
            stop(run);
        }
    }
}

/// All tables came anew, and what changes since comes.
async fn arrives(database: &Database, folder: &Folder, run: &Run<'_>) {
    database.run("INSERT INTO a VALUES (99, 99)").await;
    let is_there = async || lines(folder).iter().any(|line| line.contains("\"id\":99"));
    comes_true("the row arrives", run, is_there).await;
    let are_anew = async || lines(folder).iter().filter(|line| line.contains("\"_op\":\"t\"")).count() == 2;
    comes_true("both tables came anew", run, are_anew).await;
}

/// The way to a server, which can be cut.
struct Wire {
    port: u16,
    is_cut: Arc<watch::Sender<bool>>,
}

impl Wire {
    async fn to(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_cut, cut) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (mut cut, address) = (cut.clone(), address.clone());
                tokio::spawn(async move {
                    if *cut.borrow() {
                        return;
                    }
                    let mut far = TcpStream::connect(address).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { port, is_cut: Arc::new(is_cut) }
    }
}

/// Nothing can be committed for a long time: nobody reads the log, and somebody looks after it all the same.
async fn a_destination_that_is_down(name: &'static str, policy: &str) {
    let (_own, database) = shop(name).await;
    let store = url::Url::parse(&server("TIDEMARK_TEST_S3")).unwrap();
    let wire = Wire::to(format!("{}:{}", store.host_str().unwrap(), store.port().unwrap())).await;
    let destination = format!(
        "type = s3\nendpoint = http://127.0.0.1:{}\nbucket = {}\naccess_key = {}\nsecret_key = {}\nprefix = {}",
        wire.port,
        server("TIDEMARK_TEST_S3_BUCKET"),
        server("TIDEMARK_TEST_S3_KEY"),
        server("TIDEMARK_TEST_S3_SECRET"),
        fresh("disk")
    );
    let keys = format!("commit_interval = 1s\nmax_retained_wal = 16 MiB\non_retained_wal = {policy}");
    let folder = folder(&database, &destination, &keys).await;
    let mut run = folder.start("run --continuous");
    says(&mut run, "the snapshot of a table is there table=\"b\"").await;
    comes_true("it is committed", &run, async || folder.count("job_log", "high_water_mark is not null") > 0).await;
    wire.is_cut.send_replace(true);
    database.run("INSERT INTO a VALUES (7, 7)").await;
    says(&mut run, "trying again").await;
    write(&database, 32).await;
    match policy {
        "warn" => {
            says(&mut run, "more than `max_retained_wal`").await;
            wire.is_cut.send_replace(false);
            comes_true("it goes on", &run, async || kept(&database).await.unwrap().0 < 16 * MIB).await;
            stop(run);
        }
        "fail" => {
            let ended = run.end();
            assert_eq!(ended.code, Some(66), "{}", ended.said);
            assert!(ended.said.contains("more than `max_retained_wal`"), "{}", ended.said);
        }
        _ => {
            comes_true("the slot is gone", &run, async || kept(&database).await.is_none()).await;
            wire.is_cut.send_replace(false);
            says(&mut run, "the replication slot is made anew").await;
            database.run("INSERT INTO a VALUES (99, 99)").await;
            comes_true("it goes on", &run, async || kept(&database).await.is_some_and(|(behind, _)| behind < MIB))
                .await;
            stop(run);
        }
    }
}

macro_rules! on_own_servers {
    ($($test:ident: $how:ident $(($policy:literal))?;)+) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            $how("postgres" $(, $policy)?).await;
        })+

        /// Below a name by which they can be left out where that server cannot be had.
        mod postgres_new {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$how("postgres_new" $(, $policy)?).await;
            })+
        }
    };
}

on_own_servers! {
    silent_tables: silent_tables_hold_no_log;
    held_by_a_transaction_and_told: a_transaction_that_holds_the_log("warn");
    held_by_a_transaction_and_ended: a_transaction_that_holds_the_log("fail");
    held_by_a_transaction_and_let_go: a_transaction_that_holds_the_log("snapshot");
    no_destination_and_told: a_destination_that_is_down("warn");
    no_destination_and_ended: a_destination_that_is_down("fail");
    no_destination_and_let_go: a_destination_that_is_down("snapshot");
}
