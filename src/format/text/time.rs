//! Dates and times as ISO 8601 writes them, for any value that Arrow holds.
//!
//! Six digits of a second always, so that texts of the years 0000 to 9999 sort as the instants do. A year outside of
//! them has a sign and as many digits as it needs, at least four (ISO 8601's expanded form); year 0 is 1 BC.

use super::Out;

const SECOND: u64 = 1_000_000;
const DAY: i64 = 86_400_000_000;

/// Days since 1970-01-01 of 0000-01-01 and of 9999-12-31.
const PLAIN_DATES: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut index = 0;
    while index < pairs.len() {
        pairs[index] = [b'0' + (index / 10) as u8, b'0' + (index % 10) as u8];
        index += 1;
    }
    pairs
};

/// `2024-01-31`, `-0043-03-15`, `+10000-01-01`, of days since 1970-01-01.
#[inline]
pub fn date(out: &mut Out, days: i64) {
    let (year, month, day) = civil(days);
    if PLAIN_DATES.contains(&days) {
        let ([a, b], [c, d]) = (PAIRS[(year / 100) as usize], PAIRS[(year % 100) as usize]);
        let ([e, f], [g, h]) = (PAIRS[month], PAIRS[day]);
        out.fixed(&[a, b, c, d, b'-', e, f, b'-', g, h]);
    } else {
        expanded(out, year, month, day);
    }
}

#[cold]
fn expanded(out: &mut Out, year: i64, month: usize, day: usize) {
    out.push(if year < 0 { b'-' } else { b'+' });
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(year.unsigned_abs());
    (digits.len()..4).for_each(|_| out.push(b'0'));
    out.slice(digits.as_bytes());
    let ([e, f], [g, h]) = (PAIRS[month], PAIRS[day]);
    out.fixed(&[b'-', e, f, b'-', g, h]);
}

/// Year, month and day in the proleptic Gregorian calendar, of days since 1970-01-01.
///
/// Counts from March, in eras of 400 years, so that leap days come last: no table, no branch on leap years.
#[inline]
fn civil(days: i64) -> (i64, usize, usize) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097) as u32);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = i64::from(year_of_era) + era * 400 + i64::from(month <= 2);
    (year, month as usize, day as usize)
}

/// `2024-01-31T13:05:06.123456`, with `Z` behind it where `utc`, of microseconds since 1970-01-01T00:00:00.
#[inline]
pub fn timestamp(out: &mut Out, microseconds: i64, utc: bool) {
    date(out, microseconds.div_euclid(DAY));
    let [a, b, c, d, e, f, g, h] = clock(microseconds.rem_euclid(DAY) as u64 / SECOND);
    let [i, j, k, l, m, n, o] = fraction(microseconds.rem_euclid(SECOND as i64) as u32);
    *out.slot() = [b'T', a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, b'Z'];
    out.advance(if utc { 17 } else { 16 });
}

/// `13:05:06.123456`, of microseconds since midnight.
#[inline]
pub fn time(out: &mut Out, microseconds: i64) {
    match u64::try_from(microseconds) {
        // Up to 24:00:00, which PostgreSQL has.
        Ok(since) if microseconds <= DAY => {
            out.fixed(&clock(since / SECOND));
            out.fixed(&fraction((since % SECOND) as u32));
        }
        _ => duration(out, microseconds),
    }
}

/// `[-]HH:MM:SS.ffffff`, of microseconds, with as many digits of hours as it takes, at least two.
pub fn duration(out: &mut Out, microseconds: i64) {
    if microseconds < 0 {
        out.push(b'-');
    }
    let since = microseconds.unsigned_abs();
    let hours = since / (3_600 * SECOND);
    if hours >= 100 {
        super::number::integer(out, hours);
    } else {
        out.fixed(&PAIRS[hours as usize]);
    }
    let [_, _, rest @ ..] = clock(since / SECOND % 3_600);
    out.fixed(&rest);
    out.fixed(&fraction((since % SECOND) as u32));
}

/// `HH:MM:SS`, of less than 100 hours.
#[inline]
fn clock(seconds: u64) -> [u8; 8] {
    let seconds = seconds as usize;
    let ([a, b], [c, d], [e, f]) = (PAIRS[seconds / 3_600], PAIRS[seconds / 60 % 60], PAIRS[seconds % 60]);
    [a, b, b':', c, d, b':', e, f]
}

/// `.ffffff`, of less than a second.
#[inline]
fn fraction(microseconds: u32) -> [u8; 7] {
    let micros = microseconds as usize;
    let ([a, b], [c, d], [e, f]) = (PAIRS[micros / 10_000], PAIRS[micros / 100 % 100], PAIRS[micros % 100]);
    [b'.', a, b, c, d, e, f]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Out)) -> String {
        let mut out = Out::default();
        write(&mut out);
        String::from_utf8(out.into_vec()).unwrap()
    }

    fn date_of(days: i64) -> String {
        text(|out| date(out, days))
    }

    #[test]
    fn dates_of_any_year() {
        assert_eq!(date_of(0), "1970-01-01");
        assert_eq!(date_of(11_016), "2000-02-29");
        assert_eq!(date_of(-719_528), "0000-01-01");
        assert_eq!(date_of(-719_529), "-0001-12-31");
        assert_eq!(date_of(-735_160), "-0043-03-15");
        assert_eq!(date_of(2_932_896), "9999-12-31");
        assert_eq!(date_of(2_932_897), "+10000-01-01");
        assert_eq!(date_of(i32::MAX.into()), "+5881580-07-11");
        assert_eq!(date_of(i32::MIN.into()), "-5877641-06-23");
    }

    #[test]
    fn timestamps_before_and_after_the_epoch() {
        let shown = |micros, utc| text(|out| timestamp(out, micros, utc));
        assert_eq!(shown(1_706_706_306_123_456, true), "2024-01-31T13:05:06.123456Z");
        assert_eq!(shown(-1, false), "1969-12-31T23:59:59.999999");
        assert_eq!(shown(i64::MAX, true), "+294247-01-10T04:00:54.775807Z");
        assert_eq!(shown(i64::MIN, false), "-290308-12-21T19:59:05.224192");
    }

    #[test]
    fn times_and_durations() {
        let (clock, span) = (|micros| text(|out| time(out, micros)), |micros| text(|out| duration(out, micros)));
        assert_eq!(clock(47_106_000_001), "13:05:06.000001");
        assert_eq!(clock(DAY), "24:00:00.000000");
        assert_eq!(clock(DAY + 1), "24:00:00.000001");
        assert_eq!(clock(-1), "-00:00:00.000001");
        assert_eq!(span(-3_020_399_000_000), "-838:59:59.000000");
        assert_eq!(span(359_999_999_999), "99:59:59.999999");
        assert_eq!(span(i64::MIN), "-2562047788:00:54.775808");
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_a_calendar_library(days in -4_371_587i64..=2_932_896, micros in 0..DAY) {
            let base = jiff::civil::date(1970, 1, 1);
            let want = base.checked_add(jiff::Span::new().days(days)).unwrap();
            let year = i64::from(want.year());
            proptest::prop_assert_eq!(civil(days), (year, want.month() as usize, want.day() as usize));
            if year >= 0 {
                proptest::prop_assert_eq!(date_of(days), want.to_string());
                let since = jiff::civil::Time::midnight().checked_add(jiff::Span::new().microseconds(micros)).unwrap();
                let shown = text(|out| timestamp(out, days * DAY + micros, false));
                proptest::prop_assert_eq!(shown, want.to_datetime(since).strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string());
            }
        }

        #[test]
        fn any_value_has_a_text(value: i64, days: i32) {
            for shown in [text(|out| time(out, value)), text(|out| duration(out, value)), date_of(days.into())] {
                proptest::prop_assert!(shown.bytes().all(|byte| byte.is_ascii_digit() || b"+-:.".contains(&byte)));
            }
            text(|out| timestamp(out, value, true));
        }
    }
}
