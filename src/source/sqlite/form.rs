//! Times as text: how they are written, which decides whether they sort by time.

use std::time::Duration;

use jiff::tz::Offset;

use crate::source::iso8601::{self, Moment};

/// How a time is written: `2026-01-01 10:00:00.123Z`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Between day and time; `None` where there is only a day.
    separator: Option<char>,
    has_seconds: bool,
    digits: usize,
    /// As it is written.
    zone: String,
    /// Microseconds east of UTC, where there is a zone.
    pub offset: Option<i64>,
}

impl Form {
    /// The form of a text, and the time that it tells; `None` where it tells none.
    pub fn of(text: &[u8]) -> Option<(Self, Moment)> {
        let moment = iso8601::moment(text)?;
        let text = str::from_utf8(text).ok()?;
        let rest = text.get(10..)?;
        let Some(separator) = rest.chars().next() else {
            let form = Self { separator: None, has_seconds: false, digits: 0, zone: String::new(), offset: None };
            return Some((form, moment));
        };
        let rest = rest.get(1..)?.get(5..)?;
        let has_seconds = rest.starts_with(':');
        let rest = if has_seconds { rest.get(3..)? } else { rest };
        let digits = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
        let zone = rest.get(if digits > 0 { digits + 1 } else { 0 }..)?.to_owned();
        Some((Self { separator: Some(separator), has_seconds, digits, zone, offset: moment.zone }, moment))
    }

    pub fn is_day(&self) -> bool {
        self.separator.is_none()
    }

    /// The step between two times.
    pub fn unit(&self) -> Duration {
        match (self.has_seconds, u32::try_from(self.digits.min(6))) {
            (true, Ok(digits)) => Duration::from_micros(10u64.pow(6 - digits)),
            _ => Duration::from_secs(60),
        }
    }

    /// Whether times of both forms sort by time among each other.
    pub fn sorts_with(&self, other: &Self) -> bool {
        let is_alike = self.separator == other.separator && self.zone == other.zone;
        // What follows the digits comes to be compared with digits.
        let is_long_as = self.has_seconds == other.has_seconds && self.digits == other.digits;
        is_alike && (is_long_as || self.zone.is_empty())
    }

    /// A time by the clock that the form has, written so; what is finer is cut off.
    pub fn write(&self, wall: i64) -> Option<String> {
        let at = Offset::UTC.to_datetime(jiff::Timestamp::from_microsecond(wall).ok()?);
        let day = at.strftime("%Y-%m-%d").to_string();
        let Some(separator) = self.separator else { return Some(day) };
        let mut text = format!("{day}{separator}{:02}:{:02}", at.hour(), at.minute());
        if self.has_seconds {
            text.push_str(&format!(":{:02}", at.second()));
        }
        if self.digits > 0 {
            let digits = format!("{:06}{}", at.subsec_nanosecond() / 1000, "0".repeat(self.digits.saturating_sub(6)));
            text.push('.');
            text.push_str(&digits[..self.digits]);
        }
        text.push_str(&self.zone);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Form {
        Form::of(text.as_bytes()).unwrap_or_else(|| panic!("{text}")).0
    }

    #[test]
    fn a_time_is_written_as_it_was() {
        for (text, unit) in [
            ("2026-11-22", 60_000_000),
            ("2026-11-22 10:00", 60_000_000),
            ("2026-11-22 10:00:07", 1_000_000),
            ("2026-11-22T10:00:07.125", 1_000),
            ("2026-11-22T10:00:07.123456Z", 1),
            ("2026-11-22 10:00:07.1234560 +02:00", 1),
            ("1960-01-01 00:00:00.5", 100_000),
        ] {
            let (form, moment) = Form::of(text.as_bytes()).unwrap();
            assert_eq!(form.write(moment.wall).as_deref(), Some(text));
            assert_eq!(form.unit().as_micros(), unit, "{text}");
            assert!(form.sorts_with(&form));
        }
        for no_time in ["", "2026", "v2026-11-22", "2026-11-22x10:00", "2026-13-01"] {
            assert_eq!(Form::of(no_time.as_bytes()), None, "{no_time}");
        }
    }

    #[test]
    fn forms_that_do_not_sort_by_time_are_told_apart() {
        let sort = |one: &str, other: &str| form(one).sorts_with(&form(other));
        assert!(sort("2026-11-22 10:00:07", "2026-11-22 10:00:07.5"));
        assert!(sort("2026-11-22 10:00", "2026-11-22 10:00:07"));
        assert!(!sort("2026-11-22 10:00:07", "2026-11-22T10:00:07"));
        assert!(!sort("2026-11-22T10:00:07Z", "2026-11-22T10:00:07.5Z"));
        assert!(!sort("2026-11-22T10:00:07Z", "2026-11-22T10:00:07+00:00"));
        assert!(!sort("2026-11-22", "2026-11-22 10:00:07"));
    }
}
