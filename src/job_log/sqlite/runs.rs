//! The statements on the table `job_log`.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::failures;
use crate::error::Error;
use crate::job_log::failures::{Share, end, open};
use crate::job_log::tally::{Tally, Told};
use crate::job_log::{Behind, DIED, Mark, NewRun, RunEnd, RunRow, at, error_columns, now};
use crate::record::Commit;

pub(super) fn mark(db: &Connection, pipeline: &str, stream: &str) -> Result<Option<Mark>> {
    let sql = "SELECT seq, high_water_mark FROM job_log
        WHERE pipeline = ?1 AND stream = ?2 AND seq IS NOT NULL
        ORDER BY seq DESC, updated_at DESC LIMIT 1";
    db.query_row(sql, [pipeline, stream], |row| {
        Ok(Mark { seq: unsigned(row, "seq")?, position: row.get("high_water_mark")? })
    })
    .optional()
}

pub(super) fn start(db: &Connection, run: &NewRun) -> Result<()> {
    let now = now();
    // It was last heard of when its row was last touched: nobody knows when it ended.
    db.execute(
        "UPDATE job_log SET state = 'failed', finished_at = updated_at, updated_at = ?3,
            error_kind = 'unavailable', error = ?4
        WHERE pipeline = ?1 AND stream = ?2 AND state = 'running' AND run_id <> ?5",
        params![run.pipeline, run.stream, now, DIED, run.run],
    )?;
    db.execute(
        "INSERT INTO job_log (run_id, pipeline, stream, mode, state, low_water_mark, started_at, updated_at)
        VALUES (?1, ?2, ?3, ?4, 'running', ?5, ?6, ?6)
        ON CONFLICT (run_id) DO UPDATE
        SET state = 'running', updated_at = ?6, finished_at = NULL, error_kind = NULL, error = NULL",
        params![run.run, run.pipeline, run.stream, run.mode.name(), run.low_water_mark, now],
    )?;
    Ok(())
}

pub(super) fn record(db: &Connection, pipeline: &str, stream: &str, commit: &Commit) -> Result<()> {
    let (now, made_at) = (now(), at(&commit.at));
    let before = match of_run(db, &commit.run)? {
        Some(tally) => tally,
        None => {
            db.execute(
                "INSERT INTO job_log (run_id, pipeline, stream, mode, state, started_at, updated_at, finished_at)
                VALUES (?1, ?2, ?3, ?4, 'stopped', ?5, ?6, ?5)",
                params![commit.run, pipeline, stream, commit.mode.name(), made_at, now],
            )?;
            Tally::default()
        }
    };
    let Some(after) = before.after(commit) else { return Ok(()) };
    let known = failures::share(db, pipeline, stream)?;
    let share = Share::after(known.as_ref(), commit, after.rows);
    if let Some(share) = &share {
        failures::note(db, pipeline, stream, share, &open(commit), &made_at)?;
    }
    set(db, &commit.run, &after, &now, &made_at, end(stream, commit, share.or(known).as_ref()))
}

pub(super) fn retell(db: &Connection, pipeline: &str, stream: &str, told: &Told) -> Result<bool> {
    let before = of_run(db, &told.run)?;
    let Some(after) = told.over(before.as_ref()) else { return Ok(false) };
    if before.is_none() {
        db.execute(
            "INSERT INTO job_log
                (run_id, pipeline, stream, mode, state, low_water_mark, started_at, updated_at, finished_at)
            VALUES (?1, ?2, ?3, ?4, 'stopped', ?5, ?6, ?7, ?7)",
            params![told.run, pipeline, stream, told.mode.name(), told.low_water_mark, told.began_at, told.ended_at],
        )?;
    }
    let updated_at = if before.is_none() { told.ended_at.clone() } else { now() };
    let known = failures::share(db, pipeline, stream)?;
    if known.as_ref().is_none_or(|known| known.seq < told.seq())
        && let Some(share) = told.share.clone().or(known.map(|_| told.nothing()))
    {
        failures::note(db, pipeline, stream, &share, &told.open, &told.ended_at)?;
    }
    set(db, &told.run, &after, &updated_at, &told.ended_at, told.end(stream))?;
    Ok(true)
}

/// Sets what commits change in a run's row, the last of which was made at `made_at`; `end` is with what it ended, if that was
/// its last.
fn set(
    db: &Connection,
    run: &str,
    after: &Tally,
    updated_at: &str,
    made_at: &str,
    end: Option<Option<Error>>,
) -> Result<()> {
    let counts = (signed(after.commits), signed(after.rows), signed(after.bytes));
    db.execute(
        "UPDATE job_log SET seq = ?2, high_water_mark = ?3, commits = ?4, rows = ?5, bytes = ?6, updated_at = ?7
        WHERE run_id = ?1",
        params![run, after.seq.map(signed), after.high_water_mark, counts.0, counts.1, counts.2, updated_at],
    )?;
    // The commit is the newest sign of a run that is over; and if it was its last step, the run came to its end.
    db.execute("UPDATE job_log SET finished_at = ?2 WHERE run_id = ?1 AND finished_at < ?2", params![run, made_at])?;
    if let Some(end) = end {
        let (error_kind, error) = error_columns(end.as_ref());
        db.execute(
            "UPDATE job_log SET state = 'done', error_kind = ?3, error = ?4
            WHERE run_id = ?1 AND (state = 'stopped' OR (state = 'failed' AND error = ?2))",
            params![run, DIED, error_kind, error],
        )?;
    }
    Ok(())
}

pub(super) fn progress(db: &Connection, run: &str, rows: u64, bytes: u64) -> Result<()> {
    let sql = "UPDATE job_log SET rows = ?2, bytes = ?3, updated_at = ?4 WHERE run_id = ?1 AND state = 'running'";
    db.execute(sql, params![run, signed(rows), signed(bytes), now()])?;
    Ok(())
}

pub(super) fn behind(db: &Connection, pipeline: &str, stream: &str, seconds: u64, bytes: Option<u64>) -> Result<()> {
    db.execute(
        "INSERT OR REPLACE INTO job_log_lag (pipeline, stream, seconds, bytes, measured_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![pipeline, stream, signed(seconds), bytes.map(signed), now()],
    )?;
    Ok(())
}

pub(super) fn lags(db: &Connection, pipeline: &str) -> Result<Vec<Behind>> {
    let sql = "SELECT stream, seconds, bytes, measured_at FROM job_log_lag WHERE pipeline = ?1 ORDER BY stream";
    let read = |row: &Row<'_>| {
        Ok(Behind {
            stream: row.get("stream")?,
            seconds: unsigned(row, "seconds")?,
            bytes: row.get::<_, Option<i64>>("bytes")?.map(i64::unsigned_abs),
            measured_at: row.get("measured_at")?,
        })
    };
    db.prepare(sql)?.query_map([pipeline], read)?.collect()
}

pub(super) fn forget(db: &Connection, pipeline: &str, stream: &str) -> Result<()> {
    let sql = "UPDATE job_log SET seq = NULL, high_water_mark = NULL, commits = 0, rows = 0, bytes = 0
        WHERE pipeline = ?1 AND stream = ?2 AND state <> 'running'";
    db.execute(sql, [pipeline, stream])?;
    Ok(())
}

pub(super) fn finish(db: &Connection, run: &str, end: &RunEnd) -> Result<()> {
    let (error_kind, error) = error_columns(end.error.as_ref());
    let sql = "UPDATE job_log SET state = ?2, error_kind = ?3, error = ?4, finished_at = ?5, updated_at = ?5
        WHERE run_id = ?1";
    db.execute(sql, params![run, end.state.name(), error_kind, error, now()])?;
    Ok(())
}

pub(super) fn newest(db: &Connection, pipeline: &str, stream: Option<&str>, per_stream: usize) -> Result<Vec<RunRow>> {
    let sql = "SELECT * FROM (
            SELECT *, row_number() OVER (PARTITION BY stream ORDER BY started_at DESC, run_id DESC) AS place
            FROM job_log WHERE pipeline = ?1 AND (?2 IS NULL OR stream = ?2)
        ) WHERE place <= ?3 ORDER BY started_at DESC, run_id DESC";
    let mut statement = db.prepare(sql)?;
    let rows =
        statement.query_map(params![pipeline, stream, i64::try_from(per_stream).unwrap_or(i64::MAX)], run_row)?;
    rows.collect()
}

fn run_row(row: &Row<'_>) -> Result<RunRow> {
    Ok(RunRow {
        run_id: row.get("run_id")?,
        pipeline: row.get("pipeline")?,
        stream: row.get("stream")?,
        mode: row.get("mode")?,
        state: row.get("state")?,
        low_water_mark: row.get("low_water_mark")?,
        high_water_mark: row.get("high_water_mark")?,
        seq: row.get::<_, Option<i64>>("seq")?.map(i64::unsigned_abs),
        commits: unsigned(row, "commits")?,
        rows: unsigned(row, "rows")?,
        bytes: unsigned(row, "bytes")?,
        started_at: row.get("started_at")?,
        updated_at: row.get("updated_at")?,
        finished_at: row.get("finished_at")?,
        error_kind: row.get("error_kind")?,
        error: row.get("error")?,
    })
}

/// The row of a run as far as commits change it.
fn of_run(db: &Connection, run: &str) -> Result<Option<Tally>> {
    let sql = "SELECT seq, high_water_mark, commits, rows, bytes FROM job_log WHERE run_id = ?1";
    db.query_row(sql, [run], tally).optional()
}

fn tally(row: &Row<'_>) -> Result<Tally> {
    Ok(Tally {
        seq: row.get::<_, Option<i64>>("seq")?.map(i64::unsigned_abs),
        high_water_mark: row.get("high_water_mark")?,
        commits: unsigned(row, "commits")?,
        rows: unsigned(row, "rows")?,
        bytes: unsigned(row, "bytes")?,
    })
}

/// A count, which the table holds as a signed number.
pub(super) fn unsigned(row: &Row<'_>, column: &str) -> Result<u64> {
    let number: i64 = row.get(column)?;
    let index = row.as_ref().column_index(column)?;
    u64::try_from(number).map_err(|e| rusqlite::Error::FromSqlConversionFailure(index, Type::Integer, e.into()))
}

/// As the table holds it; nothing counted here comes near 2^63.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
