//! Why the log is not understood, before it is an error of ours with a place.

use std::fmt;

use super::pgoutput::Torn;
use crate::error::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A message of this kind that is not as its kind should be.
    Torn(u8),
    /// A message of a kind that is not known here.
    Unknown(u8),
    /// A message of this kind where none may be.
    Order(u8),
}

impl Fault {
    pub fn torn(kind: u8) -> impl Fn(Torn) -> Self {
        move |Torn| Fault::Torn(kind)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, how) = match self {
            Fault::Torn(kind) => (kind, "that is not formed as its kind says"),
            Fault::Unknown(kind) => (kind, "which this version does not know"),
            Fault::Order(kind) => (kind, "where none may be"),
        };
        write!(f, "the log has a message of kind `{}` {how}", kind.escape_ascii())
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::data(fault.to_string()).hint(match fault {
            Fault::Unknown(_) => "It may hold changes, so it is not passed over. Update Tidemark, or report this.",
            _ => "Report this, with the server's version; names that are not UTF-8 (a database of SQL_ASCII) cannot be read.",
        })
    }
}
