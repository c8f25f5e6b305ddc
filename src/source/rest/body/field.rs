//! A field of a record as a parameter of a request has it.

use crate::source::documents::bson::{self, Value};
use crate::source::documents::decimal::Decimal;

/// The text of a scalar at a path of a record; `None` where there is none, or null.
pub fn text(record: &[u8], path: &str) -> Option<String> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    Some(match (bson::field(record, first).ok()??, rest) {
        (Value::Record(inner), Some(rest)) => text(inner, rest)?,
        (_, Some(_)) => return None,
        (Value::Text(text), None) => String::from_utf8(text.to_vec()).ok()?,
        (Value::Int32(number), None) => number.to_string(),
        (Value::Int64(number), None) => number.to_string(),
        (Value::Double(number), None) => number.to_string(),
        (Value::Decimal(bits), None) => Decimal::of(bits).to_string(),
        (Value::Bool(of), None) => of.to_string(),
        _ => return None,
    })
}
