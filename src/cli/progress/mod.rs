//! How a run's progress is shown: bars on a terminal, log lines elsewhere.

mod bars;
mod lines;

use std::sync::Arc;
use std::time::Duration;

use super::Console;
use crate::error::Error;
use crate::job_log::RunState;
use crate::pipeline::{Observer, StreamReport};
use crate::record::StreamId;

/// What fits the console.
pub fn observer(console: &Console) -> Arc<dyn Observer> {
    match console.bars() {
        Some(bars) => Arc::new(bars::Bars::new(bars.clone())),
        None => Arc::new(lines::Lines::default()),
    }
}

/// A retry, the same in both ways.
fn log_retry(stream: &StreamId, error: &Error, wait: Duration, attempt: u32) {
    let wait_seconds = seconds(wait);
    tracing::warn!(%stream, error_kind = error.kind().name(), attempt, wait_seconds, "trying again: {error}");
}

/// The end of a stream that failed, the same in both ways; `false` if it did not fail.
fn log_failure(report: &StreamReport) -> bool {
    let Some(error) = &report.error else { return false };
    let stream = &report.stream;
    match report.state {
        RunState::Failed => tracing::error!(%stream, error_kind = error.kind().name(), "{error}"),
        _ => tracing::warn!(%stream, error_kind = error.kind().name(), "{error}"),
    }
    report.state == RunState::Failed
}

/// To the millisecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
