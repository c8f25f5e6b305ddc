//! What of a request is secret, each text by itself: answers may repeat it anywhere.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::header::COOKIE;

use super::{LONG, SHORTEST, is_secret_name};
use crate::source::rest::request::Request;
use crate::source::rest::signed_link::{self, SignedLink};

/// Headers of signatures that have no secret: a time, a digest of the body.
const PLAIN: [&str; 2] = ["x-amz-date", "x-amz-content-sha256"];

/// What a request was signed with.
#[derive(Default)]
pub struct Signed {
    /// May come back in answers to later requests.
    pub lasting: Vec<String>,
    /// Is of this one request.
    pub passing: Vec<String>,
}

impl Signed {
    pub fn of(request: &Request) -> Self {
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
            signed.passing.extend(signed_link::permissions(&request.full_url()));
        }
        for (name, value) in &request.query {
            let is_added = request.added.query.contains(name);
            if is_added || (is_secret_name(name) && value.len() >= LONG) {
                signed.lasting.push(value.clone());
            }
        }
        signed
    }

    /// `Bearer TOKEN`, `Token token="TOKEN"`.
    fn token(&mut self, value: &str, token: &str) {
        let named = token.split_once('=').map(|(_, value)| value.trim_matches(['=', '"']).to_owned());
        self.lasting.extend([value.to_owned(), token.to_owned()].into_iter().chain(named));
    }

    fn cookies(&mut self, value: &str) {
        let values = value.split(';').map(|cookie| cookie.split_once('=').map_or(cookie, |(_, value)| value));
        for value in values.map(|value| value.trim().trim_matches('"')) {
            let meant = percent_decode_str(value).decode_utf8_lossy();
            self.lasting.extend([value.to_owned(), meant.into_owned()]);
        }
    }

    fn basic(&mut self, encoded: &str) {
        self.lasting.push(encoded.to_owned());
        let Some(pair) = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()) else { return };
        let Some((user, password)) = pair.split_once(':') else { return };
        // Some take a key in the user's place, and nothing (or an `x`) for the password.
        let secret = if password.len() < SHORTEST { user } else { password };
        self.lasting.push(secret.to_owned());
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

#[cfg(test)]
mod tests {
    use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
    use url::Url;

    use super::super::Secrets;
    use super::*;

    fn with_header(name: HeaderName, value: &'static str) -> Request {
        let mut request = Request::get(Url::parse("https://api.example.com/v1").unwrap());
        request.add_secret_header(name, HeaderValue::from_static(value));
        request
    }

    fn of(request: &Request) -> Secrets {
        let Signed { lasting, passing } = Signed::of(request);
        Secrets::of(lasting.into_iter().chain(passing))
    }

    fn secrets(texts: &[&str]) -> Secrets {
        Secrets::of(texts.iter().map(|text| (*text).to_owned()))
    }

    #[test]
    fn each_secret_is_known_by_itself() {
        for (value, wanted) in [
            ("Bearer t0ken", &["Bearer t0ken", "t0ken"][..]),
            ("Basic cmVhZGVyOnBhc3M6d29yZA==", &["cmVhZGVyOnBhc3M6d29yZA==", "pass:word"]),
            // `k3y-of-mine:` and `k3y-of-mine:x`.
            ("Basic azN5LW9mLW1pbmU6", &["azN5LW9mLW1pbmU6", "k3y-of-mine"]),
            ("basic azN5LW9mLW1pbmU6eA==", &["azN5LW9mLW1pbmU6eA==", "k3y-of-mine"]),
            ("Token token=\"t0ken\"", &["Token token=\"t0ken\"", "token=\"t0ken\"", "t0ken"]),
            (
                "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu/x/aws4_request, SignedHeaders=host, Signature=5f0a9c",
                &["5f0a9c", "AKID"],
            ),
        ] {
            assert!(of(&with_header(AUTHORIZATION, value)) == secrets(wanted), "{value}");
        }
        assert!(of(&with_header(COOKIE, "a=b; session=t0ken=")) == secrets(&["t0ken="]));
        assert!(of(&with_header(COOKIE, "sid=\"a%2Fbcd\"")) == secrets(&["a%2Fbcd", "a/bcd"]));
        assert!(of(&with_header(HeaderName::from_static("x-amz-date"), "20260101T000000Z")) == secrets(&[]));
    }

    #[test]
    fn names_of_parameters_are_believed_where_the_value_is_long() {
        let mut request = Request::get(Url::parse("https://api.example.com/v1").unwrap());
        let long = "0123456789abcdef";
        request.query = [("key", "orders"), ("api_key", long), ("page", "fedcba9876543210")]
            .map(|(n, v)| (n.into(), v.into()))
            .to_vec();
        assert!(of(&request) == secrets(&[long]));
    }

    #[test]
    fn a_link_that_is_a_permission_is_secret_by_its_query() {
        let link = Url::parse("https://files.example.net/a.csv?e=60&sig=ab%2bcdefghijkl+m%3D&x").unwrap();
        let link = Request { link: SignedLink::Followed, ..Request::get(link) };
        assert!(of(&link) == secrets(&["ab%2bcdefghijkl+m%3D", "ab+cdefghijkl m="]));
    }
}
