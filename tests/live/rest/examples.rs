//! The files of `examples/`, as they stand: the server is another one by a variable, and the token is one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::plain;
use crate::api::auth::{ADS_TOKEN, BEARER};
use crate::api::{Fault, Rule, Server, Settings, Shape, Tell, record};
use crate::program::Folder;

const USERS: &str = include_str!("../../../examples/rest-users.conf");
const ADS: &str = include_str!("../../../examples/rest-ads.conf");

/// What USERS has as `_seed`.
const SEED: u64 = 12345;

fn users(server: &Server) -> Folder {
    Folder::new(USERS).with("TIDEMARK_SOURCE_FAKERAPI_BASE_URL", &server.url(""))
}

fn ads(server: &Server) -> Folder {
    Folder::new(ADS).with("TIDEMARK_SOURCE_ADS_BASE_URL", &server.url("")).with("ADS_TOKEN", ADS_TOKEN)
}

/// The stream's live files have exactly these records, each once.
fn assert_arrived(folder: &Folder, stream: &str, shape: Shape, seed: u64, count: u64) {
    let mut found = BTreeMap::new();
    for file in folder.live_files(stream) {
        for line in std::fs::read_to_string(folder.path().join(file)).unwrap().lines() {
            let fields = plain(line);
            let id = fields[".id"].clone();
            assert!(found.insert(id, fields).is_none(), "it is there twice: {line}");
        }
    }
    for id in 1..=count {
        let fields = plain(&record::json(shape, seed, id));
        assert_eq!(found.remove(&fields[".id"]).as_ref(), Some(&fields), "record {id} of {stream}");
    }
    assert!(found.is_empty(), "{} records beside the {count}", found.len());
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The files below a folder that have a text in them. None of what the examples write is compressed.
fn with_text(folder: &Path, text: &str) -> Vec<PathBuf> {
    let has = |path: &PathBuf| std::fs::read(path).unwrap().windows(text.len()).any(|part| part == text.as_bytes());
    files_below(folder).into_iter().filter(has).collect()
}

/// Neither destination, job log, commit log nor what the program said, at `-vv`, has a token.
#[track_caller]
fn assert_no_token(folder: &Folder) {
    for token in [ADS_TOKEN, BEARER] {
        let files = with_text(folder.path(), token);
        assert!(files.is_empty(), "{files:?} have it");
    }
    // What was looked at: there is something of each.
    let all = files_below(folder.path());
    for part in ["run.log", "tidemark.db", "lake/"] {
        assert!(all.iter().any(|path| path.to_string_lossy().contains(part)), "no {part} in {all:?}");
    }
}

#[test]
fn users_are_as_many_as_the_server_returns() {
    // It grants what is asked for, 100, and returns 37 of them at a time.
    let server = Server::with(Settings { users_most: Some(37), ..Settings::default() });
    server.behave(Rule::new(Fault::SlowDown { status: 429, tell: Tell::Seconds, seconds: 0.2 }).nth(2));
    let folder = users(&server);
    folder.run("run", 0);
    assert_arrived(&folder, "users", Shape::User, SEED, 100);
    // One more, since what is masked is looked at beforehand.
    assert_eq!(server.seen().requests, 5);

    for (asked, most, there, requests) in [("1000", Some(100), 1000, 11), ("1000", None, 1000, 2), ("-1", None, 10, 2)]
    {
        let server = Server::with(Settings { users_most: most, ..Settings::default() });
        let folder = users(&server).with("TIDEMARK_STREAM_USERS_PAGE_SIZE", asked);
        folder.run("run", 0);
        assert_arrived(&folder, "users", Shape::User, SEED, there);
        assert_eq!(server.seen().requests, requests, "{asked} are asked for, {most:?} come at most");
    }
}

#[test]
fn ads_arrive_once_whatever_the_server_says() {
    let server = Server::new();
    let slow_down = Fault::SlowDown { status: 429, tell: Tell::Seconds, seconds: 0.2 };
    let in_body = [(400, 4), (400, 17), (200, 4), (200, 17), (400, 32), (200, 613)];
    let in_body = in_body.map(|(status, code)| Fault::BodyError { status, code });
    // Every second request goes wrong, and what it asked for is asked for again by the next.
    let faults: Vec<_> = [slow_down.clone()].into_iter().chain(in_body).chain([slow_down]).collect();
    for (number, fault) in (1..).zip(&faults) {
        server.behave(Rule::new(fault.clone()).on("/ads").nth(2 * number));
    }
    let folder = ads(&server);
    let (_, said) = folder.run("run -vv", 0);
    assert_arrived(&folder, "ads", Shape::Ad, 0, 1000);
    let seen = server.seen();
    assert_eq!((seen.faults.values().sum::<u64>(), seen.requests), (8, 18), "{:?}", seen.faults);
    assert_eq!(said.matches("the server asks to wait").count(), 2, "{said}");
    assert!(said.contains("one of `retry_when`"), "{said}");
    assert_no_token(&folder);
}

#[test]
fn ads_go_on_with_another_token_where_one_has_expired() {
    let server = Server::new();
    server.behave(Rule::new(Fault::Expired).on("/ads").nth(6));
    // Slow enough for a checkpoint behind each page.
    server.behave(Rule::new(Fault::Late { seconds: 0.15 }).on("/ads"));
    let folder = ads(&server).with("TIDEMARK_PIPELINE_COMMIT_INTERVAL", "10ms");
    let (_, said) = folder.run("run -vv", 77);
    assert!(said.contains("GET /ads?") && said.contains(": the answer (400) is one of `renew_when`"), "{said}");
    assert_no_token(&folder);
    // Not because no link was kept: that is where the next run goes on.
    assert!(!with_text(&folder.path().join("lake"), "&after=").is_empty());
    folder.run("files ads", 2);

    let folder = folder.with("ADS_TOKEN", BEARER);
    folder.run("run -vv", 0);
    assert_arrived(&folder, "ads", Shape::Ad, 0, 1000);
    assert_no_token(&folder);
    let first = server.seen().pages.into_iter().filter(|(name, _)| !name.contains("after=")).collect::<Vec<_>>();
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(first[0].1.asked, 1, "what was committed is not asked for again");
}
