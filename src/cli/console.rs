//! The two streams that people and programs read: what standard output and standard error get.

use std::io::{IsTerminal, Write};

use indicatif::{MultiProgress, ProgressDrawTarget};
use tracing::Level;
use tracing_subscriber::filter::Targets;
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
        log_to(BesideBars(bars.clone()), log_format, filter(verbose, quiet), colours);
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

/// The crate that looks for credentials, region and profile: what it warns of is what an operator set up wrongly.
const LOOKS_FOR_CREDENTIALS: &str = "aws_config";

/// Ours at the wanted level. Of other crates never more than warnings, since what they say below is not held to our rules;
/// and those only from `-v` on, but for the ones about credentials: the others tell of retries, which we tell ourselves
/// once they come to nothing.
fn filter(verbose: u8, quiet: bool) -> Targets {
    let (ours, credentials, others) = match (quiet, verbose) {
        (true, _) => (Level::ERROR, Level::ERROR, Level::ERROR),
        (false, 0) => (Level::INFO, Level::WARN, Level::ERROR),
        (false, 1) => (Level::DEBUG, Level::WARN, Level::WARN),
        (false, _) => (Level::TRACE, Level::WARN, Level::WARN),
    };
    Targets::new().with_target("tidemark", ours).with_target(LOOKS_FOR_CREDENTIALS, credentials).with_default(others)
}

fn log_to(writer: BesideBars, format: LogFormat, filter: Targets, colours: bool) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_others_are_told_where_they_help() {
        let told = |filter: &Targets, target: &str| {
            let levels = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
            levels.into_iter().find(|level| filter.would_enable(target, level)).unwrap()
        };
        for (verbose, quiet, wanted) in [
            (0, true, [Level::ERROR, Level::ERROR, Level::ERROR]),
            (0, false, [Level::INFO, Level::WARN, Level::ERROR]),
            (1, false, [Level::DEBUG, Level::WARN, Level::WARN]),
            (2, false, [Level::TRACE, Level::WARN, Level::WARN]),
        ] {
            let filter = filter(verbose, quiet);
            let targets = ["tidemark::pipeline", "aws_config::meta::credentials::chain", "aws_smithy_runtime::client"];
            assert_eq!(targets.map(|target| told(&filter, target)), wanted, "-v {verbose} times, quiet: {quiet}");
        }
    }
}
