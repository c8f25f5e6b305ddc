//! Documents as they are: the key, and the whole of each as text.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, new_null_array};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType;
use serde_json::Value as Json;

use super::DOCUMENT;
use super::bson::{self, Value};
use super::columns::{Column, Misfit};
use super::json::{self, Fault, Form};
use super::known::Known;
use super::table::{Failure, batch};
use super::{quarantine, schema};
use crate::error::{Error, Result};
use crate::record::{Table, field};

/// The two columns, of which that of the key widens.
pub struct Columns {
    pub table: Arc<Table>,
    key: Option<String>,
    known: Known,
}

impl Columns {
    pub fn of(name: &str, key: Option<&str>, state: &Json) -> Result<Self> {
        let mut known = Known::of(state)?;
        known.keep(key);
        let table = Arc::new(schema::table(name, Vec::new(), None, false));
        let mut this = Self { table, key: key.map(str::to_owned), known };
        this.table = Arc::new(this.next());
        Ok(this)
    }

    pub fn state(&self) -> Result<Json> {
        self.known.state()
    }

    /// Whether the key's column has its type.
    pub fn is_known(&self) -> bool {
        self.key.is_none() || schema::has_columns(&self.known.fields)
    }

    /// Makes the key's column wide enough.
    pub fn observe<'a>(&mut self, documents: impl IntoIterator<Item = &'a [u8]>) -> Result<(), Fault> {
        let (mut is_wider, mut found) = (false, Ok(()));
        for document in documents {
            match self.key_of(document) {
                Ok(Some(value)) => is_wider |= self.known.meet_only(&value),
                Ok(None) => {}
                Err(fault) => {
                    found = Err(fault);
                    break;
                }
            }
        }
        if is_wider {
            self.announce();
        }
        found
    }

    fn key_of<'a>(&self, document: &'a [u8]) -> Result<Option<Value<'a>>, Fault> {
        let Some(key) = &self.key else { return Ok(None) };
        Ok(bson::field(document, key)?)
    }

    fn announce(&mut self) {
        let next = self.next();
        if next != *self.table {
            self.known.tell();
            self.table = Arc::new(self.next());
        }
    }

    fn next(&self) -> Table {
        let key = self.key.as_deref();
        let columns = key.and_then(|_| self.known.column(0, true)).into_iter();
        let document = field::with_others(field::json(&quarantine::beside(key, DOCUMENT)));
        schema::table(&self.table.name, columns.chain([document]).collect(), key, false)
    }

    pub fn rows(&mut self, documents: &[&[u8]]) -> Result<RecordBatch, Failure> {
        let text = text(documents)?;
        let key = match self.keys(documents) {
            Err(Misfit::Wider) => {
                self.observe(documents.iter().copied())?;
                self.keys(documents)
            }
            key => key,
        };
        let key = key.map_err(|misfit| match misfit {
            Misfit::Fault(fault) => fault.into(),
            Misfit::Wider => {
                let table = &self.table.name;
                Failure::from(Error::bug(format!("table {table}: a key does not fit what was made for it")))
            }
        })?;
        batch(&self.table, key.into_iter().chain([text]).collect(), documents.len())
    }

    fn keys(&self, documents: &[&[u8]]) -> Result<Option<ArrayRef>, Misfit> {
        let Some((_, of)) = self.known.fields.at(0) else { return Ok(None) };
        let mut column = Column::of(of);
        for document in documents {
            column.push(&self.key_of(document)?.unwrap_or(Value::Null))?;
        }
        Ok(Some(column.finish()?.unwrap_or_else(|| new_null_array(&DataType::Utf8, documents.len()))))
    }
}

/// Documents as canonical Extended JSON.
fn text(documents: &[&[u8]]) -> Result<ArrayRef, Fault> {
    let room: usize = documents.iter().map(|document| document.len()).sum();
    let mut bytes = Vec::with_capacity(room * 2);
    let mut offsets = Vec::with_capacity(documents.len() + 1);
    offsets.push(0);
    for document in documents {
        json::document(&mut bytes, document, Form::Canonical)?;
        offsets.push(i32::try_from(bytes.len()).map_err(|_| Fault::Large)?);
    }
    let offsets = OffsetBuffer::new(offsets.into());
    Ok(Arc::new(StringArray::try_new(offsets, bytes.into(), None).map_err(|_| Fault::NotText)?))
}
