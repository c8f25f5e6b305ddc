//! A cursor's axis as windows are cut of it. Blocks.

use std::path::Path;

use async_trait::async_trait;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tokio::runtime::Handle;

use super::connection;
use super::error::InFile;
use super::lock::Lock;
use super::mark::{Class, Mark};
use super::order::{Kind, Ordered};
use super::plan::{Plan, Scope};
use super::probe::Looking;
use super::query::Query;
use crate::error::{Error, Result};
use crate::record::Range;
use crate::source::cursor::{self, Axis, Place, Step, Steps, Wanted, Window, places};

impl Query {
    /// The windows of what is wanted, up to where the stream has come.
    pub fn windows(&self, wanted: &Wanted) -> Result<Vec<Range>> {
        let path = self.file.path.as_path();
        let mut connection = connection::open(&self.file)?;
        let ordered = Ordered::of(&connection, path, &self.plan, &self.settings)?;
        let mark = Place::of(self.after.as_ref(), &self.settings)?.mark;
        let kind = kind(&mut connection, path, &self.plan, &ordered, mark.as_deref())?;
        let mut axis = Looked { reader: &mut connection, path, plan: &self.plan, ordered: &ordered, kind };
        let windows = Handle::current().block_on(cursor::cut(&mut axis, wanted, mark))?;
        windows.iter().map(Window::range).collect()
    }
}

/// What the values are: those of the table, or of the mark where it has none. Text where there is none at all.
fn kind(reader: &mut Connection, path: &Path, plan: &Plan, ordered: &Ordered, mark: Option<&[String]>) -> Result<Kind> {
    let mark = mark.and_then(|mark| Mark::parse(mark.first()?));
    let looking = Looking { reader, path, plan, ordered, lock: Lock::Nobody };
    let kind = looking.newest_kind_of_one_class()?.or_else(|| mark.map(|mark| ordered.kind(&mark)));
    Ok(kind.unwrap_or(Kind::Plain(Class::Text)))
}

struct Looked<'a> {
    reader: &'a mut Connection,
    path: &'a Path,
    plan: &'a Plan,
    ordered: &'a Ordered,
    kind: Kind,
}

impl Looked<'_> {
    fn sql(&self, mark: &str) -> Result<String> {
        (self.ordered.order.cursor[0].literal)(mark)
    }
}

#[async_trait]
impl Axis for Looked<'_> {
    fn name(&self) -> String {
        self.kind.name().to_owned()
    }

    fn steps(&self) -> Option<Steps> {
        match self.kind {
            Kind::Text(_) | Kind::Units(_) | Kind::Julian => Some(Steps::Times),
            Kind::Plain(Class::Number) => Some(Steps::Numbers),
            Kind::Plain(_) => None,
        }
    }

    async fn read(&mut self, text: &str) -> Result<Option<String>> {
        Ok(self.kind.parse(text).map(|mark| mark.text()))
    }

    async fn is_before(&mut self, one: &str, other: &str) -> Result<bool> {
        // As the column compares, whose collation may be its own.
        let first = &self.ordered.order.cursor[0].sql;
        let none = Scope { condition: Some("0".to_owned()), ..Scope::default() };
        let sql = format!(
            "select v < {} from (select {first} as v {} union all select {})",
            self.sql(other)?,
            self.plan.tail(&none),
            self.sql(one)?
        );
        self.reader.query_row(&sql, [], |row| row.get(0)).in_file(self.path)
    }

    async fn lowest(&mut self) -> Result<Option<String>> {
        let column = &self.ordered.order.cursor[0];
        let first = column.sql.clone();
        let scope = Scope { condition: Some(column.is_placed()), order: vec![first.clone()], marks: Vec::new() };
        let sql = format!("select {first} {} limit 1", self.plan.tail(&scope));
        let mut statement = self.reader.prepare(&sql).in_file(self.path)?;
        let mut rows = statement.query([]).in_file(self.path)?;
        let Some(row) = rows.next().in_file(self.path)? else { return Ok(None) };
        let value: ValueRef<'_> = row.get_ref(0).in_file(self.path)?;
        let mark = Mark::of(value).ok_or_else(|| Error::bug("a cursor that is not null is null"))?;
        Ok(Some(mark.text()))
    }

    async fn borders(&mut self, from: &str, end: &str, step: &Step, most: usize) -> Result<Option<Vec<String>>> {
        let (Some(from), Some(end)) = (Mark::parse(from), Mark::parse(end)) else { return Ok(None) };
        Ok(borders(&self.kind, &from, &end, step, most))
    }
}

fn borders(kind: &Kind, from: &Mark, end: &Mark, step: &Step, most: usize) -> Option<Vec<String>> {
    let marks: Vec<Mark> = match (kind, from, end) {
        (Kind::Plain(Class::Number), Mark::Integer(from), Mark::Integer(end)) => {
            let places = places(i128::from(*from), i128::from(*end), step.units(), most);
            places.map(|at| i64::try_from(at).ok().map(Mark::Integer)).collect::<Option<_>>()?
        }
        (Kind::Plain(Class::Number), ..) => {
            let (from, end, step) = (real(from)?, real(end)?, step.units() as f64);
            let places = (1..=most).map(|count| from + step * count as f64).take_while(|at| *at < end);
            let places = places.collect::<Vec<_>>();
            // Steps that are lost among digits lead nowhere.
            let grows = places.iter().zip(std::iter::once(&from).chain(&places)).all(|(at, before)| at > before);
            grows.then(|| places.into_iter().map(mark).collect())?
        }
        _ => {
            let places = places(i128::from(kind.read(from)?), i128::from(kind.read(end)?), step.units(), most);
            places.map(|at| kind.write(i64::try_from(at).ok()?)).collect::<Option<_>>()?
        }
    };
    // A time may be written in fewer digits than it has.
    let (from, end) = (from.text(), end.text());
    let mut borders: Vec<_> = marks.iter().map(Mark::text).filter(|text| *text != from && *text != end).collect();
    borders.dedup();
    Some(borders)
}

fn real(mark: &Mark) -> Option<f64> {
    match mark {
        Mark::Integer(number) => Some(*number as f64),
        Mark::Real(number) => Some(*number).filter(|number| number.is_finite()),
        _ => None,
    }
}

fn mark(number: f64) -> Mark {
    Mark::of(ValueRef::Real(number)).unwrap_or(Mark::Real(number))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::form::Form;
    use super::*;

    fn shown(kind: &Kind, from: &str, end: &str, step: &Step) -> Option<String> {
        let mark = |text: &str| Mark::parse(text).unwrap();
        borders(kind, &mark(from), &mark(end), step, 100).map(|all| all.join(" "))
    }

    #[test]
    fn borders_lie_a_step_apart_and_are_written_as_the_values_are() {
        let (number, day) = (Kind::Plain(Class::Number), Step::Time(Duration::from_secs(86_400)));
        assert_eq!(shown(&number, "-5", "7", &Step::Number(5)).as_deref(), Some("0 5"));
        assert_eq!(
            shown(&number, "9223372036854775800", "9223372036854775807", &Step::Number(5)).as_deref(),
            Some("9223372036854775805")
        );
        assert_eq!(shown(&number, "0.5", "3", &Step::Number(1)).as_deref(), Some("1.5 2.5"));
        assert_eq!(shown(&number, "1e300", "2e300", &Step::Number(1)), None);
        let form = |text: &str| Kind::Text(Form::of(text.as_bytes()).unwrap().0);
        let minutes = form("2024-02-28 10:00");
        assert_eq!(
            shown(&minutes, "'2024-02-28 10:00'", "'2024-03-01 09:00'", &day).as_deref(),
            Some("'2024-02-29 10:00'")
        );
        let zone = form("2024-02-28T10:00:00+02:00");
        let until = "'2024-03-01T10:00:00+02:00'";
        assert_eq!(
            shown(&zone, "'2024-02-28T10:00:00+02:00'", until, &day).as_deref(),
            Some("'2024-02-29T10:00:00+02:00'")
        );
        let (days, hours) = (form("2024-02-28"), Step::Time(Duration::from_secs(10 * 3600)));
        assert_eq!(shown(&days, "'2024-02-28'", "'2024-03-01'", &hours).as_deref(), Some("'2024-02-29'"));
        assert_eq!(shown(&Kind::Units(1), "86400", "259201", &day).as_deref(), Some("172800 259200"));
        assert_eq!(shown(&minutes, "'never'", "'2024-03-01 09:00'", &day), None);
    }
}
