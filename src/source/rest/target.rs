//! What a request is for.

use serde::{Deserialize, Serialize};

use super::incremental::Window;
use super::paging::Place;

/// A page, of a part of the cursor, of a parent. It is kept in commit logs, so nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Of a stream that is read once for each record of another: the values that tell which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    pub place: Place,
}

impl Target {
    pub fn at(place: Place) -> Self {
        Self { parent: None, window: None, place }
    }

    /// Whether both are pages of one chain.
    pub fn is_beside(&self, other: &Self) -> bool {
        self.parent == other.parent && self.window == other.window
    }
}
