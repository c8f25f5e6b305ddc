//! A request as it is before anybody has signed it, and how it is shown.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value as Json;
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
    /// Where [`Request::set_param`] puts parameters.
    pub params: Params,
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
        let (method, query, headers, params) = (Method::GET, Vec::new(), HeaderMap::new(), Params::Query);
        Self { method, url, query, headers, body: None, params }
    }

    /// The URL with its query.
    pub fn full_url(&self) -> Url {
        let mut url = self.url.clone();
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }

    /// Adds a parameter, beside those of its name that are there.
    pub fn add_param(&mut self, name: &str, value: impl Into<String>) {
        match self.params {
            Params::Query => self.query.push((name.to_owned(), value.into())),
            _ => self.change_body(name, value.into(), false),
        }
    }

    /// Gives a parameter this value, in place of those that it has.
    pub fn set_param(&mut self, name: &str, value: impl Into<String>) {
        match self.params {
            Params::Query => replace(&mut self.query, name, value.into()),
            _ => self.change_body(name, value.into(), true),
        }
    }

    fn change_body(&mut self, name: &str, value: String, replaces: bool) {
        let body = self.body.take().unwrap_or_default();
        self.body = Some(match self.params {
            Params::Json => with_field(&body, name, value).into(),
            _ => {
                let mut pairs: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
                match replaces {
                    true => replace(&mut pairs, name, value),
                    false => pairs.push((name.to_owned(), value)),
                }
                url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into()
            }
        });
    }
}

fn replace(pairs: &mut Vec<(String, String)>, name: &str, value: String) {
    let at = pairs.iter().position(|(known, _)| known == name).unwrap_or(pairs.len());
    pairs.retain(|(known, _)| known != name);
    pairs.insert(at.min(pairs.len()), (name.to_owned(), value));
}

/// A JSON object with a field more, a number where the text is a whole one.
fn with_field(body: &[u8], name: &str, value: String) -> Vec<u8> {
    let mut json: Json = serde_json::from_slice(body).unwrap_or_default();
    let value = value.parse::<i64>().map_or(Json::String(value), Json::from);
    let mut at = &mut json;
    for part in name.split('.') {
        if !at.is_object() {
            *at = Json::Object(serde_json::Map::new());
        }
        at = &mut at[part];
    }
    *at = value;
    json.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(params: Params, body: &str) -> Request {
        let url = Url::parse("https://api.example.com/v1/users").unwrap();
        Request { params, body: Some(Bytes::copy_from_slice(body.as_bytes())), ..Request::get(url) }
    }

    #[test]
    fn parameters_of_the_query_may_be_repeated() {
        let mut request = request(Params::Query, "");
        for value in ["a", "b &"] {
            request.add_param("ids[]", value);
        }
        request.add_param("page", "1");
        request.set_param("page", "2");
        assert_eq!(request.full_url().query(), Some("ids%5B%5D=a&ids%5B%5D=b+%26&page=2"));
        request.set_param("ids[]", "c");
        assert_eq!(request.full_url().query(), Some("ids%5B%5D=c&page=2"));
    }

    #[test]
    fn parameters_of_a_body_are_its_fields() {
        let mut json = request(Params::Json, r#"{"filter":{"a":1}}"#);
        json.set_param("page.number", "2");
        json.set_param("page.number", "3");
        json.set_param("filter.since", "2024-01-01");
        let body: Json = serde_json::from_slice(json.body.as_ref().unwrap()).unwrap();
        assert_eq!(body, serde_json::json!({"filter":{"a":1,"since":"2024-01-01"},"page":{"number":3}}));
        let mut form = request(Params::Form, "a=1&page=1");
        form.set_param("page", "2");
        form.add_param("a", "3");
        assert_eq!(form.body.unwrap(), "a=1&page=2&a=3");
        assert_eq!(Params::of_body(Some(b"[1]")), None);
        assert_eq!(Params::of_body(Some(b"a=1")), Some(Params::Form));
    }
}
