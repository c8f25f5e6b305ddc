//! A request as it is before anybody has signed it, and how it is shown.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;
use url::Url;

/// What is asked of a server.
///
/// Whatever is secret in it was put there by [`Auth`](super::auth::Auth), on a copy that is sent and forgotten: what the
/// stream keeps, shows and resumes with never has a secret.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: Method,
    /// Without a query.
    pub url: Url,
    /// Parameters of the query, in their order, repeated ones too; encoded when it is sent.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
}

impl Request {
    pub fn get(url: Url) -> Self {
        Self { method: Method::GET, url, query: Vec::new(), headers: HeaderMap::new(), body: None }
    }

    /// The URL with its query.
    pub fn full_url(&self) -> Url {
        let mut url = self.url.clone();
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
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
}
