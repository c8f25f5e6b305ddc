//! DECIMAL as the log packs it: nine digits in four bytes, fewer in as many as they need, the highest first; negative ones
//! upside down.

use super::super::bytes::{Torn, big};

/// How many bytes so many digits take, below nine.
const BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
const NINE: u8 = 9;

/// How many bytes a DECIMAL takes.
pub fn length(precision: u8, scale: u8) -> usize {
    let bytes = |digits: u8| usize::from(digits / NINE) * 4 + BYTES[usize::from(digits % NINE)];
    bytes(precision.saturating_sub(scale)) + bytes(scale)
}

/// The groups of digits, as pairs of value and how many digits it has.
struct Groups<'a> {
    bytes: &'a [u8],
    /// How many digits are still to come before the point, and after it.
    left: [u8; 2],
    mask: u8,
    is_first: bool,
}

impl<'a> Groups<'a> {
    fn of(bytes: &'a [u8], precision: u8, scale: u8) -> Result<(Self, bool), Torn> {
        let first = *bytes.first().ok_or(Torn)?;
        if scale > precision || bytes.len() != length(precision, scale) {
            return Err(Torn);
        }
        let is_negative = first & 0x80 == 0;
        let mask = if is_negative { 0xff } else { 0 };
        Ok((Self { bytes, left: [precision - scale, scale], mask, is_first: true }, is_negative))
    }

    #[inline]
    fn take(&mut self, digits: u8) -> (u32, u8) {
        let (group, rest) = self.bytes.split_at(BYTES[usize::from(digits)].min(self.bytes.len()));
        self.bytes = rest;
        let mut padded = [0; 4];
        for (to, from) in padded[4 - group.len()..].iter_mut().zip(group) {
            *to = from ^ self.mask;
        }
        if self.is_first {
            // The sign.
            padded[4 - group.len()] ^= 0x80;
            self.is_first = false;
        }
        (big(&padded) as u32, digits)
    }
}

impl Iterator for Groups<'_> {
    type Item = (u32, u8);

    #[inline]
    fn next(&mut self) -> Option<(u32, u8)> {
        let [whole, fraction] = self.left;
        // Short groups are at both ends: before the first of the whole, and behind the last of the fraction.
        let (digits, which) = match (whole, fraction) {
            (0, 0) => return None,
            (0, _) => (fraction.min(NINE), 1),
            _ => (if whole % NINE == 0 { NINE } else { whole % NINE }, 0),
        };
        self.left[which] -= digits;
        Some(self.take(digits))
    }
}

/// The value without its point; for at most 38 digits.
#[inline]
pub fn unscaled(bytes: &[u8], precision: u8, scale: u8) -> Result<i128, Torn> {
    let (groups, is_negative) = Groups::of(bytes, precision, scale)?;
    // Most values fit into a register.
    let value = match precision {
        0..=18 => i128::from(groups.fold(0i64, |value, (group, digits)| {
            value.wrapping_mul(10i64.pow(u32::from(digits))).wrapping_add(i64::from(group))
        })),
        _ => groups.fold(0i128, |value, (group, digits)| {
            value.wrapping_mul(10i128.pow(u32::from(digits))).wrapping_add(i128::from(group))
        }),
    };
    Ok(if is_negative { -value } else { value })
}

/// The value in plain notation, as the server writes it.
pub fn write_text(bytes: &[u8], precision: u8, scale: u8, out: &mut Vec<u8>) -> Result<(), Torn> {
    let (groups, is_negative) = Groups::of(bytes, precision, scale)?;
    if is_negative {
        out.push(b'-');
    }
    let begin = out.len();
    for (group, digits) in groups {
        let mut rest = group;
        let at = out.len();
        out.resize(at + usize::from(digits), b'0');
        for byte in out[at..].iter_mut().rev() {
            *byte = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
    let whole = usize::from(precision - scale);
    let zeros = out[begin..].iter().take(whole.saturating_sub(1)).take_while(|byte| **byte == b'0').count();
    out.drain(begin..begin + zeros);
    if scale > 0 {
        let point = out.len() - usize::from(scale);
        out.insert(point, b'.');
        if whole == 0 {
            out.insert(begin, b'0');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(hex: &str, precision: u8, scale: u8) -> String {
        let mut out = Vec::new();
        write_text(&hex::decode(hex).unwrap(), precision, scale, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn digits_come_in_groups_of_nine() {
        for (hex, precision, scale, value, written) in [
            // 1234567890.1234 and its negative, of the server's manual.
            ("810dfb38d204d2", 14, 4, 12_345_678_901_234, "1234567890.1234"),
            ("7ef204c72dfb2d", 14, 4, -12_345_678_901_234, "-1234567890.1234"),
            ("80000000003200", 0, 0, 0, ""),
            ("8001", 2, 1, 1, "0.1"),
            ("80", 1, 0, 0, "0"),
            ("7ffa", 4, 2, 0, ""),
            ("85", 1, 1, 5, "0.5"),
        ] {
            let bytes = hex::decode(hex).unwrap();
            if written.is_empty() {
                // Neither fits its bytes, or no test of digits.
                assert!(precision == 4 || unscaled(&bytes, precision, scale).is_err());
                continue;
            }
            assert_eq!(unscaled(&bytes, precision, scale), Ok(value), "{hex}");
            assert_eq!(text(hex, precision, scale), written);
        }
    }

    #[test]
    fn no_bytes_are_too_few_or_too_many() {
        for precision in 0..=66 {
            for scale in 0..=66 {
                for length in 0..40 {
                    let _ = unscaled(&vec![0x5a; length], precision, scale);
                    let _ = write_text(&vec![0xff; length], precision, scale, &mut Vec::new());
                }
            }
        }
    }
}
