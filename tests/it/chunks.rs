//! Chunks of a full load side by side: what one's failure is to the others, what a stop leaves, what the next run reads.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::Value;
use tidemark::destination::Place;
use tidemark::destination::files::store::Store;
use tidemark::destination::files::stores::memory::Memory as MemoryStore;
use tidemark::destination::files::{Files, Settings, StorePlace};
use tidemark::destination::memory::Memory;
use tidemark::error::{Error, Kind, Result};
use tidemark::job_log::{JobLog, RunState};
use tidemark::pipeline::{Pace, Readings, Session, Sources, Stop, StreamReport, run_stream};
use tidemark::record::{Checkpoint, Event, Mode, StreamId};
use tidemark::source::{Chunks, Consistency, Description, Listing, Reader, Selection, Source, Stream};

use crate::memory_log::MemoryLog;
use crate::script::{self, Numbers, Script, Step};

fn files(store: &MemoryStore) -> Arc<Files> {
    let memory = Memory::new(128 << 20, 2);
    let settings = Settings { format: Box::new(Numbers), part_bytes: 100, keep_generations: 1, memory };
    Arc::new(Files::new(Arc::new(store.clone()), settings))
}

fn session(store: &MemoryStore, log: &MemoryLog) -> Session {
    script::session("s", Mode::Full, files(store), log, "run")
}

/// Chunks of ten rows, each row a second after the one before.
fn script(chunks: i64) -> Script {
    let steps = (0..chunks * 10).flat_map(|n| [Step::Wait(1), Step::Rows { table: 0, from: n, to: n + 1 }]).collect();
    Script { steps, cuts: (1..chunks).map(|n| n * 10).collect(), acked: Arc::default() }
}

/// A script whose openings are counted, and may fail.
struct Counted {
    script: Script,
    consistency: Consistency,
    /// The first rows of the chunks that were opened.
    opened: Mutex<Vec<i64>>,
    at_once: Arc<AtomicUsize>,
    most_at_once: AtomicUsize,
    /// Fails the chunk with this first row behind its fifth row, as told.
    fails: Mutex<Option<(i64, Error)>>,
}

impl Counted {
    fn new(script: Script) -> Arc<Self> {
        Arc::new(Self {
            script,
            consistency: Consistency::Chunk,
            opened: Mutex::default(),
            at_once: Arc::default(),
            most_at_once: AtomicUsize::default(),
            fails: Mutex::default(),
        })
    }

    fn failing(self: Arc<Self>, first: i64, error: Error) -> Arc<Self> {
        *self.fails.lock().unwrap() = Some((first, error));
        self
    }

    /// The chunks that were opened since the last call.
    fn take_opened(&self) -> Vec<i64> {
        let mut opened = std::mem::take(&mut *self.opened.lock().unwrap());
        opened.sort_unstable();
        opened
    }
}

struct CountedReader {
    inner: Box<dyn Reader>,
    fails: Option<Error>,
    rows: usize,
    at_once: Arc<AtomicUsize>,
}

impl Drop for CountedReader {
    fn drop(&mut self) {
        self.at_once.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Reader for CountedReader {
    async fn next(&mut self) -> Result<Option<Event>> {
        let event = self.inner.next().await?;
        if let Some(Event::Rows(rows)) = &event {
            self.rows += rows.batch.num_rows();
        }
        match self.fails.take_if(|_| self.rows > 5) {
            Some(error) => Err(error),
            None => Ok(event),
        }
    }
}

#[async_trait]
impl Source for Counted {
    async fn identity(&self) -> Result<Value> {
        self.script.identity().await
    }

    async fn streams(&self, selections: &[Selection]) -> Result<Listing> {
        self.script.streams(selections).await
    }

    async fn describe(&self, stream: &Stream) -> Result<Description> {
        self.script.describe(stream).await
    }

    async fn chunks(&self, stream: &Stream) -> Result<Chunks> {
        Ok(Chunks { consistency: self.consistency, ..self.script.chunks(stream).await? })
    }

    async fn running(&self) -> Result<Option<u64>> {
        let is_busy = BUSY.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        Ok(Some(if is_busy { 5 } else { 4 }))
    }

    async fn open(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        let first = stream.range.as_ref().map_or(0, |range| range.as_value()["after"].as_i64().unwrap());
        self.opened.lock().unwrap().push(first);
        let fails = self.fails.lock().unwrap().take_if(|(of, _)| *of == first).map(|(_, error)| error);
        let inner = self.script.open(stream, after).await?;
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        Ok(Box::new(CountedReader { inner, fails, rows: 0, at_once: self.at_once.clone() }))
    }
}

struct One(Arc<Counted>);

impl Sources for One {
    fn source(&self, _: u32) -> Result<Arc<dyn Source>> {
        Ok(self.0.clone())
    }
}

async fn run(session: Session, source: &Arc<Counted>, retries: u32) -> StreamReport {
    run_stream(session, &One(source.clone()), retries).await
}

/// How many files are there, and how many of them are live.
async fn files_there(store: &MemoryStore) -> (usize, usize) {
    let mut there = store.list("", None).await.unwrap();
    there.retain(|key| !key.starts_with("_commits/"));
    let live = StorePlace(Arc::new(store.clone())).files(&StreamId::new("s")).await.unwrap();
    (there.len(), live.len())
}

#[tokio::test(start_paused = true)]
async fn one_chunks_failure_ends_the_others_and_the_next_run_reads_what_is_left() {
    let (store, log) = (MemoryStore::new(), MemoryLog::new());
    let source = Counted::new(script(6)).failing(20, Error::data("a value that is none"));
    let report = run(session(&store, &log), &source, 3).await;
    assert_eq!(report.error.map(|error| error.kind()), Some(Kind::Data));
    // The first two were read to their ends, the third failed, the fourth was given up, the others not begun.
    assert_eq!(source.take_opened(), [0, 10, 20, 30]);
    assert_eq!((report.rows, files_there(&store).await.1), (20, 0));

    let report = run(session(&store, &log), &source, 0).await;
    assert_eq!((report.state, report.rows), (RunState::Done, 60), "{:?}", report.error);
    assert_eq!(source.take_opened(), [20, 30, 40, 50]);
    let (there, live) = files_there(&store).await;
    assert_eq!(there, live, "a failed chunk has left files");
}

/// What may pass is tried again within the run, and the chunks that are there stay.
#[tokio::test(start_paused = true)]
async fn a_retry_reads_what_is_left() {
    let source = Counted::new(script(4)).failing(20, Error::unavailable("the connection broke off"));
    let report = run(session(&MemoryStore::new(), &MemoryLog::new()), &source, 1).await;
    assert_eq!((report.state, report.rows), (RunState::Done, 40), "{:?}", report.error);
    assert_eq!(source.take_opened(), [0, 10, 20, 20, 30, 30]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_whole_chunks_and_the_next_run_the_rest() {
    let (store, log) = (MemoryStore::new(), MemoryLog::new());
    let source = Counted::new(script(6));
    let mut stopped = session(&store, &log);
    let (stopper, stop) = Stop::new();
    stopped.stop = stop;
    let stopping = async {
        tokio::time::sleep(std::time::Duration::from_millis(25_500)).await;
        stopper.stop();
    };
    let (report, ()) = tokio::join!(run(stopped, &source, 0), stopping);
    assert_eq!((report.state, report.rows), (RunState::Stopped, 40), "{:?}", report.error);
    assert_eq!(source.take_opened(), [0, 10, 20, 30, 40, 50]);
    let report = run(session(&store, &log), &source, 0).await;
    assert_eq!((report.state, report.rows), (RunState::Done, 60), "{:?}", report.error);
    assert_eq!(source.take_opened(), [40, 50]);
}

/// Many streams and many chunks share the run's places, and a source's own.
#[tokio::test(start_paused = true)]
async fn readings_never_exceed_their_places() {
    for (run_places, of_source, most) in [(3, None, 3), (8, Some(2), 2), (1, Some(5), 1)] {
        let source = Counted::new(script(5));
        let readings = Readings::new(run_places).of_source(of_source, Arc::default());
        let streams = ["a", "b", "c"].map(|name| {
            let (store, log) = (MemoryStore::new(), MemoryLog::new());
            let mut session = script::session(name, Mode::Full, files(&store), &log, "run");
            (session.readings, session.parallel) = (readings.clone(), 4);
            let source = source.clone();
            async move { run(session, &source, 0).await }
        });
        for report in futures_util::future::join_all(streams).await {
            assert_eq!((report.state, report.rows), (RunState::Done, 50), "{:?}", report.error);
        }
        assert_eq!(source.most_at_once.load(Ordering::SeqCst), most);
        assert_eq!(source.at_once.load(Ordering::SeqCst), 0);
    }
}

/// One that the source cannot go on with begins anew, in the same run, with other chunks.
#[tokio::test(start_paused = true)]
async fn a_load_that_is_lost_begins_anew() {
    let (store, log) = (MemoryStore::new(), MemoryLog::new());
    let lost = || Error::new(Kind::Lost, "the snapshot is gone");
    let source = Counted::new(script(3)).failing(10, lost());
    let report = run(session(&store, &log), &source, 0).await;
    assert_eq!((report.state, report.rows), (RunState::Done, 30), "{:?}", report.error);
    let (there, live) = files_there(&store).await;
    assert_eq!(there, live, "what was given up has left files");
    // What is lost again at once is a failure that is tried again as others are.
    let again = Counted::new(script(3)).failing(10, lost());
    let taken = again.clone();
    let failing = async {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            taken.fails.lock().unwrap().get_or_insert_with(|| (10, lost()));
        }
    };
    tokio::select! {
        report = run(session(&store, &log), &again, 0) => {
            assert_eq!(report.error.map(|error| error.kind()), Some(Kind::Unavailable));
        }
        () = failing => {}
    }
}

/// The job log has the load's count and times, and no value of its keys.
#[tokio::test(start_paused = true)]
async fn the_position_says_how_it_was_read_and_holds_no_keys() {
    for (consistency, words) in [(Consistency::Chunk, "chunk"), (Consistency::Table, "table")] {
        let (store, log) = (MemoryStore::new(), MemoryLog::new());
        let mut source = Counted::new(script(3));
        Arc::get_mut(&mut source).unwrap().consistency = consistency;
        assert_eq!(run(session(&store, &log), &source, 0).await.state, RunState::Done);
        let mark = log.mark("test", "s").await.unwrap().unwrap();
        let position: Value = serde_json::from_str(&mark.position.unwrap()).unwrap();
        assert_eq!((&position["consistency"], &position["chunk_count"]), (&words.into(), &3.into()), "{position}");
        assert_eq!(position.get("read_until").is_some(), consistency == Consistency::Chunk);
        let members: BTreeSet<_> = position.as_object().unwrap().keys().map(String::as_str).collect();
        let known = [
            "generation",
            "definition",
            "started_at",
            "read_at",
            "read_until",
            "consistency",
            "published",
            "chunk_count",
        ];
        assert!(members.is_subset(&known.into()), "{position}");
    }
}

/// A source that is read no faster than it may be, and not while its server is busy.
#[tokio::test(start_paused = true)]
async fn reading_keeps_to_the_pace_of_its_source() {
    // Fifty rows in chunks of ten at once, and five in a second over all of them.
    let quick = |readings: Readings| async move {
        let mut script = script(5);
        script.steps.retain(|step| !matches!(step, Step::Wait(_)));
        let mut session = session(&MemoryStore::new(), &MemoryLog::new());
        (session.readings, session.parallel) = (readings, 5);
        let begun = tokio::time::Instant::now();
        let source = Counted::new(script);
        let report = run(session, &source, 0).await;
        assert_eq!((report.state, report.rows), (RunState::Done, 50), "{:?}", report.error);
        begun.elapsed().as_secs_f64()
    };
    assert!(quick(Readings::new(5)).await < 1.0);
    let slow = Readings::new(5).of_source(None, Arc::new(Pace::new("s", Some(5), None)));
    let took = quick(slow).await;
    assert!((9.0..11.0).contains(&took), "{took} s for fifty rows");
    // Busy at the first questions, then calm: the first answers come after 0, 1, 3 and 7 s.
    let busy = Readings::new(5).of_source(None, Arc::new(Pace::new("s", None, Some(4))));
    BUSY.store(3, Ordering::SeqCst);
    let took = quick(busy).await;
    assert!((7.0..9.0).contains(&took), "{took} s");
}

/// How often [`Counted`] still says that its server is busy.
static BUSY: AtomicUsize = AtomicUsize::new(0);
