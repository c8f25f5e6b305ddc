//! Reports: ordered, waited for, fetched, and none of them twice where it can be helped.

use std::time::Duration;

use super::{assert_records, folder, lines};
use crate::api::{Fault, Length, Rule, Server, Settings, Shape, Tell};
use crate::program::Folder;

/// The keys of a stream whose order has this body; `format` is the file's.
fn keys(format: &str, order: &str) -> String {
    format!(
        "path = /reports\nmethod = post\nbody = {order}\nresponse_format = {format}\nreport_id = id\nreport_status_path = /reports/{{id}}\n\
         report_status = status\nreport_done = DONE\nreport_url = url\nreport_poll = 20ms"
    )
}

/// No poll is told to wait, as none is said to be running.
fn at_once() -> Server {
    Server::with(Settings { polls: 0, ..Settings::default() })
}

/// Waits until a path was asked for so often.
fn wait_for(server: &Server, path: &str, times: u64) {
    for _ in 0..3000 {
        if server.seen().asked(path) >= times {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{path} was asked for {} times", server.seen().asked(path));
}

/// CSV has no types: by its ids.
fn assert_ids(folder: &Folder, rows: u64) {
    let id = |line: &String| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        record["id"].as_u64().or_else(|| record["id"].as_str()?.parse().ok()).unwrap_or_else(|| panic!("no id: {line}"))
    };
    let mut ids: Vec<u64> = lines(folder).iter().map(id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=rows).collect::<Vec<_>>());
}

#[test]
fn every_format_and_every_place() {
    for (format, written) in [("json", "json"), ("json_lines", "jsonl"), ("csv", "csv")] {
        for gzip in [false, true] {
            for elsewhere in [false, true] {
                let server = at_once();
                let order = format!(r#"{{"format":"{written}","gzip":{gzip},"elsewhere":{elsewhere},"rows":1500}}"#);
                let folder = folder(&server, "", &keys(format, &order));
                folder.run("run", 0);
                match format {
                    "csv" => assert_ids(&folder, 1500),
                    _ => assert_records(&folder, Shape::Small, 1..=1500),
                }
                let seen = server.seen();
                assert_eq!(seen.requests, 3, "{order}: an order, a look, and the file");
                assert_eq!(seen.asked("/reports/1/download"), 1);
            }
        }
    }
}

#[test]
fn large_files_are_unpacked_beside_memory() {
    let server = at_once();
    let order = r#"{"format":"jsonl","gzip":true,"rows":300000}"#;
    let folder = folder(&server, "", &keys("json_lines", order));
    let ended = folder.start("run").end();
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_ids(&folder, 300_000);
    assert!(ended.peak < 128 << 10, "{} KiB", ended.peak);
}

#[test]
fn the_other_host_gets_no_secret_and_nobody_sees_the_link() {
    let server = Server::new();
    let source = "auth = bearer\ntoken = s3cr3t-t0ken";
    let order = r#"{"format":"csv","elsewhere":true,"rows":10,"polls":1}"#;
    // The file is refused once, so that the program has something to tell about it.
    server.behave(Rule::new(Fault::Status(500)).on("/reports/1/download").first(1));
    let folder = folder(&server, source, &keys("csv", order));
    let (_, said) = folder.run("run -vv", 0);
    assert!(said.contains("asking again"), "{said}");
    assert_ids(&folder, 10);
    let seen = server.seen();
    assert!(seen.leaks.is_empty(), "{:?}", seen.leaks);
    assert_eq!(seen.authorization.into_iter().collect::<Vec<_>>(), ["Bearer s3cr3t-t0ken"]);
    assert!(!said.contains("signature"), "{said}");
    for file in files(folder.path()) {
        let bytes = std::fs::read(&file).unwrap();
        let has = |secret: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!has(b"signature="), "{}", file.display());
    }
}

/// All files below a folder.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

#[test]
fn by_a_path_in_place_of_a_url() {
    let server = at_once();
    // This server wants a signature, which a path does not have: that it is refused shows what was asked for.
    let keys = keys("csv", "{}").replace("report_url = url", "report_path = /reports/{id}/download");
    let folder = folder(&server, "", &format!("{keys}\nretries = 0"));
    let (_, said) = folder.run("run", 77);
    assert!(said.contains("report 1: its file: the server answers 403 (Forbidden)"), "{said}");
    assert_eq!(server.seen().asked("/reports/1/download"), 1);
}

#[test]
fn reports_that_come_to_nothing_say_so() {
    let fails = |more: &str, order: &str, code: i32, said: &str| {
        let server = Server::new();
        let folder = folder(&server, "", &format!("{}\nretries = 0\n{more}", keys("json", order)));
        let (_, text) = folder.run("run", code);
        assert!(text.contains(said), "{text}");
        assert!(!super::has_files(&folder));
    };
    fails("", r#"{"fail":true,"polls":0}"#, 75, "report 1: it is FAILED, which is one of `report_failed`");
    fails("report_timeout = 2s", r#"{"polls":100}"#, 75, "report 1: it is still RUNNING after 2 s (`report_timeout`)");
    fails("fail_when = error exists", r#"{"odd":1}"#, 65, "one of `fail_when`");
}

/// Meets a fault at a path, and brings every record once all the same.
fn survives(fault: Fault, path: &str) {
    let server = Server::new();
    server.behave(Rule::new(fault.clone()).on(path).first(1));
    let keys = format!("{}\nretry_when = error.code in 4, 17", keys("json", r#"{"rows":500,"polls":1}"#));
    let folder = folder(&server, "silence_timeout = 1s", &keys);
    folder.run("run", 0);
    assert_records(&folder, Shape::Small, 1..=500);
    assert_eq!(server.seen().faults.values().sum::<u64>(), 1, "{fault:?} at {path} was not met");
}

#[test]
fn what_goes_wrong_on_the_way_is_asked_again() {
    for path in ["/reports", "/reports/1", "/reports/1/download"] {
        survives(Fault::SlowDown { status: 429, tell: Tell::Seconds, seconds: 0.2 }, path);
        survives(Fault::Status(500), path);
        survives(Fault::BodyError { status: 200, code: 17 }, path);
        survives(Fault::LoginPage, path);
        survives(Fault::Empty, path);
        survives(Fault::Halved { keep: 0.5 }, path);
        survives(Fault::Cut { keep: 0.5, length: Length::Whole }, path);
    }
}

#[test]
fn an_order_whose_answer_is_lost_is_made_again_and_no_record_comes_twice() {
    let server = at_once();
    server.behave(Rule::new(Fault::Reset).on("/reports").first(1));
    let folder = folder(&server, "", &keys("json", r#"{"rows":500}"#));
    folder.run("run", 0);
    assert_records(&folder, Shape::Small, 1..=500);
    assert_eq!(server.seen().asked("/reports"), 2);
    assert_eq!(server.seen().asked("/reports/1"), 0, "nobody knows of the first");
}

/// A run that was killed while its report was made, after it had time to write down which.
fn killed(server: &Server, order: &str) -> Folder {
    let folder = folder(server, "", &format!("{}\nretries = 0\ncommit_interval = 100ms", keys("json", order)));
    let run = folder.start("run");
    // Each look takes a second.
    wait_for(server, "/reports/1", 3);
    drop(run);
    folder
}

#[test]
fn a_killed_run_is_gone_on_with_and_nothing_is_ordered_anew() {
    let server = Server::new();
    let folder = killed(&server, r#"{"rows":500,"polls":5}"#);
    assert!(!super::has_files(&folder));
    folder.run("run", 0);
    assert_records(&folder, Shape::Small, 1..=500);
    let seen = server.seen();
    assert_eq!((seen.asked("/reports"), seen.asked("/reports/1/download")), (1, 1));
    // The next run is a load of its own.
    folder.run("run", 0);
    assert_eq!(server.seen().asked("/reports"), 2);
    assert_records(&folder, Shape::Small, 1..=500);
}

#[test]
fn a_report_that_is_lost_meanwhile_is_ordered_anew_once() {
    let server = Server::new();
    let folder = killed(&server, r#"{"rows":500,"polls":4}"#);
    server.behave(Rule::new(Fault::Status(404)).on("/reports/1"));
    folder.run("run", 0);
    assert_records(&folder, Shape::Small, 1..=500);
    assert_eq!(server.seen().asked("/reports"), 2);

    let server = Server::new();
    let folder = killed(&server, r#"{"fail":true,"polls":4}"#);
    let (_, said) = folder.run("run", 75);
    assert!(said.contains("report 2: it is FAILED"), "{said}");
    assert_eq!(server.seen().asked("/reports"), 2, "once");
}

/// What links to files come to when they are kept for too long, and what a report that was made badly stays.
#[test]
fn a_kept_report_whose_file_cannot_be_had_or_read_is_ordered_anew_once() {
    // One in memory, and one in a file, whose first records could have been sent on.
    for (fault, rows) in [(Fault::Status(403), 500), (Fault::BrokenRecord, 500), (Fault::BrokenRecord, 60_000)] {
        let server = Server::new();
        let folder = killed(&server, &format!(r#"{{"rows":{rows},"polls":4}}"#));
        server.behave(Rule::new(fault.clone()).on("/reports/1/download"));
        folder.run("run", 0);
        assert_ids(&folder, rows);
        assert_eq!(server.seen().asked("/reports"), 2, "{fault:?}");
    }
}

#[test]
fn no_kept_report_is_waited_for_in_every_run() {
    let server = Server::new();
    let folder = killed(&server, r#"{"rows":500,"polls":4}"#);
    for report in [1, 2] {
        server.behave(Rule::new(Fault::Status(403)).on(&format!("/reports/{report}/download")));
    }
    let (_, said) = folder.run("run", 77);
    assert!(said.contains("report 2: its file: the server answers 403"), "{said}");
    folder.run("run", 0);
    assert_ids(&folder, 500);
    assert_eq!(server.seen().asked("/reports"), 3);
}

#[test]
fn windows_are_reports_of_their_own() {
    let server = at_once();
    let keys = keys("json", r#"{"rows":50}"#);
    let more = "mode = incremental\ncursor = updated_at\ncursor_param = since\nuntil_param = until\ncursor_format = date\n\
                start = 2026-01-01\nstep = 7d";
    let folder = folder(&server, "", &format!("{keys}\n{more}"));
    folder.run("run", 0);
    let ordered = server.seen();
    let orders: Vec<_> = ordered.pages.keys().filter(|page| page.starts_with("POST /reports?")).collect();
    assert!(orders.len() > 1 && orders[0].contains("since=2026-01-01&until=2026-01-08"), "{orders:?}");
    assert_eq!(ordered.asked("/reports"), orders.len() as u64);
    // This server gives the same records for each: those of the first window are before the others.
    assert_records(&folder, Shape::Small, 1..=50);
}

#[test]
fn a_check_orders_nothing_and_refuses_what_is_incomplete() {
    let server = Server::new();
    let whole = folder(&server, "", &keys("csv", "{}"));
    whole.run("check", 0);
    assert_eq!(server.seen().asked("/reports"), 0);
    let refuses = |lines: &str, said: &str| {
        let folder = folder(&server, "", lines);
        let (_, text) = folder.run("check", 2);
        assert!(text.contains(said), "{text}");
    };
    refuses(&keys("csv", "{}").replace("report_done = DONE\n", ""), "needs `report_done`");
    refuses(&format!("{}\npagination = page", keys("csv", "{}")), "has no pages");
}

#[test]
fn what_the_source_says_of_pages_is_not_of_reports() {
    let server = at_once();
    let pages = "pagination = page\npage_size_param = limit\npage_size = 10\nhas_more = more";
    let folder = folder(&server, pages, &keys("json", r#"{"rows":50}"#));
    folder.run("run", 0);
    assert_ids(&folder, 50);
    assert_eq!(server.seen().requests, 3);
}
