//! Bodies as UTF-8.

use std::io::{self, Cursor, Read};

use encoding_rs::{Encoding, UTF_8};
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use super::charset::{self, HEAD};
use super::decoding::Decoding;
use super::{Format, Written};

/// A body's text. Its charset is found when it is first read, which may block as all reading does.
///
/// UTF-8 is passed on as it is, byte order mark and all: what is none in it is judged by whoever makes columns of it, but for XML, whose
/// reader takes nothing else.
pub struct Utf8<'a> {
    unread: Option<(Box<dyn Read + Send + 'a>, Said)>,
    text: Box<dyn Read + Send + 'a>,
}

/// What is said of a charset, but by the body itself.
struct Said {
    content_type: Option<String>,
    set: Option<&'static Encoding>,
    format: Format,
    mends: bool,
}

impl<'a> Utf8<'a> {
    /// Of a body's bytes, from its beginning on.
    pub fn of(read: Box<dyn Read + Send + 'a>, headers: &HeaderMap, written: &Written) -> Self {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let said = Said { content_type, set: written.charset, format: written.format, mends: written.mends };
        Self { unread: Some((read, said)), text: Box::new(io::empty()) }
    }
}

impl Said {
    fn text<'a>(&self, mut read: Box<dyn Read + Send + 'a>) -> io::Result<Box<dyn Read + Send + 'a>> {
        let mut head = Vec::with_capacity(HEAD);
        read.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
        let (charset, mark) = charset::of(&head, self.content_type.as_deref(), (self.format, self.set));
        let is_mended = self.mends && self.format == Format::Xml;
        if charset == UTF_8 && !is_mended {
            return Ok(Box::new(Cursor::new(head).chain(read)));
        }
        head.drain(..mark);
        Ok(Box::new(Decoding::new(Cursor::new(head).chain(read), (charset, mark), self.mends)))
    }
}

impl Read for Utf8<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Some((read, said)) = self.unread.take() {
            self.text = said.text(read)?;
        }
        self.text.read(into)
    }
}
