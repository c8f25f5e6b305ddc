//! Every type of cursor, and those that are none.

use tidemark::error::Kind;

use super::database::Database;
use super::incremental::{NOTHING, Stream};

/// Values in their order, the last one not there at first; and the mark after all.
const TYPES: [(&str, [&str; 4], &str); 25] = [
    ("int2", ["-32768", "7", "8", "32767"], "32767"),
    ("int4", ["-2147483648", "7", "10", "2147483647"], "2147483647"),
    ("int8", ["-9223372036854775808", "9", "10", "9223372036854775807"], "9223372036854775807"),
    ("oid", ["0", "9", "2147483648", "4294967295"], "4294967295"),
    ("float4", ["-1.5", "0.1", "0.10000001", "16777216"], "1.6777216e+07"),
    ("float8", ["-1e308", "0.3", "0.30000000000000004", "1e308"], "1e+308"),
    (
        "numeric(30,10)",
        ["-1.5", "1.0000000001", "1.0000000002", "12345678901234567890"],
        "12345678901234567890.0000000000",
    ),
    (
        "numeric",
        ["-1.50", "1", "1.000000000000000000000000000001", "1e40"],
        "10000000000000000000000000000000000000000",
    ),
    ("date", ["'0044-03-15 BC'", "'2024-02-29'", "'2024-03-01'", "'2024-03-02'"], "2024-03-02"),
    (
        "timestamp(0)",
        ["'0044-03-15 12:00:01 BC'", "'2024-01-01 00:00:01'", "'2024-01-01 00:00:02'", "'2024-01-01 00:00:03'"],
        "2024-01-01 00:00:03",
    ),
    (
        "timestamp(3)",
        ["'-infinity'", "'2024-01-01'", "'2024-01-01 00:00:00.001'", "'2024-01-01 00:00:00.002'"],
        "2024-01-01 00:00:00.002",
    ),
    ("timestamp(6)", ["'2020-01-01'", MICROS[0], MICROS[1], MICROS[2]], "2024-01-01 00:00:00.1"),
    ("timestamp", ["'2020-01-01'", MICROS[0], MICROS[1], MICROS[2]], "2024-01-01 00:00:00.1"),
    (
        "timestamptz(0)",
        ["'-infinity'", "'2024-01-01 00:00:01+02'", "'2024-01-01 00:00:02+02'", "'2024-01-01 00:00:01Z'"],
        "2024-01-01 00:00:01+00",
    ),
    (
        "timestamptz(3)",
        ["'0044-03-15 12:00:00.001Z BC'", "'2024-01-01Z'", "'2024-01-01 00:00:00.001Z'", "'2024-01-01 00:00:00.002Z'"],
        "2024-01-01 00:00:00.002+00",
    ),
    (
        "timestamptz(6)",
        ["'2020-01-01'", "'2024-01-01 00:00:00.999998Z'", "'2024-01-01 00:00:00.999999Z'", "'2024-01-01 00:00:01Z'"],
        "2024-01-01 00:00:01+00",
    ),
    (
        "timestamptz",
        [
            "'2020-01-01'",
            "'2024-03-31 02:59:59.999999+01'",
            "'2024-03-31 04:00:00+02'",
            "'2024-03-31 04:00:00.000001+02'",
        ],
        "2024-03-31 02:00:00.000001+00",
    ),
    ("text", ["''", "'a'' \\ \"b'", "'b'", "'ü?'"], "ü?"),
    ("varchar(40)", ["''", "'a'' \\n'", "'b'", "'ü?'"], "ü?"),
    ("varchar collate \"C\"", ["'B'", "'a'", "'a '", "'ä'"], "ä"),
    (
        "uuid",
        [
            "'0190a1b2-0000-7000-8000-000000000000'",
            "'0190a1b2-0000-7000-8000-000000000009'",
            "'0190A1B2-0000-7000-8000-00000000000A'",
            "'0190a1b3-0000-7000-8000-000000000000'",
        ],
        "0190a1b3-0000-7000-8000-000000000000",
    ),
    ("pg_lsn", ["'0/0'", "'9/0'", "'10/0'", "'FFFFFFFF/FFFFFFFF'"], "FFFFFFFF/FFFFFFFF"),
    ("xid8", ["'0'", "'9'", "'10'", "'18446744073709551615'"], "18446744073709551615"),
    ("whole", ["-5", "9", "10", "11"], "11"),
    ("stamp", ["'2020-01-01'", MICROS[0], MICROS[1], MICROS[2]], "2024-01-01 00:00:00.1"),
];

const MICROS: [&str; 3] =
    ["'2024-01-01 00:00:00.000001'", "'2024-01-01 00:00:00.000002'", "'2024-01-01 00:00:00.100000'"];

pub async fn every_type_of_cursor(server: &str) {
    let database = Database::create(server).await;
    database.run("create domain whole as int8; create domain stamp as timestamp check (value > '2000-01-01')").await;
    for (of, values, mark) in TYPES {
        for index in ["create index on t (c)", "create unique index on t (c)"] {
            let create = format!("drop table if exists t; create table t (id int primary key, c {of} null)");
            database.run(&format!("{create}; {index}")).await;
            let (first, last) = (&values[..3], values[3]);
            for (id, value) in first.iter().enumerate().rev() {
                database.run(&format!("insert into t values ({id}, {value})")).await;
            }
            let mut stream = Stream::new(&database, &[("cursor", "c"), ("infinity", "null")]);
            assert_eq!(stream.run().await, [0, 1, 2], "{of}, {index}");
            let before = stream.after.clone();
            assert_eq!((stream.run().await, &stream.after), (Vec::new(), &before), "{of}, {index}: nothing new");
            database.run(&format!("insert into t values (3, {last})")).await;
            assert_eq!(stream.run().await, [3], "{of}, {index}");
            assert_eq!(stream.mark(), format!("[\"{mark}\"]"), "{of}, {index}");
            assert_eq!(stream.run().await, NOTHING, "{of}, {index}");
        }
    }
}

/// What is infinitely far is in the past, or in a future that never comes.
pub async fn infinite_times(server: &str) {
    let database = Database::create(server).await;
    for of in ["timestamp", "timestamptz", "date"] {
        database
            .run(&format!(
                "drop table if exists t; create table t (id int primary key, at {of});
                 insert into t values (1, '-infinity'), (9, 'infinity')"
            ))
            .await;
        let mut stream = Stream::new(&database, &[("cursor", "at"), ("infinity", "null")]);
        let back = [("cursor", "at"), ("infinity", "null"), ("lookback", "2d")];
        let mut back = Stream::new(&database, &back);
        assert_eq!((stream.run().await, stream.mark(), back.run().await), (vec![1], "[\"-infinity\"]".into(), vec![1]));
        database.run("insert into t values (2, '4713-01-01 BC'), (3, '2024-01-01')").await;
        assert_eq!((stream.run().await, stream.run().await), (vec![2, 3], vec![]), "{of}");
        assert_eq!((back.run().await, back.run().await), (vec![2, 3], vec![]), "{of}");
    }
}

pub async fn cursors_without_an_order_are_refused(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "create type mood as enum ('sad', 'ok');
             create table t (id int primary key, a boolean, b bytea, c char(4), d interval, e mood, f time, g money,
                 h jsonb, i inet, j int[], k xid, l name, m int4range, n timetz, o \"char\", p macaddr,
                 day date, at timestamp, made timestamptz)",
        )
        .await;
    for (cursor, words) in [
        ("a", "bool"),
        ("b", "bytea"),
        ("c", "bpchar"),
        ("d", "interval"),
        ("e", "mood"),
        ("f", "time"),
        ("g", "money"),
        ("h", "jsonb"),
        ("i", "inet"),
        ("j", "int4"),
        ("k", "xid"),
        ("l", "name"),
        ("m", "int4range"),
        ("n", "timetz"),
        ("o", "char"),
        ("p", "macaddr"),
        ("id, e", "names e, whose type mood has no order"),
        ("at, nothing", "names `nothing`, which is no column of t\n  It has id, a, b, "),
        ("AT", "names `AT`, which is no column of t (did you mean `at`?)"),
        ("coalesce(at, day)", "mixes days with times"),
        ("coalesce(day, made)", "mixes days with times"),
        // One is of the writer's zone, and the other of none.
        ("coalesce(made, at)", "mixes times with a zone"),
        ("coalesce(at, id)", "is refused by the server"),
    ] {
        let error = Stream::new(&database, &[("cursor", cursor)]).try_run(9).await.unwrap_err();
        assert!(error.kind() == Kind::Config && error.to_string().contains(words), "{cursor}: {error}");
        assert!(error.to_string().contains("`cursor`"), "{error}");
    }
    database.run("insert into t (id, at) values (1, '2024-01-01')").await;
    for (cursor, key, value, words) in
        [("at", "start", "a while ago", "`start`"), ("id", "lookback", "10m", "a whole number")]
    {
        let error = Stream::new(&database, &[("cursor", cursor), (key, value)]).try_run(9).await.unwrap_err();
        assert!(error.kind() == Kind::Config && error.to_string().contains(words), "{error}");
    }
}
