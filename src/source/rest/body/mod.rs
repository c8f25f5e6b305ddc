//! Bodies of answers: records in them, and what stands around the records.
//!
//! A body is read twice. [`look`] tells whether it is whole, what the values are that are asked for (a cursor, a code), and how many
//! records there are, at little more than the speed of memory; [`records`] makes documents of them, a batch at a time. Neither holds more than a
//! piece of the body, a batch and one record.

mod batch;
mod csv;
mod envelope;
mod fault;
mod field;
mod json;
mod lines;
mod path;
mod places;
#[cfg(test)]
mod tests;
mod xml;

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use bytes::Buf;

pub use self::batch::Batch;
pub use self::envelope::{Envelope, Found, Wanted, What};
pub use self::fault::{Fault, Unreadable, Wrong};
pub use self::field::text;
pub use self::path::{Path, Step};
use super::transport::Body;

/// A record with more bytes than this is refused.
pub const LARGEST_RECORD: usize = crate::source::documents::from_json::LARGEST;

/// So many bytes are read at once.
const PIECE: usize = 64 << 10;

/// How a body is written.
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
    /// Whether a body of this format can have what is looked for; if not, why.
    pub fn check(self, wanted: &Wanted) -> Result<(), String> {
        let has_item = |path: &Path| path.steps().iter().any(|step| matches!(step, Step::Item(_)));
        let is_root = wanted.records().steps().is_empty();
        match self {
            Format::Lines | Format::Csv { .. } if !is_root => Err(format!(
                "`{}` is no place in lines of records; leave it out, since each line is a record",
                wanted.records()
            )),
            Format::Lines | Format::Csv { .. } => match wanted.values().first() {
                Some(path) => Err(format!("nothing stands at `{path}` in lines of records")),
                None => Ok(()),
            },
            Format::Xml if is_root => Err("say which element of the XML is a record, such as `feed.entry`".to_owned()),
            Format::Xml => match std::iter::once(wanted.records()).chain(wanted.values()).find(|path| has_item(path)) {
                Some(path) => Err(format!("`{path}` counts, and elements of XML go by their names alone")),
                None => Ok(()),
            },
            Format::Json => Ok(()),
        }
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

/// What a body is, without its records.
pub fn look(body: &Body, format: Format, wanted: &Wanted) -> Result<Envelope, Unreadable> {
    of(body.reader()?, format, wanted).look()
}

/// Looks at each record as closely as reading does, and keeps none. Of JSON: of other formats [`look`] does.
pub fn check(body: &Body, format: Format, wanted: &Wanted) -> Result<(), Unreadable> {
    match format {
        Format::Json => read_through(&mut *of(body.reader()?, format, wanted)).map(drop),
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

/// The records of a body from its beginning on.
pub fn records(body: Body, format: Format, wanted: &Wanted) -> Result<Box<dyn Records>, Unreadable> {
    let read: Box<dyn Read + Send> = match body {
        Body::Memory(bytes) => Box::new(bytes.reader()),
        Body::File { mut file, .. } => {
            file.seek(SeekFrom::Start(0))?;
            Box::new(file)
        }
    };
    Ok(of(read, format, wanted))
}

fn of<'a>(read: Box<dyn Read + Send + 'a>, format: Format, wanted: &Wanted) -> Box<dyn Records + 'a> {
    match format {
        Format::Json => Box::new(json::Reader::new(read, wanted)),
        Format::Lines => Box::new(lines::Reader::new(read, wanted)),
        Format::Csv { delimiter } => Box::new(csv::Reader::new(read, wanted, delimiter)),
        Format::Xml => Box::new(xml::Reader::new(read, wanted)),
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
