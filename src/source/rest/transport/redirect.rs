//! Where a redirect leads, and what goes along.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION, USER_AGENT,
};
use reqwest::{Method, StatusCode};
use url::Url;

use super::{Broken, What};
use crate::source::rest::origin;
use crate::source::rest::request::Request;

/// How many are followed.
const MOST: usize = 10;

/// What is shorter stands in an address by chance.
const SHORTEST: usize = 4;

/// The headers that any server may see. Whatever else a user sets may be a key.
const HARMLESS: &[HeaderName] = &[ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_TYPE, USER_AGENT];

/// What is sent: a request, or what a redirect made of it.
pub struct Hop {
    pub method: Method,
    /// With its query.
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    /// Parameters of the query that no other origin gets to see, as they were sent.
    secrets: Vec<(String, String)>,
    followed: usize,
}

impl Hop {
    pub fn first(request: &Request) -> Self {
        let is_added = |(name, _): &&(String, String)| request.added.query.contains(name);
        Self {
            method: request.method.clone(),
            url: request.full_url(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            secrets: request.query.iter().filter(is_added).cloned().collect(),
            followed: 0,
        }
    }

    /// What to send next; `None` where the answer is no redirect.
    pub fn next(&self, status: StatusCode, headers: &HeaderMap) -> Result<Option<Hop>, Broken> {
        let keeps = match status.as_u16() {
            301..=303 => false,
            307 | 308 => true,
            _ => return Ok(None),
        };
        let Some(location) = headers.get(LOCATION) else { return Ok(None) };
        let url = self.target(location.as_bytes())?;
        if self.followed == MOST {
            return Err(refused(format!("it was redirected more than {MOST} times")));
        }
        let mut next = Hop { url, followed: self.followed + 1, ..self.again() };
        if !keeps && next.method != Method::HEAD {
            next.method = Method::GET;
            next.body = None;
            next.headers.remove(CONTENT_TYPE);
        }
        match next.url.origin() == self.url.origin() {
            true => next.keep_secrets(),
            false => next.leave_secrets()?,
        }
        Ok(Some(next))
    }

    fn again(&self) -> Self {
        let (method, url, headers) = (self.method.clone(), self.url.clone(), self.headers.clone());
        let (body, secrets) = (self.body.clone(), self.secrets.clone());
        Self { method, url, headers, body, secrets, followed: self.followed }
    }

    fn target(&self, location: &[u8]) -> Result<Url, Broken> {
        let location = std::str::from_utf8(location).ok().and_then(|text| self.url.join(text).ok());
        let mut url = location.ok_or_else(|| refused("it was redirected to what is no URL"))?;
        origin::keep_https(&mut url, &self.url);
        match (self.url.scheme(), url.scheme()) {
            ("https", "https") | ("http", "http" | "https") => {}
            ("https", "http") => {
                return Err(refused(format!("it was redirected from https to http{}", origin::shown(&url))));
            }
            _ => return Err(refused("it was redirected to something that is not HTTP")),
        }
        // The client would make a header of them.
        let _ = (url.set_username(""), url.set_password(None));
        Ok(url)
    }

    /// Servers seldom repeat a key in the address that they redirect to.
    fn keep_secrets(&mut self) {
        for (name, value) in &self.secrets {
            if !self.url.query_pairs().any(|(known, _)| known == *name) {
                self.url.query_pairs_mut().append_pair(name, value);
            }
        }
    }

    fn leave_secrets(&mut self) -> Result<(), Broken> {
        if self.body.is_some() {
            return Err(refused("it was redirected to another server, which does not get its body"));
        }
        let is_harmless = |name: &HeaderName| HARMLESS.contains(name);
        self.headers =
            self.headers.iter().filter(|(name, _)| is_harmless(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
        // Some servers do repeat it.
        let is_secret = |name: &str| self.secrets.iter().any(|(known, _)| known == name);
        if self.url.query_pairs().any(|(name, _)| is_secret(&name)) {
            let kept: Vec<(String, String)> =
                self.url.query_pairs().into_owned().filter(|(name, _)| !is_secret(name)).collect();
            self.url.set_query(None);
            if !kept.is_empty() {
                self.url.query_pairs_mut().extend_pairs(kept);
            }
        }
        // A page for logins is often told where to come back to.
        if self.secrets.iter().any(|(_, value)| value.len() >= SHORTEST && has(&self.url, value)) {
            let message =
                format!("it was redirected to another server with its key in the address{}", origin::shown(&self.url));
            return Err(refused(message));
        }
        self.secrets.clear();
        Ok(())
    }
}

/// Whether an address has a text in it, however often it is encoded.
fn has(url: &Url, text: &str) -> bool {
    const OFTEN: usize = 3;
    let decoded = |written: &String| Some(percent_decode_str(written).decode_utf8().ok()?.into_owned());
    std::iter::successors(Some(url.to_string()), decoded).take(OFTEN + 1).any(|written| written.contains(text))
}

fn refused(message: impl Into<String>) -> Broken {
    Broken::new(What::Refused, message)
}

#[cfg(test)]
mod tests {
    use reqwest::header::{AUTHORIZATION, HeaderValue};

    use super::*;

    fn signed() -> Request {
        let mut request = Request::get(Url::parse("https://api.example.com/v1?page=1").unwrap());
        request.query = vec![("page".into(), "1".into())];
        request.headers.insert("x-tenant", HeaderValue::from_static("acme"));
        request.headers.insert(ACCEPT, HeaderValue::from_static("text/csv"));
        request.add_secret_header(AUTHORIZATION, HeaderValue::from_static("Bearer s3cret"));
        request.add_secret_query("key", "s3cret");
        request
    }

    fn to(request: &Request, status: u16, location: &str) -> Result<Option<Hop>, Broken> {
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_str(location).unwrap())]);
        Hop::first(request).next(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn the_same_origin_keeps_what_was_added() {
        for location in ["/v2?page=1", "https://api.example.com:443/v2?page=1", "http://api.example.com/v2?page=1"] {
            let hop = to(&signed(), 302, location).unwrap().unwrap();
            assert_eq!(hop.url.as_str(), "https://api.example.com/v2?page=1&key=s3cret");
            assert_eq!((hop.headers.len(), hop.headers.contains_key(AUTHORIZATION)), (3, true));
        }
    }

    #[test]
    fn another_origin_gets_no_secret() {
        for location in [
            "https://other.example.com/v2?page=1&key=s3cret",
            "https://api.example.com:8443/v2?key=s3cret&page=1",
            "//evil.example/v2?page=1&key=s3cret&key=s3cret",
            "https://s3cret:s3cret@evil.example/v2?page=1",
        ] {
            let hop = to(&signed(), 302, location).unwrap().unwrap();
            assert!(!hop.url.as_str().contains("s3cret") && hop.url.query() == Some("page=1"), "{}", hop.url);
            assert_eq!(hop.headers.keys().collect::<Vec<_>>(), [ACCEPT]);
            // Nor does it come back on the way home.
            let home = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("https://api.example.com/v3"))]);
            let hop = hop.next(StatusCode::FOUND, &home).unwrap().unwrap();
            assert!(!hop.headers.contains_key(AUTHORIZATION) && hop.url.query().is_none());
        }
    }

    #[test]
    fn a_key_within_another_parameter_is_not_taken_elsewhere() {
        for location in [
            "https://sso.example.com/login?return=/v1%3Fpage=1%26key=s3cret",
            "https://sso.example.com/login?return=%252Fv1%253Fkey%253Ds3%2563ret",
            "https://sso.example.com/s3cret/login",
        ] {
            let broken = to(&signed(), 302, location).err().unwrap();
            assert!(
                broken.to_string().contains("its key in the address") && !broken.to_string().contains("s3cret"),
                "{broken}"
            );
        }
    }

    #[test]
    fn what_must_not_be_followed_is_refused() {
        for location in [
            "http://api.example.com:81/v1",
            "http://other.example.com/v1",
            "ftp://api.example.com/v1",
            "file:///etc/passwd",
            "https://",
        ] {
            let broken = to(&signed(), 307, location).err().unwrap();
            assert_eq!(broken.what, What::Refused);
            assert!(!broken.message.contains("/v1") && !broken.message.contains("passwd"), "{broken}");
            let names_host = location.starts_with("http:").then(|| location.trim_end_matches("/v1"));
            assert!(names_host.is_none_or(|server| broken.message.contains(server)), "{broken}");
        }
        let mut hop = Hop::first(&signed());
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("/again"))]);
        for _ in 0..MOST {
            hop = hop.next(StatusCode::FOUND, &headers).unwrap().unwrap();
        }
        assert_eq!(hop.next(StatusCode::FOUND, &headers).err().unwrap().what, What::Refused);
    }

    #[test]
    fn a_body_goes_along_where_the_server_asks_for_it_and_to_no_other() {
        let mut post = signed();
        (post.method, post.body) = (Method::POST, Some(Bytes::from_static(b"{}")));
        let hop = to(&post, 308, "/v2").unwrap().unwrap();
        assert_eq!((hop.method, hop.body.is_some()), (Method::POST, true));
        let hop = to(&post, 303, "/v2").unwrap().unwrap();
        assert_eq!((hop.method, hop.body.is_some()), (Method::GET, false));
        assert_eq!(to(&post, 307, "https://other.example.com/").err().unwrap().what, What::Refused);
        assert!(to(&post, 304, "/v2").unwrap().is_none());
    }
}
