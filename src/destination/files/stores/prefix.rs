//! How a key becomes a name in a bucket.

use super::key::checked;
use crate::config::Section;
use crate::error::{Error, Result};

/// What S3 and Google take of a whole name, in bytes.
const LONGEST_NAME: usize = 1024;

/// A destination's `prefix` in a bucket: `` or `raw/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// Reads the key `prefix`; slashes at its ends mean nothing.
    pub fn of(section: &Section) -> Result<Self> {
        let prefix = section.get("prefix").unwrap_or_default().trim_matches('/');
        match prefix.is_empty() {
            true => Ok(Self(String::new())),
            false => match checked(prefix) {
                Ok(_) => Ok(Self(format!("{prefix}/"))),
                Err(_) => Err(section.error("prefix", "must be names joined by single slashes")),
            },
        }
    }

    /// The whole name of a key in the bucket.
    pub fn name(&self, key: &str) -> Result<String> {
        let name = format!("{}{}", self.0, checked(key)?);
        match name.len() <= LONGEST_NAME {
            true => Ok(name),
            false => Err(Error::config(format!("the name {name} has more than {LONGEST_NAME} bytes"))
                .hint("Choose a shorter `prefix`, or a shorter name for the stream or the table.")),
        }
    }

    /// The start of whole names for a start of keys, which need not be a key.
    pub fn start(&self, prefix: &str) -> String {
        format!("{}{prefix}", self.0)
    }

    /// The key of a whole name; `None` if it lies elsewhere.
    pub fn key<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(self.0.as_str())
    }

    /// For the permissions that a message names: `raw/` or ``.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Key, Value};

    const KEYS: &[Key] = &[Key::new("prefix", Value::Text, "")];

    fn prefix(text: &str) -> Result<Prefix> {
        Prefix::of(&Section::of_keys("destination t", KEYS.iter().collect(), &[("prefix", text)]).unwrap())
    }

    #[test]
    fn a_prefix_is_whole_names() {
        assert_eq!(prefix("raw/shop").unwrap().name("t/1.csv").unwrap(), "raw/shop/t/1.csv");
        assert_eq!(prefix("/raw/").unwrap().start("t"), "raw/t");
        assert_eq!(prefix("").unwrap().start(""), "");
        assert_eq!(prefix("raw").unwrap().key("raw/t/1"), Some("t/1"));
        assert_eq!(prefix("raw").unwrap().key("rawest/t"), None);
        assert!(prefix("a//b").unwrap_err().message().contains("`prefix`"));
        assert!(prefix("raw").unwrap().name(&"a".repeat(1021)).is_err());
        assert!(prefix("raw").unwrap().name("../secret").is_err());
    }
}
