//! Reads a table or query from its first row to its last, as of one moment, in a stream.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cells::{Cells, Misfit};
use super::client::{Column, Failure};
use super::connect::{Connection, number};
use super::decode::{self, Trouble};
use super::error::{self, Doing};
use super::plan::{Plan, Planned, Wire};
use super::position;
use crate::error::{Context, Error, Result};
use crate::record::{Event, Rows, Table};
use crate::source::feed::{Closed, Outlet};
use crate::source::{BATCH_BYTES, BATCH_ROWS};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};

/// A statement under way, whose rows are all of one moment.
pub struct Snapshot {
    connection: Connection,
    plan: Plan,
    at: jiff::Timestamp,
}

impl Snapshot {
    /// Has the server begin.
    ///
    /// The moment is that of the statement itself, once it holds its locks on the tables' definitions. A transaction
    /// with a moment of its own, taken before, would miss rows where a table takes another's name in between: it would
    /// find the one that has the name now, and see it as it was when it had another.
    pub async fn begin(mut connection: Connection, plan: Plan) -> Result<Self> {
        let at = jiff::Timestamp::now();
        let begun = async {
            connection.run("start transaction read only").await?;
            connection.execute(&plan.statement).await
        };
        let columns = begun.await.map_err(|failure| error::of(failure, Doing::Reading)).at(|| plan.named())?;
        check_columns(&columns, &plan.columns).at(|| plan.named())?;
        Ok(Self { connection, plan, at })
    }

    /// Sends the table's announcement, its rows, and the checkpoint of its end.
    pub async fn read(mut self, outlet: &Outlet) -> Result<()> {
        match self.send_all(outlet).await {
            Ok(()) => {
                self.connection.close().await;
                Ok(())
            }
            // Dropping the connection ends the statement.
            Err(Stop::Closed) => Ok(()),
            Err(Stop::Failed(error)) => Err(error.at(self.plan.named())),
        }
    }

    async fn send_all(&mut self, outlet: &Outlet) -> Result<(), Stop> {
        let Self { connection, plan, at } = self;
        outlet.send(Event::Rows(Rows::none(plan.table.clone()))).await?;
        let mut batch = Batch::new(plan);
        while let Some(row) = connection.row().await? {
            batch.add(row, plan)?;
            if batch.is_full() {
                outlet.send(Event::Rows(batch.finish(plan)?)).await?;
            }
        }
        if batch.rows > 0 {
            outlet.send(Event::Rows(batch.finish(plan)?)).await?;
        }
        batch.warn(plan);
        warn_of_warnings(connection, plan).await;
        outlet.send(Event::Checkpoint(position::end(*at, batch.all_rows).into())).await?;
        Ok(())
    }
}

/// Why reading ends early.
enum Stop {
    Closed,
    Failed(Error),
}

impl From<Closed> for Stop {
    fn from(_: Closed) -> Self {
        Stop::Closed
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed(error::of(failure, Doing::Reading))
    }
}

/// The server's own warnings, a `group_concat` cut short say. By number: their texts may quote values.
async fn warn_of_warnings(connection: &mut Connection, plan: &Plan) {
    if connection.warnings() == 0 {
        return;
    }
    let mut counts = BTreeMap::<u64, u64>::new();
    // Without them the rows are read all the same.
    for row in connection.texts("show warnings").await.unwrap_or_default() {
        *counts.entry(number(&row, 1).unwrap_or_default()).or_default() += 1;
    }
    for (code, count) in counts {
        tracing::warn!(table = plan.name, code, count, "the server has warnings; their numbers are in its manual");
    }
}

/// The server prepares a statement again when a table is altered, and says so only by other columns in the result.
fn check_columns(now: &[Column], planned: &[Planned]) -> Result<()> {
    let same = now.len() == planned.len()
        && now
            .iter()
            .zip(planned)
            .all(|(now, planned)| Wire::of(now) == planned.wire && now.name_str() == planned.name.as_str());
    match same {
        true => Ok(()),
        false => Err(Error::unavailable("the table was altered as reading began")),
    }
}

/// The batch being built.
struct Batch {
    table: Arc<Table>,
    columns: Vec<Cells>,
    rows: usize,
    bytes: usize,
    all_rows: u64,
    /// What a row takes without its texts and bytes.
    row_bytes: usize,
}

impl Batch {
    fn new(plan: &Plan) -> Self {
        let columns = plan.columns.iter().map(|column| Cells::new(column.of, plan.policies.zero_dates)).collect();
        let row_bytes = plan.columns.len() * 8;
        Self { table: plan.table.clone(), columns, rows: 0, bytes: 0, all_rows: 0, row_bytes }
    }

    fn add(&mut self, row: &[u8], plan: &Plan) -> Result<()> {
        match decode::row(row, &plan.columns, &mut self.columns) {
            Ok(bytes) => self.bytes += bytes + self.row_bytes,
            Err(Trouble::Misfit(index, why)) => return Err(misfit(plan, index, self.all_rows + 1, why)),
            Err(Trouble::Torn) => return Err(error::of(Failure::Protocol("a row"), Doing::Reading)),
        }
        self.rows += 1;
        self.all_rows += 1;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    fn finish(&mut self, plan: &Plan) -> Result<Rows> {
        let first = self.all_rows - self.rows as u64 + 1;
        let finished = self.columns.iter_mut().enumerate().map(|(index, column)| {
            column.finish().map_err(|row| misfit(plan, index, first + row as u64, Misfit::Text))
        });
        let arrays = finished.collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(self.table.schema.clone(), arrays, &options)
            .map_err(|e| Error::bug(e.to_string()))?;
        (self.rows, self.bytes) = (0, 0);
        Ok(Rows { table: self.table.clone(), batch })
    }

    /// Says what was lost by the stream's own wish.
    fn warn(&self, plan: &Plan) {
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

/// An error that names table, column and row, and the key that lets the value pass.
fn misfit(plan: &Plan, index: usize, row: u64, why: Misfit) -> Error {
    let Planned { name, of, .. } = &plan.columns[index];
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
    Error::data(format!("column {name}, row {row} as read: {what}")).hint(format!("{hint}, in [{}].", plan.header))
}
