//! Windows that are read anew from their first page: where the server has forgotten the place in them that reading goes on at.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::{Repeats, Sieve};
use crate::error::{Error, Result};
use crate::source::rest::incremental::{Mark, Window};
use crate::source::rest::paging::Place;
use crate::source::rest::position::Reached;

/// So many digests are kept, that a window can begin anew; with more it can only where they came in the cursor's order.
const MOST_KEPT: usize = 10_000;
/// And so many beside a failed request.
const MOST_OF_WINDOW: usize = 1_000;

impl Sieve {
    /// The window is read anew: what it has delivered is known again. Of one that came in the cursor's order, and was too much to be kept,
    /// only the end is asked for. `false` where nobody can tell what was delivered.
    pub fn begin_anew(&mut self, window: &mut Window) -> Result<bool> {
        if !self.is_whole {
            let Some(high) = self.high.as_ref().filter(|_| self.is_sorted) else { return Ok(false) };
            let from = self.settings.looks_from(high)?;
            if self.floor.as_ref().is_none_or(|floor| from.order(floor).is_gt()) {
                window.from = Some(from.0);
            }
        }
        self.resume(window);
        let (within, before): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.near).into_iter().partition(|(mark, _)| self.is_in_window(mark));
        self.near = before;
        within.into_iter().for_each(|(_, digest)| self.border.add(digest, usize::MAX));
        self.repeats = self.settings.has_key.then(|| Repeats::new(self.settings.digest_key));
        Ok(true)
    }

    /// What this window has delivered, for [`Sieve::know`]; null where that cannot be told, or is too much.
    pub fn of_window(&self) -> Json {
        let within: Vec<_> = self.near.iter().filter(|(mark, _)| self.is_in_window(mark)).cloned().collect();
        match self.is_whole && within.len() <= MOST_OF_WINDOW {
            true => json!({ "near": near(&within), "border": self.border.state() }),
            false => Json::Null,
        }
    }

    /// Takes note of what the window that follows has delivered.
    pub fn know(&mut self, of_window: &Json) -> Result<()> {
        (self.is_whole, self.is_sorted) = (!of_window.is_null(), false);
        self.near.extend(marks(of_window)?);
        let left = digests(of_window["border"]["seen"].as_str().unwrap_or_default())?;
        left.into_iter().for_each(|digest| self.border.add(digest, usize::MAX));
        Ok(())
    }

    fn is_in_window(&self, mark: &Mark) -> bool {
        self.floor.as_ref().is_none_or(|floor| mark.order(floor).is_ge())
    }

    /// Whether all that the window has delivered is to be kept.
    pub(super) fn may_begin_anew(&self, reached: &Reached) -> bool {
        reached.next.as_ref().is_some_and(Place::is_told) && self.near.len() <= MOST_KEPT
    }

    pub(super) fn note_order(&self, state: &mut Json) {
        for (name, _) in [("whole", self.is_whole), ("sorted", self.is_sorted)].into_iter().filter(|(_, is)| *is) {
            state[name] = true.into();
        }
    }

    pub(super) fn take_order(&mut self, state: &Json) {
        (self.is_whole, self.is_sorted) = (state["whole"] == true, state["sorted"] == true);
    }
}

/// A state that says nothing of the order: other windows were read meanwhile.
pub(super) fn without_order(mut state: Json) -> Json {
    if let Some(fields) = state.as_object_mut() {
        fields.retain(|name, _| !matches!(name.as_str(), "whole" | "sorted"));
    }
    state
}

/// Digests by their values, for the commit log.
pub(super) fn near(of: &[(Mark, u128)]) -> Json {
    let mut near: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for (mark, digest) in of {
        near.entry(mark.text()).or_default().extend(digest.to_be_bytes());
    }
    let text = |digests: Vec<u8>| Json::String(STANDARD.encode(digests));
    near.into_iter().map(|(mark, digests)| (mark, text(digests))).collect()
}

/// What [`near`] gave.
pub(super) fn marks(state: &Json) -> Result<Vec<(Mark, u128)>> {
    let mut marks = Vec::new();
    for (mark, text) in state["near"].as_object().into_iter().flatten() {
        let digests = digests(text.as_str().unwrap_or_default())?;
        marks.extend(digests.into_iter().map(|digest| (Mark(mark.clone()), digest)));
    }
    Ok(marks)
}

fn digests(text: &str) -> Result<Vec<u128>> {
    let broken = || Error::conflict("the digests of delivered records in the commit log cannot be read");
    let bytes = STANDARD.decode(text).map_err(|_| broken())?;
    let (digests, []) = bytes.as_chunks::<16>() else { return Err(broken()) };
    Ok(digests.iter().map(|digest| u128::from_be_bytes(*digest)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Section;
    use crate::source::STREAM_KEYS;
    use crate::source::cursor::Seen;
    use crate::source::documents::write::{self, Dialect};
    use crate::source::rest::incremental::{Incremental, KEYS};

    fn sieve() -> Sieve {
        let keys = STREAM_KEYS.iter().chain(KEYS).collect();
        let values = [("cursor", "at"), ("cursor_param", "since"), ("max_ties", "1000")];
        let section = Section::of_keys("stream s", keys, &values).unwrap();
        Sieve::new(Incremental::of(&section).unwrap(), Seen::default())
    }

    fn window() -> Window {
        Window { from: Some("0".to_owned()), until: None }
    }

    fn begun() -> Sieve {
        let mut sieve = sieve();
        sieve.begin(&window()).unwrap();
        sieve
    }

    /// Whether a record with this value is a row.
    fn keeps(sieve: &mut Sieve, at: u64) -> bool {
        sieve.keeps(&write::document(&format!(r#"{{"at":{at}}}"#), Dialect::Extended).unwrap()).unwrap()
    }

    /// As the next run has it.
    fn resumed(sieve: &mut Sieve) -> Sieve {
        let at = Reached { next: Some(Place::Cursor("c".into())), ..Reached::default() };
        let state = sieve.state(&at).unwrap();
        let mut later = self::sieve();
        later.go_on(&state).unwrap();
        later.resume(&window());
        later
    }

    #[test]
    fn what_a_window_has_delivered_is_known_again_in_any_order() {
        let mut first = begun();
        assert!([5, 3, 4].into_iter().all(|at| keeps(&mut first, at)));
        let mut second = resumed(&mut first);
        let mut again = window();
        assert!(second.begin_anew(&mut again).unwrap());
        assert_eq!(again, window());
        assert_eq!([5, 9].map(|at| keeps(&mut second, at)), [false, true]);
        // And if that is begun anew too, and over runs.
        let mut third = resumed(&mut second);
        assert!(third.begin_anew(&mut again).unwrap());
        assert_eq!([5, 9, 3, 4, 6].map(|at| keeps(&mut third, at)), [false, false, false, false, true]);
    }

    #[test]
    fn of_more_than_is_kept_the_order_tells() {
        let mut sorted = begun();
        assert!((0..20_000).all(|at| keeps(&mut sorted, at)));
        let (mut later, mut again) = (resumed(&mut sorted), window());
        assert!(later.begin_anew(&mut again).unwrap());
        assert_eq!(again.from.as_deref(), Some("19999"));
        assert_eq!([19_998, 19_999, 20_000].map(|at| keeps(&mut later, at)), [false, false, true]);
        let mut mixed = begun();
        assert!((0..20_000).rev().all(|at| keeps(&mut mixed, at)));
        assert!(!resumed(&mut mixed).begin_anew(&mut window()).unwrap());
        // Of what an earlier release has noted, nobody knows.
        let mut old = sieve();
        old.go_on(&json!({ "near": {}, "high": "7" })).unwrap();
        assert!(!old.begin_anew(&mut window()).unwrap());
    }

    #[test]
    fn what_is_noted_beside_a_failed_request_is_known_again() {
        let mut first = begun();
        assert!([5, 3].into_iter().all(|at| keeps(&mut first, at)));
        let noted = first.of_window();
        let mut again = begun();
        again.know(&noted).unwrap();
        assert!(again.begin_anew(&mut window()).unwrap());
        assert_eq!([5, 4].map(|at| keeps(&mut again, at)), [false, true]);
        // It failed again meanwhile: what had not come anew is known too.
        let mut third = begun();
        third.know(&again.of_window()).unwrap();
        assert!(third.begin_anew(&mut window()).unwrap());
        assert_eq!([5, 3, 4, 6].map(|at| keeps(&mut third, at)), [false, false, false, true]);
        again.know(&Json::Null).unwrap();
        assert!(!again.begin_anew(&mut window()).unwrap());
    }
}
