//! How a run begins, is repeated and ends: a scripted source, a store in memory.

use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;
use tidemark::destination::files::store::{Created, Store, Upload};
use tidemark::destination::files::stores::memory::Memory as MemoryStore;
use tidemark::destination::files::{Files, Settings, StorePlace};
use tidemark::destination::memory::Memory;
use tidemark::destination::{Destination, Opening, Place};
use tidemark::error::{Error, Kind, Result};
use tidemark::job_log::{JobLog, RunState};
use tidemark::pipeline::{OnChange, Pace, Readings, Session, Sources, StreamReport, run_stream};
use tidemark::record::{Event, Mode, Position, Seal, StreamId, Table};
use tidemark::source::{Reader, Source, feed};

use crate::memory_log::MemoryLog;
use crate::script::{self, Numbers, Script, Step, Through};

fn files(store: Arc<dyn Store>) -> Arc<Files> {
    let memory = Memory::new(128 << 20, 1);
    let settings = Settings { format: Box::new(Numbers), part_bytes: 100, keep_generations: 1, memory };
    Arc::new(Files::new(store, settings))
}

fn session(store: &MemoryStore, log: &MemoryLog, mode: Mode) -> Session {
    script::session("s", mode, files(Arc::new(store.clone())), log, "run")
}

/// So many rows, each with a checkpoint behind it.
fn rows(count: i64) -> Script {
    let step = |n| [Step::Rows { table: 0, from: n, to: n + 1 }, Step::Checkpoint { after: n + 1 }];
    Script { steps: (0..count).flat_map(step).collect(), cuts: Vec::new(), acked: Arc::default() }
}

/// A source for every attempt, and for which attempts one was asked.
struct Shared {
    source: Arc<dyn Source>,
    asked: Mutex<Vec<u32>>,
}

impl Shared {
    fn new(source: impl Source + 'static) -> Self {
        Self { source: Arc::new(source), asked: Mutex::default() }
    }

    /// The attempts that were given a source of their own.
    fn own(&self) -> Vec<u32> {
        self.asked.lock().unwrap().iter().copied().filter(|attempt| *attempt > 0).collect()
    }
}

impl Sources for Shared {
    fn source(&self, attempt: u32) -> Result<Arc<dyn Source>> {
        self.asked.lock().unwrap().push(attempt);
        Ok(self.source.clone())
    }
}

async fn run(session: Session, source: impl Source + 'static) -> StreamReport {
    run_stream(session, &Shared::new(source), 0).await
}

fn opening(log: &MemoryLog) -> Opening {
    let store = MemoryStore::new();
    session(&store, log, Mode::Cdc).opening
}

/// A store that knows no conditions: every create succeeds, and replaces what was there.
#[derive(Clone)]
struct Unconditional(MemoryStore);

#[async_trait]
impl Store for Unconditional {
    async fn create(&self, key: &str, body: Bytes) -> Result<Created> {
        self.0.delete(&[key.to_owned()]).await?;
        self.0.create(key, body).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.0.get(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>> {
        self.0.list(prefix, after).await
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        self.0.delete(keys).await
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        self.0.upload(key).await
    }

    async fn sweep(&self, prefix: &str, dead: &(dyn for<'a> Fn(&'a str) -> bool + Sync)) -> Result<()> {
        self.0.sweep(prefix, dead).await
    }

    fn url(&self, key: &str) -> String {
        self.0.url(key)
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_without_conditions_is_refused_every_time() {
    let (store, log) = (Unconditional(MemoryStore::new()), MemoryLog::new());
    for _ in 0..3 {
        let session = script::session("s", Mode::Cdc, files(Arc::new(store.clone())), &log, "run");
        let error = run(session, rows(3)).await.error.expect("refused");
        assert_eq!(error.kind(), Kind::Config, "{error}");
        assert!(error.message().contains("can be created twice"), "{error}");
    }
}

/// The strangers share our prefix and our stream's name.
#[tokio::test(start_paused = true)]
async fn entries_of_strangers_are_not_noted() {
    let (store, theirs, ours) = (MemoryStore::new(), MemoryLog::new(), MemoryLog::new());
    let mut strangers = session(&store, &theirs, Mode::Cdc);
    strangers.opening.identity = json!("strangers");
    assert_eq!(run(strangers, rows(25)).await.state, RunState::Done);

    for adopt_destination in [false, true] {
        let mut session = session(&store, &ours, Mode::Cdc);
        session.adopt_destination = adopt_destination;
        let error = run(session, rows(3)).await.error.expect("refused");
        assert_eq!(error.kind(), Kind::Conflict);
        assert!(error.message().contains("is another one"), "{error}");
        assert_eq!(ours.recorded("s"), Vec::<u64>::new());
    }
    // As the hint says: with another prefix.
    let report = run(session(&MemoryStore::new(), &ours, Mode::Cdc), rows(3)).await;
    assert_eq!(report.state, RunState::Done, "{:?}", report.error);
}

/// To believe the destination is not to believe a stranger's: what the job log knows of ours is kept.
#[tokio::test(start_paused = true)]
async fn a_destination_that_is_refused_is_not_adopted() {
    let (right, wrong, log) = (MemoryStore::new(), MemoryStore::new(), MemoryLog::new());
    let mut strangers = session(&wrong, &MemoryLog::new(), Mode::Cdc);
    strangers.opening.identity = json!("strangers");
    assert_eq!(run(strangers, rows(1)).await.state, RunState::Done);
    assert_eq!(run(session(&right, &log, Mode::Cdc), rows(45)).await.state, RunState::Done);

    let before = log.mark("test", "s").await.unwrap();
    let mut session = session(&wrong, &log, Mode::Cdc);
    session.adopt_destination = true;
    let error = run(session, rows(45)).await.error.expect("refused");
    assert!(error.message().contains("is another one"), "{error}");
    assert_eq!(log.mark("test", "s").await.unwrap(), before);
}

/// An empty table is its announcement and a checkpoint; the announcement alone is a reader that broke off.
#[tokio::test(start_paused = true)]
async fn an_end_without_a_checkpoint_is_no_end() {
    for mode in [Mode::Full, Mode::Cdc] {
        let (store, log) = (MemoryStore::new(), MemoryLog::new());
        let nothing = Script { steps: Vec::new(), cuts: Vec::new(), acked: Arc::default() };
        let report = run(session(&store, &log, mode), nothing).await;
        let error = report.error.unwrap_or_else(|| panic!("{mode}: taken for complete"));
        assert_eq!(error.kind(), Kind::Bug, "{error}");
        assert!(error.message().contains("ended without a checkpoint"), "{error}");
        assert!(StorePlace(Arc::new(store.clone())).files(&StreamId::new("s")).await.unwrap().is_empty());

        let empty = Script { steps: vec![Step::Checkpoint { after: 0 }], cuts: Vec::new(), acked: Arc::default() };
        let report = run(session(&store, &log, mode), empty).await;
        assert_eq!(report.state, RunState::Done, "{mode}: {:?}", report.error);
    }
}

/// A checkpoint that is committed covers what came before it, not an announcement that came after.
#[tokio::test(start_paused = true)]
async fn an_earlier_checkpoint_is_no_end() {
    let mut script = rows(10);
    script.steps.push(Step::Rows { table: 1, from: 10, to: 10 });
    let report = run(session(&MemoryStore::new(), &MemoryLog::new(), Mode::Full), script).await;
    assert!(report.error.expect("refused").message().contains("ended without a checkpoint"));
}

/// Nothing ends a reader's task but the reader's own end; where something does, that is not the table's end.
#[test]
fn a_task_that_was_cancelled_is_no_end() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (reading, polling) = (runtime(), runtime());
    let mut reader = reading.block_on(async {
        let reader = feed::from_task(|outlet| async move {
            let _ = outlet.send(Event::Checkpoint(Position::new(json!(1)).into())).await;
            std::future::pending().await
        });
        tokio::task::yield_now().await;
        reader
    });
    drop(reading);
    assert!(matches!(polling.block_on(reader.next()), Ok(Some(Event::Checkpoint(_)))));
    let error = polling.block_on(reader.next()).expect_err("an end");
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}

/// Breaks off after every so many rows, as a network does in a year.
fn breaking_off(script: Script, rows: i64) -> impl Source {
    Through { script, around: move |inner| Box::new(FlakyReader { inner, left: rows }) as _ }
}

struct FlakyReader {
    inner: Box<dyn Reader>,
    left: i64,
}

#[async_trait]
impl Reader for FlakyReader {
    async fn next(&mut self) -> Result<Option<Event>> {
        if self.left == 0 {
            return Err(Error::unavailable("the connection broke off"));
        }
        let event = self.inner.next().await?;
        if let Some(Event::Rows(rows)) = &event {
            self.left -= rows.batch.num_rows() as i64;
        }
        Ok(event)
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_begins_the_count_of_retries_anew() {
    // Ten rows are a commit.
    let sources = Shared::new(breaking_off(rows(100), 15));
    let session = session(&MemoryStore::new(), &MemoryLog::new(), Mode::Cdc);
    let report = run_stream(session, &sources, 1).await;
    assert_eq!((report.state, report.rows), (RunState::Done, 100), "over all attempts: {:?}", report.error);
    // A new source for each attempt after the first, however often the count begins anew.
    let own = sources.own();
    assert!(own.len() > 2 && own.iter().copied().eq(1..=own.len() as u32), "{own:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_commit_retries_end() {
    let sources = Shared::new(breaking_off(rows(100), 5));
    let session = session(&MemoryStore::new(), &MemoryLog::new(), Mode::Cdc);
    let report = run_stream(session, &sources, 3).await;
    assert_eq!(report.error.map(|error| error.kind()), Some(Kind::Unavailable));
    assert_eq!(sources.own(), [1, 2, 3]);
}

/// Whatever a later run needs to be right outlives openings, and is replaced with the position that it goes with.
#[tokio::test(start_paused = true)]
async fn the_state_is_carried_on() {
    let (store, log, id) = (MemoryStore::new(), MemoryLog::new(), StreamId::new("s"));
    let files = files(Arc::new(store.clone()));
    let mut writer = files.open(&id, &opening(&log)).await.unwrap();
    let seal = Seal { state: json!({ "skipped": [1] }), ..Seal::at(Some(Position::new(json!({ "after": 0 })))) };
    writer.commit(seal).await.unwrap();
    let reopened = files.open(&id, &opening(&log)).await.unwrap();
    assert_eq!(reopened.last().state, json!({ "skipped": [1] }));

    assert_eq!(run(session(&store, &log, Mode::Cdc), rows(15)).await.state, RunState::Done);
    let last = files.last(&id, None).await.unwrap().unwrap();
    assert_eq!((last.last_seq, last.state), (15, json!(null)));
}

/// The destination is looked at, and nothing is left there.
#[tokio::test(start_paused = true)]
async fn a_run_that_finds_nothing_new_leaves_no_entry() {
    let (store, log) = (MemoryStore::new(), MemoryLog::new());
    assert_eq!(run(session(&store, &log, Mode::Incremental), rows(25)).await.rows, 25);
    let before = store.list("", None).await.unwrap();
    let report = run(session(&store, &log, Mode::Incremental), rows(25)).await;
    assert_eq!((report.state, report.rows), (RunState::Done, 0), "{:?}", report.error);
    assert_eq!(report.high_water_mark.as_deref(), Some("{\"after\":25}"));
    assert_eq!(store.list("", None).await.unwrap(), before);
    // A stranger's is not taken for ours, though nothing would be written there.
    let mut stranger = session(&store, &MemoryLog::new(), Mode::Incremental);
    stranger.opening.identity = json!("stranger");
    assert_eq!(run(stranger, rows(25)).await.error.unwrap().kind(), Kind::Conflict);
    // A job log that has lost the stream hears of it all the same.
    let other = MemoryLog::new();
    let mut session = session(&store, &other, Mode::Incremental);
    session.opening.run = "other".to_owned();
    run(session, rows(25)).await;
    assert_eq!(other.mark("test", "s").await.unwrap(), log.mark("test", "s").await.unwrap());
}

/// The column that came is in new files, by choice; without it nothing is written.
#[tokio::test(start_paused = true)]
async fn changed_columns_are_told_or_refused() {
    let (store, log) = (MemoryStore::new(), MemoryLog::new());
    assert_eq!(run(session(&store, &log, Mode::Incremental), rows(5)).await.state, RunState::Done);
    let wider = || Through { script: rows(9), around: |inner| Box::new(Wider(inner)) as _ };
    let before = store.list("a/", None).await.unwrap();

    let error = run(session(&store, &log, Mode::Incremental), wider()).await.error.expect("refused");
    assert_eq!(error.kind(), Kind::Schema);
    assert!(error.to_string().contains("more came (Int64)"), "{error}");
    assert_eq!(store.list("a/", None).await.unwrap(), before);

    let mut session = session(&store, &log, Mode::Incremental);
    session.on_schema_change = OnChange::Evolve;
    let report = run(session, wider()).await;
    assert_eq!((report.state, report.rows), (RunState::Done, 4), "{:?}", report.error);
    let last = files(Arc::new(store.clone())).last(&StreamId::new("s"), None).await.unwrap().unwrap();
    let names = |schema: &serde_json::Value| schema["columns"].as_array().unwrap().len();
    assert_eq!(last.schemas.values().map(names).collect::<Vec<_>>(), [3], "n, more, _seq");
}

/// What is new is read no faster than a whole table.
#[tokio::test(start_paused = true)]
async fn a_growing_stream_keeps_to_the_pace_of_its_source() {
    let (store, log) = (MemoryStore::new(), MemoryLog::new());
    let mut session = session(&store, &log, Mode::Incremental);
    session.readings = Readings::new(1).of_source(None, Arc::new(Pace::new("s", Some(5), None)));
    let begun = tokio::time::Instant::now();
    let report = run(session, rows(21)).await;
    let took = begun.elapsed().as_secs_f64();
    assert!(report.rows == 21 && (3.5..5.0).contains(&took), "{took} s: {:?}", report.error);
}

/// Its tables have a second column.
struct Wider(Box<dyn Reader>);

#[async_trait]
impl Reader for Wider {
    async fn next(&mut self) -> Result<Option<Event>> {
        let mut rows = match self.0.next().await? {
            Some(Event::Rows(rows)) => rows,
            other => return Ok(other),
        };
        let more = Arc::new(Field::new("more", DataType::Int64, true));
        let schema = Schema::new(rows.table.schema.fields().iter().cloned().chain([more]).collect::<Vec<_>>());
        let table = Table::new(rows.table.name.clone(), Arc::new(schema), rows.table.key.clone());
        let columns = [rows.batch.column(0).clone(), rows.batch.column(0).clone()];
        rows.batch = RecordBatch::try_new(table.schema.clone(), columns.into()).unwrap();
        rows.table = Arc::new(table);
        Ok(Some(Event::Rows(rows)))
    }
}
