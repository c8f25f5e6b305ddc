//! Jobs of many pages that are killed again and again, against a server that misbehaves.

use std::time::Duration;

use super::{assert_records, folder};
use crate::api::{Fault, Length, Rule, Server, Settings, Shape, Tell};
use crate::given;
use crate::kill::suite::Chance;
use crate::program::Folder;

const SOURCE: &str = "request_retries = 5\nsilence_timeout = 500ms\nauth = oauth2_client_credentials\nclient_id = client-1\n\
                      client_secret = client-secret-a1f0\ntoken_url = ";

/// What goes wrong with a request now and then, but never for good.
fn misbehave(server: &Server, path: &str) {
    let faults = [
        (Fault::SlowDown { status: 429, tell: Tell::Delta, seconds: 0.05 }, 0.01),
        (Fault::SlowDown { status: 503, tell: Tell::Epoch, seconds: 0.05 }, 0.005),
        (Fault::Status(500), 0.02),
        (Fault::Silent { seconds: 30.0 }, 0.001),
        (Fault::Reset, 0.01),
        (Fault::Closed, 0.01),
        (Fault::ResetWithin { keep: 0.6 }, 0.01),
        (Fault::Cut { keep: 0.5, length: Length::Whole }, 0.005),
        (Fault::Cut { keep: 0.5, length: Length::Sent }, 0.005),
        (Fault::Halved { keep: 0.7 }, 0.01),
        (Fault::BodyError { status: 200, code: 17 }, 0.01),
        (Fault::BodyError { status: 400, code: 4 }, 0.01),
        (Fault::LoginPage, 0.005),
        (Fault::Empty, 0.005),
        (Fault::Expired, 0.005),
    ];
    for (at, (fault, share)) in faults.into_iter().enumerate() {
        server.behave(Rule::new(fault).on(path).chance(share, at as u64));
    }
}

/// Kills runs until so many were at work, and lets the last one come to its end.
fn killed(folder: &Folder, kills: u64, code: i32) {
    let mut chance = Chance::new();
    let (mut killed, mut runs) = (0, 0);
    while killed < kills {
        runs += 1;
        assert!(runs <= 3 * kills, "{killed} of {runs} kills hit a run at work");
        let ended = folder.start("run").kill(Duration::from_millis(200 + chance.below(1500) as u64));
        assert!(ended.killed || ended.code == Some(code), "{}", ended.said);
        killed += u64::from(ended.killed);
    }
    let ended = folder.start("run").end();
    assert_eq!(ended.code, Some(code), "{}", ended.said);
    println!("{killed} of {runs} runs killed, {} KiB", ended.peak);
}

#[test]
fn every_record_arrives_once() {
    let (pages, kills) = (given("TIDEMARK_LIVE_PAGES", 1_000u64), given("TIDEMARK_LIVE_KILLS", 10u64));
    let settings = Settings { records: pages * 20, token_uses: Some(400), ..Settings::default() };
    let server = Server::with(settings);
    let path = "/auth/oauth/numbered";
    let gone: Vec<u64> = (1..=7).map(|part| pages * part / 8).collect();
    for page in &gone {
        server.behave(Rule::new(Fault::Status(500)).on(path).with("page", page).named("gone"));
    }
    misbehave(&server, path);
    let keys = format!(
        "path = {path}\nrecords = data\npagination = page\npage_size_param = per_page\npage_size = 20\n\
         retry_when = error.code in 4, 17\non_error = keep_going\ncommit_interval = 200ms"
    );
    let source = format!("{SOURCE}{}", server.url("/oauth/token"));
    let folder = folder(&server, &source, &keys);
    killed(&folder, kills, 3);
    let is_gone = |id: &u64| gone.contains(&((id - 1) / 20 + 1));
    assert_records(&folder, Shape::Rich, (1..=pages * 20).filter(|id| !is_gone(id)));
    let status = folder.print("status --stream api");
    assert!(gone.iter().all(|page| status.contains(&format!("page={page} "))), "{status}");

    server.repair("gone");
    folder.run("retry api", 0);
    assert_records(&folder, Shape::Rich, 1..=pages * 20);
    let seen = server.seen();
    assert!(seen.tokens_given > 3 && seen.leaks.is_empty());
    println!("{pages} pages, {} requests, {} tokens, {:?}", seen.requests, seen.tokens_given, seen.faults);
}

#[test]
fn every_record_behind_cursors_arrives_once() {
    let (pages, kills) = (given("TIDEMARK_LIVE_PAGES", 1_000u64), given("TIDEMARK_LIVE_KILLS", 10u64));
    let server = Server::with(Settings { records: pages * 20, ..Settings::default() });
    misbehave(&server, "/cursor");
    let keys = "path = /cursor\nrecords = data\npagination = cursor\nnext_cursor = meta.next_cursor\npage_size_param = limit\n\
                page_size = 20\nretry_when = error.code in 4, 17\ncommit_interval = 200ms";
    let folder = folder(&server, "request_retries = 12\nsilence_timeout = 500ms", keys);
    killed(&folder, kills, 0);
    assert_records(&folder, Shape::Rich, 1..=pages * 20);
}
