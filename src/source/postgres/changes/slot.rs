//! The stream's replication slot: what keeps the log of the server for it.

use std::pin::pin;
use std::time::Duration;

use super::place::Place;
use super::reading::two_phases;
use super::{Asker, holder};
use crate::error::{Error, Kind, Result};
use crate::source::postgres::name::literal;
use crate::source::postgres::replication::{NewSlot, Session, Slot, State};

/// The name of a stream's slot and publication, where it names none: letters, digits and underscores.
pub fn default_name(stream: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let mut name: String = "tidemark_".chars().chain(stream.chars().map(plain)).collect();
    // Names at the server are no longer.
    name.truncate(63);
    name
}

/// Whether the server lets a slot have this name.
pub fn is_name(name: &str) -> bool {
    let may_be = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (1..64).contains(&name.len()) && name.chars().all(may_be)
}

/// Where a stream that begins reads from.
pub fn begin(name: &str, slot: Option<&Slot>, version: u32) -> Result<Place> {
    let Some(slot) = slot else { return Err(missing(name, version)) };
    check(name, slot)?;
    slot.confirmed.map(Place).ok_or_else(|| Error::unavailable(format!("replication slot {name} is being made")))
}

/// Refuses a slot that does not have the log behind a place any more.
pub fn check_has(name: &str, slot: Option<&Slot>, place: Place) -> Result<()> {
    let Some(slot) = slot else {
        return Err(lost(format!(
            "there is no replication slot {name} any more: it was dropped, or `slot` named another before"
        )));
    };
    check(name, slot)?;
    match slot.confirmed {
        Some(confirmed) if Place(confirmed) > place => Err(lost(format!(
            "replication slot {name} was read by somebody else, or made anew: it begins at {confirmed}, and the stream has come to {place}"
        ))),
        _ => Ok(()),
    }
}

fn check(name: &str, slot: &Slot) -> Result<()> {
    if slot.two_phase {
        return Err(two_phases(name));
    }
    match &slot.state {
        State::Kept { .. } => Ok(()),
        State::Lost => {
            Err(lost(format!("replication slot {name} has lost its log: more was written than the server keeps")))
        }
        State::Invalidated(reason) => {
            Err(lost(format!("the server has invalidated replication slot {name}: {reason}")))
        }
    }
}

pub fn lost(what: String) -> Error {
    Error::new(Kind::Lost, what).hint(
        "`tidemark run --full-refresh` with the stream's name makes a new slot where it must, and reads all of its tables anew; \
         `on_lost = snapshot` does so by itself.",
    )
}

fn missing(name: &str, version: u32) -> Error {
    Error::config(format!("there is no replication slot {name}"))
        .hint(format!("`tidemark check --create` makes it; or run: {}", statement(name, version)))
}

/// The statement that makes a slot, one that standbys keep too where they can.
fn statement(name: &str, version: u32) -> String {
    let failover = if version >= 17 { ", failover => true" } else { "" };
    format!("SELECT pg_create_logical_replication_slot({}, 'pgoutput'{failover});", literal(name))
}

/// Makes a slot in place of one that is lost or gone, or was moved past the log's end, and tells where it begins. `None` where the slot
/// can go on.
pub async fn renew(session: &mut Session, asker: &Asker) -> Result<Option<Place>> {
    let name = asker.slot.as_str();
    let end = session.identify().await?.end;
    match session.slot(name).await? {
        Some(slot) if matches!(slot.state, State::Kept { .. }) && slot.confirmed.is_none_or(|at| at <= end) => {
            return Ok(None);
        }
        Some(_) => session.drop_slot(name).await?,
        None => {}
    }
    tracing::warn!(slot = name, "the replication slot is made anew");
    create(session, asker).await.map(Some)
}

/// Makes a slot. The server waits for every transaction that has begun to write, in all databases: after a while that is said.
pub async fn create(session: &mut Session, asker: &Asker) -> Result<Place> {
    let name = asker.slot.as_str();
    // A standby's own is not for its standbys.
    let failover = !session.is_standby().await?;
    let new = NewSlot { name, is_temporary: false, two_phase: false, failover };
    let mut made = pin!(session.create_slot(&new));
    let made = match tokio::time::timeout(SAID_AFTER, &mut made).await {
        Ok(made) => made,
        Err(_) => {
            let whom = holder::of_anything(asker).await.unwrap_or_default();
            tracing::warn!(
                "replication slot {name} is not made before all transactions have ended that are writing{whom}"
            );
            made.await
        }
    };
    made.map(Place)
}

/// How long the making of a slot may take without a word.
const SAID_AFTER: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_a_slot_may_have() {
        assert_eq!(default_name("shop"), "tidemark_shop");
        assert_eq!(default_name("Shop.eu-1"), "tidemark_shop_eu_1");
        assert_eq!(default_name(&"x".repeat(99)).len(), 63);
    }

    #[test]
    fn names_that_no_slot_may_have_are_known() {
        assert!(["s", "tidemark_1", &"x".repeat(63)].iter().all(|name| is_name(name)));
        assert!(["", "Big", "a-b", "a b", "ä", &"x".repeat(64)].iter().all(|name| !is_name(name)));
    }
}
