//! A text or a number, as an answer has it and the next request gives it back.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// A value that a request sends. In a query all are texts; a JSON body tells texts from numbers, and so do servers.
///
/// A position has it as a JSON value, but for numbers of which a program of JSON might keep another form: `{"number": "1.50"}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub enum Scalar {
    Text(String),
    /// As it was written.
    Number(String),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    Whole(i64),
    Text(String),
    Other { number: String },
}

impl Scalar {
    /// What people write where nothing says what it is: a number if it is a whole one, and printing it gives the same text.
    pub fn written(text: String) -> Self {
        match whole(&text) {
            Some(_) => Scalar::Number(text),
            None => Scalar::Text(text),
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Scalar::Text(text) | Scalar::Number(text) => text,
        }
    }

    pub fn into_text(self) -> String {
        match self {
            Scalar::Text(text) | Scalar::Number(text) => text,
        }
    }

    /// As JSON. A number that JSON does not have (`NaN`) is a text. There is always one: texts can be written.
    pub fn json(&self) -> serde_json::Result<Box<RawValue>> {
        match self {
            Scalar::Number(text) => RawValue::from_string(text.clone()).or_else(|_| to_raw_value(text)),
            Scalar::Text(text) => to_raw_value(text),
        }
    }
}

fn whole(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}

impl From<Kept> for Scalar {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Whole(number) => Scalar::Number(number.to_string()),
            Kept::Text(text) => Scalar::Text(text),
            Kept::Other { number } => Scalar::Number(number),
        }
    }
}

impl From<Scalar> for Kept {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => Kept::Text(text),
            Scalar::Number(number) => whole(&number).map_or(Kept::Other { number }, Kept::Whole),
        }
    }
}

/// What people write: [`Scalar::written`].
impl From<String> for Scalar {
    fn from(text: String) -> Self {
        Self::written(text)
    }
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self::written(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    #[test]
    fn texts_and_numbers_come_back_from_positions_as_they_were() {
        let number = |text: &str| Scalar::Number(text.to_owned());
        for (scalar, kept, sent) in [
            (Scalar::Text("50".to_owned()), json!("50"), r#""50""#),
            (Scalar::Text("007".to_owned()), json!("007"), r#""007""#),
            (number("50"), json!(50), "50"),
            (number("1.50"), json!({"number": "1.50"}), "1.50"),
            (
                number("12345678901234567890123"),
                json!({"number": "12345678901234567890123"}),
                "12345678901234567890123",
            ),
            (number("NaN"), json!({"number": "NaN"}), r#""NaN""#),
        ] {
            assert_eq!(serde_json::to_value(&scalar).unwrap(), kept);
            assert_eq!(serde_json::from_value::<Scalar>(kept).unwrap(), scalar);
            assert_eq!(scalar.json().unwrap().get(), sent);
        }
    }

    #[test]
    fn what_people_write_is_a_number_where_it_stays_the_same_text() {
        for (text, is_number) in [
            ("7", true),
            ("-7", true),
            ("00123", false),
            ("+7", false),
            ("-0", false),
            ("1.0", false),
            ("", false),
            (" 7", false),
        ] {
            assert_eq!(matches!(Scalar::from(text), Scalar::Number(_)), is_number, "{text}");
        }
        let sent: Json = serde_json::from_str(Scalar::from("00123").json().unwrap().get()).unwrap();
        assert_eq!(sent, json!("00123"));
    }
}
