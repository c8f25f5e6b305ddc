//! What is wrong with a body, by name and by place, and never with a piece of it.

use std::fmt;
use std::io;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It ends before what it says does.
    Truncated,
    /// It begins as HTML does, and something else is expected.
    Html,
    /// It does not begin as a body of this format does.
    Other,
    /// No body of this format goes on so.
    Unexpected,
    /// Something stands behind its end.
    Trailing,
    /// It is not UTF-8.
    NotText,
    /// What is in one another lies deeper than [`MOST_DEPTH`].
    Deep,
    /// A record, or a value that is looked for, has more bytes than this.
    Large(usize),
    /// A name has a zero in it.
    Name,
    /// What holds the records stands there twice; in CSV, a column.
    Twice,
    /// A line of CSV has more fields, or fewer, than the first one.
    Fields,
}

/// More values in one another than this are refused.
pub const MOST_DEPTH: usize = crate::source::documents::json::DEEPEST;

/// What is wrong, and at which byte of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub wrong: Wrong,
    pub at: u64,
}

/// As the end of a sentence that begins with what the body is of: `… is cut off: it ends at byte 17`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match self.wrong {
            Wrong::Truncated => write!(f, "is cut off: it ends at byte {at}, before what it says does"),
            Wrong::Html => f.write_str("is HTML, such as a page for people to log in or a proxy's message"),
            Wrong::Other => write!(f, "is of another format (from its byte {at} on)"),
            Wrong::Unexpected => write!(f, "is broken at byte {at}"),
            Wrong::Trailing => write!(f, "does not end where it should: something follows at byte {at}"),
            Wrong::NotText => write!(f, "is not UTF-8 at byte {at}"),
            Wrong::Deep => write!(f, "has more than {MOST_DEPTH} levels at byte {at}"),
            Wrong::Large(most) => write!(f, "has a record or a value of more than {most} bytes, from byte {at} on"),
            Wrong::Name => write!(f, "has a name with a zero in it at byte {at}"),
            Wrong::Twice => write!(f, "has two of a name where only one can be meant, at byte {at}"),
            Wrong::Fields => write!(f, "has a line with more or fewer fields than its first one, before byte {at}"),
        }
    }
}

/// Why a body is not read to its end.
#[derive(Debug)]
pub enum Unreadable {
    Fault(Fault),
    /// The file that it is in cannot be read.
    File(io::Error),
}

impl From<Fault> for Unreadable {
    fn from(fault: Fault) -> Self {
        Unreadable::Fault(fault)
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        Unreadable::File(error)
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Fault(fault) => fault.fmt(f),
            Unreadable::File(error) => write!(f, "cannot be read from its temporary file: {error}"),
        }
    }
}
