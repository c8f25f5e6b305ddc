//! What columns of several tables of the same documents would be in one table. Of types alone: what the values were is not
//! known any more.

use std::collections::BTreeSet;

/// The types that a column may have where all documents are read as one table, if tables of some of them each have it as one of
/// these. Types are as [`Table::definition`](crate::record::Table::definition) has them, the meaning in parentheses behind:
/// `Utf8 (json)`.
///
/// They are several where the types do not tell: longs and doubles are doubles, or texts where a double does not hold each of
/// the longs. Of one type that is this type; subtypes of bytes, which are texts together, are not told apart.
pub fn together<'t>(types: impl IntoIterator<Item = &'t str>) -> BTreeSet<String> {
    let mut all: Option<BTreeSet<String>> = None;
    for of in types {
        all = Some(match all {
            None => [of.to_owned()].into(),
            Some(all) => all.iter().flat_map(|known| joined(known, of)).collect(),
        });
    }
    all.unwrap_or_default()
}

const TEXT: &str = "Utf8";
const JSON: &str = "Utf8 (json)";
const INT: &str = "Int32";
const LONG: &str = "Int64";
const DOUBLE: &str = "Float64";
const RECORD: &str = "Struct";
const LIST: &str = "List";

/// As the table of `shape.rs` has it, but that a record or a list may be JSON for having been empty.
fn joined(one: &str, other: &str) -> Vec<String> {
    let owned = |types: &[&str]| types.iter().map(|of| (*of).to_owned()).collect();
    let is_integer = |of: &str| of == INT || of == LONG;
    let is_nested = |of: &str| of == RECORD || of == LIST;
    match (one, other) {
        _ if one == other => owned(&[one]),
        (of, JSON) | (JSON, of) if is_nested(of) => owned(&[of, JSON]),
        _ if is_nested(one) && is_nested(other) => owned(&[JSON]),
        _ if is_integer(one) && is_integer(other) => owned(&[LONG]),
        (INT, DOUBLE) | (DOUBLE, INT) => owned(&[DOUBLE]),
        (LONG, DOUBLE) | (DOUBLE, LONG) => owned(&[DOUBLE, TEXT]),
        _ => match (scale(one), scale(other)) {
            (Some(a), Some(b)) => owned(&[if a > b { one } else { other }, TEXT]),
            (Some(_), None) if is_integer(other) => owned(&[one, TEXT]),
            (None, Some(_)) if is_integer(one) => owned(&[other, TEXT]),
            _ => owned(&[TEXT]),
        },
    }
}

/// The digits behind the point of a decimal.
fn scale(of: &str) -> Option<i8> {
    let (_, scale) = of.strip_prefix("Decimal128(")?.strip_suffix(')')?.split_once(',')?;
    scale.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::bson::{Elements, Value};
    use super::super::schema;
    use super::super::shape::{Field, Room};
    use super::super::write::{self, Dialect};
    use super::*;
    use crate::record::Table;

    fn of(field: &Field) -> Option<String> {
        let column = schema::of("a", field)?;
        let metadata = [(crate::record::field::FOUND.to_owned(), String::new())];
        let schema = arrow_schema::Schema::new(vec![column]).with_metadata(metadata);
        let (_, definition) = Table::new("t", schema.into(), Vec::new()).definition();
        let column = &definition["columns"][0];
        let of = column["type"].as_str().unwrap();
        Some(column["meaning"].as_str().map_or(of.to_owned(), |meaning| format!("{of} ({meaning})")))
    }

    fn meet(field: &mut Field, value: &Value<'_>) {
        field.meet(value, 0, &mut Room { columns: 100, fields: 100 }).unwrap();
    }

    fn value(document: &[u8]) -> Value<'_> {
        Elements::of(document).unwrap().advance().unwrap().unwrap().1
    }

    /// Documents of one field.
    fn values() -> Vec<Vec<u8>> {
        use serde_json::json;
        let decimal = |text: &str| json!({ "$numberDecimal": text });
        let values = [
            json!(null),
            json!({ "$numberInt": "7" }),
            json!({ "$numberLong": "7" }),
            json!({ "$numberLong": "9007199254740993" }),
            json!({ "$numberDouble": "0.5" }),
            decimal("1.25"),
            decimal("100000000000000000000000000000000.5"),
            decimal("0.0000125"),
            json!("text"),
            json!(true),
            json!({ "$oid": "0123456789abcdef01234567" }),
            json!({ "$date": { "$numberLong": "0" } }),
            json!({ "$binary": { "base64": "AAECAw==", "subType": "00" } }),
            json!({}),
            json!({ "x": { "$numberInt": "7" } }),
            json!([]),
            json!([{ "$numberInt": "7" }]),
            json!(["text"]),
        ];
        values
            .iter()
            .map(|value| write::document(&json!({ "a": value }).to_string(), Dialect::Extended).unwrap())
            .collect()
    }

    /// However documents are parted, what is told of the parts' types has the type of all.
    #[test]
    fn parts_and_all_agree() {
        let documents = values();
        let count = documents.len();
        for (a, b, c) in (0..count * count * count).map(|at| (at % count, at / count % count, at / count / count)) {
            let chosen = [a, b, c].map(|at| value(&documents[at]));
            let mut all = Field::default();
            let parts = [[0, 1].as_slice(), &[2]].map(|part| {
                let mut field = Field::default();
                part.iter().for_each(|at| meet(&mut field, &chosen[*at]));
                field
            });
            chosen.iter().for_each(|value| meet(&mut all, value));
            let types: Vec<_> = parts.iter().filter_map(of).collect();
            let told = together(types.iter().map(String::as_str));
            match of(&all) {
                Some(all) => assert!(told.contains(&all), "{types:?} are {told:?}, and all is {all}"),
                None => assert!(told.is_empty()),
            }
        }
    }
}
