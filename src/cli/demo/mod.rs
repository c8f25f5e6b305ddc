//! `tidemark demo`: a small shop in a SQLite file and a `pipeline.conf` that copies it, for a first look without any
//! server. A later call on the same folder changes some rows, so that there is something to pick up. Beside it a small API,
//! which the demo serves itself, and which becomes files too.

#[cfg(feature = "rest")]
mod api;
mod chance;
mod changes;
mod command;
#[cfg(feature = "rest")]
mod reviews;
mod rows;
mod shop;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

pub use self::changes::Change;
pub use self::command::command;

/// Where the demo goes if nobody says so.
pub const DEFAULT_FOLDER: &str = "tidemark-demo";

const CONFIG: &str = "pipeline.conf";
const SHOP: &str = "shop.db";
/// The first line of the demo's `pipeline.conf`, by which it knows its own folder again.
const MARK: &str = "# Made by `tidemark demo`.";
const TEXT: &str = include_str!("pipeline.conf");

/// A folder ready to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The shop was made just now.
    pub first: bool,
    /// What this call changed in it; nothing where it is new.
    pub changes: Vec<Change>,
    /// The folder's `pipeline.conf`.
    pub config: PathBuf,
}

/// Makes the demo in `folder`, or changes some rows of the one that is there. Blocks for about a second.
///
/// A folder that holds anything else is refused and left as it is.
pub fn prepare(folder: &Path) -> Result<Prepared> {
    let (config, shop) = (folder.join(CONFIG), folder.join(SHOP));
    if !is_ours(folder)? {
        std::fs::create_dir_all(folder).map_err(|e| refused(folder, &e))?;
        // First of all, so that a demo that is killed from here on knows its folder again.
        std::fs::write(&config, TEXT).map_err(|e| refused(&config, &e))?;
    }
    let first = !shop.try_exists().map_err(|e| refused(&shop, &e))?;
    let changes = match first {
        true => {
            make(folder, &shop)?;
            Vec::new()
        }
        false => changes::apply(&shop)?,
    };
    Ok(Prepared { first, changes, config })
}

/// Makes the shop under another name, so that a half-made one is never taken for it.
fn make(folder: &Path, shop: &Path) -> Result<()> {
    let unfinished = folder.join("shop.db.unfinished");
    match std::fs::remove_file(&unfinished) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(refused(&unfinished, &e)),
        _ => {}
    }
    shop::make(&unfinished)?;
    std::fs::rename(&unfinished, shop).map_err(|e| refused(shop, &e))
}

/// Whether the folder is a demo's; an error if it is something else.
fn is_ours(folder: &Path) -> Result<bool> {
    let config = folder.join(CONFIG);
    match std::fs::read(&config) {
        Ok(text) if text.starts_with(MARK.as_bytes()) => return Ok(true),
        Ok(_) => {
            let message = format!("{} was not made by `tidemark demo`", config.display());
            return Err(Error::config(message).hint("Name another folder with --dir DIR; nothing was changed."));
        }
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(refused(&config, &e)),
        Err(_) => {}
    }
    match std::fs::read_dir(folder).map(Iterator::count) {
        Ok(files) if files > 0 => Err(Error::config(format!("{} holds other files", folder.display()))
            .hint("Name an empty or a new folder with --dir DIR; nothing was changed.")),
        Ok(_) => Ok(false),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(refused(folder, &e)),
    }
}

fn refused(path: &Path, error: &std::io::Error) -> Error {
    let message = format!("{}: {error}", path.display());
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::denied(message),
        ErrorKind::NotADirectory => Error::config(message),
        _ => Error::unavailable(message),
    }
    .hint("Name another folder with --dir DIR.")
}

/// An error of the shop's database file.
fn failed(path: &Path, error: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure};
    let message = format!("{}: {error}", path.display());
    match error.sqlite_error_code() {
        Some(CannotOpen | PermissionDenied | ReadOnly) => Error::denied(message),
        Some(DatabaseBusy | DiskFull | SystemIoFailure) => Error::unavailable(message),
        _ => Error::data(message).hint("The shop is no longer as the demo made it: remove the folder and start again."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn other_peoples_folders_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join(CONFIG);
        std::fs::write(&config, "[source mine]\n").unwrap();
        let error = prepare(folder.path()).unwrap_err();
        assert_eq!(
            (error.kind(), std::fs::read_to_string(&config).unwrap().as_str()),
            (Kind::Config, "[source mine]\n")
        );
        assert!(!folder.path().join(SHOP).exists());

        std::fs::rename(&config, folder.path().join("letter.txt")).unwrap();
        assert_eq!(prepare(folder.path()).unwrap_err().kind(), Kind::Config);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_mark_is_the_first_line_of_what_is_written() {
        assert_eq!(TEXT.lines().next(), Some(MARK));
    }

    #[test]
    fn a_demo_that_was_killed_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CONFIG), TEXT).unwrap();
        std::fs::write(folder.path().join("shop.db.unfinished"), "half").unwrap();
        assert!(prepare(folder.path()).unwrap().first);
        assert!(!prepare(folder.path()).unwrap().first);
    }
}
