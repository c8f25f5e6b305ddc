//! Where a stream that grows stands, by its newest entry: every way of running or planning it asks here.

use super::generation::Generation;
use crate::record::{Checkpoint, Commit};

pub enum Standing {
    /// Nothing of it was read.
    Empty,
    /// In the middle of the full load that it begins with.
    Loading(Box<Generation>),
    /// It goes on behind this checkpoint.
    At(Checkpoint),
}

impl Standing {
    pub fn of(newest: Option<&Commit>) -> Self {
        let Some(newest) = newest else { return Self::Empty };
        match (Generation::unfinished(newest), newest.checkpoint()) {
            (Some(generation), _) => Self::Loading(Box::new(generation)),
            (None, Some(checkpoint)) => Self::At(checkpoint),
            (None, None) => Self::Empty,
        }
    }

    /// Where a reader goes on, once the stream is past its first load.
    pub fn checkpoint(self) -> Option<Checkpoint> {
        match self {
            Self::At(checkpoint) => Some(checkpoint),
            Self::Empty | Self::Loading(_) => None,
        }
    }
}
