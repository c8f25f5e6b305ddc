//! BSON of JSON texts, one after the other, as APIs send them: plain JSON, with numbers that are exact. [`write`](super::write) knows
//! Extended JSON too, and is for single texts.
//!
//! - Numbers are the smallest of int32, int64, double, Decimal128 that holds them exactly, and else the text that they are; a double
//!   is exact too where it was written with up to 17 digits ([`number`]).
//! - Names that an object has twice stay twice: readers of documents take the first. To take the last, as many parsers do, every object's
//!   names would have to be compared.
//! - Texts are taken as they are, UTF-8 or not, and half a surrogate pair becomes the three bytes that it would have in UTF-8, which are
//!   none. What becomes of either is what [`InvalidText`](super::InvalidText) says: an error, where nothing is set.
//! - What is no object becomes one: `7` is `{"value": 7}`.

mod number;
mod text;
#[cfg(test)]
pub mod tree;

pub use self::text::{decoded, plain};
use super::bson::kind;
use super::json::DEEPEST;
use super::write;

/// Why a text is no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It ends before its value does.
    Ended,
    /// No JSON goes on so.
    Unexpected,
    /// Objects and lists lie deeper in one another than [`DEEPEST`].
    Deep,
    /// A name has a zero in it, with which names end in BSON.
    Name,
    /// It is longer than [`LARGEST`].
    Large,
}

/// What is wrong, and at which byte of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub wrong: Wrong,
    pub at: usize,
}

/// A longer text is refused: the BSON of a list is up to eight times as long, and its lengths are of 31 bits.
pub const LARGEST: usize = 1 << 26;

/// The name that a value has which is a document by itself.
pub const VALUE: &str = "value";

/// Makes documents. What it needs meanwhile it keeps from text to text.
#[derive(Debug, Default)]
pub struct Converter {
    open: Vec<Open>,
    /// How many documents may be open at once.
    room: usize,
}

/// A document that is being written.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Where it begins.
    at: usize,
    /// How many items it has, where it is a list.
    items: Option<u32>,
}

impl Converter {
    /// Adds the document that a text of JSON is. After an error `out` is as it was.
    pub fn add(&mut self, out: &mut Vec<u8>, json: &[u8]) -> Result<(), Fault> {
        if json.len() > LARGEST {
            return Err(Fault { wrong: Wrong::Large, at: LARGEST });
        }
        let begun = out.len();
        let mut text = Text { json, at: 0 };
        let result = self.document(out, &mut text);
        if result.is_err() {
            out.truncate(begun);
        }
        result.map_err(|wrong| Fault { wrong, at: text.at })
    }

    fn document(&mut self, out: &mut Vec<u8>, text: &mut Text<'_>) -> Result<(), Wrong> {
        self.open.clear();
        self.room = DEEPEST;
        match text.visible()? {
            b'{' => {
                text.at += 1;
                self.begin(out, None)?;
                self.rest(out, text, b'}')?;
            }
            _ => {
                self.room -= 1;
                let at = write::begin(out);
                let of = out.len();
                out.push(0);
                out.extend_from_slice(VALUE.as_bytes());
                out.push(0);
                self.value(out, text, of)?;
                write::end(out, at);
            }
        }
        match text.visible() {
            Err(Wrong::Ended) => Ok(()),
            _ => Err(Wrong::Unexpected),
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>, items: Option<u32>) -> Result<(), Wrong> {
        if self.open.len() == self.room {
            return Err(Wrong::Deep);
        }
        self.open.push(Open { at: write::begin(out), items });
        Ok(())
    }

    /// A value with all that is in it. Its type goes to `of`.
    fn value(&mut self, out: &mut Vec<u8>, text: &mut Text<'_>, of: usize) -> Result<(), Wrong> {
        match self.next(out, text, of)? {
            Some(end) => self.rest(out, text, end),
            None => Ok(()),
        }
    }

    /// A value, or the beginning of one: then the byte that ends it.
    #[inline]
    fn next(&mut self, out: &mut Vec<u8>, text: &mut Text<'_>, of: usize) -> Result<Option<u8>, Wrong> {
        out[of] = match text.visible()? {
            b'"' => {
                text.at += 1;
                self::text::string(out, text)?;
                kind::TEXT
            }
            b'{' => {
                text.at += 1;
                self.begin(out, None)?;
                out[of] = kind::RECORD;
                return Ok(Some(b'}'));
            }
            b'[' => {
                text.at += 1;
                self.begin(out, Some(0))?;
                out[of] = kind::LIST;
                return Ok(Some(b']'));
            }
            b't' => {
                text.literal(b"true")?;
                out.push(1);
                kind::BOOL
            }
            b'f' => {
                text.literal(b"false")?;
                out.push(0);
                kind::BOOL
            }
            b'n' => {
                text.literal(b"null")?;
                kind::NULL
            }
            _ => self::number::number(out, text)?,
        };
        Ok(None)
    }

    /// What is in the innermost document and behind it, until all are closed.
    fn rest(&mut self, out: &mut Vec<u8>, text: &mut Text<'_>, mut end: u8) -> Result<(), Wrong> {
        let mut is_first = true;
        while let Some(open) = self.open.last_mut() {
            let byte = text.visible()?;
            if byte == end {
                text.at += 1;
                write::end(out, open.at);
                self.open.pop();
                is_first = false;
                end = match self.open.last() {
                    Some(Open { items: Some(_), .. }) => b']',
                    _ => b'}',
                };
                continue;
            }
            if !std::mem::take(&mut is_first) {
                if byte != b',' {
                    return Err(Wrong::Unexpected);
                }
                text.at += 1;
            }
            let of = out.len();
            out.push(0);
            match &mut open.items {
                Some(items) => {
                    out.extend_from_slice(itoa::Buffer::new().format(*items).as_bytes());
                    *items += 1;
                }
                None => name(out, text)?,
            }
            out.push(0);
            if let Some(inner) = self.next(out, text, of)? {
                (end, is_first) = (inner, true);
            }
        }
        Ok(())
    }
}

/// A member's name, and the colon behind it.
#[inline]
fn name(out: &mut Vec<u8>, text: &mut Text<'_>) -> Result<(), Wrong> {
    if text.visible()? != b'"' {
        return Err(Wrong::Unexpected);
    }
    text.at += 1;
    self::text::name(out, text)?;
    if text.visible()? != b':' {
        return Err(Wrong::Unexpected);
    }
    text.at += 1;
    Ok(())
}

/// A text that is being read.
struct Text<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Text<'a> {
    /// The next byte that is no white space.
    #[inline]
    fn visible(&mut self) -> Result<u8, Wrong> {
        loop {
            match self.json.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(Wrong::Ended),
            }
        }
    }

    fn rest(&self) -> &'a [u8] {
        &self.json[self.at..]
    }

    #[inline]
    fn literal(&mut self, literal: &[u8]) -> Result<(), Wrong> {
        if self.rest().starts_with(literal) {
            self.at += literal.len();
            return Ok(());
        }
        let same = self.rest().iter().zip(literal).take_while(|(a, b)| a == b).count();
        self.at += same;
        Err(if self.rest().is_empty() { Wrong::Ended } else { Wrong::Unexpected })
    }
}

#[cfg(test)]
mod tests;
