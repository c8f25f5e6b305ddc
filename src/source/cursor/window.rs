//! A part of the cursor's axis that is read again, without moving the mark.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::record::Range;

/// More windows are asked for by mistake.
pub(super) const MOST: usize = 10_000;

/// What a backfill asks for, as it is written on the command line; values are of the cursor's first column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The first value; from the first row on where `None`.
    pub from: Option<String>,
    /// The value before which it ends; at the mark where `None`.
    pub until: Option<String>,
    /// How far each window reaches; one window where `None`.
    pub step: Option<String>,
}

/// One window, its values in the source's own form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Exclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// A whole cursor, inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<String>>,
}

impl Window {
    pub fn of(range: &Range) -> Result<Self> {
        serde_json::from_value(range.as_value().clone()).map_err(|_| Error::conflict("a window is none of this source"))
    }

    pub fn range(&self) -> Result<Range> {
        serde_json::to_value(self).map(Range::new).map_err(|e| Error::bug(e.to_string()))
    }

    /// Windows between borders, each of which ends one and begins the next; the last ends at `until` or, where that is
    /// `None`, with the cursor `mark`.
    pub fn between(
        from: Option<String>,
        borders: Vec<String>,
        until: Option<String>,
        mark: Option<Vec<String>>,
    ) -> Result<Vec<Self>> {
        if borders.len() >= MOST {
            return Err(Error::config(format!("the window comes to {} steps or more: take a greater `--step`", MOST)));
        }
        let mut windows = Vec::with_capacity(borders.len() + 1);
        let mut begin = from;
        for border in borders {
            windows.push(Self { from: begin, until: Some(border.clone()), to: None });
            begin = Some(border);
        }
        let to = mark.filter(|_| until.is_none());
        windows.push(Self { from: begin, until, to });
        Ok(windows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_meet_at_their_borders() {
        let text = |text: &str| Some(text.to_owned());
        let windows =
            Window::between(text("1"), vec!["3".to_owned(), "5".to_owned()], None, Some(vec!["6".to_owned()])).unwrap();
        let shown: Vec<_> = windows.iter().map(|window| window.range().unwrap().as_value().to_string()).collect();
        assert_eq!(shown, [r#"{"from":"1","until":"3"}"#, r#"{"from":"3","until":"5"}"#, r#"{"from":"5","to":["6"]}"#]);
        assert_eq!(Window::of(&windows[2].range().unwrap()).unwrap(), windows[2]);
        assert!(Window::between(None, vec![String::new(); MOST], None, None).is_err());
    }
}
