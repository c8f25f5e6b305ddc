//! Which records of pages are rows: not those that were delivered before.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet, VecDeque};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::body::text;
use super::incremental::{Incremental, Mark, Window};
use super::position::Reached;
use crate::error::{Error, Result};
use crate::source::cursor::{Nulls, Seen, digest};

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
        let digest = digest(record, self.key);
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

/// Knows what is new by the cursor.
pub struct Sieve {
    settings: Incremental,
    /// Records below this were delivered.
    floor: Option<Mark>,
    /// Those of the runs before that are asked for again.
    seen: Seen,
    /// The greatest value so far.
    high: Option<Mark>,
    /// Records that a later run may get again, with their values.
    near: Vec<(Mark, u128)>,
    /// Records without a value that are left out.
    pub nulls: u64,
    /// Records whose digests found no room.
    forgotten: u64,
}

impl Sieve {
    pub fn new(settings: Incremental, seen: Seen) -> Self {
        Self { settings, floor: None, seen, high: None, near: Vec::new(), nulls: 0, forgotten: 0 }
    }

    /// The records of a window follow.
    pub fn begin(&mut self, window: &Window) {
        self.floor = self.settings.floor(window);
    }

    /// Whether the record is a row.
    pub fn keeps(&mut self, record: &[u8]) -> Result<bool> {
        let Some(mark) = text(record, &self.settings.cursor).filter(|text| !text.is_empty()).map(Mark) else {
            return match self.settings.nulls {
                // It lies in no window.
                Nulls::Read if self.settings.is_window() => Ok(false),
                Nulls::Read => Ok(true),
                Nulls::Skip => {
                    self.nulls += 1;
                    Ok(false)
                }
                Nulls::Error => Err(Error::data(format!(
                    "a record has nothing at `{}`, which `cursor` names",
                    self.settings.cursor
                ))
                .hint("`null_cursor = skip` leaves such records out, `read` has them in every run.")),
            };
        };
        match self.floor.as_ref().map(|floor| mark.compare(floor)) {
            Some(Some(Ordering::Less)) => return Ok(false),
            Some(None) => {
                return Err(Error::data(format!(
                    "values of `{}`, which `cursor` names, cannot be compared with where reading begins: one is a text, the other a time or a number",
                    self.settings.cursor
                ))
                .hint("Take a field whose values are times (ISO 8601, or since 1970) or numbers, and write `start` in the same way."));
            }
            _ => {}
        }
        if self.settings.is_beyond(&mark) {
            return Ok(false);
        }
        let digest = digest(record, self.settings.digest_key);
        let is_new = !self.seen.take(digest);
        if self.high.as_ref().is_none_or(|high| mark.order(high) == Ordering::Greater) {
            self.high = Some(mark.clone());
        }
        self.near.push((mark, digest));
        if self.near.len() > 2 * self.settings.max_ties.max(1000) {
            self.forget()?;
        }
        Ok(is_new)
    }

    /// Tells of records without a value that were left out, and refuses a cursor that none of them has: it may be misspelt.
    pub fn check(&mut self) -> Result<()> {
        let (nulls, cursor) = (std::mem::take(&mut self.nulls), &self.settings.cursor);
        if nulls > 0 && self.high.is_none() {
            return Err(Error::data(format!("none of {nulls} records has anything at `{cursor}`, which `cursor` names"))
                .hint("Is it the field's path, such as `meta.updated_at`? `null_cursor = read` has such records in every run."));
        }
        if nulls > 0 {
            tracing::warn!(cursor, records = nulls, "records that have nothing at the cursor are left out");
        }
        if self.forgotten > 0 {
            tracing::warn!(
                records = self.forgotten,
                "more records than `max_ties` lie where the next run looks again: some come once more then"
            );
        }
        Ok(())
    }

    /// The greatest value that a record had.
    pub fn high(&self) -> Option<&Mark> {
        self.high.as_ref()
    }

    /// Forgets what no later run asks for again, and of the rest the least values where there are too many.
    fn forget(&mut self) -> Result<()> {
        if let Some(high) = &self.high {
            let from = self.settings.looks_from(high)?;
            self.near.retain(|(mark, _)| mark.order(&from) != Ordering::Less);
        }
        let most = self.settings.max_ties.max(1000);
        if self.near.len() > most {
            self.near.sort_by(|a, b| b.0.order(&a.0));
            self.forgotten += (self.near.len() - most) as u64;
            self.near.truncate(most);
        }
        Ok(())
    }

    /// What later runs are to know again, where everything up to a mark is delivered.
    pub fn seen(&self, mark: &Mark) -> Result<Seen> {
        let from = self.settings.looks_from(mark)?;
        let mut seen = Seen::default();
        for (of, digest) in &self.near {
            if of.order(&from) != Ordering::Less {
                seen.add(*digest, self.settings.max_ties);
            }
        }
        Ok(seen)
    }

    /// As [`Sieve::seen`], where only some of what was delivered was asked for again.
    pub fn seen_besides(&self, mark: &Mark) -> Result<Seen> {
        let from = self.settings.looks_from(mark)?;
        let mut seen = self.seen.clone();
        for (of, digest) in &self.near {
            if of.order(&from) != Ordering::Less {
                seen.add(*digest, self.settings.max_ties);
            }
        }
        Ok(seen)
    }

    /// As [`Sieve::state`], where only some of what was delivered was asked for again.
    pub fn state_besides(&mut self, reached: &Reached) -> Result<Json> {
        match &reached.mark {
            Some(mark) if reached.next.is_none() => Ok(self.seen_besides(&Mark(mark.clone()))?.state()),
            _ => self.state(reached),
        }
    }

    /// For the commit log: what is delivered. Within a window, that is what the runs before delivered and is still to come
    /// again, and what this one has; behind its last one, what later runs get again.
    pub fn state(&mut self, reached: &Reached) -> Result<Json> {
        if reached.next.is_none()
            && let Some(mark) = &reached.mark
        {
            return Ok(self.seen(&Mark(mark.clone()))?.state());
        }
        self.forget()?;
        let mut state = self.seen.state();
        if !self.near.is_empty() {
            let mut near: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
            for (mark, digest) in &self.near {
                near.entry(mark.text()).or_default().extend(digest.to_be_bytes());
            }
            let near: BTreeMap<_, _> =
                near.into_iter().map(|(mark, digests)| (mark, STANDARD.encode(digests))).collect();
            state["near"] = json!(near);
        }
        if let Some(high) = &self.high {
            state["high"] = json!(high.text());
        }
        Ok(state)
    }

    /// Goes on with what [`Sieve::state`] gave within a window.
    pub fn go_on(&mut self, state: &Json) -> Result<()> {
        let broken = || Error::conflict("the digests of delivered records in the commit log cannot be read");
        self.high = state["high"].as_str().map(|high| Mark(high.to_owned()));
        for (mark, digests) in state["near"].as_object().into_iter().flatten() {
            let bytes = STANDARD.decode(digests.as_str().unwrap_or_default()).map_err(|_| broken())?;
            let (digests, []) = bytes.as_chunks::<16>() else { return Err(broken()) };
            self.near.extend(digests.iter().map(|digest| (Mark(mark.clone()), u128::from_be_bytes(*digest))));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Section;
    use crate::source::STREAM_KEYS;
    use crate::source::documents::write::{self, Dialect};
    use crate::source::rest::incremental::KEYS;

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

    fn sieve(more: &[(&str, &str)], seen: Seen) -> Sieve {
        let keys = STREAM_KEYS.iter().chain(KEYS).collect();
        let values = [&[("cursor", "meta.at"), ("cursor_param", "since")], more].concat();
        let section = Section::of_keys("stream s", keys, &values).unwrap();
        Sieve::new(Incremental::of(&section).unwrap(), seen)
    }

    fn at(n: u32, day: &str) -> Vec<u8> {
        record(&format!(r#"{{"n":{n},"meta":{{"at":"2024-03-{day}"}}}}"#))
    }

    #[test]
    fn what_was_delivered_is_not_delivered_again() {
        let mut first = sieve(&[("lookback", "2d")], Seen::default());
        for record in [at(1, "01"), at(2, "04"), at(3, "03"), at(4, "02")] {
            assert!(first.keeps(&record).unwrap());
        }
        assert_eq!(first.high().unwrap().text(), "2024-03-04");
        let seen = first.seen(&Mark("2024-03-04".to_owned())).unwrap();
        let mut second = sieve(&[("lookback", "2d")], seen);
        second.begin(&Window { from: Some("2024-03-02".to_owned()), until: None });
        // A server that gives more than it is asked for; what was read; what has changed; what came late.
        let kept: Vec<bool> = [at(1, "01"), at(2, "04"), at(3, "03"), at(9, "03"), at(10, "02")]
            .iter()
            .map(|record| second.keeps(record).unwrap())
            .collect();
        assert_eq!(kept, [false, false, false, true, true]);
    }

    #[test]
    fn numbers_that_are_times_are_compared_with_times() {
        let mut sieve = sieve(&[], Seen::default());
        sieve.begin(&Window { from: Some("2024-01-01".to_owned()), until: None });
        let at = |value: &str| record(&format!(r#"{{"meta":{{"at":{value}}}}}"#));
        assert!(sieve.keeps(&at("1709300000")).unwrap() && !sieve.keeps(&at("1600000000")).unwrap());
        assert!(sieve.keeps(&at("\"01/03/2024\"")).is_err());
    }

    #[test]
    fn a_cursor_that_no_record_has_is_an_error() {
        let none = record(r#"{"n":1}"#);
        let mut sieve = sieve(&[], Seen::default());
        assert!(!sieve.keeps(&none).unwrap() && sieve.check().unwrap_err().message().starts_with("none of 1 records"));
        assert!(sieve.keeps(&at(1, "01")).unwrap() && !sieve.keeps(&none).unwrap());
        sieve.check().unwrap();
    }

    #[test]
    fn what_has_no_value_is_left_out_or_refused_or_read() {
        let none = record(r#"{"n":1,"meta":{"at":null}}"#);
        let mut skips = sieve(&[], Seen::default());
        assert!(!skips.keeps(&none).unwrap() && skips.nulls == 1);
        // As CSV has it that puts everything in quotes.
        assert!(!skips.keeps(&record(r#"{"meta":{"at":""}}"#)).unwrap() && skips.nulls == 2);
        assert!(sieve(&[("null_cursor", "read")], Seen::default()).keeps(&none).unwrap());
        assert!(sieve(&[("null_cursor", "error")], Seen::default()).keeps(&none).is_err());
    }

    #[test]
    fn what_is_kept_in_mind_is_bounded() {
        let mut sieve = sieve(&[("max_ties", "1000"), ("lookback", "365d")], Seen::default());
        for n in 0..5000u32 {
            sieve.keeps(&at(n, &format!("{:02}", n % 28 + 1))).unwrap();
            assert!(sieve.near.len() <= 2001);
        }
    }
}
