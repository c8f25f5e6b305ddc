//! Text under construction.

/// Slices up to this length are copied whole, which is one copy of constant size.
const SHORT: usize = 32;

/// Text that grows at its end, with room ahead.
///
/// The room holds zeros, so that a value of bounded length is written by one copy of constant size and cut to its
/// length by moving the end. That saves the call and the branches of a copy whose length is known only at run time:
/// measured, a quarter to a third of the time of writing a row (docs/adr/0001-typed-text-writers.md).
#[derive(Debug, Default)]
pub struct Out {
    bytes: Vec<u8>,
    end: usize,
}

impl Out {
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity], end: 0 }
    }

    pub fn len(&self) -> usize {
        self.end
    }

    /// The memory it holds, room included.
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.end]
    }

    pub fn clear(&mut self) {
        self.end = 0;
    }

    /// The text alone, without the room.
    pub fn into_vec(mut self) -> Vec<u8> {
        self.bytes.truncate(self.end);
        self.bytes.shrink_to_fit();
        self.bytes
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, more: usize) {
        let length = (self.bytes.len() * 2).max(self.end + more).max(1024);
        self.bytes.resize(length, 0);
    }

    #[inline]
    fn reserve(&mut self, more: usize) {
        if self.bytes.len() - self.end < more {
            self.grow(more);
        }
    }

    /// Room for `length` bytes behind the end: what is written there counts after [`Out::advance`].
    #[inline]
    pub fn room(&mut self, length: usize) -> &mut [u8] {
        self.reserve(length);
        &mut self.bytes[self.end..self.end + length]
    }

    /// As [`Out::room`], of a length known when compiled.
    #[inline]
    pub fn slot<const N: usize>(&mut self) -> &mut [u8; N] {
        self.reserve(N);
        self.bytes[self.end..].first_chunk_mut().expect("room was made just now")
    }

    /// Moves the end behind what was written into the room: no further than that room was long.
    #[inline]
    pub fn advance(&mut self, length: usize) {
        self.end += length;
    }

    #[inline]
    pub fn push(&mut self, byte: u8) {
        *self.slot() = [byte];
        self.end += 1;
    }

    #[inline]
    pub fn fixed<const N: usize>(&mut self, text: &[u8; N]) {
        *self.slot() = *text;
        self.end += N;
    }

    #[inline]
    pub fn slice(&mut self, text: &[u8]) {
        self.room(text.len()).copy_from_slice(text);
        self.end += text.len();
    }

    /// Appends `all[from..to]`. Faster than [`Out::slice`] for short texts with something behind them.
    #[inline]
    pub fn part(&mut self, all: &[u8], from: usize, to: usize) {
        if to - from <= SHORT
            && let Some(chunk) = all[from..].first_chunk::<SHORT>()
        {
            *self.slot() = *chunk;
            self.end += to - from;
        } else {
            self.slice(&all[from..to]);
        }
    }

    /// What was written since the text was `start` long.
    pub fn since(&self, start: usize) -> &[u8] {
        &self.bytes[start..self.end]
    }

    /// Puts quotes around what was written since the text was `start` long, and doubles those in it.
    pub fn quote_since(&mut self, start: usize) {
        let inner = self.since(start).iter().filter(|&&byte| byte == b'"').count();
        let (mut from, mut to) = (self.end, self.end + inner + 1);
        self.reserve(inner + 2);
        self.end = to + 1;
        self.bytes[to] = b'"';
        while from > start {
            (from, to) = (from - 1, to - 1);
            self.bytes[to] = self.bytes[from];
            if self.bytes[from] == b'"' {
                to -= 1;
                self.bytes[to] = b'"';
            }
        }
        self.bytes[start] = b'"';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_in_order_across_growth() {
        let mut out = Out::default();
        let mut want = Vec::new();
        for n in 0..500u16 {
            let text = format!("{n};{}", "x".repeat(usize::from(n % 70)));
            out.slice(text.as_bytes());
            out.part(text.as_bytes(), 1, text.len());
            out.push(b'\n');
            out.fixed(b"true");
            want.extend_from_slice(text.as_bytes());
            want.extend_from_slice(&text.as_bytes()[1..]);
            want.extend_from_slice(b"\ntrue");
        }
        assert_eq!(out.as_bytes(), want);
        assert_eq!(out.len(), want.len());
        assert_eq!(out.into_vec(), want);
    }

    #[test]
    fn short_parts_are_cut_to_their_length() {
        let all = [b"abc".as_slice(), &[b'-'; 60]].concat();
        let mut out = Out::with_capacity(4);
        out.part(&all, 1, 3);
        out.part(&all, 0, 0);
        out.part(&all, 62, 63);
        assert_eq!(out.as_bytes(), b"bc-");
    }

    #[test]
    fn quotes_what_is_already_written() {
        for (text, want) in [("", r#""""#), ("a", r#""a""#), (r#""""#, r#""""""""#), (r#"[1,"b"]"#, r#""[1,""b""]""#)] {
            let mut out = Out::default();
            out.slice(b"before,");
            let start = out.len();
            out.slice(text.as_bytes());
            out.quote_since(start);
            assert_eq!(out.as_bytes(), format!("before,{want}").as_bytes());
        }
    }
}
