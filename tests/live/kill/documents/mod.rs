//! Collections of MongoDB, whose documents drift: runs of the real program over them are killed, and so is their server.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::own::Own;
use super::suite::{Chance, kill_at_random};
use crate::program::Folder;
use crate::{given, server};

/// What the process may have resident, in KiB: the default of `max_memory`.
const MEMORY: u64 = 128 << 10;

mod mongo {
    #[test]
    fn is_loaded_through_kills_as_parquet() {
        super::survives_kills("parquet");
    }

    #[test]
    fn is_loaded_through_kills_as_json() {
        super::survives_kills("json");
    }

    #[test]
    fn is_loaded_as_csv() {
        super::is_loaded("csv");
    }

    #[test]
    fn is_followed_through_kills() {
        super::is_followed_through_kills("parquet");
    }
}

/// Collections at a server of its own, and their files in a folder, as `oracle.py` sees them.
struct Case {
    server: Own,
    format: &'static str,
    place: tempfile::TempDir,
}

/// The database of every case.
const DATABASE: &str = "shop";

impl Case {
    fn new(format: &'static str) -> Self {
        Self { server: Own::start("mongo", ""), format, place: tempfile::tempdir().unwrap() }
    }

    fn place(&self) -> String {
        self.place.path().canonicalize().unwrap().display().to_string()
    }

    fn config(&self, stream: &str) -> String {
        let more = if self.format == "parquet" { "row_group_bytes = 1 MiB\n" } else { "" };
        format!(
            "[source shop]\ntype = mongodb\nurl = {}\ndatabase = {DATABASE}\nconnect_timeout = 3s\n\
             [destination lake]\ntype = local\npath = {}\nformat = {}\ncompression = none\npart_bytes = 1 MiB\n{more}\
             [stream shop]\nsource = shop\ndestination = lake\n{stream}\n",
            self.server.url(),
            self.place(),
            self.format,
        )
    }

    fn python(&self, command: &str) -> Command {
        let case =
            json!({ "url": self.server.url(), "database": DATABASE, "format": self.format, "place": self.place() });
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/live/kill/documents/oracle.py");
        let mut python = Command::new(server("TIDEMARK_TEST_PYTHON"));
        python.env("PYTHONDONTWRITEBYTECODE", "1").arg(script).args([command, &case.to_string()]);
        python
    }

    fn ask(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.python(command).args(arguments).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command finds in the live files of the stream.
    fn look(&self, command: &str, folder: &Folder) -> Value {
        let live = folder.path().join("live");
        std::fs::write(&live, folder.live_files("shop").join("\n")).unwrap();
        serde_json::from_str(&self.ask(command, &[&live.display().to_string()])).unwrap()
    }
}

/// Proves that the files of a load are the collection, by another reader.
fn is_loaded(format: &'static str) {
    let (case, documents) = (Case::new(format), given("TIDEMARK_LIVE_DOCUMENTS", 8_000));
    case.ask("make", &[&documents.to_string()]);
    let folder = Folder::new(&case.config(&format!("table = events\nchunk_rows = {}", documents / 8)));
    let ended = folder.start("run").end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    println!("{format}: {}; {} KiB", case.look("compare", &folder), ended.peak);
    assert!(ended.peak < MEMORY, "{} KiB resident", ended.peak);
}

/// Proves that a load that is killed anywhere, again and again, ends in files that are the collection.
fn survives_kills(format: &'static str) {
    let (case, documents) = (Case::new(format), given("TIDEMARK_LIVE_DOCUMENTS", 8_000));
    case.ask("make", &[&documents.to_string()]);
    let folder = Folder::new(&case.config(&format!("table = events\nchunk_rows = {}", documents / 8)));
    let (undisturbed, _) = folder.run("run", 0);
    let hits = kill_at_random(&folder, undisturbed, given("TIDEMARK_LIVE_KILLS", 12));
    folder.run("run", 0);
    let there = case.look("compare", &folder);
    println!("{format}: {there}; {hits} kills");
    case.ask("change", &[]);
    folder.run("run", 0);
    case.look("compare", &folder);
}

/// Proves that a stream of changes is exact through kills of its runs and of its server.
fn is_followed_through_kills(format: &'static str) {
    let (changes, kills) = (given("TIDEMARK_LIVE_CHANGES", 3_000), given("TIDEMARK_LIVE_KILLS", 8));
    let case = Case::new(format);
    case.ask("make", &["3000"]);
    let folder =
        Folder::new(&case.config("mode = cdc\ntables = events, aud*\nchunk_rows = 500\ncommit_interval = 300ms"));
    let mut chance = Chance::new();
    let mut writer = Writer::start(&case, changes, chance.below(1_000_000));
    let (mut killed, mut runs, mut peak, mut restarts) = (0, 0, 0, 0);
    while killed < kills {
        writer.go_up_to(changes * (killed + 1) / kills);
        runs += 1;
        assert!(runs <= 4 * kills, "{killed} of {runs} kills hit a run at work");
        let line = if runs % 3 == 0 { "run" } else { "run --continuous" };
        let run = folder.start(line);
        let mut after = Duration::from_millis(200 + chance.below(2200) as u64);
        if restarts < 2 && killed * 3 >= kills * (restarts + 1) {
            std::thread::sleep(after);
            case.server.kill();
            case.server.start_again();
            restarts += 1;
            after = run.age() + Duration::from_millis(chance.below(4000) as u64);
        }
        let ended = run.kill(after);
        peak = peak.max(ended.peak);
        killed += u64::from(ended.killed);
        assert!(ended.killed || ended.code == Some(0), "{line}: {:?} {}", ended.code, ended.said);
    }
    let written = writer.end();
    for _ in 0..2 {
        folder.run("run", 0);
    }
    let there = case.look("present", &folder);
    println!("{written}; {killed} of {runs} runs killed, {restarts} restarts: {there}; {peak} KiB");
    assert!(peak < MEMORY, "{peak} KiB resident");
}

/// Who changes the collections meanwhile. Dropped, it is killed.
struct Writer(Option<Child>);

impl Writer {
    fn start(case: &Case, changes: u64, seed: usize) -> Self {
        let mut python = case.python("write");
        python.args([changes.to_string(), seed.to_string()]);
        let child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        Self(Some(child))
    }

    /// Up to so many changes from the beginning.
    fn go_up_to(&mut self, changes: u64) {
        let stdin = self.0.as_mut().and_then(|child| child.stdin.as_mut()).unwrap();
        // One that has failed is found out at its end.
        let _ = writeln!(stdin, "{changes}").and_then(|()| stdin.flush());
    }

    /// Lets it make all its changes: what they were.
    fn end(mut self) -> Value {
        let output = self.0.take().unwrap().wait_with_output().unwrap();
        assert!(output.status.success());
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended long ago.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
