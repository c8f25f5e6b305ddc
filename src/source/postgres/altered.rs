//! Refuses to read in a snapshot what was altered after it was taken.
//!
//! Names, views and the tables below a table are the server's of now, whatever the snapshot; only the rows are of then.
//! A table that took another's name is empty to an earlier snapshot, or holds what was in it while it was filled. So all
//! that a transaction has locked must be to its snapshot what it is now. Whoever holds the locks knows that it stays so.

use std::sync::Arc;

use tokio_postgres::types::Type as Oid;

use super::config::Settings;
use super::connect::{Sees, Session, get};
use super::name::Name;
use super::position::Moment;
use crate::error::{Error, Result};

/// What a reader's transaction has locked and what was found unaltered.
pub struct Unaltered {
    relations: Vec<u32>,
    settings: Arc<Settings>,
}

impl Unaltered {
    pub fn new(settings: &Arc<Settings>) -> Self {
        Self { relations: Vec::new(), settings: settings.clone() }
    }

    /// What was locked since the last call. To be looked at again after the rows are read: a table that the server found
    /// under a name, below another table or within a function after the first look was locked later, and is read too.
    pub async fn locked(&self, session: &Session) -> Result<Vec<Relation>> {
        let rows = session.query(&state(LOCKED), &[(&self.relations, Oid::OID_ARRAY)]).await?;
        rows.iter().map(Relation::of).collect()
    }

    /// Compares with what a connection sees that sees the latest.
    pub async fn compare(&mut self, seen: &[Relation], latest: &Session, moment: &Moment) -> Result<()> {
        let oids: Vec<u32> = seen.iter().map(|relation| relation.oid).collect();
        let rows = latest.query(&state(GIVEN), &[(&oids, Oid::OID_ARRAY)]).await?;
        for row in &rows {
            let now = Relation::of(row)?;
            let then = seen.iter().find(|relation| relation.oid == now.oid);
            if let Some(what) = then.and_then(|then| then.difference(&now)) {
                return Err(refusal(&now, &what, moment));
            }
        }
        self.relations.extend(oids);
        Ok(())
    }

    /// As the two above, on a connection of its own, which is only made where there is something new.
    pub async fn check_again(&mut self, session: &Session, moment: &Moment) -> Result<()> {
        let seen = self.locked(session).await?;
        if seen.is_empty() {
            return Ok(());
        }
        let latest = Session::connect(&self.settings).await?;
        latest.begin(Sees::Latest).await.map_err(|e| latest.error(&e))?;
        self.compare(&seen, &latest, moment).await?;
        latest.run("COMMIT").await?;
        latest.close().await;
        Ok(())
    }
}

/// What the rows of a relation depend on.
pub struct Relation {
    oid: u32,
    /// `None` where the catalog does not have it.
    is: Option<Is>,
}

struct Is {
    /// `pg_class.relkind`.
    kind: String,
    name: Name,
    /// Where a table or materialized view keeps its rows: another place after TRUNCATE, REFRESH and what rewrites.
    file: Option<u32>,
    /// A hash of a view's rule.
    rule: Option<i64>,
    /// The tables directly below, with a hash of a partition's bounds.
    below: Vec<String>,
    /// By number; those that were dropped have names that no other column has.
    columns: Vec<String>,
}

impl Relation {
    fn of(row: &tokio_postgres::Row) -> Result<Self> {
        let kind: Option<String> = get(row, "kind")?;
        let is = match kind {
            None => None,
            Some(kind) => Some(Is {
                kind,
                name: Name { schema: get(row, "schema")?, table: get(row, "name")? },
                file: get(row, "file")?,
                rule: get(row, "rule")?,
                below: get::<Option<_>>(row, "below")?.unwrap_or_default(),
                columns: get::<Option<_>>(row, "columns")?.unwrap_or_default(),
            }),
        };
        Ok(Self { oid: get(row, "oid")?, is })
    }

    /// What happened to what was seen as `self`, if anything did. Columns that were added take nothing from the rows.
    fn difference(&self, now: &Self) -> Option<String> {
        let Some(now) = &now.is else { return Some("was dropped".to_owned()) };
        let Some(then) = &self.is else {
            return READ.contains(&now.kind.as_str()).then(|| "was created".to_owned());
        };
        let what = if then.name != now.name {
            return Some(format!("got this name (it was {})", then.name.display()));
        } else if then.file != now.file {
            "was truncated, refreshed or rewritten"
        } else if then.rule != now.rule {
            "was given another definition"
        } else if then.below != now.below {
            "gained or lost a partition, or a table that inherits from it,"
        } else if !now.columns.starts_with(&then.columns) {
            "had a column dropped or renamed"
        } else {
            return None;
        };
        Some(what.to_owned())
    }
}

fn refusal(now: &Relation, what: &str, moment: &Moment) -> Error {
    let name = now.is.as_ref().map_or_else(|| format!("relation {}", now.oid), |is| is.name.display());
    of_another_moment(&format!("{name} {what}"), moment)
}

/// Refuses what a snapshot cannot show, since `what` happened after its moment.
pub fn of_another_moment(what: &str, moment: &Moment) -> Error {
    Error::unavailable(format!("{what} after the run's snapshot was taken ({}), which cannot show it", moment.time()))
        .hint("It is read with a new snapshot.")
}

/// The kinds that rows are read from, directly or through a view.
const READ: [&str; 5] = ["r", "p", "v", "m", "f"];

const LOCKED: &str = "
SELECT DISTINCT l.relation AS oid FROM pg_catalog.pg_locks AS l
WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.relation >= 16384
  AND l.relation <> ALL ($1)
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())";

const GIVEN: &str = "SELECT pg_catalog.unnest($1) AS oid";

/// The state of relations as the transaction sees the catalog. Only what an owner's statement changes: no statistics,
/// no numbers that VACUUM keeps. Indexes are locked too, and no rows depend on them.
fn state(of: &str) -> String {
    format!(
        r#"
SELECT g.oid, c.relkind::pg_catalog.text AS kind, n.nspname::pg_catalog.text AS schema,
       c.relname::pg_catalog.text AS name,
       CASE WHEN c.relkind IN ('r', 'm') THEN c.relfilenode END AS file,
       (SELECT pg_catalog.hashtextextended(r.ev_action::pg_catalog.text COLLATE pg_catalog."C", 0)
        FROM pg_catalog.pg_rewrite AS r
        WHERE r.ev_class = c.oid AND r.rulename = '_RETURN' AND c.relkind = 'v') AS rule,
       (SELECT pg_catalog.array_agg(pg_catalog.concat_ws(' ', i.inhrelid, pg_catalog.hashtextextended(
            b.relpartbound::pg_catalog.text COLLATE pg_catalog."C", 0)) ORDER BY i.inhrelid)
        FROM pg_catalog.pg_inherits AS i LEFT JOIN pg_catalog.pg_class AS b ON b.oid = i.inhrelid
        WHERE i.inhparent = c.oid) AS below,
       (SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0) AS columns
FROM ({of}) AS g
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = g.oid
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IS NULL OR c.relkind IN ('r', 'p', 'v', 'm', 'f')"#
    )
}
