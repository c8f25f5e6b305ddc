//! Incremental runs: what each of them reads, and how often.

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use tidemark::error::{Error, Kind};
use tidemark::record::{Checkpoint, Event};

use super::database::{Database, connect, make, only};

/// A stream that is run again and again.
pub struct Stream<'a> {
    url: String,
    keys: Vec<(&'a str, &'a str)>,
    pub after: Option<Checkpoint>,
}

pub const NOTHING: [i64; 0] = [];

impl<'a> Stream<'a> {
    /// Of the table `t`, with much patience for open transactions.
    pub fn new(database: &Database, keys: &[(&'a str, &'a str)]) -> Self {
        Self::of_role(&database.url, keys)
    }

    /// As whom the URL says.
    pub fn of_role(url: &str, keys: &[(&'a str, &'a str)]) -> Self {
        let is_said = |key: &str| keys.iter().any(|(said, _)| *said == key);
        let mut all = vec![("mode", "incremental")];
        all.extend((!is_said("table") && !is_said("query")).then_some(("table", "t")));
        all.extend((!is_said("settle")).then_some(("settle", "60s")));
        all.extend(keys);
        Self { url: url.to_owned(), keys: all, after: None }
    }

    /// The first column of what a run delivers.
    pub async fn run(&mut self) -> Vec<i64> {
        self.try_run(usize::MAX).await.unwrap()
    }

    /// As [`Stream::run`], without much patience for open transactions.
    pub async fn hurried(&mut self) -> Vec<i64> {
        let before = self.keys.clone();
        self.keys.retain(|(key, _)| *key != "settle");
        self.keys.push(("settle", "400ms"));
        let rows = self.run().await;
        self.keys = before;
        rows
    }

    /// As [`Stream::run`], cut off behind so many checkpoints.
    pub async fn try_run(&mut self, checkpoints: usize) -> Result<Vec<i64>, Error> {
        let source = make(&[("url", &self.url), ("identity", "incremental")]);
        let stream = only(&*source, &self.keys).await;
        let mut reader = source.open(&stream, self.after.as_ref()).await?;
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

    /// Runs that are cut off behind so many checkpoints each, until nothing comes any more: how many, and all they
    /// delivered.
    async fn in_pieces(&mut self, checkpoints: usize) -> (usize, Vec<i64>) {
        let (mut runs, mut all) = (0, Vec::new());
        loop {
            let run = self.try_run(checkpoints).await.unwrap();
            if run.is_empty() {
                return (runs, all);
            }
            runs += 1;
            all.extend(run);
        }
    }

    pub async fn notes(&self) -> String {
        let source = make(&[("url", &self.url), ("identity", "incremental")]);
        source.describe(&only(&*source, &self.keys).await).await.unwrap().notes.join("\n")
    }

    pub fn mark(&self) -> String {
        self.after.as_ref().unwrap().position.as_value()["mark"].to_string()
    }

    pub fn waits(&self) -> bool {
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

fn sorted(mut ids: Vec<i64>) -> Vec<i64> {
    ids.sort_unstable();
    ids
}

pub async fn composite_and_coalesced_cursors(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "create table t (id int primary key, version int not null, updated timestamp(6), created timestamp(0));
             insert into t values (5, 1, null, '2024-01-01 00:00:01'), (1, 1, '2024-01-01 00:00:02', '2024-01-01'),
                 (2, 1, '2024-01-01 00:00:02', '2024-01-01'), (3, 0, '2024-01-01 00:00:02', null), (9, 0, null, null)",
        )
        .await;
    let mut composite = Stream::new(&database, &[("cursor", "updated, version"), ("start", "2024-01-01")]);
    assert_eq!(composite.run().await, [3, 1, 2]);
    assert_eq!(composite.mark(), r#"["2024-01-01 00:00:02","1"]"#);
    let mut coalesced = Stream::new(&database, &[("cursor", "coalesce(updated, created)")]);
    assert_eq!(coalesced.run().await, [5, 1, 2, 3]);
    database.run("insert into t values (4, 2, '2024-01-01 00:00:02', null), (6, 0, null, '2024-01-01 00:00:03')").await;
    assert_eq!(composite.run().await, [4]);
    // Of the same time, and behind: an application's own times, which only a lookback finds.
    assert_eq!(coalesced.run().await, [6]);
    let mut started = Stream::new(&database, &[("cursor", "updated"), ("start", "2024-01-01 00:00:02.000001")]);
    assert_eq!(started.run().await, NOTHING);
}

/// A number that comes again comes with any second column, also one below the mark's.
pub async fn a_first_column_that_comes_again_is_read_again(server: &str) {
    let database = Database::create(server).await;
    database.run("create table t (id int primary key, batch int not null); insert into t values (5, 8), (9, 8)").await;
    let mut stream = Stream::new(&database, &[("cursor", "batch, id")]);
    assert_eq!(stream.run().await, [5, 9]);
    database.run("insert into t values (3, 8), (4, 9)").await;
    assert_eq!(stream.run().await, [3, 4]);
    assert_eq!(stream.run().await, NOTHING);
}

/// Whole seconds in a column of microseconds, and columns of seconds and of microseconds that take turns.
pub async fn a_step_is_that_of_the_values(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "create table t (id int primary key generated always as identity, at timestamptz, rough timestamp(0),
                 fine timestamp(6))",
        )
        .await;
    let mut whole = Stream::new(&database, &[("cursor", "at")]);
    let mut mixed = Stream::new(&database, &[("cursor", "coalesce(fine, rough)")]);
    let writer = connect(&database.url).await;
    let written = tokio::spawn(async move {
        for n in 0..80 {
            let (rough, fine) = if n % 2 == 0 { ("now()", "null") } else { ("null", "now()") };
            let values = format!("date_trunc('second', now()), {rough}, {fine}");
            writer.batch_execute(&format!("insert into t (at, rough, fine) values ({values})")).await.unwrap();
            tokio::time::sleep(Duration::from_millis(70)).await;
        }
    });
    let (mut read, mut again) = (Vec::new(), Vec::new());
    while !written.is_finished() {
        read.extend(whole.run().await);
        again.extend(mixed.run().await);
    }
    written.await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    read.extend(whole.run().await);
    again.extend(mixed.run().await);
    let all: Vec<_> = (1..=80).collect();
    assert_eq!((sorted(read), sorted(again)), (all.clone(), all), "each row once");
}

pub async fn null_cursors_by_policy(server: &str) {
    let database = Database::create(server).await;
    database.run("create table t (id int primary key, v int); insert into t values (1, null), (2, 5), (3, null)").await;
    let mut skips = Stream::new(&database, &[("cursor", "v")]);
    assert_eq!(skips.run().await, [2]);
    let mut reads = Stream::new(&database, &[("cursor", "v"), ("null_cursor", "read")]);
    for expected in [[1, 3, 2].as_slice(), &[1, 3]] {
        let run = reads.run().await;
        assert_eq!((sorted(run.clone()), run.last()), (sorted(expected.to_vec()), expected.last()));
    }
    let error = Stream::new(&database, &[("cursor", "v"), ("null_cursor", "error")]).try_run(9).await.unwrap_err();
    assert!(error.kind() == Kind::Data && error.to_string().contains("2 rows have a cursor that is null"), "{error}");
    // A null in the second column is one too, whatever the first one says.
    database.run("alter table t add w int default 1; update t set v = 4, w = null where id = 1").await;
    let mut both = Stream::new(&database, &[("cursor", "v, w"), ("null_cursor", "read")]);
    assert_eq!(sorted(both.run().await), [1, 2, 3]);
    assert_eq!(sorted(both.run().await), [1, 3]);
    database.run("delete from t where id = 2; update t set v = null").await;
    let mut only_nulls = Stream::new(&database, &[("cursor", "v"), ("null_cursor", "read")]);
    assert_eq!((sorted(only_nulls.run().await), sorted(only_nulls.run().await)), (vec![1, 3], vec![1, 3]));
}

pub async fn a_lookback_finds_late_rows_once(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "create table t (id int primary key, n numeric, s smallint, at timestamptz, day date, note text);
             insert into t values (1, 100, 100, '2024-01-01 00:00:00Z', '2024-01-01', ''),
                 (2, 200.5, 200, '2024-01-01 01:00:00Z', '2024-01-03', '')",
        )
        .await;
    let by = |cursor, lookback| Stream::new(&database, &[("cursor", cursor), ("lookback", lookback)]);
    let mut streams = [by("at", "30m"), by("n", "50"), by("s", "50"), by("day", "2d")];
    // Farther back than any number of the type lies.
    let mut far = by("s", "100000");
    for stream in &mut streams {
        assert_eq!(stream.run().await, [1, 2]);
    }
    assert_eq!(far.run().await, [1, 2]);
    database
        .run(
            "insert into t values (3, 150.500000000001, 151, '2024-01-01 00:30:00.000001Z', '2024-01-02', ''),
                 (4, 150.5, 150, '2024-01-01 00:30:00Z', '2024-01-01', '')",
        )
        .await;
    for stream in &mut streams {
        assert_eq!(stream.run().await, [3]);
    }
    assert_eq!(far.run().await, [4, 3]);
    database.run("update t set note = 'changed' where id = 2").await;
    for stream in streams.iter_mut().chain([&mut far]) {
        assert_eq!(stream.run().await, [2]);
        let before = stream.after.clone();
        assert_eq!((stream.run().await, &stream.after), (Vec::new(), &before));
    }
    for (cursor, lookback, words) in
        [("s", "7m", "a whole number"), ("n", "7m", "a whole number"), ("note", "7", "told")]
    {
        let error = by(cursor, lookback).try_run(9).await.unwrap_err();
        assert!(error.kind() == Kind::Config && error.to_string().contains(words), "{cursor}: {error}");
    }
}

/// Without a key rows may be the same, and each of them is one.
pub async fn rows_without_a_key(server: &str) {
    let database = Database::create(server).await;
    database.run("create table t (v int, note text); insert into t values (1, 'a'), (1, 'a'), (2, 'b')").await;
    let mut stream = Stream::new(&database, &[("cursor", "v")]);
    assert_eq!(stream.run().await, [1, 1, 2]);
    database.run("insert into t values (2, 'b'), (2, 'b'), (2, 'c')").await;
    assert_eq!(stream.run().await, [2, 2, 2]);
    assert_eq!(stream.run().await, NOTHING);
    // More than are known again come again, and no fewer.
    let mut few = Stream::new(&database, &[("cursor", "v"), ("max_ties", "3")]);
    assert_eq!((few.run().await.len(), few.run().await.len(), few.run().await.len()), (6, 1, 1));
}

/// Equal values of different texts are one group, within which nobody goes on without a key.
pub async fn equal_values_of_other_texts_come_once(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "DO $$ BEGIN CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
             EXCEPTION WHEN feature_not_supported THEN CREATE COLLATION any_case FROM \"POSIX\"; END $$",
        )
        .await;
    let all: Vec<_> = (0..40_000).collect();
    for (of, one, other, last, goes_on) in [
        ("numeric", "1.0", "1.00", "2", false),
        ("numeric(9,2)", "1.0", "1.00", "2", true),
        ("float8", "'-0'", "0", "1", false),
        ("float4", "'-0'", "0", "1", false),
        ("text collate any_case", "'a'", "'A'", "'b'", false),
        ("timestamptz", "'2024-01-01 00:00Z'", "'2024-01-01 01:00+01'", "'2024-01-02'", true),
    ] {
        // Two groups, each of more rows than a batch has, so that there is one place between them to go on from.
        database
            .run(&format!(
                "drop table if exists t; create table t (id int not null, c {of});
                 insert into t select x, case when x % 2 = 0 then {one}::{0} else {other}::{0} end
                 from generate_series(0, 19999) x;
                 insert into t select x, {last}::{0} from generate_series(20000, 39999) x",
                of.replace(" collate any_case", "")
            ))
            .await;
        for checkpoints in [1, 2] {
            let mut stream = Stream::new(&database, &[("cursor", "c")]);
            let (runs, rows) = stream.in_pieces(checkpoints).await;
            assert_eq!(sorted(rows), all, "{of}, {runs} runs");
            if checkpoints == 1 && of == "timestamptz" {
                assert_eq!(runs > 1, goes_on, "{of}");
            }
        }
        // With a key each row is a place, whatever its text.
        database.run("alter table t add primary key (id)").await;
        let (runs, rows) = Stream::new(&database, &[("cursor", "c")]).in_pieces(1).await;
        assert!(runs > 1 && sorted(rows) == all, "{of}: {runs} runs with a key");
    }
}

pub async fn a_group_of_equal_cursors_is_resumed_within(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "create type e as enum ('z', 'a');
             create table t (a int, id int, e e, at timestamp(0) not null, primary key (a, e, id));
             create index on t (at);
             insert into t select n, n % 7, (enum_range(null::e))[n % 2 + 1], '2024-01-01' from generate_series(0, 99999) n",
        )
        .await;
    let (runs, all) = Stream::new(&database, &[("cursor", "at")]).in_pieces(2).await;
    assert!(runs > 5, "{runs}");
    assert_eq!(all, (0..100_000).collect::<Vec<_>>());
}

pub async fn odd_tables_are_followed(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "create table t (id int, v bigint not null, twice bigint generated always as (v * 2) stored,
                 primary key (id, v)) partition by hash (v);
             create table t_0 partition of t for values with (modulus 2, remainder 0);
             create table t_1 partition of t for values with (modulus 2, remainder 1);
             create view w as select id, v from t;
             create domain money_like as numeric(12,2);
             create table \"A \"\"b, c\" (id int primary key, \"X, y\" money_like);
             create table parent (id int primary key, v int not null);
             create table child (more int) inherits (parent);
             insert into t (id, v) values (1, 1), (2, 2), (3, 3);
             insert into \"A \"\"b, c\" select id, v from t; insert into child select id, v from t",
        )
        .await;
    let query = "select id, v + 1 as next from t where v > 1 -- those";
    let mut streams = [
        Stream::new(&database, &[("cursor", "twice")]),
        Stream::new(&database, &[("table", "w"), ("cursor", "v"), ("primary_key", "id")]),
        Stream::new(&database, &[("table", "\"A \"\"b, c\""), ("cursor", "\"X, y\"")]),
        Stream::new(&database, &[("table", "parent"), ("cursor", "v"), ("primary_key", "id")]),
        Stream::new(&database, &[("query", query), ("cursor", "next, id")]),
        Stream::new(&database, &[("cursor", "v"), ("where", "id > 1 or id < 0 -- those")]),
    ];
    for (number, stream) in streams.iter_mut().enumerate() {
        let expected: &[i64] = if number < 4 { &[1, 2, 3] } else { &[2, 3] };
        assert_eq!(stream.run().await, expected, "{number}");
    }
    database
        .run(
            "insert into t (id, v) values (4, 4); insert into \"A \"\"b, c\" values (4, 4);
             insert into child values (4, 4, 4)",
        )
        .await;
    for (number, stream) in streams.iter_mut().enumerate() {
        assert_eq!((stream.run().await, stream.run().await), (vec![4], vec![]), "{number}");
    }
}

/// Each run reads by the cursor's index what is new, and not the table.
pub async fn a_run_reads_what_is_new(server: &str) {
    let database = Database::create(server).await;
    let rows = "select n, timestamptz '2024-01-01Z' + n * interval '1 second' from generate_series(1, 30000) n";
    for (table, index, cursor) in [
        ("plain", "(at)", "at"),
        ("two", "(at, id)", "at, id"),
        ("either", "(coalesce(at, made))", "coalesce(at, made)"),
    ] {
        database
            .run(&format!(
                "create table {table} (id int primary key, at timestamptz, made timestamptz)
                     with (autovacuum_enabled = false);
                 create index on {table} {index}; insert into {table} {rows}; analyze {table}"
            ))
            .await;
        let mut stream = Stream::new(&database, &[("table", table), ("cursor", cursor)]);
        assert_eq!(stream.run().await.len(), 30_000);
        database.run(&format!("insert into {table} values (30001, '2024-02-01Z'), (30002, '2024-02-02Z')")).await;
        database.wait_for_no_backend().await;
        let read = format!(
            "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = '{table}'; \
             select pg_stat_clear_snapshot()"
        );
        // Sessions count what they did when they end.
        let before: u64 = database.text(&read).await.parse().unwrap();
        assert!(before > 30_000, "{table}: {before}");
        assert_eq!(stream.run().await, [30_001, 30_002], "{table}");
        database.wait_for_no_backend().await;
        let after: u64 = database.text(&read).await.parse().unwrap();
        assert!((2..2000).contains(&(after - before)), "{table}: {} rows were read for two", after - before);
        assert!(!stream.notes().await.contains("No index begins with"), "{table}");
    }
}

/// A time without a zone is of the server's, wherever that is.
pub async fn times_without_a_zone(server: &str) {
    let database = Database::create(server).await;
    let name = database.text("select current_database()").await;
    for zone in ["Pacific/Kiritimati", "Asia/Kolkata", "UTC", "America/Los_Angeles", "Etc/GMT+12"] {
        database.run(&format!("alter database {name} set timezone = '{zone}'")).await;
        database.run("drop table if exists t; create table t (id int primary key, at timestamp default now())").await;
        let (writer, other) = (connect(&database.url).await, connect(&database.url).await);
        let mut stream = Stream::new(&database, &[("cursor", "at")]);
        let write = async |sql: &str| writer.batch_execute(sql).await.unwrap();
        write("insert into t values (1)").await;
        assert_eq!(stream.run().await, [1], "{zone}");
        write("begin; insert into t values (2)").await;
        other.batch_execute("insert into t values (3)").await.unwrap();
        assert_eq!(stream.hurried().await, NOTHING, "{zone}");
        write("commit").await;
        assert_eq!(stream.run().await, [2, 3], "{zone}");
        // Far in the future in every zone: not read, and not in the way.
        write("insert into t values (9, now() + interval '2 days'), (4, now())").await;
        assert_eq!((stream.run().await, stream.run().await), (vec![4], vec![]), "{zone}");
    }
}
