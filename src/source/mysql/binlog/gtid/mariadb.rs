//! MariaDB's places in its log: of each domain the last transaction, `0-1-270,2-9-15`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::super::bytes::{Bytes, Torn};

/// One transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gtid {
    pub domain: u32,
    pub server: u32,
    pub number: u64,
}

/// The last transaction of each domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gtids(BTreeMap<u32, (u32, u64)>);

/// The lowest bits of a list's count; the others are flags.
const COUNT: u32 = (1 << 28) - 1;

impl Gtids {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This transaction is now its domain's last.
    pub fn add(&mut self, gtid: Gtid) {
        self.0.insert(gtid.domain, (gtid.server, gtid.number));
    }

    /// Whether the transaction is at or before this place. Numbers of a domain grow whatever server wrote them.
    pub fn contains(&self, gtid: Gtid) -> bool {
        self.0.get(&gtid.domain).is_some_and(|(_, number)| gtid.number <= *number)
    }

    /// Whether everything before this place is before `other` too.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|gtid| other.contains(gtid))
    }

    pub fn iter(&self) -> impl Iterator<Item = Gtid> {
        self.0.iter().map(|(&domain, &(server, number))| Gtid { domain, server, number })
    }

    /// Reads the body of a `GTID_LIST`. One domain may be in it several times, the last of each server: the last is last.
    pub fn decode(body: &[u8]) -> Result<Self, Torn> {
        let mut bytes = Bytes(body);
        let mut all = Self::default();
        for _ in 0..bytes.u32()? & COUNT {
            all.add(Gtid { domain: bytes.u32()?, server: bytes.u32()?, number: bytes.u64()? });
        }
        Ok(all)
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.domain, self.server, self.number)
    }
}

impl fmt::Display for Gtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, gtid) in self.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            gtid.fmt(f)?;
        }
        Ok(())
    }
}

impl FromStr for Gtids {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong = || format!("`{part}` is no transaction, such as 0-1-270");
            let mut pieces = part.split('-');
            let mut piece = || pieces.next().unwrap_or_default();
            let parsed = (piece().parse(), piece().parse(), piece().parse());
            match (parsed, pieces.next()) {
                ((Ok(domain), Ok(server), Ok(number)), None) if !all.0.contains_key(&domain) => {
                    all.add(Gtid { domain, server, number });
                }
                _ => return Err(wrong()),
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for (text, shown) in [("0-1-270", "0-1-270"), (" 2-9-15, 0-1-270 ", "0-1-270,2-9-15"), ("", "")] {
            assert_eq!(text.parse::<Gtids>().unwrap().to_string(), shown);
        }
        for wrong in ["0-1", "0-1-2-3", "a-1-2", "0-1-2,0-2-3"] {
            assert!(wrong.parse::<Gtids>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_place_holds_what_is_before_it() {
        let place: Gtids = "0-1-270,2-9-15".parse().unwrap();
        let gtid = |domain, number| Gtid { domain, server: 7, number };
        assert!(place.contains(gtid(0, 270)) && !place.contains(gtid(0, 271)) && !place.contains(gtid(1, 1)));
        let before: Gtids = "0-3-9".parse().unwrap();
        assert!(before.is_subset(&place) && !place.is_subset(&before));
    }

    #[test]
    fn a_list_says_the_last_of_a_domain_last() {
        let list = "02000010 00000000 01000000 0500000000000000 00000000 02000000 0700000000000000".replace(' ', "");
        assert_eq!(Gtids::decode(&hex::decode(list).unwrap()).unwrap().to_string(), "0-2-7");
        assert_eq!(Gtids::decode(&[1, 0, 0, 0, 9]), Err(Torn));
    }
}
