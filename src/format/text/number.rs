//! Numbers: every digit, and no more.

use arrow_buffer::i256;

use super::Out;

#[inline]
pub fn integer<I: itoa::Integer>(out: &mut Out, value: I) {
    out.slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The shortest digits that read back as the same number: `0.1`, `1.0`, `1e+300`, `-0.0`; or `NaN`, `Infinity`,
/// `-Infinity`.
#[inline]
pub fn float64(out: &mut Out, value: f64) {
    match value.is_finite() {
        true => out.slice(zmij::Buffer::new().format_finite(value).as_bytes()),
        false => out.slice(not_finite(value)),
    }
}

/// As [`float64`], with the digits that a single needs.
#[inline]
pub fn float32(out: &mut Out, value: f32) {
    match value.is_finite() {
        true => out.slice(zmij::Buffer::new().format_finite(value).as_bytes()),
        false => out.slice(not_finite(value.into())),
    }
}

#[cold]
fn not_finite(value: f64) -> &'static [u8] {
    match value {
        f64::INFINITY => b"Infinity",
        f64::NEG_INFINITY => b"-Infinity",
        _ => b"NaN",
    }
}

/// Powers of ten that an u64 holds.
const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut index = 1;
    while index < powers.len() {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
};

/// Plain notation with exactly `scale` digits after the point; zeros before it where the scale is negative.
#[inline]
pub fn decimal128(out: &mut Out, value: i128, scale: i8) {
    if value < 0 {
        out.push(b'-');
    }
    let magnitude = value.unsigned_abs();
    match (u64::try_from(magnitude), usize::try_from(scale)) {
        (Ok(small), Ok(scale)) if scale < POWERS.len() => small_decimal(out, small, scale),
        _ => large_decimal(out, [magnitude as u64, (magnitude >> 64) as u64, 0, 0], scale),
    }
}

/// As [`decimal128`].
pub fn decimal256(out: &mut Out, value: i256, scale: i8) {
    if value.is_negative() {
        out.push(b'-');
    }
    let (low, high) = match value.is_negative() {
        true => value.wrapping_neg().to_parts(),
        false => value.to_parts(),
    };
    let high = high as u128;
    large_decimal(out, [low as u64, (low >> 64) as u64, high as u64, (high >> 64) as u64], scale);
}

#[inline]
fn small_decimal(out: &mut Out, value: u64, scale: usize) {
    match scale {
        0 => integer(out, value),
        // Money: division by a constant is several times faster.
        2 => {
            integer(out, value / 100);
            let cents = (value % 100) as u8;
            out.fixed(&[b'.', b'0' + cents / 10, b'0' + cents % 10]);
        }
        _ => {
            integer(out, value / POWERS[scale]);
            let mut fraction = value % POWERS[scale];
            let slot = out.slot::<20>();
            slot[0] = b'.';
            for digit in slot[1..=scale].iter_mut().rev() {
                *digit = b'0' + (fraction % 10) as u8;
                fraction /= 10;
            }
            out.advance(1 + scale);
        }
    }
}

/// A magnitude of four limbs, lowest first.
#[cold]
#[inline(never)]
fn large_decimal(out: &mut Out, mut limbs: [u64; 4], scale: i8) {
    const CHUNK: usize = 19;
    // 2^256 has 78 digits: five chunks.
    let mut digits = [b'0'; 5 * CHUNK];
    for chunk in digits.rchunks_exact_mut(CHUNK) {
        let mut remainder: u128 = 0;
        for limb in limbs.iter_mut().rev() {
            let part = remainder << 64 | u128::from(*limb);
            *limb = (part / u128::from(POWERS[CHUNK])) as u64;
            remainder = part % u128::from(POWERS[CHUNK]);
        }
        let mut rest = remainder as u64;
        for digit in chunk.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }
    let first = digits.iter().position(|&digit| digit != b'0').unwrap_or(digits.len());
    place_point(out, &digits[first..], scale);
}

/// `digits` has no zeros in front, and is empty for zero.
fn place_point(out: &mut Out, digits: &[u8], scale: i8) {
    let distance = usize::from(scale.unsigned_abs());
    if digits.is_empty() && scale <= 0 {
        out.push(b'0');
    } else if scale <= 0 {
        out.slice(digits);
        (0..distance).for_each(|_| out.push(b'0'));
    } else if digits.len() > distance {
        let (whole, fraction) = digits.split_at(digits.len() - distance);
        out.slice(whole);
        out.push(b'.');
        out.slice(fraction);
    } else {
        out.fixed(b"0.");
        (digits.len()..distance).for_each(|_| out.push(b'0'));
        out.slice(digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::decimal;

    fn text(write: impl FnOnce(&mut Out)) -> String {
        let mut out = Out::default();
        write(&mut out);
        String::from_utf8(out.into_vec()).unwrap()
    }

    #[test]
    fn floats_are_short_and_exact() {
        let shown = |value| text(|out| float64(out, value));
        assert_eq!(shown(0.1), "0.1");
        assert_eq!(shown(-0.0), "-0.0");
        assert_eq!(shown(1.0), "1.0");
        assert_eq!(shown(1e300), "1e+300");
        assert_eq!(shown(f64::NAN), "NaN");
        assert_eq!(shown(f64::NEG_INFINITY), "-Infinity");
        assert_eq!(text(|out| float32(out, 0.1)), "0.1");
        assert_eq!(text(|out| float32(out, f32::INFINITY)), "Infinity");
    }

    #[test]
    fn decimals_have_all_digits_of_their_scale() {
        let shown = |value, scale| text(|out| decimal128(out, value, scale));
        assert_eq!(shown(0, 2), "0.00");
        assert_eq!(shown(-5, 2), "-0.05");
        assert_eq!(shown(-5, 3), "-0.005");
        assert_eq!(shown(1, 19), "0.0000000000000000001");
        assert_eq!(shown(12, -2), "1200");
        assert_eq!(shown(0, -2), "0");
        assert_eq!(shown(i128::MIN, 0), i128::MIN.to_string());
        assert_eq!(shown(i128::MAX, 38), "1.70141183460469231731687303715884105727");
    }

    proptest::proptest! {
        #[test]
        fn floats_read_back(bits: u64, single: u32) {
            let (value, single) = (f64::from_bits(bits), f32::from_bits(single));
            let read = text(|out| float64(out, value)).parse::<f64>().unwrap();
            proptest::prop_assert!(read.to_bits() == bits || value.is_nan() && read.is_nan());
            let read = text(|out| float32(out, single)).parse::<f32>().unwrap();
            proptest::prop_assert!(read.to_bits() == single.to_bits() || single.is_nan() && read.is_nan());
        }

        #[test]
        fn decimals_agree_with_the_record(low: u128, high: i128, shift in 0u8..255, scale in -20i8..=76) {
            // Shifted, so that small magnitudes occur too.
            let value = i256::from_parts(low, high) >> shift;
            let mut want = Vec::new();
            decimal::write_i256(&mut want, value, scale);
            proptest::prop_assert_eq!(text(|out| decimal256(out, value, scale)).into_bytes(), want);
            let value = high >> (shift % 127);
            let mut want = Vec::new();
            decimal::write_i128(&mut want, value, scale);
            proptest::prop_assert_eq!(text(|out| decimal128(out, value, scale)).into_bytes(), want);
        }
    }
}
