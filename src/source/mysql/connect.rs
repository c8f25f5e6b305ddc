//! One connection: how it is made, what its session is told, and how it ends.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{
    BinaryProtocol, ClientIdentity, Conn, Error as Failure, Opts, OptsBuilder, Params, QueryResult, Row, SslOpts,
    Statement, Value,
};

use super::config::{Server, Settings};
use super::error::{self, Doing};
use crate::error::{Context, Error, Result};
use crate::source::tls::{Mode, Tls};

/// A session at the server, in which times are UTC, text is UTF-8, and nothing is hidden or cut short.
pub struct Connection {
    /// Always there until dropped.
    conn: Option<Conn>,
    /// A result was begun and not read to its end.
    reading: bool,
    settings: Arc<Settings>,
    pub is_mariadb: bool,
}

/// What the server may hold in one row; more than its own `max_allowed_packet` can be.
const MAX_PACKET: usize = 1 << 30;
/// The connection's own sign of life, for networks that forget silent ones.
const KEEPALIVE: Duration = Duration::from_secs(30);

impl Connection {
    /// Logs in and sets the session up.
    pub async fn open(settings: &Arc<Settings>) -> Result<Self> {
        let opts = options(settings)?;
        let conn = within(settings.connect_timeout, "connect_timeout", Conn::new(opts)).await;
        let conn = conn.map_err(|failure| connect_failure(settings, failure))?;
        let mut connection = Self { conn: Some(conn), reading: false, settings: settings.clone(), is_mariadb: false };
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
            "set session time_zone = '+00:00', sql_mode = '', sql_select_limit = 18446744073709551615, \
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
        self.run("set session transaction isolation level repeatable read").await
    }

    /// Runs a statement that returns nothing.
    pub async fn run(&mut self, sql: &str) -> Result<(), Failure> {
        let limit = self.settings.read_timeout;
        within(limit, "read_timeout", self.conn()?.query_drop(sql)).await
    }

    /// All rows of a short query.
    pub async fn rows(&mut self, sql: &str, params: impl Into<Params> + Send) -> Result<Vec<Row>, Failure> {
        let limit = self.settings.read_timeout;
        within(limit, "read_timeout", self.conn()?.exec(sql, params)).await
    }

    /// As [`Connection::rows`], for statements that cannot be prepared.
    pub async fn texts(&mut self, sql: &str) -> Result<Vec<Row>, Failure> {
        let limit = self.settings.read_timeout;
        within(limit, "read_timeout", self.conn()?.query(sql)).await
    }

    /// How many warnings the last statement left.
    pub fn warnings(&self) -> u16 {
        self.conn.as_ref().map(Conn::get_warnings).unwrap_or_default()
    }

    /// Has the server parse and resolve a statement.
    pub async fn prepare(&mut self, sql: &str) -> Result<Statement, Failure> {
        let limit = self.settings.read_timeout;
        within(limit, "read_timeout", self.conn()?.prep(sql)).await
    }

    /// Runs a prepared statement, whose rows are then read one by one.
    pub async fn execute(&mut self, statement: &Statement) -> Result<Rows<'_>, Failure> {
        let limit = self.settings.read_timeout;
        self.reading = true;
        // Not `conn()`: the other fields are needed beside it.
        let conn = self.conn.as_mut().ok_or(mysql_async::DriverError::ConnectionClosed)?;
        let result = within(limit, "read_timeout", conn.exec_iter(statement, ())).await?;
        Ok(Rows { result, reading: &mut self.reading, limit })
    }

    /// Says goodbye. What goes wrong then is nobody's concern any more.
    pub async fn close(mut self) {
        if let Some(conn) = self.conn.take() {
            let _ = within(Duration::from_secs(5), "connect_timeout", conn.disconnect()).await;
        }
    }

    fn conn(&mut self) -> Result<&mut Conn, Failure> {
        self.conn.as_mut().ok_or_else(|| mysql_async::DriverError::ConnectionClosed.into())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Dropped in the middle of a result, the driver would read that result to its end, for as long as that takes,
        // in a task that it spawns. Where there is no runtime it only closes the socket, which is what we want.
        if let Some(conn) = self.conn.take().filter(|_| self.reading) {
            std::thread::spawn(move || drop(conn));
        }
    }
}

/// The rows of a running statement.
pub struct Rows<'a> {
    result: QueryResult<'a, 'static, BinaryProtocol>,
    reading: &'a mut bool,
    limit: Duration,
}

impl Rows<'_> {
    pub fn columns(&self) -> &[mysql_async::Column] {
        self.result.columns_ref()
    }

    /// The next row; `None` after the last, which the server has confirmed to be the last.
    pub async fn next(&mut self) -> Result<Option<Row>, Failure> {
        let row = {
            let mut next = std::pin::pin!(self.result.next());
            // Most rows are here already and need no timer.
            match futures_util::future::poll_immediate(&mut next).await {
                Some(row) => row,
                None => within(self.limit, "read_timeout", next).await,
            }
        }?;
        if row.is_none() {
            *self.reading = false;
        }
        Ok(row)
    }
}

async fn within<T>(limit: Duration, key: &str, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => {
            let silence = format!("the server was silent for longer than `{key}`, {} s", limit.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, silence).into())
        }
    }
}

fn connect_failure(settings: &Settings, failure: Failure) -> Error {
    let section = &settings.section;
    let number = error::number(&failure);
    let error = error::of(failure, Doing::Connecting);
    match number {
        Some(1045 | 1698) => Error::denied(format!(
            "{}: the server refuses user `{}` with this password, or without TLS or from this host (error 1045)",
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

fn options(settings: &Settings) -> Result<Opts> {
    let builder = OptsBuilder::default()
        .user(Some(settings.username.clone()))
        .pass(settings.password.clone())
        .db_name(Some(settings.database.clone()))
        .tcp_keepalive(Some(KEEPALIVE))
        .max_allowed_packet(Some(MAX_PACKET))
        .wait_timeout(Some(28_800))
        // Else the driver leaves the connection that it was told to make for the server's socket, and TLS with it.
        .prefer_socket(false)
        .ssl_opts(tls_options(&settings.tls)?);
    Ok(match &settings.server {
        Server::Tcp { host, port } => builder.ip_or_hostname(host.clone()).tcp_port(*port).into(),
        Server::Socket(path) => builder.socket(Some(path.display().to_string())).into(),
    })
}

fn tls_options(tls: &Tls) -> Result<Option<SslOpts>> {
    let client = tls.client.clone().map(|(cert, key)| ClientIdentity::new(cert.into(), key.into()));
    let plain = SslOpts::default().with_client_identity(client);
    Ok(match (tls.mode, &tls.ca) {
        (Mode::Off, _) => None,
        (Mode::Require, _) => {
            Some(plain.with_danger_accept_invalid_certs(true).with_danger_skip_domain_validation(true))
        }
        (Mode::VerifyFull, Some(ca)) => {
            Some(plain.with_disable_built_in_roots(true).with_root_certs(vec![ca.clone().into()]))
        }
        (Mode::VerifyFull, None) => {
            let roots = system_roots();
            // A machine without a store of its own: the roots that browsers trust are built in.
            Some(
                plain
                    .with_disable_built_in_roots(!roots.is_empty())
                    .with_root_certs(roots.into_iter().map(Into::into).collect()),
            )
        }
    })
}

/// The system's authorities, without those that cannot be read here: one of them must not stop the others.
fn system_roots() -> Vec<Vec<u8>> {
    let mut store = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs().certs;
    found.into_iter().filter(|cert| store.add(cert.clone()).is_ok()).map(|cert| cert.to_vec()).collect()
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
