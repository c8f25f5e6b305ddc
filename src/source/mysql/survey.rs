//! Bounds of chunks without a walk: the ends of an index, and how many rows the server estimates between two numbers.

use async_trait::async_trait;
use mysql_common::row::Row;

use super::catalog;
use super::client::Failure;
use super::connect::{Connection, number, text};
use super::error::{self, Doing};
use super::name::{Name, quoted};
use super::plan::Plan;
use crate::error::{Error, Result};
use crate::source::keyset::{Key, Known, slices};

/// What the catalog says of how a table's rows lie.
#[derive(Debug, Default)]
pub struct Layout {
    /// By statistics.
    pub rows: u64,
    /// In small letters; empty for a view.
    pub engine: String,
    pub is_partitioned: bool,
}

/// The bounds of chunks of about so many rows, where the key begins with a number and the server estimates well: InnoDB
/// looks at the pages of the index for it. Of partitions it has statistics of their own, of which none may be stale.
pub async fn known(
    connection: &mut Connection,
    plan: &Plan,
    (key, rows): (&Key, u64),
    (name, layout): (&Name, &Layout),
) -> Result<Known> {
    let none = Ok(Known::default());
    let Some(first) = key.columns.first().filter(|column| column.is_number) else { return none };
    if layout.engine != "innodb" || layout.is_partitioned {
        return none;
    }
    let Some(index) = catalog::index_of(connection, name, &first.name).await.map_err(failed)? else { return none };
    let mut surveyor = Surveyor { connection, from: plan.from(), index: quoted(&index), column: &first.sql };
    let bounds = slices::bounds(&mut surveyor, layout.rows, rows).await?.unwrap_or_default();
    tracing::debug!(table = plan.name, bounds = bounds.len(), "bounds of chunks by the server's estimates");
    Ok(Known { bounds: bounds.into_iter().map(|bound| vec![bound.to_string()]).collect(), unplaced: 0 })
}

fn failed(failure: Failure) -> Error {
    error::of(failure, Doing::Preparing)
}

/// Asks an index that begins with the column.
struct Surveyor<'a> {
    connection: &'a mut Connection,
    from: &'a str,
    index: String,
    column: &'a str,
}

impl Surveyor<'_> {
    /// What the server answers; none where it refuses, an index that was made invisible say.
    async fn ask(&mut self, sql: &str) -> Result<Vec<Row>> {
        match self.connection.texts(sql).await {
            Err(failure) if error::number(&failure).is_some() => {
                tracing::debug!(code = error::number(&failure), "no estimate");
                Ok(Vec::new())
            }
            rows => rows.map_err(failed),
        }
    }
}

#[async_trait]
impl slices::Survey for Surveyor<'_> {
    /// By the order of the index, of which `min` and `max` are not made under every condition.
    async fn ends(&mut self, within: Option<(i128, i128)>) -> Result<Option<(i128, i128)>> {
        let (column, from) = (self.column, format!("{} force index ({})", self.from, self.index));
        let condition = match within {
            Some((least, most)) => format!("{column} >= {least} and {column} <= {most}"),
            None => format!("{column} is not null"),
        };
        let end = |order| {
            format!("(select cast({column} as char) from {from} where {condition} order by {column} {order} limit 1)")
        };
        let rows = self.ask(&format!("select {}, {}", end("asc"), end("desc"))).await?;
        let end = |index| rows.first().and_then(|row| text(row, index).parse().ok());
        Ok(end(0).zip(end(1)))
    }

    async fn rows(&mut self, from: i128, to: i128) -> Result<Option<u64>> {
        // Servers differ in what EXPLAIN shows by default.
        let explain = if self.connection.is_mariadb { "explain" } else { "explain format = traditional" };
        // No other index is to be thought cheaper. Of one that is forced MySQL estimates nothing: it has no choice anyway.
        let (column, table) = (self.column, format!("{} use index ({})", self.from, self.index));
        let sql = format!("{explain} select {column} from {table} where {column} >= {from} and {column} <= {to}");
        let rows = self.ask(&sql).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let place = |name: &str| row.columns_ref().iter().position(|column| column.name_str() == name);
        // Of what is no range of the index it estimates nothing.
        let is_range = place("type").is_some_and(|place| text(row, place) == "range");
        Ok(place("rows").filter(|_| is_range).and_then(|place| number(row, place)))
    }
}
