//! SQLite's errors as ours: by code, never by wording.

use std::path::Path;

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::error::{Error, Kind, Result};

/// Classifies an error of the database file at `path`.
pub fn of_file(path: &Path, error: &rusqlite::Error) -> Error {
    let shown = path.display();
    let Some(failure) = error.sqlite_error() else {
        return Error::bug(format!("{shown}: {}", Safe(error)));
    };
    let (kind, what, hint) = match (failure.code, failure.extended_code) {
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed, _) => {
            (Kind::Unavailable, "is locked by another program", "Raise `busy_timeout` if its transactions are long.")
        }
        (ErrorCode::NotADatabase, _) => (
            Kind::Config,
            "is not a SQLite database, or it is encrypted",
            "Look at `path`. An encrypted database must be decrypted into a plain copy first.",
        ),
        (ErrorCode::DatabaseCorrupt, _) => (
            Kind::Data,
            "is damaged",
            "See what `PRAGMA integrity_check` says; `.recover` of the sqlite3 shell recovers what can be read.",
        ),
        (ErrorCode::ReadOnly, ffi::SQLITE_READONLY_ROLLBACK) => (
            Kind::Denied,
            "has an unfinished transaction beside it that must be rolled back, which a reader cannot do",
            "Open it once with the program that writes to it, or with the sqlite3 shell.",
        ),
        (ErrorCode::CannotOpen | ErrorCode::ReadOnly, _) => (
            Kind::Denied,
            "cannot be opened for reading",
            "A write-ahead-log database needs a folder where its -wal and -shm files may be made. Give that right, or \
             set `immutable = yes` if nobody writes to the file.",
        ),
        (ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied, _) => {
            (Kind::Denied, "may not be read", "Give the user of this process the right to read it.")
        }
        (ErrorCode::SystemIoFailure, _) => (Kind::Unavailable, "cannot be read: the system reports an I/O error", ""),
        (ErrorCode::OutOfMemory | ErrorCode::OperationInterrupted, _) => {
            (Kind::Unavailable, "cannot be read now: not enough memory, or interrupted", "")
        }
        (ErrorCode::DiskFull, _) => {
            (Kind::Unavailable, "cannot be read: no room for temporary files", "A large sort needs room in TMPDIR.")
        }
        (ErrorCode::TooBig, _) => (Kind::Data, "holds or produces a value beyond SQLite's limits", ""),
        (ErrorCode::SchemaChanged, _) => (Kind::Unavailable, "had its tables changed while it was read", ""),
        _ => return Error::data(format!("{shown}: SQLite says: {}", Safe(error))),
    };
    let error = Error::new(kind, format!("{shown} {what} (code {})", failure.extended_code));
    if hint.is_empty() { error } else { error.hint(hint) }
}

/// Whether the trouble lies in the text of a statement rather than in the file.
pub fn is_sql(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqlInputError { .. } | rusqlite::Error::MultipleStatement => true,
        rusqlite::Error::SqliteFailure(failure, _) => failure.code == ErrorCode::Unknown,
        _ => false,
    }
}

/// SQLite's own words for a statement that it does not compile. They speak of the statement only (of a view's where that
/// is what does not compile): no row has been read.
pub fn words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::MultipleStatement => "more than one statement".to_owned(),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}

/// SQLite's own words for what goes wrong while rows are read, up to where they may quote a value.
pub fn words_of_rows(error: &rusqlite::Error) -> String {
    Safe(error).to_string()
}

/// Adds the file to whatever SQLite reports.
pub trait InFile<T> {
    fn in_file(self, path: &Path) -> Result<T>;
}

impl<T> InFile<T> for rusqlite::Result<T> {
    fn in_file(self, path: &Path) -> Result<T> {
        self.map_err(|e| of_file(path, &e))
    }
}

/// An error's words up to where they may quote a value.
struct Safe<'a>(&'a rusqlite::Error);

impl std::fmt::Display for Safe<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match self.0 {
            rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
            other => other.to_string(),
        };
        let end = text.find(['"', '\'', ':']).unwrap_or(text.len());
        f.write_str(text[..end].trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: std::ffi::c_int) -> Kind {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        of_file(Path::new("shop.db"), &error).kind()
    }

    #[test]
    fn the_code_decides() {
        assert_eq!(kind(ffi::SQLITE_BUSY), Kind::Unavailable);
        assert_eq!(kind(ffi::SQLITE_BUSY_RECOVERY), Kind::Unavailable);
        assert_eq!(kind(ffi::SQLITE_NOTADB), Kind::Config);
        assert_eq!(kind(ffi::SQLITE_CORRUPT_VTAB), Kind::Data);
        assert_eq!(kind(ffi::SQLITE_READONLY_CANTINIT), Kind::Denied);
        assert_eq!(kind(ffi::SQLITE_CANTOPEN), Kind::Denied);
        assert_eq!(kind(ffi::SQLITE_IOERR_READ), Kind::Unavailable);
    }

    #[test]
    fn no_value_of_a_cell_is_quoted() {
        let words = "bad JSON path: 'secret'".to_owned();
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_ERROR), Some(words));
        let shown = of_file(Path::new("shop.db"), &error).to_string();
        assert!(shown.contains("bad JSON path") && !shown.contains("secret"), "{shown}");
    }
}
