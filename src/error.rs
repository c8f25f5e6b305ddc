//! One error type for the whole program, with few kinds, each named by what the reader should do about it.

use std::fmt;

/// What went wrong, by remedy. Decides the exit code and whether a run is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Fix `pipeline.conf`.
    Config,
    /// Fix credentials or grants.
    Denied,
    /// Nothing to do: network, timeout, throttling, a restart. The only kind that is retried.
    Unavailable,
    /// Look at the stream, table, column and key that the message names.
    Data,
    /// Decide on a change of the table's definition.
    Schema,
    /// Take a new snapshot: the source no longer holds our position.
    Lost,
    /// Stop the other run, or settle the job log against the destination.
    Conflict,
    /// Done, with failed requests or rows in quarantine: look at `tidemark status`.
    Partial,
    /// Report it.
    Bug,
}

impl Kind {
    /// The exit code of a program that ends with this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Config => 2,
            Kind::Partial => 3,
            Kind::Data | Kind::Schema => 65,
            Kind::Lost => 66,
            Kind::Bug => 70,
            Kind::Conflict => 73,
            Kind::Unavailable => 75,
            Kind::Denied => 77,
        }
    }

    /// Whether trying again, with nothing changed, may succeed.
    pub fn is_retried(self) -> bool {
        self == Kind::Unavailable
    }

    /// The name in the job log, in logs and in the run's JSON line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Config => "config",
            Kind::Denied => "denied",
            Kind::Unavailable => "unavailable",
            Kind::Data => "data",
            Kind::Schema => "schema",
            Kind::Lost => "lost",
            Kind::Conflict => "conflict",
            Kind::Partial => "partial",
            Kind::Bug => "bug",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error: a kind, one sentence that says what happened and where, and (often) one that says what to do.
///
/// Neither sentence ever holds a secret or the value of a cell.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    is_lasting: bool,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, is_lasting: false }
    }

    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Kind::Config, message)
    }

    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(Kind::Denied, message)
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, message)
    }

    pub fn data(message: impl Into<String>) -> Self {
        Self::new(Kind::Data, message)
    }

    pub fn schema(message: impl Into<String>) -> Self {
        Self::new(Kind::Schema, message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(Kind::Bug, message)
    }

    /// Says what to do about it: a full sentence, shown after the message.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Trying again may succeed, and not as soon as a run would: a server asks for a longer wait than anybody has patience for.
    #[must_use]
    pub fn lasting(mut self) -> Self {
        self.is_lasting = true;
        self
    }

    /// The same in other words.
    #[must_use]
    pub fn reworded(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Says where it happened: `context: message`. Once, also where two callers know it.
    #[must_use]
    pub fn at(mut self, context: impl fmt::Display) -> Self {
        let context = format!("{context}: ");
        if !self.message.starts_with(&context) {
            self.message.insert_str(0, &context);
        }
        self
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether a run tries again by itself.
    pub fn is_retried(&self) -> bool {
        self.kind.is_retried() && !self.is_lasting
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Adds a place to whatever error comes by.
pub trait Context<T> {
    /// `f` names the place: `stream orders`, `part 7 of table items`.
    fn at<C: fmt::Display>(self, f: impl FnOnce() -> C) -> Result<T>;
}

impl<T> Context<T> for Result<T> {
    fn at<C: fmt::Display>(self, f: impl FnOnce() -> C) -> Result<T> {
        self.map_err(|e| e.at(f()))
    }
}

/// A number as messages and people have it: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unavailable_is_retried() {
        let kinds = [
            Kind::Config,
            Kind::Denied,
            Kind::Data,
            Kind::Schema,
            Kind::Lost,
            Kind::Conflict,
            Kind::Partial,
            Kind::Bug,
        ];
        assert!(Kind::Unavailable.is_retried());
        assert!(kinds.iter().all(|k| !k.is_retried() && k.exit_code() != 0));
        let busy = Error::unavailable("busy");
        assert!(busy.is_retried() && !busy.lasting().reworded("busy for a day").at("source shop").is_retried());
        assert!(!Error::data("odd").is_retried());
    }

    #[test]
    fn shows_the_place_before_and_the_advice_after() {
        let error = Error::denied("password refused").hint("Set it.").at("source shop");
        assert_eq!(error.to_string(), "source shop: password refused\n  Set it.");
    }
}
