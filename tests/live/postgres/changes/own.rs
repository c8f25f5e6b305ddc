//! What takes a server of the test's own, since all of it is concerned.

use std::time::Duration;

use tidemark::error::Kind;

use super::super::database::{Database, assert_error, connect};
use super::super::replication::comes_true;
use super::{Log, made};
use crate::kill::own::Own;

/// Longer than a commit is hidden but for a standby.
const LONG: Duration = Duration::from_secs(8);

/// A commit that is in the log, and that nobody sees yet. Dropped by a test that fails, it is shown too: all that follows would wait.
struct Hidden {
    task: Option<tokio::task::JoinHandle<()>>,
    url: String,
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if self.task.is_none() {
            return;
        }
        let url = self.url.clone();
        let shown = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = connect(&url).await;
                client.batch_execute("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
                client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
            });
        });
        // The test has failed by its own words.
        let _ = shown.join();
    }
}

impl Hidden {
    /// Commits wait for a standby that there is not, from now on.
    async fn commit(database: &Database, sql: &str) -> Self {
        database.run("SET synchronous_commit = local").await;
        database.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await;
        database.run("SELECT pg_reload_conf()").await;
        let setting = "SELECT current_setting('synchronous_standby_names')";
        comes_true("it is set", async || database.text(setting).await == "nobody").await;
        let (client, sql) = (connect(&database.url).await, sql.to_owned());
        let task = tokio::spawn(async move { client.batch_execute(&sql).await.unwrap() });
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        comes_true("it waits", async || database.text(waits).await == "1").await;
        Self { task: Some(task), url: database.url.clone() }
    }

    async fn show(mut self, database: &Database) {
        database.run("ALTER SYSTEM RESET synchronous_standby_names").await;
        database.run("SELECT pg_reload_conf()").await;
        self.task.take().unwrap().await.unwrap();
    }
}

/// Takes what comes for so long. Whether the log has ended.
async fn take(log: &mut Log<'_>, reader: &mut dyn tidemark::source::Reader, time: Duration) -> bool {
    match tokio::time::timeout(time, log.take(reader, usize::MAX)).await {
        Ok(ended) => ended.unwrap(),
        Err(_) => false,
    }
}

/// A chunk waits until it sees what the log has told of: else it would put old rows behind new ones.
async fn commits_that_nobody_sees_yet(name: &'static str) {
    let own = Own::start(name, "");
    let database = made(&own.url()).await;
    database.run("INSERT INTO a SELECT n, 1 FROM generate_series(1, 3000) AS n").await;
    let mut log = Log::new(&database).await;
    // Chunks that are so few that a busy machine reads them in time.
    log.set("chunk_rows", "50");
    // The stream begins behind it.
    let hidden =
        Hidden::commit(&database, "UPDATE a SET v = -1 WHERE id IN (2, 2999); INSERT INTO a VALUES (9999, 9)").await;
    assert_eq!(database.text("SELECT v::text FROM a WHERE id = 2").await, "1");
    let mut reader = log.open().await.unwrap();
    assert!(!take(&mut log, &mut *reader, LONG).await);
    assert_eq!(log.count("r"), 0, "a chunk was read that does not see it");
    drop(reader);
    hidden.show(&database).await;

    // It comes while the snapshot is half way; and the stream is begun again behind it.
    let mut reader = log.open().await.unwrap();
    while log.count("r") < 50 {
        assert!(!log.take(&mut *reader, 1).await.unwrap());
    }
    let hidden = Hidden::commit(&database, "UPDATE a SET v = -2 WHERE id > 2000; DELETE FROM a WHERE id = 2998").await;
    while log.count("u") == 0 {
        assert!(!log.take(&mut *reader, 1).await.unwrap());
    }
    // Until the end of that transaction.
    while !log.open.is_empty() {
        log.take(&mut *reader, 1).await.unwrap();
    }
    let read = log.count("r");
    assert!(!take(&mut log, &mut *reader, LONG).await);
    assert_eq!(log.count("r"), read, "a chunk was read that does not see it");
    assert!(read < 2000, "{read} rows were read before: there was nothing left to wait");
    drop(reader);
    let mut reader = log.open().await.unwrap();
    assert!(!take(&mut log, &mut *reader, LONG).await);
    assert_eq!(log.count("r"), read, "a chunk was read that does not see it");
    hidden.show(&database).await;
    assert!(take(&mut log, &mut *reader, Duration::from_secs(60)).await);
    log.is_the_tables("all of it is seen").await;
}

/// A transaction that nobody sees yet has values that the log tells, and leaves away where it did not change them again: what the table shows
/// meanwhile is what they were before it.
async fn values_that_nobody_sees_yet(name: &'static str) {
    const BIG: &str = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 200) AS n)";
    let own = Own::start(name, "");
    let database = made(&own.url()).await;
    database.run("ALTER TABLE a ADD big text; ALTER TABLE a ALTER big SET STORAGE EXTERNAL").await;
    database.run(&format!("INSERT INTO a VALUES (1, 1, 'x', {BIG} || 'old'), (2, 2, 'x', {BIG} || 'two'), (3, 3, 'x', {BIG} || 'three')")).await;
    let mut log = Log::new(&database).await;
    log.set("fill_unchanged", "yes");
    log.whole().await;
    log.following.goes_on = true;
    // The key 2 is another row's behind it.
    let change = |to: &str| {
        format!(
            "BEGIN; UPDATE a SET big = {BIG} || '{to}' WHERE id = 1; UPDATE a SET v = v + 1 WHERE id = 1; DELETE FROM a WHERE id = 2; \
             UPDATE a SET id = 2 WHERE id = 3; COMMIT"
        )
    };
    let ends = |log: &Log<'_>| {
        let of =
            |seen: &super::Seen| format!("{} {}", seen.op, seen.row["big"].as_deref().map_or("-", |big| &big[6400..]));
        log.seen.iter().map(of).collect::<Vec<_>>()
    };
    let mut reader = log.open().await.unwrap();
    let hidden = Hidden::commit(&database, &change("new")).await;
    assert!(!take(&mut log, &mut *reader, Duration::from_secs(2)).await);
    assert_eq!(log.count("u"), 0, "it is waited for: {:?}", ends(&log));
    hidden.show(&database).await;
    assert!(!take(&mut log, &mut *reader, Duration::from_secs(2)).await);
    assert_eq!(ends(&log)[log.seen.len() - 5..], ["u new", "u new", "d -", "d -", "c three"]);
    log.is(&["a"], "seen").await;

    // Where it is hidden for longer, nothing is read, rather than what it was.
    database.run(&format!("INSERT INTO a VALUES (3, 3, 'x', {BIG} || 'other')")).await;
    let hidden = Hidden::commit(&database, &change("newer").replace("UPDATE a SET id = 2 WHERE id = 3; ", "")).await;
    log.seen.clear();
    assert!(!take(&mut log, &mut *reader, LONG).await);
    assert_eq!(ends(&log), ["c other", "u newer", "u -", "d -"]);
    let unchanged: Vec<_> = log.seen.iter().map(|seen| seen.unchanged.len()).collect();
    assert_eq!(unchanged, [0, 0, 1, 0]);
    hidden.show(&database).await;
}

/// More log was written than the server keeps for a slot.
async fn a_slot_that_lost_its_log(name: &'static str) {
    let own = Own::start(name, "-c max_slot_wal_keep_size=1MB -c min_wal_size=32MB");
    let database = made(&own.url()).await;
    database.run("INSERT INTO a VALUES (1, 1), (2, 2)").await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    database.run("DELETE FROM a WHERE id = 1; CREATE TABLE other (t text)").await;
    for _ in 0..4 {
        database.run("INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 20000)").await;
        database.run("SELECT pg_switch_wal()").await;
    }
    database.run("CHECKPOINT").await;
    let error = log.refusal().await;
    assert_error(&error, Kind::Lost, &[log.slot(), "more was written than the server keeps", "on_lost"]);
    log.set("on_lost", "snapshot");
    log.whole().await;
    log.is_the_tables("begun anew").await;
    database.run("UPDATE a SET v = 7").await;
    log.whole().await;
    assert_eq!(log.ops(), ["a u 2 7"]);
}

/// What is set at the server, as far as a stream depends on it.
async fn what_is_set_is_told(name: &'static str) {
    let idle = if name == "postgres_new" { " -c idle_replication_slot_timeout=2h" } else { "" };
    let own = Own::start(
        name,
        &format!("-c wal_sender_timeout=0 -c max_slot_wal_keep_size=100MB -c max_replication_slots=2{idle}"),
    );
    let database = made(&own.url()).await;
    database.run("SELECT pg_create_physical_replication_slot('standby')").await;
    let told = super::checks::told(&database, None).await.unwrap();
    let left = [
        "The server has 0 replication slots and 32 senders left",
        "at most (max_slot_wal_keep_size)",
        "more it is lost",
    ];
    for words in left.into_iter().chain(["wal_sender_timeout = 0: the server never notices", "is a superuser"]) {
        assert!(told.contains(words), "{words}: {told}");
    }
    let is_new = database.version().await >= 18;
    for words in ["idle_replication_slot_timeout = 7200 s", "(FAILOVER true)"] {
        assert_eq!(told.contains(words), is_new, "{words}: {told}");
    }
    let role = database.role("hurried").await;
    database.run(&format!("ALTER ROLE {role} SUPERUSER; ALTER ROLE {role} SET wal_sender_timeout = '1s'")).await;
    let told = super::checks::told(&database, Some(&role)).await.unwrap();
    assert!(told.contains("wal_sender_timeout = 1000 ms"), "{told}");
    // There is no room for another one.
    let another = Database::create(&own.url()).await;
    another.run("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)").await;
    let error = super::checks::created(&another, None, "a, b").await.unwrap_err();
    assert_error(&error, Kind::Config, &["no replication slot left", "max_replication_slots is 2", "ALTER SYSTEM SET"]);
    assert_eq!(another.text("SELECT count(*) FROM pg_publication").await, "0");
    database.run("SELECT pg_drop_replication_slot('standby')").await;
}

/// A stream that runs seldom, at a server that drops what nobody reads.
async fn a_slot_that_nobody_read(name: &'static str) {
    let own = Own::start(name, "-c idle_replication_slot_timeout=1s");
    let database = made(&own.url()).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    database.run("CHECKPOINT").await;
    let error = log.refusal().await;
    assert_error(&error, Kind::Lost, &[log.slot(), "invalidated", "idle_replication_slot_timeout", "on_lost"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_what_is_set_is_told() {
    what_is_set_is_told("postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_commits_that_nobody_sees_yet() {
    commits_that_nobody_sees_yet("postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_values_that_nobody_sees_yet() {
    values_that_nobody_sees_yet("postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_a_slot_that_lost_its_log() {
    a_slot_that_lost_its_log("postgres").await;
}

/// A module of its own, so that it can be left out by name where this server cannot be had.
mod postgres_new {
    #[tokio::test(flavor = "multi_thread")]
    async fn commits_that_nobody_sees_yet() {
        super::commits_that_nobody_sees_yet("postgres_new").await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn values_that_nobody_sees_yet() {
        super::values_that_nobody_sees_yet("postgres_new").await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_set_is_told() {
        super::what_is_set_is_told("postgres_new").await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_slot_that_nobody_read() {
        super::a_slot_that_nobody_read("postgres_new").await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_slot_that_lost_its_log() {
        super::a_slot_that_lost_its_log("postgres_new").await;
    }
}
