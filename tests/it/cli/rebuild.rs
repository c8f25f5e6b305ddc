//! A job log that was lost, made anew from what the destinations know.

use std::fs;

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

/// A folder in which everything has run twice, with more rows the second time.
fn run_twice() -> Folder {
    let folder = Folder::new(CONFIG);
    folder.shop(SHOP);
    folder.run("run").expect(0);
    folder.shop("insert into orders values (4, '7.00'); insert into users values (1)");
    folder.run("run").expect(0);
    folder
}

fn lose_the_log(folder: &Folder) {
    for name in ["tidemark.db", "tidemark.db-wal", "tidemark.db-shm"] {
        let _ = fs::remove_file(folder.join(name));
    }
}

fn configure(folder: &Folder, from: &str, to: &str) {
    assert!(CONFIG.contains(from), "{from}");
    fs::write(folder.join("pipeline.conf"), CONFIG.replace(from, to)).unwrap();
}

/// What `status --json` says of streams and their runs, but for what lies between now and then.
fn status(folder: &Folder, but: &[&str]) -> Value {
    let said = folder.run("status --json --runs 9").expect(0).out;
    let mut report: Value = serde_json::from_str(&said).unwrap();
    let streams = report["streams"].as_array_mut().unwrap();
    for stream in streams {
        stream.as_object_mut().unwrap().remove("age_seconds");
        for name in but {
            stream.as_object_mut().unwrap().remove(*name);
            let runs = stream["runs"].as_array_mut().unwrap();
            runs.iter_mut().for_each(|run| drop(run.as_object_mut().unwrap().remove(*name)));
        }
    }
    report
}

/// Times of a run are those of its entries, when the log was lost.
const TIMES: &[&str] = &["started_at", "updated_at", "finished_at"];

#[test]
fn a_lost_log_is_made_anew() {
    let folder = run_twice();
    let before = status(&folder, TIMES);
    assert_eq!(before["streams"][0]["runs"].as_array().unwrap().len(), 2, "{before}");
    lose_the_log(&folder);
    let said = folder.run("status --rebuild").expect(0).out;
    let wanted = "orders: 2 runs in 6 entries of its commit log, 2 noted anew\n\
                  rest.items: 2 runs in 6 entries of its commit log, 2 noted anew\n\
                  rest.users: 2 runs in 6 entries of its commit log, 2 noted anew\n\nstream  ";
    assert!(said.starts_with(wanted) && said.contains("\norders      full  done      4"), "{said}");
    assert_eq!(status(&folder, TIMES), before);
    // Twice is the same, and with all of it there, nothing at all changes.
    let rebuilt = status(&folder, &[]);
    let said = folder.run("status --rebuild --stream rest").expect(0).out;
    assert!(said.starts_with("rest.items: 2 runs in 6 entries of its commit log, 0 noted anew\n"), "{said}");
    assert!(!said.contains("orders"), "{said}");
    folder.run("status --rebuild").expect(0);
    assert_eq!(status(&folder, &[]), rebuilt);
    folder.run("run").expect(0);
    let before = status(&folder, &[]);
    folder.run("status --rebuild").expect(0);
    assert_eq!(status(&folder, &[]), before);
}

#[test]
fn a_log_that_heard_of_the_end_alone_is_completed() {
    let folder = run_twice();
    let before = status(&folder, &["updated_at"]);
    let log = rusqlite::Connection::open(folder.join("tidemark.db")).unwrap();
    log.execute_batch("update job_log set commits = 0, rows = 0, bytes = 0 where stream = 'orders'").unwrap();
    drop(log);
    let said = folder.run("status --rebuild --json").expect(0).out;
    let report: Value = serde_json::from_str(&said).unwrap();
    let noted: Vec<_> = report["rebuilt"].as_array().unwrap().iter().map(|stream| &stream["noted"]).collect();
    assert_eq!(noted, [2, 0, 0]);
    assert_eq!(status(&folder, &["updated_at"]), before);
}

#[test]
fn streams_that_the_file_names_no_more_and_values_that_nobody_needs() {
    let folder = run_twice();
    lose_the_log(&folder);
    configure(&folder, "path = shop.db", "path = ${NOBODY_SETS_THIS}");
    let config = fs::read_to_string(folder.join("pipeline.conf")).unwrap();
    fs::write(folder.join("pipeline.conf"), config.replace("tables = items, users", "tables = items")).unwrap();
    let said = folder.run("status --rebuild").expect(0).out;
    assert!(said.contains("rest.users: 2 runs in 6 entries"), "{said}");
    assert!(said.contains("\nrest.users  full  done      1"), "{said}");
}

#[test]
fn what_cannot_be_read_fails_alone() {
    let folder = run_twice();
    lose_the_log(&folder);
    let more = "[destination absent]\ntype = local\npath = ${NOBODY_SETS_THIS}\n\
               [stream absent]\nsource = shop\ndestination = absent\ntable = orders\n\
               [stream new]\nsource = shop\ndestination = lake\ntable = orders\nas = new\n";
    fs::write(folder.join("pipeline.conf"), format!("{CONFIG}{more}")).unwrap();
    fs::remove_file(folder.join("lake/_commits/rest.users/00000000000000000003.json")).unwrap();
    let said = folder.run("status --rebuild").expect(2).out;
    for wanted in [
        "absent: failed (config): pipeline.conf:",
        "orders: 2 runs in 6 entries of its commit log, 2 noted anew\n",
        "rest.items: 2 runs in",
        "rest.users: failed (conflict): stream rest.users: ",
        "00003.json is missing from the commit log",
        "new: no commit log at the destination\n",
        "\nrest.items  full  done",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

#[cfg(feature = "s3")]
#[test]
fn a_destination_that_does_not_answer_fails_its_streams_alone() {
    let folder = run_twice();
    lose_the_log(&folder);
    let far = "[destination far]\ntype = s3\nbucket = b\nregion = eu-west-1\nendpoint = http://127.0.0.1:1\n\
               access_key = reader\nsecret_key = hunter2\n[stream far]\nsource = shop\ndestination = far\ntable = orders\n";
    fs::write(folder.join("pipeline.conf"), format!("{CONFIG}{far}")).unwrap();
    let said = folder.run("status --rebuild").expect(75).out;
    assert!(said.contains("far: failed (unavailable): stream far: ") && !said.contains("hunter2"), "{said}");
    assert!(said.contains("orders: 2 runs in 6 entries of its commit log, 2 noted anew\n"), "{said}");
}

#[test]
fn a_stream_of_another_pipeline_is_refused() {
    let folder = run_twice();
    lose_the_log(&folder);
    configure(&folder, "name = test", "name = other");
    let said = folder.run("status --rebuild --stream orders").expect(73).out;
    let wanted = "orders: failed (conflict): stream orders: a stream of this name at this destination is another one: its \
                  pipeline is \"test\", ours is \"other\"\n  Give the stream another name";
    assert!(said.starts_with(wanted) && said.contains("never"), "{said}");
}

#[test]
fn a_destination_that_has_less_is_refused() {
    let folder = run_twice();
    let before = status(&folder, &[]);
    configure(&folder, "path = lake", "path = other");
    let said = folder.run("status --rebuild --stream orders").expect(73).out;
    assert!(said.contains("the job log knows of entry 5 (load of 20"), "{said}");
    configure(&folder, "path = lake", "path = lake");
    assert_eq!(status(&folder, &[]), before);
}

#[tokio::test]
async fn a_run_that_is_under_way_is_left_alone() {
    let folder = run_twice();
    lose_the_log(&folder);
    let log = sqlite::JobLog::new(folder.join("tidemark.db"), Timing::default());
    let lease = log.lease("test", "orders").await.unwrap();
    let run = NewRun {
        run: "alive".to_owned(),
        pipeline: "test".to_owned(),
        stream: "orders".to_owned(),
        mode: Mode::Full,
        low_water_mark: None,
    };
    log.start(&run).await.unwrap();
    let ended: Ended = folder.run("status --rebuild").expect(73);
    let wanted = format!("orders: failed (conflict): stream orders is being run by process {} on ", std::process::id());
    assert!(ended.out.starts_with(&wanted), "{}", ended.out);
    assert!(ended.out.contains("rest.items: 2 runs in 6 entries of its commit log, 2 noted anew\n"), "{}", ended.out);
    let rows = log.runs("test", Some("orders"), 5).await.unwrap();
    assert_eq!(
        rows.iter().map(|row| (row.run_id.as_str(), row.state.as_str())).collect::<Vec<_>>(),
        [("alive", "running")]
    );
    lease.release().await;
}
