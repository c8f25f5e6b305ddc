//! Documents that are no rows, as a table of their own.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::DataType;

use super::bson;
use super::json::{self, Fault, Form};
use super::table::{Failure, batch};
use super::{DOCUMENT, schema};
use crate::record::{Table, field};

/// A document that is no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which of those that were given.
    pub row: usize,
    /// `field price: string, declared decimal(10,2)`
    pub reason: String,
}

/// What a table's name has behind it in that of its quarantine.
const SUFFIX: &str = "_quarantine";
const REASON: &str = "reason";

/// The table of the documents that are refused by the one of that name: the key as canonical Extended JSON, which is different for each
/// value; the document, as such too; why it is here.
pub fn table(name: &str, key: Option<&str>) -> Table {
    let of_key = key.map(|key| field::nullable(key, DataType::Utf8));
    let document = field::with_others(field::json(&beside(key, DOCUMENT)));
    let others = [document, field::nullable(&beside(key, REASON), DataType::Utf8)];
    schema::table(&format!("{name}{SUFFIX}"), of_key.into_iter().chain(others).collect(), key, false).into_quarantine()
}

/// The name of a column beside the key's.
pub fn beside(key: Option<&str>, name: &str) -> String {
    match key == Some(name) {
        true => format!("_{name}"),
        false => name.to_owned(),
    }
}

/// The rows of such a table.
pub fn rows(
    table: &Table,
    key: Option<&str>,
    documents: &[&[u8]],
    refused: &[Refused],
) -> Result<RecordBatch, Failure> {
    let (mut keys, mut texts, mut reasons) = (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let mut text = Vec::new();
    for Refused { row, reason } in refused {
        let document = documents.get(*row).ok_or(Fault::Torn)?;
        let of_key = key.map(|key| bson::field(document, key)).transpose().map_err(Fault::from)?.flatten();
        text.clear();
        match of_key.filter(|value| !value.is_null()) {
            Some(value) => {
                json::value(&mut text, &value, Form::Canonical)?;
                keys.append_value(utf8(&text)?);
            }
            None => keys.append_null(),
        }
        text.clear();
        json::document(&mut text, document, Form::Canonical)?;
        texts.append_value(utf8(&text)?);
        reasons.append_value(reason);
    }
    let keys = key.map(|_| Arc::new(keys.finish()) as ArrayRef);
    let others: [ArrayRef; 2] = [Arc::new(texts.finish()), Arc::new(reasons.finish())];
    batch(table, keys.into_iter().chain(others).collect(), refused.len())
}

fn utf8(text: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(text).map_err(|_| Fault::NotText)
}
