//! Values of a cursor or a key as marks: exact, and read back into SQL of which nothing is taken for more than a value.

use rusqlite::types::ValueRef;

use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Bytes(Vec<u8>),
}

/// What sorts before what, whatever the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Number,
    Text,
    Bytes,
}

impl Class {
    pub fn name(self) -> &'static str {
        match self {
            Class::Number => "numbers",
            Class::Text => "text",
            Class::Bytes => "bytes",
        }
    }
}

/// Integers up to here are doubles too.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Mark {
    /// `None` for a null.
    pub fn of(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Null => None,
            ValueRef::Integer(number) => Some(Mark::Integer(number)),
            // Equal values have equal marks.
            ValueRef::Real(number) if number.fract() == 0.0 && number.abs() <= EXACT => {
                Some(Mark::Integer(number as i64))
            }
            ValueRef::Real(number) => Some(Mark::Real(number)),
            ValueRef::Text(text) => Some(Mark::Text(text.to_vec())),
            ValueRef::Blob(bytes) => Some(Mark::Bytes(bytes.to_vec())),
        }
    }

    /// Reads what [`Mark::text`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(quoted) = text.strip_prefix('\'') {
            let inner = quoted.strip_suffix('\'')?;
            let plain = inner.replace("''", "");
            return (!plain.contains('\'')).then(|| Mark::Text(inner.replace("''", "'").into_bytes()));
        }
        let digits = |prefix: &str| hex::decode(text.strip_prefix(prefix)?.strip_suffix('\'')?).ok();
        if let Some(bytes) = digits("x'") {
            return Some(Mark::Bytes(bytes));
        }
        if let Some(bytes) = digits("text x'") {
            return Some(Mark::Text(bytes));
        }
        let whole = text.strip_prefix('-').unwrap_or(text);
        match !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse().ok().map(Mark::Integer),
            false => text.parse().ok().filter(|number: &f64| !number.is_nan()).map(Mark::Real),
        }
    }

    /// For the position: as people write it, and exact.
    pub fn text(&self) -> String {
        match self {
            Mark::Integer(number) => number.to_string(),
            Mark::Real(number) => format!("{number:?}"),
            Mark::Bytes(bytes) => format!("x'{}'", hex::encode(bytes)),
            Mark::Text(bytes) => match str::from_utf8(bytes) {
                Ok(text) if !text.contains('\0') => format!("'{}'", text.replace('\'', "''")),
                // What no literal can hold.
                _ => format!("text x'{}'", hex::encode(bytes)),
            },
        }
    }

    fn sql(&self) -> String {
        match self {
            Mark::Integer(i64::MIN) => "(-9223372036854775807 - 1)".to_owned(),
            Mark::Integer(number) => number.to_string(),
            Mark::Real(number) => real(*number),
            Mark::Bytes(bytes) => format!("x'{}'", hex::encode(bytes)),
            Mark::Text(bytes) => match str::from_utf8(bytes) {
                Ok(text) if !text.contains('\0') => format!("'{}'", text.replace('\'', "''")),
                _ => format!("cast(x'{}' as text)", hex::encode(bytes)),
            },
        }
    }

    pub fn class(&self) -> Class {
        match self {
            Mark::Integer(_) | Mark::Real(_) => Class::Number,
            Mark::Text(_) => Class::Text,
            Mark::Bytes(_) => Class::Bytes,
        }
    }
}

/// A mark's text as SQL.
pub fn literal(text: &str) -> Result<String> {
    Mark::parse(text).map(|mark| mark.sql()).ok_or_else(|| {
        Error::conflict("a mark of the stream is no value of SQLite")
            .hint("Run it once with `--full-refresh`, or give it another name.")
    })
}

/// A double made of integers, since SQLite reads decimals to some fifteen digits.
fn real(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "9e999".to_owned() } else { "-9e999".to_owned() };
    }
    let bits = number.to_bits();
    let exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or_default();
    let fraction = (bits & ((1 << 52) - 1)).cast_signed();
    // Below the smallest normal number there is no leading bit.
    let (mantissa, exponent) = if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    let sign = if number.is_sign_negative() { "-" } else { "" };
    let mut sql = format!("({sign}cast({mantissa} as real)");
    let mut left = exponent.unsigned_abs();
    // Powers of two change no digit of the mantissa.
    while left > 0 {
        let step = left.min(62);
        sql.push_str(&format!(" {} cast({} as real)", if exponent < 0 { '/' } else { '*' }, 1i64 << step));
        left -= step;
    }
    sql.push(')');
    sql
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::*;

    fn back(mark: &Mark) -> Mark {
        let connection = Connection::open_in_memory().unwrap();
        let sql = format!("select {}", literal(&mark.text()).unwrap());
        let mut statement = connection.prepare(&sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        let row = rows.next().unwrap().unwrap();
        Mark::of(row.get_ref(0).unwrap()).unwrap()
    }

    #[test]
    fn every_class_comes_back_from_sqlite() {
        for mark in [
            Mark::Integer(i64::MIN),
            Mark::Integer(i64::MAX),
            Mark::Real(0.1),
            Mark::Real(-1_763_778_000.123_456),
            Mark::Real(2_461_366.594_123_456),
            Mark::Real(f64::MAX),
            Mark::Real(f64::MIN_POSITIVE),
            Mark::Real(5e-324),
            Mark::Real(f64::INFINITY),
            Mark::Text(b"it's; -- \"x\"".to_vec()),
            Mark::Text(b"a\0b\xff".to_vec()),
            Mark::Text(Vec::new()),
            Mark::Bytes(vec![0, 255]),
            Mark::Bytes(Vec::new()),
        ] {
            assert_eq!(Mark::parse(&mark.text()).as_ref(), Some(&mark), "{}", mark.text());
            if !matches!(mark, Mark::Real(number) if number.fract() == 0.0 && number.abs() <= EXACT) {
                assert_eq!(back(&mark), mark, "{}", mark.text());
            }
        }
        assert_eq!(Mark::of(ValueRef::Real(5.0)), Some(Mark::Integer(5)));
        assert_eq!(Mark::of(ValueRef::Null), None);
    }

    #[test]
    fn what_is_no_mark_is_refused() {
        for wrong in ["", "'", "'a'b'", "x'0'", "1 or 1=1", "nan", "select 1"] {
            assert!(literal(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn doubles_are_exact(number in any::<f64>().prop_filter("a number", |number| !number.is_nan())) {
            let mark = Mark::of(ValueRef::Real(number)).unwrap();
            prop_assert_eq!(back(&mark), mark);
        }

        #[test]
        fn texts_are_exact(text in ".*") {
            let mark = Mark::Text(text.into_bytes());
            prop_assert_eq!(back(&mark), mark);
        }
    }
}
