//! Change data capture: what a stream of the binary log delivers, and where it goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, RecordBatch};
use mysql_async::prelude::Queryable;
use serde_json::json;
use tidemark::error::{Kind, Result};
use tidemark::record::{Checkpoint, Event, Table};
use tidemark::source::Following;

use super::{Database, Flavour, Server, selection};

pub mod anew;
pub mod begun;
pub mod checks;
pub mod lag;
pub mod made_keys;
pub mod program;
pub mod tables;
pub mod undone;
pub mod worded;

/// Table, what, key, value, and what was not sent.
type Seen = (String, String, Option<i32>, Option<i32>, Vec<String>);

/// A stream of the tables `a` and `b` that is run again and again, and the present state of what it delivered.
struct Log<'a> {
    database: &'a Database<'a>,
    keys: Vec<(&'a str, &'a str)>,
    after: Option<Checkpoint>,
    following: Following,
    /// By table and key: its other column.
    present: BTreeMap<(String, i32), Option<i32>>,
    /// Of the last run.
    seen: Vec<Seen>,
    tables: BTreeMap<String, Arc<Table>>,
}

impl<'a> Log<'a> {
    fn new(database: &'a Database<'a>) -> Self {
        let keys = vec![("mode", "cdc"), ("tables", "a, b"), ("chunk_rows", "7")];
        let (present, seen, tables) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        Self { database, keys, after: None, following: Following::default(), present, seen, tables }
    }

    /// Runs to the log's end, or is dropped behind so many events.
    async fn run(&mut self, events: usize) -> Result<bool> {
        let source = self.database.source(None, &[])?;
        let mut stream = source.streams(&[selection(&self.keys)]).await?.whole()?.remove(0);
        stream.following = self.following.clone();
        let mut reader = source.open(&stream, self.after.as_ref()).await?;
        self.seen.clear();
        let mut open = Vec::new();
        for _ in 0..events {
            match reader.next().await? {
                Some(Event::Rows(rows)) => open.push(rows),
                Some(Event::Checkpoint(checkpoint)) => {
                    for rows in open.drain(..) {
                        self.tables.insert(rows.table.name.clone(), rows.table.clone());
                        self.apply(&rows.table.name, &rows.batch);
                    }
                    self.after = Some(checkpoint);
                }
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    async fn whole(&mut self) {
        assert!(self.run(usize::MAX).await.unwrap());
    }

    fn apply(&mut self, table: &str, batch: &RecordBatch) {
        let column = |name: &str| batch.column_by_name(name).unwrap();
        let (ids, values) = (column("id").as_primitive::<Int32Type>(), column("v").as_primitive::<Int32Type>());
        let (ops, unchanged) = (column("_op").as_string::<i32>(), column("_unchanged").as_list::<i32>());
        for row in 0..batch.num_rows() {
            let id = ids.is_valid(row).then(|| ids.value(row));
            let value = values.is_valid(row).then(|| values.value(row));
            let unsent: Vec<String> = match unchanged.is_valid(row) {
                true => unchanged.value(row).as_string::<i32>().iter().flatten().map(str::to_owned).collect(),
                false => Vec::new(),
            };
            let key = |id: Option<i32>| (table.to_owned(), id.unwrap());
            match ops.value(row) {
                "t" => self.present.retain(|(of, _), _| of != table),
                "d" => drop(self.present.remove(&key(id))),
                _ if unsent.contains(&"v".to_owned()) => assert!(self.present.contains_key(&key(id))),
                _ => drop(self.present.insert(key(id), value)),
            }
            self.seen.push((table.to_owned(), ops.value(row).to_owned(), id, value, unsent));
        }
    }

    /// Its checkpoint, with another place in the log.
    fn moved(&self, place: serde_json::Value) -> Option<Checkpoint> {
        let mut after = self.after.clone().unwrap();
        let mut position = after.position.as_value().clone();
        position["log"] = place;
        after.position = tidemark::record::Position::new(position);
        Some(after)
    }

    fn ops(&self) -> Vec<(&str, &str, Option<i32>, Option<i32>)> {
        self.seen.iter().map(|(table, op, id, value, _)| (table.as_str(), op.as_str(), *id, *value)).collect()
    }

    async fn is_the_tables(&self) -> bool {
        let mut expected = BTreeMap::new();
        for table in ["a", "b"] {
            let mut conn = self.database.conn().await;
            let rows: Vec<(i32, Option<i32>)> = conn.query(format!("select id, v from {table}")).await.unwrap();
            expected.extend(rows.into_iter().map(|(id, value)| ((table.to_owned(), id), value)));
        }
        self.present == expected
    }
}

async fn made<'a>(server: &'a Server, name: &str) -> Database<'a> {
    let database = server.database(name).await;
    let table = "(id int primary key, v int, note varchar(20) not null default 'x')";
    database.run(&format!("create table a {table}; create table b {table}")).await;
    database
}

pub async fn a_snapshot_and_then_what_changes(server: &Server) {
    let database = made(server, "cdc_ops").await;
    database.run("insert into a (id, v) values (1, 10), (2, 20), (3, null)").await;
    let mut log = Log::new(&database);
    log.whole().await;
    let read = |id, value| ("a", "r", Some(id), value);
    assert_eq!(log.ops(), [read(1, Some(10)), read(2, Some(20)), read(3, None)]);
    assert!(log.tables.contains_key("b"), "an empty table arrives too");

    database
        .run(
            "insert into b (id, v) values (5, 50); update a set v = 11 where id = 1; update a set id = 9 where id = 2; \
             delete from a where id = 3; begin; insert into b (id, v) values (6, 60); rollback",
        )
        .await;
    log.whole().await;
    let of = |table, op| log.ops().into_iter().filter(|seen| (seen.0, seen.1) == (table, op)).collect::<Vec<_>>();
    assert_eq!(of("b", "c"), [("b", "c", Some(5), Some(50))]);
    assert_eq!(of("a", "u"), [("a", "u", Some(1), Some(11))]);
    // A row that leaves its key goes, and comes to the other one.
    assert_eq!(of("a", "d"), [("a", "d", Some(2), Some(20)), ("a", "d", Some(3), None)]);
    assert_eq!(of("a", "c"), [("a", "c", Some(9), Some(20))]);
    assert_eq!(log.seen.len(), 5, "{:?}", log.seen);
    assert!(log.is_the_tables().await);

    log.whole().await;
    assert!(log.seen.is_empty());
    database.run("truncate table a; insert into a (id, v) values (4, 40)").await;
    log.whole().await;
    assert_eq!(log.ops(), [("a", "t", None, None), ("a", "c", Some(4), Some(40))]);
    assert!(log.is_the_tables().await);
}

/// Readers are dropped behind any event, while others write: what stood at the last checkpoint goes on there.
pub async fn what_is_cut_off_goes_on(server: &Server) {
    let database = made(server, "cdc_cut").await;
    let rows: Vec<_> = (0..200).map(|id| format!("({id}, 0)")).collect();
    database.run(&format!("insert into a (id, v) values {}", rows.join(", "))).await;
    let ended = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|number| {
            let (ended, name, server) = (ended.clone(), database.name.clone(), server.port());
            tokio::spawn(write(number, name, server, ended))
        })
        .collect();
    let mut log = Log::new(&database);
    let mut cut = 0;
    for turn in 0..60usize {
        cut += usize::from(!log.run(1 + turn * 7 % 40).await.unwrap());
    }
    ended.store(true, Ordering::Release);
    for writer in writers {
        writer.await.unwrap();
    }
    log.whole().await;
    assert!(log.is_the_tables().await);
    assert!(cut > 10, "{cut} of 60 runs were cut off");
}

async fn write(number: u64, database: String, port: u16, ended: Arc<AtomicBool>) {
    let opts = mysql_async::OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(port);
    let opts = opts.user(Some("repl")).pass(Some("replpw")).db_name(Some(database)).prefer_socket(false);
    let mut conn = mysql_async::Conn::new(opts).await.unwrap();
    let mut chance = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(number + 1);
    let mut below = |end: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % end
    };
    while !ended.load(Ordering::Acquire) {
        conn.query_drop("begin").await.unwrap();
        for _ in 0..=below(4) {
            let table = if below(2) == 0 { "a" } else { "b" };
            // Each writer has keys of its own, so that none waits for another.
            let id = below(100) * 3 + number;
            let sql = match below(4) {
                0 => format!("delete from {table} where id = {id}"),
                1 => format!("update ignore {table} set id = {} where id = {id}", below(100) * 3 + number),
                _ => format!("insert into {table} (id, v) values ({id}, 1) on duplicate key update v = v + 1"),
            };
            conn.query_drop(sql).await.unwrap();
        }
        conn.query_drop(if below(6) == 0 { "rollback" } else { "commit" }).await.unwrap();
        tokio::time::sleep(Duration::from_millis(below(8))).await;
    }
}

/// A table that comes to the stream is read while the log goes on; one that leaves it is left.
pub async fn tables_come_and_go(server: &Server) {
    let database = made(server, "cdc_tables").await;
    database.run("insert into a (id, v) values (1, 1); insert into b (id, v) values (2, 2)").await;
    let mut log = Log::new(&database);
    log.keys[1] = ("tables", "a");
    log.whole().await;
    assert_eq!(log.ops(), [("a", "r", Some(1), Some(1))]);
    database.run("update b set v = 3; update a set v = 3").await;
    log.keys[1] = ("tables", "a, b");
    log.whole().await;
    let seen: BTreeSet<_> = log.ops().into_iter().collect();
    assert!(seen.contains(&("b", "r", Some(2), Some(3))) && seen.contains(&("a", "u", Some(1), Some(3))), "{seen:?}");
    assert!(log.is_the_tables().await);
}

/// A row that no key tells from others goes as what it was, and comes as what it is.
pub async fn changes_without_a_key(server: &Server) {
    let database = server.database("cdc_keyless").await;
    database.run("create table a (id int, v int); create table b (id int primary key, v int); insert into a values (1, 1), (1, 1), (2, 2)").await;
    let mut log = Log::new(&database);
    log.whole().await;
    assert_eq!(log.seen.len(), 3);
    database.run("update a set v = 9 where id = 1 limit 1; delete from a where id = 2").await;
    log.whole().await;
    assert_eq!(log.ops(), [("a", "d", Some(1), Some(1)), ("a", "c", Some(1), Some(9)), ("a", "d", Some(2), Some(2))]);
}

/// A server that logs no more than it must: what did not change is named, and never null for that.
pub async fn columns_that_are_not_sent_are_named(server: &Server) {
    let database = made(server, "cdc_minimal").await;
    database.run("insert into a (id, v) values (1, 10)").await;
    let mut log = Log::new(&database);
    log.whole().await;
    database.run("set session binlog_row_image = minimal; update a set note = 'y' where id = 1").await;
    log.whole().await;
    assert_eq!(log.seen.len(), 1);
    let (_, op, id, value, unsent) = &log.seen[0];
    assert_eq!((op.as_str(), *id, *value, unsent.as_slice()), ("u", Some(1), None, &["v".to_owned()][..]));
    assert!(log.is_the_tables().await);
}

/// What is refused, and how.
pub async fn logs_that_cannot_be_read_are_named(server: &Server) {
    let database = made(server, "cdc_refused").await;
    let mut log = Log::new(&database);
    log.whole().await;
    let error = selection_error(&database, &[("mode", "cdc"), ("tables", "a"), ("where", "v > 1")]).await;
    assert!(error.contains("`where`"), "{error}");
    // Places that the server does not have.
    let purged = |log: &Log<'_>| log.moved(json!({ "file": "binlog.900001", "pos": 4 }));
    let after = log.after.clone();
    log.after = purged(&log);
    let error = log.run(usize::MAX).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Lost, "{error}");
    assert!(!error.message().contains(":4:") && error.to_string().contains("on_lost"), "{error}");
    log.after = after;
    if server.flavour == Flavour::Mariadb {
        log.after = log.moved(json!({ "file": "binlog.000001", "pos": 4, "gtids": "0-1-999999999" }));
        assert_eq!(log.run(usize::MAX).await.unwrap_err().kind(), Kind::Lost);
    }
    // Who may not read the log is told what it takes.
    let login = database.user("grant select on {db}.* to {user}").await;
    let source = database.source(Some(&login), &[]).unwrap();
    let stream = source.streams(&[selection(&[("mode", "cdc"), ("tables", "a")])]).await.unwrap().whole().unwrap();
    let error = source.open(&stream[0], None).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert!(error.to_string().contains("REPLICATION"), "{error}");
}

async fn selection_error(database: &Database<'_>, keys: &[(&str, &str)]) -> String {
    let source = database.source(None, &[]).unwrap();
    source.streams(&[selection(keys)]).await.err().unwrap().to_string()
}
