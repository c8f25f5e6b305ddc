//! Looks at rows on their way into a batch: which are delivered, and where between them a stop is safe.

use super::seen::{Seen, digest};

/// The marks of a row are those of its cursor, then those of its key, then (where rows are read again by the next run)
/// whether this one is.
#[derive(Debug)]
pub struct Sieve {
    /// What earlier runs delivered of what is read now.
    seen: Seen,
    /// What the next run will read again.
    fresh: Option<Fresh>,
    /// How many marks are the cursor's, where only a change of it is a safe place: rows without a key.
    groups: Option<usize>,
    /// The cursor of the last row.
    last: Vec<Option<Vec<u8>>>,
    boundary: Option<Boundary>,
    /// Of the digests.
    key: (u64, u64),
    /// Rows that were delivered before.
    pub skipped: u64,
}

#[derive(Debug)]
struct Fresh {
    seen: Seen,
    most: usize,
    /// A row that the next run reads again has come: there is no safe place any more before the end.
    begun: bool,
}

/// Between two rows of a batch with different cursors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary {
    /// How many rows of the batch are before it.
    pub rows: usize,
    /// The cursor of the last row before it.
    cursor: Vec<Option<Vec<u8>>>,
}

impl Boundary {
    /// The cursor, as the marks of a row have it.
    pub fn cursor(&self) -> Vec<Option<String>> {
        let text = |mark: &Option<Vec<u8>>| Some(String::from_utf8_lossy(mark.as_deref()?).into_owned());
        self.cursor.iter().map(text).collect()
    }
}

impl Sieve {
    /// `most` digests are kept for the next run, where it reads rows again.
    pub fn new(seen: Seen, most: Option<usize>, groups: Option<usize>) -> Self {
        let fresh = most.map(|most| Fresh { seen: Seen::default(), most, begun: false });
        Self { seen, fresh, groups, last: Vec::new(), boundary: None, key: (0, 0), skipped: 0 }
    }

    /// The same, with digests under a key.
    #[must_use]
    pub fn keyed(self, key: (u64, u64)) -> Self {
        Self { key, ..self }
    }

    /// Whether the row is delivered. `rows` of its batch are before it; `columns` is what the server sent of it.
    pub fn takes(&mut self, rows: usize, columns: &[u8], marks: &[Option<&[u8]>]) -> bool {
        if let Some(count) = self.groups {
            self.look_for_boundary(rows, &marks[..count]);
        }
        let is_again = self.fresh.is_some()
            && marks.last().copied().flatten().is_some_and(|flag| matches!(flag, b"t" | b"true" | b"1"));
        if !is_again && self.seen.is_empty() {
            return true;
        }
        let digest = digest(columns, self.key);
        if let Some(fresh) = self.fresh.as_mut().filter(|_| is_again) {
            fresh.begun = true;
            fresh.seen.add(digest, fresh.most);
        }
        let is_seen = self.seen.take(digest);
        self.skipped += u64::from(is_seen);
        !is_seen
    }

    fn look_for_boundary(&mut self, rows: usize, cursor: &[Option<&[u8]>]) {
        if self.last.iter().map(Option::as_deref).eq(cursor.iter().copied()) {
            return;
        }
        let next = cursor.iter().map(|mark| mark.map(<[u8]>::to_vec)).collect();
        let before = std::mem::replace(&mut self.last, next);
        if !before.is_empty() {
            self.boundary = Some(Boundary { rows, cursor: before });
        }
    }

    /// The last boundary since it was asked for last.
    pub fn take_boundary(&mut self) -> Option<Boundary> {
        self.boundary.take()
    }

    /// Whether a stop is safe before the end: not among rows that the next run reads again.
    pub fn is_stop_safe(&self) -> bool {
        !self.fresh.as_ref().is_some_and(|fresh| fresh.begun)
    }

    /// What the next run has to know, after the end.
    pub fn fresh(self) -> Seen {
        self.fresh.map(|fresh| fresh.seen).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(sieve: &mut Sieve, rows: usize, row: &str, marks: &[&str]) -> bool {
        let marks: Vec<_> = marks.iter().map(|mark| Some(mark.as_bytes())).collect();
        sieve.takes(rows, row.as_bytes(), &marks)
    }

    #[test]
    fn what_was_delivered_is_not_delivered_again_and_what_changed_is() {
        let mut first = Sieve::new(Seen::default(), Some(10), None);
        assert!(takes(&mut first, 0, "1 a", &["7", "f"]) && first.is_stop_safe());
        assert!(takes(&mut first, 1, "2 a", &["8", "t"]) && !first.is_stop_safe());
        let mut second = Sieve::new(first.fresh(), Some(10), None);
        assert!(!takes(&mut second, 0, "2 a", &["8", "t"]));
        assert!(takes(&mut second, 0, "2 b", &["8", "t"]));
        assert_eq!(second.skipped, 1);
        // Both are known to the third, once each.
        let mut third = Sieve::new(second.fresh(), Some(10), None);
        assert!(!takes(&mut third, 0, "2 a", &["8", "t"]) && !takes(&mut third, 0, "2 b", &["8", "t"]));
        assert!(takes(&mut third, 0, "2 b", &["8", "t"]));
    }

    #[test]
    fn without_a_key_a_stop_is_safe_between_cursors() {
        let mut sieve = Sieve::new(Seen::default(), None, Some(1));
        for (rows, cursor) in [(0, "1"), (1, "1"), (2, "2"), (3, "3"), (4, "3")] {
            assert!(takes(&mut sieve, rows, "x", &[cursor]));
        }
        assert_eq!(sieve.take_boundary(), Some(Boundary { rows: 3, cursor: vec![Some(b"2".to_vec())] }));
        assert_eq!(sieve.take_boundary(), None);
    }
}
