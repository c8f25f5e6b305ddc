//! What a server's driver must do, and the values that go to and fro.

use async_trait::async_trait;

use crate::error::{Error, Result};

/// A value for a placeholder, or a cell of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Text(Option<String>),
    Number(Option<i64>),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(Some(text.to_owned()))
    }
}

impl From<Option<&str>> for Cell {
    fn from(text: Option<&str>) -> Self {
        Cell::Text(text.map(str::to_owned))
    }
}

impl From<u64> for Cell {
    /// Nothing counted here comes near 2^63.
    fn from(number: u64) -> Self {
        Cell::Number(Some(i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

impl From<Option<u64>> for Cell {
    fn from(number: Option<u64>) -> Self {
        Cell::Number(number.and_then(|number| i64::try_from(number).ok()))
    }
}

/// A row of a result, its cells in the order of the statement's columns.
#[derive(Debug)]
pub struct Record(pub Vec<Cell>);

impl Record {
    /// A text that may be null.
    pub fn maybe_text(&self, index: usize) -> Result<Option<String>> {
        match self.0.get(index) {
            Some(Cell::Text(text)) => Ok(text.clone()),
            _ => Err(Error::bug(format!("column {index} of the job log is no text"))),
        }
    }

    pub fn text(&self, index: usize) -> Result<String> {
        self.maybe_text(index)?.ok_or_else(|| Error::bug(format!("column {index} of the job log is null")))
    }

    /// A count that may be null.
    pub fn maybe_number(&self, index: usize) -> Result<Option<u64>> {
        match self.0.get(index) {
            Some(Cell::Number(number)) => Ok(number.map(i64::unsigned_abs)),
            _ => Err(Error::bug(format!("column {index} of the job log is no number"))),
        }
    }

    pub fn number(&self, index: usize) -> Result<u64> {
        self.maybe_number(index)?.ok_or_else(|| Error::bug(format!("column {index} of the job log is null")))
    }
}

/// How one kind of server differs from the others.
pub struct Dialect {
    /// The time of the server as the tables hold times: RFC 3339, UTC, microseconds. Of the moment it is evaluated, not of
    /// the transaction's begin.
    pub now: &'static str,
    /// Counts the tables of the name in `?` that statements would find.
    pub tables_named: &'static str,
    /// Makes `job_log_id`, where it is missing.
    pub make_id: &'static str,
    /// What makes each version of the tables of the one before: those of version `n` take the steps from index `n` on.
    pub migrations: &'static [&'static [&'static str]],
}

/// A server with a job log's database.
#[async_trait]
pub trait Driver: Send + Sync {
    fn dialect(&self) -> &'static Dialect;

    /// `postgres://HOST:PORT/DATABASE`: without user and password.
    fn place(&self) -> &str;

    async fn connect(&self) -> Result<Box<dyn Session>>;
}

/// A connection. After an error it is of no use, and is dropped; dropping it ends its transaction without a commit.
#[async_trait]
pub trait Session: Send {
    /// Begins a transaction in which every statement sees what others have committed before it.
    async fn begin(&mut self) -> Result<()>;

    async fn commit(&mut self) -> Result<()>;

    /// Runs one statement with these values for its `?`s.
    ///
    /// `Kind::Unavailable` where trying the whole transaction again may succeed: the connection broke, a lock did not come,
    /// another process wrote the same row at the same time.
    async fn query(&mut self, sql: &str, values: &[Cell]) -> Result<Vec<Record>>;

    /// Waits until no other process changes the tables, and keeps others from it: until the transaction's end, or
    /// [`Session::unlock`].
    async fn lock(&mut self) -> Result<()>;

    async fn unlock(&mut self) -> Result<()>;

    /// Whether the server has ended the connection, as far as it is known.
    fn is_closed(&self) -> bool;

    /// The server's name and version: `PostgreSQL 15.18`.
    async fn version(&mut self) -> Result<String>;

    /// Fails with `Kind::Denied`, and what to grant, if a right is missing for what the job log does with its tables, or,
    /// where they are missing, for making them. Changes nothing.
    async fn check_rights(&mut self, are_there: bool) -> Result<()>;
}
