//! Why the log is not understood, before it is an error of ours with a place.

use super::bytes::Torn;
use crate::error::{Error, Kind};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// An event of this kind that is not as its kind should be.
    Torn(u8),
    /// The bytes are not those that the server wrote.
    Checksum,
    /// An event of a kind that is not known here, and that the server does not allow to pass over.
    Unknown(u8),
    /// An event of a server that is too old.
    Old(u8),
    /// The server says that changes are missing from its log.
    Incident,
    /// A compressed transaction or event that does not come to what it says.
    Compressed,
    /// A checksum, compression or version that is not known here.
    Method(&'static str),
}

/// The way on where the log has none.
const ANEW: &str =
    "`tidemark run --full-refresh` with the stream's name reads all of its tables anew, from where the log ends now.";

impl Fault {
    pub fn torn(kind: u8) -> impl Fn(Torn) -> Self {
        move |Torn| Fault::Torn(kind)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Torn(kind) => Error::data(format!("an event of type {kind} is not formed as its type says"))
                .hint("Read the log with the server's own `mysqlbinlog`: if that reads it, report this."),
            Fault::Checksum => Error::unavailable("an event's checksum is wrong: it was damaged on its way or on disk")
                .hint(format!("If it is the same event each time, the server's log is damaged. {ANEW}")),
            Fault::Unknown(kind) => Error::data(format!("an event of type {kind}, which this version does not know"))
                .hint("It may hold changes, so it is not passed over. Update Tidemark, or report this."),
            Fault::Old(kind) => {
                Error::data(format!("an event of type {kind}, of a server before MySQL 5.6")).hint(ANEW)
            }
            Fault::Incident => {
                Error::new(Kind::Lost, "the server says that changes are missing from its log here").hint(ANEW)
            }
            Fault::Compressed => Error::data("compressed changes do not come to the size that the server says"),
            Fault::Method(what) => Error::data(format!("a {what} that this version does not know"))
                .hint("Update Tidemark, or report this."),
        }
    }
}
