//! Rate limits that are kept: so many requests in a window of time, and no more.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::http::{Reply, Request, http_date};
use super::rule::matches;

/// How a client is told how long it has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tell {
    Nothing,
    /// `Retry-After: 3`
    Seconds,
    /// `Retry-After: Thu, 01 Jan 2026 00:00:03 GMT`
    Date,
    /// `X-RateLimit-Remaining`, and `X-RateLimit-Reset` in seconds of the epoch.
    Epoch,
    /// The same with `X-RateLimit-Reset` in seconds from now.
    Delta,
    /// `RateLimit-Limit`, `RateLimit-Remaining`, `RateLimit-Reset`, of earlier drafts of the IETF.
    Draft,
    /// `RateLimit-Policy` and `RateLimit`, of later drafts.
    NewDraft,
}

impl Tell {
    /// The headers that say: of `limit` requests in each `window`, so many are left until the end of `wait`. Waits are
    /// rounded up to seconds.
    pub fn headers(self, wait: Duration, left: u64, limit: u64, window: f64) -> Vec<(&'static str, String)> {
        let delta = wait.as_secs_f64().ceil() as u64;
        let reset = SystemTime::now() + wait;
        // A date has no fractions, and must not be before the end of the wait.
        let epoch = reset.duration_since(UNIX_EPOCH).unwrap().as_secs_f64().ceil() as u64;
        match self {
            Self::Nothing => vec![],
            Self::Seconds if left > 0 => vec![],
            Self::Date if left > 0 => vec![],
            Self::Seconds => vec![("Retry-After", delta.to_string())],
            Self::Date => vec![("Retry-After", http_date(UNIX_EPOCH + Duration::from_secs(epoch)))],
            Self::Epoch => vec![
                ("X-RateLimit-Limit", limit.to_string()),
                ("X-RateLimit-Remaining", left.to_string()),
                ("X-RateLimit-Reset", epoch.to_string()),
            ],
            Self::Delta => vec![
                ("X-RateLimit-Limit", limit.to_string()),
                ("X-RateLimit-Remaining", left.to_string()),
                ("X-RateLimit-Reset", delta.to_string()),
            ],
            Self::Draft => vec![
                ("RateLimit-Limit", limit.to_string()),
                ("RateLimit-Remaining", left.to_string()),
                ("RateLimit-Reset", delta.to_string()),
            ],
            Self::NewDraft => vec![
                ("RateLimit-Policy", format!("\"default\";q={limit};w={}", window.ceil())),
                ("RateLimit", format!("\"default\";r={left};t={delta}")),
            ],
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// A path, or what paths begin with if it ends in `*`.
    pub path: String,
    pub requests: u64,
    /// The window. Windows follow one another from the epoch on.
    pub seconds: f64,
    pub status: u16,
    pub tell: Tell,
}

impl Limit {
    /// So many requests a second on every path, beyond which a 429 tells when to come again.
    pub fn per_second(requests: u64) -> Self {
        Self { path: "*".to_owned(), requests, seconds: 1.0, status: 429, tell: Tell::Seconds }
    }
}

/// A limit in force.
pub struct Limiter {
    limit: Limit,
    window: u64,
    count: u64,
}

/// What a limit makes of a request.
pub enum Verdict {
    /// Headers for its answer.
    Passed(Vec<(&'static str, String)>),
    Refused(Reply),
}

impl Limiter {
    pub fn new(limit: Limit) -> Self {
        Self { limit, window: 0, count: 0 }
    }

    /// None where it is not about this request.
    pub fn judge(&mut self, request: &Request) -> Option<Verdict> {
        let Limit { path, requests, seconds, status, tell } = &self.limit;
        if !matches(path, &request.path) {
            return None;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let window = (now / seconds) as u64;
        if window != self.window {
            (self.window, self.count) = (window, 0);
        }
        self.count += 1;
        let wait = Duration::from_secs_f64(((window + 1) as f64 * seconds - now).max(0.0));
        if self.count <= *requests {
            return Some(Verdict::Passed(tell.headers(wait, requests - self.count, *requests, *seconds)));
        }
        let mut reply = Reply::error(*status, "slow_down", "too many requests");
        reply.headers.extend(tell.headers(wait, 0, *requests, *seconds));
        Some(Verdict::Refused(reply))
    }
}
