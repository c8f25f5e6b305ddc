//! Strings of JSON.

use super::super::write;
use super::{Text, Wrong};

/// How many bytes stand before the first quote, backslash or control character.
#[inline]
pub fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let (eights, rest) = bytes.as_chunks::<8>();
    for (at, eight) in eights.iter().enumerate() {
        let word = u64::from_le_bytes(*eight);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        // A byte is told wrong only behind one that is told right: the first is right.
        let stops =
            (has_zero(word ^ (ONES * u64::from(b'"'))) | has_zero(word ^ (ONES * u64::from(b'\\'))) | control) & HIGH;
        if stops != 0 {
            return at * 8 + stops.trailing_zeros() as usize / 8;
        }
    }
    let is_stop = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    bytes.len() - rest.len() + rest.iter().position(is_stop).unwrap_or(rest.len())
}

/// A text of BSON from behind the opening quote.
#[inline]
pub(super) fn string(out: &mut Vec<u8>, text: &mut Text<'_>) -> Result<(), Wrong> {
    let at = write::begin(out);
    unescaped(out, text, false)?;
    out.push(0);
    // The length does not count itself.
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// A name of BSON from behind the opening quote, without the zero at its end.
#[inline]
pub(super) fn name(out: &mut Vec<u8>, text: &mut Text<'_>) -> Result<(), Wrong> {
    unescaped(out, text, true)
}

/// What stands between the quotes of a string, without escapes; `None` where it cannot stand there.
pub fn decoded(between: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(between.len());
    let mut text = Text { json: between, at: 0 };
    // There is no quote at its end.
    match unescaped(&mut out, &mut text, false) {
        Err(Wrong::Ended) if text.at == between.len() => Some(out),
        _ => None,
    }
}

#[inline]
fn unescaped(out: &mut Vec<u8>, text: &mut Text<'_>, is_name: bool) -> Result<(), Wrong> {
    loop {
        let rest = text.rest();
        let length = plain(rest);
        out.extend_from_slice(&rest[..length]);
        text.at += length;
        match rest.get(length) {
            None => return Err(Wrong::Ended),
            Some(b'"') => {
                text.at += 1;
                return Ok(());
            }
            Some(b'\\') => escape(out, text, is_name)?,
            Some(_) => return Err(Wrong::Unexpected),
        }
    }
}

fn escape(out: &mut Vec<u8>, text: &mut Text<'_>, is_name: bool) -> Result<(), Wrong> {
    let begun = text.at;
    text.at += 1;
    let byte = match text.rest().first().ok_or(Wrong::Ended)? {
        byte @ (b'"' | b'\\' | b'/') => *byte,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            text.at += 1;
            let unit = unit(text)?;
            if unit == 0 && is_name {
                text.at = begun;
                return Err(Wrong::Name);
            }
            character(out, text, unit);
            return Ok(());
        }
        _ => return Err(Wrong::Unexpected),
    };
    text.at += 1;
    out.push(byte);
    Ok(())
}

/// The four digits of a unit of UTF-16.
fn unit(text: &mut Text<'_>) -> Result<u16, Wrong> {
    let mut unit = 0;
    for _ in 0..4 {
        let byte = *text.rest().first().ok_or(Wrong::Ended)?;
        let digit = char::from(byte).to_digit(16).ok_or(Wrong::Unexpected)?;
        text.at += 1;
        unit = unit << 4 | digit as u16;
    }
    Ok(unit)
}

/// A unit, with the second one of its pair if that follows.
fn character(out: &mut Vec<u8>, text: &mut Text<'_>, unit: u16) {
    if let 0xD800..=0xDBFF = unit
        && text.rest().starts_with(b"\\u")
    {
        let mut ahead = Text { json: text.json, at: text.at + 2 };
        if let Ok(second @ 0xDC00..=0xDFFF) = self::unit(&mut ahead) {
            let code = 0x1_0000 + ((u32::from(unit) & 0x3FF) << 10 | u32::from(second) & 0x3FF);
            text.at = ahead.at;
            let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return;
        }
    }
    match char::from_u32(unit.into()) {
        Some(character) => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.extend_from_slice(&[0xED, 0x80 | (unit >> 6 & 0x3F) as u8, 0x80 | (unit & 0x3F) as u8]),
    }
}
