//! A request as it is before anybody has signed it, and how it is shown.

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

/// What stands in a query as it is. Of all ways to write one, only this is read alike by everybody: a space as `%20`, which
/// a plus sign is not to those that sign requests.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What is asked of a server.
///
/// Whatever is secret in it was put there by [`Auth`](super::auth::Auth), on a copy that is sent and forgotten: what the
/// stream keeps, shows and resumes with never has a secret.
#[derive(Clone)]
pub struct Request {
    pub method: Method,
    /// Without a query.
    pub url: Url,
    /// Parameters of the query, in their order, repeated ones too; encoded when it is sent.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    /// Whether redirects are followed; else they are the answer.
    pub follows: bool,
    /// What it was signed with.
    pub added: Added,
}

/// Names of what [`Auth`](super::auth::Auth) has added to a request: what no other origin gets to see.
#[derive(Debug, Clone, Default)]
pub struct Added {
    pub headers: Vec<HeaderName>,
    pub query: Vec<String>,
}

impl Request {
    pub fn get(url: Url) -> Self {
        let (query, headers, added) = (Vec::new(), HeaderMap::new(), Added::default());
        Self { method: Method::GET, url, query, headers, body: None, follows: true, added }
    }

    pub fn post(url: Url, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut request = Self { method: Method::POST, body: Some(body.into()), ..Self::get(url) };
        request.headers.insert(reqwest::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        request
    }

    /// The URL with its query.
    pub fn full_url(&self) -> Url {
        let mut url = self.url.clone();
        if !self.query.is_empty() {
            let encode = |text| utf8_percent_encode(text, IN_QUERY);
            let pairs = self.query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
            url.set_query(Some(&pairs.collect::<Vec<_>>().join("&")));
        }
        url
    }

    /// Gives a parameter this value, in place of those that it has.
    pub fn set_query(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.query.iter().position(|(known, _)| known == name) {
            Some(at) => {
                self.query[at].1 = value;
                let mut place = 0;
                self.query.retain(|(known, _)| {
                    place += 1;
                    known != name || place == at + 1
                });
            }
            None => self.query.push((name.to_owned(), value)),
        }
    }

    /// Adds a header that is a secret, in place of those of its name.
    pub fn add_secret_header(&mut self, name: HeaderName, mut value: HeaderValue) {
        value.set_sensitive(true);
        self.headers.insert(name.clone(), value);
        self.added.headers.push(name);
    }

    /// Adds a parameter that is a secret, in place of those of its name.
    pub fn add_secret_query(&mut self, name: &str, value: &str) {
        self.set_query(name, value);
        self.added.query.push(name.to_owned());
    }
}

/// Shows neither values nor the body: it may be signed.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let query: Vec<_> = self.query.iter().map(|(name, _)| name).collect();
        let headers: Vec<_> = self.headers.keys().collect();
        let mut shown = f.debug_struct("Request");
        shown.field("method", &self.method).field("path", &self.url.path());
        shown.field("query", &query).field("headers", &headers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request() -> Request {
        Request::get(Url::parse("https://api.example.com/v1/users").unwrap())
    }

    #[test]
    fn a_query_is_written_in_the_way_that_all_read() {
        let mut request = request();
        request.query = [("a b", "c+d"), ("e", ""), ("e", "\u{e9}&=*~")].map(|(n, v)| (n.into(), v.into())).to_vec();
        assert_eq!(request.full_url().query(), Some("a%20b=c%2Bd&e=&e=%C3%A9%26%3D%2A~"));
    }

    #[test]
    fn a_parameter_has_one_value_afterwards() {
        let mut request = request();
        request.query = [("a", "1"), ("b", "2"), ("a", "3")].map(|(n, v)| (n.into(), v.into())).to_vec();
        request.set_query("a", "4");
        request.set_query("c", "5");
        assert_eq!(request.full_url().query(), Some("a=4&b=2&c=5"));
    }

    #[test]
    fn what_is_added_is_named_and_not_shown() {
        let mut request = request();
        request.add_secret_header(HeaderName::from_static("x-key"), HeaderValue::from_static("s3cret"));
        request.add_secret_query("token", "s3cret");
        assert!(request.headers["x-key"].is_sensitive());
        assert_eq!((request.added.headers.len(), request.added.query.len()), (1, 1));
        assert!(!format!("{request:?}").contains("s3cret"), "{request:?}");
    }

    proptest! {
        #[test]
        fn any_query_is_read_as_it_was_written(query in prop::collection::vec((".{0,6}", ".{0,6}"), 0..6)) {
            let request = Request { query: query.clone(), ..request() };
            let read: Vec<(String, String)> = request.full_url().query_pairs().into_owned().collect();
            prop_assert_eq!(read, query);
        }
    }
}
