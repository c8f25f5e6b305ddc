//! Decimals: from the text that the server sends to Arrow's unscaled integers, exactly.

use arrow_buffer::i256;

use crate::record::decimal;

/// Precision and scale of a DECIMAL.
#[derive(Debug, Clone, Copy)]
pub struct Digits {
    pub precision: u8,
    pub scale: u8,
}

impl Digits {
    /// The unscaled value of plain notation; `None` where it has more digits than the type.
    #[inline]
    pub fn of_text(self, text: &[u8]) -> Option<i128> {
        let value = match self.of_short_text(text) {
            Some(value) => i128::from(value),
            None => decimal::parse_i128(text, self.scale as i8)?,
        };
        self.hold(value).then_some(value)
    }

    /// Whether an unscaled value has no more digits than the type.
    #[inline]
    pub fn hold(self, unscaled: i128) -> bool {
        unscaled.unsigned_abs() < 10u128.pow(u32::from(self.precision))
    }

    /// As [`Digits::of_text`], for the usual case of few digits, all of the scale's; `None` leaves it to the other.
    #[inline]
    fn of_short_text(self, text: &[u8]) -> Option<i64> {
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let scale = usize::from(self.scale);
        let (whole, fraction) = match scale {
            0 => (digits, &digits[..0]),
            _ => {
                let point = digits.len().checked_sub(scale + 1)?;
                if digits[point] != b'.' {
                    return None;
                }
                (&digits[..point], &digits[point + 1..])
            }
        };
        if whole.is_empty() || whole.len() + fraction.len() > 18 {
            return None;
        }
        let mut value = 0i64;
        for &byte in whole.iter().chain(fraction) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            value = value * 10 + i64::from(digit);
        }
        Some(if negative { -value } else { value })
    }

    /// As [`Digits::of_text`], for more than 38 digits.
    pub fn of_long_text(self, text: &[u8]) -> Option<i256> {
        let value = decimal::parse_i256(text, self.scale as i8)?;
        let limit = i256::from_i128(10).wrapping_pow(u32::from(self.precision));
        (value < limit && value > limit.wrapping_neg()).then_some(value)
    }
}
