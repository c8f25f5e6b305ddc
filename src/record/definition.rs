//! A table's definition as a commit's entry keeps it.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Table, field};

impl Table {
    /// The definition as JSON, and its id: the same definition has the same id, in every entry and stream.
    pub fn definition(&self) -> (String, Value) {
        let columns: Vec<_> = self
            .schema
            .fields()
            .iter()
            .map(|column| {
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
                described
            })
            .collect();
        let mut definition = json!({ "columns": columns, "key": self.key });
        if self.is_found() {
            definition["found"] = true.into();
        }
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, definition.to_string().as_bytes());
        (id.simple().to_string(), definition)
    }
}
