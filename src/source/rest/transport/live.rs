//! Requests over the network.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue};
use reqwest::{Client, NoProxy, Proxy, Response};
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::proxies::Proxies;
use super::redirect::Hop;
use super::{Answer, Broken, Transport, What, content, receiving};
use crate::config::Section;
use crate::error::{Error, Result};
use crate::net::tls::{Tls, is_this_machine};
use crate::source::rest::request::Request;

/// Connections to a server, kept and used again.
pub struct Live {
    client: Client,
    /// For a request with its redirects.
    timeout: Duration,
    proxies: Proxies,
}

impl Live {
    /// Reads [`KEYS`](super::keys::KEYS) and those of TLS, and the files that they name; connects to nothing. `base_url` is
    /// the value of that key.
    pub fn of(section: &Section, base_url: &Url) -> Result<Self> {
        let timeout = section.duration("timeout")?;
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls(section, base_url)?)
            .connect_timeout(section.duration("connect_timeout")?)
            .read_timeout(section.duration("silence_timeout")?)
            // They are followed here, where it is known what is secret.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tidemark/", env!("CARGO_PKG_VERSION")));
        let env = |name: &str| std::env::var(name).ok();
        let proxies = if let Some(url) = section.get("proxy") {
            let proxy = Proxy::all(url).map_err(|_| section.error("proxy", "must be the URL of a proxy"))?;
            builder = builder.proxy(proxy.no_proxy(NoProxy::from_env()));
            Proxies::of_key(url, env)
        } else if base_url.host_str().is_some_and(is_this_machine) {
            // To a proxy elsewhere that would be another machine.
            builder = builder.no_proxy();
            Proxies::default()
        } else {
            Proxies::of_environment(env)
        };
        let client = builder.build().map_err(|e| Error::bug(format!("the HTTP client cannot be made: {e}")))?;
        Ok(Self { client, timeout, proxies })
    }

    async fn answer(&self, request: &Request) -> Result<Answer, Broken> {
        let (mut hop, mut redirects) = (Hop::first(request), Vec::new());
        loop {
            let response = self.once(&hop).await?;
            let next = match request.follows {
                true => hop.next(response.status(), response.headers())?,
                false => None,
            };
            let Some(next) = next else { break answered(response, redirects).await };
            redirects.push(next.url.clone());
            hop = next;
        }
    }

    async fn once(&self, hop: &Hop) -> Result<Response, Broken> {
        let mut builder = self.client.request(hop.method.clone(), hop.url.clone()).headers(hop.headers.clone());
        if !hop.headers.contains_key(ACCEPT_ENCODING) {
            builder = builder.header(ACCEPT_ENCODING, HeaderValue::from_static(content::ACCEPTED));
        }
        if let Some(body) = &hop.body {
            builder = builder.body(body.clone());
        }
        builder.send().await.map_err(|error| Broken::on_its_way(error, || self.proxies.way(&hop.url)))
    }
}

#[async_trait]
impl Transport for Live {
    async fn send(&self, request: &Request) -> Result<Answer, Broken> {
        let too_long =
            || Broken::new(What::Timeout, format!("no whole answer within {} s", self.timeout.as_secs_f32()));
        tokio::time::timeout(self.timeout, self.answer(request)).await.unwrap_or_else(|_| Err(too_long()))
    }
}

async fn answered(response: Response, redirects: Vec<Url>) -> Result<Answer, Broken> {
    let (status, mut headers) = (response.status(), response.headers().clone());
    let body = receiving::whole(response).await?;
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Ok(Answer { status, headers, body, redirects })
}

/// As the section says. Where it speaks no TLS, a redirect may still lead to a server that does, which is verified: a
/// system without authorities trusts none.
fn tls(section: &Section, base_url: &Url) -> Result<ClientConfig> {
    let tls = Tls::of_url(section, "base_url", base_url.scheme() == "https")?;
    let mut config = match tls.set_up(section, false)? {
        Some(config) => config,
        None => verified()?,
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn verified() -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = rustls::crypto::ring::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions();
    let config = config.map_err(|e| Error::bug(format!("TLS cannot be set up: {e}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
