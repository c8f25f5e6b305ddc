//! What a user should know of a stream before its first run.

use super::config::ZeroDates;
use super::plan::Plan;
use super::types::Type;

impl Plan {
    /// What a user should know before the first run. `engine` is the table's, if it is one.
    pub fn notes(&self, engine: Option<&str>) -> Vec<String> {
        let mut notes = Vec::new();
        let named = |wanted: fn(Type) -> bool| {
            let names: Vec<_> =
                self.columns.iter().filter(|column| wanted(column.of)).map(|column| column.name.as_str()).collect();
            (!names.is_empty()).then(|| names.join(", "))
        };
        if self.table.key.is_empty() {
            notes.push(
                "There is no primary key among the columns that are read; `primary_key` can name one.".to_owned(),
            );
        }
        if let Some(engine) = engine.filter(|engine| !is_transactional(engine)) {
            notes.push(format!(
                "Its engine, {engine}, has no transactions: rows written while it is read may arrive in part."
            ));
        }
        if let Some(names) = named(|of| matches!(of, Type::TextDate(_))) {
            notes.push(format!("Dates that arrive as text because of `zero_dates = text`: {names}."));
        }
        if let (Some(names), ZeroDates::Null) =
            (named(|of| matches!(of, Type::Date | Type::DateTime | Type::Timestamp)), self.policies.zero_dates)
        {
            notes.push(format!("Zero dates, if there are any, arrive as null and are counted: {names}."));
        }
        if let Some(names) = named(|of| of == Type::Geometry) {
            notes.push(format!("Geometries arrive as WKB, with their SRID as in EWKB: {names}."));
        }
        notes
    }
}

fn is_transactional(engine: &str) -> bool {
    matches!(engine, "" | "innodb" | "rocksdb" | "tokudb" | "ndbcluster")
}
