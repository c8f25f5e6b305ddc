//! The process's memory budget, shared by all writers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the process needs besides the data of open streams: code, TLS, runtimes, the allocator's slack.
const BASE: u64 = 40 << 20;
/// What each stream holds besides its open parts: batches on their way, pieces on their way out.
const PER_STREAM: u64 = 22 << 20;
/// Below this an encoder is of no use.
const LEAST: u64 = 2 << 20;

/// How much encoders may hold, all of them together.
#[derive(Debug)]
pub struct Memory {
    limit: usize,
    parts: AtomicUsize,
}

impl Memory {
    /// `max_memory` is what the process may have resident, in bytes; `streams` run at once.
    pub fn new(max_memory: u64, streams: u64) -> Arc<Self> {
        let limit = max_memory.saturating_sub(BASE + PER_STREAM * streams).max(LEAST * streams);
        Arc::new(Self { limit: usize::try_from(limit).unwrap_or(usize::MAX), parts: AtomicUsize::new(0) })
    }

    /// Counts an open part in, until the share is dropped.
    pub fn share(self: &Arc<Self>) -> Share {
        self.parts.fetch_add(1, Ordering::Relaxed);
        Share(self.clone())
    }
}

/// One open part's share of the budget. Shrinks as others open, and grows as they close.
#[derive(Debug)]
pub struct Share(Arc<Memory>);

impl Share {
    /// How many bytes the part's encoder may hold now.
    pub fn bytes(&self) -> usize {
        self.0.limit / self.0.parts.load(Ordering::Relaxed).max(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.parts.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_what_there_is() {
        let memory = Memory::new(128 << 20, 2);
        let first = memory.share();
        let alone = first.bytes();
        let second = memory.share();
        assert_eq!(second.bytes(), alone / 2);
        drop(second);
        assert_eq!(first.bytes(), alone);
    }
}
