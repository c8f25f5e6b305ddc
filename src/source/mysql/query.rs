//! Incremental reading: what lies above the mark, in the order of the cursor.

use std::sync::Arc;
use std::time::Duration;

use super::batch::Batch;
use super::catalog;
use super::client::Failure;
use super::connect::Connection;
use super::error::{self, Doing};
use super::name::account;
use super::order::Ordered;
use super::plan::{Plan, Scope};
use super::probe::{Looking, Server, is_innodb, sees_others};
use super::sessions::Sessions;
use super::snapshot::{check_columns, warn_of_warnings};
use crate::error::{Context, Result};
use crate::record::{Checkpoint, Event, Rows};
use crate::source::cursor::{self, Bound, Grain, Handover, Nulls, Place, Reading, Settings, Sieve, Window, told};
use crate::source::feed::{self, Outlet, Stop};
use crate::source::keyset::Allowance;

/// An incremental stream that is about to be read.
pub struct Query {
    /// In no transaction.
    pub reader: Connection,
    pub sessions: Sessions,
    pub plan: Plan,
    pub settings: Settings,
    pub after: Option<Checkpoint>,
    /// What is read in place of what is new.
    pub window: Option<Window>,
    pub stream: String,
    /// How long one statement may read, where another can go on.
    pub limit: Option<Duration>,
}

/// What a run has to do.
struct Work {
    /// What tells a row's place, as SQL.
    marks: Vec<String>,
    /// Which rows have a cursor that is null, where they are read.
    nulls: Option<String>,
    reading: Option<Reading>,
    /// The place to stay at where nothing is to be read.
    nothing_new: Checkpoint,
}

impl Query {
    /// Sends the table's announcement, the rows up to a bound that is safe, and checkpoints between them.
    pub async fn read(mut self, outlet: Arc<Outlet>) -> Result<()> {
        let sent = feed::unless_closed(self.send_all(&outlet).await).at(|| self.plan.named())?;
        // Dropping the connection ends the statement.
        let Some(end) = sent else { return Ok(()) };
        self.close().await;
        // Nobody listens any more: then nobody wants to know.
        let _ = outlet.send(Event::Checkpoint(end)).await;
        Ok(())
    }

    /// Says goodbye.
    pub async fn close(self) {
        self.reader.close().await;
    }

    async fn send_all(&mut self, outlet: &Outlet) -> Result<Checkpoint, Stop> {
        outlet.send(Event::Rows(Rows::none(self.plan.table.clone()))).await?;
        let Work { marks, nulls, reading, nothing_new } = self.work().await?;
        self.begin_reading().await?;
        if let Some(condition) = nulls {
            self.send_nulls(condition, outlet).await?;
        }
        match reading {
            Some(reading) => self.send_rows(reading, marks, outlet).await,
            None => Ok(nothing_new),
        }
    }

    /// What the reader's session needs.
    async fn set_up(&mut self) -> Result<()> {
        // Texts beyond this length are no cursors; a key may be of several.
        self.reader.run("set session max_sort_length = 8192").await.map_err(reading_failed)
    }

    /// What is read is as of the first statement in a transaction, which comes after the bound.
    async fn begin_reading(&mut self) -> Result<()> {
        self.reader.run("start transaction read only").await.map_err(reading_failed)
    }

    async fn work(&mut self) -> Result<Work> {
        self.set_up().await?;
        let ordered = Ordered::of(&mut self.reader, &self.plan, &self.settings).await?;
        let place = Place::of(self.after.as_ref(), &self.settings)?;
        let marks = ordered.marks.clone();
        if let Some(window) = self.window.clone() {
            let reading = Reading::of_window(&self.settings, ordered.order, window, self.after.as_ref())?;
            return Ok(Work { marks, nulls: None, reading, nothing_new: place.position()?.into() });
        }
        let settings = ordered.settled(&self.settings)?;
        let state = self.after.as_ref().map(|after| after.state.clone()).unwrap_or_default();
        let (bound, floor) = self.bound(&ordered, &settings, &place).await?;
        let stays = Bound { to: bound.to.clone(), waiting: bound.waiting.clone() };
        let nothing_new = cursor::nothing_new(&place, state.clone(), stays)?;
        let nulls = (settings.nulls == Nulls::Read && ordered.is_nullable).then(|| ordered.order.is_null());
        let reading = Reading::of(&settings, ordered.order, ordered.grain, (place, state), bound, floor);
        Ok(Work { marks, nulls, reading, nothing_new })
    }

    /// Up to where to read, and from where on the next run reads again; says what is left out.
    async fn bound(
        &mut self,
        ordered: &Ordered,
        settings: &Settings,
        place: &Place,
    ) -> Result<(Bound, Option<String>)> {
        let server = Server::look(&mut self.reader).await?;
        let engine = match &self.plan.relation {
            Some(table) => catalog::engine(&mut self.reader, table).await.map_err(reading_failed)?,
            None => String::new(),
        };
        let (reader, sessions, plan) = (&mut self.reader, &self.sessions, &self.plan);
        let is_innodb = is_innodb(&engine);
        let mut looking = Looking { reader, sessions, plan, ordered, server: &server, is_innodb };
        let bound = cursor::bound(&mut looking, settings, place, &self.stream).await?;
        let has_moved = bound.to != place.mark;
        if told::counts_nulls(settings, has_moved) && ordered.is_nullable {
            let rows = looking.count(&ordered.order.is_null(), told::MOST_NULLS).await?;
            told::nulls(settings, &ordered.order, rows, &self.stream)?;
        }
        if has_moved {
            told::in_the_future(looking.in_the_future().await?, &self.stream);
        }
        let floor = match (&settings.lookback, bound.to.as_ref().and_then(|to| to.first())) {
            (Some(lookback), Some(to)) => Some(looking.floor(settings, lookback, to).await?),
            _ => None,
        };
        Ok((bound, floor))
    }

    /// What a load reads that the stream begins with.
    pub async fn handover(&mut self) -> Result<Handover> {
        let ordered = Ordered::of(&mut self.reader, &self.plan, &self.settings).await?;
        let settings = ordered.settled(&self.settings)?;
        let (bound, floor) = self.bound(&ordered, &settings, &Place::beginning(&self.settings)).await?;
        Handover::at(&settings, ordered.grain, bound, floor)
    }

    async fn send_nulls(&mut self, condition: String, outlet: &Outlet) -> Result<(), Stop> {
        let scope = Scope { condition: Some(condition), ..Scope::default() };
        let mut batch = self.begin(&scope, None).await?;
        while let Some(rows) = batch.next(&mut self.reader, &self.plan).await? {
            outlet.send(Event::Rows(rows)).await?;
        }
        self.warn(&batch).await;
        Ok(())
    }

    async fn send_rows(
        &mut self,
        mut reading: Reading,
        mut marks: Vec<String>,
        outlet: &Outlet,
    ) -> Result<Checkpoint, Stop> {
        marks.extend(reading.again()?.map(|again| format!("cast(({again}) as char)")));
        let mut sieve = reading.sieve()?;
        loop {
            let scope = Scope { condition: Some(reading.condition()?), order: reading.order(), marks: marks.clone() };
            let allowed = Allowance::of(self.limit.filter(|_| reading.can_go_on()));
            let mut batch = self.begin(&scope, sieve.take()).await?;
            batch.allowed = allowed;
            let is_end = self.send_statement(&mut batch, &mut reading, outlet).await?;
            batch.warn(&self.plan);
            if is_end {
                warn_of_warnings(&mut self.reader, &self.plan).await;
                return Ok(reading.end(batch.sieve, &self.stream)?);
            }
            sieve = batch.sieve;
            tracing::debug!(table = self.plan.name, "a statement has read for long: another one goes on");
            // Dropping the connection ends the statement that is left.
            self.reader = Connection::open(&self.sessions.settings).await?;
            self.set_up().await?;
            self.begin_reading().await?;
        }
    }

    /// Sends a statement's rows; whether these are all, or another one goes on.
    async fn send_statement(
        &mut self,
        batch: &mut Batch,
        reading: &mut Reading,
        outlet: &Outlet,
    ) -> Result<bool, Stop> {
        while let Some(rows) = batch.next(&mut self.reader, &self.plan).await? {
            let marks = batch.marks().map(<[_]>::to_vec);
            for event in reading.events(rows, marks.as_deref(), batch.sieve.as_mut())? {
                outlet.send(event).await?;
            }
            if batch.allowed.is_over() && !batch.has_ended() {
                match marks.is_some_and(|marks| reading.goes_on_behind(&marks)) {
                    true => return Ok(false),
                    // A null in the key: the statement reads on to its end.
                    false => batch.allowed = Allowance::of(None),
                }
            }
        }
        Ok(true)
    }

    /// Has the server begin to send the rows of a scope.
    async fn begin(&mut self, scope: &Scope, sieve: Option<Sieve>) -> Result<Batch> {
        let statement = self.reader.prepare(&self.plan.select(scope)).await.map_err(reading_failed)?;
        let columns = self.reader.execute(&statement).await.map_err(reading_failed)?;
        check_columns(columns.get(scope.marks.len()..).unwrap_or_default(), &self.plan.columns)?;
        Ok(Batch::new(&self.plan, scope.marks.len(), sieve))
    }

    async fn warn(&mut self, batch: &Batch) {
        batch.warn(&self.plan);
        warn_of_warnings(&mut self.reader, &self.plan).await;
    }
}

fn reading_failed(failure: Failure) -> crate::error::Error {
    error::of(failure, Doing::Reading)
}

/// What a user should know of how an incremental stream is read. `engine` is the table's, if it is one.
pub async fn notes(
    connection: &mut Connection,
    plan: &Plan,
    settings: &Settings,
    engine: Option<&str>,
) -> Result<Vec<String>> {
    let ordered = Ordered::of(connection, plan, settings).await?;
    ordered.settled(settings)?;
    let server = Server::look(connection).await?;
    let mut notes = Vec::new();
    let waits = format!("each run waits `settle` ({} s) instead", settings.settle.as_secs_f64());
    if server.is_replica {
        notes.push(format!("The server takes rows from another one, and does not show who is at work there: {waits}."));
    } else if !sees_others(connection).await? {
        let user = catalog::current_user(connection).await.map_err(reading_failed)?;
        notes.push(format!(
            "Transactions of others cannot be seen: {waits}. GRANT PROCESS ON *.* TO {} lets them be seen.",
            account(&user)
        ));
    } else if let Some(engine) = engine.filter(|engine| !is_innodb(engine)) {
        notes.push(format!("Transactions of its engine, {engine}, cannot be seen: {waits}."));
    }
    let cursor = settings.shown();
    if ordered.grain == Grain::Open {
        notes.push(format!(
            "Values of {cursor} may come again: rows with the last one are read again by the next run, and known again \
             up to `max_ties`."
        ));
    }
    if let (Some(table), Some(_)) = (&plan.relation, engine.filter(|engine| !engine.is_empty())) {
        let indexes = catalog::indexes(connection, table).await.map_err(reading_failed)?;
        let columns = settings.cursor[0].columns();
        let first = |index: &catalog::Index| index.columns.first().cloned().unwrap_or_default();
        let is_one = |index: &catalog::Index| columns.iter().any(|column| column.eq_ignore_ascii_case(&first(index)));
        if !indexes.iter().any(is_one) {
            notes.push(format!("No index begins with {}: every run reads the whole table.", settings.cursor[0]));
        }
    }
    if !ordered.unordered.is_empty() {
        notes.push(format!(
            "Columns of the key whose type has no exact order, so that it tells no places: {}.",
            ordered.unordered.join(", ")
        ));
    }
    if !ordered.order.is_exact {
        notes.push("Without a key, a run that was killed reads again what shares the last cursor.".to_owned());
    }
    Ok(notes)
}
