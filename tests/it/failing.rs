//! A source that asks for pages, some of which fail: what a retry is tried with.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use arrow_array::{Int64Array, RecordBatch};
use async_trait::async_trait;
use serde_json::{Value, json};
use tidemark::error::{Error, Result};
use tidemark::pipeline::Sources;
use tidemark::record::{Checkpoint, Event, Position, Range, Rows, Table};
use tidemark::source::{
    Chunks, Consistency, Description, FailedRequest, Failures, Listing, Reader, Selection, Source, Stream,
};

use crate::script::Script;

/// Records of each page.
pub const OF_PAGE: i64 = 5;

/// Pages `0..pages`, each a request that gives the rows `5n..5n+5`.
#[derive(Clone)]
pub struct Pages {
    pub pages: i64,
    /// Where a full load is cut into chunks.
    pub cuts: Vec<i64>,
    /// Those that fail, for now.
    pub broken: Arc<Mutex<BTreeSet<i64>>>,
    /// Those of which the rows are set aside.
    pub odd: BTreeSet<i64>,
    /// Every page that was asked for, in order.
    pub asked: Arc<Mutex<Vec<i64>>>,
}

impl Pages {
    pub fn new(pages: i64, broken: &[i64]) -> Self {
        Self {
            pages,
            cuts: Vec::new(),
            broken: Arc::new(Mutex::new(broken.iter().copied().collect())),
            odd: BTreeSet::new(),
            asked: Arc::default(),
        }
    }

    pub fn mend(&self, pages: &[i64]) {
        self.broken.lock().unwrap().retain(|page| !pages.contains(page));
    }

    fn reader(&self, ask: VecDeque<i64>, state: Value, at: Option<Value>) -> PagesReader {
        let events = VecDeque::from([Event::Rows(Rows::none(Script::tables()[0].clone()))]);
        PagesReader { source: self.clone(), ask, state, at, events }
    }
}

#[async_trait]
impl Source for Pages {
    async fn identity(&self) -> Result<Value> {
        Ok(json!("script"))
    }

    async fn streams(&self, _: &[Selection]) -> Result<Listing> {
        Ok(Listing::default())
    }

    async fn describe(&self, _: &Stream) -> Result<Description> {
        Ok(Description { table: Script::tables()[0].clone(), notes: Vec::new() })
    }

    async fn chunks(&self, _: &Stream) -> Result<Chunks> {
        let begins = [0].into_iter().chain(self.cuts.iter().copied());
        let ends = self.cuts.iter().copied().chain([self.pages]);
        let ranges = begins.zip(ends).map(|(from, to)| Range::new(json!([from, to]))).collect();
        Ok(Chunks { ranges, ..Chunks::whole(Consistency::Chunk) })
    }

    async fn hand_over(&self, _: &Stream, chunks: Chunks) -> Result<Chunks> {
        let (position, state) = (Position::new(json!({ "page": self.pages })), json!({ "asked": 0, "failed": [] }));
        Ok(Chunks { handover: Some(Checkpoint { position, state }), ..chunks })
    }

    async fn open(&self, stream: &Stream, after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        let range = stream.range.as_ref().map(|range| range.as_value().clone());
        let bound = |index: usize, other: i64| range.as_ref().map_or(other, |range| range[index].as_i64().unwrap());
        let from = after.map_or(bound(0, 0), |after| after.position.as_value()["page"].as_i64().unwrap());
        let state = after.map_or_else(|| json!({ "asked": 0, "failed": [] }), |after| after.state.clone());
        let mut reader = self.reader((from..bound(1, self.pages)).collect(), state, None);
        if reader.ask.is_empty() {
            let position = Position::new(json!({ "page": from }));
            reader.events.push_back(Event::Checkpoint(Checkpoint { position, state: reader.state.clone() }));
        }
        Ok(Box::new(reader))
    }

    fn failures(&self, _: &Stream, state: &Value) -> Result<Failures> {
        let Some(failed) = state["failed"].as_array() else { return Ok(Failures::default()) };
        let requests = state["asked"].as_u64().ok_or_else(|| Error::bug("a state of somebody else"))?;
        let request = |failed: &Value| FailedRequest {
            id: failed["page"].to_string(),
            request: format!("GET /rows?page={}", failed["page"]),
            status: Some(500),
            reason: "the server answers 500".to_owned(),
            excerpt: None,
            attempts: u32::try_from(failed["attempts"].as_u64().unwrap()).unwrap(),
            at: "2026-01-01T00:00:00Z".to_owned(),
        };
        let records = (requests - failed.len() as u64) * OF_PAGE as u64;
        Ok(Failures { requests, records, failed: failed.iter().map(request).collect() })
    }

    async fn open_failed(&self, _: &Stream, at: &Checkpoint) -> Result<Box<dyn Reader>> {
        let failed = at.state["failed"].as_array().unwrap();
        let ask = failed.iter().map(|failed| failed["page"].as_i64().unwrap()).collect();
        let mut reader = self.reader(ask, at.state.clone(), Some(at.position.as_value().clone()));
        if reader.ask.is_empty() {
            reader.events.push_back(Event::Checkpoint(at.clone()));
        }
        Ok(Box::new(reader))
    }
}

struct PagesReader {
    source: Pages,
    ask: VecDeque<i64>,
    state: Value,
    /// The position of a retry; else each page moves it.
    at: Option<Value>,
    events: VecDeque<Event>,
}

impl PagesReader {
    fn ask(&mut self, page: i64) {
        self.source.asked.lock().unwrap().push(page);
        let is_broken = self.source.broken.lock().unwrap().contains(&page);
        let failed = self.state["failed"].as_array_mut().unwrap();
        let known = failed.iter().position(|failed| failed["page"] == page);
        match (is_broken, known) {
            (true, Some(known)) => failed[known]["attempts"] = (failed[known]["attempts"].as_u64().unwrap() + 1).into(),
            (true, None) => failed.push(json!({ "page": page, "attempts": 1 })),
            (false, known) => {
                if let Some(known) = known {
                    failed.remove(known);
                }
                let [table, _] = Script::tables();
                let table = match self.source.odd.contains(&page) {
                    true => Arc::new(Table::new("a_quarantine", table.schema.clone(), Vec::new()).into_quarantine()),
                    false => table,
                };
                let column = Arc::new(Int64Array::from_iter_values(page * OF_PAGE..(page + 1) * OF_PAGE));
                let batch = RecordBatch::try_new(table.schema.clone(), vec![column]).unwrap();
                self.events.push_back(Event::Rows(Rows { table, batch }));
            }
        }
        if self.at.is_none() {
            self.state["asked"] = (self.state["asked"].as_u64().unwrap() + 1).into();
        }
        let position = Position::new(self.at.clone().unwrap_or_else(|| json!({ "page": page + 1 })));
        self.events.push_back(Event::Checkpoint(Checkpoint { position, state: self.state.clone() }));
    }
}

#[async_trait]
impl Reader for PagesReader {
    async fn next(&mut self) -> Result<Option<Event>> {
        tokio::task::yield_now().await;
        if self.events.is_empty()
            && let Some(page) = self.ask.pop_front()
        {
            self.ask(page);
        }
        Ok(self.events.pop_front())
    }
}

/// The same source at every attempt.
pub struct Same(pub Arc<Pages>);

impl Sources for Same {
    fn source(&self, _: u32) -> Result<Arc<dyn Source>> {
        Ok(self.0.clone())
    }
}
