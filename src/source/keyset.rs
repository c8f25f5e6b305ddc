//! Chunks by key, as far as they are the same for every source with SQL: ranges of an index, found by what the server knows
//! of it or by walking along it, and what a statement reads of one.

pub mod slices;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use super::cursor::{Compare, Handover, Window, compare};
use crate::error::{Error, Kind, Result};
use crate::record::Range;
use crate::source::{Chunks, Consistency};

/// A chunk of a table: what its [`Range`] holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The columns that it is a range of; none where the chunk is all, or pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Rows above this one, of which the first columns are enough: `[7]` is above all rows whose first column is 7,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<String>>,
    /// and not above this one: up to `[9]` are all rows whose first column is 9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<String>>,
    /// In place of a range: the rows that have a null among the columns, which no range has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nulls: bool,
    /// Pages of the table's file, from one on to before another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<(u64, Option<u64>)>,
    /// The snapshot that it is read in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Of an incremental stream's load: only the rows with such a cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Window>,
    /// Tells the table from another one that takes its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
}

impl Span {
    /// Reads what [`Span::range`] gave; all where there is none.
    pub fn of(range: Option<&Range>) -> Result<Self> {
        let Some(range) = range else { return Ok(Self::default()) };
        serde_json::from_value(range.as_value().clone()).map_err(|_| lost("its chunks are not of this source"))
    }

    /// The chunk of a load that an incremental stream begins with; `None` where the range is a window of the cursor.
    pub fn of_handover(range: &Range) -> Option<Self> {
        serde_json::from_value::<Self>(range.as_value().clone()).ok().filter(|span| span.cursor.is_some())
    }

    /// The pieces of such a load, of a table that is cut so otherwise.
    pub fn handed(chunks: Chunks, handover: Handover) -> Result<Chunks> {
        let whole = [None];
        let ranges: Vec<_> = chunks.ranges.iter().map(Some).collect();
        let ranges = if ranges.is_empty() { &whole[..] } else { &ranges };
        let handed =
            |range: &Option<&Range>| Ok(Self { cursor: Some(handover.window.clone()), ..Self::of(*range)? }.range());
        let ranges = ranges.iter().map(handed).collect::<Result<_>>()?;
        Ok(Chunks { ranges, handover: Some(handover.place), ..Chunks::whole(Consistency::Chunk) })
    }

    pub fn range(&self) -> Range {
        Range::new(json!(self))
    }

    /// Refuses another table than the one whose chunk it is.
    pub fn check_table(&self, found: Option<&str>) -> Result<()> {
        match (self.table.as_deref(), found) {
            (Some(then), Some(now)) if then != now => Err(lost("another table has its name now")),
            _ => Ok(()),
        }
    }
}

/// What a load was begun with is no more, so that it cannot go on.
pub fn lost(what: &str) -> Error {
    Error::new(Kind::Lost, format!("the load cannot go on: {what}"))
}

fn other_columns() -> Error {
    lost("its chunks are of other columns")
}

/// The columns that chunks are ranges of.
#[derive(Debug, Clone)]
pub struct Key {
    pub columns: Vec<KeyColumn>,
    /// Whether they tell all rows apart, so that a statement can go on behind the last row of another.
    pub is_unique: bool,
    /// Whether the server makes a range of an index of a comparison of rows.
    pub rows: bool,
}

#[derive(Debug, Clone)]
pub struct KeyColumn {
    pub name: String,
    /// As conditions and orders name it.
    pub sql: String,
    /// Its text, as [`KeyColumn::literal`] takes it.
    pub mark: String,
    /// Writes a text as SQL. Nothing of it is taken for SQL, whatever it is.
    pub literal: fn(&str) -> Result<String>,
    pub is_nullable: bool,
    /// Whether its texts are numbers, between two of which any number lies between them.
    pub is_number: bool,
}

impl Key {
    /// The condition of a chunk's rows, of which those up to `behind` have been read; `None` where it is all.
    pub fn condition(&self, span: &Span, behind: Option<&[String]>) -> Result<Option<String>> {
        let nullable: Vec<_> = self.columns.iter().filter(|column| column.is_nullable).collect();
        if span.nulls {
            let any: Vec<_> = nullable.iter().map(|column| format!("{} is null", column.sql)).collect();
            return Ok(Some(format!("({})", any.join(" or "))));
        }
        let mut conditions = Vec::new();
        // Behind a row there may be others whose first columns are the same.
        if behind.is_some_and(|behind| behind.len() != self.columns.len()) {
            return Err(other_columns());
        }
        if let Some(after) = behind.or(span.after.as_deref()) {
            conditions.push(self.compared(Compare::Greater, after)?);
        }
        if let Some(to) = &span.to {
            conditions.push(self.compared(Compare::LessOrEqual, to)?);
        }
        // What a comparison of several says is decided by the first, though a later one be null.
        conditions.extend(nullable.iter().map(|column| format!("{} is not null", column.sql)));
        Ok((!conditions.is_empty()).then(|| conditions.join(" and ")))
    }

    fn compared(&self, how: Compare, values: &[String]) -> Result<String> {
        if values.is_empty() || values.len() > self.columns.len() {
            return Err(other_columns());
        }
        let literals = self.columns.iter().zip(values).map(|(column, value)| (column.literal)(value));
        let columns: Vec<_> = self.columns.iter().take(values.len()).map(|column| column.sql.clone()).collect();
        Ok(compare(&columns, how, &literals.collect::<Result<Vec<_>>>()?, self.rows))
    }

    pub fn order(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.sql.clone()).collect()
    }

    pub fn marks(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.mark.clone()).collect()
    }

    /// The chunks of about so many rows each, by what is known of them and a walk behind that; none where the table is to
    /// be read whole.
    pub async fn spans(&self, walk: &mut dyn Walk, rows: u64, known: Known) -> Result<Vec<Span>> {
        let bounds = bounds(walk, self, rows, known).await?;
        if bounds.is_empty() {
            return Ok(Vec::new());
        }
        let columns: Vec<_> = self.columns.iter().map(|column| column.name.clone()).collect();
        let span = |after, to| Span { columns: columns.clone(), after, to, ..Span::default() };
        let mut spans = Vec::new();
        if self.columns.iter().any(|column| column.is_nullable) {
            spans.push(Span { nulls: true, ..span(None, None) });
        }
        let mut after = None;
        for to in bounds {
            spans.push(span(after.replace(to.clone()), Some(to)));
        }
        spans.push(span(after, None));
        Ok(spans)
    }
}

/// Goes along an index.
#[async_trait]
pub trait Walk: Send {
    /// The key of the `nth` row (from 0 on) of those that a condition holds for, in the order of keys.
    async fn nth(&mut self, condition: Option<&str>, nth: u64) -> Result<Option<Vec<String>>>;
}

/// More than anybody has asked for so far: each chunk costs requests, and its bounds are kept.
const MOST_CHUNKS: usize = 100_000;

/// Bounds that a source knows of without a walk.
#[derive(Debug, Default)]
pub struct Known {
    /// Ascending strictly, each of them a key's first columns or all, with a chunk's rows from one to the next. A walk goes
    /// on behind the last one.
    pub bounds: Vec<Vec<String>>,
    /// Rows of which it is not known where they are. If they are not behind the last bound, nothing is known.
    pub unplaced: u64,
}

/// The last keys of all chunks but the last, which may have from half to one and a half of the rows of others.
async fn bounds(walk: &mut dyn Walk, key: &Key, rows: u64, known: Known) -> Result<Vec<Vec<String>>> {
    let (count, unplaced) = (known.bounds.len(), known.unplaced);
    let bounds = behind(walk, key, rows, known.bounds).await?;
    let walked = (bounds.len() + 1).saturating_sub(count) as u64;
    if count == 0 || unplaced <= rows.saturating_mul(walked) {
        return Ok(bounds);
    }
    behind(walk, key, rows, Vec::new()).await
}

/// Walks on behind the last of these bounds, to the end.
async fn behind(walk: &mut dyn Walk, key: &Key, rows: u64, mut bounds: Vec<Vec<String>>) -> Result<Vec<Vec<String>>> {
    loop {
        let rest = Span { after: bounds.last().cloned(), ..Span::default() };
        let condition = key.condition(&rest, None)?;
        let Some(bound) = walk.nth(condition.as_deref(), rows.saturating_sub(1)).await? else {
            // A small rest is the last chunk's, and so is none.
            let is_small = match condition.filter(|_| !bounds.is_empty()) {
                Some(condition) => walk.nth(Some(&condition), rows / 2).await?.is_none(),
                None => false,
            };
            if is_small {
                bounds.pop();
            }
            return Ok(bounds);
        };
        bounds.push(bound);
        if bounds.len() >= MOST_CHUNKS {
            return Err(Error::config(format!("`chunk_rows` would make more than {MOST_CHUNKS} chunks"))
                .hint("Let chunks have more rows, or let statistics tell how many."));
        }
    }
}

/// The end of a statement's time.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Option<(Instant, Duration)>);

impl Deadline {
    /// From now on; none where a statement may read as long as it takes.
    pub fn after(limit: Option<Duration>) -> Self {
        Self(limit.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit))))
    }

    pub fn is_over(self) -> bool {
        self.0.is_some_and(|(at, _)| Instant::now() >= at)
    }

    /// Waits for something that may be given up; `None` where the time is over before it comes.
    pub async fn within<T>(self, work: impl Future<Output = T>) -> Option<T> {
        match self.0 {
            Some((at, _)) => tokio::time::timeout_at(at, work).await.ok(),
            None => Some(work.await),
        }
    }

    /// A statement whose time is over, and behind whose last row no other can go on.
    pub fn error(self, has_key: bool) -> Error {
        let limit = self.0.map_or(Duration::ZERO, |(_, limit)| limit);
        let why = match has_key {
            true => "nothing came within the time",
            false => "there is no key, behind whose last value another one could go on",
        };
        Error::config(format!("one statement has read for longer than `max_query_time` ({} s): {why}", limit.as_secs()))
            .hint(
                "Name columns that tell rows apart and have an index with `chunk_by`, or allow more with `max_query_time`, or \
                 with `consistency = table` as long as it takes.",
            )
    }
}

/// How long a statement may go on to read that is left behind one of its rows.
///
/// Unlike a [`Deadline`], it never ends a statement of which no row has come. One that took long to its first, since the server sorts
/// say, reads for as long again: the next one may take as long.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    began: Instant,
    limit: Option<Duration>,
    end: Option<Instant>,
}

/// Of so many rows one looks at the clock.
const LOOKS_EVERY: u64 = 16;

impl Allowance {
    /// From now on; none where a statement may read as long as it takes.
    pub fn of(limit: Option<Duration>) -> Self {
        Self { began: Instant::now(), limit, end: None }
    }

    /// Tells of a row, the `nth` of the statement; whether it is the last one.
    pub fn is_used_up_by(&mut self, nth: u64) -> bool {
        if let (Some(limit), None) = (self.limit, self.end) {
            let waited = self.began.elapsed();
            self.end = (self.began + waited).checked_add(waited.max(limit.saturating_sub(waited)));
        }
        nth.is_multiple_of(LOOKS_EVERY) && self.is_over()
    }

    pub fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(columns: &[(&str, bool)], rows: bool) -> Key {
        let column = |(name, is_nullable): &(&str, bool)| KeyColumn {
            name: (*name).to_owned(),
            sql: (*name).to_owned(),
            mark: (*name).to_owned(),
            literal: |text| Ok(text.to_owned()),
            is_nullable: *is_nullable,
            is_number: true,
        };
        Key { columns: columns.iter().map(column).collect(), is_unique: true, rows }
    }

    /// Numbers, sorted; conditions are `a > N and a is not null`.
    struct Numbers(Vec<i64>);

    #[async_trait]
    impl Walk for Numbers {
        async fn nth(&mut self, condition: Option<&str>, nth: u64) -> Result<Option<Vec<String>>> {
            let after = condition.and_then(|text| text.split(' ').nth(2)?.parse::<i64>().ok()).unwrap_or(i64::MIN);
            let found = self.0.iter().filter(|number| **number > after).nth(usize::try_from(nth).unwrap());
            Ok(found.map(|number| vec![number.to_string()]))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_statement_reads_at_least_as_long_as_it_took_to_its_first_row() {
        let seconds = Duration::from_secs;
        for (limit, first, end) in [(10, 1, Some(10)), (10, 4, Some(10)), (10, 8, Some(16)), (10, 30, Some(60))] {
            let mut allowed = Allowance::of(Some(seconds(limit)));
            tokio::time::advance(seconds(first)).await;
            assert!(!allowed.is_over() && !allowed.is_used_up_by(LOOKS_EVERY));
            let left = end.map(|end| seconds(end - first)).unwrap();
            tokio::time::advance(left - Duration::from_millis(1)).await;
            assert!(!allowed.is_used_up_by(2 * LOOKS_EVERY), "{limit} {first}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(allowed.is_over() && allowed.is_used_up_by(3 * LOOKS_EVERY), "{limit} {first}");
            assert!(!allowed.is_used_up_by(1), "not every row looks at the clock");
        }
        let mut endless = Allowance::of(None);
        tokio::time::advance(seconds(1_000_000)).await;
        assert!(!endless.is_used_up_by(LOOKS_EVERY) && !endless.is_over());
    }

    async fn spans(numbers: impl IntoIterator<Item = i64>, rows: u64) -> Vec<(Option<String>, Option<String>)> {
        let spans = key(&[("a", false)], true)
            .spans(&mut Numbers(numbers.into_iter().collect()), rows, Known::default())
            .await
            .unwrap();
        let first = |values: Option<Vec<String>>| values.map(|mut values| values.remove(0));
        spans.into_iter().map(|span| (first(span.after), first(span.to))).collect()
    }

    #[tokio::test]
    async fn every_row_is_in_one_chunk() {
        for rows in 1..12 {
            for count in 0..40 {
                let spans = spans(0..count, rows).await;
                let is_in = |n: i64, (after, to): &(Option<String>, Option<String>)| {
                    let bound = |text: &Option<String>| text.as_ref().map(|text| text.parse::<i64>().unwrap());
                    bound(after).is_none_or(|after| n > after) && bound(to).is_none_or(|to| n <= to)
                };
                if spans.is_empty() {
                    assert!(count as u64 <= rows + rows / 2 + 1, "{count} rows, {rows} each");
                    continue;
                }
                for n in -1..=count {
                    assert_eq!(spans.iter().filter(|span| is_in(n, span)).count(), 1, "{n} of {count}, {rows} each");
                }
                for span in &spans {
                    let size = (0..count).filter(|n| is_in(*n, span)).count() as u64;
                    assert!(size >= rows / 2 && size <= rows + rows / 2 + 1, "{size} of {count}, {rows} each");
                }
            }
        }
    }

    #[tokio::test]
    async fn equal_keys_stay_together() {
        assert_eq!(spans([7; 100], 10).await, []);
        let (seven, nine) = (Some("7".to_owned()), Some("9".to_owned()));
        let numbers = [7; 30].into_iter().chain([8; 9]).chain([9; 30]).chain([10; 9]);
        let wanted = [(None, seven.clone()), (seven, nine.clone()), (nine, None)];
        assert_eq!(spans(numbers, 10).await, wanted);
    }

    #[tokio::test]
    async fn rows_with_a_null_are_a_chunk_of_their_own() {
        let key = key(&[("a", true), ("b", false)], false);
        struct Once(bool);
        #[async_trait]
        impl Walk for Once {
            async fn nth(&mut self, condition: Option<&str>, _: u64) -> Result<Option<Vec<String>>> {
                assert!(condition.unwrap().contains("a is not null"));
                let first = std::mem::replace(&mut self.0, false);
                Ok((first || !condition.unwrap().contains('5')).then(|| vec!["5".to_owned(), "6".to_owned()]))
            }
        }
        // The rest is none, so that all but the nulls would be one chunk: then it is all read whole.
        assert_eq!(key.spans(&mut Once(true), 10, Known::default()).await.unwrap(), []);
        let nulls = Span { nulls: true, ..Span::default() };
        assert_eq!(key.condition(&nulls, None).unwrap().unwrap(), "(a is null)");
        let of = |values: &[&str]| Some(values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
        let span = Span { after: of(&["1", "2"]), to: of(&["3", "4"]), ..Span::default() };
        assert_eq!(
            key.condition(&span, None).unwrap().unwrap(),
            "(a >= 1 and (a > 1 or (a = 1 and (b > 2)))) and (a <= 3 and (a < 3 or (a = 3 and (b <= 4)))) and a is not null"
        );
        let behind = of(&["2", "2"]).unwrap();
        assert!(key.condition(&span, Some(&behind)).unwrap().unwrap().starts_with("(a >= 2 and"));
        let longer = Span { to: of(&["3", "4", "5"]), ..Span::default() };
        assert_eq!(key.condition(&longer, None).unwrap_err().kind(), Kind::Lost);
    }

    #[test]
    fn the_first_columns_are_bounds_enough() {
        let key = key(&[("a", false), ("b", false)], true);
        let of = |values: &[&str]| Some(values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
        let span = Span { after: of(&["1"]), to: of(&["3"]), ..Span::default() };
        assert_eq!(key.condition(&span, None).unwrap().unwrap(), "a > 1 and a <= 3");
        let behind = of(&["2", "7"]).unwrap();
        assert_eq!(key.condition(&span, Some(&behind)).unwrap().unwrap(), "(a, b) > (2, 7) and a <= 3");
        assert_eq!(key.condition(&span, Some(&behind[..1])).unwrap_err().kind(), Kind::Lost);
        let none = Span { after: Some(Vec::new()), ..Span::default() };
        assert_eq!(key.condition(&none, None).unwrap_err().kind(), Kind::Lost);
    }

    /// Of 0 to 99, by known bounds.
    async fn ends(known: &[i64], unplaced: u64, rows: u64) -> Vec<i64> {
        let bounds = known.iter().map(|bound| vec![bound.to_string()]).collect();
        let key = key(&[("a", false)], true);
        let spans = key.spans(&mut Numbers((0..100).collect()), rows, Known { bounds, unplaced }).await.unwrap();
        spans.into_iter().filter_map(|span| span.to?.remove(0).parse().ok()).collect()
    }

    #[tokio::test]
    async fn a_walk_goes_on_behind_what_is_known() {
        assert_eq!(ends(&[30, 60, 99], 0, 30).await, [30, 60], "a rest without rows is none");
        assert_eq!(ends(&[30, 60, 90], 0, 30).await, [30, 60], "nor is a small one");
        assert_eq!(ends(&[30], 0, 30).await, [30, 60]);
        assert_eq!(ends(&[10, 20], 60, 30).await, [10, 20, 50, 80], "they are where the walk is");
        assert_eq!(ends(&[30, 60, 90], 60, 30).await, [29, 59], "they may be anywhere");
    }

    #[test]
    fn a_span_is_read_back() {
        let span = Span { columns: vec!["a".to_owned()], to: Some(vec!["'".to_owned()]), ..Span::default() };
        assert_eq!(span.range().as_value(), &json!({ "columns": ["a"], "to": ["'"] }));
        assert_eq!(Span::of(Some(&span.range())).unwrap(), span);
        assert_eq!(Span::of(None).unwrap(), Span::default());
        assert_eq!(Span::of(Some(&Range::new(json!("x")))).unwrap_err().kind(), Kind::Lost);
        let table = Span { table: Some("7".to_owned()), ..span };
        assert!(table.check_table(Some("7")).is_ok() && table.check_table(None).is_ok());
        assert_eq!(table.check_table(Some("8")).unwrap_err().kind(), Kind::Lost);
    }
}
