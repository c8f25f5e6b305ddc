//! Strings, numbers and words of JSON, checked byte by byte, since any of them may come in pieces.

use crate::source::documents::from_json;

/// No JSON goes on so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Unexpected,
    NotText,
}

/// A string behind its opening quote.
#[derive(Debug, Clone, Copy, Default)]
pub struct Text {
    escape: Escape,
    character: Character,
}

#[derive(Debug, Clone, Copy, Default)]
enum Escape {
    #[default]
    None,
    Begun,
    /// So many digits are still to come.
    Digits(u8),
}

impl Text {
    /// Goes over bytes from `at` on: to the closing quote, or to their end (`None`). An error leaves `at` where it is.
    pub fn run(&mut self, bytes: &[u8], at: &mut usize) -> Result<Option<usize>, Refused> {
        while let Some(byte) = bytes.get(*at) {
            match self.escape {
                Escape::None => {
                    let plain = from_json::plain(&bytes[*at..]);
                    let chunk = &bytes[*at..*at + plain];
                    if !(chunk.is_ascii() && self.character.is_whole()) {
                        for byte in chunk {
                            self.character.push(*byte)?;
                            *at += 1;
                        }
                    } else {
                        *at += plain;
                    }
                    let Some(stop) = bytes.get(*at) else { break };
                    if !self.character.is_whole() {
                        return Err(Refused::NotText);
                    }
                    match stop {
                        b'"' => return Ok(Some(*at)),
                        b'\\' => self.escape = Escape::Begun,
                        _ => return Err(Refused::Unexpected),
                    }
                }
                Escape::Begun => match byte {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.escape = Escape::None,
                    b'u' => self.escape = Escape::Digits(4),
                    _ => return Err(Refused::Unexpected),
                },
                Escape::Digits(left) if byte.is_ascii_hexdigit() => {
                    self.escape = if left == 1 { Escape::None } else { Escape::Digits(left - 1) };
                }
                Escape::Digits(_) => return Err(Refused::Unexpected),
            }
            *at += 1;
        }
        Ok(None)
    }
}

/// A character of UTF-8 that has begun.
#[derive(Debug, Clone, Copy, Default)]
struct Character {
    /// So many bytes of it are still to come.
    left: u8,
    /// The next one is of these.
    low: u8,
    high: u8,
}

impl Character {
    fn is_whole(self) -> bool {
        self.left == 0
    }

    fn push(&mut self, byte: u8) -> Result<(), Refused> {
        let (left, low, high) = match (self.left, byte) {
            (0, ..0x80) => (0, 0, 0),
            (0, 0xC2..=0xDF) => (1, 0x80, 0xBF),
            (0, 0xE0) => (2, 0xA0, 0xBF),
            (0, 0xED) => (2, 0x80, 0x9F),
            (0, 0xE1..=0xEF) => (2, 0x80, 0xBF),
            (0, 0xF0) => (3, 0x90, 0xBF),
            (0, 0xF1..=0xF3) => (3, 0x80, 0xBF),
            (0, 0xF4) => (3, 0x80, 0x8F),
            (1.., _) if (self.low..=self.high).contains(&byte) => (self.left - 1, 0x80, 0xBF),
            _ => return Err(Refused::NotText),
        };
        *self = Self { left, low, high };
        Ok(())
    }
}

/// How far a number has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    Minus,
    /// A zero, behind which no digit stands.
    Zero,
    Whole,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

impl Number {
    /// `None` where no number begins so.
    pub fn begun(byte: u8) -> Option<Self> {
        match byte {
            b'-' => Some(Number::Minus),
            b'0' => Some(Number::Zero),
            b'1'..=b'9' => Some(Number::Whole),
            _ => None,
        }
    }

    /// `None` where it does not go on so.
    pub fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Number::Minus, b'0') => Number::Zero,
            (Number::Minus, b'1'..=b'9') | (Number::Whole, b'0'..=b'9') => Number::Whole,
            (Number::Zero | Number::Whole, b'.') => Number::Point,
            (Number::Point | Number::Fraction, b'0'..=b'9') => Number::Fraction,
            (Number::Zero | Number::Whole | Number::Fraction, b'e' | b'E') => Number::E,
            (Number::E, b'+' | b'-') => Number::Sign,
            (Number::E | Number::Sign | Number::Exponent, b'0'..=b'9') => Number::Exponent,
            _ => return None,
        })
    }

    /// Whether it may end here.
    pub fn is_whole(self) -> bool {
        matches!(self, Number::Zero | Number::Whole | Number::Fraction | Number::Exponent)
    }
}

/// A word that has begun.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    pub of: &'static [u8],
    pub come: usize,
}

impl Word {
    /// `None` where no word begins so.
    pub fn begun(byte: u8) -> Option<Self> {
        let of: &[u8] = match byte {
            b't' => b"true",
            b'f' => b"false",
            b'n' => b"null",
            _ => return None,
        };
        Some(Self { of, come: 0 })
    }
}
