//! A cursor's axis as windows are cut of it.

use std::cmp::Ordering;

use async_trait::async_trait;

use super::mark::{Class, Mark};
use super::probe::Looking;
use crate::error::Result;
use crate::source::cursor::{Axis, Step, Steps, places};

pub struct Looked<'a> {
    pub looking: Looking<'a>,
    pub class: Class,
}

#[async_trait]
impl Axis for Looked<'_> {
    fn name(&self) -> String {
        format!("one of {}", self.class.name())
    }

    fn steps(&self) -> Option<Steps> {
        match self.class {
            Class::Date | Class::ObjectId | Class::Timestamp => Some(Steps::Times),
            Class::Number => Some(Steps::Numbers),
            Class::Text => None,
        }
    }

    async fn read(&mut self, text: &str) -> Result<Option<String>> {
        Ok(Mark::read(self.class, text).map(|mark| mark.text().to_owned()))
    }

    async fn is_before(&mut self, one: &str, other: &str) -> Result<bool> {
        Ok(Mark::parse(one)?.compare(&Mark::parse(other)?) == Ordering::Less)
    }

    async fn lowest(&mut self) -> Result<Option<String>> {
        let lowest = self.looking.end(None, 1).await?;
        Ok(lowest.map(|marks| marks[0].text().to_owned()))
    }

    async fn borders(&mut self, from: &str, end: &str, step: &Step, most: usize) -> Result<Option<Vec<String>>> {
        Ok(borders(&Mark::parse(from)?, &Mark::parse(end)?, step, most))
    }
}

fn borders(from: &Mark, end: &Mark, step: &Step, most: usize) -> Option<Vec<String>> {
    let (first, last) = match from.class {
        Class::Number => (from.whole()?, end.whole()?),
        _ => (i128::from(from.micros()?), i128::from(end.micros()?)),
    };
    let mark = |at: i128| match from.class {
        Class::Number => Mark::of_number(at),
        class => Mark::at(class, i64::try_from(at).ok()?),
    };
    // Steps finer than the values have are borders that fall together.
    let texts: Option<Vec<_>> =
        places(first, last, step.units(), most).map(|at| Some(mark(at)?.text().to_owned())).collect();
    let mut texts = texts?;
    texts.dedup();
    texts.retain(|text| text != from.text());
    Some(texts)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn borders_of_times_and_numbers() {
        let read = |class, text| Mark::read(class, text).unwrap();
        let day = Step::Time(Duration::from_secs(86_400));
        let (from, end) = (read(Class::Date, "2024-01-01"), read(Class::Date, "2024-01-03"));
        assert_eq!(borders(&from, &end, &day, 9).unwrap(), [r#"{"$date":"2024-01-02T00:00:00Z"}"#]);
        let (from, end) = (read(Class::Number, "1"), read(Class::Number, "6"));
        assert_eq!(borders(&from, &end, &Step::Number(2), 9).unwrap(), ["3", "5"]);
        let micro = Step::Time(Duration::from_micros(400));
        let (from, end) = (read(Class::Date, "2024-01-01"), read(Class::Date, "2024-01-01T00:00:00.002"));
        assert_eq!(borders(&from, &end, &micro, 99).unwrap(), [r#"{"$date":"2024-01-01T00:00:00.001Z"}"#]);
    }
}
