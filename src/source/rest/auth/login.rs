//! A login with user and password, and the token of the session that it opens.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderName, SET_COOKIE};
use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

use super::fixed::basic;
use super::issuer::Issuer;
use super::place::Place;
use super::renewed::{Fetch, Fetched};
use super::secret::Secret;
use crate::error::{Error, Result};
use crate::source::rest::body::{self, Format, Found, Path, Wanted};
use crate::source::rest::request::Request;
use crate::source::rest::transport::Answer;

pub struct Login {
    pub url: Url,
    pub how: How,
    pub username: String,
    pub password: Secret,
    /// The names under which the two are sent.
    pub fields: (String, String),
    pub token: Token,
    pub lasts: Option<Duration>,
    pub issuer: Issuer,
}

/// How user and password are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// POST, as a JSON object.
    Json,
    /// POST, as a form.
    Form,
    /// POST, in a header, without a body.
    BasicPost,
    /// GET, in a header.
    BasicGet,
    /// GET, in the query.
    Query,
}

/// Where in the answer the token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Its path in a JSON body.
    Body(Path),
    Header(HeaderName),
    Cookie(String),
}

#[async_trait]
impl Fetch for Login {
    type Got = Secret;

    async fn fetch(&self) -> Result<Fetched<Secret>> {
        let request = self.request()?;
        let credentials = self.issuer.ask(("login", "login_path"), &request, |answer| self.token_of(answer)).await?;
        Ok(Fetched { credentials, lasts: self.lasts })
    }
}

impl Login {
    fn request(&self) -> Result<Request> {
        let pairs =
            [(self.fields.0.as_str(), self.username.as_str()), (self.fields.1.as_str(), self.password.expose())];
        let mut request = match self.how {
            How::Json => {
                let object: serde_json::Map<_, _> =
                    pairs.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect();
                Request::post(self.url.clone(), "application/json", Value::Object(object).to_string())
            }
            How::Form => {
                let form = Serializer::new(String::new()).extend_pairs(pairs).finish();
                Request::post(self.url.clone(), "application/x-www-form-urlencoded", form)
            }
            How::BasicPost => Request { method: reqwest::Method::POST, ..Request::get(self.url.clone()) },
            How::BasicGet | How::Query => Request::get(self.url.clone()),
        };
        match self.how {
            How::Query => pairs.iter().for_each(|(name, value)| request.add_secret_query(name, value)),
            How::BasicPost | How::BasicGet => {
                Place::Basic.put(&basic(&self.username, self.password.expose()), &mut request)?;
            }
            How::Json | How::Form => {}
        }
        // A login that leads to a page has its cookie in the answer that says so.
        request.follows = matches!(self.token, Token::Body(_));
        Ok(request)
    }

    fn token_of(&self, answer: &Answer) -> Result<Secret> {
        let status = answer.status;
        if status.is_client_error() || status.is_server_error() {
            let message = format!("login: {}", status.as_u16());
            return Err(match status.as_u16() {
                404 | 405 | 500.. => Error::config(message).hint("Look at `login_path` and `login_send`."),
                _ => Error::denied(message)
                    .hint("Look at `username` and `password`, and at how `login_send` sends them."),
            });
        }
        let found = match &self.token {
            Token::Body(path) => at(answer, path),
            Token::Header(name) => answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned),
            Token::Cookie(name) => {
                let cookies = answer.headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
                cookies.filter_map(|cookie| value_of(cookie, name)).next_back()
            }
        };
        let none = || {
            // Many say with a 200 that the password is wrong.
            Error::denied(format!("login: {}, and no token at {} of the answer", status.as_u16(), self.token.shown())).hint(
                "Look at `username` and `password`, and at which of `token_path`, `token_header` and `token_cookie` says \
                 where the token is.",
            )
        };
        found.filter(|token| !token.is_empty()).map(Secret::new).ok_or_else(none)
    }
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Token::Body(path) => format!("`{path}`"),
            Token::Header(name) => format!("the header `{name}`"),
            Token::Cookie(name) => format!("the cookie `{name}`"),
        }
    }
}

/// The text, or the number, at a path of a JSON document.
fn at(answer: &Answer, path: &Path) -> Option<String> {
    let wanted = Wanted::new(Path::root(), vec![path.clone()]).ok()?;
    match body::look(answer, &Format::Json.into(), &wanted).ok()?.values.pop()? {
        Found::Text(text) | Found::Number(text) => Some(text),
        _ => None,
    }
}

/// Of `name=value; Path=/`, the value.
fn value_of(cookie: &str, name: &str) -> Option<String> {
    let (known, value) = cookie.split(';').next()?.split_once('=')?;
    (known.trim() == name).then(|| value.trim().to_owned())
}
