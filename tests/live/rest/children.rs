//! Streams that are read once for each record of another.

use std::collections::BTreeMap;

use super::{config, lines};
use crate::api::{Fault, Rule, Server, Settings, record};
use crate::kill::suite::Chance;
use crate::program::Folder;

const PARENTS: &str = "[stream campaigns]\nsource = web\ndestination = lake\npath = /campaigns\nrecords = data\npagination = cursor\n\
                       next_cursor = paging.after\nnext_cursor_param = after\npage_size_param = limit\npage_size = 10\n";

const CHILDREN: &str = "path = /campaigns/{campaigns.id}/insights\nfor_each = campaigns.id\nrecords = data\npagination = cursor\n\
                        next_cursor = paging.after\nnext_cursor_param = after\npage_size_param = limit\npage_size = 40\n";

fn folder(server: &Server, more: &str) -> Folder {
    Folder::new(&format!("{}\n{PARENTS}", config(server, "", &format!("{CHILDREN}{more}"))))
}

fn server() -> Server {
    Server::with(Settings { campaigns: 25, days: 90, ..Settings::default() })
}

/// By campaign and date, what there must be of so many days, each once.
fn assert_days(folder: &Folder, campaigns: u64, days: u64) {
    let mut found: BTreeMap<(u64, String), u64> = BTreeMap::new();
    for line in lines(folder) {
        let day: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(day["campaigns_id"], day["campaign_id"], "{line}");
        let key = (day["campaign_id"].as_str().unwrap().parse().unwrap(), day["date"].as_str().unwrap().to_owned());
        assert!(found.insert(key, day["impressions"].as_u64().unwrap()).is_none(), "{line} is there twice");
    }
    let first: jiff::civil::Date = "2026-01-01".parse().unwrap();
    for campaign in 1..=campaigns {
        for day in 0..days {
            let date = first + jiff::Span::new().days(day as i64);
            let impressions = found.remove(&(campaign, date.to_string()));
            assert_eq!(impressions, Some(record::mix(campaign, day) % 100_000), "{campaign} {date}");
        }
    }
    assert!(found.is_empty(), "{} too many", found.len());
}

#[test]
fn each_parent_has_its_own() {
    for more in ["", "concurrency = 6", "primary_key = date"] {
        let server = server();
        let folder = folder(&server, more);
        folder.run("run api", 0);
        assert_days(&folder, 25, 90);
        assert_eq!(server.seen().requests, 3 + 25 * 3, "{more}");
    }
}

#[test]
fn what_is_masked_of_the_parents_is_no_column_of_their_children() {
    let server = server();
    let masked = PARENTS.replace("path =", "mask.id = hash\nmask_secret = 0123456789abcdef\npath =");
    let folder = Folder::new(&format!("{}\n{masked}", config(&server, "", CHILDREN)));
    let (_, said) = folder.run("run api", 2);
    assert!(said.contains("`mask.id` masks id, which is of `for_each` of the stream api"), "{said}");
    assert_eq!(server.seen().requests, 0);
    // Another field of theirs may be masked; then nothing that the server says of the children is shown.
    let masked = PARENTS.replace("path =", "mask.name = redact if present\npath =");
    let folder = Folder::new(&format!("{}\n{masked}", config(&server, "", &format!("{CHILDREN}retries = 0"))));
    let text = r#"{"error": "campaign of ada@example.org"}"#.to_owned();
    server.behave(Rule::new(Fault::Says { status: 400, text }).on("/campaigns/*"));
    let (_, said) = folder.run("run api", 65);
    assert!(said.contains("400 (Bad Request)") && !said.contains("ada@"), "{said}");
}

#[test]
fn a_parents_field_may_be_written_as_a_path() {
    let server = server();
    let children = CHILDREN.replace("for_each = campaigns.id", "for_each = campaigns.$['id']");
    let folder = Folder::new(&format!("{}\n{PARENTS}", config(&server, "", &children)));
    folder.run("run api", 0);
    assert_days(&folder, 25, 90);
}

#[test]
fn each_parent_has_its_own_mark() {
    let server = server();
    server.set("days", 30);
    let keys = "mode = incremental\ncursor = date\ncursor_param = since\nstart = 2026-01-01";
    let folder = folder(&server, keys);
    folder.run("run api", 0);
    assert_days(&folder, 25, 30);
    server.set("days", 33);
    server.set("campaigns", 27);
    folder.run("run api", 0);
    assert_days(&folder, 27, 33);
    folder.run("run api", 0);
    assert_days(&folder, 27, 33);
}

#[test]
fn a_window_is_read_again_of_each_parent() {
    let server = server();
    server.set("days", 30);
    let keys = "mode = incremental\ncursor = date\ncursor_param = since\nstart = 2026-01-01";
    let folder = folder(&server, keys);
    folder.run("run api", 0);
    let (_, said) = folder.run("run api --from 2026-01-05", 2);
    assert!(said.contains("`--until` is missing"), "{said}");
    folder.run("run api --from 2026-01-05 --until 2026-01-08", 0);
    let lines = lines(&folder);
    assert_eq!(lines.len(), 25 * 33);
    let again = ["2026-01-05", "2026-01-06", "2026-01-07"];
    assert_eq!(lines.iter().filter(|line| again.iter().any(|day| line.contains(day))).count(), 25 * 6);
}

#[test]
fn a_killed_run_goes_on_at_its_parent() {
    let server = Server::with(Settings { campaigns: 300, days: 90, ..Settings::default() });
    server.behave(Rule::new(Fault::Late { seconds: 0.002 }));
    let folder = folder(&server, "commit_interval = 200ms");
    let (mut chance, mut killed) = (Chance::new(), 0);
    for _ in 0..5 {
        let after = std::time::Duration::from_millis(400 + chance.below(800) as u64);
        killed += u64::from(folder.start("run api").kill(after).killed);
    }
    folder.run("run api", 0);
    assert_days(&folder, 300, 90);
    assert!(killed > 1, "{killed} kills hit a run at work");
}

#[test]
fn a_parent_that_other_keys_began_is_begun_anew() {
    let server = server();
    server.behave(Rule::new(Fault::Status(500)).on("/campaigns/13/insights").nth(2));
    for parent in [12, 13] {
        server.behave(Rule::new(Fault::Late { seconds: 0.15 }).on(&format!("/campaigns/{parent}/insights")));
    }
    let more =
        "mode = incremental\ncursor = date\ncursor_param = since\nlookback = 365d\nretries = 0\ncommit_interval = 50ms";
    let source = "request_retries = 0";
    let with = |children: &str| format!("{}\n{PARENTS}", config(&server, source, &format!("{children}{more}")));
    let folder = Folder::new(&with(CHILDREN));
    folder.run("run api", 75);
    server.clear();
    let before = server.seen().asked("/campaigns/12/insights");
    folder.configure(&with(&CHILDREN.replace("page_size = 40", "page_size = 30")));
    let (_, said) = folder.run("run api", 0);
    assert_eq!(said.matches("the keys by which the stream asks have changed").count(), 1, "{said}");
    assert_eq!(server.seen().asked("/campaigns/12/insights"), before, "its parents before are done");
    assert_days(&folder, 25, 90);
    folder.run("run api", 0);
    assert_days(&folder, 25, 90);
}

#[test]
fn what_cannot_be_is_refused() {
    let server = server();
    let refused = |stream: &str, said: &str| {
        let folder = Folder::new(&format!("{}\n{PARENTS}", config(&server, "", stream)));
        let (_, text) = folder.run("check", 2);
        assert!(text.contains(said), "{text}");
    };
    refused("path = /x/{campaigns.id}", "which `for_each` does not name");
    refused("path = /x\nfor_each = campaigns.id", "is of no use");
    refused("path = /x/{other.id}\nfor_each = other.id", "is of a stream other");
    refused("path = /x/{campaigns.id}\nfor_each = campaigns", "name a stream and a field");
    refused("path = /x/{campaigns.id}\nfor_each = campaigns.id[", "`for_each` names `campaigns.id[`");
}
