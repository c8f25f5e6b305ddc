//! What a stream came to short of all: requests that failed, and rows that were set aside.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What of a stream came to nothing, as its source reads it out of a checkpoint's state. Free of secrets, and shown to
/// people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// All requests that were made for this state, each counted once however often it was tried.
    pub requests: u64,
    /// The records that they gave.
    pub records: u64,
    /// Those that failed and have not been closed since, in the order in which they failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedRequest>,
}

/// A request that came to nothing after all its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRequest {
    /// The same as long as it is open, and no other's within the state.
    pub id: String,
    /// What was asked for: `GET /orders?page=17`.
    pub request: String,
    /// Of the last answer; `None` where none came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// A sentence: `the server answers 500`.
    pub reason: String,
    /// The beginning of what the server said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    pub attempts: u32,
    /// When it was last tried: RFC 3339, UTC.
    pub at: String,
}

impl Failures {
    /// Nothing was asked for, so there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.requests == 0 && self.records == 0 && self.failed.is_empty()
    }

    pub fn add(&mut self, more: Self) {
        self.requests += more.requests;
        self.records += more.records;
        self.failed.extend(more.failed);
    }

    /// Those of one part of a whole, whose ids are the part's own.
    #[must_use]
    pub fn of_part(mut self, part: &str) -> Self {
        for failed in &mut self.failed {
            failed.id = format!("{part}/{}", failed.id);
        }
        self
    }

    /// For an entry: `None` where there is nothing to say.
    pub fn some(self) -> Option<Self> {
        if self.is_empty() { None } else { Some(self) }
    }
}

/// How many rows were written into each table of a quarantine.
pub type SetAside = BTreeMap<String, u64>;

/// What a run came to short of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shortfall {
    /// What is open, whichever run left it.
    pub failures: Failures,
    /// What the run itself set aside.
    pub aside: SetAside,
}

/// Adds the rows of one to those of another.
pub fn add_aside(all: &mut SetAside, more: &SetAside) {
    for (table, rows) in more {
        *all.entry(table.clone()).or_default() += rows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(id: &str) -> FailedRequest {
        FailedRequest {
            id: id.to_owned(),
            request: "GET /orders".to_owned(),
            status: None,
            reason: "no answer".to_owned(),
            excerpt: None,
            attempts: 3,
            at: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn parts_keep_their_ids_apart() {
        let of = |id: &str| Failures { requests: 2, records: 10, failed: vec![failed(id)] };
        let mut all = of("1").of_part("00");
        all.add(of("1").of_part("01"));
        let ids: Vec<_> = all.failed.iter().map(|failed| failed.id.as_str()).collect();
        assert_eq!((all.requests, all.records, ids), (4, 20, vec!["00/1", "01/1"]));
        assert_eq!(Failures::default().some(), None);
    }
}
