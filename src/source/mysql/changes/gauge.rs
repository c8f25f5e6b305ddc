//! How far the log goes on behind us, asked now and then on a connection of its own, beside the reading; and whether the
//! server is about to purge what is not read.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Asker;
use super::conditions::about_to_go;
use super::files::{self, Files};
use super::place::Place;
use super::server::{Kept, Settings};
use crate::error::Result;
use crate::source::mysql::connect::Connection;

/// How often the server is asked.
const EVERY: Duration = Duration::from_secs(10);
/// How often it is said that the log is about to be purged.
const WARN_EVERY: Duration = Duration::from_secs(600);

/// What the server last told. Dropping it ends the asking.
pub struct Gauge {
    files: watch::Receiver<Files>,
    committed: watch::Sender<String>,
    task: JoinHandle<()>,
}

impl Gauge {
    /// Asks at once, and then on and on. What a server refuses to tell is not known, and no reason to fail.
    pub async fn begin(mut connection: Connection, asker: Asker, place: &Place) -> Self {
        let first = Files::of(&mut connection).await.unwrap_or_else(untold);
        let (told, files) = watch::channel(first);
        let (committed, at) = watch::channel(place.file.clone());
        let asking = Asking { asker, connection: Some(connection), told, at, ended: None, warned_at: None };
        Self { files, committed, task: tokio::spawn(asking.run()) }
    }

    /// How many bytes of the log stand behind a place.
    pub fn behind(&self, place: &Place) -> Option<u64> {
        self.files.borrow().behind(&place.file, place.pos)
    }

    /// Everything up to there is committed, and is not asked for again.
    pub fn committed(&self, place: &Place) {
        self.committed.send_if_modified(|file| {
            let is_new = *file != place.file;
            file.clone_from(&place.file);
            is_new
        });
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn untold(error: crate::error::Error) -> Files {
    tracing::debug!("how far the log goes on is not known: {}", error.message());
    Files::default()
}

/// The task.
struct Asking {
    asker: Asker,
    connection: Option<Connection>,
    told: watch::Sender<Files>,
    /// The file that a run would go on in.
    at: watch::Receiver<String>,
    /// That file, and when its successor was begun.
    ended: Option<(String, Timestamp)>,
    warned_at: Option<Instant>,
}

impl Asking {
    async fn run(mut self) {
        loop {
            match self.ask().await {
                Ok(files) => drop(self.told.send_replace(files)),
                Err(error) => {
                    self.connection = None;
                    self.told.send_replace(untold(error));
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn ask(&mut self) -> Result<Files> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.asker.settings).await?,
        };
        let files = Files::of(&mut connection).await?;
        let at = self.at.borrow().clone();
        if let Some(next) = files.next(&at) {
            let kept = Settings::of(&mut connection).await?.kept();
            self.guard(kept, &at, next).await?;
        }
        self.connection = Some(connection);
        Ok(files)
    }

    /// Says so where little time is left to read the rest of a file that the server writes to no more.
    async fn guard(&mut self, kept: Kept, at: &str, next: &str) -> Result<()> {
        let is_due = self.warned_at.is_none_or(|warned| warned.elapsed() >= WARN_EVERY);
        if kept == Kept::Always || !is_due {
            return Ok(());
        }
        let ended_at = match &self.ended {
            Some((file, ended_at)) if file == at => *ended_at,
            _ => match files::begun_at(&self.asker, next).await? {
                Some(ended_at) => ended_at,
                None => return Ok(()),
            },
        };
        self.ended = Some((at.to_owned(), ended_at));
        let left = files::left(kept, ended_at, Timestamp::now());
        if let Some(left) = left.filter(|left| files::is_little(kept, *left)) {
            tracing::warn!(stream = %self.asker.stream.id, "{}", about_to_go(at, left));
            self.warned_at = Some(Instant::now());
        }
        Ok(())
    }
}
