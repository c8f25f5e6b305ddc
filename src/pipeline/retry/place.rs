//! Readers of what is asked for again, held to what a retry may change.

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::record::{Event, Position};
use crate::source::Reader;

/// A reader that stays where it was opened: a position further on would leave out what nobody has read.
///
/// What it announces without rows is left out, since its tables are there already.
pub struct AtOnePlace {
    reader: Box<dyn Reader>,
    at: Position,
}

impl AtOnePlace {
    pub fn new(reader: Box<dyn Reader>, at: Position) -> Self {
        Self { reader, at }
    }
}

#[async_trait]
impl Reader for AtOnePlace {
    async fn next(&mut self) -> Result<Option<Event>> {
        loop {
            match self.reader.next().await? {
                Some(Event::Rows(rows)) if rows.batch.num_rows() == 0 => {}
                Some(Event::Checkpoint(at)) if at.position != self.at => {
                    return Err(Error::bug("the source has moved on while it asked again for what failed"));
                }
                event => return Ok(event),
            }
        }
    }

    async fn ack(&mut self, position: &Position) -> Result<()> {
        self.reader.ack(position).await
    }

    fn holds(&self) -> u64 {
        self.reader.holds()
    }
}
