//! Incremental runs: what each of them reads, what it waits for, and that it leaves the file as it is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tidemark::error::{Kind, Result};
use tidemark::record::{Checkpoint, Event};

use super::{Db, selection, show};

/// A stream that is run again and again.
struct Stream<'a> {
    db: &'a Db,
    source: Vec<(&'a str, &'a str)>,
    keys: Vec<(&'a str, &'a str)>,
    after: Option<Checkpoint>,
}

impl<'a> Stream<'a> {
    fn new(db: &'a Db, keys: &[(&'a str, &'a str)]) -> Self {
        let mut all = vec![("mode", "incremental")];
        all.extend((!keys.iter().any(|(key, _)| matches!(*key, "table" | "query"))).then_some(("table", "t")));
        all.extend(keys);
        Self { db, source: Vec::new(), keys: all, after: None }
    }

    /// The first column of what a run delivers.
    async fn run(&mut self) -> Vec<String> {
        self.try_run(usize::MAX).await.unwrap()
    }

    /// As [`Stream::run`], cut off behind so many checkpoints.
    async fn try_run(&mut self, checkpoints: usize) -> Result<Vec<String>> {
        let source = self.db.source(&self.source);
        let stream = source.streams(&[selection(&self.keys)]).await?.whole()?.remove(0);
        let mut reader = source.open(&stream, self.after.as_ref()).await?;
        let (mut delivered, mut pending, mut left) = (Vec::new(), Vec::new(), checkpoints);
        while left > 0
            && let Some(event) = reader.next().await?
        {
            match event {
                Event::Rows(rows) => {
                    pending.extend((0..rows.batch.num_rows()).map(|row| show(rows.batch.column(0), row)));
                }
                Event::Checkpoint(checkpoint) => {
                    delivered.append(&mut pending);
                    self.after = Some(checkpoint);
                    left -= 1;
                }
            }
        }
        Ok(delivered)
    }

    async fn refused(&mut self, kind: Kind, words: &str) {
        let error = self.try_run(9).await.unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(words), "{error}");
    }

    async fn notes(&self) -> String {
        let source = self.db.source(&self.source);
        let stream = source.streams(&[selection(&self.keys)]).await.unwrap().whole().unwrap().remove(0);
        source.describe(&stream).await.unwrap().notes.join("\n")
    }

    fn mark(&self) -> String {
        self.after.as_ref().unwrap().position.as_value()["mark"].to_string()
    }
}

/// A declared type, and values in their order, the last one not there at first.
const VALUES: [(&str, [&str; 4], &str); 11] = [
    ("integer", ["-9223372036854775808", "0", "1", "9223372036854775807"], "9223372036854775807"),
    ("real", ["-0.5", "0.1", "0.30000000000000004", "1763778000.123456"], "1763778000.123456"),
    ("", ["-1", "0.5", "1", "2.5"], "2.5"),
    ("decimal(12,2)", ["1", "1.05", "1.1", "12345678.91"], "12345678.91"),
    ("text", ["''", "'a''b'", "'a;--'", "'ü'"], "'ü'"),
    ("blob", ["x''", "x'00'", "x'0027'", "x'ff'"], "x'ff'"),
    (
        "uuid",
        [
            "'0190a1b2-0000-7000-8000-000000000000'",
            "'0190a1b2-0000-7000-8000-000000000001'",
            "'0190a1b3-0000-7000-8000-000000000000'",
            "'0190a1b4-0000-7000-8000-000000000000'",
        ],
        "'0190a1b4-0000-7000-8000-000000000000'",
    ),
    ("date", ["'2020-01-01'", "'2024-02-29'", "'2024-03-01'", "'2024-03-02'"], "'2024-03-02'"),
    (
        "datetime",
        ["'2020-01-01 00:00:00'", "'2024-01-01 00:00:01'", "'2024-01-01 00:00:02'", "'2024-01-01 00:00:03'"],
        "'2024-01-01 00:00:03'",
    ),
    (
        "datetime",
        [
            "'2024-01-01T00:00:00.000001'",
            "'2024-01-01T00:00:00.000002'",
            "'2024-01-01T00:00:00.000003'",
            "'2024-01-01T00:00:00.000004'",
        ],
        "'2024-01-01T00:00:00.000004'",
    ),
    (
        "timestamptz",
        [
            "'2024-01-01T00:00:00.001Z'",
            "'2024-01-01T00:00:00.002Z'",
            "'2024-01-01T00:00:00.003Z'",
            "'2024-01-01T00:00:00.004Z'",
        ],
        "'2024-01-01T00:00:00.004Z'",
    ),
];

#[tokio::test]
async fn every_class_of_cursor() {
    for (of, values, mark) in VALUES {
        for index in ["", "create index i on t (c)", "create unique index i on t (c)"] {
            let db = Db::new(&format!("create table t (id integer primary key, c {of}); {index}"));
            for (id, value) in values[..3].iter().enumerate().rev() {
                db.write().execute_batch(&format!("insert into t values ({id}, {value})")).unwrap();
            }
            let keys = [("cursor", "c"), ("round_decimals", "yes")];
            let mut stream = Stream::new(&db, &keys);
            assert_eq!(stream.run().await, ["0", "1", "2"], "{of} {index}");
            let before = stream.after.clone();
            assert_eq!((stream.run().await.len(), &stream.after), (0, &before), "{of} {index}: nothing new");
            db.write().execute_batch(&format!("insert into t values (3, {})", values[3])).unwrap();
            assert_eq!(stream.run().await, ["3"], "{of} {index}");
            assert_eq!(stream.mark(), format!("[\"{mark}\"]"), "{of} {index}");
            assert_eq!(stream.run().await.len(), 0, "{of} {index}");
        }
    }
}

#[tokio::test]
async fn values_of_several_classes_are_refused() {
    for (first, second, words) in [
        ("(1, 5)", "(2, 'text')", "numbers and text"),
        ("(1, 'text')", "(2, 5)", "numbers and text"),
        ("(1, 'text')", "(2, x'00')", "text and bytes"),
    ] {
        let db = Db::new(&format!("create table t (id integer primary key, c); insert into t values {first}"));
        let keys = [("cursor", "c"), ("exclude_columns", "c")];
        let mut stream = Stream::new(&db, &keys);
        assert_eq!(stream.run().await, ["1"]);
        db.write().execute_batch(&format!("insert into t values {second}")).unwrap();
        stream.refused(Kind::Data, words).await;
        Stream::new(&db, &keys).refused(Kind::Data, words).await;
    }
}

#[tokio::test]
async fn mistakes_are_those_of_their_keys() {
    let db = Db::new(
        "create table t (id integer primary key, at datetime); insert into t values (1, '2024-01-01 00:00:00')",
    );
    Stream::new(&db, &[("cursor", "nothing")]).refused(Kind::Config, "names `nothing`, which is no column of t").await;
    Stream::new(&db, &[("cursor", "at"), ("start", "yesterday")]).refused(Kind::Config, "`start`").await;
    Stream::new(&db, &[("cursor", "id"), ("lookback", "10m")]).refused(Kind::Config, "a whole number").await;
    let mut started = Stream::new(&db, &[("cursor", "at"), ("start", "2024-01-01")]);
    assert_eq!(started.run().await, ["1"]);
}

#[tokio::test]
async fn composite_coalesced_and_odd_ones() {
    let db = Db::new(
        "create table t (id integer primary key, v integer, updated text, created text);
         insert into t values (5, 1, null, '2024-01-01 00:00:01'), (1, 1, '2024-01-01 00:00:02', null),
             (2, 1, '2024-01-01 00:00:02', null), (3, 0, '2024-01-01 00:00:02', null), (9, 0, null, null);
         create view w as select id, v from t where v > 0;
         create table k (v text collate nocase, n integer) ; insert into k values ('a', 1), ('A', 2), ('b', 3);
         create table p (a text, b text, n integer, primary key (a, b)) without rowid; insert into p values ('x', 'y', 7)",
    );
    let mut composite = Stream::new(&db, &[("cursor", "updated, v")]);
    assert_eq!(composite.run().await, ["3", "1", "2"]);
    assert_eq!(composite.mark(), r#"["'2024-01-01 00:00:02'","1"]"#);
    let mut coalesced = Stream::new(&db, &[("cursor", "coalesce(updated, created)")]);
    assert_eq!(coalesced.run().await, ["5", "1", "2", "3"]);
    let mut view = Stream::new(&db, &[("table", "w"), ("cursor", "v, id")]);
    assert_eq!(view.run().await, ["1", "2", "5"]);
    let mut query = Stream::new(&db, &[("query", "select id, v + 1 as next from t -- all"), ("cursor", "next, id")]);
    assert_eq!(query.run().await, ["3", "9", "1", "2", "5"]);
    let mut nocase = Stream::new(&db, &[("table", "k"), ("cursor", "v"), ("columns", "n")]);
    assert_eq!(nocase.run().await, ["1", "2", "3"]);
    db.write()
        .execute_batch("insert into k values ('B', 4); insert into t values (10, 2, '2024-01-01 00:00:02', null)")
        .unwrap();
    assert_eq!((nocase.run().await, composite.run().await), (vec!["4".to_owned()], vec!["10".to_owned()]));
    assert_eq!((view.run().await, query.run().await), (vec!["10".to_owned()], vec!["10".to_owned()]));
    assert_eq!(Stream::new(&db, &[("table", "p"), ("cursor", "n")]).run().await, ["x"]);
}

/// A time of the last second or two is not read until it is over.
#[tokio::test]
async fn times_of_now_and_of_the_future() {
    let db = Db::new(
        "create table t (id integer primary key, at datetime);
         insert into t values (1, current_timestamp), (2, datetime('now', '+1 day'))",
    );
    let mut stream = Stream::new(&db, &[("cursor", "at")]);
    let began = Instant::now();
    assert_eq!(stream.run().await, ["1"]);
    assert!(began.elapsed() > Duration::from_millis(1500), "{:?}", began.elapsed());
    // Numbers whose unit is told are times too.
    let db = Db::new(
        "create table t (id integer primary key, at datetime);
         insert into t values (1, unixepoch() - 10), (2, unixepoch() + 1000)",
    );
    let keys = [("cursor", "at"), ("numeric_times", "seconds"), ("lookback", "1m")];
    assert_eq!(Stream::new(&db, &keys).run().await, ["1"]);
}

#[tokio::test]
async fn a_writer_is_waited_for_and_holds_the_mark() {
    for journal in ["wal", "delete"] {
        let db = Db::new(&format!(
            "pragma journal_mode = {journal}; create table t (id integer primary key autoincrement, v int)"
        ));
        db.write().execute_batch("insert into t (v) values (1)").unwrap();
        let mut stream = Stream::new(&db, &[("cursor", "id"), ("settle", "300ms")]);
        let writer = db.write();
        writer.execute_batch("begin immediate; insert into t (v) values (2)").unwrap();
        assert_eq!(stream.run().await.len(), 0, "{journal}");
        writer.execute_batch("commit").unwrap();
        assert_eq!(stream.run().await, ["1", "2"], "{journal}");
        writer.execute_batch("begin immediate; insert into t (v) values (3)").unwrap();
        db.write(); // Another connection does not disturb.
        let ended = tokio::task::spawn_blocking(move || {
            std::thread::sleep(Duration::from_millis(700));
            writer.execute_batch("commit").unwrap();
        });
        let mut patient = Stream::new(&db, &[("cursor", "id"), ("settle", "20s")]);
        patient.after = stream.after.clone();
        tokio::time::sleep(Duration::from_millis(100)).await;
        ended.await.unwrap();
        assert_eq!(patient.run().await, ["3"], "{journal}");
    }
}

fn files(db: &Db) -> BTreeMap<String, Vec<u8>> {
    let folder = std::fs::read_dir(db.folder.path()).unwrap();
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())
    };
    // What is shared in memory by those who have the file open is no content of it.
    folder.map(file).filter(|(name, _)| !name.ends_with("-shm")).collect()
}

#[tokio::test]
async fn the_file_stays_as_it_is() {
    for (journal, keeps_open) in [("wal", true), ("wal", false), ("delete", true), ("delete", false)] {
        let db = Db::new(&format!(
            "pragma journal_mode = {journal}; create table t (id integer primary key, v int); insert into t values (1, 1)"
        ));
        let other = db.write();
        other.execute_batch("insert into t values (2, 2)").unwrap();
        if !keeps_open {
            drop(other);
        }
        let before = files(&db);
        let mut stream = Stream::new(&db, &[("cursor", "v")]);
        assert_eq!(stream.run().await, ["1", "2"]);
        stream.run().await;
        stream.notes().await;
        let mut after = files(&db);
        // An empty log says nothing; a reader of a file with one makes it.
        after.retain(|name, bytes| before.contains_key(name) || !bytes.is_empty());
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "{journal}");
        assert!(before == after, "{journal}");
    }
}

#[tokio::test]
async fn a_file_that_nobody_writes_to() {
    let db = Db::new("create table t (id integer primary key, v int); insert into t values (1, 1)");
    let mut stream = Stream::new(&db, &[("cursor", "v"), ("settle", "20s")]);
    stream.source = vec![("immutable", "yes")];
    let began = Instant::now();
    assert_eq!(stream.run().await, ["1"]);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(!stream.notes().await.contains("opened for writing"));
}

/// Nothing ever lies behind an infinity: it makes no mark.
#[tokio::test]
async fn infinite_cursors_are_as_good_as_null() {
    let db = Db::new(
        "create table t (id integer primary key, v real not null);
         insert into t values (1, 1.5), (2, 9e999), (3, -9e999), (4, 2.5); create index i on t (v)",
    );
    let mut skips = Stream::new(&db, &[("cursor", "v")]);
    assert_eq!((skips.run().await, skips.mark()), (vec!["1".to_owned(), "4".to_owned()], "[\"2.5\"]".to_owned()));
    db.write().execute_batch("insert into t values (5, 3.5)").unwrap();
    assert_eq!((skips.run().await, skips.run().await.len()), (vec!["5".to_owned()], 0));
    let mut reads = Stream::new(&db, &[("cursor", "v"), ("null_cursor", "read")]);
    assert_eq!(reads.run().await, ["2", "3", "1", "4", "5"]);
    Stream::new(&db, &[("cursor", "v"), ("null_cursor", "error")]).refused(Kind::Data, "2 rows").await;
    // What only looks like one is text.
    let db = Db::new("create table t (id integer primary key, v text); insert into t values (1, 'Inf'), (2, 'a')");
    assert_eq!(Stream::new(&db, &[("cursor", "v")]).run().await, ["1", "2"]);
}

#[tokio::test]
async fn null_cursors_by_policy() {
    let db =
        Db::new("create table t (id integer primary key, v int); insert into t values (1, null), (2, 5), (3, null)");
    assert_eq!(Stream::new(&db, &[("cursor", "v")]).run().await, ["2"]);
    let mut reads = Stream::new(&db, &[("cursor", "v"), ("null_cursor", "read")]);
    assert_eq!((reads.run().await.join(" "), reads.run().await.join(" ")), ("1 3 2".to_owned(), "1 3".to_owned()));
    Stream::new(&db, &[("cursor", "v"), ("null_cursor", "error")]).refused(Kind::Data, "2 rows").await;
}

#[tokio::test]
async fn a_lookback_finds_late_rows_once() {
    let db = Db::new(
        "create table t (id integer primary key, n int, at datetime, note text);
         insert into t values (1, 100, '2024-01-01 00:00:00', ''), (2, 200, '2024-01-01 01:00:00', '')",
    );
    let mut by_time = Stream::new(&db, &[("cursor", "at"), ("lookback", "30m")]);
    let mut by_number = Stream::new(&db, &[("cursor", "n"), ("lookback", "50")]);
    assert_eq!((by_time.run().await.len(), by_number.run().await.len()), (2, 2));
    for (sql, id) in [
        ("insert into t values (3, 151, '2024-01-01 00:30:01', ''), (4, 150, '2024-01-01 00:30:00', '')", "3"),
        ("update t set note = 'changed' where id = 2", "2"),
    ] {
        db.write().execute_batch(sql).unwrap();
        assert_eq!((by_time.run().await, by_number.run().await), (vec![id.to_owned()], vec![id.to_owned()]));
    }
    assert_eq!((by_time.run().await.len(), by_number.run().await.len()), (0, 0));
}

/// Equal rows without a key are each a row; a rowid that is given again is found behind the last mark.
#[tokio::test]
async fn values_that_come_again() {
    let db = Db::new(
        "create table t (v int, note text); insert into t values (1, 'a'), (1, 'a'), (2, 'b');
         create table r (id integer primary key, note text); insert into r values (1, 'a'), (2, 'b')",
    );
    let mut keyless = Stream::new(&db, &[("cursor", "v")]);
    let mut rowid = Stream::new(&db, &[("table", "r"), ("cursor", "id")]);
    assert_eq!((keyless.run().await.len(), rowid.run().await.len()), (3, 2));
    assert!(rowid.notes().await.contains("AUTOINCREMENT"), "{}", rowid.notes().await);
    let sql = "insert into t values (2, 'b'), (2, 'b'); delete from r where id = 2; insert into r (note) values ('c')";
    db.write().execute_batch(sql).unwrap();
    assert_eq!((keyless.run().await.join(" "), rowid.run().await.join(" ")), ("2 2".to_owned(), "2".to_owned()));
    assert_eq!((keyless.run().await.len(), rowid.run().await.len()), (0, 0));
}

#[tokio::test]
async fn a_group_of_equal_cursors_is_resumed_within() {
    let db = Db::new(
        "create table t (id integer, a text, at datetime, primary key (a, id)) without rowid;
         insert into t with recursive n(i) as (select 0 union all select i + 1 from n where i < 99999)
             select i, i % 3, '2024-01-01 00:00:00' from n",
    );
    let mut stream = Stream::new(&db, &[("cursor", "at")]);
    let (mut all, mut runs) = (Vec::new(), 0);
    loop {
        let run = stream.try_run(2).await.unwrap();
        if run.is_empty() {
            break;
        }
        runs += 1;
        all.extend(run.into_iter().map(|id| id.parse::<u32>().unwrap()));
    }
    all.sort_unstable();
    assert!(runs > 5, "{runs}");
    assert_eq!(all, (0..100_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_table_without_an_index_is_told() {
    let db = Db::new("create table t (id integer primary key, v int); insert into t values (1, 1)");
    assert!(Stream::new(&db, &[("cursor", "v")]).notes().await.contains("No index begins with v"));
    db.write().execute_batch("create index i on t (v)").unwrap();
    assert!(!Stream::new(&db, &[("cursor", "v")]).notes().await.contains("No index"));
    assert!(!Stream::new(&db, &[("cursor", "id")]).notes().await.contains("No index"));
}
