//! The statements on the tables `job_log_share` and `job_log_failure`.

use super::session::{Cell, Record};
use super::sessions::Transaction;
use crate::error::Result;
use crate::job_log::failures::{FAILURE, Failure, Kept, SHARE, Share, changes};
use crate::record::FailedRequest;

pub async fn share(db: &mut Transaction<'_>, pipeline: &str, stream: &str) -> Result<Option<Share>> {
    let sql = format!("SELECT {SHARE} FROM job_log_share WHERE pipeline = ? AND stream = ? FOR UPDATE");
    db.query(&sql, &[pipeline.into(), stream.into()]).await?.first().map(share_row).transpose()
}

/// Notes how much of the stream came, in place of what `is_known`, with the requests that are open; `at` is when those that
/// are not any more were closed. Nobody else does so: the stream is held.
pub async fn note(
    db: &mut Transaction<'_>,
    (pipeline, stream): (&str, &str),
    share: &Share,
    is_known: bool,
    open: &[FailedRequest],
    at: &str,
) -> Result<()> {
    let sql = match is_known {
        true => {
            "UPDATE job_log_share SET run_id = ?, seq = ?, requests = ?, records = ?, failed = ?, written = ?, aside = ?
            WHERE pipeline = ? AND stream = ?"
        }
        false => {
            "INSERT INTO job_log_share (run_id, seq, requests, records, failed, written, aside, pipeline, stream)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        }
    };
    let aside = serde_json::to_string(&share.set_aside).unwrap_or_default();
    let values = [
        share.run_id.as_str().into(),
        share.seq.into(),
        share.requests.into(),
        share.records.into(),
        share.failed.into(),
        share.rows.into(),
        aside.as_str().into(),
        pipeline.into(),
        stream.into(),
    ];
    db.query(sql, &values).await?;
    // Those that are closed stay for ever.
    let sql = format!(
        "SELECT {FAILURE} FROM job_log_failure WHERE pipeline = ? AND stream = ? AND closed_at IS NULL FOR UPDATE"
    );
    let rows = db.query(&sql, &[pipeline.into(), stream.into()]).await?;
    let changes = changes(rows.iter().map(failure_row).collect::<Result<_>>()?, open, &share.run_id);
    for kept in &changes.keep {
        keep(db, (pipeline, stream), kept).await?;
    }
    let sql = "UPDATE job_log_failure SET closed_at = ? WHERE pipeline = ? AND stream = ? AND id = ?";
    for id in &changes.close {
        db.query(sql, &[at, pipeline, stream, id.as_str()].map(Cell::from)).await?;
    }
    Ok(())
}

async fn keep(
    db: &mut Transaction<'_>,
    (pipeline, stream): (&str, &str),
    Kept { failed, run_id, is_known }: &Kept<'_>,
) -> Result<()> {
    let is_there = *is_known || {
        let sql = "SELECT id FROM job_log_failure WHERE pipeline = ? AND stream = ? AND id = ? FOR UPDATE";
        !db.query(sql, &[pipeline, stream, failed.id.as_str()].map(Cell::from)).await?.is_empty()
    };
    let sql = match is_there {
        true => {
            "UPDATE job_log_failure SET request = ?, status = ?, reason = ?, excerpt = ?, attempts = ?, failed_at = ?,
                run_id = ?, closed_at = NULL
            WHERE pipeline = ? AND stream = ? AND id = ?"
        }
        false => {
            "INSERT INTO job_log_failure
                (request, status, reason, excerpt, attempts, failed_at, run_id, pipeline, stream, id)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        }
    };
    let values = [
        failed.request.as_str().into(),
        failed.status.map(u64::from).into(),
        failed.reason.as_str().into(),
        failed.excerpt.as_deref().into(),
        u64::from(failed.attempts).into(),
        failed.at.as_str().into(),
        run_id.as_str().into(),
        pipeline.into(),
        stream.into(),
        failed.id.as_str().into(),
    ];
    db.query(sql, &values).await.map(drop)
}

pub async fn shares(mut db: Transaction<'_>, pipeline: &str) -> Result<Vec<Share>> {
    let sql = format!("SELECT {SHARE} FROM job_log_share WHERE pipeline = ? ORDER BY stream");
    let rows = db.query(&sql, &[pipeline.into()]).await?;
    db.commit().await?;
    rows.iter().map(share_row).collect()
}

pub async fn failures(mut db: Transaction<'_>, pipeline: &str) -> Result<Vec<Failure>> {
    let sql = format!("SELECT {FAILURE} FROM job_log_failure WHERE pipeline = ? ORDER BY stream, failed_at, id");
    let rows = db.query(&sql, &[pipeline.into()]).await?;
    db.commit().await?;
    rows.iter().map(failure_row).collect()
}

fn share_row(row: &Record) -> Result<Share> {
    Ok(Share {
        stream: row.text(0)?,
        run_id: row.text(1)?,
        seq: row.number(2)?,
        requests: row.number(3)?,
        records: row.number(4)?,
        failed: row.number(5)?,
        rows: row.number(6)?,
        set_aside: serde_json::from_str(&row.text(7)?).unwrap_or_default(),
    })
}

fn failure_row(row: &Record) -> Result<Failure> {
    Ok(Failure {
        stream: row.text(0)?,
        failed: FailedRequest {
            id: row.text(1)?,
            request: row.text(2)?,
            status: row.maybe_number(3)?.and_then(|status| u16::try_from(status).ok()),
            reason: row.text(4)?,
            excerpt: row.maybe_text(5)?,
            attempts: u32::try_from(row.number(6)?).unwrap_or(u32::MAX),
            at: row.text(7)?,
        },
        run_id: row.text(8)?,
        closed_at: row.maybe_text(9)?,
    })
}
