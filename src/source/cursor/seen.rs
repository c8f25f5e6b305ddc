//! Rows that were delivered behind the place where reading goes on: known again by a digest of the whole row, since a
//! row may change twice within one value of its cursor. As often as it was delivered: without a key, rows may be the same.

use std::collections::BTreeMap;
use std::hash::Hasher;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::error::{Error, Result};

/// The digest of a row as the server sent it, under a key: what is kept of rows with masked values must tell nobody else of them.
pub fn digest(row: &[u8], key: (u64, u64)) -> u128 {
    let mut hasher = SipHasher13::new_with_keys(key.0, key.1);
    hasher.write(row);
    hasher.finish128().as_u128()
}

/// Digests of rows, up to a number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// With how often each came.
    digests: BTreeMap<u128, usize>,
    rows: usize,
    /// Rows whose digests found no room: they are delivered again.
    beyond: u64,
}

impl Seen {
    /// Reads what [`Seen::state`] gave.
    pub fn of(state: &Value) -> Result<Self> {
        let Some(text) = state["seen"].as_str() else { return Ok(Self::default()) };
        let broken = || Error::conflict("the digests of delivered rows in the commit log cannot be read");
        let bytes = STANDARD.decode(text).map_err(|_| broken())?;
        if bytes.len() % 16 != 0 {
            return Err(broken());
        }
        let mut seen = Self { beyond: state["beyond"].as_u64().unwrap_or_default(), ..Self::default() };
        for digest in bytes.as_chunks::<16>().0 {
            seen.add(u128::from_be_bytes(*digest), usize::MAX);
        }
        Ok(seen)
    }

    /// For the commit log; null where there is none.
    pub fn state(&self) -> Value {
        if self.digests.is_empty() && self.beyond == 0 {
            return Value::Null;
        }
        let repeated = self.digests.iter().flat_map(|(digest, count)| std::iter::repeat_n(digest, *count));
        let bytes: Vec<u8> = repeated.flat_map(|digest| digest.to_be_bytes()).collect();
        json!({ "seen": STANDARD.encode(bytes), "beyond": self.beyond })
    }

    /// Whether the row is one of them, which it is as often as it was added.
    pub fn take(&mut self, digest: u128) -> bool {
        let Some(count) = self.digests.get_mut(&digest) else { return false };
        *count -= 1;
        self.rows -= 1;
        if *count == 0 {
            self.digests.remove(&digest);
        }
        true
    }

    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// How many rows are delivered again, because their digests found no room.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    pub fn add(&mut self, digest: u128, most: usize) {
        if self.rows < most {
            *self.digests.entry(digest).or_default() += 1;
            self.rows += 1;
        } else {
            self.beyond += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_outlive_a_run() {
        let mut seen = Seen::default();
        for row in ["a", "b", "a", "c"] {
            seen.add(digest(row.as_bytes(), (0, 0)), 3);
        }
        assert_eq!(seen.beyond(), 1);
        let mut again = Seen::of(&seen.state()).unwrap();
        assert_eq!(again, seen);
        let mut taken = |row: &str| again.take(digest(row.as_bytes(), (0, 0)));
        // Two were the same, and a third is new.
        assert_eq!([taken("a"), taken("a"), taken("a")], [true, true, false]);
        assert_eq!([taken("b"), taken("b"), taken("c")], [true, false, false]);
        assert!(again.is_empty());
        assert_eq!(Seen::default().state(), Value::Null);
        assert!(Seen::of(&json!({ "seen": "AAAA" })).is_err());
    }

    /// Whoever changes this delivers again what earlier versions have noted.
    #[test]
    fn a_digest_is_the_same_in_every_build() {
        assert_eq!(format!("{:032x}", digest(b"", (0, 0))), "b91c5ed031fb33032134935d61d9b40d");
        assert_ne!(digest(b"a", (0, 0)), digest(b"a", (0, 1)));
    }
}
