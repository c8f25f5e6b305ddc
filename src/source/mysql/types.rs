//! The one table of types: what the server calls a column, and what it becomes in Arrow.
//!
//! Whatever way a row comes (a result, and later the change log), its columns have these types and no others.

use super::client::{Column, ColumnFlags, ColumnType};
use arrow_schema::{DataType, Field, TimeUnit};

use super::config::{Policies, ZeroDates};
use crate::record::field;

/// What the cells of a column are. Decides the column's Arrow type, and how each cell is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// TINYINT(1), where the stream wants truth values.
    Boolean,
    /// So many bits.
    Signed(u8),
    Unsigned(u8),
    /// BIT(n): the bits as a number, the last one lowest.
    Bit,
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Text,
    Json,
    Uuid,
    Bytes,
    Year,
    Date,
    DateTime,
    Timestamp,
    /// A date, with `None`, or a date and time with so many digits of its fraction, as text.
    TextDate(Option<u8>),
    Time,
    /// WKB, or EWKB where the value has a reference system.
    Geometry,
    /// Numbers of 32 bits.
    Vector,
}

impl Type {
    pub fn data_type(self) -> DataType {
        match self {
            Type::Boolean => DataType::Boolean,
            Type::Signed(8) => DataType::Int8,
            Type::Signed(16) | Type::Year => DataType::Int16,
            Type::Signed(32) => DataType::Int32,
            Type::Signed(_) => DataType::Int64,
            Type::Unsigned(8) => DataType::UInt8,
            Type::Unsigned(16) => DataType::UInt16,
            Type::Unsigned(32) => DataType::UInt32,
            Type::Unsigned(_) | Type::Bit => DataType::UInt64,
            Type::Float => DataType::Float32,
            Type::Double => DataType::Float64,
            Type::Decimal { precision: precision @ 1..=38, scale } => DataType::Decimal128(precision, scale as i8),
            Type::Decimal { precision, scale } => DataType::Decimal256(precision, scale as i8),
            Type::Text | Type::Json | Type::TextDate(_) => DataType::Utf8,
            Type::Uuid => DataType::FixedSizeBinary(16),
            Type::Bytes | Type::Geometry => DataType::Binary,
            Type::Date => DataType::Date32,
            Type::DateTime => field::TIMESTAMP,
            Type::Timestamp => field::instant(),
            Type::Time => DataType::Duration(TimeUnit::Microsecond),
            Type::Vector => DataType::List(Field::new_list_field(DataType::Float32, true).into()),
        }
    }

    /// The column's field. All may be null: a result of the server may hold a null where a table may not.
    pub fn field(self, name: &str, native: &str) -> Field {
        let plain = match self {
            Type::Json => field::json(name),
            Type::Uuid => field::uuid(name),
            other => field::nullable(name, other.data_type()),
        };
        field::with_native(plain, native)
    }

    /// The type of a column of a result. `known` is what the server's catalog says of the column, where it comes
    /// straight from a table.
    pub fn of_result(column: &Column, known: Option<&Known>, policies: &Policies) -> Option<Self> {
        use ColumnType as C;
        let flags = column.flags();
        let number = |bits| match flags.contains(ColumnFlags::UNSIGNED_FLAG) {
            true => Type::Unsigned(bits),
            false => Type::Signed(bits),
        };
        let dated = |plain, digits| match policies.zero_dates {
            ZeroDates::Text => Type::TextDate(digits),
            _ => plain,
        };
        let digits = Some(column.decimals().min(6));
        Some(match column.column_type() {
            C::MYSQL_TYPE_TINY if policies.tinyint1_is_boolean && is_tinyint1(column) => Type::Boolean,
            C::MYSQL_TYPE_TINY => number(8),
            C::MYSQL_TYPE_SHORT => number(16),
            C::MYSQL_TYPE_INT24 | C::MYSQL_TYPE_LONG => number(32),
            C::MYSQL_TYPE_LONGLONG => number(64),
            C::MYSQL_TYPE_YEAR => Type::Year,
            C::MYSQL_TYPE_BIT => Type::Bit,
            C::MYSQL_TYPE_FLOAT => Type::Float,
            C::MYSQL_TYPE_DOUBLE => Type::Double,
            C::MYSQL_TYPE_DECIMAL | C::MYSQL_TYPE_NEWDECIMAL => decimal(column),
            C::MYSQL_TYPE_DATE | C::MYSQL_TYPE_NEWDATE => dated(Type::Date, None),
            C::MYSQL_TYPE_DATETIME => dated(Type::DateTime, digits),
            C::MYSQL_TYPE_TIMESTAMP => dated(Type::Timestamp, digits),
            C::MYSQL_TYPE_TIME => Type::Time,
            C::MYSQL_TYPE_JSON => Type::Json,
            C::MYSQL_TYPE_GEOMETRY => Type::Geometry,
            C::MYSQL_TYPE_VECTOR => Type::Vector,
            // A bare NULL.
            C::MYSQL_TYPE_NULL => Type::Text,
            C::MYSQL_TYPE_STRING
            | C::MYSQL_TYPE_VAR_STRING
            | C::MYSQL_TYPE_VARCHAR
            | C::MYSQL_TYPE_BLOB
            | C::MYSQL_TYPE_TINY_BLOB
            | C::MYSQL_TYPE_MEDIUM_BLOB
            | C::MYSQL_TYPE_LONG_BLOB
            | C::MYSQL_TYPE_ENUM
            | C::MYSQL_TYPE_SET => string(column, known),
            _ => return None,
        })
    }
}

/// What the catalog knows of a column and a result does not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// `decimal(12,2) unsigned`, as `SHOW CREATE TABLE` writes it.
    pub native: String,
    /// The bare name of the type, in small letters: `uuid`.
    pub data_type: String,
    /// MariaDB: a constraint lets only JSON in.
    pub checked_json: bool,
}

/// The number of the character set `binary`: bytes.
const BINARY: u16 = 63;

fn string(column: &Column, known: Option<&Known>) -> Type {
    let data_type = known.map_or("", |known| known.data_type.as_str());
    match (column.character_set() == BINARY, data_type) {
        (false, "uuid") => Type::Uuid,
        (false, _) if known.is_some_and(|known| known.checked_json) => Type::Json,
        (false, _) => Type::Text,
        // MariaDB sends its vectors as the bytes they are.
        (true, "vector") => Type::Vector,
        (true, _) => Type::Bytes,
    }
}

/// The server reports the width of its text form: digits, a point if there are decimals, a sign unless unsigned.
fn decimal(column: &Column) -> Type {
    let scale = column.decimals().min(38);
    let point = u32::from(scale > 0);
    let sign = u32::from(!column.flags().contains(ColumnFlags::UNSIGNED_FLAG));
    let precision = column.column_length().saturating_sub(point + sign).clamp(u32::from(scale).max(1), 65);
    Type::Decimal { precision: precision as u8, scale }
}

fn is_tinyint1(column: &Column) -> bool {
    column.column_length() == 1 && !column.flags().contains(ColumnFlags::UNSIGNED_FLAG)
}

/// The column's type in the server's words, where no catalog tells them.
pub fn native(column: &Column) -> String {
    use ColumnType as C;
    let flags = column.flags();
    let (binary, length) = (column.character_set() == BINARY, column.column_length());
    let fraction = match column.decimals() {
        0 | 31.. => String::new(),
        digits => format!("({digits})"),
    };
    let name = match column.column_type() {
        C::MYSQL_TYPE_TINY if is_tinyint1(column) => "tinyint(1)".to_owned(),
        C::MYSQL_TYPE_TINY => "tinyint".to_owned(),
        C::MYSQL_TYPE_SHORT => "smallint".to_owned(),
        C::MYSQL_TYPE_INT24 => "mediumint".to_owned(),
        C::MYSQL_TYPE_LONG => "int".to_owned(),
        C::MYSQL_TYPE_LONGLONG => "bigint".to_owned(),
        C::MYSQL_TYPE_YEAR => return "year".to_owned(),
        C::MYSQL_TYPE_BIT => return format!("bit({length})"),
        C::MYSQL_TYPE_FLOAT => "float".to_owned(),
        C::MYSQL_TYPE_DOUBLE => "double".to_owned(),
        C::MYSQL_TYPE_DECIMAL | C::MYSQL_TYPE_NEWDECIMAL => match decimal(column) {
            Type::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
            _ => "decimal".to_owned(),
        },
        C::MYSQL_TYPE_DATE | C::MYSQL_TYPE_NEWDATE => "date".to_owned(),
        C::MYSQL_TYPE_DATETIME => format!("datetime{fraction}"),
        C::MYSQL_TYPE_TIMESTAMP => return format!("timestamp{fraction}"),
        C::MYSQL_TYPE_TIME => format!("time{fraction}"),
        C::MYSQL_TYPE_JSON => "json".to_owned(),
        C::MYSQL_TYPE_GEOMETRY => "geometry".to_owned(),
        C::MYSQL_TYPE_VECTOR => "vector".to_owned(),
        C::MYSQL_TYPE_NULL => return "null".to_owned(),
        _ if flags.contains(ColumnFlags::ENUM_FLAG) => return "enum".to_owned(),
        _ if flags.contains(ColumnFlags::SET_FLAG) => return "set".to_owned(),
        C::MYSQL_TYPE_STRING if binary => return format!("binary({length})"),
        C::MYSQL_TYPE_VAR_STRING | C::MYSQL_TYPE_VARCHAR if binary => return format!("varbinary({length})"),
        // Four bytes are set aside for each character of utf8mb4, in which every text arrives.
        C::MYSQL_TYPE_STRING => return format!("char({})", length / 4),
        C::MYSQL_TYPE_VAR_STRING | C::MYSQL_TYPE_VARCHAR => return format!("varchar({})", length / 4),
        _ if binary => return "blob".to_owned(),
        _ => return "text".to_owned(),
    };
    match flags.contains(ColumnFlags::UNSIGNED_FLAG) {
        true => format!("{name} unsigned"),
        false => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies(zero_dates: ZeroDates) -> Policies {
        Policies { zero_dates, tinyint1_is_boolean: false, bytes_columns: Vec::new() }
    }

    fn type_of(column: &Column) -> Type {
        Type::of_result(column, None, &policies(ZeroDates::Null)).unwrap()
    }

    #[test]
    fn a_decimals_width_tells_its_precision() {
        let column = |length, scale, flags| {
            Column::new(ColumnType::MYSQL_TYPE_NEWDECIMAL)
                .with_column_length(length)
                .with_decimals(scale)
                .with_flags(flags)
        };
        for (length, scale, flags, precision) in [
            (67, 30, ColumnFlags::empty(), 65),
            (10, 0, ColumnFlags::UNSIGNED_FLAG, 10),
            (14, 2, ColumnFlags::empty(), 12),
            (40, 0, ColumnFlags::empty(), 39),
            (1, 1, ColumnFlags::UNSIGNED_FLAG, 1),
        ] {
            assert_eq!(type_of(&column(length, scale, flags)), Type::Decimal { precision, scale });
        }
        assert_eq!(type_of(&column(39, 0, ColumnFlags::empty())).data_type(), DataType::Decimal128(38, 0));
        assert_eq!(type_of(&column(40, 0, ColumnFlags::empty())).data_type(), DataType::Decimal256(39, 0));
    }

    #[test]
    fn the_character_set_tells_text_from_bytes() {
        let column = |kind, set| Column::new(kind).with_character_set(set).with_column_length(16);
        assert_eq!(type_of(&column(ColumnType::MYSQL_TYPE_STRING, 255)), Type::Text);
        assert_eq!(type_of(&column(ColumnType::MYSQL_TYPE_BLOB, 45)), Type::Text);
        assert_eq!(type_of(&column(ColumnType::MYSQL_TYPE_BLOB, BINARY)), Type::Bytes);
    }

    #[test]
    fn the_catalog_tells_json_and_uuid_of_mariadb() {
        let text = Column::new(ColumnType::MYSQL_TYPE_BLOB).with_character_set(45);
        let json = Known { checked_json: true, data_type: "longtext".to_owned(), ..Known::default() };
        assert_eq!(Type::of_result(&text, Some(&json), &policies(ZeroDates::Null)), Some(Type::Json));
        let text = Column::new(ColumnType::MYSQL_TYPE_STRING).with_character_set(45);
        let uuid = Known { data_type: "uuid".to_owned(), ..Known::default() };
        assert_eq!(Type::of_result(&text, Some(&uuid), &policies(ZeroDates::Null)), Some(Type::Uuid));
    }

    #[test]
    fn policies_decide_dates_and_truth_values() {
        let date = Column::new(ColumnType::MYSQL_TYPE_DATETIME).with_decimals(3);
        assert_eq!(type_of(&date), Type::DateTime);
        assert_eq!(Type::of_result(&date, None, &policies(ZeroDates::Text)), Some(Type::TextDate(Some(3))));
        let boolean = Policies { tinyint1_is_boolean: true, ..policies(ZeroDates::Null) };
        let tiny = Column::new(ColumnType::MYSQL_TYPE_TINY).with_column_length(1);
        assert_eq!(type_of(&tiny), Type::Signed(8));
        assert_eq!(Type::of_result(&tiny, None, &boolean), Some(Type::Boolean));
        assert_eq!(Type::of_result(&tiny.with_column_length(4), None, &boolean), Some(Type::Signed(8)));
    }
}
