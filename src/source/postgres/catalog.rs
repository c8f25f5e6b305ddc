//! What the server's catalog says of tables: which there are, what they hold, what we may read.

use tokio_postgres::types::Type as Oid;

use super::connect::{Session, get};
use super::name::{Name, readable};
use crate::config::{Section, nearest};
use crate::error::{Error, Result};
use crate::source::pattern;

/// A table, partitioned table, view, materialized view or foreign table.
#[derive(Debug, Clone)]
pub struct Relation {
    pub oid: u32,
    pub name: Name,
    /// Rows, by the statistics of the table and all its partitions.
    pub estimate: Option<u64>,
    /// Whether policies show this role a part of the rows only.
    pub row_security: bool,
    schema_usage: bool,
}

#[derive(Debug, Clone)]
pub struct ColumnInfo {
    pub name: String,
    pub readable: bool,
}

/// A table by its name; an error about `key` names those that were likely meant.
pub async fn relation(session: &Session, name: &Name, section: &Section, key: &str) -> Result<Relation> {
    match find(session, name).await? {
        Some(relation) => Ok(relation),
        None => Err(missing(session, name, section, key).await?),
    }
}

/// A table by its name; `None` where there is none.
pub async fn find(session: &Session, name: &Name) -> Result<Option<Relation>> {
    let sql = format!("{RELATIONS} WHERE n.nspname = $1 AND c.relname = $2 AND {KINDS}");
    let rows = session.query(&sql, &[(&name.schema, Oid::TEXT), (&name.table, Oid::TEXT)]).await?;
    rows.first().map(relation_of).transpose()
}

async fn missing(session: &Session, name: &Name, section: &Section, key: &str) -> Result<Error> {
    let sql = format!("{RELATIONS} WHERE {KINDS} AND n.nspname <> ALL ($1)");
    let rows = session.query(&sql, &[(&SYSTEM_SCHEMAS.as_slice(), Oid::TEXT_ARRAY)]).await?;
    let names = rows.iter().map(relation_of).collect::<Result<Vec<_>>>()?;
    let shown: Vec<String> = names.iter().map(|relation| relation.name.full()).collect();
    // The same table of another schema is the likeliest slip, then another spelling.
    let elsewhere = names.iter().find(|relation| relation.name.table == name.table).map(|r| r.name.full());
    let meant = elsewhere.or_else(|| nearest(&name.full(), shown.iter().map(String::as_str)).map(str::to_owned));
    let meant = meant.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
    let database = readable(&session.settings().database);
    Ok(section.error(key, format!("names `{}`, which is no table of database {database}{meant}", name.full())))
}

/// The tables that a pattern matches, in the order of their names. Patterns match tables and partitioned tables; a
/// partition is read with its table, and what costs the server work of another kind (views, foreign tables) or may be
/// there twice is to be named.
pub async fn matching(session: &Session, of: &Name, section: &Section, written: &str) -> Result<Vec<Relation>> {
    let sql = format!(
        "{RELATIONS} WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' \
         AND n.nspname <> ALL ($1) AND n.nspname NOT LIKE 'pg\\_temp\\_%' ORDER BY n.nspname, c.relname"
    );
    let rows = session.query(&sql, &[(&SYSTEM_SCHEMAS.as_slice(), Oid::TEXT_ARRAY)]).await?;
    let mut found = rows.iter().map(relation_of).collect::<Result<Vec<_>>>()?;
    found.retain(|relation| {
        pattern::matches(&of.schema, &relation.name.schema) && pattern::matches(&of.table, &relation.name.table)
    });
    match found.is_empty() {
        true => Err(section.error("tables", format!("has the pattern `{written}`, which no table matches"))),
        false => Ok(found),
    }
}

/// The columns of a table, in their order.
pub async fn columns(session: &Session, relation: &Relation) -> Result<Vec<ColumnInfo>> {
    let rows = session.query(COLUMNS, &[(&relation.oid, Oid::OID)]).await?;
    rows.iter().map(|row| Ok(ColumnInfo { name: get(row, "attname")?, readable: get(row, "readable")? })).collect()
}

/// The columns of a table's primary key, in the key's order.
pub async fn primary_key(session: &Session, relation: &Relation) -> Result<Vec<String>> {
    let rows = session.query(PRIMARY_KEY, &[(&relation.oid, Oid::OID)]).await?;
    rows.iter().map(|row| get(row, "attname")).collect()
}

/// Whether no two rows of a table have the same values in these columns.
pub async fn is_unique(session: &Session, relation: &Relation, columns: &[String]) -> Result<bool> {
    let row = session.query_one(IS_UNIQUE, &[(&relation.oid, Oid::OID), (&columns, Oid::TEXT_ARRAY)]).await?;
    get(&row, "is_unique")
}

/// Whether an index begins with one of these columns, or with an expression, which may be of them.
pub async fn has_index(session: &Session, relation: &Relation, columns: &[String]) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_index AS i \
               LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
               WHERE i.indrelid = $1 AND i.indisvalid AND (i.indkey[0] = 0 OR a.attname::text = ANY ($2))) AS has";
    get(&session.query_one(sql, &[(&relation.oid, Oid::OID), (&columns, Oid::TEXT_ARRAY)]).await?, "has")
}

/// Which of these columns are declared NOT NULL.
pub async fn not_null(session: &Session, relation: &Relation, columns: &[String]) -> Result<Vec<String>> {
    let sql = "SELECT a.attname::text FROM pg_catalog.pg_attribute AS a \
               WHERE a.attrelid = $1 AND a.attname::text = ANY ($2) AND a.attnotnull";
    let rows = session.query(sql, &[(&relation.oid, Oid::OID), (&columns, Oid::TEXT_ARRAY)]).await?;
    rows.iter().map(|row| get(row, "attname")).collect()
}

/// Refuses a table of which we may not read these columns, or not all rows; tells the statement that mends it.
pub fn check_readable(
    session: &Session,
    relation: &Relation,
    all: &[ColumnInfo],
    chosen: &[String],
    row_security_is_fine: bool,
) -> Result<()> {
    let role = readable(&session.settings().username);
    let (schema, table) = (readable(&relation.name.schema), readable(&relation.name.table));
    if !relation.schema_usage {
        return Err(Error::denied(format!("role {role} may not look into schema {schema}, where table {table} is"))
            .hint(format!("GRANT USAGE ON SCHEMA {schema} TO {role};")));
    }
    let hidden: Vec<String> = chosen
        .iter()
        .filter(|name| all.iter().any(|column| column.name == **name && !column.readable))
        .map(|name| readable(name))
        .collect();
    if !hidden.is_empty() {
        let none = all.iter().all(|column| !column.readable);
        let (what, grant) = match none {
            true => (format!("table {schema}.{table}"), format!("GRANT SELECT ON {schema}.{table} TO {role};")),
            false => (
                format!("column {} of table {schema}.{table}", hidden.join(", ")),
                format!(
                    "GRANT SELECT ({}) ON {schema}.{table} TO {role}; or leave them out with `exclude_columns`.",
                    hidden.join(", ")
                ),
            ),
        };
        return Err(Error::denied(format!("role {role} may not read {what}")).hint(grant));
    }
    if relation.row_security && !row_security_is_fine {
        return Err(Error::denied(format!(
            "the row security of table {schema}.{table} shows role {role} a part of its rows only"
        ))
        .hint(format!("ALTER ROLE {role} BYPASSRLS; or set `row_security = yes` to read that part.")));
    }
    Ok(())
}

fn relation_of(row: &tokio_postgres::Row) -> Result<Relation> {
    let estimate: Option<f64> = get(row, "estimate")?;
    Ok(Relation {
        oid: get(row, "oid")?,
        name: Name { schema: get(row, "schema")?, table: get(row, "name")? },
        estimate: estimate.filter(|rows| *rows >= 0.0).map(|rows| rows as u64),
        row_security: get(row, "row_security")?,
        schema_usage: get(row, "schema_usage")?,
    })
}

const SYSTEM_SCHEMAS: [&str; 3] = ["pg_catalog", "information_schema", "pg_toast"];

const KINDS: &str = "c.relkind IN ('r', 'p', 'v', 'm', 'f')";

/// A table that was never analyzed has -1 rows in the statistics, before PostgreSQL 14 none on no pages. Partitions and
/// children count with their parents.
const RELATIONS: &str = "
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name,
       coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), true) AS schema_usage,
       CASE WHEN c.relrowsecurity THEN pg_catalog.row_security_active(c.oid) ELSE false END AS row_security,
       (WITH RECURSIVE tree AS (
            SELECT c.oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN tree ON i.inhparent = tree.oid
        )
        SELECT sum(t.reltuples)::float8 FROM tree JOIN pg_catalog.pg_class AS t ON t.oid = tree.oid
        WHERE t.relkind IN ('r', 'm', 'f') AND t.reltuples >= 0 AND NOT (t.reltuples = 0 AND t.relpages = 0)
       ) AS estimate
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace";

/// What has vanished since the transaction's snapshot has no rights to tell of: that is found out later, and named.
const COLUMNS: &str = "
SELECT a.attname::text, coalesce(pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'), true) AS readable
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum";

const PRIMARY_KEY: &str = "
SELECT a.attname::text
FROM pg_catalog.pg_index AS i
CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(number, place)
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
WHERE i.indrelid = $1 AND i.indisprimary AND k.place <= i.indnkeyatts
ORDER BY k.place";

/// An index of a table says nothing about the tables that inherit from it, but for partitions.
const IS_UNIQUE: &str = "
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid
    WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND i.indexprs IS NULL
      AND (c.relkind = 'p' OR NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS h WHERE h.inhparent = c.oid))
      AND (SELECT pg_catalog.bool_and(a.attname::text = ANY ($2))
           FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k(number, place)
           JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
           WHERE k.place <= i.indnkeyatts)
) AS is_unique";
