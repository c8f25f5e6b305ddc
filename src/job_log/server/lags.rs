//! The statements on the table `job_log_lag`.

use super::session::{Cell, Record};
use super::sessions::Transaction;
use crate::error::Result;
use crate::job_log::Behind;

pub async fn note(
    mut db: Transaction<'_>,
    pipeline: &str,
    stream: &str,
    seconds: u64,
    bytes: Option<u64>,
) -> Result<()> {
    let now = db.now().await?;
    let sql = "SELECT seconds FROM job_log_lag WHERE pipeline = ? AND stream = ? FOR UPDATE";
    let is_there = !db.query(sql, &[pipeline.into(), stream.into()]).await?.is_empty();
    let sql = match is_there {
        true => "UPDATE job_log_lag SET seconds = ?, bytes = ?, measured_at = ? WHERE pipeline = ? AND stream = ?",
        // Nobody else does so: the stream is held.
        false => "INSERT INTO job_log_lag (seconds, bytes, measured_at, pipeline, stream) VALUES (?, ?, ?, ?, ?)",
    };
    let values = [seconds.into(), bytes.into(), Cell::from(now.as_str()), pipeline.into(), stream.into()];
    db.query(sql, &values).await?;
    db.commit().await
}

pub async fn all(mut db: Transaction<'_>, pipeline: &str) -> Result<Vec<Behind>> {
    let sql = "SELECT stream, seconds, bytes, measured_at FROM job_log_lag WHERE pipeline = ? ORDER BY stream";
    let rows = db.query(sql, &[pipeline.into()]).await?;
    db.commit().await?;
    let read = |row: &Record| {
        Ok(Behind {
            stream: row.text(0)?,
            seconds: row.number(1)?,
            bytes: row.maybe_number(2)?,
            measured_at: row.text(3)?,
        })
    };
    rows.iter().map(read).collect()
}
