//! How the log's rows of a table are read: each column's length, and what its bytes become.

use std::sync::Arc;

use super::super::types::Type;
use super::charset::{BINARY, CharacterSets, Coding};
use super::definition::{Column, Definition};
use super::event::table_map::{Stored, TableMap};
use super::value::How;
use super::value::{decimal, temporal};
use crate::error::{Error, Result};

/// Of one table, as one TABLE_MAP has it.
#[derive(Debug)]
pub struct Layout {
    /// For messages.
    pub name: String,
    pub header: String,
    pub sizes: Vec<Size>,
    pub is_json: Vec<bool>,
    pub taken: Vec<Taken>,
}

/// How long a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Fixed(usize),
    /// So many bytes before it tell.
    Counted(usize),
}

/// A column that is read.
#[derive(Debug)]
pub struct Taken {
    /// Its place in the log's rows.
    pub column: usize,
    /// Its place in the batch.
    pub index: usize,
    pub how: How,
    pub name: String,
    pub of: Type,
}

impl Layout {
    /// Fails with `Kind::Schema` where the log's table is not the one that is defined: nothing is ever read by the wrong
    /// definition. The sets of [`Layout::sets`] must have been learned.
    pub fn of(map: &TableMap, definition: &Definition, sets: &CharacterSets) -> Result<Self> {
        let mut taken = Vec::new();
        for (place, column) in columns(map, definition)? {
            let Some(target) = column.target else { continue };
            let fitting = Fitting { map, place, column, sets };
            let how = fitting.how(target.of).ok_or_else(|| {
                let (kind, of) = (&map.columns[place].of, target.of);
                differs(definition, format!("column {} is {kind:?} in the log, to be read as {of:?}", column.name))
            })?;
            taken.push(Taken { column: place, index: target.index, how, name: column.name.clone(), of: target.of });
        }
        // In the order of the log, which is that of the bytes.
        taken.sort_by_key(|taken| taken.column);
        Ok(Self {
            name: definition.name.clone(),
            header: definition.header.clone(),
            sizes: map.columns.iter().map(|column| size(column.of)).collect(),
            is_json: map.columns.iter().map(|column| matches!(column.of, Stored::Json(_))).collect(),
            taken,
        })
    }

    /// The character sets of those texts of a table that are read.
    pub fn sets(map: &TableMap, definition: &Definition, sets: &CharacterSets) -> Vec<String> {
        let mut all = Vec::new();
        for (place, column) in definition.columns.iter().enumerate().filter(|(_, column)| column.target.is_some()) {
            let logged = map.metadata.collations.get(place).copied().flatten().and_then(|id| sets.name(id));
            all.extend(logged.map(str::to_owned).or_else(|| column.character_set.clone()));
        }
        all.sort();
        all.dedup();
        all
    }
}

/// Each column of the log's, and what is known of it.
fn columns<'a>(map: &TableMap, definition: &'a Definition) -> Result<Vec<(usize, &'a Column)>> {
    let names = &map.metadata.names;
    if map.columns.len() != definition.columns.len() {
        let (log, known) = (map.columns.len(), definition.columns.len());
        return Err(differs(definition, format!("it has {log} columns in the log and {known} in its definition")));
    }
    for (name, column) in names.iter().zip(&definition.columns) {
        if !name.eq_ignore_ascii_case(&column.name) && name.to_lowercase() != column.name.to_lowercase() {
            let other = &column.name;
            return Err(differs(definition, format!("the log has column {name} where its definition has {other}")));
        }
    }
    Ok(definition.columns.iter().enumerate().collect())
}

fn differs(definition: &Definition, why: String) -> Error {
    Error::schema(format!("table {}: the log is of another definition of it: {why}", definition.name))
}

fn size(of: Stored) -> Size {
    match of {
        Stored::Integer(bytes) | Stored::Enum(bytes) | Stored::Set(bytes) => Size::Fixed(bytes.into()),
        Stored::Float | Stored::OldTimestamp => Size::Fixed(4),
        Stored::Double | Stored::OldDateTime => Size::Fixed(8),
        Stored::Year => Size::Fixed(1),
        Stored::Decimal { precision, scale } => Size::Fixed(decimal::length(precision, scale)),
        Stored::Bit(bits) => Size::Fixed(usize::from(bits).div_ceil(8)),
        Stored::Date | Stored::OldTime => Size::Fixed(3),
        Stored::Time(digits) => Size::Fixed(3 + temporal::fraction_bytes(digits)),
        Stored::DateTime(digits) => Size::Fixed(5 + temporal::fraction_bytes(digits)),
        Stored::Timestamp(digits) => Size::Fixed(4 + temporal::fraction_bytes(digits)),
        Stored::Char(length) | Stored::Varchar(length) | Stored::CompressedVarchar(length) => {
            Size::Counted(if length < 256 { 1 } else { 2 })
        }
        Stored::Blob(bytes)
        | Stored::Json(bytes)
        | Stored::Geometry(bytes)
        | Stored::Vector(bytes)
        | Stored::CompressedBlob(bytes) => Size::Counted(bytes.into()),
    }
}

/// One column, in the log and as it is known.
struct Fitting<'a> {
    map: &'a TableMap,
    place: usize,
    column: &'a Column,
    sets: &'a CharacterSets,
}

impl Fitting<'_> {
    /// `None` where the type in the log does not become this one.
    fn how(&self, of: Type) -> Option<How> {
        Some(match (self.map.columns[self.place].of, of) {
            (Stored::Integer(bytes), of) => return self.integer(bytes, of),
            (Stored::Float, Type::Float) => How::Float,
            (Stored::Double, Type::Double) => How::Double,
            (Stored::Year, Type::Year) => How::Year,
            (Stored::Decimal { precision, scale }, Type::Decimal { precision: p, scale: s })
                if (precision, scale) == (p, s) =>
            {
                How::Decimal { precision, scale }
            }
            (Stored::Bit(_), Type::Bit)
            | (Stored::Geometry(_), Type::Geometry)
            | (Stored::Vector(_) | Stored::Varchar(_) | Stored::Blob(_), Type::Vector) => How::Bytes,
            (Stored::Enum(_), Type::Text | Type::Bytes) => How::Enum(self.labels(of)?),
            (Stored::Set(_), Type::Text | Type::Bytes) => How::Set(self.labels(of)?),
            (Stored::Json(_), Type::Json | Type::Bytes) => How::Json,
            (Stored::Date, Type::Date | Type::TextDate(None)) => How::Date,
            (Stored::Time(_), Type::Time) => How::Time,
            (Stored::DateTime(_), Type::DateTime | Type::TextDate(Some(_))) => How::DateTime,
            (Stored::Timestamp(_), Type::Timestamp | Type::TextDate(Some(_))) => How::Timestamp,
            (Stored::OldTime, Type::Time) if self.is_whole() => How::OldTime,
            (Stored::OldDateTime, Type::DateTime | Type::TextDate(Some(0))) if self.is_whole() => How::OldDateTime,
            (Stored::OldTimestamp, Type::Timestamp | Type::TextDate(Some(0))) if self.is_whole() => How::OldTimestamp,
            (Stored::CompressedVarchar(_) | Stored::CompressedBlob(_), Type::Text | Type::Json | Type::Bytes) => {
                How::Compressed(self.coding(of)?.filter(|coding| **coding != Coding::Utf8))
            }
            (Stored::Char(length), of) if self.is_address() => return address(self.column.data_type(), length, of),
            (Stored::Char(length), Type::Bytes) if self.is_binary() => How::Padded(length.into()),
            (Stored::Char(_) | Stored::Varchar(_) | Stored::Blob(_), Type::Text | Type::Json | Type::Bytes) => {
                match self.coding(of)? {
                    Some(coding) if *coding != Coding::Utf8 => How::Text(coding),
                    _ => How::Bytes,
                }
            }
            _ => return None,
        })
    }

    fn integer(&self, bytes: u8, of: Type) -> Option<How> {
        let bits = if bytes == 3 { 32 } else { bytes * 8 };
        let logged = self.map.metadata.unsigned.get(self.place).copied();
        match of {
            Type::Signed(to) if to == bits && logged != Some(true) => Some(How::Signed),
            Type::Boolean if bytes == 1 && logged != Some(true) => Some(How::Signed),
            Type::Unsigned(to) if to == bits && logged != Some(false) => Some(How::Unsigned),
            _ => None,
        }
    }

    /// What the log says goes before what the catalog says.
    fn set(&self) -> Option<&str> {
        let logged = self.map.metadata.collations.get(self.place).copied().flatten();
        logged.and_then(|id| self.sets.name(id)).or(self.column.character_set.as_deref())
    }

    fn is_binary(&self) -> bool {
        self.set().is_none_or(|set| set == BINARY)
    }

    /// How the column's texts are read; `Some(None)` for those that are taken as bytes.
    fn coding(&self, of: Type) -> Option<Option<Arc<Coding>>> {
        match of {
            Type::Bytes => Some(None),
            _ if self.is_binary() => None,
            _ => self.sets.coding(self.set()?).map(Some),
        }
    }

    /// The catalog has labels in UTF-8; the log, in the column's own set.
    fn labels(&self, of: Type) -> Option<Arc<[Vec<u8>]>> {
        let logged = self.map.metadata.labels.get(self.place).filter(|labels| !labels.is_empty());
        let Some(labels) = logged else {
            return Some(self.column.labels().into()).filter(|labels: &Arc<[_]>| !labels.is_empty());
        };
        let coding = if self.is_binary() { None } else { self.coding(of)? };
        let decoded = labels.iter().map(|label| match &coding {
            None => label.clone(),
            Some(coding) => {
                let mut text = Vec::new();
                coding.decode(label, &mut text);
                text
            }
        });
        Some(decoded.collect())
    }

    /// The older forms have no room in the log for the digits of a fraction: with them, their length is not known.
    fn is_whole(&self) -> bool {
        !self.column.native.contains('(')
    }

    fn is_address(&self) -> bool {
        matches!(self.column.data_type(), "uuid" | "inet4" | "inet6")
    }
}

fn address(data_type: &str, length: u16, of: Type) -> Option<How> {
    Some(match (data_type, length, of) {
        ("uuid", 16, Type::Uuid) => How::Uuid,
        ("inet4", 4, Type::Text) => How::Inet4,
        ("inet6", 16, Type::Text) => How::Inet6,
        _ => return None,
    })
}
