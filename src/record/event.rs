use std::sync::Arc;

use arrow_array::RecordBatch;

use super::{Position, Table};

/// What a reader yields.
#[derive(Debug, Clone)]
pub enum Event {
    /// Rows of one table. A batch without rows announces the table, so that an empty one arrives too.
    Rows(Rows),
    /// Everything before this event is covered by the position: a safe place to commit, and to open at.
    Checkpoint(Position),
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
