//! What commits tell of failed requests and of rows that were set aside: the tables `job_log_share` and `job_log_failure`.

use serde::Serialize;

use super::tally::ends_run;
use crate::error::Error;
use crate::record::{Commit, FailedRequest, SetAside, Shortfall, StreamId, add_aside};

/// How much of a stream came, as its newest commits tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    #[serde(skip)]
    pub stream: String,
    /// The run that told it, and the entry that it told it with.
    pub run_id: String,
    #[serde(skip)]
    pub seq: u64,
    /// Requests of the state that stands, and of the load that is live; how many of them are open.
    pub requests: u64,
    pub records: u64,
    pub failed: u64,
    /// Rows of that run, and how many of them it set aside, by table.
    pub rows: u64,
    pub set_aside: SetAside,
}

impl Share {
    /// How much came as of `commit`, whose run has written so many rows. `None` where it tells nothing that `before` does not.
    pub(super) fn after(before: Option<&Self>, commit: &Commit, rows: u64) -> Option<Self> {
        if before.is_some_and(|before| before.seq >= commit.seq) {
            return None;
        }
        let open = commit.open_failures();
        let mut set_aside = match before.filter(|before| before.run_id == commit.run) {
            Some(before) => before.set_aside.clone(),
            None => SetAside::new(),
        };
        match &commit.publishes {
            Some(load) => set_aside.clone_from(&load.set_aside),
            None => add_aside(&mut set_aside, &commit.set_aside()),
        }
        if before.is_none() && open.is_empty() && set_aside.is_empty() {
            return None;
        }
        Some(Self {
            stream: String::new(),
            run_id: commit.run.clone(),
            seq: commit.seq,
            requests: open.requests,
            records: open.records,
            failed: open.failed.len() as u64,
            rows,
            set_aside,
        })
    }
}

/// A failed request, as the job log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    pub stream: String,
    #[serde(flatten)]
    pub failed: FailedRequest,
    /// The run that told of it first.
    pub run_id: String,
    /// When it was given, or forgotten with its load; null as long as it is open.
    pub closed_at: Option<String>,
}

/// The longest id that the tables hold.
const LONGEST_ID: usize = 160;

/// The requests that are open as of a commit, by ids that fit.
pub(super) fn open(commit: &Commit) -> Vec<FailedRequest> {
    let mut open = commit.open_failures().failed;
    for failed in &mut open {
        if let Some((cut, _)) = failed.id.char_indices().nth(LONGEST_ID) {
            failed.id.truncate(cut);
        }
    }
    open
}

/// What the run of `commit` came to short of all; `share` is how much came as of it.
pub(super) fn short(commit: &Commit, share: Option<&Share>) -> Shortfall {
    let aside = share.filter(|share| share.run_id == commit.run && !commit.is_republication());
    let aside = aside.map(|share| share.set_aside.clone()).unwrap_or_default();
    Shortfall { failures: commit.open_failures(), aside }
}

/// That as the error of a run that has come to its end.
pub(super) fn error(stream: &str, short: &Shortfall) -> Option<Error> {
    short.error(&format!("tidemark retry {}", StreamId::parse(stream).name()))
}

/// With what the run of `commit` ended, if this was its last.
pub(super) fn end(stream: &str, commit: &Commit, share: Option<&Share>) -> Option<Option<Error>> {
    ends_run(commit).then(|| error(stream, &short(commit, share)))
}
