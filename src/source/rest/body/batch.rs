//! Records that were read, one behind the other in one buffer.

/// Documents of BSON. It is filled until it has so many bytes, and a little over.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) bytes: Vec<u8>,
    ends: Vec<usize>,
    most: usize,
}

impl Batch {
    /// An empty one. It is full with so many bytes: what was read at once by then is in it too, and the last record whole.
    pub fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), ends: Vec::new(), most }
    }

    /// How many records it has.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    pub fn is_full(&self) -> bool {
        self.bytes.len() >= self.most
    }

    /// How many bytes they have.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all but the first so many records.
    pub fn truncate(&mut self, most: usize) {
        if let Some(last) = most.checked_sub(1).and_then(|last| self.ends.get(last)) {
            self.bytes.truncate(*last);
            self.ends.truncate(most);
        } else if most == 0 {
            self.clear();
        }
    }

    /// The last record.
    pub fn last(&self) -> Option<&[u8]> {
        let (&end, before) = self.ends.split_last()?;
        Some(&self.bytes[before.last().copied().unwrap_or_default()..end])
    }

    /// The records in their order.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        self.ends.iter().zip(begins).map(|(&end, begin)| &self.bytes[begin..end])
    }

    /// Empties it; its memory stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// What was added to the bytes is a record.
    pub(super) fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_records_stay() {
        for most in 0..5 {
            let mut batch = Batch::new(100);
            for record in ["a", "bc", "d"] {
                batch.bytes.extend(record.bytes());
                batch.end();
            }
            batch.truncate(most);
            assert_eq!(batch.records().collect::<Vec<_>>(), [&b"a"[..], b"bc", b"d"][..most.min(3)]);
            assert_eq!(batch.bytes(), [0, 1, 3, 4, 4][most]);
        }
    }
}
