//! Jobs of many pages that are killed again and again, against a server that misbehaves.

use super::{assert_records, folder};
use crate::api::{Fault, Length, Rule, Server, Settings, Shape, Tell};
use crate::given;
use crate::kill::suite::Chance;

#[test]
fn every_record_arrives_once() {
    let (pages, kills) = (given("TIDEMARK_LIVE_PAGES", 1_000u64), given("TIDEMARK_LIVE_KILLS", 10u64));
    let server = Server::with(Settings { records: pages * 20, ..Settings::default() });
    let faults = [
        (Fault::SlowDown { status: 429, tell: Tell::Seconds, seconds: 0.05 }, 0.01),
        (Fault::Status(500), 0.02),
        (Fault::Silent { seconds: 30.0 }, 0.001),
        (Fault::Reset, 0.01),
        (Fault::ResetWithin { keep: 0.6 }, 0.01),
        (Fault::Cut { keep: 0.5, length: Length::Whole }, 0.01),
        (Fault::Halved { keep: 0.7 }, 0.01),
        (Fault::BodyError { status: 200, code: 17 }, 0.01),
    ];
    for (at, (fault, share)) in faults.into_iter().enumerate() {
        server.behave(Rule::new(fault).chance(share, at as u64));
    }
    let keys = "path = /cursor\nrecords = data\npagination = cursor\nnext_cursor = meta.next_cursor\npage_size_param = limit\npage_size = 20\n\
                retry_when = error.code in 4, 17\ncommit_interval = 200ms";
    let folder = folder(&server, "silence_timeout = 500ms", keys);
    let mut chance = Chance::new();
    let (mut killed, mut runs) = (0, 0);
    while killed < kills {
        runs += 1;
        assert!(runs <= 3 * kills, "{killed} of {runs} kills hit a run at work");
        let after = std::time::Duration::from_millis(200 + chance.below(1500) as u64);
        let ended = folder.start("run").kill(after);
        assert!(ended.killed || ended.code == Some(0), "{}", ended.said);
        killed += u64::from(ended.killed);
    }
    let ended = folder.start("run").end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_records(&folder, Shape::Rich, 1..=pages * 20);
    println!("{pages} pages, {killed} of {runs} runs killed, {} requests, {} KiB", server.seen().requests, ended.peak);
}
