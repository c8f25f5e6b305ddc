//! BSON as it lies in memory: the elements of a document, one by one, borrowed. Nothing is read ahead, and nothing is checked
//! but lengths: texts are bytes until somebody needs them to be text.

/// One value of a document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    Double(f64),
    /// UTF-8, if whoever wrote it kept to the format.
    Text(&'a [u8]),
    /// A document.
    Record(&'a [u8]),
    /// A document too, whose names count.
    List(&'a [u8]),
    Bytes {
        subtype: u8,
        bytes: &'a [u8],
    },
    ObjectId([u8; 12]),
    Bool(bool),
    /// Milliseconds since 1970-01-01T00:00:00 UTC.
    Instant(i64),
    Null,
    /// Null, as it was once written.
    Undefined,
    Regex {
        pattern: &'a [u8],
        options: &'a [u8],
    },
    Pointer {
        namespace: &'a [u8],
        id: [u8; 12],
    },
    Code(&'a [u8]),
    Symbol(&'a [u8]),
    CodeWithScope {
        code: &'a [u8],
        scope: &'a [u8],
    },
    Int32(i32),
    /// The server's own, of its log.
    Timestamp {
        seconds: u32,
        ordinal: u32,
    },
    Int64(i64),
    /// IEEE 754-2008 in its binary form, as one number.
    Decimal(u128),
    MinKey,
    MaxKey,
}

impl Value<'_> {
    /// Whether it says that there is none.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null | Value::Undefined)
    }
}

/// The binary subtype of a UUID with its bytes in order.
pub const UUID: u8 = 4;
/// Of bytes that nobody has said more of.
pub const GENERIC: u8 = 0;
/// Of those, as they were once written: with their length once more.
const OLD: u8 = 2;

/// The bytes end before the document does, or are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn;

/// The elements of a document that are still to come.
#[derive(Debug, Clone, Copy)]
pub struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// Of bytes that are one document, and nothing else.
    pub fn of(document: &'a [u8]) -> Result<Self, Torn> {
        match document {
            [a, b, c, d, rest @ .., 0] if u32::from_le_bytes([*a, *b, *c, *d]) as usize == document.len() => {
                Ok(Self { rest })
            }
            _ => Err(Torn),
        }
    }

    /// The next one: its name and its value.
    #[inline]
    pub fn advance(&mut self) -> Result<Option<(&'a [u8], Value<'a>)>, Torn> {
        let Some((&kind, rest)) = self.rest.split_first() else { return Ok(None) };
        let (name, rest) = until_zero(rest)?;
        self.rest = rest;
        Ok(Some((name, self.value(kind)?)))
    }

    /// Whether the next one has this name, if there is one; looks at no more of it.
    #[inline]
    pub fn is_next(&self, name: &[u8]) -> bool {
        let named = self.rest.get(1..name.len() + 2);
        named.is_some_and(|named| named[..name.len()] == *name && named[name.len()] == 0)
    }

    /// The value of the next one, whose name is so long: after [`Elements::is_next`] has said so.
    #[inline]
    pub fn advance_named(&mut self, length: usize) -> Result<Value<'a>, Torn> {
        let (&kind, _) = self.rest.split_first().ok_or(Torn)?;
        self.rest = self.rest.get(length + 2..).ok_or(Torn)?;
        self.value(kind)
    }

    #[inline]
    fn value(&mut self, kind: u8) -> Result<Value<'a>, Torn> {
        Ok(match kind {
            0x01 => Value::Double(f64::from_le_bytes(self.fixed()?)),
            0x02 => Value::Text(self.text()?),
            0x03 => Value::Record(self.document()?),
            0x04 => Value::List(self.document()?),
            0x08 => match self.fixed()? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return Err(Torn),
            },
            0x07 => Value::ObjectId(self.fixed()?),
            0x09 => Value::Instant(i64::from_le_bytes(self.fixed()?)),
            0x0A => Value::Null,
            0x10 => Value::Int32(i32::from_le_bytes(self.fixed()?)),
            0x12 => Value::Int64(i64::from_le_bytes(self.fixed()?)),
            0x13 => Value::Decimal(u128::from_le_bytes(self.fixed()?)),
            _ => return self.rare(kind),
        })
    }

    #[cold]
    fn rare(&mut self, kind: u8) -> Result<Value<'a>, Torn> {
        Ok(match kind {
            0x05 => self.binary()?,
            0x06 => Value::Undefined,
            0x0B => Value::Regex { pattern: self.name()?, options: self.name()? },
            0x0C => Value::Pointer { namespace: self.text()?, id: self.fixed()? },
            0x0D => Value::Code(self.text()?),
            0x0E => Value::Symbol(self.text()?),
            0x0F => {
                let length = u32::from_le_bytes(self.fixed()?) as usize;
                let mut inner = Self { rest: self.take(length.checked_sub(4).ok_or(Torn)?)? };
                let (code, scope) = (inner.text()?, inner.document()?);
                if !inner.rest.is_empty() {
                    return Err(Torn);
                }
                Value::CodeWithScope { code, scope }
            }
            0x11 => {
                let (ordinal, seconds) = (u32::from_le_bytes(self.fixed()?), u32::from_le_bytes(self.fixed()?));
                Value::Timestamp { seconds, ordinal }
            }
            0xFF => Value::MinKey,
            0x7F => Value::MaxKey,
            _ => return Err(Torn),
        })
    }

    fn binary(&mut self) -> Result<Value<'a>, Torn> {
        let length = u32::from_le_bytes(self.fixed()?) as usize;
        let [subtype] = self.fixed()?;
        let bytes = self.take(length)?;
        match bytes {
            [a, b, c, d, inner @ ..]
                if subtype == OLD && u32::from_le_bytes([*a, *b, *c, *d]) as usize == inner.len() =>
            {
                Ok(Value::Bytes { subtype, bytes: inner })
            }
            _ if subtype == OLD => Err(Torn),
            _ => Ok(Value::Bytes { subtype, bytes }),
        }
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Torn> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Torn)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Torn> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Torn)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A text with its length before it, and a zero behind it.
    #[inline]
    fn text(&mut self) -> Result<&'a [u8], Torn> {
        let length = u32::from_le_bytes(self.fixed()?) as usize;
        match self.take(length)? {
            [text @ .., 0] => Ok(text),
            _ => Err(Torn),
        }
    }

    /// A text with nothing but a zero behind it.
    fn name(&mut self) -> Result<&'a [u8], Torn> {
        let (name, rest) = until_zero(self.rest)?;
        self.rest = rest;
        Ok(name)
    }

    #[inline]
    fn document(&mut self) -> Result<&'a [u8], Torn> {
        let length = self.rest.first_chunk().ok_or(Torn)?;
        let document = self.take(u32::from_le_bytes(*length) as usize)?;
        match document {
            [_, _, _, _, .., 0] => Ok(document),
            _ => Err(Torn),
        }
    }
}

#[inline]
fn until_zero(bytes: &[u8]) -> Result<(&[u8], &[u8]), Torn> {
    let end = bytes.iter().position(|&byte| byte == 0).ok_or(Torn)?;
    Ok((&bytes[..end], &bytes[end + 1..]))
}

/// The value of a document's own field.
pub fn field<'a>(document: &'a [u8], wanted: &str) -> Result<Option<Value<'a>>, Torn> {
    let mut elements = Elements::of(document)?;
    while let Some((name, value)) = elements.advance()? {
        if name == wanted.as_bytes() {
            return Ok(Some(value));
        }
    }
    Ok(None)
}
