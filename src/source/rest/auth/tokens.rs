//! Tokens that run out, as a server takes them.

use async_trait::async_trait;

use super::place::Place;
use super::renewed::{Fetch, Renewed};
use super::secret::Secret;
use super::{Auth, Credential};
use crate::error::Result;
use crate::source::rest::request::Request;

/// Tokens of some [`Fetch`], put where the server looks for them.
pub struct Tokens<F: Fetch<Got = Secret>> {
    pub tokens: Renewed<F>,
    pub place: Place,
}

#[async_trait]
impl<F: Fetch<Got = Secret>> Auth for Tokens<F> {
    async fn sign(&self, request: &mut Request) -> Result<Credential> {
        let (token, credential) = self.tokens.current().await?;
        self.place.put(&token, request)?;
        Ok(credential)
    }

    async fn refused(&self, credential: Credential) -> Result<bool> {
        Ok(self.tokens.refused(credential).await)
    }

    fn secret_names(&self) -> Vec<String> {
        vec![self.place.name()]
    }
}
