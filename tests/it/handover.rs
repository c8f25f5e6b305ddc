//! An incremental stream that begins with a full load, and begins anew with another.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tidemark::destination::files::store::Store;
use tidemark::destination::files::stores::memory::Memory as MemoryStore;
use tidemark::destination::files::{Files, Settings, StorePlace};
use tidemark::destination::memory::Memory;
use tidemark::destination::{Destination, Place};
use tidemark::error::{Error, Result};
use tidemark::job_log::{JobLog, RunState};
use tidemark::pipeline::{Session, Sources, StreamReport, plan_stream, run_stream, run_windows};
use tidemark::record::{Checkpoint, Mode, Position, Range, StreamId};
use tidemark::source::{Chunks, Consistency, Description, Listing, Reader, Selection, Source, Stream, Wanted};

use crate::memory_log::MemoryLog;
use crate::script::{self, Numbers, Script, Step, read_numbers};

/// Rows `0..rows`, in two chunks up to `handed`, where it hands over.
#[derive(Clone)]
struct Handed {
    rows: i64,
    handed: i64,
    /// The chunk from this row on cannot be read.
    broken: Option<i64>,
}

fn rows(from: i64, to: i64) -> Script {
    let step = |n| [Step::Rows { table: 0, from: n, to: n + 1 }, Step::Checkpoint { after: n + 1 }];
    Script { steps: (from..to).flat_map(step).collect(), cuts: Vec::new(), acked: Arc::default() }
}

#[async_trait]
impl Source for Handed {
    async fn identity(&self) -> Result<Value> {
        Ok(json!("script"))
    }

    async fn streams(&self, _: &[Selection]) -> Result<Listing> {
        Ok(Listing::default())
    }

    async fn describe(&self, stream: &Stream) -> Result<Description> {
        rows(0, 0).describe(stream).await
    }

    async fn chunks(&self, _: &Stream) -> Result<Chunks> {
        let middle = self.handed / 2;
        let ranges = [(0, middle), (middle, self.handed)].map(|range| Range::new(json!(range)));
        Ok(Chunks { ranges: ranges.into(), ..Chunks::whole(Consistency::Chunk) })
    }

    async fn hand_over(&self, _: &Stream, chunks: Chunks) -> Result<Chunks> {
        let handover = Position::new(json!({ "after": self.handed })).into();
        Ok(Chunks { handover: Some(handover), ..chunks })
    }

    /// From a row to another, so many at a time.
    async fn windows(&self, _: &Stream, wanted: &Wanted, mark: Option<&Checkpoint>) -> Result<Vec<Range>> {
        let number = |text: &Option<String>| text.as_ref().map(|text| text.parse::<i64>().unwrap());
        let mark = mark.map(|mark| mark.position.as_value()["after"].as_i64().unwrap());
        let (from, until) = (number(&wanted.from).unwrap_or(0), number(&wanted.until).or(mark).unwrap());
        let step = number(&wanted.step).unwrap_or(until - from);
        let borders: Vec<_> = (from..until).step_by(step as usize).chain([until]).collect();
        Ok(borders.windows(2).map(|pair| Range::new(json!(pair))).collect())
    }

    async fn open(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        let (from, to) = match &stream.range {
            Some(range) => serde_json::from_value(range.as_value().clone()).unwrap(),
            None => (0, self.rows),
        };
        match self.broken == Some(from) && stream.range.is_some() {
            true => Err(Error::data("broken")),
            false => rows(from, to).open(&Stream { range: None, ..stream.clone() }, after).await,
        }
    }
}

struct Shared(Handed);

impl Sources for Shared {
    fn source(&self, _: u32) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(self.0.clone()))
    }
}

struct Case {
    store: MemoryStore,
    log: MemoryLog,
    runs: u32,
}

impl Case {
    fn new() -> Self {
        Self { store: MemoryStore::new(), log: MemoryLog::new(), runs: 0 }
    }

    fn destination(&self) -> Arc<dyn Destination> {
        let memory = Memory::new(128 << 20, 1);
        let settings = Settings { format: Box::new(Numbers), part_bytes: 100, keep_generations: 1, memory };
        Arc::new(Files::new(Arc::new(self.store.clone()), settings))
    }

    fn session(&mut self, mode: Mode, full_refresh: bool) -> Session {
        self.runs += 1;
        let run = format!("run {}", self.runs);
        let session = script::session("s", mode, self.destination(), &self.log, &run);
        session.full_refresh.store(full_refresh, std::sync::atomic::Ordering::Relaxed);
        session
    }

    async fn run(&mut self, source: Handed, full_refresh: bool) -> StreamReport {
        let session = self.session(Mode::Incremental, full_refresh);
        run_stream(session, &Shared(source), 0).await
    }

    async fn backfill(&mut self, source: Handed, from: &str, until: Option<&str>, step: &str) -> StreamReport {
        let until = until.map(str::to_owned);
        let wanted = Wanted { from: Some(from.to_owned()), until, step: Some(step.to_owned()) };
        run_windows(self.session(Mode::Incremental, false), &Shared(source), 0, &wanted).await
    }

    /// Every live row with its number, in order.
    async fn live(&self) -> Vec<(i64, i64)> {
        let mut live = Vec::new();
        for url in StorePlace(Arc::new(self.store.clone())).files(&StreamId::new("s")).await.unwrap() {
            let keys = self.store.list("", None).await.unwrap();
            let key =
                keys.iter().find(|key| url.ends_with(key.as_str())).unwrap_or_else(|| panic!("{url} is not there"));
            let body = self.store.get(key).await.unwrap().unwrap();
            live.extend(read_numbers(&body, 2).iter().map(|row| (row[0], row[1])));
        }
        live.sort_unstable();
        live
    }

    /// The parts that lie beside the generations.
    async fn grown(&self) -> usize {
        let keys = self.store.list("a/s-", None).await.unwrap();
        keys.len()
    }
}

/// `from..to`, all with one number.
fn same(from: i64, to: i64, number: i64) -> impl Iterator<Item = (i64, i64)> {
    (from..to).map(move |n| (n, number))
}

#[tokio::test(start_paused = true)]
async fn a_first_load_hands_over_without_a_gap() {
    let mut case = Case::new();
    let source = |rows| Handed { rows, handed: 10, broken: None };
    let report = case.run(source(10), false).await;
    assert_eq!((report.state, report.rows), (RunState::Done, 10), "{:?}", report.error);
    assert_eq!(report.high_water_mark.as_deref(), Some("{\"after\":10}"));
    assert_eq!(case.live().await, same(0, 10, 1).collect::<Vec<_>>());

    let before = case.store.list("", None).await.unwrap();
    assert_eq!(case.run(source(10), false).await.rows, 0);
    assert_eq!(case.store.list("", None).await.unwrap(), before, "nothing new, and no entry");

    assert_eq!(case.run(source(13), false).await.rows, 3);
    let grown = [(10, 2), (11, 3), (12, 4)];
    assert_eq!(case.live().await, same(0, 10, 1).chain(grown).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_first_load_goes_on_with_what_it_began_with() {
    let mut case = Case::new();
    let error = case.run(Handed { rows: 10, handed: 10, broken: Some(5) }, false).await.error.unwrap();
    assert!(error.message().contains("broken"), "{error}");
    assert!(case.live().await.is_empty());
    // The source would cut it otherwise by now: what was begun stays, and the run goes on behind it.
    let report = case.run(Handed { rows: 14, handed: 14, broken: None }, false).await;
    assert_eq!(report.high_water_mark.as_deref(), Some("{\"after\":14}"), "{:?}", report.error);
    let grown = (10..14).map(|n| (n, n - 8));
    assert_eq!(case.live().await, same(0, 10, 1).chain(grown).collect::<Vec<_>>());
    assert_eq!(report.rows, 14);
}

/// Whoever looks at a stream in the middle of its first load sees a load, and no mark.
#[tokio::test(start_paused = true)]
async fn an_unfinished_first_load_is_no_mark() {
    let mut case = Case::new();
    case.run(Handed { rows: 10, handed: 10, broken: Some(5) }, false).await.error.unwrap();
    let source = Handed { rows: 14, handed: 14, broken: None };
    let mut session = case.session(Mode::Incremental, false);
    let planned = plan_stream(&mut session, Arc::new(source.clone())).await.unwrap();
    let what = &planned.streams[0].what;
    assert!(what.contains("of 2 chunks left") && what.contains("one process"), "{what}");
    assert_eq!((planned.parts.len(), planned.streams[0].is_begun), (1, true));
    let error = case.backfill(source.clone(), "0", Some("9"), "3").await.error.unwrap();
    assert!(error.message().contains("first load") && error.to_string().contains("tidemark run s"), "{error}");
    assert_eq!(case.run(source, false).await.state, RunState::Done);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_begins_anew_and_leaves_nothing_behind() {
    let mut case = Case::new();
    for rows in [10, 12] {
        case.run(Handed { rows, handed: 10, broken: None }, false).await;
    }
    assert_eq!(case.grown().await, 1);
    // A refresh that fails shows nothing.
    case.run(Handed { rows: 20, handed: 20, broken: Some(0) }, true).await.error.unwrap();
    assert_eq!(case.live().await.len(), 12);
    // Without the option it goes on: it has begun.
    let report = case.run(Handed { rows: 20, handed: 20, broken: None }, false).await;
    assert_eq!(report.high_water_mark.as_deref(), Some("{\"after\":20}"), "{:?}", report.error);
    assert_eq!(case.live().await, same(0, 20, 4).collect::<Vec<_>>());
    assert_eq!(case.grown().await, 1, "the load before is kept with what followed it");

    case.run(Handed { rows: 21, handed: 20, broken: None }, false).await;
    assert_eq!((case.live().await.len(), case.grown().await), (21, 2));
    case.run(Handed { rows: 30, handed: 30, broken: None }, true).await;
    assert_eq!(case.live().await, same(0, 30, 6).collect::<Vec<_>>());
    assert_eq!(case.grown().await, 1, "what followed the first load went with it");
}

/// A stream that grew from its first row on, without a load.
#[tokio::test(start_paused = true)]
async fn a_stream_without_a_load_is_refreshed_too() {
    let mut case = Case::new();
    let session = case.session(Mode::Incremental, false);
    struct Plain;
    impl Sources for Plain {
        fn source(&self, _: u32) -> Result<Arc<dyn Source>> {
            Ok(Arc::new(rows(0, 12)))
        }
    }
    assert_eq!(run_stream(session, &Plain, 0).await.rows, 12);
    assert_eq!(case.live().await.len(), 12);
    let report = case.run(Handed { rows: 20, handed: 20, broken: None }, true).await;
    assert_eq!(report.state, RunState::Done, "{:?}", report.error);
    assert_eq!(case.live().await, same(0, 20, 13).collect::<Vec<_>>());
    assert_eq!(case.grown().await, 0);
    assert_eq!(case.log.mark("test", "s").await.unwrap().unwrap().position.as_deref(), Some("{\"after\":20}"));
}

/// What is read again is newer than what was delivered and older than what comes, and the mark stays where it is.
#[tokio::test(start_paused = true)]
async fn a_backfill_moves_no_mark() {
    let mut case = Case::new();
    let source = |rows| Handed { rows, handed: 10, broken: None };
    for rows in [10, 12] {
        case.run(source(rows), false).await;
    }
    let report = case.backfill(source(12), "4", None, "3").await;
    assert_eq!((report.state, report.rows), (RunState::Done, 8), "{:?}", report.error);
    assert_eq!(report.stream.to_string(), "s@6");
    let again = [(4, 4), (5, 4), (6, 4), (7, 5), (8, 5), (9, 5), (10, 6), (11, 6)];
    let sorted = |rows: Vec<(i64, i64)>| {
        let mut rows = rows;
        rows.sort_unstable();
        rows
    };
    let before: Vec<_> = same(0, 10, 1).chain([(10, 2), (11, 3)]).chain(again).collect();
    assert_eq!(case.live().await, sorted(before.clone()));

    // The stream has nothing new, and what comes later has greater numbers.
    let keys = case.store.list("", None).await.unwrap();
    assert_eq!(case.run(source(12), false).await.rows, 0);
    assert_eq!(case.store.list("", None).await.unwrap(), keys);
    let report = case.run(source(13), false).await;
    assert_eq!((report.rows, report.high_water_mark.as_deref()), (1, Some("{\"after\":13}")));
    assert_eq!(case.live().await, sorted(before.into_iter().chain([(12, 7)]).collect()));
    assert_eq!(case.log.mark("test", "s").await.unwrap().unwrap().position.as_deref(), Some("{\"after\":13}"));
}

#[tokio::test(start_paused = true)]
async fn a_backfill_goes_on_with_the_windows_that_are_left() {
    let mut case = Case::new();
    let source = |broken| Handed { rows: 12, handed: 10, broken };
    case.run(source(None), false).await;
    case.run(source(None), false).await;
    let error = case.backfill(source(Some(6)), "0", Some("9"), "3").await.error.unwrap();
    assert!(error.message().contains("broken"), "{error}");
    let report = case.backfill(source(None), "0", Some("9"), "3").await;
    assert_eq!((report.state, report.rows), (RunState::Done, 9), "{:?}", report.error);
    let live = case.live().await;
    assert_eq!(live.len(), 12 + 9, "none is there twice: {live:?}");
    // When it has come to its end, the same is another one.
    case.backfill(source(None), "0", Some("9"), "3").await;
    assert_eq!(case.live().await.len(), 12 + 18);
    // A load that begins anew leaves no windows of before behind, also of a stream that has not grown since.
    for handed in [12, 12] {
        case.run(Handed { rows: 12, handed, broken: None }, true).await;
    }
    assert_eq!(case.live().await.len(), 12);
    assert_eq!(case.store.list("a/s@", None).await.unwrap(), Vec::<String>::new());
}
