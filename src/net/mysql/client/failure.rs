//! What can go wrong between us and the server, before it is an error of ours.

use std::io;

/// Why a command has no answer that can be used.
#[derive(Debug)]
pub enum Failure {
    /// The server refuses.
    Server(Refusal),
    /// The network, or TLS: then a [`rustls::Error`] is inside.
    Io(io::Error),
    /// The server was silent for longer than the key of this name allows.
    Silent { key: &'static str, seconds: u64 },
    /// The server offers no TLS.
    NoTls,
    /// `hostname` cannot stand in a certificate.
    HostName,
    /// The server asks for a login method that is not spoken here. MySQL does so of a user that it does not have, too, so
    /// that nobody learns which it has.
    Login { user: String, method: String },
    /// The server asks for a login method that gives the password away.
    Cleartext,
    /// The statement has placeholders, and there are no values for them.
    Placeholders,
    /// What came is no answer of a MySQL server; what it should have been.
    Protocol(&'static str),
}

/// An error packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: u16,
    /// SQLSTATE.
    pub state: String,
    /// May quote values of cells.
    pub message: String,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Io(error)
    }
}
