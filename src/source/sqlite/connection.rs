//! Connections to the file: opened for reading only, and, for a run, as many as needed that all see one moment.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::config::Settings;
use super::error::InFile;
use crate::error::{Error, Result};
use crate::record::StreamId;

/// Streams that read at once from one snapshot; more wait for a connection.
const MOST_CONNECTIONS: usize = 8;

/// What has a meaning in a URI's path.
const IN_URI: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ');

/// Opens the file, which must exist. Blocks.
pub fn open(settings: &Settings) -> Result<Connection> {
    let path = settings.path.as_path();
    look_at(path)?;
    if settings.immutable {
        refuse_unread_changes(path)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match settings.immutable {
        false => Connection::open_with_flags(path, flags),
        true => Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI),
    };
    let connection = connection.in_file(path)?;
    connection.busy_timeout(settings.busy_timeout).in_file(path)?;
    // Else a misspelt column in double quotes is a string, and a condition on it matches no row, without an error.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false).in_file(path)?;
    Ok(connection)
}

/// Opens the file and begins to read: everything read from now on is as of this moment. Blocks.
pub fn begin(settings: &Settings) -> Result<Connection> {
    let connection = open(settings)?;
    start(&connection).in_file(&settings.path)?;
    Ok(connection)
}

/// A transaction's moment is that of its first read. This one reads nothing but the file's header: a statement that
/// needs the schema would take the file's lock twice, and a writer might come in between.
fn start(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("begin")?;
    connection.query_row("pragma data_version", [], |_| Ok(()))
}

/// Says what is wrong with the path in the user's words; SQLite has one code for all of it.
fn look_at(path: &Path) -> Result<()> {
    let shown = path.display();
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(found) if found.is_dir() => {
            Err(Error::config(format!("{shown} is a folder")).hint("`path` must name the database file itself."))
        }
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(Error::denied(format!("{shown} may not be read"))
                .hint("Give the user of this process the right to read it."))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::config(format!("{shown} does not exist"))
            .hint("Look at `path`; a relative one is taken from the folder of pipeline.conf.")),
        Err(e) => Err(Error::unavailable(format!("{shown} cannot be opened: {e}"))),
    }
}

/// An immutable file is read without what its journals say: changes in a write-ahead log would be missed, and those of
/// a transaction that never ended would be read.
fn refuse_unread_changes(path: &Path) -> Result<()> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let mut start = [0; 8];
        let read = std::fs::File::open(name).and_then(|mut file| file.read(&mut start));
        start[..read.unwrap_or(0)].to_vec()
    };
    let unread = |suffix, what| {
        let message = format!("{}{suffix} holds {what}, which `immutable = yes` would not see", path.display());
        Err(Error::config(message)
            .hint("Open the database once with the sqlite3 shell and run `PRAGMA wal_checkpoint(truncate)`."))
    };
    // A journal that is kept for the next transaction begins with zeros.
    if beside("-journal").iter().any(|byte| *byte != 0) {
        return unread("-journal", "an unfinished transaction");
    }
    match beside("-wal").is_empty() {
        true => Ok(()),
        false => unread("-wal", "changes"),
    }
}

fn immutable_uri(path: &Path) -> String {
    let path = percent_encode(path.as_os_str().as_encoded_bytes(), IN_URI);
    format!("file:{path}?immutable=1")
}

/// Connections that all read as of one moment.
#[derive(Debug)]
pub struct Snapshot {
    idle: Mutex<Vec<Connection>>,
    free: Arc<Semaphore>,
    /// The streams that it was taken for and that have not been read to their ends.
    left: Mutex<BTreeSet<StreamId>>,
    /// All streams are read, or a connection has lost its transaction and would read as of another moment.
    over: AtomicBool,
    at: jiff::Timestamp,
}

impl Snapshot {
    /// Takes a snapshot for these streams, which they can read side by side. Blocks.
    pub fn take(settings: &Settings, streams: BTreeSet<StreamId>) -> Result<Self> {
        let path = settings.path.as_path();
        let wanted = streams.len().clamp(1, MOST_CONNECTIONS);
        let watcher = open(settings)?;
        let mut connections = (0..wanted).map(|_| open(settings)).collect::<Result<Vec<_>>>()?;
        let deadline = Instant::now() + settings.busy_timeout.max(Duration::from_secs(1));
        loop {
            let before = version(&watcher).in_file(path)?;
            let at = jiff::Timestamp::now();
            start(&connections[0]).in_file(path)?;
            let agreed = match has_wal(&connections[0]).in_file(path)? {
                // Transactions that begin while nobody commits see the same: SQLite tells a watcher whether anybody did.
                true => {
                    connections[1..].iter().try_for_each(start).in_file(path)?;
                    version(&watcher).in_file(path)? == before
                }
                false => {
                    let others = join(connections.split_off(1)).in_file(path)?;
                    connections.extend(others);
                    true
                }
            };
            if agreed {
                let (free, over) = (Arc::new(Semaphore::new(connections.len())), AtomicBool::new(false));
                return Ok(Self { idle: Mutex::new(connections), free, left: Mutex::new(streams), over, at });
            }
            if Instant::now() > deadline {
                return Err(restless(path));
            }
            for connection in &connections {
                connection.execute_batch("rollback").in_file(path)?;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Lends a connection; waits while all are lent. `None` once the snapshot is over.
    pub async fn lend(self: &Arc<Self>) -> Option<Loan> {
        // The semaphore is never closed.
        let permit = self.free.clone().acquire_owned().await.ok()?;
        if self.is_over() {
            return None;
        }
        let connection = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Loan { connection: Some(connection), at: self.at, back: Some((self.clone(), permit)) })
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// The stream has been read. With the last one the locks go: nobody waits for the rest of the run.
    pub fn finish(&self, stream: &StreamId) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.remove(stream);
        if left.is_empty() {
            self.end();
        }
    }

    fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Changes whenever anybody else has committed.
fn version(watcher: &Connection) -> rusqlite::Result<i64> {
    watcher.query_row("pragma data_version", [], |row| row.get(0))
}

fn has_wal(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("pragma journal_mode", [], |row| row.get::<_, String>(0)).map(|mode| mode == "wal")
}

/// With a rollback journal nobody commits while one reader is there, so whoever else begins sees the same. A writer that
/// waits for that reader to end lets no other in: those that it keeps out are done without.
fn join(others: Vec<Connection>) -> rusqlite::Result<Vec<Connection>> {
    let mut joined = Vec::with_capacity(others.len());
    for connection in others {
        connection.busy_timeout(Duration::ZERO)?;
        match start(&connection) {
            Ok(()) => joined.push(connection),
            Err(e) if is_busy(&e) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(joined)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn restless(path: &Path) -> Error {
    Error::unavailable(format!("{} is written to too often to read all tables as of one moment", path.display()))
        .hint("`snapshot = table` reads each table as of a moment of its own.")
}

/// A connection inside its read transaction; goes back to its snapshot, if it is of one.
#[derive(Debug)]
pub struct Loan {
    connection: Option<Connection>,
    at: jiff::Timestamp,
    back: Option<(Arc<Snapshot>, OwnedSemaphorePermit)>,
}

impl Loan {
    /// A connection with a moment of its own. Blocks.
    pub fn alone(settings: &Settings) -> Result<Self> {
        let at = jiff::Timestamp::now();
        Ok(Self { connection: Some(begin(settings)?), at, back: None })
    }

    pub fn connection(&self) -> Result<&Connection> {
        self.connection.as_ref().ok_or_else(|| Error::bug("a lent connection is gone"))
    }

    /// The stream has been read to its end.
    pub fn finish(&self, stream: &StreamId) {
        if let Some((snapshot, _)) = &self.back {
            snapshot.finish(stream);
        }
    }

    /// When the snapshot was taken.
    pub fn at(&self) -> jiff::Timestamp {
        self.at
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let (Some(connection), Some((snapshot, _permit))) = (self.connection.take(), self.back.take()) else {
            return;
        };
        if connection.is_autocommit() {
            snapshot.end();
        }
        if !snapshot.is_over() {
            // Before the permit, which is given back last.
            snapshot.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }
}
