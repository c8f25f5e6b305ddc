//! The statements on the tables `job_log_share` and `job_log_failure`.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::runs::{signed, unsigned};
use crate::job_log::failures::{FAILURE, Failure, Kept, SHARE, Share, changes};
use crate::record::FailedRequest;

pub(super) fn share(db: &Connection, pipeline: &str, stream: &str) -> Result<Option<Share>> {
    let sql = format!("SELECT {SHARE} FROM job_log_share WHERE pipeline = ?1 AND stream = ?2");
    db.query_row(&sql, [pipeline, stream], share_row).optional()
}

/// Notes how much of the stream came, with the requests that are open; `at` is when those that are not any more were closed.
pub(super) fn note(
    db: &Connection,
    pipeline: &str,
    stream: &str,
    share: &Share,
    open: &[FailedRequest],
    at: &str,
) -> Result<()> {
    let counts = [share.requests, share.records, share.failed, share.rows].map(signed);
    let aside = serde_json::to_string(&share.set_aside).unwrap_or_default();
    db.execute(
        "INSERT OR REPLACE INTO job_log_share (pipeline, stream, run_id, seq, requests, records, failed, written, aside)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            pipeline,
            stream,
            share.run_id,
            signed(share.seq),
            counts[0],
            counts[1],
            counts[2],
            counts[3],
            aside
        ],
    )?;
    let sql =
        format!("SELECT {FAILURE} FROM job_log_failure WHERE pipeline = ?1 AND stream = ?2 AND closed_at IS NULL");
    let known = db.prepare(&sql)?.query_map([pipeline, stream], failure_row)?.collect::<Result<Vec<_>>>()?;
    let changes = changes(known, open, &share.run_id);
    changes.keep.iter().try_for_each(|kept| keep(db, pipeline, stream, kept))?;
    let sql = "UPDATE job_log_failure SET closed_at = ?4 WHERE pipeline = ?1 AND stream = ?2 AND id = ?3";
    changes.close.iter().try_for_each(|id| db.execute(sql, [pipeline, stream, id, at]).map(drop))
}

fn keep(db: &Connection, pipeline: &str, stream: &str, Kept { failed, run_id, .. }: &Kept<'_>) -> Result<()> {
    db.execute(
        "INSERT OR REPLACE INTO job_log_failure
            (pipeline, stream, id, request, status, reason, excerpt, attempts, failed_at, run_id)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            pipeline,
            stream,
            failed.id,
            failed.request,
            failed.status,
            failed.reason,
            failed.excerpt,
            failed.attempts,
            failed.at,
            run_id
        ],
    )?;
    Ok(())
}

pub(super) fn shares(db: &Connection, pipeline: &str) -> Result<Vec<Share>> {
    let sql = format!("SELECT {SHARE} FROM job_log_share WHERE pipeline = ?1 ORDER BY stream");
    db.prepare(&sql)?.query_map([pipeline], share_row)?.collect()
}

pub(super) fn failures(db: &Connection, pipeline: &str) -> Result<Vec<Failure>> {
    let sql = format!("SELECT {FAILURE} FROM job_log_failure WHERE pipeline = ?1 ORDER BY stream, failed_at, id");
    db.prepare(&sql)?.query_map([pipeline], failure_row)?.collect()
}

fn share_row(row: &Row<'_>) -> Result<Share> {
    let aside: String = row.get("aside")?;
    Ok(Share {
        stream: row.get("stream")?,
        run_id: row.get("run_id")?,
        seq: unsigned(row, "seq")?,
        requests: unsigned(row, "requests")?,
        records: unsigned(row, "records")?,
        failed: unsigned(row, "failed")?,
        rows: unsigned(row, "written")?,
        set_aside: serde_json::from_str(&aside).unwrap_or_default(),
    })
}

fn failure_row(row: &Row<'_>) -> Result<Failure> {
    Ok(Failure {
        stream: row.get("stream")?,
        failed: FailedRequest {
            id: row.get("id")?,
            request: row.get("request")?,
            status: row.get("status")?,
            reason: row.get("reason")?,
            excerpt: row.get("excerpt")?,
            attempts: row.get("attempts")?,
            at: row.get("failed_at")?,
        },
        run_id: row.get("run_id")?,
        closed_at: row.get("closed_at")?,
    })
}
