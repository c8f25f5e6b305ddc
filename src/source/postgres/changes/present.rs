//! The values that a table has now, by key: those of rows whose changes came without them.
//!
//! The table is the one that was captured, and each column what it was then, or nothing is read. Values are decoded as a
//! snapshot's are.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_schema::Schema;
use tokio_postgres::types::Type as Oid;

use super::Asker;
use super::known::{Defined, Known};
use super::unchanged::{append, texts};
use crate::error::{Kind, Result};
use crate::record::Table;
use crate::source::postgres::batches::Batches;
use crate::source::postgres::config::Policies;
use crate::source::postgres::connect::{Session, get};
use crate::source::postgres::copy::Copying;
use crate::source::postgres::decode::Column;
use crate::source::postgres::name::{Name, literal, quoted};
use crate::source::postgres::plan::PlannedColumn;
use crate::source::postgres::types::{Shape, Type};

/// About so many bytes are read at once: what is beyond is read when these are handed on.
const READ_BYTES: usize = 8 << 20;

/// A table as it was captured.
#[derive(Debug)]
pub struct Present {
    name: Name,
    known: Known,
    columns: Vec<(String, Type)>,
    policies: Policies,
    key: Vec<String>,
}

/// A column of a key, as a query compares it.
pub struct KeyColumn {
    name: String,
    /// The server's own words for its type, without what bounds its values: domains are their base types.
    base: String,
    is_domain: bool,
    /// The schema of the operator that tells whether two values are equal.
    operator: String,
    /// The function that makes the text that the log has.
    output: String,
}

/// Rows that were read of a table.
#[derive(Debug, Default)]
pub struct Found {
    /// The columns that were asked for, and the texts of the key.
    pub batches: Vec<RecordBatch>,
    /// Batch and row of each key, as they were asked for; `None` where there is no such row.
    pub rows: Vec<Option<(usize, usize)>>,
    pub bytes: usize,
    /// All keys that were asked for were looked for: none is left out for its size.
    pub is_whole: bool,
}

impl Present {
    /// `None` where there is no key to find rows by.
    pub fn of(name: Name, known: &Known, defined: &Defined) -> Option<Self> {
        (!defined.table.key.is_empty()).then(|| Self {
            name,
            known: known.clone(),
            columns: defined.columns.clone(),
            policies: defined.policies.clone(),
            key: defined.table.key.clone(),
        })
    }

    /// Opens the table in the session's transaction, so that nobody alters it until that ends. Its key; `None` where it is another
    /// table by now, or one of these columns is another, or no index tells its rows apart.
    pub async fn open(&self, session: &Session, asker: &Asker, columns: &[usize]) -> Result<Option<Vec<KeyColumn>>> {
        let is_it = asker.find(session, &self.name).await?.is_some_and(|now| now.oid == self.known.oid);
        if !is_it {
            return Ok(None);
        }
        if self.policies.row_security {
            session.run("SET LOCAL row_security = on").await?;
        }
        match session.run(&format!("SELECT FROM {} LIMIT 0", self.from())).await {
            // It went by now.
            Err(error) if error.kind() == Kind::Schema => return Ok(None),
            opened => opened?,
        }
        let Some(now) = asker.now(session, &self.name).await? else { return Ok(None) };
        let read = columns.iter().filter_map(|at| self.columns.get(*at)).map(|(name, _)| name);
        if !self.known.has_still(&now, read.chain(&self.key)) {
            return Ok(None);
        }
        key_of(session, now.oid, &self.key).await
    }

    /// Reads these columns of rows by their keys, which are in the session's transaction those of the table that is open. As many as
    /// come before there are enough bytes; at least one.
    pub async fn read(
        &self,
        session: &Session,
        key: &[KeyColumn],
        columns: &[usize],
        wanted: &[&[u8]],
    ) -> Result<Found> {
        let of_text = || Type { oid: Oid::TEXT.oid(), native: "text".to_owned(), shape: Shape::Text };
        let mut all: Vec<_> = columns.iter().filter_map(|at| self.columns.get(*at)).cloned().collect();
        all.extend(key.iter().map(|column| (column.name.clone(), of_text())));
        let fields: Vec<_> = all.iter().map(|(name, of)| of.field(name)).collect();
        let table = Table::new(self.name.display(), Arc::new(Schema::new(fields)), Vec::new());
        let room = |of: &Type| (Column::new(of, &self.policies, wanted.len()), of.wire());
        let batches = Batches::of(table.into(), all.iter().map(|(_, of)| room(of)).collect());
        let mut copying = Copying::run(session, &self.sql(key, columns, wanted), batches).await?;
        let places: HashMap<_, _> = wanted.iter().enumerate().map(|(place, key)| (*key, place)).collect();
        let mut found = Found { rows: vec![None; wanted.len()], is_whole: true, ..Found::default() };
        let mut last = 0;
        while let Some(rows) = copying.next(session).await? {
            last = last.max(found.take(rows.batch, columns.len(), &places));
            // Behind the last key there is nothing.
            if found.bytes >= READ_BYTES && last + 1 < wanted.len() && !copying.has_ended() {
                found.rows.truncate(last + 1);
                found.is_whole = false;
                break;
            }
        }
        copying.report();
        Ok(found)
    }

    fn from(&self) -> String {
        match self.known.is_partitioned {
            true => self.name.to_string(),
            // Rows of tables that inherit from it are not its own in the log.
            false => format!("ONLY {}", self.name),
        }
    }

    /// Rows come in the order of their keys, so that what has not come when enough has is all behind. Values are made into what they
    /// travel as behind the sorting, which has no more of them than where they are stored.
    fn sql(&self, key: &[KeyColumn], columns: &[usize], wanted: &[&[u8]]) -> String {
        let read = columns.iter().filter_map(|at| self.columns.get(*at));
        let values = read.clone().map(|(name, of)| PlannedColumn { name: name.clone(), of: of.clone() }.expression());
        let marks = key.iter().map(|column| format!("pg_catalog.textin({}({}))", column.output, column.plain("")));
        let list: Vec<_> = values.chain(marks).collect();
        let mut names: Vec<_> = read.map(|(name, _)| quoted(name)).collect();
        names.extend(
            key.iter().map(|column| quoted(&column.name)).filter(|name| !names.contains(name)).collect::<Vec<_>>(),
        );
        let text = |key: &[u8], at| texts(key).nth(at).map(|text| literal(&String::from_utf8_lossy(text)));
        let keys = (0..key.len()).map(|at| {
            let texts: Vec<_> = wanted.iter().filter_map(|key| text(key, at)).collect();
            format!("pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[])", texts.join(","))
        });
        let (keys, aliases) =
            (keys.collect::<Vec<_>>(), (0..key.len()).map(|at| format!("k{at}, ")).collect::<String>());
        let equals = key.iter().enumerate().map(|(at, column)| {
            let (own, KeyColumn { operator, base, .. }) = (column.plain("tidemark_row."), column);
            format!("{own} OPERATOR({operator}.=) CAST(tidemark_key.k{at} AS {base})")
        });
        let filter = self.known.filter.as_ref().map(|filter| format!("(\n{filter}\n)"));
        let conditions: Vec<_> = equals.chain(filter).collect();
        format!(
            "COPY (SELECT {} FROM (\nSELECT tidemark_row.* FROM ROWS FROM ({}) WITH ORDINALITY AS tidemark_key ({aliases}place)\n\
             CROSS JOIN LATERAL (SELECT {} FROM {} AS tidemark_row WHERE {}) AS tidemark_row\n\
             ORDER BY tidemark_key.place OFFSET 0\n) AS tidemark_row) TO STDOUT (FORMAT binary)",
            list.join(", "),
            keys.join(", "),
            names.join(", "),
            self.from(),
            conditions.join(" AND "),
        )
    }
}

impl KeyColumn {
    /// The column as a value of a type that has functions and operators: a domain over an enum has none.
    fn plain(&self, of: &str) -> String {
        let own = format!("{of}{}", quoted(&self.name));
        if self.is_domain { format!("CAST({own} AS {})", self.base) } else { own }
    }
}

impl Found {
    /// Takes rows, behind whose `columns` the texts of the key stand. Gives the last place among the keys that they have.
    fn take(&mut self, batch: RecordBatch, columns: usize, places: &HashMap<&[u8], usize>) -> usize {
        let marks: Vec<_> = batch.columns()[columns..].iter().map(|column| column.as_string::<i32>()).collect();
        let (mut key, mut last) = (Vec::new(), 0);
        for row in 0..batch.num_rows() {
            key.clear();
            marks.iter().for_each(|texts| append(&mut key, texts.value(row).as_bytes()));
            // A value that equals the key's and is written otherwise is another key at the destination.
            let Some(place) = places.get(key.as_slice()) else { continue };
            self.rows[*place] = Some((self.batches.len(), row));
            last = last.max(*place);
        }
        self.bytes += batch.get_array_memory_size();
        self.batches.push(batch);
        last
    }
}

/// A key of a table; `None` where no index tells rows apart by these columns.
pub async fn key_of(session: &Session, table: u32, columns: &[String]) -> Result<Option<Vec<KeyColumn>>> {
    let rows = session.query(KEY, &[(&table, Oid::OID), (&columns, Oid::TEXT_ARRAY)]).await?;
    let mut key = Vec::with_capacity(rows.len());
    for row in &rows {
        if !get::<bool>(row, "is_unique")? {
            return Ok(None);
        }
        key.push(KeyColumn {
            name: get(row, "name")?,
            base: get(row, "base")?,
            is_domain: get(row, "is_domain")?,
            operator: get(row, "operator")?,
            output: get(row, "output")?,
        });
    }
    match key.len() == columns.len() && !key.is_empty() {
        true => Ok(Some(key)),
        false => Ok(None),
    }
}

/// Other types than the server's own have their operators wherever they were made. Rows of tables that inherit are none of the
/// table's here, whatever its index says of them.
const KEY: &str = "
WITH RECURSIVE wanted AS (
    SELECT k.place, a.attname, a.attnum, a.atttypid FROM pg_catalog.unnest($2) WITH ORDINALITY AS k(name, place)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = $1 AND a.attname::pg_catalog.text = k.name AND NOT a.attisdropped
), types AS (
    SELECT w.place, w.atttypid AS oid FROM wanted AS w
    UNION ALL SELECT t.place, y.typbasetype FROM types AS t JOIN pg_catalog.pg_type AS y ON y.oid = t.oid WHERE y.typtype = 'd'
)
SELECT w.attname::pg_catalog.text AS name, pg_catalog.format_type(y.oid, -1) AS base, y.oid <> w.atttypid AS is_domain,
       pg_catalog.quote_ident(s.nspname) || '.' || pg_catalog.quote_ident(p.proname) AS output,
       coalesce((SELECT pg_catalog.quote_ident(m.nspname)
                 FROM pg_catalog.pg_operator AS o JOIN pg_catalog.pg_namespace AS m ON m.oid = o.oprnamespace
                 WHERE o.oprname = '=' AND o.oprleft = y.oid AND o.oprright = y.oid LIMIT 1), 'pg_catalog') AS operator,
       EXISTS (SELECT FROM pg_catalog.pg_index AS i
               WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
                 AND (SELECT pg_catalog.bool_and(k.number IN (SELECT w.attnum FROM wanted AS w))
                      FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(number, place)
                      WHERE k.place <= i.indnkeyatts)) AS is_unique
FROM wanted AS w JOIN types AS t ON t.place = w.place JOIN pg_catalog.pg_type AS y ON y.oid = t.oid AND y.typtype <> 'd'
JOIN pg_catalog.pg_proc AS p ON p.oid = y.typoutput JOIN pg_catalog.pg_namespace AS s ON s.oid = p.pronamespace
ORDER BY w.place";
