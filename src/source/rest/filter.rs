//! What a stream knows of the records that it has delivered, over its pages and its runs.

use serde_json::{Value as Json, json};

use super::incremental::{Mark, Window};
use super::position::Reached;
use super::sieve::{Repeats, Sieve};
use crate::error::Result;
use crate::source::cursor::Seen;

/// Which records are rows.
pub enum Filter {
    All,
    /// Not those that neighbouring pages have as well.
    Repeats(Repeats),
    /// Those that are new by the cursor.
    New(Box<Sieve>),
}

impl Filter {
    /// The records of a window follow, from its first page on.
    pub fn begin(&mut self, window: &Window) -> Result<()> {
        match self {
            Filter::New(sieve) => sieve.begin(window),
            Filter::All | Filter::Repeats(_) => Ok(()),
        }
    }

    /// More records of a window follow.
    pub fn resume(&mut self, window: &Window) {
        if let Filter::New(sieve) = self {
            sieve.resume(window);
        }
    }

    /// The window is read anew from its first page on, which may move it; `false` where nobody can tell what of it was delivered.
    pub fn begin_anew(&mut self, window: &mut Window) -> Result<bool> {
        match self {
            Filter::New(sieve) => sieve.begin_anew(window),
            Filter::All | Filter::Repeats(_) => Ok(false),
        }
    }

    /// What the window has delivered, where that can be told.
    pub fn of_window(&self) -> Json {
        match self {
            Filter::New(sieve) => sieve.of_window(),
            Filter::All | Filter::Repeats(_) => Json::Null,
        }
    }

    /// What [`Filter::of_window`] gave of the window that follows.
    pub fn know(&mut self, of_window: &Json) -> Result<()> {
        match self {
            Filter::New(sieve) => sieve.know(of_window),
            Filter::All | Filter::Repeats(_) => Ok(()),
        }
    }

    pub fn keeps(&mut self, record: &[u8]) -> Result<bool> {
        match self {
            Filter::All => Ok(true),
            Filter::Repeats(repeats) => Ok(repeats.keeps(record)),
            Filter::New(sieve) => sieve.keeps(record),
        }
    }

    /// A chain of pages was read to its end; `is_first` where nothing was delivered before.
    pub fn check(&mut self, is_first: bool) -> Result<()> {
        match self {
            Filter::New(sieve) => sieve.check(is_first),
            _ => Ok(()),
        }
    }

    /// The next page's records follow.
    pub fn turn(&mut self) {
        match self {
            Filter::All => {}
            Filter::Repeats(repeats) => repeats.turn(),
            Filter::New(sieve) => sieve.turn(),
        }
    }

    /// The greatest value of the cursor by now, where there is one.
    pub fn high(&self, mark: Option<&str>) -> Option<String> {
        let Filter::New(sieve) = self else { return None };
        let mark = mark.map(|mark| Mark(mark.to_owned()));
        let high = sieve.high().filter(|high| mark.as_ref().is_none_or(|mark| high.order(mark).is_gt()))?;
        Some(high.text().to_owned())
    }

    /// For the commit log.
    pub fn state(&mut self, reached: &Reached, columns: Json) -> Result<Json> {
        let mut state = json!({ "columns": columns });
        match self {
            Filter::All => {}
            Filter::Repeats(repeats) => state["repeats"] = repeats.state(),
            Filter::New(sieve) => state["delivered"] = sieve.state(reached)?,
        }
        Ok(state)
    }

    /// As [`Filter::state`], into a state that stands, where only some of what was delivered was asked for again.
    pub fn add_to_state(&mut self, reached: &Reached, state: &mut Json) -> Result<()> {
        if let Filter::New(sieve) = self {
            state["delivered"] = sieve.state_besides(reached)?;
        }
        Ok(())
    }

    /// What is known of the columns by a state.
    pub fn columns(state: &Json) -> &Json {
        &state["columns"]
    }

    /// `key` is that of the digests.
    pub fn repeats(state: &Json, key: (u64, u64)) -> Result<Self> {
        Ok(Filter::Repeats(match &state["repeats"] {
            Json::Null => Repeats::new(key),
            repeats => Repeats::of(repeats, key)?,
        }))
    }

    /// What was delivered by a state's checkpoint.
    pub fn delivered(state: &Json) -> Result<Seen> {
        Seen::of(&state["delivered"])
    }
}
