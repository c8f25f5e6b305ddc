//! What a commit changes in the row of its run, and what all commits of a run make of it.

use super::at;
use super::failures::{self, Share};
use crate::error::Error;
use crate::record::{Commit, FailedRequest, Mode, Shortfall};

/// The columns of a row that commits change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub seq: Option<u64>,
    pub high_water_mark: Option<String>,
    pub commits: u64,
    pub rows: u64,
    pub bytes: u64,
}

impl Tally {
    /// The row after `commit`; `None` where that commit is in it already.
    ///
    /// A run writes its commits in order, so one that is not above the row's `seq` is noted already.
    pub fn after(&self, commit: &Commit) -> Option<Tally> {
        if self.seq.is_some_and(|seq| seq >= commit.seq) {
            return None;
        }
        let (rows, bytes) = match &commit.publishes {
            Some(publication) => (publication.rows, publication.bytes),
            None => (self.rows + commit.rows(), self.bytes + commit.bytes()),
        };
        Some(Tally {
            seq: Some(commit.seq),
            high_water_mark: commit.position.as_ref().map(ToString::to_string),
            commits: self.commits + u64::from(counts(commit)),
            rows,
            bytes,
        })
    }
}

/// A run as a destination's commit log tells it: what entries of one run that follow each other come to.
#[derive(Debug, Clone)]
pub struct Told {
    pub(super) run: String,
    pub(super) mode: Mode,
    /// Where it began, as JSON text: its first entry is a fence, which stands where the entry before it stood.
    pub(super) low_water_mark: Option<String>,
    /// When its first entry was written, and its last.
    pub(super) began_at: String,
    pub(super) ended_at: String,
    /// The last entry is one after which nothing was left to read.
    is_done: bool,
    /// How much of the stream came, and what is open, as of the last entry.
    pub(super) share: Option<Share>,
    pub(super) open: Vec<FailedRequest>,
    /// Why it is done but for a rest: by the command that asks again.
    short: Shortfall,
    first_seq: u64,
    /// A publication has told the rows of a whole load.
    is_total: bool,
    tally: Tally,
}

impl Told {
    pub fn of(first: &Commit) -> Self {
        let told = Self {
            run: first.run.clone(),
            mode: first.mode,
            low_water_mark: first.position.as_ref().map(ToString::to_string),
            began_at: at(&first.at),
            ended_at: String::new(),
            is_done: false,
            share: None,
            open: Vec::new(),
            short: Shortfall::default(),
            first_seq: first.seq,
            is_total: false,
            tally: Tally::default(),
        };
        told.and(first)
    }

    pub fn is_of(&self, run: &str) -> bool {
        self.run == run
    }

    /// With the entry that follows.
    #[must_use]
    pub fn and(mut self, commit: &Commit) -> Self {
        self.tally = self.tally.after(commit).unwrap_or(self.tally);
        self.is_total |= commit.publishes.is_some();
        self.is_done = ends_run(commit);
        self.ended_at = at(&commit.at);
        self.share = Share::after(self.share.as_ref(), commit, self.tally.rows).or(self.share);
        self.open = failures::open(commit);
        self.short = failures::short(commit, self.share.as_ref());
        self
    }

    /// The number of its last entry.
    pub(super) fn seq(&self) -> u64 {
        self.tally.seq.unwrap_or(self.first_seq)
    }

    /// Of a stream that had told of requests, and tells of none any more.
    pub(super) fn nothing(&self) -> Share {
        Share { run_id: self.run.clone(), seq: self.seq(), rows: self.tally.rows, ..Share::default() }
    }

    /// With what it ended, if its last entry says that it did.
    pub(super) fn end(&self, stream: &str) -> Option<Option<Error>> {
        self.is_done.then(|| failures::error(stream, &self.short))
    }

    /// What the row is to hold that holds `before`; `None` where that tells as much already.
    ///
    /// A row may have heard of the last commits alone: then it has their number and not their count. It never goes back.
    pub(super) fn over(&self, before: Option<&Tally>) -> Option<Tally> {
        let Some((before, seq)) = before.and_then(|before| Some((before, before.seq?))) else {
            return Some(self.tally.clone());
        };
        if seq < self.first_seq {
            // Entries of another run stand between those that the row knows and ours.
            let (rows, bytes) = if self.is_total { (0, 0) } else { (before.rows, before.bytes) };
            let tally = self.tally.clone();
            let commits = before.commits + tally.commits;
            return Some(Tally { commits, rows: rows + tally.rows, bytes: bytes + tally.bytes, ..tally });
        }
        let last = self.tally.seq.unwrap_or_default();
        let lacks = seq < last || (seq == last && before.commits < self.tally.commits);
        lacks.then(|| self.tally.clone())
    }
}

/// Whether an entry is a commit to whoever counts them: not a fence, and not the first entry of a full load, which only
/// says that it began. A checkpoint after a quiet time has no parts either, but moves the mark.
fn counts(commit: &Commit) -> bool {
    ends_run(commit) || !commit.parts.is_empty() || (commit.mode != Mode::Full && !commit.is_fence())
}

/// Whether the run that made `commit` had nothing left to read.
pub(super) fn ends_run(commit: &Commit) -> bool {
    commit.complete || commit.publishes.is_some()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::record::{Generations, PartInfo, Position, Publication};

    fn commit(seq: u64, rows: &[u64]) -> Commit {
        let part = |rows: &u64| PartInfo {
            path: String::new(),
            table: "t".to_owned(),
            schema: String::new(),
            rows: *rows,
            bytes: rows * 10,
            checksum: String::new(),
        };
        Commit {
            seq,
            writer: "w".to_owned(),
            run: "r".to_owned(),
            mode: Mode::Full,
            position: Some(Position::new(json!({ "id": seq }))),
            last_seq: 0,
            parts: rows.iter().map(part).collect(),
            schemas: BTreeMap::new(),
            complete: false,
            publishes: None,
            reserves: None,
            generations: Generations::default(),
            fences: Vec::new(),
            state: Value::Null,
            failures: None,
            identity: Value::Null,
            holder: Value::Null,
            at: String::new(),
        }
    }

    #[test]
    fn adds_parts_once() {
        let first = Tally::default().after(&commit(1, &[3, 4])).unwrap();
        assert_eq!((first.commits, first.rows, first.bytes), (1, 7, 70));
        assert_eq!(first.high_water_mark.as_deref(), Some(r#"{"id":1}"#));
        assert_eq!(first.after(&commit(1, &[3, 4])), None);
        assert_eq!(first.after(&commit(0, &[9])), None);
        let second = first.after(&commit(2, &[1])).unwrap();
        assert_eq!((second.seq, second.commits, second.rows), (Some(2), 2, 8));
    }

    #[test]
    fn a_run_is_told_once_and_never_less_than_it_is() {
        let [two, three, four] = [(2, 10), (3, 20), (4, 30)].map(|(seq, rows)| commit(seq, &[rows]));
        let told = Told::of(&two).and(&three).and(&four);
        let whole = told.over(None).unwrap();
        assert_eq!((whole.seq, whole.commits, whole.rows, whole.bytes), (Some(4), 3, 60, 600));
        assert_eq!((told.low_water_mark.as_deref(), told.is_done), (Some(r#"{"id":2}"#), false));
        assert_eq!(told.over(Some(&whole)), None);
        // It has heard of the first, or of the last alone.
        for heard in [&two, &four] {
            let row = Tally::default().after(heard).unwrap();
            assert_eq!(told.over(Some(&row)), Some(whole.clone()), "{}", heard.seq);
        }
        // A row that was begun, and no more.
        assert_eq!(told.over(Some(&Tally::default())), Some(whole.clone()));
        // Another run came in between.
        let later = Told::of(&commit(7, &[5]));
        let both = later.over(Some(&whole)).unwrap();
        assert_eq!((both.seq, both.commits, both.rows), (Some(7), 4, 65));
        assert_eq!((told.over(Some(&both)), later.over(Some(&both))), (None, None));
    }

    #[test]
    fn a_publication_tells_the_totals() {
        let before = Tally { seq: Some(1), rows: 5, bytes: 5, commits: 1, high_water_mark: None };
        let publication = Publication {
            generation: "g".to_owned(),
            seq: 2,
            chunks: BTreeMap::new(),
            rows: 100,
            bytes: 900,
            files: 2,
            failures: None,
            set_aside: Default::default(),
        };
        let after = before.after(&Commit { publishes: Some(publication), ..commit(2, &[]) }).unwrap();
        assert_eq!((after.commits, after.rows, after.bytes), (2, 100, 900));
    }

    #[test]
    fn a_fence_moves_the_log_and_is_no_commit() {
        let fence = Commit { mode: Mode::Cdc, fences: vec![3, 1], ..commit(3, &[]) };
        let after = Tally::default().after(&fence).unwrap();
        assert_eq!((after.seq, after.commits), (Some(3), 0));
        let quiet = after.after(&Commit { fences: vec![3, 1], mode: Mode::Cdc, ..commit(4, &[]) }).unwrap();
        assert_eq!((quiet.seq, quiet.commits), (Some(4), 1));
        let begin = after.after(&commit(4, &[])).unwrap();
        assert_eq!((begin.seq, begin.commits), (Some(4), 0));
    }
}
