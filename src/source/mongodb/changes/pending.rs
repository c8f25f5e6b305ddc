//! Changes of one table that are not handed on yet.

use std::collections::BTreeSet;

use super::tables::Tables;
use crate::error::Result;
use crate::record::Rows;
use crate::record::change::Op;
use crate::source::BATCH_BYTES;
use crate::source::changes::Gathered;

/// Documents, one after the other, and what happened to each.
pub struct Pending {
    tables: Tables,
    name: String,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    rows: Vec<Row>,
    /// How many rows a batch may have: those of many columns fewer.
    most: usize,
}

/// What happened.
pub struct Row {
    pub op: Op,
    pub committed_at: Option<i64>,
    pub position: Box<str>,
    /// The fields that the server sent, where those are not all.
    pub sent: Option<BTreeSet<String>>,
}

impl Pending {
    pub fn of(tables: &Tables, name: &str) -> Result<Self> {
        let most = tables.most_rows(name)?;
        let (tables, name) = (tables.clone(), name.to_owned());
        Ok(Self { tables, name, bytes: Vec::new(), ends: Vec::new(), rows: Vec::new(), most })
    }

    pub fn push(&mut self, document: &[u8], row: Row) {
        self.bytes.extend_from_slice(document);
        self.ends.push(self.bytes.len());
        self.rows.push(row);
    }

    /// Whether it is as much as one batch may have.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= self.most || self.bytes.len() >= BATCH_BYTES
    }

    pub fn documents(&self) -> Vec<&[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.bytes[begin..*end]).collect()
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

impl Gathered for Pending {
    /// Of the table, and of its quarantine.
    type Rows = Vec<Rows>;

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn finish(&mut self) -> Result<Vec<Rows>> {
        let rows = self.tables.rows(&self.name, self)?;
        self.bytes.clear();
        self.ends.clear();
        self.rows.clear();
        self.most = self.tables.most_rows(&self.name)?;
        Ok(rows)
    }
}
