//! Bodies of answers: records in them, and what stands around the records.
//!
//! A body is read twice. [`look`] tells whether it is whole, what the values are that are asked for (a cursor, a code), and how many
//! records there are, at little more than the speed of memory; [`records`] makes documents of them, a batch at a time. Neither holds more than a
//! piece of the body, a batch and one record. Both read the same text: what is not UTF-8 is made so on the way ([`utf8`]).

mod batch;
pub mod charset;
mod csv;
mod decoding;
mod envelope;
mod fault;
mod field;
mod json;
mod lines;
mod path;
mod places;
mod scalar;
#[cfg(test)]
mod tests;
mod utf8;
mod xml;

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use bytes::Buf;
use encoding_rs::Encoding;

pub use self::batch::Batch;
pub use self::envelope::{Envelope, Found, Wanted, What};
pub use self::fault::{Fault, Unreadable, Wrong};
pub use self::field::{FIELD, Field};
pub use self::path::{PATH, Path, Step};
pub use self::scalar::Scalar;
use self::utf8::Utf8;
use super::transport::{Answer, Body};

/// A record with more bytes than this is refused.
pub const LARGEST_RECORD: usize = crate::source::documents::from_json::LARGEST;

/// So many bytes are read at once.
const PIECE: usize = 64 << 10;

/// How the bodies of a stream are written.
#[derive(Debug, Clone)]
pub struct Written {
    pub format: Format,
    /// The charset, whatever a server says of it.
    pub charset: Option<&'static Encoding>,
    /// Bytes that are no text of their charset are U+FFFD, and no fault.
    pub mends: bool,
    /// Of XML: elements of a record that are lists, however many there are of them.
    pub lists: Vec<Path>,
}

impl From<Format> for Written {
    /// As the server says.
    fn from(format: Format) -> Self {
        Self { format, charset: None, mends: false, lists: Vec::new() }
    }
}

/// The format of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    /// A text of JSON on each line.
    Lines,
    /// With names on the first line.
    Csv {
        delimiter: u8,
    },
    Xml,
}

impl Format {
    /// Whether a body without anything in it is one without records.
    pub fn is_of_lines(self) -> bool {
        matches!(self, Format::Lines | Format::Csv { .. })
    }

    /// Whether a body of this format can have its records there; if not, what is wrong with the key that says so.
    pub fn check_records(self, path: &Path) -> Result<(), String> {
        match self {
            Format::Lines | Format::Csv { .. } if !path.steps().is_empty() => {
                Err(format!("is `{path}`, and with this `response_format` each line is a record: leave it out"))
            }
            Format::Xml if path.steps().is_empty() => {
                Err("must say which element of the XML is a record, such as `feed.entry`".to_owned())
            }
            Format::Xml => without_items(path),
            _ => Ok(()),
        }
    }

    /// Whether a body of this format can have a value there besides its records; if not, what is wrong with the key that says so.
    pub fn check_value(self, path: &Path) -> Result<(), String> {
        match self {
            Format::Lines | Format::Csv { .. } => {
                Err(format!("looks for `{path}`, and with this `response_format` an answer has nothing but records"))
            }
            Format::Xml => without_items(path),
            Format::Json => Ok(()),
        }
    }
}

fn without_items(path: &Path) -> Result<(), String> {
    match path.steps().iter().any(|step| matches!(step, Step::Item(_))) {
        true => Err(format!("has `{path}`, which counts, and elements of XML go by their names alone")),
        false => Ok(()),
    }
}

/// Records of a body, which are taken out in their order.
pub trait Records: Send {
    /// Adds records to a batch until it is full, or there are no more: then it says what the body was, and is not asked again.
    /// After an error it is not asked again either.
    fn read(&mut self, batch: &mut Batch) -> Result<Option<Envelope>, Unreadable>;

    /// What [`read`](Records::read) says in the end, asked of a body of which nothing was read yet.
    ///
    /// What is within a record need not be looked at closer than to find where it ends; then reading tells what is wrong there.
    fn look(&mut self) -> Result<Envelope, Unreadable> {
        read_through(self)
    }
}

/// What an answer's body is, without its records.
pub fn look(answer: &Answer, written: &Written, wanted: &Wanted) -> Result<Envelope, Unreadable> {
    of(Utf8::of(answer.body.reader()?, &answer.headers, written), written, wanted).look()
}

/// Looks at each record as closely as reading does, and keeps none. Of JSON: of other formats [`look`] does.
pub fn check(answer: &Answer, written: &Written, wanted: &Wanted) -> Result<(), Unreadable> {
    match written.format {
        Format::Json => {
            read_through(&mut *of(Utf8::of(answer.body.reader()?, &answer.headers, written), written, wanted)).map(drop)
        }
        Format::Lines | Format::Csv { .. } | Format::Xml => Ok(()),
    }
}

fn read_through(records: &mut (impl Records + ?Sized)) -> Result<Envelope, Unreadable> {
    let mut batch = Batch::new(1);
    loop {
        batch.clear();
        if let Some(envelope) = records.read(&mut batch)? {
            return Ok(envelope);
        }
    }
}

/// The records of an answer's body from its beginning on.
pub fn records(answer: Answer, written: &Written, wanted: &Wanted) -> Result<Box<dyn Records>, Unreadable> {
    let read: Box<dyn Read + Send> = match answer.body {
        Body::Memory(bytes) => Box::new(bytes.reader()),
        Body::File { mut file, .. } => {
            file.seek(SeekFrom::Start(0))?;
            Box::new(file)
        }
    };
    Ok(of(Utf8::of(read, &answer.headers, written), written, wanted))
}

fn of<'a>(text: Utf8<'a>, written: &Written, wanted: &Wanted) -> Box<dyn Records + 'a> {
    match written.format {
        Format::Json => Box::new(json::Reader::new(text, wanted)),
        Format::Lines => Box::new(lines::Reader::new(text, wanted)),
        Format::Csv { delimiter } => Box::new(csv::Reader::new(text, wanted, delimiter)),
        Format::Xml => Box::new(xml::Reader::new(text, wanted, &written.lists)),
    }
}

/// The next bytes; none at the end.
fn some<'a>(read: &mut impl Read, piece: &'a mut [u8]) -> io::Result<&'a [u8]> {
    loop {
        match read.read(piece) {
            Ok(length) => return Ok(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
