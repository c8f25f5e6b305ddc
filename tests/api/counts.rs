//! What came, for assertions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What the API has seen so far. Requests to `/_control` are not counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub connections: u64,
    pub requests: u64,
    /// The most requests that were under way at the same time.
    pub most_at_once: u64,
    /// Requests beyond a [`Limit`](super::Limit).
    pub refused_by_limit: u64,
    /// Requests that were answered with 401 or 403.
    pub refused_by_auth: u64,
    /// Requests by path.
    pub paths: BTreeMap<String, u64>,
    /// Requests by what they ask for: method (unless it is GET), path, and sorted parameters but for secret ones.
    pub pages: BTreeMap<String, Page>,
    /// What went wrong on command, by the rule's name, or the fault's where it has none.
    pub faults: BTreeMap<String, u64>,
    /// Every `Authorization` header that came, to either host.
    pub authorization: BTreeSet<String>,
    /// Requests to the other host that had a secret of this one in them.
    pub leaks: Vec<String>,
    /// Access tokens and session tokens that were given out.
    pub tokens_given: u64,
    /// Refresh tokens that came a second time, which revokes all that came of them.
    pub refresh_reused: u64,
    #[serde(skip)]
    at_once: u64,
}

/// What became of the requests for one page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    pub asked: u64,
    /// Answered with a status of success, as it should be, and sent to the end.
    pub served: u64,
}

impl Seen {
    /// Requests for a path.
    pub fn asked(&self, path: &str) -> u64 {
        self.paths.get(path).copied().unwrap_or_default()
    }

    /// What became of the requests for a page, by its name in [`Seen::pages`].
    pub fn page(&self, name: &str) -> Page {
        self.pages.get(name).copied().unwrap_or_default()
    }

    pub(super) fn begin(&mut self) {
        self.at_once += 1;
        self.most_at_once = self.most_at_once.max(self.at_once);
    }

    pub(super) fn end(&mut self) {
        self.at_once -= 1;
    }

    /// Forgets everything but what is under way.
    pub(super) fn forget(&mut self) {
        *self = Self { at_once: self.at_once, ..Self::default() };
    }
}
