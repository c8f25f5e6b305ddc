use super::*;
use crate::source::rest::config;

fn section(values: &[(&str, &str)]) -> Section {
    Section::of_kind(&config::KIND, values).unwrap()
}

/// What comes after a page of so many records that says `says` at every place that it is asked about.
fn after(paging: &Paging, place: &Place, (records, says): (u64, Option<&str>), guard: &mut Guard) -> Result<Next> {
    let url = Url::parse("https://api.example.com/v1/x").unwrap();
    let value = |_: &Path| says.map(Scalar::from);
    let page = Page {
        url: &url,
        headers: &HeaderMap::new(),
        value: &value,
        records,
        last_key: None,
        // Of each page another one.
        digest: match place {
            Place::Page(number) => *number as u64,
            _ => 0,
        },
        secret_names: &[],
        secrets: &Secrets::default(),
    };
    paging.after(place, &page, 0, guard)
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
