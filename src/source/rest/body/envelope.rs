//! What is asked of a body besides its records, and what it was.

use super::path::Path;
use super::scalar::Scalar;

/// What is looked for in a body.
#[derive(Debug, Clone)]
pub struct Wanted {
    records: Path,
    values: Vec<Path>,
}

impl Wanted {
    /// More values are not looked for at once.
    pub const MOST_VALUES: usize = 63;

    /// The records: each item of a list that stands there, or the one object that does. And values, of which each is found once: the first
    /// where there are several. Those within a record are found too.
    ///
    /// An error says that there are too many.
    pub fn new(records: Path, values: Vec<Path>) -> Result<Self, String> {
        match values.len() <= Self::MOST_VALUES {
            true => Ok(Self { records, values }),
            false => Err(format!("more than {} values of a body are looked for", Self::MOST_VALUES)),
        }
    }

    pub fn records(&self) -> &Path {
        &self.records
    }

    pub fn values(&self) -> &[Path] {
        &self.values
    }
}

/// A value that was looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Found {
    #[default]
    Absent,
    Null,
    Bool(bool),
    /// The number as it stands there.
    Number(String),
    /// Half a surrogate pair is U+FFFD in it, three times.
    Text(String),
    /// An object or a list.
    Nested,
}

impl Found {
    /// Whether there is anything but null.
    pub fn is_there(&self) -> bool {
        !matches!(self, Found::Absent | Found::Null)
    }

    /// A scalar's text, as a parameter of the next request has it.
    pub fn text(&self) -> Option<&str> {
        match self {
            Found::Absent | Found::Null | Found::Nested => None,
            Found::Bool(of) => Some(if *of { "true" } else { "false" }),
            Found::Number(text) | Found::Text(text) => Some(text),
        }
    }

    /// As [`Found::text`], and whether it is a number there.
    pub fn scalar(&self) -> Option<Scalar> {
        let text = self.text()?.to_owned();
        Some(match self {
            Found::Number(_) => Scalar::Number(text),
            _ => Scalar::Text(text),
        })
    }
}

/// What a body was that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub what: What,
    /// How many records there were.
    pub records: u64,
    /// The values that were looked for, in that order.
    pub values: Vec<Found>,
}

impl Envelope {
    /// Of a body that has nothing but records.
    pub(super) fn without_values(what: What, records: u64, values: usize) -> Self {
        Self { what, records, values: vec![Found::Absent; values] }
    }

    /// Notes what a value is, if it was not found before.
    pub(super) fn fill(&mut self, value: usize, found: impl FnOnce() -> Found) {
        if let of @ Found::Absent = &mut self.values[value] {
            *of = found();
        }
    }
}

/// What stood where the records should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Records, or a list without any.
    Records,
    /// There is no body, or nothing but white space in it.
    Empty,
    /// The whole body is `null`.
    Null,
    /// Nothing.
    Absent,
    /// `null`.
    NullThere,
    /// A text, a number, `true` or `false`; where there are several places, in one of them.
    Scalar,
}

impl What {
    /// What is wrong, as the end of a sentence that begins with what the body is of. `None` where there are records.
    pub fn complaint(self, records: &Path) -> Option<String> {
        Some(match self {
            What::Records => return None,
            What::Empty => "is empty".to_owned(),
            What::Null => "is null".to_owned(),
            What::Absent => format!("has nothing at `{records}`, where its records should be"),
            What::NullThere => format!("has null at `{records}`, where its records should be"),
            What::Scalar => format!("has neither a list nor an object at `{records}`, where its records should be"),
        })
    }
}
