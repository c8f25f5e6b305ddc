//! Knows where we were, so that pages that lead in a circle are an error and not an endless job.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Place;
use crate::error::{Error, Result};

/// More pages than this are not remembered one by one.
const MOST: usize = 1 << 20;

/// So many pages back, the same records are noticed.
const LAST: usize = 8;

/// The pages of one chain, in their order.
#[derive(Debug, Default)]
pub struct Guard {
    /// By a digest of the place: the how-manieth page it was.
    pages: HashMap<u64, u64>,
    count: u64,
    /// Beyond those that are remembered: one page, kept for twice as long each time, which a circle of any length comes back to.
    kept: Option<(u64, u64)>,
    keep_until: u64,
    /// Digests of the records of the last pages that had any.
    last_pages: VecDeque<u64>,
    is_repeated: bool,
    /// How many pages have had no records since the last one that had any.
    empty: u64,
    largest: u64,
    has_warned: bool,
    /// The number of the last page, or the offset of the last record, by what the last page said.
    pub last: Option<i64>,
}

impl Guard {
    /// Takes note of a page that is about to be asked for; refuses one that was there.
    pub fn go(&mut self, place: &Place) -> Result<()> {
        let mut hasher = DefaultHasher::new();
        place.hash(&mut hasher);
        let digest = hasher.finish();
        self.count += 1;
        let before = self.pages.get(&digest).copied();
        let before = before.or(self.kept.filter(|(kept, _)| *kept == digest).map(|(_, at)| at));
        if let Some(before) = before {
            let length = self.count - before;
            return Err(Error::data(format!(
                "the pages lead in a circle: behind page {} of this reading comes page {before} again, {length} pages earlier",
                self.count - 1
            ))
            .hint(
                "The server gives a next page that it gave before. Does it know the parameter of `next_cursor_param`? Look at that, and at \
                 `next_cursor` or `next_link`, or ask those who run it.",
            ));
        }
        if self.pages.len() < MOST {
            self.pages.insert(digest, self.count);
        } else if self.count >= self.keep_until {
            self.kept = Some((digest, self.count));
            self.keep_until = self.count * 2;
        }
        Ok(())
    }

    /// Takes note of what a page had: how many records, and a digest of them. Once for each page.
    pub fn note(&mut self, records: u64, digest: u64) {
        self.is_repeated = records > 0 && self.last_pages.contains(&digest);
        if records == 0 {
            self.empty += 1;
            return;
        }
        self.empty = 0;
        self.largest = self.largest.max(records);
        if self.last_pages.len() == LAST {
            self.last_pages.pop_front();
        }
        self.last_pages.push_back(digest);
    }

    /// Whether the page that was noted last had the same records as one of the eight before it that had any.
    pub fn is_repeated(&self) -> bool {
        self.is_repeated
    }

    /// How many records the largest page had.
    pub fn largest(&self) -> u64 {
        self.largest
    }

    /// Whether nothing was told of until now: what an answer gets wrong, all of them do.
    pub fn is_first_warning(&mut self) -> bool {
        !std::mem::replace(&mut self.has_warned, true)
    }

    /// How many pages without records there were one after the other, up to the one that was noted last.
    pub fn empty_pages(&self) -> u64 {
        self.empty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(n: usize) -> Place {
        Place::Cursor(n.to_string().into())
    }

    #[test]
    fn circles_of_any_length_are_found_at_their_first_page() {
        for length in [1, 2, 3, 1000] {
            let mut guard = Guard::default();
            for n in 0..length + 5 {
                guard.go(&cursor(n)).unwrap();
            }
            let error = guard.go(&cursor(5)).unwrap_err();
            assert!(error.message().contains(&format!("{length} pages earlier")), "{error}");
        }
    }

    #[test]
    fn circles_beyond_what_is_remembered_are_found_too() {
        let mut guard = Guard::default();
        let rounds = (0..MOST + 10).chain((0..4).flat_map(|_| MOST + 10..MOST + 10 + 500_000));
        assert!(rounds.map(cursor).any(|place| guard.go(&place).is_err()));
    }

    #[test]
    fn the_same_records_twice_are_noticed() {
        let mut guard = Guard::default();
        let mut is_repeated = |records, digest| {
            guard.note(records, digest);
            guard.is_repeated()
        };
        assert!(!is_repeated(1, 1) && !is_repeated(1, 2) && is_repeated(1, 2) && is_repeated(1, 1));
        // Pages without records are all alike.
        assert!(!is_repeated(0, 1) && !is_repeated(0, 1));
        assert!((3..20).all(|digest| !is_repeated(1, digest)) && !is_repeated(1, 1));
    }

    #[test]
    fn empty_pages_are_counted_one_after_the_other() {
        let mut guard = Guard::default();
        let mut empty = |records| {
            guard.note(records, 0);
            guard.empty_pages()
        };
        assert_eq!([empty(0), empty(0), empty(5), empty(0), empty(7)], [1, 2, 0, 1, 0]);
    }
}
