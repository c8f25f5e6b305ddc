//! What becomes of documents, by the keys of a stream.

use std::collections::BTreeSet;

use super::config;
use super::id::ID;
use crate::config::Section;
use crate::error::Result;
use crate::source::Selection;
use crate::source::documents::declared::Type;
use crate::source::documents::write::{self, Dialect};
use crate::source::documents::{Declared, InvalidText, OnMisfit, Schema, Settings};
use crate::source::masking;

/// The paths that the stream reads, in its order; all there are where `None`.
pub fn fields(selection: &Selection) -> Option<Vec<String>> {
    let columns = selection.columns.as_ref()?;
    Some(columns.iter().filter(|path| selection.takes_column(path)).cloned().collect())
}

/// What becomes of a stream's documents.
pub fn settings(selection: &Selection) -> Result<Settings> {
    let section = &selection.section;
    let fields = fields(selection);
    let key = match selection.primary_key.as_slice() {
        [] => ID,
        [one] => one.as_str(),
        _ => {
            return Err(section
                .error("primary_key", "names several fields: documents are told apart by one")
                .hint("Leave it out for `_id`."));
        }
    };
    let mut named = tops(fields.iter().flatten().map(String::as_str));
    let has_key = match &fields {
        Some(_) => named.iter().any(|name| name == key),
        None => selection.takes_column(key),
    };
    // A collection without documents is a table all the same.
    if fields.is_none() && has_key {
        named.push(key.to_owned());
    }
    let schema = schema(section)?;
    let has_key = match &schema {
        Schema::Declared(declared) => has_key && declared.columns.iter().any(|(name, _)| name == key),
        _ => has_key,
    };
    Ok(Settings {
        key: has_key.then(|| key.to_owned()),
        defaults: defaults(section)?,
        schema,
        invalid_text: match section.text("invalid_text")? {
            "replace" => InvalidText::Replace,
            _ => InvalidText::Fail,
        },
        named,
        most_columns: usize::try_from(section.integer("most_columns")?).unwrap_or(usize::MAX),
    })
}

/// The fields at a document's top that paths lead into.
fn tops<'a>(paths: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let top = |path: &'a str| path.split_once('.').map_or(path, |(top, _)| top);
    paths.into_iter().map(top).filter(|top| seen.insert(*top)).map(str::to_owned).collect()
}

fn schema(section: &Section) -> Result<Schema> {
    let declared: Vec<_> = section.members("column.").collect();
    match section.text("schema")? {
        "declared" if declared.is_empty() => Err(section
            .error("schema", "is `declared`, and no column is")
            .hint("Declare each with its type: `column.price = decimal(10,2)`.")),
        "declared" => {
            let column = |(name, text): &(&str, &str)| {
                if let Some((top, _)) = name.split_once('.') {
                    return Err(section
                        .error(&format!("column.{name}"), "is of a field within another: columns are fields at the top")
                        .hint(format!("`column.{top} = json` has all of it as JSON.")));
                }
                let of = Type::parse(text).map_err(|problem| section.error(&format!("column.{name}"), problem))?;
                Ok(((*name).to_owned(), of))
            };
            Ok(Schema::Declared(Declared {
                columns: declared.iter().map(column).collect::<Result<_>>()?,
                on_misfit: match section.text("on_misfit")? {
                    "quarantine" => {
                        masking::refuse_beside(section, "on_misfit", "the quarantine has whole documents")?;
                        OnMisfit::Quarantine
                    }
                    _ => OnMisfit::Fail,
                },
                rest: section.flag("rest")?,
            }))
        }
        other => {
            if let Some((name, _)) = declared.first() {
                return Err(section.error(&format!("column.{name}"), "is for `schema = declared`"));
            }
            for key in ["on_misfit", "rest"] {
                if section.is_set(key) {
                    return Err(section.error(key, "is for `schema = declared`"));
                }
            }
            Ok(if other == "document" { Schema::Document } else { Schema::Infer })
        }
    }
}

/// The document of what stands where fields are missing.
fn defaults(section: &Section) -> Result<Option<Vec<u8>>> {
    let mut json = serde_json::Map::new();
    for (name, text) in section.members("default.") {
        if name.contains('.') {
            return Err(
                section.error(&format!("default.{name}"), "is of a field within another: a default is one of a column")
            );
        }
        json.insert(name.to_owned(), value(text));
    }
    if json.is_empty() {
        return Ok(None);
    }
    if section.text("schema")? == "document" {
        return Err(section.error("schema", "is `document`, which has no fields that defaults could be of"));
    }
    let written = serde_json::Value::Object(json).to_string();
    write::document(&written, Dialect::Extended).map(Some).map_err(|problem| {
        // Of all of them, one is wrong.
        let wrong = section.members("default.").find(|(name, text)| {
            write::document(&serde_json::json!({ *name: value(text) }).to_string(), Dialect::Extended).is_err()
        });
        section.error(&format!("default.{}", wrong.map_or("", |(name, _)| name)), problem)
    })
}

/// Numbers, booleans and objects are what they say; everything else is text.
fn value(text: &str) -> serde_json::Value {
    let read: Option<serde_json::Value> = serde_json::from_str(text).ok();
    read.filter(|value| value.is_number() || value.is_boolean() || value.is_object())
        .unwrap_or_else(|| serde_json::Value::String(text.to_owned()))
}

/// Checks what single keys of a stream do not tell.
pub fn check(section: &Section) -> Result<()> {
    config::filter(section, "where")?;
    schema(section)?;
    defaults(section)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Mode;
    use crate::source::STREAM_KEYS;

    fn of(values: &[(&str, &str)]) -> Result<Settings> {
        let keys = STREAM_KEYS.iter().chain(config::KIND.stream_keys).collect();
        let section = Section::of_keys("stream s", keys, values)?;
        check(&section)?;
        settings(&Selection::of("s", &section, Some(Mode::Full))?)
    }

    #[test]
    fn fields_and_their_key() {
        let all = of(&[("table", "c")]).unwrap();
        assert_eq!((all.key.as_deref(), all.named), (Some("_id"), vec!["_id".to_owned()]));
        let some = of(&[("table", "c"), ("columns", "a.b, a.c, d")]).unwrap();
        assert_eq!((some.key, some.named), (None, vec!["a".to_owned(), "d".to_owned()]));
        assert!(of(&[("table", "c"), ("primary_key", "a, b")]).is_err());
    }

    #[test]
    fn columns_are_declared_in_their_order() {
        let declared = [("table", "c"), ("schema", "declared"), ("column.z", "int"), ("column.A", "decimal(10,2)")];
        let Schema::Declared(declared) = of(&declared).unwrap().schema else { panic!("others") };
        assert_eq!(declared.columns[0].0, "z");
        assert_eq!(declared.columns[1], ("A".to_owned(), Type::Decimal { precision: 10, scale: 2 }));
        assert!(of(&[("table", "c"), ("schema", "declared")]).unwrap_err().message().contains("no column is"));
        assert!(of(&[("table", "c"), ("column.a", "int")]).unwrap_err().message().contains("`column.a` is for"));
    }

    #[test]
    fn defaults_are_what_they_say() {
        let defaults = |text: &str| of(&[("table", "c"), ("default.a", text)]).unwrap().defaults.unwrap();
        let wanted = |json: &str| write::document(json, Dialect::Extended).unwrap();
        assert_eq!(defaults("unknown"), wanted(r#"{"a":"unknown"}"#));
        assert_eq!(defaults("0"), wanted(r#"{"a":0}"#));
        assert_eq!(defaults("true"), wanted(r#"{"a":true}"#));
        assert_eq!(defaults("\"0\""), wanted(r#"{"a":"\"0\""}"#));
        assert_eq!(
            defaults(r#"{"$date":"2024-01-01T00:00:00Z"}"#),
            wanted(r#"{"a":{"$date":"2024-01-01T00:00:00Z"}}"#)
        );
    }
}
