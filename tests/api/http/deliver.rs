//! How a reply gets onto the socket: whole, late, slowly, in part, or not at all.

use std::io;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Body, Reply, http_date};

/// What happens to the reply on its way. The default is that it arrives.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    /// Before the first byte.
    pub wait: Duration,
    /// The share of the body that is sent; all of it unless it is said. Below zero nothing is sent, no head either.
    pub keep: Option<f64>,
    pub framing: Framing,
    pub end: End,
    /// So many bytes of the body at a time, each after so long.
    pub pace: Option<(usize, Duration)>,
}

/// What the head says about the length of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// The length of the whole body.
    #[default]
    Whole,
    /// The length of what is sent.
    Sent,
    /// Nothing: the body ends with the connection.
    Unsaid,
    /// Chunks, whose last one is missing if the body is cut.
    Chunked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum End {
    /// The connection is there for the next request.
    #[default]
    Open,
    Closed,
    /// By a reset rather than an end.
    Reset,
}

/// Bodies up to here are sent with their head in one piece.
const ONE_WRITE: usize = 256 << 10;

impl Delivery {
    /// Sends the reply, and calls `last` before the last piece of it: whoever has read it all finds it counted. The connection
    /// is to be used again only where this says `End::Open`.
    pub async fn send(&self, stream: &mut TcpStream, reply: Reply, last: impl FnOnce()) -> io::Result<End> {
        // Even a sleep of no length lasts until the next tick, a millisecond.
        if !self.wait.is_zero() {
            tokio::time::sleep(self.wait).await;
        }
        if self.keep.is_some_and(|keep| keep < 0.0) {
            return Ok(self.end);
        }
        // How much of a streamed body a share is can be told only from all of it.
        let end = match reply.body {
            Body::Streamed(pieces) if self.keep.is_none() => {
                stream.write_all(&head(reply.status, &reply.headers, Some("Transfer-Encoding: chunked"))).await?;
                for piece in pieces.filter(|piece| !piece.is_empty()) {
                    self.write(stream, &chunk(&piece), || ()).await?;
                }
                last();
                stream.write_all(b"0\r\n\r\n").await?;
                self.end
            }
            body => self.send_whole(stream, (reply.status, &reply.headers), body, last).await?,
        };
        stream.flush().await?;
        if end == End::Reset {
            // What the client's side has not taken by then is lost with the connection.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(end)
    }

    async fn send_whole(
        &self,
        stream: &mut TcpStream,
        (status, headers): (u16, &[(&'static str, String)]),
        body: Body,
        last: impl FnOnce(),
    ) -> io::Result<End> {
        let parts = match body {
            Body::Whole(parts) => parts,
            streamed => vec![streamed.collect()],
        };
        let whole: usize = parts.iter().map(Bytes::len).sum();
        let sent = self.keep.map_or(whole, |share| (whole as f64 * share.min(1.0)) as usize);
        let framing = match self.framing {
            Framing::Whole => Some(format!("Content-Length: {whole}")),
            Framing::Sent => Some(format!("Content-Length: {sent}")),
            Framing::Unsaid => None,
            Framing::Chunked => Some("Transfer-Encoding: chunked".to_owned()),
        };
        let mut out = head(status, headers, framing.as_deref());
        if self.framing == Framing::Chunked {
            out.extend_from_slice(&chunk(&parts.concat()[..sent]));
            if sent == whole {
                out.extend_from_slice(b"0\r\n\r\n");
            }
            self.write(stream, &out, last).await?;
        } else if self.pace.is_none() && sent == whole && whole > ONE_WRITE {
            let (end, parts) = parts.split_last().unwrap();
            stream.write_all(&out).await?;
            for part in parts {
                stream.write_all(part).await?;
            }
            last();
            stream.write_all(end).await?;
        } else {
            let from = out.len();
            parts.iter().for_each(|part| out.extend_from_slice(part));
            out.truncate(from + sent);
            self.write(stream, &out, last).await?;
        }
        let is_framed = sent == whole && self.framing != Framing::Unsaid || self.framing == Framing::Sent;
        Ok(if self.end == End::Open && !is_framed { End::Closed } else { self.end })
    }

    async fn write(&self, stream: &mut TcpStream, bytes: &[u8], last: impl FnOnce()) -> io::Result<()> {
        let (pieces, end) = match self.pace {
            None => (&[][..], bytes),
            Some((size, _)) => bytes.split_at(bytes.len().saturating_sub(1) / size.max(1) * size.max(1)),
        };
        if let Some((size, pause)) = self.pace {
            for piece in pieces.chunks(size.max(1)) {
                tokio::time::sleep(pause).await;
                stream.write_all(piece).await?;
            }
            tokio::time::sleep(pause).await;
        }
        last();
        stream.write_all(end).await
    }
}

/// Waits without a word for so long, or until the client has had enough.
pub async fn silence(stream: &mut TcpStream, most: Duration) {
    let mut unread = [0; 1024];
    let gone = async { while stream.read(&mut unread).await.is_ok_and(|count| count > 0) {} };
    let _ = tokio::time::timeout(most, gone).await;
}

fn head(status: u16, headers: &[(&'static str, String)], framing: Option<&str>) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status} {}\r\nDate: {}\r\n", reason(status), http_date(SystemTime::now()));
    for (name, value) in headers {
        out.extend([*name, ": ", value, "\r\n"]);
    }
    out.extend([framing.unwrap_or("Connection: close"), "\r\n\r\n"]);
    out.into_bytes()
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    match bytes {
        // An empty chunk would be the last one.
        [] => Vec::new(),
        bytes => [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat(),
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
