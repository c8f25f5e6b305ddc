//! Tables that are changed at one server and their files at one place, as `writers.py` and `present.py` see them.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::super::oracle::Place;
use super::super::own::Own;
use crate::program::Folder;
use crate::server;

/// The database of every case: each has a server of its own.
const DATABASE: &str = "shop";

pub struct Case {
    pub server: Own,
    /// Those of the stream; all that there are where `None`.
    pub tables: Option<&'static [&'static str]>,
    format: &'static str,
    place: Place,
}

impl Case {
    pub fn new(server: Own, place: &str, format: &'static str) -> Self {
        Self { server, tables: None, format, place: Place::of(place) }
    }

    pub fn place(&self) -> String {
        self.place.root()
    }

    /// `pipeline.conf`, with more lines for its stream.
    pub fn config(&self, server: &Own, stream: &str) -> String {
        let more = if self.format == "parquet" { "row_group_bytes = 1 MiB\n" } else { "" };
        format!(
            "[source shop]\ntype = {}\nhostname = 127.0.0.1\nport = {}\nusername = repl\npassword = replpw\n\
             database = {DATABASE}\nconnect_timeout = 2s\n\
             [destination lake]\n{}\nformat = {}\ncompression = none\n{more}\
             [stream changes]\nsource = shop\ndestination = lake\nmode = cdc\n{stream}\n",
            server.kind(),
            server.port(),
            self.place.section(),
            self.format,
        )
    }

    fn python(&self, script: &str) -> Command {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/live/kill/changes").join(script);
        let mut python = Command::new(server("TIDEMARK_TEST_PYTHON"));
        python.env("PYTHONDONTWRITEBYTECODE", "1").arg(script);
        python
    }

    fn json(&self, server: &Own, moved: bool) -> String {
        json!({
            "url": server.url(), "database": DATABASE, "format": self.format, "place": self.place(), "moved": moved,
            "tables": self.tables,
        })
        .to_string()
    }

    fn ask(&self, mut python: Command) -> String {
        let output = python.output().unwrap();
        assert!(output.status.success(), "{python:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn make(&self, rows: u32) {
        let mut python = self.python("writers.py");
        python.args(["make", &self.json(&self.server, false), &rows.to_string()]);
        self.ask(python);
    }

    /// Runs statements at a server: what the last one gave.
    pub fn run(&self, server: &Own, sql: &str) -> Vec<Vec<String>> {
        let mut python = self.python("writers.py");
        python.args(["run", &self.json(server, false), sql]);
        serde_json::from_str(&self.ask(python)).unwrap()
    }

    /// The same where the tables are not there yet, or may not be.
    pub fn run_outside(&self, server: &Own, sql: &str) -> Vec<Vec<String>> {
        let mut python = self.python("writers.py");
        python.args(["run", &json!({ "url": server.url(), "database": "test" }).to_string(), sql]);
        serde_json::from_str(&self.ask(python)).unwrap()
    }

    /// A file with the paths of the live ones.
    fn live(&self, folder: &Folder) -> PathBuf {
        let live = folder.path().join("live");
        std::fs::write(&live, folder.live_files("changes").join("\n")).unwrap();
        live
    }

    /// The live files are the tables of a server, whose log may be one of several servers.
    pub fn compare(&self, folder: &Folder, server: &Own, moved: bool) -> Value {
        let mut python = self.python("present.py");
        python.arg(self.json(server, moved)).arg(self.live(folder));
        serde_json::from_str(&self.ask(python)).unwrap()
    }

    /// The live files have what one transaction of so many rows has, and were committed as one.
    pub fn compare_huge(&self, folder: &Folder, rows: u64) -> Value {
        let mut python = self.python("huge.py");
        python.arg(self.place()).arg(self.live(folder)).arg(rows.to_string());
        serde_json::from_str(&self.ask(python)).unwrap()
    }

    /// What the live files of the table `filled` come to is what it has.
    pub fn compare_filled(&self, folder: &Folder) -> Value {
        let mut python = self.python("filled.py");
        python.arg(self.json(&self.server, false)).arg(self.live(folder));
        serde_json::from_str(&self.ask(python)).unwrap()
    }

    /// Lets others change the tables of a server, in about so many seconds.
    pub fn write(&self, server: &Own, (changes, seconds): (u64, u64), seed: usize) -> Writers {
        let mut python = self.python("writers.py");
        python.args([
            "write",
            &self.json(server, false),
            &changes.to_string(),
            &seconds.to_string(),
            &seed.to_string(),
        ]);
        let child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Writers(Some(child))
    }
}

/// Writers at work. Dropped, they are killed.
pub struct Writers(Option<Child>);

impl Writers {
    /// Up to so many changes from the beginning.
    pub fn go_up_to(&mut self, changes: u64) {
        let stdin = self.0.as_mut().and_then(|child| child.stdin.as_mut()).unwrap();
        // Those that have failed are found out at their end.
        let _ = writeln!(stdin, "{changes}").and_then(|()| stdin.flush());
    }

    /// Lets them make all their changes: what they were.
    pub fn end(mut self) -> Value {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended long ago.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
