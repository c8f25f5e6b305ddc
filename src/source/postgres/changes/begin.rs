//! Where a stream of changes goes on, and which tables it reads from their beginning there.

use super::known::Altered;
use super::place::Place as LogPlace;
use super::retained::{Limit, Look, Watch};
use super::{Asker, Has, History, slot, timeline};
use crate::error::{Context, Error, Kind, Result};
use crate::record::Checkpoint;
use crate::source::changes::{Place, Snapshot, unknown};
use crate::source::following::{self, Beginning};
use crate::source::postgres::connect::{Session, get};
use crate::source::postgres::replication::{self, Lsn, Slot};
use crate::source::{Stream, What};

/// A stream that is about to be read.
pub struct Beginner<'a> {
    /// Looks into the catalog.
    pub session: &'a Session,
    /// Asks for slots, and becomes the log.
    pub log: &'a mut replication::Session,
    pub asker: &'a Asker,
    pub stream: &'a Stream,
    pub beginning: Beginning,
}

impl Beginner<'_> {
    /// After a checkpoint, or where the slot begins.
    pub async fn place(&mut self, slot: Option<&Slot>, after: Option<&Checkpoint>) -> Result<(Place, History)> {
        let following = &self.stream.following;
        let Some(checkpoint) = after else {
            let begin = slot::begin(&self.asker.slot, slot, self.log.version())?;
            let log = match &following.from {
                Some(from) => self.from(from, begin).await?,
                None => begin,
            };
            let (mut place, history) = (Place { log: log.position(), ..Place::default() }, History::default());
            place.again = following.from.as_ref().map(|_| following.run.clone());
            self.take(&mut place, &history, following.from.is_some()).await?;
            return Ok((place, history));
        };
        let (mut place, history) = (Place::of(&checkpoint.position)?, History::of(&checkpoint.state)?);
        place.check_from(self.stream)?;
        self.take(&mut place, &history, false).await?;
        if self.beginning != Beginning::SnapshotOnly {
            self.others(&mut place, &history).await?;
        }
        match place.take_asked(self.stream) {
            Some(What::All) => self.anew(&mut place, &history).await?,
            Some(What::Tables(names)) => self.again(names, &mut place, &history)?,
            None => {}
        }
        Ok((place, history))
    }

    /// Whether the slot can go on from there, or everything is read anew; and what the server keeps for it from now on.
    pub async fn settle(&mut self, place: &mut Place, history: &History, after: Option<&Checkpoint>) -> Result<Watch> {
        let section = &self.stream.selection.section;
        let (limit, name) = (Limit::of(section)?, &self.asker.slot);
        let end = self.asker.end_by(self.session).await?;
        let slot = self.log.slot(name).await?;
        let look = slot.as_ref().map(|slot| Look::of(slot, end));
        if let Some((limit, look)) = limit.zip(look)
            && limit.gives_up(name, look)?
        {
            self.log.drop_slot(name).await?;
            self.anew(place, history).await?;
            return Ok(Watch::new(name, Some(limit), None));
        }
        let begun = LogPlace::of(&place.log)?;
        let has = match slot::check_has(name, slot.as_ref(), begun) {
            Ok(()) if begun.0 > end => Err(self.beyond(begun, end).await?),
            Ok(()) => timeline::check_has(self.log, timeline_of(place, after)?, begun).await,
            lost => lost,
        };
        match has {
            Err(lost)
                if lost.kind() == Kind::Lost
                    && (following::begins_anew_where_lost(section)? || limit.is_some_and(Limit::lets_go)) =>
            {
                tracing::warn!(stream = %self.stream.id, "{}: all tables are read anew", lost.message());
                self.anew(place, history).await?;
            }
            has => has?,
        }
        Ok(Watch::new(name, limit, look))
    }

    /// Of a place that the server's log has not come to: what it writes up to there would be passed over.
    async fn beyond(&self, place: LogPlace, end: Lsn) -> Result<Error> {
        let sql = "SELECT pg_catalog.pg_is_in_recovery() AS is_standby";
        let is_standby: bool = get(&self.session.query_one(sql, &[]).await?, "is_standby")?;
        let what = format!("the stream has come to {place}, and the server's log ends at {end}");
        Ok(match is_standby {
            true => Error::unavailable(format!("{what}: this standby is behind")),
            false => slot::lost(format!("{what}: it is another server, or was put back to what it was before")),
        })
    }

    /// A place that people name. What is before the slot's is not there, and what is behind the log's end would be passed over.
    async fn from(&mut self, from: &str, begin: LogPlace) -> Result<LogPlace> {
        let end = LogPlace(self.asker.end_by(self.session).await?);
        match from {
            "earliest" => Ok(begin),
            "now" => self.asker.flushed_by(self.session).await.map(LogPlace),
            lsn => match lsn.parse().map(LogPlace) {
                Ok(place) if place > end => Err(Error::config(format!(
                    "`--from {from}` is behind the end of the server's log, which is at {end}"
                ))
                .hint("`now` is its end.")),
                Ok(place) if place >= begin => Ok(place),
                Ok(_) => Err(Error::new(
                    Kind::Lost,
                    format!(
                        "replication slot {} begins at {begin}: what is before is not kept for it",
                        self.asker.slot
                    ),
                )),
                Err(_) => Err(Error::config(format!("`--from {from}` is no place in a log of PostgreSQL"))
                    .hint("Write `now`, `earliest` (where the slot begins), or a place such as 16/B374D848.")),
            },
        }
    }

    /// Takes the stream's tables for those that are read, of which some may be new.
    async fn take(&mut self, place: &mut Place, history: &History, is_from: bool) -> Result<()> {
        place.snapshots.retain(|table, _| self.stream.tables.contains(table));
        for (table, was_there) in history.take(&self.stream.tables) {
            if self.beginning != Beginning::Log && !is_from {
                place.snapshots.insert(table, Snapshot { after: None, anew: was_there });
                continue;
            }
            let name = self.asker.name(&table)?;
            let asked = self.asker.ask(self.session, &name).await.at(|| format!("table {table}"))?;
            history.set(&table, asked.map_or(Has::Gone, |(_, known)| Has::Known(known)));
        }
        // What is known of a table is asked for when its snapshot begins: one without would never be read.
        for table in &self.stream.tables {
            if matches!(history.get(table), Some(Has::Nothing(_))) && !place.snapshots.contains_key(table) {
                place.read_anew(table);
            }
        }
        Ok(())
    }

    /// Tables that went, or whose name another one has, or whose rows have other values: the log does not tell of that, or with the next
    /// change only, which may never come.
    async fn others(&self, place: &mut Place, history: &History) -> Result<()> {
        for (table, name) in self.asker.names()? {
            let has = history.get(&table).filter(|has| !matches!(has, Has::Nothing(_) | Has::Left(_)));
            let Some(has) = has else { continue };
            let now = self.asker.now(self.session, &name).await.at(|| format!("table {table}"))?;
            let is_another = match (has.known(), now) {
                (Some(was), Some(now)) => was.altered(&now) == Altered::Rewritten,
                (Some(_), None) | (None, Some(_)) => true,
                (None, None) => false,
            };
            if is_another {
                tracing::info!(table, "the table is another one, or has come or gone");
                history.forget(&table);
                place.read_anew(&table);
            }
        }
        Ok(())
    }

    /// All tables are read from their beginning, and the log from where it ends now, or from where a new slot begins.
    pub async fn anew(&mut self, place: &mut Place, history: &History) -> Result<()> {
        let log = match slot::renew(self.log, self.asker).await? {
            Some(place) => place,
            None => LogPlace(self.asker.flushed_by(self.session).await?),
        };
        place.log = log.position();
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
            let wanted = self.asker.written(name)?;
            let meant = self.stream.tables.iter().find(|table| self.asker.name(table).is_ok_and(|name| name == wanted));
            let Some(table) = meant else {
                return Err(unknown(self.stream, "table", name, &self.stream.tables));
            };
            history.forget(table);
            place.read_anew(table);
        }
        Ok(())
    }
}

/// The server's timeline when a checkpoint was made, unless the stream begins anew.
fn timeline_of(place: &Place, after: Option<&Checkpoint>) -> Result<Option<u32>> {
    Ok(match after {
        Some(checkpoint) if Place::of(&checkpoint.position)?.log == place.log => timeline::of(&checkpoint.state),
        _ => None,
    })
}
