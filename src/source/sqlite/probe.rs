//! What an incremental run asks before it reads: how far the cursor has come, and whether somebody is writing. Blocks.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::error::InFile;
use super::form::Form;
use super::lock::Lock;
use super::mark::Mark;
use super::order::{Kind, Ordered};
use super::plan::{Plan, Scope};
use crate::error::{Error, Result};
use crate::source::cursor::{Column, Compare, Grain, High, Probe, Transaction, compare, told};

/// Of so many rows the forms of times are looked at before a run.
const MOST_LOOKED_AT: u32 = 10_000;

/// Looks at the table by the reader's connection, which is in no transaction, and at the writers' lock.
pub struct Looking<'a> {
    pub reader: &'a mut Connection,
    pub path: &'a Path,
    pub plan: &'a Plan,
    pub ordered: &'a Ordered,
    pub lock: Lock,
}

/// A whole cursor.
type Marks = Vec<Mark>;

impl Looking<'_> {
    fn names(&self) -> Vec<String> {
        self.ordered.order.cursor.iter().map(|column| column.sql.clone()).collect()
    }

    /// The cursor of the first row in an order among those of a condition.
    fn end(&self, condition: Option<String>, is_last: bool) -> Result<Option<Marks>> {
        let names = self.names();
        let placed = self.ordered.order.cursor.iter().map(Column::is_placed);
        let conditions: Vec<_> = placed.chain(condition).collect();
        let order = names.iter().map(|name| format!("{name}{}", if is_last { " desc" } else { "" })).collect();
        let scope = Scope { condition: Some(conditions.join(" and ")), order, marks: Vec::new() };
        let sql = format!("select {} {} limit 1", names.join(", "), self.plan.tail(&scope));
        let mut statement = self.reader.prepare(&sql).in_file(self.path)?;
        let mut rows = statement.query([]).in_file(self.path)?;
        let Some(row) = rows.next().in_file(self.path)? else { return Ok(None) };
        let values = (0..names.len()).map(|index| row.get_ref(index).map(Mark::of));
        let values = values.collect::<rusqlite::Result<Option<Marks>>>().in_file(self.path)?;
        values.map(Some).ok_or_else(|| Error::bug("a cursor that is not null is null"))
    }

    /// Refuses a cursor whose values are of several classes: those of a higher one would hide those of a lower one.
    fn check_classes(&self, high: &Mark, mark: Option<&str>) -> Result<()> {
        let lowest = self.end(None, false)?.map(|mut values| values.swap_remove(0));
        let is_time = |mark: &Mark| matches!(self.ordered.kind(mark), Kind::Text(_));
        if lowest.as_ref().is_some_and(is_time) && !is_time(high) {
            return Err(Error::data("the cursor holds times, and text that is none and sorts behind all of them")
                .hint("Give all rows times, or nulls, or leave out by `where` the rows that have none."));
        }
        let lowest = lowest.map(|lowest| lowest.class());
        let mark = mark.and_then(Mark::parse).map(|mark| mark.class());
        let other = [lowest, mark].into_iter().flatten().find(|class| *class != high.class());
        let Some(other) = other else { return Ok(()) };
        let (first, second) = (other.min(high.class()).name(), other.max(high.class()).name());
        Err(Error::data(format!(
            "the cursor holds {first} and {second}, of which all {second} sort behind all {first}"
        ))
        .hint("Give all rows values of one kind, or follow a cursor that has one."))
    }

    /// The greatest value that is not in the future, as SQL compares with it; `None` where it holds no times.
    fn cap(&self, kind: &Kind) -> Result<Option<String>> {
        let now = jiff::Timestamp::now().as_microsecond();
        let (how, at) = match self.ordered.grain(kind) {
            Grain::Time { unit } => {
                let zone = if kind.is_instant() { 0 } else { self.zone()?.max(0) };
                ("<=", now + zone + i64::try_from((unit * 2).as_micros()).unwrap_or_default())
            }
            // Over in the last zone on earth.
            Grain::Day => ("<", now - 12 * 3_600_000_000),
            Grain::Unique | Grain::Open => return Ok(None),
        };
        let first = &self.ordered.order.cursor[0];
        let Some(cap) = kind.write(at) else { return Ok(None) };
        Ok(Some(format!("{} {how} {}", first.sql, (first.literal)(&cap.text())?)))
    }

    /// How far the zone of this machine is east of UTC, in microseconds.
    fn zone(&self) -> Result<i64> {
        let sql = "select (strftime('%s', 'now', 'localtime') - strftime('%s', 'now')) * 1000000";
        self.reader.query_row(sql, [], |row| row.get(0)).in_file(self.path)
    }

    /// How long until whoever begins writes a greater value.
    fn wait(&self, kind: &Kind, high: &Mark) -> Duration {
        let Grain::Time { unit } = self.ordered.grain(kind) else { return Duration::ZERO };
        let zones = if kind.is_instant() { 0 } else { 27 * 3600 };
        let margin = i64::try_from((unit * 2 + Duration::from_secs(zones)).as_micros()).unwrap_or(i64::MAX);
        let is_old = kind.read(high).is_some_and(|at| at < jiff::Timestamp::now().as_microsecond() - margin);
        if is_old { Duration::ZERO } else { unit * 2 }
    }

    /// What the newest value is; `None` where there is none.
    pub fn newest_kind(&self) -> Result<Option<Kind>> {
        Ok(self.end(None, true)?.map(|values| self.ordered.kind(&values[0])))
    }

    /// The same; refuses values of several classes, among which no window is one.
    pub fn newest_kind_of_one_class(&self) -> Result<Option<Kind>> {
        let Some(newest) = self.end(None, true)? else { return Ok(None) };
        self.check_classes(&newest[0], None)?;
        Ok(Some(self.ordered.kind(&newest[0])))
    }

    /// Whether a range of the cursor is found by reading the whole table.
    pub fn reads_all(&self) -> Result<bool> {
        let first = &self.ordered.order.cursor[0].sql;
        let scope = Scope { condition: Some(format!("{first} > 0")), order: vec![first.clone()], marks: Vec::new() };
        let sql = format!("explain query plan select 1 {}", self.plan.tail(&scope));
        let mut statement = self.reader.prepare(&sql).in_file(self.path)?;
        let steps = statement.query_map([], |row| row.get::<_, String>("detail")).in_file(self.path)?;
        let steps = steps.collect::<rusqlite::Result<Vec<_>>>().in_file(self.path)?;
        Ok(!steps.iter().any(|step| step.starts_with("SEARCH")))
    }

    /// How many rows have a cursor of the future, up to a number.
    pub fn in_the_future(&self, kind: &Kind) -> Result<u64> {
        match self.cap(kind)? {
            Some(cap) if self.ordered.grain(kind) != Grain::Day => {
                self.count(&cap.replacen(" <= ", " > ", 1), told::MOST_FUTURE)
            }
            _ => Ok(0),
        }
    }

    /// How many of the newest rows, up to [`MOST_LOOKED_AT`], have times that do not sort by time among those of a kind, and how
    /// many there were to look at. Among the newest, since they stand where the next ones will: what is passed over is
    /// never read, so that those who read cannot see it.
    pub fn in_other_forms(&self, kind: &Kind) -> Result<(u64, u64)> {
        let Some(mut forms) = Forms::of(kind) else { return Ok((0, 0)) };
        let first = &self.ordered.order.cursor[0];
        let order = vec![format!("{} desc", first.sql)];
        let scope = Scope { condition: Some(first.is_placed()), order, marks: Vec::new() };
        let sql = format!("select {} {} limit {MOST_LOOKED_AT}", first.sql, self.plan.tail(&scope));
        let mut statement = self.reader.prepare(&sql).in_file(self.path)?;
        let mut rows = statement.query([]).in_file(self.path)?;
        let mut seen = 0;
        while let Some(row) = rows.next().in_file(self.path)? {
            seen += 1;
            if let ValueRef::Text(text) = row.get_ref(0).in_file(self.path)? {
                forms.look(text);
            }
        }
        Ok((forms.odd, seen))
    }

    /// How many rows match, up to `most`.
    pub fn count(&self, condition: &str, most: u32) -> Result<u64> {
        let scope = Scope { condition: Some(format!("({condition})")), ..Scope::default() };
        let sql = format!("select count(*) from (select 1 {} limit {most})", self.plan.tail(&scope));
        let rows: i64 = self.reader.query_row(&sql, [], |row| row.get(0)).in_file(self.path)?;
        Ok(rows.unsigned_abs())
    }
}

#[async_trait]
impl Probe for Looking<'_> {
    async fn high(&mut self, above: Option<&[String]>) -> Result<Option<High>> {
        let cursor = &self.ordered.order.cursor;
        let beyond = match above {
            Some(above) => {
                let values = cursor.iter().zip(above).map(|(column, value)| (column.literal)(value));
                let values = values.collect::<Result<Vec<_>>>()?;
                Some(compare(&self.names(), Compare::Greater, &values, self.ordered.order.rows))
            }
            None => None,
        };
        let mark = above.and_then(|above| above.first()).map(String::as_str);
        let Some(newest) = self.end(None, true)? else { return Ok(None) };
        self.check_classes(&newest[0], mark)?;
        let kind = self.ordered.kind(&newest[0]);
        let conditions: Vec<_> = beyond.into_iter().chain(self.cap(&kind)?).collect();
        let condition = Some(conditions.join(" and ")).filter(|condition| !condition.is_empty());
        let Some(values) = self.end(condition, true)? else { return Ok(None) };
        let wait = self.wait(&kind, &values[0]);
        Ok(Some(High { values: values.iter().map(Mark::text).collect(), wait }))
    }

    async fn at_work(&mut self) -> Result<Option<Vec<Transaction>>> {
        self.lock.at_work()
    }

    async fn still(&mut self, noted: &[String]) -> Result<Option<Vec<Transaction>>> {
        self.lock.still(noted).map(Some)
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(5)
    }
}

/// Counts times that do not sort by time among those of the run's bound.
#[derive(Debug)]
pub struct Forms {
    bound: Form,
    pub odd: u64,
}

impl Forms {
    pub fn of(kind: &Kind) -> Option<Self> {
        match kind {
            Kind::Text(form) => Some(Self { bound: form.clone(), odd: 0 }),
            _ => None,
        }
    }

    pub fn look(&mut self, text: &[u8]) {
        let sorts = Form::of(text).is_some_and(|(form, _)| form.sorts_with(&self.bound));
        self.odd += u64::from(!sorts);
    }
}
