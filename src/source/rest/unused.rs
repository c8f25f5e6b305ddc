//! Keys that do nothing beside the others of their stream. Whoever sets one means something by it, and would not get it.

use self::Need::{Is, Set};
use crate::config::Section;
use crate::error::Result;

/// What a key is of.
enum Need {
    /// Another key has one of these values.
    Is(&'static str, &'static [&'static str]),
    /// Another key is set.
    Set(&'static str),
}

/// A key, what it is of (one is enough), and which keys say the same of other kinds of pages.
struct Row(&'static str, &'static [Need], Others);

/// By the value of `pagination`: the key that may have been meant.
type Others = &'static [(&'static str, &'static str)];

const PARAMS: Others =
    &[("page", "page_param"), ("offset", "offset_param"), ("cursor", "next_cursor_param"), ("keyset", "keyset_param")];
const PLACES: Others = &[("cursor", "next_cursor"), ("link", "next_link"), ("keyset", "keyset_field")];
const FIRSTS: Others = &[("page", "first_page"), ("offset", "first_offset")];

const NUMBERS: &[Need] = &[Is("pagination", &["page"])];
const OFFSETS: &[Need] = &[Is("pagination", &["offset"])];
const CURSORS: &[Need] = &[Is("pagination", &["cursor"])];
const LINKS: &[Need] = &[Is("pagination", &["link"])];
const KEYSETS: &[Need] = &[Is("pagination", &["keyset"])];
/// A stream that has a cursor may be read by it for once (`--mode incremental`).
const INCREMENTAL: &[Need] = &[Is("mode", &["incremental"]), Set("cursor")];
const REPORTS: &[Need] = &[Set("report_id")];

const ROWS: &[Row] = &[
    Row("body", &[Is("method", &["post"])], &[]),
    Row("concurrency", &[Is("pagination", &["page", "offset"]), Set("for_each")], &[]),
    Row("response_delimiter", &[Is("response_format", &["csv"])], &[]),
    Row("records_absent", &[Is("response_format", &["json", "xml"])], &[]),
    Row("max_failures", &[Is("on_error", &["keep_going"])], &[]),
    Row("page_param", NUMBERS, PARAMS),
    Row("first_page", NUMBERS, FIRSTS),
    Row("last_page", NUMBERS, &[]),
    Row("offset_param", OFFSETS, PARAMS),
    Row("first_offset", OFFSETS, FIRSTS),
    Row("next_cursor", CURSORS, PLACES),
    Row("next_cursor_param", CURSORS, PARAMS),
    Row("next_link", LINKS, PLACES),
    Row("keyset_field", KEYSETS, PLACES),
    Row("keyset_param", KEYSETS, PARAMS),
    Row("page_size", &[Set("page_size_param")], &[]),
    Row("page_size_param", &[Set("page_size")], &[]),
    Row("cursor_param", INCREMENTAL, &[("cursor", "next_cursor_param")]),
    Row("until_param", INCREMENTAL, &[]),
    Row("until_inclusive", INCREMENTAL, &[]),
    Row("until_inclusive", &[Set("until_param")], &[]),
    Row("cursor_format", INCREMENTAL, &[]),
    Row("cursor_format", &[Set("cursor_param")], &[]),
    Row("step", INCREMENTAL, &[]),
    Row("max_parents", &[Set("for_each")], &[]),
    Row("report_status_path", REPORTS, &[]),
    Row("report_status", REPORTS, &[]),
    Row("report_done", REPORTS, &[]),
    Row("report_failed", REPORTS, &[]),
    Row("report_url", REPORTS, &[]),
    Row("report_path", REPORTS, &[]),
    Row("report_poll", REPORTS, &[]),
    Row("report_poll_most", REPORTS, &[]),
    Row("report_timeout", REPORTS, &[]),
];

/// Refuses a key that the stream's section sets itself, and that does nothing there. What it takes over may be meant for others.
pub fn refuse(section: &Section) -> Result<()> {
    let is_idle = |Row(key, needs, _): &&Row| section.is_own(key) && !needs.iter().any(|need| need.is_met(section));
    let Some(Row(key, needs, others)) = ROWS.iter().find(is_idle) else { return Ok(()) };
    let of: Vec<_> = needs.iter().map(Need::shown).collect();
    let lacks = needs.first().map(|need| need.lack(section)).unwrap_or_default();
    let error = section.error(key, format!("is of {}, and does nothing {lacks}", of.join(" or ")));
    let pagination = section.get("pagination").unwrap_or_default();
    let meant = others.iter().find(|(kind, other)| *kind == pagination && !section.is_set(other));
    Err(error.hint(match meant {
        Some((_, meant)) => format!("Did you mean `{meant}`?"),
        None => format!(
            "Leave it out, or set {} too. A key for other streams of the source may stand in the source's section.",
            of.first().map(String::as_str).unwrap_or_default()
        ),
    }))
}

impl Need {
    fn is_met(&self, section: &Section) -> bool {
        match self {
            Is(key, values) => section.get(key).is_some_and(|value| values.contains(&value)),
            Set(key) => section.is_set(key),
        }
    }

    fn shown(&self) -> String {
        match self {
            Is(key, values) => values.iter().map(|value| format!("`{key} = {value}`")).collect::<Vec<_>>().join(" or "),
            Set(key) => format!("`{key}`"),
        }
    }

    /// Of one that is not met: what is there in its place.
    fn lack(&self, section: &Section) -> String {
        match self {
            Is(key, _) => format!("with `{key} = {}`", section.get(key).unwrap_or_default()),
            Set(key) => format!("without `{key}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Key;
    use crate::source::STREAM_KEYS;
    use crate::source::rest::{children, config, endpoint, incremental, paging, report};

    fn keys() -> Vec<&'static Key> {
        STREAM_KEYS.iter().chain(config::KIND.stream_keys).collect()
    }

    fn refusal(values: &[(&str, &str)]) -> String {
        let section = Section::of_keys("stream s", keys(), values).unwrap();
        refuse(&section).err().map(|error| error.to_string()).unwrap_or_default()
    }

    /// Some value of a key.
    fn value(name: &str) -> &'static str {
        let key = keys().into_iter().find(|key| key.name == name).unwrap_or_else(|| panic!("there is no {name}"));
        key.default.unwrap_or(key.example)
    }

    /// Adds whatever a key is of.
    fn add_needs(key: &str, values: &mut Vec<(&'static str, &'static str)>) {
        for Row(_, needs, _) in ROWS.iter().filter(|row| row.0 == key) {
            let (name, text) = match needs[0] {
                Is(name, texts) => (name, texts[0]),
                Set(name) => (name, value(name)),
            };
            if values.iter().all(|(known, _)| *known != name) {
                values.push((name, text));
                add_needs(name, values);
            }
        }
    }

    #[test]
    fn every_key_is_refused_by_itself_and_not_with_what_it_is_of() {
        for Row(key, ..) in ROWS {
            // JSON, which is the default, may lack its records.
            let beside = if *key == "records_absent" { &[("response_format", "csv")][..] } else { &[] };
            let alone = refusal(&[&[(*key, value(key))], beside].concat());
            assert!(alone.contains(&format!("`{key}` is of ")), "{key}: {alone}");
            let mut values = vec![(*key, value(key))];
            add_needs(key, &mut values);
            assert_eq!(refusal(&values), "", "{values:?}");
        }
    }

    /// A key that is added to these has to say what it is of.
    #[test]
    fn all_others_do_something_in_any_stream() {
        let groups = [endpoint::KEYS, paging::KEYS, report::KEYS, incremental::KEYS, children::KEYS];
        let others =
            groups.into_iter().flatten().map(|key| key.name).filter(|key| ROWS.iter().all(|row| row.0 != *key));
        let always = "method param. header. params_in response_format response_charset xml_lists records retry_when fail_when renew_when on_error \
                      ignore_when pagination total has_more is_last report_id for_each";
        assert_eq!(others.collect::<Vec<_>>().join(" "), always);
    }

    #[test]
    fn what_was_probably_meant_is_named() {
        let cursor = [("pagination", "cursor"), ("next_cursor", "next")];
        let with = |more: &[(&'static str, &'static str)]| refusal(&[&cursor[..], more].concat());
        let refused = with(&[("cursor_param", "after")]);
        assert!(
            refused
                .contains("`cursor_param` is of `mode = incremental` or `cursor`, and does nothing with `mode = full`"),
            "{refused}"
        );
        assert!(refused.contains("Did you mean `next_cursor_param`?"), "{refused}");
        // That is there already.
        let refused = with(&[("cursor_param", "after"), ("next_cursor_param", "after")]);
        assert!(refused.contains("set `mode = incremental` too"), "{refused}");
        assert!(with(&[("page_param", "p")]).contains("Did you mean `next_cursor_param`?"));
        assert!(with(&[("next_link", "p")]).contains("Leave it out, or set `pagination = link` too"));
        assert!(with(&[("max_parents", "9")]).contains("does nothing without `for_each`"));
        assert_eq!(with(&[("cursor", "at"), ("cursor_param", "since")]), "");
        assert_eq!(refusal(&[("pagination", "offset"), ("concurrency", "2")]), "");
    }
}
