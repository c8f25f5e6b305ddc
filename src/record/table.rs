use std::borrow::Cow;
use std::fmt;

use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};

use super::field;

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

    /// Whether its columns were found in the rows, so that later rows may bring others: nobody altered it then.
    pub fn is_found(&self) -> bool {
        self.schema.metadata().contains_key(field::FOUND)
    }

    /// The same, marked as one whose rows are set aside: a run that writes any is done but for those.
    #[must_use]
    pub fn into_quarantine(self) -> Self {
        let mut metadata = self.schema.metadata().clone();
        metadata.insert(field::QUARANTINE.to_owned(), "yes".to_owned());
        let schema = self.schema.as_ref().clone().with_metadata(metadata).into();
        Self { schema, ..self }
    }

    /// Whether its rows are set aside.
    pub fn is_quarantine(&self) -> bool {
        self.schema.metadata().contains_key(field::QUARANTINE)
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
///
/// Its text (in the job log, of leases) is the name as it is, then what it is of that stream: `orders/g…/03`,
/// `orders@7`. A name may be any text: one that could be taken for a sub-stream's is written with `%2F` and `%40`, so that
/// no text means two.
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

    /// What has this text, as [`Display`](fmt::Display) writes it.
    pub fn parse(text: &str) -> Self {
        let (name, sub) = split(text);
        Self { name: decoded(name), sub }
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

    /// The stream itself, also of a sub-stream.
    #[must_use]
    pub fn whole(&self) -> Self {
        Self::new(self.name.clone())
    }

    /// What it is of its stream; `None` for the stream itself.
    pub fn sub(&self) -> Option<&Sub> {
        self.sub.as_ref()
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encoded(&self.name))?;
        match &self.sub {
            Some(Sub::Chunk { generation, chunk }) => write!(f, "/{generation}/{chunk}"),
            Some(Sub::Window(id)) => write!(f, "@{id}"),
            None => Ok(()),
        }
    }
}

/// The name that a text begins with, and what it is of that stream.
fn split(text: &str) -> (&str, Option<Sub>) {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_generation = |name: &str| {
        name.strip_prefix('g').is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let chunk = text.rsplit_once('/').and_then(|(load, chunk)| Some((load.rsplit_once('/')?, chunk)));
    if let Some(((name, generation), chunk)) = chunk.filter(|((_, generation), _)| is_generation(generation)) {
        let sub = Sub::Chunk { generation: generation.to_owned(), chunk: chunk.to_owned() };
        return (name, Some(sub));
    }
    match text.rsplit_once('@') {
        Some((name, id)) if id.split_once('-').map_or(is_number(id), |(a, b)| is_number(a) && is_number(b)) => {
            (name, Some(Sub::Window(id.to_owned())))
        }
        _ => (text, None),
    }
}

/// What stands for characters of a name, `%` last: it is in the others.
const ESCAPES: [(&str, &str); 3] = [("/", "%2F"), ("@", "%40"), ("%", "%25")];

fn encoded(name: &str) -> Cow<'_, str> {
    let is_odd = split(name).1.is_some() || ESCAPES.iter().any(|(_, escape)| name.contains(escape));
    match is_odd {
        true => ESCAPES.iter().rev().fold(name.to_owned(), |name, (plain, escape)| name.replace(plain, escape)).into(),
        false => name.into(),
    }
}

fn decoded(text: &str) -> String {
    ESCAPES.iter().fold(text.to_owned(), |text, (plain, escape)| text.replace(escape, plain))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_text_means_two() {
        let generation = format!("g{:032x}", 7);
        let mut texts = HashSet::new();
        for name in ["a", "a/b", "a/g1/0", "a/b/c", "a@5", "a@5@5", "a%405", "a%25405", "a@b.c", "%", "@5", "x@0-1", ""]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("a/{generation}/0"), format!("a@5/{generation}/0")])
        {
            let stream = StreamId::new(name);
            for id in [stream.clone(), stream.chunk(&generation, "03"), stream.window("5"), stream.window("05-1")] {
                assert_eq!(StreamId::parse(&id.to_string()), id, "{id}");
                assert!(texts.insert(id.to_string()), "{id}");
            }
        }
        // Most names stand as they are.
        for name in ["a", "a/b", "a@b.c", "50%", "shop.x/y"] {
            assert_eq!(StreamId::new(name).to_string(), name);
        }
        assert_eq!(StreamId::new("a@5").to_string(), "a%405");
        assert_eq!(StreamId::new("a").window("5").to_string(), "a@5");
    }
}
