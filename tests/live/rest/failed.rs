//! Requests that fail for good are kept, and asked for again by themselves.

use super::{assert_records, folder};
use crate::api::{Fault, Rule, Server, Settings, Shape};

const PAGES: &str = "path = /numbered\nrecords = data\npagination = page\npage_size_param = per_page\npage_size = 100\n\
                     on_error = keep_going\nretries = 0";

fn without(pages: &[u64]) -> impl Iterator<Item = u64> {
    let gone: Vec<_> = pages.iter().flat_map(|page| (page - 1) * 100 + 1..=page * 100).collect();
    (1..=1000).filter(move |id| !gone.contains(id))
}

#[test]
fn pages_that_fail_are_left_out_and_asked_for_again() {
    let server = Server::new();
    for page in [4, 7] {
        server.behave(Rule::new(Fault::Status(500)).with("page", page).named(&format!("page {page}")));
    }
    let folder = folder(&server, "request_retries = 1", PAGES);
    let (_, said) = folder.run("run", 3);
    assert!(said.contains("2 of 11 requests failed"), "{said}");
    assert_records(&folder, Shape::Rich, without(&[4, 7]));
    let status = folder.print("status --stream api");
    assert!(status.contains("GET /numbered?per_page=100&page=4") && status.contains("500"), "{status}");

    server.repair("page 4");
    let before = server.seen();
    let (_, said) = folder.run("retry api", 3);
    assert!(said.contains("1 of 11 requests failed"), "{said}");
    assert_eq!(server.seen().requests, before.requests + 3, "the two, and one of them twice");
    assert_records(&folder, Shape::Rich, without(&[7]));
    server.repair("page 7");
    folder.run("retry api", 0);
    assert_records(&folder, Shape::Rich, 1..=1000);
    let before = server.seen().requests;
    let (_, said) = folder.run("retry api", 0);
    assert_eq!(server.seen().requests, before, "nothing is left to be asked");
    assert!(said.contains("nothing to ask again stream=api"), "{said}");
}

#[test]
fn where_nobody_knows_what_follows_a_failure_ends_the_run() {
    let server = Server::new();
    server.behave(Rule::new(Fault::Status(500)).on("/cursor").nth(3));
    let keys = "path = /cursor\nrecords = data\npagination = cursor\nnext_cursor = meta.next_cursor\non_error = keep_going\nretries = 0";
    let folder = folder(&server, "request_retries = 0", keys);
    folder.run("run", 75);
    folder.run("run", 0);
    assert_records(&folder, Shape::Rich, 1..=1000);
}

#[test]
fn too_many_failures_and_nothing_but_failures_end_the_run() {
    let server = Server::with(Settings { records: 5000, ..Settings::default() });
    let run = |more: &str| {
        let folder = folder(&server, "request_retries = 0", &format!("{PAGES}\n{more}"));
        folder.run("run", 75).1
    };
    server.behave(Rule::new(Fault::Status(500)).every(2).named("every other"));
    assert!(run("max_failures = 5").contains("more than 5 requests have failed"));
    server.behave(Rule::new(Fault::Status(500)).named("all"));
    assert!(run("").contains("all requests fail"));
}

#[test]
fn a_window_that_fails_is_closed_by_itself() {
    let server = Server::with(Settings { records: 1800, ..Settings::default() });
    let keys = "path = /events\nrecords = events\nmode = incremental\ncursor = updated_at\ncursor_param = updated_since\nuntil_param = until\n\
                start = 2026-01-01T00:00:00Z\nstep = 1h\npagination = cursor\nnext_cursor = next_cursor\npage_size_param = limit\n\
                page_size = 50\non_error = keep_going\nretries = 0\nmax_failures = 1000";
    let hour = "2026-01-01T03:00:00Z";
    server.behave(Rule::new(Fault::Status(503)).on("/events").with("updated_since", hour).named("hour"));
    let folder = folder(&server, "request_retries = 0", keys);
    folder.run("run", 3);
    let ids = || {
        let mut ids: Vec<u64> = super::lines(&folder).iter().map(|line| super::id(line)).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids().len(), 1800 - 180);
    folder.run("run", 3);
    assert_eq!(ids().len(), 1800 - 180);
    server.repair("hour");
    folder.run("retry api", 0);
    assert_eq!(ids(), (1..=1800).collect::<Vec<_>>());
    folder.run("run", 0);
    assert_eq!(ids(), (1..=1800).collect::<Vec<_>>());
}

#[test]
fn what_is_asked_for_again_is_masked_too() {
    let server = Server::new();
    server.behave(Rule::new(Fault::Status(500)).with("page", 4).named("page 4"));
    let keys = format!("{PAGES}\nmask.name = redact\nmask.address.city = drop");
    let folder = folder(&server, "request_retries = 0", &keys);
    folder.run("run", 3);
    server.clear();
    folder.run("retry api", 0);
    let lines = super::lines(&folder);
    assert_eq!(lines.len(), 1000);
    for line in lines {
        let record: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(record["name"] == "***" && record["address"]["city"].is_null(), "{line}");
    }
}
