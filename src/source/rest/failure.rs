//! A request that came to nothing: what is known of it, without secrets.

use reqwest::StatusCode;

use super::request::Request;
use super::transport::Broken;
use crate::error::{Error, Kind};

/// Why a request came to nothing, and what of that people may see.
#[derive(Debug, Clone)]
pub struct Failure {
    /// A sentence: `the server answers 500`.
    pub reason: String,
    pub status: Option<StatusCode>,
    /// How often it was sent.
    pub attempts: u32,
    /// The beginning of what the server said of its error. Of an answer that may hold records there is none.
    pub excerpt: Option<String>,
    pub kind: Kind,
    /// It is about this one request: the next may come to something.
    pub is_of_one: bool,
    /// `fail_when` calls it one.
    pub is_by_rule: bool,
    pub hint: Option<&'static str>,
}

impl Failure {
    /// One that may pass by itself.
    pub fn passing(reason: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, reason)
    }

    pub fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            status: None,
            attempts: 1,
            excerpt: None,
            kind,
            is_of_one: true,
            is_by_rule: false,
            hint: None,
        }
    }

    pub fn of(broken: Broken) -> Self {
        use super::transport::What;
        let (kind, hint) = match broken.what {
            What::Connect | What::Timeout | What::CutOff | What::Encoding => (Kind::Unavailable, None),
            What::Untrusted => {
                (Kind::Config, Some("Set `tls_ca` to the authority that signed the server's certificate."))
            }
            What::NoRoom => (Kind::Unavailable, Some("Make room in the folder for temporary files (`TMPDIR`).")),
            What::Refused | What::Cut => (Kind::Config, None),
        };
        let is_of_one = !matches!(broken.what, What::Connect | What::NoRoom);
        Self { hint, is_of_one, ..Self::new(kind, broken.message) }
    }

    /// Whether the request may be left out, and the others go on: not where the next one would come to the same.
    pub fn may_be_skipped(&self) -> bool {
        self.is_of_one && matches!(self.kind, Kind::Unavailable | Kind::Data)
    }

    /// Whether the server has no such thing as was asked for: nothing that passes, and nothing about who asks.
    pub fn is_refusal(&self) -> bool {
        let is_by_status = self.status.is_some_and(|status| status.is_client_error());
        self.kind == Kind::Data && (is_by_status || self.is_by_rule)
    }

    /// As the error that ends a run.
    pub fn error(&self, request: &Request) -> Error {
        let Self { reason, attempts, .. } = self;
        let asked = format!("{} {}", request.method, request.shown_path());
        let times = if *attempts > 1 { format!(" ({attempts} attempts)") } else { String::new() };
        let said = self.excerpt.as_ref().map(|excerpt| format!(": {excerpt}")).unwrap_or_default();
        let error = Error::new(self.kind, format!("{asked}: {reason}{times}{said}"));
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// The beginning of what a server says of its error, in one line, without what is secret.
pub fn excerpt(head: &[u8], secrets: &[String]) -> Option<String> {
    const MOST: usize = 300;
    let text = String::from_utf8_lossy(head);
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        line = line.replace(secret.as_str(), "…");
    }
    if line.chars().count() > MOST {
        line = line.chars().take(MOST).chain(['…']).collect();
    }
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_have_no_secrets() {
        let secrets = ["s3cr3t-token".to_owned(), "ab".to_owned()];
        assert_eq!(excerpt(b"bad\n token  s3cr3t-token, ab", &secrets).unwrap(), "bad token …, ab");
        let long = excerpt(&[b'x'; 1000], &secrets).unwrap();
        assert_eq!(long.chars().count(), 301);
        assert_eq!(excerpt(b" \n", &secrets), None);
        assert!(excerpt(&[0xff, b'a'], &secrets).is_some());
    }
}
