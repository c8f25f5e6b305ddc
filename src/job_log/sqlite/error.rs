//! What SQLite refuses, by its codes.

use std::io::ErrorKind;
use std::path::Path;

use rusqlite::ErrorCode;

use crate::error::{Error, Kind};

const ANOTHER_FILE: &str =
    "Name another file in [job_log] `url`, or move this one away: marks are recovered from the destinations.";

/// The error of an open database.
pub(super) fn of(error: &rusqlite::Error, path: &Path) -> Error {
    let (kind, message, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => (Kind::Config, "is not a SQLite database".to_owned(), Some(ANOTHER_FILE)),
        Some(ErrorCode::DatabaseCorrupt) => (Kind::Config, "is damaged".to_owned(), Some(ANOTHER_FILE)),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => (
            Kind::Denied,
            "cannot be written to".to_owned(),
            Some("Give this user write access to the file and its folder."),
        ),
        Some(ErrorCode::CannotOpen) => return of_opening(error, path),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (Kind::Unavailable, "is locked by another process".to_owned(), None)
        }
        Some(ErrorCode::DiskFull) => {
            (Kind::Unavailable, "the disk is full".to_owned(), Some("Free some space on the disk."))
        }
        Some(ErrorCode::SystemIoFailure) => {
            (Kind::Unavailable, format!("disk error: {error}"), Some("Check the disk and the system log."))
        }
        Some(ErrorCode::OutOfMemory) => (Kind::Unavailable, "out of memory".to_owned(), None),
        _ => (Kind::Bug, error.to_string(), None),
    };
    let error = Error::new(kind, format!("job log {}: {message}", path.display()));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The error of opening: SQLite says only that it cannot, so the file system is asked why.
pub(super) fn of_opening(error: &rusqlite::Error, path: &Path) -> Error {
    of_opening_as(error, path, path)
}

/// As [`of_opening`], of a file `tried` that stands for the log at `path`.
pub(super) fn of_opening_as(error: &rusqlite::Error, path: &Path, tried: &Path) -> Error {
    if error.sqlite_error_code() != Some(ErrorCode::CannotOpen) {
        return of(error, path);
    }
    let place = format!("job log {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let why = match std::fs::metadata(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let message = format!("{place}: folder {} does not exist", folder.display());
            return Error::config(message).hint("Create it, or name another file in [job_log] `url`.");
        }
        Err(e) => e,
        Ok(found) if !found.is_dir() => return Error::config(format!("{place}: {} is not a folder", folder.display())),
        Ok(_) if path.is_dir() => return Error::config(format!("{place}: is a folder, not a file")),
        Ok(_) => match std::fs::OpenOptions::new().append(true).create(true).open(tried) {
            Err(e) => e,
            Ok(_) => return Error::unavailable(format!("{place}: cannot be opened: {error}")),
        },
    };
    match why.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::denied(format!("{place}: {why}"))
            .hint("Give this user write access to the file and its folder, or name another file in [job_log] `url`."),
        ErrorKind::NotFound | ErrorKind::InvalidInput | ErrorKind::InvalidFilename => {
            Error::config(format!("{place}: cannot be created: {why}")).hint("Name another file in [job_log] `url`.")
        }
        _ => Error::unavailable(format!("{place}: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn codes_decide_not_words() {
        let of = |code| of(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None), Path::new("log.db"));
        let cases = [
            (ffi::SQLITE_FULL, Kind::Unavailable, "the disk is full"),
            (ffi::SQLITE_IOERR_FSYNC, Kind::Unavailable, "disk error"),
            (ffi::SQLITE_BUSY_SNAPSHOT, Kind::Unavailable, "is locked by another process"),
            (ffi::SQLITE_READONLY_DIRECTORY, Kind::Denied, "cannot be written to"),
            (ffi::SQLITE_CORRUPT, Kind::Config, "is damaged"),
            (ffi::SQLITE_NOTADB, Kind::Config, "is not a SQLite database"),
            (ffi::SQLITE_CONSTRAINT, Kind::Bug, ""),
        ];
        for (code, kind, words) in cases {
            let error = of(code);
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.message().starts_with("job log log.db: ") && error.message().contains(words), "{error}");
        }
    }
}
