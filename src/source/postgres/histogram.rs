//! Bounds of chunks from the server's statistics: values of the key's first column between which there are equally many rows.

use tokio_postgres::types::Type as Oid;

use super::catalog::Relation;
use super::connect::{Session, get};
use crate::error::Result;
use crate::source::keyset::{Key, Known};

/// The bounds of chunks of about so many rows, where statistics tell them. Nothing is read of the table.
pub async fn known(session: &Session, relation: &Relation, key: &Key, rows: u64) -> Result<Known> {
    let none = Ok(Known::default());
    let Some(first) = key.columns.first() else { return none };
    let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Oid); 2] =
        [(&relation.oid, Oid::OID), (&first.name, Oid::TEXT)];
    // Of what was never analysed, or a role may not know, there is no row.
    let found = session.query(STATISTICS, &values).await?;
    let Some(row) = found.first() else { return none };
    let statistics = Statistics {
        bounds: get(row, "bounds")?,
        rows: get(row, "rows")?,
        left_out: get(row, "left_out")?,
        nulls: get(row, "nulls")?,
        width: get(row, "width")?,
    };
    let bounds = statistics.chosen(rows);
    if bounds.is_empty() {
        return none;
    }
    let ordered = ASCEND.replace("{type}", &get::<String>(row, "type")?);
    let ordered = ordered.replace("{collation}", &get::<String>(row, "collation")?);
    let ordered = session.query_one(&ordered, &[(&bounds, Oid::TEXT_ARRAY)]).await?;
    if !get::<Option<bool>>(&ordered, "ascend")?.unwrap_or_default() {
        return none;
    }
    tracing::debug!(
        table = relation.name.display(),
        bounds = bounds.len(),
        "bounds of chunks by the server's statistics"
    );
    let grown = get::<f64>(row, "grown")?.max(get(row, "changed")?);
    let bounds = bounds.into_iter().map(|bound| vec![bound]).collect();
    Ok(Known { bounds, unplaced: grown.max(0.0) as u64 })
}

/// What is known of a column.
struct Statistics {
    /// Between two of them there are equally many rows.
    bounds: Vec<String>,
    /// Of the table, by its size now.
    rows: f64,
    /// The fraction that has one of the most common values, which are not between the bounds,
    left_out: f64,
    /// or none.
    nulls: f64,
    /// Bytes of a value.
    width: i32,
}

impl Statistics {
    /// Those behind which a chunk of about so many rows ends, the last one too; none where they do not tell.
    fn chosen(&self, rows: u64) -> Vec<String> {
        let (buckets, rows) = (self.bounds.len().saturating_sub(1), rows as f64);
        let between = self.rows * (1.0 - self.nulls - self.left_out).max(0.0);
        let chunks = (between / rows).round();
        // Common values may all be in one chunk, and large ones are in no statistics. A bucket is not cut.
        let is_told = self.rows * self.left_out <= rows / 2.0 && self.width <= LARGE;
        if !is_told || chunks < FEWEST || between / buckets as f64 > rows * 1.5 {
            return Vec::new();
        }
        let chunks = (chunks as usize).min(buckets);
        (1..=chunks).filter_map(|n| self.bounds.get((n * buckets + chunks / 2) / chunks).cloned()).collect()
    }
}

/// With fewer chunks the walk is short.
const FEWEST: f64 = 3.0;
/// On average: above 1,024 bytes a value is counted, but not looked at.
const LARGE: i32 = 100;

/// One row, if there are bounds. As the planner does, it takes rows to lie as densely as they did; a partition that
/// was never analysed leaves that open. The type is the one below all domains, whose checks values may fail by now.
const STATISTICS: &str = "
WITH RECURSIVE tree AS (
    SELECT $1 AS oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN tree ON i.inhparent = tree.oid
), leaf AS (
    SELECT t.relkind, t.reltuples::float8 AS rows, nullif(t.relpages, 0)::float8 AS pages,
           pg_catalog.pg_relation_size(t.oid)::float8 / pg_catalog.current_setting('block_size')::float8 AS pages_now,
           pg_catalog.pg_stat_get_mod_since_analyze(t.oid)::float8 AS changed
    FROM tree JOIN pg_catalog.pg_class AS t ON t.oid = tree.oid WHERE t.relkind IN ('r', 'm', 'f')
), size AS (
    SELECT sum(rows * pages_now / pages) AS rows, sum(rows * pages_now / pages - rows) AS grown, sum(changed) AS changed
    FROM leaf WHERE pages_now > 0 OR relkind = 'f'
    HAVING bool_and(rows >= 0 AND pages IS NOT NULL AND relkind <> 'f')
), base AS (
    SELECT a.atttypid AS oid, a.atttypmod AS modifier FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = $1 AND a.attname::text = $2
    UNION
    SELECT t.typbasetype, t.typtypmod FROM base JOIN pg_catalog.pg_type AS t ON t.oid = base.oid WHERE t.typtype = 'd'
)
SELECT s.histogram_bounds::pg_catalog.text::pg_catalog.text[] AS bounds, s.null_frac::float8 AS nulls, s.avg_width AS width,
       coalesce((SELECT sum(f) FROM pg_catalog.unnest(s.most_common_freqs) AS f), 0)::float8 AS left_out,
       size.rows, size.grown, coalesce(size.changed, 0) AS changed,
       pg_catalog.format_type(base.oid, base.modifier) AS type, coalesce((
           SELECT pg_catalog.format('COLLATE %I.%I', m.nspname, l.collname)
           FROM pg_catalog.pg_collation AS l JOIN pg_catalog.pg_namespace AS m ON m.oid = l.collnamespace
           WHERE l.oid = a.attcollation), '') AS collation
FROM size, base JOIN pg_catalog.pg_type AS t ON t.oid = base.oid AND t.typtype <> 'd', pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attname::text = $2 AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
WHERE c.oid = $1 AND s.histogram_bounds IS NOT NULL
  AND s.inherited = EXISTS (SELECT FROM pg_catalog.pg_inherits AS h WHERE h.inhparent = c.oid)";

/// Whether each is above the one before, as the column compares them: statistics may be of another collation's version, or of a
/// type that has been altered since.
const ASCEND: &str = "
SELECT pg_catalog.bool_and(v > before) IS NOT FALSE AND count(v) = pg_catalog.cardinality($1) AS ascend
FROM (SELECT v, pg_catalog.lag(v) OVER (ORDER BY n) AS before
      FROM (SELECT CAST(t AS {type}) {collation} AS v, n FROM pg_catalog.unnest($1) WITH ORDINALITY AS u(t, n)) AS b) AS p";

#[cfg(test)]
mod tests {
    use super::*;

    /// Of numbers from 0 on, as many to a bucket as there are buckets to the rows.
    fn statistics(rows: u32, buckets: u32) -> Statistics {
        let bounds = (0..=buckets).map(|n| (rows / buckets * n).to_string()).collect();
        Statistics { bounds, rows: f64::from(rows), left_out: 0.0, nulls: 0.0, width: 8 }
    }

    fn sizes(of: &Statistics, rows: u64) -> Vec<u64> {
        let bounds = of.chosen(rows).into_iter().map(|bound| bound.parse::<u64>().unwrap());
        bounds.scan(0, |before, bound| Some(bound - std::mem::replace(before, bound))).collect()
    }

    #[test]
    fn chunks_are_of_whole_buckets() {
        assert_eq!(sizes(&statistics(100_000, 100), 1_000), [1_000; 100]);
        for rows in [700, 900, 1_000, 1_300, 1_500, 2_500, 7_777, 30_000] {
            let sizes = sizes(&statistics(100_000, 100), rows);
            assert!(sizes.iter().all(|size| (rows / 2..=rows * 2).contains(size)), "{rows}: {sizes:?}");
            assert_eq!(sizes.iter().sum::<u64>(), 100_000);
        }
    }

    #[test]
    fn what_statistics_do_not_tell_is_walked() {
        let none = [0; 0];
        assert_eq!(sizes(&statistics(100_000, 100), 600), none, "more chunks than buckets");
        assert_eq!(sizes(&statistics(100_000, 100), 50_000), none, "few chunks");
        let common = |left_out| Statistics { left_out, ..statistics(100_000, 100) };
        assert_eq!(sizes(&common(0.02), 2_000), none, "common values");
        assert!(!sizes(&common(0.01), 2_000).is_empty());
        assert_eq!(sizes(&Statistics { nulls: 0.99, ..statistics(100_000, 100) }, 2_000), none, "nearly all nulls");
        assert_eq!(sizes(&Statistics { width: 900, ..statistics(100_000, 100) }, 2_000), none, "large values");
        assert_eq!(sizes(&Statistics { bounds: Vec::new(), ..statistics(100_000, 100) }, 2_000), none);
    }
}
