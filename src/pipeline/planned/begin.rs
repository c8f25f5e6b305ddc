//! What a load is begun with.

use super::{Planned, PlannedStream, new_plan};
use crate::error::Result;
use crate::record::Range;
use crate::source::Consistency;

/// What the first part to come writes into the stream's log.
#[derive(Debug, Clone)]
pub struct Begin {
    pub consistency: Consistency,
    /// Of all chunks; none where all is one.
    pub ranges: Vec<Range>,
}

impl Begin {
    /// Fails where the plan only continues a load, which must have been there.
    pub fn of(planned: &Planned, stream: &PlannedStream) -> Result<Self> {
        let (name, ranges) = (&stream.stream, planned.ranges(&stream.stream));
        let consistency = stream.consistency.filter(|_| !stream.is_begun);
        let Some(consistency) = consistency else {
            return Err(new_plan(format!("the load of {name} that the plan continues is not at the destination")));
        };
        match ranges.len().max(1) == stream.chunks {
            true => Ok(Self { consistency, ranges }),
            false => Err(new_plan(format!("the plan does not say what all chunks of {name} are"))),
        }
    }
}
