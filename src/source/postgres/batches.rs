//! Binary COPY into batches.
//!
//! `11 bytes of signature, u32 flags, u32 length of what follows in the header`; then for each row `i16 columns` and for
//! each column `i32 length or -1, value`; then `i16 -1`.

use std::sync::Arc;

use arrow_array::RecordBatch;

use super::decode::{Column, Fault};
use super::plan::Plan;
use super::types::Wire;
use crate::error::{Error, Result};
use crate::record::{Rows, Table};
use crate::source::cursor::Sieve;
use crate::source::{BATCH_BYTES, BATCH_ROWS};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// Flags that change how rows are written.
const CRITICAL: u32 = 0xffff_0000;

/// The stream's bytes, made into rows.
pub struct Batches {
    table: Arc<Table>,
    columns: Vec<(Column, Wire)>,
    /// Rows and bytes since the last batch.
    rows: usize,
    bytes: usize,
    /// What a row takes at least.
    row_width: usize,
    state: State,
    /// The beginning of a row whose end has not come: the server sends whole rows, but need not.
    part: Vec<u8>,
    /// How many texts stand behind the columns of each row.
    marks: usize,
    /// Those of the last row.
    last_marks: Vec<u8>,
    pub sieve: Option<Sieve>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Rows,
    Ended,
}

impl Batches {
    /// `sieve` looks at rows that have marks.
    pub fn new(plan: &Plan, marks: usize, sieve: Option<Sieve>) -> Self {
        // Room for a whole batch of a narrow table; a wide one's batches end earlier, by bytes.
        let count = plan.columns.len().max(1);
        let rows = (BATCH_BYTES / (16 * count)).min(BATCH_ROWS);
        let columns = plan.columns.iter().map(|c| (Column::new(&c.of, &plan.policies, rows), c.of.wire())).collect();
        Self { marks, sieve, ..Self::of(plan.table.clone(), columns) }
    }

    /// Of these columns, and nothing behind them.
    pub fn of(table: Arc<Table>, columns: Vec<(Column, Wire)>) -> Self {
        let row_width = columns.iter().map(|(column, _)| column.width()).sum();
        Self {
            table,
            columns,
            rows: 0,
            bytes: 0,
            row_width,
            state: State::Header,
            part: Vec::new(),
            marks: 0,
            last_marks: Vec::new(),
            sieve: None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// Takes the next bytes of the stream.
    pub fn take(&mut self, chunk: &[u8]) -> Result<()> {
        if self.part.is_empty() {
            let taken = self.take_whole(chunk)?;
            self.part.extend_from_slice(&chunk[taken..]);
            return Ok(());
        }
        let mut all = std::mem::take(&mut self.part);
        all.extend_from_slice(chunk);
        let taken = self.take_whole(&all)?;
        all.drain(..taken);
        self.part = all;
        Ok(())
    }

    /// Takes as many whole rows as there are and says how many bytes they were.
    fn take_whole(&mut self, data: &[u8]) -> Result<usize> {
        let mut at = 0;
        if self.state == State::Header {
            match header(data)? {
                Some(length) => at = length,
                None => return Ok(0),
            }
            self.state = State::Rows;
        }
        while at < data.len() {
            if self.state == State::Ended {
                return Err(broken("there is more after its end"));
            }
            let Some(length) = self.row_length(&data[at..])? else { break };
            if self.state == State::Rows {
                self.row(&data[at..at + length])?;
            }
            at += length;
        }
        Ok(at)
    }

    /// The length of the row that `data` begins with; `None` where it is not all there.
    #[inline]
    fn row_length(&mut self, data: &[u8]) -> Result<Option<usize>> {
        let Some(([a, b], mut rest)) = data.split_first_chunk::<2>() else { return Ok(None) };
        match i16::from_be_bytes([*a, *b]) {
            -1 => {
                self.state = State::Ended;
                return Ok(Some(2));
            }
            count if usize::try_from(count) == Ok(self.columns.len() + self.marks) => {}
            _ => return Err(Error::schema("its columns are not those it had at the start")),
        }
        for _ in 0..self.columns.len() + self.marks {
            let Some((length, after)) = rest.split_first_chunk::<4>() else { return Ok(None) };
            rest = match i32::from_be_bytes(*length) {
                -1 => after,
                length => {
                    let length = usize::try_from(length).map_err(|_| broken("a value has a negative length"))?;
                    let Some(after) = after.get(length..) else { return Ok(None) };
                    after
                }
            };
        }
        Ok(Some(data.len() - rest.len()))
    }

    /// Takes one whole row.
    #[inline]
    fn row(&mut self, data: &[u8]) -> Result<()> {
        if self.marks > 0 && !self.is_wanted(data)? {
            return Ok(());
        }
        let mut rest = &data[2..];
        for index in 0..self.columns.len() {
            let Some((length, after)) = rest.split_first_chunk::<4>() else { return Err(broken("a row is cut")) };
            let (column, wire) = &mut self.columns[index];
            let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
                column.push_null();
                rest = after;
                continue;
            };
            let Some((value, after)) = after.split_at_checked(length) else { return Err(broken("a row is cut")) };
            let pushed = match wire {
                Wire::Binary => column.push_binary(value),
                Wire::Text => column.push_text(value),
            };
            if let Err(fault) = pushed {
                return Err(self.misfit(index, fault));
            }
            rest = after;
        }
        self.rows += 1;
        self.bytes += data.len().max(self.row_width);
        Ok(())
    }

    /// Keeps the row's marks, and asks the sieve.
    fn is_wanted(&mut self, data: &[u8]) -> Result<bool> {
        let mut rest = &data[2..];
        for _ in &self.columns {
            rest = cell(rest)?.1;
        }
        self.last_marks.clear();
        self.last_marks.extend_from_slice(rest);
        let Some(sieve) = &mut self.sieve else { return Ok(true) };
        let columns = &data[2..data.len() - rest.len()];
        Ok(sieve.takes(self.rows, columns, &texts(rest, self.marks)?))
    }

    /// The texts of the marks in the last row that came, taken or not; `None` if none came.
    pub fn marks(&self) -> Result<Option<Vec<Option<String>>>> {
        if self.last_marks.is_empty() {
            return Ok(None);
        }
        let texts = texts(&self.last_marks, self.marks)?;
        let owned = |text: Option<&[u8]>| {
            text.map(|text| String::from_utf8(text.to_vec()).map_err(|_| broken("a mark is not UTF-8"))).transpose()
        };
        texts.into_iter().map(owned).collect::<Result<_>>().map(Some)
    }

    fn misfit(&self, index: usize, fault: Fault) -> Error {
        misfit(self.table.schema.field(index).name(), fault)
    }

    /// The rows so far.
    pub fn finish(&mut self) -> Result<Rows> {
        let mut arrays = Vec::with_capacity(self.columns.len());
        for index in 0..self.columns.len() {
            match self.columns[index].0.finish() {
                Ok(array) => arrays.push(array),
                Err(fault) => return Err(self.misfit(index, fault)),
            }
        }
        let batch = RecordBatch::try_new(self.table.schema.clone(), arrays).map_err(|e| Error::bug(e.to_string()))?;
        (self.rows, self.bytes) = (0, 0);
        Ok(Rows { table: self.table.clone(), batch })
    }

    /// Refuses a stream that ended before the server said so.
    pub fn end(&self) -> Result<()> {
        match self.state == State::Ended && self.part.is_empty() {
            true => Ok(()),
            false => Err(broken("it ended before its end mark")),
        }
    }

    /// Says what the policies made of odd values.
    pub fn report(&self) {
        for (index, (column, _)) in self.columns.iter().enumerate() {
            let values = column.nulled();
            if values > 0 {
                let (table, column) = (&self.table.name, self.table.schema.field(index).name());
                tracing::warn!(table, column, values, "values that the column's type does not hold were read as NULL");
            }
        }
    }
}

/// Why a value of a column is not taken, and what to do.
pub fn misfit(column: &str, fault: Fault) -> Error {
    let (what, key) = fault.explain();
    let error = Error::data(format!("column {column}: {what}"));
    match key {
        Some("read_as_text") => error.hint(format!(
            "Add {column} to `read_as_text` to read the whole column as PostgreSQL's text, or leave it out."
        )),
        Some("arrays") => error.hint(format!(
            "Add {column} to `read_as_text`, or set `arrays = text`, to read such arrays as PostgreSQL's text."
        )),
        Some(key) => error.hint(format!(
            "Set `{key} = null` to read such values as NULL, or `{key} = text` to read such columns as text; \
             `read_as_text` does so for single columns."
        )),
        None => error,
    }
}

/// The value that `data` begins with, and what is behind it.
fn cell(data: &[u8]) -> Result<(Option<&[u8]>, &[u8])> {
    let Some((length, after)) = data.split_first_chunk::<4>() else { return Err(broken("a row is cut")) };
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else { return Ok((None, after)) };
    let Some((value, after)) = after.split_at_checked(length) else { return Err(broken("a row is cut")) };
    Ok((Some(value), after))
}

fn texts(mut data: &[u8], count: usize) -> Result<Vec<Option<&[u8]>>> {
    let mut texts = Vec::with_capacity(count);
    for _ in 0..count {
        let (text, rest) = cell(data)?;
        texts.push(text);
        data = rest;
    }
    Ok(texts)
}

/// The length of the header; `None` where it is not all there.
fn header(data: &[u8]) -> Result<Option<usize>> {
    let Some((signature, rest)) = data.split_first_chunk::<11>() else { return Ok(None) };
    if signature != SIGNATURE {
        return Err(broken("it does not begin as binary COPY does"));
    }
    let Some((flags, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    if u32::from_be_bytes(*flags) & CRITICAL != 0 {
        return Err(broken("it has a form that we do not know"));
    }
    let Some((extension, _)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let length = 19 + u32::from_be_bytes(*extension) as usize;
    Ok((data.len() >= length).then_some(length))
}

fn broken(what: &str) -> Error {
    Error::unavailable(format!("the server's COPY is broken: {what}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Kind;

    /// A COPY of rows of one text column.
    fn copy(rows: &[Option<&str>]) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        // A header extension of three bytes, which is to be skipped.
        out.extend([0, 0, 0, 0, 0, 0, 0, 3, 9, 9, 9]);
        for row in rows {
            out.extend(1i16.to_be_bytes());
            out.extend(row.map_or(-1, |text| text.len() as i32).to_be_bytes());
            out.extend(row.unwrap_or_default().as_bytes());
        }
        out.extend((-1i16).to_be_bytes());
        out
    }

    fn taken(chunks: &[&[u8]]) -> Result<usize> {
        let mut batches = Batches::new(&Plan::of_one_text_column(), 0, None);
        for chunk in chunks {
            batches.take(chunk)?;
        }
        batches.end()?;
        Ok(batches.finish()?.batch.num_rows())
    }

    #[test]
    fn an_early_end_is_no_end() {
        let whole = copy(&[Some("a"), None, Some("")]);
        assert_eq!(taken(&[&whole]).unwrap(), 3);
        for end in 0..whole.len() {
            let error = taken(&[&whole[..end]]).unwrap_err();
            assert_eq!(error.kind(), Kind::Unavailable, "{end}");
        }
        assert!(taken(&[&whole, b"\0"]).is_err());
        assert!(taken(&[b"PGCOPY\r\n\xff\n\0", &whole[11..]]).is_err());
    }

    #[test]
    fn other_columns_are_a_matter_of_the_schema() {
        let mut whole = copy(&[Some("a")]);
        let count = whole.len() - 2 - 5 - 1;
        whole[count] = 2;
        assert_eq!(taken(&[&whole]).unwrap_err().kind(), Kind::Schema);
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same(cuts in proptest::collection::vec(0usize..200, 0..9)) {
            let rows: Vec<_> = (0..20).map(|n| ["x", "twelve bytes", ""].get(n % 4).copied()).collect();
            let whole = copy(&rows);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &whole[pair[0]..pair[1]]).collect();
            prop_assert_eq!(taken(&pieces).unwrap(), 20);
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes: Vec<u8>, whole: bool) {
            if whole {
                bytes = copy(&[]).into_iter().take(22).chain(bytes).collect();
            }
            let _ = taken(&[&bytes]);
        }
    }
}
