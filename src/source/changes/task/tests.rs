//! A server that is written to while its log and its tables are read, and what comes of it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use async_trait::async_trait;
use serde_json::{Value, json};

use super::*;
use crate::record::change::{self, Changes, Op};
use crate::record::{Rows, Table};
use crate::source::feed;

/// Numbers that look random, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// What a change leaves of a row.
type Change = (Op, i64, Option<i64>);

struct Db {
    chance: Chance,
    rows: BTreeMap<i64, i64>,
    /// The rows as they were after so many transactions.
    states: Vec<BTreeMap<i64, i64>>,
    log: Vec<Vec<Change>>,
    writes_left: usize,
}

impl Db {
    fn new(seed: u64) -> Self {
        let rows: BTreeMap<_, _> = (0..40).map(|id| (id * 3, 0)).collect();
        Self { chance: Chance(seed), states: vec![rows.clone()], rows, log: Vec::new(), writes_left: 150 }
    }

    /// Others write, or do not.
    fn go_on(&mut self) {
        for _ in 0..self.chance.below(4) {
            if self.writes_left == 0 {
                return;
            }
            self.writes_left -= 1;
            let mut transaction = Vec::new();
            for _ in 0..=self.chance.below(3) {
                let id = i64::try_from(self.chance.below(120)).unwrap();
                let value = i64::try_from(self.log.len() + 1).unwrap();
                let change = match self.rows.contains_key(&id) {
                    true if self.chance.below(3) == 0 => (Op::Delete, id, None),
                    true => (Op::Update, id, Some(value)),
                    false => (Op::Create, id, Some(value)),
                };
                match change.2 {
                    Some(value) => drop(self.rows.insert(id, value)),
                    None => drop(self.rows.remove(&id)),
                }
                transaction.push(change);
            }
            self.log.push(transaction);
            self.states.push(self.rows.clone());
        }
    }
}

fn table() -> Arc<Table> {
    let fields = ["id", "value"].map(|name| Field::new(name, DataType::Int64, true));
    let own = Table::new("t", Arc::new(Schema::new(fields.to_vec())), vec!["id".to_owned()]);
    Arc::new(change::table(&own).unwrap())
}

fn rows(changes: &[Change]) -> Rows {
    let mut builder = Changes::default();
    changes.iter().for_each(|(op, ..)| builder.push(*op, None, "", []));
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(changes.iter().map(|change| change.1)));
    let values: ArrayRef = Arc::new(changes.iter().map(|change| change.2).collect::<Int64Array>());
    let schema = Schema::new(table().schema.fields()[..2].to_vec());
    builder.finish(&table(), &RecordBatch::try_new(Arc::new(schema), vec![ids, values]).unwrap()).unwrap()
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Db>>);

struct FakeLog {
    db: Shared,
    next: usize,
    end: usize,
    rows_sent: bool,
}

#[async_trait]
impl Log for FakeLog {
    async fn next(&mut self) -> Result<Step> {
        tokio::task::yield_now().await;
        let mut db = self.db.0.lock().unwrap();
        db.go_on();
        if self.next >= self.end {
            return Ok(Step::End);
        }
        if !self.rows_sent {
            self.rows_sent = true;
            return Ok(Step::Rows(rows(&db.log[self.next])));
        }
        self.next += 1;
        self.rows_sent = false;
        Ok(Step::Position(json!(self.next)))
    }

    async fn extend(&mut self) -> Result<()> {
        self.end = self.db.0.lock().unwrap().log.len();
        Ok(())
    }

    fn state(&self) -> Value {
        Value::Null
    }
}

struct FakeChunks {
    db: Shared,
    /// By how many transactions chunks are older than the log, which no proof may let pass.
    stale: usize,
    pending: Vec<Change>,
    last: Option<Vec<String>>,
}

#[async_trait]
impl Chunks for FakeChunks {
    async fn begin(&mut self, _: &str, after: Option<&[String]>, at: &Value) -> Result<Begun> {
        let mut db = self.db.0.lock().unwrap();
        db.go_on();
        if db.chance.below(5) == 0 {
            return Ok(Begun::NotYet);
        }
        let at = usize::try_from(at.as_u64().unwrap()).unwrap();
        // Anything from there on is as good as the newest.
        let seen = if self.stale > 0 { at.saturating_sub(self.stale) } else { db.states.len() - 1 };
        let above = after.map_or(i64::MIN, |after| after[0].parse().unwrap());
        let state = db.states[seen].range(above.saturating_add(1)..);
        self.pending = state.take(7).map(|(id, value)| (Op::Read, *id, Some(*value))).collect();
        self.last = (self.pending.len() == 7).then(|| vec![self.pending[6].1.to_string()]);
        Ok(Begun::Reading)
    }

    async fn next(&mut self) -> Result<Option<Rows>> {
        let pending = std::mem::take(&mut self.pending);
        Ok((!pending.is_empty()).then(|| rows(&pending)))
    }

    fn last(&self) -> Option<Vec<String>> {
        self.last.clone()
    }

    fn gone(&mut self, _: &Value) -> Result<Option<Rows>> {
        Ok(None)
    }

    fn anew(&mut self, _: &str, _: &Value) -> Result<Rows> {
        change::truncate(&table(), None, "")
    }
}

/// Reads with kills, and says whether the present state of what was committed is the table.
async fn holds(seed: u64, stale: usize, anew: bool) -> bool {
    let db = Shared(Arc::new(Mutex::new(Db::new(seed))));
    let mut kills = Chance(seed + 1);
    let snapshot = Snapshot { after: None, anew };
    let mut place = Place { log: json!(0), snapshots: [("t".to_owned(), snapshot)].into(), again: None };
    let mut present: BTreeMap<i64, i64> = if anew { [(-5, 1), (3, 9)].into() } else { BTreeMap::new() };
    loop {
        let (from, from_db) = (place.clone(), db.clone());
        let mut reader = feed::from_task(move |outlet| async move {
            let next = usize::try_from(from.log.as_u64().unwrap()).unwrap();
            let end = from_db.0.lock().unwrap().log.len();
            let mut log = FakeLog { db: from_db.clone(), next, end, rows_sent: false };
            let mut chunks = FakeChunks { db: from_db, stale, pending: Vec::new(), last: None };
            follow(Asked { place: from, until: Until::End }, &mut log, &mut chunks, &outlet).await
        });
        let mut open = Vec::new();
        let is_killed = loop {
            if kills.below(40) == 0 {
                break true;
            }
            match reader.next().await.unwrap() {
                Some(Event::Rows(rows)) => open.push(rows.batch),
                Some(Event::Checkpoint(checkpoint)) => {
                    open.drain(..).for_each(|batch| apply(&mut present, &batch));
                    place = Place::of(&checkpoint.position).unwrap();
                    reader.ack(&checkpoint.position).await.unwrap();
                }
                None => break false,
            }
        };
        let db = db.0.lock().unwrap();
        if !is_killed && db.writes_left == 0 && place.log == json!(db.log.len()) {
            return place.snapshots.is_empty() && present == db.rows;
        }
    }
}

fn apply(present: &mut BTreeMap<i64, i64>, batch: &RecordBatch) {
    let ids = batch.column(0).as_primitive::<Int64Type>();
    let values = batch.column(1).as_primitive::<Int64Type>();
    for row in 0..batch.num_rows() {
        match batch.column(2).as_string::<i32>().value(row) {
            "t" => present.clear(),
            "d" => drop(present.remove(&ids.value(row))),
            _ => drop(present.insert(ids.value(row), if values.is_null(row) { -1 } else { values.value(row) })),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_present_state_is_the_table() {
    for seed in 0..60 {
        assert!(holds(seed, 0, seed % 3 == 0).await, "seed {seed}");
    }
}

/// What proofs are for: a chunk that misses what the log has told already leaves older rows for newer ones.
#[tokio::test(start_paused = true)]
async fn chunks_of_before_the_log_are_found_out() {
    let mut wrong = 0;
    for seed in 0..20 {
        wrong += u32::from(!holds(seed, 3, false).await);
    }
    assert!(wrong > 1, "{wrong} of 20");
}
