//! A column's type by the server's own words for it, where no result of a query tells it: the same that one would.

use super::config::{Policies, ZeroDates};
use super::types::Type;

/// The type of `decimal(12,2) unsigned`, of texts in this character set, where MariaDB lets only JSON in.
pub fn type_of(native: &str, character_set: Option<&str>, is_json: bool, policies: &Policies) -> Option<Type> {
    let is_unsigned = native.contains("unsigned") || native.contains("zerofill");
    let number = |bits| if is_unsigned { Type::Unsigned(bits) } else { Type::Signed(bits) };
    let dated = |plain, digits| if policies.zero_dates == ZeroDates::Text { Type::TextDate(digits) } else { plain };
    let digits = Some(argument(native, 0).unwrap_or(0).min(6));
    Some(match base(native) {
        "tinyint" if policies.tinyint1_is_boolean && argument(native, 0) == Some(1) && !is_unsigned => Type::Boolean,
        "tinyint" => number(8),
        "smallint" => number(16),
        "mediumint" | "int" | "integer" => number(32),
        "bigint" => number(64),
        "year" => Type::Year,
        "bit" => Type::Bit,
        "float" => Type::Float,
        "double" => Type::Double,
        "decimal" => Type::Decimal { precision: argument(native, 0)?, scale: argument(native, 1).unwrap_or(0) },
        "date" => dated(Type::Date, None),
        "datetime" => dated(Type::DateTime, digits),
        "timestamp" => dated(Type::Timestamp, digits),
        "time" => Type::Time,
        "json" => Type::Json,
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
        | "geometrycollection" | "geomcollection" => Type::Geometry,
        "vector" => Type::Vector,
        "uuid" => Type::Uuid,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Type::Bytes,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" | "inet4" | "inet6"
        | "xmltype" => match (character_set, is_json) {
            (Some("binary"), _) => Type::Bytes,
            (_, true) => Type::Json,
            _ => Type::Text,
        },
        _ => return None,
    })
}

/// The bare name of the type, in small letters.
pub fn base(native: &str) -> &str {
    native.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default()
}

/// The number at this place in a type's parentheses.
fn argument(native: &str, at: usize) -> Option<u8> {
    let (_, rest) = native.split_once('(')?;
    let (inside, _) = rest.split_once(')')?;
    inside.split(',').nth(at)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_catalog_are_types() {
        let policies = |zero_dates| Policies { zero_dates, tinyint1_is_boolean: true, bytes_columns: Vec::new() };
        let plain = |native| type_of(native, None, false, &policies(ZeroDates::Null));
        assert_eq!(plain("int(10) unsigned zerofill"), Some(Type::Unsigned(32)));
        assert_eq!(plain("tinyint(1)"), Some(Type::Boolean));
        assert_eq!(plain("tinyint(1) unsigned"), Some(Type::Unsigned(8)));
        assert_eq!(plain("decimal(12,2) unsigned"), Some(Type::Decimal { precision: 12, scale: 2 }));
        assert_eq!(plain("enum('unsigned')"), Some(Type::Text));
        assert_eq!(type_of("enum('a')", Some("binary"), false, &policies(ZeroDates::Null)), Some(Type::Bytes));
        assert_eq!(type_of("longtext", Some("utf8mb4"), true, &policies(ZeroDates::Null)), Some(Type::Json));
        let text = |native| type_of(native, None, false, &policies(ZeroDates::Text));
        assert_eq!(text("datetime(3)"), Some(Type::TextDate(Some(3))));
        assert_eq!(text("date"), Some(Type::TextDate(None)));
        assert_eq!(plain("something"), None);
    }
}
