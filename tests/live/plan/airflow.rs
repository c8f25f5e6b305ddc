//! The example for Apache Airflow, run by Apache Airflow.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::kill::oracle::{Case, TABLES};
use crate::program::Folder;
use crate::server;

/// The large table in 5 chunks, and two small ones.
const ROWS: u32 = 50_000;
const STREAM: &str = "tables = big, blank, small\nchunk_rows = 10000";

/// Airflow with its files in a folder, and no network.
struct Airflow<'a> {
    folder: &'a Folder,
    program: PathBuf,
}

impl<'a> Airflow<'a> {
    /// With a program in place of ours, which calls ours.
    fn new(folder: &'a Folder, wrapper: &str) -> Self {
        let program = folder.path().join("wrapper.sh");
        std::fs::write(&program, format!("#!/bin/sh\n{wrapper}\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_tidemark")))
            .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let airflow = Self { folder, program };
        airflow.run(&["db", "migrate"]);
        airflow
    }

    /// Whether a run of the example succeeds, and what was said.
    fn example(&self) -> (bool, String) {
        self.try_run(&["dags", "test", "tidemark"])
    }

    fn run(&self, arguments: &[&str]) {
        let (is_done, said) = self.try_run(arguments);
        assert!(is_done, "{arguments:?}: {said}");
    }

    fn try_run(&self, arguments: &[&str]) -> (bool, String) {
        let home = self.folder.path().join("airflow");
        let dags = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/airflow");
        let database = format!("sqlite:///{}", home.join("airflow.db").display());
        let output = Command::new(server("TIDEMARK_TEST_AIRFLOW"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("AIRFLOW_HOME", &home)
            .env("AIRFLOW__CORE__DAGS_FOLDER", dags)
            .env("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
            .env("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", database)
            .env("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")
            .env("AIRFLOW__USAGE_DATA_COLLECTION__ENABLED", "False")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("TIDEMARK_PROGRAM", &self.program)
            .env("TIDEMARK_CONFIG", self.folder.path().join("pipeline.conf"))
            .env("TIDEMARK_RETRIES", "2")
            .env("TIDEMARK_RETRY_SECONDS", "0.1")
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), said)
    }

    /// How often a part was tried, by the wrapper's own count.
    fn tries(&self, part: u32) -> usize {
        let calls = std::fs::read_to_string(self.folder.path().join("calls")).unwrap();
        calls.lines().filter(|line| line.ends_with(&format!("--part {part}"))).count()
    }
}

/// Counts calls; the first try at part 1 finds a server out of reach, every try at part 3 a password that is refused.
const FAULTS: &str = "\
echo \"$*\" >> calls
case \"$*\" in
*'--part 1') [ -e tried ] || { touch tried; exit 75; } ;;
*'--part 3') [ -e granted ] || exit 77 ;;
esac";

/// Proves that the example's tasks are the plan's parts: what may pass is tried again, what needs a person is not, and the
/// next run reads only what is left.
#[test]
fn the_example_runs_a_plan() {
    let case = Case::new("mysql", &server("TIDEMARK_TEST_MARIADB"), "s3", "parquet", ROWS);
    let folder = Folder::new(&case.config(STREAM));
    let airflow = Airflow::new(&folder, FAULTS);
    let plan: Value = serde_json::from_str(&folder.print("plan --json")).unwrap();
    assert_eq!(plan["parts"].as_array().unwrap().len(), 7, "{plan}");

    let (is_done, said) = airflow.example();
    assert!(!is_done, "{said}");
    assert!(said.contains("tidemark ended with 77"), "{said}");
    assert_eq!((airflow.tries(0), airflow.tries(1), airflow.tries(3)), (1, 2, 1), "{said}");
    assert_eq!(folder.count("job_log", "state = 'done' and stream like 'shop.big/%'"), 4, "{said}");

    std::fs::write(folder.path().join("granted"), "").unwrap();
    let (is_done, said) = airflow.example();
    assert!(is_done, "{said}");
    assert!(said.contains("1 of 5 chunks left"), "{said}");
    assert_eq!(folder.count("job_log", "state = 'done' and stream like 'shop.big/%'"), 5, "{said}");
    case.compare(&folder, &TABLES);
}
