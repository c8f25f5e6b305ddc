//! Four machines at one plan, one of which dies, and one of which sleeps.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::kill::gate::Gate;
use crate::kill::oracle::Case;
use crate::program::{Ended, Folder};
use crate::server;

/// 8 chunks of the table.
const ROWS: u32 = 100_000;
const CHUNK: u32 = 12_500;

/// Reads past the gate in the chunks 2 and 4.
const GATED: &str = "where = id not in (30000, 60000) or pg_advisory_xact_lock_shared(1)::text = ''";

/// Heartbeats of 0.2 s; a machine that is silent for 6 s has lost its leases.
const LEASE: &str = "200/6000";

/// A machine: a folder of its own, and the job log on a server.
fn machine(case: &Case) -> Folder {
    let keys = format!("tables = big\nchunk_rows = {CHUNK}\n{GATED}");
    let shared = format!("[pipeline]\nparallel = 1\n[job_log]\nurl = {}\n", case.database_url());
    Folder::new(&format!("{shared}{}", case.config(&keys))).with("TIDEMARK_TEST_LEASE", LEASE)
}

/// Runs parts again and again, as an orchestrator does, until they are done.
fn until_done(machine: &Folder, line: &str) {
    let began = Instant::now();
    loop {
        let Ended { code, said, .. } = machine.start(line).end();
        match code {
            Some(0) => return,
            Some(73) if began.elapsed() < Duration::from_secs(60) => std::thread::sleep(Duration::from_millis(300)),
            code => panic!("{line}: {code:?}: {said}"),
        }
    }
}

/// Proves that a plan comes to its end whoever of its processes dies or sleeps: each chunk is read by one that lives, the
/// load is published once, and the one that slept beyond its leases ends in a conflict and changes nothing.
#[test]
fn one_is_killed_and_one_sleeps() {
    let case = Case::new("postgres", &server("TIDEMARK_TEST_POSTGRES"), "s3", "parquet", ROWS);
    let machines = [(); 6].map(|()| machine(&case));
    let plan = machines[0].print("plan --json");
    let planned: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(planned["parts"].as_array().unwrap().len(), 8, "{plan}");
    for machine in &machines {
        std::fs::write(machine.path().join("plan.json"), &plan).unwrap();
    }
    let gate = Gate::close(&case);
    let parts = ["0-1", "2-3", "4-5", "6-7"].map(|parts| format!("run --plan plan.json --part {parts}"));
    let [first, killed, asleep, last] = [0, 1, 2, 3].map(|of| machines[of].start(&parts[of]));
    gate.wait_for(2);
    assert!(killed.kill(Duration::ZERO).killed);
    // Not in the middle of a heartbeat, whose lock keeps others away until the lease has run out.
    asleep.signal("STOP");
    while !gate.is_all_at_rest() {
        asleep.signal("CONT");
        std::thread::sleep(Duration::from_millis(50));
        asleep.signal("STOP");
    }
    // What a machine holds is another's only once it has been silent for long enough.
    let Ended { code, said, .. } = machines[4].start("run --plan plan.json --part 4").end();
    assert_eq!(code, Some(73), "{said}");
    assert!(said.contains("is being run by process"), "{said}");
    gate.open();
    for ended in [first.end(), last.end()] {
        assert_eq!(ended.code, Some(0), "{}", ended.said);
    }
    until_done(&machines[4], &parts[1]);
    until_done(&machines[5], &parts[2]);

    let live = machines[0].live_files("shop.big");
    case.compare(&machines[0], &["big"]);
    asleep.signal("CONT");
    let ended = asleep.end();
    assert_eq!(ended.code, Some(73), "{}", ended.said);
    assert_eq!(machines[0].live_files("shop.big"), live);
    case.compare(&machines[0], &["big"]);
    // Nothing is read again, by whomever.
    machines[3].run("run --plan plan.json --part 0-7", 0);
    assert_eq!(machines[0].live_files("shop.big"), live);
    let status = machines[0].print("status");
    assert_eq!(status.lines().count(), 2, "the stream alone, as its load is done: {status}");
    // What the sleeper wrote late lies in the generation's folder, and goes with it.
    for _ in 0..2 {
        machines[1].run("run", 0);
    }
    case.leftovers(&["big"]);
}
