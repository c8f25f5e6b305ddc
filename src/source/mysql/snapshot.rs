//! Reads a table or query from its first row to its last, as of one moment, in a stream.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::batch::Batch;
use super::chunks;
use super::client::Column;
use super::config::Settings;
use super::connect::{Connection, number};
use super::error::{self, Doing};
use super::order::Ordered;
use super::plan::{Plan, Planned, Scope, Wire};
use super::position;
use crate::error::{Context, Error, Result};
use crate::record::{Event, Rows};
use crate::source::feed::{self, Outlet, Stop};
use crate::source::keyset::{Deadline, Key, Span, lost};
use crate::source::{Stream, cursor};

/// What is to be read: a table or query, or a chunk of it.
pub struct Snapshot {
    settings: Arc<Settings>,
    stream: Stream,
    span: Span,
    running: Running,
}

/// A statement under way, whose rows are all of one moment.
struct Running {
    connection: Connection,
    plan: Plan,
    scope: Scope,
    at: jiff::Timestamp,
    deadline: Deadline,
}

impl Running {
    /// Has the server begin, behind these values of the key.
    ///
    /// The moment is that of the statement itself, once it holds its locks on the tables' definitions. A transaction
    /// with a moment of its own, taken before, would miss rows where a table takes another's name in between: it would
    /// find the one that has the name now, and see it as it was when it had another.
    async fn begin(settings: &Arc<Settings>, stream: &Stream, span: &Span, behind: Option<&[String]>) -> Result<Self> {
        let mut connection = Connection::open(settings).await?;
        let plan = Plan::of(&mut connection, settings, stream).await?;
        let key = chunks::key_of(&mut connection, settings, stream, &plan, span).await.at(|| plan.named())?;
        let at = jiff::Timestamp::now();
        let mut scope = scope(key.as_ref(), span, behind).at(|| plan.named())?;
        if let Some(window) = &span.cursor {
            let settings = cursor::Settings::of(&stream.selection.section)?;
            let ordered = Ordered::of(&mut connection, &plan, &settings).await?;
            let more = window.condition(&settings, ordered.order)?;
            scope.condition = Some(scope.condition.into_iter().chain([more]).collect::<Vec<_>>().join(" and "));
        }
        let begun = async {
            let statement = match &scope.condition {
                Some(_) => &connection.prepare(&plan.select(&scope)).await?,
                None => &plan.statement,
            };
            connection.run("start transaction read only").await?;
            connection.execute(statement).await
        };
        let deadline = Deadline::after(stream.selection.cut.time_limit());
        let begun = deadline.within(begun).await.ok_or_else(|| deadline.error(key.is_some()).at(plan.named()))?;
        let columns = begun.map_err(|failure| error::of(failure, Doing::Reading)).at(|| plan.named())?;
        check_columns(columns.get(scope.marks.len()..).unwrap_or_default(), &plan.columns).at(|| plan.named())?;
        Ok(Self { connection, plan, scope, at, deadline })
    }
}

/// What a statement reads of a chunk. In order, so that another one can go on where it is ended.
pub fn scope(key: Option<&Key>, span: &Span, behind: Option<&[String]>) -> Result<Scope> {
    let Some(key) = key else { return Ok(Scope::default()) };
    let condition = key.condition(span, behind)?;
    let can_go_on = key.is_unique && !span.nulls;
    let (order, marks) = if can_go_on { (key.order(), key.marks()) } else { Default::default() };
    Ok(Scope { condition, order, marks })
}

impl Snapshot {
    /// Has the server begin.
    pub async fn begin(settings: &Arc<Settings>, stream: &Stream) -> Result<Self> {
        let span = Span::of(stream.range.as_ref())?;
        let running = Running::begin(settings, stream, &span, None).await?;
        Ok(Self { settings: settings.clone(), stream: stream.clone(), span, running })
    }

    /// Sends the table's announcement, its rows, and the checkpoint of its end.
    pub async fn read(mut self, outlet: &Outlet) -> Result<()> {
        let sent = feed::unless_closed(self.send_all(outlet).await).at(|| self.running.plan.named())?;
        // Where nobody listens any more, dropping the connection ends the statement.
        if sent.is_some() {
            self.running.connection.close().await;
        }
        Ok(())
    }

    async fn send_all(&mut self, outlet: &Outlet) -> Result<(), Stop> {
        outlet.send(Event::Rows(Rows::none(self.running.plan.table.clone()))).await?;
        let (at, mut rows) = (self.running.at, 0);
        loop {
            let behind = self.running.send_rows(outlet, &mut rows).await?;
            let Some(behind) = behind else { break };
            tracing::debug!(table = self.running.plan.name, "a statement has read for long: another one goes on");
            let next = Running::begin(&self.settings, &self.stream, &self.span, Some(&behind)).await?;
            if next.plan.table != self.running.plan.table {
                return Err(lost("it was altered while it was read").into());
            }
            self.running = next;
        }
        self.check_table().await?;
        outlet.send(Event::Checkpoint(position::end(at, rows).into())).await?;
        Ok(())
    }

    /// Refuses another table that took the name between the look at it and the statement. The transaction keeps its name
    /// until it ends.
    async fn check_table(&mut self) -> Result<()> {
        chunks::check_table(&mut self.running.connection, &self.settings, &self.stream, &self.span).await
    }
}

impl Running {
    /// Sends the statement's rows. The key of the last one, where the statement was ended before its end.
    async fn send_rows(&mut self, outlet: &Outlet, rows: &mut u64) -> Result<Option<Vec<String>>, Stop> {
        let Self { connection, plan, scope, deadline, .. } = self;
        let mut batch = Batch::new(plan, scope.marks.len(), None);
        let before = *rows;
        loop {
            let (next, is_end) = match deadline.within(batch.next(connection, plan)).await {
                Some(next) => {
                    let next = next?;
                    let is_end = next.is_none();
                    (next, is_end)
                }
                None => (batch.rest(plan)?, false),
            };
            if let Some(next) = next {
                outlet.send(Event::Rows(next)).await?;
            }
            *rows = before + batch.all_rows;
            if is_end {
                batch.warn(plan);
                warn_of_warnings(connection, plan).await;
                return Ok(None);
            }
            if deadline.is_over() {
                batch.warn(plan);
                let behind = batch.marks().and_then(|marks| marks.iter().cloned().collect::<Option<Vec<_>>>());
                return behind.map(Some).ok_or_else(|| deadline.error(!scope.marks.is_empty()).into());
            }
        }
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
