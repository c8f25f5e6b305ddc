//! What a run says of rows that it leaves out.

use super::{Nulls, Order, Settings};
use crate::error::{Error, Result};

/// Rows with a null are counted up to this number.
pub const MOST_NULLS: u32 = 100_000;

/// Rows of the future are counted up to this number.
pub const MOST_FUTURE: u32 = 1_000;

/// Whether a run has to count the rows whose cursor is null. `has_moved` is whether its bound lies above the mark.
pub fn counts_nulls(settings: &Settings, has_moved: bool) -> bool {
    match settings.nulls {
        Nulls::Skip => has_moved,
        Nulls::Error => true,
        Nulls::Read => false,
    }
}

/// Tells of so many rows whose cursor is null, or refuses them.
pub fn nulls(settings: &Settings, order: &Order, rows: u64, stream: &str) -> Result<()> {
    let or = if order.has_strays() { ", NaN or infinite" } else { "" };
    match settings.nulls {
        _ if rows == 0 => Ok(()),
        Nulls::Error => Err(Error::data(format!("{rows} rows have a cursor that is null{or}: {}", settings.shown()))
            .hint("Set `null_cursor = skip` to leave them out, or `null_cursor = read` to read them in every run.")),
        _ => {
            tracing::warn!(stream, rows, "rows whose cursor is null{or} are left out");
            Ok(())
        }
    }
}

/// Tells of so many rows whose cursor lies in the future.
pub fn in_the_future(rows: u64, stream: &str) {
    if rows > 0 {
        tracing::warn!(stream, rows, "rows lie in the future: they are read when their time has come");
    }
}
