//! Incremental reading, as far as it is the same for every source with SQL: what a cursor is, up to where it is safe to
//! read, where reading goes on.
//!
//! A run reads the rows whose cursor lies above the mark and not above a bound below which no row can appear any more
//! ([`bound`]), in the order of cursor and key, so that it can stop between any two of them ([`place`]). Rows that have to
//! be read twice, because a row may still come among them, are known again by a digest ([`seen`], [`sieve`]).

mod axis;
mod bound;
mod compare;
mod expression;
mod handover;
mod place;
mod reading;
mod seen;
mod settings;
mod sieve;
pub mod told;
mod window;

pub use self::axis::{Axis, Step, Steps, cut, places};
pub use self::bound::{Bound, High, Probe, Transaction, bound};
pub use self::compare::{Compare, compare};
pub use self::expression::Expression;
pub use self::handover::Handover;
pub use self::place::{After, Place, Waiting};
pub use self::reading::{Column, Order, Reading, Stray, Upper, nothing_new};
pub use self::seen::{Seen, digest};
pub use self::settings::{KEYS, Lookback, Nulls, Settings};
pub use self::sieve::Sieve;
pub use self::window::{Wanted, Window};

use std::time::Duration;

/// What a source knows of the values of a cursor's first column: when a group of equal ones is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// Times of the server's clock in steps of a unit: nobody begins with a value that lies a unit back.
    Time { unit: Duration },
    /// Days: one is complete when it is over everywhere.
    Day,
    /// No two rows have the same in that column.
    Unique,
    /// Any value may come again at any time: the last group is read again by the next run.
    Open,
}

/// In what steps those who write a time go on, of which the newest has these microseconds in its second: `now()` of a
/// second's step may well be written into a column of microseconds.
pub fn step_of_writers(unit: Duration, micros: u32) -> Duration {
    let digits = (0..6).rev().find(|zeros| micros.is_multiple_of(10u32.pow(*zeros))).unwrap_or(0);
    let step = if micros == 0 { 1_000_000 } else { 10u64.pow(digits) };
    unit.max(Duration::from_micros(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_times_are_taken_for_what_they_are() {
        let step = |unit, micros| step_of_writers(Duration::from_micros(unit), micros).as_micros();
        assert_eq!([step(1, 123_456), step(1, 123_450), step(1, 123_000), step(1, 0)], [1, 10, 1_000, 1_000_000]);
        assert_eq!([step(1_000, 123_000), step(1_000, 0), step(1_000_000, 0)], [1_000, 1_000_000, 1_000_000]);
    }
}
