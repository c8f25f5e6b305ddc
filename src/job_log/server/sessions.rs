//! The connections of one job log: made when they are needed, kept for the next, made anew when they break.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::schema::{self, State};
use super::session::{Cell, Dialect, Driver, Record, Session};
use crate::error::{Error, Kind, Result};

/// How many connections wait for more work. A run needs one, and a second where its heartbeat meets a commit.
const KEPT: usize = 2;
/// How long one try may take, from the connection to the commit.
const TRY: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub struct Sessions {
    driver: Arc<dyn Driver>,
    /// How long a broken connection is tried again: less than it takes others to see a lease as lost.
    patience: Duration,
    idle: Mutex<Vec<Box<dyn Session>>>,
    id: OnceLock<String>,
    /// The server has been reached. Before, an error is shown at once: it may well be in the configuration.
    reached: AtomicBool,
}

impl Sessions {
    pub fn new(driver: Arc<dyn Driver>, patience: Duration) -> Self {
        Self { driver, patience, idle: Mutex::default(), id: OnceLock::new(), reached: AtomicBool::new(false) }
    }

    pub fn driver(&self) -> &dyn Driver {
        &*self.driver
    }

    /// The log's own id, once its tables have been seen.
    pub fn id(&self) -> Option<&str> {
        self.id.get().map(String::as_str)
    }

    /// Does `job`, and again after a pause while it fails for reasons that pass.
    ///
    /// So whatever it does must come to the same if it is done twice: of a commit whose answer was lost nobody knows
    /// whether it happened. What was sent over a broken connection cannot come after what is sent over the next: it is
    /// within a transaction, whose locks the next one waits for, and which ends without a commit if any of it is missing.
    pub async fn again<T, F: Future<Output = Result<T>>>(&self, job: impl Fn() -> F) -> Result<T> {
        let give_up = Instant::now() + self.patience;
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match tokio::time::timeout(TRY, job()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => error,
                Err(_) => {
                    let message = format!("no answer within {} s", TRY.as_secs());
                    Error::unavailable(message).at(format!("job log {}", self.driver.place()))
                }
            };
            let is_lasting = error.kind() != Kind::Unavailable || !self.reached.load(Ordering::Relaxed);
            if is_lasting || Instant::now() + pause > give_up {
                return Err(error);
            }
            // What ended one connection has probably ended the others.
            self.idle().clear();
            tracing::debug!("{}; trying again", error.message());
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Does `job` within a transaction that it commits, as often as [`Sessions::again`] must; the tables are made where they
    /// are missing.
    pub async fn write<'a, T, F>(&'a self, job: impl Fn(Transaction<'a>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.again(|| async { job(self.begin().await?).await }).await
    }

    /// As [`Sessions::write`], for who only reads: where there are no tables, none are made, and nothing is found.
    pub async fn read<'a, T: Default, F>(&'a self, job: impl Fn(Transaction<'a>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.again(|| async {
            match self.look().await? {
                Some(db) => job(db).await,
                None => Ok(T::default()),
            }
        })
        .await
    }

    /// A transaction that may write; the tables are made where they are missing.
    async fn begin(&self) -> Result<Transaction<'_>> {
        let session = match self.kept() {
            Some(session) => session,
            None => {
                let mut session = self.connect().await?;
                let id = schema::prepare(&mut *session, self.driver()).await?;
                self.id.get_or_init(|| id);
                session
            }
        };
        self.transaction(session).await
    }

    /// A transaction that only reads; `None` where there are no tables yet, and none are made.
    async fn look(&self) -> Result<Option<Transaction<'_>>> {
        let session = match self.kept() {
            Some(session) => session,
            None => {
                let mut session = self.connect().await?;
                match schema::state(&mut *session, self.driver()).await? {
                    State::Ready(id) => drop(self.id.get_or_init(|| id)),
                    State::Older(_) => return Ok(None),
                }
                session
            }
        };
        self.transaction(session).await.map(Some)
    }

    /// A new connection, of whose tables nothing is known.
    pub async fn connect(&self) -> Result<Box<dyn Session>> {
        let session = self.driver.connect().await?;
        self.reached.store(true, Ordering::Relaxed);
        Ok(session)
    }

    async fn transaction(&self, mut session: Box<dyn Session>) -> Result<Transaction<'_>> {
        session.begin().await?;
        Ok(Transaction { sessions: self, session })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Box<dyn Session>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to tables that are known to be ready.
    fn kept(&self) -> Option<Box<dyn Session>> {
        let mut idle = self.idle();
        idle.retain(|session| !session.is_closed());
        idle.pop()
    }
}

/// A connection within a transaction. Dropping it ends both, without a commit.
pub struct Transaction<'a> {
    sessions: &'a Sessions,
    session: Box<dyn Session>,
}

impl Transaction<'_> {
    pub fn dialect(&self) -> &'static Dialect {
        self.sessions.driver.dialect()
    }

    pub async fn query(&mut self, sql: &str, values: &[Cell]) -> Result<Vec<Record>> {
        self.session.query(sql, values).await
    }

    /// The server's time now, in the tables' form.
    pub async fn now(&mut self) -> Result<String> {
        let rows = self.query(&format!("SELECT {}", self.dialect().now), &[]).await?;
        rows.first().ok_or_else(|| Error::bug("the server told no time"))?.text(0)
    }

    /// Makes it last, and keeps the connection for the next.
    pub async fn commit(mut self) -> Result<()> {
        self.session.commit().await?;
        let mut idle = self.sessions.idle();
        if idle.len() < KEPT {
            idle.push(self.session);
        }
        Ok(())
    }
}
