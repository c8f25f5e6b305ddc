//! Logging in for replication: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP
//!
//! The proofs are those of the driver's own crate. The driver itself has no word for replication, nor gives its socket away.

use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::failure::Failure;
use super::wire::{Inlet, refusal};
use crate::net::postgres::Endpoint;

/// No server says more than this in one message before somebody has logged in; who does is none.
const LONGEST: usize = 64 << 10;

/// What the server says of itself.
#[derive(Debug, Default)]
pub struct Greeting {
    pub version: Option<String>,
    /// The process that serves us, to whom one could have it cancelled.
    pub process: Option<u32>,
}

/// Logs in.
pub async fn log_in<R, W>(
    inlet: &mut Inlet<R>,
    outlet: &mut W,
    endpoint: &Endpoint<'_>,
    binding: Option<Vec<u8>>,
) -> Result<Greeting, Failure>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut out = BytesMut::new();
    let parameters = [
        ("client_encoding", "UTF8"),
        ("user", endpoint.username),
        ("database", endpoint.database),
        ("application_name", endpoint.application_name),
        ("replication", "database"),
    ];
    frontend::startup_message(parameters, &mut out)?;
    let usual = std::mem::replace(&mut inlet.longest, LONGEST);
    let mut dialogue = Dialogue { endpoint, binding, scram: Scram::Unasked };
    let (mut greeting, mut is_in) = (Greeting::default(), false);
    loop {
        if !out.is_empty() {
            outlet.write_all(&out).await?;
            outlet.flush().await?;
            out.clear();
        }
        let (kind, place) = inlet.next().await?;
        let body = inlet.body(&place);
        match kind {
            b'R' if !is_in => is_in = dialogue.answer(body, &mut out)?,
            b'E' => return Err(Failure::Refused(refusal(body))),
            b'S' => greeting.version = server_version(body).or(greeting.version),
            b'K' => greeting.process = body.first_chunk().map(|id| u32::from_be_bytes(*id)),
            b'Z' if is_in => break,
            // Notices, options that the server does not know.
            b'N' | b'v' => {}
            _ => return Err(Failure::Protocol("an answer to a login")),
        }
    }
    inlet.longest = usual;
    Ok(greeting)
}

fn server_version(body: &[u8]) -> Option<String> {
    let mut parts = body.split(|byte| *byte == 0);
    let is_it = parts.next() == Some(b"server_version");
    parts.next().filter(|_| is_it).map(|value| String::from_utf8_lossy(value).into_owned())
}

struct Dialogue<'a> {
    endpoint: &'a Endpoint<'a>,
    binding: Option<Vec<u8>>,
    scram: Scram,
}

/// How far both sides have proved that they know the password.
enum Scram {
    Unasked,
    Begun(ScramSha256),
    Proven,
}

impl Dialogue<'_> {
    /// Answers what the server asks for; true where it asks for no more.
    fn answer(&mut self, asked: &[u8], out: &mut BytesMut) -> Result<bool, Failure> {
        let (method, rest) = asked.split_first_chunk().ok_or(Failure::Protocol("a way to log in"))?;
        match (u32::from_be_bytes(*method), &mut self.scram) {
            (0, Scram::Unasked | Scram::Proven) => return Ok(true),
            (3, Scram::Unasked) => frontend::password_message(self.password()?, out)?,
            (5, Scram::Unasked) => {
                let salt = rest.first_chunk().ok_or(Failure::Protocol("a salt"))?;
                let hash = md5_hash(self.endpoint.username.as_bytes(), self.password()?, *salt);
                frontend::password_message(hash.as_bytes(), out)?;
            }
            (10, Scram::Unasked) => self.begin(rest, out)?,
            (11, Scram::Begun(scram)) => {
                scram.update(rest).map_err(|_| Failure::NoProof)?;
                frontend::sasl_response(scram.message(), out)?;
            }
            (12, Scram::Begun(scram)) => {
                scram.finish(rest).map_err(|_| Failure::NoProof)?;
                self.scram = Scram::Proven;
            }
            // Ways that we do not know, and a server that would go on without its proof.
            _ => return Err(Failure::NoProof),
        }
        Ok(false)
    }

    fn password(&self) -> Result<&[u8], Failure> {
        self.endpoint.password.map(str::as_bytes).ok_or(Failure::NoPassword)
    }

    /// `mechanisms` have a zero behind each.
    fn begin(&mut self, mechanisms: &[u8], out: &mut BytesMut) -> Result<(), Failure> {
        let has = |name: &str| mechanisms.split(|byte| *byte == 0).any(|offered| offered == name.as_bytes());
        let password = self.password()?.to_vec();
        let (binding, mechanism) = match self.binding.take() {
            Some(binding) if has(SCRAM_SHA_256_PLUS) => {
                (ChannelBinding::tls_server_end_point(binding), SCRAM_SHA_256_PLUS)
            }
            // Says that we could have: the server refuses where it could have too, and somebody in between took that away.
            Some(_) if has(SCRAM_SHA_256) => (ChannelBinding::unrequested(), SCRAM_SHA_256),
            None if has(SCRAM_SHA_256) => (ChannelBinding::unsupported(), SCRAM_SHA_256),
            _ => return Err(Failure::NoProof),
        };
        let scram = ScramSha256::new(&password, binding);
        frontend::sasl_initial_response(mechanism, scram.message(), out)?;
        self.scram = Scram::Begun(scram);
        Ok(())
    }
}
