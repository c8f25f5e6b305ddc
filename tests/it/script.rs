//! A source whose rows are known beforehand, and the little around it that a run needs: what a crash test compares with.

use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tidemark::config::{Key, Section};
use tidemark::destination::{Destination, Opening};
use tidemark::error::Result;
use tidemark::format::{Encoder, Format};
use tidemark::job_log::JobLog;
use tidemark::pipeline::{Limits, Notice, Observer, OnChange, Readings, Session, Stop};
use tidemark::record::{Checkpoint, Event, Mode, Position, Range, Rows, StreamId, Table};
use tidemark::source::{
    Chunks, Consistency, Description, Following, Listing, Reader, STREAM_KEYS, Selection, Source, Stream,
};
use tokio::time::{Duration, Instant};

use crate::memory_log::MemoryLog;

/// Rows 0..n in two tables, in batches, with a checkpoint after some of them.
#[derive(Debug, Clone)]
pub struct Script {
    pub steps: Vec<Step>,
    /// Where a full load is cut into chunks: at rows with which a step begins.
    pub cuts: Vec<i64>,
    /// How far the source was told that it may forget.
    pub acked: Arc<Mutex<i64>>,
}

#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// Rows `from..to` of table `a` or `b`.
    Rows {
        table: usize,
        from: i64,
        to: i64,
    },
    Checkpoint {
        after: i64,
    },
    /// Nothing comes for so many seconds.
    Wait(u64),
}

impl Script {
    /// `rows` rows, cut by the numbers that `random` gives.
    pub fn new(rows: i64, random: &mut dyn FnMut(u64) -> u64) -> Self {
        let mut steps = Vec::new();
        let mut at = 0;
        while at < rows {
            let to = (at + 1 + random(7) as i64).min(rows);
            steps.push(Step::Rows { table: random(2) as usize, from: at, to });
            at = to;
            if random(3) == 0 {
                steps.push(Step::Checkpoint { after: at });
            }
            if random(6) == 0 {
                steps.push(Step::Wait(random(20)));
            }
        }
        steps.push(Step::Checkpoint { after: rows });
        Self { steps, cuts: Vec::new(), acked: Arc::new(Mutex::new(0)) }
    }

    /// The same, in at most so many chunks.
    pub fn cut(mut self, most: u64, random: &mut dyn FnMut(u64) -> u64) -> Self {
        let begins = |step: &Step| if let Step::Rows { from, .. } = step { Some(*from) } else { None };
        let begins: Vec<_> = self.steps.iter().filter_map(begins).filter(|from| *from > 0).collect();
        self.cuts =
            (1..most).filter_map(|_| begins.get(random(begins.len().max(1) as u64) as usize).copied()).collect();
        self.cuts.sort_unstable();
        self.cuts.dedup();
        self
    }

    /// The steps of a range; its end is a checkpoint.
    fn within(&self, range: Option<&Range>) -> Vec<Step> {
        // Ranges of other makers are theirs to keep to.
        let member = |name: &str| range.and_then(|range| range.as_value()[name].as_i64());
        let (Some(after), Some(to)) = (member("after"), member("to")) else { return self.steps.clone() };
        let is_within = |step: &Step| matches!(step, Step::Rows { from, to: end, .. } if *from >= after && *end <= to);
        let first = self.steps.iter().position(is_within).unwrap_or(0);
        let last = self.steps.iter().rposition(is_within).map_or(0, |last| last + 1);
        let mut steps = self.steps[first..last].to_vec();
        steps.push(Step::Checkpoint { after: to });
        steps
    }

    pub fn tables() -> [Arc<Table>; 2] {
        ["a", "b/ü"].map(|name| {
            let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
            Arc::new(Table::new(name, schema, vec!["n".to_owned()]))
        })
    }

    pub fn stream(name: &str, mode: Mode) -> Stream {
        let keys: Vec<&'static Key> = STREAM_KEYS.iter().collect();
        let section = Section::of_keys("stream s", keys, &[("table", "a")]).unwrap();
        let selection = Selection::of(name, &section, Some(mode)).unwrap();
        Stream {
            id: StreamId::new(name),
            selection: Arc::new(selection),
            tables: vec!["a".to_owned()],
            following: Following::default(),
            estimate: None,
            range: None,
        }
    }
}

/// A run of a stream of [`Script`]'s tables that nobody stops, with small commits.
pub fn session(name: &str, mode: Mode, destination: Arc<dyn Destination>, log: &MemoryLog, run: &str) -> Session {
    let (stopper, stop) = Stop::new();
    drop(stopper);
    Session {
        pipeline: "test".to_owned(),
        stream: Script::stream(name, mode),
        shown: StreamId::new(name),
        destination,
        job_log: Arc::new(log.clone()),
        opening: Opening {
            run: run.to_owned(),
            mode,
            identity: json!("script"),
            holder: log.holder(),
            after: None,
            take_over: false,
        },
        definition: "script".to_owned(),
        readings: Readings::new(2),
        parallel: 2,
        limits: Limits { bytes: u64::MAX, rows: 10, interval: Duration::from_secs(5), idle: Duration::from_secs(60) },
        adopt_destination: false,
        resume_within: Duration::from_secs(3600),
        full_refresh: Default::default(),
        on_schema_change: OnChange::Fail,
        observer: Arc::new(Silent),
        stop,
        commits: Default::default(),
        totals: Default::default(),
        lag: Default::default(),
        growing: Default::default(),
        shortfall: Default::default(),
    }
}

struct Silent;

impl Observer for Silent {
    fn notice(&self, _: &StreamId, _: Notice) {}
}

#[async_trait]
impl Source for Script {
    async fn identity(&self) -> Result<Value> {
        Ok(json!("script"))
    }

    async fn streams(&self, _: &[Selection]) -> Result<Listing> {
        Ok(Listing::default())
    }

    async fn describe(&self, _: &Stream) -> Result<Description> {
        Ok(Description { table: Self::tables()[0].clone(), notes: Vec::new() })
    }

    async fn chunks(&self, _: &Stream) -> Result<Chunks> {
        if self.cuts.is_empty() {
            return Ok(Chunks::whole(Consistency::Statement));
        }
        let end =
            self.steps.iter().map(|step| if let Step::Rows { to, .. } = step { *to } else { 0 }).max().unwrap_or(0);
        let ends = self.cuts.iter().copied().chain([end]);
        let begins = [0].into_iter().chain(self.cuts.iter().copied());
        let ranges = begins.zip(ends).map(|(after, to)| Range::new(json!({ "after": after, "to": to }))).collect();
        Ok(Chunks { ranges, ..Chunks::whole(Consistency::Chunk) })
    }

    async fn open(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        let after = after.map_or(0, |after| after.position.as_value()["after"].as_i64().unwrap());
        let steps = self.within(stream.range.as_ref());
        let rest = steps.iter().skip_while(|step| match step {
            Step::Rows { to, .. } => *to <= after,
            Step::Checkpoint { after: at } => *at <= after,
            Step::Wait(_) => true,
        });
        let mut events: Vec<_> =
            Self::tables().map(|table| Step::Rows { table: usize::from(table.name != "a"), from: 0, to: 0 }).into();
        events.extend(rest);
        // Where nothing is left to read, its end is still a checkpoint.
        if !events.iter().any(|step| matches!(step, Step::Checkpoint { .. })) {
            events.extend(steps.last().filter(|step| matches!(step, Step::Checkpoint { .. })));
        }
        events.reverse();
        Ok(Box::new(ScriptReader { rest: events, until: None, acked: self.acked.clone() }))
    }
}

/// A script, each of whose readers is put into another.
pub struct Through<F> {
    pub script: Script,
    pub around: F,
}

#[async_trait]
impl<F: Fn(Box<dyn Reader>) -> Box<dyn Reader> + Send + Sync> Source for Through<F> {
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
        self.script.chunks(stream).await
    }

    async fn open(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        Ok((self.around)(self.script.open(stream, after).await?))
    }
}

struct ScriptReader {
    rest: Vec<Step>,
    until: Option<Instant>,
    acked: Arc<Mutex<i64>>,
}

#[async_trait]
impl Reader for ScriptReader {
    async fn next(&mut self) -> Result<Option<Event>> {
        tokio::task::yield_now().await;
        // Cancel safe: what was waited for so far is kept, and nothing is taken before the wait is over.
        while let Some(Step::Wait(seconds)) = self.rest.last() {
            let until = *self.until.get_or_insert_with(|| Instant::now() + Duration::from_secs(*seconds));
            tokio::time::sleep_until(until).await;
            self.until = None;
            self.rest.pop();
        }
        Ok(match self.rest.pop() {
            None => None,
            Some(Step::Checkpoint { after }) => {
                Some(Event::Checkpoint(Position::new(json!({ "after": after })).into()))
            }
            Some(Step::Wait(_)) => None,
            Some(Step::Rows { table, from, to }) => {
                let table = Script::tables()[table].clone();
                let column = Arc::new(Int64Array::from_iter_values(from..to));
                let batch = RecordBatch::try_new(table.schema.clone(), vec![column]).unwrap();
                Some(Event::Rows(Rows { table, batch }))
            }
        })
    }

    async fn ack(&mut self, position: &Position) -> Result<()> {
        *self.acked.lock().unwrap() = position.as_value()["after"].as_i64().unwrap();
        Ok(())
    }
}

/// A format that a test can read back in a line: every value as eight bytes, column after column in each row.
pub struct Numbers;

impl Format for Numbers {
    fn extension(&self) -> &str {
        "numbers"
    }

    fn encoder(&self, _: &Table, _: usize) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(NumbersEncoder(Vec::new())))
    }
}

struct NumbersEncoder(Vec<u8>);

impl Encoder for NumbersEncoder {
    fn encode(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in 0..batch.num_rows() {
            for column in batch.columns() {
                self.0.extend(column.as_primitive::<Int64Type>().value(row).to_le_bytes());
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Option<Bytes> {
        (self.0.len() >= 64).then(|| std::mem::take(&mut self.0).into())
    }

    fn buffered(&self) -> usize {
        self.0.len()
    }

    fn finish(self: Box<Self>) -> Result<Bytes> {
        Ok(self.0.into())
    }
}

/// The rows of a file of [`Numbers`], `columns` values each.
pub fn read_numbers(body: &[u8], columns: usize) -> Vec<Vec<i64>> {
    let values: Vec<i64> = body.chunks_exact(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap())).collect();
    values.chunks_exact(columns).map(<[i64]>::to_vec).collect()
}
