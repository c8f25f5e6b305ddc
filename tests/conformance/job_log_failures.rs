//! Of the suite over job logs: failed requests, rows that were set aside, and runs that are done but for those.

use serde_json::json;
use tidemark::job_log::{Failure, JobLog, Told};
use tidemark::record::{Commit, FailedRequest, Failures, Mode};

use super::{Backend, commit, done, newest, publication, run};

fn failed(id: &str, attempts: u32) -> FailedRequest {
    FailedRequest {
        id: id.to_owned(),
        request: format!("GET /orders?page={id}"),
        status: (attempts > 1).then_some(503),
        reason: "the server answers 503".to_owned(),
        excerpt: Some("busy – später".to_owned()),
        attempts,
        at: "2026-01-01T00:00:00.5Z".to_owned(),
    }
}

/// The last entry of a run, as of which these are open of ten requests.
fn with(run: &str, seq: u64, open: Vec<FailedRequest>) -> Commit {
    let failures = Some(Failures { requests: 10, records: 70, failed: open });
    Commit { mode: Mode::Cdc, complete: true, failures, ..commit(run, seq, &[3]) }
}

/// An entry with this many rows in a quarantine.
fn aside(run: &str, seq: u64, rows: u64) -> Commit {
    let mut commit = Commit { mode: Mode::Cdc, ..commit(run, seq, &[rows]) };
    commit.parts[0].table = "t_quarantine".to_owned();
    commit.schemas.insert("s".to_owned(), json!({ "columns": [], "quarantine": true }));
    commit
}

async fn ids(log: &dyn JobLog, is_open: bool) -> Vec<String> {
    let all = log.failures("shop").await.unwrap();
    let wanted = |failure: &&Failure| failure.closed_at.is_none() == is_open;
    all.iter().filter(wanted).map(|failure| failure.failed.id.clone()).collect()
}

pub async fn failed_requests_are_kept_until_they_are_closed(backend: &dyn Backend) {
    let log = backend.open();
    assert!(log.failures("shop").await.unwrap().is_empty() && log.shares("shop").await.unwrap().is_empty());
    log.start(&run("r1", "orders")).await.unwrap();
    log.record("shop", "orders", &with("r1", 1, vec![failed("1", 1), failed("2", 5)])).await.unwrap();
    let known = backend.open().failures("shop").await.unwrap();
    let wanted = [failed("1", 1), failed("2", 5)].map(|failed| Failure {
        stream: "orders".to_owned(),
        failed,
        run_id: "r1".to_owned(),
        closed_at: None,
    });
    assert_eq!(known, wanted);
    let share = log.shares("shop").await.unwrap().remove(0);
    assert_eq!((share.stream.as_str(), share.run_id.as_str(), share.rows), ("orders", "r1", 3));
    assert_eq!((share.requests, share.records, share.failed), (10, 70, 2));

    // The same again changes nothing, and neither does an older one.
    log.record("shop", "orders", &with("r1", 1, vec![failed("1", 1), failed("2", 5)])).await.unwrap();
    log.record("shop", "orders", &with("r0", 0, vec![])).await.unwrap();
    assert_eq!(log.failures("shop").await.unwrap(), wanted);

    // One is closed, one was tried again, one is new.
    log.start(&run("r2", "orders")).await.unwrap();
    log.record("shop", "orders", &with("r2", 2, vec![failed("2", 9), failed("3", 1)])).await.unwrap();
    assert_eq!((ids(&*log, true).await, ids(&*log, false).await), (vec!["2".into(), "3".into()], vec!["1".into()]));
    let two = log.failures("shop").await.unwrap().remove(1);
    assert_eq!((two.failed.attempts, two.run_id.as_str()), (9, "r1"));
    // Another load's may have an id that was closed.
    log.record("shop", "orders", &with("r2", 3, vec![failed("1", 1)])).await.unwrap();
    assert_eq!((ids(&*log, true).await, ids(&*log, false).await), (vec!["1".into()], vec!["2".into(), "3".into()]));
    // A commit that says nothing of requests has none that are open.
    log.record("shop", "orders", &commit("r2", 4, &[])).await.unwrap();
    assert!(ids(&*log, true).await.is_empty());
    assert!(log.failures("other").await.unwrap().is_empty());
}

pub async fn failures_of_the_live_load_stay_open(backend: &dyn Backend) {
    let log = backend.open();
    let mut load = publication("r1", 1);
    let failures = Some(Failures { requests: 4, records: 9, failed: vec![failed("0/1", 1)] });
    let publishes = load.publishes.take().map(|load| tidemark::record::Publication { failures, ..load });
    load.generations.kept.extend(publishes.clone());
    let load = Commit { publishes, ..load };
    log.record("shop", "orders", &load).await.unwrap();
    assert_eq!(ids(&*log, true).await, ["0/1"]);
    // The next load begins: what is live has them still.
    let next = Commit { publishes: None, ..commit("r2", 2, &[]) };
    log.record("shop", "orders", &Commit { generations: load.generations.clone(), ..next }).await.unwrap();
    assert_eq!(ids(&*log, true).await, ["0/1"]);
    log.record("shop", "orders", &publication("r2", 3)).await.unwrap();
    assert_eq!(ids(&*log, false).await, ["0/1"]);
}

pub async fn a_run_that_left_something_is_partial_whoever_says_so(backend: &dyn Backend) {
    let log = backend.open();
    // Heard of late: its process died before its last word.
    log.start(&run("r1", "orders")).await.unwrap();
    log.start(&run("r2", "orders")).await.unwrap();
    log.record("shop", "orders", &with("r1", 1, vec![failed("1", 1)])).await.unwrap();
    let rows = log.runs("shop", Some("orders"), 2).await.unwrap();
    let first = rows.iter().find(|row| row.run_id == "r1").unwrap();
    assert_eq!((first.state.as_str(), first.error_kind.as_deref()), ("done", Some("partial")));
    let said = "1 of 10 requests failed; `tidemark retry orders` asks for them again";
    assert_eq!(first.error.as_deref(), Some(said));

    // Rows that were set aside are the run's own, over all its commits.
    log.record("shop", "orders", &aside("r2", 2, 5)).await.unwrap();
    log.record("shop", "orders", &Commit { complete: true, ..aside("r2", 3, 7) }).await.unwrap();
    assert_eq!(log.shares("shop").await.unwrap()[0].set_aside["t_quarantine"], 12);
    log.record("shop", "orders", &Commit { complete: true, ..aside("r3", 4, 1) }).await.unwrap();
    let row = newest(&*log, "orders").await;
    assert_eq!((row.run_id.as_str(), row.error.as_deref()), ("r2", None), "it runs");
    let rows = log.runs("shop", Some("orders"), 3).await.unwrap();
    let third = rows.iter().find(|row| row.run_id == "r3").unwrap();
    assert_eq!((third.state.as_str(), third.error.as_deref()), ("done", Some("1 row is in t_quarantine")));
    log.finish("r2", &done()).await.unwrap();
}

pub async fn what_failed_is_told_anew(backend: &dyn Backend) {
    let log = backend.open();
    let first = Told::of(&with("r1", 1, vec![failed("1", 1), failed("2", 1)]));
    let second = Told::of(&aside("r2", 2, 5)).and(&with("r2", 3, vec![failed("2", 2)]));
    assert!(log.retell("shop", "orders", &first).await.unwrap());
    assert!(log.retell("shop", "orders", &second).await.unwrap());
    assert!(!log.retell("shop", "orders", &second).await.unwrap());
    assert_eq!((ids(&*log, true).await, ids(&*log, false).await), (vec!["2".into()], vec!["1".into()]));
    let rows = log.runs("shop", Some("orders"), 2).await.unwrap();
    let of = |run: &str| rows.iter().find(|row| row.run_id == run).and_then(|row| row.error.clone()).unwrap();
    assert!(of("r1").starts_with("2 of 10 requests failed"), "{}", of("r1"));
    assert!(of("r2").ends_with("asks for them again; 5 rows are in t_quarantine"), "{}", of("r2"));
    let share = log.shares("shop").await.unwrap().remove(0);
    assert_eq!((share.run_id.as_str(), share.failed, share.set_aside["t_quarantine"]), ("r2", 1, 5));
}
