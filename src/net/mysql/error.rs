//! The server's and the driver's errors, each classified once: by number and kind, never by wording.
//!
//! A server's message may quote values of cells, so it is not passed on; what the number means is said in own words.
//! The one exception is a statement that the server cannot parse or resolve: it has read no row then.

use std::io;

use rustls::CertificateError;

use super::client::{Failure, Refusal};
use crate::error::{Error, Kind};

/// What was being done when it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Connecting,
    /// Resolving a statement, before any row is read.
    Preparing,
    /// In the middle of a result.
    Reading,
}

/// What went wrong as an error of ours; the caller says where it happened.
pub fn of(failure: Failure, doing: Doing) -> Error {
    match failure {
        Failure::Server(refusal) => of_server(&refusal, doing),
        Failure::Io(error) => of_io(&error, doing),
        Failure::Silent { key, seconds } => {
            let error = Error::unavailable(format!("the server was silent for longer than `{key}`, {seconds} s"));
            match doing {
                Doing::Connecting if key == "connect_timeout" => error.hint("Check `hostname` and `port`, or allow more with `connect_timeout`."),
                _ => error,
            }
        }
        Failure::NoTls => Error::config("the server offers no TLS")
            .hint("Set `tls = off` if the network to the server is safe without it."),
        Failure::HostName => Error::config("`hostname` is not a name that a certificate can have"),
        Failure::Login { user, method } => Error::denied(format!(
            "the server asks user `{user}` for the login method `{method}`, which is not supported"
        ))
        .hint(
            "Check `username`: MySQL also asks so for users that it does not have. If it is right, an administrator can run \
             ALTER USER … IDENTIFIED WITH caching_sha2_password.",
        ),
        Failure::Cleartext => Error::denied("the server asks for a login method that sends the password in the clear"),
        Failure::Placeholders => Error::config("the statement has placeholders (`?`), for which there are no values"),
        Failure::Protocol(expected) => {
            let error = Error::unavailable(format!("the server's answer is not of the MySQL protocol: expected {expected}"));
            match doing {
                Doing::Connecting => error.hint("Is there a MySQL or MariaDB server at `hostname` and `port`?"),
                _ => error,
            }
        }
    }
}

/// The server's number for an error, if it is the server's.
pub fn number(failure: &Failure) -> Option<u16> {
    match failure {
        Failure::Server(refusal) => Some(refusal.code),
        _ => None,
    }
}

/// The account or the table is beyond this user's rights.
pub fn is_denied(number: u16) -> bool {
    kind(number) == Some(Kind::Denied)
}

/// There is no such column.
pub const UNKNOWN_COLUMN: u16 = 1054;

/// There is no such database or table.
pub fn is_missing(number: u16) -> bool {
    matches!(number, 1049 | 1051 | 1146)
}

/// What a number means whatever was being done; `None` where that decides.
pub fn kind(number: u16) -> Option<Kind> {
    Some(match number {
        // Rights: of an account, a database, a table, a column, a statement.
        1044 | 1045 | 1095 | 1130 | 1142 | 1143 | 1227 | 1345 | 1370 | 1410 | 1698 => Kind::Denied,
        // Accounts that are locked, or whose password has expired.
        1820 | 1862 | 3118 | 3879 | 4151 => Kind::Denied,
        1049 | 1051 | 1052 | 1054 | 1064 | 1146 | 1149 | 1305 => Kind::Config,
        // The server insists on TLS.
        3159 => Kind::Config,
        // Too many connections, of all or of one user.
        1040 | 1129 | 1203 | 1226 => Kind::Unavailable,
        // A Galera node that is not ready ("unknown command" to all others).
        1047 => Kind::Unavailable,
        // Shutting down, killed, timed out, cut off. (1927 and 1969 are MariaDB's, 3024, 3169 and 4031 MySQL's.)
        1053 | 1077..=1080 | 1152 | 1158..=1161 | 1184 | 1317 | 1927 | 1969 | 3024 | 3168 | 3169 | 4031 => {
            Kind::Unavailable
        }
        // Locks, deadlocks; a table altered between the snapshot and its reading.
        1099 | 1100 | 1205 | 1206 | 1213 | 1412 | 1615 | 3572 => Kind::Unavailable,
        // Out of memory, threads, files or room.
        1021 | 1023 | 1024 | 1037 | 1038 | 1041 | 1114 | 1135 => Kind::Unavailable,
        // A view whose tables or definer are gone.
        1356 | 1449 => Kind::Schema,
        _ => return None,
    })
}

fn of_server(error: &Refusal, doing: Doing) -> Error {
    let number = error.code;
    let kind = match (kind(number), doing) {
        // What was there when the statement was prepared is gone.
        (Some(Kind::Config), Doing::Reading) if is_missing(number) || number == UNKNOWN_COLUMN => Kind::Schema,
        (Some(kind), _) => kind,
        (None, Doing::Connecting) => Kind::Unavailable,
        (None, Doing::Preparing) => Kind::Config,
        (None, Doing::Reading) => Kind::Data,
    };
    let said = match meaning(number) {
        _ if doing == Doing::Preparing && kind == Kind::Config => {
            format!("the server refuses the statement: {} (error {number})", error.message)
        }
        Some(meaning) => format!("{meaning} (error {number})"),
        None => format!("the server's error {number} (SQLSTATE {})", error.state),
    };
    let error = Error::new(kind, said);
    match number {
        3024 | 1969 => {
            error.hint("The server limits how long a statement may run, and this session cannot lift that limit.")
        }
        3159 => error.hint("Set `tls = verify-full`, with `tls_ca` if the certificate authority is your own."),
        1040 | 1203 | 1226 => error.hint("Raise the server's or the user's limit, or run fewer streams at once."),
        _ => error,
    }
}

/// What a number means, in a few words.
pub fn meaning(number: u16) -> Option<&'static str> {
    Some(match number {
        1040 => "the server has too many connections",
        1044 => "the user may not use the database",
        1045 | 1698 => "the server refuses this user and password",
        1047 => "the server does not know the command, or is a Galera node that is not ready",
        1049 => "there is no such database",
        1053 | 1077..=1080 => "the server is shutting down",
        1129 => "the server has blocked this host after failed connections",
        1130 => "the server accepts no connection from this host",
        1142 | 1143 => "the right to SELECT is missing",
        1146 | 1051 => "there is no such table",
        1158..=1161 | 1152 | 1184 => "the server aborted the connection",
        1203 | 1226 => "the user has reached a limit of its account",
        1205 => "timed out waiting for a lock",
        1213 => "the transaction was rolled back to end a deadlock",
        1227 => "the user lacks a right",
        1317 | 1927 | 3169 => "the connection or its statement was killed",
        1356 => "the view refers to tables or columns that are not there, or that its definer may not read",
        1412 => "the table was altered after the snapshot was taken",
        1449 => "the view's definer no longer exists",
        1690 => "an expression's value is out of range for its type",
        1820 | 1862 => "the user's password has expired",
        1969 | 3024 => "the statement ran longer than the server allows",
        3118 | 4151 => "the account is locked",
        3159 => "the server requires TLS",
        4031 => "the server closed the connection as idle",
        _ => return None,
    })
}

fn of_io(error: &io::Error, doing: Doing) -> Error {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return of_rustls(tls);
    }
    match doing {
        Doing::Connecting => Error::unavailable(format!("cannot connect: {error}"))
            .hint("Check `hostname` and `port`, or `socket`, and that the server takes connections from here."),
        _ => Error::unavailable(format!("the connection broke: {error}")),
    }
}

fn of_rustls(error: &rustls::Error) -> Error {
    use rustls::Error as Tls;
    match error {
        Tls::InvalidCertificate(CertificateError::UnknownIssuer) => {
            Error::config("TLS: the server's certificate is signed by an authority that is not trusted")
                .hint("Name the PEM file of that authority with `tls_ca`.")
        }
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Error::config("TLS: the server's certificate is for a different name than `hostname`")
            .hint("Set `hostname` to a name in the certificate, or `tls = require` to check neither."),
        Tls::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            Error::config("TLS: the server's certificate has expired")
        }
        Tls::InvalidCertificate(_) => Error::config(format!("TLS: {error}")).hint(
            "Name the PEM file of the server's authority with `tls_ca`. A self-signed certificate is accepted \
             only with `tls = require`.",
        ),
        Tls::AlertReceived(_) => Error::denied(format!("TLS: the server refuses the client: {error}"))
            .hint("Check `tls_cert` and `tls_key`."),
        _ => Error::unavailable(format!("TLS: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: u16) -> Failure {
        Failure::Server(Refusal { code, message: "cell value 'x'".to_owned(), state: "HY000".to_owned() })
    }

    #[test]
    fn numbers_decide_the_kind() {
        for (code, doing, kind) in [
            (1045, Doing::Connecting, Kind::Denied),
            (1044, Doing::Connecting, Kind::Denied),
            (1049, Doing::Connecting, Kind::Config),
            (1040, Doing::Connecting, Kind::Unavailable),
            (1142, Doing::Preparing, Kind::Denied),
            (1143, Doing::Preparing, Kind::Denied),
            (1227, Doing::Preparing, Kind::Denied),
            (1146, Doing::Preparing, Kind::Config),
            (1064, Doing::Preparing, Kind::Config),
            (9999, Doing::Preparing, Kind::Config),
            (1047, Doing::Preparing, Kind::Unavailable),
            (1047, Doing::Reading, Kind::Unavailable),
            (1146, Doing::Reading, Kind::Schema),
            (1054, Doing::Reading, Kind::Schema),
            (1053, Doing::Reading, Kind::Unavailable),
            (1205, Doing::Reading, Kind::Unavailable),
            (1213, Doing::Reading, Kind::Unavailable),
            (1317, Doing::Reading, Kind::Unavailable),
            (1412, Doing::Reading, Kind::Unavailable),
            (1927, Doing::Reading, Kind::Unavailable),
            (3024, Doing::Reading, Kind::Unavailable),
            (1690, Doing::Reading, Kind::Data),
            (9999, Doing::Reading, Kind::Data),
        ] {
            assert_eq!(of(server(code), doing).kind(), kind, "{code} while {doing:?}");
        }
    }

    #[test]
    fn without_a_connection_it_says_where_to_look() {
        let refused = || Failure::from(io::Error::from(io::ErrorKind::ConnectionRefused));
        let slow = || Failure::Silent { key: "connect_timeout", seconds: 10 };
        for (failure, words) in [
            (refused(), "and that the server takes connections from here"),
            (slow(), "allow more with `connect_timeout`"),
            (Failure::Protocol("a greeting"), "Is there a MySQL or MariaDB server"),
        ] {
            let error = of(failure, Doing::Connecting);
            let advice = error.advice().unwrap_or_default();
            assert!(advice.contains("`hostname` and `port`") && advice.contains(words), "{error}");
        }
        // Later it is none of these.
        assert!(of(refused(), Doing::Reading).advice().is_none() && of(slow(), Doing::Reading).advice().is_none());
    }

    #[test]
    fn what_the_server_says_of_rows_is_not_repeated() {
        for code in [1690, 1366, 1292, 9999] {
            let error = of(server(code), Doing::Reading);
            assert!(!error.to_string().contains("cell value") && error.message().contains(&code.to_string()));
        }
    }

    #[test]
    fn a_broken_connection_is_tried_again() {
        for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe] {
            let error = of(Failure::from(io::Error::from(kind)), Doing::Reading);
            assert_eq!(error.kind(), Kind::Unavailable);
        }
        let refused = io::Error::other(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
        let error = of(Failure::from(refused), Doing::Connecting);
        assert_eq!((error.kind(), error.advice().is_some_and(|hint| hint.contains("tls_ca"))), (Kind::Config, true));
    }
}
