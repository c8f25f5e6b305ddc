use super::*;
use crate::source::rest::config;
use crate::source::rest::request::Params;

fn section(values: &[(&str, &str)]) -> Section {
    Section::of_kind(&config::KIND, values).unwrap()
}

/// A page that is tried: what it says at each path, and how many records it has.
struct Said<'a> {
    says: &'a [(&'a str, Scalar)],
    records: u64,
    digest: u64,
    before: Before,
}

/// What comes after it.
fn after_page(paging: &Paging, place: &Place, said: &Said<'_>, guard: &mut Guard) -> Result<Next> {
    let url = Url::parse("https://api.example.com/v1/x").unwrap();
    let value = |path: &Path| {
        said.says.iter().find(|(at, _)| *at == "*" || *at == path.to_string()).map(|(_, value)| value.clone())
    };
    let mut headers = HeaderMap::new();
    for (name, value) in said.says.iter().filter_map(|(at, value)| Some((at.strip_prefix("header.")?, value))) {
        headers.insert(name.parse::<HeaderName>().unwrap(), value.text().parse().unwrap());
    }
    let page = Page {
        url: &url,
        headers: &headers,
        value: &value,
        records: said.records,
        last_key: None,
        digest: said.digest,
        secret_names: &[],
        secrets: &Secrets::default(),
    };
    paging.after(place, &page, said.before, guard)
}

/// What comes after a page of so many records that says `says` at every place that it is asked about.
fn after(paging: &Paging, place: &Place, (records, says): (u64, Option<&str>), guard: &mut Guard) -> Result<Next> {
    // Of each page another one.
    let digest = match place {
        Place::Page(number) => *number as u64,
        _ => 0,
    };
    let says: Vec<_> = says.map(|says| ("*", Scalar::from(says))).into_iter().collect();
    let before = Before { records: 0, is_whole: true };
    after_page(paging, place, &Said { says: &says, records, digest, before }, guard)
}

/// Reads as many records as there are, in pages of so many; each page says the same. How many came, or the error.
fn read_all(
    keys: &[(&str, &str)],
    (there, size): (u64, u64),
    says: &[(&str, Scalar)],
) -> std::result::Result<u64, String> {
    let paging = Paging::of(&section(keys)).unwrap();
    let (mut guard, mut place, mut read) = (Guard::default(), paging.first(), 0);
    for digest in 0..1000 {
        let records = size.min(there - read);
        let before = Before { records: read, is_whole: true };
        read += records;
        match after_page(&paging, &place, &Said { says, records, digest, before }, &mut guard) {
            Ok(Next::At(next)) => place = next,
            Ok(Next::End) => return Ok(read),
            Err(error) => return Err(error.to_string()),
        }
    }
    panic!("it has no end");
}

const NUMBERED: (&str, &str) = ("pagination", "page");
const TOTAL: (&str, &str) = ("total", "total");

fn number(text: &str) -> Scalar {
    Scalar::Number(text.to_owned())
}

#[test]
fn pages_that_end_long_before_the_total_are_an_error() {
    for kind in [NUMBERED, ("pagination", "offset")] {
        let error = read_all(&[kind, TOTAL], (100, 10), &[("total", number("500"))]).unwrap_err();
        assert!(error.contains("end after 100 records, and `total` says that there are 500"), "{error}");
        // Records that went while they were read.
        assert_eq!(read_all(&[kind, TOTAL], (100, 10), &[("total", number("109"))]), Ok(100));
        assert!(read_all(&[kind, TOTAL], (100, 10), &[("total", number("110"))]).is_err());
        assert!(read_all(&[kind, TOTAL], (0, 10), &[("total", number("5"))]).is_err(), "nothing of what is there");
        assert_eq!(read_all(&[kind, TOTAL], (0, 10), &[("total", number("0"))]), Ok(0));
    }
    // Nor is one page all.
    assert!(read_all(&[TOTAL], (10, 10), &[("total", number("25"))]).is_err());
    // Pages that were left out are known to be missing.
    let paging = Paging::of(&section(&[NUMBERED, TOTAL])).unwrap();
    let before = Before { records: 10, is_whole: false };
    let said = Said { says: &[("total", number("500"))], records: 0, digest: 0, before };
    assert_eq!(after_page(&paging, &Place::Page(3), &said, &mut Guard::default()).unwrap(), Next::End);
}

#[test]
fn what_says_less_than_came_ends_nothing() {
    for total in ["15", "0", "-1"] {
        for kind in [NUMBERED, ("pagination", "offset")] {
            assert_eq!(read_all(&[kind, TOTAL], (50, 10), &[("total", number(total))]), Ok(50), "{total}");
        }
    }
    for last_page in ["0", "-1"] {
        let keys = [NUMBERED, ("last_page", "last")];
        assert_eq!(read_all(&keys, (50, 10), &[("last", number(last_page))]), Ok(50), "{last_page}");
        assert_eq!(read_all(&keys, (0, 10), &[("last", number(last_page))]), Ok(0), "{last_page}");
    }
    assert_eq!(read_all(&[NUMBERED, ("last_page", "last")], (50, 10), &[("last", number("3"))]), Ok(30));
}

#[test]
fn headers_tell_the_end_too() {
    let says = |name: &'static str, text: &str| [(name, Scalar::Text(text.to_owned()))];
    let keys = |key, from| [NUMBERED, (key, from)];
    let read = |key, from, text| read_all(&keys(key, from), (50, 10), &says("header.x-said", text)).map_err(|_| ());
    assert_eq!(read("total", "header.X-Said", "20"), Ok(20));
    assert_eq!(read("last_page", "header.X-Said", "3"), Ok(30));
    assert_eq!(read("has_more", "header.X-Said", "False"), Ok(10));
    assert_eq!(read("is_last", "header.X-Said", "True"), Ok(10));
    let error = read_all(&keys("total", "header.X-Total"), (50, 10), &[]).unwrap_err();
    assert!(error.contains("has no `header.x-total`, which `total` names"), "{error}");
}

#[test]
fn a_page_may_say_that_it_is_the_last() {
    let keys = [NUMBERED, ("is_last", "isLast")];
    let paging = Paging::of(&section(&keys)).unwrap();
    let next = |is_last| after(&paging, &Place::Page(1), (10, Some(is_last)), &mut Guard::default()).unwrap();
    assert_eq!([next("false"), next("true")], [Next::At(Place::Page(2)), Next::End]);
    assert!(read_all(&keys, (10, 10), &[]).unwrap_err().contains("has no `isLast`"));
}

#[test]
fn it_is_known_how_far_to_ask_ahead() {
    let last = |keys: &[(&str, &str)], place: Place, says: &str| {
        let mut guard = Guard::default();
        after(&Paging::of(&section(keys)).unwrap(), &place, (10, Some(says)), &mut guard).unwrap();
        guard.last
    };
    assert_eq!(last(&[NUMBERED, TOTAL], Place::Page(1), "41"), Some(5));
    assert_eq!(last(&[NUMBERED, TOTAL], Place::Page(1), "-1"), None);
    assert_eq!(last(&[NUMBERED, ("last_page", "last")], Place::Page(1), "7"), Some(7));
    assert_eq!(last(&[("pagination", "offset"), TOTAL], Place::Offset(0), "41"), Some(40));
    assert!(Place::Page(6).is_behind(5) && !Place::Page(5).is_behind(5) && !Place::Offset(40).is_behind(40));
}

#[test]
fn a_cursor_is_sent_as_what_it_was() {
    let keys = [("pagination", "cursor"), ("next_cursor", "next"), ("next_cursor_param", "after")];
    let paging = Paging::of(&section(&keys)).unwrap();
    for (next, sent) in [
        (Scalar::Text("007".to_owned()), r#"{"after":"007"}"#),
        (Scalar::Text("50".to_owned()), r#"{"after":"50"}"#),
        (number("50"), r#"{"after":50}"#),
        (number("98765432109876543210987"), r#"{"after":98765432109876543210987}"#),
    ] {
        let before = Before { records: 0, is_whole: true };
        let said = Said { says: &[("next", next)], records: 1, digest: 0, before };
        let Next::At(place) = after_page(&paging, &Place::First, &said, &mut Guard::default()).unwrap() else {
            panic!("it ends")
        };
        // Through a position.
        let place: Place = serde_json::from_value(serde_json::to_value(place).unwrap()).unwrap();
        let mut request = Request::get(Url::parse("https://api.example.com/v1/x").unwrap());
        request.params = Params::Json;
        paging.apply(&place, &mut request).unwrap();
        assert_eq!(request.body.unwrap(), sent);
    }
}

/// What a chain of cursors or links comes to whose server gives another next one each time.
fn chain(keys: &[(&str, &str)], most: u64, page: impl Fn(u64) -> (u64, u64)) -> std::result::Result<u64, String> {
    let paging = Paging::of(&section(keys)).unwrap();
    let (mut guard, mut place) = (Guard::default(), Place::First);
    for at in 0..most {
        let (records, digest) = page(at);
        let next = [("*", Scalar::Text(format!("/v1/x?at={at}")))];
        let before = Before { records: at, is_whole: true };
        match after_page(&paging, &place, &Said { says: &next, records, digest, before }, &mut guard) {
            Ok(Next::At(next)) => place = next,
            Ok(Next::End) => return Ok(at),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(most)
}

#[test]
fn cursors_and_links_that_lead_nowhere_are_errors() {
    let cursor = [("pagination", "cursor"), ("next_cursor", "next"), ("next_cursor_param", "nope")];
    for (keys, named) in
        [(&cursor[..], "`next_cursor_param`"), (&[("pagination", "link"), ("next_link", "next")], "`next_link`")]
    {
        let error = chain(keys, 10, |_| (10, 7)).unwrap_err();
        assert!(error.contains("the same records as one shortly before it") && error.contains(named), "{error}");
        assert_eq!(chain(keys, 100, |at| (10, at)), Ok(100));
        assert_eq!(chain(keys, 50_000, |_| (0, 0)), Ok(50_000), "some scan all that they have");
        let error = chain(keys, 100_010, |_| (0, 0)).unwrap_err();
        assert!(error.contains("more than 100000 pages") && error.contains(named), "{error}");
    }
}

/// Reads pages by number until there is no next one, or so many; says the last, or the error.
fn read(records: impl Fn(i64) -> u64, most: i64) -> std::result::Result<i64, String> {
    let paging = Paging::of(&section(&[("pagination", "page"), ("has_more", "more")])).unwrap();
    let mut guard = Guard::default();
    for number in 1..most {
        match after(&paging, &Place::Page(number), (records(number), Some("true")), &mut guard) {
            Ok(Next::At(place)) => assert_eq!(place, Place::Page(number + 1)),
            Ok(Next::End) => return Ok(number),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(most)
}

#[test]
fn only_empty_pages_one_after_the_other_are_too_many() {
    assert_eq!(read(|number| (number % 2) as u64, 10_000), Ok(10_000));
    assert_eq!(read(|number| u64::from(number % 1001 == 0), 10_000), Ok(10_000));
    let error = read(|number| u64::from(number < 10), 10_000).unwrap_err();
    assert!(error.contains("more than 1000 pages up to page 1010 have no records"), "{error}");
    assert!(error.contains("`has_more`"), "{error}");
}

#[test]
fn a_last_record_without_its_key_says_which_field_that_is() {
    let keys = [("pagination", "keyset"), ("keyset_field", "$.meta['at']"), ("keyset_param", "since")];
    let paging = Paging::of(&section(&keys)).unwrap();
    let error = after(&paging, &Place::First, (1, None), &mut Guard::default()).unwrap_err().to_string();
    assert!(error.contains("the first page") && error.contains("at `meta.at`, which `keyset_field` names"), "{error}");
    assert_eq!(after(&paging, &Place::First, (0, None), &mut Guard::default()).unwrap(), Next::End);
}

#[test]
fn each_place_has_the_key_that_names_it() {
    let keys = [("pagination", "link"), ("next_link", "$.a"), ("total", "b[0]"), ("has_more", "['c d']")];
    let paging = Paging::of(&section(&keys)).unwrap();
    let wanted: Vec<_> = paging.wanted().map(|(key, path)| format!("{key} {path}")).collect();
    assert_eq!(wanted, ["next_link a", "total b[0]", "has_more ['c d']"]);
}

#[test]
fn what_is_no_path_is_refused_as_it_is_read() {
    for (key, text) in [
        ("total", "meta["),
        ("has_more", "a[*].b"),
        ("last_page", "$"),
        ("next_cursor", "a..b"),
        ("next_cursor", "header.a b"),
        ("next_link", ""),
        ("keyset_field", "id["),
    ] {
        let error = Section::of_kind(&config::KIND, &[(key, text)]).unwrap_err().to_string();
        assert!(error.contains(&format!("`{key}` must be")), "{error}");
    }
}
