//! How long to wait before trying again.

use std::time::Duration;

use crate::error::{Error, Result};

/// Waits that double, with some chance in them, so that many who wait do not come back at the same moment.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The wait behind the first failure; each that follows is twice as long,
    pub first: Duration,
    /// up to this.
    pub longest: Duration,
    /// What part of each wait chance may take off: from 0 to 1.
    pub jitter: f64,
}

impl Backoff {
    /// The wait behind so many failures in a row, 1 at least.
    pub fn wait(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(u32::BITS - 1);
        let wait = self.first.saturating_mul(1 << doublings).min(self.longest);
        wait.mul_f64(1.0 - self.jitter * fastrand::f64())
    }
}

/// A thing that is tried a few times.
#[derive(Debug)]
pub struct Tries {
    backoff: Backoff,
    most: u32,
    failures: u32,
}

impl Tries {
    /// `most` counts the first try too.
    pub fn new(backoff: Backoff, most: u32) -> Self {
        Self { backoff, most, failures: 0 }
    }

    /// Waits for the next try; where there have been enough, hands the error on. A server that asks for a longer wait
    /// (`told`) gets it, up to the longest.
    pub async fn pause(&mut self, error: Error, told: Option<Duration>) -> Result<()> {
        self.failures += 1;
        if self.failures >= self.most {
            return Err(error);
        }
        let wait = self.backoff.wait(self.failures).max(told.unwrap_or_default()).min(self.backoff.longest);
        tracing::debug!(%error, failures = self.failures, wait_seconds = wait.as_secs_f64(), "trying again");
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Something went well: what fails next has all its tries again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60), jitter: 0.25 };

    #[test]
    fn waits_double_up_to_the_longest_and_chance_only_shortens_them() {
        for (failures, full) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (40, 60), (u32::MAX, 60)] {
            let full = Duration::from_secs(full);
            let waits: Vec<_> = (0..100).map(|_| BACKOFF.wait(failures)).collect();
            assert!(waits.iter().all(|wait| *wait <= full && *wait >= full.mul_f64(0.75)), "{failures}: {waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]), "{failures}: no chance in it");
        }
        let longest = Backoff { first: Duration::from_secs(3600), jitter: 0.0, ..BACKOFF };
        assert_eq!(longest.wait(1), Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_was_asked_for_counts_where_it_is_longer() {
        let begun = Instant::now();
        let mut tries = Tries::new(BACKOFF, 4);
        let mut waits = Vec::new();
        for told in [None, Some(0), Some(30), Some(600)] {
            let before = begun.elapsed();
            let paused = tries.pause(Error::unavailable("no"), told.map(Duration::from_secs)).await;
            waits.push(paused.map(|()| (begun.elapsed() - before).as_secs_f64().round()).ok());
        }
        assert_eq!((waits[0], waits[2], waits[3]), (Some(1.0), Some(30.0), None));
        assert!(waits[1].is_some_and(|wait| (1.0..=2.0).contains(&wait)));
        tries.reset();
        let before = begun.elapsed();
        tries.pause(Error::unavailable("no"), Some(Duration::from_secs(600))).await.unwrap();
        assert_eq!((begun.elapsed() - before).as_secs(), 60);
    }
}
