//! What an error of an open connection means for the job log, by SQLSTATE.

use super::super::server::READ_ONLY;
use super::settings::Settings;
use crate::error::{Error, Kind};
use crate::net::postgres::error::{code, running, told};

pub fn of(error: &tokio_postgres::Error, settings: &Settings) -> Error {
    let Some(refusal) = error.as_db_error() else {
        // The connection broke: its message has the address already.
        return running(error, &settings.endpoint()).at("job log");
    };
    let code = code(error);
    let ours = Error::new(kind(code), told(&refusal.into())).at(format!("job log {}", settings.place));
    match hint(code) {
        Some(hint) => ours.hint(hint),
        None => ours,
    }
}

/// By code, then by class: https://www.postgresql.org/docs/current/errcodes-appendix.html
fn kind(code: &str) -> Kind {
    match code {
        "42501" => Kind::Denied,
        // Another process wrote the same row, or made the same table, at the same time.
        "23505" | "42P07" => Kind::Unavailable,
        // A pooler has put another server connection under ours.
        "26000" | "42P05" => Kind::Config,
        // A standby, which cannot even be asked for writing; read-only; text that the database's encoding does not hold.
        "0A000" | "25006" | "22P05" | "22021" => Kind::Config,
        // Tables that are gone, or have other columns.
        "42P01" | "42703" | "42804" | "3F000" | "3D000" => Kind::Config,
        _ => match code.get(..2).unwrap_or_default() {
            "08" | "25" | "40" | "53" | "55" | "57" | "58" | "XX" => Kind::Unavailable,
            "28" => Kind::Denied,
            _ => Kind::Bug,
        },
    }
}

fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "42501" => {
            "The role needs CREATE on the schema for the first run, and then SELECT, INSERT, UPDATE and DELETE on job_log \
             and job_log_lease, and SELECT on job_log_id. `tidemark check` says which is missing."
        }
        "0A000" | "25006" => READ_ONLY,
        "22P05" | "22021" => "The job log needs a database with the encoding UTF8.",
        "42P01" | "42703" | "42804" | "3F000" => {
            "Were its tables changed or dropped while it ran? What is missing is made anew by the next run."
        }
        "53100" => "Free some space on the server's disk.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_code() {
        for (code, expected) in [
            ("42501", Kind::Denied),
            ("28P01", Kind::Denied),
            ("23505", Kind::Unavailable),
            ("40P01", Kind::Unavailable),
            ("55P03", Kind::Unavailable),
            ("57P01", Kind::Unavailable),
            ("53100", Kind::Unavailable),
            ("25P03", Kind::Unavailable),
            ("25006", Kind::Config),
            ("0A000", Kind::Config),
            ("40001", Kind::Unavailable),
            ("42P01", Kind::Config),
            ("22P05", Kind::Config),
            ("42601", Kind::Bug),
            ("23514", Kind::Bug),
        ] {
            assert_eq!(kind(code), expected, "{code}");
        }
    }
}
