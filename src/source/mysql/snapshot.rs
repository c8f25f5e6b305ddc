//! Reads a table or query from its first row to its last, as of one moment, in a stream.

use std::collections::BTreeMap;

use super::batch::Batch;
use super::client::Column;
use super::connect::{Connection, number};
use super::error::{self, Doing};
use super::plan::{Plan, Planned, Wire};
use super::position;
use crate::error::{Context, Error, Result};
use crate::record::{Event, Rows};
use crate::source::feed::{Closed, Outlet};

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
        let mut batch = Batch::new(plan, 0, None);
        while let Some(rows) = batch.next(connection, plan).await? {
            outlet.send(Event::Rows(rows)).await?;
        }
        batch.warn(plan);
        warn_of_warnings(connection, plan).await;
        outlet.send(Event::Checkpoint(position::end(*at, batch.all_rows).into())).await?;
        Ok(())
    }
}

/// Why reading ends early.
pub enum Stop {
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

/// The server's own warnings, a `group_concat` cut short say. By number: their texts may quote values.
pub async fn warn_of_warnings(connection: &mut Connection, plan: &Plan) {
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
pub fn check_columns(now: &[Column], planned: &[Planned]) -> Result<()> {
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
