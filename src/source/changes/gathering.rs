//! Rows of transactions that are gathered until they are worth handing on, so that small ones do not each make a batch.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Step;
use crate::error::Result;

/// How long rows wait for more of later transactions, so that small ones come together.
pub const GATHER: Duration = Duration::from_millis(200);
/// So many rows of all tables are handed on at the end of a transaction.
const MANY_ROWS: usize = 32_768;
/// So many bytes of all tables are gathered at most.
const MANY_BYTES: usize = 16 << 20;

/// The rows of a table that are not handed on yet.
pub trait Gathered {
    /// What becomes of them: rows, or what is still to become rows.
    type Rows;

    fn len(&self) -> usize;

    /// About how many bytes they take.
    fn bytes(&self) -> usize;

    fn finish(&mut self) -> Result<Self::Rows>;
}

/// The rows of all tables, each in its place, and what is ready to be handed on.
pub struct Gathering<T: Gathered> {
    pub tables: Vec<Option<T>>,
    /// About how many rows wait.
    pending: usize,
    /// Since when something waits: rows, or a place that moved.
    since: Option<Instant>,
    pub ready: VecDeque<Step<T::Rows>>,
}

impl<T: Gathered> Gathering<T> {
    /// Of so many tables.
    pub fn of(count: usize) -> Self {
        Self { tables: (0..count).map(|_| None).collect(), pending: 0, since: None, ready: VecDeque::new() }
    }

    /// A row came, or several.
    pub fn added(&mut self) {
        self.pending += 1;
    }

    /// A transaction is over, or the place moved without one.
    pub fn waits(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// How much longer what waits may wait; `None` where nothing does.
    pub fn patience(&self) -> Option<Duration> {
        self.since.map(|since| GATHER.saturating_sub(since.elapsed()))
    }

    /// Whether what was gathered is worth handing on.
    pub fn is_due(&self) -> bool {
        self.pending >= MANY_ROWS || self.patience().is_some_and(|patience| patience.is_zero())
    }

    /// Hands on a table's batch that is full, in the midst of a transaction too.
    pub fn full(&mut self, at: usize) -> Result<()> {
        if let Some(table) = &mut self.tables[at] {
            self.pending = self.pending.saturating_sub(table.len());
            let rows = table.finish()?;
            self.ready.push_back(Step::Rows(rows));
        }
        Ok(())
    }

    /// Hands on the largest table's rows where too much waits, in the midst of a transaction too.
    pub fn make_room(&mut self) -> Result<()> {
        let bytes = |table: &Option<T>| table.as_ref().map_or(0, T::bytes);
        if self.tables.iter().map(bytes).sum::<usize>() <= MANY_BYTES {
            return Ok(());
        }
        let most = self.tables.iter().map(bytes).enumerate().max_by_key(|(_, bytes)| *bytes);
        if let Some((at, _)) = most { self.full(at) } else { Ok(()) }
    }

    /// Rows so far, without a place behind them.
    pub fn rows(&mut self) -> Result<()> {
        for table in self.tables.iter_mut().flatten().filter(|table| table.len() > 0) {
            self.ready.push_back(Step::Rows(table.finish()?));
        }
        self.pending = 0;
        Ok(())
    }

    /// All that was gathered, and the place behind it.
    pub fn hand_on(&mut self, position: serde_json::Value) -> Result<()> {
        self.rows()?;
        self.since = None;
        self.ready.push_back(Step::Position(position));
        Ok(())
    }
}
