//! From the rows of a statement to batches.

use std::fmt::Display;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};

use super::cells::{Cells, Misfit};
use super::client::Failure;
use super::connect::Connection;
use super::decode::{self, Trouble};
use super::error::{self, Doing};
use super::plan::{Plan, Planned};
use super::types::Type;
use crate::error::{Error, Result};
use crate::record::{Rows, Table};
use crate::source::cursor::Sieve;
use crate::source::keyset::Allowance;
use crate::source::{BATCH_BYTES, BATCH_ROWS};

/// The batch being built, of the rows of one statement.
pub struct Batch {
    table: Arc<Table>,
    columns: Vec<Cells>,
    rows: usize,
    bytes: usize,
    has_ended: bool,
    /// Rows that were taken so far, over all batches.
    pub all_rows: u64,
    /// How many texts are selected before the columns of each row.
    marks: usize,
    /// Those of the last row, taken or not.
    last_marks: Vec<Option<String>>,
    pub sieve: Option<Sieve>,
    /// After this the rows that have come are given, however few.
    pub allowed: Allowance,
    room: Vec<u8>,
    /// What a row takes without its texts and bytes.
    row_bytes: usize,
}

impl Batch {
    /// `sieve` looks at rows that have marks.
    pub fn new(plan: &Plan, marks: usize, sieve: Option<Sieve>) -> Self {
        let columns = plan.columns.iter().map(|column| Cells::new(column.of, plan.policies.zero_dates)).collect();
        let row_bytes = plan.columns.len() * 8;
        Self {
            table: plan.table.clone(),
            columns,
            rows: 0,
            bytes: 0,
            has_ended: false,
            all_rows: 0,
            marks,
            last_marks: Vec::new(),
            sieve,
            allowed: Allowance::of(None),
            room: Vec::new(),
            row_bytes,
        }
    }

    /// The next batch of a statement under way, which has rows; `None` after the last row.
    pub async fn next(&mut self, connection: &mut Connection, plan: &Plan) -> Result<Option<Rows>> {
        if self.has_ended {
            return Ok(None);
        }
        while let Some(row) = connection.row().await.map_err(|failure| error::of(failure, Doing::Reading))? {
            self.add(row, plan)?;
            let is_over = self.allowed.is_used_up_by(self.all_rows);
            if self.is_full() || (is_over && self.rows > 0) {
                return self.finish(plan).map(Some);
            }
        }
        // The server says so once.
        self.has_ended = true;
        self.rest(plan)
    }

    /// Whether the server has said that there are no more rows.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The rows that have come and were not given; `None` where there are none.
    pub fn rest(&mut self, plan: &Plan) -> Result<Option<Rows>> {
        if self.rows == 0 { Ok(None) } else { self.finish(plan).map(Some) }
    }

    /// The texts of the marks in the last row that came, taken or not; `None` if none came.
    pub fn marks(&self) -> Option<&[Option<String>]> {
        (!self.last_marks.is_empty()).then_some(&self.last_marks)
    }

    fn add(&mut self, row: &[u8], plan: &Plan) -> Result<()> {
        let torn = || error::of(Failure::Protocol("a row"), Doing::Reading);
        let mut marks = Vec::with_capacity(self.marks);
        let body = decode::split(row, self.columns.len(), self.marks, &mut marks).map_err(|_| torn())?;
        if self.marks > 0 {
            self.keep(&marks)?;
            if let Some(sieve) = &mut self.sieve {
                body.bytes(self.columns.len(), &mut self.room);
                if !sieve.takes(self.rows, &self.room, &marks) {
                    return Ok(());
                }
            }
        }
        match decode::row(body, &plan.columns, &mut self.columns) {
            Ok(bytes) => self.bytes += bytes + self.row_bytes,
            Err(Trouble::Misfit(index, why)) => return Err(misfit_of(plan, index, self.all_rows + 1, why)),
            Err(Trouble::Torn) => return Err(torn()),
        }
        self.rows += 1;
        self.all_rows += 1;
        Ok(())
    }

    fn keep(&mut self, marks: &[Option<&[u8]>]) -> Result<()> {
        self.last_marks.resize(marks.len(), None);
        for (kept, mark) in self.last_marks.iter_mut().zip(marks) {
            let text = mark.map(std::str::from_utf8).transpose();
            let text = text.map_err(|_| error::of(Failure::Protocol("a mark"), Doing::Reading))?;
            match (kept.as_mut(), text) {
                (Some(kept), Some(text)) => {
                    kept.clear();
                    kept.push_str(text);
                }
                (_, text) => *kept = text.map(str::to_owned),
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    fn finish(&mut self, plan: &Plan) -> Result<Rows> {
        let first = self.all_rows - self.rows as u64 + 1;
        let finished = self.columns.iter_mut().enumerate().map(|(index, column)| {
            column.finish().map_err(|row| misfit_of(plan, index, first + row as u64, Misfit::Text))
        });
        let arrays = finished.collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(self.table.schema.clone(), arrays, &options)
            .map_err(|e| Error::bug(e.to_string()))?;
        (self.rows, self.bytes) = (0, 0);
        Ok(Rows { table: self.table.clone(), batch })
    }

    /// Says what was lost by the stream's own wish.
    pub fn warn(&self, plan: &Plan) {
        for (cells, column) in self.columns.iter().zip(&plan.columns).filter(|(cells, _)| cells.nulled > 0) {
            tracing::warn!(
                table = plan.name,
                column = column.name,
                count = cells.nulled,
                "invalid dates arrived as null; `zero_dates = text` keeps them"
            );
        }
    }
}

fn misfit_of(plan: &Plan, index: usize, row: u64, why: Misfit) -> Error {
    let Planned { name, of, .. } = &plan.columns[index];
    misfit(name, *of, &plan.header, format_args!("column {name}, row {row} as read:"), why)
}

/// An error that begins with the place of column and row, and names the key of the section `header` that lets the value pass.
pub fn misfit(name: &str, of: Type, header: &str, place: impl Display, why: Misfit) -> Error {
    let (what, hint) = match why {
        Misfit::Text => (
            "the text is not valid UTF-8".to_owned(),
            format!("Set `bytes_columns = {name}` to read the bytes that are stored"),
        ),
        Misfit::Date => (
            "an invalid date, such as 0000-00-00".to_owned(),
            "Set `zero_dates = null`, which counts them, or `zero_dates = text`".to_owned(),
        ),
        Misfit::Boolean => ("a TINYINT(1) other than 0 and 1".to_owned(), "Set `tinyint1 = integer`".to_owned()),
        Misfit::Digits => (
            "a decimal has more digits than the server says its type has".to_owned(),
            "Give the expression a type with `cast(… as decimal(p,s))` in the query".to_owned(),
        ),
        Misfit::Kind => return Error::bug(format!("column {name}: the server sent a value that is no {of:?}")),
    };
    Error::data(format!("{place} {what}")).hint(format!("{hint}, in [{header}]."))
}
