//! What the log leaves away of rows: which values, and by what key they are found in their table.

use std::ops::Range;
use std::sync::Arc;

use super::present::Present;
use crate::record::Rows;

/// Rows of changes, and what they lack.
#[derive(Debug)]
pub struct Batch {
    pub rows: Rows,
    pub unsent: Option<Unsent>,
}

impl From<Rows> for Batch {
    fn from(rows: Rows) -> Self {
        Self { rows, unsent: None }
    }
}

/// The values that rows of a batch lack.
#[derive(Debug)]
pub struct Unsent {
    pub of: Arc<Present>,
    pub rows: Vec<Lacking>,
    /// By the rows, one after the other.
    columns: Vec<usize>,
    keys: Vec<u8>,
    /// The transactions of these rows.
    pub transactions: Vec<u32>,
}

/// A row that lacks values.
#[derive(Debug, Clone)]
pub struct Lacking {
    /// Its place in the batch.
    pub row: usize,
    columns: Range<usize>,
    key: Range<usize>,
}

impl Unsent {
    pub fn new(of: Arc<Present>) -> Self {
        Self { of, rows: Vec::new(), columns: Vec::new(), keys: Vec::new(), transactions: Vec::new() }
    }

    /// Those so far; it starts again, empty. `None` where there are none.
    pub fn take(&mut self) -> Option<Self> {
        let next = Self::new(self.of.clone());
        (!self.rows.is_empty()).then(|| std::mem::replace(self, next))
    }

    /// A row of a transaction lacks the values of these columns, and has these texts for a key; not all of them where the log does not
    /// tell the key: then its values are not to be had. Gives how many bytes that takes.
    pub fn push<'a>(
        &mut self,
        (row, columns): (usize, &[usize]),
        key: impl Iterator<Item = Option<&'a [u8]>>,
        transaction: u32,
    ) -> usize {
        let (from, first) = (self.keys.len(), self.columns.len());
        for text in key {
            let Some(text) = text else {
                self.keys.truncate(from);
                return 0;
            };
            append(&mut self.keys, text);
        }
        self.columns.extend_from_slice(columns);
        self.rows.push(Lacking { row, columns: first..self.columns.len(), key: from..self.keys.len() });
        if self.transactions.last() != Some(&transaction) {
            self.transactions.push(transaction);
        }
        size_of::<Lacking>() + self.keys.len() - from
    }

    /// The columns that a row lacks.
    pub fn columns(&self, of: &Lacking) -> &[usize] {
        &self.columns[of.columns.clone()]
    }

    pub fn key(&self, of: &Lacking) -> &[u8] {
        &self.keys[of.key.clone()]
    }
}

/// Appends a text of a key, so that no two keys are the same bytes.
pub fn append(key: &mut Vec<u8>, text: &[u8]) {
    // The log's own lengths have 32 bits.
    key.extend_from_slice(&(text.len() as u32).to_be_bytes());
    key.extend_from_slice(text);
}

/// The texts of a key.
pub fn texts(mut key: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = key.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        key = rest;
        Some(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart() {
        let key = |of: &[&str]| {
            let mut key = Vec::new();
            of.iter().for_each(|text| append(&mut key, text.as_bytes()));
            key
        };
        assert_ne!(key(&["a", "bc"]), key(&["ab", "c"]));
        assert_ne!(key(&["", "a"]), key(&["a", ""]));
        let own = key(&["a", "", "bc"]);
        assert_eq!(texts(&own).collect::<Vec<_>>(), [&b"a"[..], b"", b"bc"]);
    }
}
