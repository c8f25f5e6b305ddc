//! Whether a program is writing: SQLite lets one write at a time, and none while we hold its lock.

use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::config::Settings;
use super::error::of_file;
use crate::error::Result;
use crate::source::cursor::Transaction;

/// How long one try for the lock lasts.
const TRY: Duration = Duration::from_millis(100);

const WRITER: &str = "writer seen at ";

/// How to find out.
#[derive(Debug)]
pub enum Lock {
    /// Nobody writes: it was promised.
    Nobody,
    /// By taking the writers' lock for a moment.
    Taken(Box<Taken>),
    /// Not at all: the file is not ours to write to.
    Unknown,
}

#[derive(Debug)]
pub struct Taken {
    connection: Connection,
    /// Who was found writing, and the file's version then: it changes when they commit.
    noted: Option<(String, i64)>,
    settings: Settings,
}

impl Lock {
    /// Opens the file once more, for writing. It is never written to.
    pub fn of(settings: &Settings) -> Result<Self> {
        if settings.immutable {
            return Ok(Lock::Nobody);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&settings.path, flags).and_then(|connection| {
            connection.busy_timeout(TRY)?;
            // What others have left in the log is theirs to move into the file.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            let is_ours = !connection.is_readonly("main")?;
            Ok((connection, is_ours))
        });
        match opened {
            Ok((connection, true)) => {
                Ok(Lock::Taken(Box::new(Taken { connection, noted: None, settings: settings.clone() })))
            }
            Ok((_, false)) => Ok(Lock::Unknown),
            Err(e) if is_refused(&e) => Ok(Lock::Unknown),
            Err(e) => Err(of_file(&settings.path, &e)),
        }
    }

    /// Who writes; `None` where nobody knows.
    pub fn at_work(&mut self) -> Result<Option<Vec<Transaction>>> {
        let Lock::Taken(taken) = self else {
            return Ok(matches!(self, Lock::Nobody).then(Vec::new));
        };
        match taken.try_once()? {
            Some(true) => Ok(Some(Vec::new())),
            Some(false) => taken.note().map(|writer| Some(vec![writer])),
            None => {
                *self = Lock::Unknown;
                Ok(None)
            }
        }
    }

    /// Those of `noted` that may be writing still.
    pub fn still(&mut self, noted: &[String]) -> Result<Vec<Transaction>> {
        let Lock::Taken(taken) = self else { return Ok(Vec::new()) };
        let has_ended =
            |(id, version): &(String, i64)| noted == [id.clone()] && taken.version().is_some_and(|now| now != *version);
        if noted.is_empty() || taken.noted.as_ref().is_some_and(has_ended) {
            return Ok(Vec::new());
        }
        match taken.try_once()? {
            Some(false) => Ok(noted.iter().map(|id| writer(id.clone())).collect()),
            _ => Ok(Vec::new()),
        }
    }
}

impl Taken {
    /// Whether the lock could be had; `None` where we may not have it. It is let go of at once.
    fn try_once(&mut self) -> Result<Option<bool>> {
        let begun = self.connection.execute_batch("begin immediate");
        match begun.and_then(|()| self.connection.execute_batch("rollback")) {
            Ok(()) => Ok(Some(true)),
            Err(e) if is_busy(&e) => Ok(Some(false)),
            Err(e) if is_refused(&e) => Ok(None),
            Err(e) => Err(of_file(&self.settings.path, &e)),
        }
    }

    /// Changes whenever anybody has committed; unknown while somebody does.
    fn version(&self) -> Option<i64> {
        self.connection.query_row("pragma data_version", [], |row| row.get(0)).ok()
    }

    fn note(&mut self) -> Result<Transaction> {
        let id = format!("{WRITER}{}", jiff::Timestamp::now());
        self.noted = self.version().map(|version| (id.clone(), version));
        Ok(writer(id))
    }
}

fn writer(id: String) -> Transaction {
    let since = id.strip_prefix(WRITER).and_then(|since| since.parse::<jiff::Timestamp>().ok());
    let age = since.and_then(|since| Duration::try_from(jiff::Timestamp::now().duration_since(since)).ok());
    Transaction { id, shown: "the program that writes to the file".to_owned(), age: age.unwrap_or_default() }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn is_refused(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied))
}
