use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidemark::config::Section;
use tidemark::error::Kind;
use tidemark::job_log::{self, JobLog, sqlite};

use conformance::{Backend, TIMING, commit, refused, run};

#[path = "../conformance/job_log.rs"]
mod conformance;

struct Sqlite {
    folder: tempfile::TempDir,
}

impl Sqlite {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("tidemark.db")
    }
}

#[async_trait]
impl Backend for Sqlite {
    fn open(&self) -> Arc<dyn JobLog> {
        at(&self.path())
    }

    async fn sql(&self, statement: &str) {
        let db = rusqlite::Connection::open(self.path()).unwrap();
        db.busy_timeout(Duration::from_secs(10)).unwrap();
        db.execute_batch(statement).unwrap();
    }
}

fn at(path: &Path) -> Arc<dyn JobLog> {
    Arc::new(sqlite::JobLog::new(path, TIMING))
}

crate::job_log_conformance!(Sqlite::new());

/// Not a test of its own: what the next one starts as another process.
#[tokio::test]
async fn holds_a_lease_when_told() {
    let Ok(path) = std::env::var("TIDEMARK_TEST_HOLD_LEASE") else { return };
    let log = at(Path::new(&path));
    let _lease = log.lease("shop", "orders").await.unwrap();
    log.start(&run("killed", "orders")).await.unwrap();
    log.record("shop", "orders", &commit("killed", 1, &[2])).await.unwrap();
    println!("\nheld");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_killed_holder_is_taken_over_at_once() {
    let backend = Sqlite::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["job_log::holds_a_lease_when_told", "--exact", "--nocapture"])
        .env("TIDEMARK_TEST_HOLD_LEASE", backend.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "held"));

    // With the real times: what frees the lease is the death, not the silence.
    let log = sqlite::JobLog::new(backend.path(), job_log::Timing::default());
    let error = refused(log.lease("shop", "orders").await);
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.message().contains(&format!("process {} on ", child.id())), "{error}");
    assert!(error.advice().unwrap().contains(&format!("kill {}", child.id())), "{error}");

    child.kill().unwrap();
    // Not waited for yet: a zombie does not hold a lease. It may take a moment until it is one.
    let mut lease = log.lease("shop", "orders").await;
    for _ in 0..100 {
        if lease.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        lease = log.lease("shop", "orders").await;
    }
    let lease = lease.unwrap();
    child.wait().unwrap();
    log.start(&run("next", "orders")).await.unwrap();
    let rows = log.runs("shop", Some("orders"), 2).await.unwrap();
    assert_eq!((rows[0].state.as_str(), rows[1].state.as_str()), ("running", "failed"));
    assert_eq!((rows[1].rows, rows[1].error.as_deref()), (2, Some("the process died without recording its end")));
    lease.release().await;
}

#[tokio::test]
async fn a_newer_table_is_refused() {
    let backend = Sqlite::new();
    backend.open().start(&run("r", "orders")).await.unwrap();
    backend.sql("PRAGMA user_version = 7").await;
    let error = backend.open().mark("shop", "orders").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert_eq!(
        error.to_string(),
        format!(
            "job log {}: its tables have version 7, and this program supports versions up to 3\n  A newer tidemark \
             wrote it: use that one, or name another file in [job_log] `url`.",
            backend.path().display()
        )
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_denied() {
    let backend = Sqlite::new();
    backend.open().start(&run("r", "orders")).await.unwrap();
    // The log's connection closes on a thread of its own, and takes its journal along.
    while backend.path().with_extension("db-wal").exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // A write version that SQLite does not know makes the file read-only for everybody, root included.
    let mut bytes = std::fs::read(backend.path()).unwrap();
    bytes[18] = 3;
    std::fs::write(backend.path(), bytes).unwrap();
    let error = backend.open().start(&run("r2", "orders")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert!(error.message().contains("cannot be written to"), "{error}");
}

#[tokio::test]
async fn a_file_of_another_kind_is_refused() {
    let backend = Sqlite::new();
    std::fs::write(backend.path(), "id,name\n".repeat(1000)).unwrap();
    let error = backend.open().start(&run("r", "orders")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.message().ends_with("is not a SQLite database"), "{error}");
    assert_eq!(std::fs::read_to_string(backend.path()).unwrap(), "id,name\n".repeat(1000));
}

#[tokio::test]
async fn a_table_of_somebody_else_is_left_alone() {
    let backend = Sqlite::new();
    backend.sql("CREATE TABLE job_log (id INTEGER)").await;
    let error = backend.open().start(&run("r", "orders")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.message().contains("tidemark did not make"), "{error}");
}

#[tokio::test]
async fn other_tables_in_the_file_do_no_harm() {
    let backend = Sqlite::new();
    backend.sql("CREATE TABLE shop (id INTEGER)").await;
    backend.open().start(&run("r", "orders")).await.unwrap();
    assert_eq!(backend.open().runs("shop", None, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/such/log.db");
    let error = at(&path).check().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(
        error.message().contains(&format!("folder {} does not exist", path.parent().unwrap().display())),
        "{error}"
    );
    let error = at(folder.path()).check().await.unwrap_err();
    assert_eq!((error.kind(), error.message().contains("is a folder")), (Kind::Config, true), "{error}");
}

#[tokio::test]
async fn reading_makes_no_file() {
    let backend = Sqlite::new();
    assert!(backend.open().runs("shop", None, 1).await.unwrap().is_empty());
    assert!(!backend.path().exists());
    let what = backend.open().check().await.unwrap();
    assert!(what.ends_with("; the first run makes it"), "{what}");
    let left: Vec<_> = std::fs::read_dir(backend.path().parent().unwrap()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    backend.open().prepare().await.unwrap();
    assert!(backend.path().exists());
    assert!(backend.open().check().await.unwrap().ends_with("version 3"));
}

#[tokio::test]
async fn checking_says_what_preparing_would() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("no/such/log.db"), folder.path().to_owned(), folder.path().join("x".repeat(300))] {
        let refusals = [at(&path).check().await.unwrap_err(), at(&path).prepare().await.unwrap_err()];
        assert_eq!(refusals[0].to_string(), refusals[1].to_string());
    }
    let empty = folder.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    at(&empty).check().await.unwrap();
    assert_eq!(std::fs::metadata(&empty).unwrap().len(), 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn many_may_open_a_new_file_at_once() {
    let backend = Sqlite::new();
    let starts: Vec<_> = (0..8)
        .map(|number| {
            let log = backend.open();
            tokio::spawn(async move { log.start(&run(&format!("r{number}"), &format!("s{number}"))).await })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
    assert_eq!(backend.open().runs("shop", None, 1).await.unwrap().len(), 8);
}

#[tokio::test]
async fn a_scheduler_can_read_it_while_a_run_writes() {
    let backend = Sqlite::new();
    let log = backend.open();
    log.start(&run("r", "orders")).await.unwrap();
    log.record("shop", "orders", &commit("r", 1, &[2])).await.unwrap();
    let reader = rusqlite::Connection::open(backend.path()).unwrap();
    let found: (String, i64) = reader
        .query_row("SELECT state, rows FROM job_log WHERE stream = 'orders'", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(found, ("running".to_owned(), 2));
    let mode: String = reader.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn two_logs_are_told_apart() {
    let backends = [Sqlite::new(), Sqlite::new()];
    let [one, other] = [backends[0].open(), backends[1].open()];
    one.prepare().await.unwrap();
    other.prepare().await.unwrap();
    assert_ne!(one.holder(), other.holder());
}

fn section(values: &[(&str, &str)]) -> Section {
    Section::of_keys("job_log", job_log::KIND.keys.iter().copied().flatten().collect(), values).unwrap()
}

#[test]
fn other_schemes_are_named_and_their_secrets_are_not() {
    let error = job_log::of(&section(&[("url", "mongodb://u:hunter2@db/x")])).err().unwrap();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.message().starts_with("command line:0: [job_log] `url` has the scheme `mongodb`, but"), "{error}");
    assert!(
        error.advice().unwrap().contains("sqlite:tidemark.db") && !error.to_string().contains("hunter2"),
        "{error}"
    );
    assert!(job_log::of(&section(&[("url", "sqlite:")])).is_err());
    assert!(job_log::of(&section(&[("url", "sqlite:x.db")])).is_ok());
    // What only a server has is no key of a file's.
    let error = job_log::of(&section(&[("url", "sqlite:x.db"), ("tls", "require")])).err().unwrap();
    assert!(error.message().contains("`tls`"), "{error}");
}

#[cfg(all(feature = "mysql", feature = "postgres"))]
#[test]
fn a_server_is_shown_without_its_login() {
    let place = |url| job_log::place(&section(&[("url", url)])).unwrap();
    assert_eq!(place("postgresql://u:hunter2@127.0.0.1/log?sslmode=disable"), "postgres://127.0.0.1:5432/log");
    assert_eq!(place("mariadb://u:hunter2@[::1]:33/log"), "mysql://[::1]:33/log");
    assert_eq!(place("sqlite:x.db"), "sqlite:x.db");
    for values in [
        &[("url", "postgres://u:hunter2@127.0.0.1")][..],
        &[("url", "mysql://u:hunter2@127.0.0.1")],
        &[("url", "mysql://:hunter2@127.0.0.1/log")],
        &[("url", "mysql://u:hunter2@127.0.0.1/log?x=y")],
        &[("url", "mysql://u:hunter2@db/log"), ("tls_ca", "/nowhere.pem")],
        &[("url", "postgres://u:hunter2@db/log?sslmode=require"), ("tls", "off")],
        &[("url", "postgres://u:hunter2@127.0.0.1/log"), ("connect_timeout", "1m")],
        &[("url", "postgres://u:hunter2@%2Frun%2Fpostgresql/log"), ("tls", "require")],
    ] {
        let error = job_log::of(&section(values)).err().unwrap();
        assert_eq!(error.kind(), Kind::Config);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
