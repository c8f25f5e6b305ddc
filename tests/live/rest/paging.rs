//! Every way of pages brings every record once.

use super::{assert_records, folder, has_files, lines};
use crate::api::{Fault, Rule, Server, Settings, Shape};

/// Reads all records of a path, and says how many requests that took.
fn reads(path: &str, keys: &str) -> u64 {
    let server = Server::with(Settings { records: 1_050, ..Settings::default() });
    let folder = folder(&server, "", &format!("path = {path}\n{keys}"));
    folder.run("run", 0);
    assert_records(&folder, Shape::Rich, 1..=1_050);
    server.seen().requests
}

#[test]
fn by_number() {
    let sized = "page_size_param = per_page\npage_size = 100";
    // Ten full pages, half of one, and an empty one.
    assert_eq!(reads("/numbered", &format!("records = data\npagination = page\n{sized}")), 12);
    assert_eq!(reads("/numbered", &format!("records = data\npagination = page\ntotal = total\n{sized}")), 11);
    assert_eq!(reads("/numbered", &format!("records = data\npagination = page\nlast_page = total_pages\n{sized}")), 11);
    assert_eq!(reads("/numbered/zero", &format!("records = data\npagination = page\nfirst_page = 0\n{sized}")), 12);
    assert_eq!(
        reads(
            "/more",
            "records = results\npagination = page\nhas_more = has_more\npage_size_param = limit\npage_size = 100"
        ),
        11
    );
    let is_last = "records = results\npagination = page\nis_last = is_last\npage_size_param = limit\npage_size = 100";
    assert_eq!(reads("/more", is_last), 11);
    assert_eq!(reads("/linked", &format!("pagination = page\nlast_page = header.X-Total-Pages\n{sized}")), 11);
    assert_eq!(reads("/linked", &format!("pagination = page\ntotal = header.X-Total\n{sized}")), 11);
}

/// A server that gives no more than the first 500 of 1,000.
#[test]
fn pages_that_end_long_before_the_total_are_an_error() {
    let server = Server::new();
    let text = r#"{"items":[],"total":1000}"#.to_owned();
    server.behave(Rule::new(Fault::Says { status: 200, text }).with("offset", 500));
    let keys = "path = /offset\nrecords = items\npagination = offset\npage_size_param = limit\npage_size = 100";
    let folder = folder(&server, "", &format!("{keys}\ntotal = total"));
    let (_, said) = folder.run("run", 65);
    assert!(said.contains("the pages end after 500 records, and `total` says that there are 1000"), "{said}");
    assert!(!has_files(&folder), "half of it is there");
}

#[test]
fn nothing_is_asked_for_ahead_behind_the_total() {
    for end in ["total = total", "last_page = total_pages"] {
        let server = Server::new();
        let keys = "path = /numbered\nrecords = data\npagination = page\npage_size_param = per_page\npage_size = 100\nconcurrency = 4";
        let folder = folder(&server, "", &format!("{keys}\n{end}"));
        folder.run("run", 0);
        assert_records(&folder, Shape::Rich, 1..=1000);
        assert_eq!(server.seen().requests, 10, "{end}");
    }
}

#[test]
fn by_offset_goes_by_what_there_was() {
    let sized = "records = items\npagination = offset\npage_size_param = limit\npage_size = 100";
    assert_eq!(reads("/offset", &format!("{sized}\ntotal = total")), 11);
    // It gives 37 at most.
    assert_eq!(reads("/offset/short", sized), 30);
}

#[test]
fn by_cursor() {
    let sized = "pagination = cursor\npage_size_param = limit\npage_size = 100";
    assert_eq!(reads("/cursor", &format!("{sized}\nrecords = data\nnext_cursor = meta.next_cursor")), 11);
    assert_eq!(reads("/cursor/header", &format!("{sized}\nnext_cursor = header.X-Next-Cursor")), 11);
}

#[test]
fn nothing_is_nothing() {
    let server = Server::with(Settings { records: 0, ..Settings::default() });
    for format in ["json", "parquet", "csv"] {
        let folder = folder(&server, "", &format!("path = /numbered\nrecords = data\nformat = {format}"));
        folder.run("run", 0);
        assert!(!has_files(&folder));
        server.set("records", 10);
        folder.run("run", 0);
        assert!(has_files(&folder));
        server.set("records", 0);
        folder.run("run", 0);
        assert!(!has_files(&folder), "{format}: what was there before still is");
    }
}

/// The path of `next_cursor` is wrong: that there is one page is told, and that the key may be wrong.
#[test]
fn a_first_page_without_a_next_one_is_told_of() {
    let server = Server::new();
    let folder = folder(&server, "", "path = /cursor\nrecords = data\npagination = cursor\nnext_cursor = next");
    let (_, said) = folder.run("run", 0);
    assert!(said.contains("is taken for the only one"), "{said}");
}

#[test]
fn by_link_and_by_key() {
    assert_eq!(reads("/linked", "pagination = link\npage_size_param = per_page\npage_size = 100"), 11);
    let keys = "records = data\npagination = keyset\nkeyset_field = id\nkeyset_param = since_id\npage_size_param = limit\npage_size = 100";
    assert_eq!(reads("/keyset", keys), 12);
    assert_eq!(reads("/keyset", &keys.replace("field = id", "field = $['id']")), 12);
}

#[test]
fn at_once_and_in_the_body_of_a_post() {
    assert_eq!(reads("/array", ""), 1);
    let keys = "method = post\nparams_in = body\nrecords = data\npagination = page\npage_size_param = per_page\npage_size = 100\ntotal = total";
    assert_eq!(reads("/numbered", keys), 11);
}

#[test]
fn several_pages_at_once_in_their_order() {
    let server = Server::with(Settings { records: 5_000, ..Settings::default() });
    let keys = "path = /numbered\nrecords = data\npagination = page\npage_size_param = per_page\npage_size = 50\ntotal = total\nconcurrency = 8";
    server.behave(Rule::new(Fault::Late { seconds: 0.01 }));
    let folder = folder(&server, "", keys);
    folder.run("run", 0);
    assert_records(&folder, Shape::Rich, 1..=5_000);
    assert!(server.seen().most_at_once > 2);
    let ids: Vec<u64> = lines(&folder).iter().map(|line| super::id(line)).collect();
    assert!(ids.is_sorted());
}

#[test]
fn circles_and_pages_that_stand_still_are_errors() {
    let server = Server::new();
    let fails = |keys: &str, said: &str| {
        let folder = folder(&server, "", keys);
        let (_, text) = folder.run("run", 65);
        assert!(text.contains(said), "{text}");
        assert!(!has_files(&folder), "half of it is there");
    };
    fails("path = /cycle\nrecords = data\npagination = link\nnext_link = next", "in a circle");
    fails("path = /numbered/stuck\nrecords = data\npagination = page", "the same records as one shortly before it");
    // A server that does not know the parameter gives its first page again.
    let keys =
        "path = /cursor\nrecords = data\npagination = cursor\nnext_cursor = meta.next_cursor\nnext_cursor_param = nope";
    fails(keys, "`next_cursor_param`");
    let keys = "path = /keyset\nrecords = data\npagination = keyset\nkeyset_field = $.no.id\nkeyset_param = since_id";
    fails(keys, "no text or number at `no.id`, which `keyset_field` names");
    fails("path = /numbered\nrecords = dat", "has nothing at `dat`");
    fails("path = /numbered\nrecords = data\npagination = page\nhas_more = more", "has no `more`");
}

/// Each with what is said of it, at its own line.
#[test]
fn keys_that_do_nothing_and_paths_that_are_none_are_refused() {
    let server = Server::new();
    let cursor = "path = /cursor\nrecords = data\npagination = cursor\nnext_cursor = meta.next_cursor";
    for (keys, key, said) in [
        (cursor, "cursor_param = after", "Did you mean `next_cursor_param`?"),
        (cursor, "page_param = p", "is of `pagination = page`, and does nothing with `pagination = cursor`"),
        (cursor, "max_parents = 5", "is of `for_each`"),
        (cursor, "response_delimiter = |", "is of `response_format = csv`"),
        (cursor, "max_failures = 5", "is of `on_error = keep_going`"),
        (cursor, "total = meta[", "must be the path of one value"),
        (cursor, "retry_when = error[ = 4", "must be conditions"),
        ("path = /csv\nresponse_format = csv", "retry_when = error.code = 4", "with this `response_format`"),
    ] {
        let folder = folder(&server, "", &format!("{keys}\n{key}"));
        let config = super::config(&server, "", &format!("{keys}\n{key}"));
        let line = 1 + config.lines().position(|line| line == key).unwrap();
        let (_, text) = folder.run("check", 2);
        let name = key.split_once(' ').unwrap().0;
        assert!(text.contains(&format!(":{line}: [stream api] `{name}` ")) && text.contains(said), "{text}");
    }
    assert_eq!(server.seen().requests, 0);
}

#[test]
fn what_the_source_says_may_be_for_other_streams() {
    let server = Server::new();
    let source = "pagination = cursor\nnext_cursor = meta.next_cursor\ncursor_param = since\nmax_failures = 5\nreport_poll = 1s\n\
                  method = get\nbody = {}\npage_size = 100";
    let folder =
        folder(&server, source, "path = /numbered\nrecords = data\npagination = page\npage_size_param = per_page");
    folder.run("run", 0);
    assert_records(&folder, Shape::Rich, 1..=1000);
}
