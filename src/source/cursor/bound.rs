//! The safe mark: up to where a run may read without a row appearing there later.
//!
//! The bound is taken from the data, not from a clock, whose zone a column without one does not tell:
//! 1. the greatest value that is there;
//! 2. a wait of its unit, so that whoever begins from now on writes a greater one;
//! 3. a look at who is at work: only they may still write a smaller one;
//! 4. when all of them have ended, every row up to the bound is there.
//!
//! What is read is read after that.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use super::{Place, Settings, Waiting};
use crate::error::Result;

/// A connection that looks before the reading begins.
#[async_trait]
pub trait Probe: Send {
    /// The greatest cursor above these values (of all, where `None`) and not in the future; `None` where there is none.
    async fn high(&mut self, above: Option<&[String]>) -> Result<Option<High>>;

    /// The transactions at work that may write, ours left out; `None` where they cannot be seen.
    async fn at_work(&mut self) -> Result<Option<Vec<Transaction>>>;

    /// Those of `noted` (ids) that may be at work still, whatever has become of them, and what they have become: a
    /// transaction that was prepared for a commit in two phases has left its session.
    async fn still(&mut self, noted: &[String]) -> Result<Vec<Transaction>>;

    /// How soon it is worth asking [`Probe::still`] again.
    fn patience(&self) -> Duration;
}

/// The greatest cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct High {
    pub values: Vec<String>,
    /// How long until whoever begins writes a greater one.
    pub wait: Duration,
}

/// A transaction at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The same as long as it is the same transaction.
    pub id: String,
    /// For people: `session 4711 of role app`.
    pub shown: String,
    /// How long it has been open.
    pub age: Duration,
}

/// Up to where to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The last cursor to read; `None` where there is nothing yet.
    pub to: Option<Vec<String>>,
    /// What keeps the bound from being higher.
    pub waiting: Option<Waiting>,
}

/// Finds the bound for a run that goes on from `place`. `stream` is for messages.
pub async fn bound(probe: &mut dyn Probe, settings: &Settings, place: &Place, stream: &str) -> Result<Bound> {
    let (to, mut waiting) = earlier(probe, settings, place, stream).await?;
    let Some(high) = probe.high(to.as_deref()).await? else {
        // Nothing is above: nobody has to be waited for.
        return Ok(Bound { to, waiting: None });
    };
    sleep(high.wait).await;
    let Some(at_work) = probe.at_work().await? else {
        sleep(settings.settle.saturating_sub(high.wait)).await;
        return Ok(Bound { to: Some(high.values), waiting: None });
    };
    warn_of_passed(&at_work, settings, stream);
    let mut left = held(at_work, settings);
    let until = Instant::now() + settings.settle;
    let mut pause = Duration::from_millis(10).max(probe.patience());
    while !left.is_empty() && Instant::now() < until {
        sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
        pause = (pause * 2).min(Duration::from_millis(500));
        let ids: Vec<_> = left.iter().map(|transaction| transaction.id.clone()).collect();
        left = held(probe.still(&ids).await?, settings);
    }
    if left.is_empty() {
        return Ok(Bound { to: Some(high.values), waiting: None });
    }
    warn(&left, settings, stream);
    // Whom an earlier run waits for ends sooner than whoever came after.
    waiting.get_or_insert_with(|| {
        let transactions = left.iter().map(|transaction| transaction.id.clone()).collect();
        Waiting { high: high.values, transactions }
    });
    Ok(Bound { to, waiting })
}

/// The bound that earlier runs have found: their mark, or what they waited for, if it has come.
async fn earlier(
    probe: &mut dyn Probe,
    settings: &Settings,
    place: &Place,
    stream: &str,
) -> Result<(Option<Vec<String>>, Option<Waiting>)> {
    let Some(waiting) = &place.waiting else { return Ok((place.mark.clone(), None)) };
    let left = held(probe.still(&waiting.transactions).await?, settings);
    if left.is_empty() {
        return Ok((Some(waiting.high.clone()), None));
    }
    tracing::debug!(stream, transactions = left.len(), "transactions of before the last run are still open");
    let transactions = left.into_iter().map(|transaction| transaction.id).collect();
    Ok((place.mark.clone(), Some(Waiting { high: waiting.high.clone(), transactions })))
}

/// Those that are waited for.
fn held(mut transactions: Vec<Transaction>, settings: &Settings) -> Vec<Transaction> {
    transactions.retain(|transaction| !settings.passes || transaction.age <= settings.max_hold);
    transactions
}

fn warn_of_passed(at_work: &[Transaction], settings: &Settings, stream: &str) {
    for passed in at_work.iter().filter(|transaction| settings.passes && transaction.age > settings.max_hold) {
        let (who, open_s) = (&passed.shown, passed.age.as_secs());
        tracing::warn!(stream, who, open_s, "the mark goes past an open transaction; what it writes below is not read");
    }
}

fn warn(left: &[Transaction], settings: &Settings, stream: &str) {
    let Some(oldest) = left.iter().max_by_key(|transaction| transaction.age) else { return };
    let (who, open_s, others) = (&oldest.shown, oldest.age.as_secs(), left.len() - 1);
    if oldest.age > settings.max_hold {
        tracing::warn!(
            stream,
            who,
            open_s,
            others,
            "an open transaction keeps newer rows from being read: end it, or set `on_max_hold = pass` to go past it"
        );
    } else {
        tracing::info!(stream, who, open_s, others, "newer rows are left to a later run: a transaction is open");
    }
}
