//! A server that dies in mid-load and comes back.

use super::gate::{GATED, Gate};
use super::oracle::Case;
use super::own::Own;
use crate::program::Folder;

/// Proves that a run survives its server: it tries again by itself, and the files are the table, once.
#[test]
fn a_run_survives_a_server_that_is_killed_in_mid_load() {
    let own = Own::start("postgres", "");
    let case = Case::new("postgres", &own.url(), "local", "json", 100_000);
    let folder = Folder::new(&case.config(&format!("tables = big\n{GATED}")));
    let gate = Gate::close(&case);
    let run = folder.start("run");
    gate.wait_for_somebody();
    own.kill();
    own.start_again();
    let ended = run.end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(ended.said.contains("trying again"), "it did not notice: {}", ended.said);
    case.compare(&folder, &["big"]);
    case.leftovers(&["big"]);
    // The tables go with their server.
    std::mem::forget(case);
}
