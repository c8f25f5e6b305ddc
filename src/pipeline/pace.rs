//! How gently a source is read: rows in a second, and pauses while its server is busy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, sleep_until};

use crate::config::Section;
use crate::error::Result;
use crate::record::{Event, Lag, Position};
use crate::source::{Reader, Source};

/// How often a server is asked how busy it is, while it is not.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// The longest wait before a busy server is asked again. The first is [`ASKED_EVERY`]; it doubles with each.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What all that read one source keep to.
#[derive(Debug, Default)]
pub struct Pace {
    name: String,
    rows_per_second: Option<u64>,
    max_running: Option<u64>,
    /// When rows may come again.
    free: Mutex<Option<Instant>>,
    /// Held by the one who asks.
    asking: tokio::sync::Mutex<()>,
    /// When the server was last found calm.
    calm: Mutex<Option<Instant>>,
    /// It was said that it is not; that it does not tell.
    told_busy: AtomicBool,
    told_nothing: AtomicBool,
}

impl Pace {
    /// Of a `[source]` section.
    pub fn of(section: &Section) -> Result<Arc<Self>> {
        let number = |key| -> Result<Option<u64>> {
            let number = section.get(key).map(|_| section.integer(key)).transpose()?;
            Ok(number.and_then(|number| u64::try_from(number).ok()))
        };
        let (rows_per_second, max_running) = (number("rows_per_second")?, number("max_running")?);
        Ok(Arc::new(Self::new(section.name(), rows_per_second, max_running)))
    }

    pub fn new(name: &str, rows_per_second: Option<u64>, max_running: Option<u64>) -> Self {
        Self { name: name.to_owned(), rows_per_second, max_running, ..Self::default() }
    }

    /// A reader that keeps to it. `source` is asked how busy its server is.
    pub fn keep<'a>(self: &Arc<Self>, reader: &'a mut dyn Reader, source: &'a dyn Source) -> Paced<'a> {
        Paced { pace: self.clone(), reader, source, until: None }
    }

    /// Waits until the server is not busy. Cancel safe.
    pub async fn calm(&self, source: &dyn Source) -> Result<()> {
        let Some(most) = self.max_running else { return Ok(()) };
        if self.was_calm() {
            return Ok(());
        }
        let _turn = self.asking.lock().await;
        let mut wait = ASKED_EVERY;
        while !self.was_calm() {
            let Some(running) = source.running().await? else {
                if !self.told_nothing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        source = self.name,
                        "the server does not tell what runs: `max_running` does nothing"
                    );
                }
                self.found_calm();
                return Ok(());
            };
            if running <= most {
                self.found_calm();
                if self.told_busy.swap(false, Ordering::Relaxed) {
                    tracing::info!(source = self.name, running, "the server is calm again: reading goes on");
                }
                return Ok(());
            }
            if !self.told_busy.swap(true, Ordering::Relaxed) {
                tracing::warn!(source = self.name, running, max_running = most, "the server is busy: reading pauses");
            }
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        Ok(())
    }

    fn was_calm(&self) -> bool {
        let calm = *self.calm.lock().unwrap_or_else(PoisonError::into_inner);
        calm.is_some_and(|at| at.elapsed() < ASKED_EVERY)
    }

    fn found_calm(&self) {
        *self.calm.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Counts rows that have come; until when the next ones are to wait.
    fn took(&self, rows: usize) -> Option<Instant> {
        let second = self.rows_per_second?;
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let from = free.unwrap_or_else(Instant::now).max(Instant::now());
        let until = from + Duration::from_secs_f64(rows as f64 / second as f64);
        *free = Some(until);
        Some(until)
    }
}

/// A reader that waits between its batches.
pub struct Paced<'a> {
    pace: Arc<Pace>,
    reader: &'a mut dyn Reader,
    source: &'a dyn Source,
    until: Option<Instant>,
}

#[async_trait]
impl Reader for Paced<'_> {
    async fn next(&mut self) -> Result<Option<Event>> {
        if let Some(until) = self.until {
            sleep_until(until).await;
            self.until = None;
            self.pace.calm(self.source).await?;
        }
        let event = self.reader.next().await?;
        if let Some(Event::Rows(rows)) = &event {
            let rows = rows.batch.num_rows();
            self.until = self.pace.took(rows).or_else(|| (rows > 0).then(Instant::now));
        }
        Ok(event)
    }

    async fn ack(&mut self, position: &Position) -> Result<()> {
        self.reader.ack(position).await
    }

    fn lag(&self) -> Option<Lag> {
        self.reader.lag()
    }

    fn holds(&self) -> u64 {
        self.reader.holds()
    }
}
