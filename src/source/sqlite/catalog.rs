//! What the file holds: tables, their columns, about how many rows.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, Statement};

use super::error::{InFile, is_sql, words};
use crate::config::{Section, nearest};
use crate::error::{Error, Kind, Result};
use crate::source::pattern;

/// A file up to this size is counted rather than estimated.
const COUNTED_BYTES: u64 = 32 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// With a rowid.
    Rowid,
    WithoutRowid,
    View,
    Virtual,
    /// A virtual table's own storage: read only when named.
    Shadow,
}

/// Something with rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    pub kind: TableKind,
}

/// A column as the database tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// `None` where there is no declared type, as for expressions.
    pub declared: Option<String>,
    /// Its place in the primary key, from 1; 0 if it is not in it.
    pub key: i64,
}

/// Everything with rows but SQLite's own tables.
pub fn tables(connection: &Connection, path: &Path) -> Result<Vec<Found>> {
    let sql = "select name, type, wr from pragma_table_list where schema = 'main' and name not like 'sqlite\\_%' \
               escape '\\' order by name";
    let mut statement = connection.prepare(sql).in_file(path)?;
    let rows = statement.query_map([], |row| {
        let kind = match (row.get_ref(1)?.as_str()?, row.get(2)?) {
            ("view", _) => TableKind::View,
            ("virtual", _) => TableKind::Virtual,
            ("shadow", _) => TableKind::Shadow,
            (_, true) => TableKind::WithoutRowid,
            (_, false) => TableKind::Rowid,
        };
        Ok(Found { name: row.get(0)?, kind })
    });
    rows.and_then(Iterator::collect).in_file(path)
}

/// The table of that name; an error about `key` names the one that was likely meant.
pub fn named<'a>(section: &Section, key: &str, name: &str, all: &'a [Found], path: &Path) -> Result<&'a Found> {
    by_name(all, name).ok_or_else(|| {
        let meant = nearest(name, all.iter().map(|table| table.name.as_str()));
        let meant = meant.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
        let message = format!("names `{name}`, which is no table or view of {}{meant}", file_name(path));
        section.error(key, message)
    })
}

/// The tables that a pattern matches. Views only by name: what they show is in tables already.
pub fn matching<'a>(section: &Section, name: &str, all: &'a [Found], path: &Path) -> Result<Vec<&'a Found>> {
    let found: Vec<_> = all.iter().filter(|table| is_matched(name, table)).collect();
    if found.is_empty() {
        return Err(section.error("tables", format!("`{name}` matches no table of {}", file_name(path))));
    }
    Ok(found)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_matched(name: &str, table: &Found) -> bool {
    let stored = !matches!(table.kind, TableKind::View | TableKind::Shadow);
    stored && pattern::matches(&name.to_lowercase(), &table.name.to_lowercase())
}

/// SQLite's names are the same whatever their case.
pub fn by_name<'a>(all: &'a [Found], name: &str) -> Option<&'a Found> {
    all.iter().find(|table| table.name.eq_ignore_ascii_case(own_name(name)))
}

/// A table's name without its schema, which is the file itself.
pub fn own_name(text: &str) -> &str {
    text.strip_prefix("main.").unwrap_or(text)
}

/// The columns of a table, generated ones included, hidden ones of a virtual table left out.
pub fn columns(connection: &Connection, path: &Path, table: &Found) -> Result<Vec<Column>> {
    let described = || described(connection, "main", &table.name).in_file(path);
    if table.kind != TableKind::View {
        return described();
    }
    // Before its description, which fails with fewer words where the view's definition does not work.
    let sql = format!("select * from {}", quote(&table.name));
    let statement = connection.prepare(&sql).map_err(|e| unreadable(path, &table.name, &e))?;
    let mut columns = described()?;
    // What a view shows of a table's column has that column's declared type; of an expression, at most its CAST.
    merge(&mut columns, &statement);
    Ok(columns)
}

/// The columns of a query's result.
pub fn query_columns(connection: &Connection, path: &Path, section: &Section, sql: &str) -> Result<Vec<Column>> {
    let wrong = |e: rusqlite::Error| {
        if is_sql(&e) {
            section.error("query", format!("is refused by SQLite: {}", words(&e)))
        } else {
            super::error::of_file(path, &e)
        }
    };
    let statement = connection.prepare(sql).map_err(wrong)?;
    if statement.column_count() == 0 || !statement.readonly() {
        return Err(section.error("query", "must be a SELECT"));
    }
    if statement.parameter_count() > 0 {
        return Err(section.error("query", "has a parameter (?, :name or $name), for which there is no value"));
    }
    let name = |column: rusqlite::Column<'_>| Column { name: column.name().to_owned(), declared: None, key: 0 };
    let mut columns: Vec<_> = statement.columns().map(name).collect();
    for (index, column) in columns.iter().enumerate() {
        if columns[..index].iter().any(|other| other.name.eq_ignore_ascii_case(&column.name)) {
            let message = format!("has two columns named `{}`: give one another name with AS", column.name);
            return Err(section.error("query", message));
        }
    }
    // A view of the temporary schema, which is not in the file, tells what a CAST is to; a query alone does not.
    let view = format!("create temp view tidemark_query as {sql}");
    if connection.execute_batch(&view).is_ok() {
        let casts = described(connection, "temp", "tidemark_query");
        connection.execute_batch("drop view temp.tidemark_query").in_file(path)?;
        let casts = casts.in_file(path)?;
        for (column, cast) in columns.iter_mut().zip(casts) {
            column.declared = cast.declared;
        }
    }
    merge(&mut columns, &statement);
    Ok(columns)
}

fn described(connection: &Connection, schema: &str, table: &str) -> rusqlite::Result<Vec<Column>> {
    // Hidden columns of virtual tables are 1; generated ones, which are read, are 2 and 3.
    let sql = "select name, type, pk from pragma_table_xinfo(?1, ?2) where hidden <> 1 order by cid";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([table, schema], |row| {
        let declared: Option<String> = row.get(1)?;
        Ok(Column { name: row.get(0)?, declared: declared.filter(|text| !text.trim().is_empty()), key: row.get(2)? })
    })?;
    rows.collect()
}

/// Takes the statement's declared types; of what the columns had before, only the certain ones stay: SQLite says BLOB
/// and NUM also of what may hold anything.
fn merge(columns: &mut [Column], statement: &Statement<'_>) {
    for (column, read) in columns.iter_mut().zip(statement.columns()) {
        let certain = |text: &String| matches!(text.as_str(), "INT" | "REAL" | "TEXT");
        let cast = column.declared.take().filter(certain);
        column.declared = read.decl_type().map(str::to_owned).or(cast);
    }
}

/// A table whose own definition does not work, such as a view of a table that is gone.
pub fn unreadable(path: &Path, table: &str, error: &rusqlite::Error) -> Error {
    if is_sql(error) {
        Error::new(Kind::Schema, format!("{table} cannot be read: {}", words(error)))
    } else {
        super::error::of_file(path, error)
    }
}

/// About how many rows, where that is cheap to know.
pub fn estimate(connection: &Connection, path: &Path, table: &Found, filter: Option<&str>) -> Option<u64> {
    let bytes = std::fs::metadata(path).ok()?.len();
    let name = quote(&table.name);
    // Progress only: whatever goes wrong here goes wrong again, and is told, when the table is read.
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).ok();
    let rows = if bytes <= COUNTED_BYTES && table.kind != TableKind::View {
        let filter = filter.map(|filter| format!(" where ({filter}\n)")).unwrap_or_default();
        number(&format!("select count(*) from {name}{filter}"))
    } else if filter.is_some() {
        None
    } else {
        let analysed = "select cast(stat as integer) from sqlite_stat1 where tbl = ?1 order by idx is not null limit 1";
        let analysed = connection.query_row(analysed, [&table.name], |row| row.get(0)).ok();
        // Two queries in one: alone, each looks at one end of the table; together, they would walk through it.
        let span = || match table.kind {
            TableKind::Rowid => {
                number(&format!("select (select max(rowid) from {name}) - (select min(rowid) from {name}) + 1"))
            }
            _ => None,
        };
        // Rowids may lie far apart. A row takes at least some bytes of the file.
        analysed.or_else(|| span().filter(|rows| u64::try_from(*rows).is_ok_and(|rows| rows < bytes / 8)))
    };
    rows.and_then(|rows| u64::try_from(rows).ok())
}

/// What tells a table's rows apart.
#[derive(Debug, Default)]
pub struct Keys {
    /// The columns of each unique index, and the INTEGER PRIMARY KEY.
    pub unique: Vec<Vec<String>>,
    pub not_null: Vec<String>,
    /// The INTEGER PRIMARY KEY whose values are given again when rows with the highest are deleted.
    pub reused: Option<String>,
}

pub fn keys(connection: &Connection, path: &Path, table: &Found) -> Result<Keys> {
    let lists = |sql: &str| -> rusqlite::Result<Vec<(String, Option<String>)>> {
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([&table.name], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    let indexed = "select l.name, i.name from pragma_index_list(?1, 'main') as l, pragma_index_info(l.name, 'main') as i \
                   where l.\"unique\" = 1 and l.partial = 0";
    let mut unique = BTreeMap::<String, Vec<String>>::new();
    for (index, column) in lists(indexed).in_file(path)? {
        // An expression has no name, and none that a cursor could have.
        unique.entry(index).or_default().push(column.unwrap_or_default());
    }
    let not_null =
        lists("select name, null from pragma_table_xinfo(?1, 'main') where \"notnull\" = 1").in_file(path)?;
    let mut keys = Keys { unique: unique.into_values().collect(), ..Keys::default() };
    keys.not_null = not_null.into_iter().map(|(name, _)| name).collect();
    let key = lists("select name, type from pragma_table_xinfo(?1, 'main') where pk > 0").in_file(path)?;
    if let [(name, Some(declared))] = key.as_slice()
        && table.kind == TableKind::Rowid
        && declared.eq_ignore_ascii_case("integer")
    {
        keys.unique.push(vec![name.clone()]);
        keys.not_null.push(name.clone());
        let sql =
            "select name, null from sqlite_schema where type = 'table' and name = ?1 and sql like '%autoincrement%'";
        keys.reused = lists(sql).in_file(path)?.is_empty().then(|| name.clone());
    }
    Ok(keys)
}

pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
