//! Bodies of CSV: the first line has the names, the others are records of texts. Nothing is null, and `""` is an empty text.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use csv_core::{ReadFieldResult, ReaderBuilder};

use super::batch::Batch;
use super::envelope::{Envelope, Wanted, What};
use super::fault::{Fault, Unreadable, Wrong};
use super::{LARGEST_RECORD, PIECE, Records};
use crate::source::documents::write;

/// Records of lines. Empty lines are none.
///
/// What is cut off within quotes is told, and within a line by its number of fields; a cut in the last field of a line without quotes
/// cannot be seen in the body itself.
pub struct Reader<R> {
    read: R,
    csv: csv_core::Reader,
    piece: Box<[u8]>,
    /// The bytes of the piece that are not read yet.
    left: std::ops::Range<usize>,
    /// The fields of the line that is read, one behind the other, with room for more, and where each ends.
    fields: Vec<u8>,
    filled: usize,
    ends: Vec<End>,
    /// The field that is read has nothing but quotes so far.
    is_quoted: bool,
    /// A line has begun.
    is_within: bool,
    /// The names, once they are there.
    names: Option<Vec<Box<[u8]>>>,
    /// Where in the body one is.
    at: u64,
    records: u64,
    values: usize,
}

/// The end of a field.
#[derive(Debug, Clone, Copy)]
struct End {
    at: usize,
    /// Where there is nothing in it: whether that stands in quotes.
    is_quoted: bool,
}

impl<R: Read> Reader<R> {
    pub fn new(read: R, wanted: &Wanted, delimiter: u8) -> Self {
        Self {
            read,
            csv: ReaderBuilder::new().delimiter(delimiter).build(),
            piece: vec![0; PIECE].into(),
            left: 0..0,
            fields: vec![0; 1 << 10],
            filled: 0,
            ends: Vec::new(),
            is_quoted: false,
            is_within: false,
            names: None,
            at: 0,
            records: 0,
            values: wanted.values().len(),
        }
    }

    fn fault(&self, wrong: Wrong) -> Fault {
        Fault { wrong, at: self.at }
    }

    /// Reads on in bytes until there is a whole line; how many of them that took, and whether there is one.
    fn line(&mut self, bytes: &[u8]) -> Result<(usize, bool), Fault> {
        let mut used = 0;
        // To be given nothing is the body's end to it.
        while used < bytes.len() {
            let (result, read, wrote) = self.csv.read_field(&bytes[used..], &mut self.fields[self.filled..]);
            let taken = &bytes[used..used + read];
            used += read;
            self.at += read as u64;
            self.filled += wrote;
            self.is_within |= taken.iter().any(|byte| !matches!(byte, b'\n' | b'\r'));
            let begun = self.ends.last().map_or(0, |end| end.at);
            self.is_quoted |= self.filled == begun && taken.contains(&b'"');
            if self.filled + self.ends.len() * size_of::<End>() > LARGEST_RECORD {
                return Err(self.fault(Wrong::Large(LARGEST_RECORD)));
            }
            match result {
                ReadFieldResult::InputEmpty => {}
                ReadFieldResult::OutputFull => self.fields.resize(self.fields.len() * 2, 0),
                ReadFieldResult::Field { record_end } => {
                    self.ends.push(End { at: self.filled, is_quoted: std::mem::take(&mut self.is_quoted) });
                    if record_end {
                        self.is_within = false;
                        return Ok((used, true));
                    }
                }
                ReadFieldResult::End => break,
            }
        }
        Ok((used, false))
    }

    /// Takes the line that was read.
    fn record(&mut self, batch: &mut Batch) -> Result<(), Fault> {
        let begins = std::iter::once(0).chain(self.ends.iter().map(|end| end.at));
        let fields = self.ends.iter().zip(begins).map(|(end, begin)| (&self.fields[begin..end.at], end.is_quoted));
        match &self.names {
            None => self.names = Some(names(fields.map(|(field, _)| field)).map_err(|wrong| self.fault(wrong))?),
            Some(names) if names.len() != self.ends.len() => return Err(self.fault(Wrong::Fields)),
            Some(names) => {
                let out = &mut batch.bytes;
                let at = write::begin(out);
                for (name, (field, is_quoted)) in names.iter().zip(fields) {
                    match field.is_empty() && !is_quoted {
                        true => write::null(out, name),
                        false => write::text(out, name, field),
                    }
                }
                write::end(out, at);
                batch.end();
                self.records += 1;
            }
        }
        self.filled = 0;
        self.ends.clear();
        Ok(())
    }

    /// Fills the piece anew. The first one has enough to tell a byte order mark.
    fn next_piece(&mut self) -> Result<(), Unreadable> {
        let is_first = self.at == 0;
        self.left = 0..super::some(&mut self.read, &mut self.piece)?.len();
        while is_first && (1..4).contains(&self.left.end) {
            match super::some(&mut self.read, &mut self.piece[self.left.end..])?.len() {
                0 => break,
                more => self.left.end += more,
            }
        }
        let begins = self.piece[self.left.clone()].trim_ascii_start().first();
        match begins.filter(|_| is_first) {
            Some(b'<') => Err(self.fault(Wrong::Html).into()),
            Some(b'{' | b'[') => Err(self.fault(Wrong::Other).into()),
            _ => Ok(()),
        }
    }

    /// The body is at its end, and so is its last line.
    fn finish(&mut self, batch: &mut Batch) -> Result<Envelope, Fault> {
        let end = self.at;
        // Within quotes, the end of a line is none.
        if self.is_within && self.line(b"\n")?.1 {
            self.record(batch)?;
        } else if self.is_within {
            return Err(Fault { wrong: Wrong::Truncated, at: end });
        }
        let what = if self.names.is_some() { What::Records } else { What::Empty };
        Ok(Envelope::without_values(what, self.records, self.values))
    }
}

/// Names of columns. One without a name is `column_3`; one with the name of an earlier one has a number behind it, from `name_2` on, with
/// which no other column is called.
fn names<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Box<[u8]>>, Wrong> {
    let name = |(at, field): (usize, &[u8])| match field.is_empty() {
        true => format!("column_{}", at + 1).into_bytes(),
        false => field.to_vec(),
    };
    let written: Vec<Vec<u8>> = fields.enumerate().map(name).collect();
    if written.iter().any(|name| name.contains(&0)) {
        return Err(Wrong::Name);
    }
    let mut taken: HashSet<Vec<u8>> = written.iter().cloned().collect();
    let mut numbers = HashMap::<&[u8], usize>::new();
    let mut names = Vec::with_capacity(written.len());
    for name in &written {
        let number = numbers.entry(name).or_insert(0);
        *number += 1;
        let mut own = name.clone();
        while *number > 1 {
            own = [name, format!("_{number}").as_bytes()].concat();
            if taken.insert(own.clone()) {
                break;
            }
            *number += 1;
        }
        names.push(own.into());
    }
    Ok(names)
}

impl<R: Read + Send> Records for Reader<R> {
    fn read(&mut self, batch: &mut Batch) -> Result<Option<Envelope>, Unreadable> {
        while !batch.is_full() {
            if self.left.is_empty() {
                self.next_piece()?;
                if self.left.is_empty() {
                    return Ok(Some(self.finish(batch)?));
                }
            }
            let piece = std::mem::take(&mut self.piece);
            let line = self.line(&piece[self.left.clone()]);
            self.piece = piece;
            let (used, is_whole) = line?;
            self.left.start += used;
            if is_whole {
                self.record(batch)?;
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::rest::body::Path;
    use crate::source::rest::body::tests::{Slowly, read};

    fn of(body: &[u8], delimiter: u8) -> Result<(Vec<String>, Envelope), Fault> {
        let wanted = Wanted::new(Path::root(), vec![]).unwrap();
        let whole = read(&mut Reader::new(body, &wanted, delimiter));
        assert_eq!(read(&mut Reader::new(Slowly(body), &wanted, delimiter)), whole);
        whole
    }

    #[test]
    fn lines_are_records_by_the_names_of_the_first() {
        let body = "\u{FEFF}id;name;\r\n1;\"a;\"\"b\n\";\n\n2;;x y\r\n3;\"\";\"é\"";
        let (records, envelope) = of(body.as_bytes(), b';').unwrap();
        assert_eq!(
            records,
            [
                r#"{"id":"1","name":"a;\"b\n","column_3":null}"#,
                r#"{"id":"2","name":null,"column_3":"x y"}"#,
                r#"{"id":"3","name":"","column_3":"é"}"#,
            ]
        );
        assert_eq!((envelope.what, envelope.records), (What::Records, 3));
        assert_eq!(of(b"a,b\n", b',').unwrap().1.what, What::Records);
        assert_eq!(of(b"\n\r\n", b',').unwrap().1.what, What::Empty);
        assert_eq!(of(b"", b',').unwrap().1.what, What::Empty);
    }

    #[test]
    fn nothing_is_null_and_quotes_are_a_text() {
        let (records, _) = of(b"a,b,c\n\"\",,\"\"\r\n,\"\",\n\"\",x,\n,,\"\"", b',').unwrap();
        assert_eq!(
            records,
            [
                r#"{"a":"","b":null,"c":""}"#,
                r#"{"a":null,"b":"","c":null}"#,
                r#"{"a":"","b":"x","c":null}"#,
                r#"{"a":null,"b":null,"c":""}"#,
            ]
        );
        assert_eq!(of(b"a\n\"\"\n\nx", b',').unwrap().0, [r#"{"a":""}"#, r#"{"a":"x"}"#]);
    }

    #[test]
    fn columns_of_one_name_are_numbered() {
        let (records, _) = of(b"a,a,,a_2,a,column_3,b\n1,2,3,4,5,6,7", b',').unwrap();
        assert_eq!(records, [r#"{"a":"1","a_3":"2","column_3":"3","a_2":"4","a_4":"5","column_3_2":"6","b":"7"}"#]);
        // As many as fit into a line, in no time.
        let names = names(std::iter::repeat_n(&b"a"[..], 100_000)).unwrap();
        assert_eq!(&*names[99_999], b"a_100000");
    }

    #[test]
    fn what_is_wrong_is_told_by_name_and_place() {
        for (body, wrong, at) in [
            ("<!DOCTYPE html>", Wrong::Html, 0),
            ("{\"error\":1}", Wrong::Other, 0),
            ("a,b\n1,\"x", Wrong::Truncated, 8),
            ("a,b\n1,\"x\n", Wrong::Truncated, 9),
            ("a,b\n1\n", Wrong::Fields, 6),
            ("a,b\n1,2,3\n", Wrong::Fields, 10),
            ("a,b\0\n", Wrong::Name, 5),
        ] {
            assert_eq!(of(body.as_bytes(), b',').unwrap_err(), Fault { wrong, at }, "{body}");
        }
    }

    proptest! {
        #[test]
        fn what_the_csv_crate_writes_is_read(
            lines in prop::collection::vec(prop::collection::vec("[ -~\n\ré\"]{0,9}", 3), 0..6),
        ) {
            let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            writer.write_record(["a", "b", "c"]).unwrap();
            lines.iter().for_each(|line| writer.write_record(line).unwrap());
            let body = writer.into_inner().unwrap();
            let json = |text: &String| serde_json::to_string(text).unwrap();
            let wanted: Vec<_> = lines
                .iter()
                .map(|line| format!(r#"{{"a":{},"b":{},"c":{}}}"#, json(&line[0]), json(&line[1]), json(&line[2])))
                .collect();
            prop_assert_eq!(of(&body, b',').unwrap().0, wanted);
            // Each part that ends within quotes is told; the first line is known to be whole by then.
            let within = body.iter().scan(false, |within, byte| { *within ^= *byte == b'"'; Some(*within) });
            for (at, _) in within.enumerate().filter(|(_, within)| *within) {
                prop_assert_eq!(of(&body[..at + 1], b',').unwrap_err().wrong, Wrong::Truncated);
            }
        }
    }
}
