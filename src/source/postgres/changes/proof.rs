//! Which transactions that the log has told of may be hidden from a query yet.
//!
//! A server sends a transaction once its commit is on disk, and lets others see it a moment later: after a standby has it
//! too, where it waits for one, which may take long. So a chunk that is read where the log stands may lack rows that the
//! log told before. It is read once nothing of what the log told is at work any more for a query.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::types::Type as Oid;

use crate::error::{Error, Result};
use crate::source::postgres::connect::{Session, get};

/// Transactions, by the 32 bits of their ids that the log has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unproven(BTreeSet<u32>);

/// What a query sees of transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    /// All from here on are hidden, or have not begun.
    end: u64,
    /// At work.
    open: Vec<u64>,
}

impl Seen {
    /// What the session's next statement sees at least.
    async fn of(session: &Session) -> Result<Self> {
        let sql = "SELECT pg_catalog.txid_current_snapshot()::pg_catalog.text AS seen";
        let seen: String = get(&session.query_one(sql, &[]).await?, "seen")?;
        Self::parse(&seen).ok_or_else(|| Error::bug("the server's snapshot has another form than xmin:xmax:xip_list"))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (_, end) = (parts.next()?, parts.next()?.parse().ok()?);
        let open = parts.next()?.split(',').filter(|id| !id.is_empty()).map(|id| id.parse().ok());
        Some(Self { end, open: open.collect::<Option<_>>()? })
    }

    fn hides(&self, xid: u32) -> bool {
        // Ids come again after 2^32 of them; those that matter are never half of that apart.
        let is_behind = (xid.wrapping_sub(self.end as u32) as i32) >= 0;
        is_behind || self.open.iter().any(|open| *open as u32 == xid)
    }
}

impl Unproven {
    pub fn of(transactions: &[u32]) -> Self {
        Self(transactions.iter().copied().collect())
    }

    /// Whether the session's next statement sees what all of them wrote.
    pub async fn are_seen(&mut self, session: &Session) -> Result<bool> {
        Ok(self.0.is_empty() || self.prove(&Seen::of(session).await?))
    }

    /// Forgets those that are seen. Whether all are.
    fn prove(&mut self, seen: &Seen) -> bool {
        self.0.retain(|xid| seen.hides(*xid));
        self.0.is_empty()
    }

    /// Whether any of them may wait for a standby to have its commit. What others wait for is not shown to everybody.
    async fn may_wait_for_a_standby(&self, session: &Session) -> Result<bool> {
        if !get::<bool>(&session.query_one(MAY_WAIT, &[]).await?, "may")? {
            return Ok(false);
        }
        if !get::<bool>(&session.query_one(MAY_SEE, &[]).await?, "may")? {
            return Ok(true);
        }
        for row in session.query(WAITERS, &[]).await? {
            // Who commits a prepared transaction has no id of its own.
            let xid: Option<String> = get(&row, "xid")?;
            if xid.is_none_or(|xid| xid.parse().is_ok_and(|xid| self.0.contains(&xid))) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// So many are kept in mind at most, while nobody asks.
const MOST: usize = 1 << 18;
/// Whoever has written a commit to the log, and waits for no standby, lets it be seen sooner than that.
const MOMENT: Duration = Duration::from_secs(5);

/// Those that the log has told of, which the log and the chunks share.
#[derive(Debug, Clone, Default)]
pub struct Proof(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// `None` where nobody kept them in mind.
    told: Option<Unproven>,
    /// Those that were at work when it was begun to keep them in mind, and when that was: what was told before is among them.
    earlier: Option<(Unproven, Instant)>,
}

impl Proof {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log has told of a transaction.
    pub fn told(&self, xid: u32) {
        let mut kept = self.kept();
        if let Some(Unproven(xids)) = &mut kept.told {
            xids.insert(xid);
            if xids.len() > MOST {
                *kept = Kept::default();
            }
        }
    }

    /// Whether the session's next statement sees all that the log has told of.
    pub async fn is_given(&self, session: &Session) -> Result<bool> {
        let is_kept = self.kept().told.is_some();
        if !is_kept {
            let earlier = Some((Unproven(at_work(session).await?), Instant::now()));
            *self.kept() = Kept { told: Some(Unproven::default()), earlier };
        }
        let seen = Seen::of(session).await?;
        let left = {
            let mut kept = self.kept();
            if !kept.told.as_mut().is_some_and(|told| told.prove(&seen)) {
                return Ok(false);
            }
            kept.earlier
                .as_mut()
                .and_then(|(earlier, since)| (!earlier.prove(&seen)).then(|| (earlier.clone(), *since)))
        };
        // What is left of those is open, and the log has not told of it; or it waits for a standby.
        let Some((left, since)) = left else { return Ok(true) };
        if since.elapsed() < MOMENT || left.may_wait_for_a_standby(session).await? {
            return Ok(false);
        }
        self.kept().earlier = None;
        Ok(true)
    }
}

/// Transactions that were writing a table before it was published. The log does not tell what they wrote of it until then, so that
/// only a chunk that sees them ended has it.
#[derive(Debug)]
pub struct Writers(Unproven);

impl Writers {
    /// Those that are at work still, of a table that is published since a transaction.
    pub async fn of(session: &Session, table: u32, since: u32) -> Result<Self> {
        let mut writers = BTreeSet::new();
        for row in session.query(WRITERS, &[(&table, Oid::OID)]).await? {
            let xid: u32 =
                get::<String>(&row, "xid")?.parse().map_err(|_| Error::bug("an id of a transaction is no number"))?;
            if (xid.wrapping_sub(since) as i32) < 0 {
                writers.insert(xid);
            }
        }
        Ok(Self(Unproven(writers)))
    }

    /// Whether the session's next statement sees what all of them wrote.
    pub async fn have_ended(&mut self, session: &Session) -> Result<bool> {
        self.0.are_seen(session).await
    }
}

/// Transactions of the database that have written something and have not ended, those among them that are about to.
async fn at_work(session: &Session) -> Result<BTreeSet<u32>> {
    let rows = session.query(AT_WORK, &[]).await?;
    let xid = |row| get::<String>(row, "xid")?.parse().map_err(|_| Error::bug("an id of a transaction is no number"));
    rows.iter().map(xid).collect()
}

const AT_WORK: &str = "
SELECT a.backend_xid::pg_catalog.text AS xid FROM pg_catalog.pg_stat_activity AS a
WHERE a.backend_xid IS NOT NULL AND (a.datname IS NULL OR a.datname = pg_catalog.current_database())
UNION SELECT p.transaction::pg_catalog.text FROM pg_catalog.pg_prepared_xacts AS p WHERE p.database = pg_catalog.current_database()";

/// Who has a lock of a writer on a table, or on what it has its rows in. Prepared transactions have no process.
const WRITERS: &str = "
WITH RECURSIVE tree AS (
    SELECT $1 AS oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN tree ON i.inhparent = tree.oid
), locks AS (
    SELECT DISTINCT l.pid, l.virtualtransaction FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'relation' AND l.granted AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
        AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
        AND l.relation IN (SELECT oid FROM tree)
)
SELECT coalesce(a.backend_xid::pg_catalog.text, pg_catalog.split_part(l.virtualtransaction, '/', 2)) AS xid
FROM locks AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE a.backend_xid IS NOT NULL OR l.pid IS NULL";

const MAY_WAIT: &str = "SELECT pg_catalog.current_setting('synchronous_standby_names') <> '' AS may";
const MAY_SEE: &str = "SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS may";
const WAITERS: &str =
    "SELECT a.backend_xid::pg_catalog.text AS xid FROM pg_catalog.pg_stat_activity AS a WHERE a.wait_event = 'SyncRep'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_work_is_not_proved() {
        let seen = Seen::parse("100:110:100,105").unwrap();
        let mut unproven = Unproven([99, 100, 104, 110].into());
        assert!(!unproven.prove(&seen));
        assert_eq!(unproven, Unproven([100, 110].into()));
        assert!(unproven.prove(&Seen::parse("111:111:").unwrap()));
        assert!(Seen::parse("1:2").is_none() && Seen::parse("1:2:x").is_none());
    }

    #[test]
    fn ids_come_again() {
        let round = 1u64 << 32;
        let seen = Seen::parse(&format!("{}:{}:{}", round - 2, round + 5, round - 2)).unwrap();
        let mut unproven = Unproven([u32::MAX - 1, u32::MAX, 3, 5].into());
        assert!(!unproven.prove(&seen));
        assert_eq!(unproven, Unproven([u32::MAX - 1, 5].into()));
    }
}
