//! Where records go: the traits, and the kinds there are.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use self::files::StorePlace;
use self::files::stores::{self, STORES};
use self::memory::Memory;
use crate::config::{Kind, Section};
use crate::error::{Error, Result};
use crate::record::{Commit, Mode, Rows, Seal, StreamId};

pub mod files;
pub mod memory;

/// A folder, bucket or broker under one `[destination]` section, as one stream sees it.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Opens the stream for writing and fences: once this returns, no earlier writer of the stream can commit, and
    /// what earlier writers left without committing is gone.
    async fn open(&self, stream: &StreamId, opening: &Opening) -> Result<Box<dyn Writer>>;

    /// The stream's newest entry, without opening it. `after` is where to start looking.
    async fn last(&self, stream: &StreamId, after: Option<u64>) -> Result<Option<Commit>>;

    /// The stream's entries `from..=to`.
    async fn range(&self, stream: &StreamId, from: u64, to: u64) -> Result<Vec<Commit>>;

    /// Where the data of a table is, for people.
    fn location(&self, table: &str) -> String;
}

/// One `[destination]` section: what its streams have in common. Making one connects to nothing.
#[async_trait]
pub trait Place: Send + Sync {
    /// The destination as one stream wants it, with its own format and keys.
    fn destination(&self, stream: &Section, memory: &Arc<Memory>) -> Result<Arc<dyn Destination>>;

    /// The absolute paths or URLs of the stream's live parts, in the order in which they were written.
    async fn files(&self, stream: &StreamId) -> Result<Vec<String>>;

    /// Whether the stream has a commit log here.
    async fn has(&self, stream: &StreamId) -> Result<bool>;

    /// The streams that have a commit log here and whose names start with `prefix`. Lists all that their
    /// logs hold.
    async fn streams(&self, prefix: &str) -> Result<Vec<StreamId>>;

    /// The stream's newest entry. `after` is where to start looking.
    async fn last(&self, stream: &StreamId, after: Option<u64>) -> Result<Option<Commit>>;

    /// The stream's entries `from..=to`, in order. One that is missing is `Kind::Conflict`.
    async fn entries(&self, stream: &StreamId, from: u64, to: u64) -> Result<Vec<Commit>>;

    /// Whether the stream's live parts are where its commit log says, by listing; `None` of a stream without a log.
    async fn presence(&self, stream: &StreamId) -> Result<Option<Presence>>;

    /// Proves that what commits rest on works here: that of two creations of the same thing the second is refused.
    /// Leaves nothing behind that was not there.
    async fn probe(&self) -> Result<()>;
}

/// What is left of a stream's live parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// How many parts are live by the commit log.
    pub live: usize,
    /// The absolute paths or URLs of those that are not there.
    pub missing: Vec<String>,
}

/// The kinds of destinations: so far all of them are stores of files.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    STORES.iter().map(|maker| &maker.kind)
}

/// The kind of that name.
pub fn kind(name: &str) -> Result<&'static Kind> {
    kinds().find(|kind| kind.name == name).ok_or_else(|| Error::bug(format!("no destination of type {name}")))
}

/// Whether a kind of that name is a destination, and what single keys of its section do not tell.
pub fn check(kind: &str, section: &Section) -> Result<()> {
    stores::check(kind, section)
}

/// What single keys of a stream do not tell about its files. Connects to nothing.
pub fn check_stream(section: &Section) -> Result<()> {
    crate::format::check(section)
}

/// The place of a section of this kind. Connects to nothing.
pub fn place(kind: &str, section: &Section) -> Result<Arc<dyn Place>> {
    Ok(Arc::new(StorePlace(stores::store(kind, section)?)))
}

/// Who opens a stream, and what for.
#[derive(Debug, Clone)]
pub struct Opening {
    pub run: String,
    pub mode: Mode,
    /// Source and pipeline, for entry 0; an entry 0 that says something else is `Kind::Conflict`.
    pub identity: Value,
    /// Host, process and time, for the fence.
    pub holder: Value,
    /// The job log's newest entry of the stream: where to start looking. Not a promise that it is there.
    pub after: Option<u64>,
    /// Come in although a process with another job log seems to be at work.
    pub take_over: bool,
}

impl Opening {
    /// A stream belongs to one source and one pipeline for ever: refuses one whose entry 0 says another.
    pub fn refuse_stranger(&self, first: &Commit) -> Result<()> {
        match first.identity == self.identity {
            true => Ok(()),
            false => Err(stranger(first, &self.identity, &["pipeline", "source", "table"])),
        }
    }
}

/// Refuses a stream that belongs to another pipeline, by its entry 0: for those who do not ask the source who it is.
pub fn refuse_other_pipeline(first: &Commit, pipeline: &str) -> Result<()> {
    match first.identity["pipeline"] == *pipeline {
        true => Ok(()),
        false => Err(stranger(first, &serde_json::json!({ "pipeline": pipeline }), &["pipeline"])),
    }
}

fn stranger(first: &Commit, identity: &Value, keys: &[&str]) -> Error {
    let mut differences = Vec::new();
    for key in keys {
        let (theirs, ours) = (&first.identity[key], &identity[key]);
        if theirs != ours {
            differences.push(format!("its {key} is {theirs}, ours is {ours}"));
        }
    }
    let differences = differences.join("; ");
    let moved = moved(&first.identity["source"], &identity["source"]).unwrap_or_default();
    Error::conflict(format!("a stream of this name at this destination is another one: {differences}")).hint(format!(
        "Give the stream another name, or the destination another `prefix` (for `local`, another `path`). The files \
         under the old name stay until you delete them.{moved}"
    ))
}

/// What to do where a source is known by its server's name, which a key may give, and has another one.
fn moved(before: &Value, now: &Value) -> Option<String> {
    let name = before["server"].as_str().filter(|_| before["server"] != now["server"])?;
    Some(format!(" If it is the same server under another name, set `identity = {name}` in its [source] section."))
}

/// An open stream: rows go in, and become visible with a commit, all or none.
#[async_trait]
pub trait Writer: Send {
    /// The stream's newest entry: the fence at first, then the last commit.
    fn last(&self) -> &Commit;

    /// Takes rows. May upload; shows nothing.
    async fn write(&mut self, rows: Rows) -> Result<()>;

    /// Rows and bytes taken since the last commit, encoded or not.
    fn pending(&self) -> Pending;

    /// Pends; resolves when background work fails. Cancel safe.
    async fn failed(&mut self) -> Error;

    /// Makes everything written since the last commit visible together with `seal`, or nothing of it.
    async fn commit(&mut self, seal: Seal) -> Result<Commit>;

    /// Ends its uploads. After any error a writer is only aborted.
    async fn abort(self: Box<Self>);
}

/// What a writer holds that is not committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pending {
    pub rows: u64,
    /// Bytes as Arrow, before encoding.
    pub bytes: u64,
}
