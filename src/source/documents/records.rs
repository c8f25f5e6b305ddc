//! Records that are built from values: columns by name.

use std::collections::HashMap;

use arrow_array::{ArrayRef, StructArray};
use arrow_buffer::NullBuffer;
use arrow_schema::Fields as ArrowFields;

use super::bson::{Elements, Name, Value};
use super::columns::{Column, Misfit};
use super::fields::Fields;
use super::json::Fault;
use super::schema;
use super::settings::Declared;

/// What a field that is not known is: a column more, if its name is one.
#[cold]
pub fn unknown(name: &[u8]) -> Misfit {
    match std::str::from_utf8(name) {
        Ok(_) => Misfit::Wider,
        Err(_) => Misfit::Fault(Fault::NotText),
    }
}

/// The values of a record's fields.
pub struct Records {
    names: Vec<Name>,
    places: HashMap<Box<[u8]>, usize>,
    columns: Vec<Column>,
    fields: ArrowFields,
    rows: usize,
    misfit: Option<usize>,
}

impl Records {
    pub fn of(fields: &Fields) -> Self {
        let columns = fields.iter().map(|(name, field)| (name, Column::of(field)));
        Self::with(columns, schema::fields(fields))
    }

    /// Of columns that do not widen; these are no record within another.
    pub fn declared(declared: &Declared) -> Self {
        let columns = declared.columns.iter();
        let columns = columns.map(|(name, of)| (name.as_str(), Column::declared(declared.declaration(*of))));
        Self::with(columns, ArrowFields::empty())
    }

    fn with<'a>(columns: impl Iterator<Item = (&'a str, Column)>, fields: ArrowFields) -> Self {
        let (names, columns): (Vec<_>, Vec<_>) = columns.map(|(name, column)| (name.as_bytes(), column)).unzip();
        let places = names.iter().enumerate().map(|(place, name)| (Box::from(*name), place)).collect();
        let names = names.into_iter().map(Name::of).collect();
        Self { names, places, columns, fields, rows: 0, misfit: None }
    }

    pub fn skip(&mut self, rows: usize) {
        self.rows += rows;
    }

    /// Adds a record as the next row. After a misfit there is half a row.
    pub fn add(&mut self, record: &[u8]) -> Result<(), Misfit> {
        self.add_with(record, |name, value| match value.is_null() {
            // A field that has never been anything else is none yet.
            true => Ok(()),
            false => Err(unknown(name)),
        })
    }

    /// The same; `other` is asked about fields that are none of these.
    pub fn add_with(
        &mut self,
        record: &[u8],
        mut other: impl FnMut(&[u8], &Value<'_>) -> Result<(), Misfit>,
    ) -> Result<(), Misfit> {
        self.misfit = None;
        let (mut elements, mut at, row) = (Elements::of(record)?, 0, self.rows);
        loop {
            let (kind, place) = match self.near(&elements, at) {
                Some(place) => (elements.begin_named(&self.names[place])?, place),
                None => {
                    let Some((kind, name)) = elements.begin()? else { break };
                    match self.places.get(name) {
                        Some(place) => (kind, *place),
                        None => {
                            other(name, &elements.value(kind)?)?;
                            continue;
                        }
                    }
                }
            };
            at = place + 1;
            let column = &mut self.columns[place];
            // Of fields of one name the first counts, as it does to the server.
            if column.rows() > row {
                elements.value(kind)?;
                continue;
            }
            column.pad(row);
            if let Err(misfit) = column.push_next(&mut elements, kind) {
                self.misfit = Some(place);
                return Err(misfit);
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Gives the last row fields that it lacks.
    pub fn complete(&mut self, defaults: &[u8]) -> Result<(), Misfit> {
        let (mut elements, row) = (Elements::of(defaults)?, self.rows - 1);
        while let Some((name, value)) = elements.advance()? {
            if value.is_null() {
                continue;
            }
            let place = *self.places.get(name).ok_or(Misfit::Wider)?;
            let column = &mut self.columns[place];
            if column.rows() <= row {
                column.pad(row);
                column.push(&value)?;
            }
        }
        Ok(())
    }

    /// The field that comes next: mostly they come in one order, some of them left out.
    #[inline]
    fn near(&self, elements: &Elements<'_>, at: usize) -> Option<usize> {
        const NEAR: usize = 4;
        let near = self.names.iter().skip(at).take(NEAR).position(|name| elements.is_next(name));
        near.map(|near| at + near)
    }

    /// Makes room for so many rows more.
    pub fn reserve(&mut self, rows: usize) {
        self.columns.iter_mut().for_each(|column| column.reserve(rows));
    }

    /// The columns; they are empty then.
    pub fn arrays(&mut self) -> Result<Vec<ArrayRef>, Fault> {
        let rows = std::mem::take(&mut self.rows);
        let mut arrays = Vec::with_capacity(self.fields.len());
        let mut result = Ok(());
        for column in &mut self.columns {
            column.pad(rows);
            match column.finish() {
                Ok(array) => arrays.extend(array),
                // The others are emptied all the same.
                Err(fault) => result = Err(fault),
            }
        }
        result.map(|()| arrays)
    }

    pub fn finish(&mut self, rows: usize, nulls: Option<NullBuffer>) -> Result<StructArray, Fault> {
        debug_assert_eq!(rows, self.rows);
        let arrays = self.arrays()?;
        StructArray::try_new(self.fields.clone(), arrays, nulls).map_err(|_| Fault::Torn)
    }

    /// Ends a row after a misfit: it has null from there on.
    pub fn end_row(&mut self) {
        self.rows += 1;
    }

    /// Which field the last row's misfit was of; `None` where it was of one that is not known.
    pub fn misfit(&self) -> Option<usize> {
        self.misfit
    }
}
