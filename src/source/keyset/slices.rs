//! Bounds of chunks from what a server estimates, where the key begins with a number: nothing between them is read.

use async_trait::async_trait;

use crate::error::Result;

/// What a server tells at once of the numbers that the key begins with.
#[async_trait]
pub trait Survey: Send {
    /// The least and the greatest that is there, of all or of those from one up to another; `None` where there is none.
    async fn ends(&mut self, within: Option<(i128, i128)>) -> Result<Option<(i128, i128)>>;

    /// About how many rows have one from `from` up to `to`; `None` where the server does not say.
    async fn rows(&mut self, from: i128, to: i128) -> Result<Option<u64>>;
}

/// Numbers up to which chunks of about so many `rows` go, the greatest that is there the last of them. `all` is how many rows
/// there are by the server's statistics. `None` where a walk is to tell.
///
/// Servers do not estimate more for a slice than a part of what their statistics say of the table, however many rows it
/// has. So there must be some chunks of them: then a slice with too many rows is never taken for one with few.
pub async fn bounds(survey: &mut dyn Survey, all: u64, rows: u64) -> Result<Option<Vec<i128>>> {
    if all / FEWEST < rows {
        return Ok(None);
    }
    let Some((from, to)) = survey.ends(None).await? else { return Ok(None) };
    let mut questions = QUESTIONS + QUESTIONS_PER_CHUNK * (all / rows);
    let mut small = Vec::new();
    let mut open = vec![Slice { from, to, rows: all }];
    while let Some(slice) = open.pop() {
        if slice.rows <= rows {
            small.push(slice);
            continue;
        }
        // Whatever the numbers are like: what lies between two crowds of them is left behind at once.
        let Some((from, to)) = survey.ends(Some((slice.from, slice.to))).await? else { continue };
        if from == to {
            if slice.rows > 2 * rows {
                return Ok(None);
            }
            small.push(slice);
            continue;
        }
        let pieces = (slice.rows.saturating_mul(PIECES_PER_CHUNK) / rows).clamp(2, PIECES);
        let Some(pieces) = cut(from, to, pieces) else { return Ok(None) };
        // The first of them on top.
        for (from, to) in pieces.into_iter().rev() {
            questions -= 1;
            let rows = survey.rows(from, to).await?;
            match rows {
                Some(rows) if questions > 0 => open.push(Slice { from, to, rows }),
                _ => return Ok(None),
            }
        }
    }
    // The last one may have lost its rows meanwhile.
    let bounds = merged(&small, all, rows);
    Ok((bounds.len() as u64 >= FEWEST).then_some(bounds))
}

/// With fewer chunks the walk is short.
const FEWEST: u64 = 3;
/// Pieces that a slice is cut into: so many of each chunk that is in it, so that neighbours can be put together,
const PIECES_PER_CHUNK: u64 = 4;
/// and no more at once, as there may be nothing in most of them.
const PIECES: u64 = 64;
/// What may be asked, before it is left to the walk.
const QUESTIONS: u64 = 256;
const QUESTIONS_PER_CHUNK: u64 = 4 * PIECES_PER_CHUNK;

/// Numbers from one up to another.
struct Slice {
    from: i128,
    to: i128,
    rows: u64,
}

/// Cuts numbers into so many pieces of the same width; `None` where they are too far apart to be counted.
fn cut(from: i128, to: i128, pieces: u64) -> Option<Vec<(i128, i128)>> {
    let width = to.checked_sub(from)?.checked_add(1)?;
    let pieces = i128::from(pieces).min(width);
    // Not `width * n / pieces`, which may be too large to be counted.
    let end = |n: i128| from + width / pieces * n + width % pieces * n / pieces - 1;
    Some((0..pieces).map(|n| (end(n) + 1, end(n + 1))).collect())
}

/// The ends of chunks that are put together of slices, so that each has about so many rows.
fn merged(slices: &[Slice], all: u64, rows: u64) -> Vec<i128> {
    let sum: u64 = slices.iter().fold(0, |sum, slice| sum.saturating_add(slice.rows));
    let each = rows as f64 * excess(sum, all);
    let mut bounds = Vec::new();
    let mut sized = 0.0;
    for (n, slice) in slices.iter().enumerate() {
        sized += slice.rows as f64;
        let next = slices.get(n + 1).map_or(f64::INFINITY, |next| next.rows as f64);
        if sized + next / 2.0 > each {
            bounds.push(slice.to);
            sized = 0.0;
        }
    }
    bounds
}

/// How much too high the estimates are. InnoDB doubles what it has estimated of a tree of some height: not more, so that
/// statistics that are of long ago make no larger chunks than twice those that were asked for.
fn excess(sum: u64, all: u64) -> f64 {
    let excess = sum as f64 / all as f64;
    if excess > 1.25 { excess.min(2.0) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers, sorted, and how a server estimates them.
    struct Numbers {
        numbers: Vec<i128>,
        estimate: fn(u64) -> Option<u64>,
        asked: u64,
    }

    impl Numbers {
        fn of(&self, from: i128, to: i128) -> &[i128] {
            let at = |number| self.numbers.partition_point(|n| *n < number);
            &self.numbers[at(from)..at(to + 1)]
        }
    }

    #[async_trait]
    impl Survey for Numbers {
        async fn ends(&mut self, within: Option<(i128, i128)>) -> Result<Option<(i128, i128)>> {
            self.asked += 1;
            let within = within.map_or(&self.numbers[..], |(from, to)| self.of(from, to));
            Ok(within.first().copied().zip(within.last().copied()))
        }

        async fn rows(&mut self, from: i128, to: i128) -> Result<Option<u64>> {
            self.asked += 1;
            Ok((self.estimate)(self.of(from, to).len() as u64))
        }
    }

    /// What the chunks hold.
    async fn sizes(
        numbers: impl IntoIterator<Item = i128>,
        estimate: fn(u64) -> Option<u64>,
        (all, rows): (u64, u64),
    ) -> Option<Vec<usize>> {
        let mut numbers = Numbers { numbers: numbers.into_iter().collect(), estimate, asked: 0 };
        let count = numbers.numbers.len() as u64;
        let bounds = bounds(&mut numbers, all, rows).await.unwrap();
        let most = 2 * (QUESTIONS + QUESTIONS_PER_CHUNK * (all / rows));
        assert!(numbers.asked <= most, "{} questions for {count} rows", numbers.asked);
        let bounds = bounds?;
        assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
        assert_eq!(bounds.last(), numbers.numbers.last());
        let ends: Vec<_> = bounds.iter().map(|bound| numbers.numbers.partition_point(|n| n <= bound)).collect();
        Some(ends.iter().scan(0, |before, end| Some(end - std::mem::replace(before, *end))).collect())
    }

    const EXACT: fn(u64) -> Option<u64> = Some;

    #[tokio::test]
    async fn chunks_are_as_large_as_asked_however_the_numbers_lie() {
        let far = i128::from(u64::MAX);
        let shapes: [(&str, Vec<i128>); 9] = [
            ("uniform", (0..100_000).collect()),
            ("negative", (-100_000..0).map(|n| n * 3).collect()),
            (
                "dense at the end",
                (0..1_000).map(|n| n * 1_000_000_000).chain(999_000_000_001..999_000_099_001).collect(),
            ),
            ("one far away", (1..100_000).chain([far]).collect()),
            ("far away but for one", [1].into_iter().chain(far - 100_000..=far).collect()),
            ("two crowds", (0..50_000).chain((1 << 60)..(1 << 60) + 50_000).collect()),
            ("gaps", (0..100_000).map(|n| n + n / 10_000 * 1_000_000_000_000).collect()),
            ("squares", (0..100_000).map(|n| n * n * n).collect()),
            ("several of each", (0..100_000).map(|n| n / 7).collect()),
        ];
        for (name, numbers) in shapes {
            let count = numbers.len() as u64;
            for rows in [100, 1_000, 9_999, 30_000] {
                let sizes = sizes(numbers.clone(), EXACT, (count, rows)).await.unwrap();
                let (most, some) = (*sizes.iter().max().unwrap() as u64, sizes.len() as u64);
                assert!(most <= rows + rows / 2, "{name}: {most} of {rows}");
                assert!(some <= 2 * count / rows, "{name}: {some} chunks of {rows}");
            }
        }
    }

    /// How a server estimates, and what that makes of chunks.
    type Estimate = fn(u64) -> Option<u64>;

    /// Twice as much as there is, as InnoDB has it, is put right; and what is simply wrong makes chunks that are as wrong.
    #[tokio::test]
    async fn wrong_estimates_make_chunks_of_other_sizes() {
        let estimates: [(Estimate, usize, usize); 4] = [
            (|rows| Some(rows * 2), 800, 1_250),
            (|rows| Some(rows * 2 + rows % 7 * 9), 500, 1_500),
            (|rows| Some(rows / 3), 2_000, 3_500),
            (|rows| Some(rows * 3), 400, 1_000),
        ];
        for (estimate, least, most) in estimates {
            let mut sizes = sizes(0..100_000, estimate, (100_000, 1_000)).await.unwrap();
            sizes.pop();
            assert!(sizes.iter().all(|size| (least..=most).contains(size)), "{least}..={most}: {sizes:?}");
        }
    }

    /// Statistics say a hundredth of what is there, and no estimate says more than half of that.
    #[tokio::test]
    async fn statistics_of_long_ago_make_no_giant() {
        let estimate = |rows: u64| Some(rows.min(5_000));
        let sizes_of = sizes((0..1_000).chain(1_000_000..1_999_000), estimate, (10_000, 3_000)).await;
        assert!(sizes_of.is_none_or(|sizes| sizes.iter().all(|size| *size <= 9_000)));
        let all_at_the_end = (0..10_000).map(|n| n * 1_000_000).chain(9_999_000_001..9_999_090_000);
        let sizes = sizes(all_at_the_end, estimate, (10_000, 3_000)).await.unwrap();
        assert!(sizes.iter().all(|size| *size <= 9_000), "{sizes:?}");
    }

    #[tokio::test]
    async fn what_estimates_cannot_tell_is_walked() {
        assert_eq!(sizes([], EXACT, (100_000, 1_000)).await, None, "empty by now");
        assert_eq!(sizes(vec![7; 100_000], EXACT, (100_000, 1_000)).await, None, "all equal");
        let much_of_one = (0..50_000).chain(vec![50_000; 50_000]);
        assert_eq!(sizes(much_of_one, EXACT, (100_000, 1_000)).await, None, "half are equal");
        assert_eq!(sizes(0..2_999, EXACT, (2_999, 1_000)).await, None, "few chunks");
        assert_eq!(sizes(0..1_000, EXACT, (100_000, 1_000)).await, None, "few by now");
        assert_eq!(sizes(0..100_000, |_| None, (100_000, 1_000)).await, None, "not said");
        assert_eq!(sizes(0..1_000_000, |_| Some(5_000), (100_000, 1_000)).await, None, "always the same");
    }

    #[test]
    fn pieces_are_all_of_it() {
        for (from, to) in [(0, 9), (-5, 5), (i128::from(i64::MIN), i128::from(u64::MAX)), (3, 3), (0, 10_i128.pow(38))]
        {
            for count in [1, 2, 3, 7, 64] {
                let pieces = cut(from, to, count).unwrap();
                assert_eq!((pieces[0].0, pieces[pieces.len() - 1].1), (from, to));
                assert!(pieces.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{pieces:?}");
                assert!(pieces.iter().all(|(from, to)| from <= to), "{pieces:?}");
            }
        }
        assert_eq!(cut(i128::MIN, i128::MAX, 2), None);
    }
}
