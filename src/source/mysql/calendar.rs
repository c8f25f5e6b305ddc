//! MySQL's dates and times, between their parts and Arrow's counts. Its calendar is the Gregorian one, also before 1582.

const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400 * MICROS;

/// The parts of a DATE, DATETIME or TIMESTAMP, as the server sends them. Zero where it sends none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub micro: u32,
}

impl Moment {
    /// Days since 1970-01-01; `None` where no calendar has the day: a zero in it, or more days than the month has
    /// (which `ALLOW_INVALID_DATES` lets in).
    #[inline]
    pub fn days(&self) -> Option<i32> {
        let (year, month, day) = (i32::from(self.year), i32::from(self.month), i32::from(self.day));
        if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
            return None;
        }
        // Counts from March, so that the leap day ends a year; eras of 400 years are all alike.
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let year_of_era = year - era * 400;
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Some(era * 146_097 + day_of_era - 719_468)
    }

    /// Microseconds since 1970-01-01T00:00:00; `None` as for [`Moment::days`].
    #[inline]
    pub fn micros(&self) -> Option<i64> {
        let seconds = (i64::from(self.hour) * 60 + i64::from(self.minute)) * 60 + i64::from(self.second);
        Some(i64::from(self.days()?) * DAY + seconds * MICROS + i64::from(self.micro))
    }

    /// The moment so many seconds after 1970-01-01T00:00:00, up to the year 9999.
    pub fn of_seconds(seconds: i64, micro: u32) -> Self {
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // As in `days`, backwards.
        let days = days + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = (month_from_march + 2) % 12 + 1;
        Self {
            year: (era * 400 + year_of_era + i64::from(month <= 2)) as u16,
            month: month as u8,
            day: (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8,
            hour: (second / 3600) as u8,
            minute: (second / 60 % 60) as u8,
            second: (second % 60) as u8,
            micro,
        }
    }

    /// `2024-02-00`, as the server writes it.
    pub fn write_date(&self, out: &mut Vec<u8>) {
        padded(out, u32::from(self.year), 4);
        for part in [self.month, self.day] {
            out.push(b'-');
            padded(out, u32::from(part), 2);
        }
    }

    /// `2024-02-00 00:00:00.123`, with so many digits of the second's fraction.
    pub fn write_datetime(&self, out: &mut Vec<u8>, digits: u8) {
        self.write_date(out);
        for (separator, part) in [(b' ', self.hour), (b':', self.minute), (b':', self.second)] {
            out.push(separator);
            padded(out, u32::from(part), 2);
        }
        let digits = digits.min(6);
        if digits > 0 {
            out.push(b'.');
            padded(out, self.micro / 10u32.pow(6 - u32::from(digits)), usize::from(digits));
        }
    }
}

/// A TIME in microseconds; `None` where it is longer than any TIME can be.
pub fn duration(negative: bool, days: u32, hours: u8, minutes: u8, seconds: u8, micros: u32) -> Option<i64> {
    let whole = ((i64::from(days) * 24 + i64::from(hours)) * 60 + i64::from(minutes)) * 60 + i64::from(seconds);
    let size = whole.checked_mul(MICROS)?.checked_add(i64::from(micros))?;
    Some(if negative { -size } else { size })
}

fn days_in_month(year: i32, month: i32) -> i32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn padded(out: &mut Vec<u8>, number: u32, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number).as_bytes();
    out.resize(out.len() + width.saturating_sub(digits.len()), b'0');
    out.extend_from_slice(digits);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: u16, month: u8, day: u8) -> Moment {
        Moment { year, month, day, ..Moment::default() }
    }

    #[test]
    fn counts_every_day_from_year_0_to_9999() {
        // 0000-01-01 is 719,528 days before 1970-01-01.
        let mut expected = -719_528;
        for year in 0..=9999 {
            for month in 1..=12 {
                for day in 1..=days_in_month(i32::from(year), i32::from(month)) as u8 {
                    assert_eq!(date(year, month, day).days(), Some(expected), "{year}-{month}-{day}");
                    assert_eq!(Moment::of_seconds(i64::from(expected) * 86_400, 0), date(year, month, day));
                    expected += 1;
                }
            }
        }
        assert_eq!(expected, 2_932_897, "the day after 9999-12-31");
    }

    #[test]
    fn refuses_days_that_no_calendar_has() {
        for (year, month, day) in [(0, 0, 0), (2024, 0, 0), (2024, 1, 0), (2024, 0, 1), (2023, 2, 29), (2024, 4, 31)] {
            assert_eq!(date(year, month, day).days(), None);
            assert_eq!(date(year, month, day).micros(), None);
        }
        assert_eq!(date(1900, 2, 29).days(), None);
        assert!(date(2000, 2, 29).days().is_some());
    }

    #[test]
    fn counts_microseconds() {
        let moment = Moment { hour: 23, minute: 59, second: 59, micro: 999_999, ..date(9999, 12, 31) };
        assert_eq!(moment.micros(), Some(253_402_300_799_999_999));
        assert_eq!(duration(true, 34, 22, 59, 59, 0), Some(-(838 * 3600 + 59 * 60 + 59) * MICROS));
        assert_eq!(duration(true, 0, 0, 0, 0, 1), Some(-1));
    }

    #[test]
    fn writes_what_the_server_writes() {
        let mut out = Vec::new();
        date(2024, 2, 0).write_date(&mut out);
        out.push(b'|');
        Moment { hour: 1, micro: 123_456, ..date(0, 0, 0) }.write_datetime(&mut out, 3);
        out.push(b'|');
        date(987, 6, 5).write_datetime(&mut out, 0);
        assert_eq!(out, b"2024-02-00|0000-00-00 01:00:00.123|0987-06-05 00:00:00");
    }
}
