//! A server of one test's own, since others use the shared ones at the same time: it may be killed and started again.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Killed when dropped, and its data with it.
pub struct Own {
    /// As its script in `tests/servers` is named.
    name: &'static str,
    /// Of the server's command line.
    options: String,
    /// The port of the server that it follows.
    follows: Option<u16>,
    folder: tempfile::TempDir,
    port: u16,
}

impl Own {
    pub fn start(name: &'static str, options: &str) -> Self {
        Self::start_as(name, options, None)
    }

    /// A standby of another one, of those whose scripts know `FOLLOW`.
    pub fn following(first: &Self, options: &str) -> Self {
        Self::start_as(first.name, options, Some(first.port))
    }

    fn start_as(name: &'static str, options: &str, follows: Option<u16>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The server's own user goes through it.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711)).unwrap();
        let port = free_port();
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("port"), port.to_string()).unwrap();
        let own = Self { name, options: options.to_owned(), follows, folder, port };
        own.start_again();
        own
    }

    /// After [`Own::kill`], on the same port and data.
    pub fn start_again(&self) {
        self.script(&format!("{}.sh", self.name), &["start", &self.data(), &self.port.to_string()]);
    }

    /// SIGKILL; it stays down.
    pub fn kill(&self) {
        self.script(&format!("{}.sh", self.name), &["kill", &self.data()]);
    }

    /// As its administrator would; it stays down.
    pub fn stop(&self) {
        self.script(&format!("{}.sh", self.name), &["stop", &self.data()]);
    }

    fn data(&self) -> String {
        self.path().display().to_string()
    }

    /// Where its data and, below `tls`, its certificates are.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        match self.kind() {
            "mongodb" => format!("mongodb://127.0.0.1:{}/?directConnection=true", self.port),
            kind => format!("{kind}://repl:replpw@127.0.0.1:{}/test", self.port),
        }
    }

    /// As a source of it is called.
    pub fn kind(&self) -> &'static str {
        match self.name {
            "mongo" => "mongodb",
            name if name.starts_with("postgres") => "postgres",
            _ => "mysql",
        }
    }

    fn script(&self, name: &str, arguments: &[&str]) {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(name);
        let mut command = Command::new(script);
        command.args(arguments).env("EXTRA", &self.options).env("MONGO_ONLY", "1");
        command.env("FOLLOW", self.follows.map_or_else(String::new, |port| port.to_string()));
        // To a file: the server inherits it and would keep a pipe open.
        let log = self.folder.path().join("script.log");
        let file = std::fs::File::create(&log).unwrap();
        let status = command.stdout(file.try_clone().unwrap()).stderr(file).status().unwrap();
        let said = std::fs::read_to_string(&log).unwrap();
        let server = std::fs::read_to_string(Path::new(&self.data()).join("log")).unwrap_or_default();
        let last: Vec<_> = server.lines().rev().take(12).collect();
        assert!(
            status.success(),
            "{name} {arguments:?}: this test needs the programs of {} on this machine: {said}{last:#?}",
            self.name
        );
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One below those that the system hands out to outgoing connections, which could take it while the server is down.
fn free_port() -> u16 {
    let chance = || 15_000 + (uuid::Uuid::now_v7().as_u128() % 17_000) as u16;
    std::iter::repeat_with(chance).find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}
