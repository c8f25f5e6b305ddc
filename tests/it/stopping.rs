//! Where a stop finds a run: what it waits for, and what it says of the rows.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tidemark::destination::files::stores::memory::Memory as MemoryStore;
use tidemark::destination::files::{Files, Settings};
use tidemark::destination::memory::Memory;
use tidemark::error::Result;
use tidemark::job_log::{JobLog, RunState, Timing, sqlite};
use tidemark::pipeline::{Session, Sources, Stop, StreamReport, run_stream};
use tidemark::record::{Event, Mode, Position};
use tidemark::source::{Reader, Source};
use tokio::time::Instant;

use crate::memory_log::MemoryLog;
use crate::script::{self, Numbers, Script, Step, Through};

/// Asks to stop after so many of a script's events.
struct StoppingReader {
    inner: Box<dyn Reader>,
    left: Arc<Mutex<Option<usize>>>,
    stopper: Arc<tidemark::pipeline::Stopper>,
}

#[async_trait]
impl Reader for StoppingReader {
    async fn next(&mut self) -> Result<Option<Event>> {
        let event = self.inner.next().await;
        let mut left = self.left.lock().unwrap();
        *left = left.map(|left| left.saturating_sub(1));
        if *left == Some(0) {
            self.stopper.stop();
        }
        event
    }

    async fn ack(&mut self, position: &Position) -> Result<()> {
        self.inner.ack(position).await
    }
}

struct One(Arc<dyn Source>);

impl Sources for One {
    fn source(&self, _: u32) -> Result<Arc<dyn Source>> {
        Ok(self.0.clone())
    }
}

fn session(store: &MemoryStore, mode: Mode) -> Session {
    let memory = Memory::new(128 << 20, 1);
    let settings = Settings { format: Box::new(Numbers), part_bytes: 100, keep_generations: 1, memory };
    script::session("s", mode, Arc::new(Files::new(Arc::new(store.clone()), settings)), &MemoryLog::new(), "run")
}

/// Runs `script` in the session, stopped after so many events.
async fn run(mut session: Session, script: Script, events: Option<usize>) -> StreamReport {
    let (stopper, stop) = Stop::new();
    session.stop = stop;
    let (left, stopper) = (Arc::new(Mutex::new(events)), Arc::new(stopper));
    let around = move |inner| {
        if *left.lock().unwrap() == Some(0) {
            stopper.stop();
        }
        Box::new(StoppingReader { inner, left: left.clone(), stopper: stopper.clone() }) as _
    };
    let source = Through { script, around };
    run_stream(session, &One(Arc::new(source)), 0).await
}

fn script(steps: Vec<Step>) -> Script {
    Script { steps, cuts: Vec::new(), acked: Arc::default() }
}

/// Two announcements, so many rows, a checkpoint behind every third.
fn rows(count: i64) -> Script {
    let step = |n: i64| {
        let checkpoint = (n % 3 == 2 || n + 1 == count).then_some(Step::Checkpoint { after: n + 1 });
        [Some(Step::Rows { table: 0, from: n, to: n + 1 }), checkpoint]
    };
    script((0..count).flat_map(step).flatten().collect())
}

#[tokio::test]
async fn the_report_and_the_job_log_agree_wherever_a_stop_comes() {
    for mode in [Mode::Full, Mode::Cdc] {
        let mut stopped_with_rows = 0;
        for events in 0..=36 {
            let (store, folder) = (MemoryStore::new(), tempfile::tempdir().unwrap());
            let log: Arc<dyn JobLog> = Arc::new(sqlite::JobLog::new(folder.path().join("log.db"), Timing::default()));
            log.prepare().await.unwrap();
            // The second one is stopped before it has read anything.
            for (attempt, events) in [Some(events), Some(0), None].into_iter().enumerate() {
                let mut session = session(&store, mode);
                session.job_log = log.clone();
                session.opening.run = format!("run {attempt}");
                session.opening.holder = log.holder();
                let report = run(session, rows(25), events).await;
                assert!(report.error.is_none(), "{:?}", report.error);
                let row = log.runs("test", Some("s"), 1).await.unwrap().remove(0);
                let at = format!("{mode}, {events:?} events, attempt {attempt}");
                assert_eq!((row.run_id, &*row.state), (format!("run {attempt}"), report.state.name()), "{at}");
                assert_eq!((row.rows, row.bytes), (report.rows, report.bytes), "{at}");
                stopped_with_rows += usize::from(report.state == RunState::Stopped && report.rows > 0);
                if events.is_none() {
                    assert_eq!(report.state, RunState::Done, "{at}");
                }
            }
        }
        assert!(stopped_with_rows > 0, "{mode}: nothing was proved");
    }
}

/// How long a stop took, and the rows that it left committed.
async fn stopped(steps: Vec<Step>, events: usize) -> (Duration, u64) {
    let started = Instant::now();
    let report = run(session(&MemoryStore::new(), Mode::Full), script(steps), Some(events)).await;
    assert_eq!(report.state, RunState::Stopped, "{:?}", report.error);
    (started.elapsed(), report.rows)
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_only_where_checkpoints_come() {
    let rows = |from| Step::Rows { table: 0, from, to: from + 1 };
    // A table read whole: its one checkpoint is at its end.
    let (took, committed) = stopped(vec![rows(0), Step::Wait(5), rows(1), Step::Checkpoint { after: 2 }], 3).await;
    assert_eq!((took.as_secs(), committed), (0, 0));
    // A checkpoint has come, so that the next may be near.
    let steps = vec![rows(0), Step::Checkpoint { after: 1 }, rows(1), Step::Wait(5), Step::Checkpoint { after: 2 }];
    let (took, committed) = stopped(steps, 5).await;
    assert_eq!((took.as_secs(), committed), (5, 2));
    let steps = vec![rows(0), Step::Checkpoint { after: 1 }, rows(1), Step::Wait(50), Step::Checkpoint { after: 2 }];
    assert_eq!(stopped(steps, 5).await.0.as_secs(), 10);
}
