//! Columns are Arrow fields. What Arrow's types do not tell (UUID, JSON, the source's own type) stands in the field's
//! metadata, in Arrow's canonical form where there is one.

use arrow_schema::extension::{EXTENSION_TYPE_NAME_KEY, ExtensionType, Json, Uuid};
use arrow_schema::{DataType, Field, TimeUnit};

/// The metadata key of the source's own name of a column's type, such as `numeric(12,2)`.
pub const NATIVE: &str = "tidemark.native";

/// The metadata key of a schema whose columns were found in the rows, and may become more or wider with every row.
pub const FOUND: &str = "tidemark.found";

/// The metadata key of a schema whose rows are set aside: what did not fit the table beside it.
pub const QUARANTINE: &str = "tidemark.quarantine";

/// `YYYY-MM-DDTHH:MM:SS.ffffff` without zone: a wall clock.
pub const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// An instant: microseconds since 1970-01-01T00:00:00 UTC.
pub fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// A column that may be null: what every column is, unless the source guarantees otherwise.
pub fn nullable(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

/// JSON text, marked as such.
pub fn json(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true).with_extension_type(Json::default())
}

/// Sixteen bytes, marked as a UUID.
pub fn uuid(name: &str) -> Field {
    Field::new(name, DataType::FixedSizeBinary(16), true).with_extension_type(Uuid)
}

pub fn is_json(field: &Field) -> bool {
    field.metadata().get(EXTENSION_TYPE_NAME_KEY).is_some_and(|name| name == Json::NAME)
}

pub fn is_uuid(field: &Field) -> bool {
    field.metadata().get(EXTENSION_TYPE_NAME_KEY).is_some_and(|name| name == Uuid::NAME)
}

/// Notes the source's own name of the column's type.
#[must_use]
pub fn with_native(field: Field, native: impl Into<String>) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(NATIVE.to_owned(), native.into());
    field.with_metadata(metadata)
}

pub fn native(field: &Field) -> Option<&str> {
    field.metadata().get(NATIVE).map(String::as_str)
}

/// The exact Arrow type of a decimal with `precision` digits, `scale` of them after the point; `None` beyond 76 digits.
pub fn decimal(precision: u32, scale: i32) -> Option<DataType> {
    let scale = i8::try_from(scale).ok()?;
    match precision {
        1..=38 => Some(DataType::Decimal128(precision as u8, scale)),
        39..=76 => Some(DataType::Decimal256(precision as u8, scale)),
        _ => None,
    }
}
