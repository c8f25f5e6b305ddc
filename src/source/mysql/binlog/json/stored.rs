//! The stored form: a tree of offsets.

use super::super::bytes::{Bytes, Torn, little};
use super::scalar::Scalar;

/// Deeper than any server lets a document be.
const DEEPEST: usize = 128;
/// A document's text is at most so many times as long as its stored form, whose shortest entries are numbers: three bytes
/// that become eight with their comma. What is longer points to the same piece again and again, which no server does.
const LONGEST_TEXT: usize = 16;

/// A piece of a document.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    pub of: u8,
    pub bytes: &'a [u8],
}

/// What is in a piece.
#[derive(Debug, Clone, Copy)]
pub enum Opened<'a> {
    Scalar(Scalar<'a>),
    Array(Entries<'a>),
    Object(Entries<'a>),
}

/// The entries of an array or object, all of whose offsets count from the front.
#[derive(Debug, Clone, Copy)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    pub count: usize,
    /// How many bytes an offset has.
    width: usize,
    has_keys: bool,
}

/// Writes a document's text as the server does.
pub fn write(document: &[u8], out: &mut Vec<u8>) -> Result<(), Torn> {
    let limit = out.len() + document.len() * LONGEST_TEXT + LONGEST_TEXT;
    write_piece(root(document)?, 0, limit, out)
}

/// The whole of a document. One of no bytes at all is a null that the server let pass.
pub fn root(document: &[u8]) -> Result<Piece<'_>, Torn> {
    match document.split_first() {
        None => Ok(Piece { of: kind::LITERAL, bytes: &[0] }),
        Some((&of, bytes)) => Ok(Piece { of, bytes }),
    }
}

fn write_piece(piece: Piece<'_>, depth: usize, limit: usize, out: &mut Vec<u8>) -> Result<(), Torn> {
    if depth > DEEPEST || out.len() > limit {
        return Err(Torn);
    }
    match piece.open()? {
        Opened::Scalar(scalar) => scalar.write(out)?,
        Opened::Array(entries) => {
            out.push(b'[');
            for index in 0..entries.count {
                if index > 0 {
                    out.extend_from_slice(b", ");
                }
                write_piece(entries.value(index)?, depth + 1, limit, out)?;
            }
            out.push(b']');
        }
        Opened::Object(entries) => {
            out.push(b'{');
            for index in 0..entries.count {
                if index > 0 {
                    out.extend_from_slice(b", ");
                }
                Scalar::Text(entries.key(index)?).write(out)?;
                out.extend_from_slice(b": ");
                write_piece(entries.value(index)?, depth + 1, limit, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

mod kind {
    pub const SMALL_OBJECT: u8 = 0;
    pub const LARGE_OBJECT: u8 = 1;
    pub const SMALL_ARRAY: u8 = 2;
    pub const LARGE_ARRAY: u8 = 3;
    pub const LITERAL: u8 = 4;
    pub const INT16: u8 = 5;
    pub const UINT16: u8 = 6;
    pub const INT32: u8 = 7;
    pub const UINT32: u8 = 8;
    pub const INT64: u8 = 9;
    pub const UINT64: u8 = 10;
    pub const DOUBLE: u8 = 11;
    pub const STRING: u8 = 12;
    pub const OPAQUE: u8 = 15;
}

impl<'a> Piece<'a> {
    pub fn open(self) -> Result<Opened<'a>, Torn> {
        let mut bytes = Bytes(self.bytes);
        Ok(Opened::Scalar(match self.of {
            kind::SMALL_OBJECT | kind::LARGE_OBJECT => return self.entries(true).map(Opened::Object),
            kind::SMALL_ARRAY | kind::LARGE_ARRAY => return self.entries(false).map(Opened::Array),
            kind::LITERAL => match bytes.u8()? {
                0 => Scalar::Null,
                1 => Scalar::True,
                2 => Scalar::False,
                _ => return Err(Torn),
            },
            kind::INT16 => Scalar::Signed(i16::from_le_bytes(bytes.array()?).into()),
            kind::UINT16 => Scalar::Unsigned(bytes.u16()?.into()),
            kind::INT32 => Scalar::Signed(i32::from_le_bytes(bytes.array()?).into()),
            kind::UINT32 => Scalar::Unsigned(bytes.u32()?.into()),
            kind::INT64 => Scalar::Signed(i64::from_le_bytes(bytes.array()?)),
            kind::UINT64 => Scalar::Unsigned(bytes.u64()?),
            kind::DOUBLE => Scalar::Double(f64::from_le_bytes(bytes.array()?)),
            kind::STRING => Scalar::Text(text(&mut bytes)?),
            kind::OPAQUE => {
                let of = bytes.u8()?;
                Scalar::Opaque(of, text(&mut bytes)?)
            }
            _ => return Err(Torn),
        }))
    }

    fn entries(self, has_keys: bool) -> Result<Entries<'a>, Torn> {
        let width = if matches!(self.of, kind::LARGE_OBJECT | kind::LARGE_ARRAY) { 4 } else { 2 };
        let mut bytes = Bytes(self.bytes);
        let (count, size) = (bytes.number(width)? as usize, bytes.number(width)? as usize);
        let bytes = self.bytes.get(..size).ok_or(Torn)?;
        let entries = Entries { bytes, count, width, has_keys };
        // Whatever the count says, its entries are there.
        match entries.heads() <= size {
            true => Ok(entries),
            false => Err(Torn),
        }
    }
}

impl<'a> Entries<'a> {
    fn key_head(&self) -> usize {
        if self.has_keys { self.width + 2 } else { 0 }
    }

    /// Where the heads of all entries end.
    fn heads(&self) -> usize {
        let one = self.key_head() + 1 + self.width;
        self.count.saturating_mul(one).saturating_add(2 * self.width)
    }

    pub fn key(&self, index: usize) -> Result<&'a [u8], Torn> {
        let mut head = Bytes(self.bytes.get(2 * self.width + index * self.key_head()..).ok_or(Torn)?);
        let (offset, length) = (head.number(self.width)? as usize, usize::from(head.u16()?));
        self.bytes.get(offset..).and_then(|key| key.get(..length)).ok_or(Torn)
    }

    pub fn value(&self, index: usize) -> Result<Piece<'a>, Torn> {
        let at = 2 * self.width + self.count * self.key_head() + index * (1 + self.width);
        let (&of, head) = self.bytes.get(at..).and_then(<[u8]>::split_first).ok_or(Torn)?;
        let head = head.get(..self.width).ok_or(Torn)?;
        // What is short enough stands in place of its offset.
        let is_inline = match of {
            kind::LITERAL | kind::INT16 | kind::UINT16 => true,
            kind::INT32 | kind::UINT32 => self.width == 4,
            _ => false,
        };
        match is_inline {
            true => Ok(Piece { of, bytes: head }),
            false => Ok(Piece { of, bytes: self.bytes.get(little(head) as usize..).ok_or(Torn)? }),
        }
    }
}

/// Bytes behind their length, which goes on as long as the highest bit is set.
fn text<'a>(bytes: &mut Bytes<'a>) -> Result<&'a [u8], Torn> {
    let mut length = 0u64;
    for shift in (0..35).step_by(7) {
        let byte = bytes.u8()?;
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return bytes.take_long(length);
        }
    }
    Err(Torn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(hex: &str) -> Result<String, Torn> {
        let mut out = Vec::new();
        write(&hex::decode(hex.replace(' ', "")).unwrap(), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn writes_documents() {
        // {"a": 1, "bc": [true, null, -2]}
        let document = "00 0200 2700 1200 0100 1300 0200 05 0100 02 1500  61 6263 0300 0d00 04 0100 04 0000 05 feff";
        let length = document.replace(' ', "").len() / 2 - 1;
        let document = document.replacen("2700", &hex::encode((length as u16).to_le_bytes()), 1);
        assert_eq!(written(&document).unwrap(), r#"{"a": 1, "bc": [true, null, -2]}"#);
        assert_eq!(written("0c 03 22 0a"), Err(Torn));
        assert_eq!(written("0c 03 22 0a 61").unwrap(), r#""\"\na""#);
        assert_eq!(written("").unwrap(), "null");
    }

    #[test]
    fn pieces_that_point_to_each_other_end() {
        // An array whose only entry is itself, and one of many entries that are all the same array.
        assert_eq!(written("02 0100 0700 02 0000"), Err(Torn));
        let mut wide = vec![2, 255, 0, 0x01, 0x03];
        (0..255).for_each(|_| wide.extend([2, 0, 0]));
        assert!(write(&wide, &mut Vec::new()).is_err());
    }
}
