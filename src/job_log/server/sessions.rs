//! The connections of one job log: made when they are needed, kept for the next, made anew when they break.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::READ_ONLY;
use super::schema::{self, State};
use super::session::{Cell, Dialect, Driver, Record, Session};
use crate::error::{Error, Kind, Result};

/// How many connections wait for more work where nobody waits for one. A run needs one, and a second where its heartbeat meets a commit.
const KEPT: usize = 2;
/// How many connections there are at once, however many streams write: servers allow a hundred or so to all.
const MOST: usize = 16;
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
    /// How many more connections there may be.
    free: Semaphore,
    /// The server has been reached. Before, an error is shown at once: it may well be in the configuration.
    reached: AtomicBool,
    /// Something was written. A server that takes no writes from then on was the primary, and is being replaced: its name
    /// soon leads to the next one.
    written: AtomicBool,
}

impl Sessions {
    pub fn new(driver: Arc<dyn Driver>, patience: Duration) -> Self {
        Self {
            driver,
            patience,
            idle: Mutex::default(),
            id: OnceLock::new(),
            free: Semaphore::new(MOST),
            reached: AtomicBool::new(false),
            written: AtomicBool::new(false),
        }
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
            // Never closed. Given back before the pause, which is no work.
            let turn = self.free.acquire().await;
            let tried = tokio::time::timeout(TRY, job()).await;
            drop(turn);
            let error = match tried {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => error,
                Err(_) => {
                    let message = format!("no answer within {} s", TRY.as_secs());
                    Error::unavailable(message).at(format!("job log {}", self.driver.place()))
                }
            };
            if !self.passes(&error) || Instant::now() + pause > give_up {
                return Err(error);
            }
            // What ended one connection has probably ended the others.
            self.idle().clear();
            tracing::debug!("{}; trying again", error.message());
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn passes(&self, error: &Error) -> bool {
        match error.kind() {
            Kind::Unavailable => self.reached.load(Ordering::Relaxed),
            _ => error.advice() == Some(READ_ONLY) && self.written.load(Ordering::Relaxed),
        }
    }

    /// Does `job` within a transaction that it commits, as often as [`Sessions::again`] must; the tables are made where they
    /// are missing.
    pub async fn write<'a, T, F>(&'a self, job: impl Fn(Transaction<'a>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let done = self.again(|| async { job(self.begin().await?).await }).await?;
        self.written.store(true, Ordering::Relaxed);
        Ok(done)
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
                    State::Older(0) => return Ok(None),
                    // As a run would, so that what they hold is shown.
                    State::Older(_) => {
                        let id = schema::prepare(&mut *session, self.driver()).await?;
                        self.id.get_or_init(|| id);
                    }
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
        // Where others wait for their turn, the next of them takes it over.
        let is_wanted = self.sessions.free.available_permits() == 0;
        let mut idle = self.sessions.idle();
        if is_wanted || idle.len() < KEPT {
            idle.push(self.session);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::AtomicUsize;

    use async_trait::async_trait;

    use super::*;

    static DIALECT: Dialect = Dialect { now: "now", tables_named: "count", make_id: "make", migrations: &[&["table"]] };

    /// A server whose transactions begin with these errors, one after the other, and then with none.
    #[derive(Default)]
    struct Fake {
        errors: Arc<Mutex<VecDeque<Error>>>,
        open: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
    }

    struct Connection {
        errors: Arc<Mutex<VecDeque<Error>>>,
        open: Arc<AtomicUsize>,
    }

    #[async_trait]
    impl Driver for Fake {
        fn dialect(&self) -> &'static Dialect {
            &DIALECT
        }

        fn place(&self) -> &str {
            "fake://log"
        }

        async fn connect(&self) -> Result<Box<dyn Session>> {
            self.most.fetch_max(self.open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            Ok(Box::new(Connection { errors: self.errors.clone(), open: self.open.clone() }))
        }
    }

    impl Drop for Connection {
        fn drop(&mut self) {
            self.open.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[async_trait]
    impl Session for Connection {
        async fn begin(&mut self) -> Result<()> {
            self.errors.lock().unwrap().pop_front().map_or(Ok(()), Err)
        }

        async fn commit(&mut self) -> Result<()> {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(())
        }

        async fn query(&mut self, sql: &str, _: &[Cell]) -> Result<Vec<Record>> {
            let cells = if sql == "count" { vec![1.into()] } else { vec!["id".into(), schema::VERSION.into()] };
            Ok(vec![Record(cells)])
        }

        async fn lock(&mut self) -> Result<()> {
            Ok(())
        }

        async fn unlock(&mut self) -> Result<()> {
            Ok(())
        }

        fn is_closed(&self) -> bool {
            false
        }

        async fn version(&mut self) -> Result<String> {
            Ok("Fake 1".to_owned())
        }

        async fn check_rights(&mut self, _: bool) -> Result<()> {
            Ok(())
        }
    }

    fn read_only() -> Error {
        Error::config("the server is read-only").hint(READ_ONLY)
    }

    #[tokio::test(start_paused = true)]
    async fn a_primary_that_is_replaced_is_waited_for() {
        let fake = Fake::default();
        let errors = fake.errors.clone();
        let sessions = Sessions::new(Arc::new(fake), Duration::from_secs(50));
        // Before anything was written it is a replica that somebody named.
        errors.lock().unwrap().push_back(read_only());
        assert_eq!(sessions.write(Transaction::commit).await.unwrap_err().kind(), Kind::Config);
        sessions.write(Transaction::commit).await.unwrap();
        errors.lock().unwrap().extend([read_only(), Error::unavailable("gone"), read_only()]);
        sessions.write(Transaction::commit).await.unwrap();
        // What else is in the configuration's way is told at once, and what stays, in the end.
        errors.lock().unwrap().push_back(Error::config("newer"));
        assert_eq!(sessions.write(Transaction::commit).await.unwrap_err().message(), "newer");
        errors.lock().unwrap().extend((0..1000).map(|_| read_only()));
        let begun = Instant::now();
        assert_eq!(sessions.write(Transaction::commit).await.unwrap_err().kind(), Kind::Config);
        assert!((40..=50).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_bounded() {
        let fake = Fake::default();
        let (open, most) = (fake.open.clone(), fake.most.clone());
        let sessions = Sessions::new(Arc::new(fake), Duration::from_secs(50));
        let writes = (0..300).map(|_| sessions.write(Transaction::commit));
        for written in futures_util::future::join_all(writes).await {
            written.unwrap();
        }
        assert_eq!((most.load(Ordering::SeqCst), open.load(Ordering::SeqCst)), (MOST, KEPT));
    }
}
