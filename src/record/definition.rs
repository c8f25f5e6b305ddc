//! A table's definition as a commit's entry keeps it.

use arrow_schema::{DataType, Field, FieldRef};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Table, field};

impl Table {
    /// The definition as JSON, and its id: the same definition has the same id, in every entry and stream.
    pub fn definition(&self) -> (String, Value) {
        let is_found = self.is_found();
        let columns: Vec<_> = self.schema.fields().iter().map(|column| described(column, is_found)).collect();
        let mut definition = json!({ "columns": columns, "key": self.key });
        if is_found {
            definition["found"] = true.into();
        }
        if self.is_quarantine() {
            definition[super::commit::QUARANTINE] = true.into();
        }
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, definition.to_string().as_bytes());
        (id.simple().to_string(), definition)
    }
}

/// A column. Of a found one that has others within, they are told one by one: they may come one by one, too.
fn described(column: &Field, is_found: bool) -> Value {
    let mut described = json!({
        "name": column.name(),
        "type": column.data_type().to_string(),
        "nullable": column.is_nullable(),
    });
    if let Some(native) = field::native(column) {
        described["native"] = native.into();
    }
    if field::is_json(column) {
        described["meaning"] = "json".into();
    } else if field::is_uuid(column) {
        described["meaning"] = "uuid".into();
    }
    if let Some(mask) = field::mask(column) {
        described["mask"] = mask.into();
    }
    let within: Option<(&str, &[FieldRef])> = match column.data_type() {
        DataType::Struct(fields) => Some(("Struct", fields)),
        DataType::List(item) => Some(("List", std::slice::from_ref(item))),
        _ => None,
    };
    if let Some((name, fields)) = within.filter(|_| is_found) {
        described["type"] = name.into();
        described["fields"] = fields.iter().map(|field| self::described(field, true)).collect();
    }
    described
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::Schema;

    use super::*;

    #[test]
    fn what_is_within_a_found_column_is_told_by_itself() {
        let item = field::with_native(field::nullable("item", DataType::Int32), "int");
        let tags = field::with_native(field::nullable("tags", DataType::List(item.into())), "array");
        let a = field::nullable("a", DataType::Struct(vec![tags].into()));
        let schema = Schema::new(vec![a]);
        let of = |schema: Schema| Table::new("t", Arc::new(schema), Vec::new()).definition();
        let (declared, plain) = of(schema.clone());
        assert!(plain["columns"][0].get("fields").is_none() && plain["found"].is_null(), "{plain}");
        let metadata = [(field::FOUND.to_owned(), String::new())];
        let (found, definition) = of(schema.with_metadata(metadata));
        let tags = json!({
            "name": "tags", "type": "List", "nullable": true, "native": "array",
            "fields": [{ "name": "item", "type": "Int32", "nullable": true, "native": "int" }],
        });
        let a = json!({ "name": "a", "type": "Struct", "nullable": true, "fields": [tags] });
        assert_eq!(definition, json!({ "columns": [a], "key": [], "found": true }));
        assert_ne!(declared, found);
    }
}
