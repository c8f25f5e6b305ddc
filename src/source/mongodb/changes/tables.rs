//! The stream's tables as log and chunks know them: what their documents have been like so far.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::pending::Pending;
use crate::error::{Error, Result};
use crate::record::change::{self, Changes};
use crate::record::{Rows, Table};
use crate::source::Selection;
use crate::source::documents::{Built, Documents};
use crate::source::mongodb::shape;

/// By the names of collections.
#[derive(Clone)]
pub struct Tables(Arc<Shared>);

struct Shared {
    selection: Arc<Selection>,
    tables: Mutex<BTreeMap<String, Known>>,
}

/// What is kept of a table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// See [`Documents::state`].
    #[serde(default)]
    documents: Value,
    /// It is no more among the stream's; its rows stay where they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    left: bool,
}

struct Known {
    documents: Documents,
    /// The table of its changes; of which own table it was made.
    changes: Option<(Arc<Table>, Arc<Table>)>,
    left: bool,
}

impl Tables {
    /// Reads what [`Tables::state`] wrote; empty for a stream that begins.
    pub fn of(selection: &Arc<Selection>, state: &Value) -> Result<Self> {
        let odd = |_| Error::conflict("the state of the last commit is not that of a change stream of MongoDB");
        let kept: BTreeMap<String, Kept> = match state.get("collections") {
            Some(kept) => serde_json::from_value(kept.clone()).map_err(odd)?,
            None => BTreeMap::new(),
        };
        let mut tables = BTreeMap::new();
        for (name, kept) in kept {
            let documents = documents(selection, &name, &kept.documents)?;
            tables.insert(name, Known { documents, changes: None, left: kept.left });
        }
        Ok(Self(Arc::new(Shared { selection: selection.clone(), tables: Mutex::new(tables) })))
    }

    pub fn state(&self) -> Result<Value> {
        let mut kept = BTreeMap::new();
        for (name, known) in self.tables().iter() {
            kept.insert(name.clone(), Kept { documents: known.documents.state()?, left: known.left });
        }
        Ok(json!({ "collections": kept }))
    }

    fn tables(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.0.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes these for the stream's tables. Gives those that are to be read from their beginning, with whether rows of them came
    /// before.
    pub fn take(&self, names: &[String]) -> Result<Vec<(String, bool)>> {
        let mut tables = self.tables();
        for (table, known) in tables.iter_mut().filter(|(table, _)| !names.contains(table)) {
            if !std::mem::replace(&mut known.left, true) {
                tracing::info!(
                    table,
                    "the collection is no longer one of the stream's: what came of it stays as it is"
                );
            }
        }
        let mut new = Vec::new();
        for name in names {
            let was_there = match tables.get_mut(name) {
                Some(known) if !known.left => continue,
                Some(known) => {
                    known.left = false;
                    true
                }
                None => {
                    tables.insert(name.clone(), Known::of(&self.0.selection, name)?);
                    false
                }
            };
            new.push((name.clone(), was_there));
        }
        Ok(new)
    }

    /// The names of those that are the stream's.
    pub fn followed(&self) -> Vec<String> {
        let tables = self.tables();
        tables.iter().filter(|(_, known)| !known.left).map(|(name, _)| name.clone()).collect()
    }

    /// Takes one that a pattern matched while the log was read; whether it was the stream's before.
    pub fn add(&self, name: &str) -> Result<bool> {
        let mut tables = self.tables();
        match tables.get_mut(name) {
            Some(known) => Ok(std::mem::take(&mut known.left)),
            None => {
                tables.insert(name.to_owned(), Known::of(&self.0.selection, name)?);
                Ok(false)
            }
        }
    }

    /// Forgets one of which nothing is left.
    pub fn forget(&self, name: &str) {
        self.tables().remove(name);
    }

    /// The names of all that there were, those that left included.
    pub fn known(&self) -> Vec<String> {
        self.tables().keys().cloned().collect()
    }

    /// What is known of a table's documents, where that is nothing: from some of them.
    pub fn seed(&self, name: &str, known: &Value) -> Result<()> {
        let mut tables = self.tables();
        if let Some(table) = tables.get_mut(name)
            && table.documents.state()? == documents(&self.0.selection, name, &Value::Null)?.state()?
        {
            table.documents = documents(&self.0.selection, name, known)?;
            table.changes = None;
        }
        Ok(())
    }

    /// The table of a table's changes, as it is by now.
    pub fn table(&self, name: &str) -> Result<Arc<Table>> {
        self.with(name, Known::table)
    }

    /// How many rows a batch of a table may have.
    pub fn most_rows(&self, name: &str) -> Result<usize> {
        self.with(name, |known| Ok(known.documents.most_rows()))
    }

    /// The rows of what has come of a table.
    pub fn rows(&self, name: &str, pending: &Pending) -> Result<Vec<Rows>> {
        self.with(name, |known| known.rows(pending))
    }

    fn with<T>(&self, name: &str, then: impl FnOnce(&mut Known) -> Result<T>) -> Result<T> {
        let mut tables = self.tables();
        let known = tables.get_mut(name);
        then(known.ok_or_else(|| Error::bug(format!("{name} is none of the stream's collections")))?)
    }
}

impl Known {
    fn of(selection: &Selection, name: &str) -> Result<Self> {
        Ok(Self { documents: documents(selection, name, &Value::Null)?, changes: None, left: false })
    }

    fn table(&mut self) -> Result<Arc<Table>> {
        let own = self.documents.table();
        if let Some((_, table)) = self.changes.as_ref().filter(|(of, _)| Arc::ptr_eq(of, own)) {
            return Ok(table.clone());
        }
        let table = Arc::new(change::table(own)?);
        self.changes = Some((own.clone(), table.clone()));
        Ok(table)
    }

    fn rows(&mut self, pending: &Pending) -> Result<Vec<Rows>> {
        let group = pending.documents();
        let Built { batch, refused } = self.documents.rows(&group)?;
        let (table, own) = (self.table()?, self.documents.table().clone());
        let is_refused = |row: &usize| refused.iter().any(|refused| refused.row == *row);
        let taken = (0..group.len()).filter(|row| refused.is_empty() || !is_refused(row));
        let mut all = vec![changes(pending, taken, &own).finish(&table, &batch)?];
        if let Some(beside) = self.documents.quarantine_table().cloned().filter(|_| !refused.is_empty()) {
            let batch = self.documents.quarantine(&group, &refused)?;
            let table = Arc::new(change::table(&beside)?);
            tracing::warn!(
                table = table.name,
                documents = refused.len(),
                "documents do not fit what is declared: they are in the quarantine"
            );
            all.push(changes(pending, refused.iter().map(|refused| refused.row), &beside).finish(&table, &batch)?);
        }
        Ok(all)
    }
}

/// What happened to some of the rows, of a table with these columns.
fn changes(pending: &Pending, rows: impl Iterator<Item = usize>, own: &Table) -> Changes {
    let mut changes = Changes::default();
    let columns = || own.schema.fields().iter().map(|field| field.name().as_str());
    for row in rows.filter_map(|row| pending.rows().get(row)) {
        let unchanged = row.sent.as_ref().map(|sent| columns().filter(|name| !sent.contains(*name)));
        changes.push(row.op, row.committed_at, &row.position, unchanged.into_iter().flatten());
    }
    changes
}

fn documents(selection: &Selection, name: &str, known: &Value) -> Result<Documents> {
    Documents::of(&selection.output_name(name), shape::settings(selection)?, known)
}
