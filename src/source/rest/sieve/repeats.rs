//! Records that neighbouring pages have as well.

use std::collections::{HashSet, VecDeque};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::source::cursor::digest;

/// Knows records of neighbouring pages again: while pages are read, records that come and go move others from one to the next.
#[derive(Debug, Default)]
pub struct Repeats {
    /// Of the digests.
    key: (u64, u64),
    digests: HashSet<u128>,
    /// By page, the oldest first.
    pages: VecDeque<Vec<u128>>,
}

impl Repeats {
    /// So many pages back.
    const PAGES: usize = 2;

    pub fn new(key: (u64, u64)) -> Self {
        Self { key, ..Self::default() }
    }

    /// Reads what [`Repeats::state`] gave.
    pub fn of(state: &Json, key: (u64, u64)) -> Result<Self> {
        let broken = || Error::conflict("the digests of records in the commit log cannot be read");
        let bytes = STANDARD.decode(state.as_str().unwrap_or_default()).map_err(|_| broken())?;
        let (digests, []) = bytes.as_chunks::<16>() else { return Err(broken()) };
        let page: Vec<u128> = digests.iter().map(|digest| u128::from_be_bytes(*digest)).collect();
        Ok(Self { key, digests: page.iter().copied().collect(), pages: VecDeque::from([page]) })
    }

    pub fn state(&self) -> Json {
        let bytes: Vec<u8> = self.pages.iter().flatten().flat_map(|digest| digest.to_be_bytes()).collect();
        Json::String(STANDARD.encode(bytes))
    }

    /// Whether the record is a row: it was not on this page or one before it, as it is.
    pub fn keeps(&mut self, record: &[u8]) -> bool {
        self.keeps_digest(digest(record, self.key))
    }

    /// The same of a record's digest.
    pub fn keeps_digest(&mut self, digest: u128) -> bool {
        let is_new = self.digests.insert(digest);
        if is_new {
            if self.pages.is_empty() {
                self.pages.push_back(Vec::new());
            }
            self.pages.back_mut().into_iter().for_each(|page| page.push(digest));
        }
        is_new
    }

    /// The next page begins.
    pub fn turn(&mut self) {
        self.pages.push_back(Vec::new());
        while self.pages.len() > Self::PAGES {
            for digest in self.pages.pop_front().unwrap_or_default() {
                self.digests.remove(&digest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::documents::write::{self, Dialect};

    fn record(json: &str) -> Vec<u8> {
        write::document(json, Dialect::Extended).unwrap()
    }

    #[test]
    fn neighbours_are_known_again_and_others_are_not() {
        let mut repeats = Repeats::default();
        let mut page = |records: &[&str]| {
            let kept: Vec<bool> = records.iter().map(|json| repeats.keeps(&record(json))).collect();
            repeats.turn();
            kept
        };
        assert_eq!(page(&[r#"{"id":1}"#, r#"{"id":2}"#]), [true, true]);
        // 2 has moved to the next page; 1 has changed.
        assert_eq!(page(&[r#"{"id":2}"#, r#"{"id":1,"n":1}"#, r#"{"id":3}"#]), [false, true, true]);
        let again = Repeats::of(&repeats.state(), (0, 0)).unwrap();
        assert!(again.digests.contains(&digest(&record(r#"{"id":3}"#), (0, 0))));
        assert!(Repeats::of(&Json::from("AAAA"), (0, 0)).is_err());
    }
}
