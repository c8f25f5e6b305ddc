//! Numbers as they are written, of which no digit is lost.

use super::decimal::Decimal;

/// A number without zeros at its ends: two are the same number if they are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exact {
    is_negative: bool,
    digits: u128,
    exponent: i64,
}

/// What decimal columns hold, and more than any other type does.
const MOST_DIGITS: u32 = 38;

/// Far beyond what any type holds.
const FAR: i64 = 1 << 40;

impl Exact {
    /// Of `7`, `-1.50`, `+.5`, `1e3`; `None` where the text is no such number, or has more than 38 digits between its first and its
    /// last that is not zero.
    pub fn of(text: &str) -> Option<Self> {
        let (mantissa, mut exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, self::power(power)?),
            None => (text, 0),
        };
        let (is_negative, mantissa) = signed(mantissa);
        let (mut digits, mut count, mut zeros, mut is_behind, mut is_there) = (0u128, 0, 0u32, false, false);
        for byte in mantissa.bytes() {
            if byte == b'.' && !is_behind {
                is_behind = true;
                continue;
            }
            is_there = true;
            exponent -= i64::from(is_behind);
            match byte {
                b'0' => zeros += u32::from(count > 0),
                b'1'..=b'9' => {
                    count += zeros + 1;
                    if count > MOST_DIGITS {
                        return None;
                    }
                    digits = digits * 10u128.pow(zeros + 1) + u128::from(byte - b'0');
                    zeros = 0;
                }
                _ => return None,
            }
        }
        let exponent = if digits == 0 { 0 } else { exponent + i64::from(zeros) };
        is_there.then_some(Self { is_negative, digits, exponent })
    }

    /// How many digits it has between the first and the last that is not zero; zero has none.
    pub fn count(self) -> u32 {
        self.digits.checked_ilog10().map_or(0, |log| log + 1)
    }

    /// `None` where its exponent is none that a number of 38 digits could have.
    pub fn finite(self) -> Option<Decimal> {
        const MOST: i64 = 10_000;
        let exponent = i32::try_from(self.exponent).ok().filter(|exponent| i64::from(exponent.abs()) <= MOST)?;
        Some(Decimal::Finite { is_negative: self.is_negative, coefficient: self.digits, exponent })
    }

    /// As MongoDB has decimals, of 34 digits; `None` where it is none of them.
    pub fn decimal(self) -> Option<Decimal> {
        let text = format!("{}{}E{}", if self.is_negative { "-" } else { "" }, self.digits, self.exponent);
        Decimal::parse(&text)
    }
}

fn power(text: &str) -> Option<i64> {
    let (is_negative, digits) = signed(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let power = digits.parse().unwrap_or(FAR).min(FAR);
    Some(if is_negative { -power } else { power })
}

fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unscaled(text: &str, scale: u32) -> Option<i128> {
        Exact::of(text)?.finite()?.unscaled(scale)
    }

    #[test]
    fn numbers_are_whole_in_units_of_a_scale_or_not_at_all() {
        for (text, scale, wanted) in [
            ("9.10", 2, Some(910)),
            ("9.105", 2, None),
            ("-0.5", 1, Some(-5)),
            ("+.5", 1, Some(5)),
            ("5.", 0, Some(5)),
            ("007", 0, Some(7)),
            ("1e3", 0, Some(1000)),
            ("15E-1", 1, Some(15)),
            ("0.000", 0, Some(0)),
            ("0e99999999999999999999", 0, Some(0)),
            ("1e99999999999999999999", 0, None),
            ("1e2147483647", 38, None),
            ("99999999999999999999999999999999999999", 0, Some(10i128.pow(38) - 1)),
            ("100000000000000000000000000000000000000", 0, Some(10i128.pow(38))),
            ("100000000000000000000000000000000000001", 0, None),
            ("1.50000000000000000000000000000000000000000000000000", 1, Some(15)),
        ] {
            assert_eq!(unscaled(text, scale), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in [
            "", "-", ".", "-.", "e5", "1e", "1e+", "1e5.0", "1.2.3", "1,5", "0x10", "1_000", "--1", " 1", "NaN", "inf",
            "١",
        ] {
            assert_eq!(Exact::of(text), None, "{text}");
        }
    }
}
