//! What one run reads: from where to where, in what order, and the places between.

use arrow_array::RecordBatch;
use serde_json::Value;

use super::{After, Bound, Compare, Grain, Place, Seen, Settings, Sieve, Waiting, Window, compare};
use crate::error::{Error, Result};
use crate::record::{Checkpoint, Event, Position, Rows};
use crate::source::masking;

/// The columns that rows are ordered by, as SQL.
#[derive(Debug, Clone)]
pub struct Order {
    pub cursor: Vec<Column>,
    /// Those of the key that the cursor does not have; empty where there is none, and only a change of the cursor is a
    /// safe place.
    pub key: Vec<Column>,
    /// Whether the key, or the cursor itself, tells all rows apart.
    pub is_exact: bool,
    /// Whether different texts of the cursor are different values: a collation may take several for the same.
    pub has_groups: bool,
    /// Whether comparisons of rows are worth more to the server than what they mean, written out.
    pub rows: bool,
}

impl Order {
    /// Rows whose cursor is null, or as good as that.
    pub fn is_null(&self) -> String {
        let null = self.cursor.iter().map(|column| format!("{} is null", column.sql));
        let stray = self.cursor.iter().filter_map(|column| Some(column.stray.as_ref()?.is.clone()));
        format!("({})", null.chain(stray).collect::<Vec<_>>().join(" or "))
    }

    /// Whether values may be there that are as good as null.
    pub fn has_strays(&self) -> bool {
        self.cursor.iter().any(|column| column.stray.is_some())
    }

    /// Refuses to go on from a place that earlier versions have let a stray value make: nothing lies behind it.
    pub fn refuse_stray(&self, place: &Place) -> Result<()> {
        let is_stray = |value: &String| {
            let value = value.trim_start_matches('-').to_ascii_lowercase();
            matches!(value.as_str(), "nan" | "inf" | "infinity")
        };
        let waited = place.waiting.as_ref().map(|waiting| &waiting.high);
        let mut marks = place.mark.iter().chain(waited).flat_map(|mark| self.cursor.iter().zip(mark));
        match marks.any(|(column, value)| column.stray.is_some() && is_stray(value)) {
            true => Err(Error::data(format!(
                "the mark of the cursor {} is NaN or infinite, behind which no row ever lies",
                place.cursor
            ))
            .hint("Run it once with `--full-refresh`: such rows are left to `null_cursor` now, and make no mark.")),
            false => Ok(()),
        }
    }
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Column {
    pub sql: String,
    /// Writes a value, as a mark has it, as SQL. Nothing of the value is taken for SQL, whatever it is.
    pub literal: fn(&str) -> Result<String>,
    /// Values among those of its type that are as good as null: a NaN, or an infinity, above or below which nothing ever
    /// lies. A mark at one would never move again.
    pub stray: Option<Stray>,
}

/// Conditions, as SQL.
#[derive(Debug, Clone)]
pub struct Stray {
    /// Holds for these values.
    pub is: String,
    /// Holds for all others that are not null.
    pub is_not: String,
}

impl Column {
    /// Whether a row has a value that is as good as any.
    pub fn is_placed(&self) -> String {
        match &self.stray {
            Some(stray) => format!("{} is not null and {}", self.sql, stray.is_not),
            None => format!("{} is not null", self.sql),
        }
    }
}

/// Where rows end that are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upper {
    /// With this cursor.
    With(Vec<String>),
    /// Before this value of its first column.
    Before(String),
}

/// A range of rows that is read by one statement or several, one after the other.
#[derive(Debug)]
pub struct Reading {
    order: Order,
    max_ties: usize,
    /// Of digests of rows.
    digest_key: (u64, u64),
    /// The place that the run began at.
    place: Place,
    state: Value,
    /// Where the next statement begins.
    after: Option<After>,
    upper: Upper,
    /// What the next run reads again.
    again: Option<After>,
    waiting: Option<Waiting>,
}

impl Reading {
    /// What there is to read after `checkpoint`; `None` where that is nothing. `floor` is where a lookback from the
    /// bound ends, where there is one.
    pub fn of(
        settings: &Settings,
        order: Order,
        grain: Grain,
        (place, state): (Place, Value),
        bound: Bound,
        floor: Option<String>,
    ) -> Option<Self> {
        let to = bound.to.clone()?;
        let again = match (floor, grain) {
            (Some(floor), _) => Some(After { cursor: vec![floor], key: Vec::new(), inclusive: false }),
            // Of the first column alone: a row may come behind the bound by the others.
            (None, Grain::Open) => Some(After { cursor: to[..1].to_vec(), key: Vec::new(), inclusive: true }),
            (None, _) => None,
        };
        if bound.to == place.mark && place.after.is_none() && again.is_none() {
            return None;
        }
        let first =
            || settings.start.clone().map(|start| After { cursor: vec![start], key: Vec::new(), inclusive: true });
        let above = |mark: &Vec<String>| After { cursor: mark.clone(), key: Vec::new(), inclusive: false };
        let after = place.after.clone().or_else(|| place.mark.as_ref().map(above)).or_else(first);
        let (max_ties, waiting) = (settings.max_ties, bound.waiting);
        let digest_key = masking::digest_key(&settings.section);
        Some(Self { order, max_ties, digest_key, place, state, after, upper: Upper::With(to), again, waiting })
    }

    /// A window, from its beginning or from `checkpoint` on; `None` where it holds nothing.
    pub fn of_window(
        settings: &Settings,
        order: Order,
        window: Window,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<Option<Self>> {
        let place = Place::of(checkpoint, settings)?;
        // Only a window's end has one: it was read by whoever came before.
        if place.mark.is_some() {
            return Ok(None);
        }
        let first = window.from.map(|from| After { cursor: vec![from], key: Vec::new(), inclusive: true });
        let after = place.after.clone().or(first);
        let upper = match (window.until, window.to) {
            (Some(until), _) => Upper::Before(until),
            (None, Some(to)) => Upper::With(to),
            (None, None) => return Ok(None),
        };
        let (max_ties, state, again, waiting) = (settings.max_ties, Value::Null, None, None);
        let digest_key = masking::digest_key(&settings.section);
        Ok(Some(Self { order, max_ties, digest_key, place, state, after, upper, again, waiting }))
    }

    /// Behind which place the next statement reads, for sources without SQL,
    pub fn after(&self) -> Option<&After> {
        self.after.as_ref()
    }

    /// up to where,
    pub fn upper(&self) -> &Upper {
        &self.upper
    }

    /// and behind which place rows lie that the next run reads again.
    pub fn read_again(&self) -> Option<&After> {
        self.again.as_ref()
    }

    /// Which rows the next statement reads, besides those of the stream's own condition.
    pub fn condition(&self) -> Result<String> {
        let mut conditions = Vec::new();
        if let Some(after) = &self.after {
            conditions.push(self.beyond(after)?);
        }
        conditions.push(match &self.upper {
            Upper::With(to) => self.compared(&self.order.cursor[..to.len()], Compare::LessOrEqual, to)?,
            Upper::Before(until) => {
                self.compared(&self.order.cursor[..1], Compare::Less, std::slice::from_ref(until))?
            }
        });
        // What a row of several compares as is decided by its first values, though a later one be null.
        conditions.extend(self.order.cursor.iter().skip(1).map(Column::is_placed));
        let first = self.order.cursor.first().and_then(|column| column.stray.as_ref());
        conditions.extend(first.map(|stray| stray.is_not.clone()));
        Ok(conditions.join(" and "))
    }

    fn beyond(&self, after: &After) -> Result<String> {
        let how = if after.inclusive { Compare::GreaterOrEqual } else { Compare::Greater };
        if after.key.is_empty() {
            return self.compared(&self.order.cursor[..after.cursor.len()], how, &after.cursor);
        }
        let columns: Vec<_> = self.order.cursor.iter().chain(&self.order.key).cloned().collect();
        let values: Vec<_> = after.cursor.iter().chain(&after.key).cloned().collect();
        self.compared(&columns, how, &values)
    }

    fn compared(&self, columns: &[Column], how: Compare, values: &[String]) -> Result<String> {
        let literals = columns.iter().zip(values).map(|(column, value)| (column.literal)(value));
        let names: Vec<_> = columns.iter().map(|column| column.sql.clone()).collect();
        Ok(compare(&names, how, &literals.collect::<Result<Vec<_>>>()?, self.order.rows))
    }

    /// What rows are ordered by.
    pub fn order(&self) -> Vec<String> {
        self.order.cursor.iter().chain(&self.order.key).map(|column| column.sql.clone()).collect()
    }

    /// Columns whose texts are the first marks.
    pub fn marked(&self) -> impl Iterator<Item = &Column> {
        self.order.cursor.iter().chain(&self.order.key)
    }

    /// A condition that is the last mark of each row, where the next run reads some again.
    pub fn again(&self) -> Result<Option<String>> {
        self.again.as_ref().map(|again| self.beyond(again)).transpose()
    }

    /// What looks at the rows, where something has to.
    pub fn sieve(&self) -> Result<Option<Sieve>> {
        let seen = Seen::of(&self.state)?;
        let most = self.again.as_ref().map(|_| self.max_ties);
        let groups = (!self.order.is_exact && self.order.has_groups).then_some(self.order.cursor.len());
        let is_needed = !seen.is_empty() || most.is_some() || groups.is_some();
        Ok(is_needed.then(|| Sieve::new(seen, most, groups).keyed(self.digest_key)))
    }

    /// A batch with the checkpoints that are safe in it and behind it. `marks` are those of the last row that came.
    pub fn events(
        &mut self,
        rows: Rows,
        marks: Option<&[Option<String>]>,
        sieve: Option<&mut Sieve>,
    ) -> Result<Vec<Event>> {
        let is_safe = sieve.as_ref().is_none_or(|sieve| sieve.is_stop_safe());
        if self.order.is_exact {
            let checkpoint = marks.filter(|_| is_safe).map(|marks| self.behind(marks)).transpose()?.flatten();
            return Ok([Event::Rows(rows)].into_iter().chain(checkpoint.map(Event::Checkpoint)).collect());
        }
        let Some(boundary) = sieve.and_then(Sieve::take_boundary).filter(|_| is_safe) else {
            return Ok(vec![Event::Rows(rows)]);
        };
        let count = rows.batch.num_rows();
        let (before, behind) =
            (rows.batch.slice(0, boundary.rows), rows.batch.slice(boundary.rows, count - boundary.rows));
        let checkpoint = self.behind(&boundary.cursor())?;
        let part = |batch: RecordBatch| Some(Event::Rows(Rows { table: rows.table.clone(), batch }));
        let events = [part(before), checkpoint.map(Event::Checkpoint), part(behind)];
        let is_something = |event: &Event| !matches!(event, Event::Rows(rows) if rows.batch.num_rows() == 0);
        Ok(events.into_iter().flatten().filter(is_something).collect())
    }

    /// Whether statements can go on one behind the other at all.
    pub fn can_go_on(&self) -> bool {
        self.order.is_exact
    }

    /// Has the next statement of this run begin behind the row with these marks; whether it can.
    ///
    /// It reads what the statement before it would have, as a run does that goes on where another was killed: the bound
    /// is the run's, below which nobody writes any more. A row that is changed in between has a cursor behind the bound
    /// and is the next run's. What earlier runs delivered and the next one reads again is the sieve's to know: unlike a
    /// run, a statement may end among such rows, if the sieve goes on to the next.
    pub fn goes_on_behind(&mut self, marks: &[Option<String>]) -> bool {
        let after = self.place_of(marks).filter(|_| self.can_go_on());
        let goes_on = after.is_some();
        self.after = after.or(self.after.take());
        goes_on
    }

    fn place_of(&self, marks: &[Option<String>]) -> Option<After> {
        let count = self.order.cursor.len();
        let values = |marks: &[Option<String>]| marks.iter().cloned().collect::<Option<Vec<_>>>();
        let key = marks.get(count..count + self.order.key.len()).and_then(values)?;
        Some(After { cursor: marks.get(..count).and_then(values)?, key, inclusive: false })
    }

    /// The place behind a row with these marks, where a later run can go on; `None` where it cannot.
    fn behind(&mut self, marks: &[Option<String>]) -> Result<Option<Checkpoint>> {
        let Some(after) = self.place_of(marks) else { return Ok(None) };
        self.after = Some(after);
        // What this run may read the next one may, whoever is at work then.
        let waiting = match &self.upper {
            Upper::With(to) => Some(Waiting { high: to.clone(), transactions: Vec::new() }),
            Upper::Before(_) => None,
        };
        let place = Place { after: self.after.clone(), waiting, ..self.place.clone() };
        Ok(Some(Checkpoint { position: place.position()?, state: self.state.clone() }))
    }

    /// The place at the end. `sieve` has looked at all rows.
    pub fn end(self, sieve: Option<Sieve>, stream: &str) -> Result<Checkpoint> {
        let mark = match self.upper {
            Upper::With(to) => to,
            Upper::Before(until) => vec![until],
        };
        let place = Place { mark: Some(mark), after: self.again, waiting: self.waiting, ..self.place };
        let skipped = sieve.as_ref().map_or(0, |sieve| sieve.skipped);
        let fresh = sieve.map(Sieve::fresh).unwrap_or_default();
        if skipped > 0 {
            tracing::debug!(stream, rows = skipped, "rows were read again and known again");
        }
        if fresh.beyond() > 0 {
            let (rows, most) = (fresh.beyond(), self.max_ties);
            tracing::warn!(
                stream,
                rows,
                most,
                "rows will be delivered again by the next run: there are more than `max_ties`"
            );
        }
        let state = fresh.state();
        Ok(Checkpoint { position: place.position()?, state })
    }
}

/// The place of a run that has nothing to read.
pub fn nothing_new(place: &Place, state: Value, bound: Bound) -> Result<Checkpoint> {
    let mark = bound.to.or_else(|| place.mark.clone());
    let place = Place { mark, waiting: bound.waiting, ..place.clone() };
    let position: Position = place.position()?;
    Ok(Checkpoint { position, state })
}
