//! What a stream asks for and takes for records, in a few digits: a chain of pages that other keys began is not gone on with, and a
//! request that failed under other keys is not asked for by these.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use url::Url;
use uuid::Uuid;

use super::children::{self, Children};
use super::secrets::is_secret_name;
use super::{endpoint, incremental, paging};
use crate::config::{Key, Section, Value};
use crate::error::Result;

/// Keys that shape no request, and do not tell what of an answer is a record: how answers are judged, where a chain of pages ends, and
/// how long windows are, which those that are open say themselves.
///
/// Any key that is not named here counts: a new one at worst makes a window begin anew, and never lets pages of two kinds mix.
const HARMLESS: &[&str] = &[
    "concurrency",
    "records_absent",
    "retry_when",
    "fail_when",
    "ignore_when",
    "renew_when",
    "on_error",
    "max_failures",
    "total",
    "has_more",
    "is_last",
    "last_page",
    "step",
    "max_parents",
];

/// Of a stream's section, whose path stands behind its server's URL: one that differs asks for other pages, or takes other things in
/// them for records. Nothing secret is in it. Reports have no pages that could mix: their keys are left out.
pub fn of_stream(section: &Section, at: (&Url, &str), children: Option<&Children>) -> Result<String> {
    let keys = [endpoint::KEYS, paging::KEYS, incremental::KEYS, children::KEYS];
    let mut values = values(section, at, &keys)?;
    if let Some(children) = children {
        values.insert("parents", children.digest.clone().into());
    }
    Ok(digest(&values))
}

/// Of the section of a stream whose records are another one's parents. By what pages they come does not matter: all of them are asked
/// for in each run.
pub fn of_parents(section: &Section, at: (&Url, &str)) -> Result<String> {
    Ok(digest(&values(section, at, &[endpoint::KEYS])?))
}

/// The same in every build, and whatever the order of keys.
fn digest(values: &BTreeMap<&str, Json>) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, json!(values).to_string().as_bytes()).simple().to_string()
}

/// Values that are not the default, so that a program that has more keys comes to the same.
fn values(
    section: &Section,
    (base, path): (&Url, &str),
    keys: &[&'static [Key]],
) -> Result<BTreeMap<&'static str, Json>> {
    let mut url = endpoint::at(base, path).map_err(|problem| section.error("query", problem))?;
    let mut query: Vec<_> =
        url.query_pairs().map(|(name, value)| hidden(&name, &value, is_secret_name(&name))).collect();
    query.sort();
    url.set_query(None);
    url.set_fragment(None);
    let mut values = BTreeMap::from([("url", url.as_str().into())]);
    if !query.is_empty() {
        values.insert("query", json!(query));
    }
    for key in keys.iter().copied().flatten().filter(|key| !HARMLESS.contains(&key.name)) {
        if let Some(value) = value(section, key) {
            values.insert(key.name, value);
        }
    }
    Ok(values)
}

/// `None` where it says nothing, or the default.
fn value(section: &Section, key: &Key) -> Option<Json> {
    if key.family {
        let mut members: Vec<_> = section.members(key.name).map(|(name, text)| member(key.name, name, text)).collect();
        members.sort();
        return (!members.is_empty()).then(|| json!(members));
    }
    let text = section.get(key.name)?.trim();
    if key.default == Some(text) {
        return None;
    }
    Some(match key.value {
        Value::List => json!(section.list(key.name)),
        Value::Flag => match section.flag(key.name) {
            Ok(false) => return None,
            flag => json!(flag.is_ok()),
        },
        _ => json!(text),
    })
}

/// A parameter or a header. Of one whose name says that it is secret, the name alone.
fn member(family: &str, name: &str, text: &str) -> (String, Option<String>) {
    let text = text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    match family {
        // Their names are made of words, and alike in upper and lower case.
        "header." => hidden(&name.to_ascii_lowercase(), &text, name.split(['-', '_']).any(is_secret_name)),
        _ => hidden(name, &text, is_secret_name(name)),
    }
}

fn hidden(name: &str, text: &str, is_secret: bool) -> (String, Option<String>) {
    (name.to_owned(), (!is_secret).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::STREAM_KEYS;
    use crate::source::rest::config;

    fn of_base(base: &str, values: &[(&str, &str)]) -> String {
        let keys = STREAM_KEYS.iter().chain(config::KIND.stream_keys).collect();
        let section = Section::of_keys("stream s", keys, values).unwrap();
        let path = section.get("query").unwrap_or("/orders").to_owned();
        of_stream(&section, (&Url::parse(base).unwrap(), &path), None).unwrap()
    }

    fn of(values: &[(&str, &str)]) -> String {
        of_base("https://api.example.com/v1", values)
    }

    #[test]
    fn what_shapes_requests_and_records_counts() {
        let one_each = [
            ("method", "post"),
            ("param.a", "1"),
            ("param.a", "1\n2"),
            ("param.b", "1"),
            ("header.version", "2"),
            ("records", "data"),
            ("response_format", "csv"),
            ("pagination", "page"),
            ("page_size", "20"),
            ("first_page", "0"),
            ("cursor_param", "since"),
            ("until_param", "until"),
            ("until_inclusive", "yes"),
            ("cursor_format", "iso"),
            ("query", "/orders?a=1"),
            ("query", "/customers"),
        ];
        let mut all: Vec<String> = one_each.iter().map(|one| of(&[*one])).collect();
        all.push(of(&[]));
        for base in ["https://api.example.com/v2", "https://api.example.com:8443/v1", "http://api.example.com/v1"] {
            all.push(of_base(base, &[]));
        }
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn what_says_the_same_in_other_words_comes_to_the_same() {
        assert_eq!(of(&[("param.a", "1"), ("param.b", "2")]), of(&[("param.b", "2"), ("param.a", " 1 ")]));
        assert_eq!(of_base("https://api.example.com:443/v1/", &[("query", "orders")]), of(&[]));
        for same in [("method", "get"), ("until_inclusive", "no"), ("first_page", "1"), ("response_format", "json")] {
            assert_eq!(of(&[same]), of(&[]), "{same:?}");
        }
        assert_eq!(of(&[("until_inclusive", "yes")]), of(&[("until_inclusive", "true")]));
    }

    #[test]
    fn what_is_secret_and_what_is_harmless_does_not_count() {
        for [one, other] in [
            [("param.access_token", "a"), ("param.access_token", "b")],
            [("header.X-Api-Key", "a"), ("header.x-api-key", "b")],
            [("query", "/orders?api_key=a"), ("query", "/orders?api_key=b")],
            [("concurrency", "2"), ("concurrency", "3")],
            [("step", "1d"), ("step", "2d")],
        ] {
            assert_eq!(of(&[one]), of(&[other]), "{one:?}");
        }
        assert!(HARMLESS.iter().all(|name| config::KIND.stream_keys.iter().any(|key| key.name == *name)));
    }

    /// Whoever changes this has every chain that is under way begin anew, and every request that is open refused.
    #[test]
    fn is_the_same_in_every_build() {
        let values = [("pagination", "page"), ("page_size", "20"), ("param.state", "open"), ("records", "data")];
        assert_eq!(of(&values), "8f4c50835c7b555ba40cae02abc50beb");
    }
}
