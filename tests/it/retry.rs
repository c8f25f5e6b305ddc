//! Requests that fail are kept, and asked for again: each row arrives once, whenever the process dies.

use std::sync::Arc;

use tidemark::destination::Place;
use tidemark::destination::files::layout::Layout;
use tidemark::destination::files::log::Log;
use tidemark::destination::files::store::Store;
use tidemark::destination::files::stores::memory::Memory as MemoryStore;
use tidemark::destination::files::{Files, Settings, StorePlace};
use tidemark::destination::memory::Memory;
use tidemark::error::Kind;
use tidemark::job_log::{JobLog, RunState, Timing, sqlite};
use tidemark::pipeline::{Limits, Session, StreamReport, retry_stream, run_stream};
use tidemark::record::{Commit, Mode, StreamId};

use crate::crash::PollBudget;
use crate::failing::{OF_PAGE, Pages, Same};
use crate::memory_log::MemoryLog;
use crate::script::{self, Numbers, read_numbers};

/// A stream of pages at a destination in memory.
struct Kept {
    mode: Mode,
    pages: Pages,
    store: MemoryStore,
    log: MemoryLog,
    runs: u32,
}

impl Kept {
    fn new(mode: Mode, pages: Pages) -> Self {
        Self { mode, pages, store: MemoryStore::new(), log: MemoryLog::new(), runs: 0 }
    }

    fn session(&mut self) -> Session {
        self.runs += 1;
        let memory = Memory::new(128 << 20, 1);
        let settings = Settings { format: Box::new(Numbers), part_bytes: 100, keep_generations: 1, memory };
        let files = Arc::new(Files::new(Arc::new(self.store.clone()), settings));
        let session = script::session("s", self.mode, files, &self.log, &format!("run {}", self.runs));
        Session { limits: Limits { rows: 1, ..session.limits }, ..session }
    }

    async fn run(&mut self) -> StreamReport {
        run_stream(self.session(), &Same(Arc::new(self.pages.clone())), 1).await
    }

    async fn retry(&mut self) -> StreamReport {
        retry_stream(self.session(), &Same(Arc::new(self.pages.clone())), 1).await
    }

    /// The rows of the live files, sorted.
    async fn rows(&self) -> Vec<i64> {
        let columns = if self.mode == Mode::Full { 1 } else { 2 };
        let place = StorePlace(Arc::new(self.store.clone()));
        let mut rows = Vec::new();
        for url in place.files(&StreamId::new("s")).await.unwrap() {
            let keys = self.store.list("", None).await.unwrap();
            let key = keys.iter().find(|key| url.ends_with(*key)).expect("a live file is there");
            let body = self.store.get(key).await.unwrap().unwrap();
            rows.extend(read_numbers(&body, columns).into_iter().map(|row| row[0]));
        }
        rows.sort_unstable();
        rows
    }

    async fn newest(&self) -> Commit {
        let log = Log::new(Arc::new(self.store.clone()), Layout::of(&StreamId::new("s")));
        log.newest(None).await.unwrap().unwrap()
    }

    /// Files that no entry lists.
    async fn strays(&self) -> usize {
        let keys = self.store.list("", None).await.unwrap();
        let there = keys.iter().filter(|key| !key.starts_with("_commits/")).count();
        there - StorePlace(Arc::new(self.store.clone())).files(&StreamId::new("s")).await.unwrap().len()
    }
}

/// The rows of all pages but these.
fn all_but(pages: i64, broken: &[i64]) -> Vec<i64> {
    (0..pages * OF_PAGE).filter(|row| !broken.contains(&(row / OF_PAGE))).collect()
}

fn partial(report: &StreamReport) -> String {
    let error = report.error.as_ref().expect("done but for a rest");
    assert_eq!((report.state, error.kind()), (RunState::Done, Kind::Partial), "{error}");
    error.message().to_owned()
}

fn done(report: &StreamReport) {
    assert!(report.state == RunState::Done && report.error.is_none(), "{:?}", report.error);
}

/// Whole loads of one chunk and of several, a stream that grows, and one that begins with a load.
fn kinds() -> Vec<(Mode, Vec<i64>)> {
    vec![(Mode::Full, vec![]), (Mode::Full, vec![3, 6]), (Mode::Cdc, vec![]), (Mode::Incremental, vec![3, 6])]
}

#[tokio::test]
async fn what_failed_is_asked_for_again_and_nothing_else() {
    for (mode, cuts) in kinds() {
        let pages = Pages { cuts, ..Pages::new(10, &[2, 7, 8]) };
        let mut place = Kept::new(mode, pages);
        let report = place.run().await;
        assert_eq!(partial(&report), "3 of 10 requests failed; `tidemark retry s` asks for them again");
        assert_eq!(place.rows().await, all_but(10, &[2, 7, 8]));
        let before = place.newest().await;

        place.pages.asked.lock().unwrap().clear();
        place.pages.mend(&[7]);
        let report = place.retry().await;
        assert_eq!(partial(&report), "2 of 10 requests failed; `tidemark retry s` asks for them again");
        assert_eq!(*place.pages.asked.lock().unwrap(), [2, 7, 8]);
        assert_eq!(place.rows().await, all_but(10, &[2, 8]));
        assert_eq!(place.newest().await.position, before.position);

        place.pages.mend(&[2, 8]);
        done(&place.retry().await);
        assert_eq!(*place.pages.asked.lock().unwrap(), [2, 7, 8, 2, 8]);
        assert_eq!((place.rows().await, place.strays().await), (all_but(10, &[]), 0));
        let newest = place.newest().await;
        assert_eq!((newest.position.clone(), newest.open_failures().failed.len()), (before.position, 0));
        match newest.generations.live() {
            Some(live) => assert_eq!((newest.generations.kept.len(), live.rows), (1, 50)),
            None => assert_eq!(newest.last_seq, 50),
        }

        let report = place.retry().await;
        done(&report);
        assert_eq!(report.note, Some("nothing to ask again"));
        assert_eq!(place.newest().await.seq, newest.seq, "nothing is written where nothing failed");
    }
}

#[tokio::test]
async fn a_run_without_news_is_partial_as_long_as_requests_are_open() {
    let mut place = Kept::new(Mode::Cdc, Pages::new(4, &[1]));
    partial(&place.run().await);
    let before = place.newest().await.seq;
    partial(&place.run().await);
    assert_eq!(place.newest().await.seq, before);
    // What grows on has them still.
    place.pages.pages = 6;
    assert!(partial(&place.run().await).starts_with("1 of 6 requests failed"));
    place.pages.mend(&[1]);
    done(&place.retry().await);
    done(&place.run().await);
    assert_eq!(place.rows().await, all_but(6, &[]));
}

/// What grew since a load went live still belongs to it when it is published once more.
#[tokio::test]
async fn a_load_and_what_grew_since_are_retried_together() {
    let mut place = Kept::new(Mode::Incremental, Pages { cuts: vec![3, 6], ..Pages::new(10, &[2, 11]) });
    assert!(partial(&place.run().await).starts_with("1 of 10 requests failed"));
    place.pages.pages = 13;
    assert!(partial(&place.run().await).starts_with("2 of 13 requests failed"));
    assert_eq!(place.rows().await, all_but(13, &[2, 11]));
    let before = place.newest().await;
    place.pages.asked.lock().unwrap().clear();
    place.pages.mend(&[2, 11]);
    done(&place.retry().await);
    assert_eq!(*place.pages.asked.lock().unwrap(), [2, 11]);
    assert_eq!((place.rows().await, place.strays().await), (all_but(13, &[]), 0));
    let newest = place.newest().await;
    assert_eq!((newest.position, newest.last_seq), (before.position, before.last_seq + OF_PAGE));
    assert_eq!(newest.generations.live().unwrap().seq, before.generations.live().unwrap().seq);
    place.pages.pages = 14;
    done(&place.run().await);
    assert_eq!(place.rows().await, all_but(14, &[]));
}

#[tokio::test]
async fn a_new_load_forgets_what_failed_before() {
    let mut place = Kept::new(Mode::Full, Pages::new(6, &[1]));
    partial(&place.run().await);
    place.pages.mend(&[1]);
    done(&place.run().await);
    assert_eq!(place.retry().await.note, Some("nothing to ask again"));
    assert_eq!(place.rows().await, all_but(6, &[]));
}

#[tokio::test]
async fn rows_that_are_set_aside_make_a_run_partial() {
    for (mode, cuts) in kinds() {
        let pages = Pages { cuts, odd: [4, 7].into(), ..Pages::new(10, &[7]) };
        let mut place = Kept::new(mode, pages);
        let said = partial(&place.run().await);
        assert!(said.ends_with("; 5 rows are in a_quarantine"), "{said}");
        // Of a retry its own.
        place.pages.mend(&[7]);
        assert_eq!(partial(&place.retry().await), "5 rows are in a_quarantine", "{mode}");
        assert_eq!(place.rows().await, all_but(10, &[]));
        if mode == Mode::Full {
            assert_eq!(place.newest().await.generations.live().unwrap().set_aside["a_quarantine"], 10);
        } else {
            done(&place.run().await);
        }
    }
}

/// A process that is killed after so many steps; whether it came to its end.
fn killed(place: &mut Kept, retries: bool, polls: u64) -> Option<StreamReport> {
    place.log = place.log.after_a_kill();
    let (session, pages) = (place.session(), Same(Arc::new(place.pages.clone())));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let report = runtime.block_on(async move {
        let inner = Box::pin(async move {
            match retries {
                true => retry_stream(session, &pages, 1).await,
                false => run_stream(session, &pages, 1).await,
            }
        });
        PollBudget { left: polls, inner }.await
    });
    runtime.shutdown_background();
    place.log = place.log.after_a_kill();
    report
}

fn alone<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(future)
}

/// Killed at each of its steps, and once more at some step of the next: each row is there once, before and after.
#[test]
fn a_retry_survives_a_kill_at_every_step() {
    for (mode, cuts) in kinds() {
        let mut steps = 0;
        loop {
            steps += 1;
            let pages = Pages { cuts: cuts.clone(), ..Pages::new(10, &[2, 7, 8]) };
            let mut place = Kept::new(mode, pages);
            partial(&alone(place.run()));
            place.pages.mend(&[2, 7]);
            let report = killed(&mut place, true, steps);
            let rows = alone(place.rows());
            let states = [all_but(10, &[2, 7, 8]), all_but(10, &[8]), all_but(10, &[7, 8])];
            // A growing stream has a commit for each; a load shows all of it at once.
            let shown = if mode != Mode::Cdc { &states[..2] } else { &states[..] };
            assert!(shown.contains(&rows), "{mode} {steps}: {rows:?}");
            if let Some(report) = report {
                assert!(partial(&report).starts_with("1 of 10"), "{mode}");
                break;
            }
            killed(&mut place, true, steps / 2);
            place.pages.mend(&[8]);
            done(&alone(place.retry()));
            assert_eq!(alone(place.rows()), all_but(10, &[]), "{mode} {steps}");
            assert_eq!(alone(place.strays()), 0, "{mode} {steps}");
        }
        assert!(steps >= 10, "{mode}: {steps} steps are no test");
    }
}

/// Killed at each step, and run to its end: the failures of what was read before are not lost.
#[test]
fn a_run_that_goes_on_after_a_kill_is_partial() {
    for (mode, cuts) in kinds() {
        for steps in (1..).step_by(3) {
            let pages = Pages { cuts: cuts.clone(), ..Pages::new(10, &[0, 7]) };
            let mut place = Kept::new(mode, pages);
            let ended = killed(&mut place, false, steps).is_some();
            let report = alone(place.run());
            let said = partial(&report);
            assert!(said.starts_with("2 of 10 requests failed"), "{mode} {steps}: {said}");
            assert_eq!(alone(place.rows()), all_but(10, &[0, 7]), "{mode} {steps}");
            if ended {
                break;
            }
        }
    }
}

/// The job log has each failed request, and its end, however late it hears of them.
#[tokio::test]
async fn the_job_log_shows_what_failed() {
    for (mode, cuts) in kinds() {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(sqlite::JobLog::new(folder.path().join("log.db"), Timing::default()));
        let pages = Pages { cuts, ..Pages::new(10, &[2, 7]) };
        let mut place = Kept::new(mode, pages);
        let with_log = |session: Session| Session { job_log: log.clone(), ..session };
        let same = Same(Arc::new(place.pages.clone()));
        partial(&run_stream(with_log(place.session()), &same, 1).await);
        let row = log.runs("test", Some("s"), 1).await.unwrap().remove(0);
        assert_eq!((row.state.as_str(), row.error_kind.as_deref()), ("done", Some("partial")));
        let open = log.failures("test").await.unwrap();
        let requests: Vec<_> = open.iter().map(|failure| failure.failed.request.as_str()).collect();
        assert_eq!(requests, ["GET /rows?page=2", "GET /rows?page=7"]);
        assert!(open.iter().all(|failure| failure.closed_at.is_none() && failure.run_id == "run 1"));
        let share = log.shares("test").await.unwrap().remove(0);
        assert_eq!((share.requests, share.failed, share.records, share.rows), (10, 2, 40, 40));

        place.pages.mend(&[7]);
        partial(&retry_stream(with_log(place.session()), &same, 1).await);
        place.pages.mend(&[2]);
        done(&retry_stream(with_log(place.session()), &same, 1).await);
        let closed = log.failures("test").await.unwrap();
        assert!(closed.len() == 2 && closed.iter().all(|failure| failure.closed_at.is_some()), "{closed:?}");
        assert_eq!(log.shares("test").await.unwrap()[0].failed, 0);
    }
}
