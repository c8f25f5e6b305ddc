//! A server that dies in mid-load and comes back.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use super::gate::{GATED, Gate};
use super::oracle::Case;
use crate::program::Folder;

/// A PostgreSQL server of this test's own, since others use the shared one at the same time. Stopped when dropped.
struct Own {
    folder: tempfile::TempDir,
    port: u16,
}

impl Own {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The server's own user goes through it.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711)).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::create_dir(folder.path().join("postgres")).unwrap();
        std::fs::write(folder.path().join("postgres/port"), port.to_string()).unwrap();
        let own = Self { folder, port };
        own.script("postgres.sh", &["start", &own.data(), &port.to_string()]);
        own
    }

    fn data(&self) -> String {
        self.folder.path().join("postgres").display().to_string()
    }

    fn url(&self) -> String {
        format!("postgres://repl:replpw@127.0.0.1:{}/test", self.port)
    }

    fn script(&self, name: &str, arguments: &[&str]) {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(name);
        let mut command = Command::new(script);
        command.args(arguments).env("TIDEMARK_TEST_SERVERS_DIR", self.folder.path());
        let log = self.folder.path().join("script.log");
        // To a file: the server inherits it and would keep a pipe open.
        let file = std::fs::File::create(&log).unwrap();
        let status = command.stdout(file.try_clone().unwrap()).stderr(file).status().unwrap();
        let said = std::fs::read_to_string(&log).unwrap();
        assert!(
            status.success(),
            "{name} {arguments:?}: this test needs PostgreSQL's programs on this machine: {said}"
        );
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.script("postgres.sh", &["stop", &self.data()]);
    }
}

/// Proves that a run survives its server: it tries again by itself, and the files are the table, once.
#[test]
fn a_run_survives_a_server_that_is_killed_in_mid_load() {
    let own = Own::start();
    let case = Case::new("postgres", &own.url(), "local", "json", 100_000);
    let folder = Folder::new(&case.config(&format!("tables = big\n{GATED}")));
    let gate = Gate::close(&case);
    let run = folder.start("run");
    gate.wait_for_somebody();
    own.script("restart.sh", &["postgres", "kill"]);
    let ended = run.end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(ended.said.contains("trying again"), "it did not notice: {}", ended.said);
    case.compare(&folder, &["big"]);
    case.leftovers(&["big"]);
    // The tables go with their server.
    std::mem::forget(case);
}
