//! How fast requests may follow one another: by what the configuration says, and by what the server's answers say.

mod told;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::sync::Mutex as Queue;
use tokio::time::{Instant, sleep_until};

pub use self::told::{LATER, retry_after, too_long};

/// So many requests in any stretch of time of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub requests: u32,
    pub within: Duration,
}

impl Limit {
    /// `10/s`, `1000/h`, `5/10s`; several are separated by commas.
    pub fn parse_all(text: &str) -> Option<Vec<Self>> {
        text.split(',').map(|one| Self::parse(one.trim())).collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let (requests, within) = text.split_once('/')?;
        let within = within.trim();
        let within = match within.starts_with(|c: char| c.is_ascii_digit()) {
            true => crate::config::parse_duration(within)?,
            false if within.is_empty() => return None,
            false => crate::config::parse_duration(&format!("1{within}"))?,
        };
        let requests = requests.trim().parse().ok().filter(|requests| (1..=1_000_000).contains(requests))?;
        (!within.is_zero()).then_some(Self { requests, within })
    }

    /// A little longer than it says: requests arrive closer together, or farther apart, than they are sent.
    fn kept_within(&self) -> Duration {
        self.within + (self.within / 50).clamp(Duration::from_millis(20), Duration::from_secs(1))
    }
}

/// The pace of all requests to one server.
pub struct Pace {
    /// Held by the request whose turn comes next, while it waits: the others queue behind it, in the order in which they came.
    queue: Queue<()>,
    windows: Mutex<Windows>,
    /// However long headers say that there is nothing left.
    longest_wait: Duration,
}

#[derive(Default)]
struct Windows {
    limits: Vec<(Limit, VecDeque<Instant>)>,
    paused_until: Option<Instant>,
    /// How long a server has asked us to wait, of what is in `paused_until`.
    asked_until: Option<Instant>,
}

/// Shorter waits are not told of.
const TOLD_OF: Duration = Duration::from_secs(10);

impl Pace {
    pub fn new(limits: Vec<Limit>, longest_wait: Duration) -> Self {
        let limits = limits.into_iter().map(|limit| (limit, VecDeque::new())).collect();
        Self { queue: Queue::default(), windows: Mutex::new(Windows { limits, ..Windows::default() }), longest_wait }
    }

    /// Waits until a request may be sent.
    pub async fn turn(&self) {
        let _first = self.queue.lock().await;
        loop {
            let turn = self.windows().go_or_wait(Instant::now());
            match turn {
                // A pause may have come meanwhile.
                Some(at) => sleep_until(at).await,
                None => return,
            }
        }
    }

    /// A server asks that nobody sends anything for so long. Says whether this begins a pause: not where it goes on with one
    /// that the answer to another request began, and not where it ends at once.
    pub fn pause(&self, wait: Duration) -> bool {
        let (mut windows, now) = (self.windows(), Instant::now());
        let is_begun = windows.asked_until.is_some_and(|until| until > now);
        windows.asked_until = windows.asked_until.max(now.checked_add(wait));
        windows.paused_until = windows.paused_until.max(windows.asked_until);
        !is_begun && !wait.is_zero()
    }

    /// Takes note of what an answer says of the requests that are left. `busy` is how many others are under way, which count
    /// among those.
    pub fn learn(&self, headers: &HeaderMap, busy: usize) {
        if let Some(left) = told::left(headers)
            && left.requests <= busy as u64
            && let Some(wait) = left.reset
        {
            let (mut windows, now) = (self.windows(), Instant::now());
            let wait = wait.min(self.longest_wait);
            if windows.paused_until.is_none_or(|until| until <= now) && wait >= TOLD_OF {
                tracing::info!(wait_seconds = wait.as_secs_f64(), "the server's limit is used up: all requests wait");
            }
            windows.paused_until = windows.paused_until.max(now.checked_add(wait));
        }
    }

    fn windows(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Windows {
    /// When the next request may be sent; `None` where it may be now, and is.
    fn go_or_wait(&mut self, now: Instant) -> Option<Instant> {
        self.paused_until = self.paused_until.filter(|until| *until > now);
        let mut earliest = self.paused_until;
        for (limit, sent) in &mut self.limits {
            while sent.front().is_some_and(|first| *first + limit.kept_within() <= now) {
                sent.pop_front();
            }
            if sent.len() >= limit.requests as usize {
                earliest = earliest.max(sent.front().map(|first| *first + limit.kept_within()));
            }
        }
        if earliest.is_none() {
            self.limits.iter_mut().for_each(|(_, sent)| sent.push_back(now));
        }
        earliest
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn limits_are_read() {
        let limit = |requests, seconds| Limit { requests, within: Duration::from_secs(seconds) };
        assert_eq!(Limit::parse_all("10/s, 1000/h").unwrap(), [limit(10, 1), limit(1000, 3600)]);
        assert_eq!(Limit::parse_all("5/10s").unwrap(), [limit(5, 10)]);
        for wrong in ["10", "0/s", "10/", "/s", "10/0s", "ten/s", "10/s,", "-1/s"] {
            assert!(Limit::parse_all(wrong).is_none(), "{wrong}");
        }
    }

    /// When each of so many requests was sent, in milliseconds.
    async fn sent(pace: Arc<Pace>, count: usize) -> Vec<u128> {
        let begun = Instant::now();
        let one = || {
            let pace = pace.clone();
            async move {
                pace.turn().await;
                begun.elapsed().as_millis()
            }
        };
        futures_util::future::join_all((0..count).map(|_| one())).await
    }

    #[tokio::test(start_paused = true)]
    async fn no_stretch_of_time_has_more_than_it_may() {
        let limits = Limit::parse_all("10/s, 25/10s").unwrap();
        let times = sent(Arc::new(Pace::new(limits, Duration::from_secs(3600))), 60).await;
        for (at, _) in times.iter().enumerate() {
            assert!(times.get(at + 10).is_none_or(|later| later - times[at] >= 1000), "{times:?}");
            assert!(times.get(at + 25).is_none_or(|later| later - times[at] >= 10_000), "{times:?}");
        }
        assert!(times[59] < 23_000, "no slower than it must: {times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_all() {
        let pace = Arc::new(Pace::new(Vec::new(), Duration::from_secs(3600)));
        pace.pause(Duration::from_secs(3));
        pace.pause(Duration::from_secs(1));
        let times = sent(pace, 3).await;
        assert!(times.iter().all(|at| (3000..3100).contains(at)), "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_begins_once_however_many_hear_of_it() {
        let pace = Arc::new(Pace::new(Vec::new(), Duration::from_secs(3600)));
        // What is left of a window is told with the answer that asks for the pause, and is not what it begins with.
        let nothing_left = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")];
        let header = |(name, value): (&'static str, &'static str)| {
            (reqwest::header::HeaderName::from_static(name), reqwest::header::HeaderValue::from_static(value))
        };
        pace.learn(&nothing_left.map(header).into_iter().collect(), 0);
        assert!(pace.pause(Duration::from_secs(1)) && !pace.pause(Duration::from_secs(2)));
        sent(pace.clone(), 1).await;
        assert!(pace.pause(Duration::from_secs(1)), "another one");
        sent(pace.clone(), 1).await;
        assert!(!pace.pause(Duration::ZERO), "none at all");
    }
}
