//! MongoDB's decimals: 34 digits and an exponent, in IEEE 754-2008's binary form.

/// What one says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decimal {
    /// `coefficient` times ten to the `exponent`.
    Finite {
        is_negative: bool,
        coefficient: u128,
        exponent: i32,
    },
    Infinity {
        is_negative: bool,
    },
    NaN,
}

const BIAS: i32 = 6176;
/// The largest of 34 digits: what is above stands for zero.
const MOST: u128 = 9_999_999_999_999_999_999_999_999_999_999_999;

impl Decimal {
    pub fn of(bits: u128) -> Self {
        let is_negative = bits >> 127 == 1;
        match (bits >> 122) & 0b1_1111 {
            0b1_1111 => Decimal::NaN,
            0b1_1110 => Decimal::Infinity { is_negative },
            // A leading digit of 8 or 9 and 33 more would take more bits than there are: such a coefficient is none.
            combination if combination >> 3 == 0b11 => {
                let exponent = ((bits >> 111) & 0x3FFF) as i32 - BIAS;
                Decimal::Finite { is_negative, coefficient: 0, exponent }
            }
            _ => {
                let exponent = ((bits >> 113) & 0x3FFF) as i32 - BIAS;
                let coefficient = bits & ((1 << 113) - 1);
                Decimal::Finite { is_negative, coefficient: if coefficient > MOST { 0 } else { coefficient }, exponent }
            }
        }
    }

    /// What [`Display`](std::fmt::Display) writes, and other notations of the same; `None` where it is none, or has more digits than
    /// there are.
    pub fn parse(text: &str) -> Option<Self> {
        let (is_negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        match rest {
            "NaN" => return Some(Decimal::NaN),
            "Infinity" => return Some(Decimal::Infinity { is_negative }),
            _ => {}
        }
        let (digits, exponent) = match rest.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut coefficient = 0u128;
        for byte in whole.bytes().chain(fraction.bytes()) {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
            coefficient = coefficient.checked_mul(10)?.checked_add(digit.into()).filter(|number| *number <= MOST)?;
        }
        let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        let is_there = (-BIAS..=6111).contains(&exponent);
        is_there.then_some(Decimal::Finite { is_negative, coefficient, exponent })
    }

    /// As the bits that [`Decimal::of`] reads.
    pub fn bits(self) -> u128 {
        match self {
            Decimal::NaN => 0b01_1111 << 122,
            Decimal::Infinity { is_negative } => u128::from(is_negative) << 127 | 0b01_1110 << 122,
            Decimal::Finite { is_negative, coefficient, exponent } => {
                u128::from(is_negative) << 127 | ((exponent + BIAS) as u128) << 113 | coefficient
            }
        }
    }

    /// How many digits it has before and behind the point, as it was written: `120.00` has 3 and 2, zero has none. `None` where
    /// it is no number.
    pub fn digits(self) -> Option<(u32, u32)> {
        let Decimal::Finite { coefficient, exponent, .. } = self else { return None };
        let Some(log) = coefficient.checked_ilog10() else { return Some((0, 0)) };
        Some(((log as i32 + 1 + exponent).max(0) as u32, (-exponent).max(0) as u32))
    }

    /// As a whole number of `10^-scale`; `None` where it is not, or is too large.
    pub fn unscaled(self, scale: u32) -> Option<i128> {
        let Decimal::Finite { is_negative, coefficient, exponent } = self else { return None };
        let zeros = scale as i32 + exponent;
        let magnitude = match u32::try_from(zeros) {
            _ if coefficient == 0 => 0,
            Ok(zeros) => coefficient.checked_mul(10u128.checked_pow(zeros)?)?,
            Err(_) => {
                let power = 10u128.checked_pow(zeros.unsigned_abs())?;
                if !coefficient.is_multiple_of(power) {
                    return None;
                }
                coefficient / power
            }
        };
        let magnitude = i128::try_from(magnitude).ok()?;
        Some(if is_negative { -magnitude } else { magnitude })
    }
}

/// As the server writes it: `1.20`, `-0.001`, `1.2E+7`, `NaN`, `-Infinity`.
impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (is_negative, coefficient, exponent) = match *self {
            Decimal::NaN => return f.write_str("NaN"),
            Decimal::Infinity { is_negative } => {
                return f.write_str(if is_negative { "-Infinity" } else { "Infinity" });
            }
            Decimal::Finite { is_negative, coefficient, exponent } => (is_negative, coefficient, exponent),
        };
        if is_negative {
            f.write_str("-")?;
        }
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(coefficient);
        let adjusted = exponent + digits.len() as i32 - 1;
        if exponent > 0 || adjusted < -6 {
            let (first, rest) = digits.split_at(1);
            let point = if rest.is_empty() { "" } else { "." };
            return write!(f, "{first}{point}{rest}E{adjusted:+}");
        }
        match usize::try_from(-exponent).unwrap_or(0) {
            0 => f.write_str(digits),
            behind if behind < digits.len() => {
                let (whole, fraction) = digits.split_at(digits.len() - behind);
                write!(f, "{whole}.{fraction}")
            }
            behind => write!(f, "0.{}{digits}", "0".repeat(behind - digits.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finite(is_negative: bool, coefficient: u128, exponent: i32) -> Decimal {
        Decimal::Finite { is_negative, coefficient, exponent }
    }

    #[test]
    fn texts_are_the_servers_and_read_back() {
        for (decimal, wanted) in [
            (finite(false, 120, -2), "1.20"),
            (finite(true, 1, -3), "-0.001"),
            (finite(false, 12, 6), "1.2E+7"),
            (finite(false, 1, 3), "1E+3"),
            (finite(false, 1, -7), "1E-7"),
            (finite(false, 123, -8), "0.00000123"),
            (finite(false, 0, 0), "0"),
            (finite(true, 0, -2), "-0.00"),
            (finite(false, 0, 3), "0E+3"),
            (finite(false, MOST, -6176), "9.999999999999999999999999999999999E-6143"),
            (Decimal::NaN, "NaN"),
            (Decimal::Infinity { is_negative: false }, "Infinity"),
            (Decimal::Infinity { is_negative: true }, "-Infinity"),
        ] {
            assert_eq!(decimal.to_string(), wanted);
            assert_eq!(Decimal::parse(wanted), Some(decimal));
            assert_eq!(Decimal::of(decimal.bits()), decimal);
        }
        for other in ["", "-", ".", "1e", "1.2.3", "x", "1E+9999", "12345678901234567890123456789012345"] {
            assert_eq!(Decimal::parse(other), None, "{other}");
        }
        assert_eq!(Decimal::parse("+1.5e2"), Some(finite(false, 15, 1)));
    }

    #[test]
    fn bits_of_the_format() {
        // Of the format's own tests: 1, -1, 0.1, the largest.
        assert_eq!(Decimal::of(0x3040_0000_0000_0000_0000_0000_0000_0001), finite(false, 1, 0));
        assert_eq!(Decimal::of(0xB040_0000_0000_0000_0000_0000_0000_0001), finite(true, 1, 0));
        assert_eq!(Decimal::of(0x303E_0000_0000_0000_0000_0000_0000_0001), finite(false, 1, -1));
        assert_eq!(Decimal::of(0x5FFF_ED09_BEAD_87C0_378D_8E63_FFFF_FFFF), finite(false, MOST, 6111));
        // Coefficients that are none.
        assert_eq!(Decimal::of(finite(false, MOST + 1, 0).bits()), finite(false, 0, 0));
        assert_eq!(Decimal::of(0b11 << 125 | 5), finite(false, 0, -6176));
    }

    #[test]
    fn digits_before_and_behind_the_point() {
        for (coefficient, exponent, wanted) in
            [(12_000, -2, (3, 2)), (5, -3, (0, 3)), (5, 2, (3, 0)), (0, -2, (0, 0)), (99, 0, (2, 0)), (100, -1, (2, 1))]
        {
            assert_eq!(finite(false, coefficient, exponent).digits(), Some(wanted));
        }
        assert_eq!(Decimal::NaN.digits(), None);
    }

    #[test]
    fn whole_numbers_of_a_scale_are_exact() {
        let of = |is_negative, coefficient, exponent, scale| finite(is_negative, coefficient, exponent).unscaled(scale);
        assert_eq!(of(false, 125, -2, 2), Some(125));
        assert_eq!(of(true, 125, -2, 4), Some(-12_500));
        assert_eq!(of(false, 1250, -3, 2), Some(125));
        assert_eq!(of(false, 125, -3, 2), None);
        assert_eq!(of(false, 1, 3, 2), Some(100_000));
        assert_eq!(of(false, 1, 300, 2), None);
        assert_eq!(of(false, 0, -6000, 0), Some(0));
        assert_eq!(of(false, MOST, 0, 0), Some(MOST as i128));
        assert_eq!(of(false, MOST, 0, 6), None);
        assert_eq!(Decimal::NaN.unscaled(0), None);
    }
}
