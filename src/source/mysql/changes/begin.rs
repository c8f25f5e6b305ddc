//! Where a stream of changes goes on, and which tables it reads from their beginning there.

use super::Asker;
use super::from;
use super::prepared::Prepared;
use super::server;
use super::{Has, History};
use crate::error::{Context, Result};
use crate::record::Checkpoint;
use crate::source::changes::{Place, Snapshot, unknown};
use crate::source::following::Beginning;
use crate::source::mysql::connect::Connection;
use crate::source::{Stream, What};

/// A stream that is about to be read.
pub struct Beginner<'a> {
    pub connection: &'a mut Connection,
    pub asker: &'a Asker,
    pub stream: &'a Stream,
    pub beginning: Beginning,
}

impl Beginner<'_> {
    /// After a checkpoint, or where the log ends now.
    pub async fn place(&mut self, after: Option<&Checkpoint>) -> Result<(Place, History, Prepared)> {
        let Some(checkpoint) = after else {
            let (place, history) = match &self.stream.following.from {
                Some(from) => self.from(from).await?,
                None => self.now().await?,
            };
            return Ok((place, history, Prepared::default()));
        };
        let (mut place, history) = (Place::of(&checkpoint.position)?, History::of(&checkpoint.state)?);
        let mut prepared = Prepared::of(&checkpoint.state)?;
        place.check_from(self.stream)?;
        self.take(&mut place, &history).await?;
        match place.take_asked(self.stream) {
            Some(What::All) => self.anew(&mut place, &history, &mut prepared).await?,
            Some(What::Tables(names)) => self.again(names, &mut place, &history)?,
            None => {}
        }
        Ok((place, history, prepared))
    }

    async fn now(&mut self) -> Result<(Place, History)> {
        let (mut place, history) = (Place { log: self.end().await?, ..Place::default() }, History::default());
        self.take(&mut place, &history).await?;
        Ok((place, history))
    }

    /// At a place that people name, without snapshots.
    async fn from(&mut self, from: &str) -> Result<(Place, History)> {
        let history = History::default();
        history.take(&self.stream.tables);
        for (table, name) in self.asker.names()? {
            let asked = self.asker.ask(self.connection, &name).await.at(|| format!("table {table}"))?;
            history.set(&table, asked.map_or(Has::Gone, |(_, known)| Has::Known(known)));
        }
        let place = from::place(self.connection, self.asker, from).await.at(|| self.asker.settings.address())?;
        let again = Some(self.stream.following.run.clone());
        Ok((Place { log: place.position()?, again, ..Place::default() }, history))
    }

    /// Takes the stream's tables for those that are read, of which some may be new.
    async fn take(&mut self, place: &mut Place, history: &History) -> Result<()> {
        place.snapshots.retain(|table, _| self.stream.tables.contains(table));
        for (table, was_there) in history.take(&self.stream.tables) {
            if self.beginning != Beginning::Log {
                place.snapshots.insert(table, Snapshot { after: None, anew: was_there });
                continue;
            }
            let name = self.asker.name(&table)?;
            let has = match self.asker.ask(self.connection, &name).await.at(|| format!("table {table}"))? {
                Some((place, known)) => Has::From(place, known),
                None => Has::Gone,
            };
            history.set(&table, has);
        }
        Ok(())
    }

    /// All tables are read from their beginning, and the log from where it ends now.
    pub async fn anew(&mut self, place: &mut Place, history: &History, prepared: &mut Prepared) -> Result<()> {
        *prepared = Prepared::default();
        place.log = self.end().await?;
        place.snapshots.clear();
        for table in &self.stream.tables {
            history.forget(table);
            place.read_anew(table);
        }
        Ok(())
    }

    /// Some tables are, while the log goes on.
    fn again(&self, names: &[String], place: &mut Place, history: &History) -> Result<()> {
        for name in names {
            let wanted = self.asker.name(name)?;
            let meant = self.stream.tables.iter().find(|table| self.asker.name(table).is_ok_and(|name| name == wanted));
            let Some(table) = meant else {
                return Err(unknown(self.stream, "table", name, &self.stream.tables));
            };
            history.forget(table);
            place.read_anew(table);
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<serde_json::Value> {
        server::end(self.connection).await.at(|| self.asker.settings.address())?.position()
    }
}
