//! What is new: which part of the cursor is asked for, and how far it has come then.

mod keys;
mod mark;

use std::cmp::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::keys::KEYS;
pub use self::mark::{Format, Mark};
use super::body::Field;
use super::request::Request;
use crate::config::Section;
use crate::error::{Error, Result};
use crate::source::cursor::{self, Expression, Lookback, Nulls};
use crate::source::masking;

/// How a stream follows its cursor.
#[derive(Debug, Clone)]
pub struct Incremental {
    /// The field of a record.
    pub cursor: Field,
    param: Option<String>,
    pub until_param: Option<String>,
    /// The end that is asked for is the last value, and not the one behind it.
    until_is_inclusive: bool,
    format: Format,
    /// Where the first window begins.
    pub start: Option<Mark>,
    step: Option<Duration>,
    /// Of a window that is read again: where it ends.
    end: Option<End>,
    pub lookback: Option<Lookback>,
    /// What is younger is not asked for yet.
    settle: Duration,
    pub nulls: Nulls,
    /// Records have a key: one that comes again on the next page is no other of the same content.
    pub has_key: bool,
    /// Of the digests of records, by which they are known again.
    pub digest_key: (u64, u64),
    /// How many of these are kept.
    pub max_ties: usize,
}

/// The end of what is read again.
#[derive(Debug, Clone)]
enum End {
    Before(Mark),
    At(Mark),
}

const DAY: Duration = Duration::from_secs(86_400);
const ONE_DAY: SignedDuration = SignedDuration::from_hours(24);

/// What an hour ago was not there is taken for not there.
const LAG: Duration = Duration::from_secs(3600);

/// A part of the cursor, from a value on, and before another one where the end is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl Incremental {
    pub fn of(section: &Section) -> Result<Self> {
        let general = cursor::Settings::of(section)?;
        let cursor = match &general.cursor[..] {
            [Expression::Column(name)] => Field::parse(name).map_err(|problem| section.error("cursor", problem))?,
            _ => return Err(section.error("cursor", "must be one field of the records: an API has no other order")),
        };
        let text = |key: &str| section.get(key).map(str::to_owned);
        let format = section.text("cursor_format")?;
        let format = Format::parse(format).ok_or_else(|| section.error("cursor_format", "is none"))?;
        let step = section.is_set("step").then(|| section.duration("step")).transpose()?;
        let (param, until_param) = (text("cursor_param"), text("until_param"));
        if param.is_none() && until_param.is_some() {
            return Err(section.error("until_param", "needs `cursor_param`, the parameter of where the window begins"));
        }
        if let Some(step) = step {
            if until_param.is_none() {
                return Err(section.error("step", "needs `until_param`, the parameter of where a window ends"));
            }
            if step < format.unit() {
                return Err(section.error("step", "is shorter than what `cursor_format` tells apart"));
            }
        }
        if until_param.is_some() && !format.tells_days() {
            return Err(section.error("cursor_format", "tells no days apart, and `until_param` asks for windows"));
        }
        if until_param.is_some() && general.start.is_none() {
            return Err(section.error("until_param", "needs `start`: where the first window begins"));
        }
        let start = general.start.map(Mark);
        if until_param.is_some() && start.as_ref().is_some_and(|start| start.time().is_none()) {
            return Err(
                section.error("start", "must be a time or a date, since `until_param` asks for windows of time")
            );
        }
        Ok(Self {
            cursor,
            param,
            until_param,
            until_is_inclusive: section.flag("until_inclusive")?,
            format,
            start,
            step,
            end: None,
            lookback: general.lookback,
            settle: general.settle,
            nulls: general.nulls,
            has_key: section.is_set("primary_key"),
            digest_key: masking::digest_key(section),
            max_ties: general.max_ties,
        })
    }

    /// The same, of what is between the ends of a window alone.
    pub fn within(&self, window: &cursor::Window) -> Self {
        let last = window.to.as_ref().and_then(|to| to.first());
        let end = match (&window.until, last) {
            (Some(until), _) => Some(End::Before(Mark(until.clone()))),
            (None, Some(last)) => Some(End::At(Mark(last.clone()))),
            (None, None) => None,
        };
        let start = window.from.clone().map(Mark).or_else(|| self.start.clone());
        Self { start, end, lookback: None, ..self.clone() }
    }

    /// Up to when is asked for: up to `now`, less what may still come, or to the end of the window that is read again.
    pub fn until(&self, now: Timestamp) -> Timestamp {
        let unit = self.format.unit();
        let behind = |at| floor(at, unit).checked_add(SignedDuration::try_from(unit).unwrap_or_default()).unwrap_or(at);
        match &self.end {
            // What the unit has beyond the end is left out when it is there.
            Some(End::Before(mark)) => {
                mark.time().map_or(now, |at| if floor(at, unit) == at { at } else { behind(at) })
            }
            Some(End::At(mark)) => mark.time().map_or(now, behind),
            None => SignedDuration::try_from(self.settle).map_or(now, |settle| now.checked_sub(settle).unwrap_or(now)),
        }
    }

    /// Whether a value lies behind what is to be read.
    pub fn is_beyond(&self, mark: &Mark) -> bool {
        match &self.end {
            Some(End::Before(end)) => mark.order(end).is_ge(),
            Some(End::At(end)) => mark.order(end).is_gt(),
            None => false,
        }
    }

    /// Whether a part of the cursor is read again, besides what is new.
    pub fn is_window(&self) -> bool {
        self.end.is_some()
    }

    /// Whether the server is told from where on.
    pub fn asks_from(&self) -> bool {
        self.param.is_some()
    }

    /// Whether the server is told values as times.
    pub fn sends_times(&self) -> bool {
        self.format != Format::AsIs
    }

    /// What is to be asked for first, where everything up to the mark was delivered; `None` where there is nothing yet.
    pub fn first(&self, mark: Option<&Mark>, now: Timestamp) -> Result<Option<Window>> {
        let from = match (mark, &self.lookback) {
            (Some(mark), Some(lookback)) => Some(self.not_before_start(mark.back(lookback)?)),
            (Some(mark), None) => Some(mark.clone()),
            (None, _) => self.start.clone(),
        };
        self.window(from, now)
    }

    /// The window behind one that was read to its end; `None` where that was the last.
    pub fn next(&self, window: &Window, now: Timestamp) -> Result<Option<Window>> {
        match &window.until {
            Some(until) => self.window(Some(Mark(until.clone())), now),
            None => Ok(None),
        }
    }

    /// The mark behind a window that was read to its end, in which `high` is the greatest value. What is asked for until just now
    /// may not have been all there: the server's clock may be behind ours, and its lists behind its records.
    pub fn mark_behind(&self, window: &Window, high: Option<String>, now: Timestamp) -> Option<String> {
        let Some(until) = window.until.clone().map(Mark) else { return high };
        let lag = now.checked_sub(SignedDuration::try_from(LAG).unwrap_or_default()).unwrap_or(now);
        if self.is_window() || until.time().is_none_or(|until| until <= lag) {
            return Some(until.0);
        }
        let lag = Mark(until.like(floor(lag, self.format.unit()), |at| self.text(at)));
        let later = |a: Mark, b: Mark| if a.order(&b).is_lt() { b } else { a };
        let known = [high.map(Mark), window.from.clone().map(Mark)].into_iter().flatten().fold(lag, later);
        Some(if known.order(&until).is_lt() { known.0 } else { until.0 })
    }

    fn not_before_start(&self, mark: Mark) -> Mark {
        match &self.start {
            Some(start) if start.order(&mark) == Ordering::Greater => start.clone(),
            _ => mark,
        }
    }

    fn window(&self, from: Option<Mark>, now: Timestamp) -> Result<Option<Window>> {
        if self.until_param.is_none() {
            return Ok(Some(Window { from: from.map(|mark| mark.0), until: None }));
        }
        let begin = from
            .as_ref()
            .and_then(Mark::time)
            .ok_or_else(|| Error::data("the mark is no time, and windows of time are asked for"))?;
        // The unit that is not over yet is left to a later run: who asks now would not get all of it.
        let whole = floor(now, self.format.unit());
        let end = match self.step {
            Some(step) => {
                let step = SignedDuration::try_from(step).map_err(|_| Error::config("`step` is too long"))?;
                // Ends are what the server can be told, so that windows meet.
                begin.checked_add(step).map_or(whole, |end| floor(end, self.format.unit())).min(whole)
            }
            None => whole,
        };
        if end <= begin {
            return Ok(None);
        }
        let until = from.as_ref().map_or_else(|| self.text(end), |from| from.like(end, |at| self.text(at)));
        Ok(Some(Window { from: from.map(|mark| mark.0), until: Some(until) }))
    }

    /// A bound as positions have it.
    pub fn text(&self, at: Timestamp) -> String {
        match self.format.unit() >= DAY {
            true => at.strftime("%Y-%m-%d").to_string(),
            false => at.to_string(),
        }
    }

    /// Has a request ask for the window.
    pub fn apply(&self, window: &Window, request: &mut Request) -> Result<()> {
        if let (Some(param), Some(from)) = (&self.param, &window.from) {
            request.set_param(param, self.format.write(&Mark(from.clone()))?);
        }
        if let (Some(param), Some(until)) = (&self.until_param, &window.until) {
            let until = Mark(until.clone());
            let until = match until.time().filter(|_| self.until_is_inclusive) {
                // Of days, the last one. Of moments, the end itself: what is there, both windows have.
                Some(at) if self.format.unit() >= DAY => self.format.of_time(at.checked_sub(ONE_DAY).unwrap_or(at)),
                Some(at) => self.format.of_time(at),
                None => self.format.write(&until)?,
            };
            request.set_param(param, until);
        }
        Ok(())
    }

    /// The least value that a record of the window has; those below were delivered.
    pub fn floor(&self, window: &Window) -> Option<Mark> {
        // A server that is asked by days gives whole days. Windows that are read again meet at their ends, and have nothing in common.
        let from = Mark(window.from.clone()?);
        Some(if self.is_window() { from } else { self.of_day(from) })
    }

    /// Where it is asked for by days: the beginning of the day.
    fn of_day(&self, mark: Mark) -> Mark {
        let unit = self.format.unit();
        match mark.time().filter(|_| unit >= DAY) {
            Some(at) => Mark(mark.like(floor(at, unit), |at| at.to_string())),
            None => mark,
        }
    }

    /// From which value on later runs look again, once the mark is there.
    pub fn looks_from(&self, mark: &Mark) -> Result<Mark> {
        let from = match &self.lookback {
            Some(lookback) => mark.back(lookback)?,
            None => mark.clone(),
        };
        Ok(self.of_day(from))
    }
}

/// The beginning of the unit that a time is in.
fn floor(at: Timestamp, unit: Duration) -> Timestamp {
    let (micros, unit) = (at.as_microsecond(), i64::try_from(unit.as_micros()).unwrap_or(i64::MAX).max(1));
    Timestamp::from_microsecond(micros - micros.rem_euclid(unit)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::STREAM_KEYS;

    fn of(values: &[(&str, &str)]) -> Result<Incremental> {
        let keys = STREAM_KEYS.iter().chain(KEYS).collect();
        Incremental::of(&Section::of_keys("stream s", keys, &[&[("cursor", "at")], values].concat())?)
    }

    fn now() -> Timestamp {
        "2024-03-05T12:30:45.5Z".parse().unwrap()
    }

    /// All windows of a run, as `from..until`.
    fn windows(settings: &Incremental, mark: Option<&str>) -> Vec<String> {
        let mark = mark.map(|mark| Mark(mark.to_owned()));
        let mut next = settings.first(mark.as_ref(), now()).unwrap();
        let mut shown = Vec::new();
        while let Some(window) = next {
            shown.push(format!("{}..{}", window.from.as_deref().unwrap_or(""), window.until.as_deref().unwrap_or("")));
            next = settings.next(&window, now()).unwrap();
        }
        shown
    }

    #[test]
    fn windows_meet_and_end_before_what_is_not_over() {
        let days = [
            ("cursor_param", "since"),
            ("until_param", "until"),
            ("cursor_format", "date"),
            ("start", "2024-03-01"),
            ("step", "2d"),
        ];
        let settings = of(&days).unwrap();
        assert_eq!(windows(&settings, None), ["2024-03-01..2024-03-03", "2024-03-03..2024-03-05"]);
        assert_eq!(windows(&settings, Some("2024-03-05")), [""; 0]);
        let seconds = of(&[
            ("cursor_param", "a"),
            ("until_param", "b"),
            ("cursor_format", "iso"),
            ("start", "2024-03-05T12:00:00Z"),
        ])
        .unwrap();
        assert_eq!(windows(&seconds, None), ["2024-03-05T12:00:00Z..2024-03-05T12:30:45Z"]);
        let back = of(&[&days[..], &[("lookback", "3d")]].concat()).unwrap();
        assert_eq!(windows(&back, Some("2024-03-05")), ["2024-03-02..2024-03-04", "2024-03-04..2024-03-05"]);
        assert_eq!(windows(&back, Some("2024-03-02")), ["2024-03-01..2024-03-03", "2024-03-03..2024-03-05"]);
    }

    #[test]
    fn without_an_end_there_is_one_window() {
        let settings = of(&[("cursor_param", "since")]).unwrap();
        assert_eq!(windows(&settings, None), [".."]);
        assert_eq!(windows(&settings, Some("17")), ["17.."]);
    }

    #[test]
    fn requests_ask_for_windows() {
        let asked = |more: &[(&str, &str)]| {
            let days = [
                ("cursor_param", "since"),
                ("until_param", "until"),
                ("cursor_format", "date"),
                ("start", "2024-03-01"),
            ];
            let settings = of(&[&days[..], more].concat()).unwrap();
            let mut request = Request::get(url::Url::parse("http://localhost/x").unwrap());
            let window = settings.first(None, now()).unwrap().unwrap();
            settings.apply(&window, &mut request).unwrap();
            request.full_url().query().unwrap().to_owned()
        };
        assert_eq!(asked(&[]), "since=2024-03-01&until=2024-03-05");
        assert_eq!(asked(&[("until_inclusive", "yes")]), "since=2024-03-01&until=2024-03-04");
    }

    #[test]
    fn what_was_not_there_yet_is_asked_for_again() {
        let settings = of(&[("cursor_param", "a"), ("until_param", "b"), ("start", "2024-03-05T00:00:00Z")]).unwrap();
        let mark = |from: &str, until: &str, high: Option<&str>| {
            let window = Window { from: Some(from.to_owned()), until: Some(until.to_owned()) };
            settings.mark_behind(&window, high.map(str::to_owned), now()).unwrap()
        };
        let (begin, end) = ("2024-03-05T00:00:00Z", "2024-03-05T12:30:40Z");
        assert_eq!(mark(begin, "2024-03-05T11:00:00Z", None), "2024-03-05T11:00:00Z");
        assert_eq!(mark(begin, end, Some("2024-03-05T12:10:00+00:00")), "2024-03-05T12:10:00+00:00");
        assert_eq!(mark(begin, end, Some("2024-03-05T10:10:00Z")), "2024-03-05T11:30:45Z");
        assert_eq!(mark(begin, end, None), "2024-03-05T11:30:45Z");
        assert_eq!(mark("2024-03-05T12:00:00Z", end, None), "2024-03-05T12:00:00Z");
        assert_eq!(mark(begin, end, Some("2024-03-05T23:00:00Z")), end);
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for wrong in [
            &[("until_param", "b")][..],
            &[("cursor_param", "a"), ("step", "1d")],
            &[("cursor_param", "a"), ("until_param", "b")],
            &[("cursor_param", "a"), ("until_param", "b"), ("start", "17x")],
            &[
                ("cursor_param", "a"),
                ("until_param", "b"),
                ("start", "2024-01-01"),
                ("cursor_format", "date"),
                ("step", "1h"),
            ],
        ] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_cursor_is_one_field() {
        for (written, name) in [("$.meta.at", "meta.at"), ("meta.at", "meta.at"), ("Updated At", "Updated At")] {
            assert_eq!(of(&[("cursor", written)]).unwrap().cursor.name(), name);
        }
        for wrong in ["a, b", "coalesce(a, b)", "a..b", "$.a["] {
            let error = of(&[("cursor", wrong)]).map(drop).unwrap_err().to_string();
            assert!(error.contains("`cursor`"), "{error}");
        }
    }
}
