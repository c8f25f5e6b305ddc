use std::time::Duration;

use crate::config::Section;
use crate::error::{Error, Result};
use crate::net::postgres::{Endpoint, Host, url};
use crate::net::tls::{self, Tls};

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
        let address = url::parse(section.text("url")?).map_err(|problem| section.error("url", problem))?;
        let (mut said, mut application_name) = (Vec::new(), "tidemark".to_owned());
        for (key, value) in &address.options {
            match *key {
                "application_name" => application_name.clone_from(value),
                key if section.is_set(key) => return Err(section.error(key, "is also in `url`")),
                key => said.push((key, value.as_str())),
            }
        }
        let keys = super::super::KIND.keys.iter().copied().flatten().collect();
        let said = Section::of_keys(section.header(), keys, &said)
            .map_err(|e| Error::config(section.error("url", e.message()).message()))?;
        let written = section;
        let section = &section.over(&said);
        let host = Host::of(&address.host);
        let tls = Tls::of(section, &address.host)?;
        if matches!(host, Host::Socket(_)) && tls.mode != tls::Mode::Off {
            return Err(written.error("tls", "cannot be used over a Unix socket"));
        }
        let rustls = match tls.mode {
            tls::Mode::Off => None,
            _ => Some(tls::rustls_config(&tls).map_err(|e| written.error("tls", format!("cannot be set up: {e}")))?),
        };
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
