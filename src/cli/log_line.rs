//! What a log line says, as text.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// The message and then `key=value`s, all on one line: what an error says below its first line (what to do) comes after
/// them, so that a search for a key finds what happened.
#[derive(Debug, Clone, Copy)]
pub struct FirstLine;

impl<'writer> FormatFields<'writer> for FirstLine {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut parts = Parts { colours: writer.has_ansi_escapes(), ..Parts::default() };
        fields.record(&mut parts);
        let between = if parts.message.is_empty() || parts.pairs.is_empty() { "" } else { " " };
        write!(writer, "{}{between}{}{}", parts.message, parts.pairs, parts.below)
    }
}

/// The parts of a line. Writing to text cannot fail.
#[derive(Default)]
struct Parts {
    colours: bool,
    message: String,
    pairs: String,
    /// What came after the first line of a value, each with its line end before it.
    below: String,
}

impl Parts {
    /// Takes the lines below the first away from a value.
    fn first_line<'v>(&mut self, value: &'v str) -> &'v str {
        let (first, below) = value.split_at(value.find('\n').unwrap_or(value.len()));
        self.below.push_str(below);
        first
    }
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.record_debug(field, &format_args!("{value}")),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = harmless(&format!("{value:?}"));
        let value = self.first_line(&value);
        if field.name() == "message" {
            self.message.push_str(value);
            return;
        }
        let blank = if self.pairs.is_empty() { "" } else { " " };
        let (italic, dim, plain) = if self.colours { ("\u{1b}[3m", "\u{1b}[2m", "\u{1b}[0m") } else { ("", "", "") };
        let _ = write!(self.pairs, "{blank}{italic}{}{plain}{dim}={plain}{value}", field.name());
    }
}

/// The text with its control characters as escapes, but for line ends and tabs: a terminal would obey the others.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() && !matches!(c, '\n' | '\t') {
            true => out.extend(c.escape_unicode()),
            false => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::error::Error;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is written of the events of `say`.
    fn written(say: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(FirstLine)
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, say);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_terminal_is_told_nothing_but_text() {
        let text = written(|| {
            let error = Error::config("table \u{1b}[2Jx\r\u{9b}1m\u{7f}\tü").hint("Re\u{7}name\nit.");
            tracing::warn!(table = %"a\u{1b}b", "{error}");
        });
        let wanted = " WARN table \\u{1b}[2Jx\\u{d}\\u{9b}1m\\u{7f}\tü table=a\\u{1b}b\n  Re\\u{7}name\nit.\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn keys_stand_on_the_first_line() {
        let text = written(|| {
            let error = Error::denied("the password is refused").hint("Set it.");
            tracing::error!(stream = %"orders", attempt = 2, kind = "denied", "{error}");
            tracing::warn!(%error, left = None::<u64>, "not yet");
            tracing::info!(rows = 3);
        });
        let wanted = "\
ERROR the password is refused stream=orders attempt=2 kind=\"denied\"
  Set it.
 WARN not yet error=the password is refused
  Set it.
 INFO rows=3
";
        assert_eq!(text, wanted);
    }
}
