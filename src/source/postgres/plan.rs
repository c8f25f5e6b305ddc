//! How a stream is read: which columns, of what types, by what SQL.

use std::sync::Arc;

use arrow_schema::Schema;
use tokio_postgres::types::Type as Oid;

use super::catalog::{self, Relation};
use super::config::{Policies, Policy};
use super::connect::{Session, get};
use super::error;
use super::name::{Name, quoted};
use super::type_catalog::TypeCatalog;
use super::types::{Resolver, Shape, Type, Wire};
use crate::error::{Error, Kind, Result};
use crate::record::Table;
use crate::source::{Selection, Stream, Tables};

/// A stream's columns and the SQL that reads them.
pub struct Plan {
    pub table: Arc<Table>,
    pub columns: Vec<PlannedColumn>,
    pub policies: Policies,
    /// The table, where it is one and no query.
    pub relation: Option<Relation>,
    /// The columns that it has, read or not.
    pub all: Vec<String>,
    /// `"public"."orders"`, or the query in brackets, named as the stream.
    from: String,
    /// What columns are qualified with: `"orders"`.
    alias: String,
    filter: Option<String>,
    /// Where the user's own SQL finds its names; the source's `schema`.
    path: String,
}

pub struct PlannedColumn {
    pub name: String,
    pub of: Type,
}

/// Which rows of a plan a statement reads, in what order, and what it tells of them besides their columns.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Besides the stream's own condition.
    pub condition: Option<String>,
    /// Expressions over [`Plan::column`], never bare names: those would mean what is selected, which may be text.
    pub order: Vec<String>,
    /// Expressions whose texts stand behind the columns.
    pub marks: Vec<String>,
    /// How many rows at most.
    pub most: Option<u64>,
}

impl Plan {
    /// Plans within the session's transaction. Afterwards the transaction holds the locks that keep the tables as they
    /// were planned, and has been shown to have the rights.
    pub async fn make(session: &Session, stream: &Stream) -> Result<Self> {
        let selection = &stream.selection;
        let policies = Policies::of(&selection.section)?;
        let mut plan = Self {
            table: Arc::new(Table::new("", Arc::new(Schema::empty()), Vec::new())),
            columns: Vec::new(),
            policies,
            relation: None,
            all: Vec::new(),
            from: String::new(),
            alias: String::new(),
            filter: selection.filter.clone(),
            path: session.settings().schema.clone(),
        };
        let mut key = selection.primary_key.clone();
        let (names, output) = match &selection.tables {
            Tables::Query(query) => {
                // On lines of its own, as it may end in a comment; without the semicolon it may end in.
                let query = query.trim().trim_end_matches(';');
                plan.alias = quoted(&selection.name);
                plan.from = format!("(\n{query}\n) AS {}", plan.alias);
                (None, selection.output_name(&selection.name))
            }
            _ => {
                let name = Name::of_display(stream.table())?;
                let relation = catalog::relation(session, &name, &selection.section, selection.table_key()).await?;
                let (chosen, all) = choose(session, &relation, selection, &plan.policies).await?;
                plan.all = all;
                if key.is_empty() {
                    key = catalog::primary_key(session, &relation).await?;
                    key = if key.iter().all(|column| chosen.contains(column)) { key } else { Vec::new() };
                }
                plan.alias = quoted(&name.table);
                plan.from = name.to_string();
                plan.relation = Some(relation);
                (Some(chosen), selection.output_name(stream.table()))
            }
        };
        plan.enter(session).await?;
        plan.resolve(session, selection, names).await?;
        plan.lock(session, selection).await?;
        let fields: Vec<_> = plan.columns.iter().map(|column| column.of.field(&column.name)).collect();
        plan.table = Arc::new(Table::new(output, Arc::new(Schema::new(fields)), key));
        Ok(plan)
    }

    /// Lets the user's own SQL find its names, and row security show a part where that is asked for.
    async fn enter(&self, session: &Session) -> Result<()> {
        session.run(&format!("SET LOCAL search_path = {}", quoted(&self.path))).await?;
        if self.policies.row_security { session.run("SET LOCAL row_security = on").await } else { Ok(()) }
    }

    /// Asks the server which columns come, and the catalog what they are.
    async fn resolve(&mut self, session: &Session, selection: &Selection, names: Option<Vec<String>>) -> Result<()> {
        let list = match &names {
            Some(names) => names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "),
            None => "*".to_owned(),
        };
        let sql = format!("SELECT {list} {}", self.tail(&Scope::default()));
        let statement = session.client().prepare(&sql).await.map_err(|e| blame(session, &e, selection))?;
        let mut found: Vec<(String, u32, i32)> = statement
            .columns()
            .iter()
            .map(|column| (column.name().to_owned(), column.type_().oid(), column.type_modifier()))
            .collect();
        if names.is_none() {
            self.all = found.iter().map(|(name, ..)| name.clone()).collect();
            found = chosen_of_query(found, selection)?;
        }
        let oids: Vec<u32> = found.iter().map(|(_, oid, _)| *oid).collect();
        let natives = natives(session, &found).await?;
        let catalog = TypeCatalog::load(session, oids).await?;
        let table = self.relation.as_ref().map_or(selection.name.clone(), |relation| relation.name.display());
        let resolver = Resolver { catalog: &catalog, policies: &self.policies, table: &table };
        if names.is_none() {
            let columns = found.iter().map(|(name, ..)| name.clone()).collect();
            self.policies.check_names(&selection.section, &[(table.clone(), columns)])?;
        }
        self.columns = found
            .into_iter()
            .zip(natives)
            .map(|((name, oid, modifier), native)| {
                let of = resolver.column(&name, oid, modifier, native)?;
                Ok(PlannedColumn { name, of })
            })
            .collect::<Result<_>>()?;
        Ok(())
    }

    /// Runs the very statement that COPY will run, for no rows: it checks every right, and leaves the locks of every
    /// table and partition that it reads with the transaction.
    async fn lock(&self, session: &Session, selection: &Selection) -> Result<()> {
        let sql = format!("{} LIMIT 0", self.select(&Scope::default()));
        session.client().batch_execute(&sql).await.map_err(|e| blame(session, &e, selection))
    }

    /// A column of what is read from, as conditions and orders name it.
    pub fn column(&self, name: &str) -> String {
        format!("{}.{}", self.alias, quoted(name))
    }

    /// What is read from, whatever the stream's condition.
    pub fn from(&self) -> &str {
        &self.from
    }

    /// Leaves the rows of tables that inherit from it to their own names, as the log does.
    pub fn alone(&mut self) {
        self.from = format!("ONLY {}", self.from);
    }

    /// From where on, what is read: `FROM … WHERE … ORDER BY …`.
    pub fn tail(&self, scope: &Scope) -> String {
        let own = self.filter.as_ref().map(|filter| format!("(\n{filter}\n)"));
        let conditions: Vec<_> = own.into_iter().chain(scope.condition.clone()).collect();
        let mut tail = format!("FROM {}", self.from);
        if !conditions.is_empty() {
            tail.push_str(&format!("\nWHERE {}", conditions.join(" AND ")));
        }
        if !scope.order.is_empty() {
            tail.push_str(&format!("\nORDER BY {}", scope.order.join(", ")));
        }
        if let Some(most) = scope.most {
            tail.push_str(&format!("\nLIMIT {most}"));
        }
        tail
    }

    fn select(&self, scope: &Scope) -> String {
        let marks = scope.marks.iter().map(|mark| format!("({mark})::pg_catalog.text"));
        let list: Vec<_> = self.columns.iter().map(PlannedColumn::expression).chain(marks).collect();
        format!("SELECT {} {}", list.join(", "), self.tail(scope))
    }

    pub fn copy(&self, scope: &Scope) -> String {
        format!("COPY ({}) TO STDOUT (FORMAT binary)", self.select(scope))
    }

    /// What a user should know of how this stream arrives.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.table.key.is_empty() {
            notes.push("There is no primary key among the columns; `primary_key` can name one.".to_owned());
        }
        for PlannedColumn { name, of } in &self.columns {
            if of.is_unknown() {
                notes.push(format!("Column {name} has a type we do not know, {}: it arrives as text.", of.native));
            }
            if of.shape == Shape::Numeric && self.policies.numeric_nan != Policy::Text {
                notes.push(format!(
                    "Column {name} is {}, of any number of digits: it arrives as text; `unconstrained_numeric` can make \
                     it a decimal.",
                    of.native
                ));
            }
        }
        if self.relation.as_ref().is_some_and(|relation| relation.row_security) {
            notes.push("Row security shows a part of the rows only.".to_owned());
        }
        notes
    }
}

#[cfg(test)]
impl Plan {
    pub fn of_one_text_column() -> Self {
        let section = crate::config::Section::of_kind(&super::config::KIND, &[]).unwrap();
        let of = Type { oid: 25, native: "text".to_owned(), shape: Shape::Text };
        Self {
            table: Arc::new(Table::new("t", Arc::new(Schema::new(vec![of.field("v")])), Vec::new())),
            columns: vec![PlannedColumn { name: "v".to_owned(), of }],
            policies: Policies::of(&section).unwrap(),
            relation: None,
            all: Vec::new(),
            from: String::new(),
            alias: String::new(),
            filter: None,
            path: String::new(),
        }
    }
}

impl PlannedColumn {
    /// The column as it is selected: as it is, or as the text that its type's output function makes. Not by a cast to
    /// text, which makes another text of some types (inet, "char", boolean, character).
    pub fn expression(&self) -> String {
        let name = quoted(&self.name);
        match self.of.wire() {
            Wire::Binary => name,
            Wire::Text => format!("pg_catalog.textin({}({name})) AS {name}", self.of.output_function()),
        }
    }
}

/// The columns of a table that the stream asks for, if we may read them, and all that it has.
pub async fn choose(
    session: &Session,
    relation: &Relation,
    selection: &Selection,
    policies: &Policies,
) -> Result<(Vec<String>, Vec<String>)> {
    let all = catalog::columns(session, relation).await?;
    let shown = relation.name.display();
    if all.is_empty() {
        return Err(selection.section.error(selection.table_key(), format!("names {shown}, which has no columns")));
    }
    let names: Vec<_> = all.iter().map(|column| column.name.clone()).collect();
    let chosen = selection.choose_columns(&shown, &names)?;
    catalog::check_readable(session, relation, &all, &chosen, policies.row_security)?;
    Ok((chosen, names))
}

fn chosen_of_query(found: Vec<(String, u32, i32)>, selection: &Selection) -> Result<Vec<(String, u32, i32)>> {
    let names: Vec<String> = found.iter().map(|(name, ..)| name.clone()).collect();
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            let message = format!("yields two columns named `{name}`: give one another name with AS");
            return Err(selection.section.error("query", message));
        }
    }
    if names.is_empty() {
        return Err(selection.section.error("query", "yields no columns"));
    }
    let chosen = selection.choose_columns("the query", &names)?;
    Ok(chosen.iter().filter_map(|name| found.iter().find(|(found, ..)| found == name).cloned()).collect())
}

/// The server's own words for the types of columns.
pub async fn natives(session: &Session, columns: &[(String, u32, i32)]) -> Result<Vec<String>> {
    let oids: Vec<u32> = columns.iter().map(|(_, oid, _)| *oid).collect();
    let modifiers: Vec<i32> = columns.iter().map(|(.., modifier)| *modifier).collect();
    let sql = "SELECT pg_catalog.format_type(t.oid, t.modifier) AS native \
               FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) WITH ORDINALITY AS t(oid, modifier, place) \
               ORDER BY t.place";
    let rows = session.query(sql, &[(&oids, Oid::OID_ARRAY), (&modifiers, Oid::INT4_ARRAY)]).await?;
    rows.iter().map(|row| get(row, "native")).collect()
}

/// An error of the user's own SQL is one of `query` or `where`, with file and line.
fn blame(session: &Session, e: &tokio_postgres::Error, selection: &Selection) -> Error {
    let error = session.error(e);
    let key = match (&selection.tables, &selection.filter) {
        (_, Some(_)) => "where",
        (Tables::Query(_), None) => "query",
        _ => return error,
    };
    match error.kind() {
        Kind::Config | Kind::Schema if !matches!(error::code(e), "26000" | "42P05") => {
            selection.section.error(key, format!("is refused by the server: {}", error.message()))
        }
        _ => error,
    }
}
