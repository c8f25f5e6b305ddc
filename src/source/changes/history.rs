//! What each table of a stream is by now in the log, which the log and the chunks share.
//!
//! The log tells changes of tables, but not what they are: that is asked of the catalog once, as of a place in the log that
//! no change of the table lies behind, and altered from there on as the log tells (a log without DDL is compared
//! with the catalog again). Rows of a table of which
//! that is not known are passed over: it is to be read anew, and a snapshot has them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// What is known of a table: `P` is a place in the log, and `K` what a table is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Has<P, K> {
    /// Nothing yet: it is asked for when its snapshot begins. What it was when rows of it came.
    Nothing(Option<K>),
    /// What it is from a place on that the log has not come to.
    From(P, K),
    Known(K),
    /// It is not there.
    Gone,
    /// It is no more among the stream's tables; rows of it may still be at the destination, of when it was this.
    Left(Option<K>),
}

impl<P, K: Clone> Has<P, K> {
    /// What it is, or was last.
    pub fn known(&self) -> Option<K> {
        match self {
            Has::Known(known) | Has::From(_, known) => Some(known.clone()),
            Has::Nothing(known) | Has::Left(known) => known.clone(),
            Has::Gone => None,
        }
    }
}

/// By the stream's names of the tables.
#[derive(Debug)]
pub struct History<P, K>(Arc<Shared<P, K>>);

#[derive(Debug)]
struct Shared<P, K> {
    tables: Mutex<BTreeMap<String, Has<P, K>>>,
    /// Whether there may be any [`Has::From`]: asked for at each transaction.
    may_wait: AtomicBool,
}

impl<P, K> Clone for History<P, K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P, K> Default for History<P, K> {
    fn default() -> Self {
        Self(Arc::new(Shared { tables: Mutex::default(), may_wait: AtomicBool::default() }))
    }
}

impl<P: Clone + Serialize + DeserializeOwned, K: Clone + Serialize + DeserializeOwned> History<P, K> {
    /// Reads what [`History::state`] wrote; empty for a stream that begins.
    pub fn of(state: &Value) -> Result<Self> {
        let tables = match state.get("tables") {
            Some(tables) => serde_json::from_value(tables.clone())
                .map_err(|_| Error::conflict("the state of the last commit is not that of a stream of changes"))?,
            None => BTreeMap::new(),
        };
        Ok(Self(Arc::new(Shared { tables: Mutex::new(tables), may_wait: AtomicBool::new(true) })))
    }

    pub fn state(&self) -> Value {
        json!({ "tables": *self.tables() })
    }

    fn tables(&self) -> MutexGuard<'_, BTreeMap<String, Has<P, K>>> {
        self.0.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, table: &str) -> Option<Has<P, K>> {
        self.tables().get(table).cloned()
    }

    pub fn set(&self, table: &str, has: Has<P, K>) {
        let mut tables = self.tables();
        self.0.may_wait.fetch_or(matches!(has, Has::From(..)), Ordering::AcqRel);
        tables.insert(table.to_owned(), has);
    }

    /// Forgets what a table is: it is to be asked for.
    pub fn forget(&self, table: &str) {
        let mut tables = self.tables();
        let was = tables.get(table).and_then(Has::known);
        tables.insert(table.to_owned(), Has::Nothing(was));
    }

    /// The tables that are there, as far as the log was read.
    pub fn followed(&self) -> Vec<String> {
        let tables = self.tables();
        let is_there = |has: &Has<P, K>| !matches!(has, Has::Gone | Has::Left(_));
        tables.iter().filter(|(_, has)| is_there(has)).map(|(table, _)| table.clone()).collect()
    }

    /// Takes these for the stream's tables. Gives those that are to be read from their beginning, with whether rows of them came
    /// before.
    pub fn take(&self, names: &[String]) -> Vec<(String, bool)> {
        let mut tables = self.tables();
        for (table, has) in tables.iter_mut().filter(|(table, _)| !names.contains(table)) {
            if !matches!(has, Has::Left(_) | Has::Gone) {
                tracing::info!(table, "the table is no longer one of the stream's: what came of it stays as it is");
            }
            *has = Has::Left(has.known());
        }
        let mut new = Vec::new();
        for name in names {
            let before = tables.get(name).cloned();
            if matches!(before, None | Some(Has::Left(_))) {
                tables.insert(name.clone(), Has::Nothing(before.as_ref().and_then(Has::known)));
                new.push((name.clone(), before.is_some()));
            }
        }
        new
    }

    /// Whether what is told of a table is told from a place on that fits.
    pub fn waits_for(&self, fits: impl Fn(&P) -> Result<bool>) -> Result<bool> {
        if !self.0.may_wait.load(Ordering::Acquire) {
            return Ok(false);
        }
        for has in self.tables().values() {
            if let Has::From(place, _) = has
                && fits(place)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is told of tables from a place on, and the log has come to it: that is what they are. Whether there is any.
    pub fn settle(&self, has_come: impl Fn(&P) -> Result<bool>) -> Result<bool> {
        if !self.0.may_wait.load(Ordering::Acquire) {
            return Ok(false);
        }
        let (mut is_any, mut waits) = (false, false);
        let mut tables = self.tables();
        for has in tables.values_mut() {
            let Has::From(place, known) = has else { continue };
            match has_come(place)? {
                true => *has = Has::Known(known.clone()),
                false => waits = true,
            }
            is_any |= !matches!(has, Has::From(..));
        }
        // While nobody else sets any.
        self.0.may_wait.store(waits, Ordering::Release);
        drop(tables);
        Ok(is_any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_come_and_leave_and_come_back() {
        let history = History::<u64, String>::of(&json!({})).unwrap();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(history.take(&names(&["a", "b"])), [("a".to_owned(), false), ("b".to_owned(), false)]);
        history.set("a", Has::Gone);
        assert_eq!(history.take(&names(&["a"])), []);
        let again = History::<u64, String>::of(&history.state()).unwrap();
        assert_eq!((again.get("a"), again.get("b")), (Some(Has::Gone), Some(Has::Left(None))));
        assert_eq!(again.take(&names(&["a", "b"])), [("b".to_owned(), true)]);
        assert!(History::<u64, String>::of(&json!({ "tables": ["a"] })).is_err());
    }
}
