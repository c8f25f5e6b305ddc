//! Job log against destination: the destination knows, the job log is brought up to it.

use super::generation;
use super::session::Session;
use crate::error::{Error, Result};
use crate::job_log::Mark;
use crate::record::Commit;

/// How many entries the job log is brought up by, one by one. Beyond that it was lost rather than late, and is made anew by
/// those who want it whole: `rebuild`.
const CATCH_UP: u64 = 1_000;

/// Refuses a destination that is behind the job log: a wrong bucket, or deleted files.
pub fn refuse_behind(mark: Option<&Mark>, newest: Option<&Commit>) -> Result<()> {
    let Some(mark) = mark else { return Ok(()) };
    let at = newest.map(|commit| commit.seq);
    if at.is_some_and(|seq| seq >= mark.seq) {
        return Ok(());
    }
    let there = match newest {
        Some(newest) => {
            let position = newest.position.as_ref().map(ToString::to_string);
            format!("ends at entry {} ({})", newest.seq, shown(position.as_deref()))
        }
        None => "has no entry".to_owned(),
    };
    Err(Error::conflict(format!(
        "the job log knows of entry {} ({}), but the destination {there}",
        mark.seq,
        shown(mark.position.as_deref()),
    ))
    .hint(
        "Is this the right bucket or folder, and were files deleted there? If the destination is right as it is, run with \
         --adopt-destination: the job log takes over what is there.",
    ))
}

/// A full load by its time, which `status` shows too: its position is of no use to people.
fn shown(position: Option<&str>) -> String {
    let Some(position) = position else { return "no position".to_owned() };
    generation::moment(position).map_or_else(|| position.to_owned(), |at| format!("load of {at}"))
}

/// Tells the job log of the newest entry, and of those before it that it has not heard of because their run died in
/// between.
pub async fn catch_up(session: &Session, newest: &Commit) -> Result<()> {
    let mark = session.job_log.mark(&session.pipeline, &session.stream.id.to_string()).await?;
    if mark.as_ref().is_some_and(|mark| mark.seq >= newest.seq) {
        session.stands_open(newest);
        return Ok(());
    }
    let unknown = mark.map_or(0, |mark| mark.seq + 1);
    let from = unknown.max(newest.seq.saturating_sub(CATCH_UP));
    if from > unknown {
        let (stream, entries) = (&session.stream.id, from - unknown);
        tracing::warn!(%stream, entries, "the job log has heard of the newest commits alone: `tidemark status --rebuild` tells the others");
    }
    if from < newest.seq {
        for commit in session.destination.range(&session.stream.id, from, newest.seq - 1).await? {
            session.record(&commit).await?;
        }
    }
    session.record(newest).await
}
