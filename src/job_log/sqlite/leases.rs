//! The statements on the table `job_log_lease`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Result as SqlResult, TransactionBehavior, params};
use tokio::time::Instant;

use super::connection::Connection;
use crate::error::Result;
use crate::job_log::lease::{Leases, Row};
use crate::job_log::process::Process;
use crate::job_log::{Held, now};

pub(super) struct Table {
    pub connection: Arc<Connection>,
    pub lost_after: Duration,
}

#[async_trait]
impl Leases for Table {
    async fn take(&self, mut row: Row) -> Result<Instant> {
        let lost_after = self.lost_after;
        self.connection
            .call(move |db| {
                let step = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let sql = "SELECT * FROM job_log_lease WHERE pipeline = ?1 AND stream = ?2";
                let standing = step.query_row(sql, [&row.pipeline, &row.stream], read).optional()?;
                if let Some(conflict) = standing.and_then(|row| row.conflict(Timestamp::now(), lost_after)) {
                    return Ok(Err(conflict));
                }
                // The wait for other processes must not make it look older than it is.
                let taken = Instant::now();
                row.heartbeat_at = now();
                row.taken_at.clone_from(&row.heartbeat_at);
                write(&step, &row)?;
                step.commit().map(|()| Ok(taken))
            })
            .await?
    }

    async fn beat(&self, row: &Row) -> Result<bool> {
        let (pipeline, stream, token) = (row.pipeline.clone(), row.stream.clone(), row.token.clone());
        let sql = "UPDATE job_log_lease SET heartbeat_at = ?4 WHERE pipeline = ?1 AND stream = ?2 AND token = ?3";
        let renewed = self.connection.call(move |db| db.execute(sql, [pipeline, stream, token, now()])).await?;
        Ok(renewed == 1)
    }

    async fn release(&self, row: &Row) -> Result<()> {
        let (pipeline, stream, token) = (row.pipeline.clone(), row.stream.clone(), row.token.clone());
        let sql = "DELETE FROM job_log_lease WHERE pipeline = ?1 AND stream = ?2 AND token = ?3";
        self.connection.call(move |db| db.execute(sql, [pipeline, stream, token])).await.map(drop)
    }
}

/// Every lease of the pipeline, by stream.
pub(super) fn all(db: &rusqlite::Connection, pipeline: &str, lost_after: Duration) -> SqlResult<Vec<Held>> {
    let mut statement = db.prepare("SELECT * FROM job_log_lease WHERE pipeline = ?1 ORDER BY stream")?;
    let now = Timestamp::now();
    statement.query_map([pipeline], |row| Ok(read(row)?.seen(now, lost_after)))?.collect()
}

fn read(row: &rusqlite::Row<'_>) -> SqlResult<Row> {
    Ok(Row {
        pipeline: row.get("pipeline")?,
        stream: row.get("stream")?,
        token: row.get("token")?,
        process: Process {
            host: row.get("host")?,
            pid: row.get("pid")?,
            start_ticks: row.get::<_, Option<i64>>("start_ticks")?.map(i64::unsigned_abs),
            boot_id: row.get("boot_id")?,
            pid_namespace: row.get("pid_namespace")?,
        },
        taken_at: row.get("taken_at")?,
        heartbeat_at: row.get("heartbeat_at")?,
    })
}

fn write(db: &rusqlite::Connection, row: &Row) -> SqlResult<()> {
    let process = &row.process;
    let start_ticks = process.start_ticks.and_then(|ticks| i64::try_from(ticks).ok());
    db.execute(
        "INSERT OR REPLACE INTO job_log_lease
            (pipeline, stream, token, host, pid, start_ticks, boot_id, pid_namespace, taken_at, heartbeat_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            row.pipeline,
            row.stream,
            row.token,
            process.host,
            process.pid,
            start_ticks,
            process.boot_id,
            process.pid_namespace,
            row.taken_at,
            row.heartbeat_at
        ],
    )?;
    Ok(())
}
