//! Tables that become others in the midst of their log.

use tidemark::error::Kind;

use super::{Log, made};
use crate::my::{Flavour, Server};

/// Statements among which tables become others, and how many rows of snapshots they lead to.
const SCRIPTS: &[(&str, &str, usize)] = &[
    (
        "a column comes",
        "insert into a (id, v) values (101, 1); alter table a add column more int; \
      insert into a (id, v, more) values (102, 2, 7); update a set v = 9 where id = 101",
        0,
    ),
    (
        "and goes",
        "update a set v = 3 where id = 102; alter table a drop column more; insert into a (id, v) values (103, 3)",
        0,
    ),
    (
        "columns of one type change places",
        "update a set v = 4 where id = 1; alter table a add column w int after id; \
      insert into a (id, w, v) values (104, 70, 7); alter table a modify column w int first; update a set v = 5, w = 71 where id = 2",
        0,
    ),
    (
        "several at once",
        "alter table a add column (x1 int, x2 varchar(30)), drop column w, add index (v); \
      insert into a (id, v, x1, x2) values (105, 1, 2, 'x'); alter table a drop x1, drop column x2; update a set v = v + 1",
        0,
    ),
    (
        "a type is wider",
        "insert into a (id, v, note) values (106, 6, 'short'); alter table a modify note varchar(300) not null default 'x'; \
      insert into a (id, v, note) values (107, 7, repeat('long', 60))",
        0,
    ),
    (
        "what concerns no column",
        "alter table a comment 'truncate partition'; alter table a auto_increment = 5000; \
      create index i on a (note); alter table a drop index i; analyze table a; update a set v = v + 1",
        0,
    ),
    (
        "another table's",
        "create table c (id int primary key); alter table c add x int; insert into c values (1, 1); drop table c; \
      update a set v = v + 1 where id < 3",
        0,
    ),
    ("emptied and filled", "truncate table a; insert into a (id, v) values (1, 10), (2, 20)", 0),
    (
        "a default comes",
        "update a set v = 11 where id = 1; alter table a add column d int not null default 5; update a set v = 12 where id = 1",
        2,
    ),
    (
        "values are rewritten",
        "alter table a modify v bigint unsigned; alter table a modify v int; insert into a (id, v) values (3, 30)",
        3,
    ),
    (
        "made anew",
        "insert into a (id, v) values (4, 40); drop table a; create table a (id int primary key, v int, note varchar(20) default 'x'); \
      insert into a (id, v) values (5, 50), (6, 60)",
        2,
    ),
    (
        "swapped, as tools do",
        "create table a_new like a; alter table a_new add column e int; insert into a_new select a.*, 1 from a; \
      rename table a to a_old, a_new to a; update a set v = v + 1 where id = 5; insert into a (id, v, e) values (7, 70, 2); drop table a_old",
        3,
    ),
    (
        "named otherwise, and back",
        "rename table b to b_away; insert into b_away (id, v) values (9, 90); rename table b_away to b",
        2,
    ),
    (
        "away by another word",
        "alter table b rename to b_away, add column z int; alter table b_away rename b; update b set v = 91 where id = 9",
        2,
    ),
    (
        "gone and back, in a hurry",
        "drop table b; create table b (v int, id int primary key); insert into b values (1, 2); drop table b; \
      create table b (id int primary key, v int); insert into b values (3, 4)",
        1,
    ),
    (
        "exchanged with each other",
        "create table b2 like b; insert into b2 values (8, 80), (9, 90); rename table b to b3, b2 to b, b3 to b2; drop table b2; \
      delete from b where id = 8",
        1,
    ),
];

/// All of it is followed, whatever the log says of columns: rows of before with what the table was before.
pub async fn are_followed(server: &Server) {
    let lean = match server.flavour {
        Flavour::Mysql => "minimal",
        Flavour::Mariadb => "no_log",
    };
    for metadata in ["full", lean] {
        let database = made(server, &format!("cdc_altered_{metadata}")).await;
        database.run("insert into a (id, v) values (1, 10), (2, 20); insert into b (id, v) values (8, 80)").await;
        let mut log = Log::new(&database);
        log.whole().await;
        for (name, script, read) in SCRIPTS {
            database
                .run(&format!(
                    "set global binlog_row_metadata = {metadata}; {script}; set global binlog_row_metadata = full"
                ))
                .await;
            log.whole().await;
            assert!(log.is_the_tables().await, "{metadata}: {name}: {:?} {:?}", log.present, log.seen);
            let of_snapshots = log.seen.iter().filter(|seen| seen.1 == "r").count();
            assert_eq!(of_snapshots, *read, "{metadata}: {name}: {:?}", log.seen);
        }
    }
}

/// A table of a pattern is the stream's until the log has told of its end, though no catalog has it any more.
pub async fn that_a_pattern_matched(server: &Server) {
    let database = made(server, "cdc_pattern").await;
    database.run("insert into a (id, v) values (1, 10); insert into b (id, v) values (2, 20), (3, 30)").await;
    let mut log = Log::new(&database);
    log.keys[1] = ("tables", "a, ?");
    log.whole().await;
    database.run("update b set v = 21 where id = 2; drop table b; insert into a (id, v) values (4, 40)").await;
    log.whole().await;
    let of_b: Vec<_> = log.ops().into_iter().filter(|seen| seen.0 == "b").map(|seen| seen.1.to_owned()).collect();
    assert_eq!(of_b, ["u", "t"]);
    // It is over, until another one comes.
    log.whole().await;
    assert!(log.seen.is_empty(), "{:?}", log.seen);
    database.run("create table b (id int primary key, v int); insert into b values (9, 90)").await;
    log.whole().await;
    assert!(log.is_the_tables().await, "{:?} {:?}", log.present, log.seen);
    // A view has its name by now.
    database.run("insert into b values (8, 80); rename table b to b_away; create view b as select * from b_away").await;
    log.whole().await;
    let of_b: Vec<_> = log.ops().into_iter().map(|seen| seen.1.to_owned()).collect();
    assert_eq!(of_b, ["c", "t"]);
    log.whole().await;
    assert!(log.seen.is_empty(), "{:?}", log.seen);
}

/// MariaDB may log an ALTER twice: where it begins and where it is carried out.
pub async fn altered_in_two_phases(server: &Server) {
    let database = made(server, "cdc_two_phases").await;
    let mut log = Log::new(&database);
    log.whole().await;
    let setting = if server.flavour == Flavour::Mariadb { "set session binlog_alter_two_phase = 1; " } else { "" };
    database
        .run(&format!(
            "{setting}insert into a (id, v) values (1, 1); alter table a add column x int first; insert into a (id, v) values (2, 2); \
             alter table a drop column x, algorithm = copy; insert into a (id, v) values (3, 3)"
        ))
        .await;
    log.whole().await;
    assert!(log.is_the_tables().await, "{:?}", log.present);
    assert_eq!(log.seen.len(), 3);
}

/// Runs that are cut off behind any event go on with what the tables were there.
pub async fn are_followed_from_any_place(server: &Server) {
    let database = made(server, "cdc_altered_cut").await;
    database.run("insert into a (id, v) values (1, 10), (2, 20); insert into b (id, v) values (8, 80)").await;
    let mut log = Log::new(&database);
    log.whole().await;
    let all: Vec<_> = SCRIPTS.iter().map(|(_, script, _)| *script).collect();
    database.run(&all.join("; ")).await;
    let mut cut = 0;
    for events in 1..400 {
        if log.run(events).await.unwrap() {
            break;
        }
        cut += 1;
    }
    assert!(cut > 2, "{cut}");
    log.whole().await;
    assert!(log.is_the_tables().await, "{:?}", log.present);
}

/// A table that left the stream and comes back: what happened to its rows meanwhile is not in the log that was read.
pub async fn that_come_back_are_read_anew(server: &Server) {
    let database = made(server, "cdc_back").await;
    database.run("insert into a (id, v) values (1, 1); insert into b (id, v) values (2, 2), (3, 3)").await;
    let mut log = Log::new(&database);
    log.whole().await;
    log.keys[1] = ("tables", "a");
    log.whole().await;
    database.run("delete from b where id = 2; update b set v = 4").await;
    log.whole().await;
    log.keys[1] = ("tables", "a, b");
    log.whole().await;
    assert!(log.is_the_tables().await, "{:?}", log.present);
    assert_eq!(log.ops(), [("b", "t", None, None), ("b", "r", Some(3), Some(4))]);
}

/// A table that is not there holds the others up in nothing, and is read when it comes.
pub async fn that_are_not_there_yet(server: &Server) {
    let database = made(server, "cdc_not_yet").await;
    database.run("insert into a (id, v) values (1, 1)").await;
    let mut log = Log::new(&database);
    log.whole().await;
    database.run("drop table b; update a set v = 2").await;
    log.whole().await;
    assert_eq!(log.ops(), [("b", "t", None, None), ("a", "u", Some(1), Some(2))]);
    log.whole().await;
    database.run("create table b (id int primary key, v int); insert into b values (1, 1)").await;
    log.whole().await;
    assert!(log.is_the_tables().await, "{:?}", log.present);
}

/// What the log does not tell is refused by name before any row is read by a wrong definition.
pub async fn altered_in_silence(server: &Server) {
    let database = made(server, "cdc_silence").await;
    let mut log = Log::new(&database);
    log.whole().await;
    database
        .run(
            "set session sql_log_bin = 0; alter table a add column secret varchar(20) first; set session sql_log_bin = 1; \
             insert into a (id, v, secret) values (1, 2, 'hidden')",
        )
        .await;
    let error = log.run(usize::MAX).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Schema, "{error}");
    let said = error.to_string();
    assert!(said.contains("table a") && said.contains("--snapshot a") && !said.contains("hidden"), "{said}");
    // Other tests write to the same log, so that the place may have moved, but not beyond.
    assert!(log.present.is_empty(), "{:?}", log.present);
}
