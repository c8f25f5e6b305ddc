//! Where the log ends, as far as it is worth waiting for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Lsn;

/// What is not on the server's disk after so long is no commit that anybody was told of. A server leaves notes of its own work
/// unwritten where nobody commits, for a quarter of a minute, and sends nothing that is not written.
pub const FLUSHED: Duration = Duration::from_secs(1);

/// The end that was not on the disk, and when that was seen first.
#[derive(Debug, Clone, Default)]
pub struct Ends(Arc<Mutex<Option<(Lsn, Instant)>>>);

impl Ends {
    /// The place that all commits are before: the log's `end`, or what is `flushed` of it, once it has been the end for long.
    pub fn behind_commits(&self, end: Lsn, flushed: Lsn, now: Instant) -> Lsn {
        if flushed >= end {
            return end;
        }
        let mut unflushed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *unflushed {
            Some((seen, since)) if end <= seen => {
                if now.duration_since(since) >= FLUSHED {
                    flushed
                } else {
                    end
                }
            }
            _ => {
                *unflushed = Some((end, now));
                end
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_unwritten_is_no_commit() {
        let (ends, begin) = (Ends::default(), Instant::now());
        let at =
            |end, flushed, millis| ends.behind_commits(Lsn(end), Lsn(flushed), begin + Duration::from_millis(millis)).0;
        assert_eq!(at(10, 10, 0), 10);
        assert_eq!((at(20, 10, 0), at(20, 10, 999), at(20, 10, 1000)), (20, 20, 10));
        // What came since is to be waited for anew.
        assert_eq!((at(30, 10, 1000), at(30, 12, 1500), at(30, 12, 2000)), (30, 30, 12));
        assert_eq!(at(30, 30, 2000), 30);
    }
}
