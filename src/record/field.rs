//! Columns are Arrow fields. What Arrow's types do not tell (UUID, JSON, the source's own type) stands in the field's
//! metadata, in Arrow's canonical form where there is one.

use std::collections::HashMap;

use arrow_schema::extension::{EXTENSION_TYPE_NAME_KEY, ExtensionType, Json, Uuid};
use arrow_schema::{DataType, Field, TimeUnit};

/// The metadata key of the source's own name of a column's type, such as `numeric(12,2)`.
pub const NATIVE: &str = "tidemark.native";

/// The metadata key of a schema whose columns were found in the rows, and may become more or wider with every row.
pub const FOUND: &str = "tidemark.found";

/// The metadata key of a schema whose rows are set aside: what did not fit the table beside it.
pub const QUARANTINE: &str = "tidemark.quarantine";

/// The metadata key of a column that may hold what other columns' names do not tell: whole documents, fields without a
/// column of their own.
const OTHERS: &str = "tidemark.others";

/// The metadata key of how a column's values are masked.
const MASK: &str = "tidemark.mask";

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

/// Notes that values of other columns may be in it.
#[must_use]
pub fn with_others(field: Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(OTHERS.to_owned(), "yes".to_owned());
    field.with_metadata(metadata)
}

pub fn has_others(field: &Field) -> bool {
    field.metadata().contains_key(OTHERS)
}

/// The text that stands for a column's masked values. `how` says in words what was done to them; of the source's own type, its name
/// alone stays, since what is behind it (the words of an enumeration, say) may be values.
pub fn masked(field: &Field, how: &str) -> Field {
    let native = native(field).map(|native| native.split('(').next().unwrap_or_default().trim_end().to_owned());
    let named = native.filter(|native| !native.is_empty()).map(|native| (NATIVE.to_owned(), native));
    let metadata = named.into_iter().chain([(MASK.to_owned(), how.to_owned())]);
    Field::new(field.name(), DataType::Utf8, field.is_nullable()).with_metadata(HashMap::from_iter(metadata))
}

/// How its values are masked, in words; `None` where they are not.
pub fn mask(field: &Field) -> Option<&str> {
    field.metadata().get(MASK).map(String::as_str)
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
