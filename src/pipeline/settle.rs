//! Job log against destination: the destination knows, the job log is brought up to it.

use super::session::Session;
use crate::error::{Error, Result};
use crate::job_log::Mark;
use crate::record::Commit;

/// How many entries the job log is brought up by, one by one. Beyond that it was lost rather than late.
const CATCH_UP: u64 = 1_000;

/// Refuses a destination that is behind the job log: a wrong bucket, or deleted files.
pub fn refuse_behind(mark: Option<&Mark>, newest: Option<&Commit>) -> Result<()> {
    let Some(mark) = mark else { return Ok(()) };
    let at = newest.map(|commit| commit.seq);
    if at.is_some_and(|seq| seq >= mark.seq) {
        return Ok(());
    }
    let there = match newest {
        Some(newest) => format!("ends at entry {} ({})", newest.seq, shown(newest.position.as_ref())),
        None => "has no entry".to_owned(),
    };
    Err(Error::conflict(format!(
        "the job log knows of entry {} ({}), but the commit log at the destination {there}",
        mark.seq,
        mark.position.as_deref().unwrap_or("no position"),
    ))
    .hint(
        "Is this the right bucket or folder, and were files deleted there? If the destination is right as it is, run with \
         --adopt-destination: the stream goes on from what is there.",
    ))
}

fn shown(position: Option<&crate::record::Position>) -> String {
    position.map_or_else(|| "no position".to_owned(), ToString::to_string)
}

/// Tells the job log of the fence and of commits before it that it has not heard of, because their run died in between.
pub async fn catch_up(session: &Session, mark: Option<&Mark>, fence: &Commit) -> Result<()> {
    let from = mark.map_or(0, |mark| mark.seq + 1).max(fence.seq.saturating_sub(CATCH_UP));
    if from < fence.seq {
        for commit in session.destination.range(&session.stream.id, from, fence.seq - 1).await? {
            session.record(&commit).await?;
        }
    }
    session.record(fence).await
}
