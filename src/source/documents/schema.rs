//! Shapes as Arrow's fields, and these as tables.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Fields as ArrowFields, Schema};

use super::fields::Fields;
use super::kinds::Kinds;
use super::shape::{DIGITS, Field, Shape};
use crate::record::{Table, field};

/// A field as a column; `None` where there has been nothing but null. It does not tell of what types its values have been, since that is
/// part of Arrow's type where it is within another, and would be another type with each.
pub fn of(name: &str, of: &Field) -> Option<ArrowField> {
    if let Some(declared) = of.declared {
        return Some(declared.of.field(name));
    }
    let nullable = |data_type| field::nullable(name, data_type);
    Some(match &of.shape {
        Shape::Nothing => return None,
        Shape::Bool => nullable(DataType::Boolean),
        Shape::Int => nullable(DataType::Int32),
        Shape::Long { .. } => nullable(DataType::Int64),
        Shape::Double => nullable(DataType::Float64),
        Shape::Decimal { scale, .. } => nullable(DataType::Decimal128(DIGITS as u8, *scale as i8)),
        Shape::Date => nullable(DataType::Date32),
        Shape::Instant => nullable(field::instant()),
        Shape::ObjectId | Shape::Text | Shape::Tagged(_) => nullable(DataType::Utf8),
        Shape::Uuid => field::uuid(name),
        Shape::Bytes(_) => nullable(DataType::Binary),
        Shape::Json => field::json(name),
        // What is in it is not known as long as it was empty.
        Shape::Record(inner) => match has_columns(inner) {
            true => nullable(DataType::Struct(fields(inner))),
            false => field::json(name),
        },
        Shape::List(item) => match self::of("item", item) {
            Some(item) => nullable(DataType::List(item.into())),
            None => field::json(name),
        },
    })
}

/// Notes of what types the values of a table's column have been; what is declared says so itself.
pub fn with_native(column: ArrowField, of: &Field, kinds: Kinds) -> ArrowField {
    if of.declared.is_some() {
        return column;
    }
    let native = match &of.shape {
        Shape::Bytes(subtype) => format!("binData({subtype})"),
        _ => kinds.to_string(),
    };
    field::with_native(column, native)
}

/// The columns of a record's fields.
pub fn fields(fields: &Fields) -> ArrowFields {
    fields.iter().filter_map(|(name, field)| of(name, field)).collect()
}

/// Whether any of them is a column.
pub fn has_columns(fields: &Fields) -> bool {
    fields.iter().any(|(_, field)| field.shape != Shape::Nothing)
}

/// A table of columns, of which one may be its key. `is_found` where rows may bring others.
pub fn table(name: &str, columns: Vec<ArrowField>, key: Option<&str>, is_found: bool) -> Table {
    let key = key.filter(|key| columns.iter().any(|column| column.name() == key));
    let key = key.map(str::to_owned).into_iter().collect();
    let metadata = is_found.then(|| (field::FOUND.to_owned(), "yes".to_owned()));
    let schema = Schema::new_with_metadata(columns, HashMap::from_iter(metadata));
    Table::new(name, Arc::new(schema), key)
}
