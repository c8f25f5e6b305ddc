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

/// The files of the log that a run would read: the one that it goes on in, and those of prepared transactions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needed {
    pub at: String,
    pub prepared: Vec<String>,
}

impl Needed {
    /// The one that the server purges first.
    pub fn oldest<'a>(&'a self, files: &Files) -> &'a str {
        let all = self.prepared.iter().chain([&self.at]).map(String::as_str);
        files.oldest_of(all).unwrap_or(&self.at)
    }
}

/// What the server last told. Dropping it ends the asking.
pub struct Gauge {
    files: watch::Receiver<Files>,
    needed: watch::Sender<Needed>,
    task: JoinHandle<()>,
}

impl Gauge {
    /// Asks at once, and then on and on. What a server refuses to tell is not known, and no reason to fail.
    pub async fn begin(mut connection: Connection, asker: Asker, needed: Needed) -> Self {
        let first = Files::of(&mut connection).await.unwrap_or_else(untold);
        let (told, files) = watch::channel(first);
        let (sender, needed) = watch::channel(needed);
        let asking = Asking { asker, connection: Some(connection), told, needed, ended: None, warned_at: None };
        Self { files, needed: sender, task: tokio::spawn(asking.run()) }
    }

    /// How many bytes of the log stand behind a place.
    pub fn behind(&self, place: &Place) -> Option<u64> {
        self.files.borrow().behind(&place.file, place.pos)
    }

    /// Everything else is committed, and is not asked for again.
    pub fn committed(&self, needed: Needed) {
        self.needed.send_replace(needed);
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
    needed: watch::Receiver<Needed>,
    /// The oldest of them, and when its successor was begun.
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
        let needed = self.needed.borrow().clone();
        let oldest = needed.oldest(&files);
        if let Some(next) = files.next(oldest) {
            let kept = Settings::of(&mut connection).await?.kept();
            self.guard(kept, (oldest, oldest != needed.at), next).await?;
        }
        self.connection = Some(connection);
        Ok(files)
    }

    /// Says so where little time is left to read the rest of a file that the server writes to no more.
    async fn guard(&mut self, kept: Kept, (at, is_prepared): (&str, bool), next: &str) -> Result<()> {
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
            tracing::warn!(stream = %self.asker.stream.id, "{}", about_to_go(at, is_prepared, left));
            self.warned_at = Some(Instant::now());
        }
        Ok(())
    }
}
