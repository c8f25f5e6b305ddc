//! Change data capture: what a stream of the server's log delivers, and where it goes on.

mod altered;
mod basics;
mod beginnings;
mod checks;
#[cfg(all(feature = "mysql", feature = "s3"))]
mod disk;
mod filled;
mod filled_values;
mod identities;
#[cfg(all(feature = "mysql", feature = "s3"))]
mod own;
mod parity;
mod pgbouncer;
mod published;
mod rare;
mod slots;
mod streamed;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use tidemark::error::Result;
use tidemark::record::{Checkpoint, Event, Rows, Table};
use tidemark::source::{Following, Reader};

pub use self::altered::*;
pub use self::basics::*;
pub use self::beginnings::*;
pub use self::checks::*;
pub use self::filled::*;
pub use self::filled_values::*;
pub use self::identities::*;
pub use self::parity::*;
pub use self::published::*;
pub use self::rare::*;
pub use self::slots::*;
pub use self::streamed::*;
use super::database::{Database, make, selection};
use crate::render;

/// A row as text, by its columns.
type Row = BTreeMap<String, Option<String>>;

/// A row of changes.
#[derive(Debug, Clone)]
struct Seen {
    table: String,
    op: String,
    row: Row,
    unchanged: Vec<String>,
    filled: Vec<String>,
    position: String,
}

/// A stream of the tables `a` and `b` that is run again and again, and the present state of what it delivered.
struct Log<'a> {
    database: &'a Database,
    /// The source's own, where it names one.
    schema: Option<&'a str>,
    keys: Vec<(&'a str, String)>,
    after: Option<Checkpoint>,
    following: Following,
    /// By table and key.
    present: BTreeMap<(String, Vec<Option<String>>), Row>,
    /// Of the last run.
    seen: Vec<Seen>,
    /// What is not covered by a checkpoint yet.
    open: Vec<Rows>,
    tables: BTreeMap<String, Arc<Table>>,
}

impl<'a> Log<'a> {
    /// Of a database that [`made`] made.
    async fn new(database: &'a Database) -> Self {
        let slot = database.text("SELECT current_database()").await;
        let keys = [("mode", "cdc"), ("tables", "a, b"), ("chunk_rows", "7"), ("publication", "pub"), ("slot", &slot)];
        Self {
            database,
            schema: None,
            keys: keys.map(|(key, value)| (key, value.to_owned())).into(),
            after: None,
            following: Following::default(),
            present: BTreeMap::new(),
            seen: Vec::new(),
            open: Vec::new(),
            tables: BTreeMap::new(),
        }
    }

    fn set(&mut self, key: &'a str, value: &str) {
        self.keys.retain(|(known, _)| *known != key);
        self.keys.push((key, value.to_owned()));
    }

    fn slot(&self) -> &str {
        self.keys.iter().find(|(key, _)| *key == "slot").map(|(_, slot)| slot.as_str()).unwrap()
    }

    /// Opens it where it has come to, once nobody reads the slot any more.
    async fn open(&self) -> Result<Box<dyn Reader>> {
        self.is_left().await;
        self.open_at_once().await
    }

    /// Waits until nobody reads the slot.
    async fn is_left(&self) {
        let active =
            format!("SELECT count(*) FROM pg_replication_slots WHERE active AND slot_name = '{}'", self.slot());
        super::replication::comes_true("the slot is free", async || self.database.text(&active).await == "0").await;
    }

    async fn open_at_once(&self) -> Result<Box<dyn Reader>> {
        let own = self.schema.map(|schema| ("schema", schema));
        let source = make(&[("url", self.database.url.as_str())].into_iter().chain(own).collect::<Vec<_>>());
        let keys: Vec<_> = self.keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let mut stream = source.streams(&[selection("s", &keys)]).await?.whole()?.remove(0);
        stream.following = self.following.clone();
        source.open(&stream, self.after.as_ref()).await
    }

    /// Runs to the log's end, or is dropped behind so many events.
    async fn run(&mut self, events: usize) -> Result<bool> {
        let mut reader = self.open().await?;
        self.seen.clear();
        self.open.clear();
        self.take(&mut *reader, events).await
    }

    /// Takes so many events of a reader. Whether it has ended.
    async fn take(&mut self, reader: &mut dyn Reader, events: usize) -> Result<bool> {
        for _ in 0..events {
            match reader.next().await? {
                Some(Event::Rows(rows)) => self.open.push(rows),
                Some(Event::Checkpoint(checkpoint)) => {
                    for rows in std::mem::take(&mut self.open) {
                        self.apply(&rows.table, &rows.batch);
                        self.tables.insert(rows.table.name.clone(), rows.table);
                    }
                    reader.ack(&checkpoint.position).await?;
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

    /// The error that it ends with.
    async fn refusal(&mut self) -> tidemark::error::Error {
        match self.run(usize::MAX).await {
            Ok(_) => panic!("it was read: {:?}", self.seen),
            Err(error) => error,
        }
    }

    fn apply(&mut self, table: &Arc<Table>, batch: &RecordBatch) {
        for seen in told(table, batch) {
            let key = (table.name.clone(), table.key.iter().map(|name| seen.row[name].clone()).collect());
            match seen.op.as_str() {
                "t" => self.present.retain(|(of, _), _| *of != table.name),
                "d" => drop(self.present.remove(&key)),
                _ => {
                    let before = self.present.get(&key);
                    let mut present = seen.row.clone();
                    for name in &seen.unchanged {
                        // What is named has come before.
                        present.insert(name.clone(), before.unwrap()[name].clone());
                    }
                    self.present.insert(key, present);
                }
            }
            self.seen.push(seen);
        }
    }

    /// Its checkpoint, with another place in the log.
    fn moved(&self, lsn: &str) -> Option<Checkpoint> {
        let mut after = self.after.clone().unwrap();
        let mut position = after.position.as_value().clone();
        position["log"] = serde_json::json!({ "lsn": lsn });
        after.position = tidemark::record::Position::new(position);
        Some(after)
    }

    fn place(&self) -> String {
        self.after.as_ref().unwrap().position.as_value()["log"]["lsn"].as_str().unwrap().to_owned()
    }

    /// Table, what, `id` and `v`, as far as they have these.
    fn ops(&self) -> Vec<String> {
        let shown = |seen: &Seen| {
            let value = |name| seen.row.get(name).cloned().flatten().unwrap_or_else(|| "-".to_owned());
            format!("{} {} {} {}", seen.table, seen.op, value("id"), value("v"))
        };
        self.seen.iter().map(shown).collect()
    }

    fn ops_of(&self, table: &str) -> Vec<String> {
        let ops = self.ops().into_iter();
        ops.filter_map(|shown| shown.strip_prefix(&format!("{table} ")).map(str::to_owned)).collect()
    }

    fn count(&self, op: &str) -> usize {
        self.seen.iter().filter(|seen| seen.op == op).count()
    }

    /// Holds the present state against `a` and `b`.
    async fn is_the_tables(&self, what: &str) {
        self.is(&["a", "b"], what).await;
    }

    /// Holds the present state against tables with a key `id`, all columns of them.
    async fn is(&self, tables: &[&str], what: &str) {
        for table in tables {
            let there = self.of_server(table).await;
            let mut ours: Vec<Row> =
                self.present.iter().filter(|((of, _), _)| of == table).map(|(_, row)| row.clone()).collect();
            for row in &mut ours {
                // A column that came, and of which no row has told yet, is null; one that went is no part of the row.
                let columns = there.columns.iter();
                *row = columns.map(|name| (name.clone(), row.get(name).cloned().flatten())).collect();
            }
            ours.sort();
            assert_eq!(ours, there.rows, "{what}: table {table}: {:#?}", self.ops());
        }
    }

    async fn of_server(&self, table: &str) -> There {
        let sql = format!(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
        );
        let columns: Vec<_> = self.database.texts(&sql).await.into_iter().flatten().collect();
        let texts: Vec<_> = columns.iter().map(|name| format!("\"{name}\"::text")).collect();
        let sql = format!("SELECT {} FROM {table}", texts.join(", "));
        let messages = self.database.client.simple_query(&sql).await.unwrap();
        let mut rows = Vec::new();
        for message in &messages {
            if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                let values = columns.iter().enumerate();
                rows.push(values.map(|(at, name)| (name.clone(), row.get(at).map(str::to_owned))).collect());
            }
        }
        rows.sort();
        There { columns, rows }
    }
}

/// What rows of changes say, one by one.
fn told(table: &Arc<Table>, batch: &RecordBatch) -> Vec<Seen> {
    let schema = batch.schema();
    let text = |name: &str, row| render::text(batch.column_by_name(name).unwrap(), row);
    let names = schema.fields().iter().map(|field| field.name());
    let own: Vec<_> = names.filter(|name| !OURS.contains(&name.as_str())).collect();
    let named = |name: &str, row| {
        let lists = batch.column_by_name(name).map(|lists| lists.as_list::<i32>().clone());
        let list = lists.filter(|lists| lists.is_valid(row)).map(|lists| lists.value(row));
        list.map_or_else(Vec::new, |list| list.as_string::<i32>().iter().flatten().map(str::to_owned).collect())
    };
    let seen = |row| Seen {
        table: table.name.clone(),
        op: text("_op", row).unwrap(),
        row: own.iter().map(|name| ((*name).clone(), text(name, row))).collect(),
        unchanged: named("_unchanged", row),
        filled: named("_filled", row),
        position: text("_position", row).unwrap(),
    };
    (0..batch.num_rows()).map(seen).collect()
}

/// What the server has of a table.
struct There {
    columns: Vec<String>,
    rows: Vec<Row>,
}

/// The columns that are no table's.
const OURS: &[&str] = &["_op", "_seq", "_committed_at", "_position", "_unchanged", "_filled"];

/// A database with the empty tables `a` and `b`, a publication of all tables and a slot.
async fn made(server: &str) -> Database {
    let database = Database::create(server).await;
    let table = "(id int primary key, v int, note varchar(20) not null default 'x')";
    database.run(&format!("CREATE TABLE a {table}; CREATE TABLE b {table}")).await;
    database.run("CREATE PUBLICATION pub FOR ALL TABLES WITH (publish_via_partition_root = true)").await;
    with_slot(&database).await;
    database
}

/// Makes the slot, which is named as the database is: no other test's is.
async fn with_slot(database: &Database) {
    database.run("SELECT pg_create_logical_replication_slot(current_database(), 'pgoutput')").await;
}
