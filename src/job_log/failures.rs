//! What commits tell of failed requests and of rows that were set aside: the tables `job_log_share` and `job_log_failure`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::tally::ends_run;
use crate::error::{Error, Kind, count};
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

/// The columns of `job_log_share`, as every kind of job log reads them.
pub(super) const SHARE: &str = "stream, run_id, seq, requests, records, failed, written, aside";

/// Those of `job_log_failure`.
pub(super) const FAILURE: &str = "stream, id, request, status, reason, excerpt, attempts, failed_at, run_id, closed_at";

/// What is to be written into `job_log_failure`.
pub(super) struct Changes<'o> {
    /// Those that are new, or were tried again, each with the run that told of it first.
    pub keep: Vec<Kept<'o>>,
    /// The ids of those that are not open any more.
    pub close: Vec<String>,
}

pub(super) struct Kept<'o> {
    pub failed: &'o FailedRequest,
    pub run_id: String,
    /// Its row is one of those that are open.
    pub is_known: bool,
}

/// What becomes of the rows that are open (`known`), where `run` tells that these requests are. A request that has no such row may
/// have the id of one that is closed: that one was another load's, and gives way.
pub(super) fn changes<'o>(known: Vec<Failure>, open: &'o [FailedRequest], run: &str) -> Changes<'o> {
    let mut known: BTreeMap<_, _> = known.into_iter().map(|known| (known.failed.id.clone(), known)).collect();
    let keep = open.iter().filter_map(|failed| match known.remove(&failed.id) {
        Some(known) if known.failed == *failed => None,
        Some(known) => Some(Kept { failed, run_id: known.run_id, is_known: true }),
        None => Some(Kept { failed, run_id: run.to_owned(), is_known: false }),
    });
    Changes { keep: keep.collect(), close: known.into_keys().collect() }
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
    partial(short, &format!("tidemark retry {}", StreamId::parse(stream).name()))
}

/// With what a run ends that is done but for a rest; `None` where nothing is left. `again` is the command that asks for the failed
/// requests once more.
pub fn partial(short: &Shortfall, again: &str) -> Option<Error> {
    let (failed, rows) = (short.failures.failed.len() as u64, short.aside.values().sum::<u64>());
    let mut words = Vec::new();
    if failed > 0 {
        let all = short.failures.requests.max(failed);
        let (requests, them) = if all == 1 { ("request", "it") } else { ("requests", "them") };
        let (failed, all) = (count(failed), count(all));
        words.push(format!("{failed} of {all} {requests} failed; `{again}` asks for {them} again"));
    }
    if rows > 0 {
        let tables: Vec<_> =
            short.aside.iter().filter(|(_, rows)| **rows > 0).map(|(table, _)| table.as_str()).collect();
        let verb = if rows == 1 { "row is" } else { "rows are" };
        words.push(format!("{} {verb} in {}", count(rows), tables.join(", ")));
    }
    (!words.is_empty()).then(|| Error::new(Kind::Partial, words.join("; ")))
}

/// With what the run of `commit` ended, if this was its last.
pub(super) fn end(stream: &str, commit: &Commit, share: Option<&Share>) -> Option<Option<Error>> {
    ends_run(commit).then(|| error(stream, &short(commit, share)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Failures;

    fn failed(id: &str, attempts: u32) -> FailedRequest {
        FailedRequest {
            id: id.to_owned(),
            request: "GET /orders".to_owned(),
            status: None,
            reason: "no answer".to_owned(),
            excerpt: None,
            attempts,
            at: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn what_is_the_same_is_not_written_and_who_told_first_stays() {
        let known = |id: &str| Failure {
            stream: "orders".to_owned(),
            failed: failed(id, 1),
            run_id: "r1".to_owned(),
            closed_at: None,
        };
        let open = [failed("same", 1), failed("again", 2), failed("new", 1)];
        let changes = changes(vec![known("gone"), known("again"), known("same")], &open, "r2");
        let kept: Vec<_> =
            changes.keep.iter().map(|kept| (kept.failed.id.as_str(), kept.run_id.as_str(), kept.is_known)).collect();
        assert_eq!(kept, [("again", "r1", true), ("new", "r2", false)]);
        assert_eq!(changes.close, ["gone"]);
    }

    #[test]
    fn what_is_short_is_said_in_a_sentence() {
        let said = |short: &Shortfall| partial(short, "tidemark retry orders").map(|error| error.to_string());
        let mut short = Shortfall::default();
        assert_eq!(said(&short), None);
        short.failures =
            Failures { requests: 10_002, records: 9, failed: vec![failed("1", 3), failed("2", 3), failed("3", 3)] };
        assert_eq!(said(&short).unwrap(), "3 of 10,002 requests failed; `tidemark retry orders` asks for them again");
        short.aside.insert("orders_quarantine".to_owned(), 12);
        assert!(said(&short).unwrap().ends_with("asks for them again; 12 rows are in orders_quarantine"));
        short.failures = Failures { requests: 9, ..Failures::default() };
        assert_eq!(said(&short).unwrap(), "12 rows are in orders_quarantine");
        assert_eq!(partial(&short, "").unwrap().kind(), Kind::Partial);
        short.aside.insert("orders_quarantine".to_owned(), 0);
        assert_eq!(said(&short), None);
    }
}
