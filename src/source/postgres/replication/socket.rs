//! The way to a server: TCP or a socket of this machine, and TLS over TCP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use sha2::{Digest, Sha256, Sha384, Sha512};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::failure::Failure;
use crate::net::postgres::{Endpoint, Host};
use crate::net::wakes::Gentle;

/// Both ways of a connection.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

/// A connection on which nobody has logged in yet.
pub struct Reached {
    pub stream: Box<dyn Duplex>,
    /// What a login over TLS can be bound to, so that nobody in between can pass it on.
    pub binding: Option<Vec<u8>>,
}

pub async fn reach(endpoint: &Endpoint<'_>) -> Result<Reached, Failure> {
    let name = match endpoint.host {
        Host::Name(name) => name,
        #[cfg(unix)]
        Host::Socket(folder) => {
            let path = folder.join(format!(".s.PGSQL.{}", endpoint.port));
            let stream = Box::new(tokio::net::UnixStream::connect(path).await?);
            return Ok(Reached { stream, binding: None });
        }
        #[cfg(not(unix))]
        Host::Socket(_) => return Err(io::Error::from(io::ErrorKind::Unsupported).into()),
    };
    let mut stream = TcpStream::connect((name.as_str(), endpoint.port)).await?;
    stream.set_nodelay(true)?;
    keep_alive(&stream, endpoint.keepalive)?;
    let Some(config) = endpoint.rustls else {
        return Ok(Reached { stream: Box::new(Gentle::new(stream)), binding: None });
    };
    let name = ServerName::try_from(name.clone()).map_err(|_| Failure::HostName)?;
    ask_for_tls(&mut stream).await?;
    let stream = TlsConnector::from(Arc::new(config.clone())).connect(name, Gentle::new(stream)).await?;
    let binding = stream.get_ref().1.peer_certificates().and_then(|chain| end_point(chain.first()?));
    Ok(Reached { stream: Box::new(stream), binding })
}

/// As the driver does for other connections. What we have sent and nobody takes ends the connection as soon: a status is
/// sent every few seconds, and the system asks a silent connection only where nothing is on its way.
fn keep_alive(stream: &TcpStream, silence: Duration) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(silence);
    #[cfg(not(windows))]
    let keepalive = keepalive.with_interval(silence / 4).with_retries(4);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(silence * 2))?;
    Ok(())
}

/// One byte comes back, of which no more is read: what follows must be the handshake's.
async fn ask_for_tls(stream: &mut TcpStream) -> Result<(), Failure> {
    let mut request = bytes::BytesMut::new();
    postgres_protocol::message::frontend::ssl_request(&mut request);
    stream.write_all(&request).await?;
    match stream.read_u8().await {
        Ok(b'S') => Ok(()),
        Ok(b'N') => Err(Failure::NoTls),
        Ok(_) => Err(Failure::Protocol("an answer to TLS")),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(Failure::Closed),
        Err(e) => Err(e.into()),
    }
}

/// `tls-server-end-point`: the server's certificate, digested as it is signed (https://www.rfc-editor.org/rfc/rfc5929#section-4).
/// `None` for signatures that say no digest, such as Ed25519: then the login is not bound.
fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let signed = Certificate::from_der(certificate).ok()?.signature_algorithm.oid.to_string();
    Some(match signed.as_str() {
        // SHA-1 counts as SHA-256; RSA and ECDSA each.
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" => {
            Sha256::digest(certificate).to_vec()
        }
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Sha384::digest(certificate).to_vec(),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Sha512::digest(certificate).to_vec(),
        _ => return None,
    })
}
