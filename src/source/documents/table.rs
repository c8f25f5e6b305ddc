//! A table of documents.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_select::filter::filter_record_batch;
use serde_json::Value as Json;

use super::json::{DEEPEST, Fault};
use super::quarantine::{self, Refused};
use super::settings::{InvalidText, OnMisfit, Schema, Settings};
use super::{REST, bson, declared, infer, mend, whole};
use crate::error::{Error, Result};
use crate::record::{Rows, Table};
use crate::source::BATCH_ROWS;

/// A table whose rows are documents, as its settings say.
pub struct Documents {
    name: String,
    settings: Settings,
    columns: Columns,
    quarantine: Option<Arc<Table>>,
}

enum Columns {
    Infer(infer::Columns),
    Declared(declared::Columns),
    Document(whole::Columns),
}

/// Rows of documents.
#[derive(Debug, Clone)]
pub struct Built {
    /// Of [`Documents::table`], in the order of the documents, without those that are refused.
    pub batch: RecordBatch,
    /// Documents that are no rows, in their order. Only where columns are declared and misfits go to the quarantine.
    pub refused: Vec<Refused>,
}

impl From<RecordBatch> for Built {
    fn from(batch: RecordBatch) -> Self {
        Self { batch, refused: Vec::new() }
    }
}

impl Built {
    /// Of a batch in which rows that are refused stand too.
    pub fn without(batch: RecordBatch, refused: Vec<Refused>) -> Result<Self> {
        if refused.is_empty() {
            return Ok(batch.into());
        }
        let mut kept = vec![true; batch.num_rows()];
        refused.iter().for_each(|refused| kept[refused.row] = false);
        let batch = filter_record_batch(&batch, &BooleanArray::from(kept)).map_err(|e| Error::bug(e.to_string()))?;
        Ok(Self { batch, refused })
    }
}

/// Why there are no rows.
#[derive(Debug)]
pub enum Failure {
    /// Of the documents; what is known of them is said where they are at hand.
    Fault(Fault),
    Error(Error),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::Fault(fault)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Error(error)
    }
}

impl Documents {
    /// `state` is what [`Documents::state`] gave, of documents that came before.
    pub fn of(name: &str, settings: Settings, state: &Json) -> Result<Self> {
        let key = settings.key.as_deref();
        let defaults = settings.defaults.as_deref();
        let wrong = |failure: Failure| match failure {
            Failure::Error(error) => error,
            Failure::Fault(fault) => error((name, None), fault, defaults),
        };
        if let Some(defaults) = defaults
            && bson::field(defaults, REST).map_err(|torn| wrong(Fault::from(torn).into()))?.is_some()
        {
            return Err(Error::config(format!("table {name}: {REST} has no default")));
        }
        let columns = match &settings.schema {
            Schema::Infer | Schema::Beside(_) => {
                let mut columns = infer::Columns::of(name, &settings, state)?;
                if let Some(defaults) = defaults {
                    columns = columns.with_defaults(defaults, &settings).map_err(wrong)?;
                }
                columns.announce(&settings);
                Columns::Infer(columns)
            }
            Schema::Declared(of) => {
                let mut columns = declared::Columns::of(name, of, key)?;
                defaults.map_or(Ok(()), |defaults| columns.check(defaults)).map_err(wrong)?;
                Columns::Declared(columns)
            }
            Schema::Document => Columns::Document(whole::Columns::of(name, key, state)?),
        };
        let quarantine = match settings.schema.declared() {
            Some(of) if of.on_misfit == OnMisfit::Quarantine => Some(quarantine::table(name, key).into()),
            _ => None,
        };
        Ok(Self { name: name.to_owned(), settings, columns, quarantine })
    }

    /// What has to be known of the documents so far to go on with others; null where columns are declared.
    pub fn state(&self) -> Result<Json> {
        match &self.columns {
            Columns::Infer(columns) => columns.state(),
            Columns::Declared(_) => Ok(Json::Null),
            Columns::Document(columns) => columns.state(),
        }
    }

    /// The table as it is by now. It is the very same as long as nothing has widened.
    pub fn table(&self) -> &Arc<Table> {
        match &self.columns {
            Columns::Infer(columns) => &columns.table,
            Columns::Declared(columns) => &columns.table,
            Columns::Document(columns) => &columns.table,
        }
    }

    /// Whether it is known of which columns the table is before a document comes: they are declared, or documents before had them.
    pub fn is_known(&self) -> bool {
        match &self.columns {
            Columns::Infer(columns) => columns.is_known,
            Columns::Declared(_) => true,
            Columns::Document(columns) => columns.is_known(),
        }
    }

    /// How many documents a batch may have: columns that most of them lack take room too.
    pub fn most_rows(&self) -> usize {
        const ROOM: usize = 8 << 20;
        let columns = match &self.columns {
            Columns::Infer(columns) => columns.count(),
            Columns::Declared(columns) => columns.table.schema.fields().len(),
            Columns::Document(_) => 1,
        };
        (ROOM / (8 * columns.max(1))).clamp(64, BATCH_ROWS)
    }

    /// Makes the columns wide enough for documents, without reading them.
    pub fn observe<'a>(&mut self, documents: impl IntoIterator<Item = &'a [u8]>) -> Result<()> {
        let observed = match &mut self.columns {
            Columns::Infer(columns) => columns.observe(documents, &self.settings),
            Columns::Declared(_) => Ok(()),
            Columns::Document(columns) => columns.observe(documents),
        };
        observed.map_err(|fault| error((&self.name, self.settings.charset_key), fault, []))
    }

    /// The rows of documents. They are of [`Documents::table`], which may be another one than before.
    pub fn rows(&mut self, documents: &[&[u8]]) -> Result<Built> {
        let built = self.build(documents);
        self.or_mended(built, documents, Self::build)
    }

    fn build(&mut self, documents: &[&[u8]]) -> Result<Built, Failure> {
        match &mut self.columns {
            Columns::Infer(columns) => columns.rows(documents, &self.settings),
            Columns::Declared(columns) => columns.rows(documents, self.settings.defaults.as_deref()),
            Columns::Document(columns) => columns.rows(documents).map(Built::from),
        }
    }

    /// The table of the documents that are refused; `None` where none ever is.
    pub fn quarantine_table(&self) -> Option<&Arc<Table>> {
        self.quarantine.as_ref()
    }

    /// The rows of [`Documents::quarantine_table`]: `refused` are those that [`Documents::rows`] told of the same documents.
    pub fn quarantine(&mut self, documents: &[&[u8]], refused: &[Refused]) -> Result<RecordBatch> {
        let build = |this: &mut Self, documents: &[&[u8]]| match &this.quarantine {
            Some(table) => quarantine::rows(table, this.settings.key.as_deref(), documents, refused),
            None => Err(Error::bug(format!("table {}: it has no quarantine", this.name)).into()),
        };
        let built = build(self, documents);
        self.or_mended(built, documents, build)
    }

    /// The rows of documents, as they are sent: those of the table, and, where some are refused, those of the quarantine.
    pub fn split(&mut self, documents: &[&[u8]]) -> Result<(Rows, Option<Rows>)> {
        let Built { batch, refused } = self.rows(documents)?;
        let rows = Rows { table: self.table().clone(), batch };
        let beside = match self.quarantine_table().cloned() {
            Some(table) if !refused.is_empty() => {
                tracing::warn!(
                    table = table.name,
                    documents = refused.len(),
                    "documents do not fit what is declared: they are in the quarantine"
                );
                Some(Rows { batch: self.quarantine(documents, &refused)?, table })
            }
            _ => None,
        };
        Ok((rows, beside))
    }

    /// What was built, or, where a text is not UTF-8 and the settings say so, what is built of documents whose texts are.
    fn or_mended<T>(
        &mut self,
        built: Result<T, Failure>,
        documents: &[&[u8]],
        build: impl FnOnce(&mut Self, &[&[u8]]) -> Result<T, Failure>,
    ) -> Result<T> {
        let charset_key = self.settings.charset_key;
        let built = match built {
            Err(Failure::Fault(Fault::NotText)) if self.settings.invalid_text == InvalidText::Replace => {
                let mended: Result<Vec<_>, _> = documents.iter().map(|document| mend::mended(document)).collect();
                let mended = mended.map_err(|fault| error((&self.name, charset_key), fault, []))?;
                build(self, &mended.iter().map(|document| &**document).collect::<Vec<_>>())
            }
            built => built,
        };
        built.map_err(|failure| match failure {
            Failure::Error(error) => error,
            Failure::Fault(fault) => error((&self.name, charset_key), fault, documents.iter().copied()),
        })
    }
}

/// A batch of a table, of columns that were made for it.
pub fn batch(table: &Table, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, Failure> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(table.schema.clone(), columns, &options)
        .map_err(|e| Error::bug(format!("table {}: {e}", table.name)).into())
}

/// What is wrong with documents, by the field where it can be told.
fn error<'a>(
    (table, charset_key): (&str, Option<&str>),
    fault: Fault,
    documents: impl IntoIterator<Item = &'a [u8]>,
) -> Error {
    match fault {
        Fault::Torn => Error::data(format!("table {table}: a document is not BSON")),
        Fault::NotText => {
            let field = documents.into_iter().find_map(mend::broken_field);
            let of = field.map(|field| format!(", field {field}")).unwrap_or_default();
            let charset = charset_key.map(|key| format!("set `{key}` to what it is written in, ")).unwrap_or_default();
            Error::data(format!("table {table}{of}: a text is not UTF-8")).hint(format!(
                "Mend it in the source, {charset}leave the field out with `exclude_columns`, or set `invalid_text = replace`."
            ))
        }
        Fault::Deep => Error::data(format!(
            "table {table}: records and lists of a document lie more than {DEEPEST} deep in one another"
        )),
        Fault::Large => Error::data(format!("table {table}: a column of a batch would be larger than 2 GiB")),
    }
}
