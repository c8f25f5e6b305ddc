//! Places in the log, as positions have them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::source::postgres::replication::Lsn;

/// A place between two transactions: whatever was committed before is covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub Lsn);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    lsn: String,
}

impl Place {
    pub fn of(position: &Value) -> Result<Self> {
        let written: Option<Written> = serde_json::from_value(position.clone()).ok();
        let lsn = written.and_then(|written| written.lsn.parse().ok());
        lsn.map(Place).ok_or_else(|| Error::conflict("the stream's position is no place in a log of PostgreSQL"))
    }

    pub fn position(self) -> Value {
        serde_json::json!(Written { lsn: self.0.to_string() })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Place).map_err(|_| serde::de::Error::custom("no place in a log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_from_its_position() {
        let place = Place(Lsn(0x16_B374_D848));
        assert_eq!(place.position(), serde_json::json!({ "lsn": "16/B374D848" }));
        assert_eq!(Place::of(&place.position()).unwrap(), place);
        assert!(Place::of(&serde_json::json!({ "file": "f", "pos": 4 })).is_err());
        assert!(Place::of(&serde_json::json!({ "lsn": "x" })).is_err());
    }
}
