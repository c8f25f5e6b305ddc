use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A place in a source. Opaque outside the folder of the source that made it.
///
/// Holds neither secrets nor values of cells other than those of the cursor columns that the user named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(Value);

impl Position {
    pub fn new(value: Value) -> Self {
        Self(value)
    }

    pub fn as_value(&self) -> &Value {
        &self.0
    }
}

/// A part of what a stream reads: a range of keys, or of a cursor. Opaque outside the folder of the source that made it.
///
/// Holds the values of the columns that it is a range of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Range(Value);

impl Range {
    pub fn new(value: Value) -> Self {
        Self(value)
    }

    pub fn as_value(&self) -> &Value {
        &self.0
    }
}

/// One line of JSON: the form in the job log and in messages.
impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
