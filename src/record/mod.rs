//! The leaf: what flows between a source and a destination. Knows nobody.

mod builder;
pub mod change;
mod commit;
mod datum;
pub mod decimal;
mod definition;
mod event;
mod failures;
pub mod field;
mod lag;
mod position;
mod table;

pub use builder::BatchBuilder;
pub use commit::{Commit, Generations, PartInfo, Publication, Seal};
pub use datum::Datum;
pub use event::{Checkpoint, Event, Rows};
pub use failures::{FailedRequest, Failures, SetAside, Shortfall, add_aside};
pub use lag::Lag;
pub use position::{Position, Range};
pub use table::{Mode, StreamId, Sub, Table};
