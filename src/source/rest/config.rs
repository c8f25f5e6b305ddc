//! The keys of a REST source.

use std::sync::Arc;

use url::Url;

use super::pace::Limit;
use super::secrets::Known;
use super::{auth, children, endpoint, incremental, paging, report, transport};
use crate::config::{Key, Kind, Section, Value};
use crate::error::Result;
use crate::net::tls;
use crate::source::documents::keys as document_keys;
use crate::source::joined;

pub const KIND: Kind = Kind {
    name: "rest",
    about: "HTTP APIs that answer with JSON, JSON Lines, CSV or XML: page by page, with retries, rate limits and logins; whole, or what is new.",
    keys: &[KEYS, auth::keys::KEYS, transport::keys::KEYS, tls::KEYS],
    stream_keys: STREAM_KEYS,
    aliases: &[("path", "query"), ("fields", "columns"), ("exclude_fields", "exclude_columns")],
};

const KEYS: &[Key] = &[
    Key::new(
        "base_url",
        Value::Url,
        "The URL that paths begin behind. No other server gets to see what requests are signed with.",
    )
    .required()
    .example("https://api.example.com/v1"),
    Key::new(
        "rate_limit",
        Value::Checked("limits (`10/s, 1000/h`)", |text| match Limit::parse_all(text) {
            Some(_) => Ok(()),
            None => Err("must be such as `10/s`, `100/10s` or `10/s, 1000/h`"),
        }),
        "At most so many requests in any stretch of time of that length, over all streams.",
    )
    .example("10/s, 1000/h"),
    Key::new(
        "request_retries",
        Value::Integer(0, 1000),
        "How often a request is sent again that may succeed another time.",
    )
    .default("8"),
    Key::new(
        "retry_wait",
        Value::Duration,
        "The wait before the first of these, which doubles with each, where the server does not say how long to wait.",
    )
    .default("1s"),
    Key::new("longest_wait", Value::Duration, "No wait is longer: a request that is to wait longer has failed.")
        .default("10m"),
    Key::new(
        "identity",
        Value::Text,
        "What this API is, in your own words, in place of the host of `base_url`: for one that moves.",
    ),
];

const STREAM_KEYS: &[Key] =
    &joined::<
        {
            endpoint::KEYS.len()
                + paging::KEYS.len()
                + report::KEYS.len()
                + incremental::KEYS.len()
                + children::KEYS.len()
                + document_keys::KEYS.len()
        },
    >(&[endpoint::KEYS, paging::KEYS, report::KEYS, incremental::KEYS, children::KEYS, document_keys::KEYS]);

/// A checked `[source]` section.
pub struct Settings {
    pub base_url: Url,
    pub limits: Vec<Limit>,
    pub identity: String,
    pub known: Arc<Known>,
    pub section: Section,
}

impl Settings {
    /// A file that was loaded to look need not have what only signs requests; what is used here it must.
    pub fn of(section: &Section) -> Result<Self> {
        section.have(KEYS.iter().map(|key| key.name))?;
        let base_url = base_url(section)?;
        let limits = section.get("rate_limit").and_then(Limit::parse_all).unwrap_or_default();
        let host = base_url.host_str().unwrap_or_default().to_owned();
        let identity = section.get("identity").map_or(host, str::to_owned);
        Ok(Self { base_url, limits, identity, known: Arc::new(Known::of(section)), section: section.clone() })
    }
}

fn base_url(section: &Section) -> Result<Url> {
    let wrong = |message: &str| section.error("base_url", message);
    let url = Url::parse(section.text("base_url")?).map_err(|_| wrong("is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("must begin with `https://` or `http://` and have a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("must not have a user or a password in it")
            .hint("Use `auth = basic` with `username` and `password`."));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("must not have a query")
            .hint("Parameters of every request are `param.NAME`; a token is `auth = query`."));
    }
    Ok(url)
}

/// Checks what single keys do not tell.
pub fn check(section: &Section) -> Result<()> {
    for key in ["timeout", "silence_timeout", "connect_timeout"] {
        if section.duration(key)?.is_zero() {
            return Err(section.error(key, "must be greater than zero"));
        }
    }
    Settings::of(section).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_at_all_is_refused() {
        let checked = |values: &[(&str, &str)]| {
            let base = [("base_url", "https://api.example.com")];
            check(&Section::of_kind(&KIND, &[&base, values].concat()).unwrap())
        };
        checked(&[("timeout", "1ms"), ("retry_wait", "0s")]).unwrap();
        for key in ["timeout", "silence_timeout", "connect_timeout"] {
            let error = checked(&[(key, "0s")]).unwrap_err();
            assert!(error.message().contains(&format!("`{key}`")), "{error}");
        }
    }
}
