//! Dates and times as the numbers that programs store in place of SQLite's texts.

use crate::source::iso8601::{DAY, YEARS};

/// Microseconds since 1970 of a number of units, of which `per_second` make a second. Exact or not at all.
pub fn of_units(number: i64, per_second: i64) -> Option<i64> {
    match per_second {
        1..=1_000_000 => number.checked_mul(1_000_000 / per_second),
        _ => (number % (per_second / 1_000_000) == 0).then_some(number / (per_second / 1_000_000)),
    }
}

/// As [`of_units`] for a number with a fraction, rounded to the nearest microsecond.
pub fn of_real_units(number: f64, per_second: i64) -> Option<i64> {
    in_calendar((number * 1e6 / per_second as f64).round())
}

/// Microseconds since 1970 of a day of the Julian calendar's count, rounded to the millisecond as SQLite does.
pub fn of_julian(days: f64) -> Option<i64> {
    in_calendar(((days - 2_440_587.5) * 86_400_000.0).round() * 1000.0)
}

/// Whole microseconds, if they lie in the years 0 to 9999 that SQLite knows.
fn in_calendar(micros: f64) -> Option<i64> {
    // Not a number fails here too.
    (micros >= YEARS.start as f64 && micros < YEARS.end as f64).then_some(micros as i64)
}

/// Days since 1970, if the microseconds are a midnight.
pub fn whole_days(micros: i64) -> Option<i32> {
    (micros % DAY == 0).then(|| i32::try_from(micros / DAY).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_from_1970_or_in_julian_days() {
        assert_eq!(of_units(1_700_000_000, 1), Some(1_700_000_000_000_000));
        assert_eq!(of_units(-1, 1_000), Some(-1_000));
        assert_eq!(of_units(i64::MAX, 1), None);
        assert_eq!(of_units(1_500, 1_000_000_000), None);
        assert_eq!(of_units(2_000, 1_000_000_000), Some(2));
        assert_eq!(of_real_units(1.5, 1), Some(1_500_000));
        assert_eq!(of_real_units(f64::NAN, 1), None);
        assert_eq!(of_real_units(1e300, 1), None);
        // julianday('2024-01-02 03:04:05')
        assert_eq!(of_julian(2_460_311.627_835_648), Some(1_704_164_645_000_000));
    }
}
