//! Incremental runs: what each of them reads, and what it waits for.

use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use mysql_async::prelude::Queryable;
use tidemark::error::{Kind, Result};
use tidemark::record::{Checkpoint, Event};
use tidemark::source::Reader;

use super::{Database, Flavour, Login, Server, selection};

/// A stream that is run again and again.
struct Stream<'a> {
    database: &'a Database<'a>,
    login: Option<Login>,
    keys: Vec<(&'a str, &'a str)>,
    after: Option<Checkpoint>,
}

impl<'a> Stream<'a> {
    /// Of the table `t`. `settle` is long: transactions of other tests, which are on the same server, hold the mark too.
    fn new(database: &'a Database<'a>, keys: &[(&'a str, &'a str)]) -> Self {
        let mut all = vec![("mode", "incremental")];
        for default in [("table", "t"), ("settle", "180s")] {
            let is_replaced = |key: &str| key == default.0 || (key == "query" && default.0 == "table");
            all.extend((!keys.iter().any(|(key, _)| is_replaced(key))).then_some(default));
        }
        all.extend(keys);
        Self { database, login: None, keys: all, after: None }
    }

    async fn open(&self) -> Result<Box<dyn Reader>> {
        let source = self.database.source(self.login.as_ref(), &[])?;
        let stream = source.streams(&[selection(&self.keys)]).await?.whole()?.remove(0);
        source.open(&stream, self.after.as_ref()).await
    }

    /// The first column of what a run delivers.
    async fn run(&mut self) -> Vec<i64> {
        self.try_run(usize::MAX).await.unwrap()
    }

    /// As [`Stream::run`], without much patience for open transactions.
    async fn hurried(&mut self) -> Vec<i64> {
        let before = self.keys.clone();
        self.keys.retain(|(key, _)| *key != "settle");
        self.keys.push(("settle", "400ms"));
        let rows = self.run().await;
        self.keys = before;
        rows
    }

    /// As [`Stream::run`], cut off behind so many checkpoints.
    async fn try_run(&mut self, checkpoints: usize) -> Result<Vec<i64>> {
        let mut reader = self.open().await?;
        let (mut delivered, mut pending, mut left) = (Vec::new(), Vec::new(), checkpoints);
        while left > 0
            && let Some(event) = reader.next().await?
        {
            match event {
                Event::Rows(rows) => pending.extend(first(&rows.batch)),
                Event::Checkpoint(checkpoint) => {
                    delivered.append(&mut pending);
                    self.after = Some(checkpoint);
                    left -= 1;
                }
            }
        }
        Ok(delivered)
    }

    async fn notes(&self) -> String {
        let source = self.database.source(self.login.as_ref(), &[]).unwrap();
        let stream = source.streams(&[selection(&self.keys)]).await.unwrap().whole().unwrap().remove(0);
        source.describe(&stream).await.unwrap().notes.join("\n")
    }

    fn mark(&self) -> String {
        self.after.as_ref().unwrap().position.as_value()["mark"].to_string()
    }

    fn waits(&self) -> bool {
        !self.after.as_ref().unwrap().position.as_value()["waiting"].is_null()
    }
}

fn first(batch: &RecordBatch) -> Vec<i64> {
    let column = batch.column(0);
    match column.as_primitive_opt::<Int32Type>() {
        Some(column) => column.values().iter().map(|id| i64::from(*id)).collect(),
        None => column.as_primitive::<Int64Type>().values().to_vec(),
    }
}

/// Values in their order, the last one not there at first; and the mark after all.
const TYPES: [(&str, [&str; 4], &str); 13] = [
    ("int", ["-5", "7", "8", "2147483647"], "2147483647"),
    (
        "bigint unsigned",
        ["0", "9223372036854775808", "18446744073709551614", "18446744073709551615"],
        "18446744073709551615",
    ),
    (
        "decimal(30,10)",
        ["-1.5", "1.0000000001", "1.0000000002", "12345678901234567890.0000000001"],
        "12345678901234567890.0000000001",
    ),
    ("date", ["'2020-01-01'", "'2024-02-29'", "'2024-03-01'", "'2024-03-02'"], "2024-03-02"),
    (
        "datetime",
        ["'2020-01-01'", "'2024-01-01 00:00:01'", "'2024-01-01 00:00:02'", "'2024-01-01 00:00:03'"],
        "2024-01-01 00:00:03",
    ),
    (
        "datetime(6)",
        [
            "'2020-01-01'",
            "'2024-01-01 00:00:00.000001'",
            "'2024-01-01 00:00:00.000002'",
            "'2024-01-01 00:00:00.000003'",
        ],
        "2024-01-01 00:00:00.000003",
    ),
    (
        "timestamp(6)",
        ["'2020-01-01'", "'2024-01-01 00:00:00.999998'", "'2024-01-01 00:00:00.999999'", "'2024-01-01 00:00:01'"],
        "2024-01-01 00:00:01.000000",
    ),
    (
        "timestamp(3)",
        ["'2020-01-01'", "'2024-01-01'", "'2024-01-01 00:00:00.001'", "'2024-01-01 00:00:00.002'"],
        "2024-01-01 00:00:00.002",
    ),
    ("varchar(40)", ["''", "'a'' \\\\ \"b'", "'b'", "'ü?'"], "ü?"),
    ("varchar(40) character set latin1", ["'a'", "'ä1'", "'ä2'", "'ä3'"], "ä3"),
    (
        "char(36) character set ascii",
        [
            "'0190a1b2-0000-7000-8000-000000000000'",
            "'0190a1b2-0000-7000-8000-000000000001'",
            "'0190a1b2-0000-7000-8000-00000000000a'",
            "'0190a1b3-0000-7000-8000-000000000000'",
        ],
        "0190a1b3-0000-7000-8000-000000000000",
    ),
    (
        "binary(16)",
        [
            "x'0190a1b2000070008000000000000000'",
            "x'0190a1b2000070008000000000000001'",
            "x'0190a1b20000700080000000000000ff'",
            "x'0190a1b3000070008000000000000000'",
        ],
        "0190A1B3000070008000000000000000",
    ),
    ("varbinary(20)", ["x''", "x'00'", "x'0027'", "x'ff'"], "FF"),
];

pub async fn every_type_of_cursor(server: &Server) {
    let database = server.database("cursor_types").await;
    for (of, values, mark) in TYPES {
        let is_text = of.contains("char");
        let collation = if is_text { " collate utf8mb4_bin" } else { "" };
        let collation = if of.contains("set") { "" } else { collation };
        for index in ["", ", key (c)", ", unique key (c)"] {
            let create = format!("create table t (id int primary key, c {of}{collation} null{index})");
            database.run(&format!("drop table if exists t; {create}")).await;
            let (first, last) = (&values[..3], values[3]);
            for (id, value) in first.iter().enumerate().rev() {
                database.run(&format!("insert into t values ({id}, {value})")).await;
            }
            let mut stream = Stream::new(&database, &[("cursor", "c")]);
            assert_eq!(stream.run().await, [0, 1, 2], "{of}{index}");
            let before = stream.after.clone();
            assert_eq!((stream.run().await, &stream.after), (Vec::new(), &before), "{of}{index}: nothing new");
            database.run(&format!("insert into t values (3, {last})")).await;
            assert_eq!(stream.run().await, [3], "{of}{index}");
            assert_eq!(stream.mark(), format!("[\"{mark}\"]"), "{of}{index}");
            assert_eq!(stream.run().await, [] as [i64; 0], "{of}{index}");
        }
    }
}

pub async fn cursors_without_an_order_are_refused(server: &Server) {
    let database = server.database("cursor_refused").await;
    database
        .run(
            "create table t (id int primary key, f double, y year, ti time, e enum('b', 'a'), s set('a'), b bit(4), \
             long_text text, wide varchar(256), touched datetime)",
        )
        .await;
    for (cursor, words) in [
        ("f", "not exact"),
        ("y", "does not grow"),
        ("ti", "begins again"),
        ("e", "sorted by number"),
        ("s", "sorted by number"),
        ("b", "does not grow"),
        ("long_text", "no order"),
        ("wide", "longer than 255"),
        ("touched, nothing", "names `nothing`, which is no column of t\n  It has id, f, y, "),
        ("touchd", "names `touchd`, which is no column of t (did you mean `touched`?)"),
    ] {
        let error = Stream::new(&database, &[("cursor", cursor)]).try_run(9).await.unwrap_err();
        assert!(error.kind() == Kind::Config && error.to_string().contains(words), "{cursor}: {error}");
        assert!(error.to_string().contains("`cursor`"), "{error}");
    }
    database.run("insert into t (id, touched) values (1, '2024-01-01')").await;
    for (cursor, key, value, words) in
        [("touched", "start", "yesterday", "`start`"), ("id", "lookback", "10m", "a whole number")]
    {
        let error = Stream::new(&database, &[("cursor", cursor), (key, value)]).try_run(9).await.unwrap_err();
        assert!(error.kind() == Kind::Config && error.to_string().contains(words), "{error}");
    }
}

pub async fn composite_and_coalesced_cursors(server: &Server) {
    let database = server.database("cursor_composite").await;
    database
        .run(
            "create table t (id int primary key, version int not null, updated datetime(6), created timestamp(6) null);
             insert into t values (5, 1, null, '2024-01-01 00:00:01'), (1, 1, '2024-01-01 00:00:02', '2024-01-01'),
                 (2, 1, '2024-01-01 00:00:02', '2024-01-01'), (3, 0, '2024-01-01 00:00:02', null), (9, 0, null, null)",
        )
        .await;
    let mut composite = Stream::new(&database, &[("cursor", "updated, version"), ("start", "2024-01-01")]);
    assert_eq!(composite.run().await, [3, 1, 2]);
    assert_eq!(composite.mark(), r#"["2024-01-01 00:00:02.000000","1"]"#);
    let mut coalesced = Stream::new(&database, &[("cursor", "coalesce(updated, created)")]);
    assert_eq!(coalesced.run().await, [5, 1, 2, 3]);
    database.run("insert into t values (4, 2, '2024-01-01 00:00:02', null), (6, 0, null, '2024-01-01 00:00:03')").await;
    assert_eq!(composite.run().await, [4]);
    // Of the same time, and behind: an application's own times, which only a lookback finds.
    assert_eq!(coalesced.run().await, [6]);
    let mut started = Stream::new(&database, &[("cursor", "updated"), ("start", "2024-01-01 00:00:02.000001")]);
    assert_eq!(started.run().await, [] as [i64; 0]);
}

/// A number that comes again comes with any second column, also one below the mark's.
pub async fn a_first_column_that_comes_again_is_read_again(server: &Server) {
    let database = server.database("cursor_again").await;
    database.run("create table t (id int primary key, batch int not null); insert into t values (5, 8), (9, 8)").await;
    let mut stream = Stream::new(&database, &[("cursor", "batch, id")]);
    assert_eq!(stream.run().await, [5, 9]);
    database.run("insert into t values (3, 8), (4, 9)").await;
    assert_eq!(stream.run().await, [3, 4]);
    assert_eq!(stream.run().await, [] as [i64; 0]);
}

/// Columns of microseconds that are given whole seconds, by themselves and through `coalesce`.
pub async fn a_step_is_that_of_the_values(server: &Server) {
    let database = server.database("cursor_step").await;
    let table = "create table t (id int primary key auto_increment, at datetime(6), fine datetime(6))";
    database.run(table).await;
    let (mut whole, mut mixed) = (
        Stream::new(&database, &[("cursor", "at")]),
        Stream::new(&database, &[("cursor", "coalesce(fine, at)"), ("null_cursor", "skip")]),
    );
    let mut writer = database.conn().await;
    let (mut read, mut again) = (Vec::new(), Vec::new());
    let written = tokio::spawn(async move {
        for _ in 0..60 {
            writer.query_drop("insert into t (at) values (now())").await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    while !written.is_finished() {
        read.extend(whole.run().await);
        again.extend(mixed.run().await);
    }
    written.await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    read.extend(whole.run().await);
    again.extend(mixed.run().await);
    assert_eq!((read.len(), again.len()), (60, 60), "each row once: {read:?}");

    database.run("alter table t add column day date").await;
    let refused = Stream::new(&database, &[("cursor", "coalesce(at, day)")]).open().await.err();
    let message = match refused {
        Some(error) => error.to_string(),
        None => Stream::new(&database, &[("cursor", "coalesce(at, day)")]).try_run(9).await.unwrap_err().to_string(),
    };
    assert!(message.contains("mixes days with times"), "{message}");
}

/// What was written before a run, and is committed after it with an older time, is read by a later run.
pub async fn open_transactions_hold_the_mark(server: &Server) {
    let database = server.database("cursor_open").await;
    database.run("create table t (id int primary key, touched timestamp(6) default now(6), key (touched))").await;
    let mut stream = Stream::new(&database, &[("cursor", "touched")]);
    database.run("insert into t (id) values (1)").await;
    assert_eq!(stream.run().await, [1]);

    let mut writer = database.conn().await;
    writer.query_drop("begin").await.unwrap();
    // It has read, and will write with the time of a statement that begins later; and it has written.
    writer.query_drop("insert into t (id) values (2)").await.unwrap();
    database.run("insert into t (id) values (3)").await;
    assert_eq!(stream.hurried().await, [] as [i64; 0]);
    assert!(stream.waits());
    database.run("insert into t (id) values (4)").await;
    let held = stream.mark();
    assert_eq!((stream.hurried().await, stream.mark()), (Vec::new(), held), "held as before");
    writer.query_drop("commit").await.unwrap();
    assert_eq!(stream.run().await, [2, 3, 4]);
    assert!(!stream.waits());

    // One that ends while the run waits for it.
    writer.query_drop("begin").await.unwrap();
    writer.query_drop("insert into t (id) values (5)").await.unwrap();
    database.run("insert into t (id) values (6)").await;
    let (rows, ended) = tokio::join!(stream.run(), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        writer.query_drop("commit").await
    });
    ended.unwrap();
    assert_eq!(rows, [5, 6]);

    // One that only reads is not waited for.
    writer.query_drop("start transaction read only").await.unwrap();
    writer.query_drop("select * from t").await.unwrap();
    database.run("insert into t (id) values (7)").await;
    assert_eq!(stream.run().await, [7]);
}

pub async fn prepared_transactions_hold_the_mark(server: &Server) {
    let database = server.database("cursor_xa").await;
    database.run("create table t (id int primary key, touched timestamp(6) default now(6))").await;
    let xid = format!("'{}'", database.name);
    // Of a test that failed: it would hold the marks of all that follow.
    let _ = database.conn().await.query_drop(format!("xa rollback {xid}")).await;
    let mut stream = Stream::new(&database, &[("cursor", "touched")]);
    let mut writer = database.conn().await;
    for sql in ["xa start {x}", "insert into t (id) values (1)"] {
        writer.query_drop(sql.replace("{x}", &xid)).await.unwrap();
    }
    database.run("insert into t (id) values (2)").await;
    assert_eq!(stream.hurried().await, [] as [i64; 0], "in its session");
    for sql in ["xa end {x}", "xa prepare {x}"] {
        writer.query_drop(sql.replace("{x}", &xid)).await.unwrap();
    }
    assert_eq!(stream.hurried().await, [] as [i64; 0], "prepared");
    assert!(stream.waits());
    writer.disconnect().await.unwrap();
    assert_eq!(stream.hurried().await, [] as [i64; 0], "prepared, without its session");
    // Another one notes it when it is prepared already.
    let mut other = Stream::new(&database, &[("cursor", "touched")]);
    assert_eq!(other.hurried().await, [] as [i64; 0]);
    database.run(&format!("xa commit {xid}")).await;
    assert_eq!((stream.run().await, other.run().await), (vec![1, 2], vec![1, 2]));
}

/// A statement has its time when it begins, though it waits before it comes to its table.
pub async fn waiting_statements_hold_the_mark(server: &Server) {
    let database = server.database("cursor_mdl").await;
    database.run("create table t (id int primary key, touched timestamp(6) default now(6))").await;
    database.run("create table m (id int primary key, touched timestamp(6) default now(6)) engine = myisam").await;
    for table in ["t", "m"] {
        let mut stream = Stream::new(&database, &[("cursor", "touched"), ("table", table)]);
        // Its time will have come when the mark is looked for.
        database.run(&format!("insert into {table} values (3, now(6) + interval 1 second)")).await;
        let mut locker = database.conn().await;
        locker.query_drop(format!("lock tables {table} read")).await.unwrap();
        let mut waiting = database.conn().await;
        let early = format!("insert into {table} (id) values (2)");
        let early = tokio::spawn(async move { waiting.query_drop(early).await });
        tokio::time::sleep(Duration::from_millis(1300)).await;
        for _ in 0..4 {
            assert_eq!(stream.hurried().await, [] as [i64; 0], "{table}: 2 is older, and waits");
        }
        locker.query_drop("unlock tables").await.unwrap();
        early.await.unwrap().unwrap();
        assert_eq!(stream.run().await, [2, 3], "{table}");
    }
}

/// As above: the statement waits in a function, before it has touched any table.
pub async fn statements_before_their_first_row_hold_the_mark(server: &Server) {
    let database = server.database("cursor_slow").await;
    database.run("create table t (id int primary key, touched timestamp(6) default now(6))").await;
    let mut admin = database.conn().await;
    admin
        .query_drop(
            "create function slowly() returns int deterministic no sql begin do sleep(0.6); do sleep(0.6); do sleep(0.6); \
             return 1; end",
        )
        .await
        .unwrap();
    let mut stream = Stream::new(&database, &[("cursor", "touched")]);
    let mut slow = database.conn().await;
    let slow = tokio::spawn(async move { slow.query_drop("insert into t (id) values (slowly())").await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    database.run("insert into t (id) values (2)").await;
    let mut all = Vec::new();
    while !slow.is_finished() {
        let run = stream.hurried().await;
        assert!(run.is_empty() || slow.is_finished(), "{run:?} was read before its time");
        all.extend(run);
    }
    slow.await.unwrap().unwrap();
    for _ in 0..2 {
        all.extend(stream.run().await);
    }
    assert_eq!(all, [1, 2]);
}

pub async fn short_statements_all_day_hold_nothing(server: &Server) {
    let database = server.database("cursor_busy").await;
    database
        .run("create table t (id int primary key, touched timestamp(6) default now(6)); create table x (n int)")
        .await;
    let mut busy = Vec::new();
    for _ in 0..3 {
        let mut conn = database.conn().await;
        busy.push(tokio::spawn(async move {
            loop {
                conn.query_drop("insert into x values (1)").await.unwrap();
            }
        }));
    }
    let mut stream = Stream::new(&database, &[("cursor", "touched"), ("settle", "60s")]);
    database.run("insert into t (id) values (1)").await;
    let began = Instant::now();
    assert_eq!(stream.run().await, [1]);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    busy.iter().for_each(tokio::task::JoinHandle::abort);
}

pub async fn a_forgotten_session_is_named_and_passed_by_choice(server: &Server) {
    let database = server.database("cursor_forgotten").await;
    database
        .run("create table t (id int primary key, touched timestamp(6) default now(6)); insert into t (id) values (1)")
        .await;
    let mut forgotten = database.conn().await;
    forgotten.query_drop("begin").await.unwrap();
    forgotten.query_drop("insert into t (id) values (2)").await.unwrap();
    tokio::time::sleep(Duration::from_millis(2100)).await;
    database.run("insert into t (id) values (3)").await;
    let mut warns = Stream::new(&database, &[("cursor", "touched"), ("max_hold", "1s")]);
    assert_eq!(warns.hurried().await, [] as [i64; 0]);
    let mut passes = Stream::new(&database, &[("cursor", "touched"), ("max_hold", "1s"), ("on_max_hold", "pass")]);
    assert_eq!(passes.run().await, [1, 3]);
    forgotten.query_drop("commit").await.unwrap();
    assert_eq!(warns.run().await, [1, 2, 3]);
    assert_eq!(passes.run().await, [] as [i64; 0], "what was passed is lost, as was chosen");
}

pub async fn who_cannot_be_seen_is_given_a_fixed_time(server: &Server) {
    let database = server.database("cursor_blind").await;
    database
        .run("create table t (id int primary key, touched timestamp(6) default now(6)); insert into t (id) values (1)")
        .await;
    let login = database.user("grant select on {db}.* to {user}").await;
    let mut stream = Stream::new(&database, &[("cursor", "touched"), ("settle", "700ms")]);
    stream.login = Some(login.clone());
    let notes = stream.notes().await;
    assert!(notes.contains(&format!("GRANT PROCESS ON *.* TO '{}'@'%'", login.0)), "{notes}");
    let mut writer = database.conn().await;
    writer.query_drop("begin").await.unwrap();
    writer.query_drop("insert into t (id) values (2)").await.unwrap();
    let began = Instant::now();
    let (rows, ended) = tokio::join!(stream.run(), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        writer.query_drop("commit").await
    });
    ended.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(700));
    // The newest value was 1's; 2 is older than 1 in no case, and is read by this run or the next.
    assert_eq!([rows, stream.run().await].concat(), [1, 2]);
    let seen = Stream::new(&database, &[("cursor", "touched")]).notes().await;
    assert!(seen.contains("No index begins with touched") && !seen.contains("GRANT"), "{seen}");
}

pub async fn null_cursors_by_policy(server: &Server) {
    let database = server.database("cursor_nulls").await;
    database.run("create table t (id int primary key, v int); insert into t values (1, null), (2, 5), (3, null)").await;
    let mut skips = Stream::new(&database, &[("cursor", "v")]);
    assert_eq!(skips.run().await, [2]);
    let mut reads = Stream::new(&database, &[("cursor", "v"), ("null_cursor", "read")]);
    assert_eq!((reads.run().await, reads.run().await), (vec![1, 3, 2], vec![1, 3]));
    let error = Stream::new(&database, &[("cursor", "v"), ("null_cursor", "error")]).try_run(9).await.unwrap_err();
    assert!(error.kind() == Kind::Data && error.to_string().contains("2 rows have a cursor that is null"), "{error}");
    database.run("delete from t where id = 2").await;
    let mut only_nulls = Stream::new(&database, &[("cursor", "v"), ("null_cursor", "read")]);
    assert_eq!((only_nulls.run().await, only_nulls.run().await), (vec![1, 3], vec![1, 3]));
}

pub async fn a_lookback_finds_late_rows_once(server: &Server) {
    let database = server.database("cursor_lookback").await;
    database
        .run(
            "create table t (id int primary key, n bigint unsigned, at datetime(6), note text);
             insert into t values (1, 100, '2024-01-01 00:00:00', ''), (2, 200, '2024-01-01 01:00:00', '')",
        )
        .await;
    let mut by_time = Stream::new(&database, &[("cursor", "at"), ("lookback", "30m")]);
    let mut by_number = Stream::new(&database, &[("cursor", "n"), ("lookback", "50")]);
    assert_eq!((by_time.run().await, by_number.run().await), (vec![1, 2], vec![1, 2]));
    database
        .run("insert into t values (3, 151, '2024-01-01 00:30:00.000001', ''), (4, 150, '2024-01-01 00:30:00', '')")
        .await;
    assert_eq!((by_time.run().await, by_number.run().await), (vec![3], vec![3]));
    database.run("update t set note = 'changed' where id = 2").await;
    assert_eq!((by_time.run().await, by_number.run().await), (vec![2], vec![2]));
    let before = (by_time.after.clone(), by_number.after.clone());
    assert_eq!((by_time.run().await, by_number.run().await), (vec![], vec![]));
    assert_eq!((&by_time.after, &by_number.after), (&before.0, &before.1));
}

/// Without a key rows may be the same, and each of them is one.
pub async fn rows_without_a_key(server: &Server) {
    let database = server.database("cursor_keyless").await;
    database.run("create table t (v int, note varchar(10)); insert into t values (1, 'a'), (1, 'a'), (2, 'b')").await;
    let mut stream = Stream::new(&database, &[("cursor", "v")]);
    assert_eq!(stream.run().await, [1, 1, 2]);
    database.run("insert into t values (2, 'b'), (2, 'b'), (2, 'c')").await;
    assert_eq!(stream.run().await, [2, 2, 2]);
    assert_eq!(stream.run().await, [] as [i64; 0]);
    // More than are known again come again, and no fewer.
    let mut few = Stream::new(&database, &[("cursor", "v"), ("max_ties", "3")]);
    assert_eq!((few.run().await.len(), few.run().await.len()), (6, 1));
}

pub async fn a_group_of_equal_cursors_is_resumed_within(server: &Server) {
    let database = server.database("cursor_group").await;
    database
        .run("create table t (a int, id int, e enum('z', 'a'), at datetime not null, primary key (a, e, id), key (at))")
        .await;
    let mut conn = database.conn().await;
    conn.query_drop("set @@cte_max_recursion_depth = 1000000")
        .await
        .or_else(|_| Ok::<_, mysql_async::Error>(()))
        .unwrap();
    let numbers: Vec<_> = (0..100_000).map(|n| format!("({n}, {}, {}, '2024-01-01')", n % 7, n % 2 + 1)).collect();
    for rows in numbers.chunks(20_000) {
        conn.query_drop(format!("insert into t (a, id, e, at) values {}", rows.join(", "))).await.unwrap();
    }
    let mut stream = Stream::new(&database, &[("cursor", "at")]);
    let mut all = Vec::new();
    let mut runs = 0;
    loop {
        let run = stream.try_run(2).await.unwrap();
        if run.is_empty() {
            break;
        }
        runs += 1;
        all.extend(run);
    }
    assert!(runs > 5, "{runs}");
    assert_eq!(all, (0..100_000).collect::<Vec<_>>());
}

pub async fn odd_tables_are_followed(server: &Server) {
    let database = server.database("cursor_odd").await;
    database
        .run(
            "create table t (id int, v bigint not null, twice bigint as (v * 2) virtual, primary key (id, v)) \
             partition by hash (v) partitions 3;
             create view w as select id, v from t;
             insert into t (id, v) values (1, 1), (2, 2), (3, 3)",
        )
        .await;
    let mut table = Stream::new(&database, &[("cursor", "twice")]);
    let mut view = Stream::new(&database, &[("table", "w"), ("cursor", "v"), ("primary_key", "id")]);
    let query = "select id, v + 1 as next from t where v > 1 -- those";
    let mut query = Stream::new(&database, &[("query", query), ("cursor", "next, id")]);
    assert_eq!((table.run().await, view.run().await, query.run().await), (vec![1, 2, 3], vec![1, 2, 3], vec![2, 3]));
    database.run("insert into t (id, v) values (4, 4)").await;
    assert_eq!((table.run().await, view.run().await, query.run().await), (vec![4], vec![4], vec![4]));
}

/// Each run reads by the cursor's index what is new, and not the table.
pub async fn a_run_reads_what_is_new(server: &Server) {
    let database = server.database("cursor_index").await;
    database.run("create table t (id int primary key auto_increment, at datetime(6) not null, key (at))").await;
    let values: Vec<_> = (0..30_000).map(|n| format!("('2024-01-01' + interval {n} second)")).collect();
    database.run(&format!("insert into t (at) values {}; analyze table t", values.join(", "))).await;
    let mut stream = Stream::new(&database, &[("cursor", "at")]);
    assert_eq!(stream.run().await.len(), 30_000);
    database.run("insert into t (at) values ('2024-02-01'), ('2024-02-02')").await;
    let login = database.user("grant select on {db}.* to {user}; grant process on *.* to {user}").await;
    let mut admin = database.conn().await;
    // Of this user alone: other tests read from the same server.
    let count = match server.flavour {
        Flavour::Mysql => {
            "select cast(coalesce(sum(sum_rows_examined), 0) as unsigned) \
             from performance_schema.events_statements_summary_by_user_by_event_name where user = ?"
        }
        Flavour::Mariadb => {
            admin.query_drop("set global userstat = 1").await.unwrap();
            "select coalesce(sum(rows_read), 0) from information_schema.user_statistics where user = ?"
        }
    };
    let user = login.0.clone();
    stream.login = Some(login);
    assert_eq!(stream.run().await, [30_001, 30_002]);
    let rows: u64 = admin.exec_first(count, (user,)).await.unwrap().unwrap();
    assert!((2..20_000).contains(&rows), "{rows} rows were read for two ({:?})", server.flavour);
}
