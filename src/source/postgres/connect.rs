//! One connection: how it is made, what its transactions set, how it ends.

use std::pin::pin;
use std::sync::{Arc, OnceLock};

use tokio::task::{AbortHandle, JoinHandle};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::config::Settings;
use super::error;
use super::name::literal;
use crate::error::{Error, Result};

/// An open connection.
///
/// All it does it does within transactions, and sets for these alone: so a pooler that deals out server connections by
/// transaction may stand in between.
pub struct Session {
    client: Client,
    settings: Arc<Settings>,
    /// The server's major version.
    version: u32,
    /// Why the connection ended by itself.
    ended: Arc<OnceLock<Error>>,
    /// The task that serves the connection.
    driver: JoinHandle<()>,
}

/// Which rows a transaction sees.
#[derive(Debug, Clone, Copy)]
pub enum Sees<'a> {
    /// Each statement what is committed when it starts: for looking into the catalog.
    Latest,
    /// All statements the same.
    One,
    /// All statements what the transaction saw that exported this snapshot.
    Shared(&'a str),
}

impl Session {
    pub async fn connect(settings: &Arc<Settings>) -> Result<Self> {
        let (client, connection, version) = settings.endpoint().log_in().await?;
        let ended = Arc::new(OnceLock::new());
        let driver = {
            let (settings, ended) = (settings.clone(), ended.clone());
            tokio::spawn(async move {
                let mut connection = pin!(connection);
                if let Err(e) = connection.as_mut().await {
                    // Before the connection is dropped, and whoever waits for it hears that it is closed.
                    let _ = ended.set(error::running(&e, &settings.endpoint()));
                }
            })
        };
        // A pooler may keep the version to itself.
        if (1..OLDEST).contains(&version) {
            return Err(Error::config(format!("{}: PostgreSQL {version} is too old", settings.address()))
                .hint(format!("PostgreSQL {OLDEST} and later can be read.")));
        }
        Ok(Self { client, settings: settings.clone(), version, ended, driver })
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The server's major version; 0 where a pooler keeps it to itself.
    pub fn version(&self) -> u32 {
        self.version
    }

    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Why the connection ended by itself, if it did.
    pub fn reason(&self) -> Option<&Error> {
        self.ended.get()
    }

    /// What an error of the driver means.
    pub fn error(&self, e: &tokio_postgres::Error) -> Error {
        match self.ended.get().filter(|_| e.is_closed()) {
            Some(reason) => reason.clone(),
            None => error::running(e, &self.settings.endpoint()),
        }
    }

    /// Begins a transaction whose every setting that values or safety depend on is ours.
    pub async fn begin(&self, sees: Sees<'_>) -> Result<(), tokio_postgres::Error> {
        let mut sql = match sees {
            Sees::Latest => "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;".to_owned(),
            _ => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;".to_owned(),
        };
        if let Sees::Shared(snapshot) = sees {
            // Before any other statement: a snapshot cannot be changed once it is taken.
            sql.push_str(&format!("SET TRANSACTION SNAPSHOT {};", literal(snapshot)));
        }
        for (name, value) in SETTINGS {
            sql.push_str(&format!("SET LOCAL {name} = {value};"));
        }
        if self.version >= 17 {
            sql.push_str("SET LOCAL transaction_timeout = 0;");
        }
        sql.push_str(&format!("SET LOCAL lock_timeout = {};", self.settings.lock_timeout.as_millis()));
        self.client.batch_execute(&sql).await
    }

    /// Runs statements without parameters or results.
    pub async fn run(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(|e| self.error(&e))
    }

    pub async fn query(&self, sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<Row>> {
        self.client.query_typed(sql, parameters).await.map_err(|e| self.error(&e))
    }

    /// As [`Session::query`], for what always gives one row.
    pub async fn query_one(&self, sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> Result<Row> {
        let rows = self.query(sql, parameters).await?;
        rows.into_iter().next().ok_or_else(|| Error::bug(format!("no row came from: {sql}")))
    }

    /// Closes the socket in the middle of whatever goes on when the guard is dropped, which ends the server's work too. A
    /// session that is dropped without it lets the server finish, then says goodbye.
    pub fn cut_when_dropped(&self) -> Cut {
        Cut(Some(self.driver.abort_handle()))
    }

    /// Says goodbye and waits for the end.
    pub async fn close(self) {
        let Self { client, driver, .. } = self;
        drop(client);
        // It ends by its goodbye, or has ended by an error that somebody has heard of.
        let _ = driver.await;
    }
}

/// See [`Session::cut_when_dropped`].
pub struct Cut(Option<AbortHandle>);

impl Cut {
    /// Nothing is under way any more.
    pub fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if let Some(driver) = &self.0 {
            driver.abort();
        }
    }
}

/// The value of a column of our own queries.
pub fn get<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, column: &str) -> Result<T> {
    row.try_get(column).map_err(|e| Error::bug(format!("column {column} of a catalog query: {e}")))
}

/// The oldest major version that is tested.
const OLDEST: u32 = 12;

/// What every transaction sets, and every session that reads the log. Values depend on the first ones where they come as text; the rest keeps a long
/// transaction alive, names unambiguous and row security from hiding rows in silence.
pub const SETTINGS: [(&str, &str); 10] = [
    ("TimeZone", "'UTC'"),
    ("DateStyle", "'ISO'"),
    ("IntervalStyle", "'iso_8601'"),
    ("bytea_output", "'hex'"),
    ("extra_float_digits", "1"),
    ("quote_all_identifiers", "off"),
    ("search_path", "''"),
    ("row_security", "off"),
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
];
