//! Knows where we were, so that pages that lead in a circle are an error and not an endless job.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Place;
use crate::error::{Error, Result};

/// More pages than this are not remembered one by one.
const MOST: usize = 1 << 20;

/// The pages of one chain, in their order.
#[derive(Debug, Default)]
pub struct Guard {
    /// By a digest of the place: the how-manieth page it was.
    pages: HashMap<u64, u64>,
    count: u64,
    /// Beyond those that are remembered: one page, kept for twice as long each time, which a circle of any length comes back to.
    kept: Option<(u64, u64)>,
    keep_until: u64,
    last_body: Option<u64>,
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
            .hint("The server gives a next page that it gave before. Look at `next_cursor` or `next_link`, or ask those who run it."));
        }
        if self.pages.len() < MOST {
            self.pages.insert(digest, self.count);
        } else if self.count >= self.keep_until {
            self.kept = Some((digest, self.count));
            self.keep_until = self.count * 2;
        }
        Ok(())
    }

    /// Whether the page before had the same body.
    pub fn is_same_body(&mut self, digest: u64) -> bool {
        self.last_body.replace(digest) == Some(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(n: usize) -> Place {
        Place::Cursor(n.to_string())
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
    fn the_same_body_twice_is_noticed() {
        let mut guard = Guard::default();
        assert!(!guard.is_same_body(1) && !guard.is_same_body(2) && guard.is_same_body(2) && !guard.is_same_body(1));
    }
}
