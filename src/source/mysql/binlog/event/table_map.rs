//! What the log says of a table before it tells its changes.

use super::super::bytes::{Bytes, Torn, bit};
use super::format::Format;
use super::metadata::Metadata;
use crate::source::mysql::client::ColumnType;

/// A table's number and name; the rest is read only where it is needed, since servers repeat it for every statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableMapEvent<'a> {
    /// By which the rows that follow name it; another one after a DDL or a restart.
    pub table: u64,
    /// In UTF-8, as the name of the table.
    pub database: &'a [u8],
    pub name: &'a [u8],
    /// All of it behind the number: the same bytes say the same of the table.
    pub body: &'a [u8],
    pub is_mariadb: bool,
}

impl<'a> TableMapEvent<'a> {
    pub fn of(body: &'a [u8], format: &Format) -> Result<Self, Torn> {
        let mut bytes = Bytes(body);
        let table = bytes.number(format.table_id_bytes)?;
        let body = bytes.0;
        bytes.u16()?;
        Ok(Self { table, database: bytes.name()?, name: bytes.name()?, body, is_mariadb: format.is_mariadb() })
    }

    pub fn read(&self) -> Result<TableMap, Torn> {
        let mut bytes = Bytes(self.body);
        bytes.u16()?;
        let database = String::from_utf8_lossy(bytes.name()?).into_owned();
        let name = String::from_utf8_lossy(bytes.name()?).into_owned();
        let count = usize::try_from(bytes.length()?).map_err(|_| Torn)?;
        let kinds = bytes.take(count)?;
        let mut details = Bytes(bytes.counted()?);
        let nullable = bytes.take(count.div_ceil(8))?;
        let mut columns = Vec::with_capacity(count);
        for (index, kind) in kinds.iter().enumerate() {
            let of = Stored::of(*kind, &mut details)?;
            columns.push(LogColumn { of, is_nullable: bit(nullable, index) });
        }
        if !details.is_empty() {
            return Err(Torn);
        }
        let metadata = Metadata::of(Bytes(bytes.rest()), &columns, self.is_mariadb)?;
        Ok(TableMap { database, name, columns, metadata })
    }
}

/// How the log holds the columns of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMap {
    pub database: String,
    pub name: String,
    pub columns: Vec<LogColumn>,
    pub metadata: Metadata,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogColumn {
    pub of: Stored,
    pub is_nullable: bool,
}

/// A column's type in the log, with what of it stands in the log always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// So many bytes.
    Integer(u8),
    Float,
    Double,
    Year,
    Decimal {
        precision: u8,
        scale: u8,
    },
    /// So many bits.
    Bit(u16),
    /// So many bytes for the label's number.
    Enum(u8),
    /// So many bytes of a bit for each label.
    Set(u8),
    /// CHAR and BINARY, of at most so many bytes; without the blanks or zeros at the end.
    Char(u16),
    Varchar(u16),
    /// So many bytes of length before it.
    Blob(u8),
    Json(u8),
    Geometry(u8),
    Vector(u8),
    /// MariaDB: compressed, behind a length for so long a text.
    CompressedVarchar(u16),
    CompressedBlob(u8),
    Date,
    /// Of so many digits of the second's fraction.
    Time(u8),
    DateTime(u8),
    Timestamp(u8),
    OldTime,
    OldDateTime,
    OldTimestamp,
}

/// MariaDB's types for compressed columns.
const BLOB_COMPRESSED: u8 = 140;
const VARCHAR_COMPRESSED: u8 = 141;

impl Stored {
    fn of(kind: u8, details: &mut Bytes<'_>) -> Result<Self, Torn> {
        use ColumnType as C;
        match kind {
            BLOB_COMPRESSED => return Ok(Stored::CompressedBlob(length_bytes(details)?)),
            VARCHAR_COMPRESSED => return Ok(Stored::CompressedVarchar(details.u16()?)),
            _ => {}
        }
        Ok(match C::try_from(kind).map_err(|_| Torn)? {
            C::MYSQL_TYPE_TINY => Stored::Integer(1),
            C::MYSQL_TYPE_SHORT => Stored::Integer(2),
            C::MYSQL_TYPE_INT24 => Stored::Integer(3),
            C::MYSQL_TYPE_LONG => Stored::Integer(4),
            C::MYSQL_TYPE_LONGLONG => Stored::Integer(8),
            C::MYSQL_TYPE_YEAR => Stored::Year,
            C::MYSQL_TYPE_FLOAT if details.u8()? == 4 => Stored::Float,
            C::MYSQL_TYPE_DOUBLE if details.u8()? == 8 => Stored::Double,
            C::MYSQL_TYPE_NEWDECIMAL => decimal(details)?,
            C::MYSQL_TYPE_BIT => {
                let [bits, bytes] = details.array()?;
                Stored::Bit(u16::from(bytes) * 8 + u16::from(bits))
            }
            C::MYSQL_TYPE_STRING => string(details)?,
            C::MYSQL_TYPE_ENUM => Stored::Enum(second(details)?),
            C::MYSQL_TYPE_SET => Stored::Set(second(details)?),
            C::MYSQL_TYPE_VARCHAR | C::MYSQL_TYPE_VAR_STRING => Stored::Varchar(details.u16()?),
            C::MYSQL_TYPE_BLOB | C::MYSQL_TYPE_TINY_BLOB | C::MYSQL_TYPE_MEDIUM_BLOB | C::MYSQL_TYPE_LONG_BLOB => {
                Stored::Blob(length_bytes(details)?)
            }
            C::MYSQL_TYPE_JSON => Stored::Json(length_bytes(details)?),
            C::MYSQL_TYPE_GEOMETRY => Stored::Geometry(length_bytes(details)?),
            C::MYSQL_TYPE_VECTOR => Stored::Vector(length_bytes(details)?),
            C::MYSQL_TYPE_DATE | C::MYSQL_TYPE_NEWDATE => Stored::Date,
            C::MYSQL_TYPE_TIME2 => Stored::Time(fraction(details)?),
            C::MYSQL_TYPE_DATETIME2 => Stored::DateTime(fraction(details)?),
            C::MYSQL_TYPE_TIMESTAMP2 => Stored::Timestamp(fraction(details)?),
            C::MYSQL_TYPE_TIME => Stored::OldTime,
            C::MYSQL_TYPE_DATETIME => Stored::OldDateTime,
            C::MYSQL_TYPE_TIMESTAMP => Stored::OldTimestamp,
            _ => return Err(Torn),
        })
    }
}

fn length_bytes(details: &mut Bytes<'_>) -> Result<u8, Torn> {
    details.u8().and_then(|bytes| if (1..=4).contains(&bytes) { Ok(bytes) } else { Err(Torn) })
}

fn fraction(details: &mut Bytes<'_>) -> Result<u8, Torn> {
    details.u8().and_then(|digits| if digits <= 6 { Ok(digits) } else { Err(Torn) })
}

fn decimal(details: &mut Bytes<'_>) -> Result<Stored, Torn> {
    match details.array()? {
        [precision @ 1..=65, scale] if scale <= precision => Ok(Stored::Decimal { precision, scale }),
        _ => Err(Torn),
    }
}

fn second(details: &mut Bytes<'_>) -> Result<u8, Torn> {
    match details.array()? {
        [_, bytes @ 1..=8] => Ok(bytes),
        _ => Err(Torn),
    }
}

/// CHAR, BINARY, ENUM and SET share a type. The first byte tells which, and, upside down, two bits of a length that does not
/// fit into the second.
fn string(details: &mut Bytes<'_>) -> Result<Stored, Torn> {
    const HIGH: u8 = 0x30;
    let [kind, low] = details.array()?;
    let length = u16::from(low) | u16::from(kind & HIGH ^ HIGH) << 4;
    match ColumnType::try_from(kind | HIGH).map_err(|_| Torn)? {
        ColumnType::MYSQL_TYPE_ENUM if (1..=2).contains(&low) => Ok(Stored::Enum(low)),
        ColumnType::MYSQL_TYPE_SET if (1..=8).contains(&low) => Ok(Stored::Set(low)),
        ColumnType::MYSQL_TYPE_STRING => Ok(Stored::Char(length)),
        _ => Err(Torn),
    }
}
