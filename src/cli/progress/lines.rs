use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{log_failure, log_retry, seconds};
use crate::pipeline::{Notice, Observer};
use crate::record::{Lag, StreamId};

/// How often a stream's progress is worth a line.
const EVERY: Duration = Duration::from_secs(10);

/// A log line at a stream's start, about every ten seconds, and at its end.
#[derive(Default)]
pub struct Lines {
    streams: Mutex<HashMap<StreamId, Line>>,
}

/// What the last line of a stream said, and when.
struct Line {
    at: Instant,
    rows: u64,
    estimate: Option<u64>,
}

impl Line {
    /// Rows per second since the last line, if a new one is due.
    fn due(&mut self, rows: u64, now: Instant) -> Option<u64> {
        let since = now.duration_since(self.at);
        if since < EVERY {
            return None;
        }
        let rate = rows.saturating_sub(self.rows) as f64 / since.as_secs_f64();
        (self.at, self.rows) = (now, rows);
        Some(rate as u64)
    }
}

impl Lines {
    fn progress(&self, stream: &StreamId, rows: u64, bytes: u64, lag: Option<Lag>) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // The first rows of a stream begin its clock: it may have waited long for its turn.
        let line = streams.entry(stream.clone()).or_insert(Line { at: now, rows, estimate: None });
        if let Some(rows_per_second) = line.due(rows, now) {
            let estimate = line.estimate;
            drop(streams);
            let lag_seconds = lag.map(|lag| lag.seconds(Timestamp::now()));
            let lag_bytes = lag.and_then(|lag| lag.bytes);
            tracing::info!(%stream, rows, estimate, bytes, rows_per_second, lag_seconds, lag_bytes, "reading");
        }
    }
}

impl Observer for Lines {
    fn notice(&self, stream: &StreamId, notice: Notice) {
        match notice {
            Notice::Planned { estimate, mode } => {
                let line = Line { at: Instant::now(), rows: 0, estimate };
                self.streams.lock().unwrap_or_else(PoisonError::into_inner).insert(stream.clone(), line);
                tracing::info!(%stream, %mode, estimate, "planned");
            }
            Notice::Progress { rows, bytes, lag } => self.progress(stream, rows, bytes, lag),
            Notice::Committed { rows, bytes, files } => tracing::debug!(%stream, rows, bytes, files, "committed"),
            Notice::Retrying { error, wait, attempt } => log_retry(stream, &error, wait, attempt),
            Notice::Ended(report) => {
                self.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(stream);
                if !log_failure(&report) {
                    let (seconds, state) = (seconds(report.elapsed), report.state.name());
                    let (rows, bytes, files) = (report.rows, report.bytes, report.files);
                    let (lag_seconds, lag_bytes) = (report.lag.map(|lag| lag.0), report.lag.and_then(|lag| lag.1));
                    tracing::info!(%stream, rows, bytes, files, seconds, lag_seconds, lag_bytes, "{state}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_every_ten_seconds() {
        let start = Instant::now();
        let mut line = Line { at: start, rows: 0, estimate: None };
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(line.due(500, after(9)), None);
        assert_eq!(line.due(1_000, after(10)), Some(100));
        assert_eq!(line.due(1_001, after(19)), None);
        assert_eq!(line.due(3_000, after(20)), Some(200));
    }
}
