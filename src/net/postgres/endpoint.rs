//! Where a server is, and how a client gets there and logs in.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error;
use crate::error::Result;
use crate::net::tls::Tls;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Name(String),
    /// The folder of a Unix socket.
    Socket(PathBuf),
}

impl Host {
    pub fn of(text: &str) -> Self {
        match text.starts_with('/') {
            true => Host::Socket(text.into()),
            false => Host::Name(text.trim_start_matches('[').trim_end_matches(']').to_owned()),
        }
    }
}

/// What a connection needs to be told.
pub struct Endpoint<'a> {
    pub host: &'a Host,
    pub port: u16,
    pub username: &'a str,
    pub password: Option<&'a str>,
    pub database: &'a str,
    pub application_name: &'a str,
    /// How long connecting and logging in may take together.
    pub connect_timeout: Duration,
    /// How long a silent connection waits before it asks whether the server lives.
    pub keepalive: Duration,
    pub tls: &'a Tls,
    /// What `tls` comes to; `None` where it is off.
    pub rustls: Option<&'a rustls::ClientConfig>,
}

/// What serves a connection: to be polled until its end, beside the client.
pub type Connection = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>;

/// `host:port`, for messages.
impl fmt::Display for Endpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Host::Name(name) if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Socket(folder) => write!(f, "{}/.s.PGSQL.{}", folder.display(), self.port),
        }
    }
}

impl Endpoint<'_> {
    /// Connects and logs in. Tells the server's major version too, 0 where it keeps that to itself, as poolers may.
    pub async fn log_in(&self) -> Result<(Client, Connection, u32)> {
        match tokio::time::timeout(self.connect_timeout, self.try_log_in()).await {
            Ok(connected) => connected,
            Err(_) => Err(error::too_slow(self)),
        }
    }

    async fn try_log_in(&self) -> Result<(Client, Connection, u32)> {
        let mut config = tokio_postgres::Config::new();
        match self.host {
            Host::Name(name) => config.host(name),
            Host::Socket(folder) => config.host_path(folder),
        };
        config
            .port(self.port)
            .user(self.username)
            .dbname(self.database)
            .application_name(self.application_name)
            .connect_timeout(self.connect_timeout)
            .keepalives_idle(self.keepalive)
            .keepalives_interval(self.keepalive / 4)
            .keepalives_retries(4);
        if let Some(password) = self.password {
            config.password(password);
        }
        let failed = |e: tokio_postgres::Error| error::connecting(&e, self);
        let Some(rustls) = self.rustls else {
            config.ssl_mode(SslMode::Disable);
            let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
            let version = major(connection.parameter("server_version"));
            return Ok((client, Box::pin(connection), version));
        };
        config.ssl_mode(SslMode::Require);
        let rustls = MakeRustlsConnect::new(rustls.clone());
        let (client, connection) = config.connect(rustls).await.map_err(failed)?;
        let version = major(connection.parameter("server_version"));
        Ok((client, Box::pin(connection), version))
    }
}

/// `15.18 (Debian 15.18-0+deb12u1)`, `18beta1`: the number at the start, 0 where there is none.
pub fn major(server_version: Option<&str>) -> u32 {
    let text = server_version.unwrap_or_default();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn reads_the_major_version() {
        assert_eq!(major(Some("15.18 (Debian 15.18-0+deb12u1)")), 15);
        assert_eq!(major(Some("18beta1")), 18);
        assert_eq!(major(None), 0);
    }
}
