//! The file that keeps a refresh token from one run to the next, where the server gives another one with each use.
//!
//! Whoever loses such a token has to log in again by hand. So it is written aside, brought to the disk, and only then put in
//! the place of the one before; what a killed process has left aside complete is taken up by the next.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::secret::Secret;
use crate::error::{Error, Result};

/// How long another process may take to get a token: longer than all its tries.
/// More than a token takes.
const ROOM: usize = 16 << 10;
const WAIT: Duration = Duration::from_secs(10 * 60);
const LOOK: Duration = Duration::from_millis(50);

pub struct TokenStore {
    path: PathBuf,
    /// Whose tokens it has: a digest of the token endpoint and the client.
    owner: String,
    /// A digest of the token that the file of the pipeline has: the kept one descends from it.
    configured: String,
}

/// What stands in the file.
#[derive(Serialize, Deserialize)]
struct Kept {
    owner: String,
    configured: String,
    refresh_token: String,
}

/// The store while no other process may use it.
pub struct Locked<'s> {
    store: &'s TokenStore,
    _lock: File,
}

/// The place beside the store in which the next token is written. It is gone with this, unless it was kept.
pub struct Draft {
    aside: PathBuf,
    path: PathBuf,
    file: File,
    /// The next token is in it.
    is_written: bool,
    is_in_place: bool,
}

impl TokenStore {
    pub fn new(path: PathBuf, token_url: &str, client_id: &str, configured: &Secret) -> Self {
        let owner = digest(&format!("{token_url}\0{client_id}"));
        Self { path, owner, configured: digest(configured.expose()) }
    }

    /// Waits until no other process has it.
    pub async fn lock(&self) -> Result<Locked<'_>> {
        let path = with_suffix(&self.path, ".lock");
        let file = private().create(true).truncate(false).open(&path).map_err(|e| self.failed(&path, &e))?;
        let begun = tokio::time::Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Locked { store: self, _lock: file }),
                Err(TryLockError::Error(e)) => return Err(self.failed(&path, &e)),
                Err(TryLockError::WouldBlock) if begun.elapsed() > WAIT => {
                    return Err(Error::unavailable(format!(
                        "`token_store`: {}: another process has it for too long",
                        self.path.display()
                    )));
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    fn failed(&self, path: &Path, error: &io::Error) -> Error {
        Error::config(format!("`token_store`: {}: {error}", path.display()))
            .hint("Let `token_store` name a file in a folder on a local disk that this user may write to.")
    }
}

impl Locked<'_> {
    /// The token that descends from the one that is configured; `None` where there is none yet, or another one was configured
    /// since. A file that is not private, or not ours, is refused.
    pub fn read(&self) -> Result<Option<Secret>> {
        let store = self.store;
        self.take_up()?;
        let text = match read_private(&store.path) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(None),
            Err(Unread::Io(e)) => return Err(store.failed(&store.path, &e)),
            Err(Unread::NotPrivate) => return Err(not_private(&store.path)),
        };
        let place = store.path.display();
        let kept = serde_json::from_slice::<Kept>(&text).map_err(|_| {
            Error::config(format!("`token_store`: {place}: is not what was written there"))
                .hint("Log in again for a new `refresh_token`, set it, and remove the file.")
        })?;
        if kept.owner != store.owner {
            return Err(Error::config(format!("`token_store`: {place}: has the token of another client")).hint(
                "Give each client its own file, or remove this one if `client_id` or `token_url` have changed.",
            ));
        }
        Ok((kept.configured == store.configured).then(|| Secret::new(kept.refresh_token)))
    }

    /// Makes sure that the next token can be written, before the server is asked for it.
    pub fn draft(&self) -> Result<Draft> {
        let path = self.store.path.clone();
        let aside = with_suffix(&path, ".new");
        let file = private().create_new(true).open(&aside).map_err(|e| self.store.failed(&aside, &e))?;
        let mut draft = Draft { aside, path, file, is_written: false, is_in_place: false };
        // On a full disk, the token would be asked for and lost.
        let room = draft.file.write_all(&[b' '; ROOM]).and_then(|()| draft.file.sync_all());
        room.map_err(|e| self.store.failed(&draft.aside, &e))?;
        Ok(draft)
    }

    /// What the file is to have in it.
    pub fn text(&self, token: &Secret) -> Result<Vec<u8>> {
        let TokenStore { owner, configured, .. } = self.store;
        let refresh_token = token.expose().to_owned();
        let kept = Kept { owner: owner.clone(), configured: configured.clone(), refresh_token };
        serde_json::to_vec_pretty(&kept).map_err(|_| Error::bug("a refresh token cannot be written as JSON"))
    }

    /// What a process that was killed has left aside: newer than what is in place, if it is whole.
    fn take_up(&self) -> Result<()> {
        let path = &self.store.path;
        let aside = with_suffix(path, ".new");
        let failed = |e: io::Error| self.store.failed(&aside, &e);
        let left = match read_private(&aside) {
            Ok(Some(text)) => serde_json::from_slice::<Kept>(&text).ok(),
            Ok(None) => return Ok(()),
            Err(Unread::NotPrivate) => None,
            Err(Unread::Io(e)) => return Err(failed(e)),
        };
        match left {
            Some(_) => (File::open(&aside).and_then(|file| file.sync_all()))
                .and_then(|()| fs::rename(&aside, path))
                .and_then(|()| sync_folder(path))
                .map_err(failed),
            None => fs::remove_file(&aside).map_err(failed),
        }
    }
}

impl Draft {
    /// Keeps what [`Locked::text`] made: when this returns, it is on the disk. It blocks. It may be tried again.
    pub fn keep(&mut self, text: &[u8]) -> Result<()> {
        self.try_keep(text).map_err(|e| {
            Error::config(format!("`token_store`: {}: {e}", self.path.display())).hint(
                "The server gave a new refresh token, which could not be kept. See that there is room on the disk, log in \
                 again for a new `refresh_token`, and set it.",
            )
        })
    }

    fn try_keep(&mut self, text: &[u8]) -> io::Result<()> {
        io::Seek::rewind(&mut self.file)?;
        self.file.write_all(text)?;
        self.file.set_len(text.len() as u64)?;
        self.file.sync_all()?;
        self.is_written = true;
        if !self.is_in_place {
            fs::rename(&self.aside, &self.path)?;
            self.is_in_place = true;
        }
        sync_folder(&self.path)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // One that could not be put in place is left to the next process.
        if !self.is_written {
            let _ = fs::remove_file(&self.aside);
        }
    }
}

/// Brings a file's name to the disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

enum Unread {
    Io(io::Error),
    NotPrivate,
}

fn read_private(path: &Path) -> Result<Option<Vec<u8>>, Unread> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Unread::Io(e)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if file.metadata().map_err(Unread::Io)?.permissions().mode() & 0o077 != 0 {
            return Err(Unread::NotPrivate);
        }
    }
    let mut text = Vec::new();
    io::Read::read_to_end(&mut file, &mut text).map_err(Unread::Io)?;
    Ok(Some(text))
}

fn not_private(path: &Path) -> Error {
    let path = path.display();
    Error::config(format!("`token_store`: {path}: other users may read or write it"))
        .hint(format!("Run `chmod 600 {path}`; if others may have read it, log in again for a new `refresh_token`."))
}

/// A file for its owner alone, from its beginning on.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
