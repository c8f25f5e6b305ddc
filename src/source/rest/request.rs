//! A request as it is before anybody has signed it, and how it is shown.

use std::collections::BTreeMap;

use bytes::Bytes;
use percent_encoding::utf8_percent_encode;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value as Json;
use serde_json::value::{RawValue, to_raw_value};
use url::Url;

use super::body::Scalar;
use super::secrets::is_secret_name;
use super::signed_link::{self, SignedLink};
use crate::net::ENCODED_IN_URLS;

/// What is asked of a server.
///
/// Whatever is secret in it was put there by [`Auth`](super::auth::Auth), on a copy that is sent and forgotten: what the
/// stream keeps, shows and resumes with never has a secret.
#[derive(Clone)]
pub struct Request {
    pub method: Method,
    /// Without a query, but for a link that has to be followed as it is written.
    pub url: Url,
    /// Parameters of the query, in their order, repeated ones too; encoded when it is sent.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    /// Where [`Request::set_param`] puts parameters.
    pub params: Params,
    /// Whether redirects are followed; else they are the answer.
    pub follows: bool,
    /// What it was signed with.
    pub added: Added,
    pub link: SignedLink,
}

/// Names of what [`Auth`](super::auth::Auth) has added to a request: what no other origin gets to see.
#[derive(Debug, Clone, Default)]
pub struct Added {
    pub headers: Vec<HeaderName>,
    pub query: Vec<String>,
}

/// Where parameters go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Params {
    #[default]
    Query,
    /// Into the body, a JSON object; a name with dots is that of a field within others.
    Json,
    /// Into the body, `name=value&…`.
    Form,
}

impl Params {
    /// Into a body of this kind; `None` where it can take none.
    pub fn of_body(body: Option<&[u8]>) -> Option<Self> {
        let Some(body) = body else { return Some(Params::Json) };
        match serde_json::from_slice(body) {
            Ok(Json::Object(_)) => Some(Params::Json),
            Ok(_) => None,
            Err(_) => Some(Params::Form),
        }
    }
}

impl Request {
    pub fn get(url: Url) -> Self {
        let (query, headers, added, link) = (Vec::new(), HeaderMap::new(), Added::default(), SignedLink::None);
        Self { method: Method::GET, url, query, headers, body: None, params: Params::Query, follows: true, added, link }
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
            let encode = |text| utf8_percent_encode(text, ENCODED_IN_URLS);
            let pairs = self.query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
            let written = url.query().map(str::to_owned);
            url.set_query(Some(&written.into_iter().chain(pairs).collect::<Vec<_>>().join("&")));
        }
        url
    }

    /// What of its URL may be shown.
    pub fn shown_path(&self) -> &str {
        match self.link {
            SignedLink::Followed => "(the file's link)",
            _ => self.url.path(),
        }
    }

    /// Adds a parameter, beside those of its name that are there.
    pub fn add_param(&mut self, name: &str, value: impl Into<Scalar>) {
        match self.params {
            Params::Query => self.query.push((name.to_owned(), value.into().into_text())),
            _ => self.change_body(name, &value.into(), false),
        }
    }

    /// Gives a parameter this value, in place of those that it has.
    pub fn set_param(&mut self, name: &str, value: impl Into<Scalar>) {
        match self.params {
            Params::Query => replace(&mut self.query, name, value.into().into_text()),
            _ => self.change_body(name, &value.into(), true),
        }
    }

    fn change_body(&mut self, name: &str, value: &Scalar, replaces: bool) {
        let body = self.body.take().unwrap_or_default();
        self.body = Some(match self.params {
            // Names and texts can always be written.
            Params::Json => value
                .json()
                .and_then(|value| with_field(&body, name, value))
                .map_or(body, |json| Bytes::from(String::from(Box::<str>::from(json)))),
            _ => {
                let mut pairs: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
                match replaces {
                    true => replace(&mut pairs, name, value.text().to_owned()),
                    false => pairs.push((name.to_owned(), value.text().to_owned())),
                }
                url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into()
            }
        });
    }

    /// For people: `GET /orders?page=17`, without values of parameters that are secret. Of a body it shows nothing.
    pub fn shown(&self) -> String {
        let is_secret = |name: &str| is_secret_name(name) || self.added.query.iter().any(|added| added == name);
        let pair = |(name, value): &(String, String)| match is_secret(name) {
            true => format!("{name}=…"),
            // It may be a link, which may be a permission.
            false => format!("{name}={}", signed_link::without_queries(value)),
        };
        let query: Vec<_> = self.query.iter().map(pair).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{} {}{mark}{}", self.method, self.shown_path(), query.join("&"))
    }

    /// Adds a header that is a secret, in place of those of its name.
    pub fn add_secret_header(&mut self, name: HeaderName, mut value: HeaderValue) {
        value.set_sensitive(true);
        self.headers.insert(name.clone(), value);
        self.added.headers.push(name);
    }

    /// Adds a parameter that is a secret, in place of those of its name.
    pub fn add_secret_query(&mut self, name: &str, value: &str) {
        replace(&mut self.query, name, value.to_owned());
        self.added.query.push(name.to_owned());
    }
}

fn replace(pairs: &mut Vec<(String, String)>, name: &str, value: String) {
    let at = pairs.iter().position(|(known, _)| known == name).unwrap_or(pairs.len());
    pairs.retain(|(known, _)| known != name);
    pairs.insert(at.min(pairs.len()), (name.to_owned(), value));
}

/// A JSON object with a field more. What else it has stays as it is written.
fn with_field(object: &[u8], name: &str, value: Box<RawValue>) -> serde_json::Result<Box<RawValue>> {
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(object).unwrap_or_default();
    let (name, value) = match name.split_once('.') {
        Some((name, within)) => {
            let object = fields.get(name).map(|object| object.get()).unwrap_or_default();
            (name, with_field(object.as_bytes(), within, value)?)
        }
        None => (name, value),
    };
    fields.insert(name.to_owned(), value);
    to_raw_value(&fields)
}

/// Shows neither values nor the body: it may be signed.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let query: Vec<_> = self.query.iter().map(|(name, _)| name).collect();
        let headers: Vec<_> = self.headers.keys().collect();
        let mut shown = f.debug_struct("Request");
        shown.field("method", &self.method).field("path", &self.shown_path());
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
        request.set_param("a", "4");
        request.set_param("c", "5");
        assert_eq!(request.full_url().query(), Some("a=4&b=2&c=5"));
    }

    fn with_body(params: Params, body: &str) -> Request {
        Request { params, body: Some(Bytes::copy_from_slice(body.as_bytes())), ..request() }
    }

    #[test]
    fn parameters_of_the_query_may_be_repeated() {
        let mut request = with_body(Params::Query, "");
        for value in ["a", "b &"] {
            request.add_param("ids[]", value);
        }
        request.add_param("page", "1");
        request.set_param("page", "2");
        assert_eq!(request.full_url().query(), Some("ids%5B%5D=a&ids%5B%5D=b%20%26&page=2"));
        request.set_param("ids[]", "c");
        assert_eq!(request.full_url().query(), Some("ids%5B%5D=c&page=2"));
    }

    #[test]
    fn parameters_of_a_body_are_its_fields() {
        let mut json = with_body(Params::Json, r#"{"filter":{"a":1}}"#);
        json.set_param("page.number", "2");
        json.set_param("page.number", "3");
        json.set_param("filter.since", "2024-01-01");
        let body: Json = serde_json::from_slice(json.body.as_ref().unwrap()).unwrap();
        assert_eq!(body, serde_json::json!({"filter":{"a":1,"since":"2024-01-01"},"page":{"number":3}}));
        json.set_param("page", "4");
        json.set_param("page.number", "5");
        json.set_param("zip", "00123");
        let body: Json = serde_json::from_slice(json.body.as_ref().unwrap()).unwrap();
        assert_eq!(body["page"], serde_json::json!({"number":5}));
        assert_eq!(body["zip"], "00123");
        let mut form = with_body(Params::Form, "a=1&page=1");
        form.set_param("page", "2");
        form.add_param("a", "3");
        assert_eq!(form.body.unwrap(), "a=1&page=2&a=3");
        assert_eq!(Params::of_body(Some(b"[1]")), None);
        assert_eq!(Params::of_body(Some(b"a=1")), Some(Params::Form));
    }

    #[test]
    fn what_an_answer_has_is_sent_as_it_is_there_and_the_rest_of_the_body_stays() {
        let mut json = with_body(Params::Json, r#"{"a":{"big":12345678901234567890123}}"#);
        json.set_param("a.after", Scalar::Text("50".to_owned()));
        json.set_param("b", Scalar::Number("98765432109876543210987".to_owned()));
        let body = String::from_utf8(json.body.unwrap().to_vec()).unwrap();
        assert_eq!(body, r#"{"a":{"after":"50","big":12345678901234567890123},"b":98765432109876543210987}"#);
    }

    #[test]
    fn a_link_that_is_a_permission_goes_out_as_it_is_written_and_is_not_shown() {
        let written = "https://files.example.net/t0ken/a.csv?e=60&sig=ab%2bcdefghijkl+m%3D&x";
        let link = Request { link: SignedLink::Followed, ..Request::get(Url::parse(written).unwrap()) };
        assert_eq!(link.full_url().as_str(), written);
        assert!(!link.shown_path().contains("t0ken"));
        assert!(!format!("{link:?}").contains("sig="), "{link:?}");
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

    #[test]
    fn a_page_is_named_without_its_secrets() {
        let mut request = request();
        let to = "https://files.example.net/a.csv?sig=s3cret";
        request.query =
            [("page", "9731"), ("api_key", "s3cret"), ("to", to)].map(|(n, v)| (n.into(), v.into())).to_vec();
        request.add_secret_query("mine", "s3cret");
        let shown = "GET /v1/users?page=9731&api_key=…&to=https://files.example.net/a.csv?HIDDEN&mine=…";
        assert_eq!(request.shown(), shown);
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
