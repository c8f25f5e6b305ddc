//! Where an object or a list ends: brackets are counted, strings are passed over, and nothing is checked.

/// An object or a list that is passed over.
#[derive(Debug, Clone, Copy, Default)]
pub struct Skip {
    depth: usize,
    within: Within,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Within {
    #[default]
    Nothing,
    Text,
    /// Behind a backslash.
    Escape,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    /// It ended before this byte.
    Whole(usize),
    /// It goes on.
    Part,
    /// At this byte there is more in one another than is allowed.
    Deep(usize),
}

const PLAIN: u8 = 0;
const OPENS: u8 = 1;
const CLOSES: u8 = 2;
const QUOTE: u8 = 3;

const KINDS: [u8; 256] = {
    let mut kinds = [PLAIN; 256];
    kinds[b'{' as usize] = OPENS;
    kinds[b'[' as usize] = OPENS;
    kinds[b'}' as usize] = CLOSES;
    kinds[b']' as usize] = CLOSES;
    kinds[b'"' as usize] = QUOTE;
    kinds
};

impl Skip {
    /// Goes over bytes from its opening bracket on, or from where the bytes before had ended. At most `room` may be in one another.
    pub fn run(&mut self, bytes: &[u8], mut at: usize, room: usize) -> Skipped {
        loop {
            if self.within == Within::Escape {
                if at == bytes.len() {
                    return Skipped::Part;
                }
                at += 1;
                self.within = Within::Text;
            }
            if self.within == Within::Text {
                let Some(stop) = stop(&bytes[at..]) else { return Skipped::Part };
                at += stop + 1;
                self.within = if bytes[at - 1] == b'"' { Within::Nothing } else { Within::Escape };
                continue;
            }
            let Some(next) = bytes[at..].iter().position(|byte| KINDS[usize::from(*byte)] != PLAIN) else {
                return Skipped::Part;
            };
            at += next + 1;
            match KINDS[usize::from(bytes[at - 1])] {
                QUOTE => self.within = Within::Text,
                OPENS if self.depth == room => return Skipped::Deep(at - 1),
                OPENS => self.depth += 1,
                _ => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Skipped::Whole(at);
                    }
                }
            }
        }
    }
}

/// The first quote or backslash.
#[inline]
fn stop(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let (eights, rest) = bytes.as_chunks::<8>();
    for (at, eight) in eights.iter().enumerate() {
        let word = u64::from_le_bytes(*eight);
        // The first one that is told is one.
        let stops = has_zero(word ^ (ONES * u64::from(b'"'))) | has_zero(word ^ (ONES * u64::from(b'\\')));
        if stops != 0 {
            return Some(at * 8 + stops.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    Some(bytes.len() - rest.len() + at)
}
