//! Where a source that asks by requests has its answers from, where that is not its server alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How answers come to a source.
#[derive(Debug, Clone)]
pub enum Exchange {
    /// From its server. Each is kept in a file too, without secrets; the file must not be there yet.
    Record { file: PathBuf, reel: Arc<Reel> },
    /// Out of such a file. The server is not asked, and no credentials are needed. `faults` says which requests fail all the
    /// same: `429 10%, reset 5%, seed 7`.
    Replay { file: PathBuf, faults: Option<String> },
}

/// A recording under way: how much it has, and whether it goes on.
#[derive(Debug, Default)]
pub struct Reel {
    /// How many more pages may be asked for; any number where `None`.
    left: Option<AtomicU64>,
    is_over: AtomicBool,
    answers: AtomicU64,
    bytes: AtomicU64,
}

impl Reel {
    /// Of so many pages at most.
    pub fn of(pages: Option<u64>) -> Self {
        Self { left: pages.map(AtomicU64::new), ..Self::default() }
    }

    /// Whether only some pages are wanted: the first ones, which are to be asked for one after the other.
    pub fn has_end(&self) -> bool {
        self.left.is_some()
    }

    /// Takes the place of one page; `false` where nothing is to be asked for any more.
    pub fn take(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        let has_place = |left: &AtomicU64| left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
        !self.is_over.load(Ordering::SeqCst) && self.left.as_ref().is_none_or(has_place)
    }

    /// What a place was taken for came to no page.
    pub fn give_back(&self) {
        if let Some(left) = &self.left {
            left.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Nothing is asked for from now on.
    pub fn stop(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// One more answer is in the file.
    pub fn kept(&self) {
        self.answers.fetch_add(1, Ordering::SeqCst);
    }

    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::SeqCst)
    }

    /// How large the file has become.
    pub fn grown(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::SeqCst);
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_places() {
        let reel = Reel::of(Some(2));
        assert_eq!([reel.take(), reel.take(), reel.take()], [true, true, false]);
        reel.give_back();
        assert_eq!([reel.take(), reel.take()], [true, false]);
        let endless = Reel::of(None);
        endless.give_back();
        assert!((0..100).all(|_| endless.take()));
        endless.stop();
        assert!(!endless.take());
    }
}
