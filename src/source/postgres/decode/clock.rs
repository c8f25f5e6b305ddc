//! Dates and times: from PostgreSQL's epoch, 2000-01-01, and from its ISO text, to Arrow's counts from 1970-01-01.

use super::Fault;

const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const DAY: i64 = 86_400_000_000;

/// Days since 1970; `None` where infinite.
#[inline]
pub fn date(days: i32) -> Option<i32> {
    match days {
        i32::MIN | i32::MAX => None,
        days => days.checked_add(EPOCH_DAYS),
    }
}

/// Microseconds since 1970; `None` where infinite, or in the last thirty years that PostgreSQL knows, which 64 bits of
/// microseconds since 1970 do not reach.
#[inline]
pub fn timestamp(micros: i64) -> Option<i64> {
    match micros {
        i64::MIN | i64::MAX => None,
        micros => micros.checked_add(EPOCH_MICROS),
    }
}

/// Microseconds since midnight. PostgreSQL knows 24:00:00, a time of no day.
#[inline]
pub fn time(micros: i64) -> Result<i64, Fault> {
    match micros {
        0..DAY => Ok(micros),
        DAY => Err(Fault::Midnight),
        _ => Err(Fault::Malformed),
    }
}

/// `2024-02-29`, `0044-03-15 BC`, `infinity`.
pub fn parse_date(text: &[u8]) -> Result<Option<i32>, Fault> {
    let Some((text, bc)) = finite(text) else { return Ok(None) };
    let days = days(text, bc)?;
    i32::try_from(days).map(Some).map_err(|_| Fault::Malformed)
}

/// `23:59:59.999999`.
pub fn parse_time(text: &[u8]) -> Result<i64, Fault> {
    time(micros(text)?)
}

/// `2024-02-29 12:00:00.5`, with `+00` behind it where the type has a zone, and ` BC` behind that.
pub fn parse_timestamp(text: &[u8]) -> Result<Option<i64>, Fault> {
    let Some((text, bc)) = finite(text) else { return Ok(None) };
    let space = text.iter().position(|byte| *byte == b' ').ok_or(Fault::Malformed)?;
    let (day, rest) = (&text[..space], &text[space + 1..]);
    let (clock, offset) = match rest.iter().position(|byte| matches!(byte, b'+' | b'-')) {
        Some(at) => (&rest[..at], offset(&rest[at..])?),
        None => (rest, 0),
    };
    let days = days(day, bc)?;
    // Beyond 64 bits as if it were infinite: the same as in binary.
    let since = |clock: i64| days.checked_mul(DAY)?.checked_add(clock)?.checked_sub(offset);
    Ok(since(micros(clock)?))
}

/// The text without ` BC`, and whether it had it; `None` where it is infinite.
fn finite(text: &[u8]) -> Option<(&[u8], bool)> {
    match text {
        b"infinity" | b"-infinity" => None,
        _ => match text.strip_suffix(b" BC") {
            Some(text) => Some((text, true)),
            None => Some((text, false)),
        },
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, which PostgreSQL uses for all time.
fn days(text: &[u8], bc: bool) -> Result<i64, Fault> {
    let mut parts = text.split(|byte| *byte == b'-').map(number);
    let (Some(year), Some(month), Some(day), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(Fault::Malformed);
    };
    let (mut year, month, day) = (year?, month?, day?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(Fault::Malformed);
    }
    if bc {
        // 1 BC is the year 0.
        year = 1 - year;
    }
    // Years from March on, so that the leap day is the last; eras of 400 years.
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    Ok(era * 146_097 + of_era - 719_468)
}

/// `HH:MM:SS[.ffffff]`.
fn micros(text: &[u8]) -> Result<i64, Fault> {
    let (clock, fraction) = match text.iter().position(|byte| *byte == b'.') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &b""[..]),
    };
    if fraction.len() > 6 {
        return Err(Fault::Malformed);
    }
    let missing = 6 - fraction.len() as u32;
    let fraction = if fraction.is_empty() { 0 } else { number(fraction)? * 10i64.pow(missing) };
    Ok(seconds(clock)? * 1_000_000 + fraction)
}

/// `+00`, `-03:30`, `+00:19:32`, in microseconds.
fn offset(text: &[u8]) -> Result<i64, Fault> {
    let (sign, text) = text.split_first().ok_or(Fault::Malformed)?;
    let micros = seconds(text)? * 1_000_000;
    Ok(if *sign == b'-' { -micros } else { micros })
}

/// `HH[:MM[:SS]]`.
fn seconds(text: &[u8]) -> Result<i64, Fault> {
    let mut sum = 0;
    let mut unit = 3600;
    for part in text.split(|byte| *byte == b':') {
        let part = number(part)?;
        if unit == 0 || part > 99 {
            return Err(Fault::Malformed);
        }
        sum += part * unit;
        unit /= 60;
    }
    Ok(sum)
}

/// A whole number of up to nine digits.
fn number(text: &[u8]) -> Result<i64, Fault> {
    if text.is_empty() || text.len() > 9 || !text.iter().all(u8::is_ascii_digit) {
        return Err(Fault::Malformed);
    }
    Ok(text.iter().fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_and_text_agree() {
        // As PostgreSQL counts and writes them.
        for (text, days) in
            [("2000-01-01", 0), ("1999-12-31", -1), ("4713-01-01 BC", -2_451_507), ("5874897-12-31", 2_145_031_948)]
        {
            assert_eq!(parse_date(text.as_bytes()), Ok(date(days)), "{text}");
        }
        for text in ["infinity", "-infinity"] {
            assert_eq!(parse_date(text.as_bytes()), Ok(None));
            assert_eq!(parse_timestamp(text.as_bytes()), Ok(None));
        }
        assert_eq!(parse_timestamp(b"2000-01-01 00:00:00.000001+00"), Ok(timestamp(1)));
        assert_eq!(parse_timestamp(b"2000-01-01 03:30:00+03:30"), Ok(timestamp(0)));
        assert_eq!(parse_timestamp(b"0001-12-31 23:59:59.5 BC"), Ok(Some(-62_135_596_800_500_000)));
        assert_eq!(parse_timestamp(b"294276-12-31 23:59:59.999999"), Ok(timestamp(9_223_371_331_199_999_999)));
        assert_eq!(timestamp(9_223_371_331_199_999_999), None);
    }

    #[test]
    fn times_of_a_day() {
        assert_eq!(parse_time(b"23:59:59.999999"), Ok(DAY - 1));
        assert_eq!(parse_time(b"00:00:00"), Ok(0));
        assert_eq!(parse_time(b"24:00:00"), Err(Fault::Midnight));
        assert_eq!(time(DAY + 1), Err(Fault::Malformed));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9:. +BC-]{0,30}") {
            let _ = parse_date(text.as_bytes());
            let _ = parse_time(text.as_bytes());
            let _ = parse_timestamp(text.as_bytes());
        }
    }
}
