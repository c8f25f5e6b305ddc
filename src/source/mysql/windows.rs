//! A cursor's axis as windows are cut of it.

use async_trait::async_trait;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use mysql_common::row::Row;

use super::connect::{Connection, number, text};
use super::error::{self, Doing};
use super::order::{Ordered, Type};
use super::plan::{Plan, Scope};
use crate::error::Result;
use crate::record::decimal;
use crate::source::cursor::{Axis, Step, Steps, places};

pub struct Looked<'a> {
    pub reader: &'a mut Connection,
    pub plan: &'a Plan,
    pub ordered: Ordered,
}

impl Looked<'_> {
    async fn ask(&mut self, sql: &str) -> Result<Option<Row>> {
        let rows = self.reader.rows(sql, ()).await.map_err(|failure| error::of(failure, Doing::Reading))?;
        Ok(rows.into_iter().next())
    }
}

#[async_trait]
impl Axis for Looked<'_> {
    fn name(&self) -> String {
        self.ordered.of.name().to_owned()
    }

    fn steps(&self) -> Option<Steps> {
        match self.ordered.of {
            Type::Integer | Type::Decimal => Some(Steps::Numbers),
            Type::Date | Type::DateTime(_) | Type::Timestamp(_) => Some(Steps::Times),
            Type::Text | Type::Bytes => None,
        }
    }

    async fn read(&mut self, text: &str) -> Result<Option<String>> {
        Ok(self.ordered.of.read(text))
    }

    async fn is_before(&mut self, one: &str, other: &str) -> Result<bool> {
        let (first, literal) = (&self.ordered.order.cursor[0].sql, self.ordered.of.literal());
        let (one, other) = (literal(one)?, literal(other)?);
        let sql = match self.ordered.of {
            // As the column compares, whose collation may be its own.
            Type::Text => {
                let none = Scope { condition: Some("1 = 0".to_owned()), ..Scope::default() };
                let tail = self.plan.tail(&none);
                format!("select v < {other} from (select {first} as v {tail} union all select {one}) as u")
            }
            _ => format!("select {one} < {other}"),
        };
        Ok(self.ask(&sql).await?.and_then(|row| number(&row, 0)) == Some(1))
    }

    async fn lowest(&mut self) -> Result<Option<String>> {
        let first = self.ordered.order.cursor[0].sql.clone();
        let scope = Scope { condition: Some(format!("{first} is not null")), order: vec![first], marks: Vec::new() };
        let sql = format!("select {} {} limit 1", self.ordered.marks[0], self.plan.tail(&scope));
        Ok(self.ask(&sql).await?.map(|row| text(&row, 0)))
    }

    async fn borders(&mut self, from: &str, end: &str, step: &Step, most: usize) -> Result<Option<Vec<String>>> {
        Ok(borders(self.ordered.of, from, end, step, most))
    }
}

fn borders(of: Type, from: &str, end: &str, step: &Step, most: usize) -> Option<Vec<String>> {
    match of {
        Type::Date | Type::DateTime(_) | Type::Timestamp(_) => {
            let places = places(micros(from)?, micros(end)?, step.units(), most);
            let mut borders = places.map(|at| written(of, at)).collect::<Option<Vec<_>>>()?;
            // A step may be less than a day.
            borders.dedup();
            borders.retain(|border| border != from);
            Some(borders)
        }
        _ => {
            let digits = |text: &str| text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            let scale = i8::try_from(digits(from).max(digits(end))).ok()?;
            let number = |text: &str| decimal::parse_i128(text.as_bytes(), scale);
            let step = step.units().checked_mul(10i128.checked_pow(u32::try_from(scale).ok()?)?)?;
            Some(places(number(from)?, number(end)?, step, most).map(|at| digits_of(at, scale)).collect())
        }
    }
}

/// Microseconds of a time as a mark has it, by the clock that it is of.
fn micros(text: &str) -> Option<i128> {
    let at = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(DateTime::from)).ok()?;
    Offset::UTC.to_timestamp(at).ok().map(|at| i128::from(at.as_microsecond()))
}

fn written(of: Type, micros: i128) -> Option<String> {
    let at = jiff::Timestamp::from_microsecond(i64::try_from(micros).ok()?).ok()?;
    let at = Offset::UTC.to_datetime(at);
    Some(match of {
        Type::Date => at.date().to_string(),
        _ => at.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string(),
    })
}

fn digits_of(number: i128, scale: i8) -> String {
    let scale = usize::try_from(scale).unwrap_or_default();
    let sign = if number < 0 { "-" } else { "" };
    let digits = format!("{:0width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn borders_lie_a_step_apart() {
        let day = Step::Time(Duration::from_secs(86_400));
        let of = |of, from, end, step: &Step| borders(of, from, end, step, 100).map(|all| all.join(" "));
        assert_eq!(of(Type::Integer, "-5", "7", &Step::Number(5)).as_deref(), Some("0 5"));
        assert_eq!(
            of(Type::Integer, "18446744073709551610", "18446744073709551615", &Step::Number(3)).as_deref(),
            Some("18446744073709551613")
        );
        assert_eq!(of(Type::Decimal, "-1.5", "1.25", &Step::Number(1)).as_deref(), Some("-0.50 0.50"));
        let days = "2024-02-29 10:00:00.000000 2024-03-01 10:00:00.000000";
        assert_eq!(of(Type::DateTime(0), "2024-02-28 10:00:00", "2024-03-01 10:00:00.5", &day).as_deref(), Some(days));
        assert_eq!(of(Type::Date, "2024-02-28", "2024-03-01", &day).as_deref(), Some("2024-02-29"));
        let hours = Step::Time(Duration::from_secs(10 * 3600));
        assert_eq!(of(Type::Date, "2024-02-28", "2024-03-01", &hours).as_deref(), Some("2024-02-29"));
        for (kind, from) in [(Type::DateTime(0), "0000-00-00 00:00:00"), (Type::Date, "2024-02-00")] {
            assert_eq!(of(kind, from, "2024-03-01", &day), None);
        }
        assert_eq!(of(Type::Decimal, &"9".repeat(60), &"9".repeat(61), &Step::Number(1)), None);
    }
}
