//! What a value says in a declared column of another type than its own: exactly that, or nothing.
//!
//! | declared | numbers, where values were written down | texts, where values were written down |
//! |---|---|---|
//! | `bool` | 0, 1 | `true`, `false`, in capitals or not, `1`, `0` |
//! | `int`, `long` | whole ones of 32 or 64 bits, `5.0` and `1e3` among them | the same |
//! | `double` | as a text | of 17 digits at most the nearest double; whole ones up to 2^53; `NaN`, `Infinity` |
//! | `decimal(p,s)` | with no digit lost | the same |
//! | `date` | | `2024-01-31`, which a midnight in UTC may follow |
//! | `timestamp` | | ISO 8601, in UTC where it has no offset, not finer than microseconds |
//! | `epoch`, `epoch_ms` | of the years 0 to 9999, not finer than microseconds; from any source | the same |
//! | `uuid` | | with or without hyphens |
//!
//! Around a text there may be white space. Of `objectid` and `binary` no text is read; in `text` and `json` every value is what it is.

use super::bson::Value;
use super::decimal::Decimal;
use super::declared::Type;
use super::exact::Exact;
use super::kinds::Kinds;
use super::shape::EXACT;
use crate::source::iso8601;

/// Whether values are taken for more than they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Coercion {
    /// The source has types of its own: a text is a text.
    #[default]
    Never,
    /// They were written down as texts and numbers, whatever they are, and are what they say.
    Written {
        /// A text without anything in it is null in columns that are not of texts.
        empty_is_null: bool,
    },
}

/// A column that does not widen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declaration {
    pub of: Type,
    pub coercion: Coercion,
}

/// What a value says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell {
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    /// In units of the column's scale, with no more digits than its precision.
    Decimal(i128),
    /// Days since 1970-01-01.
    Days(i32),
    /// Microseconds since 1970-01-01T00:00:00 UTC.
    Micros(i64),
    Uuid([u8; 16]),
}

impl Declaration {
    /// What a value says in the column, that is not of its own types; `None` where it does not fit.
    pub fn read(self, value: &Value<'_>) -> Option<Cell> {
        if self.coercion == Coercion::Never && !self.of.kinds().has(Kinds::of(value)) {
            return None;
        }
        Some(match self.of {
            Type::Bool => Cell::Bool(bool(value)?),
            Type::Int => Cell::Int(i32::try_from(unscaled(value, 0)?).ok()?),
            Type::Long => Cell::Long(i64::try_from(unscaled(value, 0)?).ok()?),
            Type::Double => Cell::Double(double(value)?),
            Type::Decimal { precision, scale } => {
                let most = 10u128.checked_pow(precision.into())?;
                Cell::Decimal(unscaled(value, scale).filter(|unscaled| unscaled.unsigned_abs() < most)?)
            }
            Type::Date => Cell::Days(date(text(value)?)?),
            Type::Timestamp => Cell::Micros(instant(text(value)?)?),
            Type::Epoch => Cell::Micros(epoch(value, 6)?),
            Type::EpochMillis => Cell::Micros(epoch(value, 3)?),
            Type::Uuid => Cell::Uuid(*uuid::Uuid::try_parse_ascii(text(value)?).ok()?.as_bytes()),
            Type::ObjectId | Type::Binary | Type::Text | Type::Json => return None,
        })
    }

    /// Whether a value is null for being a text without anything in it.
    #[inline]
    pub fn is_nothing(self, text: &[u8]) -> bool {
        self.coercion == Coercion::Written { empty_is_null: true }
            && !self.of.kinds().has(Kinds::TEXT)
            && text.trim_ascii().is_empty()
    }

    /// Why a value does not fit, without the value: `string, declared timestamp`.
    pub fn misfit(self, value: &Value<'_>) -> String {
        let (of, kinds) = (self.of, Kinds::of(value));
        let is_read = self.coercion != Coercion::Never || of.kinds().has(kinds);
        let is_number = || is_read && number(value).is_some();
        // One whose type may fit is itself too much.
        let which = match (of, value) {
            (Type::Double, Value::Int64(_)) => " beyond 2^53",
            (Type::Timestamp | Type::Epoch | Type::EpochMillis, Value::Instant(_)) => " beyond 64 bits of microseconds",
            (Type::Date, Value::Instant(_)) => " that is no midnight",
            (Type::Int | Type::Long | Type::Double | Type::Decimal { .. }, _) if is_number() => " of more digits",
            (Type::Epoch | Type::EpochMillis, _) if is_number() => " beyond year 9999, or finer than microseconds",
            (Type::Decimal { .. }, Value::Decimal(_)) => " of more digits",
            (of, Value::Text(_)) if is_read && !matches!(of, Type::ObjectId | Type::Binary) => " in another form",
            _ => "",
        };
        format!("{kinds}{which}, declared {of}")
    }
}

fn text<'a>(value: &Value<'a>) -> Option<&'a [u8]> {
    match value {
        Value::Text(text) => Some(text.trim_ascii()),
        _ => None,
    }
}

fn number(value: &Value<'_>) -> Option<Decimal> {
    let whole = |number: i64| Decimal::Finite {
        is_negative: number < 0,
        coefficient: number.unsigned_abs().into(),
        exponent: 0,
    };
    match value {
        Value::Int32(number) => Some(whole((*number).into())),
        Value::Int64(number) => Some(whole(*number)),
        // The shortest text that is this double, which is what was written.
        Value::Double(double) if double.is_finite() => Exact::of(zmij::Buffer::new().format_finite(*double))?.finite(),
        Value::Decimal(bits) => Some(Decimal::of(*bits)).filter(|decimal| matches!(decimal, Decimal::Finite { .. })),
        Value::Text(text) => Exact::of(std::str::from_utf8(text.trim_ascii()).ok()?)?.finite(),
        _ => None,
    }
}

fn unscaled(value: &Value<'_>, scale: u8) -> Option<i128> {
    number(value)?.unscaled(scale.into())
}

fn bool(value: &Value<'_>) -> Option<bool> {
    match text(value) {
        Some(text) if text.eq_ignore_ascii_case(b"true") => Some(true),
        Some(text) if text.eq_ignore_ascii_case(b"false") => Some(false),
        _ => match unscaled(value, 0)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
    }
}

fn double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Text(text) => nearest(std::str::from_utf8(text.trim_ascii()).ok()?),
        Value::Decimal(bits) => nearest(&Decimal::of(*bits).to_string()),
        _ => None,
    }
}

/// The double that is nearest to a number: 17 digits tell each double from all others, so more of them are lost.
fn nearest(text: &str) -> Option<f64> {
    const MOST_DIGITS: u32 = 17;
    if matches!(text, "NaN" | "Infinity" | "-Infinity") {
        return text.parse().ok();
    }
    let exact = Exact::of(text)?;
    let is_whole = !text.contains(['.', 'e', 'E']);
    let fits = match is_whole {
        true => exact.finite()?.unscaled(0)?.unsigned_abs() <= EXACT.into(),
        false => exact.count() <= MOST_DIGITS,
    };
    text.parse().ok().filter(|double: &f64| fits && double.is_finite())
}

fn date(text: &[u8]) -> Option<i32> {
    let iso8601::Moment { wall, zone } = iso8601::moment(text)?;
    let is_midnight = wall % iso8601::DAY == 0 && zone.unwrap_or(0) == 0;
    i32::try_from(wall / iso8601::DAY).ok().filter(|_| is_midnight)
}

fn instant(text: &[u8]) -> Option<i64> {
    let iso8601::Moment { wall, zone } = iso8601::moment(text)?;
    Some(wall - zone.unwrap_or(0))
}

/// Of a number in units of which `10^scale` microseconds are one.
fn epoch(value: &Value<'_>, scale: u8) -> Option<i64> {
    // Seconds that are really milliseconds lie far behind those years.
    i64::try_from(unscaled(value, scale)?).ok().filter(|micros| iso8601::YEARS.contains(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: Coercion = Coercion::Written { empty_is_null: false };

    fn read(coercion: Coercion, value: Value<'_>, of: &str) -> Option<Cell> {
        Declaration { of: Type::parse(of).unwrap(), coercion }.read(&value)
    }

    #[test]
    fn texts_are_read_exactly_or_not_at_all() {
        let at = 1_704_070_800_000_000;
        for (of, text, wanted) in [
            ("bool", "true", Some(Cell::Bool(true))),
            ("bool", "False", Some(Cell::Bool(false))),
            ("bool", "1", Some(Cell::Bool(true))),
            ("bool", "0", Some(Cell::Bool(false))),
            ("bool", "2", None),
            ("bool", "yes", None),
            ("int", " 42 ", Some(Cell::Int(42))),
            ("int", "-5.0", Some(Cell::Int(-5))),
            ("int", "5.5", None),
            ("int", "2147483648", None),
            ("long", "2147483648", Some(Cell::Long(2_147_483_648))),
            ("long", "9223372036854775808", None),
            ("long", "12abc", None),
            ("long", "1,000", None),
            ("decimal(10,2)", "9.10", Some(Cell::Decimal(910))),
            ("decimal(10,2)", "9.100", Some(Cell::Decimal(910))),
            ("decimal(10,2)", "9.105", None),
            ("decimal(10,2)", "99999999.99", Some(Cell::Decimal(9_999_999_999))),
            ("decimal(10,2)", "100000000", None),
            ("decimal(38)", "99999999999999999999999999999999999999", Some(Cell::Decimal(10i128.pow(38) - 1))),
            ("double", "0.1", Some(Cell::Double(0.1))),
            ("double", "0.10000000000000001", Some(Cell::Double(0.1))),
            ("double", "0.100000000000000012", None),
            ("double", "9007199254740992", Some(Cell::Double(9_007_199_254_740_992.0))),
            ("double", "9007199254740993", None),
            ("double", "1e300", Some(Cell::Double(1e300))),
            ("double", "1e400", None),
            ("double", "-Infinity", Some(Cell::Double(f64::NEG_INFINITY))),
            ("double", "inf", None),
            ("date", "2024-01-31", Some(Cell::Days(19_753))),
            ("date", "2024-01-31T00:00:00Z", Some(Cell::Days(19_753))),
            ("date", "2024-01-31T00:00:01Z", None),
            ("date", "2024-01-31T00:00:00+01:00", None),
            ("date", "2024-02-30", None),
            ("date", "31.01.2024", None),
            ("timestamp", "2024-01-01T01:00:00Z", Some(Cell::Micros(at))),
            ("timestamp", "2024-01-01T01:00:00", Some(Cell::Micros(at))),
            ("timestamp", "2024-01-01 02:00:00+01:00", Some(Cell::Micros(at))),
            ("timestamp", "2024-01-01T02:00:00+0100", Some(Cell::Micros(at))),
            ("timestamp", "2024-01-01T01:00:00.000001Z", Some(Cell::Micros(at + 1))),
            ("timestamp", "2024-01-01T01:00:00.000001000Z", Some(Cell::Micros(at + 1))),
            ("timestamp", "2024-01-01T01:00:00.0000001Z", None),
            ("timestamp", "2024-01-01", Some(Cell::Micros(at - 3_600_000_000))),
            ("timestamp", "1704070800", None),
            ("epoch", "1704070800", Some(Cell::Micros(at))),
            ("epoch", "1704070800.000001", Some(Cell::Micros(at + 1))),
            ("epoch", "1704070800.0000001", None),
            ("epoch", "1704070800000", None),
            ("epoch_ms", "1704070800000", Some(Cell::Micros(at))),
            ("uuid", "11111111-1111-1111-1111-111111111111", Some(Cell::Uuid([0x11; 16]))),
            ("uuid", "11111111111111111111111111111111", Some(Cell::Uuid([0x11; 16]))),
            ("uuid", "11111111-1111-1111-1111-11111111111", None),
            ("objectid", "5f0102030405060708090a0b", None),
            ("binary", "AQI=", None),
        ] {
            assert_eq!(read(WRITTEN, Value::Text(text.as_bytes()), of), wanted, "{text} as {of}");
            let numbers = [Value::Int32(1_704_070_800), Value::Double(0.5)];
            assert!(numbers.iter().all(|value| !of.starts_with("timestamp") || read(WRITTEN, *value, of).is_none()));
            assert_eq!(read(Coercion::Never, Value::Text(text.as_bytes()), of), None, "{text} as {of}");
        }
    }

    #[test]
    fn numbers_are_what_was_written() {
        let decimal = |text| Value::Decimal(Decimal::parse(text).unwrap().bits());
        for (of, value, wanted) in [
            // 9.10 of JSON.
            ("decimal(10,2)", Value::Double(9.1), Some(Cell::Decimal(910))),
            ("decimal(10,2)", Value::Double(9.105), None),
            ("decimal(10,2)", Value::Double(f64::NAN), None),
            ("int", Value::Double(5.0), Some(Cell::Int(5))),
            ("int", Value::Double(5.5), None),
            ("int", Value::Int64(5), Some(Cell::Int(5))),
            ("long", decimal("1E+3"), Some(Cell::Long(1000))),
            ("double", decimal("0.10000000000000001"), Some(Cell::Double(0.1))),
            ("double", Value::Int64((1 << 53) + 1), None),
            ("bool", Value::Int32(1), Some(Cell::Bool(true))),
            ("bool", Value::Int32(2), None),
            ("epoch", Value::Double(1.5), Some(Cell::Micros(1_500_000))),
        ] {
            assert_eq!(read(WRITTEN, value, of), wanted, "{value:?} as {of}");
            let of_any = of == "epoch";
            assert_eq!(read(Coercion::Never, value, of).is_some(), of_any && wanted.is_some(), "{value:?} as {of}");
        }
        assert_eq!(
            read(Coercion::Never, Value::Int64(1_704_070_800_000), "epoch_ms"),
            Some(Cell::Micros(1_704_070_800_000_000))
        );
    }

    #[test]
    fn why_it_does_not_fit_is_told_without_the_value() {
        let nanoseconds = Value::Text(b"2024-01-01T00:00:00.123456789Z");
        for (of, value, wanted) in [
            ("timestamp", nanoseconds, "string in another form, declared timestamp"),
            ("timestamp", Value::Int32(5), "int, declared timestamp"),
            (
                "epoch",
                Value::Int64(1_704_070_800_000),
                "long beyond year 9999, or finer than microseconds, declared epoch",
            ),
            ("decimal(10,2)", Value::Double(9.105), "double of more digits, declared decimal(10,2)"),
            ("decimal(10,2)", Value::Text(b"9.105"), "string of more digits, declared decimal(10,2)"),
            ("int", Value::Text(b"abc"), "string in another form, declared int"),
            ("uuid", Value::Text(b"abc"), "string in another form, declared uuid"),
            ("binary", Value::Text(b"abc"), "string, declared binary"),
            ("date", Value::Instant(1), "date that is no midnight, declared date"),
        ] {
            let declaration = Declaration { of: Type::parse(of).unwrap(), coercion: WRITTEN };
            assert_eq!(declaration.read(&value), None);
            assert_eq!(declaration.misfit(&value), wanted);
        }
    }

    #[test]
    fn what_has_nothing_in_it_is_null_where_there_are_texts_alone() {
        let nothing = |of: &str, empty_is_null, text: &str| {
            let coercion = Coercion::Written { empty_is_null };
            Declaration { of: Type::parse(of).unwrap(), coercion }.is_nothing(text.as_bytes())
        };
        assert!(nothing("int", true, "") && nothing("timestamp", true, " \t"));
        assert!(!nothing("int", false, "") && !nothing("int", true, "0"));
        assert!(!nothing("text", true, "") && !nothing("json", true, ""));
    }
}
