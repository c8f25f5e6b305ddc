//! What the server publishes: of which tables, columns and rows changes are sent at all.

use std::collections::HashSet;

use tokio_postgres::types::Type as Oid;

use crate::error::{Error, Result};
use crate::source::postgres::connect::{Session, get};
use crate::source::postgres::name::{Name, quoted};

/// A publication, as a stream names it.
#[derive(Debug, Clone)]
pub struct Publication {
    pub name: String,
}

/// What is published of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// All that are not generated, where `None`.
    pub columns: Option<Vec<String>>,
    /// Which rows; all where `None`.
    pub filter: Option<String>,
}

/// The oldest major version that publishes partitioned tables.
const ROOTS: u32 = 13;
/// The oldest major version that publishes a part of a table.
const PARTS: u32 = 15;

impl Publication {
    pub async fn is_there(&self, session: &Session) -> Result<bool> {
        let sql = "SELECT FROM pg_catalog.pg_publication AS p WHERE p.pubname = $1";
        Ok(!session.query(sql, &[(&self.name, Oid::TEXT)]).await?.is_empty())
    }

    /// Refuses one that is not there, leaves out kinds of changes, or one of the tables.
    pub async fn check(&self, session: &Session, tables: &[Name]) -> Result<()> {
        let sql = "SELECT p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate FROM pg_catalog.pg_publication AS p WHERE p.pubname = $1";
        let rows = session.query(sql, &[(&self.name, Oid::TEXT)]).await?;
        let name = quoted(&self.name);
        let Some(row) = rows.first() else {
            let missing = Error::config(format!("there is no publication {name} in this database"));
            return Err(match self.create(tables, session.version()) {
                Some(sql) => missing
                    .hint(format!("`tidemark check --create` makes it; or the owner of the tables can run: {sql}")),
                None => self.of_nothing(),
            });
        };
        let mut left_out = Vec::new();
        for (column, kind) in
            [("pubinsert", "inserts"), ("pubupdate", "updates"), ("pubdelete", "deletes"), ("pubtruncate", "truncates")]
        {
            if !get::<bool>(row, column)? {
                left_out.push(kind);
            }
        }
        if !left_out.is_empty() {
            let kinds = left_out.join(", ");
            return Err(Error::config(format!("publication {name} leaves out {kinds}: they would be missing in silence"))
                .hint(format!(
                    "Its owner can run: ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate'); The stream is \
                     then to be begun anew, where it had begun: what was left out before is in no log."
                )));
        }
        match self.first_without(session, tables).await? {
            Some(table) => Err(self.lacks(session, table).await?),
            None => Ok(()),
        }
    }

    /// The statement that makes it. `None` where there is no table to publish.
    pub fn create(&self, tables: &[Name], version: u32) -> Option<String> {
        let tables: Vec<_> = tables.iter().map(ToString::to_string).collect();
        let all = (!tables.is_empty()).then(|| tables.join(", "))?;
        let name = quoted(&self.name);
        let options = if version < ROOTS { "" } else { " WITH (publish_via_partition_root = true)" };
        Some(format!("CREATE PUBLICATION {name} FOR TABLE {all}{options};"))
    }

    /// Of a publication that cannot be made yet.
    pub fn of_nothing(&self) -> Error {
        Error::config(format!("there is no publication {} in this database", quoted(&self.name))).hint(
            "None of the stream's tables is there yet, so there is nothing to publish: create one first, then run \
             `tidemark check --create`.",
        )
    }

    /// The first of the tables that is not published by its own name.
    async fn first_without<'a>(&self, session: &Session, tables: &'a [Name]) -> Result<Option<&'a Name>> {
        let schemas: Vec<_> = tables.iter().map(|table| table.schema.as_str()).collect();
        let names: Vec<_> = tables.iter().map(|table| table.table.as_str()).collect();
        let sql = "SELECT t.schemaname::pg_catalog.text AS schema, t.tablename::pg_catalog.text AS name \
                   FROM pg_catalog.pg_publication_tables AS t \
                   WHERE t.pubname = $1 AND t.schemaname = ANY ($2) AND t.tablename = ANY ($3)";
        let parameters =
            [(&self.name as _, Oid::TEXT), (&schemas as _, Oid::TEXT_ARRAY), (&names as _, Oid::TEXT_ARRAY)];
        let mut there = HashSet::new();
        for row in session.query(sql, &parameters).await? {
            there.insert(Name { schema: get(&row, "schema")?, table: get(&row, "name")? });
        }
        Ok(tables.iter().find(|table| !there.contains(table)))
    }

    async fn lacks(&self, session: &Session, table: &Name) -> Result<Error> {
        let sql = "SELECT c.relkind::pg_catalog.text AS kind, EXISTS ( \
                       SELECT FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS b ON b.oid = i.inhrelid \
                       JOIN pg_catalog.pg_namespace AS m ON m.oid = b.relnamespace \
                       JOIN pg_catalog.pg_publication_tables AS t ON t.schemaname = m.nspname AND t.tablename = b.relname \
                       WHERE i.inhparent = c.oid AND t.pubname = $1) AS has_parts \
                   FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
                   WHERE n.nspname = $2 AND c.relname = $3";
        let parameters =
            [(&self.name as _, Oid::TEXT), (&table.schema as _, Oid::TEXT), (&table.table as _, Oid::TEXT)];
        let rows = session.query(sql, &parameters).await?;
        let (shown, name) = (table.display(), quoted(&self.name));
        let Some(row) = rows.first() else {
            return Ok(Error::schema(format!("table {shown}: it is not there")));
        };
        let (kind, has_parts): (String, bool) = (get(row, "kind")?, get(row, "has_parts")?);
        if kind == "p" && has_parts {
            let what = "has the changes of its partitions, by their names";
            return Ok(Error::config(format!("table {shown}: publication {name} {what}")).hint(format!(
                "Its owner can run: ALTER PUBLICATION {name} SET (publish_via_partition_root = true);"
            )));
        }
        Ok(Error::config(format!("table {shown}: publication {name} does not have it"))
            .hint(format!("Its owner can run: ALTER PUBLICATION {name} ADD TABLE {table};")))
    }

    /// By what the table is published: itself, its schema, or all tables are. Another number than before tells that it was not in between.
    pub async fn membership(&self, session: &Session, table: u32) -> Result<u32> {
        let of_schema = match session.version() {
            ..PARTS => "NULL",
            PARTS.. => {
                "(SELECT s.oid FROM pg_catalog.pg_publication_namespace AS s \
                 JOIN pg_catalog.pg_class AS c ON c.relnamespace = s.pnnspid WHERE s.pnpubid = p.oid AND c.oid = $2)"
            }
        };
        let sql = format!(
            "SELECT coalesce((SELECT r.oid FROM pg_catalog.pg_publication_rel AS r WHERE r.prpubid = p.oid AND r.prrelid = $2), \
             {of_schema}, p.oid) AS membership FROM pg_catalog.pg_publication AS p WHERE p.pubname = $1"
        );
        let rows = session.query(&sql, &[(&self.name, Oid::TEXT), (&table, Oid::OID)]).await?;
        rows.first().map_or(Ok(0), |row| get(row, "membership"))
    }

    /// The transaction since which the table is published as it is.
    pub async fn since(&self, session: &Session, table: u32) -> Result<Option<u32>> {
        let of_schema = match session.version() {
            ..PARTS => "NULL",
            PARTS.. => {
                "(SELECT s.xmin::pg_catalog.text FROM pg_catalog.pg_publication_namespace AS s \
                 JOIN pg_catalog.pg_class AS c ON c.relnamespace = s.pnnspid WHERE s.pnpubid = p.oid AND c.oid = $2)"
            }
        };
        let sql = format!(
            "SELECT coalesce((SELECT r.xmin::pg_catalog.text FROM pg_catalog.pg_publication_rel AS r \
             WHERE r.prpubid = p.oid AND r.prrelid = $2), {of_schema}, p.xmin::pg_catalog.text) AS since \
             FROM pg_catalog.pg_publication AS p WHERE p.pubname = $1"
        );
        let rows = session.query(&sql, &[(&self.name, Oid::TEXT), (&table, Oid::OID)]).await?;
        let since = rows.first().map(|row| get::<String>(row, "since")).transpose()?;
        Ok(since.and_then(|since| since.parse().ok()))
    }

    /// What is published of a table.
    pub async fn of_table(&self, session: &Session, table: &Name) -> Result<Published> {
        if session.version() < PARTS {
            return Ok(Published::default());
        }
        let sql = "SELECT t.attnames::pg_catalog.text[] AS columns, t.rowfilter FROM pg_catalog.pg_publication_tables AS t \
                   WHERE t.pubname = $1 AND t.schemaname = $2 AND t.tablename = $3";
        let parameters =
            [(&self.name as _, Oid::TEXT), (&table.schema as _, Oid::TEXT), (&table.table as _, Oid::TEXT)];
        match session.query(sql, &parameters).await?.first() {
            Some(row) => Ok(Published { columns: get(row, "columns")?, filter: get(row, "rowfilter")? }),
            None => Ok(Published::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_that_makes_it_is_whole() {
        let publication = Publication { name: "tidemark_Shop".to_owned() };
        let tables = [("public", "orders"), ("sales", "Odd \"one\"")];
        let tables = tables.map(|(schema, table)| Name { schema: schema.to_owned(), table: table.to_owned() });
        assert_eq!(
            publication.create(&tables, 18).unwrap(),
            "CREATE PUBLICATION \"tidemark_Shop\" FOR TABLE \"public\".\"orders\", \"sales\".\"Odd \"\"one\"\"\" \
             WITH (publish_via_partition_root = true);"
        );
        assert_eq!(publication.create(&[], 18), None);
        assert!(publication.create(&tables, 12).unwrap().ends_with("\"Odd \"\"one\"\"\";"));
    }
}
