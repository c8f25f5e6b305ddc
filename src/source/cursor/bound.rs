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
    /// transaction that was prepared for a commit in two phases has left its session. `None` where they cannot be seen
    /// any more.
    async fn still(&mut self, noted: &[String]) -> Result<Option<Vec<Transaction>>>;

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
        left = still(probe, settings, &ids).await?;
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
    let left = still(probe, settings, &waiting.transactions).await?;
    if left.is_empty() {
        return Ok((Some(waiting.high.clone()), None));
    }
    tracing::debug!(stream, transactions = left.len(), "transactions of before the last run are still open");
    let transactions = left.into_iter().map(|transaction| transaction.id).collect();
    Ok((place.mark.clone(), Some(Waiting { high: waiting.high.clone(), transactions })))
}

/// Those of `noted` that are waited for still. Who cannot be seen is given a fixed time, as by a first look.
async fn still(probe: &mut dyn Probe, settings: &Settings, noted: &[String]) -> Result<Vec<Transaction>> {
    if noted.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(left) = probe.still(noted).await? {
        return Ok(held(left, settings));
    }
    sleep(settings.settle).await;
    Ok(Vec::new())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Section;
    use crate::source::cursor::KEYS;

    /// A server whose rows and transactions come and go with the time since it was made.
    struct Told {
        made: Instant,
        /// From which second on which is the greatest.
        highs: Vec<(u64, u64)>,
        /// Id, and from which second to which it is at work.
        transactions: Vec<(&'static str, u64, u64)>,
        is_seen: bool,
    }

    impl Told {
        fn new(highs: &[(u64, u64)], transactions: &[(&'static str, u64, u64)]) -> Self {
            let (highs, transactions) = (highs.to_vec(), transactions.to_vec());
            Self { made: Instant::now(), highs, transactions, is_seen: true }
        }

        fn now(&self) -> u64 {
            self.made.elapsed().as_secs()
        }

        fn at_work_now(&self) -> Vec<Transaction> {
            let now = self.now();
            let at_work = self.transactions.iter().filter(|(_, from, to)| (*from..*to).contains(&now));
            let shown = |(id, from, _): &(&str, u64, u64)| Transaction {
                id: (*id).to_owned(),
                shown: format!("session {id}"),
                age: Duration::from_secs(now - from),
            };
            at_work.map(shown).collect()
        }
    }

    #[async_trait]
    impl Probe for Told {
        async fn high(&mut self, above: Option<&[String]>) -> Result<Option<High>> {
            let above: u64 = above.map_or(0, |above| above[0].parse().unwrap());
            let high = self.highs.iter().filter(|(from, _)| *from <= self.now()).map(|(_, high)| *high).max();
            let high = high.filter(|high| *high > above);
            Ok(high.map(|high| High { values: vec![high.to_string()], wait: Duration::from_secs(1) }))
        }

        async fn at_work(&mut self) -> Result<Option<Vec<Transaction>>> {
            Ok(self.is_seen.then(|| self.at_work_now()))
        }

        async fn still(&mut self, noted: &[String]) -> Result<Option<Vec<Transaction>>> {
            let still = self.at_work_now().into_iter().filter(|transaction| noted.contains(&transaction.id));
            Ok(self.is_seen.then(|| still.collect()))
        }

        fn patience(&self) -> Duration {
            Duration::from_millis(100)
        }
    }

    fn settings(more: &[(&str, &str)]) -> Settings {
        let values = [&[("cursor", "id")], more].concat();
        Settings::of(&Section::of_keys("stream s", KEYS.iter().collect(), &values).unwrap()).unwrap()
    }

    fn at(mark: u64, waiting: Option<(u64, &[&str])>) -> Place {
        let waiting = waiting.map(|(high, ids)| Waiting {
            high: vec![high.to_string()],
            transactions: ids.iter().map(|id| (*id).to_owned()).collect(),
        });
        Place { mark: Some(vec![mark.to_string()]), waiting, ..Place::beginning(&settings(&[])) }
    }

    async fn found(probe: &mut Told, more: &[(&str, &str)], place: &Place) -> (u64, Option<(u64, Vec<String>)>) {
        let found = bound(probe, &settings(more), place, "s").await.unwrap();
        let number = |values: &[String]| values[0].parse().unwrap();
        (number(&found.to.unwrap()), found.waiting.map(|waiting| (number(&waiting.high), waiting.transactions)))
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_at_work_lets_the_mark_move_at_once() {
        let mut server = Told::new(&[(0, 9)], &[]);
        assert_eq!(found(&mut server, &[], &at(5, None)).await, (9, None));
        assert_eq!(server.now(), 1, "the unit was waited for, and nothing else");
        assert_eq!(found(&mut server, &[], &at(9, None)).await, (9, None));
        assert_eq!(server.now(), 1, "nothing is new, and nothing waited for");
    }

    /// Whoever began after the look is not waited for, and what came after the look is not read.
    #[tokio::test(start_paused = true)]
    async fn those_of_the_look_are_waited_for_and_no_others() {
        let mut server = Told::new(&[(0, 9), (2, 20)], &[("a", 0, 4), ("b", 2, 100)]);
        assert_eq!(found(&mut server, &[], &at(5, None)).await, (9, None));
        assert_eq!(server.now(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_transaction_holds_the_mark_until_it_has_ended() {
        let mut server = Told::new(&[(0, 9), (20, 30)], &[("a", 0, 50), ("b", 45, 1000), ("c", 70, 1000)]);
        let (to, waiting) = found(&mut server, &[], &at(5, None)).await;
        assert_eq!((to, waiting.clone()), (5, Some((9, vec!["a".to_owned()]))));
        assert_eq!(server.now(), 6, "`settle` behind the unit");
        // Still open: what was found first is kept, or the mark would never move among transactions that overlap.
        tokio::time::sleep(Duration::from_secs(30)).await;
        let held = at(5, Some((9, &["a"])));
        assert_eq!(found(&mut server, &[], &held).await, (5, waiting));
        // Ended: what it held is read, and the next wait is for whoever is open now.
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(found(&mut server, &[], &held).await, (9, Some((30, vec!["b".to_owned(), "c".to_owned()]))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_forgotten_session_is_passed_by_choice() {
        let mut server = Told::new(&[(0, 9)], &[("a", 0, 10_000)]);
        tokio::time::sleep(Duration::from_secs(700)).await;
        let keys = [("max_hold", "10m"), ("on_max_hold", "pass")];
        assert_eq!(found(&mut server, &keys[..1], &at(5, None)).await.0, 5);
        assert_eq!(found(&mut server, &keys, &at(5, None)).await, (9, None));
        assert_eq!(found(&mut server, &keys, &at(5, Some((8, &["a"])))).await, (9, None));
    }

    #[tokio::test(start_paused = true)]
    async fn whom_nobody_sees_is_given_a_fixed_time() {
        let mut server = Told { is_seen: false, ..Told::new(&[(0, 9)], &[("a", 0, 50)]) };
        assert_eq!(found(&mut server, &[("settle", "3s")], &at(5, None)).await, (9, None));
        assert_eq!(server.now(), 3);
        // Whom an earlier run saw, too.
        assert_eq!(found(&mut server, &[("settle", "3s")], &at(5, Some((9, &["a"])))).await, (9, None));
        assert_eq!(server.now(), 6);
    }
}
