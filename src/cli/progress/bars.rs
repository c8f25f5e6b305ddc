use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jiff::Timestamp;

use super::{log_failure, log_retry};
use crate::cli::show;
use crate::job_log::RunState;
use crate::pipeline::{Notice, Observer, StreamReport};
use crate::record::{Lag, StreamId};

const WITH_END: &str = "{prefix}  {bar:24}  {percent:>3} %  {msg}  {eta_precise} left";
const WITHOUT_END: &str = "{prefix}  {spinner}  {msg}";

/// A bar for each stream that is being read, and a line above them for each that has ended.
pub struct Bars {
    all: MultiProgress,
    streams: Mutex<HashMap<StreamId, Stream>>,
}

#[derive(Default)]
struct Stream {
    estimate: Option<u64>,
    /// From its first rows on: many may wait for their turn.
    bar: Option<ProgressBar>,
}

impl Bars {
    pub fn new(all: MultiProgress) -> Self {
        Self { all, streams: Mutex::default() }
    }

    fn with<T>(&self, stream: &StreamId, act: impl FnOnce(&mut Stream) -> T) -> T {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        act(streams.entry(stream.clone()).or_default())
    }

    fn bar(&self, stream: &StreamId) -> ProgressBar {
        self.with(stream, |state| {
            let make = || self.all.add(new_bar(stream, state.estimate));
            state.bar.get_or_insert_with(make).clone()
        })
    }

    fn progress(&self, stream: &StreamId, rows: u64, bytes: u64, lag: Option<Lag>) {
        let bar = self.bar(stream);
        // Statistics may be old: a table that has grown does not go beyond its end.
        if bar.length().is_some_and(|end| end < rows) {
            bar.set_length(rows);
        }
        bar.set_position(rows);
        let rate = bar.per_sec() as u64;
        let lag =
            lag.map(|lag| format!("  {}", show::lag(lag.seconds(Timestamp::now()), lag.bytes))).unwrap_or_default();
        bar.set_message(format!("{} rows  {}/s  {}{lag}", show::count(rows), show::count(rate), show::bytes(bytes)));
    }

    fn ended(&self, report: &StreamReport) {
        let state = self.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(&report.stream);
        if let Some(bar) = state.and_then(|state| state.bar) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
        if !log_failure(report) {
            let state = if report.state == RunState::Done { "" } else { report.state.name() };
            let line = format!("{}  {} {state}", report.stream, in_words(report));
            // A terminal that is gone has nobody to tell.
            let _ = self.all.println(line.trim_end());
        }
    }
}

fn new_bar(stream: &StreamId, estimate: Option<u64>) -> ProgressBar {
    let (bar, template) = match estimate.filter(|rows| *rows > 0) {
        Some(rows) => (ProgressBar::new(rows), WITH_END),
        None => (ProgressBar::new_spinner(), WITHOUT_END),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(stream.to_string());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

impl Observer for Bars {
    fn notice(&self, stream: &StreamId, notice: Notice) {
        match notice {
            Notice::Planned { estimate, .. } => self.with(stream, |state| state.estimate = estimate),
            Notice::Progress { rows, bytes, lag } => self.progress(stream, rows, bytes, lag),
            Notice::Committed { rows, bytes, files } => tracing::debug!(%stream, rows, bytes, files, "committed"),
            Notice::Retrying { error, wait, attempt } => log_retry(stream, &error, wait, attempt),
            Notice::Ended(report) => self.ended(&report),
        }
    }
}

/// `1,234 rows, 3 files, 1.2 MiB in 3.2 s`
fn in_words(report: &StreamReport) -> String {
    format!(
        "{}, {}, {} in {}",
        show::of(report.rows, "row"),
        show::of(report.files, "file"),
        show::bytes(report.bytes),
        show::duration(report.elapsed)
    )
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressDrawTarget;

    use super::*;

    #[test]
    fn templates_are_sound() {
        for template in [WITH_END, WITHOUT_END] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }

    #[test]
    fn a_bar_grows_with_its_table() {
        let bars = Bars::new(MultiProgress::with_draw_target(ProgressDrawTarget::hidden()));
        let stream = StreamId::new("orders");
        bars.notice(&stream, Notice::Planned { estimate: Some(10), mode: crate::record::Mode::Full });
        bars.notice(&stream, Notice::Progress { rows: 5, bytes: 1, lag: None });
        assert_eq!(bars.bar(&stream).length(), Some(10));
        bars.notice(&stream, Notice::Progress { rows: 50, bytes: 1, lag: None });
        assert_eq!((bars.bar(&stream).length(), bars.bar(&stream).position()), (Some(50), 50));
    }
}
