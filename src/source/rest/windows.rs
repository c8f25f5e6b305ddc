//! Parts of a stream's cursor that are read again: where each of them ends, and how it is asked for.

use std::cmp::Ordering;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;

use super::endpoint::Endpoint;
use super::incremental::{Incremental, Mark};
use super::position::Reached;
use crate::error::{Error, Result};
use crate::record::{Checkpoint, Range};
use crate::source::cursor::{self, Axis, Step, Steps, Wanted, Window, places};

/// The windows of what is wanted. `after` is where the stream has come to.
pub async fn cut(endpoint: &Endpoint, wanted: &Wanted, after: Option<&Checkpoint>) -> Result<Vec<Range>> {
    let Some(settings) = &endpoint.incremental else { return Err(Error::bug("a window is cut of no cursor")) };
    if wanted.step.is_some() && settings.until_param.is_none() {
        return Err(Error::config("`--step` needs `until_param`, the parameter of where a window ends")
            .hint("Without it, what is asked for is read as one window."));
    }
    if wanted.until.is_none() && endpoint.children.is_some() {
        return Err(Error::config(
            "`--until` is missing: each parent has a mark of its own, so there is none to end at",
        ));
    }
    let mark = after.map(|after| Reached::of(&after.position, Some(settings))).transpose()?;
    let mark = mark.and_then(|reached| reached.mark).map(Mark);
    let written = [&wanted.from, &wanted.until].into_iter().flatten().next().cloned().map(Mark);
    let like = mark.clone().or_else(|| settings.start.clone()).or(written);
    let mut axis = Values { settings, like };
    let windows = cursor::cut(&mut axis, wanted, mark.map(|mark| vec![mark.0])).await?;
    windows.iter().map(Window::range).collect()
}

/// The endpoint as it is read for a window. Nothing is left out then: a request that fails ends the reading, which goes on there.
pub fn within(mut endpoint: Endpoint, range: &Range) -> Result<Endpoint> {
    let window = Window::of(range)?;
    let Some(settings) = &endpoint.incremental else { return Err(Error::bug("a window is of no cursor")) };
    endpoint.incremental = Some(settings.within(&window));
    endpoint.skip = None;
    Ok(endpoint)
}

/// A range in which nothing is to be read.
pub fn nothing() -> Range {
    Range::new(json!({ "nothing": true }))
}

/// Values of a cursor that only the server has.
struct Values<'s> {
    settings: &'s Incremental,
    /// One that all others are like.
    like: Option<Mark>,
}

impl Values<'_> {
    fn is_time(&self) -> bool {
        self.like.as_ref().is_some_and(|like| like.is_written_time() || self.settings.sends_times())
    }
}

#[async_trait]
impl Axis for Values<'_> {
    fn name(&self) -> String {
        match &self.like {
            Some(like) if like.time().is_none() => "a text".to_owned(),
            Some(_) if self.is_time() => "a time".to_owned(),
            _ => "a number".to_owned(),
        }
    }

    fn steps(&self) -> Option<Steps> {
        match self.like.as_ref().map(|like| like.time().is_some()) {
            Some(true) if self.is_time() => Some(Steps::Times),
            Some(true) => Some(Steps::Numbers),
            _ => None,
        }
    }

    async fn read(&mut self, text: &str) -> Result<Option<String>> {
        let value = Mark(text.trim().to_owned());
        let Some(like) = &self.like else { return Ok(Some(value.0)) };
        Ok(match (value.time(), like.time()) {
            // A time may be written for a cursor of seconds since 1970.
            (Some(at), Some(_)) if value.is_written_time() && !like.is_written_time() => {
                Some(like.like(at, |at| at.to_string()))
            }
            (Some(_), Some(_)) | (None, None) => Some(value.0),
            _ => None,
        })
    }

    async fn is_before(&mut self, one: &str, other: &str) -> Result<bool> {
        Ok(Mark(one.to_owned()).order(&Mark(other.to_owned())) == Ordering::Less)
    }

    async fn lowest(&mut self) -> Result<Option<String>> {
        let start = self.settings.start.clone();
        start.map(|start| Some(start.0)).ok_or_else(|| {
            Error::config("`--step` needs `--from`, or the stream's `start`: where the first window begins")
        })
    }

    async fn borders(&mut self, from: &str, end: &str, step: &Step, most: usize) -> Result<Option<Vec<String>>> {
        let (from, end) = (Mark(from.to_owned()), Mark(end.to_owned()));
        Ok(borders(self.settings, (&from, &end), step, most))
    }
}

fn borders(settings: &Incremental, (from, end): (&Mark, &Mark), step: &Step, most: usize) -> Option<Vec<String>> {
    if let Step::Number(_) = step {
        let (from, end) = (from.whole()?, end.whole()?);
        return Some(places(from, end, step.units(), most).map(|at| at.to_string()).collect());
    }
    let (begin, end) = (i128::from(from.time()?.as_microsecond()), i128::from(end.time()?.as_microsecond()));
    let at = |micros| Timestamp::from_microsecond(i64::try_from(micros).ok()?).ok();
    let written = |micros| Some(from.like(at(micros)?, |at| settings.text(at)));
    let mut borders = places(begin, end, step.units(), most).map(written).collect::<Option<Vec<_>>>()?;
    // A step may be less than what values tell apart.
    borders.dedup();
    borders.retain(|border| border != from.text());
    Some(borders)
}

#[cfg(test)]
mod tests {
    use super::super::incremental::KEYS;
    use super::*;
    use crate::config::Section;
    use crate::source::STREAM_KEYS;

    fn settings(values: &[(&str, &str)]) -> Incremental {
        let keys = STREAM_KEYS.iter().chain(KEYS).collect();
        Incremental::of(&Section::of_keys("stream s", keys, &[&[("cursor", "at")], values].concat()).unwrap()).unwrap()
    }

    async fn windows(settings: &Incremental, wanted: [Option<&str>; 3], mark: Option<&str>) -> Result<String> {
        let [from, until, step] = wanted.map(|text| text.map(str::to_owned));
        let mark = mark.map(|mark| Mark(mark.to_owned()));
        let mut axis = Values { settings, like: mark.clone().or_else(|| settings.start.clone()) };
        let wanted = Wanted { from, until, step };
        let windows = cursor::cut(&mut axis, &wanted, mark.map(|mark| vec![mark.0])).await?;
        let end = |window: &Window| match (&window.until, &window.to) {
            (Some(until), _) => format!("{until})"),
            (None, to) => format!("{}]", to.as_ref().unwrap().join(",")),
        };
        let shown = |window: &Window| format!("[{} {}", window.from.as_deref().unwrap_or("-"), end(window));
        Ok(windows.iter().map(shown).collect::<Vec<_>>().join(" "))
    }

    const DAYS: &[(&str, &str)] =
        &[("cursor_param", "a"), ("until_param", "b"), ("start", "2024-01-01"), ("cursor_format", "date")];
    const EPOCH: &[(&str, &str)] =
        &[("cursor_param", "a"), ("until_param", "b"), ("start", "1700000000"), ("cursor_format", "epoch")];

    #[tokio::test]
    async fn windows_are_written_as_the_values_are() {
        for (keys, wanted, mark, shown) in [
            (
                DAYS,
                [Some("2024-01-03"), Some("2024-01-08"), Some("2d")],
                None,
                "[2024-01-03 2024-01-05) [2024-01-05 2024-01-07) [2024-01-07 2024-01-08)",
            ),
            (DAYS, [None, None, Some("2d")], Some("2024-01-04"), "[- 2024-01-03) [2024-01-03 2024-01-04]"),
            (DAYS, [Some("2024-01-03"), Some("2024-01-04"), Some("10h")], None, "[2024-01-03 2024-01-04)"),
            (EPOCH, [Some("2023-11-15T00:00:00Z"), Some("1700100000"), None], None, "[1700006400 1700100000)"),
            (
                EPOCH,
                [Some("1700000000"), Some("1700100000"), Some("1d")],
                None,
                "[1700000000 1700086400) [1700086400 1700100000)",
            ),
            (&[("cursor_param", "a")], [Some("5"), None, None], Some("17"), "[5 17]"),
        ] {
            assert_eq!(windows(&settings(keys), wanted, mark).await.unwrap(), shown, "{wanted:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_value_is_refused() {
        for (keys, wanted, mark, words) in [
            (
                DAYS,
                [Some("abc"), None, None],
                Some("2024-01-04"),
                "`--from` is no value of the cursor, which is a time",
            ),
            (DAYS, [Some("2024-01-05"), None, None], Some("2024-01-04"), "lies behind the stream's mark"),
            (DAYS, [Some("2024-01-05"), Some("2024-01-05T00:00:00Z"), None], None, "does not lie before `--until`"),
            (EPOCH, [Some("1700000000"), Some("1700100000"), Some("a day")], None, "must be a duration"),
            (&[("cursor_param", "a")], [None, Some("17"), None], Some("abc"), "which is a text"),
        ] {
            let error = windows(&settings(keys), wanted, mark).await.unwrap_err().to_string();
            assert!(error.contains(words), "{wanted:?}: {error}");
        }
    }
}
