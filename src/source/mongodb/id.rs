//! Values of `_id` as texts: canonical Extended JSON, which comes back as the very same value.

use mongodb::bson::{Document, RawDocumentBuf, doc};

use crate::error::{Error, Result};
use crate::source::documents::bson::{self, Value};
use crate::source::documents::decimal::Decimal;
use crate::source::documents::json::{self, Form};
use crate::source::documents::write::{self, Dialect};

/// The field that tells documents apart.
pub const ID: &str = "_id";

/// The text of a document's `_id`.
pub fn text(document: &[u8]) -> Result<String> {
    let value = of(document)?;
    let mut out = Vec::new();
    json::value(&mut out, &value, Form::Canonical)
        .map_err(|_| Error::data("the `_id` of a document is none that can be written"))?;
    String::from_utf8(out).map_err(|_| Error::data("the `_id` of a document is not UTF-8"))
}

fn of(document: &[u8]) -> Result<Value<'_>> {
    let found = bson::field(document, ID).map_err(|_| Error::data("a document is not BSON"))?;
    found.ok_or_else(|| Error::data("a document has no `_id`"))
}

/// `{ _id: VALUE }` of such a text.
pub fn document(text: &str) -> Result<Document> {
    let bytes = bytes(text)?;
    let raw = RawDocumentBuf::from_bytes(bytes).map_err(|e| Error::bug(e.to_string()))?;
    Document::try_from(raw.as_ref()).map_err(|e| Error::bug(e.to_string()))
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    let wrapped = format!(r#"{{"{ID}":{text}}}"#);
    // No piece of it is in the message.
    write::document(&wrapped, Dialect::Extended)
        .map_err(|_| Error::conflict("the position's key is none of a MongoDB collection"))
}

/// The server's names of the types that values of `_id` may have, in the order in which the server sorts them.
const TYPES: [&[&str]; 16] = [
    &["minKey"],
    &["undefined"],
    &["null"],
    &["double", "int", "long", "decimal"],
    &["string", "symbol"],
    &["object"],
    &["binData"],
    &["objectId"],
    &["bool"],
    &["date"],
    &["timestamp"],
    &["regex"],
    &["dbPointer"],
    &["javascript"],
    &["javascriptWithScope"],
    &["maxKey"],
];

/// The place among [`TYPES`] of a value's type.
fn rank(value: &Value<'_>) -> usize {
    match value {
        Value::MinKey => 0,
        Value::Undefined => 1,
        Value::Null => 2,
        Value::Double(_) | Value::Int32(_) | Value::Int64(_) | Value::Decimal(_) => 3,
        Value::Text(_) | Value::Symbol(_) => 4,
        Value::Record(_) | Value::List(_) => 5,
        Value::Bytes { .. } => 6,
        Value::ObjectId(_) => 7,
        Value::Bool(_) => 8,
        Value::Instant(_) => 9,
        Value::Timestamp { .. } => 10,
        Value::Regex { .. } => 11,
        Value::Pointer { .. } => 12,
        Value::Code(_) => 13,
        Value::CodeWithScope { .. } => 14,
        Value::MaxKey => 15,
    }
}

/// Conditions that find, one after the other, the documents behind this key in the order of `_id`: comparisons of the server
/// stay within a type.
pub fn behind(text: Option<&str>) -> Result<Vec<Document>> {
    let Some(text) = text else { return Ok(vec![Document::new()]) };
    let bytes = bytes(text)?;
    let value = of(&bytes)?;
    let rank = rank(&value);
    let same = match &value {
        Value::MinKey | Value::MaxKey | Value::Null | Value::Undefined => None,
        // NaN is before all numbers, and no comparison with it says so.
        Value::Double(number) if number.is_nan() => Some(doc! { ID: { "$gte": f64::NEG_INFINITY } }),
        Value::Decimal(bits) if matches!(Decimal::of(*bits), Decimal::NaN) => {
            Some(doc! { ID: { "$gte": f64::NEG_INFINITY } })
        }
        _ => Some(doc! { ID: { "$gt": document(text)?.remove(ID).unwrap_or_default() } }),
    };
    let later: Vec<&str> = TYPES.iter().skip(rank + 1).flat_map(|names| names.iter().copied()).collect();
    let later = (!later.is_empty()).then(|| doc! { ID: { "$type": later } });
    Ok(same.into_iter().chain(later).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_as_they_were() {
        for json in
            [r#"{"$oid":"64b7f0c2a1b2c3d4e5f60718"}"#, r#""a\"b""#, r#"{"$numberLong":"7"}"#, r#"{"$numberInt":"7"}"#]
        {
            let bytes = bytes(json).unwrap();
            assert_eq!(text(&bytes).unwrap(), json);
        }
        assert!(document("{").is_err());
    }

    #[test]
    fn what_is_behind_a_key_is_found_by_its_type_and_the_later_ones() {
        assert_eq!(behind(None).unwrap(), [Document::new()]);
        let conditions = behind(Some(r#"{"$numberInt":"7"}"#)).unwrap();
        assert_eq!(conditions.len(), 2);
        assert_eq!(conditions[0], doc! { "_id": { "$gt": 7 } });
        let later = conditions[1].get_document("_id").unwrap().get_array("$type").unwrap();
        assert_eq!(later.first().unwrap().as_str(), Some("string"));
        assert_eq!(later.last().unwrap().as_str(), Some("maxKey"));
        assert_eq!(behind(Some(r#"{"$maxKey":1}"#)).unwrap(), []);
        let nan = behind(Some(r#"{"$numberDouble":"NaN"}"#)).unwrap();
        assert_eq!(nan[0], doc! { "_id": { "$gte": f64::NEG_INFINITY } });
    }
}
