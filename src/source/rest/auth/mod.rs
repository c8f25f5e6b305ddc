//! Who we are to a server: what is added to requests that go to it, and to no other.

use async_trait::async_trait;

use super::request::Request;
use crate::error::Result;

/// Credentials, in whatever way a server takes them.
#[async_trait]
pub trait Auth: Send + Sync {
    /// Adds what the server asks for to a request that is about to be sent to it. Several requests may ask at once: where
    /// credentials have to be fetched first, one of them does, and the others wait for it.
    ///
    /// What is added is named by [`Auth::secrets`], so that it can be taken out of whatever is shown or kept.
    async fn sign(&self, request: &mut Request) -> Result<Credential>;

    /// The server has refused a request that was signed with these credentials: whether it is worth sending once more, since
    /// they have been renewed. Many requests may find out about the same ones; they are renewed once.
    async fn refused(&self, credential: Credential) -> Result<bool>;

    /// Names of headers and of parameters of the query that hold secrets, in lower case.
    fn secrets(&self) -> Vec<String>;
}

/// Which of the credentials that one [`Auth`] has had a request was signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credential(pub u64);
