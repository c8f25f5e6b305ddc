//! One table set at one server and its files at one place, as `oracle.py` sees them.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::program::Folder;
use crate::{fresh, server};

/// The tables that `oracle.py` makes, each of which is a stream of the section `shop`.
pub const TABLES: [&str; 3] = ["big", "blank", "small"];

/// Where from, where to, and how. Its database and objects go when it is dropped, unless the test fails.
pub struct Case {
    pub source: &'static str,
    pub url: String,
    pub database: String,
    pub format: &'static str,
    pub place: Place,
}

pub enum Place {
    /// A prefix of the tests' bucket.
    S3(String),
    Local(tempfile::TempDir),
}

impl Place {
    pub fn of(kind: &str) -> Self {
        match kind {
            "s3" => Place::S3(fresh("kill")),
            _ => Place::Local(tempfile::tempdir().unwrap()),
        }
    }

    /// What the paths of its files start with.
    pub fn root(&self) -> String {
        match self {
            Place::S3(prefix) => format!("s3://{}/{prefix}", server("TIDEMARK_TEST_S3_BUCKET")),
            Place::Local(folder) => folder.path().canonicalize().unwrap().display().to_string(),
        }
    }

    /// Its section. Parts are so small that there are several, and on S3 so large that each goes up in pieces.
    pub fn section(&self) -> String {
        match self {
            Place::S3(prefix) => format!(
                "type = s3\nendpoint = {}\nbucket = {}\naccess_key = {}\nsecret_key = {}\nprefix = {prefix}\n\
                 piece_bytes = 5 MiB\npart_bytes = 5500 KiB",
                server("TIDEMARK_TEST_S3"),
                server("TIDEMARK_TEST_S3_BUCKET"),
                server("TIDEMARK_TEST_S3_KEY"),
                server("TIDEMARK_TEST_S3_SECRET"),
            ),
            Place::Local(_) => format!("type = local\npath = {}\npart_bytes = 1 MiB", self.root()),
        }
    }
}

impl Case {
    /// Makes the tables.
    pub fn new(source: &'static str, url: &str, place: &str, format: &'static str, rows: u32) -> Self {
        let (url, database) = (url.to_owned(), fresh("tm_kill").replace('-', "_"));
        let case = Self { source, url, database, format, place: Place::of(place) };
        case.ask("make", &[&rows.to_string()]);
        case
    }

    pub fn database_url(&self) -> String {
        let mut url = url::Url::parse(&self.url).unwrap();
        url.set_path(&self.database);
        url.to_string()
    }

    /// `pipeline.conf`, with more lines for its stream.
    pub fn config(&self, stream: &str) -> String {
        let url = self.database_url();
        let more = if self.format == "parquet" { "row_group_bytes = 1 MiB\n" } else { "" };
        format!(
            "[source shop]\ntype = {}\nurl = {url}\n\
             [destination lake]\n{}\nformat = {}\ncompression = none\n{more}\
             [stream shop]\nsource = shop\ndestination = lake\n{stream}\n",
            self.source,
            self.place.section(),
            self.format,
        )
    }

    fn ask(&self, command: &str, arguments: &[&str]) -> String {
        let case = json!({
            "source": self.source, "url": self.url, "database": self.database, "format": self.format,
            "place": self.place.root(),
        });
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/live/kill/oracle.py");
        let mut python = Command::new(server("TIDEMARK_TEST_PYTHON"));
        let output = python.arg(script).args([command, &case.to_string()]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Changes rows, so that files of an earlier load are found out.
    pub fn change(&self) {
        self.ask("change", &[]);
    }

    /// The live files of these tables hold exactly what the tables hold.
    pub fn compare(&self, folder: &Folder, tables: &[&str]) {
        let live = tables.iter().map(|table| ((*table).to_owned(), folder.live_files(&format!("shop.{table}")).into()));
        let live = Value::Object(live.collect());
        self.ask("compare", &[&live.to_string()]);
    }

    /// How many chunks of a stream were begun, and how often any of them was opened.
    pub fn openings(&self, table: &str) -> Value {
        serde_json::from_str(&self.ask("openings", &[&format!("shop.{table}")])).unwrap()
    }

    /// Nothing is there but the files of kept generations, and no upload is unfinished. Tells what is there.
    pub fn leftovers(&self, tables: &[&str]) -> Value {
        let streams: Vec<_> = tables.iter().map(|table| format!("shop.{table}")).collect();
        serde_json::from_str(&self.ask("leftovers", &[&streams.join(" ")])).unwrap()
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.ask("drop", &[]);
        }
    }
}
