//! What tests of all formats use, and what is the same for all of them.

use super::*;
use crate::source::documents::json::{Form, document};

/// All records as relaxed JSON, in batches of one.
pub fn read(records: &mut dyn Records) -> Result<(Vec<String>, Envelope), Fault> {
    let (mut batch, mut texts) = (Batch::new(1), Vec::new());
    loop {
        batch.clear();
        let last = match records.read(&mut batch) {
            Ok(last) => last,
            Err(Unreadable::Fault(fault)) => return Err(fault),
            Err(Unreadable::File(error)) => panic!("{error}"),
        };
        texts.extend(batch.records().map(|record| {
            let mut out = Vec::new();
            document(&mut out, record, Form::Relaxed).unwrap();
            String::from_utf8(out).unwrap()
        }));
        if let Some(envelope) = last {
            assert_eq!(envelope.records, texts.len() as u64);
            return Ok((texts, envelope));
        }
    }
}

/// A few bytes at a time.
pub struct Slowly<'a>(pub &'a [u8]);

impl Read for Slowly<'_> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let most = piece.len().min(2);
        self.0.read(&mut piece[..most])
    }
}

fn wanted(records: &str, values: &[&str]) -> Wanted {
    Wanted::new(Path::parse(records).unwrap(), values.iter().map(|path| Path::parse(path).unwrap()).collect()).unwrap()
}

#[test]
fn a_body_is_read_twice_from_memory_and_from_a_file() {
    use crate::source::rest::transport::Spool;
    let wanted = wanted("data", &["next"]);
    for most in [1 << 20, 8] {
        let mut spool = Spool::new(most);
        spool.add(br#"{"data":[{"a":1},{"a":2}],"next":"x"}"#).unwrap();
        let body = spool.finish();
        for _ in 0..2 {
            let envelope = look(&body, Format::Json, &wanted).unwrap();
            assert_eq!((envelope.records, &envelope.values[..]), (2, &[Found::Text("x".into())][..]));
        }
        let (texts, envelope) = read(&mut *records(body, Format::Json, &wanted).unwrap()).unwrap();
        assert_eq!((texts.len(), envelope.what), (2, What::Records));
    }
}

#[test]
fn formats_say_what_they_have_no_place_for() {
    for (format, records, values, is_fine) in [
        (Format::Json, "$", &["a[0]"][..], true),
        (Format::Lines, "$", &[], true),
        (Format::Lines, "data", &[], false),
        (Format::Csv { delimiter: b',' }, "$", &["next"], false),
        (Format::Xml, "$", &[], false),
        (Format::Xml, "feed.entry", &["feed.link.@href"], true),
        (Format::Xml, "feed.entry[0]", &[], false),
        (Format::Xml, "feed.entry", &["feed.link[0]"], false),
    ] {
        let path = |text: &str| Path::parse(text).unwrap();
        let is_value = |text: &&str| format.check_value(&path(text)).is_ok();
        let is_checked = format.check_records(&path(records)).is_ok() && values.iter().all(is_value);
        assert_eq!(is_checked, is_fine, "{format:?} {records} {values:?}");
    }
}
