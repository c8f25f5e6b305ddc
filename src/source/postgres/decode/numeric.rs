//! The binary form of `numeric`: digits of base 10,000 with the place of the first, to decimals and to text.
//!
//! `i16 number of digits, i16 weight of the first, u16 sign, u16 digits after the point, then the digits, each i16`:
//! the value is the sum of `digit × 10000^(weight - index)`.

use arrow_buffer::i256;

use super::Fault;

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// A numeric that is a number, not yet read further.
struct Number<'a> {
    /// Two bytes each.
    digits: &'a [u8],
    weight: i32,
    negative: bool,
    /// Decimal digits shown after the point.
    places: usize,
}

/// The parts of a numeric, or its sign where it is no number.
#[inline]
fn parse(raw: &[u8]) -> Result<Result<Number<'_>, u16>, Fault> {
    let Some(([n0, n1, w0, w1, s0, s1, p0, p1], digits)) = raw.split_first_chunk::<8>() else {
        return Err(Fault::Malformed);
    };
    let sign = u16::from_be_bytes([*s0, *s1]);
    match sign {
        0 | NEGATIVE => {}
        NAN | INFINITY | NEGATIVE_INFINITY => return Ok(Err(sign)),
        _ => return Err(Fault::Malformed),
    }
    if digits.len() != usize::from(u16::from_be_bytes([*n0, *n1])) * 2 {
        return Err(Fault::Malformed);
    }
    Ok(Ok(Number {
        digits,
        weight: i32::from(i16::from_be_bytes([*w0, *w1])),
        negative: sign == NEGATIVE,
        places: usize::from(u16::from_be_bytes([*p0, *p1])),
    }))
}

/// A number as one whole one: `(the rest's digits × step + last) × 10^exponent`.
struct Whole<'a> {
    rest: &'a [u8],
    step: u16,
    last: u16,
    exponent: usize,
}

impl<'a> Number<'a> {
    /// This number times `10^scale`, which must be whole; `None` for zero.
    #[inline]
    fn whole(&self, scale: i8) -> Result<Option<Whole<'a>>, Fault> {
        let mut digits = self.digits;
        let mut exponent = 4 * (self.weight + 1 - (digits.len() / 2) as i32) + i32::from(scale);
        // Whole digits beyond the scale, which can only be zeros.
        while exponent <= -4 {
            digits = match digits.split_last_chunk() {
                Some((rest, [0, 0])) => rest,
                Some(_) => return Err(Fault::Digits),
                None => return Ok(None),
            };
            exponent += 4;
        }
        let Some((rest, last)) = digits.split_last_chunk::<2>() else { return Ok(None) };
        let last = digit(*last)?;
        // Of the last digit only as many tens as the scale has: its whole may not fit where its part does.
        let (unit, step) = match exponent {
            -3 => (1_000, 10),
            -2 => (100, 100),
            -1 => (10, 1_000),
            _ => (1, 10_000),
        };
        match last % unit {
            0 => Ok(Some(Whole { rest, step, last: last / unit, exponent: exponent.max(0) as usize })),
            _ => Err(Fault::Digits),
        }
    }

    /// The digit at a place, zero beyond both ends.
    fn at(&self, place: i32) -> Result<u16, Fault> {
        let pair = usize::try_from(place).ok().and_then(|place| self.digits.get(place * 2..place * 2 + 2));
        match pair {
            Some(pair) => digit([pair[0], pair[1]]),
            None => Ok(0),
        }
    }
}

#[inline]
fn digit(pair: [u8; 2]) -> Result<u16, Fault> {
    match u16::from_be_bytes(pair) {
        digit @ 0..=9999 => Ok(digit),
        _ => Err(Fault::Malformed),
    }
}

/// The value times `10^scale`, exactly, below `limit`. A number that is none is [`Fault::NotANumber`].
#[inline]
pub fn to_i128(raw: &[u8], scale: i8, limit: i128) -> Result<i128, Fault> {
    let Ok(number) = parse(raw)? else { return Err(Fault::NotANumber) };
    let Some(whole) = number.whole(scale)? else { return Ok(0) };
    let pairs = whole.rest.chunks_exact(2).map(|pair| digit([pair[0], pair[1]]));
    // Four digits of base 10,000 fit 64 bits, and so do nearly all numbers there are.
    let mut magnitude = if whole.rest.len() <= 6 {
        let mut sum = 0u64;
        for digit in pairs {
            sum = sum * 10_000 + u64::from(digit?);
        }
        u128::from(sum * u64::from(whole.step) + u64::from(whole.last))
    } else {
        let mut sum = 0u128;
        let join = |sum: u128, step: u16, digit: u16| sum.checked_mul(u128::from(step))?.checked_add(u128::from(digit));
        for digit in pairs {
            sum = join(sum, 10_000, digit?).ok_or(Fault::Digits)?;
        }
        join(sum, whole.step, whole.last).ok_or(Fault::Digits)?
    };
    if whole.exponent > 0 {
        let power = POWERS.get(whole.exponent);
        magnitude = power.and_then(|power| magnitude.checked_mul(*power)).ok_or(Fault::Digits)?;
    }
    let value = i128::try_from(magnitude).ok().filter(|value| *value < limit).ok_or(Fault::Digits)?;
    Ok(if number.negative { -value } else { value })
}

/// Powers of ten.
const POWERS: [u128; 39] = {
    let mut powers = [1u128; 39];
    let mut i = 1;
    while i < 39 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// As [`to_i128`], for up to 76 digits.
pub fn to_i256(raw: &[u8], scale: i8, limit: i256) -> Result<i256, Fault> {
    let Ok(number) = parse(raw)? else { return Err(Fault::NotANumber) };
    let Some(whole) = number.whole(scale)? else { return Ok(i256::ZERO) };
    let join = |sum: i256, step: u16, digit: u16| {
        let sum = sum.checked_mul(i256::from_i128(i128::from(step)))?;
        sum.checked_add(i256::from_i128(i128::from(digit)))
    };
    let mut sum = i256::ZERO;
    for pair in whole.rest.chunks_exact(2) {
        sum = join(sum, 10_000, digit([pair[0], pair[1]])?).ok_or(Fault::Digits)?;
    }
    sum = join(sum, whole.step, whole.last).ok_or(Fault::Digits)?;
    for _ in 0..whole.exponent {
        sum = join(sum, 10, 0).ok_or(Fault::Digits)?;
    }
    match sum < limit {
        true => Ok(if number.negative { sum.wrapping_neg() } else { sum }),
        false => Err(Fault::Digits),
    }
}

/// Appends the text that the server itself would show.
pub fn write_text(out: &mut Vec<u8>, raw: &[u8]) -> Result<(), Fault> {
    let number = match parse(raw)? {
        Ok(number) => number,
        Err(sign) => {
            out.extend_from_slice(match sign {
                INFINITY => b"Infinity",
                NEGATIVE_INFINITY => b"-Infinity",
                _ => b"NaN",
            });
            return Ok(());
        }
    };
    if number.negative {
        out.push(b'-');
    }
    match number.weight < 0 {
        true => out.push(b'0'),
        false => {
            let mut buffer = itoa::Buffer::new();
            out.extend_from_slice(buffer.format(number.at(0)?).as_bytes());
            for place in 1..=number.weight {
                out.extend_from_slice(&four(number.at(place)?));
            }
        }
    }
    if number.places > 0 {
        out.push(b'.');
        let end = out.len() + number.places;
        let mut place = number.weight + 1;
        while out.len() < end {
            out.extend_from_slice(&four(number.at(place)?));
            place += 1;
        }
        out.truncate(end);
    }
    Ok(())
}

fn four(digit: u16) -> [u8; 4] {
    let place = |power: u16| b'0' + (digit / power % 10) as u8;
    [place(1000), place(100), place(10), place(1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::decimal;

    /// The binary form of a plain decimal, made the long way.
    fn encode(text: &str) -> Vec<u8> {
        let (sign, text) = match text.strip_prefix('-') {
            Some(text) => (NEGATIVE, text),
            None => (0, text),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
        let padded = format!("{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
        let all = format!("{whole}{padded}");
        let mut digits: Vec<u16> =
            all.as_bytes().chunks(4).map(|c| std::str::from_utf8(c).unwrap().parse().unwrap()).collect();
        let mut weight = whole.len() as i16 / 4 - 1;
        while digits.first() == Some(&0) {
            digits.remove(0);
            weight -= 1;
        }
        while digits.last() == Some(&0) {
            digits.pop();
        }
        if digits.is_empty() {
            weight = 0;
        }
        let mut out = Vec::new();
        for word in [digits.len() as u16, weight as u16, sign, fraction.len() as u16].into_iter().chain(digits) {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out
    }

    fn decimal128(text: &str, precision: u32, scale: i8) -> Result<i128, Fault> {
        to_i128(&encode(text), scale, 10i128.pow(precision))
    }

    #[test]
    fn numbers_at_the_edges() {
        assert_eq!(decimal128("21168.23", 15, 2), Ok(2_116_823));
        assert_eq!(decimal128("-0.04", 15, 2), Ok(-4));
        assert_eq!(decimal128("0.00", 15, 2), Ok(0));
        assert_eq!(decimal128("10000", 5, 0), Ok(10_000));
        assert_eq!(decimal128("99000", 5, 0), Ok(99_000));
        assert_eq!(decimal128("0.00999", 5, 5), Ok(999));
        let nines = "9".repeat(37);
        // With the tail of its last digit it would need 41 digits.
        assert_eq!(decimal128(&format!("{nines}.9"), 38, 1), Ok(10i128.pow(38) - 1));
        assert_eq!(decimal128(&format!("-0.{nines}9"), 38, 38), Ok(1 - 10i128.pow(38)));
    }

    #[test]
    fn nothing_is_rounded_or_wrapped() {
        assert_eq!(decimal128("0.125", 15, 2), Err(Fault::Digits));
        assert_eq!(decimal128("100000", 5, 0), Err(Fault::Digits));
        assert_eq!(decimal128(&"9".repeat(60), 38, 0), Err(Fault::Digits));
        assert_eq!(decimal128("0.00001", 38, 4), Err(Fault::Digits));
        let limit = i256::from_i128(10).wrapping_pow(76);
        assert_eq!(to_i256(&encode(&"9".repeat(77)), 0, limit), Err(Fault::Digits));
        assert_eq!(to_i256(&encode(&"9".repeat(76)), 0, limit).unwrap().to_string(), "9".repeat(76));
        assert_eq!(
            to_i256(&encode(&format!("{}.5", "9".repeat(75))), 1, limit).unwrap().to_string(),
            format!("{}5", "9".repeat(75))
        );
        assert_eq!(to_i256(&encode("0.5"), 0, limit), Err(Fault::Digits));
    }

    #[test]
    fn what_is_no_number() {
        for (sign, text) in [(NAN, "NaN"), (INFINITY, "Infinity"), (NEGATIVE_INFINITY, "-Infinity")] {
            let mut raw = vec![0; 8];
            raw[4..6].copy_from_slice(&sign.to_be_bytes());
            assert_eq!(to_i128(&raw, 2, 1000), Err(Fault::NotANumber));
            assert_eq!(to_i256(&raw, 2, i256::ONE), Err(Fault::NotANumber));
            let mut out = Vec::new();
            write_text(&mut out, &raw).unwrap();
            assert_eq!(out, text.as_bytes());
        }
    }

    fn shown(raw: &[u8]) -> String {
        let mut out = Vec::new();
        write_text(&mut out, raw).unwrap();
        String::from_utf8(out).unwrap()
    }

    proptest::proptest! {
        #[test]
        fn text_is_what_it_was(whole in "0|[1-9][0-9]{0,60}", fraction in "[0-9]{0,60}", negative: bool) {
            let text = match fraction.is_empty() {
                true => whole,
                false => format!("{whole}.{fraction}"),
            };
            let zero = text.bytes().all(|b| matches!(b, b'0' | b'.'));
            let text = if negative && !zero { format!("-{text}") } else { text };
            proptest::prop_assert_eq!(shown(&encode(&text)), text);
        }

        #[test]
        fn decimals_are_what_they_were(value in -(10i128.pow(38) - 1)..10i128.pow(38), scale in 0i8..=38) {
            let mut text = Vec::new();
            decimal::write_i128(&mut text, value, scale);
            let raw = encode(std::str::from_utf8(&text).unwrap());
            proptest::prop_assert_eq!(to_i128(&raw, scale, 10i128.pow(38)), Ok(value));
            let limit = i256::from_i128(10).wrapping_pow(76);
            proptest::prop_assert_eq!(to_i256(&raw, scale, limit), Ok(i256::from_i128(value)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(raw: Vec<u8>, scale in 0i8..=76) {
            let _ = to_i128(&raw, scale.min(38), 10i128.pow(38));
            let _ = to_i256(&raw, scale, i256::MAX);
            let _ = write_text(&mut Vec::new(), &raw);
        }
    }
}
