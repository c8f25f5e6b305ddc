//! The statements on the table `job_log`, in SQL that all servers take. Each commits its transaction, and may be done twice.

use super::failures;
use super::session::{Cell, Record};
use super::sessions::Transaction;
use crate::error::Error;
use crate::error::Result;
use crate::job_log::failures::{Share, end, open};
use crate::job_log::tally::{Tally, Told};
use crate::job_log::{DIED, Mark, NewRun, RunEnd, RunRow, at, error_columns};
use crate::record::Commit;

const COLUMNS: &str = "run_id, pipeline, stream, mode, state, low_water_mark, high_water_mark, seq, commits, \"rows\", \
                       bytes, started_at, updated_at, finished_at, error_kind, error";

pub async fn mark(mut db: Transaction<'_>, pipeline: &str, stream: &str) -> Result<Option<Mark>> {
    let sql = "SELECT seq, high_water_mark FROM job_log WHERE pipeline = ? AND stream = ? AND seq IS NOT NULL
        ORDER BY seq DESC, updated_at DESC LIMIT 1";
    let rows = db.query(sql, &[pipeline.into(), stream.into()]).await?;
    db.commit().await?;
    rows.first().map(|row| Ok(Mark { seq: row.number(0)?, position: row.maybe_text(1)? })).transpose()
}

pub async fn start(mut db: Transaction<'_>, run: &NewRun) -> Result<()> {
    let now = db.now().await?;
    let now = now.as_str();
    // It was last heard of when its row was last touched: nobody knows when it ended. (MySQL assigns from left to right.)
    db.query(
        "UPDATE job_log SET state = 'failed', finished_at = updated_at, updated_at = ?, error_kind = 'unavailable',
            error = ?
        WHERE pipeline = ? AND stream = ? AND state = 'running' AND run_id <> ?",
        &[now.into(), DIED.into(), (&*run.pipeline).into(), (&*run.stream).into(), (&*run.run).into()],
    )
    .await?;
    if of_run(&mut db, &run.run).await?.is_some() {
        let sql = "UPDATE job_log SET state = 'running', updated_at = ?, finished_at = NULL, error_kind = NULL,
                error = NULL
            WHERE run_id = ?";
        db.query(sql, &[now.into(), (&*run.run).into()]).await?;
        return db.commit().await;
    }
    let sql = "INSERT INTO job_log (run_id, pipeline, stream, mode, state, low_water_mark, started_at, updated_at)
        VALUES (?, ?, ?, ?, 'running', ?, ?, ?)";
    let values = [
        (&*run.run).into(),
        (&*run.pipeline).into(),
        (&*run.stream).into(),
        run.mode.name().into(),
        run.low_water_mark.as_deref().into(),
        now.into(),
        now.into(),
    ];
    db.query(sql, &values).await?;
    db.commit().await
}

pub async fn record(mut db: Transaction<'_>, pipeline: &str, stream: &str, commit: &Commit) -> Result<()> {
    let now = db.now().await?;
    let (run, made_at) = (commit.run.as_str(), at(&commit.at));
    let before = match of_run(&mut db, run).await? {
        Some(tally) => tally,
        None => {
            let sql = "INSERT INTO job_log (run_id, pipeline, stream, mode, state, started_at, updated_at, finished_at)
                VALUES (?, ?, ?, ?, 'stopped', ?, ?, ?)";
            let (mode, made_at) = (commit.mode.name(), made_at.as_str());
            let values = [run, pipeline, stream, mode, made_at, &now, made_at].map(Cell::from);
            db.query(sql, &values).await?;
            Tally::default()
        }
    };
    if let Some(after) = before.after(commit) {
        let known = failures::share(&mut db, pipeline, stream).await?;
        let share = Share::after(known.as_ref(), commit, after.rows);
        if let Some(share) = &share {
            failures::note(&mut db, (pipeline, stream), share, known.is_some(), &open(commit), &made_at).await?;
        }
        set(&mut db, run, &after, &now, &made_at, end(stream, commit, share.or(known).as_ref())).await?;
    }
    db.commit().await
}

pub async fn retell(mut db: Transaction<'_>, pipeline: &str, stream: &str, told: &Told) -> Result<bool> {
    let (run, ended_at) = (told.run.as_str(), told.ended_at.as_str());
    let before = of_run(&mut db, run).await?;
    let Some(after) = told.over(before.as_ref()) else {
        db.commit().await?;
        return Ok(false);
    };
    let updated_at = match before {
        Some(_) => db.now().await?,
        None => {
            let sql = "INSERT INTO job_log
                    (run_id, pipeline, stream, mode, state, low_water_mark, started_at, updated_at, finished_at)
                VALUES (?, ?, ?, ?, 'stopped', ?, ?, ?, ?)";
            let values = [
                run.into(),
                pipeline.into(),
                stream.into(),
                told.mode.name().into(),
                told.low_water_mark.as_deref().into(),
                told.began_at.as_str().into(),
                ended_at.into(),
                ended_at.into(),
            ];
            db.query(sql, &values).await?;
            ended_at.to_owned()
        }
    };
    let known = failures::share(&mut db, pipeline, stream).await?;
    let is_known = known.is_some();
    if known.as_ref().is_none_or(|known| known.seq < told.seq())
        && let Some(share) = told.share.clone().or(known.map(|_| told.nothing()))
    {
        failures::note(&mut db, (pipeline, stream), &share, is_known, &told.open, ended_at).await?;
    }
    set(&mut db, run, &after, &updated_at, ended_at, told.end(stream)).await?;
    db.commit().await?;
    Ok(true)
}

/// Sets what commits change in a run's row, the last of which was made at `made_at`; `end` is with what it ended, if that was
/// its last.
async fn set(
    db: &mut Transaction<'_>,
    run: &str,
    after: &Tally,
    updated_at: &str,
    made_at: &str,
    end: Option<Option<Error>>,
) -> Result<()> {
    let values = [
        after.seq.into(),
        after.high_water_mark.as_deref().into(),
        after.commits.into(),
        after.rows.into(),
        after.bytes.into(),
        updated_at.into(),
        run.into(),
    ];
    let sql = "UPDATE job_log SET seq = ?, high_water_mark = ?, commits = ?, \"rows\" = ?, bytes = ?, updated_at = ?
        WHERE run_id = ?";
    db.query(sql, &values).await?;
    // The commit is the newest sign of a run that is over; and if it was its last step, the run came to its end.
    let sql = "UPDATE job_log SET finished_at = ? WHERE run_id = ? AND finished_at < ?";
    db.query(sql, &[made_at, run, made_at].map(Cell::from)).await?;
    if let Some(end) = end {
        let (error_kind, error) = error_columns(end.as_ref());
        let sql = "UPDATE job_log SET state = 'done', error_kind = ?, error = ?
            WHERE run_id = ? AND (state = 'stopped' OR (state = 'failed' AND error = ?))";
        db.query(sql, &[error_kind.into(), error.as_deref().into(), run.into(), DIED.into()]).await?;
    }
    Ok(())
}

pub async fn progress(mut db: Transaction<'_>, run: &str, rows: u64, bytes: u64) -> Result<()> {
    let now = db.dialect().now;
    let sql = format!(
        "UPDATE job_log SET \"rows\" = ?, bytes = ?, updated_at = {now} WHERE run_id = ? AND state = 'running'"
    );
    db.query(&sql, &[rows.into(), bytes.into(), run.into()]).await?;
    db.commit().await
}

pub async fn forget(mut db: Transaction<'_>, pipeline: &str, stream: &str) -> Result<()> {
    let sql = "UPDATE job_log SET seq = NULL, high_water_mark = NULL, commits = 0, \"rows\" = 0, bytes = 0
        WHERE pipeline = ? AND stream = ? AND state <> 'running'";
    db.query(sql, &[pipeline.into(), stream.into()]).await?;
    db.commit().await
}

pub async fn finish(mut db: Transaction<'_>, run: &str, end: &RunEnd) -> Result<()> {
    let (error_kind, error) = error_columns(end.error.as_ref());
    let now = db.now().await?;
    let sql = "UPDATE job_log SET state = ?, error_kind = ?, error = ?, finished_at = ?, updated_at = ?
        WHERE run_id = ?";
    let values = [
        end.state.name().into(),
        error_kind.into(),
        error.as_deref().into(),
        now.as_str().into(),
        now.as_str().into(),
        run.into(),
    ];
    db.query(sql, &values).await?;
    db.commit().await
}

pub async fn newest(
    mut db: Transaction<'_>,
    pipeline: &str,
    stream: Option<&str>,
    per_stream: usize,
) -> Result<Vec<RunRow>> {
    let only = if stream.is_some() { "AND stream = ?" } else { "" };
    let sql = format!(
        "SELECT {COLUMNS} FROM (
            SELECT {COLUMNS}, row_number() OVER (PARTITION BY stream ORDER BY started_at DESC, run_id DESC) AS place
            FROM job_log WHERE pipeline = ? {only}
        ) AS numbered WHERE place <= ? ORDER BY started_at DESC, run_id DESC"
    );
    let mut values = vec![Cell::from(pipeline)];
    values.extend(stream.map(Cell::from));
    values.push(u64::try_from(per_stream).unwrap_or(u64::MAX).into());
    let rows = db.query(&sql, &values).await?;
    db.commit().await?;
    rows.iter().map(run_row).collect()
}

fn run_row(row: &Record) -> Result<RunRow> {
    Ok(RunRow {
        run_id: row.text(0)?,
        pipeline: row.text(1)?,
        stream: row.text(2)?,
        mode: row.text(3)?,
        state: row.text(4)?,
        low_water_mark: row.maybe_text(5)?,
        high_water_mark: row.maybe_text(6)?,
        seq: row.maybe_number(7)?,
        commits: row.number(8)?,
        rows: row.number(9)?,
        bytes: row.number(10)?,
        started_at: row.text(11)?,
        updated_at: row.text(12)?,
        finished_at: row.maybe_text(13)?,
        error_kind: row.maybe_text(14)?,
        error: row.maybe_text(15)?,
    })
}

/// The row of a run as far as commits change it, which nobody else changes until the transaction's end.
async fn of_run(db: &mut Transaction<'_>, run: &str) -> Result<Option<Tally>> {
    let sql = "SELECT seq, high_water_mark, commits, \"rows\", bytes FROM job_log WHERE run_id = ? FOR UPDATE";
    let rows = db.query(sql, &[run.into()]).await?;
    let tally = |row: &Record| {
        Ok(Tally {
            seq: row.maybe_number(0)?,
            high_water_mark: row.maybe_text(1)?,
            commits: row.number(2)?,
            rows: row.number(3)?,
            bytes: row.number(4)?,
        })
    };
    rows.first().map(tally).transpose()
}
