//! Dates and times as ISO 8601 writes them, exact to the microsecond or not at all.

use std::ops::Range;

/// Microseconds of a day.
pub const DAY: i64 = 86_400_000_000;

/// What can be written so, of the years 0 to 9999: microseconds since 1970-01-01T00:00:00.
pub const YEARS: Range<i64> = -719_528 * DAY..2_932_897 * DAY;

/// Days since 1970-01-01 of `YYYY-MM-DD`, which a midnight may follow.
pub fn date(text: &[u8]) -> Option<i32> {
    let (days, rest) = day(text)?;
    if !rest.is_empty() {
        let (_, rest) = rest.split_first().filter(|(separator, _)| is_separator(**separator))?;
        let (0, b"") = clock(rest)? else { return None };
    }
    i32::try_from(days).ok()
}

/// Microseconds since midnight of `HH:MM[:SS[.f…]]`.
pub fn time(text: &[u8]) -> Option<i64> {
    match clock(text)? {
        (micros, b"") => Some(micros),
        _ => None,
    }
}

/// A date and time: microseconds since 1970-01-01T00:00:00 of its own clock, and its distance from UTC, if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub wall: i64,
    /// Microseconds east of UTC.
    pub zone: Option<i64>,
}

/// `YYYY-MM-DD[ HH:MM[:SS[.f…]]][zone]`, with a `T` or spaces between the two; the zone is `Z`, `+hh:mm`, `+hhmm` or `+hh`.
pub fn moment(text: &[u8]) -> Option<Moment> {
    let (days, rest) = day(text)?;
    let midnight = days * DAY;
    let Some((separator, rest)) = rest.split_first() else {
        return Some(Moment { wall: midnight, zone: None });
    };
    if !is_separator(*separator) {
        return None;
    }
    let (micros, rest) = clock(rest)?;
    let zone = match rest {
        [] => None,
        rest => Some(zone(rest.strip_prefix(b" ").unwrap_or(rest))?),
    };
    Some(Moment { wall: midnight + micros, zone })
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'T' | b't' | b' ')
}

/// Days since 1970 of the `YYYY-MM-DD` that the text begins with, and the rest.
fn day(text: &[u8]) -> Option<(i64, &[u8])> {
    let (&[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2], rest) = text.split_first_chunk::<10>()? else {
        return None;
    };
    let year = pair(y1, y2)? * 100 + pair(y3, y4)?;
    let (month, day) = (pair(m1, m2)?, pair(d1, d2)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    Some((days_before(year, month) + day - 1, rest))
}

/// Days from 1970-01-01 to the first of the month, by the Gregorian calendar, for years from 0 on.
fn days_before(year: i64, month: i64) -> i64 {
    // A year that begins in March ends with its leap day.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let year = year.rem_euclid(400);
    era * 146_097 + year * 365 + year / 4 - year / 100 + (153 * month + 2) / 5 - 719_468
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Microseconds of the `HH:MM[:SS[.f…]]` that the text begins with, and the rest.
fn clock(text: &[u8]) -> Option<(i64, &[u8])> {
    let (&[h1, h2, b':', m1, m2], mut rest) = text.split_first_chunk::<5>()? else {
        return None;
    };
    let (hour, minute, mut second, mut micros) = (pair(h1, h2)?, pair(m1, m2)?, 0, 0);
    if let [b':', s1, s2, after @ ..] = rest {
        second = pair(*s1, *s2)?;
        rest = after;
        if let [b'.', after @ ..] = rest {
            (micros, rest) = fraction(after)?;
        }
    }
    let fits = hour < 24 && minute < 60 && second < 60;
    fits.then_some((((hour * 60 + minute) * 60 + second) * 1_000_000 + micros, rest))
}

/// Microseconds of the digits that the text begins with; what is finer must be zero.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let exact = !digits.is_empty() && digits.iter().skip(6).all(|digit| *digit == b'0');
    let micros = (0..6).fold(0, |sum, i| sum * 10 + digits.get(i).map_or(0, |digit| i64::from(digit - b'0')));
    exact.then_some((micros, rest))
}

fn zone(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text {
        b"Z" | b"z" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match *rest {
        [h1, h2] => (pair(h1, h2)?, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (pair(h1, h2)?, pair(m1, m2)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000_000)
}

fn pair(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_the_calendar_is_the_day_after_the_one_before() {
        let mut expected = date(b"0000-01-01").unwrap();
        for year in 0..=9999 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    let text = format!("{year:04}-{month:02}-{day:02}");
                    assert_eq!(date(text.as_bytes()), Some(expected), "{text}");
                    expected += 1;
                }
            }
        }
        assert_eq!(date(b"1970-01-01"), Some(0));
        assert_eq!(date(b"2000-02-29"), Some(11_016));
        assert_eq!(date(b"0000-01-01"), Some(-719_528));
        assert_eq!(date(b"9999-12-31"), Some(2_932_896));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in ["2023-02-29", "2024-13-01", "2024-00-10", "2024-1-1", "24-01-01", "2024-01-01 00:00:01", "", "-"] {
            assert_eq!(date(text.as_bytes()), None, "{text}");
        }
        assert_eq!(date(b"2024-01-01 00:00:00.000"), date(b"2024-01-01"));
    }

    #[test]
    fn times_are_exact_to_the_microsecond_or_refused() {
        assert_eq!(time(b"23:59:59.999999"), Some(86_399_999_999));
        assert_eq!(time(b"00:00"), Some(0));
        assert_eq!(time(b"01:02:03.5"), Some(3_723_500_000));
        assert_eq!(time(b"01:02:03.1234560"), Some(3_723_123_456));
        for text in ["24:00", "12:60", "12:00:60", "12:00:00.1234567", "12:00:00.", "1:00", "12:00:00Z", "12"] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn zones_are_told_apart_from_none() {
        let wall = 1_704_164_645_000_000;
        for (text, zone) in [
            ("2024-01-02 03:04:05", None),
            ("2024-01-02T03:04:05Z", Some(0)),
            ("2024-01-02T03:04:05 +05:30", Some(19_800_000_000)),
            ("2024-01-02 03:04:05-0800", Some(-28_800_000_000)),
            ("2024-01-02 03:04:05+00", Some(0)),
        ] {
            assert_eq!(moment(text.as_bytes()), Some(Moment { wall, zone }), "{text}");
        }
        assert_eq!(moment(b"2024-01-02").map(|m| m.wall % DAY), Some(0));
        for text in ["2024-01-02 ", "2024-01-02X03:04", "2024-01-02 03:04:05+5", "2024-01-02 03:04:05 UTC", "now"] {
            assert_eq!(moment(text.as_bytes()), None, "{text}");
        }
    }
}
