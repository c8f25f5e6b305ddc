//! The job log in a database of MySQL or MariaDB: `url = mysql://user:password@host/database`.

mod error;
mod rights;
mod settings;

use std::sync::Arc;

use async_trait::async_trait;
use mysql_common::row::Row;
use mysql_common::value::Value;

use self::settings::Settings;
use super::Timing;
use super::server::session::{Cell, Dialect, Driver, Record, Session};
use super::server::{JobLog, of_url};
use crate::config::Section;
use crate::error::{Error, Result};
use crate::net::mysql::client::{Client, Failure};

static DIALECT: Dialect = Dialect {
    now: "DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%fZ')",
    tables_named: "SELECT count(*) FROM information_schema.tables WHERE table_schema = database() AND table_name = ?",
    make_id: "CREATE TABLE IF NOT EXISTS job_log_id (id VARCHAR(64) NOT NULL PRIMARY KEY, version BIGINT NOT NULL)
        ENGINE = InnoDB, CHARACTER SET utf8mb4, COLLATE utf8mb4_bin",
    migrations: &[
        &[
            // In this collation names are the same only if they are byte for byte, and text order is time order.
            "CREATE TABLE IF NOT EXISTS job_log (
            run_id          VARCHAR(64) NOT NULL PRIMARY KEY,
            pipeline        VARCHAR(300) NOT NULL,
            stream          VARCHAR(300) NOT NULL,
            mode            VARCHAR(16) NOT NULL CHECK (mode IN ('full', 'incremental', 'cdc')),
            state           VARCHAR(16) NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'failed')),
            low_water_mark  LONGTEXT,
            high_water_mark LONGTEXT,
            seq             BIGINT,
            commits         BIGINT NOT NULL DEFAULT 0,
            \"rows\"          BIGINT NOT NULL DEFAULT 0,
            bytes           BIGINT NOT NULL DEFAULT 0,
            started_at      VARCHAR(32) NOT NULL,
            updated_at      VARCHAR(32) NOT NULL,
            finished_at     VARCHAR(32),
            error_kind      VARCHAR(16),
            error           LONGTEXT,
            INDEX job_log_by_start (pipeline, stream, started_at),
            INDEX job_log_by_seq (pipeline, stream, seq)
        ) ENGINE = InnoDB, CHARACTER SET utf8mb4, COLLATE utf8mb4_bin",
            "CREATE TABLE IF NOT EXISTS job_log_lease (
            pipeline      VARCHAR(300) NOT NULL,
            stream        VARCHAR(300) NOT NULL,
            token         VARCHAR(64) NOT NULL,
            host          VARCHAR(300) NOT NULL,
            pid           BIGINT NOT NULL,
            start_ticks   BIGINT,
            boot_id       VARCHAR(64),
            pid_namespace VARCHAR(64),
            taken_at      VARCHAR(32) NOT NULL,
            heartbeat_at  VARCHAR(32) NOT NULL,
            PRIMARY KEY (pipeline, stream)
        ) ENGINE = InnoDB, CHARACTER SET utf8mb4, COLLATE utf8mb4_bin",
        ],
        &["CREATE TABLE IF NOT EXISTS job_log_lag (
            pipeline    VARCHAR(300) NOT NULL,
            stream      VARCHAR(300) NOT NULL,
            seconds     BIGINT NOT NULL,
            bytes       BIGINT,
            measured_at VARCHAR(32) NOT NULL,
            PRIMARY KEY (pipeline, stream)
        ) ENGINE = InnoDB, CHARACTER SET utf8mb4, COLLATE utf8mb4_bin"],
        &[
            "CREATE TABLE IF NOT EXISTS job_log_share (
            pipeline VARCHAR(300) NOT NULL,
            stream   VARCHAR(300) NOT NULL,
            run_id   VARCHAR(64) NOT NULL,
            seq      BIGINT NOT NULL,
            requests BIGINT NOT NULL,
            records  BIGINT NOT NULL,
            failed   BIGINT NOT NULL,
            written  BIGINT NOT NULL,
            aside    LONGTEXT NOT NULL,
            PRIMARY KEY (pipeline, stream)
        ) ENGINE = InnoDB, CHARACTER SET utf8mb4, COLLATE utf8mb4_bin",
            // An index holds 3072 bytes, four for each character.
            "CREATE TABLE IF NOT EXISTS job_log_failure (
            pipeline  VARCHAR(300) NOT NULL,
            stream    VARCHAR(300) NOT NULL,
            id        VARCHAR(160) NOT NULL,
            request   LONGTEXT NOT NULL,
            status    BIGINT,
            reason    LONGTEXT NOT NULL,
            excerpt   LONGTEXT,
            attempts  BIGINT NOT NULL,
            failed_at VARCHAR(64) NOT NULL,
            run_id    VARCHAR(64) NOT NULL,
            closed_at VARCHAR(32),
            PRIMARY KEY (pipeline, stream, id)
        ) ENGINE = InnoDB, CHARACTER SET utf8mb4, COLLATE utf8mb4_bin",
        ],
    ],
};

/// Identifiers in double quotes and texts without escapes, as in other servers; nothing cut short in silence. A
/// connection whose client is gone must not keep its locks for long, and one in use is never idle so long: its lease has a
/// heartbeat.
const SESSION: &str =
    "SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES', time_zone = '+00:00',
    wait_timeout = 30, innodb_lock_wait_timeout = 10, lock_wait_timeout = 10, autocommit = 1";

/// The server's locks are for all databases alike, and their names are short.
const LOCK: &str = "concat('tidemark-', left(sha2(database(), 256), 40))";

/// The job log of the section, whose `url` names a MySQL or MariaDB server.
pub fn of(section: &Section, timing: Timing) -> Result<JobLog> {
    Ok(JobLog::new(Arc::new(Mysql { settings: Arc::new(Settings::of(section)?) }), timing))
}

/// Where the job log is, without user and password.
pub fn place(section: &Section) -> Result<String> {
    Ok(Settings::of(section)?.place)
}

struct Mysql {
    settings: Arc<Settings>,
}

#[async_trait]
impl Driver for Mysql {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn place(&self) -> &str {
        &self.settings.place
    }

    async fn connect(&self) -> Result<Box<dyn Session>> {
        let connected = self.settings.endpoint().log_in().await;
        let client = connected.map_err(|failure| of_url(&error::connecting(failure, &self.settings)))?;
        let mut connection = Connection { client, settings: self.settings.clone(), is_broken: false };
        connection.run("SET NAMES utf8mb4 COLLATE utf8mb4_bin").await?;
        connection.run(SESSION).await?;
        // Rows that are not there must not be locked: two that begin at once would wait for each other.
        connection.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
        Ok(Box::new(connection))
    }
}

struct Connection {
    client: Client,
    settings: Arc<Settings>,
    is_broken: bool,
}

impl Connection {
    fn error(&mut self, failure: Failure) -> Error {
        self.is_broken |= !matches!(failure, Failure::Server(_));
        error::running(failure, &self.settings)
    }

    async fn run(&mut self, sql: &str) -> Result<()> {
        let done = self.client.query(sql).await;
        done.map(drop).map_err(|failure| self.error(failure))
    }

    async fn ask(&mut self, sql: &str) -> Result<Record> {
        let mut rows = self.query(sql, &[]).await?;
        rows.pop().ok_or_else(|| Error::bug(format!("no row came from: {sql}")))
    }
}

#[async_trait]
impl Session for Connection {
    async fn begin(&mut self) -> Result<()> {
        self.run("START TRANSACTION").await
    }

    async fn commit(&mut self) -> Result<()> {
        self.run("COMMIT").await
    }

    async fn query(&mut self, sql: &str, values: &[Cell]) -> Result<Vec<Record>> {
        let values: Vec<Value> = values
            .iter()
            .map(|value| match value {
                Cell::Text(Some(text)) => Value::Bytes(text.clone().into_bytes()),
                Cell::Number(Some(number)) => Value::Int(*number),
                Cell::Text(None) | Cell::Number(None) => Value::NULL,
            })
            .collect();
        let rows = self.client.rows(sql, &values).await.map_err(|failure| self.error(failure))?;
        rows.into_iter().map(cells).collect()
    }

    /// Steps that change tables are committed by the server one by one, so the lock is of the session.
    async fn lock(&mut self) -> Result<()> {
        let taken = self.ask(&format!("SELECT coalesce(get_lock({LOCK}, 10), 0)")).await?;
        match taken.number(0)? {
            1 => Ok(()),
            _ => Err(Error::unavailable("another process is making its tables")
                .at(format!("job log {}", self.settings.place))),
        }
    }

    async fn unlock(&mut self) -> Result<()> {
        self.ask(&format!("SELECT coalesce(release_lock({LOCK}), 0)")).await.map(drop)
    }

    fn is_closed(&self) -> bool {
        self.is_broken
    }

    async fn version(&mut self) -> Result<String> {
        let version = self.ask("SELECT version()").await?.text(0)?;
        let number = version.split('-').next().unwrap_or_default();
        Ok(format!("{} {number}", if version.contains("MariaDB") { "MariaDB" } else { "MySQL" }))
    }

    async fn check_rights(&mut self, are_there: bool) -> Result<()> {
        rights::check(self, are_there).await
    }
}

fn cells(row: Row) -> Result<Record> {
    let is_number = |column: &mysql_common::packets::Column| column.column_type().is_numeric_type();
    let columns = row.columns();
    let cells = row.unwrap_raw().into_iter().zip(columns.iter()).map(|(value, column)| {
        Ok(match value {
            Some(Value::Bytes(bytes)) => {
                let text = String::from_utf8(bytes).map_err(|_| Error::bug("a text of the job log is not UTF-8"))?;
                Cell::Text(Some(text))
            }
            Some(Value::Int(number)) => Cell::Number(Some(number)),
            Some(Value::UInt(number)) => Cell::Number(i64::try_from(number).ok()),
            Some(Value::NULL) if is_number(column) => Cell::Number(None),
            Some(Value::NULL) => Cell::Text(None),
            _ => return Err(Error::bug("a cell of the job log is neither text nor a whole number")),
        })
    });
    cells.collect::<Result<_>>().map(Record)
}
