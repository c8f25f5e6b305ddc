//! A machine that is paused in mid-load, and wakes up after another one has done its work.

use super::gate::{GATED, Gate};
use super::oracle::Case;
use crate::program::Folder;
use crate::server;

/// Proves that whoever lost a stream changes nothing any more. Another job log, as another machine has it, knows of no
/// lease: the commit log alone refuses it, lets it in by `--take-over`, and stops the one that was paused.
#[test]
fn a_paused_run_that_was_taken_over_ends_in_conflict() {
    let case = Case::new("postgres", &server("TIDEMARK_TEST_POSTGRES"), "s3", "csv", 100_000);
    let config = case.config(&format!("tables = big\n{GATED}"));
    let (first, second) = (Folder::new(&config), Folder::new(&config));
    let gate = Gate::close(&case);
    let paused = first.start("run");
    gate.wait_for_somebody();
    paused.signal("STOP");
    gate.open();

    let (_, said) = second.run("run", 73);
    assert!(said.contains("keeps another job log") && said.contains("--take-over"), "{said}");
    second.run("run --take-over", 0);
    let live = second.live_files("shop.big");
    case.compare(&second, &["big"]);

    paused.signal("CONT");
    let ended = paused.end();
    assert_eq!(ended.code, Some(73), "{}", ended.said);
    assert_eq!(second.live_files("shop.big"), live);
    case.compare(&second, &["big"]);
    // What it wrote late lies in the generation's folder, and goes with it.
    second.run("run", 0);
    second.run("run", 0);
    case.leftovers(&["big"]);
    assert_eq!(first.count("job_log", "state = 'failed' and error_kind = 'conflict'"), 1);
}
