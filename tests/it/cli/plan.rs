//! `tidemark plan`, and parts of a plan, by the real program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{CONFIG, Folder};

const SHOP: &str = "
create table orders (id integer primary key, total decimal(10,2));
insert into orders values (1, '1.50'), (2, '20.00');
create table items (id integer primary key); insert into items values (1);
create table users (id integer primary key); insert into users values (1);
";

fn folder() -> Folder {
    let folder = Folder::new(CONFIG);
    folder.shop(SHOP);
    folder
}

/// Every file below, with what it holds.
fn all(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(all(&path)),
            // SQLite's own, which come and go with whoever reads.
            false if path.to_string_lossy().ends_with("-shm") || path.to_string_lossy().ends_with("-wal") => {}
            // Whoever opens a database moves into it what the last one left in the log: its rows are what counts.
            false if path.extension().is_some_and(|extension| extension == "db") => {
                drop(found.insert(path.clone(), rows(&path).into_bytes()));
            }
            false => drop(found.insert(path.clone(), fs::read(path).unwrap())),
        }
    }
    found
}

/// All that a database holds, in words.
fn rows(path: &Path) -> String {
    let database = rusqlite::Connection::open(path).unwrap();
    let names = "select name from sqlite_schema where type = 'table' order by name";
    let mut names = database.prepare(names).unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let mut all = String::new();
    for name in names {
        let mut statement = database.prepare(&format!("select * from \"{name}\"")).unwrap();
        let count = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<_> = (0..count).map(|at| format!("{:?}", row.get_ref(at).unwrap())).collect();
            all.push_str(&format!("{name}: {}\n", cells.join(", ")));
        }
    }
    all
}

#[test]
fn a_plan_leaves_no_trace() {
    let folder = folder();
    let before = all(folder.path());
    let text = folder.run("plan").expect(0).out;
    assert!(text.contains("orders      full      1") && text.contains("select \"id\", \"total\""), "{text}");
    folder.run("plan --json").expect(0);
    assert_eq!(all(folder.path()), before, "no job log, no folder of the destination");

    folder.run("run").expect(0);
    let before = all(folder.path());
    let text = folder.run("plan --json rest").expect(0).out;
    assert!(text.contains("\"rest.items\"") && !text.contains("\"orders\""), "{text}");
    folder.run("plan").expect(0);
    assert_eq!(all(folder.path()), before);
}

#[test]
fn parts_of_a_plan_are_the_run() {
    let folder = folder();
    let plan = folder.run("plan --json").expect(0).out;
    fs::write(folder.join("plan.json"), &plan).unwrap();
    let summary = folder.run("run --plan plan.json --part 0,2").expect(0).summary();
    let streams = summary["streams"].as_array().unwrap();
    let names: Vec<_> = streams.iter().map(|stream| stream["stream"].as_str().unwrap()).collect();
    assert!(names[0].starts_with("orders/g") && names[1].starts_with("rest.users/g"), "{names:?}");
    assert_eq!((summary["rows"].as_u64(), summary["state"].as_str()), (Some(3), Some("done")));
    // Again, and from standard input.
    let mut again = folder.command("run --plan - --part 0-2");
    let again: super::Ended = again.stdin(fs::File::open(folder.join("plan.json")).unwrap()).output().unwrap().into();
    assert_eq!(again.expect(0).summary()["rows"], 1);
    let status = folder.run("status").expect(0).out;
    assert_eq!(status.lines().count(), 4, "{status}");
    assert_eq!(folder.run("files orders").expect(0).out.lines().count(), 1);
}

#[test]
fn what_is_no_part_of_a_plan_is_refused() {
    let folder = folder();
    fs::write(folder.join("plan.json"), folder.run("plan orders --json").expect(0).out).unwrap();
    fs::write(folder.join("other.json"), "{}").unwrap();
    for (line, code, words) in [
        ("--plan missing.json --part 0", 2, "the plan cannot be read: missing.json"),
        ("--plan other.json --part 0", 2, "other.json is no plan"),
        ("--plan plan.json --part 1", 2, "the plan has no part 1, only 0 to 0"),
    ] {
        let summary = folder.run(&format!("run {line}")).expect(code).summary();
        assert!(summary["error"].as_str().unwrap().contains(words), "{line}: {summary}");
    }
    assert!(!folder.join("tidemark.db").exists());
    fs::write(folder.join("pipeline.conf"), CONFIG.replace("name = test", "name = other")).unwrap();
    let summary = folder.run("run --plan plan.json --part 0").expect(73).summary();
    assert!(summary["error"].as_str().unwrap().contains("one of pipeline test, not of other"), "{summary}");
    fs::write(folder.join("pipeline.conf"), CONFIG.replace("table = orders", "table = orders\nwhere = id > 1"))
        .unwrap();
    let summary = folder.run("run --plan plan.json --part 0").expect(73).summary();
    let error = summary["streams"][0]["error"].as_str().unwrap();
    assert!(error.contains("another definition of orders") && error.contains("Make a new plan"), "{error}");
}

/// Whatever the cursor, and whatever is read again: a load anew brings all rows, each time.
#[test]
fn a_refresh_brings_all_rows() {
    for keys in ["cursor = id", "cursor = id\nlookback = 2", "cursor = total", "cursor = total, id"] {
        let config = CONFIG.replace("table = orders\n", &format!("table = orders\nmode = incremental\n{keys}\n"));
        let folder = Folder::new(&config);
        folder.shop(SHOP);
        folder.shop("insert into orders values (3, '3.00'), (4, '3.00'), (5, '3.00')");
        let count: i64 = {
            let shop = rusqlite::Connection::open(folder.join("shop.db")).unwrap();
            shop.query_row("select count(*) from orders", [], |row| row.get(0)).unwrap()
        };
        for line in ["run orders", "run orders --full-refresh", "run orders --mode full", "run orders --mode full"] {
            assert_eq!(folder.run(line).expect(0).summary()["rows"], count, "{keys}: {line}");
        }
        assert_eq!(folder.run("run orders").expect(0).summary()["rows"], 0, "{keys}");
    }
}

/// The plan of a load anew shows it, and its part loads anew once, however often it is run.
#[test]
fn a_plan_of_a_refresh_is_one() {
    let config = CONFIG.replace("table = orders\n", "table = orders\nmode = incremental\ncursor = id\n");
    let folder = Folder::new(&config);
    folder.shop(SHOP);
    folder.run("run").expect(0);
    let before = all(&folder.join("lake"));
    assert!(folder.run("plan orders").expect(0).out.contains("nothing new"));
    let text = folder.run("plan orders --full-refresh").expect(0).out;
    assert!(text.contains("a load anew, by one process") && !text.contains("nothing new"), "{text}");
    // What is asked for as a load is one: it begins anew too.
    assert!(folder.run("plan orders --mode full").expect(0).out.contains("a load anew"));
    let plan = folder.run("plan --full-refresh --json").expect(0).out;
    assert!(all(&folder.join("lake")) == before, "something was written");

    fs::write(folder.join("plan.json"), &plan).unwrap();
    folder.shop("insert into orders values (3, '3.00')");
    let rows =
        |part: &str| folder.run(&format!("run --plan plan.json --part {part}")).expect(0).summary()["rows"].clone();
    // The last value may come again, and is left to the stream, which goes on at once.
    assert_eq!(rows("0"), 3, "all, the last among them");
    assert_eq!(rows("0"), 0, "it is not loaded again");
    folder.shop("insert into orders values (4, '4.00')");
    assert_eq!(rows("0"), 1, "what is new");
    assert_eq!(rows("1-2"), 2);
}
