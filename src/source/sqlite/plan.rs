//! How one stream is read: its statement, its table, the shape of each of its columns.

use std::path::Path;
use std::sync::Arc;

use arrow_schema::Schema;
use rusqlite::Connection;

use super::catalog::{self, Column, Found, TableKind, quote};
use super::config::{Leniency, Policies};
use super::error::{is_sql, words};
use super::types::{self, Doubt, Shape};
use crate::config::Section;
use crate::error::{Error, Result};
use crate::record::Table;
use crate::source::{Selection, Stream, Tables, masking};

#[derive(Debug)]
pub struct Plan {
    pub table: Arc<Table>,
    /// As SQLite has it, for messages.
    pub name: String,
    pub columns: Vec<Planned>,
    pub leniency: Leniency,
    pub sql: String,
    /// The statement's last column is the rowid.
    pub has_rowid: bool,
    pub section: Section,
    /// The table, where it is one and no query.
    pub relation: Option<Found>,
    /// The columns that it has, read or not.
    pub all: Vec<String>,
    /// The columns, as they are selected.
    items: String,
    /// From where, with what columns are qualified with.
    from: String,
    alias: String,
    filter: Option<String>,
}

/// Which rows of a plan a statement reads, in what order, and what it tells of them behind their columns.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Besides the stream's own condition.
    pub condition: Option<String>,
    /// Expressions over [`Plan::column`].
    pub order: Vec<String>,
    pub marks: Vec<String>,
}

#[derive(Debug)]
pub struct Planned {
    pub name: String,
    /// The type as declared or configured, for messages.
    pub shown: String,
    pub shape: Shape,
    pub doubt: Option<Doubt>,
}

impl Plan {
    /// Looks up the stream's table or query. Blocks.
    pub fn of(connection: &Connection, path: &Path, stream: &Stream) -> Result<Self> {
        let selection = &*stream.selection;
        let policies = Policies::of(&selection.section)?;
        match &selection.tables {
            Tables::Query(sql) => Self::of_query(connection, path, selection, &policies, sql),
            _ => {
                let all = catalog::tables(connection, path)?;
                let Some(table) = catalog::by_name(&all, stream.table()) else {
                    // It was there when the streams were listed.
                    return Err(Error::schema(format!("{} has been dropped", stream.table())));
                };
                Self::of_table(connection, path, selection, &policies, table)
            }
        }
    }

    fn of_table(
        connection: &Connection,
        path: &Path,
        selection: &Selection,
        policies: &Policies,
        table: &Found,
    ) -> Result<Self> {
        let all = catalog::columns(connection, path, table)?;
        let mut plan = Self::new(selection, policies, &table.name, &all)?;
        let rowid = match table.kind {
            // It may be the value of a column that is masked, and stands in errors.
            _ if masking::is_set(&selection.section) => None,
            TableKind::Rowid | TableKind::Shadow => rowid_name(&all),
            _ => None,
        };
        let names = plan.columns.iter().map(|column| quote(&column.name)).chain(rowid.map(str::to_owned));
        let names = names.collect::<Vec<_>>().join(", ");
        plan.sql = format!("select {names} from {}{}", quote(&table.name), filter(selection));
        plan.has_rowid = rowid.is_some();
        (plan.items, plan.from, plan.alias) = (names, quote(&table.name), quote(&table.name));
        plan.relation = Some(table.clone());
        plan.compile(connection, path, selection)?;
        Ok(plan)
    }

    fn of_query(
        connection: &Connection,
        path: &Path,
        selection: &Selection,
        policies: &Policies,
        sql: &str,
    ) -> Result<Self> {
        let all = catalog::query_columns(connection, path, &selection.section, sql)?;
        let mut plan = Self::new(selection, policies, &selection.name, &all)?;
        let narrowed = plan.columns.len() < all.len() || selection.columns.is_some() || selection.filter.is_some();
        let names: Vec<_> = plan.columns.iter().map(|column| quote(&column.name)).collect();
        plan.items = names.join(", ");
        // On lines of its own: the query may end in a comment.
        let query = sql.trim_end().trim_end_matches(';');
        (plan.from, plan.alias) = (format!("(\n{query}\n) as \"q\""), "\"q\"".to_owned());
        plan.sql = match narrowed {
            true => format!("select {} from {}{}", plan.items, plan.from, filter(selection)),
            false => sql.to_owned(),
        };
        plan.compile(connection, path, selection)?;
        Ok(plan)
    }

    fn new(selection: &Selection, policies: &Policies, name: &str, all: &[Column]) -> Result<Self> {
        let names: Vec<_> = all.iter().map(|column| column.name.clone()).collect();
        let chosen = selection.choose_columns(name, &names)?;
        let mut columns = Vec::with_capacity(chosen.len());
        let mut fields = Vec::with_capacity(chosen.len());
        for column in chosen.iter().filter_map(|name| all.iter().find(|column| column.name == *name)) {
            let native = column.declared.as_deref();
            let (shown, (shape, doubt)) = match policies.type_of(name, &column.name) {
                Some((shown, shape)) => (shown, (shape, None)),
                None => (native.unwrap_or("text"), types::declared(native, policies.utc)),
            };
            fields.push(types::to_field(&column.name, native, shape));
            columns.push(Planned { name: column.name.clone(), shown: shown.to_owned(), shape, doubt });
        }
        let mut key: Vec<&Column> = all.iter().filter(|column| column.key > 0).collect();
        key.sort_by_key(|column| column.key);
        // A key of which a column is left out is none.
        let key = match selection.primary_key.is_empty() {
            false => selection.primary_key.clone(),
            true if key.iter().all(|column| chosen.contains(&column.name)) => {
                key.into_iter().map(|column| column.name.clone()).collect()
            }
            true => Vec::new(),
        };
        let table = Table::new(selection.output_name(name), Arc::new(Schema::new(fields)), key);
        Ok(Self {
            table: Arc::new(table),
            name: name.to_owned(),
            columns,
            leniency: policies.leniency,
            sql: String::new(),
            has_rowid: false,
            section: selection.section.clone(),
            relation: None,
            all: names,
            items: String::new(),
            from: String::new(),
            alias: String::new(),
            filter: selection.filter.clone(),
        })
    }

    /// A column of what is read from, as conditions and orders name it.
    pub fn column(&self, name: &str) -> String {
        format!("{}.{}", self.alias, quote(name))
    }

    /// From where on, what is read: `from … where … order by …`.
    pub fn tail(&self, scope: &Scope) -> String {
        let own = self.filter.as_ref().map(|filter| format!("({filter}\n)"));
        let conditions: Vec<_> = own.into_iter().chain(scope.condition.clone()).collect();
        let mut tail = format!("from {}", self.from);
        if !conditions.is_empty() {
            tail.push_str(&format!(" where {}", conditions.join(" and ")));
        }
        if !scope.order.is_empty() {
            tail.push_str(&format!(" order by {}", scope.order.join(", ")));
        }
        tail
    }

    /// The statement that reads a scope of the plan.
    pub fn select(&self, scope: &Scope) -> String {
        let marks: String = scope.marks.iter().map(|mark| format!(", {mark}")).collect();
        format!("select {}{marks} {}", self.items, self.tail(scope))
    }

    /// What a user should know before the first run. `holds_up` is whether reading holds up writers.
    pub fn notes(&self, is_query: bool, holds_up: bool) -> Vec<String> {
        let mut notes = Vec::new();
        let with = |doubt| {
            let columns = self.columns.iter().filter(|column| column.doubt == Some(doubt));
            Some(columns.map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")).filter(|n| !n.is_empty())
        };
        if self.table.key.is_empty() && !is_query {
            notes.push("There is no primary key; `primary_key` can name one.".to_owned());
        }
        if let Some(names) = with(Doubt::Untyped) {
            notes.push(format!("No declared type, so they arrive as text: {names}. `column_types` gives them one."));
        }
        if let Some(names) = with(Doubt::Unknown) {
            notes.push(format!("An unknown type, so they arrive as text: {names}. `column_types` gives them another."));
        }
        if let Some(names) = with(Doubt::NoPrecision) {
            notes.push(format!(
                "Decimals without precision (or beyond 76 digits) arrive as text: {names}. `column_types` with \
                 decimal(p,s) or double makes them numbers."
            ));
        }
        if holds_up {
            notes.push(
                "The database keeps a rollback journal: programs that write to it wait while it is read. \
                 `PRAGMA journal_mode = wal`, run once, ends that."
                    .to_owned(),
            );
        }
        notes
    }

    /// Compiles the statement, to say now what is wrong with it.
    fn compile(&self, connection: &Connection, path: &Path, selection: &Selection) -> Result<()> {
        let Err(error) = connection.prepare(&self.sql) else { return Ok(()) };
        match &selection.filter {
            Some(_) if is_sql(&error) => {
                Err(self.section.error("where", format!("is refused by SQLite: {}", words(&error))))
            }
            _ => Err(catalog::unreadable(path, &self.name, &error)),
        }
    }
}

fn filter(selection: &Selection) -> String {
    selection.filter.as_ref().map(|filter| format!(" where ({filter}\n)")).unwrap_or_default()
}

/// A name for the rowid that no column has taken.
fn rowid_name(columns: &[Column]) -> Option<&'static str> {
    let taken = |name: &str| columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    ["rowid", "_rowid_", "oid"].into_iter().find(|name| !taken(name))
}
