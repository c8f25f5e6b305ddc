//! Bodies of JSON Lines: a record on each line.

use std::io::Read;

use super::batch::Batch;
use super::envelope::{Envelope, Wanted, What};
use super::fault::{Fault, Unreadable, Wrong};
use super::json;
use super::{LARGEST_RECORD, PIECE, Records};
use crate::source::documents::from_json::{self, Converter};

/// Records of lines. Lines with nothing but white space are none.
pub struct Reader<R> {
    read: R,
    converter: Converter,
    piece: Box<[u8]>,
    /// The line that is not at its end yet.
    kept: Vec<u8>,
    /// Where it begins.
    begun: u64,
    records: u64,
    values: usize,
    /// There has been something.
    is_begun: bool,
}

impl<R: Read> Reader<R> {
    pub fn new(read: R, wanted: &Wanted) -> Self {
        Self {
            read,
            converter: Converter::default(),
            piece: vec![0; PIECE].into(),
            kept: Vec::new(),
            begun: 0,
            records: 0,
            values: wanted.values().len(),
            is_begun: false,
        }
    }

    /// A line without its end, or the last one, which may have none.
    fn line(&mut self, batch: &mut Batch, line: &[u8], is_last: bool) -> Result<(), Fault> {
        const MARK: &[u8] = b"\xEF\xBB\xBF";
        let (mut line, mut at) = (line, self.begun);
        if let Some(rest) = line.strip_prefix(MARK).filter(|_| at == 0) {
            (line, at) = (rest, MARK.len() as u64);
        }
        let Some(&first) = line.trim_ascii_start().first() else { return Ok(()) };
        if first == b'<' && !std::mem::replace(&mut self.is_begun, true) {
            return Err(Fault { wrong: Wrong::Html, at });
        }
        self.is_begun = true;
        match self.converter.add(&mut batch.bytes, line) {
            Ok(()) => {
                batch.end();
                self.records += 1;
                Ok(())
            }
            Err(from_json::Fault { wrong: from_json::Wrong::Ended, at: end }) if is_last => {
                Err(Fault { wrong: Wrong::Truncated, at: at + end as u64 })
            }
            Err(fault) => Err(json::fault_of(fault, at)),
        }
    }

    fn piece(&mut self, batch: &mut Batch, mut piece: &[u8]) -> Result<(), Fault> {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let length = self.kept.len() + end + 1;
            match self.kept.is_empty() {
                true => self.line(batch, &piece[..end], false)?,
                false => {
                    let mut line = std::mem::take(&mut self.kept);
                    line.extend_from_slice(&piece[..end]);
                    self.line(batch, &line, false)?;
                    line.clear();
                    self.kept = line;
                }
            }
            self.begun += length as u64;
            piece = &piece[end + 1..];
        }
        self.kept.extend_from_slice(piece);
        match self.kept.len() > LARGEST_RECORD {
            true => Err(Fault { wrong: Wrong::Large(LARGEST_RECORD), at: self.begun }),
            false => Ok(()),
        }
    }
}

impl<R: Read + Send> Records for Reader<R> {
    fn read(&mut self, batch: &mut Batch) -> Result<Option<Envelope>, Unreadable> {
        while !batch.is_full() {
            let mut piece = std::mem::take(&mut self.piece);
            let length = super::some(&mut self.read, &mut piece)?.len();
            let result = self.piece(batch, &piece[..length]);
            self.piece = piece;
            result?;
            if length == 0 {
                let line = std::mem::take(&mut self.kept);
                self.line(batch, &line, true)?;
                let what = if self.is_begun { What::Records } else { What::Empty };
                return Ok(Some(Envelope::without_values(what, self.records, self.values)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::documents::from_json::tree;
    use crate::source::rest::body::Path;
    use crate::source::rest::body::tests::{Slowly, read};

    fn of(body: &[u8]) -> Result<(Vec<String>, Envelope), Fault> {
        let wanted = Wanted::new(Path::root(), vec![]).unwrap();
        let whole = read(&mut Reader::new(body, &wanted));
        assert_eq!(read(&mut Reader::new(Slowly(body), &wanted)), whole);
        whole
    }

    #[test]
    fn each_line_is_a_record() {
        let (records, envelope) = of(b"\xEF\xBB\xBF{\"a\":1}\r\n\n \t{\"a\":[2]} \n7").unwrap();
        assert_eq!(records, [r#"{"a":1}"#, r#"{"a":[2]}"#, r#"{"value":7}"#]);
        assert_eq!((envelope.what, envelope.records), (What::Records, 3));
        for nothing in [&b""[..], b"\n\r\n", b"\xEF\xBB\xBF"] {
            assert_eq!(of(nothing).unwrap().1.what, What::Empty);
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_name_and_place() {
        for (body, wrong, at) in [
            ("<html>\n", Wrong::Html, 0),
            ("{}\n{\"a\":", Wrong::Truncated, 8),
            ("{}\n{\"a\":\n{}", Wrong::Unexpected, 8),
            ("{}\n{}{}\n", Wrong::Unexpected, 5),
            ("{\"\\u0000\":1}", Wrong::Name, 2),
        ] {
            assert_eq!(of(body.as_bytes()).unwrap_err(), Fault { wrong, at }, "{body}");
        }
    }

    proptest! {
        #[test]
        fn lines_are_the_records_of_a_list(trees in prop::collection::vec(tree::tree(), 0..5), notation in tree::notation()) {
            let texts: Vec<_> = trees.iter().map(|tree| tree.json(&notation).replace(['\n', '\r'], " ")).collect();
            let list = format!("[{}]", texts.join(","));
            let wanted = Wanted::new(Path::root(), vec![]).unwrap();
            let (records, _) = read(&mut json::Reader::new(list.as_bytes(), &wanted)).unwrap();
            prop_assert_eq!(of(texts.join("\n").as_bytes()).unwrap().0, records);
        }
    }
}
