//! What of a transaction is taken back: to a savepoint, or all of it.
//!
//! Servers leave nearly all of that out of their log. What they do log is a transaction that changed a table without
//! transactions besides: its rows stand there, and behind them the word that they are no more.

use super::captured::Captured;
use crate::error::Result;
use crate::record::Rows;
use crate::source::changes::Step;

/// A transaction with more than so many bytes of rows is handed on as it comes, and cannot be taken back.
const MOST_BYTES: usize = 8 << 20;

/// The rows of a transaction that is being read, and where it may go back to.
#[derive(Debug, Default)]
pub struct Undo {
    /// The first is the transaction's beginning.
    marks: Vec<Mark>,
    /// Full batches of it.
    held: Vec<(usize, Rows)>,
    bytes: usize,
    was_let_go: bool,
}

#[derive(Debug)]
struct Mark {
    name: String,
    /// How many rows each table had gathered.
    gathered: Vec<usize>,
    held: usize,
}

impl Undo {
    /// A transaction begins.
    pub fn begin(&mut self, captured: &[Option<Captured>]) {
        (self.bytes, self.was_let_go) = (0, false);
        self.marks.clear();
        self.savepoint("", captured);
    }

    pub fn savepoint(&mut self, name: &str, captured: &[Option<Captured>]) {
        let gathered = captured.iter().map(|captured| captured.as_ref().map_or(0, Captured::len)).collect();
        self.marks.push(Mark { name: name.to_lowercase(), gathered, held: self.held.len() });
    }

    /// Takes a full batch of a table.
    pub fn hold(&mut self, table: usize, rows: Rows) {
        self.bytes += rows.batch.get_array_memory_size();
        self.held.push((table, rows));
    }

    /// What is held, where that is too much, or `is_over`.
    pub fn let_go(&mut self, is_over: bool) -> impl Iterator<Item = Step> + '_ {
        let goes = is_over || self.was_let_go || self.bytes > MOST_BYTES;
        self.was_let_go |= goes && !is_over;
        let end = if goes { self.held.len() } else { 0 };
        self.held.drain(..end).map(|(_, rows)| Step::Rows(rows))
    }

    /// Takes back what came behind a savepoint, or all of the transaction where it is `None`. Whether that could be.
    pub fn back(&mut self, name: Option<&str>, captured: &mut [Option<Captured>]) -> Result<bool> {
        let name = name.unwrap_or_default().to_lowercase();
        let Some(at) = self.marks.iter().rposition(|mark| mark.name == name).filter(|_| !self.was_let_go) else {
            return Ok(false);
        };
        self.marks.truncate(at + 1);
        let Some(mark) = self.marks.last_mut() else { return Ok(false) };
        let later = self.held.split_off(mark.held);
        for (table, captured) in captured.iter_mut().enumerate() {
            let keep = mark.gathered.get(table).copied().unwrap_or(0);
            let first = later.iter().find(|(of, _)| *of == table).map(|(_, rows)| rows.clone());
            let gathered = match captured {
                Some(captured) if first.is_some() || captured.len() > keep => Some(captured.finish()?),
                _ => None,
            };
            let Some(rows) = first.or(gathered) else { continue };
            let batch = rows.batch.slice(0, keep.min(rows.batch.num_rows()));
            self.held.push((table, Rows { batch, ..rows }));
        }
        // What was gathered before is held now.
        self.savepoint_again(at, captured);
        Ok(true)
    }

    fn savepoint_again(&mut self, at: usize, captured: &[Option<Captured>]) {
        let name = self.marks.remove(at).name;
        self.savepoint(&name, captured);
    }
}
