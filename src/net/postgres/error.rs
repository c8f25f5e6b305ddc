//! What an error of the driver or the server means to the user. Decided once, here, by SQLSTATE and never by wording.

use std::error::Error as _;
use std::io;

use tokio_postgres::error::DbError;

use super::{Endpoint, readable};
use crate::error::{Error, Kind};

/// What the server refuses something with, whoever has read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The SQLSTATE.
    pub code: String,
    pub message: String,
}

impl From<&DbError> for Refusal {
    fn from(error: &DbError) -> Self {
        Self { code: error.code().code().to_owned(), message: error.message().to_owned() }
    }
}

/// Why there is no connection, whoever tried to make it.
#[derive(Debug)]
pub enum Unconnected<'a> {
    Refused(&'a Refusal),
    Handshake(&'a rustls::Error),
    /// The server asks for one.
    NoPassword,
    /// There is no common way to log in, or the server could not prove that it knows the password.
    NoProof,
    NoTls,
    Unreachable(&'a io::Error),
    /// Somebody is there, who speaks otherwise.
    Strange(String),
}

/// An error of the driver while a connection is made.
pub fn connecting(error: &tokio_postgres::Error, endpoint: &Endpoint<'_>) -> Error {
    if let Some(refusal) = error.as_db_error() {
        return unconnected(Unconnected::Refused(&refusal.into()), endpoint);
    }
    let reason = match (find_tls(error), Stage::of(error)) {
        (Some(failure), _) => Unconnected::Handshake(failure),
        (None, Stage::Password) => Unconnected::NoPassword,
        (None, Stage::Authentication) => Unconnected::NoProof,
        (None, Stage::Tls) => Unconnected::NoTls,
        (None, Stage::Other) => match find::<io::Error>(error) {
            Some(e) => Unconnected::Unreachable(e),
            None => Unconnected::Strange(chain(error)),
        },
    };
    unconnected(reason, endpoint)
}

/// Why there is no connection.
pub fn unconnected(reason: Unconnected<'_>, endpoint: &Endpoint<'_>) -> Error {
    let error = match reason {
        Unconnected::Refused(refusal) => login(refusal, endpoint),
        Unconnected::Handshake(failure) => handshake(failure, endpoint),
        Unconnected::NoPassword => {
            Error::denied("the server asks for a password, and there is none").hint("Set `password` or `password_file`.")
        }
        Unconnected::NoProof => Error::denied(
            "the server and we have no common way to log in, or it could not prove that it knows the password",
        )
        .hint("There are scram-sha-256, md5 and password. With `tls` on, something between us and the server may hinder it."),
        Unconnected::NoTls => Error::config("the server does not speak TLS")
            .hint("Let the server use TLS, or set `tls = off` where nobody can listen."),
        Unconnected::Unreachable(e) => Error::unavailable(format!("cannot be reached: {e}"))
            .hint("Check `hostname` and `port`, and that the server takes connections from here."),
        Unconnected::Strange(how) => {
            Error::unavailable(how).hint("Is there a PostgreSQL server at `hostname` and `port`?")
        }
    };
    error.at(endpoint)
}

/// No connection within the time allowed.
pub fn too_slow(endpoint: &Endpoint<'_>) -> Error {
    let seconds = endpoint.connect_timeout.as_secs_f32();
    Error::unavailable(format!("{endpoint}: no connection within {seconds} s"))
        .hint("Check `hostname` and `port`, or allow more with `connect_timeout`.")
}

/// An error of a statement on an open connection.
pub fn running(error: &tokio_postgres::Error, endpoint: &Endpoint<'_>) -> Error {
    if let Some(refusal) = error.as_db_error() {
        return statement(&refusal.into());
    }
    let address = endpoint.to_string();
    if error.is_closed() {
        return Error::unavailable(format!("{address}: the server closed the connection"));
    }
    match find::<io::Error>(error) {
        Some(e) => Error::unavailable(format!("{address}: the connection broke: {e}")),
        None => Error::bug(format!("{address}: {}", chain(error))),
    }
}

/// The SQLSTATE of an error, where the server sent one.
pub fn code(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("", |code| code.code())
}

fn login(refusal: &Refusal, endpoint: &Endpoint<'_>) -> Error {
    let role = readable(endpoint.username);
    match refusal.code.as_str() {
        "28P01" => Error::denied(format!("role {role} is refused: wrong password, or no such role")).hint(
            match endpoint.password {
                Some(_) => "Check `username` and `password`.",
                None => "Set `password` or `password_file`.",
            },
        ),
        "28000" => Error::denied(format!("role {role} is refused: {}", told(refusal)))
            .hint("The server's pg_hba.conf must let this role in from this machine, and the role needs LOGIN."),
        "42501" => Error::denied(told(refusal))
            .hint(format!("GRANT CONNECT ON DATABASE {} TO {role};", readable(endpoint.database))),
        "3D000" => {
            Error::config(format!("there is no database {}", readable(endpoint.database))).hint("Check `database`.")
        }
        _ => statement(refusal),
    }
}

/// What the server's refusal of a statement means.
pub fn statement(refusal: &Refusal) -> Error {
    let error = Error::new(kind(&refusal.code), told(refusal));
    match hint(&refusal.code) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// By class, and by code where a class is mixed: https://www.postgresql.org/docs/current/errcodes-appendix.html
fn kind(code: &str) -> Kind {
    match code {
        "42501" => Kind::Denied,
        // Names, types and functions that the catalog does not have, or has no more.
        "42P01" | "42703" | "42704" | "42883" | "42809" | "3F000" | "42P02" => Kind::Schema,
        // A prepared statement that is not there, or there already: a pooler changed the server under us.
        "26000" | "42P05" | "3D000" | "25006" | "0A000" | "55000" => Kind::Config,
        "XX001" | "XX002" => Kind::Data,
        _ => match code.get(..2).unwrap_or_default() {
            "08" | "25" | "40" | "53" | "55" | "57" | "58" | "XX" => Kind::Unavailable,
            "28" => Kind::Denied,
            "42" => Kind::Config,
            "HV" => Kind::Schema,
            _ => Kind::Data,
        },
    }
}

fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "40001" => {
            "A replica cancels reading that stands in the way of its replay: set hot_standby_feedback = on there, or \
             raise max_standby_streaming_delay, or read from the primary."
        }
        "26000" | "42P05" => {
            "Is there a PgBouncer before version 1.21 in between? It needs pool_mode = session, or a direct connection."
        }
        "55P03" => "Somebody holds a lock on the table; `lock_timeout` says how long to wait for it.",
        "42501" => "A table with row security also needs a role with BYPASSRLS, or `row_security = yes`.",
        "22021" => {
            "The database says it holds no text of a known encoding (SQL_ASCII). Read the column with a `query`, by \
             convert_from(…)."
        }
        "53300" => "The server has no connection left: raise max_connections there, or read with less at once.",
        _ => return None,
    })
}

/// The server's words, but only of those kinds of errors whose words never hold a value of a cell.
pub fn told(refusal: &Refusal) -> String {
    let code = refusal.code.as_str();
    let class = code.get(..2).unwrap_or_default();
    match ["08", "0A", "25", "26", "28", "3D", "3F", "40", "42", "53", "55", "57"].contains(&class) {
        true => format!("{} (SQLSTATE {code})", refusal.message),
        false => format!("the server failed with SQLSTATE {code}; its log has the words, which may hold values"),
    }
}

/// Where a connection failed, as the driver names it. It keeps its kinds private but for these constant names.
enum Stage {
    Tls,
    Authentication,
    Password,
    Other,
}

impl Stage {
    fn of(error: &tokio_postgres::Error) -> Self {
        match error.to_string().as_str() {
            "error performing TLS handshake" if find::<io::Error>(error).is_none() => Stage::Tls,
            "authentication error" => Stage::Authentication,
            "invalid configuration" => Stage::Password,
            _ => Stage::Other,
        }
    }
}

fn handshake(failure: &rustls::Error, endpoint: &Endpoint<'_>) -> Error {
    use rustls::CertificateError as Bad;
    let own = match &endpoint.tls.ca {
        Some(path) => format!("the authorities of `tls_ca` ({})", path.display()),
        None => "this system's authorities".to_owned(),
    };
    match failure {
        rustls::Error::InvalidCertificate(Bad::UnknownIssuer) => Error::config(format!(
            "the server's certificate is not from {own}"
        ))
        .hint("Name the PEM file of the server's authority with `tls_ca`. `tls = require` encrypts without checking."),
        rustls::Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            Error::config("the server's certificate is for another name")
                .hint("Set `hostname` to a name that the certificate holds.")
        }
        rustls::Error::InvalidCertificate(reason) => {
            Error::denied(format!("the server's certificate is refused: {reason}"))
                .hint("The server needs a certificate that is valid today and made for servers.")
        }
        rustls::Error::AlertReceived(alert) => {
            Error::denied(format!("the server ended the TLS handshake with {alert:?}"))
                .hint("It may ask for a client certificate, or refuse ours: `tls_cert` and `tls_key`.")
        }
        other => Error::unavailable(format!("the TLS handshake failed: {other}")),
    }
}

fn find<E: std::error::Error + 'static>(error: &tokio_postgres::Error) -> Option<&E> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

/// An I/O error hides what it carries from `source()`.
fn find_tls(error: &tokio_postgres::Error) -> Option<&rustls::Error> {
    find::<io::Error>(error)?.get_ref()?.downcast_ref()
}

fn chain(error: &tokio_postgres::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_code() {
        for (code, expected) in [
            ("42501", Kind::Denied),
            ("28P01", Kind::Denied),
            ("08006", Kind::Unavailable),
            ("57P01", Kind::Unavailable),
            ("53300", Kind::Unavailable),
            ("40001", Kind::Unavailable),
            ("55P03", Kind::Unavailable),
            ("25P03", Kind::Unavailable),
            ("42P01", Kind::Schema),
            ("42601", Kind::Config),
            ("25006", Kind::Config),
            ("22021", Kind::Data),
            ("P0001", Kind::Data),
            ("", Kind::Data),
        ] {
            assert_eq!(kind(code), expected, "{code}");
        }
    }
}
