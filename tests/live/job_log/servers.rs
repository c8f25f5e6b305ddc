//! What a job log on a server goes through beyond the suite: many at once, broken connections, missing rights.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tidemark::error::Kind;
use tidemark::job_log::{self, RunEnd, RunRow, RunState, Timing};
use tidemark::record::{Commit, Failures};

use super::conformance::{TIMING, commit, refused, run};
use super::{Proxy, Server, at, section};
use crate::program::Folder;

pub async fn many_may_begin_at_once(server: &dyn Server) {
    let starts: Vec<_> = (0..8)
        .map(|number| {
            let log = at(server.url(), Timing::default());
            tokio::spawn(async move { log.start(&run(&format!("r{number}"), &format!("s{number}"))).await })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
    let log = at(server.url(), TIMING);
    assert_eq!(log.runs("shop", None, 1).await.unwrap().len(), 8);
}

/// Whoever takes part, whenever they came: what tells this log from every other is the same for all.
pub async fn many_agree_on_the_id(server: &dyn Server) {
    let ids: Vec<_> = (0..12)
        .map(|number| {
            let log = at(server.url(), Timing::default());
            tokio::spawn(async move {
                log.prepare().await?;
                log.start(&run(&format!("r{number}"), &format!("s{number}"))).await?;
                tidemark::error::Result::<String>::Ok(log.holder()["job_log"].to_string())
            })
        })
        .collect();
    let mut seen = std::collections::HashSet::new();
    for id in ids {
        seen.insert(id.await.unwrap().unwrap());
    }
    let later = at(server.url(), TIMING);
    later.prepare().await.unwrap();
    seen.insert(later.holder()["job_log"].to_string());
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(!seen.contains("null"));
}

pub async fn reading_makes_no_tables(server: &dyn Server) {
    let log = at(server.url(), TIMING);
    assert!(log.runs("shop", None, 1).await.unwrap().is_empty());
    assert!(log.holders("shop").await.unwrap().is_empty());
    for _ in 0..2 {
        let what = log.check().await.unwrap();
        assert!(what.ends_with("table version 3; the first run makes it"), "{what}");
        assert!(!what.contains("replpw") && what.contains(&format!("127.0.0.1:{}/tm_log_", server.port())), "{what}");
    }
    log.prepare().await.unwrap();
    assert!(at(server.url(), TIMING).check().await.unwrap().ends_with("table version 3"));
}

pub async fn a_newer_table_is_refused(server: &dyn Server) {
    at(server.url(), TIMING).prepare().await.unwrap();
    server.run("UPDATE job_log_id SET version = 7").await;
    let log = at(server.url(), TIMING);
    for error in [
        log.mark("shop", "orders").await.unwrap_err(),
        log.start(&run("r", "orders")).await.unwrap_err(),
        log.check().await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Config);
        let text = error.to_string();
        assert!(
            text.contains("its tables have version 7, and this program supports versions up to 3\n  A newer tidemark")
        );
    }
}

/// As a process leaves it that dies between two steps, where the server commits each by itself.
pub async fn a_half_made_log_is_completed(server: &dyn Server) {
    at(server.url(), TIMING).prepare().await.unwrap();
    server.run("UPDATE job_log_id SET version = 0").await;
    server.run("DROP TABLE job_log_lease").await;
    let log = at(server.url(), TIMING);
    assert!(log.runs("shop", None, 1).await.unwrap().is_empty());
    log.lease("shop", "orders").await.unwrap().release().await;
    assert!(log.check().await.unwrap().ends_with("table version 3"));
}

/// As an earlier version of this program has left it.
pub async fn an_older_log_is_brought_up_to_date(server: &dyn Server) {
    let log = at(server.url(), TIMING);
    log.start(&run("r", "orders")).await.unwrap();
    server.run("UPDATE job_log_id SET version = 1").await;
    for table in ["job_log_lag", "job_log_share", "job_log_failure"] {
        server.run(&format!("DROP TABLE {table}")).await;
    }
    let log = at(server.url(), TIMING);
    assert!(log.check().await.unwrap().ends_with("table version 1; the next run brings it to 3"));
    assert!(log.lags("shop").await.unwrap().is_empty());
    log.behind("shop", "orders", 4, Some(4)).await.unwrap();
    assert_eq!(log.runs("shop", None, 1).await.unwrap().len(), 1);
    assert!(log.check().await.unwrap().ends_with("table version 3"));
}

pub async fn tables_of_somebody_else_are_left_alone(server: &dyn Server) {
    server.run("CREATE TABLE job_log (id INTEGER)").await;
    let log = at(server.url(), TIMING);
    for error in [log.check().await.unwrap_err(), log.start(&run("r", "orders")).await.unwrap_err()] {
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.message().contains("holds a table `job_log` that tidemark did not make"), "{error}");
    }
}

pub async fn missing_rights_are_spelled_out(server: &dyn Server) {
    let user = server.user(&[], false).await;
    let url = server.with_login(&user, &format!("{user}-hush"));
    let log = at(&url, TIMING);
    let check = log.check().await.unwrap_err();
    assert_eq!(check.kind(), Kind::Denied, "{check}");
    assert!(check.message().contains("may not CREATE"), "{check}");
    assert!(check.advice().unwrap().contains("GRANT CREATE") && check.advice().unwrap().contains(&user), "{check}");
    let start = log.start(&run("r", "orders")).await.unwrap_err();
    assert_eq!(start.kind(), Kind::Denied, "{start}");
    assert!(start.advice().unwrap().contains("CREATE") && !start.to_string().contains("hush"), "{start}");

    // To make the tables, and to use them then: a user who may do that much.
    let user = server.user(&[], true).await;
    let log = at(&server.with_login(&user, &format!("{user}-hush")), TIMING);
    log.check().await.unwrap();

    at(server.url(), TIMING).prepare().await.unwrap();
    let rights = [
        ("job_log", "select, insert"),
        ("job_log_lease", "select, update, insert"),
        ("job_log_lag", "select, insert, update"),
        ("job_log_share", "select, insert, update"),
        ("job_log_failure", "select, insert, update"),
        ("job_log_id", "select"),
    ];
    let user = server.user(&rights, false).await;
    let url = server.with_login(&user, &format!("{user}-hush"));
    let check = at(&url, TIMING).check().await.unwrap_err();
    assert_eq!(check.kind(), Kind::Denied, "{check}");
    assert!(check.to_string().contains("UPDATE") && check.advice().unwrap().contains("job_log TO"), "{check}");
    assert!(!check.to_string().contains("CREATE"), "{check}");
    let rights = [
        ("job_log", "select, insert, update"),
        ("job_log_lease", "select, insert, update, delete"),
        ("job_log_lag", "select, insert, update"),
        ("job_log_share", "select, insert, update"),
        ("job_log_failure", "select, insert, update"),
        ("job_log_id", "select"),
    ];
    let user = server.user(&rights, false).await;
    let log = at(&server.with_login(&user, &format!("{user}-hush")), TIMING);
    log.check().await.unwrap();
    let lease = log.lease("shop", "orders").await.unwrap();
    log.start(&run("r", "orders")).await.unwrap();
    log.record("shop", "orders", &commit("r", 1, &[1])).await.unwrap();
    log.behind("shop", "orders", 1, None).await.unwrap();
    log.behind("shop", "orders", 2, None).await.unwrap();
    for seq in 2..4 {
        let failures = Some(Failures { requests: seq, ..Failures::default() });
        log.record("shop", "orders", &Commit { failures, ..commit("r", seq, &[]) }).await.unwrap();
    }
    lease.release().await;
}

pub async fn wrong_logins_hold_no_secrets(server: &dyn Server) {
    let nobody = server.with_login("nobody", "hunter2");
    let error = at(&nobody, TIMING).check().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert!(error.message().starts_with("job log") && error.message().contains("nobody"), "{error}");
    assert!(error.advice().unwrap().contains("[job_log] `url`"), "{error}");
    let mut gone = url::Url::parse(server.url()).unwrap();
    gone.set_path("no_such_database");
    let error_of_database = at(gone.as_str(), TIMING).prepare().await.unwrap_err();
    assert_eq!(error_of_database.kind(), Kind::Config, "{error_of_database}");
    gone.set_port(Some(1)).unwrap();
    let begun = std::time::Instant::now();
    let unreachable = at(gone.as_str(), Timing::default()).prepare().await.unwrap_err();
    assert_eq!(unreachable.kind(), Kind::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(5), "what was never there is not waited for");
    for error in [error, error_of_database, unreachable] {
        assert!(!error.to_string().contains("hunter2") && !error.to_string().contains("replpw"), "{error}");
    }
}

pub async fn broken_connections_are_made_anew(server: &dyn Server) {
    let log = at(server.url(), Timing { heartbeat_every: Duration::from_millis(50), ..Timing::default() });
    let lease = log.lease("shop", "orders").await.unwrap();
    log.start(&run("r", "orders")).await.unwrap();
    for seq in 1..=5 {
        server.kill_connections().await;
        log.record("shop", "orders", &commit("r", seq, &[1])).await.unwrap();
    }
    assert!(tokio::time::timeout(Duration::from_millis(300), lease.lost()).await.is_err());
    log.finish("r", &RunEnd { state: RunState::Done, error: None }).await.unwrap();
    let rows = log.runs("shop", None, 1).await.unwrap();
    assert_eq!((rows[0].commits, rows[0].rows, rows[0].state.as_str()), (5, 5, "done"));
    lease.release().await;
    assert!(log.holders("shop").await.unwrap().is_empty());
}

pub async fn one_holder_at_a_time_whatever_breaks(server: &dyn Server) {
    let held = Arc::new(AtomicU32::new(0));
    let takers: Vec<_> = (0..4)
        .map(|_| {
            let (log, held) = (at(server.url(), Timing::default()), held.clone());
            tokio::spawn(async move {
                for _ in 0..15 {
                    let lease = loop {
                        match log.lease("shop", "orders").await {
                            Ok(lease) => break lease,
                            Err(error) if error.kind() == Kind::Conflict => {}
                            // The very first connection may be the one that is ended.
                            Err(error) => assert_eq!(error.kind(), Kind::Unavailable, "{error}"),
                        }
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    };
                    assert_eq!(held.fetch_add(1, Ordering::SeqCst), 0, "two hold it");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    held.fetch_sub(1, Ordering::SeqCst);
                    lease.release().await;
                }
            })
        })
        .collect();
    let mut takers = futures_util::future::join_all(takers);
    loop {
        tokio::select! {
            ended = &mut takers => {
                ended.into_iter().for_each(|taker| taker.unwrap());
                break;
            }
            () = tokio::time::sleep(Duration::from_millis(60)) => server.kill_connections().await,
        }
    }
    assert!(at(server.url(), TIMING).holders("shop").await.unwrap().is_empty());
}

/// Not under the stream's lease, as they should be: their transactions wait for each other, and a server ends deadlocks by
/// refusing one of them.
pub async fn writers_of_one_stream_meet_and_go_on(server: &dyn Server) {
    at(server.url(), TIMING).prepare().await.unwrap();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let log = at(server.url(), Timing::default());
            tokio::spawn(async move {
                for round in 0..10 {
                    let id = format!("{writer}-{round}");
                    log.start(&run(&id, "orders")).await.unwrap();
                    for seq in 1..=3 {
                        log.record("shop", "orders", &commit(&id, seq, &[1])).await.unwrap();
                    }
                    log.progress(&id, 3, 30).await.unwrap();
                    log.finish(&id, &RunEnd { state: RunState::Done, error: None }).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let rows = at(server.url(), TIMING).runs("shop", None, 100).await.unwrap();
    assert_eq!(rows.len(), 40);
    assert!(rows.iter().all(|row| (row.state.as_str(), row.commits, row.rows) == ("done", 3, 3)), "{rows:?}");
}

pub async fn many_streams_need_few_connections(server: &dyn Server) {
    let proxy = Proxy::to(server.port()).await;
    let log = at(&server.through(&proxy), Timing::default());
    log.prepare().await.unwrap();
    let leases = (0..100).map(|stream| {
        let log = log.clone();
        async move { log.lease("shop", &format!("s{stream}")).await.unwrap() }
    });
    let leases = futures_util::future::join_all(leases).await;
    assert_eq!(log.holders("shop").await.unwrap().len(), 100);
    assert!(proxy.most() <= 16, "{} connections at once", proxy.most());
    futures_util::future::join_all(leases.into_iter().map(|lease| lease.release())).await;
}

/// The server commits, and the connection breaks before it can say so: what is done again must come to the same.
pub async fn a_lost_answer_is_no_second_commit(server: &dyn Server) {
    let proxy = Proxy::to(server.port()).await;
    let log = at(&server.through(&proxy), Timing::default());
    log.prepare().await.unwrap();
    let swallowed = |expected: u32| assert_eq!(proxy.swallowed(), expected);
    proxy.swallow_the_next_commit();
    log.start(&run("r", "orders")).await.unwrap();
    swallowed(1);
    proxy.swallow_the_next_commit();
    log.record("shop", "orders", &commit("r", 1, &[3])).await.unwrap();
    swallowed(2);
    proxy.swallow_the_next_commit();
    log.record("shop", "orders", &commit("other", 2, &[4])).await.unwrap();
    swallowed(3);
    proxy.swallow_the_next_commit();
    log.finish("r", &RunEnd { state: RunState::Done, error: None }).await.unwrap();
    swallowed(4);
    let rows = log.runs("shop", None, 5).await.unwrap();
    let of = |id: &str| rows.iter().find(|row| row.run_id == id).unwrap();
    assert_eq!((of("r").commits, of("r").rows, of("r").state.as_str()), (1, 3, "done"));
    assert_eq!((rows.len(), of("other").commits, of("other").rows), (2, 1, 4));
    // A lease that stands there, and nobody said so, is ours, not another's.
    proxy.swallow_the_next_commit();
    let lease = log.lease("shop", "orders").await.unwrap();
    assert!(proxy.swallowed() >= 5);
    assert_eq!(refused(at(server.url(), TIMING).lease("shop", "orders").await).kind(), Kind::Conflict);
    proxy.swallow_the_next_commit();
    lease.release().await;
    assert!(log.holders("shop").await.unwrap().is_empty());
}

pub async fn a_server_that_is_gone_loses_the_lease(server: &dyn Server) {
    let proxy = Proxy::to(server.port()).await;
    let timing = Timing { heartbeat_every: Duration::from_millis(500), lost_after: Duration::from_secs(2) };
    let log = at(&server.through(&proxy), timing);
    let lease = log.lease("shop", "orders").await.unwrap();
    proxy.die();
    let begun = std::time::Instant::now();
    let error = tokio::time::timeout(Duration::from_secs(10), lease.lost()).await.unwrap();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.message().contains("could not be renewed"), "{error}");
    // Before anybody else could have it.
    assert!(begun.elapsed() < timing.lost_after, "{:?}", begun.elapsed());
}

const HOLD: &str = "TIDEMARK_TEST_HOLD_LEASE_AT";

/// Not a test of its own: what the next one starts as another process.
pub async fn holds_a_lease_when_told(_server: &dyn Server) {
    let Ok(url) = std::env::var(HOLD) else { return };
    let log = at(&url, Timing::default());
    let _lease = log.lease("shop", "orders").await.unwrap();
    log.start(&run("killed", "orders")).await.unwrap();
    log.record("shop", "orders", &commit("killed", 1, &[2])).await.unwrap();
    println!("\nheld");
    std::future::pending::<()>().await;
}

pub async fn a_killed_holder_is_taken_over_at_once(server: &dyn Server) {
    let test = std::thread::current().name().unwrap().replace("a_killed_holder_is_taken_over_at_once", "");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([&format!("{test}holds_a_lease_when_told"), "--exact", "--nocapture"])
        .env(HOLD, server.url())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "held"));
    // With the real times: what frees the lease is the death, not the silence.
    let log = at(server.url(), Timing::default());
    let error = refused(log.lease("shop", "orders").await);
    assert!(error.message().contains(&format!("process {} on ", child.id())), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    let lease = log.lease("shop", "orders").await.unwrap();
    log.start(&run("next", "orders")).await.unwrap();
    let rows = log.runs("shop", Some("orders"), 2).await.unwrap();
    assert_eq!((rows[0].state.as_str(), rows[1].state.as_str(), rows[1].rows), ("running", "failed", 2));
    lease.release().await;
}

pub async fn times_are_the_servers(server: &dyn Server) {
    let log = at(server.url(), TIMING);
    let begun = jiff::Timestamp::now();
    let lease = log.lease("shop", "orders").await.unwrap();
    log.start(&run("r", "orders")).await.unwrap();
    let held = &log.holders("shop").await.unwrap()[0];
    let row = &log.runs("shop", None, 1).await.unwrap()[0];
    for text in [&held.since, &held.heartbeat_at, &row.started_at, &row.updated_at] {
        // This server's clock is ours; its time zone is not.
        let at: jiff::Timestamp = text.parse().unwrap();
        assert!(at.duration_since(begun).as_secs().abs() < 60, "{text}");
        assert_eq!(text.len(), "2026-01-01T00:00:00.000000Z".len());
    }
    // What this machine's clock says of a holder elsewhere is no matter: its sign is compared with the server's time.
    let ours = "UPDATE job_log_lease SET boot_id = 'another', token = 'x', heartbeat_at = ";
    server.run(&format!("{ours}'{:.6}'", jiff::Timestamp::now())).await;
    assert!(log.holders("shop").await.unwrap()[0].alive);
    drop(lease);
}

pub async fn tls_is_verified(server: &dyn Server) {
    let log = |tls: &[(&str, &str)]| {
        let values: Vec<_> = [("url", server.url())].into_iter().chain(tls.iter().copied()).collect();
        job_log::of(&section(&values).unwrap()).unwrap()
    };
    log(&[("tls", "require")]).check().await.unwrap();
    let error = log(&[("tls", "verify-full")]).check().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config, "{error}");
    assert!(error.advice().unwrap().contains("`tls_ca`"), "{error}");
}

pub async fn what_no_column_holds_is_said(server: &dyn Server) {
    let log = at(server.url(), TIMING);
    log.start(&run("r", "orders")).await.unwrap();
    let error = tidemark::error::Error::denied("a zero: \0 and a lock: \u{1F512}");
    log.finish("r", &RunEnd { state: RunState::Failed, error: Some(error) }).await.unwrap();
    let row = &log.runs("shop", None, 1).await.unwrap()[0];
    assert!(row.error.as_deref().unwrap().ends_with("and a lock: \u{1F512}"), "{row:?}");
    let long = "x".repeat(5000);
    if let Err(error) = log.start(&run("long", &long)).await {
        assert!(error.kind() != Kind::Unavailable && !error.to_string().contains(&long), "{error}");
    }
}

pub async fn the_program_uses_it(server: &dyn Server) {
    let folder = Folder::new(
        "[job_log]\nurl_file = log.url\n\
         [source shop]\ntype = sqlite\npath = shop.db\n\
         [destination lake]\ntype = local\npath = out\n\
         [stream orders]\nsource = shop\ndestination = lake\ntable = orders\n",
    );
    std::fs::write(folder.path().join("log.url"), format!("{}\n", server.url())).unwrap();
    let db = rusqlite::Connection::open(folder.path().join("shop.db")).unwrap();
    db.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (1), (2), (3)").unwrap();
    let lines = ["check", "run", "status", "status --json", "run", "status --runs 5"];
    let said = lines.map(|line| folder.run(line, 0).1);
    for said in &said {
        assert!(!said.contains("replpw"), "{said}");
    }
    assert!(said[3].contains(&format!("127.0.0.1:{}/tm_log_", server.port())), "{}", said[3]);
    assert!(!folder.path().join("tidemark.db").exists());
    let rows = at(server.url(), TIMING).runs("main", None, 5).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.state.as_str(), row.rows)).collect::<Vec<_>>(), [("done", 3), ("done", 3)]);
    // Lost, and made anew from what the destination knows.
    server.run("DELETE FROM job_log").await;
    let said = folder.run("status --rebuild", 0).1;
    assert!(said.starts_with("orders: 2 runs in 6 entries of its commit log, 2 noted anew\n"), "{said}");
    let told = |rows: Vec<RunRow>| {
        let told = |row: RunRow| {
            (row.run_id, row.state, row.low_water_mark, row.high_water_mark, row.seq, row.rows, row.bytes)
        };
        rows.into_iter().map(told).collect::<Vec<_>>()
    };
    let anew = at(server.url(), TIMING).runs("main", None, 5).await.unwrap();
    assert_eq!(told(anew), told(rows));
    folder.run("run", 0);
}
