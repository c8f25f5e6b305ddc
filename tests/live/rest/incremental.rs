//! What is new, by windows of a cursor or from a mark on.

use super::{folder, id, lines};
use crate::api::{Fault, Order, Rule, Server, Settings};
use crate::program::Folder;

const EVENTS: &str = "path = /events\nrecords = events\nmode = incremental\ncursor = updated_at\ncursor_param = updated_since\n\
                      pagination = cursor\nnext_cursor = next_cursor\npage_size_param = limit\npage_size = 100";

/// Each version of a record, once.
fn versions(folder: &Folder) -> Vec<(u64, u64)> {
    let version = |line: &String| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        (id(line), record["version"].as_u64().unwrap())
    };
    let mut all: Vec<_> = lines(folder).iter().map(version).collect();
    all.sort_unstable();
    all
}

fn first(count: u64) -> Vec<(u64, u64)> {
    (1..=count).map(|id| (id, 1)).collect()
}

#[test]
fn runs_go_on_where_the_one_before_ended() {
    for more in ["", "lookback = 10m", "until_param = until\nstart = 2026-01-01T00:00:00Z\nstep = 2h"] {
        let server = Server::with(Settings { records: 500, ..Settings::default() });
        let folder = folder(&server, "", &format!("{EVENTS}\n{more}"));
        folder.run("run", 0);
        assert_eq!(versions(&folder), first(500), "{more}");
        let before = server.seen().requests;
        folder.run("run", 0);
        assert_eq!(versions(&folder), first(500), "{more}");
        assert!(server.seen().requests <= before + 1, "from the mark on there is one page");
    }
}

#[test]
fn what_is_new_and_what_has_changed_comes_once() {
    for more in ["", "lookback = 1h"] {
        let server = Server::with(Settings { records: 500, ..Settings::default() });
        let folder = folder(&server, "", &format!("{EVENTS}\n{more}"));
        folder.run("run", 0);
        server.order(Order { grow: 120, touch: vec![7, 7, 620], ..Order::default() });
        folder.run("run", 0);
        folder.run("run", 0);
        let mut wanted = first(620);
        wanted.extend([(7, 3), (620, 2)]);
        wanted.retain(|one| *one != (620, 1));
        wanted.sort_unstable();
        assert_eq!(versions(&folder), wanted, "{more}");
    }
}

/// The records of three a minute, from one minute after the beginning until before another.
fn of_minutes(from: u64, until: u64) -> std::ops::RangeInclusive<u64> {
    3 * (from - 1) + 1..=3 * (until - 1)
}

#[test]
fn windows_are_read_again() {
    let bounded = "until_param = until\nstart = 2026-01-01T00:00:00Z";
    for more in ["", bounded, &format!("{bounded}\nstep = 25m")] {
        let server = Server::with(Settings { records: 500, ..Settings::default() });
        let folder = folder(&server, "", &format!("{EVENTS}\n{more}"));
        let mut wanted = first(500);
        folder.run("run", 0);
        folder.run("run api --from 2026-01-01T01:00:00Z --until 2026-01-01T02:00:00.5Z", 0);
        wanted.extend(of_minutes(60, 121).map(|id| (id, 1)));
        wanted.sort_unstable();
        assert_eq!(versions(&folder), wanted, "{more}");
        if !more.is_empty() {
            // The minute at the end is of neither.
            let before = server.seen().requests;
            folder.run("run api --from 2026-01-01T00:10:00Z --until 2026-01-01T01:00:00Z --step 20m", 0);
            assert!(server.seen().requests >= before + 3, "{more}");
            wanted.extend(of_minutes(10, 60).map(|id| (id, 1)));
        }
        // Up to the mark, and the record there.
        folder.run("run api --from 2026-01-01T02:40:00Z", 0);
        wanted.extend((*of_minutes(160, 200).start()..=500).map(|id| (id, 1)));
        wanted.sort_unstable();
        assert_eq!(versions(&folder), wanted, "{more}");
        folder.run("run", 0);
        assert_eq!(versions(&folder), wanted, "{more}");
    }
}

#[test]
fn a_window_leaves_nothing_out() {
    let server = Server::with(Settings { records: 500, ..Settings::default() });
    let keys = "until_param = until\nstart = 2026-01-01T00:00:00Z\non_error = keep_going\nretries = 0";
    let folder = folder(&server, "request_retries = 0", &format!("{EVENTS}\n{keys}"));
    folder.run("run", 0);
    let minute = "2026-01-01T01:20:00Z";
    server.behave(Rule::new(Fault::Status(503)).with("updated_since", minute).named("minute"));
    let again = "run api --from 2026-01-01T01:00:00Z --until 2026-01-01T02:00:00Z --step 20m";
    folder.run(again, 75);
    server.repair("minute");
    folder.run(again, 0);
    let mut wanted = first(500);
    wanted.extend(of_minutes(60, 120).map(|id| (id, 1)));
    wanted.sort_unstable();
    assert_eq!(versions(&folder), wanted);
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let server = Server::with(Settings { records: 5, ..Settings::default() });
    let folder = folder(&server, "", EVENTS);
    folder.run("run", 0);
    for (options, said) in [
        ("--from 2026-01-01 --step 1d", "`until_param`"),
        ("--from here", "`--from` is no value of the cursor, which is a time"),
        ("--from 2027-01-01", "behind the stream's mark"),
    ] {
        let (_, text) = folder.run(&format!("run api {options}"), 2);
        assert!(text.contains(said), "{text}");
    }
}
