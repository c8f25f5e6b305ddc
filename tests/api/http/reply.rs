//! What the API says, before it is encoded and sent.

use std::fmt;

use bytes::Bytes;
use serde_json::Value;

pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
}

pub enum Body {
    Whole(Vec<Bytes>),
    /// Made while it is sent, and of unknown length.
    Streamed(Box<dyn Iterator<Item = Bytes> + Send>),
}

impl Body {
    /// Everything in one piece.
    pub fn collect(self) -> Bytes {
        match self {
            Self::Whole(mut parts) if parts.len() == 1 => parts.remove(0),
            Self::Whole(parts) => parts.concat().into(),
            Self::Streamed(pieces) => pieces.collect::<Vec<_>>().concat().into(),
        }
    }
}

impl Reply {
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("Content-Type", content_type.to_owned())];
        Self { status, headers, body: Body::Whole(vec![body.into()]) }
    }

    /// Without a body.
    pub fn bare(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Whole(Vec::new()) }
    }

    pub fn value(status: u16, value: &Value) -> Self {
        Self::new(status, "application/json", value.to_string())
    }

    /// An envelope around a page that is there already.
    pub fn around(before: impl Into<Bytes>, page: Bytes, after: impl Into<Bytes>) -> Self {
        let mut reply = Self::new(200, "application/json", Bytes::new());
        reply.body = Body::Whole(vec![before.into(), page, after.into()]);
        reply
    }

    /// An error in the way of the honest part of the API.
    pub fn error(status: u16, code: &str, message: impl fmt::Display) -> Self {
        Self::value(status, &serde_json::json!({"error": {"code": code, "message": message.to_string()}}))
    }

    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }
}
