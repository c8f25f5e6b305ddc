//! Values of a cursor as texts: Extended JSON, relaxed where that is exact, which says more to people.

use std::cmp::Ordering;

use mongodb::bson::{Bson, Document};

use super::id;
use crate::error::{Error, Result};
use crate::source::cursor::Lookback;
use crate::source::documents::bson::{Elements, Value};
use crate::source::documents::decimal::Decimal;
use crate::source::documents::json::{self, Form};
use crate::source::documents::write::{self, Dialect};

/// A value, apart from its document.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    pub class: Class,
    /// Milliseconds since 1970 of a date; seconds of an object id and of a timestamp.
    at: i64,
    /// A number, as far as a double tells it, and exactly where it is whole.
    number: f64,
    whole: Option<i128>,
    /// The bytes of an object id or a text; the ordinal of a timestamp.
    rest: Vec<u8>,
    text: String,
}

/// What values of one cursor are all of: the server sorts all of one class behind all of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Number,
    Text,
    ObjectId,
    Date,
    Timestamp,
}

impl Class {
    pub fn name(self) -> &'static str {
        match self {
            Class::Number => "numbers",
            Class::Text => "texts",
            Class::ObjectId => "object ids",
            Class::Date => "dates",
            Class::Timestamp => "timestamps",
        }
    }
}

impl Mark {
    /// `None` of a value that is none to go by: null, and types without an order that anybody means.
    pub fn of(value: &Value<'_>) -> Option<Self> {
        let (mut at, mut number, mut whole, mut rest) = (0, 0.0, None, Vec::new());
        let class = match value {
            Value::Int32(of) => {
                (number, whole) = (f64::from(*of), Some(i128::from(*of)));
                Class::Number
            }
            Value::Int64(of) => {
                (number, whole) = (*of as f64, Some(i128::from(*of)));
                Class::Number
            }
            Value::Double(of) if of.is_finite() => {
                number = *of;
                whole = (of.fract() == 0.0 && of.abs() < 1e38).then_some(*of as i128);
                Class::Number
            }
            Value::Decimal(bits) => {
                let decimal = Decimal::of(*bits);
                let Decimal::Finite { .. } = decimal else { return None };
                number = decimal.to_string().parse().ok()?;
                whole = decimal.unscaled(0);
                Class::Number
            }
            Value::Text(text) => {
                rest = text.to_vec();
                Class::Text
            }
            Value::ObjectId(id) => {
                at = i64::from(u32::from_be_bytes([id[0], id[1], id[2], id[3]]));
                rest = id.to_vec();
                Class::ObjectId
            }
            Value::Instant(millis) => {
                at = *millis;
                Class::Date
            }
            Value::Timestamp { seconds, ordinal } => {
                at = i64::from(*seconds);
                rest = ordinal.to_be_bytes().to_vec();
                Class::Timestamp
            }
            _ => return None,
        };
        let mut text = Vec::new();
        // Readers of JSON may be off by the last bit of a double.
        let form = if matches!(value, Value::Double(_)) { Form::Canonical } else { Form::Relaxed };
        json::value(&mut text, value, form).ok()?;
        Some(Self { class, at, number, whole, rest, text: String::from_utf8(text).ok()? })
    }

    /// As [`Mark::text`] gave it.
    pub fn parse(text: &str) -> Result<Self> {
        let odd = || Error::conflict("the stream's mark is no value of a MongoDB collection");
        let bytes = write::document(&format!(r#"{{"v":{text}}}"#), Dialect::Extended).map_err(|_| odd())?;
        let (_, value) = Elements::of(&bytes).and_then(|mut all| all.advance()).ok().flatten().ok_or_else(odd)?;
        Self::of(&value).ok_or_else(odd)
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// As a command takes it.
    pub fn bson(&self) -> Result<Bson> {
        let mut document: Document = id::document(&self.text)?;
        document.remove(id::ID).ok_or_else(|| Error::bug("a mark that is no value"))
    }

    /// As the server sorts them; of one class.
    pub fn compare(&self, other: &Self) -> Ordering {
        let by_class = self.class.cmp(&other.class);
        let by_number = || match (self.whole, other.whole) {
            (Some(one), Some(other)) => one.cmp(&other),
            _ => self.number.total_cmp(&other.number),
        };
        by_class.then_with(|| match self.class {
            Class::Number => by_number(),
            _ => self.at.cmp(&other.at).then_with(|| self.rest.cmp(&other.rest)),
        })
    }

    /// Microseconds since 1970, of what is a time.
    pub fn micros(&self) -> Option<i64> {
        match self.class {
            Class::Date => self.at.checked_mul(1000),
            Class::ObjectId | Class::Timestamp => self.at.checked_mul(1_000_000),
            Class::Number | Class::Text => None,
        }
    }

    pub fn whole(&self) -> Option<i128> {
        self.whole
    }

    /// The value of a class at a time; the least of a second, where it is not finer.
    pub fn at(class: Class, micros: i64) -> Option<Self> {
        let seconds = || u32::try_from(micros.div_euclid(1_000_000)).ok();
        match class {
            Class::Date => Self::of(&Value::Instant(micros.div_euclid(1000))),
            Class::ObjectId => {
                let mut id = [0; 12];
                id[..4].copy_from_slice(&seconds()?.to_be_bytes());
                Self::of(&Value::ObjectId(id))
            }
            Class::Timestamp => Self::of(&Value::Timestamp { seconds: seconds()?, ordinal: 0 }),
            Class::Number | Class::Text => None,
        }
    }

    /// The greatest object id of the same second; itself, where it is none.
    pub fn end_of_second(&self) -> Option<Self> {
        if self.class != Class::ObjectId {
            return Some(self.clone());
        }
        let mut id = [0xFF; 12];
        id[..4].copy_from_slice(&u32::try_from(self.at).ok()?.to_be_bytes());
        Self::of(&Value::ObjectId(id))
    }

    pub fn of_number(number: i128) -> Option<Self> {
        Self::of(&Value::Int64(i64::try_from(number).ok()?))
    }

    /// What people write for a value of a class.
    pub fn read(class: Class, text: &str) -> Option<Self> {
        let text = text.trim();
        let instant = || {
            let at = text.parse::<jiff::Timestamp>().ok();
            let civil = || text.replacen(' ', "T", 1).parse::<jiff::civil::DateTime>().ok();
            let day =
                || text.parse::<jiff::civil::Date>().ok().map(|day| day.to_datetime(jiff::civil::Time::midnight()));
            at.or_else(|| civil().or_else(day)?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp()))
        };
        match class {
            Class::Text => Self::of(&Value::Text(text.as_bytes())),
            Class::Number => {
                let number = text.parse::<i64>().map(|number| Self::of(&Value::Int64(number)));
                number.unwrap_or_else(|_| Self::of(&Value::Double(text.parse().ok()?)))
            }
            Class::ObjectId if text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Self::parse(&format!(r#"{{"$oid":"{}"}}"#, text.to_lowercase())).ok()
            }
            Class::Date | Class::ObjectId | Class::Timestamp => Self::at(class, instant()?.as_microsecond()),
        }
    }

    /// The value that lies a lookback behind it.
    pub fn floor(&self, lookback: &Lookback) -> Option<Self> {
        match self.class {
            Class::Number => Self::of_number(self.whole?.checked_sub(lookback.number.as_ref()?.parse().ok()?)?),
            Class::Text => None,
            class => {
                let behind = i64::try_from(lookback.time?.as_micros()).ok()?;
                Self::at(class, self.micros()?.checked_sub(behind)?)
            }
        }
    }

    /// How `lookback` is to be written for a class.
    pub fn lookbacks(class: Class) -> &'static str {
        match class {
            Class::Number => "a number",
            Class::Text => "nothing that texts have",
            _ => "a duration",
        }
    }
}

/// The value at a path of a document, if it is one value: a list on the way has several.
pub fn at_path<'a>(document: &'a [u8], path: &str) -> Result<Option<Value<'a>>> {
    let torn = |_| Error::data("a document is not BSON");
    let (mut here, mut rest) = (document, path);
    loop {
        let (name, below) = rest.split_once('.').map_or((rest, None), |(name, below)| (name, Some(below)));
        let found = crate::source::documents::bson::field(here, name).map_err(torn)?;
        match (found, below) {
            (Some(Value::Record(inner)), Some(below)) => (here, rest) = (inner, below),
            (found, None) => return Ok(found),
            _ => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{oid::ObjectId, rawdoc};

    use super::*;
    use crate::config::parse_duration;

    fn read(class: Class, text: &str) -> Mark {
        Mark::read(class, text).unwrap()
    }

    #[test]
    fn values_come_back_from_their_texts() {
        for (class, text, shown) in [
            (Class::Date, "2024-01-31 08:00:00.123", r#"{"$date":"2024-01-31T08:00:00.123Z"}"#),
            (Class::Date, "2024-01-31", r#"{"$date":"2024-01-31T00:00:00Z"}"#),
            (Class::Number, "7", "7"),
            (Class::Text, "a\"b", r#""a\"b""#),
            (Class::ObjectId, "64B7F0C2A1B2C3D4E5F60718", r#"{"$oid":"64b7f0c2a1b2c3d4e5f60718"}"#),
        ] {
            let mark = read(class, text);
            assert_eq!(mark.text(), shown);
            assert_eq!(Mark::parse(shown).unwrap().compare(&mark), Ordering::Equal);
            mark.bson().unwrap();
        }
        assert!(Mark::read(Class::Date, "soon").is_none() && Mark::parse("{").is_err());
    }

    #[test]
    fn they_sort_as_the_server_sorts_them() {
        let number = |value: Value<'_>| Mark::of(&value).unwrap();
        assert_eq!(number(Value::Int64(i64::MAX)).compare(&number(Value::Int64(i64::MAX - 1))), Ordering::Greater);
        assert_eq!(number(Value::Int32(2)).compare(&number(Value::Double(2.5))), Ordering::Less);
        assert_eq!(read(Class::Text, "b").compare(&read(Class::Text, "aa")), Ordering::Greater);
        let (one, other) = (read(Class::Date, "2024-01-01"), read(Class::Date, "1960-01-01"));
        assert_eq!(one.compare(&other), Ordering::Greater);
        for number in [1.994_369_157_073_716_5, 0.1 + 0.2, 1e300, -0.0] {
            let mark = Mark::of(&Value::Double(number)).unwrap();
            let Bson::Double(again) = Mark::parse(mark.text()).unwrap().bson().unwrap() else { panic!("{number}") };
            assert_eq!(again.to_bits(), number.to_bits());
        }
        assert!(Mark::of(&Value::Double(f64::NAN)).is_none() && Mark::of(&Value::Null).is_none());
    }

    #[test]
    fn a_second_of_object_ids_has_an_end() {
        let id = read(Class::ObjectId, "64b7f0c2a1b2c3d4e5f60718");
        let end = id.end_of_second().unwrap();
        assert_eq!(end.text(), r#"{"$oid":"64b7f0c2ffffffffffffffff"}"#);
        let floor = end.floor(&Lookback { time: parse_duration("10s"), number: None }).unwrap();
        assert_eq!(floor.text(), r#"{"$oid":"64b7f0b80000000000000000"}"#);
        assert_eq!(end.bson().unwrap(), Bson::ObjectId(ObjectId::parse_str("64b7f0c2ffffffffffffffff").unwrap()));
    }

    #[test]
    fn a_path_leads_to_one_value() {
        let raw = rawdoc! { "a": { "b": 7 }, "l": [{ "b": 8 }] };
        assert!(matches!(at_path(raw.as_bytes(), "a.b"), Ok(Some(Value::Int32(7)))));
        assert!(matches!(at_path(raw.as_bytes(), "l.b"), Ok(None)));
        assert!(matches!(at_path(raw.as_bytes(), "x"), Ok(None)));
    }
}
