//! Texts with places for the values of a parent: `/campaigns/{campaigns.id}/insights`.

use percent_encoding::utf8_percent_encode;

use crate::error::{Error, Result};
use crate::net::ENCODED_IN_URLS;

/// A text, and the values that it is filled with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

/// What a text is for: how values are written in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    Path,
    Param,
    /// Within the quotes of a JSON text.
    Json,
    /// Of a body `name=value&…`.
    Form,
}

impl Template {
    /// `None` where a text has no places. Refuses places for what is none of the names.
    pub fn of(text: &str, names: &[String]) -> Result<Option<Self>, String> {
        for name in places(text) {
            if !names.iter().any(|known| known == name) {
                return Err(format!("has `{{{name}}}`, which `for_each` does not name"));
            }
        }
        Ok(places(text).next().map(|_| Self(text.to_owned())))
    }

    /// A text that may have places.
    pub fn any(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// With these values. A path refuses what would lead out of it.
    pub fn fill(&self, values: &[(String, &str)], of: For) -> Result<String> {
        let mut text = self.0.clone();
        for (name, value) in values {
            let place = format!("{{{name}}}");
            // A form has it as forms have braces.
            let written_place = format!("%7B{name}%7D");
            if of == For::Form {
                text = text.replace(&written_place, &place);
            }
            if !text.contains(&place) {
                continue;
            }
            let written = match of {
                For::Path if *value == "." || *value == ".." => {
                    return Err(Error::data(format!("`{name}` is no part of a path in one of the records")));
                }
                For::Path | For::Form => utf8_percent_encode(value, ENCODED_IN_URLS).to_string(),
                For::Param => (*value).to_owned(),
                For::Json => {
                    let quoted = serde_json::Value::from(*value).to_string();
                    quoted[1..quoted.len() - 1].to_owned()
                }
            };
            text = text.replace(&place, &written);
        }
        Ok(text)
    }
}

/// The names in braces: words with dots, as JSON has none.
fn places(text: &str) -> impl Iterator<Item = &str> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name)
        .filter(|name| name.contains('.') && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, value: &str, of: For) -> Result<String> {
        let template = Template::of(text, &["campaigns.id".to_owned()]).unwrap().unwrap();
        template.fill(&[("campaigns.id".to_owned(), value)], of)
    }

    #[test]
    fn values_are_written_for_where_they_stand() {
        let path = "/campaigns/{campaigns.id}/insights";
        assert_eq!(filled(path, "12", For::Path).unwrap(), "/campaigns/12/insights");
        assert_eq!(filled(path, "a/b?c d", For::Path).unwrap(), "/campaigns/a%2Fb%3Fc%20d/insights");
        assert!(filled(path, "..", For::Path).is_err());
        assert_eq!(filled("id:{campaigns.id}", "a b", For::Param).unwrap(), "id:a b");
        assert_eq!(filled(r#"{"id":"{campaigns.id}"}"#, "a\"b", For::Json).unwrap(), r#"{"id":"a\"b"}"#);
    }

    #[test]
    fn only_names_in_braces_are_places() {
        for plain in [r#"{"a":{"b":1.5}}"#, "/plain", "/{id}"] {
            assert_eq!(Template::of(plain, &[]), Ok(None), "{plain}");
        }
        assert!(Template::of("/{campaigns.name}", &["campaigns.id".to_owned()]).is_err());
    }
}
