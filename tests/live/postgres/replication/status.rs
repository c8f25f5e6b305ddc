//! What the server hears of a reader, and what it does with that.

use std::time::Instant;

use tidemark::error::Kind;
use tokio::time::sleep;

use super::super::database::assert_error;
use super::*;

/// Of a server that gives a reader up after two seconds without a word.
const IMPATIENT: &str = "wal_sender_timeout = '2s'";

async fn waiting(server: &str) -> (Database, String) {
    let (database, slot) = Database::with_slot(server).await;
    database.set(IMPATIENT).await;
    database.run("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    (database, slot)
}

/// The slot stands still, whatever was read and however often the server heard of us, until it is told to move; then it is
/// where it was told to be, and never goes back.
pub async fn the_slot_moves_only_when_told(server: &str) {
    let (database, slot) = waiting(server).await;
    let first = database.confirmed(&slot).await;
    let mut log = database.start(&slot).await;
    let mut ends = Vec::new();
    for row in 1..=3 {
        database.run(&format!("INSERT INTO t VALUES ({row})")).await;
        database.mark("end").await;
        ends.extend(until_mark(&mut log, "end").await.iter().filter_map(|shown| shown.end));
    }
    // Time for many words of ours.
    sleep(Duration::from_secs(3)).await;
    assert_eq!(database.confirmed(&slot).await, first);
    let heard = format!(
        "SELECT write_lsn FROM pg_stat_replication AS r JOIN pg_replication_slots AS s ON s.active_pid = r.pid WHERE slot_name = '{slot}'"
    );
    assert!(database.text(&heard).await.parse::<Lsn>().unwrap() >= *ends.last().unwrap(), "what was read is told");
    let began = Instant::now();
    log.confirm(ends[1]);
    comes_true("the slot moves", async || database.confirmed(&slot).await == ends[1]).await;
    assert!(began.elapsed() < Duration::from_secs(5));
    // An older server would take an older place.
    log.confirm(ends[0]);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(database.confirmed(&slot).await, ends[1]);
    // What was not confirmed comes again; what was does not.
    log.close(PATIENCE).await.unwrap();
    let mut log = database.start(&slot).await;
    let again = until_mark(&mut log, "end").await;
    assert_eq!(again.iter().filter(|shown| shown.text.starts_with("insert")).count(), 1);
    assert!(again[1].text.starts_with("relation") && again[2].text.contains("Text([50])"), "{again:?}");
    // Nor does what lies before the place that we begin at, though nobody confirmed it.
    log.close(PATIENCE).await.unwrap();
    let from = Options { start: ends[3], ..options(&slot) };
    let mut log = session(&database.url).await.start(&from).await.unwrap();
    let rest = until_mark(&mut log, "end").await;
    assert!(
        rest.iter().any(|shown| shown.text.contains("Text([51])"))
            && !rest.iter().any(|shown| shown.text.contains("Text([50])"))
    );
    assert_eq!(database.confirmed(&slot).await, ends[1]);
    drop(log);
}

/// While others write, keepalives tell how far the server has come.
pub async fn keepalives_tell_of_what_is_not_ours(server: &str) {
    let (database, slot) = waiting(server).await;
    let mut log = database.start(&slot).await;
    let other = Database::create(server).await;
    other.run("CREATE TABLE x AS SELECT n FROM generate_series(1, 10000) AS n").await;
    let there: Lsn = database.text("SELECT pg_current_wal_flush_lsn()").await.parse().unwrap();
    let end = loop {
        match timeout(PATIENCE, log.next()).await.unwrap().unwrap() {
            Event::Keepalive(keepalive) if keepalive.end >= there => break keepalive.end,
            Event::Keepalive(_) => {}
            Event::Message(entry) => panic!("{entry:?}"),
        }
    };
    log.confirm(end);
    comes_true("the slot moves", async || database.confirmed(&slot).await == end).await;
    log.close(PATIENCE).await.unwrap();
}

/// A reader that does something else for three times as long as the server waits still has its session, with nothing lost:
/// while the log is silent, and while more waits for us than the network holds.
pub async fn a_busy_reader_keeps_its_session(server: &str) {
    let (database, slot) = waiting(server).await;
    let mut log = database.start(&slot).await;
    for (from, rows) in [(1, 1), (2, 200_000)] {
        let to = from + rows - 1;
        let insert = format!("INSERT INTO t SELECT n, repeat('v', 200) FROM generate_series({from}, {to}) AS n");
        database.run(&insert).await;
        database.mark("end").await;
        if rows > 1 {
            let first = next(&mut log).await.unwrap();
            assert!(first.text.starts_with("StreamStart"), "{}", first.text);
        }
        let peak = resident();
        sleep(Duration::from_secs(6)).await;
        assert!(resident() < peak + (16 << 20), "it was read though nobody asked");
        let inserts = until_mark(&mut log, "end").await;
        assert_eq!(inserts.iter().filter(|shown| shown.text.starts_with("insert")).count(), rows);
    }
    assert_eq!(database.backends().await.len(), 1);
    log.close(PATIENCE).await.unwrap();
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// A dropped call of `next` loses nothing.
pub async fn a_dropped_call_loses_nothing(server: &str) {
    let (database, slot) = waiting(server).await;
    database.run("INSERT INTO t SELECT n, repeat('v', n % 900) FROM generate_series(1, 3000) AS n").await;
    database.mark("end").await;
    let expected = Shown::all(&database.peek(&slot, false).await);
    let mut log = database.start(&slot).await;
    let mut got = Vec::new();
    while got.len() < expected.len() {
        // Long enough for some, too short for others.
        let patience = Duration::from_micros(got.len() as u64 % 60);
        match timeout(patience, log.next()).await {
            Ok(Ok(Event::Message(entry))) => got.push(Shown::of(&entry)),
            Ok(Ok(Event::Keepalive(_))) | Err(_) => {}
            Ok(Err(e)) => panic!("{e}"),
        }
    }
    assert_same(&got, &expected);
}

/// Whoever closes leaves the slot free, with all confirmed; whoever drops leaves it free a moment later. The session of another,
/// and a server's end, is told.
pub async fn ends_of_a_log(server: &str) {
    let (database, slot) = waiting(server).await;
    for _ in 0..3 {
        let mut log = database.start(&slot).await;
        database.mark("end").await;
        let end = until_mark(&mut log, "end").await.pop().unwrap().end.unwrap();
        log.confirm(end);
        log.close(PATIENCE).await.unwrap();
        assert_eq!(database.confirmed(&slot).await, end);
    }
    drop(database.start(&slot).await);
    database.wait_for_no_backend().await;
    let active = format!("SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'");
    assert_eq!(database.text(&active).await, "f");
    // In the midst of a large transaction.
    database.run("INSERT INTO t SELECT n, repeat('v', 200) FROM generate_series(1, 100000) AS n").await;
    let mut log = database.start(&slot).await;
    next(&mut log).await.unwrap();
    drop(log);
    database.wait_for_no_backend().await;
    let mut log = database.start(&slot).await;
    next(&mut log).await.unwrap();
    let terminate = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = ";
    database.run(&format!("{terminate}'{slot}'")).await;
    let error = loop {
        if let Err(error) = next(&mut log).await {
            break error;
        }
    };
    assert_error(&error, Kind::Unavailable, &["127.0.0.1"]);
}
