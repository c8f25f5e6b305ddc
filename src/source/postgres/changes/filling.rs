//! Fills in what the log left away of rows, out of their tables as they are by then: as much at once as memory is to hold.
//!
//! A value may be later than its change. It is never earlier: a server tells of a transaction a moment before others see its rows,
//! and what a row was before that is no value of it.

use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_select::interleave::interleave;

use super::Asker;
use super::present::Found;
use super::proof::Unproven;
use super::unchanged::{Batch, Unsent};
use crate::error::{Context, Error, Kind, Result};
use crate::record::{Rows, change};
use crate::source::BATCH_BYTES;
use crate::source::postgres::connect::Session;

/// So long it is waited for that others see a transaction: for a standby that is there that is long, and one that is not there
/// may never come.
const HIDDEN: Duration = Duration::from_secs(5);
/// How often that is looked at.
const AGAIN: Duration = Duration::from_millis(20);
/// So many rows are looked for at once.
const MOST: usize = 1024;
/// Before it is known how large they are.
const FIRST: usize = 256;
/// So much is meant to come at once: less than what ends a reading, which costs a connection.
const MEANT_BYTES: usize = 4 << 20;

/// Fills batches, one after the other.
pub struct Filling {
    asker: Asker,
    /// Between two readings it is in no transaction.
    session: Option<Session>,
    open: Option<Open>,
    /// How many rows are looked for at once.
    at_once: usize,
}

/// A batch that is being filled.
struct Open {
    rows: Rows,
    unsent: Unsent,
    unproven: Unproven,
    /// The first row that was not handed on.
    row: usize,
    /// Of those that lack values, the first that was not handed on.
    next: usize,
    values: Values,
}

/// What was read for some of the rows that lack values.
#[derive(Default)]
struct Values {
    /// The first of these rows.
    from: usize,
    columns: Vec<usize>,
    found: Found,
    /// Of each row its place among those that were found.
    places: Vec<Option<(usize, usize)>>,
}

impl Filling {
    pub fn new(asker: Asker) -> Self {
        Self { asker, session: None, open: None, at_once: FIRST }
    }

    /// Takes rows. Gives those that lack nothing back.
    pub fn take(&mut self, batch: Batch) -> Option<Rows> {
        let Batch { rows, unsent } = batch;
        let Some(unsent) = unsent else { return Some(rows) };
        let unproven = Unproven::of(&unsent.transactions);
        self.open = Some(Open { rows, unsent, unproven, row: 0, next: 0, values: Values::default() });
        None
    }

    /// The next rows of the batch that was taken; `None` at its end.
    pub async fn next(&mut self) -> Result<Option<Rows>> {
        let Some(mut open) = self.open.take() else { return Ok(None) };
        if open.next == open.values.end() {
            open.values = self.read(&mut open).await.at(|| format!("table {}", open.rows.table.name))?;
        }
        let rows = open.piece()?;
        self.open = (open.row < open.rows.batch.num_rows()).then_some(open);
        Ok(Some(rows))
    }

    /// Reads values for the next rows; for none of all that are left where there are none to be had.
    async fn read(&mut self, open: &mut Open) -> Result<Values> {
        loop {
            let at_once = self.at_once;
            match self.read_at_once(open).await {
                // The log's text of a key may be none of its type by now: a label of an enum has another name. It is found by
                // looking for one after the other.
                Err(error) if matches!(error.kind(), Kind::Data | Kind::Schema) && at_once > 1 => self.at_once = 1,
                Err(error) if matches!(error.kind(), Kind::Data | Kind::Schema) => {
                    let table = &open.rows.table.name;
                    tracing::warn!(table, %error, "values of a row that the log left away could not be read");
                    return Ok(open.not_found(open.wanted(1).places.len()));
                }
                values => return values,
            }
        }
    }

    async fn read_at_once(&mut self, open: &mut Open) -> Result<Values> {
        let session = self.session().await?;
        let table = &open.rows.table.name;
        if !are_seen(&session, &mut open.unproven).await? {
            tracing::warn!(table, "others do not see yet what the log tells: values that it left away are not read");
            self.keep(session).await?;
            return Ok(open.not_found(open.left()));
        }
        let wanted = open.wanted(self.at_once);
        let present = &open.unsent.of;
        let Some(key) = present.open(&session, &self.asker, &wanted.columns).await? else {
            tracing::info!(table, "the table is another one by now: values that the log left away are not read");
            session.close().await;
            return Ok(open.not_found(open.left()));
        };
        let cut = session.cut_when_dropped();
        let found = present.read(&session, &key, &wanted.columns, &wanted.keys).await?;
        let places = wanted.places.iter().map_while(|place| found.rows.get(*place).copied()).collect();
        let columns = wanted.columns;
        if found.is_whole {
            cut.disarm();
            self.keep(session).await?;
            let each = (found.bytes / found.rows.len().max(1)).max(1);
            self.at_once = (MEANT_BYTES / each).clamp(1, MOST);
        } else {
            self.at_once = (found.rows.len() / 2).max(1);
        }
        Ok(Values { from: open.next, columns, found, places })
    }

    /// A session in a transaction that sees the latest: the last one, if it is there still.
    async fn session(&mut self) -> Result<Session> {
        if let Some(session) = self.session.take().filter(|session| !session.is_closed())
            && self.asker.begin(&session).await.is_ok()
        {
            return Ok(session);
        }
        self.asker.look().await
    }

    async fn keep(&mut self, session: Session) -> Result<()> {
        session.run("COMMIT").await?;
        self.session = Some(session);
        Ok(())
    }
}

/// Waits until others see what transactions wrote. Whether they do.
async fn are_seen(session: &Session, unproven: &mut Unproven) -> Result<bool> {
    let since = Instant::now();
    while !unproven.are_seen(session).await? {
        if since.elapsed() >= HIDDEN {
            return Ok(false);
        }
        tokio::time::sleep(AGAIN).await;
    }
    Ok(true)
}

/// What is read at once.
struct Wanted<'a> {
    /// Those that any of the rows lacks.
    columns: Vec<usize>,
    /// Each once.
    keys: Vec<&'a [u8]>,
    /// Of each row its key's place among them.
    places: Vec<usize>,
}

impl Values {
    /// Behind the last row that was looked for, among those that lack values.
    fn end(&self) -> usize {
        self.from + self.places.len()
    }

    fn of(&self, lacking: usize) -> Option<(usize, usize)> {
        self.places.get(lacking.checked_sub(self.from)?).copied().flatten()
    }

    /// About how many bytes the values of a row take.
    fn bytes(&self, (batch, row): (usize, usize)) -> usize {
        let of = |array: &ArrayRef| array.slice(row, 1).to_data().get_slice_memory_size().unwrap_or(0);
        self.found.batches.get(batch).map_or(0, |batch| batch.columns()[..self.columns.len()].iter().map(of).sum())
    }
}

impl Open {
    /// The next rows that lack values, up to so many keys.
    fn wanted(&self, most: usize) -> Wanted<'_> {
        let mut wanted = Wanted { columns: Vec::new(), keys: Vec::new(), places: Vec::new() };
        let mut known = HashMap::new();
        for lacking in &self.unsent.rows[self.next..] {
            let key = self.unsent.key(lacking);
            let place = *known.entry(key).or_insert(wanted.keys.len());
            if place == most {
                break;
            }
            if place == wanted.keys.len() {
                wanted.keys.push(key);
            }
            wanted.places.push(place);
            let columns = self.unsent.columns(lacking);
            wanted
                .columns
                .extend(columns.iter().filter(|at| !wanted.columns.contains(at)).copied().collect::<Vec<_>>());
        }
        wanted
    }

    /// How many rows are left that lack values.
    fn left(&self) -> usize {
        self.unsent.rows.len() - self.next
    }

    /// None for so many of the next rows.
    fn not_found(&self, rows: usize) -> Values {
        Values { from: self.next, places: vec![None; rows], ..Values::default() }
    }

    /// The next rows, up to those whose values were not looked for, and to as many as memory is to hold.
    fn piece(&mut self) -> Result<Rows> {
        let (first, lacking) = (self.row, self.next);
        let mut bytes = 0;
        while self.next < self.values.end() && bytes < BATCH_BYTES {
            bytes += self.values.of(self.next).map_or(0, |found| self.values.bytes(found));
            self.next += 1;
        }
        self.row = self.unsent.rows.get(self.next).map_or(self.rows.batch.num_rows(), |next| next.row);
        self.filled(first..self.row, lacking..self.next)
    }

    /// These rows, of which these lack values.
    fn filled(&self, rows: Range<usize>, lacking: Range<usize>) -> Result<Rows> {
        let Values { columns, found, .. } = &self.values;
        let all = &self.rows.batch;
        let lacking: Vec<_> = lacking
            .filter_map(|at| Some((&self.unsent.rows[at], self.values.of(at)?)))
            .map(|(lacking, (batch, row))| (lacking, (batch + 1, row)))
            .collect();
        let own: Vec<_> = rows.clone().map(|row| (0, row)).collect();
        // Behind them stand the names of what is unchanged, and of what was filled in.
        let count = all.num_columns() - 2;
        let mut arrays = Vec::with_capacity(count);
        for (at, array) in all.columns().iter().enumerate().take(count) {
            let read = columns.iter().position(|column| *column == at).filter(|_| !lacking.is_empty());
            let Some(read) = read else {
                arrays.push(match own.len() == all.num_rows() {
                    true => array.clone(),
                    // Not a part of the whole: that would be held, and counted, as often as there are parts.
                    false => interleaved(&[array], &own)?,
                });
                continue;
            };
            let mut places = own.clone();
            for (lacking, place) in lacking.iter().filter(|(lacking, _)| self.unsent.columns(lacking).contains(&at)) {
                places[lacking.row - rows.start] = *place;
            }
            let found = found.batches.iter().map(|batch| batch.column(read));
            arrays.push(interleaved(&std::iter::once(array).chain(found).collect::<Vec<_>>(), &places)?);
        }
        let mut is_filled = vec![false; rows.len()];
        lacking.iter().for_each(|(lacking, _)| is_filled[lacking.row - rows.start] = true);
        let unchanged = all.column(count).slice(rows.start, rows.len());
        change::filled(&self.rows.table, arrays, unchanged.as_list(), &is_filled)
    }
}

fn interleaved(arrays: &[&ArrayRef], places: &[(usize, usize)]) -> Result<ArrayRef> {
    let arrays: Vec<&dyn Array> = arrays.iter().map(|array| array.as_ref()).collect();
    interleave(&arrays, places).map_err(|e| Error::bug(e.to_string()))
}
