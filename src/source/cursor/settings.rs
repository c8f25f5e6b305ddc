//! The keys of incremental reading.

use std::time::Duration;

use super::Expression;
use crate::config::{Key, Section, Value, nearest, parse_duration};
use crate::error::{Error, Result};

/// More columns of a table than so many are not listed.
const MOST_COLUMNS: usize = 20;

pub const KEYS: &[Key] = &[
    Key::new(
        "cursor",
        Value::Checked("columns (`updated_at, id`)", |text| match Expression::parse_all(text) {
            Ok(_) => Ok(()),
            Err(_) => Err("must be different columns, or `coalesce(column, column)`, separated by commas"),
        }),
        "Needed by `mode = incremental`: what grows with every change of a row. One column, several, of which later ones \
         order rows where earlier ones are equal, or `coalesce(updated_at, created_at)`.",
    )
    .example("updated_at"),
    Key::new("start", Value::Text, "The first run reads rows from this value of the first column of `cursor` on.")
        .example("2024-01-01"),
    Key::new(
        "lookback",
        Value::Checked("duration (`10m`), or a number where the cursor is one", |text| {
            match Lookback::parse(text) {
                Some(_) => Ok(()),
                None => Err("must be a duration such as `10m`, or a whole number for a cursor of numbers"),
            }
        }),
        "How far behind the mark every run looks for rows that came late with an old value, such as an application gives \
         that takes its own time before it writes. What was delivered is known again and not delivered twice.",
    )
    .default("0"),
    Key::new(
        "settle",
        Value::Duration,
        "How long a run waits for transactions that were open when it began, since they may still write below its bound. \
         Those that take longer hold the mark. Where open transactions cannot be seen (on a replica, or without the \
         grant), the run waits this long in any case.",
    )
    .default("5s"),
    Key::new(
        "max_hold",
        Value::Duration,
        "A transaction that is open for longer, a forgotten session say, is named in a warning as long as it holds the mark.",
    )
    .default("1h"),
    Key::new(
        "on_max_hold",
        Value::OneOf(&["warn", "pass"]),
        "`pass` moves the mark on although such a transaction is open: what it still writes below the mark is not read.",
    )
    .default("warn"),
    Key::new(
        "null_cursor",
        Value::OneOf(&["skip", "read", "error"]),
        "Rows whose cursor is null, NaN or an infinite number: `skip` leaves them out and counts them, `read` reads them in every run, `error` fails.",
    )
    .default("skip"),
    Key::new(
        "max_ties",
        Value::Integer(0, 10_000_000),
        "How many rows that are read again, because of `lookback` or a cursor whose values may come again, are known \
         again by a digest (16 bytes each). Those beyond are delivered again, and counted.",
    )
    .default("100000"),
];

/// What a stream says about its cursor.
#[derive(Debug, Clone)]
pub struct Settings {
    pub cursor: Vec<Expression>,
    pub start: Option<String>,
    pub lookback: Option<Lookback>,
    pub settle: Duration,
    pub max_hold: Duration,
    /// Transactions that are older are not waited for.
    pub passes: bool,
    pub nulls: Nulls,
    pub max_ties: usize,
    /// For errors.
    pub section: Section,
}

/// A distance on the cursor's axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookback {
    /// As a time, if it can be one.
    pub time: Option<Duration>,
    /// As a number's digits, if it can be one.
    pub number: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    Skip,
    Read,
    Error,
}

impl Settings {
    /// Reads [`KEYS`] of a stream whose mode is incremental.
    pub fn of(section: &Section) -> Result<Self> {
        if section.get("cursor").is_none() {
            return Err(section
                .error("mode", "is `incremental`, which needs a `cursor`")
                .hint("Name a column that grows with every change of a row: `cursor = updated_at`."));
        }
        let cursor = Expression::parse_all(section.text("cursor")?).map_err(|e| section.error("cursor", e))?;
        let ties = section.integer("max_ties")?;
        Ok(Self {
            cursor,
            start: section.get("start").map(str::to_owned),
            lookback: Lookback::parse(section.text("lookback")?).filter(|lookback| !lookback.is_none()),
            settle: section.duration("settle")?,
            max_hold: section.duration("max_hold")?,
            passes: section.get("on_max_hold") == Some("pass"),
            nulls: match section.get("null_cursor") {
                Some("read") => Nulls::Read,
                Some("error") => Nulls::Error,
                _ => Nulls::Skip,
            },
            max_ties: usize::try_from(ties).unwrap_or_default(),
            section: section.clone(),
        })
    }

    /// The cursor in one form, however it is written.
    pub fn shown(&self) -> String {
        self.cursor.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// What is wrong where the server refuses the cursor and `table`, whose columns are `all`, has not all of its columns.
    /// Not to be asked before: servers have columns that they list nowhere.
    pub fn unknown_column(&self, table: &str, all: &[String], is_same: impl Fn(&str, &str) -> bool) -> Option<Error> {
        let mut named = self.cursor.iter().flat_map(Expression::columns);
        let name = named.find(|name| !all.iter().any(|column| is_same(column, name)))?;
        let meant = nearest(name, all.iter().map(String::as_str));
        let or = meant.map(|meant| format!(" (did you mean `{meant}`?)")).unwrap_or_default();
        let error = self.section.error("cursor", format!("names `{name}`, which is no column of {table}{or}"));
        Some(match (meant, all.split_at_checked(MOST_COLUMNS)) {
            (Some(_), _) => error,
            (None, Some((first, rest))) if !rest.is_empty() => {
                error.hint(format!("It has {} and {} more.", first.join(", "), rest.len()))
            }
            _ if all.is_empty() => error,
            _ => error.hint(format!("It has {}.", all.join(", "))),
        })
    }
}

impl Lookback {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_number = !text.is_empty() && text.len() <= 38 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_number.then(|| text.to_owned());
        let time = parse_duration(text);
        (number.is_some() || time.is_some()).then_some(Self { time, number })
    }

    fn is_none(&self) -> bool {
        self.time.is_some_and(|time| time.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(&str, &str)]) -> Result<Settings> {
        Settings::of(&Section::of_keys("stream s", KEYS.iter().collect(), values)?)
    }

    #[test]
    fn a_cursor_is_needed_and_read_in_one_form() {
        assert!(of(&[]).unwrap_err().to_string().contains("needs a `cursor`"));
        assert_eq!(of(&[("cursor", " a ,COALESCE(b,c)")]).unwrap().shown(), "a, coalesce(b, c)");
        assert!(of(&[("cursor", "now()")]).is_err());
    }

    #[test]
    fn a_column_that_is_not_there_is_told_with_those_that_are() {
        let refusal = |cursor, all: &[String]| {
            of(&[("cursor", cursor)]).unwrap().unknown_column("t", all, str::eq_ignore_ascii_case)
        };
        let all = ["id", "updated_at"].map(str::to_owned);
        assert!(refusal("UPDATED_AT, id", &all).is_none());
        let near = refusal("id, update_at", &all).unwrap().to_string();
        assert!(near.contains("names `update_at`, which is no column of t (did you mean `updated_at`?)"), "{near}");
        let far = refusal("coalesce(id, x)", &all).unwrap().to_string();
        assert!(far.contains("names `x`, which is no column of t\n  It has id, updated_at."), "{far}");
        let many: Vec<_> = (0..30).map(|n| format!("column{n}")).collect();
        assert!(refusal("x", &many).unwrap().to_string().ends_with("column19 and 10 more."));
    }

    #[test]
    fn a_lookback_is_a_time_or_a_number() {
        let lookback = |text| of(&[("cursor", "a"), ("lookback", text)]).unwrap().lookback;
        assert_eq!(lookback("0"), None);
        assert_eq!(lookback("0s"), None);
        assert_eq!(lookback("10m").unwrap().time, Some(Duration::from_secs(600)));
        assert_eq!(lookback("10m").unwrap().number, None);
        assert_eq!(lookback("1000").unwrap().number.as_deref(), Some("1000"));
    }
}
