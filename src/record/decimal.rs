//! Decimals between plain notation (`-12.340`) and Arrow's unscaled integers. Exact or not at all: never rounds.

use arrow_buffer::i256;

/// The most digits that a `Decimal256` holds.
const MAX_DIGITS_256: usize = 76;

/// Parses plain notation into an integer scaled by `10^scale`.
///
/// `None` where the text is not a plain decimal, has non-zero digits beyond the scale, or does not fit.
#[inline]
pub fn parse_i128(text: &[u8], scale: i8) -> Option<i128> {
    let (negative, digits) = split_sign(text)?;
    let mut value: i128 = 0;
    let mut fraction: Option<i32> = None;
    let scale = i32::from(scale);
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                let digit = i128::from(byte - b'0');
                if let Some(seen) = fraction.as_mut() {
                    if *seen >= scale {
                        if digit != 0 {
                            return None;
                        }
                        continue;
                    }
                    *seen += 1;
                }
                value = value.checked_mul(10)?.checked_add(digit)?;
            }
            b'.' if fraction.is_none() => fraction = Some(0),
            _ => return None,
        }
    }
    // Pads to the scale; a negative scale takes zeros away.
    for _ in fraction.unwrap_or(0)..scale {
        value = value.checked_mul(10)?;
    }
    for _ in scale..0 {
        if value % 10 != 0 {
            return None;
        }
        value /= 10;
    }
    Some(if negative { -value } else { value })
}

/// As [`parse_i128`], for up to 76 digits.
pub fn parse_i256(text: &[u8], scale: i8) -> Option<i256> {
    let (negative, digits) = split_sign(text)?;
    let scale = usize::try_from(scale).ok()?;
    let (whole, fraction) = match digits.iter().position(|&byte| byte == b'.') {
        Some(point) => (&digits[..point], &digits[point + 1..]),
        None => (digits, &digits[..0]),
    };
    let kept = fraction.len().min(scale);
    if fraction[kept..].iter().any(|&byte| byte != b'0') {
        return None;
    }
    let mut text = Vec::with_capacity(whole.len() + scale + 1);
    text.extend_from_slice(whole);
    text.extend_from_slice(&fraction[..kept]);
    text.resize(whole.len() + scale, b'0');
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let first = text.iter().position(|&byte| byte != b'0').unwrap_or(text.len());
    let significant = &text[first..];
    if significant.len() > MAX_DIGITS_256 {
        return None;
    }
    let value = match significant {
        [] => i256::ZERO,
        digits => i256::from_string(std::str::from_utf8(digits).ok()?)?,
    };
    Some(if negative { value.wrapping_neg() } else { value })
}

fn split_sign(text: &[u8]) -> Option<(bool, &[u8])> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let has_digit = digits.iter().any(u8::is_ascii_digit);
    has_digit.then_some((negative, digits))
}

/// Appends plain notation with exactly `scale` digits after the point.
#[inline]
pub fn write_i128(out: &mut Vec<u8>, value: i128, scale: i8) {
    if value < 0 {
        out.push(b'-');
    }
    let magnitude = value.unsigned_abs();
    let mut buffer = itoa::Buffer::new();
    let digits = match u64::try_from(magnitude) {
        Ok(small) => buffer.format(small),
        Err(_) => buffer.format(magnitude),
    };
    place_point(out, digits.as_bytes(), scale);
}

/// As [`write_i128`], for up to 76 digits.
pub fn write_i256(out: &mut Vec<u8>, value: i256, scale: i8) {
    let text = value.to_string();
    let digits = match text.strip_prefix('-') {
        Some(digits) => {
            out.push(b'-');
            digits
        }
        None => &text,
    };
    place_point(out, digits.as_bytes(), scale);
}

#[inline]
fn place_point(out: &mut Vec<u8>, digits: &[u8], scale: i8) {
    let Ok(scale) = usize::try_from(scale) else {
        out.extend_from_slice(digits);
        if digits != b"0" {
            out.resize(out.len() + usize::from(scale.unsigned_abs()), b'0');
        }
        return;
    };
    if scale == 0 {
        out.extend_from_slice(digits);
    } else if digits.len() > scale {
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + scale - digits.len(), b'0');
        out.extend_from_slice(digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: i128, scale: i8) -> String {
        let mut out = Vec::new();
        write_i128(&mut out, value, scale);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn reads_plain_notation() {
        assert_eq!(parse_i128(b"-12.340", 2), Some(-1234));
        assert_eq!(parse_i128(b".5", 1), Some(5));
        assert_eq!(parse_i128(b"7", 3), Some(7000));
        assert_eq!(parse_i128(b"1200", -2), Some(12));
    }

    #[test]
    fn refuses_what_would_be_rounded_or_cut() {
        assert_eq!(parse_i128(b"0.125", 2), None);
        assert_eq!(parse_i128(b"1250", -2), None);
        assert_eq!(parse_i128(b"1e3", 0), None);
        assert_eq!(parse_i128(b"1.2.3", 2), None);
        assert_eq!(parse_i128(b"-", 0), None);
        assert_eq!(parse_i128(&[b'9'; 40], 0), None);
        assert_eq!(parse_i256(b"0.125", 2), None);
        assert_eq!(parse_i256(&[b'9'; 77], 0), None);
    }

    #[test]
    fn writes_every_digit_of_the_scale() {
        assert_eq!(shown(-5, 3), "-0.005");
        assert_eq!(shown(0, 2), "0.00");
        assert_eq!(shown(12, -2), "1200");
        assert_eq!(shown(i128::MAX, 0), i128::MAX.to_string());
    }

    #[test]
    fn carries_65_digits() {
        let text = "-99999999999999999999999999999999999.999999999999999999999999999999";
        let value = parse_i256(text.as_bytes(), 30).unwrap();
        let mut out = Vec::new();
        write_i256(&mut out, value, 30);
        assert_eq!(out, text.as_bytes());
    }

    proptest::proptest! {
        #[test]
        fn text_and_back_is_the_same(value: i128, scale in 0i8..38) {
            proptest::prop_assert_eq!(parse_i128(shown(value, scale).as_bytes(), scale), Some(value));
        }
    }
}
