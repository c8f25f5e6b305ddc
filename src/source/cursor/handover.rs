//! A load in chunks that an incremental stream begins with: which rows are its, and where the stream goes on behind it.

use serde_json::Value;

use super::{After, Bound, Grain, Order, Place, Reading, Settings, Window};
use crate::error::Result;
use crate::record::Checkpoint;

/// What a bound comes to, where all below it is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// The rows of the load: those that no later run reads again.
    pub window: Window,
    /// The place behind them.
    pub place: Checkpoint,
}

impl Handover {
    /// `floor` is where a lookback from the bound ends, where there is one.
    pub fn at(settings: &Settings, grain: Grain, bound: Bound, floor: Option<String>) -> Result<Self> {
        let from = settings.start.clone();
        let first = bound.to.as_ref().and_then(|to| to.first()).cloned();
        let (window, after) = match (&bound.to, floor, grain) {
            // What is read again has to be known again, by digests that a load does not make: so it is left to the stream.
            (Some(_), Some(floor), _) => {
                let after = After { cursor: vec![floor.clone()], key: Vec::new(), inclusive: false };
                (Window { from, until: None, to: Some(vec![floor]) }, Some(after))
            }
            (Some(_), None, Grain::Open) => {
                let after = After { cursor: first.iter().cloned().collect(), key: Vec::new(), inclusive: true };
                (Window { from, until: first, to: None }, Some(after))
            }
            (Some(to), None, _) => (Window { from, until: None, to: Some(to.clone()) }, None),
            (None, ..) => (Window::default(), None),
        };
        let place = Place { mark: bound.to, after, waiting: bound.waiting, ..Place::beginning(settings) };
        Ok(Self { window, place: Checkpoint { position: place.position()?, state: Value::Null } })
    }
}

impl Window {
    /// The condition of its rows.
    pub fn condition(&self, settings: &Settings, order: Order) -> Result<String> {
        match Reading::of_window(settings, order, self.clone(), None)? {
            Some(reading) => reading.condition(),
            None => Ok("1 = 0".to_owned()),
        }
    }
}
