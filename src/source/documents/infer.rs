//! Columns that are found as documents come, and those that are declared beside them.

use std::sync::Arc;

use arrow_array::{ArrayRef, new_null_array};
use arrow_schema::{DataType, Field as ArrowField};
use serde_json::Value as Json;

use super::bson::{Elements, Value};
use super::columns::Misfit;
use super::json::Fault;
use super::known::Known;
use super::quarantine::Refused;
use super::records::{self, Records};
use super::rest::Rest;
use super::settings::{OnMisfit, Settings};
use super::shape::{Field, Shape};
use super::table::{Built, Failure, batch};
use super::{REST, declared, schema};
use crate::error::{Error, Result};
use crate::record::{Table, field};

/// The columns, as wide as the documents so far.
pub struct Columns {
    known: Known,
    pub table: Arc<Table>,
    records: Records,
    /// What earlier documents had is known.
    pub is_known: bool,
    /// There have been rows without anything in a column.
    is_bare: bool,
}

impl Columns {
    pub fn of(name: &str, settings: &Settings, state: &Json) -> Result<Self> {
        let mut known = Known::of(state)?;
        let is_known = schema::has_columns(&known.fields) || known.rest;
        for name in settings.named.iter().chain(&settings.order).filter(|name| *name != REST) {
            known.fields.entry(name);
        }
        if let Some(declared) = settings.schema.declared() {
            declared.check(name, true)?;
            for (name, of) in &declared.columns {
                *known.fields.entry(name) = Field::declared(declared.declaration(*of));
            }
        }
        let (table, records) = (schema::table(name, Vec::new(), None, true), Records::of(&known.fields));
        let mut this = Self { known, table: Arc::new(table), records, is_known, is_bare: false };
        this.table = Arc::new(this.next(settings));
        Ok(this)
    }

    /// The same, with room for what documents lack, whatever else has columns.
    pub fn with_defaults(mut self, defaults: &[u8], settings: &Settings) -> Result<Self, Failure> {
        let mut elements = Elements::of(defaults).map_err(Fault::from)?;
        while let Some((name, value)) = elements.advance().map_err(Fault::from)? {
            if !value.is_null() {
                self.known.fields.entry(std::str::from_utf8(name).map_err(|_| Fault::NotText)?);
            }
        }
        self.known.widen(defaults, settings)?;
        self.records = Records::of(&self.known.fields);
        let is_told = self.records.add_with(defaults, |_, _| Ok(()));
        if let (Err(Misfit::Wider), Some(reason)) = (is_told, self.reason(defaults)) {
            let table = &self.table.name;
            return Err(Error::config(format!("table {table}: a default does not fit: {reason}")).into());
        }
        Ok(self)
    }

    pub fn state(&self) -> Result<Json> {
        self.known.state()
    }

    /// How many there are, where records are flat.
    pub fn count(&self) -> usize {
        self.known.fields.columns()
    }

    /// Makes the columns wide enough for documents, and for their defaults.
    pub fn observe<'a>(
        &mut self,
        documents: impl IntoIterator<Item = &'a [u8]>,
        settings: &Settings,
    ) -> Result<(), Fault> {
        let (mut is_wider, mut widened) = (false, Ok(()));
        for document in documents {
            match self.known.widen(document, settings) {
                Ok(this) => is_wider |= this,
                // Half of it is known by now.
                Err(fault) => {
                    (is_wider, widened) = (true, Err(fault));
                    break;
                }
            }
        }
        if is_wider {
            self.announce(settings);
        }
        widened
    }

    /// Makes the table of what is known. It stays the very same where nothing but the source's own types would be others: each table
    /// begins new files.
    pub fn announce(&mut self, settings: &Settings) {
        self.records = Records::of(&self.known.fields);
        let next = self.next(settings);
        if next != *self.table {
            self.known.tell();
            self.table = Arc::new(self.next(settings));
        }
    }

    fn next(&self, settings: &Settings) -> Table {
        let names = self.known.fields.iter().enumerate();
        let mut columns: Vec<ArrowField> =
            names.filter_map(|(place, (name, _))| self.known.column(place, self.is_named(name, settings))).collect();
        if self.known.rest {
            columns.push(field::with_others(field::json(REST)));
        }
        schema::table(&self.table.name, columns, settings.key.as_deref(), true)
    }

    /// Whether a field is a column though no document has had anything there.
    fn is_named(&self, name: &str, settings: &Settings) -> bool {
        let is_in = |names: &[String]| names.iter().any(|named| named == name);
        let is_bare = || self.is_bare && !self.known.rest && !schema::has_columns(&self.known.fields);
        is_in(&settings.named) || (is_in(&settings.order) && is_bare())
    }

    /// The rows of documents, of [`Columns::table`] as it is then, without those that are refused.
    pub fn rows(&mut self, documents: &[&[u8]], settings: &Settings) -> Result<Built, Failure> {
        let mut wide_from = None;
        loop {
            let (row, misfit) = match self.build(documents, settings) {
                Ok((rest, refused)) => return self.finish(documents.len(), (rest, refused), settings),
                Err(misfit) => misfit,
            };
            self.records = Records::of(&self.known.fields);
            match (misfit, wide_from) {
                (Misfit::Fault(fault), _) => return Err(fault.into()),
                // Those before it have fitted.
                (Misfit::Wider, None) => {
                    self.observe(documents[row..].iter().copied(), settings)?;
                    wide_from = Some(row);
                }
                (Misfit::Wider, Some(_)) => {
                    let table = &self.table.name;
                    let message = format!("table {table}: document {row} of a batch does not fit what was made for it");
                    return Err(Error::bug(message).into());
                }
            }
        }
    }

    /// Adds documents to the columns, and tells those that do not fit into one that is declared; any other misfit is of the document of that
    /// number, and leaves the columns half full.
    fn build(&mut self, documents: &[&[u8]], settings: &Settings) -> Result<(Rest, Vec<Refused>), (usize, Misfit)> {
        let (mut rest, mut refused) = (Rest::default(), Vec::new());
        self.records.reserve(documents.len());
        for (row, document) in documents.iter().enumerate() {
            let known = &self.known;
            let other = |name: &[u8], value: &Value<'_>| match value.is_null() {
                true => Ok(()),
                false if known.has_in_rest(name) => Ok(rest.add(row, name, value)?),
                false => Err(records::unknown(name)),
            };
            let added = self.records.add_with(document, other).and_then(|()| match &settings.defaults {
                Some(defaults) => self.records.complete(defaults),
                None => Ok(()),
            });
            match added {
                Ok(()) => {}
                Err(Misfit::Wider) => match self.reason(document) {
                    Some(reason) => {
                        refused.push(Refused { row, reason });
                        self.records.end_row();
                    }
                    None => return Err((row, Misfit::Wider)),
                },
                Err(fault) => return Err((row, fault)),
            }
        }
        Ok((rest, refused))
    }

    /// Why the last row does not fit, where that is for a column that is declared.
    fn reason(&self, document: &[u8]) -> Option<String> {
        let (name, field) = self.known.fields.at(self.records.misfit()?)?;
        Some(declared::reason(name, field.declared?, document))
    }

    fn finish(
        &mut self,
        rows: usize,
        (rest, refused): (Rest, Vec<Refused>),
        settings: &Settings,
    ) -> Result<Built, Failure> {
        let fails = settings.schema.declared().is_some_and(|declared| declared.on_misfit == OnMisfit::Fail);
        if let Some(Refused { reason, .. }) = refused.first().filter(|_| fails) {
            self.records = Records::of(&self.known.fields);
            return Err(declared::misfit(&self.table.name, reason).into());
        }
        if self.table.schema.fields().is_empty() && !settings.order.is_empty() {
            self.is_bare = true;
            self.table = Arc::new(self.next(settings));
        }
        let mut arrays = self.records.arrays()?.into_iter();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.table.schema.fields().len());
        for (name, field) in self.known.fields.iter() {
            if field.shape != Shape::Nothing {
                columns.extend(arrays.next());
            } else if self.is_named(name, settings) {
                columns.push(new_null_array(&DataType::Utf8, rows));
            }
        }
        if self.known.rest {
            columns.push(rest.finish(rows)?);
        }
        Ok(Built::without(batch(&self.table, columns, rows)?, refused)?)
    }
}
