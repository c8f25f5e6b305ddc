//! Credentials that never leave the server that they are for.

use async_trait::async_trait;
use url::Origin;

use super::{Auth, Credential};
use crate::error::Result;
use crate::source::rest::request::Request;

/// Signs requests to one origin: scheme, host and port. It stands around every other [`Auth`], so that none of them can
/// forget to look.
pub struct Bound {
    pub origin: Origin,
    pub inner: Box<dyn Auth>,
}

#[async_trait]
impl Auth for Bound {
    async fn sign(&self, request: &mut Request) -> Result<Credential> {
        match request.url.origin() == self.origin {
            true => self.inner.sign(request).await,
            false => Ok(Credential::NONE),
        }
    }

    async fn refused(&self, credential: Credential) -> Result<bool> {
        match credential {
            Credential::NONE => Ok(false),
            _ => self.inner.refused(credential).await,
        }
    }

    fn secret_names(&self) -> Vec<String> {
        self.inner.secret_names()
    }
}
