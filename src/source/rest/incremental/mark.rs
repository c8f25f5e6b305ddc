//! Values of a cursor: as records have them, in their order, and as a server is asked for them.

use std::cmp::Ordering;
use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::error::{Error, Result};
use crate::source::cursor::Lookback;

/// A value of the cursor, as the text that a record has of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(pub String);

/// What a text is, where it is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Read {
    /// Microseconds since 1970.
    Time(i64),
    Number(f64),
}

impl Mark {
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Which comes first: times by time, a number and a time too, numbers by size, texts as they are. `None` where one is a text and
    /// the other is not.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(match (self.read(), other.read()) {
            (Some(Read::Number(a)), Some(Read::Number(b))) => match whole(&self.0).zip(whole(&other.0)) {
                Some((a, b)) => a.cmp(&b),
                None => a.total_cmp(&b),
            },
            (Some(_), Some(_)) => self.time()?.cmp(&other.time()?),
            (None, None) => self.0.cmp(&other.0),
            _ => return None,
        })
    }

    /// As [`Mark::compare`], of any two.
    pub fn order(&self, other: &Self) -> Ordering {
        self.compare(other).unwrap_or_else(|| self.0.cmp(&other.0))
    }

    /// Whether it is written as a time, rather than as a number.
    pub fn is_written_time(&self) -> bool {
        matches!(self.read(), Some(Read::Time(_)))
    }

    /// The number that it is, where it is a whole one.
    pub fn whole(&self) -> Option<i128> {
        whole(&self.0)
    }

    /// A time, as this value is one: in seconds or milliseconds since 1970 where this is a number.
    pub fn like(&self, at: Timestamp, text: impl Fn(Timestamp) -> String) -> String {
        match self.read() {
            _ if compact(&self.0).is_some() => at.strftime("%Y%m%d").to_string(),
            Some(Read::Number(number)) if number >= MILLIS => at.as_millisecond().to_string(),
            Some(Read::Number(_)) => at.as_second().to_string(),
            _ => text(at),
        }
    }

    fn read(&self) -> Option<Read> {
        let text = self.0.trim();
        if let Some(number) = number(text) {
            return Some(Read::Number(number));
        }
        time(text).map(|at| Read::Time(at.as_microsecond()))
    }

    /// The value that lies so far back; the same where there is no way back.
    pub fn back(&self, by: &Lookback) -> Result<Self> {
        let wrong = || {
            Error::config("`lookback` does not go with the cursor")
                .hint("It is a duration such as `10m` for times, and a whole number for numbers (of seconds, where they are times).")
        };
        match self.read() {
            Some(Read::Number(_)) if compact(&self.0).is_some() && by.number.is_none() => {
                let back = SignedDuration::try_from(by.time.ok_or_else(wrong)?).map_err(|_| wrong())?;
                let at = self.time().and_then(|at| at.checked_sub(back).ok()).ok_or_else(wrong)?;
                Ok(Self(self.like(at, |at| at.to_string())))
            }
            Some(Read::Time(micros)) => {
                let back = by.time.ok_or_else(wrong)?;
                let at = Timestamp::from_microsecond(micros).map_err(|_| wrong())?;
                let at = at.checked_sub(SignedDuration::try_from(back).map_err(|_| wrong())?).map_err(|_| wrong())?;
                Ok(Self(shown(at, self.0.trim().len() <= DATE)))
            }
            Some(Read::Number(number)) => {
                let back = match (&by.number, by.time) {
                    (Some(digits), _) => digits.parse::<i128>().map_err(|_| wrong())?,
                    (None, Some(time)) => i128::from(time.as_secs()) * if number >= MILLIS { 1000 } else { 1 },
                    (None, None) => return Err(wrong()),
                };
                match whole(&self.0) {
                    Some(whole) => Ok(Self((whole - back).to_string())),
                    None => Ok(Self((number - back as f64).to_string())),
                }
            }
            None => Err(wrong()),
        }
    }

    /// As a time, if it is one; a number is one in seconds, or milliseconds, since 1970, or a day such as `20240131`.
    pub fn time(&self) -> Option<Timestamp> {
        if let Some(day) = compact(&self.0) {
            return TimeZone::UTC.to_timestamp(day.to_datetime(Default::default())).ok();
        }
        match self.read()? {
            Read::Time(micros) => Timestamp::from_microsecond(micros).ok(),
            Read::Number(number) if number >= MILLIS => Timestamp::from_millisecond(number as i64).ok(),
            Read::Number(number) => Timestamp::from_second(number as i64).ok(),
        }
    }
}

/// `2024-01-31`.
const DATE: usize = 10;
/// Numbers above this are times in milliseconds, if they are times.
const MILLIS: f64 = 1e11;

fn number(text: &str) -> Option<f64> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    text.parse::<f64>().ok().filter(|number| is_number && number.is_finite())
}

/// `20240131`: as seconds since 1970 it would be a day of that year.
fn compact(text: &str) -> Option<Date> {
    let text = text.trim();
    let is_day =
        text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) && matches!(&text[..2], "19" | "20" | "21");
    let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<i16>().ok();
    let (year, month, day) = (part(0..4).filter(|_| is_day)?, part(4..6)?, part(6..8)?);
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

fn whole(text: &str) -> Option<i128> {
    text.trim().parse().ok()
}

/// ISO 8601 with an offset or without (then in UTC), with a `T` or a space; or a date.
fn time(text: &str) -> Option<Timestamp> {
    if !text.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    // `+0000` as well as `+00:00`.
    if let Ok(at) = Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text) {
        return Some(at);
    }
    let civil = text
        .parse::<DateTime>()
        .ok()
        .or_else(|| text.parse::<Date>().ok().map(|date| date.to_datetime(Default::default())))?;
    TimeZone::UTC.to_timestamp(civil).ok()
}

fn shown(at: Timestamp, is_date: bool) -> String {
    if is_date { at.strftime("%Y-%m-%d").to_string() } else { at.to_string() }
}

/// How a server is told a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    AsIs,
    Iso,
    Date,
    Epoch,
    EpochMillis,
    /// Of `strftime`.
    Pattern(String),
}

impl Format {
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "as_is" => Format::AsIs,
            "iso" => Format::Iso,
            "date" => Format::Date,
            "epoch" => Format::Epoch,
            "epoch_ms" => Format::EpochMillis,
            pattern if pattern.contains('%') => Format::Pattern(pattern.to_owned()),
            _ => return None,
        })
    }

    /// An error where the value is no time, and the format is one of times.
    pub fn write(&self, mark: &Mark) -> Result<String> {
        if *self == Format::AsIs {
            return Ok(mark.text().to_owned());
        }
        let at = mark.time().ok_or_else(|| {
            Error::data("the cursor's values are no times, which `cursor_format` is of")
                .hint("Leave it out: then values are sent as records have them.")
        })?;
        Ok(self.of_time(at))
    }

    pub fn of_time(&self, at: Timestamp) -> String {
        match self {
            Format::AsIs | Format::Iso => at.to_string(),
            Format::Date => at.strftime("%Y-%m-%d").to_string(),
            Format::Epoch => at.as_second().to_string(),
            Format::EpochMillis => at.as_millisecond().to_string(),
            Format::Pattern(pattern) => at.strftime(pattern).to_string(),
        }
    }

    /// The smallest step between two values that it tells apart.
    pub fn unit(&self) -> Duration {
        match self {
            Format::Date => Duration::from_secs(86_400),
            Format::EpochMillis => Duration::from_millis(1),
            Format::Pattern(pattern) => {
                let has = |one_of: &[&str]| one_of.iter().any(|part| pattern.contains(part));
                Duration::from_secs(match () {
                    () if has(&["%S", "%T", "%s", "%r", "%c", "%X"]) => 1,
                    () if has(&["%M", "%R"]) => 60,
                    () if has(&["%H", "%I", "%k", "%l"]) => 3600,
                    () => 86_400,
                })
            }
            Format::AsIs | Format::Iso | Format::Epoch => Duration::from_secs(1),
        }
    }

    /// Whether it is fine enough for windows: not of months.
    pub fn tells_days(&self) -> bool {
        match self {
            Format::Pattern(pattern) => {
                ["%d", "%e", "%j", "%F", "%D", "%x", "%c", "%s"].iter().any(|part| pattern.contains(part))
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(text: &str) -> Mark {
        Mark(text.to_owned())
    }

    #[test]
    fn values_are_ordered_by_what_they_are() {
        for (less, more) in [
            ("9", "10"),
            ("-1", "1.5"),
            ("9007199254740992", "9007199254740993"),
            ("2024-01-31", "2024-02-01"),
            ("2024-01-31T23:30:00-01:00", "2024-02-01T00:31:00Z"),
            ("2024-01-31T00:00:00+0000", "2024-01-31T00:00:01Z"),
            ("2024-01-31 10:00:00", "2024-01-31T10:00:00.5Z"),
            ("a", "b"),
            ("20240131", "20240201"),
            ("20240131", "2024-02-01"),
        ] {
            assert_eq!(mark(less).order(&mark(more)), Ordering::Less, "{less} {more}");
            assert_eq!(mark(more).order(&mark(less)), Ordering::Greater, "{less} {more}");
        }
        assert_eq!(mark("1709300000").order(&mark("2024-01-01")), Ordering::Greater);
        assert_eq!(mark("1709300000000").order(&mark("2024-03-01T13:33:20Z")), Ordering::Equal);
        assert_eq!(mark("01/03/2024").compare(&mark("2024-01-01")), None);
        assert_eq!(mark("2024-01-31T01:00:00+01:00").order(&mark("2024-01-31T00:00:00Z")), Ordering::Equal);
    }

    #[test]
    fn the_way_back_is_one_of_the_same_kind() {
        let section = |text: &str| {
            let keys = crate::source::STREAM_KEYS.iter().collect();
            let values = [("cursor", "a"), ("lookback", text)];
            let section = crate::config::Section::of_keys("stream s", keys, &values).unwrap();
            crate::source::cursor::Settings::of(&section).unwrap().lookback.unwrap()
        };
        let back = |text: &str, by: &str| mark(text).back(&section(by)).map(|mark| mark.0);
        assert_eq!(back("2024-03-01", "1d").unwrap(), "2024-02-29");
        assert_eq!(back("2024-03-01T00:00:00Z", "90s").unwrap(), "2024-02-29T23:58:30Z");
        assert_eq!(back("1700000000", "1h").unwrap(), "1699996400");
        assert_eq!(back("1700000000000", "1s").unwrap(), "1699999999000");
        assert_eq!(back("500", "100").unwrap(), "400");
        assert_eq!(back("20240301", "1d").unwrap(), "20240229");
        assert!(back("abc", "1d").is_err());
    }

    #[test]
    fn a_server_is_told_values_in_its_own_form() {
        let write = |format: &str, text: &str| Format::parse(format).unwrap().write(&mark(text)).unwrap();
        let at = "2024-03-01T12:30:00+02:00";
        assert_eq!(write("as_is", at), at);
        assert_eq!(write("iso", at), "2024-03-01T10:30:00Z");
        assert_eq!(write("date", at), "2024-03-01");
        assert_eq!(write("epoch", at), "1709289000");
        assert_eq!(write("epoch_ms", at), "1709289000000");
        assert_eq!(write("%d/%m/%Y", at), "01/03/2024");
        assert_eq!(write("iso", "1709289000"), "2024-03-01T10:30:00Z");
        assert_eq!(write("%Y%m%d", "20240301"), "20240301");
        let unit = |format: &str| Format::parse(format).unwrap().unit().as_secs();
        assert_eq!(["%Y-%m-%d", "%Y-%m-%d %H", "%Y-%m-%d %H:%M", "%FT%T", "iso"].map(unit), [86_400, 3600, 60, 1, 1]);
        assert!(Format::parse("%F").unwrap().tells_days() && !Format::parse("%Y-%m").unwrap().tells_days());
        assert!(Format::parse("odd").is_none());
        assert!(Format::parse("iso").unwrap().write(&mark("abc")).is_err());
    }
}
