//! One consistent snapshot for all tables of a run: taken once, exported, and shared by every connection that reads.

use std::sync::Arc;

use super::config::Settings;
use super::connect::{Sees, Session, get};
use super::error::code;
use super::position::Moment;
use crate::error::{Error, Result};

/// What all readers of a run see.
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

    /// A connection in a transaction that sees this snapshot, and when that is.
    pub async fn reader(&self, settings: &Arc<Settings>) -> Result<(Session, Moment)> {
        let Snapshot::Exported { holder, id, moment } = self else {
            let session = Session::connect(settings).await?;
            let moment = begin_own(&session).await?;
            return Ok((session, moment));
        };
        if holder.is_closed() {
            return Err(gone(holder));
        }
        let session = Session::connect(settings).await?;
        match session.begin(Sees::Shared(id)).await {
            Ok(()) => Ok((session, moment.clone())),
            // The server has it no more. The news that its holder is gone may come later than this.
            Err(e) if matches!(code(&e), "22023" | "42704" | "58P01") => Err(gone(holder)),
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
    Ok(Moment { snapshot: get(&taken, "snapshot")?, lsn: lsn.unwrap_or_default() })
}

/// Replicas of some services refuse, and some administrators.
fn cannot_export(code: &str) -> bool {
    matches!(code, "0A000" | "25000" | "25006" | "42501" | "55000")
}

/// Its holder's transaction has ended, and with it what the tables read so far and those to come had in common.
fn gone(holder: &Session) -> Error {
    Error::unavailable(format!(
        "{}: the run's snapshot is gone, because the connection that held it has ended{}",
        holder.settings().address(),
        holder.reason().map(|reason| format!(" ({})", reason.message())).unwrap_or_default(),
    ))
    .hint(
        "The run starts again with a new snapshot. If it happens again: is something ending long or idle transactions?",
    )
}

/// Refuses to read on where a snapshot taken earlier does not show what was in the tables then: all that the
/// transaction has locked so far must be as it was.
///
/// TRUNCATE and what rewrites a table leave it empty to earlier snapshots, a table made anew under the old name is empty
/// to them too, and a partition that was taken away is read no more. Whoever holds the lock knows that no more of this
/// can happen.
pub async fn check_unchanged(session: &Session) -> Result<()> {
    let rows = session.query(CHANGED, &[]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let (name, what): (Option<String>, String) = (get(row, "name")?, get(row, "what")?);
    let name = name.unwrap_or_else(|| "a table".to_owned());
    Err(Error::unavailable(format!("{name} {what} after the run's snapshot was taken, which does not show its rows"))
        .hint("The run starts again with a new snapshot."))
}

/// The catalog as the transaction sees it (plain tables) against the catalog as it is (functions).
const CHANGED: &str = "
WITH locked AS (
    SELECT DISTINCT l.relation FROM pg_catalog.pg_locks AS l
    WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.relation >= 16384
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
), seen AS (
    SELECT l.relation, c.oid, c.relkind, c.relfilenode, c.relname::text AS name
    FROM locked AS l LEFT JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
)
SELECT relation::pg_catalog.regclass::text AS name, 'was created' AS what FROM seen
WHERE oid IS NULL AND pg_catalog.pg_get_indexdef(relation) IS NULL
UNION ALL
SELECT name, 'was truncated or rewritten' FROM seen
WHERE relkind = 'r' AND relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(oid)
UNION ALL
SELECT name, 'gained or lost a partition' FROM seen AS root
WHERE relkind = 'p' AND EXISTS (
    SELECT FROM (
        WITH RECURSIVE tree AS (
            SELECT root.oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN tree ON i.inhparent = tree.oid
        ) SELECT oid FROM tree
    ) AS before
    FULL JOIN pg_catalog.pg_partition_tree(root.oid::pg_catalog.regclass) AS now ON now.relid = before.oid
    WHERE now.relid IS NULL OR before.oid IS NULL
)
LIMIT 1";
