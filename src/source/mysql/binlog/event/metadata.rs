//! What a server may say of a table's columns besides their types: MySQL by `binlog_row_metadata`, in part always; MariaDB
//! only by that.

use super::super::bytes::{Bytes, Torn, bit};
use super::table_map::{LogColumn, Stored};

/// Empty where the server does not say it. What is listed by column has an entry for every column of the table then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    pub names: Vec<String>,
    /// Of numbers; false for others.
    pub unsigned: Vec<bool>,
    /// The number of each column's collation; none for what is no text.
    pub collations: Vec<Option<u16>>,
    /// The labels of each ENUM and SET, in its character set.
    pub labels: Vec<Vec<Vec<u8>>>,
    pub geometries: Vec<u64>,
    /// The columns of the primary key, and of how many characters of each it is; 0 for all.
    pub key: Vec<(usize, u64)>,
    pub visible: Vec<bool>,
    /// How many numbers the vectors of each VECTOR column have.
    pub dimensions: Vec<u64>,
}

mod field {
    pub const SIGNEDNESS: u8 = 1;
    pub const DEFAULT_CHARSET: u8 = 2;
    pub const COLUMN_CHARSET: u8 = 3;
    pub const COLUMN_NAME: u8 = 4;
    pub const SET_LABELS: u8 = 5;
    pub const ENUM_LABELS: u8 = 6;
    pub const GEOMETRY_TYPE: u8 = 7;
    pub const SIMPLE_PRIMARY_KEY: u8 = 8;
    pub const PRIMARY_KEY_WITH_PREFIX: u8 = 9;
    pub const LABELS_DEFAULT_CHARSET: u8 = 10;
    pub const LABELS_COLUMN_CHARSET: u8 = 11;
    pub const VISIBILITY: u8 = 12;
    pub const VECTOR_DIMENSION: u8 = 13;
}

impl Metadata {
    pub fn of(mut bytes: Bytes<'_>, columns: &[LogColumn], is_mariadb: bool) -> Result<Self, Torn> {
        let is_text = if is_mariadb { is_text_at_mariadb } else { is_text };
        let mut metadata = Metadata::default();
        while !bytes.is_empty() {
            let kind = bytes.u8()?;
            metadata.take(kind, Bytes(bytes.counted()?), columns, is_text)?;
        }
        Ok(metadata)
    }

    fn take(
        &mut self,
        kind: u8,
        mut bytes: Bytes<'_>,
        columns: &[LogColumn],
        is_text: fn(Stored) -> bool,
    ) -> Result<(), Torn> {
        let all = columns.len();
        match kind {
            field::SIGNEDNESS => {
                // The highest bit first, and only of numbers.
                self.unsigned = vec![false; all];
                for (number, index) in of(columns, is_number).enumerate() {
                    let byte = bytes.0.get(number / 8).ok_or(Torn)?;
                    self.unsigned[index] = byte >> (7 - number % 8) & 1 == 1;
                }
            }
            field::DEFAULT_CHARSET => self.collate(columns, is_text, &default_and_others(bytes)?)?,
            field::COLUMN_CHARSET => self.collate(columns, is_text, &listed(bytes)?)?,
            field::LABELS_DEFAULT_CHARSET => self.collate(columns, has_labels, &default_and_others(bytes)?)?,
            field::LABELS_COLUMN_CHARSET => self.collate(columns, has_labels, &listed(bytes)?)?,
            field::COLUMN_NAME => {
                while !bytes.is_empty() {
                    self.names.push(String::from_utf8_lossy(bytes.counted()?).into_owned());
                }
                if self.names.len() != all {
                    return Err(Torn);
                }
            }
            field::SET_LABELS => self.label(columns, |of| matches!(of, Stored::Set(_)), bytes)?,
            field::ENUM_LABELS => self.label(columns, |of| matches!(of, Stored::Enum(_)), bytes)?,
            field::GEOMETRY_TYPE => self.geometries = numbers(bytes)?,
            field::SIMPLE_PRIMARY_KEY => {
                self.key = numbers(bytes)?.into_iter().map(|index| (index as usize, 0)).collect();
            }
            field::PRIMARY_KEY_WITH_PREFIX => {
                let numbers = numbers(bytes)?;
                self.key = numbers.chunks_exact(2).map(|pair| (pair[0] as usize, pair[1])).collect();
            }
            field::VISIBILITY => self.visible = (0..all).map(|index| bit_from_highest(bytes.0, index)).collect(),
            field::VECTOR_DIMENSION => self.dimensions = numbers(bytes)?,
            // What a newer server says more than that.
            _ => {}
        }
        match self.key.iter().all(|(index, _)| *index < all) {
            true => Ok(()),
            false => Err(Torn),
        }
    }

    fn collate(&mut self, columns: &[LogColumn], which: fn(Stored) -> bool, said: &Said) -> Result<(), Torn> {
        self.collations.resize(columns.len(), None);
        for (place, index) in of(columns, which).enumerate() {
            let number = match said {
                Said::Each(numbers) => *numbers.get(place).ok_or(Torn)?,
                Said::Default(default, others) => {
                    others.iter().find(|(other, _)| *other == place as u64).map_or(*default, |(_, number)| *number)
                }
            };
            self.collations[index] = Some(u16::try_from(number).map_err(|_| Torn)?);
        }
        Ok(())
    }

    fn label(&mut self, columns: &[LogColumn], which: fn(Stored) -> bool, mut bytes: Bytes<'_>) -> Result<(), Torn> {
        self.labels.resize(columns.len(), Vec::new());
        for index in of(columns, which) {
            let count = bytes.length()?;
            // Each takes a byte at least: no more room is made than there are bytes.
            let labels = (0..count.min(bytes.0.len() as u64 + 1)).map(|_| bytes.counted().map(<[u8]>::to_vec));
            self.labels[index] = labels.collect::<Result<_, _>>()?;
        }
        Ok(())
    }
}

/// How collations are told: one for all but some, by their place among the columns that have one; or each.
enum Said {
    Default(u64, Vec<(u64, u64)>),
    Each(Vec<u64>),
}

fn default_and_others(mut bytes: Bytes<'_>) -> Result<Said, Torn> {
    let default = bytes.length()?;
    let others = numbers(bytes)?;
    Ok(Said::Default(default, others.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()))
}

fn listed(bytes: Bytes<'_>) -> Result<Said, Torn> {
    numbers(bytes).map(Said::Each)
}

fn numbers(mut bytes: Bytes<'_>) -> Result<Vec<u64>, Torn> {
    let mut numbers = Vec::new();
    while !bytes.is_empty() {
        numbers.push(bytes.length()?);
    }
    Ok(numbers)
}

/// The columns of these types.
fn of(columns: &[LogColumn], which: fn(Stored) -> bool) -> impl Iterator<Item = usize> {
    columns.iter().enumerate().filter(move |(_, column)| which(column.of)).map(|(index, _)| index)
}

fn is_number(of: Stored) -> bool {
    matches!(of, Stored::Integer(_) | Stored::Float | Stored::Double | Stored::Decimal { .. } | Stored::Year)
}

fn is_text(of: Stored) -> bool {
    matches!(
        of,
        Stored::Char(_)
            | Stored::Varchar(_)
            | Stored::Blob(_)
            | Stored::CompressedVarchar(_)
            | Stored::CompressedBlob(_)
            // Bytes, of which MySQL tells a collation all the same.
            | Stored::Vector(_)
    )
}

/// MariaDB tells a collation of geometries too, which are bytes.
fn is_text_at_mariadb(of: Stored) -> bool {
    is_text(of) || matches!(of, Stored::Geometry(_))
}

fn has_labels(of: Stored) -> bool {
    matches!(of, Stored::Enum(_) | Stored::Set(_))
}

fn bit_from_highest(bits: &[u8], index: usize) -> bool {
    let at = index / 8 * 8 + 7 - index % 8;
    bit(bits, at)
}
