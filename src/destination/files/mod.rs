//! Files in a store: parts, and the commit log that says which of them count.
//!
//! ARCHITECTURE.md tells the protocol; `layout` where things stand, `log` what an entry is, `open` fence and sweep,
//! `writer` the commit, `part` one file on its way.

mod generations;
pub mod layout;
pub mod log;
mod open;
mod part;
mod schema;
pub mod store;
pub mod stores;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;

use self::layout::Layout;
use self::log::Log;
use self::store::{Created, Store};
use super::memory::Memory;
use super::{Destination, Opening, Place, Writer};
use crate::config::{Key, Section, Value};
use crate::error::{Context, Error, Result};
use crate::format::Format;
use crate::record::{Commit, PartInfo, StreamId};

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

    async fn live(&self, stream: &StreamId) -> Result<Vec<PartInfo>> {
        let Some(newest) = self.log(stream).newest(None).await? else { return Ok(Vec::new()) };
        let Some(publication) = newest.generations.live() else {
            return self.log(stream).live_parts(newest.seq).await;
        };
        let mut parts = Vec::new();
        for (chunk, last) in &publication.chunks {
            let chunk = stream.chunk(&publication.generation, chunk);
            parts.extend(self.log(&chunk).live_parts(*last).await?);
        }
        Ok(parts)
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

    async fn files(&self, stream: &StreamId) -> Result<Vec<String>> {
        Ok(self.live(stream).await?.iter().map(|part| self.store.url(&part.path)).collect())
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<StreamId>> {
        let keys = self.store.list(layout::LOGS, None).await?;
        let mut names: Vec<_> = keys.iter().filter_map(|key| layout::stream_of(key)).collect();
        names.dedup();
        names.retain(|name| name.starts_with(prefix));
        Ok(names.into_iter().map(StreamId::new).collect())
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

    async fn probe(&self) -> Result<()> {
        let key = "_commits/_probe/0.json";
        let body = bytes::Bytes::from_static(b"{}");
        self.0.delete(&[key.to_owned()]).await?;
        let first = self.0.create(key, body.clone()).await?;
        let second = self.0.create(key, body).await?;
        self.0.delete(&[key.to_owned()]).await?;
        match (first, second) {
            (_, Created::AlreadyThere) => Ok(()),
            (_, Created::Yes) => Err(no_conditional_create(&self.0.url(""))),
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
