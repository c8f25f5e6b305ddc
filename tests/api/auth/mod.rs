//! Who may ask: `/auth/KIND/…` is `/…` behind credentials of that kind.

mod oauth;
mod signature;
mod tokens;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::http::{Reply, Request};
use super::state::State;

pub use self::oauth::{login, token};
pub use self::signature::{Keys, verify};
pub use self::tokens::Tokens;

pub const USER: &str = "reader";
/// With a colon, which a user's name may not have.
pub const PASSWORD: &str = "pass:word-5b1d";
pub const BEARER: &str = "bearer-7c0a5d1e";
pub const API_KEY: &str = "key-93f2b8c4";
pub const ADS_TOKEN: &str = "EAAB-ads-4d7e";
pub const CLIENT_ID: &str = "client-1";
pub const CLIENT_SECRET: &str = "client-secret-a1f0";
/// A refresh token that is good from the beginning.
pub const REFRESH_TOKEN: &str = "refresh-0";
pub const ACCESS_KEY: &str = "AKIDEXAMPLE";
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Everything secret that is known beforehand, in the forms in which it is sent.
fn secrets() -> impl Iterator<Item = String> {
    let basic = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let known = [PASSWORD, BEARER, API_KEY, ADS_TOKEN, CLIENT_SECRET, REFRESH_TOKEN, ACCESS_KEY, SECRET_KEY];
    known.into_iter().map(str::to_owned).chain([basic])
}

/// What a token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Good,
    Unknown,
    Expired,
}

/// Refuses a request that lacks the credentials.
///
/// # Errors
///
/// The refusal.
pub fn check(state: &State, kind: &str, request: &Request) -> Result<(), Reply> {
    match kind {
        "basic" => {
            let expected = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
            match request.header("authorization") == Some(&expected) {
                true => Ok(()),
                false => Err(unauthorized("invalid_credentials").with("WWW-Authenticate", "Basic realm=\"api\"")),
            }
        }
        "bearer" | "oauth" => by_token(state, request.bearer()).map_err(|reply| {
            let code = "Bearer error=\"invalid_token\"";
            reply.with("WWW-Authenticate", code)
        }),
        "session" => by_token(state, session(request)),
        "header" if request.header("x-api-key") == Some(API_KEY) => Ok(()),
        "query" if request.get("api_key") == Some(API_KEY) => Ok(()),
        "header" | "query" => Err(Reply::error(403, "forbidden", "this needs an API key")),
        "sigv4" => {
            let keys = Keys { access_key: ACCESS_KEY, secret_key: SECRET_KEY };
            verify(request, &keys, jiff::Timestamp::now())
                .map_err(|why| Reply::error(403, "SignatureDoesNotMatch", why))
        }
        _ => Err(Reply::error(404, "not_found", "no such kind of credentials")),
    }
}

fn session(request: &Request) -> Option<&str> {
    let cookies = request.header("cookie").unwrap_or_default().split("; ");
    let in_cookie = cookies.filter_map(|cookie| cookie.strip_prefix("session=")).next();
    request.header("x-session-token").or(in_cookie).or(request.bearer())
}

fn by_token(state: &State, token: Option<&str>) -> Result<(), Reply> {
    let token = token.ok_or_else(|| unauthorized("missing_token"))?;
    match state.tokens.lock().unwrap().check(token) {
        Standing::Good => Ok(()),
        Standing::Unknown => Err(unauthorized("invalid_token")),
        Standing::Expired => Err(unauthorized("expired_token")),
    }
}

fn unauthorized(code: &str) -> Reply {
    Reply::error(401, code, "who are you?")
}
