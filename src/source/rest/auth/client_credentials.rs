//! OAuth 2 client credentials: a program that speaks for itself.

use async_trait::async_trait;

use super::renewed::{Fetch, Fetched};
use super::secret::Secret;
use super::token_endpoint::TokenEndpoint;
use crate::error::Result;

pub struct ClientCredentials {
    pub endpoint: TokenEndpoint,
}

#[async_trait]
impl Fetch for ClientCredentials {
    type Got = Secret;

    async fn fetch(&self) -> Result<Fetched<Secret>> {
        let granted = self.endpoint.ask(&[("grant_type", "client_credentials")]).await?;
        Ok(Fetched { credentials: granted.access, lasts: granted.lasts })
    }
}
