//! A pipeline in a folder, and the program run in it: to its end, or to a signal.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// No run takes as long.
const PATIENCE: Duration = Duration::from_secs(300);

/// A folder with a `pipeline.conf` and a job log.
pub struct Folder {
    folder: tempfile::TempDir,
    /// What the program finds in its environment.
    variables: Vec<(&'static str, String)>,
}

impl Folder {
    pub fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pipeline.conf"), config).unwrap();
        Self { folder, variables: Vec::new() }
    }

    /// Other lines in its `pipeline.conf`.
    pub fn configure(&self, config: &str) {
        std::fs::write(self.path().join("pipeline.conf"), config).unwrap();
    }

    pub fn with(mut self, variable: &'static str, value: &str) -> Self {
        self.variables.push((variable, value.to_owned()));
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn log(&self) -> PathBuf {
        self.path().join("run.log")
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemark"));
        command
            .current_dir(self.path())
            .args(line.split_whitespace())
            .env_remove("TIDEMARK_CONFIG")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env_remove("RUN_TYPE")
            .stdin(Stdio::null());
        command
    }

    /// Starts the program; what it says goes to a file.
    pub fn start(&self, line: &str) -> Run<'_> {
        let log = File::create(self.log()).unwrap();
        let child = self.command(line).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Run { child, started: Instant::now(), folder: self }
    }

    /// Runs the program undisturbed: how long it took, and what it said.
    pub fn run(&self, line: &str, code: i32) -> (Duration, String) {
        let ended = self.start(line).end();
        assert_eq!(ended.code, Some(code), "{line}: {}", ended.said);
        (ended.took, ended.said)
    }

    /// What a command prints.
    pub fn print(&self, line: &str) -> String {
        let output = self.command(line).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What `tidemark files` prints.
    pub fn live_files(&self, stream: &str) -> Vec<String> {
        self.print(&format!("files {stream}")).lines().map(str::to_owned).collect()
    }

    fn job_log(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path().join("tidemark.db")).unwrap()
    }

    /// How many rows of the job log a condition holds for.
    pub fn count(&self, table: &str, condition: &str) -> u32 {
        let sql = format!("select count(*) from {table} where {condition}");
        self.job_log().query_row(&sql, [], |row| row.get(0)).unwrap()
    }
}

/// The program at work. Dropped, it is killed.
pub struct Run<'a> {
    child: Child,
    started: Instant,
    folder: &'a Folder,
}

/// How a run ended.
pub struct Ended {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub killed: bool,
    pub took: Duration,
    pub said: String,
    /// The most memory that it was seen to have resident, in KiB.
    pub peak: u64,
}

impl Run<'_> {
    /// Waits for its end.
    pub fn end(self) -> Ended {
        self.end_or_kill(PATIENCE, false)
    }

    /// Waits for its end until `after` its start, then kills it.
    pub fn kill(self, after: Duration) -> Ended {
        self.end_or_kill(after, true)
    }

    fn end_or_kill(mut self, after: Duration, may_kill: bool) -> Ended {
        let (mut took, mut peak) = (Duration::ZERO, 0);
        while self.child.try_wait().unwrap().is_none() {
            took = self.started.elapsed();
            peak = self.peak().unwrap_or(peak);
            if took >= after {
                self.child.kill().unwrap();
                assert!(may_kill, "it does not end: {}", self.said());
                break;
            }
            std::thread::sleep(after.saturating_sub(took).min(Duration::from_millis(5)));
        }
        let status = self.child.wait().unwrap();
        Ended { code: status.code(), killed: status.signal() == Some(9), took, said: self.said(), peak }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// How long ago it was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Where the system tells it.
    fn peak(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.log()).unwrap()
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
