//! What of a request is secret, each text by itself: answers may repeat it anywhere.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{
    AUTHORIZATION, COOKIE, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, WWW_AUTHENTICATE,
};

use crate::source::rest::paging::is_secret;
use crate::source::rest::request::Request;
use crate::source::rest::signed_link::SignedLink;

/// A shorter text is a secret of nobody, and stands in many places where it means something else.
const SHORTEST: usize = 4;

/// The same of a text that is secret by no more than its parameter's name (`key = orders`).
const SHORTEST_BY_NAME: usize = 16;

/// How many are remembered. Each fetch of credentials brings one more.
const MOST: usize = 64;

/// Headers of signatures that have no secret: a time, a digest of the body.
const PLAIN: [&str; 2] = ["x-amz-date", "x-amz-content-sha256"];

/// Headers of answers that hand out credentials, or talk of them.
const NOT_KEPT: [HeaderName; 6] =
    [AUTHORIZATION, COOKIE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, WWW_AUTHENTICATE];
const NOT_KEPT_BY_NAME: [&str; 7] = [
    "set-cookie2",
    "authentication-info",
    "x-amz-security-token",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
    "x-session-token",
];

/// Whether a header of an answer is kept.
pub fn is_kept(name: &HeaderName) -> bool {
    !NOT_KEPT.contains(name) && !NOT_KEPT_BY_NAME.contains(&name.as_str())
}

/// What a request was signed with.
#[derive(Debug, Default, PartialEq, Eq)]
struct Signed {
    /// May come back in answers to later requests.
    lasting: Vec<String>,
    /// Is of this one request.
    passing: Vec<String>,
}

impl Signed {
    fn of(request: &Request) -> Self {
        let mut signed = Self::default();
        for name in request.added.headers.iter().filter(|name| !PLAIN.contains(&name.as_str())) {
            let Some(value) = request.headers.get(name).and_then(|value| value.to_str().ok()) else { continue };
            match value.split_once(char::is_whitespace) {
                _ if *name == COOKIE => signed.cookies(value),
                Some(("AWS4-HMAC-SHA256", fields)) => signed.signature(fields),
                Some((scheme, encoded)) if scheme.eq_ignore_ascii_case("basic") => signed.basic(encoded.trim()),
                Some((_, token)) => signed.token(value, token.trim()),
                None => signed.lasting.push(value.to_owned()),
            }
        }
        if request.link == SignedLink::Followed {
            signed.passing.extend(request.secrets());
        }
        for (name, value) in &request.query {
            let is_added = request.added.query.contains(name);
            if is_added || (is_secret(name) && value.len() >= SHORTEST_BY_NAME) {
                signed.lasting.push(value.clone());
            }
        }
        signed.lasting.retain(|text| text.len() >= SHORTEST);
        signed
    }

    /// `Bearer TOKEN`, `Token token="TOKEN"`.
    fn token(&mut self, value: &str, token: &str) {
        let named = token.split_once('=').map(|(_, value)| value.trim_matches(['=', '"']).to_owned());
        self.lasting.extend([value.to_owned(), token.to_owned()].into_iter().chain(named));
    }

    fn cookies(&mut self, value: &str) {
        let values = value.split(';').map(|cookie| cookie.split_once('=').map_or(cookie, |(_, value)| value));
        self.lasting.extend(values.map(|value| value.trim().to_owned()));
    }

    fn basic(&mut self, encoded: &str) {
        self.lasting.push(encoded.to_owned());
        let Some(pair) = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()) else { return };
        if let Some((_, password)) = pair.split_once(':') {
            self.lasting.push(password.to_owned());
        }
    }

    fn signature(&mut self, fields: &str) {
        let field = |name: &str| {
            let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
            fields.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
        };
        let key = field("Credential").and_then(|scope| Some(scope.split_once('/')?.0.to_owned()));
        self.lasting.extend(key);
        self.passing.extend(field("Signature"));
    }
}

/// The secrets that requests have had so far: the next link of one answer may come to its use when the token in it is no
/// longer the current one.
#[derive(Default)]
pub struct Known(VecDeque<String>);

impl Known {
    /// What may come back in the answer to this request, the longest first: one may be a part of another.
    pub fn with(&mut self, request: &Request) -> Vec<String> {
        let Signed { lasting, passing } = Signed::of(request);
        for text in lasting {
            if !self.0.contains(&text) {
                self.0.push_back(text);
            }
        }
        while self.0.len() > MOST {
            self.0.pop_front();
        }
        let mut all: Vec<String> = self.0.iter().cloned().chain(passing).collect();
        all.sort_by_key(|text| std::cmp::Reverse(text.len()));
        all
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;
    use url::Url;

    use super::*;

    fn with_header(name: HeaderName, value: &'static str) -> Request {
        let mut request = Request::get(Url::parse("https://api.example.com/v1").unwrap());
        request.add_secret_header(name, HeaderValue::from_static(value));
        request
    }

    #[test]
    fn each_secret_is_known_by_itself() {
        let of = |request: &Request| Known::default().with(request);
        assert_eq!(of(&with_header(AUTHORIZATION, "Bearer t0ken")), ["Bearer t0ken", "t0ken"]);
        assert_eq!(
            of(&with_header(AUTHORIZATION, "Basic cmVhZGVyOnBhc3M6d29yZA==")),
            ["cmVhZGVyOnBhc3M6d29yZA==", "pass:word"]
        );
        let named = of(&with_header(AUTHORIZATION, "Token token=\"t0ken\""));
        assert!(named.contains(&"t0ken".to_owned()), "{named:?}");
        assert_eq!(of(&with_header(COOKIE, "a=b; session=t0ken=")), ["t0ken="]);
        let signature =
            "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu/x/aws4_request, SignedHeaders=host, Signature=5f0a9c";
        assert_eq!(of(&with_header(AUTHORIZATION, signature)), ["5f0a9c", "AKID"]);
        assert!(of(&with_header(HeaderName::from_static("x-amz-date"), "20260101T000000Z")).is_empty());
    }

    #[test]
    fn tokens_are_remembered_and_signatures_are_not() {
        let mut known = Known::default();
        known.with(&with_header(AUTHORIZATION, "AWS4-HMAC-SHA256 Credential=AKID/x, Signature=0123456789"));
        known.with(&with_header(HeaderName::from_static("x-key"), "first"));
        assert_eq!(known.with(&with_header(HeaderName::from_static("x-key"), "second")), ["second", "first", "AKID"]);
    }

    #[test]
    fn names_of_parameters_are_believed_where_the_value_is_long() {
        let mut request = Request::get(Url::parse("https://api.example.com/v1").unwrap());
        let long = "0123456789abcdef";
        request.query =
            [("key", "orders"), ("api_key", long), ("page", long)].map(|(n, v)| (n.into(), v.into())).to_vec();
        assert_eq!(Known::default().with(&request), [long]);
    }
}
