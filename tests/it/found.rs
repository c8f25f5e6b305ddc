//! Tables whose columns are found in their rows: loads in chunks that have columns of their own, and streams whose columns become
//! more and wider while they are read.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{RecordBatch, new_null_array};
use arrow_schema::{DataType, Field, Schema};
use async_trait::async_trait;
use bytes::Bytes;
use tidemark::destination::Destination;
use tidemark::destination::files::stores::memory::Memory as MemoryStore;
use tidemark::destination::files::{Files, Settings};
use tidemark::destination::memory::Memory;
use tidemark::error::{Error, Kind, Result};
use tidemark::format::{Encoder, Format};
use tidemark::job_log::RunState;
use tidemark::pipeline::{OnChange, Session, Sources, StreamReport, run_stream};
use tidemark::record::{Event, Mode, StreamId, Table, field};
use tidemark::source::{Reader, Source};

use crate::memory_log::MemoryLog;
use crate::script::{self, Script, Step, Through};

/// The columns that a row has besides its number.
type Row = fn(i64) -> Vec<(String, DataType)>;

/// Every tenth row has a column that the others have not, and one in a hundred has a number that is no integer.
fn plain(n: i64) -> Vec<(String, DataType)> {
    let x = if n % 97 == 5 { DataType::Float64 } else { DataType::Int32 };
    vec![(format!("c{}", n / 10), DataType::Utf8), ("x".to_owned(), x)]
}

/// The same, and from some row on another column.
fn with_another(n: i64) -> Vec<(String, DataType)> {
    plain(n).into_iter().chain((n >= 60).then(|| ("extra".to_owned(), DataType::Boolean))).collect()
}

/// A late row has a text for a number.
fn with_a_text(n: i64) -> Vec<(String, DataType)> {
    let number = if n % 97 == 5 { DataType::Float64 } else { DataType::Int32 };
    vec![("x".to_owned(), if n == 77 { DataType::Utf8 } else { number })]
}

/// From some row on there is a column.
fn altered(n: i64) -> Vec<(String, DataType)> {
    if n < 60 { Vec::new() } else { vec![("extra".to_owned(), DataType::Boolean)] }
}

/// A reader whose tables have the columns that its rows have had so far.
struct Finding {
    inner: Box<dyn Reader>,
    row: Row,
    /// They are found, and not an ALTER's doing.
    is_found: bool,
    known: Vec<(String, DataType)>,
}

impl Finding {
    fn meet(&mut self, n: i64) {
        for (name, of) in (self.row)(n) {
            match self.known.iter_mut().find(|(known, _)| *known == name) {
                None => self.known.push((name, of)),
                Some((_, known)) if of == DataType::Utf8 || *known == DataType::Int32 => *known = of,
                Some(_) => {}
            }
        }
    }
}

#[async_trait]
impl Reader for Finding {
    async fn next(&mut self) -> Result<Option<Event>> {
        let mut rows = match self.inner.next().await? {
            Some(Event::Rows(rows)) => rows,
            other => return Ok(other),
        };
        let numbers = rows.batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        numbers.iter().for_each(|n| self.meet(*n));
        let native = |(name, of): &(String, DataType)| field::with_native(field::nullable(name, of.clone()), "x");
        let own = rows.table.schema.field(0).clone();
        let fields: Vec<Field> = [own].into_iter().chain(self.known.iter().map(native)).collect();
        let schema = match self.is_found {
            true => Schema::new(fields).with_metadata([(field::FOUND.to_owned(), String::new())]),
            false => Schema::new(fields),
        };
        let table = Table::new(rows.table.name.clone(), Arc::new(schema), rows.table.key.clone());
        let nulls = self.known.iter().map(|(_, of)| new_null_array(of, numbers.len()));
        let columns = [rows.batch.column(0).clone()].into_iter().chain(nulls).collect();
        rows.batch = RecordBatch::try_new(table.schema.clone(), columns).unwrap();
        rows.table = Arc::new(table);
        Ok(Some(Event::Rows(rows)))
    }
}

/// Rows 0..100, ten at a time, with a checkpoint behind each ten.
fn source(cuts: &[i64], row: Row, is_found: bool) -> Arc<dyn Source> {
    rows_of(100, cuts, row, is_found)
}

fn rows_of(count: i64, cuts: &[i64], row: Row, is_found: bool) -> Arc<dyn Source> {
    let step =
        |n: i64| [Step::Rows { table: 0, from: n * 10, to: n * 10 + 10 }, Step::Checkpoint { after: n * 10 + 10 }];
    let script = Script { steps: (0..count / 10).flat_map(step).collect(), cuts: cuts.to_vec(), acked: Arc::default() };
    let around = move |inner| Box::new(Finding { inner, row, is_found, known: Vec::new() }) as Box<dyn Reader>;
    Arc::new(Through { script, around })
}

/// A byte for each row, of whatever columns.
struct Bytewise;

impl Format for Bytewise {
    fn extension(&self) -> &str {
        "rows"
    }

    fn encoder(&self, _: &Table, _: usize) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(Counting(0)))
    }
}

struct Counting(usize);

impl Encoder for Counting {
    fn encode(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0 += batch.num_rows();
        Ok(())
    }

    fn take(&mut self) -> Option<Bytes> {
        None
    }

    fn buffered(&self) -> usize {
        0
    }

    fn finish(self: Box<Self>) -> Result<Bytes> {
        Ok(vec![0; self.0].into())
    }
}

struct Place {
    store: MemoryStore,
    log: MemoryLog,
}

impl Place {
    fn new() -> Self {
        Self { store: MemoryStore::new(), log: MemoryLog::new() }
    }

    fn files(&self) -> Arc<Files> {
        let memory = Memory::new(128 << 20, 1);
        let settings = Settings { format: Box::new(Bytewise), part_bytes: 1 << 20, keep_generations: 1, memory };
        Arc::new(Files::new(Arc::new(self.store.clone()), settings))
    }

    /// A run that refuses other columns, unless it is told otherwise.
    async fn run(&self, mode: Mode, source: Arc<dyn Source>, on_change: OnChange) -> StreamReport {
        let session =
            Session { on_schema_change: on_change, ..script::session("s", mode, self.files(), &self.log, "run") };
        run_stream(session, &Same(source), 0).await
    }

    async fn loads(&self, source: Arc<dyn Source>) -> Result<(), Error> {
        let report = self.run(Mode::Full, source, OnChange::Fail).await;
        assert_eq!(report.error.is_none(), report.state == RunState::Done);
        report.error.map_or(Ok(()), Err)
    }

    /// How many rows of the stream are committed.
    async fn rows(&self) -> u64 {
        let files = self.files();
        let last = files.last(&StreamId::new("s"), None).await.unwrap().unwrap().seq;
        let entries = files.range(&StreamId::new("s"), 0, last).await.unwrap();
        entries.iter().map(|entry| entry.rows()).sum()
    }
}

struct Same(Arc<dyn Source>);

impl Sources for Same {
    fn source(&self, _: u32) -> Result<Arc<dyn Source>> {
        Ok(self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn chunks_of_a_load_may_have_columns_of_their_own() {
    let place = Place::new();
    for cuts in [&[30, 60][..], &[], &[10, 20, 50, 80, 90], &[70]] {
        place.loads(source(cuts, plain, true)).await.unwrap_or_else(|error| panic!("cut at {cuts:?}: {error}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_whose_rows_have_other_columns_is_refused_by_choice() {
    let place = Place::new();
    place.loads(source(&[40], plain, true)).await.unwrap();
    let error = place.loads(source(&[20, 50], with_another, true)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Schema);
    assert!(error.message().ends_with("the columns of table a have changed: extra came (Boolean)"), "{error}");
    let place = Place::new();
    place.loads(rows_of(70, &[40], with_a_text, true)).await.unwrap();
    let error = place.loads(source(&[70], with_a_text, true)).await.unwrap_err();
    assert!(error.message().ends_with("x was Float64 or Int32, is Float64 or Utf8"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn chunks_of_a_table_that_was_altered_are_not_put_together() {
    let error = Place::new().loads(source(&[30, 60], altered, false)).await.unwrap_err();
    assert!(error.message().contains("table a was altered while it was loaded: "), "{error}");
}

/// Whatever made the columns others: the run meets it before the first of the rows, and so does the next.
#[tokio::test(start_paused = true)]
async fn columns_that_come_within_a_run_are_refused_by_choice() {
    for (is_found, row, left, wanted) in [
        (true, altered as Row, 60, "extra came (Boolean)"),
        (true, with_a_text, 70, "is Utf8"),
        (false, altered, 60, "extra came (Boolean, x at the source)"),
    ] {
        let place = Place::new();
        let (first, all) = (rows_of(10, &[], row, is_found), source(&[], row, is_found));
        assert_eq!(place.run(Mode::Incremental, first, OnChange::Fail).await.rows, 10);
        for _ in 0..2 {
            let error = place.run(Mode::Incremental, all.clone(), OnChange::Fail).await.error.expect("refused");
            assert_eq!((error.kind(), place.rows().await), (Kind::Schema, left), "{error}");
            assert!(error.to_string().contains(wanted), "{error}");
        }
        let report = place.run(Mode::Incremental, all, OnChange::Evolve).await;
        assert_eq!((report.state, place.rows().await), (RunState::Done, 100), "{:?}", report.error);
    }
}
