//! Why the server does not send its log, or stops to.

use super::super::client::{Client, Failure};
use super::super::connect::text;
use super::super::error::{self, Doing};
use super::super::name::account;
use super::super::rights::grant_of_log;
use crate::error::{Error, Kind};

/// What the dump of a log fails with, whatever the reason; which, only its wording tells.
const FATAL: u16 = 1236;
/// There is no log.
const NO_LOG: u16 = 1381;
/// MariaDB: another replica of our number came, and has our place now.
const SAME_ID: u16 = 4052;
/// A right is missing. We have logged in by then, so that the first is not about the password.
const LACKS_RIGHT: [u16; 2] = [1045, 1227];

/// `has_come` is whether events came before. The server knows one number for all that stops a dump: at its beginning, that is
/// that it does not have the place that we ask for; later, that somebody with our number took over, or that it shuts
/// down, and asking again shows which.
pub fn refused(failure: Failure, has_come: bool) -> Error {
    let said = match &failure {
        // It names files, places and transactions, never values.
        Failure::Server(refusal) if refusal.code == FATAL => refusal.message.clone(),
        _ => String::new(),
    };
    match error::number(&failure) {
        Some(FATAL) if has_come => {
            Error::unavailable(format!("the server stopped to send its log (error 1236): {said}"))
                .hint("If it happens again and again, another replica has the same `server_id`: give each its own.")
        }
        Some(FATAL) => {
            Error::new(Kind::Lost, format!("the server cannot send its log from our position on (error 1236): {said}"))
                .hint(
                    "Where it has purged that part of its log, `tidemark run --full-refresh` with the stream's name reads all of its tables \
                     anew; `on_lost = snapshot` does so by itself.",
                )
        }
        Some(NO_LOG) => Error::config("the server keeps no binary log (error 1381)").hint(
            "An administrator can write `log_bin` and `binlog_format = ROW` below [mysqld] in the server's my.cnf, and restart it.",
        ),
        Some(SAME_ID) => {
            Error::conflict(format!("another replica has our `server_id` (error {SAME_ID})")).hint("Give each its own.")
        }
        Some(number) if LACKS_RIGHT.contains(&number) => {
            Error::denied(format!("the user may not read the server's log (error {number})"))
                .hint(format!("An administrator can run, with the user's name: {}", grant_of_log("…")))
        }
        _ => error::of(failure, if has_come { Doing::Reading } else { Doing::Preparing }),
    }
}

/// As [`refused`], of a session that was only just told what it is for: it can still be asked who we are.
pub async fn not_begun(mut client: Client, failure: Failure) -> Error {
    let number = error::number(&failure).unwrap_or_default();
    let error = refused(failure, false);
    if !LACKS_RIGHT.contains(&number) {
        return error;
    }
    let Ok(rows) = client.query("select current_user()").await else { return error };
    let user = account(&rows.first().map(|row| text(row, 0)).unwrap_or_default());
    Error::denied(format!("the user {user} may not read the server's log (error {number})"))
        .hint(format!("An administrator can run: {}", grant_of_log(&user)))
}
