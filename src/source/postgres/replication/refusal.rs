//! Why the server does not send its log, or stops to: by SQLSTATE, and by what it says of the slot where one code has several reasons.

use super::failure::Failure;
use super::session::Session;
use super::slot::{Slot, State};
use crate::error::{Error, Kind, Result};
use crate::net::postgres::error::{Refusal, told};
use crate::net::postgres::{Endpoint, readable};

const MISSING: &str = "42704";
const IN_USE: &str = "55006";
const NOT_AS_IT_SHOULD_BE: &str = "55000";
const ALL_IN_USE: &str = "53400";
const EXISTS: &str = "42710";
const NO_COMMAND: &str = "42601";
const LACKS_RIGHT: &str = "42501";

/// The way on where a slot has the log no more.
const ANEW: &str = "`tidemark run --full-refresh` with the stream's name makes a new one and reads all of its tables anew; \
                    `on_lost = snapshot` does so by itself.";

/// Why a slot is not read, or not dropped.
pub async fn of_slot(session: &mut Session, failure: Failure, slot: &str) -> Error {
    let general = failure.running(&session.settings.endpoint());
    let Failure::Refused(refusal) = failure else { return general };
    match refusal.code.as_str() {
        MISSING => missing(slot),
        IN_USE | NOT_AS_IT_SHOULD_BE => match explain(session, slot).await {
            Ok(Some(explained)) => explained,
            _ => general,
        },
        LACKS_RIGHT => lacks_right(&refusal, session),
        NO_COMMAND => pooled(&refusal),
        _ => match explain(session, slot).await {
            Ok(Some(explained)) if explained.kind() == Kind::Config => explained,
            _ => general,
        },
    }
}

/// Why a slot is not made.
pub async fn not_created(session: &mut Session, failure: Failure, slot: &str) -> Error {
    let general = failure.running(&session.settings.endpoint());
    let Failure::Refused(refusal) = failure else { return general };
    match refusal.code.as_str() {
        EXISTS => Error::conflict(format!("there is a replication slot {slot} already")).hint(format!(
            "Give ours another name, or, if nobody reads it: SELECT pg_drop_replication_slot('{slot}');"
        )),
        NOT_AS_IT_SHOULD_BE => match no_logical_log(session).await {
            Ok(Some(explained)) => explained,
            _ => general,
        },
        ALL_IN_USE => Error::config(told(&refusal))
            .hint("Raise max_replication_slots there, which needs a restart, or drop slots that nobody reads."),
        LACKS_RIGHT => lacks_right(&refusal, session),
        NO_COMMAND => pooled(&refusal),
        _ => general,
    }
}

/// Why the server does not say who it is.
pub fn not_identified(failure: &Failure, endpoint: &Endpoint<'_>) -> Error {
    match failure {
        Failure::Refused(refusal) if refusal.code == NO_COMMAND => pooled(refusal),
        _ => failure.running(endpoint),
    }
}

/// Why a log that was being sent goes on no more.
pub fn broken(failure: &Failure, endpoint: &Endpoint<'_>) -> Error {
    match failure {
        // What else is missing comes with a slot that was there when the log began.
        Failure::Refused(refusal) if refusal.code == MISSING => Error::config(told(refusal)).at(endpoint).hint(
            "A publication must have been there before the place that the slot has come to: one that was made later is not seen \
             by the changes before it. Where it was there and is gone, or was made again: `tidemark check --create` with the stream's \
             name, and then `tidemark run --full-refresh`.",
        ),
        Failure::Refused(_) => failure.running(endpoint).at(endpoint),
        Failure::Closed => Error::unavailable("the server ended its log").at(endpoint).hint(
            "It is shut down, or another session ended ours: the server's log says which. Where it says `wal_sender_timeout`, \
             it did not hear of us in that time.",
        ),
        _ => failure.running(endpoint),
    }
}

fn missing(slot: &str) -> Error {
    Error::new(Kind::Lost, format!("there is no replication slot {slot}"))
        .hint(format!("Somebody dropped it, or it did not come along to another server. {ANEW}"))
}

/// Whoever answered took our commands for SQL: the login's word for replication did not reach the server.
fn pooled(refusal: &Refusal) -> Error {
    Error::config(told(refusal)).hint(
        "A pooler stands between us and the server that drops the word `replication` of our login (PgBouncer with \
         ignore_startup_parameters). Let `hostname` and `port` name the server itself.",
    )
}

fn lacks_right(refusal: &Refusal, session: &Session) -> Error {
    let role = readable(&session.settings.username);
    Error::denied(told(refusal)).hint(format!("An administrator can run: ALTER ROLE {role} REPLICATION;"))
}

/// What is wrong with a slot, as far as the server's view of it shows that.
async fn explain(session: &mut Session, name: &str) -> Result<Option<Error>> {
    let Some(slot) = session.slot(name).await? else { return Ok(Some(missing(name))) };
    let ours = session.settings.database.clone();
    match &slot {
        Slot { plugin: None, .. } => {
            return Ok(Some(
                Error::config(format!("replication slot {name} is a physical one, for standbys"))
                    .hint("Give ours another name."),
            ));
        }
        Slot { plugin: Some(plugin), .. } if plugin != "pgoutput" => {
            return Ok(Some(
                Error::config(format!("replication slot {name} is of the plugin {plugin}, not of pgoutput"))
                    .hint("Give ours another name."),
            ));
        }
        Slot { database: Some(database), .. } if *database != ours => {
            return Ok(Some(
                Error::config(format!("replication slot {name} is of database {}", readable(database)))
                    .hint("A slot is of one database: give ours another name."),
            ));
        }
        Slot { state: State::Lost, .. } => {
            return Ok(Some(
                Error::new(
                    Kind::Lost,
                    format!("replication slot {name} has lost its log: more was written than the server keeps"),
                )
                .hint(format!("Raise max_slot_wal_keep_size there. {ANEW}")),
            ));
        }
        Slot { state: State::Invalidated(reason), .. } => {
            let what = format!("the server has invalidated replication slot {name}: {reason}");
            return Ok(Some(Error::new(Kind::Lost, what).hint(ANEW)));
        }
        Slot { active_pid: Some(pid), .. } => return in_use(session, name, *pid).await.map(Some),
        Slot { .. } => {}
    }
    no_logical_log(session).await
}

/// Our own session of before may be meant, which the server has not seen to be gone: that is worth another try, which ends by
/// itself. A name that is not ours is somebody else.
async fn in_use(session: &mut Session, slot: &str, pid: u32) -> Result<Error> {
    let sql = format!("SELECT application_name FROM pg_catalog.pg_stat_activity WHERE pid = {pid}");
    let rows = session.rows(&sql).await?;
    let other = rows.into_iter().flatten().next().flatten().filter(|name| !name.is_empty());
    let is_other = other.as_ref().is_some_and(|name| *name != session.settings.application_name);
    let kind = if is_other { Kind::Conflict } else { Kind::Unavailable };
    let by = other.map(|name| format!(", {name}")).unwrap_or_default();
    Ok(Error::new(kind, format!("replication slot {slot} is in use by the server's process {pid}{by}")).hint(format!(
        "A slot has one reader. One that is gone without a word frees it after wal_sender_timeout; at once: \
         SELECT pg_terminate_backend({pid});"
    )))
}

async fn no_logical_log(session: &mut Session) -> Result<Option<Error>> {
    let level = session.show("wal_level").await?;
    Ok((level != "logical").then(|| {
        Error::config(format!("the server's log has no changes of rows: wal_level is {level}"))
            .hint("An administrator can run: ALTER SYSTEM SET wal_level = logical; and restart the server.")
    }))
}
