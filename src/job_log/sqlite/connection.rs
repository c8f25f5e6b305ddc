use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::OpenFlags;
use tokio::sync::oneshot;

use super::{error, schema};
use crate::error::{Error, Result};

/// How long to wait for another process's write before it counts as stuck.
const BUSY_TIMEOUT: Duration = Duration::from_secs(15);

type Db = rusqlite::Connection;
type Job = Box<dyn FnOnce(&mut Option<Db>) + Send>;

/// A connection on a thread of its own: SQLite blocks, and its calls run in the order in which they were made. A call
/// whose caller went away is still carried out.
pub(super) struct Connection {
    path: PathBuf,
    id: Arc<OnceLock<String>>,
    /// `None` while it is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Connection {
    /// Waits until the thread has closed the file, and moved into it what stands in the log beside it: who looks at it next leaves
    /// it as it is.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It may have ended by a panic, of which its callers have heard.
            let _ = thread.join();
        }
    }
}

impl Connection {
    /// Opens nothing yet.
    pub fn new(path: PathBuf) -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        // Ends when the sender is dropped. If no thread can be had, the calls say so.
        let thread = std::thread::Builder::new().name("job-log".to_owned()).spawn(move || {
            let mut db = None;
            while let Ok(job) = queue.recv() {
                job(&mut db);
            }
        });
        Self { path, id: Arc::default(), jobs: Some(jobs), thread: thread.ok() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The log's own id, once it has been opened.
    pub fn id(&self) -> Option<&str> {
        self.id.get().map(String::as_str)
    }

    /// Runs `job` on the database, which is made where it is missing.
    pub async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Db) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (path, id) = (self.path.clone(), self.id.clone());
        self.on_thread(move |slot| {
            let db = match slot {
                Some(db) => db,
                None => slot.insert(open(&path, &id)?),
            };
            job(db).map_err(|e| error::of(&e, &path))
        })
        .await
    }

    /// Runs `job`, which only reads; with no file there is nothing to read, and none is made.
    pub async fn read<T: Default + Send + 'static>(
        &self,
        job: impl FnOnce(&mut Db) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (path, id) = (self.path.clone(), self.id.clone());
        self.on_thread(move |slot| {
            let db = match slot {
                Some(db) => db,
                // An empty file is a database that nobody has written to yet.
                None if std::fs::metadata(&path).map_or_else(|e| is_absent(&e), |file| file.len() == 0) => {
                    return Ok(T::default());
                }
                None => slot.insert(open(&path, &id)?),
            };
            job(db).map_err(|e| error::of(&e, &path))
        })
        .await
    }

    /// The version of the log at the path, 0 where there is none; an error if it could not be opened for writing, or made.
    pub async fn check(&self) -> Result<i64> {
        let path = self.path.clone();
        self.on_thread(move |_| check(&path)).await
    }

    async fn on_thread<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Option<Db>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let gone = || Error::bug("the job log's thread has ended");
        let (answer, answered) = oneshot::channel();
        // A caller that no longer waits is no reason to leave the job undone.
        let job = Box::new(move |slot: &mut Option<Db>| drop(answer.send(job(slot))));
        self.jobs.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound
}

fn open(path: &Path, id: &OnceLock<String>) -> Result<Db> {
    let mut db = connect(path, OpenFlags::SQLITE_OPEN_CREATE).map_err(|e| error::of_opening(&e, path))?;
    let found = schema::prepare(&mut db, path)?;
    id.get_or_init(|| found);
    Ok(db)
}

/// `more` than what every connection needs.
fn connect(path: &Path, more: OpenFlags) -> rusqlite::Result<Db> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let db = Db::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    Ok(db)
}

/// A log that is there is opened for writing, and nothing is written. For one that is not, another is made beside it and
/// removed: its own name may be taken by a run that begins just now, whose log must not go.
fn check(path: &Path) -> Result<i64> {
    let found = match std::fs::metadata(path) {
        Err(e) if is_absent(&e) => 0,
        _ => {
            let mut db = connect(path, OpenFlags::empty()).map_err(|e| error::of_opening(&e, path))?;
            schema::examine(&mut db, path)?
        }
    };
    if found == 0 {
        make_beside(path)?;
    }
    Ok(found)
}

fn make_beside(path: &Path) -> Result<()> {
    let beside = path.with_file_name(format!(".tidemark-check-{}.db", uuid::Uuid::now_v7()));
    let made = connect(&beside, OpenFlags::SQLITE_OPEN_CREATE);
    let made = made.map_err(|e| error::of_opening_as(&e, path, &beside));
    // Errors name the log: nobody knows the other file.
    let made = made.and_then(|mut db| schema::prepare(&mut db, path));
    for end in ["", "-wal", "-shm", "-journal"] {
        let mut file = beside.clone().into_os_string();
        file.push(end);
        // What was never made cannot be removed; what was, is the next one's own to remove.
        let _ = std::fs::remove_file(file);
    }
    made.map(drop)
}
