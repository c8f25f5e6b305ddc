//! A table whose columns are found as its documents come.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, new_null_array};
use arrow_buffer::NullBufferBuilder;
use arrow_schema::{DataType, Field as ArrowField, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::bson::{Elements, Value};
use super::columns::{Misfit, Records};
use super::fields::Fields;
use super::json::{self, Fault, Form};
use super::schema;
use super::shape::{Room, Shape};
use crate::error::{Error, Result};
use crate::record::{Table, field};
use crate::source::BATCH_ROWS;

/// What a stream says of its documents.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The field that tells documents apart.
    pub key: Option<String>,
    /// These are columns in this order, whether or not any document has them; where empty, those that come.
    pub named: Vec<String>,
    /// A document of what stands where one has no such field.
    pub defaults: Option<Vec<u8>>,
    /// More columns than this are not made.
    pub most_columns: usize,
}

/// The fields that have no column of their own, as a JSON object.
pub const REST: &str = "_rest";

/// What has come so far; kept from run to run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    fields: Fields,
    /// Some fields have found no room for a column.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rest: bool,
}

/// The table, as its documents were so far.
pub struct Documents {
    settings: Settings,
    known: Known,
    table: Arc<Table>,
    records: Records,
}

/// What a batch is short of.
enum Short {
    /// From this document on, the columns have to be wider.
    Wider(usize),
    Failed(Error),
}

impl Documents {
    /// `state` is what [`Documents::state`] gave, of documents that came before.
    pub fn of(name: &str, settings: Settings, state: &Json) -> Result<Self> {
        let mut known = match state {
            Json::Null => Known::default(),
            state => Known::deserialize(state)
                .map_err(|_| Error::conflict("the state of the last commit is not that of documents"))?,
        };
        for name in &settings.named {
            known.fields.entry(name);
        }
        let mut documents = Self {
            table: Arc::new(Table::new(name, Arc::new(Schema::empty()), Vec::new())),
            records: Records::of(&known.fields),
            known,
            settings,
        };
        if let Some(defaults) = documents.settings.defaults.clone() {
            documents.widen(&defaults).map_err(|fault| documents.fault(fault, None))?;
        }
        documents.announce();
        Ok(documents)
    }

    pub fn state(&self) -> Result<Json> {
        serde_json::to_value(&self.known).map_err(|e| Error::bug(e.to_string()))
    }

    /// The table as it is by now.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// How many documents a batch may have: columns that most of them lack take room too.
    pub fn most_rows(&self) -> usize {
        const ROOM: usize = 8 << 20;
        (ROOM / (8 * self.known.fields.columns().max(1))).clamp(64, BATCH_ROWS)
    }

    /// Makes the columns wide enough for documents, without reading them.
    pub fn observe<'a>(&mut self, documents: impl IntoIterator<Item = &'a [u8]>) -> Result<()> {
        let mut is_wider = false;
        for document in documents {
            is_wider |= self.widen(document).map_err(|fault| self.fault(fault, None))?;
        }
        if is_wider {
            self.announce();
        }
        Ok(())
    }

    /// The rows of documents. They are of [`Documents::table`], which may be another one than before.
    pub fn rows(&mut self, documents: &[&[u8]]) -> Result<RecordBatch> {
        let mut wide_from = None;
        loop {
            match self.build(documents) {
                Ok(batch) => return Ok(batch),
                Err(Short::Failed(error)) => return Err(error),
                // Those before it have fitted.
                Err(Short::Wider(from)) if wide_from.is_none() => {
                    self.observe(documents[from..].iter().copied())?;
                    wide_from = Some(from);
                }
                Err(Short::Wider(from)) => {
                    let table = &self.table.name;
                    return Err(Error::bug(format!(
                        "table {table}: document {from} of a batch does not fit what was made for it"
                    )));
                }
            }
        }
    }

    fn build(&mut self, documents: &[&[u8]]) -> Result<RecordBatch, Short> {
        let mut rest = Rest::default();
        let Self { records, known, settings, .. } = self;
        let mut built = Ok(());
        for (row, document) in documents.iter().enumerate() {
            let other = |name: &[u8], value: &Value<'_>| match known.rest {
                true => rest.add(row, name, value),
                false => Err(Misfit::Wider),
            };
            let added = records.add_with(document, other);
            let added =
                added.and_then(|()| settings.defaults.as_ref().map_or(Ok(()), |defaults| records.complete(defaults)));
            if let Err(misfit) = added {
                built = Err((row, misfit));
                break;
            }
        }
        if let Err((row, misfit)) = built {
            self.records = Records::of(&self.known.fields);
            return Err(match misfit {
                Misfit::Wider => Short::Wider(row),
                Misfit::Fault(fault) => Short::Failed(self.fault(fault, None)),
            });
        }
        self.finish(documents.len(), rest).map_err(Short::Failed)
    }

    fn finish(&mut self, rows: usize, rest: Rest) -> Result<RecordBatch> {
        let arrays = self.records.arrays().map_err(|(_, place)| {
            let name = self.known.fields.iter().nth(place).map(|(name, _)| name.to_owned());
            self.fault(Fault::NotText, name)
        })?;
        let mut arrays = arrays.into_iter();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.table.schema.fields().len());
        for (name, field) in self.known.fields.iter() {
            if field.shape != Shape::Nothing {
                columns.extend(arrays.next());
            } else if self.settings.named.iter().any(|named| named == name) {
                columns.push(new_null_array(&DataType::Utf8, rows));
            }
        }
        if self.known.rest {
            columns.push(rest.finish(rows).map_err(|fault| self.fault(fault, None))?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.table.schema.clone(), columns, &options)
            .map_err(|e| Error::bug(format!("table {}: {e}", self.table.name)))
    }

    /// Widens what is known for a document. Whether that made it another one.
    fn widen(&mut self, document: &[u8]) -> Result<bool, Fault> {
        let Self { settings, known: Known { fields, rest }, .. } = self;
        let columns = settings.most_columns.saturating_sub(fields.columns());
        // Who has found no room once finds none later: it would be a column that some documents have and others have not.
        let mut room = Room { columns, fields: if *rest { 0 } else { usize::MAX } };
        let (mut elements, mut at, mut is_wider) = (Elements::of(document)?, 0, false);
        while let Some((name, value)) = elements.advance()? {
            let Some(place) = fields.place(name, &mut at, &room)? else {
                if !value.is_null() {
                    is_wider |= !std::mem::replace(rest, true);
                    room.fields = 0;
                }
                continue;
            };
            is_wider |= match &settings.key {
                Some(key) if key.as_bytes() == name => fields.meet_key_at(place, &value, &mut room),
                _ => fields.meet_at(place, &value, 0, &mut room)?,
            };
        }
        Ok(is_wider)
    }

    /// Makes the table of what is known.
    fn announce(&mut self) {
        let named = |name: &str| self.settings.named.iter().any(|named| named == name);
        let column =
            |(name, of)| schema::of(name, of).or_else(|| named(name).then(|| field::nullable(name, DataType::Utf8)));
        let mut columns: Vec<ArrowField> = self.known.fields.iter().filter_map(column).collect();
        if self.known.rest {
            columns.push(field::json(REST));
        }
        let key = self.settings.key.iter().filter(|key| columns.iter().any(|column| column.name() == *key));
        let key = key.cloned().collect();
        self.table = Arc::new(Table::new(self.table.name.clone(), Arc::new(Schema::new(columns)), key));
        self.records = Records::of(&self.known.fields);
    }

    fn fault(&self, fault: Fault, field: Option<String>) -> Error {
        let table = &self.table.name;
        let of = field.map(|field| format!(", field {field}")).unwrap_or_default();
        match fault {
            Fault::Torn => Error::data(format!("table {table}{of}: a document is not BSON")),
            Fault::NotText => Error::data(format!("table {table}{of}: a text is not UTF-8"))
                .hint("Mend it in the source, or leave the field out with `exclude_columns`."),
        }
    }
}

/// The column of what has no column of its own.
#[derive(Default)]
struct Rest {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    valid: Option<NullBufferBuilder>,
    /// The row whose object is open.
    row: Option<usize>,
}

impl Rest {
    fn add(&mut self, row: usize, name: &[u8], value: &Value<'_>) -> Result<(), Misfit> {
        if self.row != Some(row) {
            self.up_to(row)?;
            self.row = Some(row);
            self.bytes.push(b'{');
        } else {
            self.bytes.push(b',');
        }
        json::string(&mut self.bytes, name)?;
        self.bytes.push(b':');
        Ok(json::value(&mut self.bytes, value, Form::Relaxed)?)
    }

    /// Ends the object that is open, and leaves the rows before this one empty.
    fn up_to(&mut self, row: usize) -> Result<(), Fault> {
        let valid = self.valid.get_or_insert_with(|| NullBufferBuilder::new(0));
        if self.row.take().is_some() {
            self.bytes.push(b'}');
            self.ends.push(i32::try_from(self.bytes.len()).map_err(|_| Fault::Torn)?);
            valid.append_non_null();
        }
        let empty = row - self.ends.len();
        valid.append_n_nulls(empty);
        self.ends.extend(std::iter::repeat_n(self.bytes.len() as i32, empty));
        Ok(())
    }

    fn finish(mut self, rows: usize) -> Result<ArrayRef, Fault> {
        self.up_to(rows)?;
        let offsets: Vec<i32> = std::iter::once(0).chain(self.ends).collect();
        let nulls = self.valid.and_then(|mut valid| valid.finish());
        let offsets = arrow_buffer::OffsetBuffer::new(offsets.into());
        let array = StringArray::try_new(offsets, self.bytes.into(), nulls).map_err(|_| Fault::NotText)?;
        Ok(Arc::new(array))
    }
}
