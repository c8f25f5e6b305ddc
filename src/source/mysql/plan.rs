//! How one stream is read: its statement, its table, the type of each of its columns.

use std::sync::Arc;

use arrow_schema::Schema;

use super::catalog::{self, Lookup};
use super::client::{Column, ColumnFlags, ColumnType, Statement};
use super::config::{Policies, Settings};
use super::connect::Connection;
use super::error::{self, Doing};
use super::name::{Name, quoted};
use super::types::{self, Known, Type};
use crate::error::{Context, Error, Result};
use crate::record::{Mode, Table};
use crate::source::{Selection, Stream, Tables};

/// A prepared statement of one connection, and what comes of it.
pub struct Plan {
    pub table: Arc<Table>,
    /// As people name it, for messages: `orders` or `other.orders`; the stream's name for a query.
    pub name: String,
    pub columns: Vec<Planned>,
    pub policies: Policies,
    pub statement: Statement,
    /// The section that policies stand in.
    pub header: String,
    /// The table, where it is one and no query.
    pub relation: Option<Name>,
    /// The columns that the server lists of it, read or not.
    pub all: Vec<String>,
    /// The columns, as they are selected.
    items: String,
    /// From where, with what columns are qualified with.
    from: String,
    alias: String,
    filter: Option<String>,
}

/// Which rows of a plan a statement reads, in what order, and what it tells of them besides their columns.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Besides the stream's own condition.
    pub condition: Option<String>,
    /// Expressions over [`Plan::column`], never bare names: those would mean what is selected, which may be cast.
    pub order: Vec<String>,
    /// Expressions that are texts, selected before the columns.
    pub marks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub name: String,
    pub of: Type,
    /// As the server reports it: what the rows are decoded by.
    pub wire: Wire,
}

/// What decides how the bytes of a cell are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wire {
    pub kind: ColumnType,
    pub unsigned: bool,
    pub character_set: u16,
    pub decimals: u8,
    pub length: u32,
}

impl Wire {
    pub fn of(column: &Column) -> Self {
        Self {
            kind: column.column_type(),
            unsigned: column.flags().contains(ColumnFlags::UNSIGNED_FLAG),
            character_set: column.character_set(),
            decimals: column.decimals(),
            length: column.column_length(),
        }
    }
}

/// A column as the table or query has it, before a cast.
#[derive(Debug, Clone)]
struct Base {
    name: String,
    of: Type,
    native: String,
    cast: Option<&'static str>,
}

/// Where rows are selected from.
#[derive(Clone)]
pub(super) enum Target<'a> {
    Table(Name),
    Query(&'a str),
}

impl Target<'_> {
    fn sql(&self) -> String {
        match self {
            Target::Table(name) => name.to_string(),
            // On lines of its own: a query may end in a comment.
            Target::Query(sql) => format!("(\n{sql}\n) as `q`"),
        }
    }

    /// What its columns are qualified with.
    fn alias(&self) -> String {
        match self {
            Target::Table(name) => quoted(&name.table),
            Target::Query(_) => "`q`".to_owned(),
        }
    }
}

/// What it takes to plan.
pub(super) struct Planner<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) settings: &'a Settings,
    pub(super) selection: &'a Selection,
    policies: Policies,
    pub(super) from: Target<'a>,
    /// For messages.
    pub(super) name: String,
}

impl Plan {
    /// Looks the stream's table or query up, and has the server prepare its statement.
    pub async fn of(connection: &mut Connection, settings: &Settings, stream: &Stream) -> Result<Self> {
        let selection = &*stream.selection;
        let (from, name) = match &selection.tables {
            Tables::Query(sql) => (Target::Query(statement_of(sql)), selection.name.clone()),
            _ => {
                let name = Name::parse(stream.table(), &settings.database).map_err(Error::config)?;
                let shown = name.display(&settings.database);
                (Target::Table(name), shown)
            }
        };
        let policies = Policies::of(&selection.section)?;
        Planner { connection, settings, selection, policies, from, name }.plan().await
    }
}

impl Plan {
    /// For messages.
    pub fn named(&self) -> String {
        format!("table {}", self.name)
    }

    /// A column of what is read from, as conditions and orders name it.
    pub fn column(&self, name: &str) -> String {
        format!("{}.{}", self.alias, quoted(name))
    }

    /// What is read from, whatever the stream's condition.
    pub fn from(&self) -> &str {
        &self.from
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
        let marks: String = scope.marks.iter().map(|mark| format!("{mark}, ")).collect();
        format!("select {marks}{} {}", self.items, self.tail(scope))
    }
}

impl Planner<'_> {
    async fn plan(mut self) -> Result<Plan> {
        let (mut statement, bases, all) = match &self.from {
            Target::Table(name) => self.of_table(name.clone()).await?,
            Target::Query(sql) => self.of_query(sql).await?,
        };
        if bases.iter().any(|base| base.cast.is_some()) {
            let items = bases.iter().map(|base| item(&base.name, base.cast)).collect::<Vec<_>>();
            statement = self.prepare(&self.select(&items.join(", "))).await?;
        }
        let mut columns = Vec::with_capacity(bases.len());
        let mut fields = Vec::with_capacity(bases.len());
        for (base, column) in bases.iter().zip(statement.columns.iter()) {
            let of = match base.cast {
                None => base.of,
                Some(_) => Type::of_result(column, None, &self.policies).ok_or_else(|| self.unknown(column))?,
            };
            fields.push(of.field(&base.name, &base.native));
            columns.push(Planned { name: base.name.clone(), of, wire: Wire::of(column) });
        }
        let key = self.key(&columns).await?;
        let table = Table::new(self.selection.output_name(&self.name), Arc::new(Schema::new(fields)), key);
        Ok(Plan {
            table: Arc::new(table),
            name: self.name,
            columns,
            policies: self.policies,
            statement,
            header: self.selection.section.header().to_owned(),
            relation: match &self.from {
                Target::Table(name) => Some(name.clone()),
                Target::Query(_) => None,
            },
            all,
            items: bases.iter().map(|base| item(&base.name, base.cast)).collect::<Vec<_>>().join(", "),
            from: self.from.sql(),
            alias: self.from.alias(),
            filter: self.selection.filter.clone(),
        })
    }

    async fn of_table(&mut self, name: Name) -> Result<(Statement, Vec<Base>, Vec<String>)> {
        let all = match &self.selection.columns {
            // `*` leaves out invisible columns, and is refused where one column is beyond our rights: the catalog,
            // which shows the columns we may see, would quietly leave that one out.
            None => names_of(&self.prepare(&self.select("*")).await?),
            Some(_) => {
                let known = catalog::columns(self.connection, &name).await;
                let known = known.map_err(|failure| self.failure(failure))?;
                let mut names: Vec<_> = known.into_iter().map(|column| column.name).collect();
                self.look_for_unseen(&mut names).await?;
                names
            }
        };
        let chosen = self.selection.choose_columns(&self.name, &all)?;
        let statement = self.prepare(&self.select(&items(&chosen))).await?;
        let bases = self.bases(&statement).await?;
        Ok((statement, bases, all))
    }

    async fn of_query(&mut self, sql: &str) -> Result<(Statement, Vec<Base>, Vec<String>)> {
        let statement = self.prepare(sql).await?;
        let names = names_of(&statement);
        self.check_names(&names)?;
        self.policies.check_names(&self.selection.section, &[(self.name.clone(), names.clone())])?;
        let all = self.bases(&statement).await?;
        let selection = self.selection;
        let is_whole =
            selection.columns.is_none() && selection.exclude_columns.is_empty() && selection.filter.is_none();
        if is_whole && selection.mode == Mode::Full && selection.cut.by.is_empty() {
            return Ok((statement, all, names));
        }
        let chosen = selection.choose_columns(&self.name, &names)?;
        let statement = self.prepare(&self.select(&items(&chosen))).await?;
        // What the query's own columns are, since around a query the server forgets where they come from.
        let base = |name: &String| all.iter().find(|base| base.name == *name).cloned();
        Ok((statement, chosen.iter().filter_map(base).collect(), names))
    }

    /// Columns that the stream names and the catalog does not show: there without our having the right, or not there.
    async fn look_for_unseen(&mut self, names: &mut Vec<String>) -> Result<()> {
        for column in self.selection.columns.iter().flatten() {
            if names.contains(column) {
                continue;
            }
            let sql = self.select(&quoted(column));
            match self.connection.prepare(&sql).await {
                // A name in other letters, which the server takes for the same.
                Ok(statement) => names.extend(names_of(&statement)),
                Err(failure) if error::number(&failure) == Some(error::UNKNOWN_COLUMN) => {}
                Err(failure) => return Err(self.refused(failure).await),
            }
        }
        Ok(())
    }

    fn check_names(&self, names: &[String]) -> Result<()> {
        if names.is_empty() {
            return Err(self.selection.section.error("query", "is not a query: it returns no rows"));
        }
        match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
            Some((_, twice)) => Err(self
                .selection
                .section
                .error("query", format!("returns two columns named `{twice}`: rename one of them with `as`"))),
            None => Ok(()),
        }
    }

    /// What the columns of a statement's result are.
    async fn bases(&mut self, statement: &Statement) -> Result<Vec<Base>> {
        let mut bases = Vec::new();
        let mut lookup = Lookup::default();
        for column in statement.columns.iter() {
            let known = match origin(column, &self.from) {
                Some((table, name)) => lookup.of(self.connection, &table, &name).await,
                None => Ok(None),
            };
            let known = known.map_err(|failure| error::of(failure, Doing::Preparing)).at(|| &self.name)?;
            let of = Type::of_result(column, known, &self.policies).ok_or_else(|| self.unknown(column))?;
            let native = native(column, known, of);
            let cast = self.cast(column, of);
            bases.push(Base { name: column.name_str().into_owned(), of, native, cast });
        }
        Ok(bases)
    }

    fn unknown(&self, column: &Column) -> Error {
        let (name, kind) = (column.name_str(), column.column_type());
        Error::data(format!("{}, column {name}: an unknown type, {kind:?}", self.name))
            .hint("Leave it out with `exclude_columns`, or read it as text or bytes with a cast in a `query`.")
    }

    /// What a column is to be cast to, if the server's own form of it will not do.
    fn cast(&self, column: &Column, of: Type) -> Option<&'static str> {
        match of {
            Type::Text | Type::Json if self.policies.as_bytes(&self.name, &column.name_str()) => Some("binary"),
            // The server sends BIT as bytes from a table's column, and as digits from some expressions; both with the
            // same metadata. Only the first has the name of a database with it.
            Type::Bit if column.schema_ref().is_empty() => Some("unsigned"),
            _ => None,
        }
    }

    /// The key's columns, where all of them are read.
    async fn key(&mut self, columns: &[Planned]) -> Result<Vec<String>> {
        if !self.selection.primary_key.is_empty() {
            return Ok(self.selection.primary_key.clone());
        }
        let Target::Table(name) = &self.from else { return Ok(Vec::new()) };
        let key = catalog::primary_key(self.connection, name).await;
        let key = key.map_err(|failure| error::of(failure, Doing::Preparing)).at(|| &self.name)?;
        // A key of which a column is left out is none.
        Ok(if key.iter().all(|name| columns.iter().any(|column| column.name == *name)) { key } else { Vec::new() })
    }

    fn select(&self, items: &str) -> String {
        let from = self.from.sql();
        let filter = self.selection.filter.as_ref().map(|filter| format!(" where ({filter}\n)")).unwrap_or_default();
        format!("select {items} from {from}{filter}")
    }

    async fn prepare(&mut self, sql: &str) -> Result<Statement> {
        match self.connection.prepare(sql).await {
            Ok(statement) if statement.placeholders == 0 => Ok(statement),
            Ok(_) => Err(self
                .selection
                .section
                .error(self.culprit(), "has placeholders (`?` or `:name`), for which there are no values")),
            Err(failure) => Err(self.refused(failure).await),
        }
    }
}

/// A query without the semicolon that people end it with.
fn statement_of(sql: &str) -> &str {
    sql.trim().trim_end_matches(';').trim_end()
}

fn names_of(statement: &Statement) -> Vec<String> {
    statement.columns.iter().map(|column| column.name_str().into_owned()).collect()
}

pub(super) fn items(names: &[String]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
}

fn item(name: &str, cast: Option<&str>) -> String {
    match cast {
        Some(to) => format!("cast({0} as {to}) as {0}", quoted(name)),
        None => quoted(name),
    }
}

/// The table and column that a result's column comes from, if it comes from one unchanged.
fn origin(column: &Column, from: &Target<'_>) -> Option<(Name, String)> {
    match from {
        Target::Table(name) => Some((name.clone(), column.name_str().into_owned())),
        Target::Query(_) => {
            let name = Name { database: column.schema_str().into_owned(), table: column.org_table_str().into_owned() };
            let column = column.org_name_str().into_owned();
            (!name.database.is_empty() && !name.table.is_empty() && !column.is_empty()).then_some((name, column))
        }
    }
}

fn native(column: &Column, known: Option<&Known>, of: Type) -> String {
    match known.filter(|known| !known.native.is_empty()) {
        Some(known) if of == Type::Json => format!("{} (json)", known.native).replace("json (json)", "json"),
        Some(known) => known.native.clone(),
        None => types::native(column),
    }
}
