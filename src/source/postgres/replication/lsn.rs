//! Places in the write-ahead log.

use std::fmt;
use std::str::FromStr;

/// A place in a server's write-ahead log: bytes since the log's beginning. `0/0` is before every place, and means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    pub const NONE: Self = Lsn(0);
}

/// As the server writes it: two halves in hexadecimal.
impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 as u32)
    }
}

/// A text that is no [`Lsn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoLsn;

impl FromStr for Lsn {
    type Err = NoLsn;

    fn from_str(text: &str) -> Result<Self, NoLsn> {
        let (high, low) = text.split_once('/').ok_or(NoLsn)?;
        Ok(Lsn(u64::from(half(high)?) << 32 | u64::from(half(low)?)))
    }
}

/// One to eight digits, as the server takes them; `from_str_radix` alone would take a sign.
fn half(text: &str) -> Result<u32, NoLsn> {
    match (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => u32::from_str_radix(text, 16).map_err(|_| NoLsn),
        false => Err(NoLsn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_server() {
        for (text, lsn) in
            [("0/0", 0), ("16/B374D848", 0x16_B374_D848), ("FFFFFFFF/FFFFFFFF", u64::MAX), ("1/A", 1 << 32 | 10)]
        {
            assert_eq!((text.parse(), Lsn(lsn).to_string()), (Ok(Lsn(lsn)), text.to_owned()));
        }
        assert_eq!("16/b374d848".parse(), Ok(Lsn(0x16_B374_D848)));
        for text in ["", "/", "1", "1/", "/1", "+1/1", "1/-1", "123456789/0", "0/0/0", "g/0", " 0/0", "0/0 "] {
            assert_eq!(text.parse::<Lsn>(), Err(NoLsn), "{text}");
        }
        assert!("2/0".parse::<Lsn>().unwrap() > "1/FFFFFFFF".parse().unwrap());
    }
}
