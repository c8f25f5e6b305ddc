//! The tables, and their version, which the row of `job_log_id` holds.

use super::session::{Dialect, Driver, Session};
use crate::error::{Error, Result};

/// The version of the tables that this program writes.
pub const VERSION: u64 = 3;

/// What a database has of a job log.
pub enum State {
    /// Tables of an earlier version; of version 0 there may be none at all.
    Older(u64),
    /// This version's tables, with the log's own id.
    Ready(String),
}

/// Looks, and changes nothing. Refuses tables that are newer than this program, or not of its making.
pub async fn state(session: &mut dyn Session, driver: &dyn Driver) -> Result<State> {
    let found = found(session, driver).await?;
    Ok(match found {
        Some((id, version)) if version == VERSION => State::Ready(id),
        found => State::Older(found.map_or(0, |(_, version)| version)),
    })
}

/// Sees to it that the tables are there, at this program's version; the log's own id, which tells it from every other.
pub async fn prepare(session: &mut dyn Session, driver: &dyn Driver) -> Result<String> {
    if let State::Ready(id) = state(session, driver).await? {
        return Ok(id);
    }
    session.begin().await?;
    session.lock().await?;
    let id = migrate(session, driver).await?;
    session.commit().await?;
    session.unlock().await?;
    Ok(id)
}

/// Under the lock. Where the server commits every step by itself, a process that dies in between leaves a version that is
/// behind, and the next one takes the steps again: each does nothing where it has been taken.
async fn migrate(session: &mut dyn Session, driver: &dyn Driver) -> Result<String> {
    let dialect = driver.dialect();
    // Another process may have done it while this one waited.
    let (id, version) = match found(session, driver).await? {
        Some(found) => found,
        None => made(session, dialect).await?,
    };
    for steps in dialect.migrations.iter().skip(usize::try_from(version).unwrap_or(usize::MAX)) {
        for step in *steps {
            session.query(step, &[]).await?;
        }
    }
    if version < VERSION {
        session.query("UPDATE job_log_id SET version = ?", &[VERSION.into()]).await?;
    }
    Ok(id)
}

/// The log's id and version, given now, or meanwhile by another process: a server may answer what it remembers when it is
/// asked whether there is a table, as PostgreSQL does within a transaction, and not when it is asked for the table's rows.
async fn made(session: &mut dyn Session, dialect: &Dialect) -> Result<(String, u64)> {
    session.query(dialect.make_id, &[]).await?;
    if let Some(found) = row_of_id(session).await? {
        return Ok(found);
    }
    let id = uuid::Uuid::now_v7().to_string();
    session.query("INSERT INTO job_log_id (id, version) VALUES (?, 0)", &[id.as_str().into()]).await?;
    Ok((id, 0))
}

async fn row_of_id(session: &mut dyn Session) -> Result<Option<(String, u64)>> {
    let rows = session.query("SELECT id, version FROM job_log_id ORDER BY id", &[]).await?;
    rows.first().map(|row| Ok((row.text(0)?, row.number(1)?))).transpose()
}

/// The log's id, and the version of its tables.
async fn found(session: &mut dyn Session, driver: &dyn Driver) -> Result<Option<(String, u64)>> {
    let place = driver.place();
    // In this order: another process that makes the tables meanwhile makes these after the id, or all at once.
    let are_there = is_there(session, driver, "job_log").await? || is_there(session, driver, "job_log_lease").await?;
    let has_id = is_there(session, driver, "job_log_id").await?;
    let found = if has_id { row_of_id(session).await? } else { None };
    match &found {
        Some((_, version)) if *version > VERSION => Err(Error::config(format!(
            "job log {place}: its tables have version {version}, and this program supports versions up to {VERSION}"
        ))
        .hint("A newer tidemark wrote them: use that one, or name another database in [job_log] `url`.")),
        None if are_there => {
            let message = format!("job log {place}: holds a table `job_log` that tidemark did not make");
            Err(Error::config(message).hint("Name another database in [job_log] `url`."))
        }
        _ => Ok(found),
    }
}

async fn is_there(session: &mut dyn Session, driver: &dyn Driver, table: &str) -> Result<bool> {
    let rows = session.query(driver.dialect().tables_named, &[table.into()]).await?;
    Ok(rows.first().map(|row| row.number(0)).transpose()?.is_some_and(|count| count > 0))
}
