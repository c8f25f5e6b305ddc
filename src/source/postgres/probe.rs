//! What an incremental run asks before it reads: how far the cursor has come, and who is still at work.

use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::types::Type as Oid;

use super::connect::{Sees, Session, get};
use super::name::literal;
use super::plan::{Plan, Scope};
use super::query::Ordered;
use crate::error::Result;
use crate::source::cursor::{
    self, Column, Compare, Grain, High, Lookback, Probe, Settings, Transaction, compare, told,
};

/// A session shows that it is at work a moment after its transaction's time was taken.
const LEAST_WAIT: Duration = Duration::from_millis(20);

/// The time of the statement: that of the transaction is long ago where planning takes its time.
const NOW: &str = "pg_catalog.statement_timestamp()";

/// What the server is to us.
pub struct Server {
    /// A replica, or a subscriber, shows nothing of those who write.
    pub is_replica: bool,
    /// Whether we see what others do.
    pub sees_others: bool,
    /// The time zone that sessions have which set none.
    zone: String,
}

impl Server {
    pub async fn look(session: &Session) -> Result<Self> {
        // A subscriber's rows come with the times of their publisher.
        let sql = "SELECT pg_catalog.pg_is_in_recovery() OR EXISTS (SELECT FROM pg_catalog.pg_subscription_rel) AS is_replica, \
                   pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_others, \
                   (SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'TimeZone') AS zone";
        let row = session.query_one(sql, &[]).await?;
        let zone: Option<String> = get(&row, "zone")?;
        Ok(Self {
            is_replica: get(&row, "is_replica")?,
            sees_others: get(&row, "sees_others")?,
            zone: zone.unwrap_or_else(|| "UTC".to_owned()),
        })
    }

    pub fn shows_transactions(&self) -> bool {
        !self.is_replica && self.sees_others
    }
}

/// Looks at the table in the reader's transaction, and at the server's sessions in others.
pub struct Looking<'a> {
    /// In the transaction that reads.
    pub reader: &'a Session,
    /// In none.
    pub looker: &'a Session,
    pub plan: &'a Plan,
    pub ordered: &'a Ordered,
    pub server: &'a Server,
    /// How long those are given who cannot be seen.
    pub settle: Duration,
}

impl Looking<'_> {
    /// The highest time that is no time of the future, whatever zone the column is in; `None` where it holds no times.
    fn cap(&self) -> Option<String> {
        let unit = |unit: Duration| interval(unit * 2);
        let zone = literal(&self.server.zone);
        match self.ordered.grain {
            Grain::Time { unit: of } if self.ordered.is_instant => Some(format!("<= {NOW} + {}", unit(of))),
            Grain::Time { unit: of } => {
                Some(format!("<= greatest({NOW} AT TIME ZONE 'UTC', {NOW} AT TIME ZONE {zone}) + {}", unit(of)))
            }
            // Over in the last zone on earth.
            Grain::Day => Some(format!("< ({NOW} AT TIME ZONE 'UTC' - interval '12 hours')::pg_catalog.date")),
            Grain::Unique | Grain::Open => None,
        }
    }

    /// Whether a time is so old that no clock gives it any more.
    fn is_old(&self) -> String {
        let first = &self.ordered.order.cursor[0].sql;
        match self.ordered.grain {
            Grain::Time { unit } if self.ordered.is_instant => {
                format!("{first} < {NOW} - {}", interval(cursor::step_of_writers(unit, 0) * 2))
            }
            Grain::Time { .. } => format!("{first} < {NOW} AT TIME ZONE 'UTC' - interval '27 hours'"),
            Grain::Day => "true".to_owned(),
            Grain::Unique | Grain::Open => "false".to_owned(),
        }
    }

    /// How many rows have a cursor of the future, up to a thousand.
    pub async fn in_the_future(&self) -> Result<i64> {
        let Some(cap) = self.cap().filter(|_| self.ordered.grain != Grain::Day) else { return Ok(0) };
        let above = cap.replacen("<=", ">", 1);
        self.count(&format!("{} {above}", self.ordered.order.cursor[0].sql), told::MOST_FUTURE).await
    }

    /// How many rows match, up to `most`.
    pub async fn count(&self, condition: &str, most: u32) -> Result<i64> {
        let scope = Scope { condition: Some(format!("({condition})")), ..Scope::default() };
        let sql = format!("SELECT count(*) AS rows FROM (SELECT 1 {} LIMIT {most}) AS counted", self.plan.tail(&scope));
        get(&self.reader.query_one(&sql, &[]).await?, "rows")
    }

    /// Where a lookback from a value of the cursor's first column ends.
    pub async fn floor(&self, settings: &Settings, lookback: &Lookback, from: &str) -> Result<String> {
        let wrong = |what: &str| settings.section.error("lookback", what);
        let from = literal(from);
        let sql = match (self.ordered.type_oid.clone(), lookback) {
            (Oid::TIMESTAMP | Oid::TIMESTAMPTZ | Oid::DATE, Lookback { time: Some(time), .. }) => {
                let kind = self.ordered.type_oid.name();
                format!("SELECT ({from}::{kind} - {})::{kind}::text AS floor", interval(*time))
            }
            (Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::NUMERIC, Lookback { number: Some(number), .. }) => {
                // No lower than the type goes: the column is compared with it.
                let lowest = match self.ordered.type_oid {
                    Oid::INT2 => i16::MIN.to_string(),
                    Oid::INT4 => i32::MIN.to_string(),
                    Oid::INT8 => i64::MIN.to_string(),
                    _ => "NULL".to_owned(),
                };
                format!("SELECT greatest({from}::numeric - {number}::numeric, {lowest})::text AS floor")
            }
            (Oid::TIMESTAMP | Oid::TIMESTAMPTZ | Oid::DATE, _) => {
                return Err(wrong("must be a duration such as `10m` for this cursor"));
            }
            (Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::NUMERIC, _) => {
                return Err(wrong("must be a whole number for this cursor"));
            }
            _ => return Err(wrong("cannot be told for a cursor of this type")),
        };
        get(&self.reader.query_one(&sql, &[]).await?, "floor")
    }

    async fn transactions(&self) -> Result<Vec<Transaction>> {
        // Each look in a transaction of its own: within one the server shows the same sessions again.
        self.looker.begin(Sees::Latest).await.map_err(|e| self.looker.error(&e))?;
        let rows = self.looker.query(AT_WORK, &[]).await?;
        self.looker.run("COMMIT").await?;
        rows.iter()
            .map(|row| {
                let age: f64 = get(row, "age")?;
                Ok(Transaction {
                    id: get(row, "id")?,
                    shown: get(row, "shown")?,
                    age: Duration::try_from_secs_f64(age.max(0.0)).unwrap_or_default(),
                })
            })
            .collect()
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
            conditions.push(compare(&names, Compare::Greater, &values.collect::<Result<Vec<_>>>()?, true));
        }
        conditions.extend(self.cap().map(|cap| format!("{} {cap}", names[0])));
        let scope = Scope {
            condition: Some(conditions.join(" AND ")),
            order: names.iter().map(|name| format!("{name} DESC")).collect(),
            marks: Vec::new(),
            most: None,
        };
        let texts = names.iter().map(|name| format!("({name})::pg_catalog.text"));
        let list = texts.collect::<Vec<_>>().join(", ");
        let micros = match self.ordered.grain {
            Grain::Time { .. } => format!("coalesce(extract(microseconds FROM {})::int4 % 1000000, 0)", names[0]),
            _ => "0".to_owned(),
        };
        let sql = format!(
            "SELECT ARRAY[{list}] AS high, {} AS is_old, {micros} AS micros {} LIMIT 1",
            self.is_old(),
            self.plan.tail(&scope)
        );
        let rows = self.reader.query(&sql, &[]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let wait = match (self.ordered.grain, get(row, "is_old")?) {
            (_, true) => Duration::ZERO,
            (Grain::Time { unit }, false) => {
                let micros: i32 = get(row, "micros")?;
                LEAST_WAIT.max(cursor::step_of_writers(unit, micros.unsigned_abs()) * 2)
            }
            (_, false) => LEAST_WAIT,
        };
        Ok(Some(High { values: get(row, "high")?, wait }))
    }

    async fn at_work(&mut self) -> Result<Option<Vec<Transaction>>> {
        if !self.server.shows_transactions() {
            return Ok(None);
        }
        let mut transactions = self.transactions().await?;
        let count = transactions.len();
        transactions.retain(|one| !one.id.starts_with(HIDDEN));
        if transactions.len() < count {
            // Who tells nothing of itself may well be at work; the others are waited for besides.
            tokio::time::sleep(self.settle).await;
        }
        Ok(Some(transactions))
    }

    /// A session that has left its transaction may have prepared it, so that of those that are prepared any may be it.
    async fn still(&mut self, noted: &[String]) -> Result<Option<Vec<Transaction>>> {
        if !self.server.shows_transactions() {
            return Ok(None);
        }
        let now = self.transactions().await?;
        let is_session = |id: &str| !id.starts_with(PREPARED);
        let is_there = |id: &String| now.iter().any(|transaction| is_same(id, &transaction.id));
        let has_left = noted.iter().any(|id| is_session(id) && !is_there(id));
        let is_meant = |id: &String| noted.iter().any(|noted| is_same(noted, id)) || (has_left && !is_session(id));
        Ok(Some(now.into_iter().filter(|transaction| is_meant(&transaction.id)).collect()))
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(20)
    }
}

fn interval(of: Duration) -> String {
    format!("interval '{} microseconds'", of.as_micros())
}

const PREPARED: &str = "prepared ";
const HIDDEN: &str = "hidden ";
const STATEMENT: &str = " statement ";

/// Whether a transaction that was noted is the one that is there now, or the one that it was chained to: by the statement
/// that was at work when it was noted, whose time the next transaction has.
fn is_same(noted: &str, now: &str) -> bool {
    let (now, _) = now.split_once(STATEMENT).unwrap_or((now, ""));
    match noted.split_once(STATEMENT) {
        None => noted == now,
        Some((before, at)) => {
            let session = before.split(' ').next().unwrap_or_default();
            before == now || now.strip_prefix(session).and_then(|rest| rest.strip_prefix(' ')) == Some(at)
        }
    }
}

/// Who is in a transaction in this database, or in the first moment of one, and what is prepared; who does not let it be
/// seen (`track_activities = off`) has an id of its own kind. A later statement that is at work is in the id too, as it may
/// be a `COMMIT AND CHAIN`. Those that only serve replication and vacuum write no rows of their own time; a leader stands
/// for its workers; other runs of ours only read.
const AT_WORK: &str = "
SELECT CASE a.state WHEN 'disabled' THEN 'hidden ' ELSE '' END
           || a.pid::text || ' ' || coalesce(a.xact_start, a.query_start, a.backend_start)::text
           || CASE WHEN a.state = 'active' AND a.query_start > a.xact_start THEN ' statement ' || a.query_start::text ELSE '' END
           AS id,
       'session ' || a.pid || ' of role ' || coalesce(a.usename::text, '?') AS shown,
       extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.query_start, a.backend_start))::float8 AS age
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
  AND (a.xact_start IS NOT NULL OR coalesce(a.state, 'idle') <> 'idle')
  AND a.backend_type NOT IN ('walsender', 'autovacuum worker', 'parallel worker')
  AND NOT (a.usename = current_user AND a.application_name = pg_catalog.current_setting('application_name'))
UNION ALL
SELECT 'prepared ' || p.transaction::text || ' ' || p.gid, 'prepared transaction ' || p.gid,
       extract(epoch FROM clock_timestamp() - p.prepared)::float8
FROM pg_catalog.pg_prepared_xacts AS p WHERE p.database = pg_catalog.current_database()";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chained_transaction_is_the_one_before() {
        let noted = "17 2024-01-01 10:00:00+00 statement 2024-01-01 10:00:05+00";
        for (now, expected) in [
            ("17 2024-01-01 10:00:00+00", true),
            ("17 2024-01-01 10:00:00+00 statement 2024-01-01 10:00:07+00", true),
            ("17 2024-01-01 10:00:05+00", true),
            ("17 2024-01-01 10:00:05+00 statement 2024-01-01 10:00:07+00", true),
            ("17 2024-01-01 10:00:07+00", false),
            ("7 2024-01-01 10:00:05+00", false),
            ("177 2024-01-01 10:00:05+00", false),
        ] {
            assert_eq!(is_same(noted, now), expected, "{now}");
        }
        assert!(is_same("17 2024-01-01 10:00:00+00", noted) && !is_same("17 2024-01-01 10:00:05+00", noted));
        assert!(is_same("prepared 5 gid", "prepared 5 gid") && !is_same("prepared 5 gid", "prepared 5 gid 2"));
    }
}
