//! Credentials that stay as they are: none, or a secret at some place.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::place::Place;
use super::secret::Secret;
use super::{Auth, Credential};
use crate::error::Result;
use crate::source::rest::request::Request;

pub struct Nobody;

#[async_trait]
impl Auth for Nobody {
    async fn sign(&self, _request: &mut Request) -> Result<Credential> {
        Ok(Credential::NONE)
    }

    async fn refused(&self, _credential: Credential) -> Result<bool> {
        Ok(false)
    }

    fn secret_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A user and a password, as [`Place::Basic`] has them.
pub fn basic(user: &str, password: &str) -> Secret {
    Secret::new(STANDARD.encode(format!("{user}:{password}")))
}

pub struct Fixed {
    pub place: Place,
    pub secret: Secret,
}

#[async_trait]
impl Auth for Fixed {
    async fn sign(&self, request: &mut Request) -> Result<Credential> {
        self.place.put(&self.secret, request)?;
        Ok(Credential::NONE)
    }

    async fn refused(&self, _credential: Credential) -> Result<bool> {
        Ok(false)
    }

    fn secret_names(&self) -> Vec<String> {
        vec![self.place.name()]
    }
}
