//! What the API has, and how it behaves while nothing is wrong.

use serde::{Deserialize, Serialize};

use super::http::Encoding;
use super::record::Shape;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Records behind every way of paging, `/ads` and `/events`.
    pub records: u64,
    /// What records of the ways of paging look like, unless a request says `shape`.
    pub shape: Shape,
    /// The most records of a page, whatever is asked for.
    pub page_most: u64,
    /// `/users` grants up to 1,000, and then returns no more than this.
    pub users_most: Option<u64>,
    /// `/offset/short` returns no more than this, and does not say so.
    pub short: u64,
    /// Cursors that were given out while this was another number are refused, as those that have expired.
    pub cursors: u64,
    pub campaigns: u64,
    /// Days from 2026-01-01 of which every campaign has insights.
    pub days: u64,
    /// How often a report is said to be running before it is done, unless its order says `polls`.
    pub polls: u64,
    /// How many requests a token that was given out is good for.
    pub token_uses: Option<u64>,
    /// How long a token that was given out is good for. `expires_in` says so.
    pub token_seconds: Option<f64>,
    /// Whether a refresh brings a new refresh token, and the one that was used is refused from then on.
    pub rotate: bool,
    /// What bodies may be encoded with; the first that the client accepts is taken.
    pub encodings: Vec<Encoding>,
    /// How many bytes of pages are kept once they are made.
    pub kept_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            records: 1000,
            shape: Shape::Rich,
            page_most: 1000,
            users_most: None,
            short: 37,
            cursors: 0,
            campaigns: 25,
            days: 90,
            polls: 2,
            token_uses: None,
            token_seconds: None,
            rotate: true,
            encodings: vec![Encoding::Gzip, Encoding::Zstd, Encoding::Br, Encoding::Deflate],
            kept_bytes: 256 << 20,
        }
    }
}
