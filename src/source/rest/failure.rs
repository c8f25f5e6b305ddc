//! A request that came to nothing: what is known of it, without secrets.

use reqwest::StatusCode;

use super::request::Request;
use super::secrets::Secrets;
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
    /// The server wants to be left alone for longer than a run waits.
    pub is_lasting: bool,
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
            is_lasting: false,
        }
    }

    pub fn of(broken: Broken) -> Self {
        use super::transport::What;
        let (kind, hint) = broken.remedy();
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
        let times = if *attempts > 1 { format!(" ({attempts} attempts)") } else { String::new() };
        let said = self.excerpt.as_ref().map(|excerpt| format!(": {excerpt}")).unwrap_or_default();
        let error = Error::new(self.kind, format!("{}: {reason}{times}{said}", request.shown()));
        let error = if self.is_lasting { error.lasting() } else { error };
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// The beginning of what a server says of its error, in one line, without what is secret. `head` is all that it says, or
/// `is_cut`.
pub fn excerpt(mut head: Vec<u8>, is_cut: bool, secrets: &Secrets) -> Option<String> {
    const MOST: usize = 300;
    // In UTF-16 there is a zero behind each letter; and no terminal is to obey a server.
    head.retain(|byte| byte.is_ascii_whitespace() || !byte.is_ascii_control());
    // Before anything else changes the text, or cuts it.
    let hidden = if is_cut { secrets.hide_head(head) } else { secrets.hide(head) };
    let mut line = String::from_utf8_lossy(&hidden).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > MOST {
        line = line.chars().take(MOST).chain(['…']).collect();
    }
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(said: &[u8]) -> Option<String> {
        let secrets = Secrets::of(["s3cr3t-token", "ab", "my  pass/phrase"].map(str::to_owned));
        excerpt(said.to_vec(), false, &secrets)
    }

    #[test]
    fn excerpts_are_short_and_have_no_secrets() {
        assert_eq!(of(b"bad\n token  s3cr3t-token, ab").unwrap(), "bad token HIDDEN, ab");
        assert_eq!(of(&[b'x'; 1000]).unwrap().chars().count(), 301);
        assert_eq!(of(b" \n"), None);
        assert!(of(&[0xff, b'a']).is_some());
    }

    #[test]
    fn secrets_are_hidden_before_the_text_is_changed_or_cut() {
        assert_eq!(of(br"no my  pass\/phrase").unwrap(), "no HIDDEN");
        let wide: Vec<u8> = b"no s3cr3t-token".iter().flat_map(|byte| [*byte, 0]).collect();
        assert_eq!(of(&wide).unwrap(), "no HIDDEN");
        for before in 285..=300 {
            let said = of(format!("{} s3cr3t-token", "x".repeat(before)).as_bytes()).unwrap();
            assert!(!said.contains("s3"), "{said}");
        }
        let secrets = Secrets::of(["s3cr3t-token".to_owned()]);
        assert_eq!(excerpt(b"no        s3cr3t-t".to_vec(), true, &secrets).unwrap(), "no HIDDEN");
    }

    #[test]
    fn an_error_says_which_page_it_is_of() {
        let mut request = Request::get(url::Url::parse("https://api.example.com/v1/orders").unwrap());
        request.query = [("page", "9731"), ("api_key", "s3cret")].map(|(n, v)| (n.into(), v.into())).to_vec();
        let failure = Failure { attempts: 3, ..Failure::passing("the server answers 500") };
        let wanted = "GET /v1/orders?page=9731&api_key=…: the server answers 500 (3 attempts)";
        assert_eq!(failure.error(&request).message(), wanted);
    }

    #[test]
    fn no_terminal_obeys_a_server() {
        assert_eq!(of(b"a\x1b[31m b\x07\x7f\r\nc").unwrap(), "a[31m b c");
    }
}
