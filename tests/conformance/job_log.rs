//! What every job log must do: a suite over the trait. A backend brings fresh, empty tables for each test.

#[path = "job_log_failures.rs"]
mod failures;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::failures::*;
use async_trait::async_trait;
use serde_json::{Value, json};
use tidemark::error::{Error, Kind};
use tidemark::job_log::{JobLog, Lease, NewRun, RunEnd, RunRow, RunState, Timing, Told};
use tidemark::record::{Commit, Generations, Mode, PartInfo, Position, Publication};

/// The timing that a backend opens its logs with, so that tests need not wait for a minute.
pub const TIMING: Timing = Timing { heartbeat_every: Duration::from_millis(50), lost_after: Duration::from_secs(3) };

#[async_trait]
pub trait Backend: Send + Sync {
    /// A job log on the backend's tables, with connections of its own, as another process would have.
    fn open(&self) -> Arc<dyn JobLog>;

    /// Runs a plain statement on the tables.
    async fn sql(&self, statement: &str);
}

/// Makes a test of each check, on the backend that `$backend` makes.
#[macro_export]
macro_rules! job_log_conformance {
    ($backend:expr) => {
        $crate::job_log_conformance!(@each $backend,
            an_empty_log_knows_nothing, a_run_from_start_to_finish, recording_twice_changes_nothing,
            commits_of_two_runs_out_of_order, a_publication_sets_the_totals, a_fence_is_no_commit,
            a_commit_without_a_run_gets_a_row, what_a_destination_tells_is_noted_once, a_run_left_running_is_closed_by_the_next, a_last_commit_heard_of_late_ends_its_run, a_run_may_start_again,
            progress_changes_running_rows_only, what_is_forgotten_can_be_told_anew, the_newest_runs_come_first, the_last_lag_is_kept, every_state_and_error_is_kept,
            pipelines_and_streams_are_apart, a_living_holder_refuses, a_released_lease_is_free,
            a_dropped_lease_is_free, a_silent_holder_elsewhere_is_taken_over, a_lease_taken_by_another_is_lost,
            a_deleted_lease_is_lost, a_kept_lease_stays, one_of_many_takers_wins, holders_are_shown,
            it_says_what_it_is, failed_requests_are_kept_until_they_are_closed, failures_of_the_live_load_stay_open,
            a_run_that_left_something_is_partial_whoever_says_so, what_failed_is_told_anew);
    };
    (@each $backend:expr, $($check:ident),*) => {
        $(#[tokio::test]
        async fn $check() {
            let backend = $backend;
            conformance::$check(&backend).await;
        })*
    };
}

pub async fn an_empty_log_knows_nothing(backend: &dyn Backend) {
    let log = backend.open();
    assert_eq!(log.mark("shop", "orders").await.unwrap(), None);
    assert!(log.runs("shop", None, 10).await.unwrap().is_empty());
    assert!(log.holders("shop").await.unwrap().is_empty());
    log.progress("no such run", 1, 1).await.unwrap();
    log.finish("no such run", &done()).await.unwrap();
    assert!(log.runs("shop", None, 10).await.unwrap().is_empty());
}

pub async fn a_run_from_start_to_finish(backend: &dyn Backend) {
    let log = backend.open();
    log.start(&NewRun { low_water_mark: Some("{\"id\":0}".to_owned()), ..run("r1", "orders") }).await.unwrap();
    let row = only(&*log).await;
    assert_eq!((row.state.as_str(), row.mode.as_str(), row.seq, row.commits), ("running", "full", None, 0));
    assert_eq!((row.low_water_mark.as_deref(), row.high_water_mark.as_deref()), (Some("{\"id\":0}"), None));
    assert_eq!(log.mark("shop", "orders").await.unwrap(), None);

    log.record("shop", "orders", &commit("r1", 1, &[3, 4])).await.unwrap();
    log.record("shop", "orders", &commit("r1", 2, &[5])).await.unwrap();
    let mark = log.mark("shop", "orders").await.unwrap().unwrap();
    assert_eq!((mark.seq, mark.position.as_deref()), (2, Some("{\"id\":2}")));

    log.finish("r1", &done()).await.unwrap();
    let row = only(&*backend.open()).await;
    assert_eq!((row.state.as_str(), row.seq, row.commits, row.rows, row.bytes), ("done", Some(2), 2, 12, 120));
    assert_eq!(row.high_water_mark.as_deref(), Some("{\"id\":2}"));
    let finished = row.finished_at.unwrap();
    assert!(row.started_at <= finished && finished == row.updated_at);
    assert!(row.started_at.ends_with('Z') && row.started_at.len() == "2026-01-01T00:00:00.000000Z".len());
}

pub async fn recording_twice_changes_nothing(backend: &dyn Backend) {
    let log = backend.open();
    log.start(&run("r1", "orders")).await.unwrap();
    log.record("shop", "orders", &commit("r1", 1, &[3])).await.unwrap();
    log.record("shop", "orders", &commit("r1", 2, &[4])).await.unwrap();
    let before = only(&*log).await;
    log.record("shop", "orders", &commit("r1", 2, &[4])).await.unwrap();
    log.record("shop", "orders", &commit("r1", 1, &[3])).await.unwrap();
    assert_eq!(format!("{:?}", only(&*log).await), format!("{before:?}"));
}

pub async fn commits_of_two_runs_out_of_order(backend: &dyn Backend) {
    let log = backend.open();
    log.start(&run("r1", "orders")).await.unwrap();
    log.start(&run("r2", "orders")).await.unwrap();
    log.record("shop", "orders", &commit("r2", 5, &[1])).await.unwrap();
    log.record("shop", "orders", &commit("r1", 3, &[1])).await.unwrap();
    let mark = log.mark("shop", "orders").await.unwrap().unwrap();
    assert_eq!((mark.seq, mark.position.as_deref()), (5, Some("{\"id\":5}")));
    let rows = log.runs("shop", None, 10).await.unwrap();
    let first = rows.iter().find(|row| row.run_id == "r1").unwrap();
    assert_eq!((first.seq, first.rows, first.state.as_str()), (Some(3), 1, "failed"));
}

pub async fn a_publication_sets_the_totals(backend: &dyn Backend) {
    let log = backend.open();
    log.start(&run("r1", "orders")).await.unwrap();
    log.progress("r1", 70, 700).await.unwrap();
    log.record("shop", "orders", &publication("r1", 1)).await.unwrap();
    log.record("shop", "orders", &publication("r1", 1)).await.unwrap();
    let row = only(&*log).await;
    assert_eq!((row.rows, row.bytes, row.commits), (100, 900, 1));
}

pub async fn a_fence_is_no_commit(backend: &dyn Backend) {
    let log = backend.open();
    log.start(&run("r1", "orders")).await.unwrap();
    let fence = Commit { mode: Mode::Cdc, fences: vec![7], ..commit("r1", 7, &[]) };
    log.record("shop", "orders", &fence).await.unwrap();
    assert_eq!(only(&*log).await.commits, 0);
    let mark = log.mark("shop", "orders").await.unwrap().unwrap();
    assert_eq!((mark.seq, mark.position.as_deref()), (7, Some("{\"id\":7}")));
    log.record("shop", "orders", &Commit { mode: Mode::Cdc, position: None, ..commit("r1", 8, &[]) }).await.unwrap();
    let mark = log.mark("shop", "orders").await.unwrap().unwrap();
    assert_eq!((mark.seq, mark.position), (8, None));
    assert_eq!(only(&*log).await.commits, 1);
}

pub async fn a_commit_without_a_run_gets_a_row(backend: &dyn Backend) {
    let log = backend.open();
    log.record("shop", "orders", &commit("lost", 4, &[6])).await.unwrap();
    log.record("shop", "items", &commit("lost too", 8, &[1])).await.unwrap();
    log.record("shop", "items", &Commit { at: "2026-01-02T00:00:00Z".to_owned(), ..publication("lost too", 9) })
        .await
        .unwrap();
    let row = newest(&*log, "orders").await;
    assert_eq!((row.run_id.as_str(), row.state.as_str(), row.seq, row.rows), ("lost", "stopped", Some(4), 6));
    assert_eq!((row.started_at.as_str(), row.mode.as_str()), ("2026-01-01T00:00:00.000000Z", "full"));
    assert!(row.finished_at.is_some() && row.error.is_none());
    let row = newest(&*log, "items").await;
    assert_eq!((row.state.as_str(), row.rows), ("done", 100));
    assert_eq!(row.finished_at.as_deref(), Some("2026-01-02T00:00:00.000000Z"));
    assert_eq!(log.mark("shop", "orders").await.unwrap().unwrap().seq, 4);
}

pub async fn what_a_destination_tells_is_noted_once(backend: &dyn Backend) {
    let log = backend.open();
    let at = |second: u64, commit: Commit| Commit { at: format!("2026-01-01T00:00:0{second}Z"), ..commit };
    let fence = Commit { fences: vec![3], ..commit("lost", 3, &[]) };
    let told = Told::of(&at(1, fence)).and(&at(2, commit("lost", 4, &[6]))).and(&at(3, commit("lost", 5, &[7])));
    assert!(log.retell("shop", "orders", &told).await.unwrap());
    let row = only(&*log).await;
    assert_eq!((row.run_id.as_str(), row.state.as_str(), row.mode.as_str()), ("lost", "stopped", "full"));
    assert_eq!((row.seq, row.commits, row.rows, row.bytes), (Some(5), 2, 13, 130));
    assert_eq!(
        (row.low_water_mark.as_deref(), row.high_water_mark.as_deref()),
        (Some("{\"id\":3}"), Some("{\"id\":5}"))
    );
    assert_eq!(row.started_at, "2026-01-01T00:00:01.000000Z");
    let end = "2026-01-01T00:00:03.000000Z";
    assert_eq!((row.updated_at.as_str(), row.finished_at.as_deref()), (end, Some(end)));
    assert_eq!(log.mark("shop", "orders").await.unwrap().unwrap().seq, 5);
    assert!(!log.retell("shop", "orders", &told).await.unwrap());
    assert_eq!(format!("{:?}", only(&*log).await), format!("{row:?}"));

    // A run that has heard of its last commit alone, and how it ended.
    log.start(&run("late", "items")).await.unwrap();
    log.record("shop", "items", &commit("late", 9, &[1])).await.unwrap();
    log.finish("late", &RunEnd { state: RunState::Failed, error: Some(Error::denied("no")) }).await.unwrap();
    let told = Told::of(&commit("late", 8, &[2])).and(&commit("late", 9, &[1]));
    assert!(log.retell("shop", "items", &told).await.unwrap());
    let row = newest(&*log, "items").await;
    assert_eq!((row.commits, row.rows, row.state.as_str(), row.error.as_deref()), (2, 3, "failed", Some("no")));
    // One that came to its end.
    assert!(log.retell("shop", "users", &Told::of(&publication("whole", 2))).await.unwrap());
    let row = newest(&*log, "users").await;
    assert_eq!((row.state.as_str(), row.rows, row.commits), ("done", 100, 1));
}

pub async fn a_run_left_running_is_closed_by_the_next(backend: &dyn Backend) {
    let log = backend.open();
    log.start(&run("dead", "orders")).await.unwrap();
    log.record("shop", "orders", &commit("dead", 1, &[3])).await.unwrap();
    log.start(&run("other", "items")).await.unwrap();
    let last_heard = newest(&*log, "orders").await.updated_at;
    log.start(&run("next", "orders")).await.unwrap();
    let rows = log.runs("shop", None, 10).await.unwrap();
    let of = |id: &str| rows.iter().find(|row| row.run_id == id).unwrap();
    let dead = of("dead");
    assert_eq!((dead.state.as_str(), dead.error_kind.as_deref()), ("failed", Some("unavailable")));
    assert_eq!(dead.error.as_deref(), Some("the process died without recording its end"));
    assert_eq!((dead.finished_at.as_deref(), dead.rows), (Some(last_heard.as_str()), 3));
    assert_eq!((of("other").state.as_str(), of("next").state.as_str()), ("running", "running"));
}

pub async fn a_last_commit_heard_of_late_ends_its_run(backend: &dyn Backend) {
    let log = backend.open();
    log.start(&run("dead", "orders")).await.unwrap();
    log.start(&run("next", "orders")).await.unwrap();
    log.record("shop", "orders", &publication("dead", 3)).await.unwrap();
    let rows = log.runs("shop", Some("orders"), 2).await.unwrap();
    let dead = rows.iter().find(|row| row.run_id == "dead").unwrap();
    assert_eq!((dead.state.as_str(), dead.rows, &dead.error, &dead.error_kind), ("done", 100, &None, &None));
    // A run that had its own word keeps it.
    let failed = RunEnd { state: RunState::Failed, error: Some(Error::unavailable("no answer")) };
    log.finish("next", &failed).await.unwrap();
    log.record("shop", "orders", &publication("next", 4)).await.unwrap();
    assert_eq!(newest(&*log, "orders").await.state, "failed");
}

pub async fn a_run_may_start_again(backend: &dyn Backend) {
    let log = backend.open();
    log.start(&run("r1", "orders")).await.unwrap();
    log.record("shop", "orders", &commit("r1", 1, &[3])).await.unwrap();
    let failed = RunEnd { state: RunState::Failed, error: Some(Error::unavailable("gone")) };
    log.finish("r1", &failed).await.unwrap();
    log.start(&run("r1", "orders")).await.unwrap();
    let row = only(&*log).await;
    assert_eq!((row.state.as_str(), row.rows, row.error, row.finished_at), ("running", 3, None, None));
}

pub async fn progress_changes_running_rows_only(backend: &dyn Backend) {
    let log = backend.open();
    log.start(&run("r1", "orders")).await.unwrap();
    log.progress("r1", 10, 100).await.unwrap();
    log.progress("r1", 20, 200).await.unwrap();
    let row = only(&*log).await;
    assert_eq!((row.rows, row.bytes, row.commits, row.seq), (20, 200, 0, None));
    log.finish("r1", &done()).await.unwrap();
    log.progress("r1", 30, 300).await.unwrap();
    assert_eq!(only(&*log).await.rows, 20);
}

pub async fn what_is_forgotten_can_be_told_anew(backend: &dyn Backend) {
    let log = backend.open();
    log.start(&run("old", "orders")).await.unwrap();
    log.record("shop", "orders", &commit("old", 1, &[1])).await.unwrap();
    log.record("shop", "orders", &commit("old", 2, &[2])).await.unwrap();
    log.finish("old", &done()).await.unwrap();
    log.start(&run("other", "items")).await.unwrap();
    log.record("shop", "items", &commit("other", 5, &[1])).await.unwrap();
    log.finish("other", &done()).await.unwrap();
    log.start(&run("now", "orders")).await.unwrap();
    log.forget("shop", "orders").await.unwrap();
    assert_eq!(log.mark("shop", "orders").await.unwrap(), None);
    assert_eq!(log.mark("shop", "items").await.unwrap().unwrap().seq, 5);
    log.record("shop", "orders", &commit("old", 1, &[1])).await.unwrap();
    assert_eq!(log.mark("shop", "orders").await.unwrap().unwrap().seq, 1);
    let rows = log.runs("shop", Some("orders"), 5).await.unwrap();
    let old = rows.iter().find(|row| row.run_id == "old").unwrap();
    assert_eq!((old.state.as_str(), old.commits, old.rows, old.seq), ("done", 1, 1, Some(1)));
    assert!(rows.iter().any(|row| row.run_id == "now" && row.state == "running"));
}

pub async fn the_newest_runs_come_first(backend: &dyn Backend) {
    let log = backend.open();
    for number in 1..=3 {
        for stream in ["a", "b"] {
            log.start(&run(&format!("{stream}{number}"), stream)).await.unwrap();
        }
    }
    let ids = |rows: Vec<RunRow>| rows.into_iter().map(|row| row.run_id).collect::<Vec<_>>();
    assert_eq!(ids(log.runs("shop", None, 2).await.unwrap()), ["b3", "a3", "b2", "a2"]);
    assert_eq!(ids(log.runs("shop", Some("a"), 2).await.unwrap()), ["a3", "a2"]);
    assert_eq!(ids(log.runs("shop", Some("a"), usize::MAX).await.unwrap()), ["a3", "a2", "a1"]);
    assert!(log.runs("shop", Some("c"), 2).await.unwrap().is_empty());
}

pub async fn the_last_lag_is_kept(backend: &dyn Backend) {
    let log = backend.open();
    assert!(log.lags("shop").await.unwrap().is_empty());
    log.behind("shop", "orders", 90, None).await.unwrap();
    log.behind("shop", "items", 1, Some(7)).await.unwrap();
    log.behind("other", "orders", 3, Some(3)).await.unwrap();
    let before = log.lags("shop").await.unwrap();
    log.behind("shop", "orders", 5, Some(u64::from(u32::MAX) + 1)).await.unwrap();
    let lags = backend.open().lags("shop").await.unwrap();
    let told: Vec<_> = lags.iter().map(|lag| (lag.stream.as_str(), lag.seconds, lag.bytes)).collect();
    assert_eq!(told, [("items", 1, Some(7)), ("orders", 5, Some(1 << 32))]);
    assert_eq!(before[1].bytes, None);
    assert!(before[1].measured_at < lags[1].measured_at && lags[1].measured_at.ends_with('Z'), "{lags:?}");
}

pub async fn every_state_and_error_is_kept(backend: &dyn Backend) {
    let log = backend.open();
    for state in RunState::ALL {
        for mode in Mode::ALL {
            let id = format!("{}-{}", state.name(), mode.name());
            log.start(&NewRun { mode, ..run(&id, &id) }).await.unwrap();
            let error = Error::denied("a ' \" ; — \u{1F512}").hint("Grant SELECT.");
            log.finish(&id, &RunEnd { state, error: Some(error) }).await.unwrap();
            let row = newest(&*log, &id).await;
            assert_eq!((row.state.as_str(), row.mode.as_str()), (state.name(), mode.name()));
            assert_eq!(row.error_kind.as_deref(), Some("denied"));
            assert_eq!(row.error.as_deref(), Some("a ' \" ; — \u{1F512}\n  Grant SELECT."));
        }
    }
}

pub async fn pipelines_and_streams_are_apart(backend: &dyn Backend) {
    let log = backend.open();
    log.start(&run("r1", "orders")).await.unwrap();
    log.start(&NewRun { pipeline: "other".to_owned(), ..run("r2", "orders") }).await.unwrap();
    log.record("shop", "orders", &commit("r1", 1, &[1])).await.unwrap();
    assert_eq!(newest(&*log, "orders").await.state, "running");
    assert_eq!(log.mark("other", "orders").await.unwrap(), None);
    assert_eq!(log.mark("shop", "order").await.unwrap(), None);
    assert_eq!(log.runs("other", None, 10).await.unwrap().len(), 1);
    let _lease = log.lease("shop", "orders").await.unwrap();
    let _another = log.lease("other", "orders").await.unwrap();
    let _third = log.lease("shop", "items").await.unwrap();
}

pub async fn a_living_holder_refuses(backend: &dyn Backend) {
    let (log, other) = (backend.open(), backend.open());
    let _lease = log.lease("shop", "orders").await.unwrap();
    for log in [&log, &other] {
        let error = refused(log.lease("shop", "orders").await);
        assert_eq!(error.kind(), Kind::Conflict);
        assert!(error.message().contains("stream orders is being run"), "{error}");
    }
    // Also when it lives and has been silent: a process of this machine is judged by itself.
    backend.sql("UPDATE job_log_lease SET heartbeat_at = '2020-01-01T00:00:00.000000Z'").await;
    refused(other.lease("shop", "orders").await);
}

pub async fn a_released_lease_is_free(backend: &dyn Backend) {
    let (log, other) = (backend.open(), backend.open());
    log.lease("shop", "orders").await.unwrap().release().await;
    assert!(log.holders("shop").await.unwrap().is_empty());
    other.lease("shop", "orders").await.unwrap().release().await;
    log.lease("shop", "orders").await.unwrap().release().await;
}

pub async fn a_dropped_lease_is_free(backend: &dyn Backend) {
    let (log, other) = (backend.open(), backend.open());
    drop(log.lease("shop", "orders").await.unwrap());
    // At once, even if its row is still there.
    let lease = other.lease("shop", "orders").await.unwrap();
    until(|| async { backend.open().holders("shop").await.unwrap().len() == 1 }).await;
    drop(lease);
    until(|| async { backend.open().holders("shop").await.unwrap().is_empty() }).await;
}

pub async fn a_silent_holder_elsewhere_is_taken_over(backend: &dyn Backend) {
    let log = backend.open();
    let first = log.lease("shop", "orders").await.unwrap();
    backend.sql("UPDATE job_log_lease SET boot_id = 'another', host = 'db7', pid = 4242").await;
    let error = refused(backend.open().lease("shop", "orders").await);
    assert!(error.message().contains("process 4242 on db7"), "{error}");
    // It goes on giving signs of life, and so it keeps the lease beyond its time.
    tokio::time::sleep(TIMING.lost_after + TIMING.heartbeat_every).await;
    refused(backend.open().lease("shop", "orders").await);
    // What another machine's clock would have written long ago.
    let silent = async {
        backend.sql("UPDATE job_log_lease SET token = 'x', heartbeat_at = '2020-01-01T00:00:00.000000Z'").await
    };
    silent.await;
    let _second = backend.open().lease("shop", "orders").await.unwrap();
    assert_eq!(soon(first.lost()).await.kind(), Kind::Conflict);
}

pub async fn a_lease_taken_by_another_is_lost(backend: &dyn Backend) {
    let log = backend.open();
    let lease = log.lease("shop", "orders").await.unwrap();
    backend.sql("UPDATE job_log_lease SET token = 'of somebody else', boot_id = 'another'").await;
    let error = soon(lease.lost()).await;
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.message().contains("orders"), "{error}");
    // It stays lost, for all who ask, and its release leaves the other's row alone.
    tokio::join!(soon(lease.lost()), soon(lease.lost()));
    lease.release().await;
    assert_eq!(log.holders("shop").await.unwrap().len(), 1);
}

pub async fn a_deleted_lease_is_lost(backend: &dyn Backend) {
    let log = backend.open();
    let lease = log.lease("shop", "orders").await.unwrap();
    backend.sql("DELETE FROM job_log_lease").await;
    assert_eq!(soon(lease.lost()).await.kind(), Kind::Conflict);
}

pub async fn a_kept_lease_stays(backend: &dyn Backend) {
    let log = backend.open();
    let lease = log.lease("shop", "orders").await.unwrap();
    let first = log.holders("shop").await.unwrap();
    // Cancel safe: a dropped call loses nothing.
    for _ in 0..6 {
        assert!(tokio::time::timeout(TIMING.heartbeat_every, lease.lost()).await.is_err());
    }
    let now = log.holders("shop").await.unwrap();
    assert!(now[0].alive && now[0].heartbeat_at > first[0].heartbeat_at && now[0].since == first[0].since);
    // Several may wait at once: chunks side by side.
    let deleted = backend.sql("DELETE FROM job_log_lease");
    let (_, one, other) = tokio::join!(deleted, soon(lease.lost()), soon(lease.lost()));
    assert_eq!((one.kind(), other.kind()), (Kind::Conflict, Kind::Conflict));
}

pub async fn one_of_many_takers_wins(backend: &dyn Backend) {
    let takers = (0..8).map(|_| {
        let log = backend.open();
        tokio::spawn(async move { log.lease("shop", "orders").await })
    });
    let takers: Vec<_> = takers.collect();
    let mut held = Vec::new();
    for taker in takers {
        match taker.await.unwrap() {
            Ok(lease) => held.push(lease),
            Err(error) => assert_eq!(error.kind(), Kind::Conflict, "{error}"),
        }
    }
    assert_eq!(held.len(), 1);
}

pub async fn holders_are_shown(backend: &dyn Backend) {
    let log = backend.open();
    let _lease = log.lease("shop", "orders").await.unwrap();
    let held = &log.holders("shop").await.unwrap()[0];
    assert_eq!((held.stream.as_str(), held.pid, held.alive), ("orders", std::process::id(), true));
    assert!(log.holders("other").await.unwrap().is_empty());
    backend.sql("UPDATE job_log_lease SET start_ticks = start_ticks - 1").await;
    let held = &log.holders("shop").await.unwrap()[0];
    assert!(!held.alive && held.why.contains("has ended"), "{held:?}");
}

pub async fn it_says_what_it_is(backend: &dyn Backend) {
    let (log, other) = (backend.open(), backend.open());
    log.prepare().await.unwrap();
    let what = log.check().await.unwrap();
    assert!(what.contains("version 3"), "{what}");
    other.mark("shop", "orders").await.unwrap();
    let holder = log.holder();
    assert_eq!(holder["pid"], std::process::id());
    assert!(holder["host"].is_string() && holder["job_log"].is_string(), "{holder}");
    assert_eq!(holder, other.holder());
}

pub fn run(id: &str, stream: &str) -> NewRun {
    NewRun {
        run: id.to_owned(),
        pipeline: "shop".to_owned(),
        stream: stream.to_owned(),
        mode: Mode::Full,
        low_water_mark: None,
    }
}

fn done() -> RunEnd {
    RunEnd { state: RunState::Done, error: None }
}

/// An entry with one part for each number of rows, of ten bytes a row.
pub fn commit(run: &str, seq: u64, rows: &[u64]) -> Commit {
    let part = |rows: &u64| PartInfo {
        path: "p".to_owned(),
        table: "t".to_owned(),
        schema: "s".to_owned(),
        rows: *rows,
        bytes: rows * 10,
        checksum: "crc32:00000000".to_owned(),
    };
    Commit {
        seq,
        writer: "w".to_owned(),
        run: run.to_owned(),
        mode: Mode::Full,
        position: Some(Position::new(json!({ "id": seq }))),
        last_seq: 0,
        parts: rows.iter().map(part).collect(),
        schemas: BTreeMap::new(),
        complete: false,
        publishes: None,
        reserves: None,
        generations: Generations::default(),
        fences: Vec::new(),
        state: Value::Null,
        failures: None,
        identity: Value::Null,
        holder: Value::Null,
        at: "2026-01-01T00:00:00.000000Z".to_owned(),
    }
}

fn publication(run: &str, seq: u64) -> Commit {
    let totals = Publication {
        generation: "g".to_owned(),
        seq,
        chunks: BTreeMap::new(),
        rows: 100,
        bytes: 900,
        files: 2,
        failures: None,
        set_aside: Default::default(),
    };
    Commit { publishes: Some(totals), ..commit(run, seq, &[]) }
}

async fn only(log: &dyn JobLog) -> RunRow {
    let mut rows = log.runs("shop", None, 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

async fn newest(log: &dyn JobLog, stream: &str) -> RunRow {
    log.runs("shop", Some(stream), 1).await.unwrap().remove(0)
}

pub fn refused(lease: Result<Box<dyn Lease>, Error>) -> Error {
    lease.err().expect("the lease was granted")
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("nothing came")
}

async fn until<F: Future<Output = bool>>(holds: impl Fn() -> F) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon(wait).await;
}
