//! How a table's columns differ from those of the full load before. Of columns and types: no cell is looked at.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::destination::Destination;
use crate::error::Result;
use crate::record::{Commit, Publication, StreamId};

/// The definitions of a generation's tables, by table: as the newest entry with parts has them, of its first chunk that has
/// one. All of a generation is of one definition.
pub async fn definitions(
    destination: &dyn Destination,
    stream: &StreamId,
    publication: &Publication,
) -> Result<BTreeMap<String, Value>> {
    for (chunk, last) in &publication.chunks {
        let id = stream.chunk(&publication.generation, chunk);
        // Most often the last entry, or the one before it.
        for seq in (0..=*last).rev() {
            let entry = destination.range(&id, seq, seq).await?;
            let found: BTreeMap<_, _> = entry.iter().flat_map(of_parts).collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }
    Ok(BTreeMap::new())
}

/// The definitions of the tables that have a part in an entry.
pub fn of_parts(commit: &Commit) -> impl Iterator<Item = (String, Value)> {
    commit.parts.iter().filter_map(|part| Some((part.table.clone(), commit.schemas.get(&part.schema)?.clone())))
}

/// What changed from one definition to the other, in words; `None` where nothing did.
pub fn changes(old: &Value, new: &Value) -> Option<String> {
    let (before, after) = (columns(old), columns(new));
    let find = |columns: &[(String, String)], name: &str| {
        columns.iter().find(|(column, _)| column == name).map(|(_, of)| of.clone())
    };
    let mut changes = Vec::new();
    for (name, of) in &after {
        match find(&before, name) {
            None => changes.push(format!("{name} came ({of})")),
            Some(was) if was != *of => changes.push(format!("{name} was {was}, is {of}")),
            Some(_) => {}
        }
    }
    for (name, was) in before.iter().filter(|(name, _)| find(&after, name).is_none()) {
        changes.push(format!("{name} went ({was})"));
    }
    let kept = |of: &[(String, String)], other: &[(String, String)]| {
        of.iter().map(|(name, _)| name.clone()).filter(|name| find(other, name).is_some()).collect::<Vec<_>>()
    };
    if kept(&before, &after) != kept(&after, &before) {
        changes.push("the columns are in another order".to_owned());
    }
    let (was, is) = (key(old), key(new));
    if was != is {
        changes.push(format!("the key was ({was}), is ({is})"));
    }
    (!changes.is_empty()).then(|| changes.join("; "))
}

/// The columns in their order, each with its type as people read it: `Decimal128(10, 2), decimal(10,2) at the source`.
fn columns(definition: &Value) -> Vec<(String, String)> {
    let columns = definition["columns"].as_array().map(Vec::as_slice).unwrap_or_default();
    columns.iter().map(|column| (text(&column["name"]).to_owned(), type_of(column))).collect()
}

fn type_of(column: &Value) -> String {
    let mut of = text(&column["type"]).to_owned();
    if let Some(meaning) = column["meaning"].as_str() {
        of.push_str(&format!(" ({meaning})"));
    }
    if column["nullable"] == false {
        of.push_str(" not null");
    }
    if let Some(native) = column["native"].as_str() {
        of.push_str(&format!(", {native} at the source"));
    }
    of
}

fn key(definition: &Value) -> String {
    let key = definition["key"].as_array().map(Vec::as_slice).unwrap_or_default();
    key.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(columns: &[(&str, &str)], key: &[&str]) -> Value {
        let column = |(name, of): &(&str, &str)| json!({ "name": name, "type": of, "nullable": true, "native": "n" });
        json!({ "columns": columns.iter().map(column).collect::<Vec<_>>(), "key": key })
    }

    #[test]
    fn each_change_has_words() {
        let old = definition(&[("id", "Int64"), ("a", "Utf8"), ("b", "Utf8")], &["id"]);
        assert_eq!(changes(&old, &old), None);
        for (new, wanted) in [
            (
                definition(&[("id", "Int64"), ("a", "Int32"), ("b", "Utf8")], &["id"]),
                "a was Utf8, n at the source, is Int32, n at the source",
            ),
            (
                definition(&[("c", "Utf8"), ("id", "Int64"), ("b", "Utf8")], &["id"]),
                "c came (Utf8, n at the source); a went (Utf8, n at the source)",
            ),
            (
                definition(&[("id", "Int64"), ("b", "Utf8"), ("a", "Utf8")], &["id", "a"]),
                "the columns are in another order; the key was (id), is (id, a)",
            ),
        ] {
            assert_eq!(changes(&old, &new).as_deref(), Some(wanted));
        }
        let strict = json!({ "columns": [{ "name": "id", "type": "Utf8", "nullable": false, "meaning": "json" }] });
        let wanted = "id was Utf8 (json) not null, is Utf8";
        let loose = json!({ "columns": [{ "name": "id", "type": "Utf8", "nullable": true }] });
        assert_eq!(changes(&strict, &loose).as_deref(), Some(wanted));
    }
}
