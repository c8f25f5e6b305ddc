//! `POST /oauth/token` of OAuth 2, and `POST /login` for a session.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::super::http::{Reply, Request};
use super::super::state::State;
use super::tokens::Refused;
use super::{CLIENT_ID, CLIENT_SECRET, PASSWORD, USER};

/// Grants `client_credentials`, and `refresh_token` with rotation. The client says who it is in a Basic header or in the form.
pub fn token(state: &State, request: &Request) -> Reply {
    let form: Vec<(String, String)> = form_urlencoded::parse(&request.body).into_owned().collect();
    let field = |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    let is_client = match request.header("authorization") {
        Some(header) => header == basic,
        None => field("client_id") == Some(CLIENT_ID) && field("client_secret") == Some(CLIENT_SECRET),
    };
    if !is_client {
        return refusal(401, "invalid_client").with("WWW-Authenticate", "Basic realm=\"api\"");
    }
    let settings = state.settings();
    let mut tokens = state.tokens.lock().unwrap();
    let (access, refresh) = match field("grant_type") {
        Some("client_credentials") => (tokens.give("access", None, &settings), None),
        Some("refresh_token") => match tokens.refresh(field("refresh_token").unwrap_or_default(), &settings) {
            Ok(given) => given,
            Err(why) => {
                state.counts().refresh_reused += u64::from(why == Refused::Reused);
                return refusal(400, "invalid_grant");
            }
        },
        _ => return refusal(400, "unsupported_grant_type"),
    };
    state.counts().tokens_given += 1;
    let mut answer = json!({"access_token": access, "token_type": "Bearer"});
    if let Some(seconds) = settings.token_seconds {
        answer["expires_in"] = json!(seconds.ceil() as u64);
    }
    if let Some(refresh) = refresh {
        answer["refresh_token"] = json!(refresh);
    }
    Reply::value(200, &answer).with("Cache-Control", "no-store")
}

fn refusal(status: u16, error: &str) -> Reply {
    Reply::value(status, &json!({ "error": error }))
}

/// `{"user": …, "password": …}`, or the same as a form, for `{"token": …}` and a cookie.
pub fn login(state: &State, request: &Request) -> Reply {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_else(|_| {
        let form = form_urlencoded::parse(&request.body).into_owned();
        form.map(|(name, value)| (name, Value::String(value))).collect::<serde_json::Map<_, _>>().into()
    });
    if body["user"] != USER || body["password"] != PASSWORD {
        return Reply::error(401, "invalid_credentials", "no such user");
    }
    let token = state.tokens.lock().unwrap().give("session", None, &state.settings());
    state.counts().tokens_given += 1;
    Reply::value(200, &json!({ "token": token })).with("Set-Cookie", format!("session={token}; HttpOnly; Path=/"))
}
