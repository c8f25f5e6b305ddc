//! Where a server is, and how a client gets there and logs in.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use super::client::{Client, Duplex, Failure, Login};

/// The connection's own sign of life, for networks that forget silent ones.
const KEEPALIVE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    Tcp { host: String, port: u16 },
    Socket(PathBuf),
}

/// `host:port` or the socket's path, for messages.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Server::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Server::Tcp { host, port } => write!(f, "{host}:{port}"),
            Server::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What a connection needs to be told.
pub struct Endpoint<'a> {
    pub server: &'a Server,
    pub username: &'a str,
    pub password: Option<&'a str>,
    pub database: &'a str,
    /// How to speak TLS; not with it off.
    pub rustls: Option<&'a Arc<rustls::ClientConfig>>,
    /// How long connecting and logging in may take together.
    pub connect_timeout: Duration,
    /// How long the server may be silent later.
    pub read_timeout: Duration,
}

impl Endpoint<'_> {
    /// Connects and logs in.
    pub async fn log_in(&self) -> Result<Client, Failure> {
        match tokio::time::timeout(self.connect_timeout, self.try_log_in()).await {
            Ok(client) => client,
            Err(_) => Err(Failure::Silent { key: "connect_timeout", seconds: self.connect_timeout.as_secs() }),
        }
    }

    async fn try_log_in(&self) -> Result<Client, Failure> {
        let tls = match (self.rustls, self.server) {
            (Some(config), Server::Tcp { host, .. }) => {
                let name = ServerName::try_from(host.to_owned());
                Some((config.clone(), name.map_err(|_| Failure::HostName)?))
            }
            _ => None,
        };
        let login = Login {
            username: self.username,
            password: self.password.unwrap_or_default(),
            database: self.database,
            tls,
            is_private: matches!(self.server, Server::Socket(_)),
        };
        Client::log_in(dial(self.server).await?, login, self.read_timeout).await
    }
}

async fn dial(server: &Server) -> io::Result<Box<dyn Duplex>> {
    match server {
        Server::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
            Ok(Box::new(stream))
        }
        #[cfg(unix)]
        Server::Socket(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
        #[cfg(not(unix))]
        Server::Socket(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}
