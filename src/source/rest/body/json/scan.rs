//! JSON that comes in pieces of any size: where its records begin and end, and the values that are asked for.
//!
//! What is outside of records is checked to the letter. A record is passed over by its brackets and strings alone, where none of the values
//! that are asked for can be in it: whoever reads it checks it. If each record is JSON then, so is the whole.

use super::super::envelope::{Envelope, Found, Wanted, What};
use super::super::fault::{Fault, MOST_DEPTH, Wrong};
use super::super::places::{Places, Ways};
use super::skip::{Skip, Skipped};
use super::token::{Number, Refused, Text, Word};
use crate::source::documents::from_json;

/// Is handed the bytes of each record, and at which byte of the body they begin.
pub type Handler<'a> = &'a mut dyn FnMut(&[u8], u64) -> Result<(), Fault>;

/// A value that is looked for is no longer than this.
const LONGEST_VALUE: usize = 1 << 20;
/// A name of more bytes is not the one that is looked for.
const LONGEST_NAME: usize = 1 << 16;

/// One body that is being read.
pub struct Scanner {
    places: Places,
    most: usize,
    /// Whether records are handed out; else they are only counted.
    hands_out: bool,
    state: State,
    /// Objects and lists that are open, but for one that is passed over.
    frames: Vec<Frame>,
    /// What leads to the value that comes.
    ways: Ways,
    /// Of the token that is read: which values it is, and its bytes as far as they were in pieces before.
    found: Ways,
    token: Option<Vec<u8>>,
    /// The record that is read: at which byte it began, and how deep, and its bytes as far as they were in pieces before.
    record: Option<(u64, usize)>,
    kept: Vec<u8>,
    envelope: Envelope,
    /// Bytes before this piece.
    before: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Before the first byte that is seen; so many bytes of a byte order mark have come.
    Begin(u8),
    Value,
    /// A value, or the list's end.
    FirstItem,
    Name,
    /// A name, or the object's end.
    FirstName,
    InName(Text),
    Colon,
    InText(Text),
    InNumber(Number),
    InWord(Word),
    /// Within a record that is passed over.
    Skipping(Skip),
    /// Behind a value.
    After,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    is_list: bool,
    /// Its items are records.
    has_records: bool,
    /// Those that lead through it.
    ways: Ways,
    /// Those that one of its members has led on.
    seen: Ways,
    item: u64,
}

/// A piece, and how far it is read.
struct Piece<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the token and the record begin, if not in a piece before.
    token: usize,
    record: usize,
}

impl Piece<'_> {
    /// The next byte that is no white space.
    fn visible(&mut self) -> Option<u8> {
        let rest = &self.bytes[self.at..];
        let space = rest.iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
        self.at += space.unwrap_or(rest.len());
        self.bytes.get(self.at).copied()
    }
}

impl Scanner {
    /// With records of at most so many bytes.
    pub fn new(wanted: &Wanted, most: usize, hands_out: bool) -> Self {
        let places = Places::of(wanted);
        Self {
            ways: places.root(),
            places,
            most,
            hands_out,
            state: State::Begin(0),
            frames: Vec::new(),
            found: Ways::default(),
            token: None,
            record: None,
            kept: Vec::new(),
            envelope: Envelope::without_values(What::Absent, 0, wanted.values().len()),
            before: 0,
        }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8], record: Handler<'_>) -> Result<(), Fault> {
        let mut piece = Piece { bytes, at: 0, token: 0, record: 0 };
        while piece.at < bytes.len() {
            self.step(&mut piece, record).map_err(|wrong| match wrong {
                Stop::Here(wrong) => self.fault(wrong, piece.at),
                Stop::Fault(fault) => fault,
            })?;
        }
        if let Some(token) = &mut self.token {
            token.extend_from_slice(&bytes[piece.token..]);
            let is_value = !self.found.is_none();
            if token.len() > LONGEST_VALUE && is_value {
                return Err(self.fault(Wrong::Large(LONGEST_VALUE), bytes.len()));
            }
            if token.len() > LONGEST_NAME && !is_value {
                self.token = None;
            }
        }
        self.before += bytes.len() as u64;
        if let Some((begun, _)) = self.record {
            self.check_length(begun, self.before)?;
            if self.hands_out {
                self.kept.extend_from_slice(&bytes[piece.record..]);
            }
        }
        Ok(())
    }

    /// The body is at its end.
    pub fn finish(&mut self, record: Handler<'_>) -> Result<Envelope, Fault> {
        let mut piece = Piece { bytes: &[], at: 0, token: 0, record: 0 };
        if let State::InNumber(number) = self.state
            && number.is_whole()
        {
            self.scalar(&mut piece, record, None).map_err(|stop| match stop {
                Stop::Here(wrong) => self.fault(wrong, 0),
                Stop::Fault(fault) => fault,
            })?;
        }
        match self.state {
            State::Begin(0 | 3) => self.envelope.what = What::Empty,
            State::After if self.frames.is_empty() => {}
            _ => return Err(self.fault(Wrong::Truncated, 0)),
        }
        Ok(self.envelope.clone())
    }

    fn fault(&self, wrong: Wrong, at: usize) -> Fault {
        Fault { wrong, at: self.before + at as u64 }
    }

    fn step(&mut self, piece: &mut Piece<'_>, record: Handler<'_>) -> Result<(), Stop> {
        match self.state {
            State::Begin(mark) => self.begin(piece, mark),
            State::InText(mut text) => {
                let end = text.run(piece.bytes, &mut piece.at)?;
                self.state = State::InText(text);
                match end {
                    Some(_) => self.scalar(piece, record, Some(1)),
                    None => Ok(()),
                }
            }
            State::InName(mut text) => {
                self.state = match text.run(piece.bytes, &mut piece.at)? {
                    Some(_) => return self.named(piece),
                    None => State::InName(text),
                };
                Ok(())
            }
            State::InNumber(number) => match number.next(piece.bytes[piece.at]) {
                Some(number) => {
                    self.state = State::InNumber(number);
                    piece.at += 1;
                    Ok(())
                }
                None if number.is_whole() => self.scalar(piece, record, None),
                None => Err(Stop::Here(Wrong::Unexpected)),
            },
            State::InWord(word) => self.word(piece, record, word),
            State::Skipping(mut skip) => {
                let skipped = skip.run(piece.bytes, piece.at, MOST_DEPTH - self.frames.len());
                self.state = State::Skipping(skip);
                match skipped {
                    Skipped::Whole(end) => {
                        piece.at = end;
                        self.ended(piece, record)
                    }
                    Skipped::Part => {
                        piece.at = piece.bytes.len();
                        Ok(())
                    }
                    Skipped::Deep(at) => {
                        piece.at = at;
                        Err(Stop::Here(Wrong::Deep))
                    }
                }
            }
            _ => match piece.visible() {
                Some(byte) => self.visible(piece, record, byte),
                None => Ok(()),
            },
        }
    }

    /// Before the body: a byte order mark, and what tells of another format.
    fn begin(&mut self, piece: &mut Piece<'_>, mark: u8) -> Result<(), Stop> {
        const MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];
        let is_first = self.before + piece.at as u64 == u64::from(mark);
        if let Some(wanted) = MARK.get(usize::from(mark)).filter(|_| is_first) {
            if piece.bytes[piece.at] == *wanted {
                piece.at += 1;
                self.state = State::Begin(mark + 1);
                return Ok(());
            }
            if mark > 0 {
                return Err(Stop::Here(Wrong::Other));
            }
        }
        match piece.visible() {
            None => Ok(()),
            Some(b'<') => Err(Stop::Here(Wrong::Html)),
            Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                self.state = State::Value;
                Ok(())
            }
            Some(_) => Err(Stop::Here(Wrong::Other)),
        }
    }

    /// A byte between tokens.
    fn visible(&mut self, piece: &mut Piece<'_>, record: Handler<'_>, byte: u8) -> Result<(), Stop> {
        match (self.state, byte) {
            (State::FirstItem, b']') => return self.close(piece, record),
            (State::Value | State::FirstItem, _) => return self.value(piece, record, byte),
            (State::FirstName, b'}') => return self.close(piece, record),
            (State::FirstName | State::Name, b'"') => {
                self.state = State::InName(Text::default());
                let is_asked_for = self.frames.last().is_some_and(|frame| !frame.ways.is_none());
                self.found = Ways::default();
                self.token = is_asked_for.then(Vec::new);
                piece.token = piece.at + 1;
            }
            (State::Colon, b':') => self.state = State::Value,
            (State::After, _) => return self.after(piece, record, byte),
            _ => return Err(Stop::Here(Wrong::Unexpected)),
        }
        piece.at += 1;
        Ok(())
    }

    fn after(&mut self, piece: &mut Piece<'_>, record: Handler<'_>, byte: u8) -> Result<(), Stop> {
        let depth = self.frames.len();
        let Some(frame) = self.frames.last_mut() else { return Err(Stop::Here(Wrong::Trailing)) };
        match byte {
            b',' if frame.is_list => {
                frame.item += 1;
                self.ways = self.places.item(frame.ways, depth - 1, frame.item);
                self.state = State::Value;
            }
            b',' => {
                frame.item += 1;
                self.state = State::Name;
            }
            b']' if frame.is_list => return self.close(piece, record),
            b'}' if !frame.is_list => return self.close(piece, record),
            _ => return Err(Stop::Here(Wrong::Unexpected)),
        }
        piece.at += 1;
        Ok(())
    }

    /// The first byte of a value.
    fn value(&mut self, piece: &mut Piece<'_>, record: Handler<'_>, byte: u8) -> Result<(), Stop> {
        let depth = self.frames.len();
        let ending = self.places.ending(self.ways, depth);
        let is_item = self.frames.last().is_some_and(|frame| frame.has_records);
        if is_item || byte == b'{' && ending.has(Ways::RECORDS) {
            self.record = Some((self.before + piece.at as u64, depth));
            piece.record = piece.at;
        }
        if matches!(byte, b'{' | b'[') {
            self.fill(ending, || Found::Nested);
            return self.open(piece, ending, byte == b'[');
        }
        self.found = ending;
        self.token = (!ending.without(Ways::RECORDS).is_none()).then(Vec::new);
        piece.token = piece.at;
        self.state = if byte == b'"' {
            piece.token += 1;
            State::InText(Text::default())
        } else if let Some(number) = Number::begun(byte) {
            State::InNumber(number)
        } else if let Some(word) = Word::begun(byte) {
            return self.word(piece, record, word);
        } else {
            return Err(Stop::Here(Wrong::Unexpected));
        };
        piece.at += 1;
        Ok(())
    }

    fn open(&mut self, piece: &mut Piece<'_>, ending: Ways, is_list: bool) -> Result<(), Stop> {
        let depth = self.frames.len();
        let ways = self.ways.without(ending);
        let has_records = is_list && ending.has(Ways::RECORDS);
        if ending.has(Ways::RECORDS) {
            self.is(What::Records);
        }
        if self.record.is_some_and(|(_, begun)| begun == depth) && ways.is_none() {
            self.state = State::Skipping(Skip::default());
            return Ok(());
        }
        if depth == MOST_DEPTH {
            return Err(Stop::Here(Wrong::Deep));
        }
        self.frames.push(Frame { is_list, has_records, ways, seen: Ways::default(), item: 0 });
        self.ways = if is_list { self.places.item(ways, depth, 0) } else { Ways::default() };
        self.state = if is_list { State::FirstItem } else { State::FirstName };
        piece.at += 1;
        Ok(())
    }

    fn close(&mut self, piece: &mut Piece<'_>, record: Handler<'_>) -> Result<(), Stop> {
        piece.at += 1;
        let is_empty = matches!(self.state, State::FirstItem | State::FirstName);
        if let Some(frame) = self.frames.pop()
            && is_empty
            && self.places.each(frame.ways, self.frames.len()).has(Ways::RECORDS)
        {
            // Of nothing, each has its records.
            self.is(What::Records);
        }
        self.ended(piece, record)
    }

    /// The closing quote of a name.
    fn named(&mut self, piece: &mut Piece<'_>) -> Result<(), Stop> {
        let depth = self.frames.len();
        self.state = State::Colon;
        if let Some(frame) = self.frames.last_mut() {
            let name = self.token.as_mut().map(|token| whole(token, &piece.bytes[piece.token..piece.at]));
            let ways = self.places.member(frame.ways, depth - 1, name);
            let again = ways.both(frame.seen).without(self.places.each(ways, depth - 1));
            if again.has(Ways::RECORDS) {
                return Err(Stop::Here(Wrong::Twice));
            }
            frame.seen = frame.seen.and(ways);
            self.ways = ways.without(again);
        }
        self.token = None;
        piece.at += 1;
        Ok(())
    }

    fn word(&mut self, piece: &mut Piece<'_>, record: Handler<'_>, mut word: Word) -> Result<(), Stop> {
        while let Some(byte) = piece.bytes.get(piece.at) {
            if *byte != word.of[word.come] {
                return Err(Stop::Here(if self.frames.is_empty() { Wrong::Other } else { Wrong::Unexpected }));
            }
            (word.come, piece.at) = (word.come + 1, piece.at + 1);
            if word.come == word.of.len() {
                self.state = State::InWord(word);
                return self.scalar(piece, record, None);
            }
        }
        self.state = State::InWord(word);
        Ok(())
    }

    /// A scalar ends here; behind it is a quote, perhaps.
    fn scalar(&mut self, piece: &mut Piece<'_>, record: Handler<'_>, quote: Option<usize>) -> Result<(), Stop> {
        let (found, at_root) = (self.found, self.frames.is_empty());
        let is_null = matches!(self.state, State::InWord(Word { of: b"null", .. }));
        if is_null && at_root {
            self.envelope.what = What::Null;
        } else if found.has(Ways::RECORDS) {
            self.is(if is_null { What::NullThere } else { What::Scalar });
        }
        if let Some(mut token) = self.token.take() {
            let token = whole(&mut token, &piece.bytes[piece.token..piece.at]);
            if token.len() > LONGEST_VALUE {
                return Err(Stop::Here(Wrong::Large(LONGEST_VALUE)));
            }
            let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
            match self.state {
                State::InWord(Word { of: b"null", .. }) => self.fill(found, || Found::Null),
                State::InWord(word) => self.fill(found, || Found::Bool(word.of == b"true")),
                State::InNumber(_) => self.fill(found, || Found::Number(text(token))),
                _ => self.fill(found, || Found::Text(text(&from_json::decoded(token).unwrap_or_default()))),
            }
        }
        piece.at += quote.unwrap_or(0);
        self.ended(piece, record)
    }

    /// Notes values that were found, those that were not found before.
    fn fill(&mut self, found: Ways, value: impl Fn() -> Found) {
        found.values().for_each(|at| self.envelope.fill(at, &value));
    }

    /// What stands where the records should be. The gravest of several counts, but that null among lists is a list of nothing.
    fn is(&mut self, what: What) {
        let now = &mut self.envelope.what;
        *now = match (*now, what) {
            (What::Scalar, _) | (_, What::Scalar) => What::Scalar,
            (What::Records, _) | (_, What::Records) => What::Records,
            _ => what,
        };
    }

    /// A value ends before the piece's next byte.
    fn ended(&mut self, piece: &mut Piece<'_>, record: Handler<'_>) -> Result<(), Stop> {
        self.state = State::After;
        let Some((begun, _)) = self.record.filter(|(_, depth)| *depth == self.frames.len()) else { return Ok(()) };
        self.record = None;
        self.envelope.records += 1;
        self.check_length(begun, self.before + piece.at as u64).map_err(Stop::Fault)?;
        if self.hands_out {
            let last = &piece.bytes[piece.record..piece.at];
            match self.kept.is_empty() {
                true => record(last, begun).map_err(Stop::Fault)?,
                false => {
                    self.kept.extend_from_slice(last);
                    record(&self.kept, begun).map_err(Stop::Fault)?;
                    self.kept.clear();
                }
            }
        }
        Ok(())
    }

    fn check_length(&self, begun: u64, end: u64) -> Result<(), Fault> {
        match end - begun > self.most as u64 {
            true => Err(Fault { wrong: Wrong::Large(self.most), at: begun }),
            false => Ok(()),
        }
    }
}

/// A token of which the first bytes were in pieces before.
fn whole<'a>(token: &'a mut Vec<u8>, last: &[u8]) -> &'a [u8] {
    token.extend_from_slice(last);
    token
}

/// Why reading stops: here, or somewhere else.
enum Stop {
    Here(Wrong),
    Fault(Fault),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Stop::Here(match refused {
            Refused::Unexpected => Wrong::Unexpected,
            Refused::NotText => Wrong::NotText("UTF-8"),
        })
    }
}
