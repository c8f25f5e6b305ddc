//! Folders that are sure to be there after a power cut.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{Error as IoError, ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::Failure;

pub struct Folders {
    root: PathBuf,
    /// Seen to be there and durable, by this process.
    known: Mutex<HashSet<PathBuf>>,
    /// The root and folders above it that this process has made.
    made: Mutex<HashSet<PathBuf>>,
}

impl Folders {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), known: Mutex::default(), made: Mutex::default() }
    }

    /// Makes a folder, and those above it, and syncs what holds them: also of one that was there, whose maker may not
    /// have come that far. The root, and what holds it, is left alone where it is there.
    pub fn ensure(&self, folder: &Path) -> Result<(), Failure> {
        if self.known().contains(folder) {
            return Ok(());
        }
        if let Some(above) = folder.parent().filter(|_| self.is_inside(folder) || !folder.is_dir()) {
            self.ensure(above)?;
            if make(folder)? && !self.is_inside(folder) {
                self.made().insert(folder.to_owned());
            }
            sync(above).map_err(|e| Failure::new(e, "cannot be synced", above))?;
        }
        self.known().insert(folder.to_owned());
        Ok(())
    }

    fn is_inside(&self, folder: &Path) -> bool {
        folder != self.root && folder.starts_with(&self.root)
    }

    /// It is not there, whatever was seen.
    pub fn forget(&self, folder: &Path) {
        self.known().retain(|known| !folder.starts_with(known));
    }

    /// Removes a folder if it is empty, and then those above it; the root and what holds it only if this process has
    /// made them, so that a trial leaves nothing behind.
    pub fn prune(&self, folder: &Path) {
        let mut folder = folder;
        while (self.is_inside(folder) || self.made().contains(folder)) && fs::remove_dir(folder).is_ok() {
            self.known().remove(folder);
            self.made().remove(folder);
            let Some(above) = folder.parent() else { return };
            folder = above;
        }
    }

    fn known(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it was made here: `false` of one that was there.
fn make(folder: &Path) -> Result<bool, Failure> {
    let failure = |error| Failure::new(error, "cannot be made", folder);
    loop {
        return match fs::create_dir(folder) {
            Ok(()) => Ok(true),
            Err(_) if folder.is_dir() => Ok(false),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => match fs::symlink_metadata(folder) {
                // Another process has removed it since.
                Err(gone) if gone.kind() == ErrorKind::NotFound => continue,
                Ok(there) if there.is_dir() => Ok(false),
                _ => Err(failure(IoError::from(ErrorKind::NotADirectory))),
            },
            Err(e) => Err(failure(e)),
        };
    }
}

/// Makes the names in a folder durable.
pub fn sync(folder: &Path) -> IoResult<()> {
    File::open(folder)?.sync_all()
}
