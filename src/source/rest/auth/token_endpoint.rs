//! Where OAuth 2 gives out tokens (RFC 6749).

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::fixed::basic;
use super::issuer::{Issuer, LONGEST_ANSWER};
use super::place::Place;
use super::secret::Secret;
use crate::error::{Error, Result};
use crate::source::rest::request::Request;
use crate::source::rest::secrets::Secrets;
use crate::source::rest::transport::Answer;

pub struct TokenEndpoint {
    pub url: Url,
    pub client_id: String,
    pub client_secret: Option<Secret>,
    /// The client says who it is in a header, rather than in the form.
    pub basic: bool,
    /// What else stands in the form: `scope`, `audience`.
    pub form: Vec<(String, String)>,
    /// What to do where the grant itself is refused.
    pub grant_hint: &'static str,
    pub issuer: Issuer,
}

/// What it gives.
#[derive(Debug)]
pub struct Granted {
    pub access: Secret,
    /// The next refresh token, where there is another one now.
    pub refresh: Option<Secret>,
    pub lasts: Option<Duration>,
}

#[derive(Deserialize)]
struct Told {
    access_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<Value>,
    error: Option<Value>,
}

impl TokenEndpoint {
    /// Asks for a token until it is given or refused.
    pub async fn ask(&self, grant: &[(&str, &str)]) -> Result<Granted> {
        let request = self.request(grant)?;
        self.issuer.ask((&self.place(), "token_url"), &request, |answer| self.granted(answer, grant)).await
    }

    fn request(&self, grant: &[(&str, &str)]) -> Result<Request> {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(grant).extend_pairs(&self.form);
        if !self.basic {
            form.append_pair("client_id", &self.client_id);
            if let Some(secret) = &self.client_secret {
                form.append_pair("client_secret", secret.expose());
            }
        }
        let mut request = Request::post(self.url.clone(), "application/x-www-form-urlencoded", form.finish());
        if self.basic {
            // RFC 6749, 2.3.1: each is encoded as in a form first.
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let secret = self.client_secret.as_ref().map(|secret| encoded(secret.expose())).unwrap_or_default();
            Place::Basic.put(&basic(&encoded(&self.client_id), &secret), &mut request)?;
        }
        request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        Ok(request)
    }

    fn granted(&self, answer: &Answer, grant: &[(&str, &str)]) -> Result<Granted> {
        let status = answer.status;
        let unreadable = |e| Error::unavailable(format!("{}: its answer cannot be read: {e}", self.place()));
        let told = serde_json::from_slice::<Told>(&answer.body.head(LONGEST_ANSWER).map_err(unreadable)?);
        // What is wrong with it is not told: it may hold a token.
        let told = told.unwrap_or(Told { access_token: None, refresh_token: None, expires_in: None, error: None });
        match told.access_token.filter(|token| !token.is_empty()) {
            Some(access) if status.is_success() => Ok(Granted {
                access: Secret::new(access),
                refresh: told.refresh_token.filter(|token| !token.is_empty()).map(Secret::new),
                lasts: told.expires_in.as_ref().and_then(seconds),
            }),
            _ => Err(self.refused(status, told.error.as_ref().and_then(code), &self.sent(grant))),
        }
    }

    /// What of a request is secret, or may be: whoever has words for a grant may repeat what it has.
    fn sent(&self, grant: &[(&str, &str)]) -> Secrets {
        let grant = grant.iter().filter(|(name, _)| *name != "grant_type").map(|(_, value)| (*value).to_owned());
        let form = self.form.iter().filter(|(name, _)| name != "scope").map(|(_, value)| value.clone());
        Secrets::of(grant.chain(form).chain(self.client_secret.iter().map(|secret| secret.expose().to_owned())))
    }

    /// Some say with a 200 that they refuse.
    fn refused(&self, status: StatusCode, code: Option<&str>, sent: &Secrets) -> Error {
        let place = self.place();
        let Some(code) = code else {
            return match status.as_u16() {
                401 | 403 => Error::denied(format!("{place}: {}", status.as_u16())).hint(CLIENT_HINT),
                code => Error::config(format!("{place}: {code}, and no token in the answer"))
                    .hint("Look at `token_url`: it must be where OAuth 2 gives out tokens, as JSON."),
            };
        };
        let message = format!("{place}: {} {}", status.as_u16(), sent.hidden(code));
        match code {
            "invalid_grant" => Error::denied(message).hint(self.grant_hint),
            "temporarily_unavailable" | "slow_down" | "server_error" => Error::unavailable(message),
            "invalid_scope" => Error::config(message).hint("Look at `scope`."),
            "unsupported_grant_type" | "invalid_request" | "unsupported_response_type" => Error::config(message).hint(
                "The server does not give out tokens in this way: look at `auth`, `client_auth` and `token_param.`.",
            ),
            _ => Error::denied(message).hint(CLIENT_HINT),
        }
    }

    /// Its host alone: a path or a query may be somebody's secret.
    fn place(&self) -> String {
        format!("no token from {}", self.url.host_str().unwrap_or("the token endpoint"))
    }
}

const CLIENT_HINT: &str = "Look at `client_id`, `client_secret` and `client_auth`, and at what the client is granted.";

/// The code of an error, where it looks like one: whatever else stands there may be a value.
fn code(error: &Value) -> Option<&str> {
    let code = error.as_str().or_else(|| error.get("code")?.as_str())?;
    let is_code = |code: &str| code.len() <= 40 && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    Some(code).filter(|code| is_code(code))
}

/// A number by the standard; some write it as text, and some mean with 0 that it never ends.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    Duration::try_from_secs_f64(seconds.min(1e9)).ok().filter(|lasts| !lasts.is_zero())
}
