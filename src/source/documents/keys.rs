//! The keys by which a stream says what becomes of its documents: the same for every source of such.

use super::declared::Type;
use super::write::{self, Dialect};
use super::{Coercion, Declared, InvalidText, OnMisfit, Schema, Settings};
use crate::config::{Key, Section, Value};
use crate::error::Result;
use crate::source::masking;

pub const KEYS: &[Key] = &[
    Key::new(
        "schema",
        Value::OneOf(&["infer", "declared", "document"]),
        "Where columns come from. `infer`: they are found in the documents, and become more and wider as they flow; `declared`: they are those of \
         `column.NAME`; `document`: there are two, `_id` and the whole document as canonical Extended JSON.",
    )
    .default("infer"),
    Key::new(
        "column.",
        Value::Checked("bool, int, long, double, decimal(10,2), date, timestamp, epoch, epoch_ms, objectid, uuid, binary, text or json", |text| match Type::parse(text) {
            Ok(_) => Ok(()),
            Err(_) => Err("must be one of bool, int, long, double, decimal(10,2), date, timestamp, epoch, epoch_ms, objectid, uuid, binary, text, json"),
        }),
        "A column and its type, which does not widen. With `schema = declared` these are all columns, in the order of the file, and other fields are left \
         out (see `rest`); with `infer` the others are found. `epoch` and `epoch_ms` are timestamps that come as numbers.",
    )
    .family()
    .example("decimal(10,2)"),
    Key::new(
        "on_misfit",
        Value::OneOf(&["fail", "quarantine"]),
        "What becomes of a document with a value that the column declared for it does not hold. `quarantine` writes it to a table beside, \
         `TABLE_quarantine`, with what does not fit, and goes on.",
    )
    .default("fail"),
    Key::new("rest", Value::Flag, "Of `schema = declared`: fields that are no columns are together in `_rest`, as JSON.")
        .default("no"),
    Key::new(
        "default.",
        Value::Text,
        "What stands in a column where a document has no such field: a number, `true`, `false` or an object of Extended JSON is what it says, \
         everything else is text.",
    )
    .family()
    .example("unknown"),
    Key::new(
        "invalid_text",
        Value::OneOf(&["fail", "replace"]),
        "What becomes of texts that are not UTF-8: `replace` puts U+FFFD in place of what is not.",
    )
    .default("fail"),
    Key::new(
        "most_columns",
        Value::Integer(1, 10_000),
        "More columns than this are not made: fields beyond are together in `_rest`, as JSON.",
    )
    .default("1000"),
];

/// What a section says of its documents. `key` is the field that tells them apart, and `named` are the columns of `schema = infer` that are
/// there in any case. What becomes of values that are not of the types of columns that are declared, the source says.
pub fn settings(
    section: &Section,
    (key, named): (Option<String>, Vec<String>),
    coercion: Coercion,
) -> Result<Settings> {
    let schema = schema(section, coercion)?;
    let is_column = |key: &String| match &schema {
        Schema::Declared(declared) => declared.columns.iter().any(|(name, _)| name == key),
        Schema::Infer | Schema::Beside(_) | Schema::Document => true,
    };
    Ok(Settings {
        key: key.filter(is_column),
        defaults: defaults(section)?,
        schema,
        invalid_text: match section.text("invalid_text")? {
            "replace" => InvalidText::Replace,
            _ => InvalidText::Fail,
        },
        charset_key: None,
        named,
        order: Vec::new(),
        most_columns: usize::try_from(section.integer("most_columns")?).unwrap_or(usize::MAX),
    })
}

/// Checks what single keys do not tell.
pub fn check(section: &Section) -> Result<()> {
    schema(section, Coercion::Never)?;
    defaults(section)?;
    Ok(())
}

fn schema(section: &Section, coercion: Coercion) -> Result<Schema> {
    let declared = declared(section, coercion)?;
    let schema = section.text("schema")?;
    if section.is_set("rest") && schema != "declared" {
        return Err(section.error("rest", "is for `schema = declared`"));
    }
    match (schema, declared.columns.first()) {
        ("declared", None) => Err(section
            .error("schema", "is `declared`, and no column is")
            .hint("Declare each with its type: `column.price = decimal(10,2)`.")),
        ("declared", Some(_)) => Ok(Schema::Declared(declared)),
        ("document", Some((name, _))) => {
            Err(section.error(&format!("column.{name}"), "is of a column, and `schema = document` has none but two"))
        }
        (_, None) if section.is_set("on_misfit") => {
            Err(section.error("on_misfit", "is for columns that are declared, and none is"))
        }
        ("document", None) => Ok(Schema::Document),
        (_, None) => Ok(Schema::Infer),
        (_, Some(_)) => Ok(Schema::Beside(declared)),
    }
}

fn declared(section: &Section, coercion: Coercion) -> Result<Declared> {
    let column = |(name, text): (&str, &str)| {
        if let Some((top, _)) = name.split_once('.') {
            return Err(section
                .error(&format!("column.{name}"), "is of a field within another: columns are fields at the top")
                .hint(format!("`column.{top} = json` has all of it as JSON.")));
        }
        let of = Type::parse(text).map_err(|problem| section.error(&format!("column.{name}"), problem))?;
        Ok((name.to_owned(), of))
    };
    Ok(Declared {
        columns: section.members("column.").map(column).collect::<Result<_>>()?,
        on_misfit: match section.text("on_misfit")? {
            "quarantine" => {
                masking::refuse_beside(section, "on_misfit", "the quarantine has whole documents")?;
                OnMisfit::Quarantine
            }
            _ => OnMisfit::Fail,
        },
        rest: section.flag("rest")?,
        coercion,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(&str, &str)]) -> Result<Settings> {
        let section = Section::of_keys("stream s", KEYS.iter().collect(), values)?;
        check(&section)?;
        settings(&section, (None, Vec::new()), Coercion::Never)
    }

    #[test]
    fn columns_are_declared_in_their_order() {
        let declared = [("schema", "declared"), ("column.z", "int"), ("column.A", "decimal(10,2)")];
        let Schema::Declared(declared) = of(&declared).unwrap().schema else { panic!("others") };
        assert_eq!(declared.columns[0].0, "z");
        assert_eq!(declared.columns[1], ("A".to_owned(), Type::Decimal { precision: 10, scale: 2 }));
        assert!(of(&[("schema", "declared")]).unwrap_err().message().contains("no column is"));
        let Schema::Beside(beside) = of(&[("column.a", "int"), ("on_misfit", "quarantine")]).unwrap().schema else {
            panic!("others")
        };
        assert_eq!((beside.columns[0].1, beside.on_misfit), (Type::Int, OnMisfit::Quarantine));
        for (wrong, wanted) in [
            (&[("column.a.b", "int")][..], "`column.a.b` is of a field within another"),
            (&[("schema", "document"), ("column.a", "int")], "`column.a` is of a column"),
            (&[("column.a", "int"), ("rest", "yes")], "`rest` is for `schema = declared`"),
            (&[("on_misfit", "quarantine")], "`on_misfit` is for columns that are declared"),
        ] {
            let error = of(wrong).unwrap_err();
            assert!(error.message().contains(wanted), "{error:?}");
        }
    }

    #[test]
    fn defaults_are_what_they_say() {
        let defaults = |text: &str| of(&[("default.a", text)]).unwrap().defaults.unwrap();
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
