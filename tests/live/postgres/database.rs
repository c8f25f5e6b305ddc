//! A database of a test's own, and the source that reads it.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, RecordBatch};
use tidemark::config::Section;
use tidemark::error::{Error, Kind};
use tidemark::record::{Checkpoint, Event, Table};
use tidemark::source::{self, Maker, Reader, STREAM_KEYS, Selection, Source, Stream};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A database that ends with the value.
pub struct Database {
    /// Of a role that may do everything.
    pub client: Client,
    pub url: String,
    name: String,
    server: String,
}

impl Database {
    /// On the server at a URL of a superuser.
    pub async fn create(server: &str) -> Self {
        let name = format!("t{}", uuid::Uuid::now_v7().simple());
        connect(server).await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let mut url = url::Url::parse(server).unwrap();
        url.set_path(&name);
        let url = url.to_string();
        let client = connect(&url).await;
        client
            .batch_execute("SET TimeZone = 'UTC'; SET IntervalStyle = 'iso_8601'; SET DateStyle = 'ISO'")
            .await
            .unwrap();
        Self { client, url, name, server: server.to_owned() }
    }

    pub async fn run(&self, sql: &str) {
        if let Err(e) = self.client.batch_execute(sql).await {
            panic!("{sql}: {}", e.as_db_error().map_or(e.to_string(), ToString::to_string));
        }
    }

    /// The first column of what a query gives, as the server's own text.
    pub async fn texts(&self, sql: &str) -> Vec<Option<String>> {
        let messages = self.client.simple_query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
            _ => None,
        });
        rows.collect()
    }

    pub async fn text(&self, sql: &str) -> String {
        self.texts(sql).await.remove(0).unwrap()
    }

    pub async fn version(&self) -> u32 {
        self.text("SELECT current_setting('server_version_num')::int / 10000").await.parse().unwrap()
    }

    /// A role of this database's own, with the password `pw`. It ends with the database.
    pub async fn role(&self, kind: &str) -> String {
        let role = format!("{}_{kind}", self.name);
        self.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'pw'")).await;
        role
    }

    /// The URL for another role.
    pub fn url_of(&self, role: &str, password: &str) -> String {
        let mut url = url::Url::parse(&self.url).unwrap();
        url.set_username(role).unwrap();
        url.set_password(Some(password)).unwrap();
        url.to_string()
    }

    pub fn source(&self) -> Box<dyn Source> {
        make(&[("url", &self.url)])
    }

    /// Reads a stream from beginning to end.
    pub async fn read(&self, stream: &[(&str, &str)]) -> Read {
        let source = self.source();
        let stream = only(&*source, stream).await;
        read(source.open(&stream, None).await.unwrap()).await.unwrap()
    }

    /// The error of a stream that cannot be read, wherever it comes.
    pub async fn refusal(&self, stream: &[(&str, &str)]) -> Error {
        refusal(&*self.source(), stream).await
    }

    /// The processes of the server that serve us.
    pub async fn backends(&self) -> Vec<String> {
        let sql = "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
                   AND application_name = 'tidemark'";
        self.texts(sql).await.into_iter().flatten().collect()
    }

    /// Waits until nobody of us is connected.
    pub async fn wait_for_no_backend(&self) {
        for _ in 0..200 {
            if self.backends().await.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("a connection is still open");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (name, server, url) = (self.name.clone(), self.server.clone(), self.url.clone());
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = connect(&server).await;
                // Of a server whose commits a test had wait for a standby that there is not.
                client.batch_execute("SET synchronous_commit = local").await.unwrap();
                let prepared = "SELECT gid FROM pg_prepared_xacts WHERE database = $1";
                for left in client.query(prepared, &[&name]).await.unwrap() {
                    // Of a test that failed: others would wait for it for ever.
                    let rollback = format!("ROLLBACK PREPARED '{}'", left.get::<_, String>(0));
                    connect(&url).await.batch_execute(&rollback).await.unwrap();
                }
                // A slot that somebody reads would keep the database.
                let readers = "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE active AND database = ";
                client.batch_execute(&format!("{readers}'{name}'")).await.unwrap();
                client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
                let roles = client
                    .query("SELECT rolname::text FROM pg_roles WHERE rolname LIKE $1", &[&format!("{name}\\_%")])
                    .await
                    .unwrap();
                for role in roles {
                    client.batch_execute(&format!("DROP ROLE {}", role.get::<_, String>(0))).await.unwrap();
                }
            });
        });
        // A test that fails already fails by its own words.
        let _ = dropped.join();
    }
}

pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap_or_else(|e| panic!("{url}: {e:?}"));
    tokio::spawn(connection);
    client
}

/// All tables of a run are to be of one moment.
pub const RUN: (&str, &str) = ("consistency", "run");

pub fn maker() -> &'static Maker {
    source::maker("postgres").unwrap()
}

pub fn make(values: &[(&str, &str)]) -> Box<dyn Source> {
    (maker().make)(&Section::of_kind(&maker().kind, values).unwrap()).unwrap()
}

pub fn selection(name: &str, values: &[(&str, &str)]) -> Selection {
    let keys = STREAM_KEYS.iter().chain(maker().kind.stream_keys).collect();
    Selection::of(name, &Section::of_keys(&format!("stream {name}"), keys, values).unwrap(), None).unwrap()
}

pub async fn streams(source: &dyn Source, values: &[(&str, &str)]) -> Result<Vec<Stream>, Error> {
    source.streams(&[selection("s", values)]).await?.whole()
}

/// The one stream of a selection.
pub async fn only(source: &dyn Source, values: &[(&str, &str)]) -> Stream {
    let mut streams = streams(source, values).await.unwrap();
    assert_eq!(streams.len(), 1);
    streams.remove(0)
}

pub async fn refusal(source: &dyn Source, values: &[(&str, &str)]) -> Error {
    let attempt = async {
        for stream in streams(source, values).await? {
            read(source.open(&stream, None).await?).await?;
        }
        Ok(())
    };
    match attempt.await {
        Ok(()) => panic!("{values:?} was read"),
        Err(error) => error,
    }
}

/// What a reader gave.
#[derive(Debug)]
pub struct Read {
    pub table: Arc<Table>,
    pub batches: Vec<RecordBatch>,
    pub end: Checkpoint,
}

impl Read {
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// A column's values, as [`crate::render::text`] shows them.
    pub fn column(&self, name: &str) -> Vec<Option<String>> {
        let column = self.table.schema.index_of(name).unwrap();
        let arrays = self.batches.iter().map(|batch| batch.column(column));
        arrays.flat_map(|array| (0..array.len()).map(move |row| crate::render::text(array, row))).collect()
    }
}

/// Reads to the end, and holds the reader to its contract.
pub async fn read(mut reader: Box<dyn Reader>) -> Result<Read, Error> {
    let Some(Event::Rows(first)) = reader.next().await? else { panic!("no announcement") };
    assert_eq!(first.batch.num_rows(), 0, "the first event is the announcement");
    let mut batches = Vec::new();
    let end = loop {
        match reader.next().await?.expect("a checkpoint before the end") {
            Event::Rows(rows) => {
                assert_eq!(rows.table, first.table);
                assert_eq!(rows.batch.schema(), first.table.schema);
                assert!(rows.batch.num_rows() > 0);
                batches.push(rows.batch);
            }
            Event::Checkpoint(checkpoint) => break checkpoint,
        }
    };
    assert!(reader.next().await?.is_none());
    Ok(Read { table: first.table, batches, end })
}

/// Asserts an error's kind, and that its message or advice has all of `words`.
pub fn assert_error(error: &Error, kind: Kind, words: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}
