//! Reads a table or query from beginning to end, as of one moment.

use std::path::Path;

use rusqlite::Row;

use super::connection::Loan;
use super::decode::{self, Misfit, Scratch};
use super::error::{is_sql, of_file, words_of_rows};
use super::plan::{Plan, Planned};
use super::position;
use super::types::Shape;
use crate::error::{Error, Kind, Result};
use crate::record::{BatchBuilder, Datum, Event, Position, Rows, StreamId, decimal};
use crate::source::feed::{self, Outlet, Stop};
use crate::source::{BATCH_BYTES, BATCH_ROWS};

/// Sends the announcement of the stream's table, its rows, and the checkpoint of its end. Blocks.
pub fn read(outlet: &Outlet, path: &Path, loan: Loan, stream: &StreamId, plan: &Plan) -> Result<()> {
    let Some(position) = feed::unless_closed(send_rows(outlet, path, &loan, plan))? else { return Ok(()) };
    // Lets go of the file's lock before the end is told: who has seen the end may write.
    loan.finish(stream);
    drop(loan);
    // A closed outlet means that nobody wants to know.
    let _ = outlet.blocking_send(Event::Checkpoint(position.into()));
    Ok(())
}

fn send_rows(outlet: &Outlet, path: &Path, loan: &Loan, plan: &Plan) -> Result<Position, Stop> {
    outlet.blocking_send(Event::Rows(Rows::none(plan.table.clone())))?;
    let failed = |error: rusqlite::Error| failure(path, plan, &error);
    let mut statement = loan.connection()?.prepare(&plan.sql).map_err(failed)?;
    let mut rows = statement.raw_query();
    let mut builder = BatchBuilder::new(plan.table.clone())?;
    let mut scratch: Vec<Scratch> = plan.columns.iter().map(|_| Scratch::default()).collect();
    let mut cells: Vec<Datum<'static>> = Vec::with_capacity(plan.columns.len());
    let mut count = 0u64;
    while let Some(row) = rows.next().map_err(failed)? {
        count += 1;
        cells = add(plan, row, count, cells, &mut scratch, &mut builder)?;
        if builder.rows() >= BATCH_ROWS || builder.bytes() >= BATCH_BYTES {
            outlet.blocking_send(Event::Rows(builder.finish()?))?;
        }
    }
    if builder.rows() > 0 {
        outlet.blocking_send(Event::Rows(builder.finish()?))?;
    }
    Ok(position::end(loan.at(), count))
}

/// Adds one row; `cells` is room for it, given back empty.
pub fn add(
    plan: &Plan,
    row: &Row<'_>,
    number: u64,
    cells: Vec<Datum<'static>>,
    scratch: &mut [Scratch],
    builder: &mut BatchBuilder,
) -> Result<Vec<Datum<'static>>> {
    let mut cells = emptied(cells);
    for (index, (column, scratch)) in plan.columns.iter().zip(scratch).enumerate() {
        let value = row.get_ref(index).map_err(|e| Error::bug(format!("{}: {e}", plan.name)))?;
        match decode::cell(column.shape, plan.leniency, value, scratch) {
            Ok(cell) => cells.push(cell),
            Err(why) => return Err(misfit(plan, column, row, number, why)),
        }
    }
    if let Err(error) = builder.row(&cells) {
        // What a decimal column has no room for is found by the builder, which does not know the row.
        let beyond = plan.columns.iter().zip(&cells).find(|(column, cell)| !fits(column.shape, cell));
        return Err(match beyond {
            Some((column, _)) => misfit(plan, column, row, number, Misfit::Digits),
            None => error,
        });
    }
    Ok(emptied(cells))
}

/// The same room, for data of another lifetime. The standard library collects it in place.
fn emptied<'b>(mut cells: Vec<Datum<'_>>) -> Vec<Datum<'b>> {
    cells.clear();
    cells.into_iter().map(|_| Datum::Null).collect()
}

fn fits(shape: Shape, cell: &Datum<'_>) -> bool {
    let Shape::Decimal(precision, scale) = shape else { return true };
    let text = match cell {
        Datum::Decimal(text) => (*text).to_owned(),
        Datum::Int(number) => number.to_string(),
        _ => return true,
    };
    let digits = decimal::parse_i256(text.as_bytes(), scale).map(|value| value.to_string());
    digits.is_some_and(|digits| digits.trim_start_matches('-').len() <= usize::from(precision))
}

/// An error that names table, row and column, and the key that lets the value pass.
fn misfit(plan: &Plan, column: &Planned, row: &Row<'_>, number: u64, why: Misfit) -> Error {
    let rowid = plan.has_rowid.then(|| row.get::<_, i64>(plan.columns.len()).ok()).flatten();
    let place = match rowid {
        Some(rowid) => format!("rowid {rowid}"),
        None => format!("row {number} as read"),
    };
    let (name, shown) = (&column.name, &column.shown);
    let what = match why {
        Misfit::Stored(kind) => format!("{kind} does not fit {shown}"),
        Misfit::Form => format!("the stored value does not have the form of {shown}"),
        Misfit::NotUtf8 => "the text is not valid UTF-8".to_owned(),
        Misfit::Digits => format!("a number has more digits than {shown} holds"),
        Misfit::NotZeroOrOne => format!("an integer other than 0 and 1 does not fit {shown}"),
        Misfit::Zone => format!("a time with a time zone does not fit {shown}, which is read without one"),
        Misfit::NumericTime => format!("a number does not fit {shown}"),
    };
    let text = format!("`read_as_text = {name}`");
    let hint = match why {
        Misfit::Zone => format!("Set `timestamps = utc` to read instants, or {text}"),
        Misfit::NumericTime => format!("Say with `numeric_times` what the numbers count, or set {text}"),
        Misfit::NotUtf8 | Misfit::Stored("bytes") => {
            format!("Set `column_types = {name} blob` to read the bytes, or {text}")
        }
        Misfit::Digits if matches!(column.shape, Shape::Decimal(..)) => {
            format!("Set `round_decimals = yes` if arithmetic has left those digits, or {text}")
        }
        _ => format!("Set {text}, or give the column another type with `column_types = {name} TYPE`"),
    };
    Error::data(format!("column {}.{name}, {place}: {what}", plan.name))
        .hint(format!("{hint}, in [{}].", plan.section.header()))
}

/// SQLite's error while stepping through the rows.
pub fn failure(path: &Path, plan: &Plan, error: &rusqlite::Error) -> Error {
    match is_sql(error) {
        true => Error::new(Kind::Data, format!("{} cannot be read to its end: {}", plan.name, words_of_rows(error))),
        false => of_file(path, error),
    }
}
