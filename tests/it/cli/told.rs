//! What a run leaves for the next, and what people are told of it: marks, failures that were mended, other holders.

use jiff::Timestamp;
use serde_json::Value;

use super::{CONFIG, Folder};

fn folder() -> Folder {
    let folder = Folder::new(CONFIG);
    folder.shop(
        "create table orders (id integer primary key, total decimal(10,2)); insert into orders values (1, '1.50');
         create table items (id integer primary key); create table users (id integer primary key);",
    );
    folder
}

/// A full load of `orders` that was begun, and has committed nothing.
fn begun() -> Folder {
    let folder = folder();
    folder.shop("insert into orders values (2, 'much')");
    folder.run("run orders").expect(65);
    folder
}

/// The error and the hint of a run that is refused.
fn refused(folder: &Folder, line: &str) -> String {
    let ended = folder.run(line).expect(73);
    ended.summary()["streams"][0]["error"].as_str().unwrap().to_owned() + &ended.err
}

#[test]
fn a_load_is_as_of_when_its_rows_were_read() {
    let folder = begun();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    folder.shop("update orders set total = '2.00' where id = 2; insert into orders values (3, '3.00')");
    let before = Timestamp::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
    let ended = folder.run("run orders").expect(0);
    assert_eq!(ended.summary()["rows"], 3);
    assert!(ended.err.contains("reading the table again: nothing is committed of the full load"), "{}", ended.err);
    let status = folder.run("status --stream orders").expect(0).out;
    let (_, shown) = status.split_once("all, as of ").unwrap();
    assert!(shown[..19] >= *before, "read at {before} or later: {status}");
}

/// The query that docs/job-log.md gives to schedulers.
fn alarms(folder: &Folder) -> Vec<String> {
    let docs = include_str!("../../../docs/job-log.md");
    let (_, query) = docs.split_once("-- Streams whose last run did not end well.\n").unwrap();
    let query = query.split_once(';').unwrap().0.replace("'main'", "'test'");
    let log = rusqlite::Connection::open(folder.join("tidemark.db")).unwrap();
    let mut statement = log.prepare(&query).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_section_that_is_mended_alarms_no_more() {
    let folder = folder();
    std::fs::write(folder.join("pipeline.conf"), CONFIG.replace("items, users", "items, user_*")).unwrap();
    folder.run("run rest").expect(2);
    assert_eq!(alarms(&folder), ["rest"]);
    std::fs::write(folder.join("pipeline.conf"), CONFIG).unwrap();

    folder.shop("alter table users rename to people");
    folder.run("run rest").expect(2);
    assert_eq!(alarms(&folder), ["rest.users"]);
    assert!(folder.run("status").expect(0).out.contains("failed"));

    folder.shop("alter table people rename to users");
    folder.run("run").expect(0);
    assert_eq!(alarms(&folder), Vec::<String>::new());
    let status: Value = serde_json::from_str(&folder.run("status --json").expect(0).out).unwrap();
    let streams = status["streams"].as_array().unwrap();
    let names: Vec<_> = streams.iter().map(|stream| stream["stream"].as_str().unwrap()).collect();
    assert_eq!(names, ["orders", "rest.items", "rest.users"]);
    assert!(streams.iter().all(|stream| stream["state"] == "done"), "{status}");

    folder.run("run rest.nope").expect(2);
    assert_eq!(alarms(&folder), Vec::<String>::new(), "a name that nothing has is no failure");
}

#[test]
fn columns_that_changed_between_two_loads_are_told() {
    let folder = folder();
    let said = "published with other columns than the load before";
    for _ in 0..2 {
        let ended = folder.run("run").expect(0);
        assert!(!ended.err.contains(said), "nothing has changed: {}", ended.err);
    }
    folder.shop(
        "drop table orders; create table orders (id integer primary key, total text, since date);
         insert into orders values (1, 'confidential', null);
         alter table items add column note text",
    );
    let ended = folder.run("run").expect(0);
    let about = |stream: &str| ended.err.lines().find(|line| line.contains(said) && line.contains(stream));
    let orders = about("stream=orders").unwrap_or_else(|| panic!("{}", ended.err));
    assert!(
        orders.contains("total was Decimal128(10, 2), decimal(10,2) at the source, is Utf8, TEXT at the source")
            && orders.contains("since came (Date32, date at the source)"),
        "{orders}"
    );
    assert!(about("stream=rest.items").is_some_and(|line| line.contains("note came (Utf8")), "{}", ended.err);
    assert!(about("stream=rest.users").is_none() && !ended.err.contains("confidential"), "{}", ended.err);
    // Told once: from now on this is the load before.
    assert!(!folder.run("run").expect(0).err.contains(said));

    folder.shop("alter table orders drop column since");
    let ended = folder.run("run orders").expect(0);
    assert!(ended.err.contains("since went (Date32, date at the source)"), "{}", ended.err);
}

/// A load with other columns is read, and neither published nor read again, until somebody decides.
#[test]
fn a_load_with_other_columns_is_refused_by_choice() {
    let folder = folder();
    let decide = |choice: &str| {
        let config = CONFIG.replace("table = orders\n", &format!("table = orders\non_schema_change = {choice}\n"));
        std::fs::write(folder.join("pipeline.conf"), config).unwrap();
    };
    decide("fail");
    folder.run("run").expect(0);
    let before = folder.run("files orders").expect(0).out;
    folder.shop("alter table orders add column note text; insert into orders (id, note) values (9, 'confidential')");
    for read in [true, false] {
        let ended = folder.run("run orders").expect(65);
        let stream = ended.summary()["streams"][0].clone();
        let error = stream["error"].as_str().unwrap();
        assert_eq!(stream["error_kind"], "schema");
        assert!(error.contains("the columns of table orders have changed: note came (Utf8"), "{error}");
        assert!(error.contains("on_schema_change = evolve") && !ended.err.contains("confidential"), "{error}");
        assert_eq!(ended.err.contains("continuing"), !read, "{}", ended.err);
        assert_eq!(folder.run("files orders").expect(0).out, before, "what was there before stands");
    }
    // What is read already is what is published.
    folder.shop("insert into orders (id) values (10)");
    let rows = folder.run("status --json").expect(0).out;
    assert!(rows.contains("schema"), "{rows}");
    decide("warn");
    let ended = folder.run("run orders").expect(0);
    let line = ended.err.lines().find(|line| line.contains("published with other columns than the load before"));
    assert!(line.is_some_and(|line| line.contains("WARN")), "{}", ended.err);
    assert!(ended.err.contains("published as an earlier run read it"), "{}", ended.err);
    decide("fail");
    folder.shop("alter table orders drop column note");
    folder.run("run orders").expect(65);
    // Whoever mends the table loads it anew.
    folder.shop("alter table orders add column note text");
    folder.run("run orders").expect(65);
    folder.run("run orders --full-refresh").expect(0);
}

#[test]
fn a_destination_that_is_behind_is_told_in_words() {
    let folder = folder();
    folder.run("run orders").expect(0);
    std::fs::remove_dir_all(folder.join("lake")).unwrap();
    let said = refused(&folder, "run orders");
    assert!(said.contains("(load of 20") && said.contains(" UTC), but the destination has no entry"), "{said}");
    assert!(!said.contains("chunks") && said.contains("--adopt-destination"), "{said}");
}

#[test]
fn a_lost_job_log_says_how_long_and_what_else() {
    let folder = begun();
    for file in ["tidemark.db", "tidemark.db-wal", "tidemark.db-shm"] {
        let _ = std::fs::remove_file(folder.join(file));
    }
    let said = refused(&folder, "run orders");
    assert!(said.contains("keeps another job log: refused until ") && said.contains(" UTC"), "{said}");
    let wanted = "Where the process is known to have ended, `tidemark run orders --take-over` is safe";
    assert!(said.contains(wanted), "{said}");
    folder.shop("delete from orders where id = 2");
    folder.run("run orders --take-over").expect(0);
}

#[test]
fn another_ones_stream_names_the_keys_to_change() {
    let folder = folder();
    folder.run("run orders").expect(0);
    std::fs::write(folder.join("pipeline.conf"), CONFIG.replace("name = test", "name = other")).unwrap();
    let said = refused(&folder, "run orders");
    assert!(said.contains("another `prefix` (for `local`, another `path`)"), "{said}");
    assert!(said.contains("stay until you delete them"), "{said}");
}

#[test]
fn the_keys_of_a_log_line_stand_before_what_to_do() {
    let folder = folder();
    folder.run("run orders").expect(0);
    std::fs::remove_dir_all(folder.join("lake")).unwrap();
    let said = folder.run("run orders").expect(73).err;
    let lines: Vec<_> = said.lines().collect();
    let failed = lines.iter().position(|line| line.contains("ERROR")).unwrap();
    assert!(lines[failed].ends_with("has no entry stream=orders error_kind=\"conflict\""), "{said}");
    assert!(lines[failed + 1].starts_with("  Is this the right bucket"), "{said}");
}

#[test]
fn names_of_columns_that_a_missing_table_keeps_unchecked_are_told() {
    let folder = folder();
    let write = |tables: &str, column: &str| {
        let config = format!("{}read_as_text = {column}\n", CONFIG.replace("items, users", tables));
        std::fs::write(folder.join("pipeline.conf"), config).unwrap();
    };
    write("items, gone", "idd");
    let ended = folder.run("run rest").expect(2);
    let summary = ended.summary();
    let mut states = summary["streams"].as_array().unwrap().iter().map(|s| (s["stream"].as_str(), s["state"].as_str()));
    assert!(states.any(|state| state == (Some("rest.items"), Some("done"))), "{summary}");
    let wanted = "names of columns could not be checked, since not all tables can be read: pipeline.conf:18: [stream rest] \
                  `read_as_text` names `idd`, which is no column that this stream reads (did you mean `id`?)";
    let line = ended.err.lines().find(|line| line.contains(wanted)).unwrap_or_else(|| panic!("{}", ended.err));
    assert!(line.contains("WARN") && line.ends_with("stream=\"rest\" unread=\"rest.gone\""), "{line}");
    write("items, users", "idd");
    assert!(folder.run("run rest").expect(2).err.contains("which is no column that this stream reads"));
    write("items, gone", "id");
    assert!(!folder.run("run rest").expect(2).err.contains("could not be checked"));
}

/// What is passed over is never read: so also a run that finds nothing new tells of it.
#[test]
fn times_that_do_not_sort_are_told_once() {
    let folder = Folder::new(&CONFIG.replace("table = orders", "table = orders\nmode = incremental\ncursor = at"));
    folder.shop(
        "create table orders (id integer primary key, at text); create table items (id integer); create table users (id);
         insert into orders (at) values ('2026-01-01 10:00:00'), ('2026-01-01 11:00:00.5')",
    );
    let told = |line: &str, words: &str| {
        let ended = folder.run(line).expect(0);
        (ended.out + &ended.err).matches(words).count()
    };
    let (noted, warned) = ("are written in another way than the last one", "are written in several ways");
    assert_eq!((told("check", noted), told("run orders", warned)), (0, 0), "more digits sort by time");
    folder.shop("insert into orders (at) values ('2026-01-01T09:00:00Z'), ('2026-01-01T12:00:00+02:00')");
    assert_eq!(told("check", noted), 1);
    for line in ["run orders", "run orders", "run orders --full-refresh"] {
        assert_eq!(told(line, warned), 1, "{line}");
    }
}
