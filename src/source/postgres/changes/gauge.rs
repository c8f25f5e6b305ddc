//! How far the log goes on behind us, how much of it the server keeps for us, and whether all of it is still published: asked now and
//! then beside the reading.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::place::Place;
use super::retained::{Limit, Look, Said, Watch};
use super::{Asker, Has, History, holder};
use crate::error::{Error, Kind, Result};
use crate::source::Stream;
use crate::source::postgres::config::Settings;
use crate::source::postgres::connect::Session;
use crate::source::postgres::name::literal;
use crate::source::postgres::replication::{Lsn, Slot};

/// How often the server is asked.
const EVERY: Duration = Duration::from_secs(10);

/// What the server last told. Dropping it ends the asking.
pub struct Gauge {
    end: watch::Receiver<Option<Lsn>>,
    /// What the server keeps for the slot.
    kept: watch::Receiver<u64>,
    /// Tables that are others by the catalog than by the log, and where the log ended when that was seen.
    others: watch::Receiver<Vec<(String, Lsn)>>,
    verdict: watch::Receiver<Option<Error>>,
    task: JoinHandle<()>,
}

impl Gauge {
    /// Asks now and then; until the first answer the log ends at `end`. What a server refuses to tell is not known, and no reason to fail.
    pub fn begin(asker: Asker, history: History, end: Lsn, watch: Watch) -> Self {
        let (told, ends) = watch::channel(Some(end));
        let (seen, others) = watch::channel(Vec::new());
        let (judged, verdict) = watch::channel(None);
        let (keeps, kept) = watch::channel(0);
        let asking = Asking { asker, history, session: None, told, keeps, seen, judged, watch };
        Self { end: ends, kept, others, verdict, task: tokio::spawn(asking.run()) }
    }

    /// What was seen of tables since the last call.
    pub fn others(&mut self) -> Option<Vec<(String, Lsn)>> {
        let has_changed = self.others.has_changed().unwrap_or(false);
        has_changed.then(|| self.others.borrow_and_update().clone())
    }

    /// How many bytes of the log stand behind a place.
    pub fn behind(&self, place: Place) -> Option<u64> {
        self.end.borrow().map(|end| end.0.saturating_sub(place.0.0))
    }

    /// How many bytes of the log the server keeps for us in all, as it last told.
    pub fn kept(&self) -> u64 {
        *self.kept.borrow()
    }

    /// Why the reading has to end, once it has to.
    pub fn verdict(&self) -> watch::Receiver<Option<Error>> {
        self.verdict.clone()
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task.
struct Asking {
    asker: Asker,
    history: History,
    session: Option<Session>,
    told: watch::Sender<Option<Lsn>>,
    keeps: watch::Sender<u64>,
    seen: watch::Sender<Vec<(String, Lsn)>>,
    judged: watch::Sender<Option<Error>>,
    watch: Watch,
}

impl Asking {
    async fn run(mut self) {
        loop {
            tokio::time::sleep(EVERY).await;
            match self.ask().await {
                Ok(end) => drop(self.told.send_replace(Some(end))),
                Err(error) => {
                    self.session = None;
                    tracing::debug!("how far the log goes on is not known: {}", error.message());
                    self.told.send_replace(None);
                }
            }
        }
    }

    async fn ask(&mut self) -> Result<Lsn> {
        let session = match self.session.take() {
            Some(session) => session,
            None => Session::connect(&self.asker.settings).await?,
        };
        let (mut others, mut followed) = (Vec::new(), Vec::new());
        for (table, name) in self.asker.names()? {
            let Some(has @ (Has::Known(_) | Has::From(..) | Has::Gone)) = self.history.get(&table) else { continue };
            let (is_settled, known) = (matches!(has, Has::Known(_)), has.known());
            match self.asker.find(&session, &name).await? {
                Some(relation) if known.is_some_and(|known| known.oid == relation.oid) => followed.push(name),
                // It has come back, perhaps with rows that the log does not tell.
                Some(_) if matches!(has, Has::Gone) => others.push(table),
                // What the log has not come to yet is looked at there.
                _ if is_settled => others.push(table),
                _ => {}
            }
        }
        let end = self.asker.behind_commits(&session).await?;
        if !others.is_empty() {
            self.seen.send_replace(others.into_iter().map(|table| (table, end)).collect());
        }
        // From version 18 on the server says nothing of changes that are not published any more.
        match self.asker.publication.check(&session, &followed).await {
            Err(error) if error.kind() == Kind::Config => self.judge(error),
            _ => {}
        }
        self.look(&session, end).await?;
        self.session = Some(session);
        Ok(end)
    }

    async fn look(&mut self, session: &Session, end: Lsn) -> Result<()> {
        let Some(slot) = self.asker.slot_by(session).await? else { return Ok(()) };
        let look = Look::of(&slot, end);
        self.keeps.send_replace(look.kept);
        match self.watch.look(Instant::now(), look) {
            Ok(said) => tell(session, &self.asker, &slot, said).await,
            Err(error) => {
                self.judge(error);
                Ok(())
            }
        }
    }

    fn judge(&self, error: Error) {
        self.judged.send_replace(Some(error.at(self.asker.settings.address())));
    }
}

async fn tell(session: &Session, asker: &Asker, slot: &Slot, said: Vec<Said>) -> Result<()> {
    let stream = &asker.stream.id;
    for said in said {
        match said {
            Said::Info(text) => tracing::info!(%stream, "{text}"),
            Said::Warn(text) => {
                tracing::warn!(%stream, "{text}");
                if let Some(holder) = holder::of(session, slot).await? {
                    tracing::warn!(%stream, "{holder}");
                }
            }
        }
    }
    Ok(())
}

/// Looks at the slot of a stream that nobody reads for the moment, since its destination is down, or the server was: whatever the
/// reason, the server goes on keeping its log.
pub async fn guard(settings: &Arc<Settings>, stream: &Stream) -> Result<()> {
    let asker = Asker::of(settings, stream)?;
    match guarded(&asker).await {
        Err(error) if error.kind() == Kind::Lost => Err(error.at(settings.address())),
        Err(error) => {
            tracing::debug!("what the server keeps is not known: {}", error.message());
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

async fn guarded(asker: &Asker) -> Result<()> {
    let session = Session::connect(&asker.settings).await?;
    let Some(slot) = asker.slot_by(&session).await? else { return Ok(()) };
    let look = Look::of(&slot, asker.end_by(&session).await?);
    let said = Watch::new(&asker.slot, None, None).look(Instant::now(), look)?;
    tell(&session, asker, &slot, said).await?;
    let limit = Limit::of(&asker.stream.selection.section)?;
    if limit.map_or(Ok(false), |limit| limit.gives_up(&asker.slot, look))? {
        // That it is gone is no reason to fail then: the stream begins anew.
        session.run(&format!("SELECT pg_catalog.pg_drop_replication_slot({})", literal(&asker.slot))).await?;
    }
    session.close().await;
    Ok(())
}
