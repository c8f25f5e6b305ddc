//! A field of a record, and its value as a parameter of a request has it.

use std::fmt;

use super::path::{Path, Step};
use super::scalar::Scalar;
use crate::config::Value as KeyValue;
use crate::source::documents::bson::{self, Value};
use crate::source::documents::decimal::Decimal;

/// What a key must be that names a field of records.
pub const FIELD: KeyValue = KeyValue::Checked("field (`id`, `meta.id`)", |text| match Field::parse(text) {
    Ok(_) => Ok(()),
    Err(_) => Err("must be one field of the records: a name such as `id` or `meta.id`, or a path such as `$.ids[0]`"),
});

/// Where a record has a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    path: Path,
    name: String,
}

impl Field {
    /// A [`Path`], or the dotted name of a column that is none: columns are named as records name their fields, `Last Modified` and
    /// `price[EUR]`. An error says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let path = match Path::parse(text) {
            Ok(_) => Path::one(text)?,
            Err(problem) => column(text).ok_or(problem)?,
        };
        let names = path.steps().iter().map(|step| match step {
            Step::Name(name) => name.clone(),
            Step::Item(item) => item.to_string(),
            Step::Each => "*".to_owned(),
        });
        Ok(Self { name: names.collect::<Vec<_>>().join("."), path })
    }

    /// The dotted name of its column: all ways to write the same field have the same.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of the scalar that a record has there; `None` where there is none, or null.
    pub fn text(&self, record: &[u8]) -> Option<String> {
        self.scalar(record).map(Scalar::into_text)
    }

    /// As [`Field::text`], and whether it is a number there.
    pub fn scalar(&self, record: &[u8]) -> Option<Scalar> {
        let mut at = Value::Record(record);
        for step in self.path.steps() {
            at = match (at, step) {
                (Value::Record(fields), Step::Name(name)) => bson::field(fields, name).ok()??,
                (Value::List(items), Step::Item(item)) => bson::field(items, &item.to_string()).ok()??,
                _ => return None,
            };
        }
        Some(match at {
            Value::Text(text) => Scalar::Text(String::from_utf8(text.to_vec()).ok()?),
            Value::Bool(of) => Scalar::Text(of.to_string()),
            Value::Int32(number) => Scalar::Number(number.to_string()),
            Value::Int64(number) => Scalar::Number(number.to_string()),
            Value::Double(number) => Scalar::Number(number.to_string()),
            Value::Decimal(bits) => Scalar::Number(Decimal::of(bits).to_string()),
            _ => return None,
        })
    }
}

/// Its name.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The way to a column whose name has characters that paths have not. A bracket that is not closed is a path with a mistake.
fn column(text: &str) -> Option<Path> {
    let is_name = !text.starts_with('$') && text.matches('[').count() == text.matches(']').count();
    let mut names = text.split('.');
    (is_name && names.all(|name| !name.trim().is_empty() && name != "*")).then(|| Path::of_names(text.split('.')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::documents::write::{self, Dialect};

    #[test]
    fn fields_are_found_by_path_and_by_the_names_of_their_columns() {
        let json = r#"{"id":7,"meta":{"at":"x","b c":1.5,"0":"zero"},"Last Modified":"y","price[EUR]":2,
                       "tags":[{"id":"t0"},{"id":"t1"}],"none":null,"ok":true}"#;
        let record = write::document(json, Dialect::Extended).unwrap();
        for (text, name, value) in [
            ("id", "id", Some("7")),
            ("$.id", "id", Some("7")),
            ("['id']", "id", Some("7")),
            ("meta.at", "meta.at", Some("x")),
            ("$.meta['at']", "meta.at", Some("x")),
            ("meta.b c", "meta.b c", Some("1.5")),
            ("meta.0", "meta.0", Some("zero")),
            ("Last Modified", "Last Modified", Some("y")),
            ("price[EUR]", "price[EUR]", Some("2")),
            ("tags[1].id", "tags.1.id", Some("t1")),
            ("ok", "ok", Some("true")),
            // Names are of objects, and numbers in brackets of lists.
            ("tags.1.id", "tags.1.id", None),
            ("meta[0]", "meta.0", None),
            ("tags[2].id", "tags.2.id", None),
            ("none", "none", None),
            ("meta", "meta", None),
            ("id.at", "id.at", None),
        ] {
            let field = Field::parse(text).unwrap();
            assert_eq!((field.name(), field.text(&record).as_deref()), (name, value), "{text}");
        }
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for text in ["", "$", "a..b", "a.", ".a", "id[", "$.a b", "a[*].b", "a.*", "*", "a b.*"] {
            assert!(Field::parse(text).is_err(), "{text}");
        }
    }
}
