//! What a scanner makes of bodies, whole and in pieces, with serde_json as the oracle.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::super::envelope::{Found, What};
use super::super::path::{Path, Step};
use super::*;
use crate::source::documents::from_json::tree;
use crate::source::documents::json::{Form, document};

fn wanted(records: &str, values: &[&str]) -> Wanted {
    let values = values.iter().map(|path| Path::parse(path).unwrap()).collect();
    Wanted::new(Path::parse(records).unwrap(), values).unwrap()
}

type Scanned = Result<(Vec<Vec<u8>>, Envelope), Fault>;

fn scanned(pieces: &[&[u8]], wanted: &Wanted, most: usize) -> Scanned {
    let mut scanner = Scanner::new(wanted, most, true);
    let mut records = Vec::new();
    let mut keep = |json: &[u8], _| {
        records.push(json.to_vec());
        Ok(())
    };
    for piece in pieces {
        scanner.feed(piece, &mut keep)?;
    }
    let envelope = scanner.finish(&mut keep)?;
    Ok((records, envelope))
}

fn of(body: &str, wanted: &Wanted) -> Scanned {
    let whole = scanned(&[body.as_bytes()], wanted, 1000);
    // Byte by byte, and without records, it is the same.
    let bytes: Vec<_> = body.as_bytes().chunks(1).collect();
    assert_eq!(scanned(&bytes, wanted, 1000), whole);
    let mut scanner = Scanner::new(wanted, 1000, false);
    let mut never = |_: &[u8], _| panic!("a record");
    let looked = scanner.feed(body.as_bytes(), &mut never).and_then(|()| scanner.finish(&mut never));
    assert_eq!(looked, whole.clone().map(|(_, envelope)| envelope));
    whole
}

fn texts(records: &[Vec<u8>]) -> Vec<&str> {
    records.iter().map(|record| std::str::from_utf8(record).unwrap()).collect()
}

#[test]
fn records_and_values_are_found_where_they_stand() {
    let body = "\u{FEFF} {\"total\": 1e2, \"data\": [ {\"a\":[1,\"]\\\"\"]} ,7, \"x\" ,null,[]], \
                \"paging\":{\"next\":\"a\\u00e9\\/\", \"more\":true, \"none\":null}, \"total\":3, \"e\":[{}, {\"code\":-17.50}]}";
    let wanted =
        wanted("data", &["total", "paging.next", "paging.more", "paging.none", "paging", "e[1].code", "x", "data[1]"]);
    let (records, envelope) = of(body, &wanted).unwrap();
    assert_eq!(texts(&records), [r#"{"a":[1,"]\""]}"#, "7", r#""x""#, "null", "[]"]);
    let text = |text: &str| Found::Text(text.to_owned());
    let number = |text: &str| Found::Number(text.to_owned());
    let values = vec![
        number("1e2"),
        text("aé/"),
        Found::Bool(true),
        Found::Null,
        Found::Nested,
        number("-17.50"),
        Found::Absent,
        number("7"),
    ];
    assert_eq!(envelope, Envelope { what: What::Records, records: 5, values });
}

#[test]
fn bodies_without_records_are_told_apart() {
    for (body, records, what, count) in [
        ("", "data", What::Empty, 0),
        (" \r\n", "data", What::Empty, 0),
        ("\u{FEFF}", "data", What::Empty, 0),
        ("null", "data", What::Null, 0),
        (" null ", "$", What::Null, 0),
        ("{}", "data", What::Absent, 0),
        ("[]", "data", What::Absent, 0),
        ("17", "data", What::Absent, 0),
        (r#"{"a":{"data":[1]}}"#, "data", What::Absent, 0),
        (r#"{"data":null}"#, "data", What::NullThere, 0),
        (r#"{"data":"none"}"#, "data", What::Scalar, 0),
        ("17", "$", What::Scalar, 0),
        ("true", "$", What::Scalar, 0),
        (r#"{"data":[]}"#, "data", What::Records, 0),
        ("[]", "$", What::Records, 0),
        ("{}", "$", What::Records, 1),
        (r#"{"data":{"a":1}}"#, "data", What::Records, 1),
        (r#"{"data":[{"items":[1,2]},{"items":null},{},{"items":{}}]}"#, "data[*].items", What::Records, 3),
        (r#"{"data":[{"items":[1,2]},{"items":3}]}"#, "data[*].items", What::Scalar, 2),
        (r#"{"data":[{"items":null},{}]}"#, "data[*].items", What::NullThere, 0),
        (r#"{"data":[{}]}"#, "data[*].items", What::Absent, 0),
        (r#"{"data":[]}"#, "data[*].items", What::Records, 0),
        (r#"{"data":{"a":{"n":1},"b":[2,3]}}"#, "data.*", What::Records, 3),
    ] {
        let (_, envelope) = of(body, &wanted(records, &[])).unwrap();
        assert_eq!((envelope.what, envelope.records), (what, count), "{body} at {records}");
        assert_eq!(envelope.what.complaint(&Path::root()).is_none(), what == What::Records);
    }
}

#[test]
fn a_record_may_hold_what_is_looked_for() {
    let wanted = wanted("$", &["error.code", "[0].id", "['a\\'b']"]);
    let (records, envelope) = of(r#"{"error":{"code":17,"code":18},"a'b":""}"#, &wanted).unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(envelope.values, [Found::Number("17".into()), Found::Absent, Found::Text(String::new())]);
    let (records, envelope) = of(r#"[{"id":"x"},{"id":"y"}]"#, &wanted).unwrap();
    assert_eq!(texts(&records), [r#"{"id":"x"}"#, r#"{"id":"y"}"#]);
    assert_eq!(envelope.values[1], Found::Text("x".into()));
}

#[test]
fn what_is_wrong_is_told_by_name_and_place() {
    for (body, wrong, at) in [
        ("<html>", Wrong::Html, 0),
        ("\n <!DOCTYPE html>", Wrong::Html, 2),
        ("Too many requests", Wrong::Other, 0),
        ("not found", Wrong::Other, 1),
        (")]}'\n{}", Wrong::Other, 0),
        ("{\"data\":[{}", Wrong::Truncated, 11),
        ("{\"data\":[{\"a\":\"", Wrong::Truncated, 15),
        ("tru", Wrong::Truncated, 3),
        ("-", Wrong::Truncated, 1),
        ("{\"data\":[1]}\n{\"data\":[2]}", Wrong::Trailing, 13),
        ("{} x", Wrong::Trailing, 3),
        ("{\"data\":[1}", Wrong::Unexpected, 10),
        ("{\"x\":[1 2]}", Wrong::Unexpected, 8),
        ("{\"x\":[1,]}", Wrong::Unexpected, 8),
        ("{\"x\":01}", Wrong::Unexpected, 6),
        ("{\"x\":1.}", Wrong::Unexpected, 7),
        ("{\"x\":nul}", Wrong::Unexpected, 8),
        ("{\"x\":\"\n\"}", Wrong::Unexpected, 6),
        ("{\"x\":\"\\x\"}", Wrong::Unexpected, 7),
        ("{x:1}", Wrong::Unexpected, 1),
        ("{\"x\" 1}", Wrong::Unexpected, 5),
        ("{\"x\":1,}", Wrong::Unexpected, 7),
        ("{\"data\":[1],\"data\":[2]}", Wrong::Twice, 17),
    ] {
        assert_eq!(of(body, &wanted("data", &["x"])), Err(Fault { wrong, at }), "{body}");
    }
    let fault = scanned(&[b"{\"x\":\"a\xC3\"}"], &wanted("data", &[]), 1000).unwrap_err();
    assert_eq!(fault, Fault { wrong: Wrong::NotText("UTF-8"), at: 8 });
    let long = format!("[1,\"{}\"]", "x".repeat(999));
    assert_eq!(of(&long, &wanted("$", &[])), Err(Fault { wrong: Wrong::Large(1000), at: 3 }));
    for records in ["$", "data"] {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(of(&nested(256), &wanted(records, &[])).is_ok());
        assert_eq!(of(&nested(257), &wanted(records, &[])), Err(Fault { wrong: Wrong::Deep, at: 256 }));
    }
    let cursor = format!("{{\"x\":\"{}\"}}", "x".repeat(2 << 20));
    let pieces: Vec<_> = cursor.as_bytes().chunks(64 << 10).collect();
    assert!(matches!(scanned(&pieces, &wanted("data", &["x"]), 1000), Err(Fault { wrong: Wrong::Large(_), .. })));
    assert!(scanned(&pieces, &wanted("data", &["y"]), 1000).is_ok());
}

/// All values at a path, by serde_json; and whether a step went to each of none.
fn at_path<'a>(raw: &'a RawValue, steps: &[Step], each_of_none: &mut bool) -> Vec<&'a RawValue> {
    let Some((step, rest)) = steps.split_first() else { return vec![raw] };
    let next: Vec<&RawValue> = match raw.get().as_bytes()[0] {
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap();
            *each_of_none |= *step == Step::Each && items.is_empty();
            match step {
                Step::Item(item) => items.get(*item as usize).copied().into_iter().collect(),
                Step::Each => items,
                Step::Name(_) => vec![],
            }
        }
        b'{' => {
            let members = Members::of(raw.get());
            *each_of_none |= *step == Step::Each && members.0.is_empty();
            let is_it = |name: &str| *step == Step::Each || *step == Step::Name(name.to_owned());
            members.0.into_iter().filter(|(name, _)| is_it(name)).map(|(_, value)| value).collect()
        }
        _ => vec![],
    };
    next.into_iter().flat_map(|raw| at_path(raw, rest, each_of_none)).collect()
}

/// Members in their order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    fn of(json: &'a str) -> Self {
        let by_name: BTreeMap<String, &RawValue> = serde_json::from_str(json).unwrap();
        let mut members: Vec<_> = by_name.into_iter().collect();
        members.sort_by_key(|(_, value)| value.get().as_ptr());
        Self(members)
    }
}

fn found(raw: Option<&&RawValue>) -> Found {
    let Some(text) = raw.map(|raw| raw.get()) else { return Found::Absent };
    match text.as_bytes()[0] {
        b'n' => Found::Null,
        b't' | b'f' => Found::Bool(text == "true"),
        b'"' => Found::Text(serde_json::from_str(text).unwrap()),
        b'{' | b'[' => Found::Nested,
        _ => Found::Number(text.to_owned()),
    }
}

fn by_serde(body: &str, wanted: &Wanted) -> (Vec<Vec<u8>>, Envelope) {
    let raw: &RawValue = serde_json::from_str(body).unwrap();
    let (mut each_of_none, mut records, mut kinds) = (false, Vec::new(), Vec::new());
    for there in at_path(raw, wanted.records().steps(), &mut each_of_none) {
        kinds.push(there.get().as_bytes()[0]);
        match there.get().as_bytes()[0] {
            b'{' => records.push(there.get().as_bytes().to_vec()),
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(there.get()).unwrap();
                records.extend(items.iter().map(|item| item.get().as_bytes().to_vec()));
            }
            _ => {}
        }
    }
    let what = match () {
        () if raw.get() == "null" => What::Null,
        () if kinds.iter().any(|kind| !b"{[n".contains(kind)) => What::Scalar,
        () if each_of_none || kinds.iter().any(|kind| b"{[".contains(kind)) => What::Records,
        () if kinds.is_empty() => What::Absent,
        () => What::NullThere,
    };
    let values = wanted.values().iter().map(|path| found(at_path(raw, path.steps(), &mut false).first())).collect();
    let envelope = Envelope { what, records: records.len() as u64, values };
    (records, envelope)
}

fn path() -> impl Strategy<Value = Path> {
    let step = prop_oneof![
        4 => tree::name().prop_map(Step::Name),
        1 => (0..3u64).prop_map(Step::Item),
        1 => Just(Step::Each),
    ];
    prop::collection::vec(step, 0..4).prop_map(|steps| {
        let names = steps.iter().map(|step| match step {
            Step::Name(name) => format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'")),
            Step::Item(item) => format!("[{item}]"),
            Step::Each => "[*]".to_owned(),
        });
        Path::parse(&format!("${}", names.collect::<String>())).unwrap()
    })
}

fn looked_for() -> impl Strategy<Value = Wanted> {
    (path(), prop::collection::vec(path(), 0..6)).prop_map(|(records, values)| Wanted::new(records, values).unwrap())
}

/// Cuts at some places.
fn pieces<'a>(body: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).chain([0, body.len()]).collect();
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| &body[cut[0]..cut[1]]).collect()
}

/// Reads a body as a stream does: the scanner, then documents, then texts, which are the last to be checked.
fn read(body: &[u8], wanted: &Wanted) -> Result<Envelope, Option<Wrong>> {
    let mut reader = Reader::new(body, wanted);
    let mut batch = Batch::new(usize::MAX);
    let envelope = match reader.read(&mut batch) {
        Ok(envelope) => envelope.unwrap(),
        Err(Unreadable::Fault(fault)) => return Err(Some(fault.wrong)),
        Err(Unreadable::File(error)) => panic!("{error}"),
    };
    for record in batch.records() {
        document(&mut Vec::new(), record, Form::Relaxed).map_err(|_| None)?;
    }
    Ok(envelope)
}

fn is_json(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok() && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

proptest! {
    #[test]
    fn pieces_are_the_same_as_the_whole(
        tree in tree::tree(), notation in tree::notation(), wanted in looked_for(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let body = tree.json(&notation);
        let oracle = by_serde(&body, &wanted);
        prop_assert_eq!(scanned(&pieces(body.as_bytes(), &cuts), &wanted, usize::MAX).unwrap(), oracle);
    }

    #[test]
    fn a_part_is_never_whole(tree in tree::container(), notation in tree::notation(), wanted in looked_for()) {
        let body = tree.json(&notation);
        let end = body.trim_end().len();
        for length in 0..end {
            match read(&body.as_bytes()[..length], &wanted) {
                Ok(envelope) => {
                    prop_assert_eq!(envelope.what, What::Empty);
                    prop_assert!(body[..length].trim().is_empty());
                }
                Err(wrong) => prop_assert_eq!(wrong, Some(Wrong::Truncated)),
            }
        }
    }

    #[test]
    fn what_is_taken_is_json(
        tree in tree::container(), notation in tree::notation(), wanted in looked_for(), other in any::<u8>(),
    ) {
        let body = tree.json(&notation).into_bytes();
        for at in 0..body.len() {
            let without = [&body[..at], &body[at + 1..]].concat();
            let instead = [&body[..at], &[other], &body[at + 1..]].concat();
            for changed in [without, instead] {
                match read(&changed, &wanted) {
                    Ok(envelope) => prop_assert!(is_json(&changed) || envelope.what == What::Empty),
                    // These are refused though they are JSON; and so are halves of surrogate pairs.
                    Err(Some(Wrong::Twice | Wrong::Name) | None) => {}
                    Err(_) => prop_assert!(!is_json(&changed)),
                }
            }
        }
    }

    #[test]
    fn batches_are_the_same_as_one(
        tree in tree::container(), notation in tree::notation(), wanted in looked_for(), most in 1..40usize,
    ) {
        let body = tree.json(&notation);
        let mut one = Batch::new(usize::MAX);
        let read = Reader::new(body.as_bytes(), &wanted).read(&mut one);
        // A name with a zero in it.
        let Ok(envelope) = read else { return Ok(()) };
        prop_assert_eq!(Reader::new(body.as_bytes(), &wanted).look().unwrap(), envelope.clone().unwrap());
        let (mut reader, mut batch, mut all) = (Reader::new(Slowly(body.as_bytes()), &wanted), Batch::new(most), Vec::new());
        let last = loop {
            batch.clear();
            let last = reader.read(&mut batch).unwrap();
            all.extend(batch.records().map(<[u8]>::to_vec));
            if last.is_some() {
                break last;
            }
            prop_assert!(batch.is_full());
        };
        prop_assert_eq!(last, envelope);
        prop_assert!(all.iter().map(Vec::as_slice).eq(one.records()));
    }
}

/// A few bytes at a time.
struct Slowly<'a>(&'a [u8]);

impl std::io::Read for Slowly<'_> {
    fn read(&mut self, piece: &mut [u8]) -> std::io::Result<usize> {
        let most = piece.len().min(3);
        self.0.read(&mut piece[..most])
    }
}
