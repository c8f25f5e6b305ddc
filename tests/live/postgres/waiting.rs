//! Incremental runs: whom they wait for, and whom not.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::database::{Database, connect};
use super::incremental::{NOTHING, Stream};

const TABLE: &str =
    "create table t (id int primary key, touched timestamptz default now()); create index on t (touched)";

const BY_TIME: [(&str, &str); 1] = [("cursor", "touched")];

async fn database(server: &str) -> Database {
    let database = Database::create(server).await;
    database.run(TABLE).await;
    database
}

async fn do_in(session: &tokio_postgres::Client, sql: &str) {
    session.batch_execute(sql).await.unwrap();
}

/// What was written before a run, and is committed after it with an older time, is read by a later run.
pub async fn open_transactions_hold_the_mark(server: &str) {
    let database = database(server).await;
    let mut stream = Stream::new(&database, &BY_TIME);
    database.run("insert into t values (1)").await;
    assert_eq!(stream.run().await, [1]);

    let writer = connect(&database.url).await;
    do_in(&writer, "begin; insert into t values (2)").await;
    database.run("insert into t values (3)").await;
    assert_eq!(stream.hurried().await, NOTHING);
    assert!(stream.waits());
    database.run("insert into t values (4)").await;
    let held = stream.mark();
    assert_eq!((stream.hurried().await, stream.mark()), (Vec::new(), held), "held as before");
    do_in(&writer, "commit").await;
    assert_eq!(stream.run().await, [2, 3, 4]);
    assert!(!stream.waits());

    // One that ends while the run waits for it, and one that comes to nothing.
    let undone = connect(&database.url).await;
    do_in(&undone, "begin; insert into t values (99)").await;
    do_in(&writer, "begin; insert into t values (5)").await;
    database.run("insert into t values (6)").await;
    let (rows, ()) = tokio::join!(stream.run(), async {
        sleep(Duration::from_millis(200)).await;
        do_in(&writer, "commit").await;
        do_in(&undone, "rollback").await;
    });
    assert_eq!(rows, [5, 6]);
    // One that has ended without a goodbye.
    do_in(&undone, "begin; insert into t values (98)").await;
    database.run("insert into t values (7)").await;
    assert_eq!(stream.hurried().await, NOTHING);
    drop(undone);
    assert_eq!(stream.run().await, [7]);
}

/// All of a transaction has the time of its beginning, whatever is between that and the writing.
pub async fn parts_of_transactions_hold_the_mark(server: &str) {
    let database = database(server).await;
    let mut stream = Stream::new(&database, &BY_TIME);
    let writer = connect(&database.url).await;
    // It has seen nothing, and holds no snapshot.
    do_in(&writer, "begin").await;
    database.run("insert into t values (2)").await;
    assert_eq!(stream.hurried().await, NOTHING, "before the first statement");
    do_in(&writer, "savepoint a; insert into t values (1); release a; savepoint b; insert into t values (99)").await;
    assert_eq!(stream.hurried().await, NOTHING, "with parts of its own");
    do_in(&writer, "rollback to b; savepoint c").await;
    let _ = writer.batch_execute("insert into t values (1)").await.unwrap_err();
    assert_eq!(stream.hurried().await, NOTHING, "with a part that has failed");
    do_in(&writer, "rollback to c; insert into t values (3); commit").await;
    let mut rows = stream.run().await;
    rows.sort_unstable();
    assert_eq!(rows, [1, 2, 3]);
}

/// The next transaction has the time of the statement that ends this one, and that statement may take its time.
pub async fn a_chained_transaction_holds_the_mark(server: &str) {
    let database = database(server).await;
    database
        .run(
            "create function slowly() returns trigger language plpgsql as
                 $$ begin perform pg_advisory_xact_lock(7); return null; end $$;
             create constraint trigger slowly after insert on t deferrable initially deferred
                 for each row when (new.id = 1) execute function slowly()",
        )
        .await;
    let mut stream = Stream::new(&database, &BY_TIME);
    let (gate, writer) = (connect(&database.url).await, connect(&database.url).await);
    do_in(&gate, "select pg_advisory_lock(7)").await;
    do_in(&writer, "begin; insert into t values (1)").await;
    let chained = tokio::spawn(async move {
        do_in(&writer, "commit and chain").await;
        do_in(&writer, "insert into t values (2)").await;
        writer
    });
    sleep(Duration::from_millis(300)).await;
    database.run("insert into t values (3)").await;
    assert_eq!(stream.hurried().await, NOTHING);
    do_in(&gate, "select pg_advisory_unlock(7)").await;
    let writer = chained.await.unwrap();
    let early = stream.hurried().await;
    do_in(&writer, "commit").await;
    assert_eq!([early, stream.run().await].concat(), [1, 2, 3]);
}

pub async fn prepared_transactions_hold_the_mark(server: &str) {
    let database = database(server).await;
    let gid = database.text("select current_database()").await;
    let mut stream = Stream::new(&database, &BY_TIME);
    let writer = connect(&database.url).await;
    do_in(&writer, "begin; insert into t values (1)").await;
    database.run("insert into t values (2)").await;
    assert_eq!(stream.hurried().await, NOTHING, "in its session");
    do_in(&writer, &format!("prepare transaction '{gid}'")).await;
    assert_eq!(stream.hurried().await, NOTHING, "prepared");
    assert!(stream.waits());
    drop(writer);
    assert_eq!(stream.hurried().await, NOTHING, "prepared, without its session");
    // Another one notes it when it is prepared already.
    let mut other = Stream::new(&database, &BY_TIME);
    assert_eq!(other.hurried().await, NOTHING);
    database.run(&format!("commit prepared '{gid}'")).await;
    assert_eq!((stream.run().await, other.run().await), (vec![1, 2], vec![1, 2]));

    // Prepared while a run waits for its session, and committed while it waits still.
    let writer = connect(&database.url).await;
    do_in(&writer, "begin; insert into t values (3)").await;
    database.run("insert into t values (4)").await;
    let (rows, ()) = tokio::join!(stream.run(), async {
        sleep(Duration::from_millis(300)).await;
        do_in(&writer, &format!("prepare transaction '{gid}'")).await;
        sleep(Duration::from_millis(300)).await;
        database.run(&format!("commit prepared '{gid}'")).await;
    });
    assert_eq!(rows, [3, 4]);
}

/// A statement has its time when it begins, though it waits before it comes to its table: the lock it waits for is of a
/// session in no transaction.
pub async fn waiting_statements_hold_the_mark(server: &str) {
    let database = database(server).await;
    let mut stream = Stream::new(&database, &BY_TIME);
    let (gate, waiting) = (connect(&database.url).await, connect(&database.url).await);
    do_in(&gate, "select pg_advisory_lock(7)").await;
    let sql = "with gate as materialized (select pg_advisory_xact_lock(7)) insert into t (id) select 1 from gate";
    let waiting = tokio::spawn(async move { do_in(&waiting, sql).await });
    sleep(Duration::from_millis(300)).await;
    database.run("insert into t values (2)").await;
    for _ in 0..3 {
        assert_eq!(stream.hurried().await, NOTHING, "1 is older, and waits");
    }
    do_in(&gate, "select pg_advisory_unlock(7)").await;
    waiting.await.unwrap();
    assert_eq!(stream.run().await, [1, 2]);
}

pub async fn short_statements_all_day_hold_nothing(server: &str) {
    let database = database(server).await;
    database.run("create table x (n int)").await;
    let mut busy = Vec::new();
    for _ in 0..3 {
        let session = connect(&database.url).await;
        busy.push(tokio::spawn(async move {
            loop {
                do_in(&session, "insert into x values (1)").await;
            }
        }));
    }
    let mut stream = Stream::new(&database, &BY_TIME);
    database.run("insert into t values (1)").await;
    let began = Instant::now();
    assert_eq!(stream.run().await, [1]);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    busy.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Transactions of other databases write no rows of this one, nor do readers of ours.
pub async fn other_databases_hold_nothing(server: &str) {
    let (database, other) = (database(server).await, Database::create(server).await);
    other.run("create table t (id int); begin; insert into t values (1)").await;
    let reading = connect(&database.url).await;
    do_in(&reading, "set application_name = 'tidemark'; begin; select * from t").await;
    let mut stream = Stream::new(&database, &BY_TIME);
    database.run("insert into t values (1)").await;
    let began = Instant::now();
    assert_eq!(stream.run().await, [1]);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

pub async fn a_forgotten_session_is_passed_by_choice(server: &str) {
    let database = database(server).await;
    database.run("insert into t values (1)").await;
    let forgotten = connect(&database.url).await;
    do_in(&forgotten, "begin; insert into t values (2)").await;
    sleep(Duration::from_millis(2100)).await;
    database.run("insert into t values (3)").await;
    let mut warns = Stream::new(&database, &[("cursor", "touched"), ("max_hold", "1s")]);
    assert_eq!(warns.hurried().await, NOTHING);
    let mut passes = Stream::new(&database, &[("cursor", "touched"), ("max_hold", "1s"), ("on_max_hold", "pass")]);
    assert_eq!(passes.run().await, [1, 3]);
    do_in(&forgotten, "commit").await;
    assert_eq!(warns.run().await, [1, 2, 3]);
    assert_eq!(passes.run().await, NOTHING, "what was passed is lost, as was chosen");
}

/// A run of a stream that waits `settle`, 2 s, during which a transaction ends that is older than the newest row.
async fn reads_after_settle(database: &Database, writer: &tokio_postgres::Client, stream: &mut Stream<'_>) {
    do_in(writer, "begin; insert into t values (1)").await;
    database.run("insert into t values (2)").await;
    let began = Instant::now();
    let (rows, ()) = tokio::join!(stream.run(), async {
        sleep(Duration::from_millis(300)).await;
        do_in(writer, "commit").await;
    });
    assert_eq!(rows, [1, 2]);
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
}

const TWO_SECONDS: [(&str, &str); 2] = [("cursor", "touched"), ("settle", "2s")];

pub async fn who_cannot_be_seen_is_given_a_fixed_time(server: &str) {
    let database = database(server).await;
    let role = database.role("reader").await;
    database.run(&format!("grant select on t to {role}")).await;
    let mut stream = Stream::of_role(&database.url_of(&role, "pw"), &TWO_SECONDS);
    let notes = stream.notes().await;
    assert!(notes.contains(&format!("GRANT pg_read_all_stats TO {role}")), "{notes}");
    reads_after_settle(&database, &connect(&database.url).await, &mut stream).await;

    database.run(&format!("grant pg_read_all_stats to {role}")).await;
    let notes = stream.notes().await;
    assert!(!notes.contains("GRANT") && !notes.contains("No index"), "{notes}");
    let writer = connect(&database.url).await;
    do_in(&writer, "begin; insert into t values (3)").await;
    database.run("insert into t values (4)").await;
    assert_eq!(stream.hurried().await, NOTHING, "seen by the grant");
    do_in(&writer, "commit").await;
    assert_eq!(stream.run().await, [3, 4]);
}

/// Sessions that do not let their doings be seen: time for them, and those that can be seen are waited for as ever.
pub async fn who_hides_is_given_a_fixed_time(server: &str) {
    let database = database(server).await;
    let role = database.role("hidden").await;
    database.run(&format!("grant all on t to {role}; alter role {role} set track_activities = off")).await;
    let hidden = connect(&database.url_of(&role, "pw")).await;
    let mut stream = Stream::new(&database, &TWO_SECONDS);
    reads_after_settle(&database, &hidden, &mut stream).await;

    let seen = connect(&database.url).await;
    do_in(&seen, "begin; insert into t values (3)").await;
    database.run("insert into t values (4)").await;
    assert_eq!(stream.hurried().await, NOTHING, "one that can be seen is open");
    do_in(&seen, "commit").await;
    assert_eq!(stream.run().await, [3, 4]);

    // As whoever administers may do in any session, in the middle of it.
    drop(hidden);
    database.run("truncate t").await;
    let hidden = connect(&database.url).await;
    do_in(&hidden, "set track_activities = off").await;
    let mut other = Stream::new(&database, &TWO_SECONDS);
    reads_after_settle(&database, &hidden, &mut other).await;
}

/// A subscriber's rows come with their publisher's times, when its transactions have ended there.
pub async fn a_subscriber_is_given_a_fixed_time(server: &str) {
    let (publisher, database) = (database(server).await, database(server).await);
    let slot = publisher.text("select current_database()").await;
    let at = url::Url::parse(&publisher.url).unwrap();
    let conninfo = format!(
        "host=127.0.0.1 port={} user={} password={} dbname={slot}",
        at.port().unwrap(),
        at.username(),
        at.password().unwrap()
    );
    // On one server, the slot that the subscription would make waits for the transaction that makes it.
    publisher.run("create publication p for table t").await;
    publisher.run(&format!("select pg_create_logical_replication_slot('{slot}', 'pgoutput')")).await;
    database
        .run(&format!(
            "create subscription {slot} connection '{conninfo}' publication p
             with (create_slot = false, slot_name = {slot}, copy_data = false)"
        ))
        .await;
    let notes = Stream::new(&database, &BY_TIME).notes().await;
    let mut stream = Stream::new(&database, &[("cursor", "touched"), ("settle", "4s")]);
    let writer = connect(&publisher.url).await;
    do_in(&writer, "begin; insert into t values (1)").await;
    publisher.run("insert into t values (2)").await;
    let mut came = false;
    for _ in 0..600 {
        came = database.text("select count(*) from t").await == "1";
        if came {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    let (rows, ()) = tokio::join!(stream.run(), async {
        sleep(Duration::from_millis(500)).await;
        do_in(&writer, "commit").await;
    });
    database.run(&format!("drop subscription {slot}")).await;
    assert!(came, "the subscription works");
    assert_eq!(rows, [1, 2]);
    assert!(notes.contains("each run waits `settle`"), "{notes}");
}
