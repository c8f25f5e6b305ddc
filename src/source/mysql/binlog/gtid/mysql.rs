//! MySQL's sets of transactions: `uuid:1-5:7:tag:1-3,uuid:…`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::super::bytes::{Bytes, Torn};

/// Who gave a transaction its number: a source, and a name for some of its transactions, which most have not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    pub source: Uuid,
    /// Small letters, digits and underscores, 32 at most; empty for none.
    pub tag: String,
}

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gtid {
    pub origin: Origin,
    pub number: u64,
}

/// A set of transactions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gtids(BTreeMap<Origin, Intervals>);

/// From and up to, both within; in order, and never touching.
type Intervals = Vec<(u64, u64)>;

/// The greatest number that a transaction has.
const GREATEST: u64 = i64::MAX as u64 - 1;
const LONGEST_TAG: usize = 32;

impl Gtids {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn add(&mut self, gtid: &Gtid) {
        match self.0.get_mut(&gtid.origin) {
            Some(intervals) => add(intervals, gtid.number, gtid.number),
            None => drop(self.0.insert(gtid.origin.clone(), vec![(gtid.number, gtid.number)])),
        }
    }

    /// All of both.
    pub fn extend(&mut self, other: &Self) {
        for (origin, intervals) in &other.0 {
            let own = self.0.entry(origin.clone()).or_default();
            intervals.iter().for_each(|(from, to)| add(own, *from, *to));
        }
    }

    pub fn contains(&self, gtid: &Gtid) -> bool {
        self.0.get(&gtid.origin).is_some_and(|intervals| covers(intervals, gtid.number, gtid.number))
    }

    /// Whether everything in it is in `other` too.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().all(|(origin, intervals)| {
            let others = other.0.get(origin).map(Vec::as_slice).unwrap_or_default();
            intervals.iter().all(|(from, to)| covers(others, *from, *to))
        })
    }

    /// All but those of `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        for (origin, gone) in &other.0 {
            let Some(intervals) = rest.0.get_mut(origin) else { continue };
            for (from, to) in gone {
                let pieces = intervals
                    .iter()
                    .flat_map(|(first, last)| [(*first, (*last).min(from - 1)), ((*first).max(to + 1), *last)]);
                *intervals = pieces.filter(|(first, last)| first <= last).collect();
            }
        }
        rest.0.retain(|_, intervals| !intervals.is_empty());
        rest
    }

    /// How many transactions it has.
    pub fn count(&self) -> u64 {
        self.0.values().flatten().map(|(from, to)| to - from + 1).fold(0, u64::saturating_add)
    }

    /// As the server is sent it, and as `PREVIOUS_GTIDS` has it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let is_tagged = self.0.keys().any(|origin| !origin.tag.is_empty());
        let count = self.0.len() as u64;
        // The second format, which servers before 8.3 do not know, has its number at both ends.
        out.extend_from_slice(&if is_tagged { count << 8 | 1 | 1 << 56 } else { count }.to_le_bytes());
        for (origin, intervals) in &self.0 {
            out.extend_from_slice(origin.source.as_bytes());
            if is_tagged {
                // Its length as a packed number of one byte.
                out.push((origin.tag.len() as u8) << 1);
                out.extend_from_slice(origin.tag.as_bytes());
            }
            out.extend_from_slice(&(intervals.len() as u64).to_le_bytes());
            for (from, to) in intervals {
                out.extend_from_slice(&from.to_le_bytes());
                out.extend_from_slice(&(to + 1).to_le_bytes());
            }
        }
    }

    pub fn decode(body: &[u8]) -> Result<Self, Torn> {
        let mut bytes = Bytes(body);
        let head = bytes.u64()?;
        let (is_tagged, count) = match head >> 56 {
            0 => (false, head),
            1 => (true, head << 8 >> 16),
            _ => return Err(Torn),
        };
        let mut all = Self::default();
        for _ in 0..count {
            let source = Uuid::from_bytes(bytes.array()?);
            let tag = match is_tagged {
                true => {
                    let length = bytes.packed()?;
                    tag(bytes.take_long(length)?).ok_or(Torn)?
                }
                false => String::new(),
            };
            let own = all.0.entry(Origin { source, tag }).or_default();
            for _ in 0..bytes.u64()? {
                let (from, end) = (bytes.u64()?, bytes.u64()?);
                if from == 0 || from >= end || end > GREATEST + 1 {
                    return Err(Torn);
                }
                add(own, from, end - 1);
            }
        }
        all.0.retain(|_, intervals| !intervals.is_empty());
        Ok(all)
    }
}

fn add(intervals: &mut Intervals, from: u64, to: u64) {
    // The usual case: the one after the last.
    if let Some((_, end)) = intervals.last_mut()
        && *end + 1 == from
    {
        *end = to;
        return;
    }
    // Those that it touches become one with it.
    let first = intervals.partition_point(|(_, end)| end + 1 < from);
    let after = intervals.partition_point(|(begin, _)| *begin <= to + 1);
    let touched = intervals.get(first..after).unwrap_or_default();
    let from = touched.first().map_or(from, |(begin, _)| from.min(*begin));
    let to = touched.last().map_or(to, |(_, end)| to.max(*end));
    intervals.splice(first..after.max(first), [(from, to)]);
}

fn covers(intervals: &[(u64, u64)], from: u64, to: u64) -> bool {
    let at = intervals.partition_point(|(_, end)| *end < from);
    intervals.get(at).is_some_and(|(begin, end)| *begin <= from && to <= *end)
}

/// A tag in small letters, if it can be one.
pub fn tag(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let fits = text.len() <= LONGEST_TAG && !text.starts_with(|c: char| c.is_ascii_digit());
    let is_tag = fits && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_tag.then(|| text.to_ascii_lowercase())
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin.tag.as_str() {
            "" => write!(f, "{}:{}", self.origin.source, self.number),
            tag => write!(f, "{}:{tag}:{}", self.origin.source, self.number),
        }
    }
}

/// As `@@gtid_executed` shows it, on one line.
impl fmt::Display for Gtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before: Option<Uuid> = None;
        for (origin, intervals) in &self.0 {
            match before {
                Some(source) if source == origin.source => {}
                Some(_) => write!(f, ",{}", origin.source)?,
                None => write!(f, "{}", origin.source)?,
            }
            before = Some(origin.source);
            if !origin.tag.is_empty() {
                write!(f, ":{}", origin.tag)?;
            }
            for (from, to) in intervals {
                match from == to {
                    true => write!(f, ":{from}")?,
                    false => write!(f, ":{from}-{to}")?,
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Gtids {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let wrong =
                || format!("`{part}` is no set of transactions, such as 3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5");
            let mut pieces = part.split(':').map(str::trim);
            let source = pieces.next().and_then(|source| Uuid::try_parse(source).ok()).ok_or_else(wrong)?;
            let mut origin = Origin { source, tag: String::new() };
            for piece in pieces {
                if !piece.starts_with(|c: char| c.is_ascii_digit()) {
                    origin.tag = tag(piece.as_bytes()).filter(|tag| !tag.is_empty()).ok_or_else(wrong)?;
                    continue;
                }
                let (from, to) = piece.split_once('-').unwrap_or((piece, piece));
                let number = |text: &str| text.trim().parse::<u64>().ok().filter(|n| (1..=GREATEST).contains(n));
                match (number(from), number(to)) {
                    (Some(from), Some(to)) if from <= to => add(all.0.entry(origin.clone()).or_default(), from, to),
                    _ => return Err(wrong()),
                }
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn set(text: &str) -> Gtids {
        text.parse().unwrap()
    }

    #[test]
    fn some_are_taken_out() {
        let rest = |all: &str, gone: &str| set(&format!("{A}:{all}")).without(&set(&format!("{A}:{gone}"))).to_string();
        assert_eq!(rest("1-9", "5"), format!("{A}:1-4:6-9"));
        assert_eq!(rest("1-3:7-9", "2-8"), format!("{A}:1:9"));
        assert_eq!(rest("4", "4"), "");
        assert_eq!(set(&format!("{A}:1-2")).without(&set(&format!("{B}:1-2"))).to_string(), format!("{A}:1-2"));
    }

    #[test]
    fn reads_what_servers_show() {
        for (text, shown) in [
            (format!("{A}:1-5:7"), format!("{A}:1-5:7")),
            (format!(" {B}:3 ,\n{A}:5:1-4:9-10"), format!("{A}:1-5:9-10,{B}:3")),
            (format!("{A}:1-3:TAG1:1:x_2:7-9,{A}:4"), format!("{A}:1-4:tag1:1:x_2:7-9")),
            (String::new(), String::new()),
        ] {
            assert_eq!(set(&text).to_string(), shown);
            let mut encoded = Vec::new();
            set(&text).encode(&mut encoded);
            assert_eq!(Gtids::decode(&encoded), Ok(set(&text)));
        }
        for wrong in ["x", &format!("{A}:0"), &format!("{A}:5-4"), &format!("{A}:1-x"), &format!("{A}:1:é:1")] {
            assert!(wrong.parse::<Gtids>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn reads_what_a_server_wrote() {
        // PREVIOUS_GTIDS of MySQL 9.7: 825b6818-e633-11f1-9955-02fc00000001:1-3:tag1:1.
        let body = "0102000000000001825b6818e63311f1995502fc0000000100010000000000000001000000000000000400000000000000\
                    825b6818e63311f1995502fc0000000108746167310100000000000000010000000000000002000000\
                    00000000";
        let body = hex::decode(body).unwrap();
        let all = Gtids::decode(&body).unwrap();
        assert_eq!(all.to_string(), "825b6818-e633-11f1-9955-02fc00000001:1-3:tag1:1");
        let mut encoded = Vec::new();
        all.encode(&mut encoded);
        assert_eq!(encoded, body);
        assert!((0..body.len()).all(|length| Gtids::decode(&body[..length]).is_err()));
    }

    #[test]
    fn sets_hold_and_cover() {
        let all = set(&format!("{A}:1-5:8:t:3,{B}:1"));
        let one = |text: &str| {
            let set = set(text);
            let (origin, intervals) = set.0.first_key_value().unwrap();
            Gtid { origin: origin.clone(), number: intervals[0].0 }
        };
        assert!(all.contains(&one(&format!("{A}:5"))) && !all.contains(&one(&format!("{A}:6"))));
        assert!(all.contains(&one(&format!("{A}:t:3"))) && !all.contains(&one(&format!("{B}:t:3"))));
        assert!(set(&format!("{A}:2-4:8")).is_subset(&all) && !set(&format!("{A}:2-6")).is_subset(&all));
        assert!(Gtids::default().is_subset(&all) && !all.is_subset(&Gtids::default()));
        assert_eq!(all.count(), 8);
        assert_eq!(one(&format!("{A}:t:3")).to_string(), format!("{A}:t:3"));
    }

    proptest! {
        #[test]
        fn adding_is_what_a_set_of_numbers_is(numbers in proptest::collection::vec(1..60u64, 0..80)) {
            let mut all = Gtids::default();
            let origin = Origin { source: Uuid::nil(), tag: String::new() };
            for number in &numbers {
                all.add(&Gtid { origin: origin.clone(), number: *number });
            }
            let expected: std::collections::BTreeSet<u64> = numbers.iter().copied().collect();
            let held = |number| all.contains(&Gtid { origin: origin.clone(), number });
            prop_assert_eq!((1..60).filter(|n| held(*n)).collect::<std::collections::BTreeSet<_>>(), expected.clone());
            prop_assert_eq!(all.count(), expected.len() as u64);
            prop_assert_eq!(all.to_string().parse::<Gtids>(), Ok(all.clone()));
            let intervals = all.0.values().next().cloned().unwrap_or_default();
            prop_assert!(intervals.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
        }
    }
}
