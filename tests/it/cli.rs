//! The program as its users meet it: exit codes, what each stream says, what never shows.

mod backfill;
mod config;
mod demo;
mod look;
mod masks;
mod names;
mod overrides;
mod plan;
mod rebuild;
mod recorded;
mod resume;
mod runs;
mod secrets;
mod told;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// One stream by itself, and a section of two.
const CONFIG: &str = "\
[pipeline]
name = test
[source shop]
type = sqlite
path = shop.db
[destination lake]
type = local
path = lake
format = csv
[stream orders]
source = shop
destination = lake
table = orders
[stream rest]
source = shop
destination = lake
tables = items, users
";

/// A folder with a `pipeline.conf`, in which the program is run.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pipeline.conf"), config).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemark"));
        command
            .current_dir(self.path())
            .args(line.split_whitespace())
            .env_remove("TIDEMARK_CONFIG")
            .env_remove("RUN_TYPE");
        command
    }

    fn run(&self, line: &str) -> Ended {
        self.command(line).stdin(Stdio::null()).output().unwrap().into()
    }

    fn start(&self, line: &str) -> Child {
        self.command(line).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Makes or changes `shop.db`.
    fn shop(&self, sql: &str) {
        rusqlite::Connection::open(self.join("shop.db")).unwrap().execute_batch(sql).unwrap();
    }
}

/// What a command came to.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ended {
    /// The object on the last line of standard output.
    #[track_caller]
    fn summary(&self) -> Value {
        let line = self.out.lines().last().unwrap_or_else(|| panic!("no output: {}", self.err));
        serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }
}
