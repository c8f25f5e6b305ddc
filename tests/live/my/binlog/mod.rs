//! The change log as the server sends it, beside what its tables say.

mod images;
mod places;
mod sets;
mod sizes;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use arrow_array::{Array, ArrayRef, RecordBatch};
use tidemark::config::Section;
use tidemark::error::Result;
use tidemark::source::mysql::binlog::{
    self, CharacterSets, Definition, Event, Image, Layout, Log, Maps, Options, Room, Start,
};
use tidemark::source::{maker, mysql::binlog::Change};

use super::{Database, Flavour, Read, Server, selection, texts};

pub use images::*;
pub use places::*;
pub use sets::*;
pub use sizes::*;
pub use values::*;

/// What was done to the rows of a table, in the order of the log.
#[derive(Debug)]
pub struct Changes {
    pub what: Vec<Change>,
    /// Nulls where a row has none.
    pub before: Vec<ArrayRef>,
    pub after: Vec<ArrayRef>,
    /// Columns that an event said nothing of, of each row.
    pub unsent: Vec<Vec<usize>>,
    /// Whether the first column was changed, of each row.
    pub moved: Vec<bool>,
}

impl Database<'_> {
    pub fn section(&self) -> Section {
        let port = self.server.port().to_string();
        let keys = [
            ("hostname", "127.0.0.1"),
            ("port", port.as_str()),
            ("username", "repl"),
            ("password", "replpw"),
            ("database", self.name.as_str()),
        ];
        Section::of_kind(&maker("mysql").unwrap().kind, &keys).unwrap()
    }

    /// Where the log ends now.
    pub async fn end_of_log(&self) -> Start {
        let sql = match self.server.flavour {
            Flavour::Mysql => "show binary log status",
            Flavour::Mariadb => "show master status",
        };
        let row = self.texts(sql).await.remove(0);
        let text = |index: usize| row[index].clone().unwrap();
        Start::File { file: text(0), position: text(1).parse().unwrap() }
    }

    pub async fn define(&self, stream: &[(&str, &str)]) -> Result<(Definition, CharacterSets)> {
        let source = self.source(None, &[])?;
        let stream = source.streams(&[selection(stream)]).await?.streams.remove(0);
        binlog::define(&self.section(), &stream).await
    }

    /// What was done to a table from there on up to now.
    pub async fn changes(&self, from: Start, stream: &[(&str, &str)]) -> Result<Changes> {
        let (definition, sets) = self.define(stream).await?;
        let mut log = binlog::open(&self.section(), &until_now(from)).await?;
        let table = stream.iter().find(|(key, _)| *key == "table").unwrap().1;
        read(&mut log, &self.name, table, &definition, &sets).await
    }
}

pub fn options(start: Start) -> Options {
    Options {
        server_id: 1_000_000 + uuid::Uuid::now_v7().as_u128() as u32 % 1_000_000_000,
        uuid: uuid::Uuid::now_v7(),
        start,
        heartbeat: Duration::from_secs(10),
        write_timeout: Duration::from_secs(60),
        ends: false,
    }
}

pub fn until_now(start: Start) -> Options {
    Options { ends: true, ..options(start) }
}

pub async fn read(
    log: &mut Log,
    database: &str,
    table: &str,
    definition: &Definition,
    sets: &CharacterSets,
) -> Result<Changes> {
    let mut maps: Maps<Option<Layout>> = Maps::default();
    let mut room = Room::default();
    let (mut before, mut after) = (definition.cells(), definition.cells());
    let mut changes =
        Changes { what: Vec::new(), before: Vec::new(), after: Vec::new(), unsent: Vec::new(), moved: Vec::new() };
    while let Some(entry) = log.next().await? {
        match entry.event {
            Event::TableMap(map) if !maps.knows(&map) => {
                let is_it = map.database == database.as_bytes() && map.name == table.as_bytes();
                let layout = is_it.then(|| Layout::of(&map.read().unwrap(), definition, sets)).transpose()?;
                maps.learn(&map, layout);
            }
            Event::Rows(event) => {
                let Some(Some(layout)) = maps.get_mut(event.table) else { continue };
                let unsent = layout.unsent(&event);
                let mut rows = layout.rows(event, &mut room)?;
                while rows.advance()? {
                    rows.append(Image::Before, &mut before)?;
                    rows.append(Image::After, &mut after)?;
                    changes.what.push(rows.change());
                    changes.unsent.push(unsent.clone());
                    changes.moved.push(rows.changed(&[0]));
                }
            }
            _ => {}
        }
    }
    changes.before = before.iter_mut().map(|cells| cells.finish().unwrap()).collect();
    changes.after = after.iter_mut().map(|cells| cells.finish().unwrap()).collect();
    Ok(changes)
}

/// The rows of a table as a query gives them, by its first column.
pub async fn queried(database: &Database<'_>, stream: &[(&str, &str)]) -> Vec<ArrayRef> {
    let Read { batches, table, .. } = database.read(stream).await.unwrap();
    match batches.len() {
        0 => RecordBatch::new_empty(table.schema.clone()).columns().to_vec(),
        1 => batches[0].columns().to_vec(),
        several => panic!("{several} batches"),
    }
}

/// Compares column by column, so that a difference is named.
pub fn same(names: &[String], got: &[ArrayRef], expected: &[ArrayRef]) {
    assert_eq!(got.len(), expected.len());
    for ((name, got), expected) in names.iter().zip(got).zip(expected) {
        assert_eq!(got.data_type(), expected.data_type(), "{name}");
        assert_eq!(got.len(), expected.len(), "{name}");
        for row in 0..got.len() {
            let (one, other) = (got.slice(row, 1), expected.slice(row, 1));
            assert!(*one == *other, "{name}, row {row}: {one:?}, expected {other:?}");
        }
    }
}

/// How many rows there are of each change.
pub fn count(changes: &Changes) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for what in &changes.what {
        *counts.entry(format!("{what:?}")).or_default() += 1;
    }
    counts
}
