//! Amazon's own chain of places where credentials may be.

use std::time::SystemTime;

use async_trait::async_trait;
use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use tokio::sync::OnceCell;

use super::renewed::{Fetch, Fetched};
use crate::error::{Error, Result};

/// Environment, profile, SSO, web identity, container, instance.
pub struct Chain {
    pub profile: Option<String>,
    found: OnceCell<aws_config::SdkConfig>,
}

impl Chain {
    /// Connects to nothing.
    pub fn new(profile: Option<String>) -> Self {
        Self { profile, found: OnceCell::new() }
    }

    async fn config(&self) -> &aws_config::SdkConfig {
        let load = async || {
            let client = Builder::new().build_with_connector_fn(|settings, components| {
                let mut builder = Connector::builder();
                builder.set_connector_settings(settings.cloned());
                builder.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
                builder.set_proxy_config(Some(ProxyConfig::from_env()));
                builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
            });
            let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(client);
            match &self.profile {
                Some(profile) => loader.profile_name(profile).load().await,
                None => loader.load().await,
            }
        };
        self.found.get_or_init(load).await
    }
}

#[async_trait]
impl Fetch for Chain {
    type Got = Credentials;

    async fn fetch(&self) -> Result<Fetched<Credentials>> {
        let provider = self.config().await.credentials_provider().ok_or_else(nothing)?;
        let credentials = provider.provide_credentials().await.map_err(|e| match e {
            CredentialsError::ProviderTimedOut(_) => Error::unavailable("no AWS credentials in time"),
            CredentialsError::CredentialsNotLoaded(_) => nothing(),
            // Its words may have what a profile says.
            _ => Error::denied(
                "AWS credentials could not be got from where the environment or the profile says they are",
            )
            .hint("Look with `aws sts get-caller-identity` whether they are good."),
        })?;
        let lasts = credentials.expiry().map(|end| end.duration_since(SystemTime::now()).unwrap_or_default());
        Ok(Fetched { credentials, lasts })
    }
}

fn nothing() -> Error {
    Error::denied("no AWS credentials were found").hint(
        "Set `access_key` and `secret_key`, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or `profile`; or run on a machine \
         that has a role.",
    )
}
