//! Why the server refuses a stream's statement, and what to do about it.

use super::catalog;
use super::client::Failure;
use super::error::{self, Doing};
use super::name::{Name, account};
use super::plan::{Planner, Target, items};
use crate::config::nearest;
use crate::error::{Error, Kind};
use crate::source::{Selection, Tables};

impl Planner<'_> {
    /// The key whose SQL may be wrong.
    pub fn culprit(&self) -> &'static str {
        match (&self.from, &self.selection.filter, &self.selection.tables) {
            (_, Some(_), _) => "where",
            (Target::Query(_), _, _) => "query",
            (_, _, Tables::One(_)) => "table",
            _ => "tables",
        }
    }

    /// Why the server does not prepare a statement, and what to do.
    pub async fn refused(&mut self, failure: Failure) -> Error {
        let number = error::number(&failure).unwrap_or_default();
        if error::is_denied(number) {
            return self.denied(failure).await;
        }
        if error::is_missing(number)
            && let Target::Table(name) = &self.from
        {
            let name = name.clone();
            return self.missing(&name).await;
        }
        let error = self.failure(failure);
        match error.kind() {
            Kind::Config => self.selection.section.error(self.culprit(), format!("cannot be read: {error}")),
            _ => error,
        }
    }

    /// The exact statement that grants what is missing.
    async fn denied(&mut self, failure: Failure) -> Error {
        let user = catalog::current_user(self.connection).await.unwrap_or_default();
        let error = self.failure(failure);
        let (Target::Table(table), columns) = (&self.from, &self.selection.columns) else {
            return error
                .hint(format!("An administrator can run GRANT SELECT on the query's tables to {}.", account(&user)));
        };
        let grant = |columns: &str| format!("GRANT SELECT{columns} ON {table} TO {}", account(&user));
        match columns {
            Some(columns) => {
                error.hint(format!("An administrator can run: {}", grant(&format!(" ({})", items(columns)))))
            }
            None => error.hint(format!(
                "An administrator can run: {}. Where the right is to some columns only, name those with `columns`.",
                grant("")
            )),
        }
    }

    async fn missing(&mut self, name: &Name) -> Error {
        let tables = catalog::tables(self.connection, &name.database).await.unwrap_or_default();
        missing(self.selection, &self.name, name, tables.iter().map(|table| table.name.as_str()))
    }

    /// The server's error, and where it was met.
    pub fn failure(&self, failure: Failure) -> Error {
        error::of(failure, Doing::Preparing).at(format!("{}, {}", self.settings.address(), self.name))
    }
}

/// A table that the stream names and the server does not have.
fn missing<'a>(
    selection: &Selection,
    shown: &str,
    name: &Name,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Error {
    let meant = nearest(&name.table, candidates);
    let meant = meant.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
    let key = if matches!(selection.tables, Tables::Many(_)) { "tables" } else { "table" };
    let database = &name.database;
    selection.section.error(key, format!("names `{shown}`, which is no table of database `{database}`{meant}"))
}
