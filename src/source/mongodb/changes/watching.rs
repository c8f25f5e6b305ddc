//! What is watched: which collections, and with what of their documents.

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::{Bson, Document, Timestamp, doc};

use super::changed::Full;
use super::place::{Place, told};
use crate::error::{Error, Kind, Result};
use crate::source::following::{Beginning, begins_anew_where_lost};
use crate::source::mongodb::chosen::Chosen;
use crate::source::mongodb::connect::{Hello, Server};
use crate::source::mongodb::error;
use crate::source::mongodb::replies::Replies;
use crate::source::{Selection, Tables, pattern};

/// How long the server waits for events before it answers that there are none.
const WAIT: Duration = Duration::from_millis(500);
/// Events of a reply: whatever fits.
const BATCH: u32 = 10_000;

#[derive(Clone)]
pub struct Watching {
    /// By name.
    names: Vec<String>,
    /// Others of which the server is to tell all the same: a place behind an event of theirs is found again by it.
    others: Vec<String>,
    /// By pattern.
    patterns: Vec<String>,
    pub full: Full,
    /// Deletions have the document as it was.
    pub before: bool,
    pub chosen: Chosen,
    /// Collections that come are read from their beginning too.
    pub reads_collections: bool,
    /// What is lost is read anew.
    pub begins_anew: bool,
    selection: Arc<Selection>,
    /// Events that are too large for a reply come in pieces: a server that knows how.
    splits: bool,
}

impl Watching {
    /// `followed` are the stream's collections, those included that patterns matched earlier.
    pub fn of(
        selection: &Arc<Selection>,
        followed: &[String],
        others: Vec<String>,
        version: (u32, u32),
    ) -> Result<Self> {
        let section = &selection.section;
        let patterns = match &selection.tables {
            Tables::Many(texts) => texts.iter().filter(|text| pattern::is_pattern(text)).cloned().collect(),
            _ => Vec::new(),
        };
        Ok(Self {
            names: followed.to_vec(),
            others,
            patterns,
            full: match section.text("full_document")? {
                "after_image" => Full::AfterImage,
                "none" => Full::Nothing,
                _ => Full::Lookup,
            },
            before: section.flag("before_images")?,
            chosen: Chosen::of_selection(selection),
            begins_anew: begins_anew_where_lost(section)?,
            reads_collections: Beginning::of(section)? != Beginning::Log,
            selection: selection.clone(),
            splits: version >= (7, 0),
        })
    }

    /// Whether a collection is the stream's.
    pub fn has(&self, collection: &str) -> bool {
        self.names.iter().any(|name| name == collection)
            || self.patterns.iter().any(|pattern| pattern::matches(pattern, collection))
    }

    /// Whether it is the stream's by its own name.
    pub fn is_named(&self, collection: &str) -> bool {
        match &self.selection.tables {
            Tables::Many(texts) => texts.iter().any(|text| text == collection),
            _ => true,
        }
    }

    /// Whether collections are found by patterns.
    pub fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// Opens the stream behind a place.
    pub async fn open(&self, server: &Server, place: &Place) -> Result<Replies> {
        let stage = stage(Some(place), self.full, self.before)?;
        let opened = server.try_cursor(self.command(stage, None), BATCH, Some(WAIT)).await?;
        opened.map(Replies::of).map_err(|e| self.refused(server, &e))
    }

    /// The end of the log, to begin there.
    pub async fn now(&self, server: &Server) -> Result<Place> {
        let stage = stage(None, Full::Nothing, false)?;
        let opened = server.try_cursor(self.command(stage, Some(0)), BATCH, Some(WAIT)).await?;
        let mut replies = opened.map(Replies::of).map_err(|e| self.refused(server, &e))?;
        let reply = replies.next(&server.settings).await?;
        let found = reply.as_ref().map(|reply| told(reply.whole())).transpose()?;
        match found {
            Some((Some(token), Some(time))) => Place::behind(token, time),
            // A server that tells no token tells the time at least.
            Some((None, Some(time))) => {
                Ok(Place::at(Timestamp { increment: time.increment.saturating_add(1), ..time }))
            }
            _ => Err(Error::data("the server does not tell where its log ends")),
        }
    }

    /// Up to where everything is committed now.
    pub async fn end(&self, server: &Server) -> Result<Timestamp> {
        let hello = server.hello().await?;
        match hello.majority {
            Some(majority) => Ok(majority),
            None => server
                .now()
                .await?
                .ok_or_else(|| Error::data(format!("{}: the server does not tell its time", server.settings.address))),
        }
    }

    fn command(&self, stage: Document, batch: Option<i32>) -> Document {
        let mut pipeline = vec![doc! { "$changeStream": stage }, doc! { "$match": self.condition() }];
        if self.splits && batch.is_none() {
            pipeline.push(doc! { "$changeStreamSplitLargeEvent": {} });
        }
        let cursor = match batch {
            Some(batch) => doc! { "batchSize": batch },
            None => Document::new(),
        };
        doc! { "aggregate": 1, "pipeline": pipeline, "cursor": cursor, "readConcern": { "level": "majority" } }
    }

    /// Which events the server sends.
    fn condition(&self) -> Document {
        let of = |field: &str| {
            let names: Vec<_> = self.names.iter().chain(&self.others).cloned().collect();
            let mut any = vec![doc! { field: { "$in": names } }];
            any.extend(self.patterns.iter().map(|pattern| doc! { field: { "$regex": regex(pattern) } }));
            any
        };
        let mut any = of("ns.coll");
        any.extend(of("to.coll"));
        any.push(doc! { "operationType": { "$in": ["dropDatabase", "invalidate"] } });
        doc! { "$or": any.into_iter().map(Bson::Document).collect::<Vec<_>>() }
    }

    /// What it means that the server refuses the stream, or ends it.
    pub fn refused(&self, server: &Server, e: &mongodb::error::Error) -> Error {
        let error = error::of(e, &server.settings);
        match error::code(e) {
            Some(error::NO_REPLICA_SET) => alone(&server.settings.address, &self.selection),
            // ChangeStreamHistoryLost, and a token that is nowhere any more (ChangeStreamFatalError)
            Some(error::LOST | 280) => {
                let what = "its oplog no longer holds what the stream had not read";
                Error::new(Kind::Lost, format!("{}: {what}", server.settings.address)).hint(
                    "`tidemark run --full-refresh` reads all collections anew; `on_lost = snapshot` does so by itself. A larger oplog (`replSetResizeOplog`, with \
                     `minRetentionHours`) forgives longer pauses.",
                )
            }
            // None of its tokens.
            Some(260 | 9 | 40647 | 50811) => Error::conflict(error.message()).hint(
                "The stream's place is none of this server, which may be another one than before: `tidemark run --full-refresh` reads all collections anew.",
            ),
            _ => error,
        }
    }
}

/// Options of a change stream, as the server takes them.
fn stage(place: Option<&Place>, full: Full, before: bool) -> Result<Document> {
    let mut stage = match place {
        Some(place) => place.options()?,
        None => Document::new(),
    };
    match full {
        Full::Lookup => drop(stage.insert("fullDocument", "updateLookup")),
        Full::AfterImage => drop(stage.insert("fullDocument", "whenAvailable")),
        Full::Nothing => {}
    }
    if before {
        stage.insert("fullDocumentBeforeChange", "whenAvailable");
    }
    Ok(stage)
}

/// Refuses a server that has no change streams.
pub fn check(hello: &Hello, address: &str, selection: &Selection) -> Result<()> {
    match hello.replica_set.is_some() || hello.is_router {
        true => Ok(()),
        false => Err(alone(address, selection)),
    }
}

fn alone(address: &str, selection: &Selection) -> Error {
    selection.section.error("mode", format!("is `cdc`, and {address} is a server alone: only replica sets have change streams"))
        .hint(
            "One server is enough for a replica set: set `replication.replSetName: rs0` in its mongod.conf, restart it, and run rs.initiate() once. Or read with \
             `mode = incremental`.",
        )
}

/// The regular expression of a pattern.
fn regex(pattern: &str) -> String {
    let mut regex = String::from("^");
    for c in pattern.chars() {
        match c {
            '*' => regex.push_str("[\\s\\S]*"),
            '?' => regex.push_str("[\\s\\S]"),
            c if c.is_alphanumeric() || c == '_' => regex.push(c),
            c => regex.extend(['\\', c]),
        }
    }
    regex.push('$');
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_says_what_is_wanted() {
        let place = Place::at(Timestamp { time: 5, increment: 1 });
        let wanted =
            doc! { "startAtOperationTime": Timestamp { time: 5, increment: 1 }, "fullDocument": "updateLookup" };
        assert_eq!(stage(Some(&place), Full::Lookup, false).unwrap(), wanted);
        assert_eq!(stage(None, Full::Nothing, true).unwrap(), doc! { "fullDocumentBeforeChange": "whenAvailable" });
    }

    #[test]
    fn patterns_become_expressions() {
        assert_eq!(regex("log_*"), "^log_[\\s\\S]*$");
        assert_eq!(regex("a.b?"), "^a\\.b[\\s\\S]$");
    }
}
