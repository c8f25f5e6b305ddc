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
    #[inline]
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null | Value::Undefined)
    }
}

/// The bytes that say of what type a value is.
pub mod kind {
    pub const DOUBLE: u8 = 0x01;
    pub const TEXT: u8 = 0x02;
    pub const RECORD: u8 = 0x03;
    pub const LIST: u8 = 0x04;
    pub const BINARY: u8 = 0x05;
    pub const UNDEFINED: u8 = 0x06;
    pub const OBJECT_ID: u8 = 0x07;
    pub const BOOL: u8 = 0x08;
    pub const INSTANT: u8 = 0x09;
    pub const NULL: u8 = 0x0A;
    pub const REGEX: u8 = 0x0B;
    pub const POINTER: u8 = 0x0C;
    pub const CODE: u8 = 0x0D;
    pub const SYMBOL: u8 = 0x0E;
    pub const CODE_WITH_SCOPE: u8 = 0x0F;
    pub const INT32: u8 = 0x10;
    pub const TIMESTAMP: u8 = 0x11;
    pub const INT64: u8 = 0x12;
    pub const DECIMAL: u8 = 0x13;
    pub const MIN_KEY: u8 = 0xFF;
    pub const MAX_KEY: u8 = 0x7F;
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

/// A name that is looked for: most are compared as one number.
#[derive(Debug, Clone)]
pub struct Name {
    /// With the zero that stands behind it.
    bytes: Box<[u8]>,
    first: u128,
    mask: u128,
}

impl Name {
    const AT_ONCE: usize = 16;

    pub fn of(name: &[u8]) -> Self {
        let bytes: Box<[u8]> = name.iter().copied().chain([0]).collect();
        let (mut first, mut mask) = ([0; Self::AT_ONCE], [0; Self::AT_ONCE]);
        for (at, byte) in bytes.iter().take(Self::AT_ONCE).enumerate() {
            (first[at], mask[at]) = (*byte, 0xFF);
        }
        Self { bytes, first: u128::from_le_bytes(first), mask: u128::from_le_bytes(mask) }
    }
}

/// An element as it lies there.
pub struct Element<'a> {
    pub kind: u8,
    pub name: &'a [u8],
    pub value: Value<'a>,
    /// The value's.
    pub bytes: &'a [u8],
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
        match self.begin()? {
            Some((kind, name)) => Ok(Some((name, self.value(kind)?))),
            None => Ok(None),
        }
    }

    /// The type and the name of the next one; its value comes then.
    #[inline]
    pub fn begin(&mut self) -> Result<Option<(u8, &'a [u8])>, Torn> {
        let Some((&kind, rest)) = self.rest.split_first() else { return Ok(None) };
        let (name, rest) = until_zero(rest)?;
        self.rest = rest;
        Ok(Some((kind, name)))
    }

    /// The next one with its bytes.
    pub fn whole(&mut self) -> Result<Option<Element<'a>>, Torn> {
        let before = self.rest;
        let Some((name, value)) = self.advance()? else { return Ok(None) };
        let end = before.len() - self.rest.len();
        Ok(Some(Element { kind: before[0], name, value, bytes: &before[name.len() + 2..end] }))
    }

    /// Whether the next one has this name, if there is one; looks at no more of it.
    #[inline]
    pub fn is_next(&self, name: &Name) -> bool {
        let Some(named) = self.rest.get(1..) else { return false };
        match named.first_chunk() {
            Some(first) => {
                u128::from_le_bytes(*first) & name.mask == name.first
                    && (name.bytes.len() <= Name::AT_ONCE || named.starts_with(&name.bytes))
            }
            None => named.starts_with(&name.bytes),
        }
    }

    /// The type of the next one, after [`Elements::is_next`] has said that this is its name; its value comes then.
    #[inline]
    pub fn begin_named(&mut self, name: &Name) -> Result<u8, Torn> {
        let (&kind, rest) = self.rest.split_first().ok_or(Torn)?;
        self.rest = rest.get(name.bytes.len()..).ok_or(Torn)?;
        Ok(kind)
    }

    /// The value of that type, after what has told the type.
    #[inline]
    pub fn value(&mut self, of: u8) -> Result<Value<'a>, Torn> {
        Ok(match of {
            kind::DOUBLE => Value::Double(f64::from_le_bytes(self.fixed()?)),
            kind::TEXT => Value::Text(self.text()?),
            kind::RECORD => Value::Record(self.document()?),
            kind::LIST => Value::List(self.document()?),
            kind::BOOL => match self.fixed()? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return Err(Torn),
            },
            kind::OBJECT_ID => Value::ObjectId(self.fixed()?),
            kind::INSTANT => Value::Instant(i64::from_le_bytes(self.fixed()?)),
            kind::NULL => Value::Null,
            kind::INT32 => Value::Int32(i32::from_le_bytes(self.fixed()?)),
            kind::INT64 => Value::Int64(i64::from_le_bytes(self.fixed()?)),
            kind::DECIMAL => Value::Decimal(u128::from_le_bytes(self.fixed()?)),
            _ => return self.rare(of),
        })
    }

    #[cold]
    fn rare(&mut self, of: u8) -> Result<Value<'a>, Torn> {
        Ok(match of {
            kind::BINARY => self.binary()?,
            kind::UNDEFINED => Value::Undefined,
            kind::REGEX => Value::Regex { pattern: self.name()?, options: self.name()? },
            kind::POINTER => Value::Pointer { namespace: self.text()?, id: self.fixed()? },
            kind::CODE => Value::Code(self.text()?),
            kind::SYMBOL => Value::Symbol(self.text()?),
            kind::CODE_WITH_SCOPE => {
                let length = u32::from_le_bytes(self.fixed()?) as usize;
                let mut inner = Self { rest: self.take(length.checked_sub(4).ok_or(Torn)?)? };
                let (code, scope) = (inner.text()?, inner.document()?);
                if !inner.rest.is_empty() {
                    return Err(Torn);
                }
                Value::CodeWithScope { code, scope }
            }
            kind::TIMESTAMP => {
                let (ordinal, seconds) = (u32::from_le_bytes(self.fixed()?), u32::from_le_bytes(self.fixed()?));
                Value::Timestamp { seconds, ordinal }
            }
            kind::MIN_KEY => Value::MinKey,
            kind::MAX_KEY => Value::MaxKey,
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

    /// So many bytes of a value.
    #[inline]
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Torn> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Torn)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A text with its length before it, and a zero behind it.
    #[inline]
    pub fn text(&mut self) -> Result<&'a [u8], Torn> {
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
