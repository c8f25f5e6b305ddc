//! What tests of all formats use, and what is the same for all of them.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::*;
use crate::source::documents::json::{Form, document};
use crate::source::rest::transport::Spool;

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

/// An answer that is in memory, or in a file.
fn answer(bytes: &[u8], content_type: &str, is_file: bool) -> Answer {
    let mut spool = Spool::new(if is_file { 0 } else { 1 << 20 });
    spool.add(bytes).unwrap();
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap())]);
    Answer { status: StatusCode::OK, headers, body: spool.finish(), redirects: Vec::new() }
}

/// Looked at twice, and read.
fn read_twice(answer: Answer, written: &Written, wanted: &Wanted) -> Result<(Vec<String>, Envelope), Fault> {
    let looked = [look(&answer, written, wanted), look(&answer, written, wanted)];
    let read = records(answer, written, wanted).map_err(|why| fault(&why)).and_then(|mut records| read(&mut *records));
    for envelope in looked {
        assert_eq!(envelope.map_err(|why| fault(&why)), read.clone().map(|(_, envelope)| envelope));
    }
    read
}

fn fault(why: &Unreadable) -> Fault {
    match why {
        Unreadable::Fault(fault) => *fault,
        Unreadable::File(error) => panic!("{error}"),
    }
}

#[test]
fn a_body_is_read_twice_from_memory_and_from_a_file() {
    let wanted = wanted("data", &["next"]);
    for is_file in [false, true] {
        let answer = answer(br#"{"data":[{"a":1},{"a":2}],"next":"x"}"#, "application/json", is_file);
        let (texts, envelope) = read_twice(answer, &Format::Json.into(), &wanted).unwrap();
        assert_eq!((texts.len(), envelope.what), (2, What::Records));
        assert_eq!((envelope.records, &envelope.values[..]), (2, &[Found::Text("x".into())][..]));
    }
}

/// A body that has this text, in the charset of that name.
fn encoded(text: &str, charset: &str) -> Vec<u8> {
    let mark = "\u{FEFF}";
    match charset {
        "utf-16le" => format!("{mark}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "utf-16be" => format!("{mark}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect(),
        "iso-8859-1" => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect(),
        _ => text.as_bytes().to_vec(),
    }
}

#[test]
fn bodies_of_other_charsets_are_the_same_records() {
    let csv = Format::Csv { delimiter: b';' };
    let bodies = [
        (Format::Json, r#"[{"n":"Zoë"},{"n":"¿ÿ"}]"#, "$"),
        (Format::Lines, "{\"n\":\"Zoë\"}\n{\"n\":\"¿ÿ\"}", "$"),
        (csv, "n;é\nZoë;\n¿ÿ;\n", "$"),
        (Format::Xml, "<o><r><n>Zoë</n></r><r><n>¿ÿ</n></r></o>", "o.r"),
    ];
    for (format, text, path) in bodies {
        let wanted = wanted(path, &[]);
        let plain = read_twice(answer(text.as_bytes(), "text/plain", false), &format.into(), &wanted).unwrap();
        assert!(plain.0[0].contains("Zoë") && plain.0[1].contains("¿ÿ"), "{:?}", plain.0);
        for charset in ["utf-16le", "utf-16be", "iso-8859-1", "utf-8"] {
            let bytes = encoded(text, charset);
            for is_file in [false, true] {
                let told = answer(&bytes, &format!("text/plain; charset={charset}"), is_file);
                assert_eq!(read_twice(told, &format.into(), &wanted).unwrap(), plain, "{format:?} in {charset}");
                // The key stands over a server that says something else.
                let written = Written { charset: charset::named(charset), ..format.into() };
                let wrong = answer(&bytes, "text/plain; charset=koi8-r", is_file);
                assert_eq!(read_twice(wrong, &written, &wanted).unwrap(), plain, "{format:?} in {charset}");
            }
        }
    }
    let declared = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><o><r><n>Zoë</n></r></o>";
    let answer = answer(&encoded(declared, "iso-8859-1"), "text/xml", false);
    assert_eq!(read_twice(answer, &Format::Xml.into(), &wanted("o.r", &[])).unwrap().0, [r#"{"n":"Zoë"}"#]);
}

#[test]
fn what_is_no_text_of_its_charset_is_a_fault_or_mended() {
    // Half of it is no text in Shift_JIS; of UTF-8, XML alone judges it here.
    for (format, path, bytes, told, charset, at) in [
        (Format::Csv { delimiter: b',' }, "$", &b"n\na\x82\x01\n"[..], "text/csv; charset=shift_jis", "Shift_JIS", 3),
        (Format::Json, "$", b"[{\"n\":\"a\x82\x01\"}]", "application/json; charset=shift_jis", "Shift_JIS", 8),
        (Format::Xml, "o.r", b"<o><r><n>a\x82</n></r></o>", "text/xml", "UTF-8", 10),
    ] {
        let wanted = wanted(path, &[]);
        let refused = read_twice(answer(bytes, told, false), &format.into(), &wanted).unwrap_err();
        assert_eq!(refused, Fault { wrong: Wrong::NotText(charset), at }, "{format:?}");
        let error = crate::error::Error::from(Unreadable::from(refused));
        assert!(error.message().contains(charset) && error.to_string().contains("response_charset"), "{error}");
        if format != Format::Json {
            let written = Written { mends: true, ..format.into() };
            let (records, _) = read_twice(answer(bytes, told, true), &written, &wanted).unwrap();
            assert!(records[0].contains("a\u{FFFD}"), "{records:?}");
        }
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
