//! Files in a store: parts, and the commit log that says which of them count.
//!
//! ARCHITECTURE.md tells the protocol; `layout` where things stand, `log` what an entry is, `open` fence and sweep,
//! `writer` the commit, `part` one file on its way.

mod generations;
pub mod layout;
mod live;
pub mod log;
mod open;
mod part;
pub mod store;
pub mod stores;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};

use self::layout::Layout;
use self::live::Live;
use self::log::Log;
use self::store::{Created, Store};
use super::memory::Memory;
use super::{Destination, Opening, Place, Presence, Writer};
use crate::config::{Key, Section, Value};
use crate::error::{Context, Error, Result};
use crate::format::Format;
use crate::record::{Commit, StreamId};

/// Keys of a stream that is written into files, whatever the store.
pub const KEYS: &[Key] = &[
    Key::new("part_bytes", Value::Bytes, "A data file is closed at about this size.")
        .default("128 MiB")
        .example("512 MiB"),
    Key::new(
        "keep_generations",
        Value::Integer(0, 1000),
        "How many full loads before the live one keep their files, so that readers at work do not lose them.",
    )
    .default("1"),
];

/// How many entries are read at once by those who read many: a store in a network takes its time for each.
const ENTRIES_AT_ONCE: usize = 8;

/// How a stream's files are made.
pub struct Settings {
    pub format: Box<dyn Format>,
    pub part_bytes: u64,
    pub keep_generations: usize,
    pub memory: Arc<Memory>,
}

impl Settings {
    /// Reads [`KEYS`] and the format's keys.
    pub fn of(section: &Section, format: Box<dyn Format>, memory: Arc<Memory>) -> Result<Self> {
        let keep = section.integer("keep_generations")?;
        Ok(Self {
            format,
            part_bytes: section.bytes("part_bytes")?,
            keep_generations: usize::try_from(keep).map_err(|_| section.error("keep_generations", "is negative"))?,
            memory,
        })
    }
}

/// Files below one prefix of one store, made one way.
pub struct Files {
    store: Arc<dyn Store>,
    settings: Arc<Settings>,
}

impl Files {
    pub fn new(store: Arc<dyn Store>, settings: Settings) -> Self {
        Self { store, settings: Arc::new(settings) }
    }

    fn log(&self, stream: &StreamId) -> Log {
        Log::new(self.store.clone(), Layout::of(stream))
    }
}

#[async_trait]
impl Destination for Files {
    async fn open(&self, stream: &StreamId, opening: &Opening) -> Result<Box<dyn Writer>> {
        let writer = open::open(self.store.clone(), self.settings.clone(), stream, opening).await;
        Ok(Box::new(writer.at(|| format!("stream {stream}"))?))
    }

    async fn last(&self, stream: &StreamId, after: Option<u64>) -> Result<Option<Commit>> {
        self.log(stream).newest(after).await
    }

    async fn range(&self, stream: &StreamId, from: u64, to: u64) -> Result<Vec<Commit>> {
        self.log(stream).range(from, to).await
    }

    fn location(&self, table: &str) -> String {
        self.store.url(&Layout::table(table))
    }
}

/// A store, as a place.
pub struct StorePlace(pub Arc<dyn Store>);

#[async_trait]
impl Place for StorePlace {
    fn destination(&self, stream: &Section, memory: &Arc<Memory>) -> Result<Arc<dyn Destination>> {
        let settings = Settings::of(stream, crate::format::format(stream)?, memory.clone())?;
        Ok(Arc::new(Files::new(self.0.clone(), settings)))
    }

    async fn files(&self, stream: &StreamId) -> Result<Vec<String>> {
        Live(&self.0).files(stream).await
    }

    async fn has(&self, stream: &StreamId) -> Result<bool> {
        Live(&self.0).has(stream).await
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<StreamId>> {
        Live(&self.0).streams(prefix).await
    }

    async fn last(&self, stream: &StreamId, after: Option<u64>) -> Result<Option<Commit>> {
        Log::new(self.0.clone(), Layout::of(stream)).newest(after).await
    }

    async fn entries(&self, stream: &StreamId, from: u64, to: u64) -> Result<Vec<Commit>> {
        let log = Log::new(self.0.clone(), Layout::of(stream));
        let entries = futures_util::stream::iter((from..=to).map(|seq| log.read(seq)));
        entries.buffered(ENTRIES_AT_ONCE).try_collect().await
    }

    async fn presence(&self, stream: &StreamId) -> Result<Option<Presence>> {
        Live(&self.0).presence(stream).await
    }

    async fn probe(&self) -> Result<()> {
        // A name of its own: two who probe at once must not meet.
        let key = layout::probe(&uuid::Uuid::now_v7().to_string());
        let body = bytes::Bytes::from_static(b"{}");
        let twice = async {
            self.0.create(&key, body.clone()).await?;
            self.0.create(&key, body).await
        };
        let second = twice.await;
        // Also where the second creation failed.
        let deleted = self.0.delete(std::slice::from_ref(&key)).await;
        match second? {
            Created::AlreadyThere => deleted,
            Created::Yes => Err(no_conditional_create(&self.0.url(""))),
        }
    }
}

fn no_conditional_create(url: &str) -> Error {
    Error::config(format!("{url} can be created twice: no commit is safe in this store"))
        .hint("Use a store with conditional writes (If-None-Match), such as Amazon S3, GCS, MinIO or a local disk.")
}

/// RFC 3339, UTC.
fn now() -> String {
    jiff::Timestamp::now().to_string()
}
