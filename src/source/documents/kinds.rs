//! The types that values of a field have had, by the names that the server has for them.

use serde::{Deserialize, Serialize};

use super::bson::Value;

/// A set of types.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kinds(u32);

/// By the bit that stands for it.
const NAMES: [&str; 20] = [
    "double",
    "string",
    "object",
    "array",
    "binData",
    "objectId",
    "bool",
    "date",
    "regex",
    "dbPointer",
    "javascript",
    "symbol",
    "javascriptWithScope",
    "int",
    "timestamp",
    "long",
    "decimal",
    "minKey",
    "maxKey",
    "uuid",
];

impl Kinds {
    pub const NONE: Kinds = Kinds(0);
    pub const DOUBLE: Kinds = Kinds(1);
    pub const TEXT: Kinds = Kinds(1 << 1);
    pub const BYTES: Kinds = Kinds(1 << 4);
    pub const OBJECT_ID: Kinds = Kinds(1 << 5);
    pub const BOOL: Kinds = Kinds(1 << 6);
    pub const INSTANT: Kinds = Kinds(1 << 7);
    pub const INT32: Kinds = Kinds(1 << 13);
    pub const INT64: Kinds = Kinds(1 << 15);
    pub const DECIMAL: Kinds = Kinds(1 << 16);
    pub const UUID: Kinds = Kinds(1 << 19);
    pub const ALL: Kinds = Kinds((1 << NAMES.len()) - 1);

    /// The type of a value: that of null is none.
    #[inline]
    pub fn of(value: &Value<'_>) -> Self {
        let bit = match value {
            Value::Null | Value::Undefined => return Kinds::NONE,
            Value::Double(_) => 0,
            Value::Text(_) => 1,
            Value::Record(_) => 2,
            Value::List(_) => 3,
            Value::Bytes { subtype: super::bson::UUID, bytes } if bytes.len() == 16 => 19,
            Value::Bytes { .. } => 4,
            Value::ObjectId(_) => 5,
            Value::Bool(_) => 6,
            Value::Instant(_) => 7,
            Value::Regex { .. } => 8,
            Value::Pointer { .. } => 9,
            Value::Code(_) => 10,
            Value::Symbol(_) => 11,
            Value::CodeWithScope { .. } => 12,
            Value::Int32(_) => 13,
            Value::Timestamp { .. } => 14,
            Value::Int64(_) => 15,
            Value::Decimal(_) => 16,
            Value::MinKey => 17,
            Value::MaxKey => 18,
        };
        Kinds(1 << bit)
    }

    #[inline]
    pub fn has(self, other: Kinds) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn add(&mut self, other: Kinds) {
        self.0 |= other.0;
    }

    #[must_use]
    pub const fn and(self, other: Kinds) -> Self {
        Kinds(self.0 | other.0)
    }
}

/// `int`, `int or string`: for people.
impl std::fmt::Display for Kinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = NAMES.iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 == 1).map(|(_, name)| name);
        for (at, name) in names.enumerate() {
            f.write_str(if at == 0 { "" } else { " or " })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}
