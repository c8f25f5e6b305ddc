//! Replication slots: what keeps the log of a server for its reader.
//! https://www.postgresql.org/docs/current/view-pg-replication-slots.html

use serde_json::Value;

use super::lsn::Lsn;
use crate::net::postgres::quoted;

/// A slot that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewSlot<'a> {
    /// Lower-case letters, digits and underscores, 63 at most.
    pub name: &'a str,
    /// Ends with the session.
    pub is_temporary: bool,
    /// Transactions in two phases come when they are prepared, from the slot's beginning on. Before PostgreSQL 15 they never do.
    pub two_phase: bool,
    /// Standbys keep it too, so that it survives a fail-over; before PostgreSQL 17 none can.
    pub failover: bool,
}

impl NewSlot<'_> {
    pub(super) fn command(&self, version: u32) -> String {
        let temporary = if self.is_temporary { " TEMPORARY" } else { "" };
        let begin = format!("CREATE_REPLICATION_SLOT {}{temporary} LOGICAL pgoutput", quoted(self.name));
        // The older form has no other snapshot than one that is exported, or none.
        if version < 15 {
            return format!("{begin} NOEXPORT_SNAPSHOT");
        }
        let two_phase = if self.two_phase { ", TWO_PHASE true" } else { "" };
        let failover = if self.failover && version >= 17 { ", FAILOVER true" } else { "" };
        format!("{begin} (SNAPSHOT 'nothing'{two_phase}{failover})")
    }
}

/// A slot as the server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// `None` for one that sends the log as it is.
    pub plugin: Option<String>,
    pub database: Option<String>,
    pub two_phase: bool,
    pub failover: bool,
    /// The server's process that reads it for somebody.
    pub active_pid: Option<u32>,
    /// The log is kept from here on.
    pub restart: Option<Lsn>,
    /// What is committed before this place is never sent again.
    pub confirmed: Option<Lsn>,
    /// How many bytes of log may still be written before it is lost; `None` without a limit.
    pub safe_bytes: Option<i64>,
    pub state: State,
}

/// Whether a slot can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its log is there. `is_at_risk` where more is kept than `max_slot_wal_keep_size` allows: the next checkpoint may end it.
    Kept { is_at_risk: bool },
    /// More log was written than the server keeps for a slot.
    Lost,
    /// For another reason, as people say it.
    Invalidated(String),
}

/// Why the server gave a slot up, by its own word for it.
fn reason(word: &str) -> &str {
    match word {
        "idle_timeout" => "nobody read it for longer than idle_replication_slot_timeout",
        "wal_level_insufficient" => "wal_level was not logical on the primary",
        "rows_removed" => "the primary took away rows that it needed (hot_standby_feedback)",
        other => other,
    }
}

impl Slot {
    /// From a row of `pg_replication_slots` as JSON; `None` where it is none.
    pub(in super::super) fn of(row: &str) -> Option<Self> {
        let row: Value = serde_json::from_str(row).ok()?;
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        let flag = |name: &str| row[name].as_bool().unwrap_or(false);
        let lsn = |name: &str| row[name].as_str().and_then(|text| text.parse().ok());
        row["slot_name"].as_str()?;
        let state = match (text("invalidation_reason"), text("wal_status").as_deref()) {
            (Some(reason), _) if reason != "wal_removed" => State::Invalidated(self::reason(&reason).to_owned()),
            // PostgreSQL 16 does not tell which of its reasons.
            (None, _) if flag("conflicting") => State::Invalidated("conflict with recovery".to_owned()),
            (Some(_), _) | (None, Some("lost")) => State::Lost,
            (None, status) => State::Kept { is_at_risk: status == Some("unreserved") },
        };
        Some(Self {
            plugin: text("plugin"),
            database: text("database"),
            two_phase: flag("two_phase"),
            failover: flag("failover"),
            active_pid: row["active_pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()),
            restart: lsn("restart_lsn"),
            confirmed: lsn("confirmed_flush_lsn"),
            safe_bytes: row["safe_wal_size"].as_i64(),
            state,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_those_of_the_version() {
        let slot = NewSlot { name: "s", is_temporary: false, two_phase: true, failover: true };
        let expected = [
            (14, r#"CREATE_REPLICATION_SLOT "s" LOGICAL pgoutput NOEXPORT_SNAPSHOT"#),
            (15, r#"CREATE_REPLICATION_SLOT "s" LOGICAL pgoutput (SNAPSHOT 'nothing', TWO_PHASE true)"#),
            (17, r#"CREATE_REPLICATION_SLOT "s" LOGICAL pgoutput (SNAPSHOT 'nothing', TWO_PHASE true, FAILOVER true)"#),
        ];
        for (version, command) in expected {
            assert_eq!(slot.command(version), command);
        }
        let slot = NewSlot { name: "s", is_temporary: true, two_phase: false, failover: false };
        assert_eq!(slot.command(18), r#"CREATE_REPLICATION_SLOT "s" TEMPORARY LOGICAL pgoutput (SNAPSHOT 'nothing')"#);
    }

    #[test]
    fn states_of_every_version() {
        let state = |row: &str| Slot::of(&format!(r#"{{"slot_name": "s", {row}}}"#)).unwrap().state;
        assert_eq!(state(r#""wal_status": "reserved""#), State::Kept { is_at_risk: false });
        assert_eq!(state(r#""wal_status": "unreserved""#), State::Kept { is_at_risk: true });
        assert_eq!(state(r#""wal_status": "lost""#), State::Lost);
        assert_eq!(state(r#""wal_status": "lost", "invalidation_reason": "wal_removed""#), State::Lost);
        let idle = r#""wal_status": "lost", "invalidation_reason": "idle_timeout""#;
        assert_eq!(
            state(idle),
            State::Invalidated("nobody read it for longer than idle_replication_slot_timeout".to_owned())
        );
        assert!(matches!(state(r#""wal_status": "lost", "conflicting": true"#), State::Invalidated(_)));
        assert_eq!(Slot::of("{}"), None);
    }
}
