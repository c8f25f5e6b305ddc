//! The client: made at the first request, from the settings and, for what they leave open, from what AWS's own tools
//! would use.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    Builder, Credentials, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder as HttpBuilder, Connector};

use super::settings::Settings;
use crate::error::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that carries nothing for so long is given up. The SDK's 5 seconds are too few for a busy server.
const STALLED: Duration = Duration::from_secs(30);
const TRIES: u32 = 5;

/// A client, and whether its connections are encrypted.
pub struct Connected {
    pub client: Client,
    pub tls: bool,
}

pub async fn connect(settings: &Settings) -> Result<Connected> {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(settings.timeout).build();
    let stalled = StalledStreamProtectionConfig::enabled().grace_period(STALLED).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
        .timeout_config(timeouts)
        .stalled_stream_protection(stalled);
    loader = match (&settings.region, &settings.endpoint) {
        (Some(region), _) => loader.region(Region::new(region.clone())),
        // Whoever names an endpoint is not asked for a region that only Amazon has.
        (None, Some(_)) => loader.region(
            RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new()).or_else(Region::new("us-east-1")),
        ),
        (None, None) => loader,
    };
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(keys) = &settings.keys {
        let (access, secret, token) = (&keys.access_key, &keys.secret_key, &keys.session_token);
        loader = loader.credentials_provider(Credentials::new(access, secret, token.clone(), None, "pipeline.conf"));
    }
    let shared = loader.load().await;
    if shared.region().is_none() {
        return Err(Error::config(format!("s3://{}: no region is known", settings.bucket))
            .hint("Set `region`, AWS_REGION, or the region of the profile."));
    }
    let (requests, responses) = match settings.checksums {
        true => (RequestChecksumCalculation::WhenSupported, ResponseChecksumValidation::WhenSupported),
        false => (RequestChecksumCalculation::WhenRequired, ResponseChecksumValidation::WhenRequired),
    };
    let config = Builder::from(&shared)
        .force_path_style(settings.path_style)
        .request_checksum_calculation(requests)
        .response_checksum_validation(responses)
        .build();
    let tls = shared.endpoint_url().is_none_or(|endpoint| endpoint.starts_with("https:"));
    Ok(Connected { client: Client::from_conf(config), tls })
}

/// Rustls with ring and the system's roots, and a proxy where the environment names one: what the SDK's own client
/// does, but for the provider.
fn http_client() -> SharedHttpClient {
    HttpBuilder::new().build_with_connector_fn(|settings, components| {
        let mut builder = Connector::builder();
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        builder.set_proxy_config(Some(ProxyConfig::from_env()));
        builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
    })
}
