//! Which records of pages are rows: not those that were delivered before.

mod anew;
mod repeats;

use std::cmp::Ordering;

use serde_json::{Value as Json, json};

pub use self::repeats::Repeats;
use super::incremental::{Incremental, Mark, Window};
use super::position::Reached;
use crate::error::{Error, Result};
use crate::source::cursor::{Nulls, Seen, digest};

/// Knows what is new by the cursor.
pub struct Sieve {
    settings: Incremental,
    /// Records below this were delivered.
    floor: Option<Mark>,
    /// Those of the runs before that are asked for again.
    seen: Seen,
    /// Those of the window before that this one has as well: servers may take either end for a part of both.
    border: Seen,
    /// The greatest value so far.
    high: Option<Mark>,
    /// Records that a later run may get again, with their values.
    near: Vec<(Mark, u128)>,
    /// Of this window: whether all that it has delivered is in `near` and `border`, and whether that came in the cursor's order.
    is_whole: bool,
    is_sorted: bool,
    /// Of this window: records without a value that are left out, those that lie below it, and whether any lies in it.
    nulls: u64,
    below: u64,
    has_any: bool,
    /// Records whose digests found no room.
    forgotten: u64,
    /// Where records have a key.
    repeats: Option<Repeats>,
}

impl Sieve {
    pub fn new(settings: Incremental, seen: Seen) -> Self {
        let repeats = settings.has_key.then(|| Repeats::new(settings.digest_key));
        Self {
            settings,
            floor: None,
            seen,
            border: Seen::default(),
            high: None,
            near: Vec::new(),
            is_whole: true,
            is_sorted: true,
            nulls: 0,
            below: 0,
            has_any: false,
            forgotten: 0,
            repeats,
        }
    }

    /// The records of a window follow.
    pub fn begin(&mut self, window: &Window) -> Result<()> {
        self.resume(window);
        self.border = Seen::default();
        if let Some(from) = &self.floor {
            for (_, digest) in self.near.iter().filter(|(mark, _)| mark.order(from).is_ge()) {
                self.border.add(*digest, usize::MAX);
            }
        }
        self.forget()?;
        (self.is_whole, self.is_sorted) = (true, true);
        Ok(())
    }

    /// More records of a window follow.
    pub fn resume(&mut self, window: &Window) {
        self.floor = self.settings.floor(window);
        (self.nulls, self.below, self.has_any) = (0, 0, false);
    }

    /// Whether the record is a row.
    pub fn keeps(&mut self, record: &[u8]) -> Result<bool> {
        let Some(mark) = self.settings.cursor.text(record).filter(|text| !text.is_empty()).map(Mark) else {
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
            Some(Some(Ordering::Less)) => {
                self.below += 1;
                return Ok(false);
            }
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
        if self.repeats.as_mut().is_some_and(|repeats| !repeats.keeps_digest(digest)) {
            return Ok(false);
        }
        self.has_any = true;
        let was_seen = self.seen.take(digest);
        let is_again = !was_seen && self.border.take(digest);
        match self.high.as_ref().map(|high| mark.order(high)) {
            None | Some(Ordering::Greater) => self.high = Some(mark.clone()),
            Some(Ordering::Less) => self.is_sorted &= is_again,
            Some(Ordering::Equal) => {}
        }
        self.near.push((mark, digest));
        if self.near.len() > 2 * self.settings.max_ties.max(1000) {
            self.forget()?;
        }
        Ok(!was_seen && !is_again)
    }

    /// The next page's records follow.
    pub fn turn(&mut self) {
        if let Some(repeats) = &mut self.repeats {
            repeats.turn();
        }
    }

    /// A window was read to its end: tells of records that were left out, and refuses a cursor that none of them has, or that lies
    /// elsewhere than what was asked for. `is_first`: nothing was delivered before.
    pub fn check(&mut self, is_first: bool) -> Result<()> {
        let (nulls, below) = (std::mem::take(&mut self.nulls), std::mem::take(&mut self.below));
        let cursor = &self.settings.cursor;
        if nulls > 0 && !self.has_any {
            return Err(Error::data(format!("none of {nulls} records has anything at `{cursor}`, which `cursor` names"))
                .hint("Is it the field's path, such as `meta.updated_at`? `null_cursor = read` has such records in every run."));
        }
        if nulls > 0 {
            tracing::warn!(%cursor, records = nulls, "records that have nothing at the cursor are left out");
        }
        if below > 0 && self.settings.asks_from() {
            if is_first && !self.has_any {
                return Err(Error::data(format!("all of {below} records lie before what was asked for, by `{cursor}`, which `cursor` names"))
                    .hint("Is `start` written as the field's values are? `cursor_format` says how the server is asked, and numbers are seconds or milliseconds since 1970 where times are asked for."));
            }
            tracing::warn!(
                %cursor,
                records = below,
                "records that lie before what was asked for are left out: they were read earlier, or the cursor's values are no times of UTC"
            );
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
        let before = self.near.len();
        if let Some(high) = &self.high {
            let from = self.settings.looks_from(high)?;
            self.near.retain(|(mark, _)| mark.order(&from) != Ordering::Less);
        }
        let most = self.settings.max_ties.max(1000);
        if self.near.len() > most {
            self.near.sort_by(|a, b| b.0.order(&a.0));
            self.forgotten += (self.near.len() - most) as u64;
            self.near.truncate(most);
            self.is_sorted = false;
        }
        self.is_whole &= self.near.len() == before;
        Ok(())
    }

    /// What later runs are to know again, where everything up to a mark is delivered.
    pub fn seen(&self, mark: &Mark) -> Result<Seen> {
        self.with_near(Seen::default(), mark)
    }

    /// As [`Sieve::seen`], where only some of what was delivered was asked for again.
    pub fn seen_besides(&self, mark: &Mark) -> Result<Seen> {
        self.with_near(self.seen.clone(), mark)
    }

    /// With those of this run that lie where a later one, from a mark on, looks again.
    fn with_near(&self, mut seen: Seen, mark: &Mark) -> Result<Seen> {
        let from = self.settings.looks_from(mark)?;
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
            _ => Ok(anew::without_order(self.state(reached)?)),
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
        if !self.may_begin_anew(reached) {
            self.forget()?;
        }
        let mut state = self.seen.state();
        if !self.near.is_empty() {
            state["near"] = anew::near(&self.near);
        }
        self.note_order(&mut state);
        if let Some(high) = &self.high {
            state["high"] = json!(high.text());
        }
        if let Some(repeats) = &self.repeats {
            state["repeats"] = repeats.state();
        }
        let border = self.border.state();
        if !border.is_null() {
            state["border"] = border;
        }
        Ok(state)
    }

    /// Goes on with what [`Sieve::state`] gave within a window.
    pub fn go_on(&mut self, state: &Json) -> Result<()> {
        self.take_order(state);
        self.high = state["high"].as_str().map(|high| Mark(high.to_owned()));
        self.border = Seen::of(&state["border"])?;
        if let Some(repeats) = self.repeats.as_mut().filter(|_| !state["repeats"].is_null()) {
            *repeats = Repeats::of(&state["repeats"], self.settings.digest_key)?;
        }
        self.near.extend(anew::marks(state)?);
        Ok(())
    }

    /// The window in which [`Sieve::state`] was given is begun anew by other keys: of what was delivered of it, all comes again.
    pub fn restart(&mut self, state: &Json) -> Result<()> {
        for (_, digest) in anew::marks(state)? {
            self.seen.add(digest, usize::MAX);
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
    use crate::source::rest::paging::Place;

    fn record(json: &str) -> Vec<u8> {
        write::document(json, Dialect::Extended).unwrap()
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
        second.begin(&Window { from: Some("2024-03-02".to_owned()), until: None }).unwrap();
        // A server that gives more than it is asked for; what was read; what has changed; what came late.
        let kept: Vec<bool> = [at(1, "01"), at(2, "04"), at(3, "03"), at(9, "03"), at(10, "02")]
            .iter()
            .map(|record| second.keeps(record).unwrap())
            .collect();
        assert_eq!(kept, [false, false, false, true, true]);
    }

    #[test]
    fn of_a_day_that_is_asked_for_again_all_is_known() {
        let record = |hour: u32| record(&format!(r#"{{"meta":{{"at":"2024-03-05T{hour}:00:00Z"}}}}"#));
        let by_days = [("cursor_format", "date")];
        let mut first = sieve(&by_days, Seen::default());
        assert!(first.keeps(&record(10)).unwrap() && first.keeps(&record(22)).unwrap());
        let mut second = sieve(&by_days, first.seen(&Mark("2024-03-05T22:00:00Z".to_owned())).unwrap());
        second.begin(&Window { from: Some("2024-03-05T22:00:00Z".to_owned()), until: None }).unwrap();
        let kept: Vec<bool> = [10, 22, 12, 23].map(|hour| second.keeps(&record(hour)).unwrap()).to_vec();
        assert_eq!(kept, [false, false, true, true]);
    }

    #[test]
    fn what_moves_to_the_next_page_comes_once_where_there_is_a_key() {
        let pages = |more: &[(&str, &str)]| {
            let mut sieve = sieve(more, Seen::default());
            assert!(sieve.keeps(&at(1, "01")).unwrap() && sieve.keeps(&at(2, "01")).unwrap());
            sieve.turn();
            let state = sieve.state(&Reached { next: Some(Place::Page(2)), ..Reached::default() }).unwrap();
            let mut later = super::tests::sieve(more, Seen::default());
            later.go_on(&state).unwrap();
            [sieve.keeps(&at(2, "01")).unwrap(), later.keeps(&at(2, "01")).unwrap(), later.keeps(&at(3, "01")).unwrap()]
        };
        assert_eq!(pages(&[("primary_key", "n")]), [false, false, true]);
        assert_eq!(pages(&[]), [true, true, true]);
    }

    #[test]
    fn a_window_that_is_begun_anew_knows_what_was_delivered_of_it() {
        let keys = [("lookback", "2d"), ("primary_key", "n")];
        let mut first = sieve(&keys, Seen::default());
        assert!(first.keeps(&at(1, "03")).unwrap() && first.keeps(&at(2, "04")).unwrap());
        let state = first.state(&Reached { next: Some(Place::Page(2)), ..Reached::default() }).unwrap();
        let mut anew = sieve(&keys, Seen::of(&state).unwrap());
        anew.restart(&state).unwrap();
        let kept: Vec<bool> = [at(2, "04"), at(1, "03"), at(3, "04")].map(|one| anew.keeps(&one).unwrap()).to_vec();
        assert_eq!(kept, [false, false, true]);
        // All of them are known to the run that follows.
        assert_eq!(anew.near.len(), 3);
    }

    #[test]
    fn numbers_that_are_times_are_compared_with_times() {
        let mut sieve = sieve(&[], Seen::default());
        sieve.begin(&Window { from: Some("2024-01-01".to_owned()), until: None }).unwrap();
        let at = |value: &str| record(&format!(r#"{{"meta":{{"at":{value}}}}}"#));
        assert!(sieve.keeps(&at("1709300000")).unwrap() && !sieve.keeps(&at("1600000000")).unwrap());
        assert!(sieve.keeps(&at("\"01/03/2024\"")).is_err());
    }

    #[test]
    fn a_cursor_that_no_record_has_is_an_error() {
        let none = record(r#"{"n":1}"#);
        let mut sieve = sieve(&[], Seen::default());
        assert!(
            !sieve.keeps(&none).unwrap() && sieve.check(true).unwrap_err().message().starts_with("none of 1 records")
        );
        assert!(sieve.keeps(&at(1, "01")).unwrap() && !sieve.keeps(&none).unwrap());
        sieve.check(false).unwrap();
        // Of a later window too.
        sieve.begin(&Window { from: Some("2024-03-02".to_owned()), until: None }).unwrap();
        assert!(!sieve.keeps(&none).unwrap() && sieve.check(false).is_err());
    }

    #[test]
    fn what_lies_before_what_was_asked_for_is_told() {
        let mut sieve = sieve(&[], Seen::default());
        let window = Window { from: Some("2024-03-02".to_owned()), until: None };
        sieve.begin(&window).unwrap();
        assert!(!sieve.keeps(&at(1, "01")).unwrap());
        assert!(sieve.check(true).unwrap_err().message().contains("lie before what was asked for"));
        sieve.begin(&window).unwrap();
        assert!(!sieve.keeps(&at(1, "01")).unwrap() && sieve.keeps(&at(2, "03")).unwrap());
        sieve.check(true).unwrap();
    }

    #[test]
    fn what_two_windows_have_comes_once() {
        let window = |from: &str, until: &str| Window { from: Some(from.to_owned()), until: Some(until.to_owned()) };
        let mut sieve = sieve(&[], Seen::default());
        sieve.begin(&window("2024-03-01", "2024-03-03")).unwrap();
        // A server that takes the end for a part of it; without a key, records may be the same.
        for record in [at(1, "01"), at(3, "03"), at(3, "03")] {
            assert!(sieve.keeps(&record).unwrap());
        }
        sieve.begin(&window("2024-03-03", "2024-03-05")).unwrap();
        let state = sieve.state(&Reached { next: Some(Place::Page(2)), ..Reached::default() }).unwrap();
        let kept =
            |sieve: &mut Sieve| [at(3, "03"), at(3, "03"), at(3, "03"), at(4, "03")].map(|r| sieve.keeps(&r).unwrap());
        assert_eq!(kept(&mut sieve), [false, false, true, true]);
        let mut later = super::tests::sieve(&[], Seen::default());
        later.go_on(&state).unwrap();
        later.resume(&window("2024-03-03", "2024-03-05"));
        assert_eq!(kept(&mut later), [false, false, true, true]);
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
