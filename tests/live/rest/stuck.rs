//! Streams that could be stuck for good: what the last run has left is of no use any more, or one page is broken for ever.

use super::{assert_records, folder, has_files, id, lines};
use crate::api::{Fault, Rule, Server, Settings, Shape};
use crate::program::Folder;

const EVENTS: &str = "path = /events\nrecords = events\nmode = incremental\ncursor = updated_at\ncursor_param = updated_since\n\
                      pagination = cursor\nnext_cursor = next_cursor\npage_size_param = limit\nretries = 0";

const PAGES: &str =
    "path = /numbered\nrecords = data\npagination = page\npage_size_param = per_page\npage_size = 100\nretries = 0";

fn ids(folder: &Folder) -> Vec<u64> {
    let mut ids: Vec<u64> = lines(folder).iter().map(|line| id(line)).collect();
    ids.sort_unstable();
    ids
}

/// A run that ended at a page, with those before it committed; all cursors have expired since.
fn stopped_and_forgotten(server: &Server, keys: &str, page: u64) -> Folder {
    server.behave(Rule::new(Fault::Status(500)).nth(page).named("down"));
    server.behave(Rule::new(Fault::Late { seconds: 0.25 }).named("slow"));
    let folder = folder(server, "request_retries = 0", &format!("{keys}\ncommit_interval = 100ms"));
    folder.run("run", 75);
    server.clear();
    server.set("cursors", 1);
    folder
}

#[test]
fn a_window_whose_cursor_is_forgotten_begins_anew_and_nothing_comes_twice() {
    for more in ["page_size = 100", "page_size = 100\nuntil_param = until\nstart = 2026-01-01T00:00:00Z\nstep = 2h"] {
        let server = Server::with(Settings { records: 500, ..Settings::default() });
        let folder = stopped_and_forgotten(&server, &format!("{EVENTS}\n{more}"), 4);
        let before = ids(&folder).len();
        assert!((100..500).contains(&before), "{before} records were committed");
        let (_, said) = folder.run("run -vv", 0);
        assert!(said.contains("no longer knows the place"), "{said}");
        assert_eq!(ids(&folder), (1..=500).collect::<Vec<_>>(), "{more}");
        folder.run("run", 0);
        assert_eq!(ids(&folder), (1..=500).collect::<Vec<_>>(), "{more}");
    }
}

#[test]
fn a_load_whose_cursor_is_forgotten_begins_anew() {
    let server = Server::new();
    let keys = "path = /cursor\nrecords = data\npagination = cursor\nnext_cursor = meta.next_cursor\npage_size_param = limit\n\
                page_size = 100\nretries = 0";
    let folder = stopped_and_forgotten(&server, keys, 5);
    let (_, said) = folder.run("run -vv", 0);
    assert!(said.contains("no longer knows the place"), "{said}");
    assert_records(&folder, Shape::Rich, 1..=1000);
}

#[test]
fn a_retry_begins_a_window_anew_whose_cursor_is_forgotten() {
    let server = Server::with(Settings { records: 1800, ..Settings::default() });
    // The third of four pages of the first hour.
    server.behave(Rule::new(Fault::Status(503)).on("/events").nth(3));
    let keys = "until_param = until\nstart = 2026-01-01T00:00:00Z\nstep = 1h\npage_size = 50\non_error = keep_going";
    let folder = folder(&server, "request_retries = 0", &format!("{EVENTS}\n{keys}"));
    folder.run("run", 3);
    assert!(ids(&folder).len() < 1800);
    server.set("cursors", 1);
    // It begins at the first page, and the one behind that fails: what came before is known again the next time too.
    server.behave(Rule::new(Fault::Status(503)).on("/events").nth(3));
    folder.run("retry api", 3);
    server.clear();
    server.set("cursors", 2);
    folder.run("retry api", 0);
    assert_eq!(ids(&folder), (1..=1800).collect::<Vec<_>>());
    folder.run("run", 0);
    assert_eq!(ids(&folder), (1..=1800).collect::<Vec<_>>());
}

#[test]
fn a_broken_record_is_a_broken_page() {
    let server = Server::new();
    server.behave(Rule::new(Fault::BrokenRecord).on("/numbered").with("page", 3).at_most(1));
    let whole = folder(&server, "", PAGES);
    whole.run("run", 0);
    assert_records(&whole, Shape::Rich, 1..=1000);
    assert_eq!(server.seen().requests, 12, "it was asked for again");

    server.behave(Rule::new(Fault::BrokenRecord).on("/numbered").with("page", 4).named("broken"));
    let strict = folder(&server, "request_retries = 1", PAGES);
    let (_, said) = strict.run("run", 65);
    assert!(said.contains("GET /numbered?per_page=100&page=4: the answer is broken at byte"), "{said}");
    assert!(said.contains("within a record (2 attempts)"), "{said}");
    assert!(!said.contains("NaN") && !has_files(&strict));

    let keys = format!("{PAGES}\non_error = keep_going\nconcurrency = 3");
    let lenient = folder(&server, "request_retries = 0", &keys);
    lenient.run("run", 3);
    assert_records(&lenient, Shape::Rich, (1..=1000).filter(|id| !(301..=400).contains(id)));
    assert!(lenient.print("status --stream api").contains("page=4"));
    lenient.run("retry api", 3);
    server.repair("broken");
    lenient.run("retry api", 0);
    assert_records(&lenient, Shape::Rich, 1..=1000);
}

#[test]
fn of_a_large_page_with_a_broken_record_nothing_is_committed() {
    let server = Server::with(Settings { records: 20_000, ..Settings::default() });
    server.behave(Rule::new(Fault::BrokenRecord).on("/array").named("broken"));
    let folder = folder(&server, "", "path = /array\nretries = 0\ncommit_interval = 100ms");
    let (_, said) = folder.run("run", 65);
    assert!(said.contains("GET /array: the answer is broken at byte"), "{said}");
    assert!(!has_files(&folder));
    server.repair("broken");
    folder.run("run", 0);
    assert_records(&folder, Shape::Rich, 1..=20_000);
}

#[test]
fn an_api_without_an_empty_page_ends_the_run_and_is_told_how_to_say_so() {
    let server = Server::new();
    let keys = format!("{}\non_error = keep_going", PAGES.replace("/numbered", "/numbered/ends"));
    let endless = folder(&server, "request_retries = 0", &keys);
    let (_, said) = endless.run("run", 65);
    assert!(said.contains("`ignore_when = status = 404`"), "{said}");
    assert_eq!(server.seen().asked("/numbered/ends"), 13, "three behind the last page");
    let ending = folder(&server, "request_retries = 0", &format!("{keys}\nignore_when = status = 404"));
    ending.run("run", 0);
    assert_records(&ending, Shape::Rich, 1..=1000);
}

#[test]
fn neighbours_that_are_gone_with_pages_between_them_are_left_out() {
    let server = Server::new();
    for page in [2, 4, 5, 7] {
        server.behave(Rule::new(Fault::Status(404)).on("/numbered").with("page", page));
    }
    let folder = folder(&server, "request_retries = 0", &format!("{PAGES}\non_error = keep_going"));
    folder.run("run", 3);
    let gone = |id: &u64| [2, 4, 5, 7].contains(&((id - 1) / 100 + 1));
    assert_records(&folder, Shape::Rich, (1..=1000).filter(|id| !gone(id)));
}

#[test]
fn a_retry_reads_up_to_where_reading_went_on() {
    // Meanwhile the server gives fewer records at once, which end at the place or behind it.
    for most in [1, 2, 3, 4] {
        let server = Server::with(Settings { records: 20, ..Settings::default() });
        server.behave(Rule::new(Fault::Status(500)).on("/offset").with("offset", 4));
        let keys = "path = /offset\nrecords = items\npagination = offset\npage_size_param = limit\npage_size = 4\ntotal = total\n\
                    on_error = keep_going\nretries = 0";
        let folder = folder(&server, "request_retries = 0", keys);
        folder.run("run", 3);
        assert_records(&folder, Shape::Rich, (1..=20).filter(|id| !(5..=8).contains(id)));
        assert_eq!(server.seen().requests, 5, "no page is asked for behind the last one");
        server.clear();
        server.set("page_most", most);
        folder.run("retry api", 0);
        assert_records(&folder, Shape::Rich, 1..=20);
    }
}

#[test]
fn a_retry_that_fails_on_its_way_goes_on_there() {
    let server = Server::with(Settings { records: 20, ..Settings::default() });
    server.behave(Rule::new(Fault::Status(500)).on("/offset").with("offset", 4).named("first"));
    let keys = "path = /offset\nrecords = items\npagination = offset\npage_size_param = limit\npage_size = 4\n\
                on_error = keep_going\nretries = 0";
    let folder = folder(&server, "request_retries = 0", keys);
    folder.run("run", 3);
    server.repair("first");
    server.set("page_most", 3);
    server.behave(Rule::new(Fault::Status(500)).on("/offset").with("offset", 7));
    folder.run("retry api", 3);
    assert_records(&folder, Shape::Rich, (1..=20).filter(|id| *id != 8));
    server.clear();
    folder.run("retry api", 0);
    assert_records(&folder, Shape::Rich, 1..=20);
}
