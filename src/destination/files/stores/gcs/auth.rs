//! The token at hand: fetched when it is first needed, and again before it runs out.

use std::time::{Duration, Instant};

use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use tokio::sync::{Mutex, OnceCell};
use url::form_urlencoded::Serializer;

use super::credentials::{Ask, Source, find};
use super::settings::Credentials;
use super::tries;
use crate::error::{Error, Result};

/// A token is not used in its last minutes: a request may take one.
const MARGIN: Duration = Duration::from_secs(3 * 60);

pub struct Auth {
    credentials: Credentials,
    source: OnceCell<Option<Source>>,
    token: Mutex<Option<Token>>,
}

struct Token {
    text: String,
    /// From when on it is not to be used.
    until: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

impl Auth {
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials, source: OnceCell::new(), token: Mutex::default() }
    }

    /// A token that is good for a while; `None` where none is to be sent.
    pub async fn token(&self, http: &reqwest::Client) -> Result<Option<String>> {
        let Some(source) = self.source.get_or_try_init(async || find(&self.credentials)).await? else {
            return Ok(None);
        };
        // Held while a token is fetched, so that many requests fetch one.
        let mut token = self.token.lock().await;
        if let Some(token) = token.as_ref().filter(|token| Instant::now() < token.until) {
            return Ok(Some(token.text.clone()));
        }
        let granted = fetch(http, source).await?;
        let until = Instant::now() + Duration::from_secs(granted.expires_in).saturating_sub(MARGIN);
        *token = Some(Token { text: granted.access_token.clone(), until });
        Ok(Some(granted.access_token))
    }

    /// A token was refused: if it is still the one at hand, it is not used again.
    pub async fn forget(&self, refused: &str) {
        let mut token = self.token.lock().await;
        if token.as_ref().is_some_and(|token| token.text == refused) {
            *token = None;
        }
    }
}

async fn fetch(http: &reqwest::Client, source: &Source) -> Result<Granted> {
    let mut tries = tries();
    loop {
        let Ask { url, form } = source.ask()?;
        let request = match form {
            Some(form) => {
                let form = Serializer::new(String::new()).extend_pairs(form).finish();
                http.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
            }
            None => http.get(url).header("metadata-flavor", "Google"),
        };
        let answer = match request.send().await {
            Ok(answer) => answer,
            // Off Google's machines there is nobody to ask, and asking again finds nobody either.
            Err(e) if e.is_connect() && matches!(source, Source::Machine { .. }) => return Err(nowhere()),
            Err(e) => {
                let error = Error::unavailable(format!("no token for {}: {}", source.describe(), e.without_url()));
                tries.pause(error, None).await?;
                continue;
            }
        };
        let status = answer.status();
        if status.is_success() {
            let granted = answer.json().await;
            // The body holds the token: what is wrong with it is not told.
            let wrong = |_| Error::unavailable(format!("no token for {}: the answer holds none", source.describe()));
            return granted.map_err(wrong);
        }
        let message = format!("no token for {}: {status}", source.describe());
        match status.as_u16() {
            408 | 429 | 500..=599 => tries.pause(Error::unavailable(message), None).await?,
            _ => {
                return Err(Error::denied(message).hint(
                    "Renew the credentials, and look that the account and its key are still there and enabled.",
                ));
            }
        }
    }
}

fn nowhere() -> Error {
    Error::denied("no Google credentials were found").hint(
        "Set `credentials_file` or GOOGLE_APPLICATION_CREDENTIALS, run `gcloud auth application-default login`, or run \
         on a machine of Google's that has a service account.",
    )
}
