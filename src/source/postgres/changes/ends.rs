//! Where the log ends, as far as it is worth waiting for.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::Lsn;

/// What is not on the server's disk after so long is no commit that anybody waited for. A server leaves notes of its own work
/// unwritten where nobody commits, for a quarter of a minute, and sends nothing that is not written.
const FLUSHED: Duration = Duration::from_secs(1);
/// Commits that nobody waits for (`synchronous_commit = off`) are written within three rounds of the server's writer.
const ROUNDS: u32 = 4;

/// The end that was not on the disk, and when that was seen first.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    unflushed: Arc<Mutex<Option<(Lsn, Instant)>>>,
    patience: Arc<OnceLock<Duration>>,
}

impl Ends {
    /// Tells how often the server's writer goes round.
    pub fn writes_every(&self, round: Duration) -> Duration {
        *self.patience.get_or_init(|| FLUSHED.max(round * ROUNDS))
    }

    /// After how long what is not on the disk is no commit; `None` where [`Ends::writes_every`] was not told.
    pub fn patience(&self) -> Option<Duration> {
        self.patience.get().copied()
    }

    /// The place that all commits are before: the log's `end`, or what is `flushed` of it, once it has been the end for long.
    pub fn behind_commits(&self, end: Lsn, flushed: Lsn, now: Instant) -> Lsn {
        if flushed >= end {
            return end;
        }
        let mut unflushed = self.unflushed.lock().unwrap_or_else(PoisonError::into_inner);
        match *unflushed {
            Some((seen, since)) if end <= seen => {
                if self.patience().is_some_and(|patience| now.duration_since(since) >= patience) {
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
        ends.writes_every(Duration::from_millis(200));
        let at =
            |end, flushed, millis| ends.behind_commits(Lsn(end), Lsn(flushed), begin + Duration::from_millis(millis)).0;
        assert_eq!(at(10, 10, 0), 10);
        assert_eq!((at(20, 10, 0), at(20, 10, 999), at(20, 10, 1000)), (20, 20, 10));
        // What came since is to be waited for anew.
        assert_eq!((at(30, 10, 1000), at(30, 12, 1500), at(30, 12, 2000)), (30, 30, 12));
        assert_eq!(at(30, 30, 2000), 30);
    }
    #[test]
    fn a_writer_that_takes_its_time_is_given_it() {
        let ends = Ends::default();
        assert_eq!(ends.patience(), None);
        assert_eq!(ends.writes_every(Duration::from_secs(10)), Duration::from_secs(40));
        let begin = Instant::now();
        let at = |seconds| ends.behind_commits(Lsn(20), Lsn(10), begin + Duration::from_secs(seconds)).0;
        assert_eq!((at(0), at(39), at(40)), (20, 20, 10));
    }
}
