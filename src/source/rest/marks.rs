//! What is new of each parent, of a stream that follows a cursor.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::children::Parent;
use super::filter::Filter;
use super::incremental::{Incremental, Mark};
use super::sieve::Sieve;
use crate::error::{Error, Result};
use crate::source::cursor::Seen;

/// By parent: up to where its records were delivered, and which of them later runs get again.
#[derive(Debug, Default)]
pub struct Marks(BTreeMap<Parent, Json>);

impl Marks {
    /// Reads what [`Marks::state`] gave.
    pub fn of(state: &Json) -> Result<Self> {
        let broken = || Error::conflict("the parents' marks in the commit log cannot be read");
        let pair = |one: &Json| serde_json::from_value::<(Parent, Json)>(one.clone()).map_err(|_| broken());
        state["parents"].as_array().into_iter().flatten().map(pair).collect::<Result<_>>().map(Self)
    }

    pub fn state(&self) -> Json {
        self.0.iter().map(|(parent, of)| json!([parent, of])).collect()
    }

    /// Up to where a parent's records were delivered.
    pub fn of_parent(&self, parent: &Parent) -> Option<Mark> {
        Some(Mark(self.0.get(parent)?["mark"].as_str()?.to_owned()))
    }

    /// What tells a parent's new records.
    pub fn filter(&self, parent: &Parent, settings: &Incremental) -> Result<Filter> {
        let seen = self.0.get(parent).map_or(Ok(Seen::default()), |of| Seen::of(&of["delivered"]))?;
        Ok(Filter::New(Box::new(Sieve::new(settings.clone(), seen))))
    }

    /// A parent was read to its end, up to its mark.
    pub fn leave(&mut self, parent: &Parent, mark: Option<String>, filter: &Filter) -> Result<()> {
        let (Some(mark), Filter::New(sieve)) = (mark, filter) else { return Ok(()) };
        let delivered = sieve.seen(&Mark(mark.clone()))?.state();
        let of = match delivered.is_null() {
            true => json!({ "mark": mark }),
            false => json!({ "mark": mark, "delivered": delivered }),
        };
        self.0.insert(parent.clone(), of);
        Ok(())
    }

    /// Notes what was delivered besides, when failed requests were asked for again.
    pub fn note(&mut self, parent: &Parent, sieve: &Sieve) -> Result<()> {
        if let Some(of) = self.0.get_mut(parent)
            && let Some(mark) = of["mark"].as_str().map(|mark| Mark(mark.to_owned()))
        {
            of["delivered"] = sieve.seen_besides(&mark)?.state();
        }
        Ok(())
    }

    /// Forgets parents that are no more, where there are more than may be.
    pub fn keep(&mut self, most: usize, parents: &[Parent]) {
        if self.0.len() > most {
            self.0.retain(|parent, _| parents.binary_search(parent).is_ok());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_from_their_state() {
        let mut marks = Marks::default();
        marks.0.insert(vec!["a".to_owned(), "1".to_owned()], json!({ "mark": "2026-01-01" }));
        let state = json!({ "parents": marks.state() });
        let mut again = Marks::of(&state).unwrap();
        assert_eq!(again.of_parent(&vec!["a".to_owned(), "1".to_owned()]).unwrap().0, "2026-01-01");
        again.keep(1, &[]);
        assert_eq!(again.0.len(), 1);
        again.keep(0, &[]);
        assert!(again.0.is_empty());
        assert!(Marks::of(&json!({ "parents": [1] })).is_err());
    }
}
