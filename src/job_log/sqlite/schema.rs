use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::error;
use crate::error::{Error, Result};

/// The version of the tables below, in the file's `user_version`.
pub(super) const VERSION: i64 = 3;

/// What makes each version of the one before: a file of version `n` runs those from index `n` on.
const MIGRATIONS: [&str; VERSION as usize] = [RUNS_AND_LEASES, LAGS, FAILURES];

const RUNS_AND_LEASES: &str = "
    CREATE TABLE job_log (
        run_id          TEXT PRIMARY KEY,
        pipeline        TEXT NOT NULL,
        stream          TEXT NOT NULL,
        mode            TEXT NOT NULL CHECK (mode IN ('full', 'incremental', 'cdc')),
        state           TEXT NOT NULL CHECK (state IN ('running', 'done', 'stopped', 'failed')),
        low_water_mark  TEXT,
        high_water_mark TEXT,
        seq             INTEGER,
        commits         INTEGER NOT NULL DEFAULT 0,
        rows            INTEGER NOT NULL DEFAULT 0,
        bytes           INTEGER NOT NULL DEFAULT 0,
        started_at      TEXT NOT NULL,
        updated_at      TEXT NOT NULL,
        finished_at     TEXT,
        error_kind      TEXT,
        error           TEXT
    );
    CREATE INDEX job_log_by_start ON job_log (pipeline, stream, started_at);
    CREATE INDEX job_log_by_seq ON job_log (pipeline, stream, seq);
    CREATE TABLE job_log_lease (
        pipeline      TEXT NOT NULL,
        stream        TEXT NOT NULL,
        token         TEXT NOT NULL,
        host          TEXT NOT NULL,
        pid           INTEGER NOT NULL,
        start_ticks   INTEGER,
        boot_id       TEXT,
        pid_namespace TEXT,
        taken_at      TEXT NOT NULL,
        heartbeat_at  TEXT NOT NULL,
        PRIMARY KEY (pipeline, stream)
    );
    CREATE TABLE job_log_id (id TEXT NOT NULL);
";

const LAGS: &str = "
    CREATE TABLE job_log_lag (
        pipeline    TEXT NOT NULL,
        stream      TEXT NOT NULL,
        seconds     INTEGER NOT NULL,
        bytes       INTEGER,
        measured_at TEXT NOT NULL,
        PRIMARY KEY (pipeline, stream)
    );
";

const FAILURES: &str = "
    CREATE TABLE job_log_share (
        pipeline TEXT NOT NULL,
        stream   TEXT NOT NULL,
        run_id   TEXT NOT NULL,
        seq      INTEGER NOT NULL,
        requests INTEGER NOT NULL,
        records  INTEGER NOT NULL,
        failed   INTEGER NOT NULL,
        written  INTEGER NOT NULL,
        aside    TEXT NOT NULL,
        PRIMARY KEY (pipeline, stream)
    );
    CREATE TABLE job_log_failure (
        pipeline  TEXT NOT NULL,
        stream    TEXT NOT NULL,
        id        TEXT NOT NULL,
        request   TEXT NOT NULL,
        status    INTEGER,
        reason    TEXT NOT NULL,
        excerpt   TEXT,
        attempts  INTEGER NOT NULL,
        failed_at TEXT NOT NULL,
        run_id    TEXT NOT NULL,
        closed_at TEXT,
        PRIMARY KEY (pipeline, stream, id)
    );
";

/// Makes a fresh connection ready: durable writes, and the tables at this program's version. Tells the log's own id,
/// which tells it from every other job log.
pub(super) fn prepare(db: &mut Connection, path: &Path) -> Result<String> {
    let refused = |e: rusqlite::Error| error::of(&e, path);
    let found = version(db).map_err(refused)?;
    refuse_newer(found, path)?;
    // A commit is recorded before the source is told to forget it: it must survive a loss of power.
    db.pragma_update(None, "synchronous", "FULL").map_err(refused)?;
    use_wal(db).map_err(refused)?;
    if found < VERSION {
        migrate(db, path)?;
    }
    db.query_row("SELECT id FROM job_log_id", [], |row| row.get(0)).map_err(refused)
}

/// The version of the log that the file holds, which is then one that can be written to; 0 where there is none yet. Writes
/// nothing.
pub(super) fn examine(db: &mut Connection, path: &Path) -> Result<i64> {
    let refused = |e: rusqlite::Error| error::of(&e, path);
    let found = version(db).map_err(refused)?;
    refuse_newer(found, path)?;
    refuse_foreign(db, found, path)?;
    let write = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(refused)?;
    write.rollback().map_err(refused)?;
    Ok(found)
}

fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn refuse_newer(found: i64, path: &Path) -> Result<()> {
    if found <= VERSION {
        return Ok(());
    }
    let message = format!(
        "job log {}: its tables have version {found}, and this program supports versions up to {VERSION}",
        path.display()
    );
    Err(Error::config(message)
        .hint("A newer tidemark wrote it: use that one, or name another file in [job_log] `url`."))
}

/// Write-ahead logging, so that readers of the table never wait for a run. Changing to it is the one step that does
/// not wait for other connections by itself. A file system without shared memory keeps its journal, and is as durable.
fn use_wal(db: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let answer: rusqlite::Result<String> = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
        match answer {
            Err(e) if is_busy(&e) && Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            answer => return answer.map(drop),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn migrate(db: &mut Connection, path: &Path) -> Result<()> {
    let refused = |e: rusqlite::Error| error::of(&e, path);
    let step = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(refused)?;
    // Another process may have done it while this one waited.
    let found = version(&step).map_err(refused)?;
    refuse_newer(found, path)?;
    refuse_foreign(&step, found, path)?;
    let pending = MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0));
    for migration in pending {
        step.execute_batch(migration).map_err(refused)?;
    }
    if found == 0 {
        let id = uuid::Uuid::now_v7().to_string();
        step.execute("INSERT INTO job_log_id (id) VALUES (?1)", [id]).map_err(refused)?;
    }
    step.pragma_update(None, "user_version", VERSION).map_err(refused)?;
    step.commit().map_err(refused)
}

/// A file without our version must not have tables of our names: they would be somebody else's.
fn refuse_foreign(db: &Connection, found: i64, path: &Path) -> Result<()> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name IN ('job_log', 'job_log_lease', 'job_log_id')";
    let foreign: i64 = db.query_row(sql, [], |row| row.get(0)).map_err(|e| error::of(&e, path))?;
    match found == 0 && foreign > 0 {
        true => Err(Error::config(format!(
            "job log {}: holds a table `job_log` that tidemark did not make",
            path.display()
        ))
        .hint("Name another file in [job_log] `url`.")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_version_is_brought_up_to_date() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(&format!("{RUNS_AND_LEASES} INSERT INTO job_log_id VALUES ('own'); PRAGMA user_version = 1"))
            .unwrap();
        let path = Path::new("log.db");
        assert_eq!((examine(&mut db, path).unwrap(), prepare(&mut db, path).unwrap().as_str()), (1, "own"));
        for table in ["job_log_lag", "job_log_share", "job_log_failure"] {
            let sql = format!("SELECT count(*) FROM {table}");
            assert_eq!(db.query_row(&sql, [], |row| row.get::<_, i64>(0)), Ok(0));
        }
    }

    #[test]
    fn the_version_that_is_there_is_found() {
        let mut db = Connection::open_in_memory().unwrap();
        let path = Path::new("log.db");
        assert_eq!(examine(&mut db, path).unwrap(), 0);
        prepare(&mut db, path).unwrap();
        assert_eq!(examine(&mut db, path).unwrap(), VERSION);
    }
}
