use std::fmt;

use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};

/// A unit of output: a table, collection or endpoint, with one definition of its columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The name at the destination: a folder of files, or a topic. Any text; stores encode it.
    pub name: String,
    pub schema: SchemaRef,
    /// The columns of the primary key, in key order; empty where there is none.
    pub key: Vec<String>,
}

impl Table {
    pub fn new(name: impl Into<String>, schema: SchemaRef, key: Vec<String>) -> Self {
        Self { name: name.into(), schema, key }
    }
}

/// How a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The whole table each time, by generation.
    Full,
    /// What is new since the high-water mark.
    Incremental,
    /// The change log.
    Cdc,
}

impl Mode {
    pub const ALL: [Mode; 3] = [Mode::Full, Mode::Incremental, Mode::Cdc];

    pub fn name(self) -> &'static str {
        match self {
            Mode::Full => "full",
            Mode::Incremental => "incremental",
            Mode::Cdc => "cdc",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == text)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of something that is read, committed and resumed on its own.
///
/// A stream has a name; a sub-stream has a path below it. Each has a commit log of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    name: String,
    sub: Option<Sub>,
}

/// What a sub-stream is of its stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sub {
    /// A chunk of a full load.
    Chunk { generation: String, chunk: String },
    /// A window that is read without moving the stream's mark.
    Window(String),
}

impl StreamId {
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), sub: None }
    }

    /// The sub-stream of one chunk of one generation of this stream.
    #[must_use]
    pub fn chunk(&self, generation: &str, chunk: &str) -> Self {
        let sub = Sub::Chunk { generation: generation.to_owned(), chunk: chunk.to_owned() };
        Self { name: self.name.clone(), sub: Some(sub) }
    }

    /// A stream or a chunk by its text, as [`Display`](fmt::Display) writes it.
    pub fn parse(text: &str) -> Self {
        let is_generation = |name: &str| {
            name.strip_prefix('g').is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        let chunk = text.rsplit_once('/').and_then(|(load, chunk)| Some((load.rsplit_once('/')?, chunk)));
        match chunk {
            Some(((name, generation), chunk)) if is_generation(generation) => Self::new(name).chunk(generation, chunk),
            _ => Self::new(text),
        }
    }

    /// The sub-stream of a window of this stream.
    #[must_use]
    pub fn window(&self, id: &str) -> Self {
        Self { name: self.name.clone(), sub: Some(Sub::Window(id.to_owned())) }
    }

    /// The stream's own name, also for a sub-stream.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is of its stream; `None` for the stream itself.
    pub fn sub(&self) -> Option<&Sub> {
        self.sub.as_ref()
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.sub {
            Some(Sub::Chunk { generation, chunk }) => write!(f, "/{generation}/{chunk}"),
            Some(Sub::Window(id)) => write!(f, "@{id}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_known_by_its_text() {
        let chunk = StreamId::new("a/b").chunk(&format!("g{:032x}", 7), "03");
        assert_eq!(StreamId::parse(&chunk.to_string()), chunk);
        for name in ["a", "a/b", "a/g1/0", "a/b/c"] {
            assert_eq!(StreamId::parse(name), StreamId::new(name));
        }
    }
}
