use std::sync::Arc;
use std::time::Duration;

use crate::config::Section;
use crate::error::Result;
use crate::net::mysql::{Endpoint, Server, url};
use crate::net::tls::Tls;

/// A checked `[job_log]` section whose `url` names a MySQL or MariaDB server.
pub struct Settings {
    server: Server,
    pub username: String,
    password: Option<String>,
    pub database: String,
    rustls: Option<Arc<rustls::ClientConfig>>,
    connect_timeout: Duration,
    /// `mysql://HOST:PORT/DATABASE`.
    pub place: String,
}

const PORT: u16 = 3306;
/// The longest that any statement waits at the server is 10 seconds, for a lock.
const SILENCE: Duration = Duration::from_secs(15);

impl Settings {
    /// Checks all that can be known without a connection, the TLS files included.
    pub fn of(section: &Section) -> Result<Self> {
        let address = url::parse(section.text("url")?).map_err(|problem| section.error("url", problem))?;
        let host = address.host.trim_matches(['[', ']']).to_owned();
        let rustls = Tls::of(section, &host)?.set_up(section, false)?;
        let server = Server::Tcp { host, port: address.port.unwrap_or(PORT) };
        let database = address.database.ok_or_else(|| section.error("url", "names no database"))?;
        Ok(Self {
            place: format!("mysql://{server}/{database}"),
            server,
            username: address.username.ok_or_else(|| section.error("url", "names no user"))?,
            password: address.password,
            database,
            rustls: rustls.map(Arc::new),
            connect_timeout: super::super::connect_timeout(section)?,
        })
    }

    /// What its connections are told.
    pub fn endpoint(&self) -> Endpoint<'_> {
        Endpoint {
            server: &self.server,
            username: &self.username,
            password: self.password.as_deref(),
            database: &self.database,
            rustls: self.rustls.as_ref(),
            connect_timeout: self.connect_timeout,
            read_timeout: SILENCE,
        }
    }
}
