//! Columns that are declared, and what fits into them.
//!
//! | declared | holds |
//! |---|---|
//! | `bool` | bool |
//! | `int` | int |
//! | `long` | int, long |
//! | `double` | double, int, and those longs that are as many doubles: up to 2^53 |
//! | `decimal(p,s)` | decimal, int and long, with no digit lost |
//! | `date` | date that is a midnight in UTC |
//! | `timestamp` | date, as far as 64 bits of microseconds go |
//! | `epoch`, `epoch_ms` | the same; numbers of seconds, or milliseconds, since 1970: of the years 0 to 9999, not finer than microseconds |
//! | `objectid` | objectId |
//! | `uuid` | binData of subtype 4 |
//! | `binary` | binData of any subtype, which is not kept |
//! | `text` | anything, as its plain text |
//! | `json` | anything, as relaxed Extended JSON |
//!
//! Where values were written down as texts, these fit too as far as they say such a value ([`coercion`](super::coercion)).
//!
//! Each of them holds null, which is also what a field is that a document lacks, unless it has a default.

use std::fmt;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field as ArrowField};

use super::bson::{self, Value};
use super::coercion::Declaration;
use super::columns::Misfit;
use super::json::Fault;
use super::kinds::Kinds;
use super::quarantine::Refused;
use super::records::Records;
use super::rest::Rest;
use super::settings::{Declared, OnMisfit};
use super::shape::{DIGITS, Shape};
use super::table::{Built, Failure, batch};
use super::{REST, schema};
use crate::error::{Error, Result};
use crate::record::{Table, field};

/// What a column is declared as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Bool,
    Int,
    Long,
    Double,
    /// So many digits, so many of them behind the point.
    Decimal {
        precision: u8,
        scale: u8,
    },
    Date,
    Timestamp,
    /// A timestamp that comes as a number of seconds since 1970,
    Epoch,
    /// or of milliseconds.
    EpochMillis,
    ObjectId,
    Uuid,
    Binary,
    Text,
    Json,
}

const NAMES: [(&str, Type); 13] = [
    ("bool", Type::Bool),
    ("int", Type::Int),
    ("long", Type::Long),
    ("double", Type::Double),
    ("date", Type::Date),
    ("timestamp", Type::Timestamp),
    ("epoch", Type::Epoch),
    ("epoch_ms", Type::EpochMillis),
    ("objectid", Type::ObjectId),
    ("uuid", Type::Uuid),
    ("binary", Type::Binary),
    ("text", Type::Text),
    ("json", Type::Json),
];

impl Type {
    /// Of what a user has written; an error goes on from the name of what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim().to_lowercase();
        if let Some(rest) = text.strip_prefix("decimal") {
            return decimal(rest.trim()).ok_or_else(|| {
                format!("must be `decimal(digits,digits behind the point)`, such as `decimal(10,2)`, with {DIGITS} digits at most")
            });
        }
        let known = NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, of)| *of).ok_or_else(|| {
            let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
            format!("must be one of {}, decimal(10,2)", names.join(", "))
        })
    }

    /// As a column.
    pub fn field(self, name: &str) -> ArrowField {
        let nullable = |data_type| field::nullable(name, data_type);
        let column = match self {
            Type::Bool => nullable(DataType::Boolean),
            Type::Int => nullable(DataType::Int32),
            Type::Long => nullable(DataType::Int64),
            Type::Double => nullable(DataType::Float64),
            Type::Decimal { precision, scale } => nullable(DataType::Decimal128(precision, scale as i8)),
            Type::Date => nullable(DataType::Date32),
            Type::Timestamp | Type::Epoch | Type::EpochMillis => nullable(field::instant()),
            Type::ObjectId | Type::Text => nullable(DataType::Utf8),
            Type::Uuid => field::uuid(name),
            Type::Binary => nullable(DataType::Binary),
            Type::Json => field::json(name),
        };
        field::with_native(column, self.to_string())
    }

    /// The types of values that fit, or may.
    pub fn kinds(self) -> Kinds {
        match self {
            Type::Bool => Kinds::BOOL,
            Type::Int => Kinds::INT32,
            Type::Long => Kinds::INT32.and(Kinds::INT64),
            Type::Double => Kinds::DOUBLE.and(Kinds::INT32).and(Kinds::INT64),
            Type::Decimal { .. } => Kinds::DECIMAL.and(Kinds::INT32).and(Kinds::INT64),
            Type::Date | Type::Timestamp => Kinds::INSTANT,
            Type::Epoch | Type::EpochMillis => {
                Kinds::INSTANT.and(Kinds::INT32).and(Kinds::INT64).and(Kinds::DOUBLE).and(Kinds::DECIMAL)
            }
            Type::ObjectId => Kinds::OBJECT_ID,
            Type::Uuid => Kinds::UUID,
            Type::Binary => Kinds::BYTES.and(Kinds::UUID),
            Type::Text | Type::Json => Kinds::ALL,
        }
    }

    pub fn shape(self) -> Shape {
        match self {
            Type::Bool => Shape::Bool,
            Type::Int => Shape::Int,
            Type::Long => Shape::Long { wide: true },
            Type::Double => Shape::Double,
            Type::Decimal { precision, scale } => Shape::Decimal { whole: precision - scale, scale },
            Type::Date => Shape::Date,
            Type::Timestamp | Type::Epoch | Type::EpochMillis => Shape::Instant,
            Type::ObjectId => Shape::ObjectId,
            Type::Uuid => Shape::Uuid,
            Type::Binary => Shape::Bytes(bson::GENERIC),
            Type::Text => Shape::Text,
            Type::Json => Shape::Json,
        }
    }
}

/// `(10,2)`; digits alone have none behind the point.
fn decimal(text: &str) -> Option<Type> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    let (precision, scale) = inner.split_once(',').unwrap_or((inner, "0"));
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let is_there = (1..=DIGITS as u8).contains(&precision) && scale <= precision;
    is_there.then_some(Type::Decimal { precision, scale })
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            of => f.write_str(NAMES.iter().find(|(_, named)| named == of).map_or("", |(name, _)| name)),
        }
    }
}

/// The columns, which stay as they are.
pub struct Columns {
    pub table: Arc<Table>,
    declared: Declared,
    records: Records,
}

impl Columns {
    pub fn of(name: &str, declared: &Declared, key: Option<&str>) -> Result<Self> {
        declared.check(name, declared.rest)?;
        let mut columns: Vec<_> = declared.columns.iter().map(|(name, of)| of.field(name)).collect();
        if declared.rest {
            columns.push(field::with_others(field::json(REST)));
        }
        let table = Arc::new(schema::table(name, columns, key, false));
        Ok(Self { table, records: Records::declared(declared), declared: declared.clone() })
    }

    /// Refuses defaults that their columns do not hold.
    pub fn check(&mut self, defaults: &[u8]) -> Result<(), Failure> {
        let mut elements = bson::Elements::of(defaults).map_err(Fault::from)?;
        while let Some((name, value)) = elements.advance().map_err(Fault::from)? {
            let is_column = self.declared.columns.iter().any(|(column, _)| column.as_bytes() == name);
            if !is_column && !value.is_null() {
                let (table, name) = (&self.table.name, String::from_utf8_lossy(name));
                let message = format!("table {table}: the default of {name} is for a field that is not declared");
                return Err(Error::config(message).into());
            }
        }
        let added = self.records.add_with(defaults, |_, _| Ok(()));
        let reason = self.reason(defaults);
        self.empty();
        match added {
            Ok(()) => Ok(()),
            Err(Misfit::Fault(fault)) => Err(fault.into()),
            Err(Misfit::Wider) => {
                let table = &self.table.name;
                Err(Error::config(format!("table {table}: a default does not fit: {reason}")).into())
            }
        }
    }

    fn empty(&mut self) {
        self.records = Records::declared(&self.declared);
    }

    /// The rows of documents, without those that are refused.
    pub fn rows(&mut self, documents: &[&[u8]], defaults: Option<&[u8]>) -> Result<Built, Failure> {
        let (mut rest, mut refused) = (Rest::default(), Vec::new());
        self.records.reserve(documents.len());
        for (row, document) in documents.iter().enumerate() {
            let keeps = self.declared.rest;
            let other = |name: &[u8], value: &Value<'_>| match keeps && !value.is_null() {
                true => Ok(rest.add(row, name, value)?),
                false => Ok(()),
            };
            let added = self.records.add_with(document, other);
            match added.and_then(|()| defaults.map_or(Ok(()), |defaults| self.records.complete(defaults))) {
                Ok(()) => {}
                Err(Misfit::Fault(fault)) => {
                    self.empty();
                    return Err(fault.into());
                }
                Err(Misfit::Wider) => {
                    let reason = self.reason(document);
                    if self.declared.on_misfit == OnMisfit::Fail {
                        self.empty();
                        return Err(misfit(&self.table.name, &reason).into());
                    }
                    refused.push(Refused { row, reason });
                    self.records.end_row();
                }
            }
        }
        let mut columns: Vec<ArrayRef> = self.records.arrays()?;
        if self.declared.rest {
            columns.push(rest.finish(documents.len())?);
        }
        let batch = batch(&self.table, columns, documents.len())?;
        Built::without(batch, refused).map_err(Failure::from)
    }

    /// Why the last row does not fit.
    fn reason(&self, document: &[u8]) -> String {
        let column = self.records.misfit().and_then(|place| self.declared.columns.get(place));
        column.map_or(String::new(), |(name, of)| reason(name, self.declared.declaration(*of), document))
    }
}

/// Why a document does not fit: `field price: string, declared decimal(10,2)`.
pub fn reason(name: &str, declaration: Declaration, document: &[u8]) -> String {
    let value = bson::field(document, name).ok().flatten().unwrap_or(Value::Null);
    format!("field {name}: {}", declaration.misfit(&value))
}

/// The error of a document that does not fit.
pub fn misfit(table: &str, reason: &str) -> Error {
    Error::data(format!("table {table}, {reason}")).hint(
        "Declare a type that holds it (`text` holds anything, `epoch` and `epoch_ms` numbers that are times), or set `on_misfit = quarantine` to \
         have such documents in a table beside.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_as_they_are_written() {
        let decimal = Type::Decimal { precision: 10, scale: 2 };
        for (_, of) in NAMES {
            assert_eq!(Type::parse(&of.to_string()), Ok(of));
        }
        for (text, wanted) in [
            ("decimal(10,2)", decimal),
            (" Decimal ( 10 , 2 ) ", decimal),
            ("decimal(38)", Type::Decimal { precision: 38, scale: 0 }),
            ("ObjectId", Type::ObjectId),
            ("epoch_MS", Type::EpochMillis),
        ] {
            assert_eq!(Type::parse(text), Ok(wanted));
        }
        assert_eq!(decimal.to_string(), "decimal(10,2)");
        for text in
            ["decimal", "decimal(39,2)", "decimal(2,3)", "decimal(0,0)", "decimal(1,-1)", "decimal(10,2", "decimal()"]
        {
            let error = Type::parse(text).unwrap_err();
            assert!(error.starts_with("must be `decimal(digits"), "{text}: {error}");
        }
        let error = Type::parse("datetime").unwrap_err();
        assert!(
            error.starts_with("must be one of bool, int, long,") && error.ends_with("json, decimal(10,2)"),
            "{error}"
        );
    }
}
