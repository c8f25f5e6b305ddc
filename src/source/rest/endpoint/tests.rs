//! What is refused of an endpoint, and at which key.

use super::*;
use crate::source::STREAM_KEYS;
use crate::source::rest::config;

fn refusal(values: &[(&str, &str)]) -> String {
    let keys = STREAM_KEYS.iter().chain(crate::source::masking::KEYS).chain(config::KIND.stream_keys).collect();
    let section = Section::of_keys("stream s", keys, &[&[("query", "/x")], values].concat()).unwrap();
    check(&section).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn what_a_format_has_not_is_of_the_key_that_asks_for_it() {
    let csv = ("response_format", "csv");
    for (values, wanted) in [
        (
            &[csv, ("retry_when", "error.code = 4")][..],
            "`retry_when` looks for `error.code`, and with this `response_format`",
        ),
        (&[csv, ("total", "meta.total")], "`total` looks for `meta.total`"),
        (&[csv, ("records", "data")], "`records` is `data`"),
        (&[csv, ("pagination", "link"), ("next_link", "next")], "`next_link` looks for `next`"),
        (&[("response_format", "xml")], "`records` must say which element"),
        (
            &[("response_format", "xml"), ("records", "a.b"), ("has_more", "a.c[0]")],
            "`has_more` has `a.c[0]`, which counts",
        ),
    ] {
        let refused = refusal(values);
        assert!(refused.contains(wanted), "{refused}");
    }
    for fine in [&[csv, ("retry_when", "status = 420; header.x exists")][..], &[csv, ("pagination", "link")]] {
        assert_eq!(refusal(fine), "");
    }
}

#[test]
fn one_value_too_many_is_of_the_key_that_has_it() {
    let rules: Vec<_> = (0..63).map(|n| format!("a{n} exists")).collect();
    let rules = rules.join("; ");
    assert_eq!(refusal(&[("retry_when", &rules), ("fail_when", "$.a0 = 1")]), "", "the same place twice is one");
    let refused = refusal(&[("retry_when", &rules), ("fail_when", "b = 1")]);
    assert!(refused.contains("`fail_when` looks for one value too many"), "{refused}");
}

#[test]
fn a_masked_key_is_refused_however_it_is_written() {
    for field in ["email", "$.email", "['email'].at"] {
        let keys =
            [("pagination", "keyset"), ("keyset_param", "since"), ("keyset_field", field), ("mask.email", "drop")];
        assert!(refusal(&keys).contains("`mask.email` masks"), "{field}");
    }
}
