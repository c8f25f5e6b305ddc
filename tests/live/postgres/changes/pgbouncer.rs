//! PgBouncer between us and the server.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::super::database::{Database, connect};
use super::checks::told;
use super::{Log, made};
use crate::server;

/// PgBouncer in front of a server, which ends with the value.
struct Pooler {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Pooler {
    async fn start(server_url: &str, mode: &str) -> Self {
        let at = url::Url::parse(server_url).unwrap();
        let (user, password) = (at.username(), at.password().unwrap());
        let folder = TempDir::new().unwrap();
        // It goes down to another user, who is to read this.
        let path = folder.path().join("users");
        std::fs::write(&path, format!("\"{user}\" \"{password}\"\n")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {}\npool_mode = {mode}\nmax_prepared_statements = 100\nuser = {}\n",
            at.port().unwrap(),
            path.display(),
            std::env::var("USER").ok().filter(|user| user != "root").unwrap_or_else(|| "nobody".to_owned()),
        );
        let config = folder.path().join("pgbouncer.ini");
        std::fs::write(&config, settings).unwrap();
        readable(folder.path());
        let program = server("TIDEMARK_TEST_PGBOUNCER");
        let quiet = || Stdio::null();
        let process =
            Command::new(program).arg(&config).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().unwrap();
        let pooler = Self { process, port, _folder: folder };
        pooler.is_ready().await;
        pooler
    }

    async fn is_ready(&self) {
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("PgBouncer does not answer");
    }

    /// The same database, as it is reached through here.
    fn before(&self, mut database: Database) -> Database {
        let mut url = url::Url::parse(&database.url).unwrap();
        url.set_port(Some(self.port)).unwrap();
        database.url = url.to_string();
        database
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn readable(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// It is recognised, and a stream of changes goes through it, in each of its ways.
async fn passes_changes_on(server: &str) {
    for mode in ["transaction", "session"] {
        let direct = made(server).await;
        assert!(!told(&direct, None).await.unwrap().contains("PgBouncer"), "there is none in between");
        let pooler = Pooler::start(server, mode).await;
        let database = pooler.before(direct);
        assert_eq!(connect(&database.url).await.simple_query("SELECT 1").await.unwrap().len(), 3);
        let notes = told(&database, None).await.unwrap();
        assert!(notes.contains("A pooler (PgBouncer) stands between us and the server."), "{mode}: {notes}");
        database.run("INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 1)").await;
        let mut log = Log::new(&database).await;
        log.whole().await;
        log.is_the_tables(mode).await;
        database.run("INSERT INTO a VALUES (2, 2); UPDATE b SET v = 3; DELETE FROM a WHERE id = 1").await;
        log.whole().await;
        log.is_the_tables(mode).await;
        assert_eq!(log.ops(), ["a c 2 2", "a d 1 -", "b u 1 3"], "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_changes_of_the_usual_one_on() {
    passes_changes_on(&server("TIDEMARK_TEST_POSTGRES")).await;
}
