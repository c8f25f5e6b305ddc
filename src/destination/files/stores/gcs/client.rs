//! Requests to Google's JSON API: signed in, tried again where that may help, their errors classified.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::utf8_percent_encode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;

use super::auth::Auth;
use super::settings::Settings;
use super::tries;
use crate::error::{Error, Result};
use crate::net::ENCODED_IN_URLS;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Client {
    pub settings: Settings,
    pub auth: Auth,
    http: reqwest::Client,
}

/// A request, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// As Google names it: `objects.insert`.
    pub name: &'static str,
    /// The permission that it takes: `storage.objects.create`.
    pub needs: &'static str,
    /// What it is about: a whole name in the bucket.
    pub object: &'a str,
}

/// An answer that is not to be asked for again: a success, or a refusal that the caller may understand.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    /// Connects to nothing.
    pub fn new(settings: Settings) -> Result<Self> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls()?)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(settings.timeout)
            // 308 is Google's way of saying that an upload is not complete.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tidemark/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::bug(format!("the HTTP client cannot be made: {e}")))?;
        Ok(Self { auth: Auth::new(settings.credentials.clone()), settings, http })
    }

    /// The URL of an object, or of the bucket's objects.
    pub fn objects(&self, name: Option<&str>) -> String {
        let Settings { endpoint, bucket, .. } = &self.settings;
        let bucket = utf8_percent_encode(bucket, ENCODED_IN_URLS);
        match name {
            None => format!("{endpoint}/storage/v1/b/{bucket}/o"),
            Some(name) => format!("{endpoint}/storage/v1/b/{bucket}/o/{}", utf8_percent_encode(name, ENCODED_IN_URLS)),
        }
    }

    /// The URL that uploads go to.
    pub fn uploads(&self) -> String {
        let Settings { endpoint, bucket, .. } = &self.settings;
        format!("{endpoint}/upload/storage/v1/b/{}/o", utf8_percent_encode(bucket, ENCODED_IN_URLS))
    }

    /// Sends a request until it is answered for good.
    pub async fn send(
        &self,
        request: Request<'_>,
        build: impl Fn(&reqwest::Client) -> RequestBuilder + Send + Sync,
    ) -> Result<Answer> {
        let (mut tries, mut renewed) = (tries(), false);
        loop {
            match self.send_once(request, &build, &mut renewed).await? {
                Ok(answer) => return Ok(answer),
                Err((error, asked)) => tries.pause(error, asked).await?,
            }
        }
    }

    /// Sends a request once; the inner error is one after which to try again, with how long the server asks to wait.
    pub async fn send_once(
        &self,
        request: Request<'_>,
        build: &(impl Fn(&reqwest::Client) -> RequestBuilder + Send + Sync),
        renewed: &mut bool,
    ) -> Result<Result<Answer, (Error, Option<Duration>)>> {
        loop {
            let token = self.auth.token(&self.http).await?;
            let mut builder = build(&self.http);
            if let Some(token) = &token {
                builder = builder.bearer_auth(token);
            }
            let answer = match receive(builder).await {
                Ok(answer) => answer,
                Err(e) if is_untrusted(&e) => return Err(self.untrusted(request, &e)),
                Err(e) => return Ok(Err((self.failed(request, e), None))),
            };
            match (answer.status.as_u16(), token) {
                // It may have been withdrawn before its time: a new one tells.
                (401, Some(token)) if !*renewed => {
                    *renewed = true;
                    self.auth.forget(&token).await;
                }
                (408 | 429 | 500..=599, _) => {
                    let asked = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                    let asked = asked.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
                    return Ok(Err((self.refused(request, &answer), asked)));
                }
                _ => return Ok(Ok(answer)),
            }
        }
    }

    /// The error of an answer that is no success.
    pub fn refused(&self, request: Request<'_>, answer: &Answer) -> Error {
        let Settings { bucket, .. } = &self.settings;
        let told = told(&answer.body);
        let status = answer.status.as_u16();
        let message = format!("gs://{bucket}/{}: {}: {status}: {told}", request.object, request.name);
        match status {
            401 => Error::denied(message).hint(format!(
                "The credentials are not accepted, or there are none where {} on the bucket is not for everyone.",
                request.needs
            )),
            403 => Error::denied(message)
                .hint(format!("Grant {} on the bucket {bucket} to these credentials.", request.needs)),
            404 => Error::config(message).hint("Make the bucket, or set `bucket` to one that is there."),
            408 | 409 | 429 | 500..=599 => Error::unavailable(message),
            _ => Error::config(message)
                .hint("The service refuses the request as it stands: look at the destination's keys."),
        }
    }

    fn failed(&self, request: Request<'_>, error: reqwest::Error) -> Error {
        // Its URL may be an upload's, which is as good as a key.
        let error = error.without_url();
        let place = format!("gs://{}/{}: {}", self.settings.bucket, request.object, request.name);
        Error::unavailable(format!("{place}: {}", sentence(&error)))
    }

    fn untrusted(&self, request: Request<'_>, error: &reqwest::Error) -> Error {
        let place = format!("gs://{}/{}: {}", self.settings.bucket, request.object, request.name);
        let reason = std::error::Error::source(error).map(sentence).unwrap_or_default();
        Error::config(format!("{place}: {reason}")).hint(
            "The server's certificate is not trusted here: add its authority to the system's, or mend `endpoint`.",
        )
    }
}

async fn receive(builder: RequestBuilder) -> reqwest::Result<Answer> {
    let answer = builder.send().await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    Ok(Answer { status, headers, body: answer.bytes().await? })
}

/// Rustls with ring and the system's roots.
fn tls() -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|e| Error::bug(format!("TLS cannot be set up: {e}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// What the service says of a refusal.
fn told(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Told {
        error: Reason,
    }
    #[derive(Deserialize)]
    struct Reason {
        message: String,
    }
    let told = serde_json::from_slice::<Told>(body).map(|told| told.error.message);
    told.unwrap_or_else(|_| "no reason given".to_owned())
}

/// An error and what is behind it, in one sentence.
fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    let (mut text, mut next) = (error.to_string(), error.source());
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = source.source();
    }
    text
}

fn is_untrusted(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if crate::destination::files::stores::is_untrusted(error) {
            return true;
        }
        next = error.source();
    }
    false
}
