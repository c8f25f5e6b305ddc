//! What is secret, and how it is taken out of whatever is shown or kept.
//!
//! Names of parameters and headers ([`is_secret_name`]) are texts; values are [`Secrets`], whoever has them to hide.

mod hiding;
mod known;
mod signed;

use std::fmt;

pub use self::known::Known;

/// What stands in place of a secret.
pub const HIDDEN: &str = "HIDDEN";

/// A shorter text is a secret of nobody, and stands in many places where it means something else.
const SHORTEST: usize = 4;

/// A word of an API may be a secret too, as long as it is shorter (`key = orders`).
const LONG: usize = 16;

/// Parameters that hold a token wherever they are, in lower case.
const NAMES: [&str; 12] = [
    "access_token",
    "api_key",
    "apikey",
    "auth_token",
    "client_secret",
    "key",
    "password",
    "secret",
    "session",
    "sig",
    "signature",
    "token",
];

/// Whether a parameter of this name holds a token wherever it is.
pub fn is_secret_name(name: &str) -> bool {
    NAMES.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// Values that nobody may see, the longest first: one may be a part of another. Those of less than four bytes are left out.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Vec<String>);

impl Secrets {
    pub fn of(texts: impl IntoIterator<Item = String>) -> Self {
        let mut all: Vec<String> = texts.into_iter().filter(|text| text.len() >= SHORTEST).collect();
        all.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        all.dedup();
        Self(all)
    }

    /// These too.
    #[must_use]
    pub fn and(self, more: Vec<String>) -> Self {
        match more.is_empty() {
            true => self,
            false => Self::of(self.0.into_iter().chain(more)),
        }
    }

    /// Whether the text is one of them, and so long that it is none by chance.
    pub fn has_long(&self, text: &str) -> bool {
        text.len() >= LONG && self.0.iter().any(|secret| secret == text)
    }

    /// The text with [`HIDDEN`] in place of each secret, in whatever form it stands there.
    pub fn hide(&self, text: Vec<u8>) -> Vec<u8> {
        hiding::hide(text, &self.0, false)
    }

    /// As [`Secrets::hide`], of the first part of a text: a secret that its end cuts in two is hidden as well.
    pub fn hide_head(&self, text: Vec<u8>) -> Vec<u8> {
        hiding::hide(text, &self.0, true)
    }

    /// As [`Secrets::hide`], of a text.
    pub fn hidden(&self, text: &str) -> String {
        // What stands in place of secrets, which are whole characters, leaves a text one.
        String::from_utf8_lossy(&self.hide(text.as_bytes().to_vec())).into_owned()
    }
}

/// Shows none of them.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_never_shown_and_the_longest_is_hidden_first() {
        let secrets = Secrets::of(["token", "abc", "token-long", "token"].map(str::to_owned));
        assert_eq!(format!("{secrets:?}"), "2 secrets");
        assert_eq!(secrets.hidden("token-long token abc"), "HIDDEN HIDDEN abc");
        let more = secrets.and(vec!["token-longest".to_owned()]);
        assert_eq!(more.hidden("token-longest"), "HIDDEN");
    }
}
