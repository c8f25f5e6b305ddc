//! What XML becomes.

use proptest::prelude::*;

use super::super::path::Path;
use super::super::tests::{Slowly, read};
use super::*;

fn of(body: &[u8], records: &str, values: &[&str]) -> Result<(Vec<String>, Envelope), Fault> {
    with_lists(body, (records, values), &[])
}

fn with_lists(
    body: &[u8],
    (records, values): (&str, &[&str]),
    lists: &[&str],
) -> Result<(Vec<String>, Envelope), Fault> {
    let lists: Vec<_> = lists.iter().map(|path| Path::parse(path).unwrap()).collect();
    let values = values.iter().map(|path| Path::parse(path).unwrap()).collect();
    let wanted = Wanted::new(Path::parse(records).unwrap(), values).unwrap();
    let whole = read(&mut Reader::new(body, &wanted, &lists));
    assert_eq!(read(&mut Reader::new(Slowly(body), &wanted, &lists)), whole);
    whole
}

#[test]
fn elements_are_records() {
    let body = "\u{FEFF}<?xml version=\"1.0\"?>\n<feed xmlns:g='u'>\n <next href=\"/a?b=1&amp;c\"/><total> 3 </total>
        <entry><id>1</id><g:tag>a</g:tag><g:tag lang='en'>b</g:tag><x> a&lt;b &#233;<![CDATA[<&]]></x></entry><!-- a -->
        <entry id=\"2\">text<empty/> <b> </b> more</entry><entry>bare</entry><entry/><other><entry>no</entry></other></feed>\n";
    let (records, envelope) =
        of(body.as_bytes(), "feed.entry", &["feed.next.@href", "feed.total", "feed.other", "feed.none", "feed.next"])
            .unwrap();
    assert_eq!(
        records,
        [
            r##"{"id":"1","g:tag":["a",{"@lang":"en","#text":"b"}],"x":" a<b é<&"}"##,
            r##"{"@id":"2","empty":null,"b":null,"#text":"text  more"}"##,
            r#"{"value":"bare"}"#,
            r#"{"value":null}"#,
        ]
    );
    let text = |text: &str| Found::Text(text.to_owned());
    assert_eq!(envelope.what, What::Records);
    assert_eq!(envelope.values, [text("/a?b=1&c"), text(" 3 "), Found::Nested, Found::Absent, Found::Null]);
}

#[test]
fn lists_are_lists_of_one_too() {
    let body = "<o><r><line>1</line><to><tag/></to></r><r><line a='b'/><line>2</line></r><r/></o>";
    let (records, _) = with_lists(body.as_bytes(), ("o.r", &[]), &["line", "to.tag", "tag"]).unwrap();
    assert_eq!(records, [r#"{"line":["1"],"to":{"tag":[null]}}"#, r#"{"line":[{"@a":"b"},"2"]}"#, r#"{"value":null}"#]);
}

#[test]
fn bodies_without_records_are_told_apart() {
    for (body, what) in [
        ("", What::Empty),
        (" \n", What::Empty),
        ("<feed/>", What::Records),
        ("<feed><x/></feed>", What::Absent),
        ("<feed><x/><entry/></feed>", What::Records),
        ("<error>no</error>", What::Absent),
        ("<feeds><entry/></feeds>", What::Absent),
    ] {
        assert_eq!(of(body.as_bytes(), "feed.entry", &[]).unwrap().1.what, what, "{body}");
    }
}

#[test]
fn what_is_wrong_is_told_by_name() {
    for (body, wrong) in [
        ("<!DOCTYPE html><html></html>", Wrong::Html),
        ("<html><body>", Wrong::Html),
        ("{\"a\":1}", Wrong::Other),
        ("Too many requests", Wrong::Other),
        ("<?xml version='1.0'?>", Wrong::Truncated),
        ("<feed><entry>", Wrong::Truncated),
        ("<feed></feed><feed></feed>", Wrong::Trailing),
        ("<feed></feed> x", Wrong::Trailing),
        ("<feed></fed>", Wrong::Unexpected),
        ("<feed>&nbsp;</feed>", Wrong::Unexpected),
        ("<feed a=1></feed>", Wrong::Unexpected),
    ] {
        assert_eq!(of(body.as_bytes(), "feed.entry", &[]).unwrap_err().wrong, wrong, "{body}");
    }
    for (body, at) in [(&b"<feed><entry>caf\xE9 </entry></feed>"[..], 16), (b"<feed><entry a='\xE9'/></feed>", 16)] {
        assert_eq!(of(body, "feed.entry", &[]).unwrap_err(), Fault { wrong: Wrong::NotText("UTF-8"), at });
    }
    let nested = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
    assert!(of(nested(DEEPEST).as_bytes(), "a", &[]).is_ok());
    assert_eq!(of(nested(DEEPEST + 1).as_bytes(), "a", &[]).unwrap_err().wrong, Wrong::Deep);
    let wanted = Wanted::new(Path::parse("a.b").unwrap(), vec![]).unwrap();
    for text in ["x".repeat(LARGEST + 9), "<c/>".repeat(LARGEST / 4 + 9)] {
        let body = format!("<a><b>{text}</b></a>");
        assert_eq!(read(&mut Reader::new(body.as_bytes(), &wanted, &[])).unwrap_err().wrong, Wrong::Large(LARGEST));
    }
}

fn element() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(" ".to_owned()),
        "[a-zé \n]{0,6}",
        Just("&amp;&#x20;".to_owned()),
        Just("<![CDATA[<a>]]>".to_owned()),
        Just("<!-- a -->".to_owned()),
        Just("<b/>".to_owned()),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        let named = ("[ab]", prop::collection::vec(inner, 0..4), prop::option::of("[xyz&&[^\"]]{0,3}"));
        named.prop_map(|(name, inner, attribute)| {
            let attribute = attribute.map(|value| format!(" id=\"{value}\"")).unwrap_or_default();
            format!("<{name}{attribute}>{}</{name}>", inner.concat())
        })
    })
}

proptest! {
    #[test]
    fn a_part_is_never_whole(inner in prop::collection::vec(element(), 0..4)) {
        let body = format!("<a>{}</a>", inner.concat());
        prop_assert!(of(body.as_bytes(), "a.b", &["a.b.@id"]).is_ok());
        for length in 1..body.len() {
            let part = of(&body.as_bytes()[..length], "a.b", &[]);
            let wrong = part.map_err(|fault| fault.wrong);
            prop_assert!(matches!(wrong, Err(Wrong::Truncated)), "{:?} of {}", wrong, &body);
        }
    }
}
