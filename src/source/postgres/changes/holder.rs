//! Who has the server keep its log though nobody needs it: a transaction that does not end.

use super::Asker;
use crate::error::Result;
use crate::source::postgres::connect::{Session, get};
use crate::source::postgres::replication::Slot;

/// What a slot is kept for behind the place that it has confirmed, in any case, more or less.
const LITTLE: u64 = 64 << 20;

/// Whether a transaction holds back what the slot needs no more, and which.
pub async fn of(session: &Session, slot: &Slot) -> Result<Option<String>> {
    let Some((restart, confirmed)) = slot.restart.zip(slot.confirmed) else { return Ok(None) };
    let held = confirmed.0.saturating_sub(restart.0);
    if held < LITTLE {
        return Ok(None);
    }
    let oldest = oldest(session, true).await?;
    Ok(oldest.map(|(what, end)| {
        format!(
            "Of the log that is kept, {} MiB are read already, and are kept for a transaction that does not end: {what}. {end}",
            held >> 20
        )
    }))
}

/// The transaction that has been writing for longest, as words that go behind others.
pub async fn of_anything(asker: &Asker) -> Result<String> {
    let session = Session::connect(&asker.settings).await?;
    let oldest = oldest(&session, false).await?;
    session.close().await;
    Ok(oldest.map(|(what, end)| format!(": {what}. {end}")).unwrap_or_default())
}

/// It, and how it is ended.
async fn oldest(session: &Session, is_long: bool) -> Result<Option<(String, String)>> {
    let rows = session.query(OLDEST, &[(&is_long, tokio_postgres::types::Type::BOOL)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (what, since, end): (String, Option<String>, String) =
        (get(row, "what")?, get(row, "since")?, get(row, "ends")?);
    let since = since.map(|since| format!(", begun at {since} UTC")).unwrap_or_default();
    Ok(Some((format!("{what}{since}"), format!("It can be ended: {end};"))))
}

/// Of all databases: a slot waits for those of the others too. When a session's transaction began is hidden from who may not see it.
const OLDEST: &str = "
SELECT t.what, pg_catalog.to_char(t.since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS since, t.ends FROM (
    SELECT 'the server''s process ' || a.pid || coalesce(', ' || nullif(a.application_name, ''), '') AS what, a.xact_start AS since,
           'SELECT pg_terminate_backend(' || a.pid || ')' AS ends, pg_catalog.age(a.backend_xid) AS age
    FROM pg_catalog.pg_stat_activity AS a WHERE a.backend_xid IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()
    UNION ALL
    SELECT 'the prepared transaction ' || pg_catalog.quote_literal(p.gid), p.prepared,
           'COMMIT PREPARED or ROLLBACK PREPARED ' || pg_catalog.quote_literal(p.gid), pg_catalog.age(p.transaction)
    FROM pg_catalog.pg_prepared_xacts AS p
) AS t WHERE NOT $1 OR t.since IS NULL OR t.since < pg_catalog.now() - interval '1 minute' ORDER BY t.age DESC LIMIT 1";
