//! Where a change stream goes on, and which collections it reads from their beginning there.

use std::sync::Arc;

use mongodb::bson::Timestamp;

use super::place::{self, Place as LogPlace};
use super::tables::Tables;
use super::watching::Watching;
use crate::error::{Error, Kind, Result};
use crate::record::Checkpoint;
use crate::source::changes::{Place, Snapshot, unknown};
use crate::source::following::Beginning;
use crate::source::mongodb::catalog;
use crate::source::mongodb::connect::Server;
use crate::source::mongodb::replies::Replies;
use crate::source::{Stream, What};

/// A stream that is about to be read.
pub struct Beginner<'a> {
    pub server: &'a Arc<Server>,
    pub stream: &'a Stream,
    pub watching: &'a Watching,
    pub tables: &'a Tables,
    /// The stream's collections.
    pub names: &'a [String],
    pub beginning: Beginning,
}

impl Beginner<'_> {
    /// Where it goes on after a checkpoint, or begins, where the log ends.
    pub async fn place(&self, after: Option<&Checkpoint>) -> Result<Place> {
        match after {
            Some(checkpoint) => self.after(checkpoint).await,
            None => self.first().await,
        }
    }

    /// Opens the change stream there, or where the log ends, if the place is lost and everything is read anew then.
    pub async fn open(&self, place: &mut Place) -> Result<Replies> {
        match self.watching.open(self.server, &LogPlace::of(&place.log)?).await {
            Err(lost) if lost.kind() == Kind::Lost && self.watching.begins_anew => {
                tracing::warn!(stream = %self.stream.id, "{}: all collections are read anew", lost.message());
                self.anew(place).await?;
                self.watching.open(self.server, &LogPlace::of(&place.log)?).await
            }
            opened => opened,
        }
    }

    /// Collections of a pattern that have come since they were listed: the log tells nothing of what was there before its place.
    pub async fn others(&self, place: &mut Place) -> Result<()> {
        if !self.watching.has_patterns() || !self.watching.reads_collections {
            return Ok(());
        }
        for collection in catalog::all(self.server).await? {
            let name = &collection.name;
            if collection.has_changes() && self.watching.has(name) && !self.names.contains(name) {
                let was_there = self.tables.add(name)?;
                place.snapshots.insert(name.clone(), Snapshot { after: None, anew: was_there });
            }
        }
        Ok(())
    }

    async fn first(&self) -> Result<Place> {
        let following = &self.stream.following;
        let log = match &following.from {
            Some(from) => self.from(from).await?,
            None => self.watching.now(self.server).await?,
        };
        let again = following.from.as_ref().map(|_| following.run.clone());
        let mut place = Place { log: log.value()?, again, ..Place::default() };
        self.take(&mut place, following.from.is_some())?;
        Ok(place)
    }

    async fn after(&self, checkpoint: &Checkpoint) -> Result<Place> {
        let mut place = Place::of(&checkpoint.position)?;
        place.check_from(self.stream)?;
        self.take(&mut place, false)?;
        match place.take_asked(self.stream) {
            Some(What::All) => self.anew(&mut place).await?,
            Some(What::Tables(names)) => self.again(names, &mut place)?,
            None => {}
        }
        Ok(place)
    }

    /// A place that people name: now, or a time.
    async fn from(&self, from: &str) -> Result<LogPlace> {
        if from == "now" {
            return self.watching.now(self.server).await;
        }
        let by_clock = || from.parse::<jiff::Timestamp>().ok().and_then(|at| u32::try_from(at.as_second()).ok());
        let time = place::parsed(from).or_else(|| by_clock().map(|time| Timestamp { time, increment: 1 }));
        time.map(LogPlace::at).ok_or_else(|| {
            Error::config(format!("`--from {from}` is no place in a log of MongoDB"))
                .hint("Write `now`, a time such as 2026-01-31T08:00:00Z, or a cluster time such as 1769846400.1.")
        })
    }

    /// Takes the stream's collections for those that are read, of which some may be new.
    fn take(&self, place: &mut Place, is_from: bool) -> Result<()> {
        place.snapshots.retain(|table, _| self.names.contains(table));
        for (table, was_there) in self.tables.take(self.names)? {
            if self.beginning != Beginning::Log && !is_from {
                place.snapshots.insert(table, Snapshot { after: None, anew: was_there });
            }
        }
        Ok(())
    }

    /// All collections are read from their beginning, and the log from where it ends now.
    async fn anew(&self, place: &mut Place) -> Result<()> {
        place.log = self.watching.now(self.server).await?.value()?;
        place.snapshots.clear();
        for table in self.names {
            place.read_anew(table);
        }
        Ok(())
    }

    /// Some collections are, while the log goes on.
    fn again(&self, names: &[String], place: &mut Place) -> Result<()> {
        for name in names {
            if !self.names.contains(name) {
                return Err(unknown(self.stream, "collection", name, self.names));
            }
            place.read_anew(name);
        }
        Ok(())
    }
}
