//! What an incremental stream is ordered by, and what its cursor's values are: SQLite's columns hold whatever is put into
//! them, so that the values that are there decide.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::catalog::{self, Keys};
use super::config::Numbers;
use super::error::{is_sql, of_file, words};
use super::form::Form;
use super::mark::{Class, Mark, literal};
use super::plan::{Plan, Scope};
use super::time;
use super::types::Shape;
use crate::error::Result;
use crate::source::cursor::{Column, Expression, Grain, Lookback, Order, Settings, Stray};
use crate::source::iso8601;

/// The cursor of a plan, and the key behind it.
pub struct Ordered {
    pub order: Order,
    /// Whether no two rows have the same in its first column.
    first_is_unique: bool,
    /// Whether it can be null.
    pub is_nullable: bool,
    /// It is an INTEGER PRIMARY KEY whose values may come again.
    pub is_reused: bool,
    /// What numbers in its first part count, where that holds dates or times.
    numbers: Option<Numbers>,
}

/// What a value of the cursor's first part is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A time as text.
    Text(Form),
    /// A time as a number, of so many units per second.
    Units(i64),
    /// A time as a number of days.
    Julian,
    /// Whatever sorts.
    Plain(Class),
}

const MICROS: i64 = 1_000_000;

impl Ordered {
    /// Refuses a cursor of columns that are not there.
    pub fn of(connection: &Connection, path: &Path, plan: &Plan, settings: &Settings) -> Result<Self> {
        let sql = |part: &Expression| part.sql(|name| plan.column(name));
        let list: Vec<_> = settings.cursor.iter().map(sql).collect();
        let statement = format!("select {} {}", list.join(", "), plan.tail(&Scope::default()));
        connection.prepare(&statement).map_err(|e| match is_sql(&e) {
            true => settings
                .unknown_column(&plan.name, &plan.all, str::eq_ignore_ascii_case)
                .unwrap_or_else(|| settings.section.error("cursor", format!("is refused by SQLite: {}", words(&e)))),
            false => of_file(path, &e),
        })?;
        let names: Vec<_> = settings.cursor.iter().flat_map(Expression::columns).collect();
        let is_named = |column: &String| names.iter().any(|name| name.eq_ignore_ascii_case(column));
        let keys = match &plan.relation {
            Some(table) => catalog::keys(connection, path, table)?,
            None => Keys::default(),
        };
        let is_plain = settings.cursor.iter().all(|part| matches!(part, Expression::Column(_)));
        let is_unique = is_plain && keys.unique.iter().any(|columns| columns.iter().all(is_named));
        let is_first = |column: &String| names[0].eq_ignore_ascii_case(column);
        let first_is_unique = is_plain && keys.unique.iter().any(|columns| columns.iter().all(is_first));
        let is_reused = keys.reused.as_ref().is_some_and(|column| is_plain && is_named(column));
        let is_never_null = |part: &Expression| {
            part.columns().iter().any(|name| keys.not_null.iter().any(|known| known.eq_ignore_ascii_case(name)))
        };
        let first = &settings.cursor[0].columns()[0];
        let shape = plan.columns.iter().find(|column| column.name.eq_ignore_ascii_case(first)).map(|c| c.shape);
        let numbers = matches!(shape, Some(Shape::Date | Shape::Wall | Shape::Instant)).then_some(plan.leniency.times);
        let column = |sql: String| Column { sql, literal, stray: None };
        // What the cursor orders already needs no second place.
        let key = plan.table.key.iter().filter(|name| !is_unique && !is_named(name));
        Ok(Self {
            order: Order {
                cursor: list.into_iter().map(|sql| Column { stray: Some(infinite(&sql)), ..column(sql) }).collect(),
                key: key.map(|name| column(plan.column(name))).collect(),
                is_exact: is_unique || !plan.table.key.is_empty(),
                // Known of values only; see `Kind::has_groups`.
                has_groups: false,
                rows: true,
            },
            first_is_unique,
            // Of a column of such numbers, an infinity is a value that may well be there.
            is_nullable: !settings.cursor.iter().all(is_never_null) || shape == Some(Shape::Real),
            is_reused,
            numbers,
        })
    }

    /// What a value of the cursor's first part is.
    pub fn kind(&self, value: &Mark) -> Kind {
        match (value, self.numbers) {
            (Mark::Text(text), _) => match Form::of(text) {
                Some((form, _)) => Kind::Text(form),
                None => Kind::Plain(Class::Text),
            },
            (Mark::Integer(_) | Mark::Real(_), Some(Numbers::PerSecond(units))) => Kind::Units(units),
            (Mark::Integer(_) | Mark::Real(_), Some(Numbers::Julian)) => Kind::Julian,
            (other, _) => Kind::Plain(other.class()),
        }
    }

    pub fn grain(&self, kind: &Kind) -> Grain {
        match kind {
            Kind::Text(form) if form.is_day() => Grain::Day,
            Kind::Text(form) => Grain::Time { unit: form.unit() },
            Kind::Units(units) => Grain::Time { unit: Duration::from_micros((MICROS / *units).max(1).unsigned_abs()) },
            // SQLite reckons to the millisecond.
            Kind::Julian => Grain::Time { unit: Duration::from_millis(1) },
            Kind::Plain(_) if self.first_is_unique && !self.is_reused => Grain::Unique,
            Kind::Plain(_) => Grain::Open,
        }
    }
}

/// An infinity: the other values that are no numbers are nulls to SQLite.
fn infinite(sql: &str) -> Stray {
    let is = format!("({sql} in (9e999, -9e999) and typeof({sql}) = 'real')");
    Stray { is_not: format!("not {is}"), is }
}

impl Kind {
    /// The value of a time, by the clock of UTC where it has no zone of its own.
    pub fn write(&self, utc: i64) -> Option<Mark> {
        match self {
            Kind::Text(form) => form.write(utc + form.offset.unwrap_or(0)).map(|text| Mark::Text(text.into_bytes())),
            Kind::Units(units) if *units <= MICROS => Some(Mark::Integer(utc.div_euclid(MICROS / *units))),
            Kind::Units(units) => utc.checked_mul(*units / MICROS).map(Mark::Integer),
            Kind::Julian => Some(Mark::Real(utc as f64 / 86_400e6 + 2_440_587.5)),
            Kind::Plain(_) => None,
        }
    }

    /// Microseconds since 1970 of a value, by the clock of UTC where it has no zone of its own.
    pub fn read(&self, value: &Mark) -> Option<i64> {
        match (self, value) {
            (Kind::Text(_), Mark::Text(text)) => {
                iso8601::moment(text).map(|moment| moment.wall - moment.zone.unwrap_or(0))
            }
            (Kind::Units(units), Mark::Integer(number)) => number.checked_mul(MICROS).map(|micros| micros / units),
            (Kind::Units(units), Mark::Real(number)) => time::of_real_units(*number, *units),
            (Kind::Julian, Mark::Real(days)) => time::of_julian(*days),
            (Kind::Julian, Mark::Integer(days)) => time::of_julian(*days as f64),
            _ => None,
        }
    }

    /// Whether a time says by itself which instant it is.
    pub fn is_instant(&self) -> bool {
        match self {
            Kind::Text(form) => form.offset.is_some(),
            Kind::Units(_) | Kind::Julian => true,
            Kind::Plain(_) => false,
        }
    }

    /// Whether different marks are different values: of other texts a collation may take several for the same.
    pub fn has_groups(&self) -> bool {
        *self != Kind::Plain(Class::Text)
    }

    /// A value that a user has written; `None` where it is none of this kind.
    pub fn parse(&self, text: &str) -> Option<Mark> {
        let text = text.trim();
        match self {
            Kind::Plain(Class::Text) => Some(Mark::Text(text.as_bytes().to_vec())),
            Kind::Plain(Class::Number) => Mark::parse(text).filter(|mark| mark.class() == Class::Number),
            Kind::Plain(Class::Bytes) => hex::decode(text.replace('-', "")).ok().map(Mark::Bytes),
            Kind::Units(_) | Kind::Julian if Mark::parse(text).is_some_and(|mark| mark.class() == Class::Number) => {
                Mark::parse(text)
            }
            _ => {
                let moment = iso8601::moment(text.as_bytes())?;
                match (self.is_instant(), moment.zone) {
                    // One with a zone would lose it.
                    (false, Some(_)) => None,
                    (_, zone) => self.write(moment.wall - zone.unwrap_or(0)),
                }
            }
        }
    }

    /// Where a lookback from a value ends.
    pub fn floor(&self, settings: &Settings, lookback: &Lookback, from: &Mark) -> Result<Mark> {
        let wrong = |what: &str| settings.section.error("lookback", what);
        match (self, lookback, from) {
            (Kind::Plain(Class::Number), Lookback { number: Some(number), .. }, Mark::Integer(from)) => {
                let number = number.parse().unwrap_or(i64::MAX);
                Ok(Mark::Integer(from.saturating_sub(number)))
            }
            (Kind::Plain(Class::Number), Lookback { number: Some(number), .. }, Mark::Real(from)) => {
                Ok(Mark::Real(from - number.parse().unwrap_or(f64::INFINITY)))
            }
            (Kind::Plain(Class::Number), ..) => Err(wrong("must be a whole number for this cursor")),
            (Kind::Plain(_), ..) => Err(wrong("cannot be told for a cursor of this type")),
            (_, Lookback { time: Some(time), .. }, from) => {
                let back = i64::try_from(time.as_micros()).ok();
                let floor = self.read(from).zip(back).and_then(|(at, back)| self.write(at.checked_sub(back)?));
                floor.ok_or_else(|| wrong("goes back beyond the first time that there is"))
            }
            _ => Err(wrong("must be a duration such as `10m` for this cursor")),
        }
    }

    /// For messages.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Text(_) | Kind::Units(_) | Kind::Julian => "a time as the cursor holds it",
            Kind::Plain(Class::Number) => "a number",
            Kind::Plain(Class::Text) => "text",
            Kind::Plain(Class::Bytes) => "bytes in hexadecimal digits",
        }
    }
}
