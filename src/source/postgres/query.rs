//! Incremental reading: what lies above the mark, in the order of the cursor.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::types::Type as Oid;

use super::catalog;
use super::connect::{Cut, Sees, Session, get};
use super::copy::Copying;
use super::error;
use super::name::literal;
use super::plan::{Plan, Scope};
use super::probe::{Looking, Server};
use crate::error::{Context, Error, Kind, Result};
use crate::record::{Checkpoint, Event, Rows};
use crate::source::Stream;
use crate::source::cursor::{
    self, Bound, Column, Expression, Grain, Handover, Nulls, Order, Place, Reading, Settings, Stray, Window, told,
};
use crate::source::feed::{self, Outlet, Stop};
use crate::source::keyset::Allowance;

/// The cursor of a plan.
pub struct Ordered {
    pub order: Order,
    pub grain: Grain,
    pub type_oid: Oid,
    /// Whether its first column is an instant, which every zone knows.
    pub is_instant: bool,
    /// Whether it can be null, as far as the catalog tells.
    pub is_nullable: bool,
}

impl Ordered {
    /// Refuses a cursor of columns that are not there, or have no order.
    pub async fn of(session: &Session, plan: &Plan, settings: &Settings) -> Result<Self> {
        let sql = |part: &Expression| part.sql(|name| plan.column(name));
        let column = |sql: String| Column { sql, literal: |value| Ok(literal(value)), stray: None };
        let types = types(session, plan, settings, sql).await?;
        let strays = strays(session, &types).await?;
        for (part, of) in settings.cursor.iter().zip(&types) {
            if !ORDERED.contains(&of.0) {
                let problem = format!("names {part}, whose type {} has no order that a mark can be of", of.0.name());
                return Err(settings.section.error("cursor", problem));
            }
        }
        let names: Vec<_> = settings.cursor.iter().flat_map(Expression::columns).cloned().collect();
        let (type_oid, modifier) = types[0].clone();
        if let Some(start) = &settings.start {
            check_start(session, &type_oid, start, settings).await?;
        }
        let plain = settings.cursor.iter().all(|part| matches!(part, Expression::Column(_)));
        let (mut is_unique, mut first_is_unique, mut not_null) = (false, false, Vec::new());
        if let Some(relation) = &plan.relation {
            is_unique = plain && catalog::is_unique(session, relation, &names).await?;
            first_is_unique = is_unique && catalog::is_unique(session, relation, &names[..1]).await?;
            not_null = catalog::not_null(session, relation, &names).await?;
        }
        let grain = match type_oid {
            Oid::TIMESTAMP | Oid::TIMESTAMPTZ => Grain::Time { unit: unit(session, plan, settings, modifier).await? },
            Oid::DATE => Grain::Day,
            _ if first_is_unique => Grain::Unique,
            _ => Grain::Open,
        };
        // What the cursor orders already needs no second place.
        let key: Vec<_> = plan.table.key.iter().filter(|name| !names.contains(name)).collect();
        let is_exact = is_unique || !plan.table.key.is_empty();
        let cursor = settings.cursor.iter().zip(&strays).map(|(part, bounds)| {
            let stray = bounds.as_ref().map(|bounds| bounds.stray(&sql(part)));
            Column { stray, ..column(sql(part)) }
        });
        let is_never_null = |part: &Expression| part.columns().iter().any(|name| not_null.contains(name));
        Ok(Self {
            order: Order {
                cursor: cursor.collect(),
                key: if is_unique { Vec::new() } else { key.iter().map(|name| column(plan.column(name))).collect() },
                is_exact,
                has_groups: types.iter().all(|(of, modifier)| has_one_text(of, *modifier)),
                rows: true,
            },
            grain,
            is_instant: type_oid == Oid::TIMESTAMPTZ,
            type_oid,
            is_nullable: !settings.cursor.iter().all(is_never_null) || strays.iter().any(Option::is_some),
        })
    }
}

/// Types whose texts are exact and whose order is that of their values.
const ORDERED: [Oid; 15] = [
    Oid::INT2,
    Oid::INT4,
    Oid::INT8,
    Oid::OID,
    Oid::FLOAT4,
    Oid::FLOAT8,
    Oid::NUMERIC,
    Oid::DATE,
    Oid::TIMESTAMP,
    Oid::TIMESTAMPTZ,
    Oid::TEXT,
    Oid::VARCHAR,
    Oid::UUID,
    Oid::PG_LSN,
    Oid::XID8,
];

/// Whether equal values of a type have the same text: not so `1.0` and `1.00`, `0` and `-0`, nor what a collation takes
/// for the same.
fn has_one_text(of: &Oid, modifier: i32) -> bool {
    match *of {
        Oid::TEXT | Oid::VARCHAR | Oid::FLOAT4 | Oid::FLOAT8 => false,
        Oid::NUMERIC => modifier >= 0,
        _ => true,
    }
}

/// Refuses a `start` that is no value of the cursor, while it is known that it is that.
async fn check_start(session: &Session, of: &Oid, start: &str, settings: &Settings) -> Result<()> {
    let asked = session.query_one(&format!("SELECT {}::{} IS NULL AS is_null", literal(start), of.name()), &[]).await;
    asked.map(drop).map_err(|error| match error.kind() {
        Kind::Unavailable | Kind::Denied => error,
        _ => settings.section.error("start", format!("is no value of the cursor, which is of type {}", of.name())),
    })
}

/// The step of a time; of several columns, the coarsest.
async fn unit(session: &Session, plan: &Plan, settings: &Settings, modifier: i32) -> Result<Duration> {
    let of = |modifier: i32| Duration::from_micros(10u64.pow(6 - u32::try_from(modifier).unwrap_or(6).min(6)));
    let columns = settings.cursor[0].columns();
    if columns.len() == 1 {
        return Ok(of(modifier));
    }
    let list = columns.iter().map(|name| plan.column(name)).collect();
    let types = types_of(session, plan, settings, list).await?;
    if types.iter().any(|(of, _)| *of == Oid::DATE) {
        let problem = "mixes days with times, whose day is over when the first of them comes";
        return Err(settings.section.error("cursor", problem));
    }
    if types.iter().any(|(of, _)| *of == Oid::TIMESTAMP) && types.iter().any(|(of, _)| *of == Oid::TIMESTAMPTZ) {
        let problem = "mixes times with a zone and times without one, of which the server's zone decides who is later";
        return Err(settings.section.error("cursor", problem));
    }
    Ok(types.into_iter().map(|(_, modifier)| of(modifier)).max().unwrap_or_default())
}

/// Between which values of a type those lie that a mark can be at.
struct Bounds {
    above: Option<&'static str>,
    below: &'static str,
}

impl Bounds {
    /// NaN is greater than all else to the server.
    fn stray(&self, sql: &str) -> Stray {
        let Self { above, below } = self;
        match above {
            Some(above) => Stray {
                is: format!("({sql} >= {below} or {sql} <= {above})"),
                is_not: format!("{sql} < {below} and {sql} > {above}"),
            },
            None => Stray { is: format!("{sql} >= {below}"), is_not: format!("{sql} < {below}") },
        }
    }
}

/// Of each type; `None` where all values are between them.
async fn strays(session: &Session, types: &[(Oid, i32)]) -> Result<Vec<Option<Bounds>>> {
    let mut strays = Vec::with_capacity(types.len());
    for (of, _) in types {
        strays.push(match *of {
            Oid::FLOAT4 => Some(Bounds { above: Some("'-Infinity'::float4"), below: "'Infinity'::float4" }),
            Oid::FLOAT8 => Some(Bounds { above: Some("'-Infinity'::float8"), below: "'Infinity'::float8" }),
            Oid::NUMERIC if knows_infinite_numerics(session).await? => {
                Some(Bounds { above: Some("'-Infinity'::numeric"), below: "'Infinity'::numeric" })
            }
            Oid::NUMERIC => Some(Bounds { above: None, below: "'NaN'::numeric" }),
            _ => None,
        });
    }
    Ok(strays)
}

/// From version 14 on.
async fn knows_infinite_numerics(session: &Session) -> Result<bool> {
    let sql = "SELECT pg_catalog.current_setting('server_version_num')::int >= 140000 AS knows";
    get(&session.query_one(sql, &[]).await?, "knows")
}

/// The types of the cursor's parts, with their modifiers.
async fn types(
    session: &Session,
    plan: &Plan,
    settings: &Settings,
    sql: impl Fn(&Expression) -> String,
) -> Result<Vec<(Oid, i32)>> {
    types_of(session, plan, settings, settings.cursor.iter().map(sql).collect()).await
}

async fn types_of(session: &Session, plan: &Plan, settings: &Settings, list: Vec<String>) -> Result<Vec<(Oid, i32)>> {
    let list = list.join(", ");
    let statement = session.client().prepare(&format!("SELECT {list} {}", plan.tail(&Scope::default()))).await;
    let statement = statement.map_err(|e| {
        let table = plan.relation.as_ref().map_or("the query".to_owned(), |relation| relation.name.display());
        let unknown = || settings.unknown_column(&table, &plan.all, str::eq);
        if let Some(error) = (error::code(&e) == "42703").then(unknown).flatten() {
            return error;
        }
        let error = session.error(&e);
        match error.kind() {
            Kind::Config | Kind::Schema => {
                settings.section.error("cursor", format!("is refused by the server: {}", error.message()))
            }
            _ => error,
        }
    })?;
    Ok(statement.columns().iter().map(|column| (column.type_().clone(), column.type_modifier())).collect())
}

/// An incremental stream that is about to be read.
pub struct Query {
    /// In a transaction that holds the plan's locks.
    pub reader: Session,
    /// In none.
    pub looker: Session,
    pub plan: Plan,
    pub settings: Settings,
    pub after: Option<Checkpoint>,
    /// What is read in place of what is new.
    pub window: Option<Window>,
    pub stream: Stream,
    /// Where a statement that goes on behind another one is read.
    pub server: Arc<super::config::Settings>,
}

impl Query {
    /// Sends the table's announcement, the rows up to a bound that is safe, and checkpoints between them.
    pub async fn read(self, outlet: Arc<Outlet>) -> Result<()> {
        let table = self.plan.table.name.clone();
        feed::unless_closed(self.send_all(&outlet).await).map(drop).at(|| format!("table {table}"))
    }

    async fn send_all(mut self, outlet: &Outlet) -> Result<(), Stop> {
        let mut cut = self.reader.cut_when_dropped();
        outlet.send(Event::Rows(Rows::none(self.plan.table.clone()))).await?;
        let (nulls, reading, nothing_new) = self.reading().await?;
        if let Some(condition) = nulls {
            self.send_nulls(condition, outlet).await?;
        }
        let end = match reading {
            Some(reading) => self.send_rows(reading, &mut cut, outlet).await?,
            None => nothing_new,
        };
        self.reader.run("COMMIT").await?;
        cut.disarm();
        self.reader.close().await;
        self.looker.close().await;
        outlet.send(Event::Checkpoint(end)).await?;
        Ok(())
    }

    /// What is to be read: rows whose cursor is null, rows of a range; where that is nothing, the place to stay at.
    async fn reading(&self) -> Result<(Option<String>, Option<Reading>, Checkpoint)> {
        let ordered = Ordered::of(&self.reader, &self.plan, &self.settings).await?;
        let place = Place::of(self.after.as_ref(), &self.settings)?;
        if let Some(window) = self.window.clone() {
            let reading = Reading::of_window(&self.settings, ordered.order, window, self.after.as_ref())?;
            return Ok((None, reading, place.position()?.into()));
        }
        let state = self.after.as_ref().map(|after| after.state.clone()).unwrap_or_default();
        ordered.order.refuse_stray(&place)?;
        let (bound, floor) = self.bound(&ordered, &place).await?;
        let nothing_new =
            cursor::nothing_new(&place, state.clone(), Bound { to: bound.to.clone(), waiting: bound.waiting.clone() })?;
        let reading = Reading::of(&self.settings, ordered.order.clone(), ordered.grain, (place, state), bound, floor);
        let nulls = (self.settings.nulls == Nulls::Read && ordered.is_nullable).then(|| ordered.order.is_null());
        Ok((nulls, reading, nothing_new))
    }

    /// What a load reads that the stream begins with.
    pub async fn handover(&self) -> Result<Handover> {
        let ordered = Ordered::of(&self.reader, &self.plan, &self.settings).await?;
        let (bound, floor) = self.bound(&ordered, &Place::beginning(&self.settings)).await?;
        Handover::at(&self.settings, ordered.grain, bound, floor)
    }

    /// Up to where to read, and from where on the next run reads again; says what is left out.
    async fn bound(&self, ordered: &Ordered, place: &Place) -> Result<(Bound, Option<String>)> {
        let server = Server::look(&self.looker).await?;
        let stream = self.stream.id.to_string();
        let (reader, looker, plan) = (&self.reader, &self.looker, &self.plan);
        let mut looking = Looking { reader, looker, plan, ordered, server: &server, settle: self.settings.settle };
        let bound = cursor::bound(&mut looking, &self.settings, place, &stream).await?;
        let has_moved = bound.to != place.mark;
        self.look_for_nulls(&looking, has_moved).await?;
        if has_moved {
            told::in_the_future(looking.in_the_future().await?.unsigned_abs(), &stream);
        }
        let floor = match (&self.settings.lookback, bound.to.as_ref().and_then(|to| to.first())) {
            (Some(lookback), Some(to)) => Some(looking.floor(&self.settings, lookback, to).await?),
            _ => None,
        };
        Ok((bound, floor))
    }

    /// Counts or refuses rows whose cursor is null.
    async fn look_for_nulls(&self, looking: &Looking<'_>, has_moved: bool) -> Result<()> {
        if !told::counts_nulls(&self.settings, has_moved) || !looking.ordered.is_nullable {
            return Ok(());
        }
        let rows = looking.count(&looking.ordered.order.is_null(), told::MOST_NULLS).await?;
        told::nulls(&self.settings, &looking.ordered.order, rows.unsigned_abs(), &self.stream.id.to_string())
    }

    async fn send_nulls(&self, condition: String, outlet: &Outlet) -> Result<(), Stop> {
        let scope = Scope { condition: Some(condition), ..Scope::default() };
        let mut copying = Copying::begin(&self.reader, &self.plan, &scope, None).await?;
        while let Some(rows) = copying.next(&self.reader).await? {
            outlet.send(Event::Rows(rows)).await?;
        }
        copying.report();
        Ok(())
    }

    async fn send_rows(&mut self, mut reading: Reading, cut: &mut Cut, outlet: &Outlet) -> Result<Checkpoint, Stop> {
        let marks: Vec<_> = reading.marked().map(|column| column.sql.clone()).chain(reading.again()?).collect();
        let limit = self.stream.selection.cut.time_limit().filter(|_| reading.can_go_on());
        let mut sieve = reading.sieve()?;
        loop {
            let scope = Scope {
                condition: Some(reading.condition()?),
                order: reading.order(),
                marks: marks.clone(),
                most: None,
            };
            let allowed = Allowance::of(limit);
            let mut copying = Copying::begin(&self.reader, &self.plan, &scope, sieve.take()).await?;
            copying.allowed = allowed;
            let is_end = self.send_statement(&mut copying, &mut reading, outlet).await?;
            copying.report();
            sieve = copying.into_sieve();
            if is_end {
                return Ok(reading.end(sieve, &self.stream.id.to_string())?);
            }
            tracing::debug!(table = self.plan.table.name, "a statement has read for long: another one goes on");
            self.go_on().await?;
            // Dropping the guard of the one before ends the statement that is left.
            *cut = self.reader.cut_when_dropped();
        }
    }

    /// Sends a statement's rows; whether these are all, or another one goes on.
    async fn send_statement(
        &self,
        copying: &mut Copying,
        reading: &mut Reading,
        outlet: &Outlet,
    ) -> Result<bool, Stop> {
        while let Some(rows) = copying.next(&self.reader).await? {
            let marks = copying.marks()?;
            for event in reading.events(rows, marks.as_deref(), copying.sieve())? {
                outlet.send(event).await?;
            }
            if copying.allowed.is_over() && !copying.has_ended() {
                match marks.is_some_and(|marks| reading.goes_on_behind(&marks)) {
                    true => return Ok(false),
                    // A null in the key: the statement reads on to its end.
                    false => copying.allowed = Allowance::of(None),
                }
            }
        }
        Ok(true)
    }

    /// Another session, in a transaction that holds the table as it was planned.
    async fn go_on(&mut self) -> Result<()> {
        let reader = Session::connect(&self.server).await?;
        reader.begin(Sees::Latest).await.map_err(|e| reader.error(&e))?;
        let plan = Plan::make(&reader, &self.stream).await?;
        if plan.table != self.plan.table {
            // What is committed stands: whoever tries again goes on there, with the table as it is then.
            return Err(Error::unavailable("the table was altered while it was read"));
        }
        (self.reader, self.plan) = (reader, plan);
        Ok(())
    }
}

/// What a user should know of how an incremental stream is read.
pub async fn notes(session: &Session, plan: &Plan, settings: &Settings) -> Result<Vec<String>> {
    let ordered = Ordered::of(session, plan, settings).await?;
    let server = Server::look(session).await?;
    let mut notes = Vec::new();
    let waits = format!("each run waits `settle` ({} s) instead", settings.settle.as_secs_f64());
    if server.is_replica {
        notes.push(format!("The server is a replica, which does not show open transactions: {waits}."));
    } else if !server.sees_others {
        let role = session.settings().username.clone();
        notes.push(format!(
            "Transactions of others cannot be seen: {waits}. GRANT pg_read_all_stats TO {} lets them be seen.",
            super::name::readable(&role)
        ));
    }
    if ordered.grain == Grain::Open {
        notes.push(format!(
            "Values of {} may come again: rows with the last one are read again by the next run, and known again up to \
             `max_ties`.",
            settings.shown()
        ));
    }
    if let Some(relation) = &plan.relation
        && !catalog::has_index(session, relation, settings.cursor[0].columns()).await?
    {
        notes.push(format!("No index begins with {}: every run reads the whole table.", settings.cursor[0]));
    }
    if !ordered.order.is_exact {
        notes.push("Without a key, a run that was killed reads again what shares the last cursor.".to_owned());
    }
    Ok(notes)
}
