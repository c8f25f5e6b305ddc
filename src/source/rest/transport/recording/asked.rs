//! What a request asks for, as the file has it: without secrets, and the same whoever signed it.

use serde_json::Value as Json;
use url::form_urlencoded::{self, Serializer};

use crate::source::rest::request::{Params, Request};
use crate::source::rest::secrets::{HIDDEN, Secrets, is_secret_name};
use crate::source::rest::signed_link::SignedLink;

/// Which request an answer is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asked {
    pub method: String,
    pub path: String,
    /// By name; repeated ones in their order.
    pub query: Vec<(String, String)>,
    pub sent: Option<String>,
}

impl Asked {
    /// Without what the request was signed with, and without what names and `secrets` say is secret. A replay, which has no
    /// secrets, asks the same: it has `HIDDEN` from the answers where a real run has the secret.
    pub fn of(request: &Request, secrets: &Secrets) -> Self {
        let is_added = |name: &str| request.added.query.iter().any(|added| added == name);
        let mut query: Vec<(String, String)> = request
            .query
            .iter()
            // A link that is a permission has nothing else in its query.
            .filter(|_| request.link != SignedLink::Followed)
            .filter(|(name, _)| !is_added(name) && !is_secret_name(name))
            .map(|(name, value)| (name.clone(), secrets.hidden(value)))
            .filter(|(_, value)| value != HIDDEN)
            .collect();
        query.sort_by(|(one, _), (other, _)| one.cmp(other));
        let sent = request.body.as_ref().map(|body| sent(&String::from_utf8_lossy(body), secrets));
        Self { method: request.method.to_string(), path: secrets.hidden(request.url.path()), query, sent }
    }

    /// As [`Asked::of`] has it, whatever people made of the line.
    pub fn ordered(mut self) -> Self {
        self.query.sort_by(|(one, _), (other, _)| one.cmp(other));
        self
    }

    /// The names of its parameters, for messages: a value may be one of a record.
    pub fn names(&self) -> String {
        let mut names: Vec<_> = self.query.iter().map(|(name, _)| format!("`{name}`")).collect();
        names.dedup();
        match names.is_empty() {
            true => "no parameters".to_owned(),
            false => names.join(", "),
        }
    }
}

/// A body without values of fields whose names say that they are secret.
fn sent(body: &str, secrets: &Secrets) -> String {
    let body = match Params::of_body(Some(body.as_bytes())) {
        Some(Params::Json) => serde_json::from_str(body).map_or_else(
            |_| body.to_owned(),
            |mut json| {
                without_secrets(&mut json);
                json.to_string()
            },
        ),
        Some(Params::Form) if body.contains('=') => {
            let pairs = form_urlencoded::parse(body.as_bytes()).map(|(name, value)| match is_secret_name(&name) {
                true => (name.into_owned(), HIDDEN.to_owned()),
                false => (name.into_owned(), value.into_owned()),
            });
            Serializer::new(String::new()).extend_pairs(pairs).finish()
        }
        _ => body.to_owned(),
    };
    secrets.hidden(&body)
}

fn without_secrets(json: &mut Json) {
    match json {
        Json::Object(fields) => fields.iter_mut().for_each(|(name, value)| match is_secret_name(name) {
            true if value.is_string() => *value = HIDDEN.into(),
            _ => without_secrets(value),
        }),
        Json::Array(items) => items.iter_mut().for_each(without_secrets),
        _ => {}
    }
}
