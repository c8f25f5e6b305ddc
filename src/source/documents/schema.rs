//! Shapes as Arrow's fields.

use arrow_schema::{DataType, Field as ArrowField, Fields as ArrowFields};

use super::fields::Fields;
use super::shape::{DIGITS, Field, Shape};
use crate::record::field;

/// A field as a column; `None` where there has been nothing but null.
pub fn of(name: &str, of: &Field) -> Option<ArrowField> {
    let nullable = |data_type| field::nullable(name, data_type);
    let column = match &of.shape {
        Shape::Nothing => return None,
        Shape::Bool => nullable(DataType::Boolean),
        Shape::Int => nullable(DataType::Int32),
        Shape::Long { .. } => nullable(DataType::Int64),
        Shape::Double => nullable(DataType::Float64),
        Shape::Decimal { scale, .. } => nullable(DataType::Decimal128(DIGITS as u8, *scale as i8)),
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
    };
    let native = match &of.shape {
        Shape::Bytes(subtype) => format!("binData({subtype})"),
        _ => of.kinds.to_string(),
    };
    Some(field::with_native(column, native))
}

/// The columns of a record's fields.
pub fn fields(fields: &Fields) -> ArrowFields {
    fields.iter().filter_map(|(name, field)| of(name, field)).collect()
}

/// Whether any of them is a column.
pub fn has_columns(fields: &Fields) -> bool {
    fields.iter().any(|(_, field)| field.shape != Shape::Nothing)
}
