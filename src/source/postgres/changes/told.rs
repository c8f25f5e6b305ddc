//! What the log tells of a table, kept: it is told once in a session.

use crate::source::postgres::name::Name;
use crate::source::postgres::replication::{Identity, Relation};

/// A table as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub oid: u32,
    pub name: Name,
    pub identity: Identity,
    pub columns: Vec<Column>,
}

/// A column, of those that are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub oid: u32,
    pub modifier: i32,
    /// Whether the old row of a change is known by it.
    pub is_key: bool,
}

impl Told {
    pub fn of(relation: &Relation<'_>) -> Self {
        let schema = if relation.schema.is_empty() { "pg_catalog" } else { relation.schema };
        let columns = relation.columns().map(|column| Column {
            name: column.name.to_owned(),
            oid: column.type_oid,
            modifier: column.modifier,
            is_key: column.is_key,
        });
        Self {
            oid: relation.oid,
            name: Name { schema: schema.to_owned(), table: relation.name.to_owned() },
            identity: relation.identity,
            columns: columns.collect(),
        }
    }

    /// Whether old rows, if there are any, have all of these columns. There are none where no column tells them apart: the server
    /// refuses updates and deletes then.
    pub fn has_in_old_rows(&self, columns: &[String]) -> bool {
        let has = |name: &String| self.columns.iter().any(|column| column.is_key && column.name == *name);
        let has_none = self.columns.iter().all(|column| !column.is_key);
        self.identity == Identity::Full || has_none || columns.iter().all(has)
    }
}
