//! What an incremental stream is ordered by: which types have an order that a mark can be of, and how values of them are
//! written in SQL.

use std::time::Duration;

use jiff::civil::{Date, DateTime};

use super::catalog;
use super::client::{Column as Answer, ColumnFlags, ColumnType};
use super::connect::Connection;
use super::error::{self, Doing};
use super::plan::{Plan, Scope};
use crate::error::{Context, Error, Kind as ErrorKind, Result};
use crate::source::cursor::{Column, Expression, Grain, Order, Settings};

/// The cursor of a plan, and the key behind it.
pub struct Ordered {
    pub order: Order,
    pub grain: Grain,
    /// The type of the cursor's first part.
    pub of: Type,
    /// The texts that tell a row's place: of the cursor, then of the key.
    pub marks: Vec<String>,
    /// Whether the cursor can be null, as far as the catalog tells.
    pub is_nullable: bool,
    /// Columns of the key whose type has no order that a place can be of.
    pub unordered: Vec<String>,
}

/// Types whose texts are exact, and whose order is that of their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Integer,
    Decimal,
    Date,
    /// With so many digits of its fraction.
    DateTime(u8),
    Timestamp(u8),
    Text,
    Bytes,
}

/// Longer texts are sorted by their beginnings only.
const MOST_CHARACTERS: u32 = 255;

/// The number of the character set `binary`: bytes.
const BINARY: u16 = 63;

impl Type {
    /// The type of a column of a result; where it has no order, why.
    fn of(column: &Answer) -> Result<Self, &'static str> {
        use ColumnType as C;
        let is_bytes = column.character_set() == BINARY;
        let most = if is_bytes { MOST_CHARACTERS } else { MOST_CHARACTERS * 4 };
        match column.column_type() {
            _ if column.flags().intersects(ColumnFlags::ENUM_FLAG | ColumnFlags::SET_FLAG) => {
                Err("is ENUM or SET, which are sorted by number and compared by name")
            }
            C::MYSQL_TYPE_TINY
            | C::MYSQL_TYPE_SHORT
            | C::MYSQL_TYPE_INT24
            | C::MYSQL_TYPE_LONG
            | C::MYSQL_TYPE_LONGLONG => Ok(Type::Integer),
            C::MYSQL_TYPE_DECIMAL | C::MYSQL_TYPE_NEWDECIMAL => Ok(Type::Decimal),
            C::MYSQL_TYPE_DATE | C::MYSQL_TYPE_NEWDATE => Ok(Type::Date),
            C::MYSQL_TYPE_DATETIME => Ok(Type::DateTime(column.decimals().min(6))),
            C::MYSQL_TYPE_TIMESTAMP => Ok(Type::Timestamp(column.decimals().min(6))),
            C::MYSQL_TYPE_STRING | C::MYSQL_TYPE_VAR_STRING | C::MYSQL_TYPE_VARCHAR => {
                match (column.column_length() <= most, is_bytes) {
                    (false, _) => Err("is longer than 255 characters, which the server does not sort to their ends"),
                    (true, true) => Ok(Type::Bytes),
                    (true, false) => Ok(Type::Text),
                }
            }
            C::MYSQL_TYPE_FLOAT | C::MYSQL_TYPE_DOUBLE => Err("is FLOAT or DOUBLE, whose texts are not exact"),
            C::MYSQL_TYPE_YEAR => Err("is YEAR, which does not grow with changes"),
            C::MYSQL_TYPE_TIME => Err("is TIME, which begins again"),
            C::MYSQL_TYPE_BIT => Err("is BIT, which does not grow with changes"),
            C::MYSQL_TYPE_JSON => Err("is JSON, which has no order"),
            C::MYSQL_TYPE_GEOMETRY => Err("is a geometry, which has no order"),
            _ => Err("is of a type that has no order that a mark can be of"),
        }
    }

    /// Its text, exact, of an expression.
    fn mark(self, sql: &str) -> String {
        match self {
            Type::Bytes => format!("hex({sql})"),
            _ => format!("cast({sql} as char)"),
        }
    }

    pub fn literal(self) -> fn(&str) -> Result<String> {
        match self {
            Type::Integer | Type::Decimal => number,
            Type::Date => |text| temporal("date", text),
            Type::DateTime(_) | Type::Timestamp(_) => |text| temporal("timestamp", text),
            Type::Text => |text| Ok(string(text)),
            Type::Bytes => bytes,
        }
    }

    /// A value that a user has written, in the form of marks; `None` where it is none of this type.
    pub fn read(self, text: &str) -> Option<String> {
        let text = text.trim();
        match self {
            Type::Integer => text.parse::<i128>().ok().map(|number| number.to_string()),
            Type::Decimal => number(text).ok(),
            Type::Date => text.parse::<Date>().ok().map(|date| date.to_string()),
            // One with a zone would lose it.
            Type::DateTime(_) if text.parse::<jiff::Timestamp>().is_ok() => None,
            Type::DateTime(_) => text.parse::<DateTime>().ok().map(written),
            Type::Timestamp(_) => match text.parse::<jiff::Timestamp>() {
                Ok(instant) => Some(written(jiff::tz::Offset::UTC.to_datetime(instant))),
                Err(_) => text.parse::<DateTime>().ok().map(written),
            },
            Type::Text => Some(text.to_owned()),
            Type::Bytes => {
                // As it is, or as the text of a UUID.
                let digits: String = text.chars().filter(|c| *c != '-').collect();
                bytes(&digits).ok().map(|_| digits)
            }
        }
    }

    /// For messages.
    pub fn name(self) -> &'static str {
        match self {
            Type::Integer => "an integer",
            Type::Decimal => "a decimal",
            Type::Date => "a date",
            Type::DateTime(_) => "a date and time without a zone",
            Type::Timestamp(_) => "an instant",
            Type::Text => "text",
            Type::Bytes => "bytes in hexadecimal digits",
        }
    }
}

fn written(time: DateTime) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()
}

fn no_value(of: &str) -> Error {
    Error::conflict(format!("a mark of the stream is no {of}: the cursor's type is not what it was"))
        .hint("Run it once with `--full-refresh`, or give it another name.")
}

/// Digits, with a sign and a point.
fn number(text: &str) -> Result<String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if is_number && text.len() <= 80 { Ok(text.to_owned()) } else { Err(no_value("number")) }
}

fn temporal(kind: &str, text: &str) -> Result<String> {
    let fits = (10..=26).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || b"-: .".contains(&b));
    if fits { Ok(format!("{kind}'{text}'")) } else { Err(no_value("time")) }
}

fn bytes(text: &str) -> Result<String> {
    let fits = text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if fits { Ok(format!("x'{text}'")) } else { Err(no_value("text of bytes")) }
}

/// A string in a session whose `sql_mode` is empty.
fn string(text: &str) -> String {
    let mut sql = String::with_capacity(text.len() + 2);
    sql.push('\'');
    for c in text.chars() {
        match c {
            '\0' => sql.push_str("\\0"),
            '\'' | '\\' => sql.extend(['\\', c]),
            other => sql.push(other),
        }
    }
    sql.push('\'');
    sql
}

impl Ordered {
    /// Refuses a cursor of columns that are not there, or have no order.
    pub async fn of(connection: &mut Connection, plan: &Plan, settings: &Settings) -> Result<Self> {
        let types = types(connection, plan, settings).await?;
        let names: Vec<_> = settings.cursor.iter().flat_map(Expression::columns).cloned().collect();
        let is_named = |column: &String| names.iter().any(|name| name.eq_ignore_ascii_case(column));
        let (indexes, never_null) = match &plan.relation {
            Some(table) => (
                catalog::indexes(connection, table).await.map_err(|f| error::of(f, Doing::Preparing))?,
                catalog::never_null(connection, table).await.map_err(|f| error::of(f, Doing::Preparing))?,
            ),
            None => (Vec::new(), Vec::new()),
        };
        let is_plain = settings.cursor.iter().all(|part| matches!(part, Expression::Column(_)));
        let is_unique = is_plain && indexes.iter().any(|index| index.is_unique && index.columns.iter().all(is_named));
        let is_first = |column: &String| names[0].eq_ignore_ascii_case(column);
        let first_is_unique =
            is_plain && indexes.iter().any(|index| index.is_unique && index.columns.iter().all(is_first));
        let grain = match types[0] {
            Type::DateTime(digits) | Type::Timestamp(digits) => {
                Grain::Time { unit: unit(connection, plan, settings, digits).await? }
            }
            Type::Date => Grain::Day,
            _ if first_is_unique => Grain::Unique,
            _ => Grain::Open,
        };
        let sql = |part: &Expression| part.sql(|name| plan.column(name));
        let cursor = settings.cursor.iter().zip(&types).map(|(part, of)| (sql(part), *of));
        // What the cursor orders already needs no second place.
        let (key, unordered) = match is_unique {
            true => (Vec::new(), Vec::new()),
            false => key(connection, plan, |name| !is_named(name)).await?,
        };
        let is_exact = is_unique || (!plan.table.key.is_empty() && unordered.is_empty());
        let marks = cursor.clone().chain(key.iter().cloned()).map(|(sql, of)| of.mark(&sql)).collect();
        let column = |(sql, of): (String, Type)| Column { sql, literal: of.literal(), stray: None };
        let is_never_null = |part: &Expression| {
            part.columns().iter().any(|name| never_null.iter().any(|known| known.eq_ignore_ascii_case(name)))
        };
        Ok(Self {
            order: Order {
                cursor: cursor.map(column).collect(),
                key: key.into_iter().map(column).collect(),
                is_exact,
                // What a collation takes for the same may be written in several ways.
                has_groups: !types.contains(&Type::Text),
                rows: false,
            },
            grain,
            of: types[0],
            marks,
            is_nullable: !settings.cursor.iter().all(is_never_null),
            unordered,
        })
    }
}

impl Ordered {
    /// The settings, with `start` in the form of marks; refuses one that is no value of the cursor.
    pub fn settled(&self, settings: &Settings) -> Result<Settings> {
        let Some(start) = &settings.start else { return Ok(settings.clone()) };
        let start = self.of.read(start).ok_or_else(|| {
            settings.section.error("start", format!("is not {}, which the cursor is", self.of.name()))
        })?;
        Ok(Settings { start: Some(start), ..settings.clone() })
    }
}

/// The step of a time; of several columns, the coarsest.
async fn unit(connection: &mut Connection, plan: &Plan, settings: &Settings, digits: u8) -> Result<Duration> {
    let of = |digits: u8| Duration::from_micros(10u64.pow(6 - u32::from(digits.min(6))));
    let first = &settings.cursor[0];
    if first.columns().len() == 1 {
        return Ok(of(digits));
    }
    let list = first.columns().iter().map(|name| (first, plan.column(name))).collect();
    let mut unit = of(digits);
    for column in types_of(connection, plan, settings, list).await? {
        unit = unit.max(match column {
            Type::DateTime(digits) | Type::Timestamp(digits) => of(digits),
            _ => {
                let problem = "mixes days with times, whose day is over when the first of them comes";
                return Err(settings.section.error("cursor", problem));
            }
        });
    }
    Ok(unit)
}

/// The types of the cursor's parts.
async fn types(connection: &mut Connection, plan: &Plan, settings: &Settings) -> Result<Vec<Type>> {
    let list = settings.cursor.iter().map(|part| (part, part.sql(|name| plan.column(name)))).collect();
    types_of(connection, plan, settings, list).await
}

/// The types of what is of these parts.
async fn types_of(
    connection: &mut Connection,
    plan: &Plan,
    settings: &Settings,
    parts: Vec<(&Expression, String)>,
) -> Result<Vec<Type>> {
    let list: Vec<_> = parts.iter().map(|(_, sql)| sql.as_str()).collect();
    let statement = connection.prepare(&format!("select {} {}", list.join(", "), plan.tail(&Scope::default()))).await;
    let statement = statement.map_err(|failure| {
        let is_unknown = error::number(&failure) == Some(error::UNKNOWN_COLUMN);
        let unknown = || settings.unknown_column(&plan.name, &plan.all, str::eq_ignore_ascii_case);
        if let Some(error) = is_unknown.then(unknown).flatten() {
            return error;
        }
        let error = error::of(failure, Doing::Preparing);
        match error.kind() {
            ErrorKind::Config => settings.section.error("cursor", format!("cannot be read: {}", error.message())),
            _ => error,
        }
    })?;
    let typed = parts.iter().zip(statement.columns.iter()).map(|((part, _), column)| {
        Type::of(column).map_err(|why| settings.section.error("cursor", format!("names {part}, which {why}")))
    });
    typed.collect()
}

/// The columns of the key that are wanted, as SQL with their types, and the names of those that have no order. Some types
/// have one as numbers only.
async fn key(
    connection: &mut Connection,
    plan: &Plan,
    is_wanted: impl Fn(&String) -> bool,
) -> Result<(Vec<(String, Type)>, Vec<String>)> {
    let names: Vec<_> = plan.table.key.iter().filter(|name| is_wanted(name)).collect();
    if names.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let list: Vec<_> = names.iter().map(|name| plan.column(name)).collect();
    let statement = connection.prepare(&format!("select {} {}", list.join(", "), plan.tail(&Scope::default()))).await;
    let statement = statement.map_err(|failure| error::of(failure, Doing::Preparing)).at(|| "primary_key")?;
    let (mut key, mut unordered) = (Vec::new(), Vec::new());
    for ((name, sql), column) in names.into_iter().zip(list).zip(statement.columns.iter()) {
        let is_number = column.flags().intersects(ColumnFlags::ENUM_FLAG | ColumnFlags::SET_FLAG)
            || matches!(column.column_type(), ColumnType::MYSQL_TYPE_YEAR | ColumnType::MYSQL_TYPE_BIT);
        match Type::of(column) {
            Ok(of) => key.push((sql, of)),
            Err(_) if is_number => key.push((format!("({sql} + 0)"), Type::Integer)),
            Err(_) => unordered.push(name.clone()),
        }
    }
    if unordered.is_empty() { Ok((key, unordered)) } else { Ok((Vec::new(), unordered)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_value_is_taken_for_sql() {
        let literal = |of: Type, text: &str| of.literal()(text).ok();
        assert_eq!(literal(Type::Integer, "-12").as_deref(), Some("-12"));
        assert_eq!(literal(Type::Decimal, "1.50").as_deref(), Some("1.50"));
        for wrong in ["", "-", "1e3", "1.", ".5", "1 or 1", "0x1", "--1"] {
            assert_eq!(literal(Type::Decimal, wrong), None, "{wrong}");
        }
        assert_eq!(literal(Type::Date, "2024-01-01").as_deref(), Some("date'2024-01-01'"));
        let time = "2024-01-01 10:00:00.123456";
        assert_eq!(literal(Type::Timestamp(6), time), Some(format!("timestamp'{time}'")));
        assert_eq!(literal(Type::DateTime(0), "2024-01-01' or '1"), None);
        assert_eq!(literal(Type::Text, "a'b\\c\0").as_deref(), Some("'a\\'b\\\\c\\0'"));
        assert_eq!(literal(Type::Bytes, "00ff").as_deref(), Some("x'00ff'"));
        assert_eq!((literal(Type::Bytes, "0"), literal(Type::Bytes, "zz")), (None, None));
    }

    #[test]
    fn what_a_user_writes_is_read_or_refused() {
        let read = |of: Type, text: &str| of.read(text);
        assert_eq!(read(Type::DateTime(6), "2024-01-01").as_deref(), Some("2024-01-01 00:00:00.000000"));
        assert_eq!(read(Type::DateTime(0), "2024-01-01T10:00:00.5").as_deref(), Some("2024-01-01 10:00:00.500000"));
        assert_eq!(
            read(Type::Timestamp(6), "2024-01-01T10:00:00+02:00").as_deref(),
            Some("2024-01-01 08:00:00.000000")
        );
        assert_eq!(read(Type::Date, "2024-01-01").as_deref(), Some("2024-01-01"));
        assert_eq!(read(Type::Integer, "18446744073709551615").as_deref(), Some("18446744073709551615"));
        assert_eq!(read(Type::Bytes, "0190a1b2-0000-7000-8000-000000000000").map(|text| text.len()), Some(32));
        for (of, wrong) in [
            (Type::DateTime(6), "2024-13-01"),
            (Type::DateTime(6), "2024-01-01junk"),
            (Type::DateTime(6), "2024-01-01T10:00:00Z"),
            (Type::DateTime(6), "2024-01-01T10:00:00+02:00"),
            (Type::Date, "yesterday"),
            (Type::Integer, "1.5"),
        ] {
            assert_eq!(read(of, wrong), None, "{wrong}");
        }
    }
}
