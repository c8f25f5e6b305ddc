//! How requests get to their server: over the network, or out of a file that keeps what a real run was answered.

mod body;
mod content;
mod discreet;
mod failure;
mod faults;
pub mod keys;
mod live;
mod proxies;
mod receiving;
mod recording;
mod redirect;
#[cfg(test)]
pub mod server;
#[cfg(test)]
mod tests;
mod unpacking;

use std::fmt;

use async_trait::async_trait;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use url::Url;

pub use self::body::{Body, Spool};
pub use self::discreet::Discreet;
pub use self::faults::Faults;
pub use self::live::Live;
pub use self::recording::{Recording, Replay, Sheet};
pub use self::unpacking::unpacked;
use super::request::Request;
use super::signed_link;

/// Sends a request once, and takes its answer to the end.
#[async_trait]
pub trait Transport: Send + Sync {
    /// The answer, whatever its status, with its whole body, decoded. A body that breaks off is no answer.
    ///
    /// Redirects are followed here, ten at most. One to another origin is followed without what
    /// [`Auth`](super::auth::Auth) added, and without other headers that may be secret.
    async fn send(&self, request: &Request) -> Result<Answer, Broken>;
}

/// What a server said.
pub struct Answer {
    pub status: StatusCode,
    /// Without `Content-Encoding` and `Content-Length`, which are no longer true of the body.
    pub headers: HeaderMap,
    pub body: Body,
    /// Where it was looked for after the request's own URL, in this order.
    pub redirects: Vec<Url>,
}

impl Answer {
    /// The same once more, where its body is in memory.
    pub fn in_memory(&self) -> Option<Self> {
        let body = Body::Memory(self.body.in_memory()?.clone());
        Some(Self { status: self.status, headers: self.headers.clone(), body, redirects: self.redirects.clone() })
    }

    /// Secrets of the links that it was redirected to: any of them may be a permission.
    pub fn permissions(&self) -> Vec<String> {
        self.redirects.iter().flat_map(signed_link::permissions).collect()
    }
}

impl Answer {
    /// Whether the same request may come to something else later, as far as the status tells: the server is busy, or restarts, or
    /// what stands before it does not reach it.
    pub fn is_transient(&self) -> bool {
        let status = self.status.as_u16();
        matches!(status, 408 | 425 | 429 | 500 | 502..=504 | 507 | 509 | 520..=527 | 529 | 530)
    }
}

/// Shows no header and nothing of the body: either may have a secret.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status, bytes) = (self.status.as_u16(), self.body.size());
        f.debug_struct("Answer").field("status", &status).field("bytes", &bytes).finish_non_exhaustive()
    }
}

/// Why there is no answer. Of the request's URL its words have host and port alone: the rest may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub what: What,
    pub message: String,
}

impl Broken {
    pub fn new(what: What, message: impl Into<String>) -> Self {
        Self { what, message: message.into() }
    }

    /// The recording ends before this request.
    pub fn cut() -> Self {
        Self::new(What::Cut, "the recording ends before it")
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Broken {}

/// What went wrong, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// No connection: a name that is not known, a port that is closed.
    Connect,
    /// The server's certificate is not trusted.
    Untrusted,
    /// It is not valid today.
    Expired,
    /// It is for another name.
    Misnamed,
    /// Nothing came for too long.
    Timeout,
    /// The connection ended before the answer did.
    CutOff,
    /// The body is not what its `Content-Encoding` says: not gzip, say, or half of it.
    Encoding,
    /// There is no room for a large body in the folder for temporary files.
    NoRoom,
    /// It cannot be sent as it is: more redirects than are followed, a header that is none. Of a replay: its file has no answer.
    Refused,
    /// It lies behind the place where a recording was cut: there it is taken for nothing.
    Cut,
}
