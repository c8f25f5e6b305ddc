//! The lines of the file.

use std::io::{self, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{
    AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE,
    WWW_AUTHENTICATE,
};
use serde::{Deserialize, Serialize};

use super::asked::Asked;
use crate::source::rest::secrets::Secrets;
use crate::source::rest::signed_link::{SignedLink, without_queries};
use crate::source::rest::transport::{Answer, Body, Broken, What};

/// What the first line says, for people.
const ABOUT: &str = "Answers of an API, kept by `tidemark record` for `tidemark run --replay`. Credentials are taken out; records are as \
                     the server gave them, whatever `mask.` keys say.";

/// Of the files that this program writes and reads.
const VERSION: u32 = 1;

/// Headers of answers that hand out credentials, or talk of them.
const NOT_KEPT: [HeaderName; 6] =
    [AUTHORIZATION, COOKIE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, WWW_AUTHENTICATE];
const NOT_KEPT_BY_NAME: [&str; 7] = [
    "set-cookie2",
    "authentication-info",
    "x-amz-security-token",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
    "x-session-token",
];

/// Whether a header of an answer is kept.
fn is_kept(name: &HeaderName) -> bool {
    !NOT_KEPT.contains(name) && !NOT_KEPT_BY_NAME.contains(&name.as_str())
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    recording: String,
    version: u32,
    /// What the source is, by its own words.
    server: String,
    /// When it was begun. To a replay it is now: the windows of time that it asks for are those that were asked for then.
    pub at: String,
}

impl Head {
    pub fn new(server: &str, at: Timestamp) -> Self {
        Self { recording: ABOUT.to_owned(), version: VERSION, server: server.to_owned(), at: at.to_string() }
    }

    /// When it was begun; what is wrong where this is no first line that can be read.
    pub fn parse(text: &[u8]) -> Result<Timestamp, String> {
        let none = || "is no recording: its first line is not one of `tidemark record`".to_owned();
        let head: Self = serde_json::from_slice(text).map_err(|_| none())?;
        if head.version != VERSION {
            return Err(format!("is a recording of version {}, and this program reads {VERSION}", head.version));
        }
        head.at.parse().map_err(|_| none())
    }
}

/// One answer, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    method: String,
    path: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    query: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<String>,
    /// `None` of a request that was not sent any more: the recording was cut before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// In its place where it is not text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl Line {
    /// Of a request that is not sent any more.
    pub fn cut(asked: Asked) -> Self {
        let Asked { method, path, query, sent } = asked;
        Self { method, path, query, sent, status: None, headers: Vec::new(), body: None, base64: None }
    }

    /// Which request it is for, and whether it has an answer to it.
    pub fn asked(self) -> (Asked, bool) {
        let Self { method, path, query, sent, status, .. } = self;
        (Asked { method, path, query, sent }.ordered(), status.is_some())
    }

    /// Reads the whole body, which blocks where it is a file. `link` says whether that may tell a link that is a permission.
    pub fn of(asked: Asked, answer: &Answer, secrets: &Secrets, link: SignedLink) -> io::Result<Self> {
        let mut bytes = Vec::new();
        answer.body.reader()?.read_to_end(&mut bytes)?;
        let (body, base64) = match String::from_utf8(secrets.hide(bytes)) {
            Ok(text) if link == SignedLink::Told => (Some(without_queries(&text)), None),
            Ok(text) => (Some(text), None),
            // Such a link is hidden, whatever becomes of other characters.
            Err(not_text) if link == SignedLink::Told => {
                (Some(without_queries(&String::from_utf8_lossy(not_text.as_bytes()))), None)
            }
            Err(not_text) => (None, Some(STANDARD.encode(not_text.into_bytes()))),
        };
        let shown = |(name, value): (&HeaderName, &HeaderValue)| {
            let value = secrets.hide(value.as_bytes().to_vec());
            Some((name.to_string(), String::from_utf8(value).ok().filter(|_| is_kept(name))?))
        };
        let headers = answer.headers.iter().filter_map(shown).collect();
        Ok(Self { status: Some(answer.status.as_u16()), headers, body, base64, ..Self::cut(asked) })
    }

    /// The answer, again.
    pub fn answer(self) -> Result<Answer, Broken> {
        let odd = |what: &str| Broken::new(What::Refused, format!("its answer in the recording has {what}"));
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = name.parse::<HeaderName>().map_err(|_| odd("a header without a name"))?;
            headers.append(name, HeaderValue::from_str(value).map_err(|_| odd("a header that is none"))?);
        }
        let body = match (self.body, self.base64) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(base64)) => STANDARD.decode(base64).map_err(|_| odd("a body that is no base64"))?,
            (None, None) => Vec::new(),
        };
        let status = self.status.and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.ok_or_else(|| odd("a status that is none"))?;
        Ok(Answer { status, headers, body: Body::Memory(body.into()), redirects: Vec::new() })
    }
}
