use std::sync::Arc;

use arrow_array::RecordBatch;
use serde_json::Value;

use super::{Position, Table};

/// What a reader yields.
#[derive(Debug, Clone)]
pub enum Event {
    /// Rows of one table. A batch without rows announces the table, so that an empty one arrives too.
    Rows(Rows),
    /// Everything before this event is covered by the position: a safe place to commit, and to open at.
    Checkpoint(Checkpoint),
}

/// A safe place: where to go on, and what is needed to be right there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub position: Position,
    /// What the source needs besides the position and is not for people: kept in the commit log, and not in the job log.
    /// Null where there is nothing.
    pub state: Value,
}

impl From<Position> for Checkpoint {
    fn from(position: Position) -> Self {
        Self { position, state: Value::Null }
    }
}

/// Rows of one table as one Arrow batch, whose schema is the table's.
#[derive(Debug, Clone)]
pub struct Rows {
    pub table: Arc<Table>,
    pub batch: RecordBatch,
}

impl Rows {
    /// The table's announcement: its schema and no rows.
    pub fn none(table: Arc<Table>) -> Self {
        let batch = RecordBatch::new_empty(table.schema.clone());
        Self { table, batch }
    }
}
