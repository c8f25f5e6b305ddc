//! Declared types and what they become. The table of docs/sources/sqlite.md is this file in words.

use arrow_schema::{DataType, Field, TimeUnit};

use crate::record::field;

/// What a column holds, and so how its values are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Integer,
    Boolean,
    Real,
    /// Precision and scale.
    Decimal(u8, i8),
    /// Text, and numbers in their shortest exact form.
    Text,
    /// As text, and bytes as `X'0AFF'`: never a misfit.
    Anything,
    Bytes,
    Date,
    /// A date and time without zone.
    Wall,
    /// A date and time with its zone, as UTC.
    Instant,
    Time,
    Json,
    Uuid,
}

/// What a user should know of a column's type before the first run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// An expression, or a column declared without a type.
    Untyped,
    /// Declared with a type that says nothing to us.
    Unknown,
    /// DECIMAL or NUMERIC without precision, or with more digits than Arrow's decimals hold.
    NoPrecision,
}

/// Types by name; parameters and the words UNSIGNED, SIGNED and ZEROFILL have been taken away.
const TYPES: &[(&str, Shape)] = &[
    ("integer", Shape::Integer),
    ("int", Shape::Integer),
    ("tinyint", Shape::Integer),
    ("smallint", Shape::Integer),
    ("mediumint", Shape::Integer),
    ("bigint", Shape::Integer),
    ("big int", Shape::Integer),
    ("int2", Shape::Integer),
    ("int4", Shape::Integer),
    ("int8", Shape::Integer),
    ("boolean", Shape::Boolean),
    ("bool", Shape::Boolean),
    ("real", Shape::Real),
    ("double", Shape::Real),
    ("double precision", Shape::Real),
    ("float", Shape::Real),
    ("float4", Shape::Real),
    ("float8", Shape::Real),
    ("text", Shape::Text),
    ("tinytext", Shape::Text),
    ("mediumtext", Shape::Text),
    ("longtext", Shape::Text),
    ("char", Shape::Text),
    ("character", Shape::Text),
    ("varchar", Shape::Text),
    ("varchar2", Shape::Text),
    ("varying character", Shape::Text),
    ("character varying", Shape::Text),
    ("nchar", Shape::Text),
    ("native character", Shape::Text),
    ("nvarchar", Shape::Text),
    ("clob", Shape::Text),
    ("string", Shape::Text),
    ("blob", Shape::Bytes),
    ("tinyblob", Shape::Bytes),
    ("mediumblob", Shape::Bytes),
    ("longblob", Shape::Bytes),
    ("binary", Shape::Bytes),
    ("varbinary", Shape::Bytes),
    ("bytea", Shape::Bytes),
    // GeoPackage and SpatiaLite keep shapes as bytes, under names of which one even contains INT.
    ("geometry", Shape::Bytes),
    ("geometrycollection", Shape::Bytes),
    ("geomcollection", Shape::Bytes),
    ("point", Shape::Bytes),
    ("linestring", Shape::Bytes),
    ("polygon", Shape::Bytes),
    ("multipoint", Shape::Bytes),
    ("multilinestring", Shape::Bytes),
    ("multipolygon", Shape::Bytes),
    ("date", Shape::Date),
    ("datetime", Shape::Wall),
    ("datetime2", Shape::Wall),
    ("smalldatetime", Shape::Wall),
    ("timestamp", Shape::Wall),
    ("timestamp without time zone", Shape::Wall),
    ("timestamptz", Shape::Instant),
    ("timestamp with time zone", Shape::Instant),
    ("datetimeoffset", Shape::Instant),
    ("time", Shape::Time),
    ("time without time zone", Shape::Time),
    ("json", Shape::Json),
    ("jsonb", Shape::Json),
    ("uuid", Shape::Uuid),
    ("guid", Shape::Uuid),
    ("uniqueidentifier", Shape::Uuid),
];

const DECIMALS: [&str; 5] = ["decimal", "numeric", "dec", "number", "num"];

/// The names that `column_types` takes.
pub fn names() -> impl Iterator<Item = &'static str> {
    TYPES.iter().map(|(name, _)| *name).chain(DECIMALS)
}

/// The shape that a type's name alone tells; `None` where we do not know the name.
pub fn named(declared: &str) -> Option<Shape> {
    let (name, arguments) = split(declared);
    if DECIMALS.contains(&name.as_str()) {
        return Some(decimal(&arguments).unwrap_or(Shape::Text));
    }
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, shape)| *shape)
}

/// The shape of a column by its declared type, and what is doubtful about it. `utc` makes every date and time an
/// instant.
pub fn declared(declared: Option<&str>, utc: bool) -> (Shape, Option<Doubt>) {
    let Some(text) = declared.filter(|text| !text.trim().is_empty()) else {
        return (Shape::Text, Some(Doubt::Untyped));
    };
    match named(text) {
        Some(Shape::Wall) if utc => (Shape::Instant, None),
        Some(Shape::Text) if DECIMALS.contains(&split(text).0.as_str()) => (Shape::Text, Some(Doubt::NoPrecision)),
        Some(shape) => (shape, None),
        None => by_affinity(text),
    }
}

/// As SQLite itself takes a declared type that no list has: by what the name contains. Only for INT are whole words
/// asked for, since INTERVAL and POINT have it too.
fn by_affinity(text: &str) -> (Shape, Option<Doubt>) {
    let text = text.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    if has(&["char", "clob", "text"]) {
        (Shape::Text, None)
    } else if has(&["blob"]) {
        (Shape::Bytes, None)
    } else if has(&["real", "floa", "doub"]) {
        (Shape::Real, None)
    } else if words.any(|word| matches!(word, "int" | "integer" | "bigint" | "tinyint" | "smallint")) {
        (Shape::Integer, None)
    } else {
        (Shape::Text, Some(Doubt::Unknown))
    }
}

/// The name in lower case without parameters, and the parameters.
fn split(declared: &str) -> (String, String) {
    let (before, rest) = declared.split_once('(').unwrap_or((declared, ""));
    let (arguments, after) = rest.split_once(')').unwrap_or((rest, ""));
    let words = before.split_whitespace().chain(after.split_whitespace()).map(str::to_ascii_lowercase);
    let words: Vec<_> = words.filter(|word| !matches!(word.as_str(), "unsigned" | "signed" | "zerofill")).collect();
    (words.join(" "), arguments.to_owned())
}

/// `12,2` or `12`.
fn decimal(arguments: &str) -> Option<Shape> {
    let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
    let (precision, scale) = (precision.trim().parse::<u8>().ok()?, scale.trim().parse::<i8>().ok()?);
    let fits = u8::try_from(scale).is_ok_and(|scale| scale <= precision) && (1..=76).contains(&precision);
    fits.then_some(Shape::Decimal(precision, scale))
}

/// The Arrow field of a column.
pub fn to_field(name: &str, native: Option<&str>, shape: Shape) -> Field {
    let plain = |data_type| field::nullable(name, data_type);
    let arrow = match shape {
        Shape::Integer => plain(DataType::Int64),
        Shape::Boolean => plain(DataType::Boolean),
        Shape::Real => plain(DataType::Float64),
        Shape::Decimal(precision @ 1..=38, scale) => plain(DataType::Decimal128(precision, scale)),
        Shape::Decimal(precision, scale) => plain(DataType::Decimal256(precision, scale)),
        Shape::Text | Shape::Anything => plain(DataType::Utf8),
        Shape::Bytes => plain(DataType::Binary),
        Shape::Date => plain(DataType::Date32),
        Shape::Wall => plain(field::TIMESTAMP),
        Shape::Instant => plain(field::instant()),
        Shape::Time => plain(DataType::Time64(TimeUnit::Microsecond)),
        Shape::Json => field::json(name),
        Shape::Uuid => field::uuid(name),
    };
    field::with_native(arrow, native.unwrap_or("no declared type"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Shape {
        declared(Some(text), false).0
    }

    #[test]
    fn parameters_case_and_signs_do_not_matter() {
        assert_eq!(shape("UNSIGNED BIG INT"), Shape::Integer);
        assert_eq!(shape("int(11) unsigned zerofill"), Shape::Integer);
        assert_eq!(shape("VarChar (20)"), Shape::Text);
        assert_eq!(shape("timestamp(6) with  time zone"), Shape::Instant);
        assert_eq!(shape("DECIMAL( 40 , 10 )"), Shape::Decimal(40, 10));
        assert_eq!(shape("numeric(9)"), Shape::Decimal(9, 0));
    }

    #[test]
    fn a_decimal_without_usable_precision_is_text() {
        for text in ["NUMERIC", "decimal(80,2)", "decimal(5,-2)", "decimal(2,3)", "number()", "decimal(x)"] {
            assert_eq!(declared(Some(text), false), (Shape::Text, Some(Doubt::NoPrecision)), "{text}");
        }
    }

    #[test]
    fn names_that_no_list_has_go_by_affinity_but_not_by_a_chance_int() {
        assert_eq!(shape("FLOATING"), Shape::Real);
        assert_eq!(shape("my_text_type"), Shape::Text);
        assert_eq!(shape("LONG INT"), Shape::Integer);
        assert_eq!(declared(Some("INTERVAL"), false), (Shape::Text, Some(Doubt::Unknown)));
        assert_eq!(declared(Some("MONEY"), false), (Shape::Text, Some(Doubt::Unknown)));
        assert_eq!(shape("POINT"), Shape::Bytes);
        assert_eq!(declared(None, false), (Shape::Text, Some(Doubt::Untyped)));
    }

    #[test]
    fn timestamps_are_instants_where_the_configuration_says_so() {
        assert_eq!(declared(Some("DATETIME"), true).0, Shape::Instant);
        assert_eq!(declared(Some("DATE"), true).0, Shape::Date);
    }
}
