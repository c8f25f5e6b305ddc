//! What an incremental run asks before it reads: how far the cursor has come, and who is still at work.

use std::time::Duration;

use async_trait::async_trait;

use super::client::Failure;
use super::connect::{Connection, number, text};
use super::error::{self, Doing};
use super::order::{Ordered, Type};
use super::plan::{Plan, Scope};
use super::sessions::{NO_TEXT, REPLICATION, Sessions};
use crate::error::{Kind, Result};
use crate::source::cursor::{
    self, Column, Compare, Grain, High, Lookback, Probe, Settings, Transaction, compare, told,
};

/// A session shows that it is at work a moment after its statement's time was taken.
const LEAST_WAIT: Duration = Duration::from_millis(20);

/// The command is not known to the server.
const UNKNOWN_COMMAND: u16 = 1064;

/// What the server is to us.
pub struct Server {
    /// Rows come from another server, with the times that they have there.
    pub is_replica: bool,
    /// How far the zone that sessions have which set none is east of UTC.
    offset_s: i64,
}

impl Server {
    pub async fn look(connection: &mut Connection) -> Result<Self> {
        let is_replica = is_replica(connection).await?;
        let offset = offset(connection).await.map_err(|failure| error::of(failure, Doing::Reading))?;
        Ok(Self { is_replica, offset_s: offset })
    }
}

/// Whether we see what others do: `PROCESS` is all it takes. A run finds that out by looking.
pub async fn sees_others(connection: &mut Connection) -> Result<bool> {
    match connection.rows("select 1 from information_schema.innodb_trx limit 1", ()).await {
        Ok(_) => Ok(true),
        Err(failure) if error::number(&failure) == Some(NO_TEXT) => Ok(true),
        Err(failure) => refused(failure).map(|()| false),
    }
}

/// Whether rows come from elsewhere, as far as we may ask.
async fn is_replica(connection: &mut Connection) -> Result<bool> {
    let reading = |failure| error::of(failure, Doing::Reading);
    let rows = connection.rows("select @@global.read_only, @@global.innodb_read_only", ()).await.map_err(reading)?;
    if rows.first().is_some_and(|row| (0..2).any(|index| number(row, index) != Some(0))) {
        return Ok(true);
    }
    let threads = connection.texts("show processlist").await.map_err(reading)?;
    if threads.iter().any(|row| text(row, 1) == REPLICATION && text(row, 4) != "Daemon") {
        return Ok(true);
    }
    let commands: &[&str] = match connection.is_mariadb {
        true => &["show all slaves status"],
        false => &["show replica status", "show slave status"],
    };
    for command in commands {
        match connection.texts(command).await {
            Ok(rows) => return Ok(!rows.is_empty()),
            Err(failure) if error::number(&failure) == Some(UNKNOWN_COMMAND) => {}
            Err(failure) => refused(failure)?,
        }
    }
    Ok(false)
}

/// Lets a missing right pass.
fn refused(failure: Failure) -> Result<()> {
    let error = error::of(failure, Doing::Reading);
    if error.kind() == Kind::Denied { Ok(()) } else { Err(error) }
}

async fn offset(connection: &mut Connection) -> Result<i64, Failure> {
    connection.run("set session time_zone = @@global.time_zone").await?;
    // As text: a number of a row is one without a sign.
    let sql = "select cast(timestampdiff(second, utc_timestamp(), now()) as char)";
    let rows = connection.rows(sql, ()).await?;
    connection.run("set session time_zone = '+00:00'").await?;
    Ok(rows.first().and_then(|row| text(row, 0).parse().ok()).unwrap_or_default())
}

/// Looks at the table by the reader's connection, and at the server's sessions by others.
pub struct Looking<'a> {
    /// In no transaction.
    pub reader: &'a mut Connection,
    pub sessions: &'a Sessions,
    pub plan: &'a Plan,
    pub ordered: &'a Ordered,
    pub server: &'a Server,
    /// Whether transactions of the table are InnoDB's.
    pub is_innodb: bool,
}

impl Looking<'_> {
    /// The highest time that is no time of the future, whatever zone the column is in; `None` where it holds no times.
    fn cap(&self) -> Option<String> {
        match self.ordered.grain {
            Grain::Time { unit } => {
                let zone = match self.ordered.of {
                    Type::Timestamp(_) => 0,
                    _ => u128::from(self.server.offset_s.max(0).unsigned_abs()) * 1_000_000,
                };
                Some(format!("<= utc_timestamp(6) + interval {} microsecond", zone + (unit * 2).as_micros()))
            }
            // Over in the last zone on earth.
            Grain::Day => Some("< cast(utc_timestamp() - interval 12 hour as date)".to_owned()),
            Grain::Unique | Grain::Open => None,
        }
    }

    /// Whether a time is so old that no clock gives it any more.
    fn is_old(&self) -> String {
        let first = &self.ordered.order.cursor[0].sql;
        match self.ordered.grain {
            Grain::Time { unit } => {
                let zones = if matches!(self.ordered.of, Type::Timestamp(_)) { 0 } else { 27 * 3600 };
                let margin = cursor::step_of_writers(unit, 0) * 2 + Duration::from_secs(zones);
                format!("{first} < utc_timestamp(6) - interval {} microsecond", margin.as_micros())
            }
            Grain::Day => "true".to_owned(),
            Grain::Unique | Grain::Open => "false".to_owned(),
        }
    }

    async fn ask(&mut self, sql: &str) -> Result<Option<mysql_common::row::Row>> {
        let rows = self.reader.rows(sql, ()).await.map_err(|failure| error::of(failure, Doing::Reading))?;
        Ok(rows.into_iter().next())
    }

    /// How many rows have a cursor of the future, up to a number.
    pub async fn in_the_future(&mut self) -> Result<u64> {
        let Some(cap) = self.cap().filter(|_| self.ordered.grain != Grain::Day) else { return Ok(0) };
        let above = cap.replacen("<=", ">", 1);
        self.count(&format!("{} {above}", self.ordered.order.cursor[0].sql), told::MOST_FUTURE).await
    }

    /// How many rows match, up to `most`.
    pub async fn count(&mut self, condition: &str, most: u32) -> Result<u64> {
        let scope = Scope { condition: Some(format!("({condition})")), ..Scope::default() };
        let sql = format!("select count(*) from (select 1 {} limit {most}) as counted", self.plan.tail(&scope));
        Ok(self.ask(&sql).await?.and_then(|row| number(&row, 0)).unwrap_or_default())
    }

    /// Where a lookback from a value of the cursor's first part ends.
    pub async fn floor(&mut self, settings: &Settings, lookback: &Lookback, from: &str) -> Result<String> {
        let wrong = |what: &str| settings.section.error("lookback", what);
        let from = (self.ordered.of.literal())(from)?;
        let micros = |time: &Duration| format!("{from} - interval {} microsecond", time.as_micros());
        let floor = match (self.ordered.of, lookback) {
            (Type::DateTime(_) | Type::Timestamp(_), Lookback { time: Some(time), .. }) => micros(time),
            (Type::Date, Lookback { time: Some(time), .. }) => format!("cast({} as date)", micros(time)),
            (Type::Integer | Type::Decimal, Lookback { number: Some(number), .. }) => {
                // As a decimal with no bounds of its own.
                format!("{from} - {number}.0")
            }
            (Type::Integer | Type::Decimal, _) => return Err(wrong("must be a whole number for this cursor")),
            (Type::Text | Type::Bytes, _) => return Err(wrong("cannot be told for a cursor of this type")),
            _ => return Err(wrong("must be a duration such as `10m` for this cursor")),
        };
        let row = self.ask(&format!("select cast({floor} as char)")).await?;
        let floor = row.map(|row| text(&row, 0)).filter(|floor| !floor.is_empty());
        floor.ok_or_else(|| wrong("goes back beyond the first time that there is"))
    }
}

#[async_trait]
impl Probe for Looking<'_> {
    async fn high(&mut self, above: Option<&[String]>) -> Result<Option<High>> {
        let cursor = &self.ordered.order.cursor;
        let names: Vec<_> = cursor.iter().map(|column| column.sql.clone()).collect();
        let mut conditions: Vec<_> = cursor.iter().map(Column::is_placed).collect();
        if let Some(above) = above {
            let values = cursor.iter().zip(above).map(|(column, value)| (column.literal)(value));
            let values = values.collect::<Result<Vec<_>>>()?;
            conditions.push(compare(&names, Compare::Greater, &values, self.ordered.order.rows));
        }
        conditions.extend(self.cap().map(|cap| format!("{} {cap}", names[0])));
        let scope = Scope {
            condition: Some(conditions.join(" and ")),
            order: names.iter().map(|name| format!("{name} desc")).collect(),
            marks: Vec::new(),
        };
        let count = names.len();
        let marks = self.ordered.marks[..count].join(", ");
        let micros = match self.ordered.grain {
            Grain::Time { .. } => format!("microsecond({})", names[0]),
            _ => "0".to_owned(),
        };
        let sql = format!("select {marks}, ({}), {micros} {} limit 1", self.is_old(), self.plan.tail(&scope));
        let Some(row) = self.ask(&sql).await? else { return Ok(None) };
        let wait = match (self.ordered.grain, number(&row, count) == Some(1)) {
            (_, true) => Duration::ZERO,
            (Grain::Time { unit }, false) => {
                let micros = number(&row, count + 1).and_then(|micros| u32::try_from(micros).ok()).unwrap_or_default();
                LEAST_WAIT.max(cursor::step_of_writers(unit, micros) * 2)
            }
            (_, false) => LEAST_WAIT,
        };
        Ok(Some(High { values: (0..count).map(|index| text(&row, index)).collect(), wait }))
    }

    async fn at_work(&mut self) -> Result<Option<Vec<Transaction>>> {
        if self.server.is_replica || !self.is_innodb {
            return Ok(None);
        }
        Ok(self.sessions.look().await?.map(|look| look.at_work()))
    }

    async fn still(&mut self, noted: &[String]) -> Result<Option<Vec<Transaction>>> {
        // Noted by a server that is not the same any more, or with a right that is gone.
        if self.server.is_replica {
            return Ok(None);
        }
        Ok(self.sessions.look().await?.map(|look| look.still(noted)))
    }

    /// The server renews what it tells when nobody has asked for a tenth of a second.
    fn patience(&self) -> Duration {
        Duration::from_millis(150)
    }
}

/// An engine whose transactions InnoDB knows, or that has none.
pub fn is_innodb(engine: &str) -> bool {
    !matches!(engine, "rocksdb" | "tokudb" | "ndbcluster" | "spider")
}
