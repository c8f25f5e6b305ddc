//! One connection: how it is made, what its session is told, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use mysql_common::params::Params;
use mysql_common::row::Row;
use mysql_common::value::Value;

use super::client::{Client, Column, Failure, Statement};
use super::config::Settings;
use super::error::{self, Doing};
use crate::error::{Context, Error, Result};

/// A session at the server, in which times are UTC, text is UTF-8, and nothing is hidden or cut short.
///
/// Dropping it closes the connection, which ends whatever the server is still doing for it.
pub struct Connection {
    client: Client,
    settings: Arc<Settings>,
    pub is_mariadb: bool,
}

impl Connection {
    /// Logs in and sets the session up.
    pub async fn open(settings: &Arc<Settings>) -> Result<Self> {
        let client = settings.endpoint().log_in().await.map_err(|failure| connect_failure(settings, failure))?;
        let mut connection = Self { client, settings: settings.clone(), is_mariadb: false };
        let set_up = connection.set_up().await;
        set_up.map_err(|failure| error::of(failure, Doing::Connecting)).at(|| settings.address())?;
        Ok(connection)
    }

    async fn set_up(&mut self) -> Result<(), Failure> {
        let version = self.rows("select version()", ()).await?;
        self.is_mariadb = version.first().is_some_and(|row| text(row, 0).contains("MariaDB"));
        let patience = self.settings.write_timeout.as_secs();
        self.run("set names utf8mb4").await?;
        self.run(&format!(
            "set session time_zone = '+00:00', sql_mode = '', autocommit = 1, sql_select_limit = 18446744073709551615, \
             net_write_timeout = {patience}, net_read_timeout = {patience}, wait_timeout = {}",
            patience.max(28_800)
        ))
        .await?;
        self.run(match self.is_mariadb {
            true => {
                "set session max_statement_time = 0, idle_transaction_timeout = 0, \
                     idle_readonly_transaction_timeout = 0"
            }
            // The statistics are for estimates: fresh ones, not yesterday's.
            false => "set session max_execution_time = 0, information_schema_stats_expiry = 0",
        })
        .await?;
        if !self.is_mariadb {
            self.show_made_keys().await?;
        }
        self.run("set session transaction isolation level repeatable read").await
    }

    /// A primary key that the server made is in the catalog as any other invisible column is, whatever the server's own setting:
    /// the log has it always.
    async fn show_made_keys(&mut self) -> Result<(), Failure> {
        match self.run("set session show_gipk_in_create_table_and_information_schema = on").await {
            // Before 8.0.30 there are none.
            Err(failure) if error::number(&failure) == Some(UNKNOWN_VARIABLE) => Ok(()),
            set => set,
        }
    }

    /// Runs a statement that returns nothing.
    pub async fn run(&mut self, sql: &str) -> Result<(), Failure> {
        self.client.query(sql).await.map(drop)
    }

    /// All rows of a short query.
    pub async fn rows(&mut self, sql: &str, values: impl Into<Params>) -> Result<Vec<Row>, Failure> {
        match values.into() {
            Params::Empty => self.client.rows(sql, &[]).await,
            Params::Positional(values) => self.client.rows(sql, &values).await,
            Params::Named(_) => Err(Failure::Placeholders),
        }
    }

    /// As [`Connection::rows`], for statements that cannot be prepared.
    pub async fn texts(&mut self, sql: &str) -> Result<Vec<Row>, Failure> {
        self.client.query(sql).await
    }

    /// How many warnings the last statement left.
    pub fn warnings(&self) -> u16 {
        self.client.warnings
    }

    /// Has the server parse and resolve a statement without placeholders.
    pub async fn prepare(&mut self, sql: &str) -> Result<Statement, Failure> {
        self.client.prepare(sql).await
    }

    /// Runs a prepared statement, whose rows are then to be read with [`Connection::row`]; the columns of its result.
    pub async fn execute(&mut self, statement: &Statement) -> Result<Arc<[Column]>, Failure> {
        self.client.execute(statement, &[]).await
    }

    /// The next row, as [`super::decode`] reads it; `None` after the last, which the server has confirmed to be the last.
    pub async fn row(&mut self) -> Result<Option<&[u8]>, Failure> {
        self.client.row().await
    }

    /// Says goodbye. What goes wrong then is nobody's concern any more.
    pub async fn close(self) {
        let _ = tokio::time::timeout(Duration::from_secs(5), self.client.quit()).await;
    }
}

const UNKNOWN_VARIABLE: u16 = 1193;

pub fn connect_failure(settings: &Settings, failure: Failure) -> Error {
    let section = &settings.section;
    let number = error::number(&failure);
    let error = error::of(failure, Doing::Connecting);
    match number {
        Some(1045 | 1698) => Error::denied(format!(
            "{}: the server refuses user `{}`: with this password, without TLS, or from this host (error 1045)",
            settings.address(),
            settings.username
        ))
        .hint(format!("Check `username` and `password` of [{}].", section.header())),
        Some(1044) => error.at(settings.address()).hint(format!(
            "An administrator can run: GRANT SELECT ON {}.* TO '{}'@'%'",
            super::name::quoted(&settings.database),
            settings.username
        )),
        Some(1049) => section
            .error("database", format!("names `{}`, which {} does not have", settings.database, settings.address())),
        _ => error.at(settings.address()),
    }
}

/// A cell of a catalog's row as text; empty for a null.
pub fn text(row: &Row, index: usize) -> String {
    match row.as_ref(index) {
        Some(Value::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(Value::Int(number)) => number.to_string(),
        Some(Value::UInt(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// A cell of a catalog's row as a number, if it is one.
pub fn number(row: &Row, index: usize) -> Option<u64> {
    match row.as_ref(index) {
        Some(Value::Int(number)) => u64::try_from(*number).ok(),
        Some(Value::UInt(number)) => Some(*number),
        Some(Value::Bytes(bytes)) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        _ => None,
    }
}
