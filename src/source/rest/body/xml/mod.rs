//! Bodies of XML: each element at a path is a record, all of its values texts ([`element`]). Names are as they are written, with
//! their prefixes.

mod bounded;
mod element;
#[cfg(test)]
mod tests;

use std::io::{BufReader, Read};

use quick_xml::encoding::EncodingError;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Error, XmlVersion};

use self::bounded::Bounded;
use self::element::Element;
use super::batch::Batch;
use super::envelope::{Envelope, Found, Wanted, What};
use super::fault::{Fault, MOST_DEPTH, Unreadable, Wrong};
use super::path::{Path, Step};
use super::places::{Places, Ways};
use super::{PIECE, Records};

/// A record of more bytes is refused: it is held with all its elements, which take many times as much.
const LARGEST: usize = 8 << 20;

/// More elements in one another are refused: where they are repeated, each is a list and a record.
const DEEPEST: usize = MOST_DEPTH / 2;

/// Records of XML.
pub struct Reader<R> {
    xml: quick_xml::Reader<BufReader<Bounded<R>>>,
    buffer: Vec<u8>,
    places: Places,
    /// How many steps it is to a record.
    steps: usize,
    /// The body may be XHTML.
    is_html: bool,
    /// Elements of a record that are lists, by their paths in it.
    lists: Vec<Path>,
    /// Elements that are open.
    open: Vec<Open>,
    /// Those of them that are in a record, the record's first.
    record: Vec<Element>,
    /// Where the record begins.
    begun: u64,
    /// There has been an element, or something that only XML has.
    has_root: bool,
    has_begun: bool,
    envelope: Envelope,
}

/// An element that is open.
struct Open {
    /// Those that lead to it, or through it.
    ways: Ways,
    /// Values that it is, and its text for them.
    found: Ways,
    text: String,
    has_elements: bool,
    /// Records may be its children.
    is_list: bool,
}

impl<R: Read> Reader<R> {
    pub fn new(read: R, wanted: &Wanted, lists: &[Path]) -> Self {
        let bounded = Bounded::new(read, LARGEST as u64 + PIECE as u64);
        let mut xml = quick_xml::Reader::from_reader(BufReader::with_capacity(PIECE, bounded));
        xml.config_mut().expand_empty_elements = true;
        let steps = wanted.records().steps();
        Self {
            xml,
            buffer: Vec::new(),
            places: Places::of(wanted),
            steps: steps.len(),
            is_html: matches!(steps.first(), Some(Step::Name(name)) if name.eq_ignore_ascii_case("html")),
            lists: lists.to_vec(),
            open: Vec::new(),
            record: Vec::new(),
            begun: 0,
            has_root: false,
            has_begun: false,
            envelope: Envelope::without_values(What::Absent, 0, wanted.values().len()),
        }
    }

    /// What the next event does; whether it is the last one.
    fn step(&mut self, batch: &mut Batch) -> Result<bool, Unreadable> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let before = self.xml.buffer_position();
        let event = self.xml.read_event_into(&mut buffer);
        let result = match event {
            Ok(event) => self.event(batch, event, before).map_err(|wrong| Fault { wrong, at: before }.into()),
            Err(error) => Err(self.unreadable(error, before)),
        };
        self.buffer = buffer;
        self.xml.get_mut().get_mut().go_on();
        let is_large = !self.record.is_empty() && self.xml.buffer_position() - self.begun > LARGEST as u64;
        match is_large {
            true => Err(Fault { wrong: Wrong::Large(LARGEST), at: self.begun }.into()),
            false => result,
        }
    }

    fn event(&mut self, batch: &mut Batch, event: Event<'_>, at: u64) -> Result<bool, Wrong> {
        match event {
            Event::Start(start) => self.start(&start, at)?,
            Event::End(_) => self.end(batch),
            Event::Text(text) => self.text(&text.xml10_content())?,
            Event::CData(text) if self.open.is_empty() => self.text(&text).and(Err(Wrong::Unexpected))?,
            Event::CData(text) => self.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => {
                let c = character(&reference).filter(|_| !self.open.is_empty()).ok_or(Wrong::Unexpected)?;
                self.text(c.encode_utf8(&mut [0; 4]))?;
            }
            Event::DocType(kind) => {
                let is_html = kind.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("html"));
                if is_html && !self.is_html {
                    return Err(Wrong::Html);
                }
                self.has_begun = true;
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => self.has_begun = true,
            // There are none, since they are expanded.
            Event::Empty(_) => return Err(Wrong::Unexpected),
            Event::Eof => {
                if !self.open.is_empty() || self.has_begun && !self.has_root {
                    return Err(Wrong::Truncated);
                }
                if !self.has_root {
                    self.envelope.what = What::Empty;
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn start(&mut self, start: &BytesStart<'_>, at: u64) -> Result<(), Wrong> {
        let (name, depth) = (start.name().0, self.open.len());
        match self.open.last_mut() {
            Some(parent) => parent.has_elements = true,
            None if self.has_root => return Err(Wrong::Trailing),
            None if name.eq_ignore_ascii_case("html") && !self.is_html => return Err(Wrong::Html),
            None => self.has_root = true,
        }
        if depth == DEEPEST {
            return Err(Wrong::Deep);
        }
        let ways = self.open.last().map_or(self.places.root(), |open| open.ways);
        let ways = self.places.member(ways, depth, Some(name.as_bytes()));
        let found = self.places.ending(ways, depth + 1);
        let is_list = ways.has(Ways::RECORDS) && depth + 2 >= self.steps;
        let is_record = found.has(Ways::RECORDS);
        if is_record {
            self.begun = at;
            self.envelope.what = What::Records;
        }
        let mut attributes = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| Wrong::Unexpected)?;
            let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|_| Wrong::Unexpected)?;
            if !ways.is_none() {
                let at = self.places.member(ways, depth + 1, Some(format!("@{}", attribute.key.0).as_bytes()));
                for place in self.places.ending(at, depth + 2).values() {
                    self.envelope.fill(place, || Found::Text(value.clone().into_owned()));
                }
            }
            if is_record || !self.record.is_empty() {
                attributes.push((attribute.key.0.to_owned(), value.into_owned()));
            }
        }
        if is_record || !self.record.is_empty() {
            self.record.push(Element { name: name.to_owned(), attributes, ..Element::default() });
        }
        self.open.push(Open {
            ways,
            found: found.without(Ways::RECORDS),
            text: String::new(),
            has_elements: false,
            is_list,
        });
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Wrong> {
        let Some(open) = self.open.last_mut() else {
            return match text.trim_start_matches('\u{FEFF}').trim_ascii().is_empty() {
                true => Ok(()),
                false => Err(if self.has_root { Wrong::Trailing } else { Wrong::Other }),
            };
        };
        if !open.found.is_none() {
            if open.text.len() + text.len() > LARGEST {
                return Err(Wrong::Large(LARGEST));
            }
            open.text.push_str(text);
        }
        if let Some(element) = self.record.last_mut() {
            element.text.push_str(text);
        }
        Ok(())
    }

    fn end(&mut self, batch: &mut Batch) {
        let Some(open) = self.open.pop() else { return };
        // A list without records is nothing but the element around them; one with other elements may be an error.
        if open.is_list && !open.has_elements {
            self.envelope.what = What::Records;
        }
        for place in open.found.values() {
            self.envelope.fill(place, || match open.has_elements {
                true => Found::Nested,
                false if open.text.trim_ascii().is_empty() => Found::Null,
                false => Found::Text(open.text.clone()),
            });
        }
        let Some(element) = self.record.pop() else { return };
        match self.record.last_mut() {
            Some(parent) => parent.elements.push(element),
            None => {
                let lists: Vec<_> = self.lists.iter().map(Path::steps).collect();
                element.document(&mut batch.bytes, &lists);
                batch.end();
                self.envelope.records += 1;
            }
        }
    }

    /// Why an event that begins there is none.
    fn unreadable(&self, error: Error, begun: u64) -> Unreadable {
        let bounded = self.xml.get_ref().get_ref();
        let mut at = self.xml.error_position();
        let wrong = match error {
            Error::Io(_) if bounded.is_over() => Wrong::Large(LARGEST),
            Error::Io(error) => match Fault::within(&error) {
                Some(fault) => return fault.into(),
                None => return Unreadable::File(std::io::Error::new(error.kind(), error.to_string())),
            },
            Error::Syntax(_) | Error::IllFormed(quick_xml::errors::IllFormedError::UnclosedReference)
                if bounded.is_at_end() =>
            {
                Wrong::Truncated
            }
            Error::Encoding(EncodingError::Utf8(error)) => {
                at = begun + error.valid_up_to() as u64;
                // Half a character at the end.
                match bounded.is_at_end() && error.error_len().is_none() {
                    true => Wrong::Truncated,
                    false => Wrong::NotText("UTF-8"),
                }
            }
            _ => Wrong::Unexpected,
        };
        Fault { wrong, at }.into()
    }
}

/// The character that a reference is: other entities than XML's own are not known.
fn character(reference: &BytesRef<'_>) -> Option<char> {
    match &**reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => reference.resolve_char_ref().ok().flatten(),
    }
}

impl<R: Read + Send> Records for Reader<R> {
    fn read(&mut self, batch: &mut Batch) -> Result<Option<Envelope>, Unreadable> {
        while !batch.is_full() {
            if self.step(batch)? {
                return Ok(Some(self.envelope.clone()));
            }
        }
        Ok(None)
    }
}
