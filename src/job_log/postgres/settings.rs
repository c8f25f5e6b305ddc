use std::time::Duration;

use crate::config::Section;
use crate::error::Result;
use crate::net::postgres::{Endpoint, Host, url};
use crate::net::tls::Tls;

/// A checked `[job_log]` section whose `url` names a PostgreSQL server.
pub struct Settings {
    host: Host,
    port: u16,
    pub username: String,
    password: Option<String>,
    database: String,
    application_name: String,
    connect_timeout: Duration,
    tls: Tls,
    rustls: Option<rustls::ClientConfig>,
    /// `postgres://HOST:PORT/DATABASE`.
    pub place: String,
}

const PORT: u16 = 5432;
/// Half of the time after which a lease is lost: a server that is gone is noticed before.
const KEEPALIVE: Duration = Duration::from_secs(30);

impl Settings {
    /// Checks all that can be known without a connection, the TLS files included.
    pub fn of(section: &Section) -> Result<Self> {
        let mut address = url::parse(section.text("url")?).map_err(|problem| section.error("url", problem))?;
        // No key of [job_log].
        let names = address.options.extract_if(.., |(key, _)| *key == "application_name");
        let application_name = names.last().map_or_else(|| "tidemark".to_owned(), |(_, name)| name);
        let written = section;
        let section = &address.over(section, super::super::KIND.own_keys().collect())?;
        let host = Host::of(&address.host);
        let tls = Tls::of(section, &address.host)?;
        let rustls = tls.set_up(written, matches!(host, Host::Socket(_)))?;
        let mut settings = Self {
            host,
            port: address.port.unwrap_or(PORT),
            username: address.username,
            password: address.password,
            database: address.database,
            application_name,
            connect_timeout: super::super::connect_timeout(section)?,
            tls,
            rustls,
            place: String::new(),
        };
        settings.place = format!("postgres://{}/{}", settings.endpoint(), settings.database);
        Ok(settings)
    }

    /// What its connections are told.
    pub fn endpoint(&self) -> Endpoint<'_> {
        Endpoint {
            host: &self.host,
            port: self.port,
            username: &self.username,
            password: self.password.as_deref(),
            database: &self.database,
            application_name: &self.application_name,
            connect_timeout: self.connect_timeout,
            keepalive: KEEPALIVE,
            tls: &self.tls,
            rustls: self.rustls.as_ref(),
        }
    }
}
