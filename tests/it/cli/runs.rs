//! Whole runs, from a SQLite file to files on disk.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::Value;
use tidemark::job_log::{JobLog, NewRun, Timing, sqlite};
use tidemark::record::Mode;

use super::{CONFIG, Ended, Folder};

const SHOP: &str = "
create table orders (id integer primary key, total decimal(10,2));
insert into orders values (1, '1.50'), (2, '20.00'), (3, '0.05');
create table items (id integer primary key);
insert into items values (1), (2);
create table users (id integer primary key);
";

fn folder() -> Folder {
    let folder = Folder::new(CONFIG);
    folder.shop(SHOP);
    folder
}

#[test]
fn a_run_ends_with_a_line_that_sums_it_up() {
    let folder = folder();
    let ended = folder.run("run").expect(0);
    assert_eq!(ended.out.lines().count(), 1, "a table is for terminals: {}", ended.out);
    let summary = ended.summary();
    assert_eq!(
        (&summary["pipeline"], &summary["state"], &summary["rows"]),
        (&"test".into(), &"done".into(), &5.into())
    );
    assert_eq!((&summary["exit_code"], &summary["error"]), (&0.into(), &Value::Null));
    let streams = summary["streams"].as_array().unwrap();
    let names: Vec<_> = streams.iter().map(|stream| stream["stream"].as_str().unwrap()).collect();
    assert_eq!(names, ["orders", "rest.items", "rest.users"]);
    let orders = &streams[0];
    assert_eq!((&orders["mode"], &orders["state"], &orders["rows"]), (&"full".into(), &"done".into(), &3.into()));
    assert_eq!((&orders["files"], &orders["error"], &orders["error_kind"]), (&1.into(), &Value::Null, &Value::Null));
    assert!(
        orders["bytes"].as_u64().unwrap() > 0 && orders["seconds"].is_f64() && orders["high_water_mark"].is_string()
    );
    // Standard error: a line when a stream is planned and one at its end, without colours.
    let about_orders: Vec<_> = ended.err.lines().filter(|line| line.contains("stream=orders")).collect();
    assert_eq!(about_orders.len(), 2, "{}", ended.err);
    assert!(about_orders[0].contains("planned") && about_orders[1].contains("rows=3"), "{}", ended.err);
    assert!(!ended.err.contains('\u{1b}'), "{}", ended.err);
}

#[test]
fn json_logs_are_json_throughout() {
    let ended = folder().run("run orders --log-format json -v").expect(0);
    let events: Vec<Value> = ended.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let end = events.iter().find(|event| event["message"] == "done").unwrap();
    assert_eq!((&end["stream"], &end["rows"], &end["level"]), (&"orders".into(), &3.into(), &"INFO".into()));
    assert!(end["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn quiet_says_nothing_of_what_is_well() {
    let ended = folder().run("run -q").expect(0);
    assert_eq!(ended.err, "");
}

#[test]
fn a_table_of_a_pattern_that_another_stream_writes_is_left_to_it() {
    let folder = Folder::new(&CONFIG.replace("tables = items, users", "tables = *"));
    folder.shop(SHOP);
    let wanted = "pipeline.conf:17: [stream rest] writes to `orders`, as [stream orders] does: \
                  read it in a section of its own, with `as`";
    for command in ["run", "run rest"] {
        let summary = folder.run(command).expect(2).summary();
        let streams = summary["streams"].as_array().unwrap();
        let of = |name: &str| streams.iter().find(|stream| stream["stream"] == name).unwrap();
        assert_eq!((&of("rest.orders")["state"], &of("rest.orders")["error"]), (&"failed".into(), &wanted.into()));
        assert_eq!(of("rest.items")["state"], "done");
    }
    let parts = std::fs::read_dir(folder.join("lake/orders")).unwrap();
    let mine = |name: &str| name.starts_with("rest");
    assert!(!parts.into_iter().any(|entry| mine(entry.unwrap().file_name().to_str().unwrap())));
    assert!(!folder.join("lake/_commits/rest.orders").exists());
    assert!(folder.run("check").expect(2).out.contains(wanted));
}

#[test]
fn status_files_and_check() {
    let folder = folder();
    let before = folder.run("status").expect(0).out;
    assert!(before.lines().skip(1).all(|line| line.trim_end().ends_with("never")), "{before}");
    assert!(!folder.join("tidemark.db").exists(), "looking makes nothing");
    folder.run("files orders").expect(2);

    folder.run("run").expect(0);
    let status = folder.run("status").expect(0).out;
    let line = status.lines().find(|line| line.starts_with("orders")).unwrap();
    let cells: Vec<_> = line.split_whitespace().collect();
    assert_eq!(cells[..4], ["orders", "full", "done", "3"], "{status}");
    assert!(line.contains("all, as of 20") && line.ends_with("s ago"), "{status}");

    folder.run("run orders").expect(0);
    let status: Value =
        serde_json::from_str(&folder.run("status --json --runs 5 --stream orders").expect(0).out).unwrap();
    let streams = status["streams"].as_array().unwrap();
    assert_eq!((streams.len(), streams[0]["runs"].as_array().unwrap().len()), (1, 2));
    assert_eq!(
        (&streams[0]["state"], &streams[0]["rows"], &streams[0]["why"]),
        (&"done".into(), &3.into(), &Value::Null)
    );
    let runs = folder.run("status --runs 5 --stream orders").expect(0).out;
    assert_eq!(runs.lines().count(), 3, "{runs}");

    let files = folder.run("files orders").expect(0).out;
    let files: Vec<_> = files.lines().collect();
    assert_eq!(files.len(), 1);
    assert!(std::fs::read_to_string(files[0]).unwrap().contains("20.00"));

    // Of a section with several streams: one of them, or all.
    let lake = folder.path().canonicalize().unwrap().join("lake");
    for (stream, tables) in
        [("rest.items", &["items"][..]), ("rest", &["items", "users"]), ("rest.*", &["items", "users"])]
    {
        let files = folder.run(&format!("files {stream}")).expect(0).out;
        assert_eq!(files.lines().count(), tables.len(), "{stream}: {files}");
        assert!(
            files.lines().zip(tables).all(|(file, table)| std::path::Path::new(file).starts_with(lake.join(table)))
        );
    }
    folder.run("files rest.nothing").expect(2);

    let check = folder.run("check").expect(0).out;
    assert!(check.starts_with("pipeline.conf: ok\n  1 source, 1 destination, 2 streams\n"), "{check}");
    assert!(check.contains("\njob_log: ok\n  SQLite file "), "{check}");
    let column = check.lines().find(|line| line.trim_start().starts_with("total")).unwrap();
    assert!(column.contains("decimal(10,2)") && column.contains("Decimal128(10, 2)"), "{check}");
}

#[test]
fn one_bad_stream_does_not_stop_the_others() {
    let folder = folder();
    folder.shop("drop table orders");
    let ended = folder.run("run");
    let summary = ended.summary();
    assert_eq!(summary["state"], "failed");
    let streams = summary["streams"].as_array().unwrap();
    let state = |name: &str| streams.iter().find(|stream| stream["stream"] == name).unwrap();
    assert_eq!(state("rest.items")["state"], "done");
    assert_eq!(state("orders")["state"], "failed");
    assert!(state("orders")["error"].as_str().unwrap().contains("orders"));
    assert_eq!(summary["exit_code"], ended.code.unwrap());
    assert_ne!(ended.code, Some(0));
    assert!(ended.err.lines().any(|line| line.contains("ERROR") && line.contains("stream=orders")), "{}", ended.err);
    assert_eq!(folder.run("check").code, ended.code);
}

#[test]
fn a_table_that_is_missing_fails_alone() {
    let folder = folder();
    folder.shop("alter table users rename to user; create view broken as select * from gone");
    std::fs::write(folder.join("pipeline.conf"), CONFIG.replace("items, users", "items, users, broken, users"))
        .unwrap();
    let ended = folder.run("run").expect(2);
    let summary = ended.summary();
    let of = |stream: &Value| {
        let text = |key: &str| stream[key].as_str().unwrap_or_default().to_owned();
        (text("stream"), text("state"), text("error_kind"))
    };
    let streams: Vec<_> = summary["streams"].as_array().unwrap().iter().map(of).collect();
    let wanted = [
        ("orders", "done", ""),
        ("rest.broken", "failed", "schema"),
        ("rest.items", "done", ""),
        ("rest.users", "failed", "config"),
    ];
    let wanted = wanted.map(|(stream, state, kind)| (stream.to_owned(), state.to_owned(), kind.to_owned()));
    assert_eq!(streams, wanted);
    let missing = "names `users`, which is no table or view of shop.db (did you mean `user`?)";
    assert!(summary["streams"][3]["error"].as_str().unwrap().contains(missing), "{summary}");
    // The job log has it too, under the name of its stream.
    let status = folder.run("status --stream rest.users").expect(0).out;
    assert!(status.contains("failed") && status.contains(missing), "{status}");
    let check = folder.run("check").expect(2).out;
    assert!(check.contains("\nstream rest: ok\n") && check.contains("\n  rest.items: reads items"), "{check}");
    assert!(check.contains("\nstream rest.users: failed (config)\n") && check.contains(missing), "{check}");
    folder.run("run rest.items").expect(0);

    std::fs::write(folder.join("pipeline.conf"), CONFIG.replace("items, users", "items, none_*")).unwrap();
    let summary = folder.run("run rest").expect(2).summary();
    assert_eq!((&summary["streams"][0]["stream"], &summary["streams"][1]), (&"rest".into(), &Value::Null));
}

fn job_log(folder: &Folder) -> sqlite::JobLog {
    sqlite::JobLog::new(folder.join("tidemark.db"), Timing::default())
}

#[tokio::test]
async fn a_stream_that_is_held_is_refused_at_once() {
    let folder = folder();
    let lease = job_log(&folder).lease("test", "orders").await.unwrap();
    let ended = folder.run("run").expect(73);
    let summary = ended.summary();
    let orders = summary["streams"].as_array().unwrap().iter().find(|stream| stream["stream"] == "orders").unwrap();
    assert_eq!(orders["error_kind"], "conflict");
    let error = orders["error"].as_str().unwrap();
    assert!(error.contains(&format!("is being run by process {} on ", std::process::id())), "{error}");
    lease.release().await;
    folder.run("run").expect(0);
}

#[tokio::test]
async fn a_dead_run_shows_as_such_and_the_next_closes_it() {
    let folder = folder();
    let run = NewRun {
        run: "dead".to_owned(),
        pipeline: "test".to_owned(),
        stream: "orders".to_owned(),
        mode: Mode::Full,
        low_water_mark: None,
    };
    job_log(&folder).start(&run).await.unwrap();
    let status = folder.run("status").expect(0).out;
    assert!(status.contains("running?"), "{status}");
    assert!(status.contains("orders: running? no process holds the stream"), "{status}");
    folder.run("run orders").expect(0);
    let status = folder.run("status --runs 2 --stream orders").expect(0).out;
    assert!(status.contains("orders dead: unavailable (the process died without recording its end)"), "{status}");
}

#[test]
fn an_unfinished_load_is_read_again_or_given_up() {
    let folder = folder();
    folder.shop("insert into orders values (4, 'much')");
    folder.run("run orders").expect(65);
    let ended = folder.run("run orders").expect(65);
    assert!(ended.err.contains("reading the table again"), "{}", ended.err);
    std::fs::write(folder.join("pipeline.conf"), CONFIG.replace("name = test", "name = test\nresume_within = 0s"))
        .unwrap();
    folder.shop("delete from orders where id = 4");
    let ended = folder.run("run orders").expect(0);
    assert!(ended.err.contains("giving up a full load"), "{}", ended.err);
}

/// A stream without end.
fn endless() -> Folder {
    let query = "
query = with recursive n (i) as (select 1 union all select i + 1 from n) select i from n
column_types = i integer
";
    let folder = Folder::new(&CONFIG.replace("\ntable = orders\n", query));
    folder.shop(SHOP);
    folder
}

/// Waits until rows have arrived in a file that is being written.
fn under_way(child: &mut Child, folder: &Folder) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !has_rows(&folder.join("")) {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a data file below the folder, temporary or not, has grown beyond a header.
fn has_rows(folder: &Path) -> bool {
    std::fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        match path.is_dir() {
            true => name != "_commits" && has_rows(&path),
            false => name.contains("orders") && entry.metadata().is_ok_and(|file| file.len() > 1000),
        }
    })
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
}

fn end_of(mut child: Child) -> Ended {
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        err.read_to_string(&mut text).unwrap();
        text
    });
    let mut text = String::new();
    out.read_to_string(&mut text).unwrap();
    Ended { code: child.wait().unwrap().code(), out: text, err: reader.join().unwrap() }
}

#[test]
fn the_first_signal_stops_at_a_safe_place() {
    let folder = endless();
    let mut child = folder.start("run orders");
    under_way(&mut child, &folder);
    let asked = Instant::now();
    signal(&child, "TERM");
    let ended = end_of(child).expect(143);
    assert!(asked.elapsed() < Duration::from_secs(5), "waited for a checkpoint that no full load has on the way");
    let summary = ended.summary();
    assert_eq!((&summary["state"], &summary["exit_code"]), (&"stopped".into(), &143.into()));
    assert!(ended.err.contains("stopping at the next safe point"), "{}", ended.err);
    assert!(ended.err.contains("the next run reads the table again from its beginning"), "{}", ended.err);
    let status = folder.run("status").expect(0).out;
    assert!(status.lines().any(|line| line.starts_with("orders") && line.contains("stopped")), "{status}");
}

#[test]
fn the_second_signal_ends_at_once() {
    let folder = endless();
    let mut child = folder.start("run orders");
    under_way(&mut child, &folder);
    // The first one is held up where the end is to be noted.
    let log = rusqlite::Connection::open(folder.join("tidemark.db")).unwrap();
    log.execute_batch("begin immediate").unwrap();
    let start = Instant::now();
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, "INT");
    let ended = end_of(child).expect(130);
    assert!(start.elapsed() < Duration::from_secs(5));
    drop(log);
    let summary = ended.summary();
    assert_eq!((&summary["state"], &summary["error"]), (&"failed".into(), &"ended at once by a second signal".into()));
    // The process is gone, so its lease is free.
    let status = folder.run("status").expect(0).out;
    // Whether it came to give it back itself is a matter of luck.
    let free = status.contains("has ended") || status.contains("no process holds the stream");
    assert!(status.contains("running?") && free, "{status}");
}

#[test]
fn a_scheduler_may_name_the_mode() {
    let folder = folder();
    let run = |line: &str, run_type: &str| -> Ended {
        folder.command(line).env("RUN_TYPE", run_type).output().unwrap().into()
    };
    for (line, run_type) in [("run", "full"), ("run", ""), ("run --mode full", "incremental"), ("run --mode full", "x")]
    {
        assert_eq!(run(line, run_type).expect(0).summary()["streams"][0]["mode"], "full", "{line} {run_type}");
    }
    // As far as the source goes: no further than with the option.
    let wanted = folder.run("run --mode incremental");
    let ended = run("run", "incremental");
    assert_eq!((ended.code, ended.summary()["error"].clone()), (wanted.code, wanted.summary()["error"].clone()));
    for other in ["cdc", "Full", "hunter2"] {
        let summary = run("run", other).expect(2).summary();
        assert_eq!((&summary["error_kind"], &summary["exit_code"]), (&"config".into(), &2.into()));
        let said = summary["error"].as_str().unwrap();
        assert!(said.starts_with("RUN_TYPE: must be `full` or `incremental`, or empty\n"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    // No other command asks for it.
    run("status", "hunter2").expect(0);
}

#[test]
fn a_retry_of_what_did_not_fail_writes_nothing() {
    let folder = folder();
    folder.run("run").expect(0);
    let before = folder.run("status --json --runs 9").expect(0).out;
    let ended = folder.run("retry orders rest").expect(0);
    let summary = ended.summary();
    let notes: Vec<_> = summary["streams"].as_array().unwrap().iter().map(|stream| &stream["note"]).collect();
    assert_eq!(notes, ["nothing to ask again"; 3]);
    let runs = |text: &str| serde_json::from_str::<Value>(text).unwrap()["streams"][0]["runs"].clone();
    assert_eq!(runs(&folder.run("status --json --runs 9").expect(0).out), runs(&before));
    folder.run("retry nope").expect(2);
    folder.run("retry").expect(2);
}
