//! Why our side of the protocol does not go on, before it is an error of ours with a place.

use std::io;

use crate::error::{Error, Kind};
use crate::net::postgres::error::{Refusal, Unconnected, statement, unconnected};
use crate::net::postgres::{Endpoint, readable};

#[derive(Debug)]
pub enum Failure {
    Io(io::Error),
    /// By the server, in the midst of what was to come.
    Closed,
    Refused(Refusal),
    /// The server says something else than this.
    Protocol(&'static str),
    NoPassword,
    NoProof,
    NoTls,
    /// Of a server that was to prove its name, which is none.
    HostName,
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        Failure::Io(e)
    }
}

impl Failure {
    /// While connecting and logging in.
    pub fn connecting(&self, endpoint: &Endpoint<'_>) -> Error {
        let reason = match self {
            Failure::Io(e) => match e.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(failure) => Unconnected::Handshake(failure),
                None => Unconnected::Unreachable(e),
            },
            Failure::Closed => Unconnected::Strange("the server closed the connection".to_owned()),
            Failure::Refused(refusal) => return refused(refusal, endpoint),
            Failure::Protocol(expected) => Unconnected::Strange(format!("something else came than {expected}")),
            Failure::NoPassword => Unconnected::NoPassword,
            Failure::NoProof => Unconnected::NoProof,
            Failure::NoTls => Unconnected::NoTls,
            Failure::HostName => {
                return Error::config("`hostname` is no name that a certificate can hold").at(endpoint);
            }
        };
        unconnected(reason, endpoint)
    }

    /// On an open connection.
    pub fn running(&self, endpoint: &Endpoint<'_>) -> Error {
        match self {
            Failure::Refused(refusal) => statement(refusal),
            Failure::Closed => Error::unavailable("the server closed the connection").at(endpoint),
            Failure::Io(e) => Error::unavailable(format!("the connection broke: {e}")).at(endpoint),
            Failure::Protocol(expected) => Error::bug(format!("something else came than {expected}")).at(endpoint),
            Failure::NoPassword | Failure::NoProof | Failure::NoTls | Failure::HostName => self.connecting(endpoint),
        }
    }
}

/// A login for replication may be refused for more reasons than another.
fn refused(refusal: &Refusal, endpoint: &Endpoint<'_>) -> Error {
    let role = readable(endpoint.username);
    let said = || crate::net::postgres::error::told(refusal);
    match refusal.code.as_str() {
        // By one code, that the role may not, and that it may not in this database.
        "42501" => Error::denied(said()).hint(format!(
            "ALTER ROLE {role} REPLICATION; (where the provider keeps that to itself, by its own role: rds_replication, \
             cloudsqlsuperuser). And: GRANT CONNECT ON DATABASE {} TO {role};",
            readable(endpoint.database)
        )),
        "08P01" => Error::config(said()).hint(
            "A pooler stands between us and the server that does not pass replication on, as PgBouncer before version 1.23. Let \
             `hostname` and `port` name the server itself: in a source of its own, if other streams are to go by the pooler.",
        ),
        "53300" => Error::new(Kind::Unavailable, said())
            .hint("No sender or connection is left. Raise max_wal_senders (or max_connections) there, which needs a restart, or let others end: \
                   SELECT pid, application_name, client_addr FROM pg_stat_replication;"),
        _ => return unconnected(Unconnected::Refused(refusal), endpoint),
    }
    .at(endpoint)
}
