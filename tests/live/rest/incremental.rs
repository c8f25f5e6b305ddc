//! What is new, by windows of a cursor or from a mark on.

use super::{folder, id, lines};
use crate::api::{Order, Server, Settings};
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
