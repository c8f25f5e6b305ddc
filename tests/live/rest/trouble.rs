//! What goes wrong now and then is asked for again; what goes wrong for good is an error by name.

use super::{assert_records, folder, has_files};
use crate::api::{Fault, Length, Limit, Rule, Server, Settings, Shape, Tell};

const PAGES: &str =
    "path = /numbered\nrecords = data\npagination = page\ntotal = total\npage_size_param = per_page\npage_size = 100";

/// Meets a fault on its way, and brings every record once all the same.
fn survives(fault: Fault) {
    let server = Server::new();
    server.behave(Rule::new(fault.clone()).every(3).at_most(1));
    let keys = format!("{PAGES}\nretry_when = error.code in 4, 17");
    let folder = folder(&server, "silence_timeout = 1s", &keys);
    folder.run("run", 0);
    assert_records(&folder, Shape::Rich, 1..=1000);
    assert!(server.seen().requests > 11, "{fault:?} was not met");
}

/// Meets a fault for ever, and says which.
fn fails(fault: Fault, code: i32, said: &str) {
    let server = Server::new();
    server.behave(Rule::new(fault).with("page", 3));
    let keys = format!("{PAGES}\nretries = 0\nretry_when = error.code in 4, 17");
    let folder = folder(&server, "silence_timeout = 500ms\nrequest_retries = 2", &keys);
    let (_, text) = folder.run("run", code);
    assert!(text.contains(said), "{text}");
    assert!(!has_files(&folder), "half of it is there");
}

#[test]
fn servers_that_want_to_be_left_alone() {
    survives(Fault::SlowDown { status: 429, tell: Tell::Seconds, seconds: 0.2 });
    survives(Fault::SlowDown { status: 503, tell: Tell::Date, seconds: 1.0 });
    survives(Fault::BodyError { status: 400, code: 17 });
    survives(Fault::BodyError { status: 200, code: 4 });
}

#[test]
fn servers_that_break_down() {
    for status in [500, 502, 504] {
        survives(Fault::Status(status));
    }
    survives(Fault::Silent { seconds: 30.0 });
    survives(Fault::Reset);
    survives(Fault::Closed);
    survives(Fault::ResetWithin { keep: 0.5 });
}

#[test]
fn answers_that_are_none() {
    for length in [Length::Whole, Length::Sent, Length::Unsaid, Length::Chunked] {
        survives(Fault::Cut { keep: 0.5, length });
    }
    survives(Fault::Halved { keep: 0.5 });
    survives(Fault::LoginPage);
    survives(Fault::Empty);
    survives(Fault::Null);
    survives(Fault::Mislabelled);
}

#[test]
fn what_stays_wrong_is_said_by_name() {
    fails(Fault::LoginPage, 65, "is HTML");
    fails(Fault::Empty, 75, "the answer is empty");
    fails(Fault::Null, 75, "the answer is null");
    fails(Fault::Halved { keep: 0.5 }, 65, "is cut off");
    fails(Fault::Status(500), 75, "the server answers 500 (Internal Server Error) (3 attempts)");
    fails(Fault::Status(404), 65, "404 (Not Found)");
    fails(Fault::Status(403), 77, "403 (Forbidden)");
    fails(Fault::BodyError { status: 200, code: 17 }, 75, "one of `retry_when`");
    fails(Fault::BodyError { status: 200, code: 100 }, 65, "has nothing at `data`");
}

#[test]
fn a_limit_is_kept_by_all_at_once() {
    let server = Server::with(Settings { records: 3_000, ..Settings::default() });
    server.limit(Limit { requests: 20, seconds: 0.5, ..Limit::per_second(20) });
    let keys = format!("{PAGES}\nconcurrency = 8");
    let folder = folder(&server, "rate_limit = 20/500ms", &keys);
    folder.run("run", 0);
    assert_records(&folder, Shape::Rich, 1..=3_000);
    assert_eq!(server.seen().refused_by_limit, 0);
}
