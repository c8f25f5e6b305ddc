//! Incremental streams run by the program: loads that they begin with, among writers; and what a run says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::task::{JoinHandle, block_in_place};

use super::database::{Database, connect};
use crate::program::Folder;

/// A folder whose pipeline reads a database into files below itself.
fn folder(database: &Database, streams: &str) -> Folder {
    Folder::new(&format!(
        "[pipeline]\nparallel = 1\n[source shop]\ntype = postgres\nurl = {}\n\
         [destination lake]\ntype = local\npath = lake\nformat = json\ncompression = none\n{streams}",
        database.url
    ))
}

fn stream(name: &str, keys: &str) -> String {
    format!("[stream {name}]\nsource = shop\ndestination = lake\n{keys}\n")
}

/// The rows of a stream's live files: `_seq`, id, version.
fn live(folder: &Folder, stream: &str) -> Vec<(i64, i64, i64)> {
    let mut rows = Vec::new();
    for file in folder.live_files(stream) {
        let path = file.strip_prefix("file://").unwrap_or(&file);
        let text = std::fs::read_to_string(folder.path().join(path)).unwrap_or_else(|e| panic!("{file}: {e}"));
        for line in text.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let number = |name: &str| row[name].as_i64().unwrap_or_else(|| panic!("{name} in {line}"));
            rows.push((number("_seq"), number("id"), number("version")));
        }
    }
    rows.sort_unstable();
    rows
}

/// No version of a row is there twice, and the newest of each is what the table holds.
async fn check(folder: &Folder, database: &Database, name: &str) {
    let rows = live(folder, name);
    let mut newest = BTreeMap::new();
    let mut versions: Vec<_> = rows.iter().map(|(_, id, version)| (*id, *version)).collect();
    for (_, id, version) in &rows {
        newest.insert(*id, *version);
    }
    versions.sort_unstable();
    let twice: Vec<_> = versions.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    assert!(twice.is_empty(), "{name}: twice: {twice:?}");
    let sql = format!("select id || ' ' || version from {name} order by id");
    let table: Vec<_> = database.texts(&sql).await.into_iter().flatten().collect();
    let newest: Vec<_> = newest.iter().map(|(id, version)| format!("{id} {version}")).collect();
    let lost: Vec<_> = table.iter().filter(|row| !newest.contains(row)).take(20).collect();
    assert!(table == newest, "{name}: {} of {} rows, lost: {lost:?}", newest.len(), table.len());
}

/// Writers that add and change rows of tables until they are told to stop.
struct Writers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Writers {
    async fn start(database: &Database, tables: &[&'static str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for (number, table) in (0..).zip([tables, tables].concat()) {
            let (session, stop) = (connect(&database.url).await, stop.clone());
            tasks.push(tokio::spawn(async move {
                let mut id = 1_000_000 + number;
                while !stop.load(Ordering::Relaxed) {
                    id += 10;
                    // Of its own third of the rows, so that nobody waits for another.
                    let changed = (id / 10 * 3 + number) % 4000;
                    session.batch_execute(&format!("begin; insert into {table} (id) values ({id})")).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(u64::try_from(id % 60).unwrap())).await;
                    let change = format!(
                        "update {table} set version = version + 1, touched = now() where id = {changed} and id % 4 = {}",
                        number % 4
                    );
                    session.batch_execute(&format!("{change}; commit")).await.unwrap();
                }
            }));
        }
        Self { stop, tasks }
    }

    async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

async fn make_tables(database: &Database, tables: &[&str]) {
    for table in tables {
        database
            .run(&format!(
                "create table {table} (id int primary key, version int not null default 0,
                     touched timestamptz not null default now());
                 create index on {table} (touched); insert into {table} select generate_series(0, 3999); analyze {table}"
            ))
            .await;
    }
}

/// A first load in chunks, and what grows after it: nothing between them, and nothing in both.
pub async fn a_load_in_chunks_hands_over(server: &str) {
    let database = Database::create(server).await;
    make_tables(&database, &["t"]).await;
    let keys = "table = t\nmode = incremental\ncursor = touched\nchunk_rows = 150\nsettle = 10s";
    let folder = folder(&database, &stream("t", keys));
    let writers = Writers::start(&database, &["t"]).await;
    block_in_place(|| folder.run("run", 0));
    assert!(folder.live_files("t").len() > 5, "{:?}", folder.live_files("t"));
    for line in ["run", "run", "run --full-refresh", "run"] {
        block_in_place(|| folder.run(line, 0));
    }
    writers.stop().await;
    block_in_place(|| folder.run("run", 0));
    check(&folder, &database, "t").await;
    let before = live(&folder, "t");
    block_in_place(|| folder.run("run", 0));
    assert_eq!(live(&folder, "t"), before, "nothing new");
    // Numbers that come again: the load leaves the last of them to the stream.
    block_in_place(|| {
        let keys = keys.replace("cursor = touched", "cursor = version, id");
        let by_version = self::folder(&database, &stream("t", &keys));
        by_version.run("run", 0);
        by_version.run("run", 0);
        let mut rows: Vec<_> = live(&by_version, "t").into_iter().map(|(_, id, _)| id).collect();
        rows.sort_unstable();
        let mut all: Vec<_> = before.iter().map(|(_, id, _)| *id).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(rows, all);
    });
}

/// The snapshot of the run is older than the mark of the streams that grow: what was committed in between is theirs.
pub async fn a_snapshot_of_the_run_loses_nothing_that_grows(server: &str) {
    let database = Database::create(server).await;
    make_tables(&database, &["b", "c"]).await;
    database.run("create table a as select generate_series(1, 600) as id").await;
    let mut streams = stream("a", "query = select id, pg_sleep(0.003)::text from a\nconsistency = run");
    for table in ["b", "c"] {
        let keys = format!("table = {table}\nmode = incremental\ncursor = touched\nconsistency = run\nsettle = 10s");
        streams.push_str(&stream(table, &keys));
    }
    let folder = folder(&database, &streams);
    let writers = Writers::start(&database, &["b", "c"]).await;
    for line in ["run", "run", "run --full-refresh", "run"] {
        block_in_place(|| folder.run(line, 0));
    }
    writers.stop().await;
    for _ in 0..2 {
        block_in_place(|| folder.run("run", 0));
    }
    for table in ["b", "c"] {
        check(&folder, &database, table).await;
    }
}

/// What is left out, comes again or holds the mark is said, with numbers and names.
pub async fn runs_say_what_they_leave_out(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "create table n (id int primary key, version int default 0, v int);
             insert into n (id, v) values (1, null), (2, 5), (3, null);
             create table k (id int, version int default 0, v int);
             insert into k (id, v) select x, 7 from generate_series(1, 9) x;
             create table f (id int primary key, version int default 0, at timestamptz);
             insert into f (id, at) values (1, '2024-01-01'), (2, now() + interval '2 days'), (3, 'infinity')",
        )
        .await;
    let keys = |table: &str, cursor: &str, more: &str| {
        stream(table, &format!("table = {table}\nmode = incremental\ncursor = {cursor}\nsettle = 300ms\n{more}"))
    };
    let of_table = [keys("n", "v", ""), keys("k", "v", "max_ties = 4"), keys("f", "at", "infinity = null")].concat();
    let folder = folder(&database, &of_table);
    let (_, said) = block_in_place(|| folder.run("run n", 0));
    assert!(says(&said, "rows whose cursor is null are left out", "rows=2"), "{said}");
    let (_, said) = block_in_place(|| folder.run("run k", 0));
    assert!(says(&said, "there are more than `max_ties`", "rows=5"), "{said}");
    assert_eq!(live(&folder, "k").len(), 9);
    block_in_place(|| folder.run("run k", 0));
    assert_eq!(live(&folder, "k").len(), 14, "those beyond come again");
    let (_, said) = block_in_place(|| folder.run("run f", 0));
    assert!(says(&said, "rows lie in the future", "rows=2"), "{said}");
    assert_eq!(live(&folder, "f").len(), 1);

    let forgotten = connect(&database.url).await;
    forgotten.batch_execute("begin; update n set v = 6 where id = 2").await.unwrap();
    let pid =
        "select pid::text from pg_stat_activity where datname = current_database() and state = 'idle in transaction'";
    let who = format!("session {} of role ", database.text(pid).await);
    database.run("insert into n (id, v) values (4, 7)").await;
    let (_, said) = block_in_place(|| folder.run("run n", 0));
    assert!(says(&said, "newer rows are left to a later run", &who), "{said}");
    assert_eq!(live(&folder, "n").len(), 1);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let forgetful = |more: &str| self::folder(&database, &keys("n", "v", &format!("max_hold = 1s\n{more}")));
    let (warns, passes) = (forgetful(""), forgetful("on_max_hold = pass"));
    let (_, said) = block_in_place(|| warns.run("run n", 0));
    assert!(says(&said, "an open transaction keeps newer rows from being read", &who), "{said}");
    let (_, said) = block_in_place(|| passes.run("run n", 0));
    assert!(says(&said, "the mark goes past an open transaction", &who), "{said}");
    assert_eq!(live(&passes, "n").len(), 2);
}

/// Whether one line has both.
fn says(said: &str, what: &str, which: &str) -> bool {
    said.lines().any(|line| line.contains(what) && line.replace(['"', '\''], "").contains(which))
}
