//! A `COPY … TO STDOUT` under way: its bytes come in, batches go out.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::Fuse;
use tokio_postgres::CopyOutStream;

use super::altered::Unaltered;
use super::batches::Batches;
use super::connect::Session;
use super::plan::{Plan, Scope};
use super::position::Moment;
use crate::error::{Context, Result};
use crate::record::{Event, Rows};
use crate::source::cursor::Sieve;
use crate::source::feed::Outlet;

/// The rows of one statement.
pub struct Copying {
    /// Fused: the driver's stream must not be asked again after its end.
    bytes: Pin<Box<Fuse<CopyOutStream>>>,
    batches: Batches,
}

impl Copying {
    /// Has the server begin. Within the transaction that `plan` was made in, or in one that sees the same definitions.
    pub async fn begin(session: &Session, plan: &Plan, scope: &Scope, sieve: Option<Sieve>) -> Result<Self> {
        let bytes = session.client().copy_out(&plan.copy(scope)).await.map_err(|e| session.error(&e))?;
        Ok(Self { bytes: Box::pin(bytes.fuse()), batches: Batches::new(plan, scope.marks.len(), sieve) })
    }

    /// The next batch, which has rows; `None` after the last, which the server has said to be the last.
    pub async fn next(&mut self, session: &Session) -> Result<Option<Rows>> {
        while let Some(bytes) = self.bytes.next().await {
            self.batches.take(&bytes.map_err(|e| session.error(&e))?)?;
            if self.batches.is_full() {
                return self.batches.finish().map(Some);
            }
        }
        self.batches.end()?;
        if self.batches.is_empty() { Ok(None) } else { self.batches.finish().map(Some) }
    }

    /// The texts of the scope's marks in the last row that came, taken or not; `None` if none came.
    pub fn marks(&self) -> Result<Option<Vec<Option<String>>>> {
        self.batches.marks()
    }

    /// What looked at the rows.
    pub fn sieve(&mut self) -> Option<&mut Sieve> {
        self.batches.sieve.as_mut()
    }

    pub fn into_sieve(self) -> Option<Sieve> {
        self.batches.sieve
    }

    /// Says what the policies made of odd values.
    pub fn report(&self) {
        self.batches.report();
    }
}

/// Reads all that `plan` selects into `outlet`: the table's announcement, its rows, and a checkpoint at `moment`, if all
/// that was read is as it was then.
pub async fn read(
    session: Session,
    plan: Plan,
    moment: Moment,
    unaltered: Unaltered,
    outlet: Arc<Outlet>,
) -> Result<()> {
    send_all(session, &plan, moment, unaltered, outlet).await.at(|| format!("table {}", plan.table.name))
}

async fn send_all(
    session: Session,
    plan: &Plan,
    moment: Moment,
    mut unaltered: Unaltered,
    outlet: Arc<Outlet>,
) -> Result<()> {
    let cut = session.cut_when_dropped();
    if outlet.send(Event::Rows(Rows::none(plan.table.clone()))).await.is_err() {
        return Ok(());
    }
    let mut copying = Copying::begin(&session, plan, &Scope::default(), None).await?;
    while let Some(rows) = copying.next(&session).await? {
        if outlet.send(Event::Rows(rows)).await.is_err() {
            return Ok(());
        }
    }
    unaltered.check_again(&session, &moment).await?;
    // The transaction ends well only if all in it did.
    session.run("COMMIT").await?;
    cut.disarm();
    session.close().await;
    copying.report();
    // Nobody listens any more: then nobody wants to know.
    let _ = outlet.send(Event::Checkpoint(moment.position().into())).await;
    Ok(())
}
