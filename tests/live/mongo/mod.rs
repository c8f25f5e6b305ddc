//! MongoDB, or what speaks its protocol (`tests/servers/mongo.sh`): what a source of type `mongodb` must do.

mod access;
mod changes;
mod chunks;
mod incremental;
mod reading;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use mongodb::bson::{Document, doc};
use mongodb::{Client, Collection};
use tidemark::config::{Key, Section};
use tidemark::error::Result;
use tidemark::record::{Checkpoint, Event, Table};
use tidemark::source::{Description, Reader, STREAM_KEYS, Selection, Source, Stream, maker};

use crate::{render, server};

/// The variables of its kinds of servers.
pub const PLAIN: &str = "TIDEMARK_TEST_MONGO";
pub const WITH_LOGIN: &str = "TIDEMARK_TEST_MONGO_AUTH";
pub const ALONE: &str = "TIDEMARK_TEST_MONGO_ALONE";
pub const FORGETFUL: &str = "TIDEMARK_TEST_MONGO_SHORT";

/// A database of one test, at one kind of server.
pub struct Database {
    pub url: String,
    pub name: String,
    pub client: Client,
}

impl Database {
    /// An empty one.
    pub async fn new(test: &str) -> Self {
        Self::at(PLAIN, test).await
    }

    pub async fn at(variable: &str, test: &str) -> Self {
        let (url, name) = (server(variable), format!("tm_{test}"));
        let mut options = mongodb::options::ClientOptions::parse(&url).await.unwrap();
        if variable == WITH_LOGIN {
            let mut tls = mongodb::options::TlsOptions::default();
            tls.ca_file_path = Some(server("TIDEMARK_TEST_MONGO_CA").into());
            options.tls = Some(mongodb::options::Tls::Enabled(tls));
        }
        let client = Client::with_options(options).unwrap();
        client.database(&name).drop().await.unwrap();
        Self { url, name, client }
    }

    pub fn collection(&self, name: &str) -> Collection<Document> {
        self.client.database(&self.name).collection(name)
    }

    pub async fn insert(&self, name: &str, documents: impl IntoIterator<Item = Document>) {
        self.collection(name).insert_many(documents).await.unwrap();
    }

    pub async fn run(&self, command: Document) -> Document {
        self.client.database(&self.name).run_command(command).await.unwrap()
    }

    pub fn source(&self, keys: &[(&str, &str)]) -> Result<Box<dyn Source>> {
        let mut values = vec![("url", self.url.as_str()), ("database", self.name.as_str())];
        values.retain(|(key, _)| !keys.iter().any(|(other, _)| key == other));
        values.extend(keys.iter().filter(|(_, value)| !value.is_empty()));
        source(&values)
    }

    /// The one stream that a stream's keys ask for.
    pub async fn stream(&self, source: &dyn Source, stream: &[(&str, &str)]) -> Result<Stream> {
        let streams = source.streams(&[selection(stream)?]).await?.whole()?;
        assert_eq!(streams.len(), 1, "{streams:?}");
        Ok(streams.into_iter().next().unwrap())
    }

    pub async fn open(&self, stream: &[(&str, &str)], after: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        let source = self.source(&[])?;
        let stream = self.stream(&*source, stream).await?;
        source.open(&stream, after).await
    }

    pub async fn describe(&self, stream: &[(&str, &str)]) -> Result<Description> {
        let source = self.source(&[])?;
        let stream = self.stream(&*source, stream).await?;
        source.describe(&stream).await
    }

    /// All of a stream, from its beginning or from a checkpoint on.
    pub async fn read(&self, stream: &[(&str, &str)], after: Option<&Checkpoint>) -> Result<Read> {
        drain(self.open(stream, after).await?).await
    }
}

/// A source with these keys.
pub fn source(values: &[(&str, &str)]) -> Result<Box<dyn Source>> {
    let maker = maker("mongodb")?;
    let section = Section::of_kind(&maker.kind, values)?;
    (maker.check)(&section)?;
    (maker.make)(&section)
}

/// What a `[stream s]` with these keys selects.
pub fn selection(values: &[(&str, &str)]) -> Result<Selection> {
    let maker = maker("mongodb")?;
    let keys: Vec<&'static Key> = STREAM_KEYS.iter().chain(maker.kind.stream_keys).collect();
    let section = Section::of_keys("stream s", keys, values)?;
    (maker.check_stream)(&section)?;
    let selection = Selection::of("s", &section, None)?;
    (maker.check_mode)(&section, selection.mode)?;
    Ok(selection)
}

/// All that a reader yields.
pub struct Read {
    /// The first table that was told of.
    pub table: Arc<Table>,
    pub batches: Vec<(Arc<Table>, RecordBatch)>,
    pub checkpoints: Vec<Checkpoint>,
}

/// A row: its values by column, as texts; null where there is none.
pub type Row = BTreeMap<String, Option<String>>;

impl Read {
    pub fn rows(&self) -> Vec<Row> {
        self.rows_of(None)
    }

    /// Those of a table.
    pub fn of(&self, table: &str) -> Vec<Row> {
        self.rows_of(Some(table))
    }

    fn rows_of(&self, wanted: Option<&str>) -> Vec<Row> {
        let mut rows = Vec::new();
        for (_, batch) in self.batches.iter().filter(|(table, _)| wanted.is_none_or(|wanted| table.name == wanted)) {
            let schema = batch.schema();
            let names = schema.fields().iter().map(|field| field.name().clone());
            let columns: Vec<_> = names.zip(batch.columns()).collect();
            for row in 0..batch.num_rows() {
                rows.push(columns.iter().map(|(name, column)| (name.clone(), render::text(column, row))).collect());
            }
        }
        rows
    }

    pub fn end(&self) -> &Checkpoint {
        self.checkpoints.last().expect("a checkpoint")
    }

    /// One column of all rows.
    pub fn column(&self, name: &str) -> Vec<Option<String>> {
        self.rows().iter().map(|row| row.get(name).cloned().flatten()).collect()
    }
}

/// Reads to the end: an announcement first, a checkpoint last.
pub async fn drain(mut reader: Box<dyn Reader>) -> Result<Read> {
    let (mut table, mut batches, mut checkpoints, mut is_last) = (None, Vec::new(), Vec::new(), false);
    while let Some(event) = reader.next().await? {
        is_last = matches!(event, Event::Checkpoint(_));
        match event {
            Event::Rows(rows) => {
                assert_eq!(rows.batch.schema(), rows.table.schema);
                table.get_or_insert(rows.table.clone());
                batches.push((rows.table, rows.batch));
            }
            Event::Checkpoint(checkpoint) => checkpoints.push(checkpoint),
        }
    }
    assert!(is_last, "an end without a checkpoint");
    let table = table.unwrap_or_else(|| Arc::new(Table::new("", Arc::new(arrow_schema::Schema::empty()), Vec::new())));
    Ok(Read { table, batches, checkpoints })
}

/// So many documents with whole numbers as keys.
pub fn numbered(first: i32, last: i32) -> impl Iterator<Item = Document> {
    (first..=last).map(|number| doc! { "_id": number, "n": number * 10, "name": format!("number {number}") })
}
