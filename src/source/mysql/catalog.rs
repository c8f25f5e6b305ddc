//! What the server's catalog says of tables and their columns.

use std::collections::{BTreeMap, BTreeSet};

use mysql_common::row::Row;
use mysql_common::value::Value;

use super::client::Failure;
use super::connect::{Connection, number, text};
use super::name::Name;
use super::types::Known;

/// A table or view, as far as this user may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    pub is_view: bool,
    /// In small letters: `innodb`. Empty for a view.
    pub engine: String,
    /// Rows, by the server's statistics.
    pub estimate: Option<u64>,
}

/// All tables and views of a database, by name. System views, sequences and temporary tables are none of them.
pub async fn tables(connection: &mut Connection, database: &str) -> Result<Vec<Found>, Failure> {
    let sql = "select table_name, table_type, engine, table_rows from information_schema.tables \
               where table_schema = ? and table_type in ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW') order by table_name";
    let rows = connection.rows(sql, (database,)).await?;
    Ok(rows
        .iter()
        .map(|row| Found {
            name: text(row, 0),
            is_view: text(row, 1) == "VIEW",
            engine: text(row, 2).to_lowercase(),
            estimate: number(row, 3),
        })
        .collect())
}

/// A column, as far as this user may see it: the catalog leaves out those that it has no right to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub known: Known,
}

/// The columns of a table in its order, the invisible ones among them. None where there is no such table.
pub async fn columns(connection: &mut Connection, table: &Name) -> Result<Vec<Column>, Failure> {
    let checked = checked_json(connection, table).await?;
    let sql = "select column_name, column_type, data_type from information_schema.columns \
               where table_schema = ? and table_name = ? order by ordinal_position";
    let rows = connection.rows(sql, (&table.database, &table.table)).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let name = text(row, 0);
            let checked_json = checked.contains(&name);
            Column { known: Known { native: text(row, 1), data_type: text(row, 2).to_lowercase(), checked_json }, name }
        })
        .collect())
}

/// MariaDB's JSON is a LONGTEXT with a constraint, which is all that tells it from other text.
async fn checked_json(connection: &mut Connection, table: &Name) -> Result<BTreeSet<String>, Failure> {
    if !connection.is_mariadb {
        return Ok(BTreeSet::new());
    }
    let sql = "select check_clause from information_schema.check_constraints \
               where constraint_schema = ? and table_name = ?";
    let rows = connection.rows(sql, (&table.database, &table.table)).await?;
    Ok(rows.iter().filter_map(|row| column_of_json_check(&text(row, 0))).collect())
}

/// The column in ``json_valid(`column`)``.
fn column_of_json_check(clause: &str) -> Option<String> {
    let quoted = clause.trim().strip_prefix("json_valid(`")?.strip_suffix("`)")?;
    let name = quoted.replace("``", "`");
    // Anything more than one name, an `or` with another one say, has a lone backtick in it.
    (quoted.matches('`').count() == 2 * name.matches('`').count()).then_some(name)
}

/// The columns that a lean log leaves out of a new row though they are not null in it: those that took a constant default
/// (what an expression makes is sent), and with MariaDB those that are never stored.
pub async fn left_out_of_new_rows(connection: &mut Connection, table: &Name) -> Result<Vec<String>, Failure> {
    let sql = "select column_name, column_default, extra from information_schema.columns \
               where table_schema = ? and table_name = ? order by ordinal_position";
    let rows = connection.rows(sql, (&table.database, &table.table)).await?;
    let is_mariadb = connection.is_mariadb;
    let is_left_out = |row: &&Row| {
        let default = row.as_ref(1).filter(|default| **default != Value::NULL).map(|_| text(row, 1));
        let extra = text(row, 2).to_ascii_uppercase();
        match is_mariadb {
            true => extra.contains("VIRTUAL") || default.is_some_and(|default| is_constant(&default)),
            false => default.is_some() && !extra.contains("DEFAULT_GENERATED"),
        }
    };
    Ok(rows.iter().filter(is_left_out).map(|row| text(row, 0)).collect())
}

/// Whether MariaDB shows a default so that is no expression, and not null.
fn is_constant(default: &str) -> bool {
    default.ends_with('\'') || default.parse::<f64>().is_ok()
}

/// The columns of the primary key, in its order.
pub async fn primary_key(connection: &mut Connection, table: &Name) -> Result<Vec<String>, Failure> {
    let sql = "select column_name from information_schema.statistics \
               where table_schema = ? and table_name = ? and index_name = 'PRIMARY' order by seq_in_index";
    let rows = connection.rows(sql, (&table.database, &table.table)).await?;
    Ok(rows.iter().map(|row| text(row, 0)).collect())
}

/// Those of a table's columns that are never null.
pub async fn never_null(connection: &mut Connection, table: &Name) -> Result<Vec<String>, Failure> {
    let sql = "select column_name from information_schema.columns \
               where table_schema = ? and table_name = ? and is_nullable = 'NO'";
    let rows = connection.rows(sql, (&table.database, &table.table)).await?;
    Ok(rows.iter().map(|row| text(row, 0)).collect())
}

/// An index of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pub is_unique: bool,
    /// In its order; empty for an expression.
    pub columns: Vec<String>,
}

pub async fn indexes(connection: &mut Connection, table: &Name) -> Result<Vec<Index>, Failure> {
    let sql = "select index_name, non_unique, column_name from information_schema.statistics \
               where table_schema = ? and table_name = ? order by index_name, seq_in_index";
    let mut indexes = BTreeMap::new();
    for row in connection.rows(sql, (&table.database, &table.table)).await? {
        let is_unique = number(&row, 1) == Some(0);
        let index = indexes.entry(text(&row, 0)).or_insert_with(|| Index { is_unique, columns: Vec::new() });
        index.columns.push(text(&row, 2));
    }
    Ok(indexes.into_values().collect())
}

/// An index whose order is that of a column first; the primary key before others.
pub async fn index_of(connection: &mut Connection, table: &Name, column: &str) -> Result<Option<String>, Failure> {
    let sql = "select index_name from information_schema.statistics \
               where table_schema = ? and table_name = ? and column_name = ? and seq_in_index = 1 and index_type = 'BTREE' \
               order by index_name <> 'PRIMARY', non_unique, index_name limit 1";
    let rows = connection.rows(sql, (&table.database, &table.table, column)).await?;
    Ok(rows.first().map(|row| text(row, 0)))
}

/// Whether it is one; not where there is none of the name.
pub async fn is_view(connection: &mut Connection, table: &Name) -> Result<bool, Failure> {
    let sql = "select table_type from information_schema.tables where table_schema = ? and table_name = ?";
    let rows = connection.rows(sql, (&table.database, &table.table)).await?;
    Ok(rows.first().is_some_and(|row| text(row, 0) == "VIEW"))
}

/// A table's engine in small letters; empty for a view.
pub async fn engine(connection: &mut Connection, table: &Name) -> Result<String, Failure> {
    let sql = "select engine from information_schema.tables where table_schema = ? and table_name = ?";
    let rows = connection.rows(sql, (&table.database, &table.table)).await?;
    Ok(rows.first().map(|row| text(row, 0).to_lowercase()).unwrap_or_default())
}

/// `user@host`, as grants name it.
pub async fn current_user(connection: &mut Connection) -> Result<String, Failure> {
    let rows = connection.rows("select current_user()", ()).await?;
    Ok(rows.first().map(|row| text(row, 0)).unwrap_or_default())
}

/// What the catalog knows of the columns of several tables, looked up once each.
#[derive(Default)]
pub struct Lookup(BTreeMap<Name, Vec<Column>>);

impl Lookup {
    pub async fn of(
        &mut self,
        connection: &mut Connection,
        table: &Name,
        column: &str,
    ) -> Result<Option<&Known>, Failure> {
        if !self.0.contains_key(table) {
            let found = columns(connection, table).await?;
            self.0.insert(table.clone(), found);
        }
        let columns = self.0.get(table).map(Vec::as_slice).unwrap_or_default();
        Ok(columns.iter().find(|known| known.name == column).map(|column| &column.known))
    }
}

#[cfg(test)]
mod tests {
    use super::column_of_json_check;

    #[test]
    fn a_json_check_names_its_column() {
        assert_eq!(column_of_json_check("json_valid(`doc`)").as_deref(), Some("doc"));
        assert_eq!(column_of_json_check("json_valid(`a``b`)").as_deref(), Some("a`b"));
        assert_eq!(column_of_json_check("json_valid(`a`) or json_valid(`b`)"), None);
        assert_eq!(column_of_json_check("`a` > 0"), None);
    }
}
