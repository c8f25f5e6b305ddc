//! Cutting a cursor's axis into windows, as far as it is the same for every source.

use std::time::Duration;

use async_trait::async_trait;

use super::{Wanted, Window};
use crate::config::parse_duration;
use crate::error::{Error, Result};

/// The values of a cursor's first column. Those that go in and come out are in the form of marks.
#[async_trait]
pub trait Axis: Send {
    /// What the values are: `a date`. For messages.
    fn name(&self) -> String;

    /// What two of them can be apart; `None` where a distance says nothing.
    fn steps(&self) -> Option<Steps>;

    /// A value that a user has written; `None` where it is none of the cursor.
    async fn read(&mut self, text: &str) -> Result<Option<String>>;

    /// Whether one value comes before the other, as the rows are ordered.
    async fn is_before(&mut self, one: &str, other: &str) -> Result<bool>;

    /// The least value that is there.
    async fn lowest(&mut self) -> Result<Option<String>>;

    /// The values `from` + `step`, `from` + 2 `step` and so on that come before `end`, as many as `most`; `None` where
    /// they cannot be reckoned from these two, which may be infinite, or none that the calendar knows.
    async fn borders(&mut self, from: &str, end: &str, step: &Step, most: usize) -> Result<Option<Vec<String>>>;
}

/// What distances are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steps {
    Times,
    Numbers,
}

/// A distance, which is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Time(Duration),
    Number(u64),
}

impl Step {
    fn parse(text: &str, axis: &dyn Axis) -> Result<Self> {
        let text = text.trim();
        match axis.steps() {
            Some(Steps::Times) => {
                let time = parse_duration(text).filter(|time| time.as_micros() > 0);
                let time = time.filter(|time| i64::try_from(time.as_micros()).is_ok());
                time.map(Step::Time).ok_or("`--step` must be a duration such as `1d` for this cursor".to_owned())
            }
            Some(Steps::Numbers) => {
                let number = text.parse().ok().filter(|number| *number > 0 && i64::try_from(*number).is_ok());
                number.map(Step::Number).ok_or("`--step` must be a whole number for this cursor".to_owned())
            }
            None => {
                Err(format!("`--step` cannot be taken: the cursor is {}, of which no step can be told", axis.name()))
            }
        }
        .map_err(|problem| match axis.steps() {
            Some(_) => Error::config(problem),
            None => Error::config(problem).hint("Without it, what is asked for is read as one window."),
        })
    }

    /// In the units that times (microseconds) or numbers are reckoned in.
    pub fn units(&self) -> i128 {
        match self {
            Step::Time(time) => i128::try_from(time.as_micros()).unwrap_or(i128::MAX),
            Step::Number(number) => i128::from(*number),
        }
    }
}

/// The places between two, a step apart, as many as `most`: for values that can be reckoned with here.
pub fn places(from: i128, end: i128, step: i128, most: usize) -> impl Iterator<Item = i128> {
    let next = move |at: &i128| at.checked_add(step).filter(|at| *at < end);
    std::iter::successors(next(&from), next).take(most)
}

/// The windows of what is wanted. `mark` is the whole cursor up to which the stream has come.
pub async fn cut(axis: &mut dyn Axis, wanted: &Wanted, mark: Option<Vec<String>>) -> Result<Vec<Window>> {
    let from = read(axis, "--from", wanted.from.as_deref()).await?;
    let until = read(axis, "--until", wanted.until.as_deref()).await?;
    let Some(end) = until.clone().or_else(|| mark.as_ref()?.first().cloned()) else {
        return Err(Error::config("the stream has no mark yet: say with `--until` where the window ends"));
    };
    if let Some(from) = &from {
        refuse_empty(axis, from, &end, until.is_some()).await?;
    }
    let borders = match &wanted.step {
        None => Vec::new(),
        Some(step) => {
            let step = Step::parse(step, axis)?;
            let begin = match &from {
                Some(from) => Some(from.clone()),
                None => axis.lowest().await?,
            };
            match begin {
                Some(begin) => borders(axis, &begin, &end, &step).await?,
                None => Vec::new(),
            }
        }
    };
    Window::between(from, borders, until, mark)
}

async fn read(axis: &mut dyn Axis, option: &str, text: Option<&str>) -> Result<Option<String>> {
    let Some(text) = text else { return Ok(None) };
    match axis.read(text).await? {
        Some(value) => Ok(Some(value)),
        None => Err(Error::config(format!("`{option}` is no value of the cursor, which is {}", axis.name()))),
    }
}

/// A window that can hold nothing is asked for by mistake.
async fn refuse_empty(axis: &mut dyn Axis, from: &str, end: &str, has_until: bool) -> Result<()> {
    match has_until {
        true if !axis.is_before(from, end).await? => {
            Err(Error::config("`--from` does not lie before `--until`: there is nothing between them"))
        }
        // The row at the mark is one of those before.
        false if axis.is_before(end, from).await? => {
            Err(Error::config("`--from` lies behind the stream's mark, up to which a window reaches")
                .hint("What lies there is read by the next run; or say with `--until` where the window ends."))
        }
        _ => Ok(()),
    }
}

async fn borders(axis: &mut dyn Axis, from: &str, end: &str, step: &Step) -> Result<Vec<String>> {
    let borders = axis.borders(from, end, step, super::window::MOST).await?;
    borders.ok_or_else(|| {
        Error::config("`--step` cannot be taken between these two values, of which one has no distance to the other")
            .hint("Say with `--from` and `--until` where the windows begin and end.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers, of which 10 is the least.
    struct Numbers(Option<Steps>);

    #[async_trait]
    impl Axis for Numbers {
        fn name(&self) -> String {
            "a number".to_owned()
        }

        fn steps(&self) -> Option<Steps> {
            self.0
        }

        async fn read(&mut self, text: &str) -> Result<Option<String>> {
            Ok(text.parse::<i128>().ok().map(|number| number.to_string()))
        }

        async fn is_before(&mut self, one: &str, other: &str) -> Result<bool> {
            Ok(one.parse::<i128>().unwrap() < other.parse::<i128>().unwrap())
        }

        async fn lowest(&mut self) -> Result<Option<String>> {
            Ok(Some("10".to_owned()))
        }

        async fn borders(&mut self, from: &str, end: &str, step: &Step, most: usize) -> Result<Option<Vec<String>>> {
            let number = |text: &str| text.parse::<i128>().unwrap();
            let places = places(number(from), number(end), step.units(), most);
            Ok(Some(places.map(|at| at.to_string()).collect()))
        }
    }

    async fn windows(steps: Option<Steps>, wanted: [Option<&str>; 3], mark: Option<&str>) -> Result<String> {
        let [from, until, step] = wanted.map(|text| text.map(str::to_owned));
        let wanted = Wanted { from, until, step };
        let windows = cut(&mut Numbers(steps), &wanted, mark.map(|mark| vec![mark.to_owned()])).await?;
        let end = |window: &Window| match (&window.until, &window.to) {
            (Some(until), _) => format!("{until})"),
            (None, to) => format!("{}]", to.as_ref().unwrap().join(",")),
        };
        let shown = |window: &Window| format!("[{} {}", window.from.as_deref().unwrap_or("-"), end(window));
        Ok(windows.iter().map(shown).collect::<Vec<_>>().join(" "))
    }

    #[tokio::test]
    async fn windows_are_what_is_wanted() {
        for (wanted, mark, shown) in [
            ([Some("1"), Some("9"), None], None, "[1 9)"),
            ([Some("1"), None, None], Some("7"), "[1 7]"),
            ([Some("7"), None, None], Some("7"), "[7 7]"),
            ([None, Some("9"), None], Some("7"), "[- 9)"),
            ([Some("1"), Some("6"), Some("2")], None, "[1 3) [3 5) [5 6)"),
            ([Some("1"), Some("5"), Some("2")], None, "[1 3) [3 5)"),
            ([Some("1"), Some("2"), Some("9223372036854775807")], None, "[1 2)"),
            ([None, None, Some("10")], Some("30"), "[- 20) [20 30]"),
            ([None, Some("5"), Some("10")], None, "[- 5)"),
        ] {
            assert_eq!(windows(Some(Steps::Numbers), wanted, mark).await.unwrap(), shown, "{wanted:?}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_meant_is_refused() {
        let numbers = Some(Steps::Numbers);
        for (steps, wanted, mark, words) in [
            (numbers, [Some("x"), None, None], Some("7"), "`--from` is no value of the cursor, which is a number"),
            (numbers, [Some("1"), None, None], None, "has no mark yet"),
            (numbers, [Some("5"), Some("5"), None], None, "does not lie before `--until`"),
            (numbers, [Some("50"), Some("6"), Some("1")], None, "does not lie before `--until`"),
            (numbers, [Some("8"), None, None], Some("7"), "lies behind the stream's mark"),
            (numbers, [Some("1"), Some("9"), Some("1d")], None, "a whole number"),
            (numbers, [Some("1"), Some("9"), Some("0")], None, "a whole number"),
            (numbers, [Some("1"), Some("99999999"), Some("1")], None, "take a greater `--step`"),
            (Some(Steps::Times), [Some("1"), Some("9"), Some("1 2")], None, "a duration"),
            (Some(Steps::Times), [Some("1"), Some("9"), Some("0s")], None, "a duration"),
            (None, [Some("1"), Some("9"), Some("1d")], None, "`--step` cannot be taken: the cursor is a number"),
        ] {
            let error = windows(steps, wanted, mark).await.unwrap_err().to_string();
            assert!(error.contains(words), "{wanted:?}: {error}");
        }
    }
}
