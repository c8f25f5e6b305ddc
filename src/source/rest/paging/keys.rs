//! The keys of pages.

use std::fmt;

use reqwest::header::HeaderName;

use super::{From, Kind};
use crate::config::{Key, Section, Value};
use crate::error::{Error, Result};
use crate::source::rest::body::{FIELD, Field, Path};

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
        PATH_OR_HEADER,
        "Of `pagination = cursor`: where the answer has the cursor of the next page: a path in the body, or `header.NAME`. The last page has none.",
    )
    .example("paging.cursors.after"),
    Key::new("next_cursor_param", Value::Text, "Of `pagination = cursor`: the parameter that takes it.").default("cursor"),
    Key::new(
        "next_link",
        PATH_OR_HEADER,
        "Of `pagination = link`: where the answer has the next page's URL: a path in the body, or `header.NAME`; where absent, the Link header with `rel=\"next\"`. It is \
         followed on the same server only, and tokens in it are not kept.",
    )
    .example("paging.next"),
    Key::new("keyset_field", FIELD, "Of `pagination = keyset`: the field of the last record that the next page begins behind.").example("id"),
    Key::new("keyset_param", Value::Text, "Of `pagination = keyset`: the parameter that takes it.").example("since_id"),
    Key::new(
        "total",
        PATH_OR_HEADER,
        "Where the answer tells how many records there are in all, a path in the body or `header.NAME`: reading ends there, without a look at an empty page. Pages that \
         end long before are an error.",
    )
    .example("meta.total"),
    Key::new(
        "has_more",
        PATH_OR_HEADER,
        "Where the answer tells whether there are more, a path in the body or `header.NAME`: reading ends where it says `false`.",
    )
    .example("has_more"),
    Key::new(
        "is_last",
        PATH_OR_HEADER,
        "Where the answer tells whether the page is the last, a path in the body or `header.NAME`: reading ends where it says `true`.",
    )
    .example("isLast"),
    Key::new(
        "last_page",
        PATH_OR_HEADER,
        "Of `pagination = page`: where the answer tells the number of the last page, a path in the body or `header.NAME`.",
    )
    .example("header.X-Total-Pages"),
];

const PATH_OR_HEADER: Value =
    Value::Checked("path (`paging.next`), or `header.NAME`", |text| match From::parse(text) {
        Ok(_) => Ok(()),
        Err(_) => Err("must be the path of one value, such as `paging.next` or `links[0].href`, or `header.NAME`"),
    });

impl From {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text.strip_prefix("header.") {
            Some(name) => From::Header(name.parse::<HeaderName>().map_err(|_| "is no name of a header")?),
            None => From::Body(Path::one(text)?),
        })
    }

    pub(super) fn of_key(section: &Section, key: &str) -> Result<Option<Self>> {
        let from = |text| From::parse(text).map_err(|problem| section.error(key, problem));
        section.get(key).map(from).transpose()
    }
}

/// As keys have it.
impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            From::Body(path) => path.fmt(f),
            From::Header(name) => write!(f, "header.{name}"),
            From::LinkHeader => f.write_str("header.link"),
        }
    }
}

/// The kind that `pagination` names. Keys of other kinds are not looked at.
pub(super) fn kind(section: &Section) -> Result<Kind> {
    let name = section.text("pagination")?;
    let missing = |key: &str| -> Error { section.error("pagination", format!("is `{name}`, which needs `{key}`")) };
    let needed = |key: &str| section.get(key).map(str::to_owned).ok_or_else(|| missing(key));
    Ok(match name {
        "page" => Kind::Number { param: needed("page_param")?, first: section.integer("first_page")? },
        "offset" => Kind::Offset { param: needed("offset_param")?, first: section.integer("first_offset")? },
        "cursor" => {
            let from = From::of_key(section, "next_cursor")?.ok_or_else(|| missing("next_cursor"))?;
            Kind::Cursor { param: needed("next_cursor_param")?, from }
        }
        "link" => Kind::Link(From::of_key(section, "next_link")?.unwrap_or(From::LinkHeader)),
        "keyset" => {
            let field = needed("keyset_field")?;
            let field = Field::parse(&field).map_err(|problem| section.error("keyset_field", problem))?;
            Kind::Keyset { param: needed("keyset_param")?, field }
        }
        _ => Kind::Once,
    })
}
