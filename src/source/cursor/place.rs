//! The position of an incremental stream.

use serde::{Deserialize, Serialize};

use super::settings::Settings;
use crate::error::{Error, Kind, Result};
use crate::record::{Checkpoint, Position};

/// Where an incremental stream has come to.
///
/// Values are texts in the source's own form, exact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// What the stream is ordered by, as configured: places of another cursor are not ours.
    pub(super) cursor: String,
    /// Everything up to here was delivered, as far as it was there; `None` where nothing was.
    pub mark: Option<Vec<String>>,
    /// Where reading goes on, where that is not just above the mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// What keeps the mark from moving on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
}

/// A place between rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    pub cursor: Vec<String>,
    /// Rows with this very cursor are delivered up to this key; where it is empty, all of them or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Rows with this very cursor are to be read too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inclusive: bool,
}

/// Rows up to `high` may be read when these transactions have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub high: Vec<String>,
    /// Their ids, as the source knows them.
    #[serde(rename = "for")]
    pub transactions: Vec<String>,
}

impl Place {
    /// The place before all rows.
    pub fn beginning(settings: &Settings) -> Self {
        Self { cursor: settings.shown(), ..Self::default() }
    }

    /// The place of a checkpoint; refuses one of another mode or cursor.
    pub fn of(checkpoint: Option<&Checkpoint>, settings: &Settings) -> Result<Self> {
        let Some(checkpoint) = checkpoint else { return Ok(Self::beginning(settings)) };
        let place: Self = serde_json::from_value(checkpoint.position.as_value().clone()).map_err(|_| {
            Error::new(Kind::Conflict, "the stream was read in another mode before")
                .hint("Run it once with `--full-refresh`, or give the incremental stream a name of its own.")
        })?;
        if place.cursor == settings.shown() {
            return Ok(place);
        }
        let (before, now) = (&place.cursor, settings.shown());
        Err(Error::conflict(format!("the stream's cursor was `{before}` and is `{now}` now: its mark tells nothing"))
            .hint("Run it once with `--full-refresh`, or give it another name, or set `cursor` as it was."))
    }

    pub fn position(&self) -> Result<Position> {
        serde_json::to_value(self).map(Position::new).map_err(|e| Error::bug(e.to_string()))
    }
}
