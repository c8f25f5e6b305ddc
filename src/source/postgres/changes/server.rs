//! What is set at the server that a stream of changes depends on.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::source::postgres::connect::{Session, get};

/// Whoever is not heard of for less may be there all the same.
const SHORT: i64 = 5_000;

/// What is set at the server.
#[derive(Debug, Clone, Default)]
pub struct Server {
    wal_level: String,
    /// Slots and senders that are free.
    slots: i64,
    senders: i64,
    max_slots: i64,
    /// What the server keeps for a slot, in MiB; negative without a limit.
    keeps: i64,
    /// In milliseconds; 0 is for ever.
    sender_timeout: i64,
    /// After how many seconds without a reader a slot is dropped; 0 is never.
    idle_timeout: i64,
    is_standby: bool,
    has_standbys: bool,
}

impl Server {
    pub async fn of(session: &Session) -> Result<Self> {
        let row = session.query_one(SERVER, &[]).await?;
        Ok(Self {
            wal_level: get(&row, "wal_level")?,
            slots: get(&row, "slots")?,
            senders: get(&row, "senders")?,
            max_slots: get(&row, "max_slots")?,
            keeps: get::<Option<i64>>(&row, "keeps")?.unwrap_or(-1),
            sender_timeout: get(&row, "sender_timeout")?,
            idle_timeout: get::<Option<i64>>(&row, "idle_timeout")?.unwrap_or(0),
            is_standby: get(&row, "is_standby")?,
            has_standbys: get(&row, "has_standbys")?,
        })
    }

    pub fn check(&self) -> Result<()> {
        if self.wal_level != "logical" {
            return Err(Error::config(format!(
                "the server's log has no changes of rows: wal_level is {}",
                self.wal_level
            ))
            .hint("An administrator can run: ALTER SYSTEM SET wal_level = logical; and restart the server."));
        }
        Ok(())
    }

    /// Refuses to make a slot where there is no room for one.
    pub fn check_room(&self) -> Result<()> {
        if self.slots > 0 {
            return Ok(());
        }
        let max = self.max_slots;
        Err(Error::config(format!("the server has no replication slot left: max_replication_slots is {max}")).hint(format!(
            "Drop one that nobody reads (SELECT slot_name, active, restart_lsn FROM pg_replication_slots;), or run ALTER SYSTEM SET \
             max_replication_slots = {}; and restart the server.",
            max + 8
        )))
    }

    /// Whether standbys may take over.
    pub fn has_standbys(&self) -> bool {
        self.has_standbys
    }

    pub fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!(
            "The server has {} replication slots and {} senders left (max_replication_slots, max_wal_senders): a stream that is read takes \
             one of each.",
            self.slots, self.senders
        )];
        match self.keeps {
            ..0 => notes.push(
                "max_slot_wal_keep_size = -1: the server keeps its log for the slot until the stream has read it, however much that is. A \
                 stream that is not run fills the server's disk; a limit there ends the slot before that, and `on_lost` says what then."
                    .to_owned(),
            ),
            limit => notes.push(format!("The server keeps {limit} MiB of log for a slot at most (max_slot_wal_keep_size).")),
        }
        notes.extend(self.of_timeouts());
        if self.is_standby {
            notes.push(
                "The server is a standby: its slot ends if the primary takes away rows that it needs.".to_owned(),
            );
        }
        notes
    }

    fn of_timeouts(&self) -> Vec<String> {
        let mut notes = Vec::new();
        match self.sender_timeout {
            0 => notes.push(
                "wal_sender_timeout = 0: the server never notices a reader that is gone without a word, and keeps its slot in use until \
                 the connection breaks. A run after that one is refused for so long; ALTER SYSTEM SET wal_sender_timeout = '60s'; helps."
                    .to_owned(),
            ),
            short @ 1..SHORT => notes.push(format!(
                "wal_sender_timeout = {short} ms: the server ends the reading where a word of ours takes longer than that, as over a slow \
                 network. ALTER ROLE … SET wal_sender_timeout = '60s'; gives this role more."
            )),
            _ => {}
        }
        if self.idle_timeout > 0 {
            let after = Duration::from_secs(u64::try_from(self.idle_timeout).unwrap_or(0)).as_secs();
            notes.push(format!(
                "idle_replication_slot_timeout = {after} s: the server drops the log of a slot that nobody reads for longer. Run the stream \
                 more often than that, or with `--continuous`."
            ));
        }
        notes
    }
}

/// Some of these settings are not there in every version.
const SERVER: &str = "
SELECT pg_catalog.current_setting('wal_level') AS wal_level, pg_catalog.pg_is_in_recovery() AS is_standby,
       pg_catalog.current_setting('max_replication_slots')::int8 AS max_slots,
       pg_catalog.current_setting('max_replication_slots')::int8 - (SELECT count(*) FROM pg_catalog.pg_replication_slots) AS slots,
       pg_catalog.current_setting('max_wal_senders')::int8 - (SELECT count(*) FROM pg_catalog.pg_stat_replication) AS senders,
       (SELECT s.setting::int8 FROM pg_catalog.pg_settings AS s WHERE s.name = 'wal_sender_timeout') AS sender_timeout,
       (SELECT s.setting::int8 FROM pg_catalog.pg_settings AS s WHERE s.name = 'max_slot_wal_keep_size') AS keeps,
       (SELECT extract(epoch FROM (s.setting || s.unit)::interval)::int8 FROM pg_catalog.pg_settings AS s
        WHERE s.name = 'idle_replication_slot_timeout') AS idle_timeout,
       EXISTS (SELECT FROM pg_catalog.pg_replication_slots AS s WHERE s.slot_type = 'physical') AS has_standbys";
