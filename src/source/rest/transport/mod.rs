//! How requests get to their server: over the network, or out of a file that keeps what a real run was answered.

mod body;

use std::time::Duration;

use async_trait::async_trait;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

pub use self::body::{Body, Spool};
use super::request::Request;

/// Sends a request once, and takes its answer to the end.
#[async_trait]
pub trait Transport: Send + Sync {
    /// The answer, whatever its status, with its whole body, decoded. A body that breaks off is no answer.
    ///
    /// Redirects are followed here. One to another origin is followed without what [`Auth`](super::auth::Auth) added.
    async fn send(&self, request: &Request) -> Result<Answer, Broken>;
}

/// What a server said.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Body,
    /// From the sending to the body's end.
    pub took: Duration,
}

/// Why there is no answer. Its words never have the request's URL in them, which may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub what: What,
    pub message: String,
}

/// What went wrong, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// No connection: a name that is not known, a port that is closed.
    Connect,
    /// The server's certificate is not trusted.
    Untrusted,
    /// Nothing came for too long.
    Timeout,
    /// The connection ended before the answer did.
    CutOff,
    /// The body is not what its `Content-Encoding` says: not gzip, say, or half of it.
    Encoding,
    /// There is no room for a large body in the folder for temporary files.
    NoRoom,
    /// It cannot be sent as it is: more redirects than are followed, a header that is none.
    Refused,
}
