//! The keys of pages.

use super::{From, Kind};
use crate::config::{Key, Section, Value};
use crate::error::{Error, Result};

pub const KEYS: &[Key] = &[
    Key::new(
        "pagination",
        Value::OneOf(&["none", "page", "offset", "cursor", "link", "keyset"]),
        "How the next page is found. `page`: by its number; `offset`: by how many records there were; `cursor`: by a value of the answer (`next_cursor`); `link`: \
         by a link of the answer (`next_link`, else the Link header); `keyset`: by a field of the last record (`keyset_field`).",
    )
    .default("none"),
    Key::new("page_param", Value::Text, "Of `pagination = page`: the parameter.").default("page"),
    Key::new("first_page", Value::Integer(-1, i64::MAX), "Of `pagination = page`: the number of the first page.").default("1"),
    Key::new("offset_param", Value::Text, "Of `pagination = offset`: the parameter.").default("offset"),
    Key::new("first_offset", Value::Integer(0, i64::MAX), "Of `pagination = offset`: the offset of the first record.").default("0"),
    Key::new("page_size_param", Value::Text, "The parameter that says how many records a page is to have.").example("limit"),
    Key::new(
        "page_size",
        Value::Integer(-1, i64::MAX),
        "Its value. How many the server really gives decides where the next page begins.",
    )
    .example("100"),
    Key::new(
        "next_cursor",
        Value::Text,
        "Of `pagination = cursor`: where the answer has the cursor of the next page: a path in the body, or `header.NAME`. The last page has none.",
    )
    .example("paging.cursors.after"),
    Key::new("next_cursor_param", Value::Text, "Of `pagination = cursor`: the parameter that takes it.").default("cursor"),
    Key::new(
        "next_link",
        Value::Text,
        "Of `pagination = link`: where the answer has the next page's URL: a path in the body, or `header.NAME`; where absent, the Link header with `rel=\"next\"`. It is \
         followed on the same server only, and tokens in it are not kept.",
    )
    .example("paging.next"),
    Key::new("keyset_field", Value::Text, "Of `pagination = keyset`: the field of the last record that the next page begins behind.").example("id"),
    Key::new("keyset_param", Value::Text, "Of `pagination = keyset`: the parameter that takes it.").example("since_id"),
    Key::new(
        "total",
        Value::Text,
        "Where the body tells how many records there are in all: reading ends there, without a look at an empty page.",
    )
    .example("meta.total"),
    Key::new("has_more", Value::Text, "Where the body tells whether there are more: reading ends where it says `false`.").example("has_more"),
    Key::new("last_page", Value::Text, "Of `pagination = page`: where the body tells the number of the last page.").example("meta.last_page"),
];

/// Which key goes with which kind, but for those with defaults.
const OF_KINDS: [(&str, &str); 6] = [
    ("next_cursor", "cursor"),
    ("next_cursor_param", "cursor"),
    ("next_link", "link"),
    ("keyset_field", "keyset"),
    ("keyset_param", "keyset"),
    ("last_page", "page"),
];

pub(super) fn kind(section: &Section) -> Result<Kind> {
    let name = section.text("pagination")?;
    for (key, of) in OF_KINDS {
        if section.is_set(key) && of != name {
            return Err(section.error(key, format!("is of `pagination = {of}`")));
        }
    }
    let needed = |key: &str| -> Result<String> {
        let missing = || -> Error { section.error("pagination", format!("is `{name}`, which needs `{key}`")) };
        section.get(key).map(str::to_owned).ok_or_else(missing)
    };
    Ok(match name {
        "page" => Kind::Number { param: needed("page_param")?, first: section.integer("first_page")? },
        "offset" => Kind::Offset { param: needed("offset_param")?, first: section.integer("first_offset")? },
        "cursor" => Kind::Cursor { param: needed("next_cursor_param")?, from: From::of(&needed("next_cursor")?) },
        "link" => Kind::Link(section.get("next_link").map_or(From::LinkHeader, From::of)),
        "keyset" => {
            needed("keyset_field")?;
            Kind::Keyset { param: needed("keyset_param")? }
        }
        _ => Kind::Once,
    })
}
