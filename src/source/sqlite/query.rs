//! Incremental reading: what lies above the mark, in the order of the cursor. Blocks.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use tokio::runtime::Handle;

use super::config::Settings as File;
use super::connection;
use super::decode::Scratch;
use super::error::InFile;
use super::lock::Lock;
use super::mark::Mark;
use super::order::{Kind, Ordered};
use super::plan::{Plan, Scope};
use super::probe::{Forms, Looking};
use super::snapshot::{add, failure};
use crate::error::{Context, Result};
use crate::record::{BatchBuilder, Checkpoint, Datum, Event, Rows};
use crate::source::cursor::{
    self, Bound, Grain, Handover, Nulls, Place, Probe, Reading, Settings, Sieve, Window, told,
};
use crate::source::feed::{self, Outlet, Stop};
use crate::source::{BATCH_BYTES, BATCH_ROWS, Outlook};

/// An incremental stream that is about to be read.
pub struct Query {
    pub file: File,
    pub plan: Plan,
    pub settings: Settings,
    pub after: Option<Checkpoint>,
    /// What is read in place of what is new.
    pub window: Option<Window>,
    pub stream: String,
    /// The streams of whose times the run has told already: a load, what is read behind it, and a retry are one run.
    pub told: Arc<Mutex<BTreeSet<String>>>,
}

/// What a run has to do.
struct Work {
    /// Which rows have a cursor that is null, where they are read.
    nulls: Option<String>,
    reading: Option<Reading>,
    /// The place to stay at where nothing is to be read.
    nothing_new: Checkpoint,
    forms: Option<Forms>,
}

impl Query {
    /// Sends the table's announcement, the rows up to a bound that is safe, and checkpoints between them.
    pub fn read(self, outlet: &Outlet) -> Result<()> {
        let sent = feed::unless_closed(self.send_all(outlet)).at(|| format!("table {}", self.plan.name))?;
        if let Some(end) = sent {
            // A closed outlet means that nobody wants to know.
            let _ = outlet.blocking_send(Event::Checkpoint(end));
        }
        Ok(())
    }

    fn send_all(&self, outlet: &Outlet) -> Result<Checkpoint, Stop> {
        outlet.blocking_send(Event::Rows(Rows::none(self.plan.table.clone())))?;
        let mut connection = connection::open(&self.file)?;
        let Work { nulls, reading, nothing_new, mut forms } = self.work(&mut connection)?;
        if nulls.is_none() && reading.is_none() {
            return Ok(nothing_new);
        }
        // What is read is as of the first statement in it, which comes after the bound.
        connection.execute_batch("begin").in_file(&self.file.path)?;
        if let Some(condition) = nulls {
            let scope = Scope { condition: Some(condition), ..Scope::default() };
            self.send_scope(&connection, outlet, &scope, None, &mut None)?;
        }
        let Some(mut reading) = reading else { return Ok(nothing_new) };
        let scope = scope(&reading)?;
        let sieve = self.send_scope(&connection, outlet, &scope, Some(&mut reading), &mut forms)?;
        self.tell_of_forms(forms.map_or(0, |forms| forms.odd));
        Ok(reading.end(sieve, &self.stream)?)
    }

    fn work(&self, connection: &mut Connection) -> Result<Work> {
        let path = self.file.path.as_path();
        let ordered = Ordered::of(connection, path, &self.plan, &self.settings)?;
        let place = Place::of(self.after.as_ref(), &self.settings)?;
        if let Some(window) = self.window.clone() {
            let reading = Reading::of_window(&self.settings, ordered.order, window, self.after.as_ref())?;
            return Ok(Work { nulls: None, reading, nothing_new: place.position()?.into(), forms: None });
        }
        ordered.order.refuse_stray(&place)?;
        let bound = self.bound(connection, &ordered, &place)?;
        self.up_to(&ordered, place, bound)
    }

    /// What there is to do up to a bound.
    fn up_to(&self, ordered: &Ordered, place: Place, bound: Bound) -> Result<Work> {
        let state = self.after.as_ref().map(|after| after.state.clone()).unwrap_or_default();
        let (kind, floor) = self.floor(ordered, &bound)?;
        let stays = Bound { to: bound.to.clone(), waiting: bound.waiting.clone() };
        let nothing_new = cursor::nothing_new(&place, state.clone(), stays)?;
        let nulls = (self.settings.nulls == Nulls::Read && ordered.is_nullable).then(|| ordered.order.is_null());
        let settings = settled(&self.settings, kind.as_ref())?;
        let grain = kind.as_ref().map_or(Grain::Open, |kind| ordered.grain(kind));
        let mut order = ordered.order.clone();
        order.has_groups = kind.as_ref().is_some_and(Kind::has_groups);
        let reading = Reading::of(&settings, order, grain, (place, state), bound, floor);
        Ok(Work { nulls, reading, nothing_new, forms: kind.as_ref().and_then(Forms::of) })
    }

    /// What a load reads that the stream begins with.
    pub fn handover(&self) -> Result<Handover> {
        let mut connection = connection::open(&self.file)?;
        let ordered = Ordered::of(&connection, self.file.path.as_path(), &self.plan, &self.settings)?;
        let bound = self.bound(&mut connection, &ordered, &Place::beginning(&self.settings))?;
        let (kind, floor) = self.floor(&ordered, &bound)?;
        let settings = settled(&self.settings, kind.as_ref())?;
        let grain = kind.as_ref().map_or(Grain::Open, |kind| ordered.grain(kind));
        Handover::at(&settings, grain, bound, floor)
    }

    /// Up to where to read; says what is left out.
    fn bound(&self, connection: &mut Connection, ordered: &Ordered, place: &Place) -> Result<Bound> {
        let (path, lock) = (self.file.path.as_path(), Lock::of(&self.file)?);
        let mut looking = Looking { reader: connection, path, plan: &self.plan, ordered, lock };
        let bound = Handle::current().block_on(cursor::bound(&mut looking, &self.settings, place, &self.stream))?;
        self.tell(&looking, &bound, place)?;
        Ok(bound)
    }

    /// What the bound's values are, where there is one, and where a lookback from it ends.
    fn floor(&self, ordered: &Ordered, bound: &Bound) -> Result<(Option<Kind>, Option<String>)> {
        let value = bound.to.as_ref().and_then(|to| Mark::parse(to.first()?));
        let kind = value.as_ref().map(|value| ordered.kind(value));
        let floor = match (&self.settings.lookback, &kind, &value) {
            (Some(lookback), Some(kind), Some(value)) => Some(kind.floor(&self.settings, lookback, value)?.text()),
            _ => None,
        };
        Ok((kind, floor))
    }

    /// As if nobody were at work: up to the greatest cursor that is there. A run reads up to what is safe by then.
    pub fn outlook(&self) -> Result<Outlook> {
        let path = self.file.path.as_path();
        let mut connection = connection::open(&self.file)?;
        let ordered = Ordered::of(&connection, path, &self.plan, &self.settings)?;
        let place = Place::of(self.after.as_ref(), &self.settings)?;
        let (plan, lock) = (&self.plan, Lock::Nobody);
        let mut looking = Looking { reader: &mut connection, path, plan, ordered: &ordered, lock };
        let Some(high) = Handle::current().block_on(looking.high(place.mark.as_deref()))? else {
            return Ok(Outlook { rows: Some(0), ..Outlook::default() });
        };
        let work = self.up_to(&ordered, place, Bound { to: Some(high.values), waiting: None })?;
        let nulls = work.nulls.map(|condition| Scope { condition: Some(condition), ..Scope::default() });
        let scopes = nulls.into_iter().map(Ok).chain(work.reading.as_ref().map(scope));
        let statements = scopes.map(|scope| scope.map(|scope| plan.select(&scope))).collect::<Result<Vec<_>>>()?;
        Ok(Outlook { statements: vec![statements], ..Outlook::default() })
    }

    /// Says what is left out.
    fn tell(&self, looking: &Looking<'_>, bound: &Bound, place: &Place) -> Result<()> {
        let has_moved = bound.to != place.mark;
        if told::counts_nulls(&self.settings, has_moved) && looking.ordered.is_nullable {
            let rows = looking.count(&looking.ordered.order.is_null(), told::MOST_NULLS)?;
            told::nulls(&self.settings, &looking.ordered.order, rows, &self.stream)?;
        }
        let kind = bound.to.as_ref().and_then(|to| Mark::parse(to.first()?)).map(|value| looking.ordered.kind(&value));
        let Some(kind) = kind else { return Ok(()) };
        if has_moved {
            told::in_the_future(looking.in_the_future(&kind)?, &self.stream);
        }
        // Also where nothing is new: what is new may have been passed over.
        self.tell_of_forms(looking.in_other_forms(&kind)?.0);
        Ok(())
    }

    /// Says once in a run that times do not sort by time.
    fn tell_of_forms(&self, rows: u64) {
        if rows > 0 && self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(self.stream.clone()) {
            tracing::warn!(
                stream = self.stream,
                rows,
                "times of the cursor are written in several ways that do not sort by time: rows may be passed over"
            );
        }
    }

    /// Sends the rows of a scope, with the checkpoints of a reading; what looked at the rows.
    fn send_scope(
        &self,
        connection: &Connection,
        outlet: &Outlet,
        scope: &Scope,
        mut reading: Option<&mut Reading>,
        forms: &mut Option<Forms>,
    ) -> Result<Option<Sieve>, Stop> {
        let plan = &self.plan;
        let failed = |error: rusqlite::Error| failure(&self.file.path, plan, &error);
        let mut sieve = reading.as_ref().map(|reading| reading.sieve()).transpose()?.flatten();
        let mut statement = connection.prepare(&plan.select(scope)).map_err(failed)?;
        let mut rows = statement.raw_query();
        let mut builder = BatchBuilder::new(plan.table.clone())?;
        let mut scratch: Vec<Scratch> = plan.columns.iter().map(|_| Scratch::default()).collect();
        let mut cells: Vec<Datum<'static>> = Vec::with_capacity(plan.columns.len());
        let (first, mut count) = (plan.columns.len() + usize::from(plan.has_rowid), 0u64);
        let mut room = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            count += 1;
            if let (Some(forms), Ok(ValueRef::Text(text))) = (forms.as_mut(), row.get_ref(first)) {
                forms.look(text);
            }
            if let Some(sieve) = &mut sieve {
                whole(row, plan.columns.len(), &mut room).map_err(failed)?;
                let marks = texts(row, first, scope.marks.len()).map_err(failed)?;
                let marks: Vec<_> = marks.iter().map(|mark| mark.as_deref().map(str::as_bytes)).collect();
                if !sieve.takes(builder.rows(), &room, &marks) {
                    continue;
                }
            }
            cells = add(plan, row, count, cells, &mut scratch, &mut builder)?;
            if builder.rows() >= BATCH_ROWS || builder.bytes() >= BATCH_BYTES {
                let marks = texts(row, first, scope.marks.len()).map_err(failed)?;
                self.send(outlet, builder.finish()?, &marks, reading.as_deref_mut(), sieve.as_mut())?;
            }
        }
        if builder.rows() > 0 {
            outlet.blocking_send(Event::Rows(builder.finish()?))?;
        }
        Ok(sieve)
    }

    fn send(
        &self,
        outlet: &Outlet,
        rows: Rows,
        marks: &[Option<String>],
        reading: Option<&mut Reading>,
        sieve: Option<&mut Sieve>,
    ) -> Result<(), Stop> {
        let events = match reading {
            Some(reading) => reading.events(rows, Some(marks), sieve)?,
            None => vec![Event::Rows(rows)],
        };
        for event in events {
            outlet.blocking_send(event)?;
        }
        Ok(())
    }
}

/// What reads a range of rows.
fn scope(reading: &Reading) -> Result<Scope> {
    let marks = reading.order().into_iter().chain(reading.again()?).collect();
    Ok(Scope { condition: Some(reading.condition()?), order: reading.order(), marks })
}

/// The settings, with `start` in the form of marks; refuses one that is no value of the cursor.
fn settled(settings: &Settings, kind: Option<&Kind>) -> Result<Settings> {
    let (Some(start), Some(kind)) = (&settings.start, kind) else { return Ok(settings.clone()) };
    let start = kind.parse(start).ok_or_else(|| {
        settings.section.error("start", format!("is not {}, which is {}", kind.name(), "what the column has"))
    })?;
    Ok(Settings { start: Some(start.text()), ..settings.clone() })
}

/// The texts of a row's marks.
fn texts(row: &Row<'_>, first: usize, count: usize) -> rusqlite::Result<Vec<Option<String>>> {
    (first..first + count).map(|index| Ok(Mark::of(row.get_ref(index)?).map(|mark| mark.text()))).collect()
}

/// The same bytes for the same row: each value with its class and length.
fn whole(row: &Row<'_>, columns: usize, room: &mut Vec<u8>) -> rusqlite::Result<()> {
    room.clear();
    for index in 0..columns {
        let (class, bytes): (u8, &[u8]) = match row.get_ref(index)? {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(number) => {
                room.push(1);
                room.extend(number.to_be_bytes());
                continue;
            }
            ValueRef::Real(number) => {
                room.push(2);
                room.extend(number.to_bits().to_be_bytes());
                continue;
            }
            ValueRef::Text(text) => (3, text),
            ValueRef::Blob(bytes) => (4, bytes),
        };
        room.push(class);
        room.extend(bytes.len().to_be_bytes());
        room.extend_from_slice(bytes);
    }
    Ok(())
}

/// What a user should know of how an incremental stream is read.
pub fn notes(connection: &mut Connection, file: &File, plan: &Plan, settings: &Settings) -> Result<Vec<String>> {
    let path = file.path.as_path();
    let ordered = Ordered::of(connection, path, plan, settings)?;
    let mut lock = Lock::of(file)?;
    let mut notes = Vec::new();
    if lock.at_work()?.is_none() {
        notes.push(format!(
            "The file cannot be opened for writing, so that nobody tells whether a program is writing: each run waits \
             `settle` ({} s) instead.",
            settings.settle.as_secs_f64()
        ));
    }
    let looking = Looking { reader: connection, path, plan, ordered: &ordered, lock };
    let (cursor, newest) = (settings.shown(), looking.newest_kind()?);
    if let Some((odd, seen @ 1..)) = newest.as_ref().map(|kind| looking.in_other_forms(kind)).transpose()?
        && odd > 0
    {
        notes.push(format!(
            "Of the newest {seen} times of {cursor}, {odd} are written in another way than the last one (another zone, say, \
             or a `T` in place of the space): they do not sort by time, and rows may be passed over. Write all in one \
             way, or follow another cursor."
        ));
    }
    if ordered.is_reused {
        notes.push(format!(
            "{cursor} is given again when the row with the highest is deleted: AUTOINCREMENT would not. Such a row is found \
             if no more than the last one was deleted since the last run."
        ));
    } else if newest.as_ref().is_some_and(|kind| ordered.grain(kind) == Grain::Open) {
        notes.push(format!(
            "Values of {cursor} may come again: rows with the last one are read again by the next run, and known again up \
             to `max_ties`."
        ));
    }
    if looking.reads_all()? {
        notes.push(format!("No index begins with {}: every run reads the whole table.", settings.cursor[0]));
    }
    if !ordered.order.is_exact {
        notes.push("Without a key, a run that was killed reads again what shares the last cursor.".to_owned());
    }
    Ok(notes)
}
