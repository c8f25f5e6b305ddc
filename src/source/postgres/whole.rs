//! A table, query or chunk of one that is read whole: by one statement, or by several, one behind the other.

use std::sync::Arc;

use super::altered::{self, Unaltered};
use super::chunks;
use super::connect::{Cut, Session};
use super::copy::Copying;
use super::looker::Looker;
use super::plan::{Plan, Scope};
use super::position::Moment;
use super::query::Ordered;
use super::snapshot::Snapshot;
use crate::error::{Context, Kind, Result};
use crate::record::{Event, Rows};
use crate::source::feed::{self, Outlet, Stop};
use crate::source::keyset::{Deadline, Span, lost};
use crate::source::{Stream, cursor};

pub struct Whole {
    looker: Arc<Looker>,
    stream: Stream,
    span: Span,
    /// What its rows are read in; where there is none, each statement has its own.
    snapshot: Arc<Snapshot>,
    running: Running,
}

/// A transaction that is ready to read.
struct Running {
    session: Session,
    plan: Plan,
    scope: Scope,
    moment: Moment,
    unaltered: Unaltered,
}

impl Whole {
    /// Has the server plan and lock.
    pub async fn begin(looker: &Arc<Looker>, stream: &Stream, span: Span, snapshot: Arc<Snapshot>) -> Result<Self> {
        let running = Running::begin(looker, stream, &span, &snapshot, None).await?;
        Ok(Self { looker: looker.clone(), stream: stream.clone(), span, snapshot, running })
    }

    /// Sends the table's announcement, its rows, and a checkpoint at the moment of the first statement.
    pub async fn read(self, outlet: Arc<Outlet>) -> Result<()> {
        let name = self.running.plan.table.name.clone();
        feed::unless_closed(self.send_all(&outlet).await).map(drop).at(|| format!("table {name}"))
    }

    async fn send_all(self, outlet: &Outlet) -> Result<(), Stop> {
        let Self { looker, stream, span, snapshot, mut running } = self;
        let table = running.plan.table.clone();
        let first = running.moment.clone();
        let mut cut = running.session.cut_when_dropped();
        outlet.send(Event::Rows(Rows::none(table.clone()))).await?;
        while let Some(behind) = running.send_rows(outlet, &stream).await? {
            tracing::debug!(table = table.name, "a statement has read for long: another one goes on");
            let next = Running::begin(&looker, &stream, &span, &snapshot, Some(&behind)).await?;
            if next.plan.table != table {
                return Err(lost("it was altered while it was read").into());
            }
            running = next;
            // Dropping the guard of the one before ends the statement that it has left.
            cut = running.session.cut_when_dropped();
        }
        running.end(cut).await?;
        outlet.send(Event::Checkpoint(first.position().into())).await?;
        Ok(())
    }
}

impl Running {
    async fn begin(
        looker: &Looker,
        stream: &Stream,
        span: &Span,
        snapshot: &Snapshot,
        behind: Option<&[String]>,
    ) -> Result<Self> {
        let (session, moment) = snapshot.reader(&looker.settings).await?;
        let plan = match Plan::make(&session, stream).await {
            // The catalog of then, against names as they are now. What can be planned now was altered in between.
            Err(e) if e.kind() == Kind::Schema && can_be_planned(looker, stream).await => {
                let what = format!("table {} was altered ({})", stream.table(), e.message());
                return Err(altered::of_another_moment(&what, &moment));
            }
            plan => plan?,
        };
        let named = || format!("table {}", plan.table.name);
        let key = chunks::key_of(&session, &plan, &stream.selection, span).await.at(named)?;
        let mut scope = chunks::scope(&plan, key.as_ref(), span, behind).at(named)?;
        if let Some(window) = &span.cursor {
            let settings = cursor::Settings::of(&stream.selection.section)?;
            let ordered = Ordered::of(&session, &plan, &settings).await?;
            let more = window.condition(&settings, ordered.order)?;
            scope.condition = Some(scope.condition.into_iter().chain([more]).collect::<Vec<_>>().join(" AND "));
        }
        let unaltered = looker.check_unaltered(&session, &moment).await?;
        Ok(Self { session, plan, scope, moment, unaltered })
    }

    /// Sends the statement's rows. The key of the last one, where the statement was left before its end.
    async fn send_rows(&self, outlet: &Outlet, stream: &Stream) -> Result<Option<Vec<String>>, Stop> {
        let deadline = Deadline::after(stream.selection.cut.time_limit());
        let too_long = || deadline.error(!self.scope.marks.is_empty());
        let begun = Copying::begin(&self.session, &self.plan, &self.scope, None);
        let mut copying = deadline.within(begun).await.ok_or_else(too_long)??;
        loop {
            let (next, is_end) = match deadline.within(copying.next(&self.session)).await {
                Some(next) => {
                    let next = next?;
                    let is_end = next.is_none();
                    (next, is_end)
                }
                None => (copying.rest()?, false),
            };
            if let Some(next) = next {
                outlet.send(Event::Rows(next)).await?;
            }
            if is_end || deadline.is_over() {
                copying.report();
            }
            if is_end {
                return Ok(None);
            }
            if deadline.is_over() {
                let behind = copying.marks()?.and_then(|marks| marks.into_iter().collect::<Option<Vec<_>>>());
                let behind = behind.filter(|behind| !behind.is_empty());
                return behind.map(Some).ok_or_else(|| too_long().into());
            }
        }
    }

    /// Ends the transaction, if all that was read in it is as it was then.
    async fn end(mut self, cut: Cut) -> Result<()> {
        self.unaltered.check_again(&self.session, &self.moment).await?;
        // The transaction ends well only if all in it did.
        self.session.run("COMMIT").await?;
        cut.disarm();
        self.session.close().await;
        Ok(())
    }
}

async fn can_be_planned(looker: &Looker, stream: &Stream) -> bool {
    let planned = async {
        let session = looker.look().await?;
        Plan::make(&session, stream).await?;
        looker.give_back(session).await
    };
    planned.await.is_ok()
}
