//! One consistent snapshot for all tables of a run, or all chunks of a table: taken once, exported, and shared by every
//! connection that reads.

use std::sync::Arc;

use jiff::Timestamp;

use super::config::Settings;
use super::connect::{Sees, Session, get};
use super::error::code;
use super::position::Moment;
use crate::error::{Error, Result};

/// What several readers see.
pub enum Snapshot {
    /// Lives as long as the transaction that took it.
    Exported { holder: Box<Session>, id: String, moment: Moment },
    /// The server exports none: each reader has its own.
    Own,
}

impl Snapshot {
    pub async fn take(settings: &Arc<Settings>) -> Result<Self> {
        let holder = Session::connect(settings).await?;
        let moment = begin_own(&holder).await?;
        match holder.client().query_typed("SELECT pg_catalog.pg_export_snapshot() AS id", &[]).await {
            Ok(rows) => {
                let row = rows.first().ok_or_else(|| Error::bug("pg_export_snapshot gave no row"))?;
                Ok(Snapshot::Exported { id: get(row, "id")?, holder: Box::new(holder), moment })
            }
            Err(e) if cannot_export(code(&e)) => {
                tracing::warn!(
                    server = settings.address(),
                    sqlstate = code(&e),
                    "the server exports no snapshot: each table is consistent in itself, not with the others"
                );
                holder.close().await;
                Ok(Snapshot::Own)
            }
            Err(e) => Err(holder.error(&e)),
        }
    }

    /// What its readers call it; `None` where each has its own. Fails where it is gone.
    pub fn id(&self) -> Result<Option<&str>> {
        match self {
            Snapshot::Exported { holder, moment, .. } if holder.is_closed() => Err(gone(holder, moment)),
            Snapshot::Exported { id, .. } => Ok(Some(id)),
            Snapshot::Own => Ok(None),
        }
    }

    /// A connection in a transaction that sees this snapshot, and when that is.
    pub async fn reader(&self, settings: &Arc<Settings>) -> Result<(Session, Moment)> {
        let Snapshot::Exported { holder, id, moment } = self else {
            let session = Session::connect(settings).await?;
            let moment = begin_own(&session).await?;
            return Ok((session, moment));
        };
        if holder.is_closed() {
            return Err(gone(holder, moment));
        }
        let session = Session::connect(settings).await?;
        match session.begin(Sees::Shared(id)).await {
            Ok(()) => Ok((session, moment.clone())),
            // The server has it no more. The news that its holder is gone may come later than this.
            Err(e) if matches!(code(&e), "22023" | "42704" | "58P01") => Err(gone(holder, moment)),
            Err(e) => Err(session.error(&e)),
        }
    }
}

/// Begins a transaction with a snapshot of its own, after a look at the log's end.
async fn begin_own(session: &Session) -> Result<Moment> {
    let written = session
        .query_one(
            "SELECT (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
             ELSE pg_catalog.pg_current_wal_lsn() END)::pg_catalog.text AS lsn",
            &[],
        )
        .await?;
    session.begin(Sees::One).await.map_err(|e| session.error(&e))?;
    let taken =
        session.query_one("SELECT pg_catalog.txid_current_snapshot()::pg_catalog.text AS snapshot", &[]).await?;
    let lsn: Option<String> = get(&written, "lsn")?;
    Ok(Moment { snapshot: get(&taken, "snapshot")?, lsn: lsn.unwrap_or_default(), at: Timestamp::now() })
}

/// Replicas of some services refuse, and some administrators.
fn cannot_export(code: &str) -> bool {
    matches!(code, "0A000" | "25000" | "25006" | "42501" | "55000")
}

/// Its holder's transaction has ended, and with it what the tables read so far and those to come had in common.
fn gone(holder: &Session, moment: &Moment) -> Error {
    Error::unavailable(format!(
        "{}: the run's snapshot is gone ({}), because the connection that held it has ended{}",
        holder.settings().address(),
        moment.time(),
        holder.reason().map(|reason| format!(" ({})", reason.message())).unwrap_or_default(),
    ))
    .hint(
        "The run starts again with a new snapshot. If it happens again: is something ending long or idle transactions?",
    )
}
