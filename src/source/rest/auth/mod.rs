//! Who we are to a server: what is added to requests that go to it, and to no other.

mod aws;
mod aws_chain;
mod bound;
mod client_credentials;
mod config;
mod fixed;
mod issuer;
pub mod keys;
mod login;
mod place;
mod refresh_token;
mod renewed;
#[cfg(test)]
mod scripted;
mod secret;
#[cfg(test)]
mod tests;
mod token_endpoint;
mod token_store;
mod tokens;

use async_trait::async_trait;

pub use self::config::of;
use super::request::Request;
use crate::error::Result;

/// Credentials, in whatever way a server takes them.
#[async_trait]
pub trait Auth: Send + Sync {
    /// Adds what the server asks for to a request that is about to be sent to it. Several requests may ask at once: where
    /// credentials have to be fetched first, one of them does, and the others wait for it.
    ///
    /// A request to another origin than the server's is left as it is, with [`Credential::NONE`]. What is added is named in
    /// [`Request::added`], for redirects, and by [`Auth::secret_names`], so that it can be taken out of whatever is shown or kept.
    ///
    /// Fails with `Denied` where whoever gives out the credentials refuses, and with `Unavailable` where they cannot be
    /// reached after some tries.
    async fn sign(&self, request: &mut Request) -> Result<Credential>;

    /// The server has refused a request that was signed with these credentials: whether it is worth signing and sending once
    /// more, since others are fetched then. Many requests may find out about the same ones; they are renewed once.
    ///
    /// A request asks once: credentials that are new and refused as well stay refused.
    async fn refused(&self, credential: Credential) -> Result<bool>;

    /// Names of headers and of parameters of the query that hold secrets, in lower case.
    fn secret_names(&self) -> Vec<String>;
}

/// Which of the credentials that one [`Auth`] has had a request was signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credential(pub u64);

impl Credential {
    /// The request was not signed, or with what never changes.
    pub const NONE: Credential = Credential(0);
}
