//! A `COPY … TO STDOUT` under way: its bytes come in, batches go out.

use std::pin::Pin;

use futures_util::StreamExt;
use futures_util::stream::Fuse;
use tokio_postgres::CopyOutStream;

use super::batches::Batches;
use super::connect::Session;
use super::plan::{Plan, Scope};
use crate::error::Result;
use crate::record::Rows;
use crate::source::cursor::Sieve;
use crate::source::keyset::Allowance;

/// The rows of one statement.
pub struct Copying {
    /// Fused: the driver's stream must not be asked again after its end.
    bytes: Pin<Box<Fuse<CopyOutStream>>>,
    batches: Batches,
    /// After this the rows that have come are given, however few.
    pub allowed: Allowance,
    /// How many messages have come, of which each is a row.
    came: u64,
    has_ended: bool,
}

impl Copying {
    /// Has the server begin. Within the transaction that `plan` was made in, or in one that sees the same definitions.
    pub async fn begin(session: &Session, plan: &Plan, scope: &Scope, sieve: Option<Sieve>) -> Result<Self> {
        Self::run(session, &plan.copy(scope), Batches::new(plan, scope.marks.len(), sieve)).await
    }

    /// Has the server begin with a statement of the batches' columns.
    pub async fn run(session: &Session, sql: &str, batches: Batches) -> Result<Self> {
        let bytes = session.client().copy_out(sql).await.map_err(|e| session.error(&e))?;
        let bytes = Box::pin(bytes.fuse());
        Ok(Self { bytes, batches, allowed: Allowance::of(None), came: 0, has_ended: false })
    }

    /// The next batch, which has rows; `None` after the last, which the server has said to be the last.
    pub async fn next(&mut self, session: &Session) -> Result<Option<Rows>> {
        while let Some(bytes) = self.bytes.next().await {
            self.batches.take(&bytes.map_err(|e| session.error(&e))?)?;
            self.came += 1;
            let is_over = self.allowed.is_used_up_by(self.came);
            if self.batches.is_full() || (is_over && !self.batches.is_empty()) {
                return self.batches.finish().map(Some);
            }
        }
        self.batches.end()?;
        self.has_ended = true;
        self.rest()
    }

    /// Whether the server has said that there are no more rows.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The rows that have come and were not given; `None` where there are none.
    pub fn rest(&mut self) -> Result<Option<Rows>> {
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
