//! What the tables of a stream are from a statement on.

use super::Has;
use super::ddl::{self, Clause, Ddl};
use super::known::Altered;
use super::prepared::Recalled;
use super::reading::{Reading, unfollowed};
use super::statement::Statement;
use super::{read_anew, tables};
use crate::error::{Error, Kind, Result};
use crate::record::change;
use crate::source::changes::Step;
use crate::source::following::begins_anew_where_lost;
use crate::source::mysql::binlog::Query;
use crate::source::mysql::name::Name;

impl Reading {
    pub async fn statement(&mut self, query: &Query<'_>, file: &str, position: u64) -> Result<()> {
        let is_alone = !self.is_in_block;
        match Statement::of_query(query) {
            Statement::Begin => {
                (self.is_between, self.is_in_block) = (false, true);
                return Ok(());
            }
            Statement::Rollback => {
                self.back(None)?;
                return self.end(file, position);
            }
            Statement::End => return self.end(file, position),
            Statement::Xa(id) => {
                (self.is_between, self.is_in_block, self.xa) = (false, true, Some(id));
                return Ok(());
            }
            Statement::XaEnd { id, is_committed } => return self.decided(&id, is_committed, file, position),
            Statement::Within => return Ok(()),
            Statement::Savepoint(name) => {
                self.undo.savepoint(&name, &self.captured);
                return Ok(());
            }
            Statement::Back(name) => return self.back(Some(&name)),
            Statement::Change => self.of_statement(query)?,
            Statement::Call if self.concerns_us(query) => {
                return Err(unfollowed("a change by a function, of a session with `binlog_format = STATEMENT`,"));
            }
            Statement::Define(_) if self.is_half => {}
            Statement::Define(None) if self.names_one(query, |has| !matches!(has, Has::Nothing(_))).is_some() => {
                return Err(unfollowed("a statement that may define a table of the stream, and is not known"));
            }
            Statement::Define(Some(ddl)) => {
                self.gathered()?;
                self.define(ddl)?;
            }
            Statement::Call | Statement::Nothing | Statement::Define(None) => {}
        }
        // A DDL is a transaction of its own, without a word at its end.
        if is_alone { self.end(file, position) } else { Ok(()) }
    }

    /// What the tables are from here on.
    fn define(&mut self, ddl: Ddl) -> Result<()> {
        self.forget_maps();
        self.is_news = true;
        match ddl {
            Ddl::Nothing => {}
            Ddl::Truncate(table) => {
                if let Some(at) = self.place_of(&table.database, &table.table) {
                    self.emptied(at)?;
                }
            }
            Ddl::Create { table, is_optional } => {
                let Some(at) = self.place_of(&table.database, &table.table) else {
                    self.comes(&table);
                    return Ok(());
                };
                if !(is_optional && matches!(self.has(at), Some(Has::Known(_)))) {
                    self.is_another(at)?;
                }
            }
            Ddl::Drop(tables) => tables.iter().try_for_each(|table| self.leaves(table))?,
            Ddl::DropDatabase(database) => {
                let all: Vec<_> = self.names.iter().map(|(_, name)| name.clone()).collect();
                let of_it = all.iter().filter(|name| self.asker.is_same(&name.database, &database));
                of_it.cloned().collect::<Vec<_>>().iter().try_for_each(|table| self.leaves(table))?;
            }
            Ddl::Rename(renames) => renames.iter().try_for_each(|(from, to)| self.renamed(from, to))?,
            Ddl::Alter { table, clauses } => self.altered(&table, &clauses)?,
        }
        Ok(())
    }

    fn altered(&mut self, table: &Name, clauses: &[Clause]) -> Result<()> {
        for clause in clauses {
            if let Clause::Rename(to) = clause {
                return self.renamed(table, to);
            }
        }
        for clause in clauses {
            if let Clause::Exchanges(other) = clause
                && let Some(at) = self.place_of(&other.database, &other.table)
            {
                self.is_another(at)?;
            }
        }
        let Some(at) = self.place_of(&table.database, &table.table) else { return Ok(()) };
        let Some(Has::Known(known)) = self.has(at) else { return Ok(()) };
        match known.altered(clauses) {
            Altered::Known(new) if new == known => {}
            Altered::Known(new) => {
                self.captured[at] = None;
                self.history.set(&self.names[at].0, Has::Known(new));
            }
            Altered::Rewritten => self.is_another(at)?,
        }
        Ok(())
    }

    fn renamed(&mut self, from: &Name, to: &Name) -> Result<()> {
        self.leaves(from)?;
        match self.place_of(&to.database, &to.table) {
            Some(at) => self.is_another(at),
            None => {
                self.comes(to);
                Ok(())
            }
        }
    }

    /// A table that is none of the stream's by now.
    fn comes(&self, table: &Name) {
        let (stream, database) = (&self.asker.stream, &self.asker.settings.database);
        if stream.following.goes_on && tables::is_matched(&stream.selection, table, database) {
            let table = table.display(database);
            tracing::warn!(stream = %stream.id, table, "a table came that `tables` matches: a run that begins from now on reads it");
        }
    }

    /// What a transaction changed that was prepared long ago is not to be had: by `on_lost` all tables are read anew from behind its
    /// commit, or that is an error.
    pub fn lose(&mut self, error: Error, recalled: &Recalled) -> Result<()> {
        if error.kind() != Kind::Lost || !begins_anew_where_lost(&self.asker.stream.selection.section)? {
            return Err(error);
        }
        tracing::warn!(stream = %self.asker.stream.id, "{}", read_anew(&error));
        self.forget_maps();
        for at in 0..self.names.len() {
            if let Some(Has::Known(_)) = self.has(at) {
                self.is_another(at)?;
            }
        }
        self.is_news = true;
        self.end(&recalled.file, recalled.position)
    }

    /// There is no table of this name any more.
    fn leaves(&mut self, table: &Name) -> Result<()> {
        let Some(at) = self.place_of(&table.database, &table.table) else { return Ok(()) };
        if let Some(Has::Known(_)) = self.has(at) {
            self.emptied(at)?;
            self.captured[at] = None;
            self.history.set(&self.names[at].0, Has::Gone);
        }
        Ok(())
    }

    /// The rows that are there are others, or have other values: the log does not tell them, a snapshot does.
    fn is_another(&mut self, at: usize) -> Result<()> {
        let table = self.names[at].0.clone();
        match self.has(at) {
            // It is to be asked for yet, or what was asked is of a place that is still to come.
            Some(Has::Nothing(_) | Has::From(..)) => return Ok(()),
            Some(Has::Known(_)) => self.emptied(at)?,
            Some(Has::Gone | Has::Left(_)) | None => {}
        }
        tracing::info!(table, position = self.moment.position, "the table is another one: it is read anew");
        self.captured[at] = None;
        self.history.set(&table, Has::Nothing(None));
        self.ready.push_back(Step::Anew(table));
        Ok(())
    }

    pub fn has(&self, at: usize) -> Option<Has> {
        self.history.get(&self.names[at].0)
    }

    /// All rows of a table went.
    fn emptied(&mut self, at: usize) -> Result<()> {
        let Some(Has::Known(known)) = self.has(at) else { return Ok(()) };
        let table = match &self.captured[at] {
            Some(captured) => captured.table.clone(),
            None => self.asker.captured(&self.names[at], &known)?.table,
        };
        let rows = change::truncate(&table, self.moment.committed_at, &self.moment.position)?;
        self.ready.push_back(Step::Rows(rows));
        Ok(())
    }

    /// A change of which there is only the statement. One of a table that is to be read anew is in what is read then.
    fn of_statement(&mut self, query: &Query<'_>) -> Result<()> {
        if !self.concerns_us(query) {
            return Ok(());
        }
        let is_known = |has: &Has| matches!(has, Has::Known(_));
        let table = match ddl::inserted(&query.text(), &query.database(), query.escapes()) {
            // Whatever else it names is only read.
            Some(into) => {
                self.place_of(&into.database, &into.table).filter(|at| self.has(*at).as_ref().is_some_and(is_known))
            }
            None => self.names_one(query, is_known),
        };
        if let Some((table, _)) = table.map(|at| &self.names[at]) {
            let message = format!(
                "a change of a session with `binlog_format = STATEMENT`, of table {table} perhaps, cannot be followed"
            );
            let stream = &self.asker.stream.selection.name;
            return Err(Error::schema(message).hint(format!(
                "Run `tidemark run {stream} --snapshot {table}`, which reads it anew, and have such sessions keep binlog_format = ROW."
            )));
        }
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!(
                stream = %self.asker.stream.id,
                position = self.moment.position,
                "a session with `binlog_format = STATEMENT` changes tables beside the stream's: what it changes in these by triggers, \
                 views or foreign keys, without naming them, is not seen"
            );
        }
        Ok(())
    }

    /// Whether a statement may change a database of the stream: as MySQL says, or else by what it names.
    fn concerns_us(&self, query: &Query<'_>) -> bool {
        let (sql, database, touched) = (query.text().to_lowercase(), query.database(), query.touched());
        self.names.iter().any(|(_, name)| match &touched {
            Some(touched) => touched.iter().any(|touched| self.asker.is_same(touched, &name.database)),
            None => self.asker.is_same(&database, &name.database) || sql.contains(&name.database.to_lowercase()),
        })
    }

    /// The first of the tables of which this is known and whose name is in a statement that may mean them.
    fn names_one(&self, query: &Query<'_>, is_it: impl Fn(&Has) -> bool) -> Option<usize> {
        let (sql, database) = (query.text().to_lowercase(), query.database());
        let mut named = self.names.iter().enumerate().filter(|(at, (_, name))| {
            let is_there = self.asker.is_same(&name.database, &database) || sql.contains(&name.database.to_lowercase());
            is_there && sql.contains(&name.table.to_lowercase()) && self.has(*at).is_some_and(|has| is_it(&has))
        });
        named.next().map(|(at, _)| at)
    }

    /// Which of the tables that are read it is.
    pub fn place_of(&self, database: &str, table: &str) -> Option<usize> {
        let is_it =
            |name: &Name| self.asker.is_same(&name.database, database) && self.asker.is_same(&name.table, table);
        self.names.iter().position(|(_, name)| is_it(name))
    }
}
