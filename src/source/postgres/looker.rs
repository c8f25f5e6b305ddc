//! A connection for looking into the catalog, used again by whoever needs one.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::altered::Unaltered;
use super::config::Settings;
use super::connect::{Sees, Session};
use super::position::Moment;
use crate::error::Result;

pub struct Looker {
    pub settings: Arc<Settings>,
    kept: Mutex<Option<Session>>,
}

impl Looker {
    pub fn new(settings: Arc<Settings>) -> Self {
        Self { settings, kept: Mutex::new(None) }
    }

    /// A connection in a transaction that sees what is committed. Used again by whoever gives it back after success.
    pub async fn look(&self) -> Result<Session> {
        let kept = self.kept.lock().await.take().filter(|session| !session.is_closed());
        if let Some(session) = kept
            && session.begin(Sees::Latest).await.is_ok()
        {
            return Ok(session);
        }
        let session = Session::connect(&self.settings).await?;
        session.begin(Sees::Latest).await.map_err(|e| session.error(&e))?;
        Ok(session)
    }

    pub async fn give_back(&self, session: Session) -> Result<()> {
        session.run("COMMIT").await?;
        *self.kept.lock().await = Some(session);
        Ok(())
    }

    /// Refuses what the session's transaction has locked if it was altered since its snapshot.
    pub async fn check_unaltered(&self, session: &Session, moment: &Moment) -> Result<Unaltered> {
        let mut unaltered = Unaltered::new(&self.settings);
        let seen = unaltered.locked(session).await?;
        if !seen.is_empty() {
            // After the locks: it sees all that was committed before they were had.
            let latest = self.look().await?;
            let compared = unaltered.compare(&seen, &latest, moment).await;
            self.give_back(latest).await?;
            compared?;
        }
        Ok(unaltered)
    }
}
