//! The keys of a SQLite source, and what they come to.

use std::path::PathBuf;
use std::time::Duration;

use super::types::{self, Shape};
use crate::config::{Key, Kind, Section, Value, nearest};
use crate::error::Result;

pub const KIND: Kind = Kind {
    name: "sqlite",
    about: "A SQLite database file, read in place and never written.",
    keys: &[KEYS],
    stream_keys: POLICIES,
    aliases: &[],
};

const KEYS: &[Key] = &[
    Key::new("path", Value::Path, "The database file. It must exist.").required().example("shop.db"),
    Key::new("busy_timeout", Value::Duration, "How long to wait for a lock that another program holds on the file.")
        .default("10s"),
    Key::new(
        "snapshot",
        Value::OneOf(&["run", "table"]),
        "`run` reads all tables of a run as of one moment; `table` takes a moment for each table, and so holds the \
         file's read lock for a shorter time.",
    )
    .default("run"),
    Key::new(
        "immutable",
        Value::Flag,
        "Promises that nobody writes to the file while it is read: no lock is taken and no file is made beside it, as \
         a write-ahead-log database in a read-only folder needs. If somebody does write, what is read may be wrong.",
    )
    .default("no"),
];

const POLICIES: &[Key] = &[
    Key::new(
        "read_as_text",
        Value::List,
        "Columns (`column` or `table.column`) that arrive as text, whatever is stored: numbers in their shortest exact \
         form, bytes as `X'0AFF'`.",
    )
    .example("postcode, orders.note"),
    Key::new(
        "column_types",
        Value::List,
        "Types that take the place of the declared ones, and that expressions of a query do not have: \
         `column type` or `table.column type`, separated by commas.",
    )
    .example("total decimal(12,2), seen_at timestamptz"),
    Key::new(
        "timestamps",
        Value::OneOf(&["wall", "utc"]),
        "What columns declared DATETIME or TIMESTAMP hold: `wall` is a date and time without zone, and text with a zone \
         is refused; `utc` is an instant, and text without a zone is taken as UTC.",
    )
    .default("wall"),
    Key::new(
        "numeric_times",
        Value::OneOf(&["refuse", "seconds", "milliseconds", "microseconds", "nanoseconds", "julian"]),
        "What numbers in date and timestamp columns count: units since 1970-01-01 UTC, or Julian days.",
    )
    .default("refuse"),
    Key::new(
        "round_decimals",
        Value::Flag,
        "Rounds reals in DECIMAL(p,s) columns to the scale: what arithmetic with doubles leaves, such as \
         0.30000000000000004 for 0.30, is refused otherwise.",
    )
    .default("no"),
];

/// What a `[source]` says.
#[derive(Debug, Clone)]
pub struct Settings {
    pub path: PathBuf,
    pub busy_timeout: Duration,
    /// One moment for all tables of a run.
    pub one_snapshot: bool,
    pub immutable: bool,
}

impl Settings {
    pub fn of(section: &Section) -> Result<Self> {
        section.text("path")?;
        let path = section.path("path").unwrap_or_default();
        Ok(Self {
            // A path that begins with `file:` would be taken for a URI; an absolute one never is.
            path: std::path::absolute(&path).map_err(|e| section.error("path", e))?,
            busy_timeout: section.duration("busy_timeout")?,
            one_snapshot: section.get("snapshot") == Some("run"),
            immutable: section.flag("immutable")?,
        })
    }
}

/// How a number in a date or timestamp column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    Refuse,
    /// So many of these units make a second.
    PerSecond(i64),
    Julian,
}

/// What a stream says about numbers that are not quite of their column's type.
#[derive(Debug, Clone, Copy)]
pub struct Leniency {
    pub times: Numbers,
    /// Reals are rounded to a decimal's scale.
    pub rounds: bool,
}

/// What a stream says about the types of its columns.
#[derive(Debug, Clone)]
pub struct Policies {
    pub leniency: Leniency,
    /// Columns declared DATETIME or TIMESTAMP are instants.
    pub utc: bool,
    overrides: Vec<Override>,
}

#[derive(Debug, Clone)]
struct Override {
    key: &'static str,
    /// Only in this table.
    table: Option<String>,
    column: String,
    native: String,
    shape: Shape,
}

impl Policies {
    /// Reads the keys of a stream (or of a source, for its check).
    pub fn of(section: &Section) -> Result<Self> {
        let times = match section.get("numeric_times") {
            Some("seconds") => Numbers::PerSecond(1),
            Some("milliseconds") => Numbers::PerSecond(1_000),
            Some("microseconds") => Numbers::PerSecond(1_000_000),
            Some("nanoseconds") => Numbers::PerSecond(1_000_000_000),
            Some("julian") => Numbers::Julian,
            _ => Numbers::Refuse,
        };
        let mut overrides = Vec::new();
        for name in section.list("read_as_text") {
            let (table, column) = split_name(&name);
            let native = "read as text".to_owned();
            overrides.push(Override { key: "read_as_text", table, column, native, shape: Shape::Anything });
        }
        for entry in split_entries(section.get("column_types").unwrap_or_default()) {
            overrides.push(column_type(section, entry)?);
        }
        let leniency = Leniency { times, rounds: section.flag("round_decimals")? };
        Ok(Self { leniency, utc: section.get("timestamps") == Some("utc"), overrides })
    }

    /// The type that the configuration gives a column, if it does: what it says, and what that means.
    pub fn type_of(&self, table: &str, column: &str) -> Option<(&str, Shape)> {
        let wanted = |o: &&Override| {
            o.column.eq_ignore_ascii_case(column) && o.table.as_ref().is_none_or(|t| t.eq_ignore_ascii_case(table))
        };
        // What names the table wins over what does not.
        let found = self.overrides.iter().filter(|o| o.table.is_some()).find(wanted);
        let found = found.or_else(|| self.overrides.iter().find(wanted))?;
        Some((&found.native, found.shape))
    }

    /// Refuses names that are a column of none of `tables`, which are all tables of a selection with their columns.
    pub fn check_names(&self, section: &Section, tables: &[(String, Vec<String>)]) -> Result<()> {
        for name in &self.overrides {
            let same = |table: &str| name.table.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(table));
            let columns: Vec<&str> =
                tables.iter().filter(|(table, _)| same(table)).flat_map(|(_, c)| c).map(String::as_str).collect();
            // Another table's: the key may stand in the `[source]`, for all of its streams.
            let elsewhere = name.table.is_some() && !tables.iter().any(|(table, _)| same(table));
            if elsewhere || columns.iter().any(|column| column.eq_ignore_ascii_case(&name.column)) {
                continue;
            }
            let meant = nearest(&name.column, columns).map(|c| format!(" (did you mean `{c}`?)")).unwrap_or_default();
            let message = format!("names `{}`, which is no column that this stream reads{meant}", name.column);
            return Err(section
                .error(name.key, message)
                .hint("Write `table.column` where the key stands in a [source] that has other tables too."));
        }
        Ok(())
    }
}

/// `total decimal(12,2)`, `orders.total decimal(12,2)`, `"unit price" real`.
fn column_type(section: &Section, entry: &str) -> Result<Override> {
    let (name, native) = match entry.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        Some((name, rest)) => (name, rest),
        None => entry.split_once(char::is_whitespace).unwrap_or((entry, "")),
    };
    let native = native.trim();
    if native.is_empty() {
        return Err(section.error("column_types", format!("must be `column type`, and `{entry}` has no type")));
    }
    let Some(shape) = types::named(native) else {
        let words = types::names();
        let word = native.split(['(', ' ']).next().unwrap_or_default().to_ascii_lowercase();
        let meant = nearest(&word, words).map(|t| format!(" (did you mean `{t}`?)")).unwrap_or_default();
        return Err(section.error("column_types", format!("gives `{name}` the unknown type `{native}`{meant}")));
    };
    let (table, column) = split_name(name);
    Ok(Override { key: "column_types", table, column, native: native.to_owned(), shape })
}

fn split_name(name: &str) -> (Option<String>, String) {
    let name = name.trim_matches('"');
    match name.split_once('.') {
        Some((table, column)) => (Some(table.to_owned()), column.to_owned()),
        None => (None, name.to_owned()),
    }
}

/// Splits at commas and line ends that stand outside parentheses.
fn split_entries(text: &str) -> Vec<&str> {
    let mut depth = 0;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth <= 0 && matches!(c, ',' | '\n')
    })
    .map(str::trim)
    .filter(|entry| !entry.is_empty())
    .collect()
}

/// What single keys do not tell: that the types of `column_types` are types.
pub fn check(section: &Section) -> Result<()> {
    Settings::of(section)?;
    Policies::of(section).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies(values: &[(&str, &str)]) -> Result<Policies> {
        Policies::of(&Section::of_kind(&KIND, values)?)
    }

    #[test]
    fn column_types_take_commas_in_parentheses_and_names_in_quotes() {
        let policies = policies(&[
            ("column_types", "total decimal(12,2), orders.note blob\n\"unit price\" double precision"),
            ("read_as_text", "note"),
        ])
        .unwrap();
        assert_eq!(policies.type_of("any", "TOTAL"), Some(("decimal(12,2)", Shape::Decimal(12, 2))));
        assert_eq!(policies.type_of("orders", "note"), Some(("blob", Shape::Bytes)));
        assert_eq!(policies.type_of("lines", "note"), Some(("read as text", Shape::Anything)));
        assert_eq!(policies.type_of("any", "unit price"), Some(("double precision", Shape::Real)));
        assert_eq!(policies.type_of("any", "id"), None);
    }

    #[test]
    fn an_unknown_type_names_the_nearest() {
        let error = policies(&[("column_types", "total decimel(12,2)")]).unwrap_err();
        assert!(error.message().contains("`decimel(12,2)` (did you mean `decimal`?)"), "{error}");
        assert!(policies(&[("column_types", "total")]).is_err());
    }

    #[test]
    fn a_name_that_is_no_column_is_refused_unless_it_is_another_tables() {
        let section = Section::of_kind(&KIND, &[("read_as_text", "nite, other.nite")]).unwrap();
        let tables = [("orders".to_owned(), vec!["id".to_owned(), "note".to_owned()])];
        let error = Policies::of(&section).unwrap().check_names(&section, &tables).unwrap_err();
        assert!(error.message().contains("`nite`") && error.message().contains("did you mean `note`"), "{error}");
        let section = Section::of_kind(&KIND, &[("read_as_text", "other.nite")]).unwrap();
        Policies::of(&section).unwrap().check_names(&section, &tables).unwrap();
    }
}
