//! Taking values off the front of bytes, as the log writes them: the lowest byte first, unless said otherwise.

/// What is there is shorter than what it should hold, or holds what cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn;

/// Bytes that are taken from the front.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left, all of it.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Torn> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Torn)?;
        self.0 = rest;
        Ok(taken)
    }

    /// As [`Bytes::take`], for a length that the log tells.
    pub fn take_long(&mut self, count: u64) -> Result<&'a [u8], Torn> {
        self.take(usize::try_from(count).map_err(|_| Torn)?)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Torn> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Torn)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub fn u8(&mut self) -> Result<u8, Torn> {
        self.array().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Result<u16, Torn> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Torn> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Torn> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of `count` bytes, eight at most.
    pub fn number(&mut self, count: usize) -> Result<u64, Torn> {
        self.take(count).map(little)
    }

    /// A number with its length before it, as the protocol has it.
    pub fn length(&mut self) -> Result<u64, Torn> {
        match self.u8()? {
            small @ 0..=0xfa => Ok(small.into()),
            0xfc => self.number(2),
            0xfd => self.number(3),
            0xfe => self.u64(),
            0xfb | 0xff => Err(Torn),
        }
    }

    /// Bytes with their length before them.
    pub fn counted(&mut self) -> Result<&'a [u8], Torn> {
        let length = self.length()?;
        self.take_long(length)
    }

    /// Bytes up to a zero, which is taken too.
    pub fn until_zero(&mut self) -> Result<&'a [u8], Torn> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Torn)?;
        let text = self.take(end)?;
        self.u8()?;
        Ok(text)
    }

    /// A name: its length in one byte, the name, a zero.
    pub fn name(&mut self) -> Result<&'a [u8], Torn> {
        let length = self.u8()?;
        let name = self.take(length.into())?;
        self.u8()?;
        Ok(name)
    }

    /// A number whose first byte tells by its lowest ones how many follow (MySQL's newer events).
    pub fn packed(&mut self) -> Result<u64, Torn> {
        let first = *self.0.first().ok_or(Torn)?;
        let more = first.trailing_ones() as usize;
        let bytes = self.take(more + 1)?;
        Ok(match more {
            8 => little(&bytes[1..]),
            _ => little(bytes) >> (more + 1),
        })
    }

    /// As [`Bytes::packed`], with the sign in the lowest bit.
    pub fn packed_signed(&mut self) -> Result<i64, Torn> {
        let raw = self.packed()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }
}

/// The lowest byte first; eight at most count.
#[inline]
pub fn little(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The highest byte first; the last eight count.
#[inline]
pub fn big(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Whether the bit of this number is set; bits beyond the end are not.
#[inline]
pub fn bit(bits: &[u8], index: usize) -> bool {
    bits.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length() {
        let mut bytes = Bytes(&[1, 2, 0, 3, 0, 0, 0, 0xfc, 1, 1, 0xfd, 1, 0, 1, 7]);
        assert_eq!((bytes.u8(), bytes.u16(), bytes.u32()), (Ok(1), Ok(2), Ok(3)));
        assert_eq!((bytes.length(), bytes.length(), bytes.length()), (Ok(257), Ok(0x01_0001), Ok(7)));
        assert_eq!((bytes.u8(), bytes.length()), (Err(Torn), Err(Torn)));
        assert_eq!((little(&[1, 2]), big(&[1, 2])), (0x201, 0x102));
    }

    #[test]
    fn packed_numbers_tell_their_own_length() {
        let packed = |bytes: &[u8]| Bytes(bytes).packed();
        assert_eq!((packed(&[0xb6]), packed(&[0x09, 0x02])), (Ok(0x5b), Ok(0x82)));
        assert_eq!(packed(&[0x83, 0x12, 0x0b]), Ok(90_704));
        assert_eq!(packed(&[0xff, 1, 0, 0, 0, 0, 0, 0, 0x80]), Ok(1 << 63 | 1));
        assert_eq!(packed(&[0x7f, 1]), Err(Torn));
        assert_eq!((Bytes(&[4]).packed_signed(), Bytes(&[6]).packed_signed()), (Ok(1), Ok(-2)));
    }
}
