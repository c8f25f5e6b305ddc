//! Bytes as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Out;

/// How bytes become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// Two lower-case hexadecimal digits for each byte.
    Hex,
    /// RFC 4648, with padding.
    Base64,
}

impl Binary {
    pub fn write(self, out: &mut Out, bytes: &[u8]) {
        match self {
            Binary::Hex => hex(out, bytes),
            Binary::Base64 => base64(out, bytes),
        }
    }
}

const DIGITS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut index = 0;
    while index < pairs.len() {
        pairs[index] = [digits[index >> 4], digits[index & 15]];
        index += 1;
    }
    pairs
};

fn hex(out: &mut Out, bytes: &[u8]) {
    let room = out.room(bytes.len() * 2);
    for (pair, byte) in room.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = DIGITS[usize::from(*byte)];
    }
    out.advance(bytes.len() * 2);
}

fn base64(out: &mut Out, bytes: &[u8]) {
    let room = out.room(bytes.len().div_ceil(3) * 4);
    let length = STANDARD.encode_slice(bytes, room).expect("the room is as long as base64 with padding");
    out.advance(length);
}

/// `550e8400-e29b-41d4-a716-446655440000`.
pub fn uuid(out: &mut Out, bytes: &[u8; 16]) {
    let slot = out.slot::<36>();
    let mut at = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            slot[at] = b'-';
            at += 1;
        }
        slot[at..at + 2].copy_from_slice(&DIGITS[usize::from(*byte)]);
        at += 2;
    }
    out.advance(36);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Out)) -> String {
        let mut out = Out::default();
        write(&mut out);
        String::from_utf8(out.into_vec()).unwrap()
    }

    #[test]
    fn uuids_in_their_usual_form() {
        let bytes = *b"\x55\x0e\x84\x00\xe2\x9b\x41\xd4\xa7\x16\x44\x66\x55\x44\x00\x00";
        assert_eq!(text(|out| uuid(out, &bytes)), "550e8400-e29b-41d4-a716-446655440000");
    }

    proptest::proptest! {
        #[test]
        fn reads_back(bytes: Vec<u8>) {
            proptest::prop_assert_eq!(hex::decode(text(|out| Binary::Hex.write(out, &bytes))).unwrap(), bytes.clone());
            proptest::prop_assert_eq!(STANDARD.decode(text(|out| Binary::Base64.write(out, &bytes))).unwrap(), bytes);
        }
    }
}
