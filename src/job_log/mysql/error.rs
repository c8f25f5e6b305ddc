//! What the server refuses the job log, by its numbers.

use super::super::server::READ_ONLY;
use super::settings::Settings;
use crate::error::{Error, Kind};
use crate::net::mysql::client::Failure;
use crate::net::mysql::error::{self, Doing};

/// No connection, or no login.
pub fn connecting(failure: Failure, settings: &Settings) -> Error {
    let database = &settings.database;
    let error = match error::number(&failure) {
        Some(number @ (1045 | 1698)) => Error::denied(format!(
            "the server refuses user `{}`: with this password, without TLS, or from this host (error {number})",
            settings.username
        ))
        .hint("Check `username` and `password`."),
        Some(1044) => error::of(failure, Doing::Connecting).hint(format!(
            "An administrator can grant the user CREATE, SELECT, INSERT, UPDATE, DELETE on {database}.*"
        )),
        Some(1049) => Error::config(format!("there is no database `{database}`"))
            .hint("An administrator can create it; the tables in it are made by the first run."),
        Some(_) => error::of(failure, Doing::Connecting),
        None => of_connection(failure, Doing::Connecting),
    };
    error.at(format!("job log {}", settings.place))
}

/// An error of an open connection.
pub fn running(failure: Failure, settings: &Settings) -> Error {
    let error = match &failure {
        Failure::Server(refusal) => of_server(refusal.code, &refusal.state),
        _ => of_connection(failure, Doing::Reading),
    };
    error.at(format!("job log {}", settings.place))
}

fn of_connection(failure: Failure, doing: Doing) -> Error {
    match failure {
        // The key is a source's.
        Failure::Silent { seconds, .. } if doing == Doing::Connecting => {
            Error::unavailable(format!("no connection within {seconds} s"))
                .hint("Check the server of [job_log] `url`, or allow more with `connect_timeout`.")
        }
        Failure::Silent { seconds, .. } => Error::unavailable(format!("the server was silent for {seconds} s")),
        Failure::Placeholders => Error::bug("a statement with other placeholders than values"),
        failure => error::of(failure, doing),
    }
}

/// The server's message may quote values: what the number means is said in own words.
fn of_server(number: u16, state: &str) -> Error {
    let said = match (number, error::meaning(number)) {
        (1062 | 1050, _) => format!("another process wrote the same at the same time (error {number})"),
        (1020, _) => format!("another process changed the same row at the same time (error {number})"),
        (1180 | 3100 | 3101, _) => format!("the server took the commit back, or it failed halfway (error {number})"),
        (1637, _) => format!("the server has too many transactions (error {number})"),
        (1142 | 1143, _) => format!("a right is missing (error {number})"),
        (1290 | 1792 | 1836, _) => format!("the server is read-only (error {number})"),
        (1406, _) => format!("a name is longer than its column (error {number})"),
        (_, Some(meaning)) => format!("{meaning} (error {number})"),
        _ => format!("the server's error {number} (SQLSTATE {state})"),
    };
    let error = Error::new(kind(number), said);
    match hint(number) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn kind(number: u16) -> Kind {
    match number {
        1062 | 1050 => Kind::Unavailable,
        // The row was changed since it was read (MariaDB); too many transactions; a commit that a cluster took back, or that
        // failed halfway, of which nobody knows whether it stands.
        1020 | 1637 | 3100 | 3101 | 1180 => Kind::Unavailable,
        // Read-only; a log of statements, which READ COMMITTED cannot go into; a name too long; an index too long.
        1290 | 1792 | 1836 | 1665 | 1406 | 1071 | 1709 => Kind::Config,
        _ => match error::kind(number) {
            Some(Kind::Schema) | None => Kind::Bug,
            Some(kind) => kind,
        },
    }
}

fn hint(number: u16) -> Option<&'static str> {
    Some(match number {
        1142 | 1143 | 1044 | 1227 => {
            "The user needs CREATE in the database for the first run, and then SELECT, INSERT, UPDATE and DELETE on job_log \
             and job_log_lease, and SELECT on job_log_id. `tidemark check` says which is missing."
        }
        1290 | 1792 | 1836 => READ_ONLY,
        1665 => "Set binlog_format = ROW on the server.",
        1146 | 1054 => "Were its tables changed or dropped while it ran? What is missing is made anew by the next run.",
        1114 => "Free some space on the server's disk.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_number() {
        for (number, expected) in [
            (1062, Kind::Unavailable),
            (1205, Kind::Unavailable),
            (1213, Kind::Unavailable),
            (1053, Kind::Unavailable),
            (4031, Kind::Unavailable),
            (1040, Kind::Unavailable),
            (1114, Kind::Unavailable),
            (1020, Kind::Unavailable),
            (1180, Kind::Unavailable),
            (1637, Kind::Unavailable),
            (3100, Kind::Unavailable),
            (3101, Kind::Unavailable),
            (1142, Kind::Denied),
            (1227, Kind::Denied),
            (1290, Kind::Config),
            (1836, Kind::Config),
            (1146, Kind::Config),
            (1406, Kind::Config),
            (1366, Kind::Bug),
            (9999, Kind::Bug),
        ] {
            assert_eq!(of_server(number, "HY000").kind(), expected, "{number}");
        }
    }
}
