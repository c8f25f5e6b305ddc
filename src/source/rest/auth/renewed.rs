//! Credentials that run out: fetched when they are first needed, and again before they end or when they are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Credential;
use crate::error::{Error, Result};

/// What is not used in its last moments: this long before its end, but no more than a fifth of its life.
const MARGIN: Duration = Duration::from_secs(60);

/// Where credentials come from.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    type Got: Clone + Send + Sync + 'static;

    /// New ones, after as many tries as make sense. It is never broken off in its midst, and never runs twice at a time.
    async fn fetch(&self) -> Result<Fetched<Self::Got>>;
}

pub struct Fetched<T> {
    pub credentials: T,
    /// For how long they are good from now on, as far as it is known.
    pub lasts: Option<Duration>,
}

/// The credentials at hand. One request fetches them for all that wait.
pub struct Renewed<F: Fetch>(Arc<Shared<F>>);

struct Shared<F: Fetch> {
    source: F,
    /// How many fetches have ended, well or not.
    ended: AtomicU64,
    held: Arc<Mutex<Held<F::Got>>>,
}

struct Held<T> {
    number: u64,
    good: Option<Good<T>>,
    /// Why the last fetch failed.
    failed: Option<Error>,
}

struct Good<T> {
    credentials: T,
    until: Option<Instant>,
}

impl<T: Clone> Held<T> {
    fn current(&self) -> Option<(T, Credential)> {
        let good = self.good.as_ref().filter(|good| good.until.is_none_or(|until| Instant::now() < until))?;
        Some((good.credentials.clone(), Credential(self.number)))
    }

    fn keep(&mut self, fetched: Fetched<T>) {
        let until = fetched.lasts.map(|lasts| Instant::now() + lasts.saturating_sub(MARGIN.min(lasts / 5)));
        self.number += 1;
        self.good = Some(Good { credentials: fetched.credentials, until });
    }
}

impl<F: Fetch> Renewed<F> {
    pub fn new(source: F) -> Self {
        let held = Arc::new(Mutex::new(Held { number: 0, good: None, failed: None }));
        Self(Arc::new(Shared { source, ended: AtomicU64::new(0), held }))
    }

    /// Credentials that are good for a while.
    pub async fn current(&self) -> Result<(F::Got, Credential)> {
        let ended = self.0.ended.load(Ordering::SeqCst);
        let mut held = self.0.held.clone().lock_owned().await;
        if let Some(current) = held.current() {
            return Ok(current);
        }
        // Whoever waited for a fetch that failed has waited for its own.
        if let Some(error) = held.failed.as_ref().filter(|_| self.0.ended.load(Ordering::SeqCst) != ended) {
            return Err(error.clone());
        }
        let shared = self.0.clone();
        // In a task of its own: if the request that needed it is given up, a token that the server has handed out by then is
        // still kept.
        let fetching = tokio::spawn(async move {
            let outcome = shared.source.fetch().await.map(|fetched| {
                let credentials = fetched.credentials.clone();
                held.keep(fetched);
                (credentials, Credential(held.number))
            });
            held.failed = outcome.as_ref().err().cloned();
            shared.ended.fetch_add(1, Ordering::SeqCst);
            outcome
        });
        fetching.await.map_err(|e| Error::bug(format!("credentials could not be fetched: {e}")))?
    }

    /// These were refused: if they are still the ones at hand, they are not used again.
    pub async fn refused(&self, credential: Credential) -> bool {
        let mut held = self.0.held.lock().await;
        if held.number == credential.0 {
            held.good = None;
        }
        credential != Credential::NONE
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Plain;

    use super::*;

    /// Numbers that last; each fetch takes a second.
    #[derive(Default)]
    struct Numbers {
        fetched: AtomicU64,
        fails: Plain<u64>,
        lasts: Option<Duration>,
    }

    #[async_trait]
    impl Fetch for Numbers {
        type Got = u64;

        async fn fetch(&self) -> Result<Fetched<u64>> {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let credentials = self.fetched.fetch_add(1, Ordering::SeqCst) + 1;
            let mut fails = self.fails.lock().unwrap();
            match *fails {
                0 => Ok(Fetched { credentials, lasts: self.lasts }),
                _ => {
                    *fails -= 1;
                    Err(Error::unavailable("not now"))
                }
            }
        }
    }

    async fn fifty(renewed: &Renewed<Numbers>) -> Vec<Result<(u64, Credential)>> {
        futures_util::future::join_all((0..50).map(|_| renewed.current())).await
    }

    fn fetched(renewed: &Renewed<Numbers>) -> u64 {
        renewed.0.source.fetched.load(Ordering::SeqCst)
    }

    #[tokio::test(start_paused = true)]
    async fn many_requests_fetch_once_and_renew_once() {
        let renewed = Renewed::new(Numbers::default());
        assert!(fifty(&renewed).await.into_iter().all(|got| got.unwrap() == (1, Credential(1))));
        // All of them are refused, and find out one after another, also while others have gone on already.
        for _ in 0..25 {
            assert!(renewed.refused(Credential(1)).await);
        }
        assert!(fifty(&renewed).await.into_iter().all(|got| got.unwrap() == (2, Credential(2))));
        for _ in 0..25 {
            assert!(renewed.refused(Credential(1)).await);
        }
        assert!(fifty(&renewed).await.into_iter().all(|got| got.unwrap() == (2, Credential(2))));
        assert_eq!(fetched(&renewed), 2);
        assert!(!renewed.refused(Credential::NONE).await);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_share_a_failure_and_the_next_tries_again() {
        let renewed = Renewed::new(Numbers { fails: Plain::new(1), ..Numbers::default() });
        assert!(fifty(&renewed).await.into_iter().all(|got| got.is_err()));
        assert_eq!(fetched(&renewed), 1);
        assert_eq!(renewed.current().await.unwrap().0, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_renewed_before_they_end() {
        let renewed = Renewed::new(Numbers { lasts: Some(Duration::from_secs(3600)), ..Numbers::default() });
        assert_eq!(renewed.current().await.unwrap().0, 1);
        tokio::time::advance(Duration::from_secs(3600 - 62)).await;
        assert_eq!(renewed.current().await.unwrap().0, 1);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(renewed.current().await.unwrap().0, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn short_lives_are_used_for_most_of_them() {
        let renewed = Renewed::new(Numbers { lasts: Some(Duration::from_secs(10)), ..Numbers::default() });
        assert_eq!(renewed.current().await.unwrap().0, 1);
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(renewed.current().await.unwrap().0, 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(renewed.current().await.unwrap().0, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_goes_on_when_its_request_is_given_up() {
        let renewed = Renewed::new(Numbers::default());
        let given_up = tokio::time::timeout(Duration::from_millis(500), renewed.current()).await;
        assert!(given_up.is_err());
        assert_eq!(renewed.current().await.unwrap().0, 1);
        assert_eq!(fetched(&renewed), 1);
    }
}
