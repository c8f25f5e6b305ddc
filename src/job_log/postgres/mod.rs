//! The job log in a PostgreSQL database: `url = postgres://user:password@host/database`.

mod error;
mod settings;

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use self::settings::Settings;
use super::Timing;
use super::server::session::{Cell, Dialect, Driver, Record, Session};
use super::server::{JobLog, of_url};
use crate::config::Section;
use crate::error::{Error, Result};
use crate::net::postgres::readable;

static DIALECT: Dialect = Dialect {
    now: "pg_catalog.to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    // As statements find it: the first of the name on the search path.
    tables_named: "SELECT pg_catalog.count(pg_catalog.to_regclass(?))",
    make_id: "CREATE TABLE IF NOT EXISTS job_log_id (id TEXT NOT NULL, version BIGINT NOT NULL)",
    migrations: &[
        &[
            // In the collation \"C\" text order is time order.
            "CREATE TABLE IF NOT EXISTS job_log (
            run_id          TEXT COLLATE \"C\" PRIMARY KEY,
            pipeline        TEXT NOT NULL,
            stream          TEXT NOT NULL,
            mode            TEXT NOT NULL CHECK (mode IN ('full', 'incremental', 'cdc')),
            state           TEXT NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'failed')),
            low_water_mark  TEXT,
            high_water_mark TEXT,
            seq             BIGINT,
            commits         BIGINT NOT NULL DEFAULT 0,
            \"rows\"          BIGINT NOT NULL DEFAULT 0,
            bytes           BIGINT NOT NULL DEFAULT 0,
            started_at      TEXT COLLATE \"C\" NOT NULL,
            updated_at      TEXT COLLATE \"C\" NOT NULL,
            finished_at     TEXT COLLATE \"C\",
            error_kind      TEXT,
            error           TEXT
        )",
            "CREATE INDEX IF NOT EXISTS job_log_by_start ON job_log (pipeline, stream, started_at)",
            "CREATE INDEX IF NOT EXISTS job_log_by_seq ON job_log (pipeline, stream, seq)",
            "CREATE TABLE IF NOT EXISTS job_log_lease (
            pipeline      TEXT NOT NULL,
            stream        TEXT COLLATE \"C\" NOT NULL,
            token         TEXT NOT NULL,
            host          TEXT NOT NULL,
            pid           BIGINT NOT NULL,
            start_ticks   BIGINT,
            boot_id       TEXT,
            pid_namespace TEXT,
            taken_at      TEXT COLLATE \"C\" NOT NULL,
            heartbeat_at  TEXT COLLATE \"C\" NOT NULL,
            PRIMARY KEY (pipeline, stream)
        )",
        ],
        &["CREATE TABLE IF NOT EXISTS job_log_lag (
            pipeline    TEXT NOT NULL,
            stream      TEXT COLLATE \"C\" NOT NULL,
            seconds     BIGINT NOT NULL,
            bytes       BIGINT,
            measured_at TEXT COLLATE \"C\" NOT NULL,
            PRIMARY KEY (pipeline, stream)
        )"],
        &[
            "CREATE TABLE IF NOT EXISTS job_log_share (
            pipeline TEXT NOT NULL,
            stream   TEXT COLLATE \"C\" NOT NULL,
            run_id   TEXT NOT NULL,
            seq      BIGINT NOT NULL,
            requests BIGINT NOT NULL,
            records  BIGINT NOT NULL,
            failed   BIGINT NOT NULL,
            written  BIGINT NOT NULL,
            aside    TEXT NOT NULL,
            PRIMARY KEY (pipeline, stream)
        )",
            "CREATE TABLE IF NOT EXISTS job_log_failure (
            pipeline  TEXT NOT NULL,
            stream    TEXT COLLATE \"C\" NOT NULL,
            id        TEXT COLLATE \"C\" NOT NULL,
            request   TEXT NOT NULL,
            status    BIGINT,
            reason    TEXT NOT NULL,
            excerpt   TEXT,
            attempts  BIGINT NOT NULL,
            failed_at TEXT COLLATE \"C\" NOT NULL,
            run_id    TEXT NOT NULL,
            closed_at TEXT COLLATE \"C\",
            PRIMARY KEY (pipeline, stream, id)
        )",
        ],
    ],
};

/// Said within each transaction, and for it alone, so that a pooler may stand in between. A transaction whose client is
/// gone or sleeps must not keep its locks for as long as others wait for them.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '10s';
    SET LOCAL statement_timeout = '15s'; SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// Of our own choice; the same for all processes, so that one of them changes the tables at a time.
const LOCK: i64 = 0x7469_6465_6d61_726b;

/// The job log of the section, whose `url` names a PostgreSQL server.
pub fn of(section: &Section, timing: Timing) -> Result<JobLog> {
    Ok(JobLog::new(Arc::new(Postgres { settings: Arc::new(Settings::of(section)?) }), timing))
}

/// Where the job log is, without user and password.
pub fn place(section: &Section) -> Result<String> {
    Ok(Settings::of(section)?.place)
}

struct Postgres {
    settings: Arc<Settings>,
}

#[async_trait]
impl Driver for Postgres {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn place(&self) -> &str {
        &self.settings.place
    }

    async fn connect(&self) -> Result<Box<dyn Session>> {
        let connected = self.settings.endpoint().log_in().await;
        let (client, connection, _) = connected.map_err(|e| of_url(&e).at("job log"))?;
        let driver = tokio::spawn(async move {
            // Its error comes to whoever waits for an answer, as that of a closed connection.
            let _ = pin!(connection).await;
        });
        Ok(Box::new(Connection { client, settings: self.settings.clone(), driver, is_busy: false }))
    }
}

struct Connection {
    client: Client,
    settings: Arc<Settings>,
    /// The task that serves the connection.
    driver: JoinHandle<()>,
    /// Within a transaction, or in the middle of a statement.
    is_busy: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Nobody is there any more, which ends the server's work too. One at rest says goodbye by itself.
        if self.is_busy {
            self.driver.abort();
        }
    }
}

impl Connection {
    fn error(&self, e: &tokio_postgres::Error) -> Error {
        error::of(e, &self.settings)
    }

    async fn run(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(|e| self.error(&e))
    }

    async fn ask(&mut self, sql: &str, values: &[Cell]) -> Result<Record> {
        let mut rows = self.query(sql, values).await?;
        rows.pop().ok_or_else(|| Error::bug(format!("no row came from: {sql}")))
    }

    fn missing(&self, what: &str, grant: &str) -> Error {
        let role = readable(&self.settings.username);
        Error::denied(format!("job log {}: role {} {what}", self.settings.place, self.settings.username))
            .hint(format!("An administrator can run: {grant} TO {role};"))
    }
}

#[async_trait]
impl Session for Connection {
    async fn begin(&mut self) -> Result<()> {
        self.is_busy = true;
        self.run(BEGIN).await
    }

    async fn commit(&mut self) -> Result<()> {
        self.run("COMMIT").await?;
        self.is_busy = false;
        Ok(())
    }

    async fn query(&mut self, sql: &str, values: &[Cell]) -> Result<Vec<Record>> {
        let sql = numbered(sql);
        let values: Vec<Cell> = values.iter().map(storable).collect();
        let typed: Vec<(&(dyn ToSql + Sync), Type)> = values
            .iter()
            .map(|value| match value {
                Cell::Text(text) => (text as &(dyn ToSql + Sync), Type::TEXT),
                Cell::Number(number) => (number as &(dyn ToSql + Sync), Type::INT8),
            })
            .collect();
        let rows = self.client.query_typed(&sql, &typed).await.map_err(|e| self.error(&e))?;
        rows.iter().map(cells).collect()
    }

    async fn lock(&mut self) -> Result<()> {
        self.query("SELECT pg_catalog.pg_advisory_xact_lock(?)::pg_catalog.text", &[Cell::Number(Some(LOCK))])
            .await
            .map(drop)
    }

    /// The lock went with the transaction.
    async fn unlock(&mut self) -> Result<()> {
        Ok(())
    }

    fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    async fn version(&mut self) -> Result<String> {
        let row = self.ask("SELECT pg_catalog.current_setting('server_version')", &[]).await?;
        Ok(format!("PostgreSQL {}", row.text(0)?.split(' ').next().unwrap_or_default()))
    }

    async fn check_rights(&mut self, are_there: bool) -> Result<()> {
        let place = self.settings.place.clone();
        let read_only = self.ask("SELECT pg_catalog.current_setting('transaction_read_only')", &[]).await?;
        if read_only.text(0)? == "on" {
            return Err(Error::config(format!("job log {place}: cannot be written to: the database is read-only"))
                .hint("Name the primary in [job_log] `url`, not a replica."));
        }
        let schema = self.ask("SELECT pg_catalog.current_schema()::pg_catalog.text", &[]).await?.maybe_text(0)?;
        if !are_there {
            let Some(schema) = schema else {
                return Err(Error::config(format!("job log {place}: the role's search_path names no schema"))
                    .hint("Set one: ALTER ROLE … SET search_path = …"));
            };
            let sql = "SELECT pg_catalog.has_schema_privilege(?, 'CREATE')::pg_catalog.text";
            return match self.ask(sql, &[schema.as_str().into()]).await?.text(0)?.as_str() {
                "true" => Ok(()),
                _ => Err(self.missing(
                    &format!("may not CREATE tables in schema {schema}"),
                    &format!("GRANT CREATE, USAGE ON SCHEMA {}", readable(&schema)),
                )),
            };
        }
        for (table, rights) in RIGHTS {
            let mut missing = Vec::new();
            for right in rights.split(", ") {
                let sql = "SELECT pg_catalog.has_table_privilege(?, ?)::pg_catalog.text";
                if self.ask(sql, &[table.into(), right.into()]).await?.text(0)? != "true" {
                    missing.push(right);
                }
            }
            if !missing.is_empty() {
                let what = format!("may not {} {table}", missing.join(", "));
                return Err(self.missing(&what, &format!("GRANT {rights} ON {table}")));
            }
        }
        Ok(())
    }
}

/// What the job log does with its tables once they are there.
const RIGHTS: [(&str, &str); 6] = [
    ("job_log", "SELECT, INSERT, UPDATE"),
    ("job_log_lease", "SELECT, INSERT, UPDATE, DELETE"),
    ("job_log_lag", "SELECT, INSERT, UPDATE"),
    ("job_log_share", "SELECT, INSERT, UPDATE"),
    ("job_log_failure", "SELECT, INSERT, UPDATE"),
    ("job_log_id", "SELECT"),
];

/// A statement with `$1`, `$2` in place of each `?`.
fn numbered(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    for (index, part) in sql.split('?').enumerate() {
        if index > 0 {
            out.push_str(&format!("${index}"));
        }
        out.push_str(part);
    }
    out
}

/// A text without the one character that PostgreSQL's has no room for.
fn storable(value: &Cell) -> Cell {
    match value {
        Cell::Text(Some(text)) if text.contains('\0') => Cell::Text(Some(text.replace('\0', "\u{fffd}"))),
        value => value.clone(),
    }
}

fn cells(row: &Row) -> Result<Record> {
    let broken = |e| Error::bug(format!("a cell of the job log: {e}"));
    let cell = |index: usize| match *row.columns()[index].type_() {
        Type::INT8 => row.try_get(index).map(Cell::Number).map_err(broken),
        _ => row.try_get(index).map(Cell::Text).map_err(broken),
    };
    Ok(Record((0..row.len()).map(cell).collect::<Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered() {
        assert_eq!(numbered("SELECT ? WHERE a = ?"), "SELECT $1 WHERE a = $2");
        assert_eq!(numbered("SELECT 1"), "SELECT 1");
    }
}
