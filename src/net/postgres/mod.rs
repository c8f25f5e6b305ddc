//! PostgreSQL servers: their addresses, and how they are connected to.

mod endpoint;
pub mod error;
pub mod url;

pub use self::endpoint::{Connection, Endpoint, Host, major};

/// An identifier in double quotes.
pub fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// An identifier for people to paste: in quotes only where SQL needs them, keywords aside.
pub fn readable(identifier: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
    let bare = identifier.starts_with(plain) && identifier.chars().all(|c| plain(c) || c.is_ascii_digit());
    match bare && !KEYWORDS.contains(&identifier) {
        true => identifier.to_owned(),
        false => quoted(identifier),
    }
}

/// Words that tables are often called and that SQL reserves.
const KEYWORDS: [&str; 12] =
    ["all", "analyze", "case", "check", "column", "end", "group", "limit", "order", "references", "table", "user"];
