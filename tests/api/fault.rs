//! What may go wrong with a request.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::http::{Body, Delivery, End, Framing, Reply, Request};
use super::limit::Tell;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// This status, with an error of the honest part of the API as its body.
    Status(u16),
    /// 429, 503 or another status that asks for patience, so many seconds of it, told in this way.
    SlowDown { status: u16, tell: Tell, seconds: f64 },
    /// An error of a marketing API in the body: `status` is 400 or 200. 4, 17, 32 and 613 mean "slow down".
    BodyError { status: u16, code: u32 },
    /// This status and this body.
    Says { status: u16, text: String },
    /// This status, and an error that repeats what the request was signed with, and what its query has, slashes escaped.
    Echo { status: u16 },
    /// 200 and HTML, as a server has it whose session is over.
    LoginPage,
    /// 200 and nothing.
    Empty,
    /// 200 and `null`.
    Null,
    /// The right answer, but for the last record in it: its id is `NaN`, which JSON does not have.
    BrokenRecord,
    /// 200 and the first part of the body, before it is encoded: encoding and length are right, the JSON is not.
    Halved { keep: f64 },
    /// The first part of the body, after it was encoded, with this said about its length.
    Cut { keep: f64, length: Length },
    /// The connection is reset before the head is sent, after the request was carried out.
    Reset,
    /// The connection is reset within the body.
    ResetWithin { keep: f64 },
    /// The connection ends in place of an answer, after the request was carried out.
    Closed,
    /// No word for so long, or until the client goes; the request is not carried out.
    Silent { seconds: f64 },
    /// The right answer, so much later.
    Late { seconds: f64 },
    /// The right answer, so many bytes at a time, each after so many seconds.
    Slow { bytes: usize, seconds: f64 },
    /// The token that the request has is no longer good, and the request is answered accordingly.
    Expired,
    /// `Content-Encoding: gzip` on a body that is not.
    Mislabelled,
}

/// What a cut body's head says about its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// The whole body's: the connection ends too early.
    Whole,
    /// What is sent: only the body itself can tell that it is cut.
    Sent,
    /// Nothing: the body ends with the connection.
    Unsaid,
    /// Chunks, of which the last is missing.
    Chunked,
}

impl Fault {
    /// What is answered in place of what was asked for, if it is.
    pub fn instead(&self, request: &Request) -> Option<Reply> {
        Some(match self {
            Self::Status(status) => Reply::error(*status, "fault", "it went wrong, as it was told to"),
            Self::SlowDown { status, tell, seconds } => {
                let mut reply = Reply::error(*status, "slow_down", "too many requests");
                reply.headers.extend(tell.headers(Duration::from_secs_f64(*seconds), 0, 100, *seconds));
                reply
            }
            Self::BodyError { status, code } => body_error(*status, *code),
            Self::Says { status, text } => Reply::new(*status, "application/json", text.clone()),
            Self::Echo { status } => echo(*status, request),
            Self::LoginPage => Reply::new(200, "text/html; charset=utf-8", LOGIN_PAGE),
            Self::Empty => Reply::new(200, "application/json", ""),
            Self::Null => Reply::new(200, "application/json", "null"),
            _ => return None,
        })
    }

    /// Changes the answer before it is encoded.
    pub fn spoil(&self, reply: &mut Reply) {
        if !matches!(self, Self::Halved { .. } | Self::BrokenRecord) {
            return;
        }
        let body = std::mem::replace(&mut reply.body, Body::Whole(Vec::new())).collect();
        let spoilt = match self {
            Self::Halved { keep } => Bytes::slice(&body, ..(body.len() as f64 * keep.clamp(0.0, 1.0)) as usize),
            _ => match String::from_utf8_lossy(&body).rsplit_once("\"id\":") {
                Some((before, after)) => format!("{before}\"id\":NaN,\"was\":{after}").into(),
                None => body,
            },
        };
        reply.body = Body::Whole(vec![spoilt]);
    }

    /// What becomes of the encoded answer on its way.
    pub fn delivery(&self) -> Delivery {
        let usual = Delivery::default();
        match *self {
            Self::Cut { keep, length } => Delivery { keep: Some(keep.max(0.0)), framing: length.framing(), ..usual },
            Self::Reset => Delivery { keep: Some(-1.0), end: End::Reset, ..usual },
            Self::ResetWithin { keep } => Delivery { keep: Some(keep.max(0.0)), end: End::Reset, ..usual },
            Self::Closed => Delivery { keep: Some(-1.0), end: End::Closed, ..usual },
            Self::Late { seconds } => Delivery { wait: Duration::from_secs_f64(seconds), ..usual },
            Self::Slow { bytes, seconds } => {
                Delivery { pace: Some((bytes, Duration::from_secs_f64(seconds))), ..usual }
            }
            _ => usual,
        }
    }

    /// Whether the client gets what it asked for all the same.
    pub fn is_harmless(&self) -> bool {
        matches!(self, Self::Late { .. } | Self::Slow { .. } | Self::Expired)
    }

    /// As [`Seen::faults`](super::Seen::faults) has it, where the rule has no name.
    pub fn name(&self) -> String {
        match serde_json::to_value(self).unwrap() {
            serde_json::Value::Object(fields) => fields.keys().next().unwrap().clone(),
            name => name.as_str().unwrap().to_owned(),
        }
    }
}

impl Length {
    fn framing(self) -> Framing {
        match self {
            Self::Whole => Framing::Whole,
            Self::Sent => Framing::Sent,
            Self::Unsaid => Framing::Unsaid,
            Self::Chunked => Framing::Chunked,
        }
    }
}

fn echo(status: u16, request: &Request) -> Reply {
    let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
    let authorization = header("authorization");
    let basic = authorization.strip_prefix("Basic ").and_then(|encoded| STANDARD.decode(encoded).ok());
    let cookies = header("cookie");
    let cookies = cookies.split("; ").filter_map(|cookie| cookie.split_once('=')).map(|(_, value)| value.to_owned());
    let mut words: Vec<String> = request.query.iter().map(|(_, value)| value.clone()).chain(cookies).collect();
    words.extend(basic.map(|pair| String::from_utf8(pair).unwrap()));
    words.extend([header("x-api-key"), authorization]);
    let error = json!({"error": format!("who are you?   {}", words.join(" "))});
    Reply::new(status, "application/json", error.to_string().replace('/', "\\/"))
}

const LOGIN_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><form action=\"/login\" \
                          method=\"post\"><input name=\"user\"/></form></body></html>\n";

/// An error in the manner of a marketing API.
pub fn body_error(status: u16, code: u32) -> Reply {
    let (message, kind) = match code {
        4 => ("(#4) Application request limit reached", "OAuthException"),
        17 => ("(#17) User request limit reached", "OAuthException"),
        32 => ("(#32) Page request limit reached", "OAuthException"),
        613 => ("(#613) Calls to this api have exceeded the rate limit.", "OAuthException"),
        190 => ("Error validating access token: Session has expired", "OAuthException"),
        100 => ("(#100) Invalid parameter", "GraphMethodException"),
        _ => ("An unknown error occurred", "OAuthException"),
    };
    let subcode = match code {
        17 => Some(2_446_079),
        190 => Some(463),
        _ => None,
    };
    let error = json!({"message": message, "type": kind, "code": code, "error_subcode": subcode,
        "fbtrace_id": format!("A{code:08}")});
    Reply::value(status, &json!({ "error": error }))
}
