//! The checksum of an event that comes in parts.

use super::event::header::CHECKSUM_BYTES;
use super::fault::Fault;

/// Goes over an event as its parts come.
pub struct Sum {
    hasher: crc32fast::Hasher,
    /// How much is to come without the checksum.
    data: usize,
    /// What came of the checksum; `None` where events have none.
    sum: Option<Vec<u8>>,
}

impl Sum {
    pub fn of(size: u32, has_checksum: bool) -> Self {
        let size = size as usize;
        Self {
            hasher: crc32fast::Hasher::new(),
            data: if has_checksum { size.saturating_sub(CHECKSUM_BYTES) } else { size },
            sum: has_checksum.then(Vec::new),
        }
    }

    /// Takes the next part. Returns how much of it, from its front, is not the checksum.
    pub fn take(&mut self, part: &[u8]) -> Result<usize, Fault> {
        let (data, tail) = part.split_at(self.data.min(part.len()));
        self.data -= data.len();
        match &mut self.sum {
            Some(sum) => {
                self.hasher.update(data);
                sum.extend_from_slice(tail);
                if sum.len() > CHECKSUM_BYTES {
                    return Err(Fault::Checksum);
                }
            }
            None if tail.is_empty() => {}
            None => return Err(Fault::Checksum),
        }
        Ok(data.len())
    }

    /// Whether all of it came and is what was written.
    pub fn check(&self) -> Result<(), Fault> {
        let right = match &self.sum {
            None => true,
            Some(sum) => sum[..] == self.hasher.clone().finalize().to_le_bytes(),
        };
        if self.data == 0 && right { Ok(()) } else { Err(Fault::Checksum) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_sum_of_the_whole() {
        let data: Vec<u8> = (0..=99).collect();
        let event = [&data[..], &crc32fast::hash(&data).to_le_bytes()].concat();
        for at in 1..event.len() {
            let mut sum = Sum::of(event.len() as u32, true);
            let (front, rest) = event.split_at(at);
            let taken = sum.take(front).unwrap() + sum.take(rest).unwrap();
            assert_eq!((taken, sum.check()), (100, Ok(())));
            let mut sum = Sum::of(event.len() as u32, true);
            sum.take(front).unwrap();
            assert_eq!(sum.check(), Err(Fault::Checksum));
        }
        let mut sum = Sum::of(event.len() as u32, true);
        sum.take(&event).unwrap();
        assert!(sum.take(&[1]).is_err());
    }
}
