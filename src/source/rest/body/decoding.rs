//! Bodies of other charsets as UTF-8, a piece at a time.

use std::io::{self, Read};
use std::ops::Range;

use encoding_rs::{Decoder, DecoderResult, Encoding};

use super::PIECE;
use super::fault::{Fault, Wrong};

/// What stands in place of bytes that are no text.
const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();

/// A body's text. Bytes that are none are an error with a [`Fault`] in it, by their place in the body; or U+FFFD, where they are mended.
pub struct Decoding<R> {
    read: R,
    decoder: Decoder,
    mends: bool,
    piece: Box<[u8]>,
    /// The bytes of the piece that are not decoded yet.
    left: Range<usize>,
    /// So many bytes of the body were decoded, or passed over.
    at: u64,
    text: Box<[u8]>,
    /// What of the text was not taken yet.
    ready: Range<usize>,
    /// All bytes were read, and all of them were decoded.
    is_read: bool,
    is_done: bool,
}

impl<R: Read> Decoding<R> {
    /// What is read begins behind the body's byte order mark, of so many bytes.
    pub fn new(read: R, (charset, mark): (&'static Encoding, usize), mends: bool) -> Self {
        Self {
            read,
            decoder: charset.new_decoder_without_bom_handling(),
            mends,
            piece: vec![0; PIECE].into(),
            left: 0..0,
            at: mark as u64,
            text: vec![0; PIECE].into(),
            ready: 0..0,
            is_read: false,
            is_done: false,
        }
    }

    /// Decodes more of the body; perhaps nothing comes of it yet.
    fn decode(&mut self) -> io::Result<()> {
        if self.left.is_empty() && !self.is_read {
            self.left = 0..super::some(&mut self.read, &mut self.piece)?.len();
            self.is_read = self.left.is_empty();
        }
        let (bytes, room) = (&self.piece[self.left.clone()], self.text.len() - REPLACEMENT.len());
        let (result, read, written) =
            self.decoder.decode_to_utf8_without_replacement(bytes, &mut self.text[..room], self.is_read);
        self.left.start += read;
        self.at += read as u64;
        self.ready = 0..written;
        match result {
            DecoderResult::InputEmpty => self.is_done = self.is_read,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) if self.mends => {
                self.ready.end += REPLACEMENT.len();
                self.text[written..self.ready.end].copy_from_slice(REPLACEMENT);
            }
            // Half a character.
            DecoderResult::Malformed(..) if self.is_read => {
                return Err(io::Error::other(Fault { wrong: Wrong::Truncated, at: self.at }));
            }
            DecoderResult::Malformed(length, behind) => {
                let at = self.at.saturating_sub(u64::from(length) + u64::from(behind));
                return Err(io::Error::other(Fault { wrong: Wrong::NotText(self.decoder.encoding().name()), at }));
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoding<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() && !self.is_done {
            self.decode()?;
        }
        let length = self.ready.len().min(into.len());
        into[..length].copy_from_slice(&self.text[self.ready.start..self.ready.start + length]);
        self.ready.start += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::charset::named;
    use super::super::tests::Slowly;
    use super::*;

    fn decoded(bytes: &[u8], charset: &str, mends: bool) -> Result<String, Fault> {
        let read = |read: &mut dyn Read| {
            let mut text = String::new();
            let mut decoding = Decoding::new(read, (named(charset).unwrap(), 0), mends);
            decoding.read_to_string(&mut text).map(|_| text).map_err(|error| Fault::within(&error).unwrap())
        };
        let whole = read(&mut &bytes[..]);
        assert_eq!(read(&mut Slowly(bytes)), whole);
        whole
    }

    fn utf_16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn what_is_no_text_is_told_by_its_place_or_mended() {
        let fault = |wrong, at| Err(Fault { wrong, at });
        assert_eq!(decoded(b"caf\xE9 \x80", "iso-8859-1", false).unwrap(), "café €");
        // Behind more than a piece of text.
        let long = [&b"\x82\xA0".repeat(PIECE)[..], b"a\x82\x01b"].concat();
        assert_eq!(decoded(&long, "shift_jis", false), fault(Wrong::NotText("Shift_JIS"), 2 * PIECE as u64 + 1));
        let mended = decoded(&long, "shift_jis", true).unwrap();
        assert_eq!(mended, format!("{}a\u{FFFD}\u{1}b", "あ".repeat(PIECE)));
        assert_eq!(decoded(b"a\xFFb", "utf-8", true).unwrap(), "a\u{FFFD}b");
        // Cut off within a character.
        assert_eq!(decoded(b"a\0b", "utf-16", false), fault(Wrong::Truncated, 3));
        assert_eq!(decoded(b"a\0b", "utf-16", true).unwrap(), "a\u{FFFD}");
        assert_eq!(decoded(b"a\x82", "shift_jis", false), fault(Wrong::Truncated, 2));
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in any::<String>()) {
            prop_assert_eq!(decoded(&utf_16(&text), "utf-16", false).unwrap(), text);
        }
    }
}
