//! Keys that change between runs: where a chain of pages is unfinished, and where requests are open.

use std::collections::BTreeSet;

use super::{assert_records, config, folder, id, lines};
use crate::api::auth::{PASSWORD, USER};
use crate::api::{Fault, Rule, Server, Settings, Shape};
use crate::program::Folder;

const PAGES: &str = "path = /numbered\nrecords = data\npagination = page\npage_size_param = per_page\nretries = 0\ncommit_interval = 100ms";

/// The server gives all records, whatever it is asked for.
const NEW: &str = "mode = incremental\ncursor = updated_at\ncursor_param = updated_since";

const ONCE: &str = "request_retries = 0";

fn server(records: u64) -> Server {
    Server::with(Settings { records, shape: Shape::Small, ..Settings::default() })
}

fn fails_at(server: &Server, page: u64) {
    server.behave(Rule::new(Fault::Status(500)).with("page", page));
}

/// Runs until page 15 fails, when some of the pages before it are committed.
fn stop(folder: &Folder, server: &Server) {
    fails_at(server, 15);
    server.behave(Rule::new(Fault::Late { seconds: 0.03 }));
    folder.run("run", 75);
    server.clear();
}

/// How often it was said that pages are asked for anew.
fn told(said: &str) -> usize {
    said.matches("the keys by which the stream asks have changed").count()
}

/// How often the first page was asked for.
fn first_pages(server: &Server) -> u64 {
    let pages = server.seen().pages;
    pages.iter().filter(|(name, _)| name.contains("page=1&")).map(|(_, page)| page.asked).sum()
}

#[test]
fn a_chain_of_pages_that_other_keys_began_is_begun_anew() {
    for after in
        ["page_size = 20", "page_size = 5", "page_size = 10\nparam.state = open", "page_size = 10\nheader.Version = 2"]
    {
        let server = server(300);
        let keys = format!("{PAGES}\n{NEW}\nlookback = 1d");
        let folder = folder(&server, ONCE, &format!("{keys}\npage_size = 10"));
        stop(&folder, &server);
        assert!((10..150).contains(&lines(&folder).len()), "some of it is committed");
        folder.configure(&config(&server, ONCE, &format!("{keys}\n{after}")));
        let (_, said) = folder.run("run", 0);
        assert_eq!(told(&said), 1, "{after}: {said}");
        assert_records(&folder, Shape::Small, 1..=300);
        let (_, said) = folder.run("run", 0);
        assert_eq!(told(&said), 0, "{after}: {said}");
        assert_records(&folder, Shape::Small, 1..=300);
    }
}

#[test]
fn what_shapes_no_request_does_not_begin_a_chain_anew() {
    let server = server(300);
    let keys = format!("{PAGES}\n{NEW}\npage_size = 10");
    let source = |token: &str| format!("{ONCE}\nauth = bearer\ntoken = {token}");
    let folder = folder(&server, &source("first-secret"), &format!("{keys}\nparam.a = 1\nparam.b = 2"));
    stop(&folder, &server);
    let other = format!("{keys}\nparam.b = 2\nparam.a = 1\nconcurrency = 3\nretry_when = error exists\nlookback = 1h");
    folder.configure(&config(&server, &source("second-secret"), &other));
    let (_, said) = folder.run("run", 0);
    assert_eq!(told(&said), 0, "{said}");
    assert_eq!(first_pages(&server), 1);
    assert_records(&folder, Shape::Small, 1..=300);
}

/// The digests that are kept end where no later run looks again.
#[test]
fn without_a_lookback_nothing_is_lost() {
    let server = server(300);
    let keys = format!("{PAGES}\n{NEW}");
    let folder = folder(&server, ONCE, &format!("{keys}\npage_size = 10"));
    stop(&folder, &server);
    folder.configure(&config(&server, ONCE, &format!("{keys}\npage_size = 20")));
    let (_, said) = folder.run("run", 0);
    assert_eq!(told(&said), 1, "{said}");
    let ids: BTreeSet<u64> = lines(&folder).iter().map(|line| id(line)).collect();
    assert!(ids.into_iter().eq(1..=300));
}

#[test]
fn what_failed_of_a_chain_that_is_begun_anew_is_not_open() {
    let server = server(300);
    let keys = format!(
        "{PAGES}\n{NEW}\nuntil_param = until\nstart = 2026-01-01T00:00:00Z\non_error = keep_going\nmax_failures = 1"
    );
    let folder = folder(&server, ONCE, &format!("{keys}\npage_size = 10"));
    fails_at(&server, 3);
    stop(&folder, &server);
    folder.configure(&config(&server, ONCE, &format!("{keys}\npage_size = 20")));
    folder.run("run", 0);
    let ids: BTreeSet<u64> = lines(&folder).iter().map(|line| id(line)).collect();
    assert!(ids.into_iter().eq(1..=300));
    let before = server.seen().requests;
    folder.run("retry api", 0);
    assert_eq!(server.seen().requests, before, "nothing is open");
}

/// The pipeline with another `base_url`: on another port, and below another path.
fn elsewhere(server: &Server, source: &str, stream: &str) -> [String; 2] {
    let config = config(server, source, stream);
    let own = format!("base_url = {}\n", server.url(""));
    assert!(config.contains(&own));
    [server.other_url(""), server.url("/auth/basic")].map(|base| config.replace(&own, &format!("base_url = {base}\n")))
}

#[test]
fn pages_of_another_path_or_port_are_not_gone_on_with() {
    let source = format!("{ONCE}\nauth = basic\nusername = {USER}\npassword = {PASSWORD}");
    for (mode, says) in [(format!("{NEW}\nlookback = 1d"), "have changed since its last run"), {
        ("mode = full".to_owned(), "under another definition")
    }] {
        for place in 0..2 {
            let server = server(300);
            let keys = format!("{PAGES}\npage_size = 10\n{mode}");
            let folder = folder(&server, &source, &keys);
            stop(&folder, &server);
            let before = server.seen().requests;
            folder.configure(&elsewhere(&server, &source, &keys)[place]);
            let (_, said) = folder.run("run", 0);
            assert!(said.contains(says), "{said}");
            assert_eq!(server.seen().requests - before, 31, "all pages, and an empty one: {mode}");
            assert_records(&folder, Shape::Small, 1..=300);
        }
    }
}

/// A run that lacks page 2, of four records.
fn lacking(server: &Server, source: &str, keys: &str) -> Folder {
    let folder = folder(server, source, keys);
    fails_at(server, 2);
    folder.run("run", 3);
    server.clear();
    assert_records(&folder, Shape::Small, (1..=4).chain(9..=40));
    folder
}

/// A retry by these keys is refused, and asks for nothing.
fn assert_refused(folder: &Folder, server: &Server, config: &str) {
    let (before, had) = (server.seen().requests, lines(folder).len());
    folder.configure(config);
    let (_, said) = folder.run("retry api", 2);
    assert!(said.contains("the stream's keys in pipeline.conf have changed since"), "{said}");
    assert_eq!((server.seen().requests, lines(folder).len()), (before, had), "{config}");
}

#[test]
fn what_failed_is_asked_for_by_the_keys_that_it_failed_by() {
    let source = format!("{ONCE}\nauth = basic\nusername = {USER}\npassword = {PASSWORD}");
    let new = format!("{NEW}\nuntil_param = until\nstart = 2026-01-01T00:00:00Z");
    for mode in [new.as_str(), "mode = full"] {
        let server = server(40);
        let keys = format!("{PAGES}\n{mode}\non_error = keep_going");
        let sized = |size: u64| format!("{keys}\npage_size = {size}");
        let folder = lacking(&server, &source, &sized(4));
        let [port, path] = elsewhere(&server, &source, &sized(4));
        let tenant = config(&server, &source, &format!("{}\nparam.tenant = b", sized(4)));
        for other in [config(&server, &source, &sized(2)), tenant, port, path] {
            assert_refused(&folder, &server, &other);
        }
        // Neither the token nor how answers are judged says what is asked for.
        let again = format!("{}\nretry_when = error exists", sized(4));
        folder.configure(&config(&server, ONCE, &again));
        folder.run("retry api", 0);
        assert_records(&folder, Shape::Small, 1..=40);
    }
}

#[test]
fn a_window_that_failed_is_not_asked_for_without_its_end() {
    let server = Server::with(Settings { records: 1800, ..Settings::default() });
    let keys = "path = /events\nrecords = events\nmode = incremental\ncursor = updated_at\ncursor_param = updated_since\n\
                pagination = cursor\nnext_cursor = next_cursor\npage_size_param = limit\npage_size = 50\nretries = 0";
    let windows = format!(
        "{keys}\nuntil_param = until\nstart = 2026-01-01T00:00:00Z\nstep = 1h\non_error = keep_going\nmax_failures = 1000"
    );
    let hour = "2026-01-01T03:00:00Z";
    server.behave(Rule::new(Fault::Status(503)).on("/events").with("updated_since", hour));
    let folder = folder(&server, ONCE, &windows);
    folder.run("run", 3);
    server.clear();
    assert_refused(&folder, &server, &config(&server, ONCE, keys));
    // How long later windows are is another thing.
    folder.configure(&config(&server, ONCE, &windows.replace("step = 1h", "step = 1d")));
    folder.run("retry api", 0);
    let mut ids: Vec<u64> = lines(&folder).iter().map(|line| id(line)).collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(1..=1800));
}

#[test]
fn an_api_under_another_name_says_how_to_go_on() {
    let server = server(30);
    let keys = format!("{PAGES}\n{NEW}\npage_size = 10");
    let folder = folder(&server, ONCE, &keys);
    folder.run("run", 0);
    let renamed = |source: &str| config(&server, source, &keys).replace("http://127.0.0.1:", "http://localhost:");
    folder.configure(&renamed(ONCE));
    let (_, said) = folder.run("run", 73);
    assert!(said.contains("`identity = 127.0.0.1`"), "{said}");
    folder.configure(&renamed(&format!("{ONCE}\nidentity = 127.0.0.1")));
    folder.run("run", 0);
    assert_records(&folder, Shape::Small, 1..=30);
}
