//! How a change log is followed: what a section says of it, and what one run asks besides.

use crate::config::{Key, Section, Value};
use crate::error::Result;

pub const KEYS: &[Key] = &[
    Key::new(
        "snapshot",
        Value::OneOf(&["initial", "never", "only"]),
        "Of a change log (`mode = cdc`): `initial` begins with a snapshot of each table, `never` without one, with what changes from where the log begins for \
         the stream (PostgreSQL: its slot; MySQL and MongoDB: now), `only` ends with the snapshot.",
    )
    .default("initial"),
    Key::new(
        "on_lost",
        Value::OneOf(&["fail", "snapshot"]),
        "Where the source has purged what the stream had not read of its log: `fail`, or go on with a new snapshot of each table, from the log's end or a \
         new slot's beginning.",
    )
    .default("fail"),
];

/// With what a stream of changes begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    Snapshot,
    /// With the changes from now on.
    Log,
    /// It has nothing but the snapshot.
    SnapshotOnly,
}

impl Beginning {
    pub fn of(section: &Section) -> Result<Self> {
        Ok(match section.text("snapshot")? {
            "never" => Beginning::Log,
            "only" => Beginning::SnapshotOnly,
            _ => Beginning::Snapshot,
        })
    }
}

/// Whether a log that was purged is no reason to fail.
pub fn begins_anew_where_lost(section: &Section) -> Result<bool> {
    Ok(section.text("on_lost")? == "snapshot")
}

/// What one run asks of a change log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Following {
    /// It is read on and on, and not to its end.
    pub goes_on: bool,
    /// What is to be read from its beginning again, once: the position tells that it was begun.
    pub again: Option<What>,
    /// Where a stream without a position begins, in the source's own words.
    pub from: Option<String>,
    /// The run that asks, which may ask several times: another one has another name.
    pub run: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// These tables, by the names that people write; the log goes on.
    Tables(Vec<String>),
    /// All tables, and the log from where it ends now.
    All,
}
