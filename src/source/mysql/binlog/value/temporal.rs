//! Dates and times as the log packs them.

use super::super::bytes::{big, little};
use crate::source::mysql::calendar::{self, Moment};

/// How many bytes so many digits of a second's fraction take.
pub fn fraction_bytes(digits: u8) -> usize {
    usize::from(digits.min(6)).div_ceil(2)
}

/// Microseconds, from the highest byte down.
fn fraction(bytes: &[u8]) -> u32 {
    let scale = [1_000_000, 10_000, 100, 1][bytes.len().min(3)];
    // Three bytes could say more than a second has.
    (big(bytes) as u32).saturating_mul(scale).min(999_999)
}

pub fn date(bytes: [u8; 3]) -> Moment {
    let number = little(&bytes);
    Moment {
        year: (number >> 9) as u16,
        month: (number >> 5 & 15) as u8,
        day: (number & 31) as u8,
        ..Moment::default()
    }
}

/// Five bytes, and those of the fraction.
pub fn datetime(bytes: &[u8]) -> Option<Moment> {
    let (whole, rest) = bytes.split_at_checked(5)?;
    let whole = (big(whole) as i64).checked_sub(0x80_0000_0000)?;
    unpacked((whole << 24) | i64::from(fraction(rest)))
}

/// A date and time in one number: the day and the time in their bits, then the microseconds.
pub fn unpacked(packed: i64) -> Option<Moment> {
    let packed = u64::try_from(packed).ok()?;
    let (whole, micro) = (packed >> 24, (packed & 0xff_ffff) as u32);
    let (day, time) = (whole >> 17, whole & 0x1_ffff);
    let months = day >> 5;
    Some(Moment {
        year: u16::try_from(months / 13).ok()?,
        month: (months % 13) as u8,
        day: (day & 31) as u8,
        hour: (time >> 12) as u8,
        minute: (time >> 6 & 63) as u8,
        second: (time & 63) as u8,
        micro,
    })
}

/// The parts of a TIME.
pub struct Parts {
    pub negative: bool,
    pub hours: u16,
    pub minutes: u8,
    pub seconds: u8,
    pub micros: u32,
}

/// A TIME in one number: as [`unpacked`], with hours where the day is; negative as a whole.
pub fn parts(packed: i64) -> Parts {
    let size = packed.unsigned_abs();
    let (whole, micros) = (size >> 24, (size & 0xff_ffff) as u32);
    Parts {
        negative: packed < 0,
        hours: (whole >> 12 & 1023) as u16,
        minutes: (whole >> 6 & 63) as u8,
        seconds: (whole & 63) as u8,
        micros,
    }
}

/// Three bytes, and those of the fraction, as one number around a middle that is zero. In microseconds.
pub fn time(bytes: &[u8]) -> Option<i64> {
    let count = bytes.len().checked_sub(3).filter(|count| *count <= 3)?;
    let number = big(bytes) as i64 - (0x80_0000 << (8 * count));
    let size = number.unsigned_abs();
    let micros = fraction(&(size as u32).to_be_bytes()[4 - count..]);
    let sign = if number < 0 { -1 } else { 1 };
    let packed = ((size >> (8 * count)) << 24) as i64 | i64::from(micros);
    duration(parts(sign * packed))
}

fn duration(parts: Parts) -> Option<i64> {
    let Parts { negative, hours, minutes, seconds, micros } = parts;
    calendar::duration(negative, u32::from(hours / 24), (hours % 24) as u8, minutes, seconds, micros)
}

/// Seconds since 1970, the highest byte first, and the fraction. Zero is no moment: `0000-00-00`.
pub fn timestamp(bytes: &[u8]) -> Option<Moment> {
    let (seconds, rest) = bytes.split_first_chunk::<4>()?;
    Some(instant(u32::from_be_bytes(*seconds), fraction(rest)))
}

/// The parts of a moment in UTC.
pub fn instant(seconds: u32, micro: u32) -> Moment {
    if seconds == 0 && micro == 0 {
        return Moment::default();
    }
    Moment::of_seconds(i64::from(seconds), micro)
}

/// The form before MySQL 5.6: digits as people write them, without what parts them.
pub fn old_datetime(bytes: [u8; 8]) -> Option<Moment> {
    let number = u64::from_le_bytes(bytes);
    let (day, time) = (number / 1_000_000, number % 1_000_000);
    Some(Moment {
        year: u16::try_from(day / 10_000).ok()?,
        month: (day / 100 % 100) as u8,
        day: (day % 100) as u8,
        hour: (time / 10_000) as u8,
        minute: (time / 100 % 100) as u8,
        second: (time % 100) as u8,
        micro: 0,
    })
}

/// As [`old_datetime`]: hours, minutes and seconds, in microseconds.
pub fn old_time(bytes: [u8; 3]) -> Option<i64> {
    let [a, b, c] = bytes;
    // The sign is in the highest byte.
    let number = i32::from_le_bytes([0, a, b, c]) >> 8;
    let size = number.unsigned_abs();
    let parts = Parts {
        negative: number < 0,
        hours: (size / 10_000) as u16,
        minutes: (size / 100 % 100) as u8,
        seconds: (size % 100) as u8,
        micros: 0,
    };
    duration(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_negative_as_a_whole() {
        const SECOND: i64 = 1_000_000;
        for (hex, micros) in [
            ("800000", 0),
            ("7fffff", -SECOND),
            ("800001", SECOND),
            // -00:00:00.01, -00:00:00.000001, -838:59:59.000000
            ("7fffffff", -10_000),
            ("7fffffffffff", -1),
            ("4b9105000000", -(838 * 3600 + 59 * 60 + 59) * SECOND),
        ] {
            assert_eq!(time(&hex::decode(hex).unwrap()), Some(micros), "{hex}");
        }
        assert_eq!(old_time([0xff, 0xff, 0xff]), Some(-SECOND));
        assert_eq!(old_time([0x40, 0xe2, 0x01]), Some((12 * 3600 + 34 * 60 + 56) * SECOND));
        assert_eq!(time(&[0; 2]), None);
    }

    #[test]
    fn dates_come_apart() {
        let moment = |bytes: &str| datetime(&hex::decode(bytes).unwrap()).unwrap();
        // 2024-01-02 03:04:05.678
        let parts = Moment { year: 2024, month: 1, day: 2, hour: 3, minute: 4, second: 5, micro: 678_000 };
        assert_eq!(moment("99b2443105 1a7c".replace(' ', "").as_str()), parts);
        assert_eq!(moment("8000000000"), Moment::default());
        assert_eq!(datetime(&[0; 5]), None);
        let old = 20_240_102_030_405u64.to_le_bytes();
        assert_eq!(old_datetime(old), Some(Moment { micro: 0, ..parts }));
        assert_eq!(date([0x22, 0xd0, 0x0f]), Moment { year: 2024, month: 1, day: 2, ..Moment::default() });
    }

    #[test]
    fn seconds_become_parts() {
        assert_eq!(instant(0, 0), Moment::default());
        let moment = timestamp(&[0x65, 0x93, 0x7b, 0x25, 0x01]).unwrap();
        let parts = Moment { year: 2024, month: 1, day: 2, hour: 2, minute: 55, second: 33, micro: 10_000 };
        assert_eq!(moment, parts);
    }
}
