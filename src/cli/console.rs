//! The two streams that people and programs read: what standard output and standard error get.

use std::io::{IsTerminal, Write};

use indicatif::{MultiProgress, ProgressDrawTarget};
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::args::LogFormat;
use super::log_line::FirstLine;
use crate::error::{Error, Kind};

/// How to speak: decided once, from the command line and from what the two streams are.
#[derive(Clone)]
pub struct Console {
    log_format: LogFormat,
    out_is_terminal: bool,
    /// Bars at the foot of a terminal; hidden elsewhere.
    bars: MultiProgress,
    shows_bars: bool,
}

impl Console {
    /// Takes the process's standard streams, and begins to log to standard error.
    pub fn start(log_format: LogFormat, verbose: u8, quiet: bool) -> Self {
        let err_is_terminal = std::io::stderr().is_terminal();
        let shows_bars = err_is_terminal && log_format == LogFormat::Text && !quiet;
        let target = if shows_bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let colours = err_is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        log_to(BesideBars(bars.clone()), log_format, level(verbose, quiet), colours);
        Self { log_format, out_is_terminal: std::io::stdout().is_terminal(), bars, shows_bars }
    }

    /// The bars, where they are to be shown.
    pub fn bars(&self) -> Option<&MultiProgress> {
        self.shows_bars.then_some(&self.bars)
    }

    pub fn out_is_terminal(&self) -> bool {
        self.out_is_terminal
    }

    /// Writes to standard output. A reader that went away (`| head`) is no error.
    pub fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Says on standard error why a command failed: the file's errors line by line, as compilers do.
    pub fn error(&self, error: &Error) {
        if self.log_format == LogFormat::Json {
            tracing::error!(error_kind = error.kind().name(), "{error}");
            return;
        }
        let text = match error.kind() {
            Kind::Config => format!("{error}\n"),
            _ => format!("error: {error}\n"),
        };
        let _ = BesideBars(self.bars.clone()).write_all(text.as_bytes());
    }
}

/// Ours at the wanted level. Other crates' warnings only: what they say below that is not held to our rules.
fn level(verbose: u8, quiet: bool) -> Level {
    match (quiet, verbose) {
        (true, _) => Level::ERROR,
        (false, 0) => Level::INFO,
        (false, 1) => Level::DEBUG,
        (false, _) => Level::TRACE,
    }
}

fn log_to(writer: BesideBars, format: LogFormat, level: Level, colours: bool) {
    let others = LevelFilter::from_level(level.min(Level::WARN));
    let filter = Targets::new().with_target("tidemark", level).with_default(others);
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    // Fails if somebody (a test) has set one up already, which is then used.
    let _ = match format {
        LogFormat::Text => registry.with(layer.with_ansi(colours).fmt_fields(FirstLine)).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
}

/// Standard error, with the bars out of the way for the moment.
#[derive(Clone)]
struct BesideBars(MultiProgress);

impl Write for BesideBars {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.suspend(|| std::io::stderr().write_all(text)).map(|()| text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for BesideBars {
    type Writer = BesideBars;

    fn make_writer(&'a self) -> BesideBars {
        self.clone()
    }
}
