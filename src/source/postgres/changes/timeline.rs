//! Whether the server's log is the one that the stream has read. A server that took over from another one may lack the end of its log, and
//! have written another end since: places would still look right.

use serde_json::Value;

use super::place::Place;
use super::slot::lost;
use crate::error::Result;
use crate::source::postgres::replication::Session;

/// The timeline that a commit's state names.
pub fn of(state: &Value) -> Option<u32> {
    state.get("timeline")?.as_u64()?.try_into().ok()
}

/// The server's timeline, as far as it stays the same while the log is read: a standby's does not.
pub async fn now(session: &mut Session) -> Result<Option<u32>> {
    let timeline = session.identify().await?.timeline;
    Ok((!session.is_standby().await?).then_some(timeline))
}

/// Refuses a log that lacks what was read up to a place, when the server's timeline was `was`.
pub async fn check_has(session: &mut Session, was: Option<u32>, place: Place) -> Result<()> {
    let Some(was) = was else { return Ok(()) };
    let system = session.identify().await?;
    if was == system.timeline {
        return Ok(());
    }
    let ancestors = session.ancestors(system.timeline).await?;
    match ancestors.iter().find(|ancestor| ancestor.timeline == was) {
        Some(ancestor) if place.0 <= ancestor.end => {
            tracing::info!(timeline = system.timeline, place = %ancestor.end, "the server took over from another one, behind all that was read");
            Ok(())
        }
        Some(ancestor) => Err(lost(format!(
            "the server took over from another one at {}, and the stream had read that one's log up to {place}: what came between is not in \
             the server",
            ancestor.end
        ))),
        None => Err(lost(format!(
            "the server's timeline {} does not come from {was}, in which the stream has come to {place}",
            system.timeline
        ))),
    }
}
