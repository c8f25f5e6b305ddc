//! The statements on the table `job_log_lease`. All times are the server's: clocks of other machines decide nothing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;

use super::session::{Cell, Record};
use super::sessions::{Sessions, Transaction};
use crate::error::{Error, Result};
use crate::job_log::Held;
use crate::job_log::lease::{Leases, Row};
use crate::job_log::process::Process;

const COLUMNS: &str = "pipeline, stream, token, host, pid, start_ticks, boot_id, pid_namespace, taken_at, heartbeat_at";

/// How long it is tried to release a lease.
const RELEASE: Duration = Duration::from_secs(10);

pub struct Table {
    pub sessions: Arc<Sessions>,
    pub lost_after: Duration,
}

#[async_trait]
impl Leases for Table {
    async fn take(&self, row: Row) -> Result<Instant> {
        self.sessions.write(|db| take(db, &row, self.lost_after)).await?
    }

    async fn beat(&self, row: &Row) -> Result<bool> {
        self.sessions.write(|db| beat(db, row)).await
    }

    async fn release(&self, row: &Row) -> Result<()> {
        let released = self.sessions.write(|mut db| async move {
            delete(&mut db, row).await?;
            db.commit().await
        });
        // A run that is over need not wait for as long as one that goes on: others see that nobody holds it.
        let released = tokio::time::timeout(RELEASE, released).await;
        released.unwrap_or_else(|_| Err(Error::unavailable("the job log does not answer")))
    }
}

/// The conflict with a living holder is what comes of a transaction that did its work.
async fn take(mut db: Transaction<'_>, row: &Row, lost_after: Duration) -> Result<Result<Instant>> {
    let standing = standing(&mut db, row).await?;
    // After the row is ours to change: what the wait for it took must not make its holder look alive or dead.
    let (asked, now) = (Instant::now(), db.now().await?);
    // Our own stands there if it was written, and the word that it was got lost.
    let others = standing.as_ref().filter(|standing| standing.token != row.token);
    let at = parsed(&now)?;
    let taken = match others.and_then(|standing| standing.conflict(at, lost_after)) {
        Some(conflict) => Err(conflict),
        None => {
            if let Some(standing) = &standing {
                delete(&mut db, standing).await?;
            }
            insert(&mut db, row, &now).await?;
            Ok(asked)
        }
    };
    db.commit().await?;
    Ok(taken)
}

async fn beat(mut db: Transaction<'_>, row: &Row) -> Result<bool> {
    let is_ours = standing(&mut db, row).await?.is_some_and(|standing| standing.token == row.token);
    if is_ours {
        let now = db.dialect().now;
        let sql = format!("UPDATE job_log_lease SET heartbeat_at = {now} WHERE pipeline = ? AND stream = ?");
        db.query(&sql, &key(row)).await?;
    }
    db.commit().await?;
    Ok(is_ours)
}

/// Every lease of the pipeline, by stream.
pub async fn all(mut db: Transaction<'_>, pipeline: &str, lost_after: Duration) -> Result<Vec<Held>> {
    let now = parsed(&db.now().await?)?;
    let sql = format!("SELECT {COLUMNS} FROM job_log_lease WHERE pipeline = ? ORDER BY stream");
    let rows = db.query(&sql, &[pipeline.into()]).await?;
    db.commit().await?;
    rows.iter().map(|row| Ok(read(row)?.seen(now, lost_after))).collect()
}

fn parsed(now: &str) -> Result<Timestamp> {
    now.parse().map_err(|_| Error::bug("the server's time is no time"))
}

fn key(row: &Row) -> [Cell; 2] {
    [row.pipeline.as_str().into(), row.stream.as_str().into()]
}

/// The row of the same stream, which nobody else changes until the transaction's end.
async fn standing(db: &mut Transaction<'_>, row: &Row) -> Result<Option<Row>> {
    let sql = format!("SELECT {COLUMNS} FROM job_log_lease WHERE pipeline = ? AND stream = ? FOR UPDATE");
    db.query(&sql, &key(row)).await?.first().map(read).transpose()
}

/// Of several that find no row, the second waits here for the first, is refused, and then finds its row.
async fn insert(db: &mut Transaction<'_>, row: &Row, now: &str) -> Result<()> {
    let sql = format!("INSERT INTO job_log_lease ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    let process = &row.process;
    let values = [
        row.pipeline.as_str().into(),
        row.stream.as_str().into(),
        row.token.as_str().into(),
        process.host.as_str().into(),
        u64::from(process.pid).into(),
        process.start_ticks.into(),
        process.boot_id.as_deref().into(),
        process.pid_namespace.as_deref().into(),
        now.into(),
        now.into(),
    ];
    db.query(&sql, &values).await.map(drop)
}

async fn delete(db: &mut Transaction<'_>, row: &Row) -> Result<()> {
    let sql = "DELETE FROM job_log_lease WHERE pipeline = ? AND stream = ? AND token = ?";
    let [pipeline, stream] = key(row);
    db.query(sql, &[pipeline, stream, row.token.as_str().into()]).await.map(drop)
}

fn read(row: &Record) -> Result<Row> {
    Ok(Row {
        pipeline: row.text(0)?,
        stream: row.text(1)?,
        token: row.text(2)?,
        process: Process {
            host: row.text(3)?,
            pid: u32::try_from(row.number(4)?).unwrap_or(0),
            start_ticks: row.maybe_number(5)?,
            boot_id: row.maybe_text(6)?,
            pid_namespace: row.maybe_text(7)?,
        },
        taken_at: row.text(8)?,
        heartbeat_at: row.text(9)?,
    })
}
